/* host.h: the few functions that a freestanding core needs from its host. The core knows nothing else of the
 * host. host/native implements them with libm and futexes, host/wasm with imported Math functions and wasm's
 * atomics. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_HOST_H
#define CHORD_BASE_HOST_H
#include <stddef.h>
#include <stdint.h>

/* Used by tables of rotary angles and the sampler, never by a kernel. */
double chord_host_sin(double x);
double chord_host_cos(double x);
double chord_host_exp(double x);
double chord_host_log(double x);
double chord_host_pow(double x, double y);

/* Numbers of templates. Returns the double nearest to a text of digits, with a sign, a point and an
 * exponent if they are there. */
double chord_host_parse(const char *s, size_t n);
/* Writes v, finite and not below 0, with `digits` of 0 to 30 digits behind the point, rounded exactly, a
 * half to even. If `digits` is below 0: the fewest digits that read back, as d.ddde+x or de+x. Returns the
 * bytes. */
int32_t chord_host_print(double v, int32_t digits, char s[static 400]);

/* Returns the milliseconds since a fixed moment, for the profile and the pool. No logit depends on it. */
double chord_host_now(void);

/* Sleeps while *at == expected, until woken or for about `timeout_ms`. May return early. */
void chord_host_wait(const int32_t *at, int32_t expected, int32_t timeout_ms);
/* Wakes every thread that sleeps on `at`. */
void chord_host_wake(const int32_t *at);
/* Tells the processor that the thread is spinning. */
void chord_host_pause(void);

#endif
