/* vexp.h: exp of four floats. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_VEXP_H
#define CHORD_KERNELS_VEXP_H
#include "../base/simd.h"

/* Within 3 * 2^-24 of e^x for -87.33 <= x <= 88.37; 0 below, inf above, NaN of NaN.
 *
 * x = n ln 2 + r: adding 1.5 * 2^23 rounds x / ln 2 to an integer that stays in the low bits, ready to be
 * shifted into an exponent. ln 2 is split so that n times its upper part (13 bits) is exact. Then
 * e^r = 1 + r + r^2 q(r); q of degree 4 fitted for the least relative error over |r| <= ln 2 / 2 (0.07 * 2^-24). */
CHORD_INLINE vf vf_exp(vf x)
{
    vf const shift = vf_all(0x1.8p23f);
    vf const t = vf_madd(x, vf_all(1.44269504f), shift), n = vf_sub(t, shift);
    vf const r = vf_madd(n, vf_all(-0x1.0bfbe8p-15f), vf_madd(n, vf_all(-0x1.62ep-1f), x));
    vf q = vf_madd(r, vf_all(0x1.6a2256p-10f), vf_all(0x1.123b02p-7f));
    q = vf_madd(r, q, vf_all(0x1.5558f8p-5f));
    q = vf_madd(r, q, vf_all(0x1.55549p-3f));
    q = vf_madd(r, q, vf_all(0x1.fffffcp-2f));
    vf const p = vf_add(vf_all(1.0f), vf_madd(vf_mul(r, r), q, r));
    vi const power = vi_shl(vi_add(vf_bits(t), vi_all(127)), 23);
    vi y = vf_bits(vf_mul(p, vi_as_f(power)));
    y = vi_pick(vf_less(x, vf_all(-87.33f)), vi_all(0), y);
    return vi_as_f(vi_pick(vf_less(vf_all(88.37f), x), vi_all(0x7f800000), y));
}

/* Absolute error within 4 * 2^-24. */
CHORD_INLINE vf vf_tanh(vf x)
{
    vf const one = vf_all(1.0f);
    return vf_sub(one, vf_div(vf_all(2.0f), vf_add(one, vf_exp(vf_add(x, x)))));
}

#endif
