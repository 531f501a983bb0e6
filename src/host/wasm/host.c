/* host.c: base/host.h for WebAssembly: Math functions are imported, waits are wasm's own atomics. A
 * browser's main thread may not wait. A model in the main thread has one thread, and a pool of one thread
 * never waits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../base/host.h"

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))
IMPORT(sin) double math_sin(double x);
IMPORT(cos) double math_cos(double x);
IMPORT(exp) double math_exp(double x);
IMPORT(log) double math_log(double x);
IMPORT(pow) double math_pow(double x, double y);

IMPORT(now) double performance_now(void);

double chord_host_now(void) { return performance_now(); }
double chord_host_sin(double x) { return math_sin(x); }
double chord_host_cos(double x) { return math_cos(x); }
double chord_host_exp(double x) { return math_exp(x); }
double chord_host_log(double x) { return math_log(x); }
double chord_host_pow(double x, double y) { return math_pow(x, y); }

void chord_host_wait(const int32_t *at, int32_t expected, int32_t timeout_ms)
{
    __builtin_wasm_memory_atomic_wait32((int *)(uintptr_t)at, expected, (int64_t)timeout_ms * 1000000);
}
void chord_host_wake(const int32_t *at)
{
    __builtin_wasm_memory_atomic_notify((int *)(uintptr_t)at, 0xffffffffu);
}
/* Takes some nanoseconds. wasm has no pause instruction. */
void chord_host_pause(void)
{
    for (int i = 0; i < 16; i++) __asm__ volatile("");
}
