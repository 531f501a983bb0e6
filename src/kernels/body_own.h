/* body_own.h: the formats of quant/own.h. One token needs no panel: a tile of one group multiplies what it
 * unpacks. TQ1_0 and NVFP4 are here, the formats whose codes are in grids in body_grids.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODY_OWN_H
#define CHORD_KERNELS_BODY_OWN_H
#include "../quant/own.h"
#include "body_parts.h"
#include "body_write.h"

CHORD_INLINE bool is_own(const chord_format *f)
{
    return f->scales == CHORD_SCALES_OWN || f->scales == CHORD_SCALES_OWN_FLOATS ||
           f->scales == CHORD_SCALES_OWN_HALVES;
}
/* Each half of a part has a scale that is a float: part_scales.d of the first half, m of the second. */
CHORD_INLINE bool has_floats(const chord_format *f) { return f->scales == CHORD_SCALES_OWN_FLOATS; }
CHORD_INLINE bool is_grid(const chord_format *f)
{
    return is_own(f) && !has_floats(f) && f->type != CHORD_TQ1_0;
}

/* ---- sums ----------------------------------------------------------------------------------------- */

/* Adds the products of signed bytes x and of bytes w from 0 to 43. With DOT8_16 sums have 16 bits. */
CHORD_INLINE dot_sum own_add(int how, dot_sum s, vi x, vi w)
{
#ifdef CHORD_SIMD_I8
    if (how == DOT8) return (dot_sum){ vi_dot8(x, w, s.a), s.b };
    if (how == DOT8_16) return (dot_sum){ vi_add16(s.a, vi_dot8_16(x, w)), s.b };
#else
    (void)how;
#endif
    return (dot_sum){ vi_add(s.a, vi_dot16(vi_low8_s(x), vi_low8_s(w))),
                      vi_add(s.b, vi_dot16(vi_high8_s(x), vi_high8_s(w))) };
}
CHORD_INLINE dot_sum own_zero(void) { return (dot_sum){ vi_all(0), vi_all(0) }; }

/* Returns the sums of four rows, of operands whose lanes were rows. */
CHORD_INLINE vi own_rows(dot_way way, dot_sum s)
{
    return way.how == DOT8_16 ? vi_dot16(s.a, way.ones) : dot_rows(way, s);
}

/* ---- TQ1_0 ---------------------------------------------------------------------------------------- */

/* A byte of TQ1_0 is a fraction in base 3, in units of 1/256. Its first digit is the number of bounds, 85
 * and 170, that it exceeds. Three times the byte, modulo 256, has the next digit as its first. That also
 * holds for bytes and bounds less 128, which compare as signed bytes. */
typedef struct own_ternary {
    vi first, second, flip;
} own_ternary;

CHORD_INLINE own_ternary own_ternary_of(void)
{
    own_ternary c = { vi_all((int32_t)0xd5d5d5d5), vi_all(0x2a2a2a2a), vi_all((int32_t)0x80808080) };
    CHORD_PIN(c.first);
    CHORD_PIN(c.second);
    CHORD_PIN(c.flip);
    return c;
}
CHORD_INLINE vi own_digit(const own_ternary *c, vi x)
{
    return vi_abs8(vi_add8(vi_less8(c->first, x), vi_less8(c->second, x)));
}
/* Without the pins clang shifts bytes, or multiplies them by 3, 9, 27 and 81: in V8 five instructions. */
CHORD_INLINE vi own_times_3(vi x)
{
    vi same = x;
    CHORD_PIN(same);
    vi two = vi_add8(x, same);
    CHORD_PIN(two);
    vi three = vi_add8(two, x);
    CHORD_PIN(three);
    return three;
}

/* A block's bytes are three runs of vectors, four rows x four bytes. Digit n of byte j of a run is element
 * from + n * step + j. The fifth digit of the last run means nothing. */
enum { OWN_DIGITS = 5 };
static const struct own_run {
    uint8_t vectors, step, from;
} own_runs[3] = { { 8, 32, 0 }, { 4, 16, 160 }, { 1, 4, 240 } };

/* Unpacks a block into vectors of 4 rows x 4 k, k ascending. */
CHORD_INLINE void own_ternary_codes(const uint8_t *q, vi codes[65])
{
    own_ternary const c = own_ternary_of();
    for (int i = 0; i < 3; i++) {
        vi *to = codes + own_runs[i].from / 4;
        CHORD_ROLL(int v = own_runs[i].vectors; v > 0; v--, q += 16, to++) {
            vi x = vi_xor(vi_load(q), c.flip);
            CHORD_UNROLL(int n = 0; n < OWN_DIGITS; n++) {
                vi_store(to + n * own_runs[i].step / 4, own_digit(&c, x));
                x = own_times_3(x);
            }
        }
    }
}

/* The sums of one digit: of its bytes, and with DOT8 also of the bytes of the next digit. */
typedef struct own_digit_sums {
    dot_sum here, next;
} own_digit_sums;

/* Returns what the digits add. With DOT8, which reads eight bits of a byte, no digit is computed. A digit is
 * (3 byte - next byte) / 256, so two sums of bytes make the sum of digits. Two dots take the place of four
 * instructions and a dot. The result is 256 times the sum. */
CHORD_INLINE vi own_digit_rows(dot_way way, own_digit_sums s)
{
    vi const here = own_rows(way, s.here);
    return way.how == DOT8 ? vi_sub(vi_add(vi_add(here, here), here), s.next.a) : here;
}

