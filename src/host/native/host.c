/* host.c: base/host.h for native builds, by libm and futexes. A system without futexes sleeps briefly
 * instead, because a native build isn't tuned for speed. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "../../base/host.h"
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* strtod gets whole digits and an exponent: a point has another form in other locales. */
double chord_host_parse(const char *s, size_t n)
{
    char small[512], *const text = n < 400 ? small : malloc(n + 64);
    size_t used = 0, i = 0;
    long power = 0, behind = 0;
    bool is_behind = false, is_negative = false;
    if (!text) return NAN;
    for (; i < n && (s[i] | 32) != 'e'; i++) {
        if (s[i] == '.') {
            is_behind = true;
        } else {
            text[used++] = s[i];
            behind += is_behind;
        }
    }
    for (i++; i < n; i++) {
        if (s[i] >= '0' && s[i] <= '9') power = power < 10000000 ? power * 10 + (s[i] - '0') : power;
        else is_negative = s[i] == '-';
    }
    snprintf(text + used, 64, "e%ld", (is_negative ? -power : power) - behind);
    double const v = strtod(text, NULL);
    if (text != small) free(text);
    return v;
}

/* Puts a point behind the first `whole` digits of s, in the place of what stands there before `rest`. */
static int32_t put_point(char *s, size_t whole, const char *rest)
{
    size_t const n = strlen(rest);
    memmove(s + whole + 1, rest, n + 1);
    s[whole] = '.';
    return (int32_t)(whole + 1 + n);
}

int32_t chord_host_print(double v, int32_t digits, char s[static 400])
{
    int32_t n = 0;
    if (digits >= 0) {
        n = snprintf(s, 400, "%.*f", digits, v);
        return digits ? put_point(s, strspn(s, "0123456789"), s + n - digits) : n;
    }
    for (int32_t k = 0; k < 17; k++) {
        n = snprintf(s, 400, "%.*e", k, v);
        if (k) n = put_point(s, 1, strchr(s, 'e') - k);
        if (chord_host_parse(s, (size_t)n) == v) break;
        /* Below a power of two the next decimal up may read back where the nearest doesn't. */
        char *last = strchr(s, 'e') - 1;
        for (; last > s && (*last == '9' || *last == '.'); last--)
            if (*last == '9') *last = '0';
        ++*last;
        if (*last <= '9' && chord_host_parse(s, (size_t)n) == v) break;
    }
    return n;
}

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
