/* vexp.h: exp of four floats. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_VEXP_H
#define CHORD_KERNELS_VEXP_H
#include "../base/simd.h"

/* e^x with a relative error of at most 3 * 2^-24 for -87.33 <= x <= 88.37; 0 below, inf above, NaN for NaN.
 *
 * x = n ln 2 + r. Adding 1.5 * 2^23 rounds x / ln 2 to the integer n and leaves n in the low bits, from
 * where it is shifted into the exponent. ln 2 is split so that n times its upper part (13 bits) is exact.
 * Then e^r = 1 + r + r^2 q(r). q has degree 4 and the minimum relative error over |r| <= ln 2 / 2:
 * 0.07 * 2^-24. */
enum {
    EXP_LOG2E,
    EXP_SHIFT,
    EXP_LN2_HIGH,
    EXP_LN2_LOW,
    EXP_Q4,
    EXP_Q3,
    EXP_Q2,
    EXP_Q1,
    EXP_Q0,
    EXP_ONE,
    EXP_LEAST,
    EXP_MOST,
    EXP_INF
};
/* vf_exp pins their address, so that they are loaded: see CHORD_PIN. */
static const float exp_constants[] = {
    1.44269504f,    0x1.8p23f,      -0x1.62ep-1f,     -0x1.0bfbe8p-15f, 0x1.6a2256p-10f,
    0x1.123b02p-7f, 0x1.5558f8p-5f, 0x1.55549p-3f,    0x1.fffffcp-2f,   1.0f,
    -87.33f,        88.37f,         __builtin_inff(),
};

CHORD_INLINE vf vf_exp(vf x)
{
    const float *c = exp_constants;
    CHORD_PIN(c);
    vf const shift = vf_all_at(c + EXP_SHIFT), one = vf_all_at(c + EXP_ONE);
    vf const t = vf_madd(x, vf_all_at(c + EXP_LOG2E), shift), n = vf_sub(t, shift);
    vf const r = vf_madd(n, vf_all_at(c + EXP_LN2_LOW), vf_madd(n, vf_all_at(c + EXP_LN2_HIGH), x));
    vf q = vf_madd(r, vf_all_at(c + EXP_Q4), vf_all_at(c + EXP_Q3));
    q = vf_madd(r, q, vf_all_at(c + EXP_Q2));
    q = vf_madd(r, q, vf_all_at(c + EXP_Q1));
    q = vf_madd(r, q, vf_all_at(c + EXP_Q0));
    vf const p = vf_add(one, vf_madd(vf_mul(r, r), q, r));
    vi const power = vi_add(vi_shl(vf_bits(t), 23), vf_bits(one)); /* t's low bits hold n */
    vi y = vf_bits(vf_mul(p, vi_as_f(power)));
    y = vi_pick(vf_less(x, vf_all_at(c + EXP_LEAST)), vi_all(0), y);
    return vi_as_f(vi_pick(vf_less(vf_all_at(c + EXP_MOST), x), vf_bits(vf_all_at(c + EXP_INF)), y));
}

/* Absolute error within 4 * 2^-24. */
CHORD_INLINE vf vf_tanh(vf x)
{
    vf const one = vf_all(1.0f);
    return vf_sub(one, vf_div(vf_all(2.0f), vf_add(one, vf_exp(vf_add(x, x)))));
}

#endif