/* Multiplies a block. x: its activations; d: its scale; xd: the scale of its first part's activations. */
CHORD_INLINE vf own_ternary_tile(dot_way way, const uint8_t *w, const uint8_t *x, const uint8_t *xd,
                                 uint32_t n, vf sum)
{
    own_ternary const c = own_ternary_of();
    const uint8_t *q = w + 8;
    vf const d = vf_load_f16_finite(w);
    /* Bytes less 128 that are read as signed make digits less 1. */
    bool const is_linear = way.how == DOT8;
    vi const flip = is_linear ? vi_xor(c.flip, way.flip) : c.flip,
             centre = is_linear ? vi_sar(way.flip, 31) : vi_all(-1);
    vi all[3 * OWN_DIGITS];
    CHORD_ROLL(int i = 0; i < 3; i++) {
        uint32_t const step = own_runs[i].step;
        const uint8_t *at = x + own_runs[i].from;
        own_digit_sums s[OWN_DIGITS];
        CHORD_UNROLL(int k = 0; k < OWN_DIGITS; k++) s[k] = (own_digit_sums){ own_zero(), own_zero() };
        CHORD_ROLL(int v = own_runs[i].vectors; v > 0; v--, q += 16, at += 4) {
            vi bytes = vi_xor(vi_load(q), flip);
            CHORD_UNROLL(int k = 0; k < OWN_DIGITS; k++) {
                vi const a = vi_all_at(at + (uint32_t)k * step);
                s[k].here = own_add(way.how, s[k].here, a, is_linear ? bytes : own_digit(&c, bytes));
                if (is_linear || k < OWN_DIGITS - 1) bytes = own_times_3(bytes);
                CHORD_PIN(s[k].here.a);
                if (way.how == DOT16) CHORD_PIN(s[k].here.b);
                if (!is_linear) continue;
                s[k].next = own_add(way.how, s[k].next, a, bytes);
                CHORD_PIN(s[k].next.a);
            }
        }
        CHORD_UNROLL(int k = 0; k < OWN_DIGITS; k++) all[OWN_DIGITS * i + k] = own_digit_rows(way, s[k]);
    }
    all[5] = vi_add(all[5], all[6]);
    all[6] = vi_add(all[7], all[8]);
    all[7] = vi_add(vi_add(vi_add(all[9], all[10]), vi_add(all[11], all[12])), all[13]);
    CHORD_ROLL(int part = 0; part < 8; part++, xd += 4) {
        vi const digits = is_linear ? vi_sar(all[part], 8) : all[part];
        vi x_sum = vi_all_at(xd + n / 8);
        CHORD_PIN(x_sum);
        sum = vf_madd(vf_mul(d, vf_all_at(xd)), vf_of(vi_sub(digits, vi_and(x_sum, centre))), sum);
    }
    return sum;
}

/* ---- NVFP4 ---------------------------------------------------------------------------------------- */

typedef struct own_floats {
    vi table, nibbles;
    vi nan, mantissa; /* 0x7f in the first two bytes of each row; where a float's exponent and mantissa go */
    vf factor;
} own_floats;

CHORD_INLINE own_floats own_floats_of(void)
{
    own_floats c = { vi_load(chord_e2m1_codes), vi_all(0x0f0f0f0f), vi_all(0x7f7f), vi_all(0x07f00000),
                     vf_all(0x1p119f) };
    CHORD_PIN(c.table);
    CHORD_PIN(c.nibbles);
    CHORD_PIN(c.nan);
    CHORD_PIN(c.mantissa);
    CHORD_PIN(c.factor);
    return c;
}

/* Unpacks a part: codes, and the scales of its halves, halved. Their seven bits become a float's exponent
 * and mantissa, also where the float is subnormal; the byte 0x7f means 0. Returns the address after it. */
CHORD_INLINE const uint8_t *own_float_part(const own_floats *c, const uint8_t *w, vi codes[8], vf d[2])
{
    vi const bytes = vi_load_u16(w);
    vi const seven = vi_sub8(vi_and(bytes, c->nan), vi_and(vi_equal8(bytes, c->nan), c->nan));
    d[0] = vf_mul(vi_as_f(vi_and(vi_shl(seven, 20), c->mantissa)), c->factor);
    d[1] = vf_mul(vi_as_f(vi_and(vi_shl(seven, 12), c->mantissa)), c->factor);
    CHORD_UNROLL(int v = 0; v < 4; v++) {
        vi const q = vi_load(w + 8 + 16 * v);
        int const first = v / 2 * 4 + v % 2;
        codes[first] = vi_lookup(c->table, vi_and(q, c->nibbles));
        codes[first + 2] = vi_lookup(c->table, vi_and(vi_shr16(q, 4), c->nibbles));
    }
    return w + 72;
}

/* Multiplies a row of parts. */
CHORD_INLINE vf own_floats_tile(dot_way way, const uint8_t *w, const uint8_t *x, uint32_t n)
{
    own_floats const c = own_floats_of();
    const uint8_t *xd = x + n;
    vi centre[2] = { vi_all(12), vi_all(12 << 16) };
    vf sum = vf_all(0);
    CHORD_PIN(centre[0]);
    CHORD_PIN(centre[1]);
    CHORD_ROLL(uint32_t left = n; left > 0; left -= 32, x += 32, xd += 4) {
        vi codes[8];
        vf d[2];
        CHORD_PIN(w);
        w = own_float_part(&c, w, codes, d);
        vf const dx = vf_all_at(xd);
        vi const halves = vi_all_at(xd + n / 4);
        CHORD_UNROLL(int h = 0; h < 2; h++) {
            dot_sum s = own_zero();
            CHORD_UNROLL(int v = 4 * h; v < 4 * h + 4; v++)
                s = own_add(way.how, s, vi_all_at(x + 4 * v), codes[v]);
            vi const i = vi_sub(own_rows(way, s), vi_dot16(halves, centre[h]));
            sum = vf_madd(vf_mul(d[h], dx), vf_of(i), sum);
        }
    }
    return sum;
}

#endif
