/* host.c: base/host.h for native builds, by libm and futexes. A system without futexes sleeps briefly
 * instead, because a native build isn't tuned for speed. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "../../base/host.h"
#include <limits.h>
#include <math.h>
#include <time.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

double chord_host_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
double chord_host_sin(double x) { return sin(x); }
double chord_host_cos(double x) { return cos(x); }
double chord_host_exp(double x) { return exp(x); }
double chord_host_log(double x) { return log(x); }
double chord_host_pow(double x, double y) { return pow(x, y); }

void chord_host_wait(const int32_t *at, int32_t expected, int32_t timeout_ms)
{
#if defined(__linux__)
    struct timespec const t = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
    syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, expected, &t, NULL, 0);
#else
    struct timespec const t = { 0, 50000 };
    (void)timeout_ms;
    if (__atomic_load_n(at, __ATOMIC_ACQUIRE) == expected) nanosleep(&t, NULL);
#endif
}

void chord_host_wake(const int32_t *at)
{
#if defined(__linux__)
    syscall(SYS_futex, at, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
#else
    (void)at;
#endif
}

void chord_host_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}
