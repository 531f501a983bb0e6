/* libc.h: the interpreter's libc functions: the platform's or, in the wasm module, interpreter_wasm.c's. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_LIBC_H
#define CHORD_TESTS_LIBC_H
#if __STDC_HOSTED__
#include <math.h>
#include <stdlib.h>
#include <string.h>
#else
#include <stddef.h>
#include <stdint.h>
#define INFINITY __builtin_inf()
#define memcpy __builtin_memcpy
#define abort __builtin_trap
#define abs __builtin_abs
#define sqrt __builtin_sqrt
#define fabs __builtin_fabs
#define floor __builtin_floor
#define ceil __builtin_ceil
void *malloc(size_t bytes);
void *calloc(size_t n, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes);
void free(void *p);
double exp(double x);
double log(double x);
double pow(double x, double y);
double sin(double x);
double cos(double x);
double tanh(double x);
static inline double fmin(double x, double y) { return x < y ? x : y; }
static inline double fmax(double x, double y) { return x > y ? x : y; }
#endif
#endif
