/* real.h: exp in double for the scalar bodies, without libm. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_REAL_H
#define CHORD_KERNELS_REAL_H
#include <stdint.h>

/* e^x with a relative error of at most 2^-50. x = n ln 2 + r, |r| <= 0.35; Taylor series to r^13, whose next
 * term is below 2^-57. */
static inline double chord_real_exp(double x)
{
    if (x != x) return x;
    if (x < -708) return 0; /* below the smallest normal double */
    if (x > 709.78) return (double)__builtin_inff();
    int64_t const n = (int64_t)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    /* ln 2 is split in two */
    double const r = (x - (double)n * 0x1.62e42fefa38p-1) - (double)n * 0x1.ef35793c7673p-45;
    double p = 1;
    for (int i = 13; i > 0; i--) p = 1 + p * r / i;
    uint64_t const bits = (uint64_t)(n + 1022) << 52; /* 2^(n-1): n may be 1024 */
    double scale;
    __builtin_memcpy(&scale, &bits, 8);
    return 2 * (p * scale);
}

static inline double chord_real_tanh(double x) { return 1 - 2 / (1 + chord_real_exp(2 * x)); }

#endif
