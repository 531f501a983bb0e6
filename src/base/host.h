/* host.h: the few things a freestanding core can't do for itself. host/native gives them through libm
 * and futexes, host/wasm through imported Math functions and wasm's own atomics; nothing else of the
 * host is known to the core. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_HOST_H
#define CHORD_BASE_HOST_H
#include <stdint.h>

/* Never in a kernel: rope tables and the sampler only. */
double chord_host_sin(double x);
double chord_host_cos(double x);
double chord_host_exp(double x);
double chord_host_log(double x);
double chord_host_pow(double x, double y);

/* Milliseconds since some moment: for the profile, and to notice a thread that has lost its core. No result depends on it. */
double chord_host_now(void);

/* Sleep while *at == expected, until woken or for about `timeout_ms`; may return early. */
void chord_host_wait(const int32_t *at, int32_t expected, int32_t timeout_ms);
/* Wake every thread that sleeps on `at`. */
void chord_host_wake(const int32_t *at);
/* A hint inside a spin. */
void chord_host_pause(void);

#endif
