/* body_own.h: unpacks the formats of quant/own.h part by part. An entry of a grid is loaded for each row,
 * into a 16-bit lane: rows 0..3 of one entry, then rows 0..3 of the next. Its nibbles become bytes, and a
 * byte looks its values up in 16 bytes. So a vector of codes, 4 rows x 4 k, takes two loads of entries (IQ3:
 * four) and five or six other instructions. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODY_OWN_H
#define CHORD_KERNELS_BODY_OWN_H
#include "../quant/own.h"
#include "body_parts.h"

CHORD_INLINE bool is_own(const chord_format *f)
{
    return f->scales == CHORD_SCALES_OWN || f->scales == CHORD_SCALES_OWN_FLOATS ||
           f->scales == CHORD_SCALES_OWN_HALVES;
}
/* Each half of a part has a scale that is a float: part_scales.d of the first half, m of the second. */
CHORD_INLINE bool has_floats(const chord_format *f) { return f->scales == CHORD_SCALES_OWN_FLOATS; }
/* The entries of the grid have four values, not eight. */
CHORD_INLINE bool has_fours(const chord_format *f)
{
    return f->type == CHORD_IQ3_XXS || f->type == CHORD_IQ3_S;
}
CHORD_INLINE bool is_iq1(const chord_format *f) { return f->type == CHORD_IQ1_S || f->type == CHORD_IQ1_M; }

/* Values plus the centre, by nibble. Entries of eight values have two in a nibble: `first` and `second`. */
#define OWN_PAIRS(a, b, c)                                                             \
    {                                                                                  \
        { a, b, c, 0, a, b, c, 0, a, b, c, 0 }, { a, a, a, a, b, b, b, b, c, c, c, c } \
    }
static const struct own_pairs {
    uint8_t first[16], second[16];
} own_iq2 = OWN_PAIRS(43 + 8, 43 + 25, 43 + 43), own_iq2_minus = OWN_PAIRS(43 - 8, 43 - 25, 43 - 43),
  own_iq1 = OWN_PAIRS(2, 10, 18);
static const uint8_t own_iq3_xxs[2][16] = { { 33, 37, 41, 45, 49, 53, 57, 62 },
                                            { 29, 25, 21, 17, 13, 9, 5, 0 } },
                     own_iq3_s[2][16] = { { 16, 18, 20, 22, 24, 26, 28, 30 }, { 14, 12, 10, 8, 6, 4, 2, 0 } };

typedef struct own_constants {
    vi first, second, minus_first, minus_second; /* tables of codes */
    vi row, low, high; /* the first byte of each row, four times; bits 0..3 and 4..7 of a row's bytes */
    vi nibbles;
} own_constants;

CHORD_INLINE own_constants own_constants_of(const chord_format *f)
{
    static const uint8_t row[16] = { 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12 };
    own_constants c;
    c.row = vi_load(row);
    c.low = vi_all(0x08040201);
    c.high = vi_all((int32_t)0x80402010);
    c.nibbles = vi_all(0x0f0f0f0f);
    if (has_floats(f)) c.first = c.second = c.minus_first = c.minus_second = vi_load(chord_e2m1_codes);
    else if (has_fours(f)) {
        const uint8_t (*const t)[16] = f->type == CHORD_IQ3_S ? own_iq3_s : own_iq3_xxs;
        c.first = c.second = vi_load(t[0]);
        c.minus_first = c.minus_second = vi_load(t[1]);
    } else {
        const struct own_pairs *const t = is_iq1(f) ? &own_iq1 : &own_iq2;
        c.first = vi_load(t->first);
        c.second = vi_load(t->second);
        c.minus_first = vi_load(own_iq2_minus.first);
        c.minus_second = vi_load(own_iq2_minus.second);
    }
    CHORD_PIN(c.first);
    CHORD_PIN(c.minus_first);
    CHORD_PIN(c.row);
    CHORD_PIN(c.nibbles);
    CHORD_PIN(c.low);
    CHORD_PIN(c.high);
    return c;
}

/* Unpacks two entries of each row, `at` entries from `grid` on: nibbles become bytes. */
CHORD_INLINE void own_entries(const own_constants *c, const uint16_t *grid, const uint32_t at[8], vi out[2])
{
    vi e = vi_all(0);
    e = vi_set16(e, 0, grid + at[0]);
    e = vi_set16(e, 1, grid + at[1]);
    e = vi_set16(e, 2, grid + at[2]);
    e = vi_set16(e, 3, grid + at[3]);
    e = vi_set16(e, 4, grid + at[4]);
    e = vi_set16(e, 5, grid + at[5]);
    e = vi_set16(e, 6, grid + at[6]);
    e = vi_set16(e, 7, grid + at[7]);
    vi const low = vi_and(e, c->nibbles), high = vi_and(vi_shr16(e, 4), c->nibbles);
    out[0] = vi_zip8_low(low, high);
    out[1] = vi_zip8_high(low, high);
}

/* Returns the codes of one half of eight elements: those that are negative where `bits` of `signs` are set.
 * `signs` has the row's byte of signs four times. */
CHORD_INLINE vi own_signed(vi entry, vi plus, vi minus, vi signs, vi bits)
{
    vi const negative = vi_equal8(vi_and(signs, bits), bits);
    return vi_pick(negative, vi_lookup(minus, entry), vi_lookup(plus, entry));
}

/* Seven signs of each of four groups of eight elements, in bits 0..27, become bytes with all eight. */
CHORD_INLINE vi own_signs_28(vi s)
{
    vi const seven = vi_or(vi_or(vi_and(s, vi_all(0x7f)), vi_and(vi_shl(s, 1), vi_all(0x7f00))),
                           vi_or(vi_and(vi_shl(s, 2), vi_all(0x7f0000)),
                                 vi_and(vi_shl(s, 3), vi_all(0x7f000000))));
    vi parity = vi_xor(seven, vi_shr(seven, 4));
    parity = vi_xor(parity, vi_shr(parity, 2));
    parity = vi_and(vi_xor(parity, vi_shr(parity, 1)), vi_all(0x01010101));
    return vi_or(seven, vi_shl(parity, 7));
}

/* State of a group from part to part. */
typedef struct own_walk {
    vf d; /* times the factor of the format */
    vi low, high; /* scales of the parts to come */
    const uint8_t *head;
} own_walk;

/* Reads the head of a block. Returns the address of its first part. */
CHORD_INLINE const uint8_t *own_head(const chord_format *f, const uint8_t *w, own_walk *s)
{
    s->head = w;
    s->low = s->high = vi_all(0);
    s->d = vf_all(0);
    if (has_floats(f)) return w;
    if (f->type == CHORD_IQ1_M) {
        vi const a = s->low = vi_load(w), b = s->high = vi_load(w + 16);
        vi const d = vi_or(vi_or(vi_and(vi_shr(a, 12), vi_all(15)), vi_and(vi_shr(a, 24), vi_all(0xf0))),
                           vi_or(vi_and(vi_shr(b, 4), vi_all(0xf00)), vi_and(vi_shr(b, 16), vi_all(0xf000))));
        vi const wide = vi_and(vi_shl(vi_sar(vi_shl(d, 16), 16), 13), vi_all(F16_MASK));
        s->d = vf_mul(vi_as_f(wide), vf_all(F16_FACTOR * 0.125f));
        return w + 32;
    }
    float const factor = f->type == CHORD_IQ3_S || f->type == CHORD_TQ1_0 ? 1
                         : f->type == CHORD_IQ3_XXS                       ? 0.5f
                                                                          : 0.125f;
    s->d = vf_load_f16_by(w, vi_all(F16_MASK), vf_all(F16_FACTOR * factor));
    if (f->type == CHORD_IQ3_S) {
        s->low = vi_load(w + 8);
        return w + 24;
    }
    return f->type == CHORD_TQ1_0 ? w + 216 : w + 8;
}

/* Returns the entry's number of row r: byte l of the row's piece, and the bits above it. */
CHORD_INLINE uint32_t own_index(const chord_format *f, const uint8_t *w, int r, int l)
{
    switch (f->type) {
    case CHORD_IQ2_XXS: return w[4 * r + l];
    case CHORD_IQ2_XS: return chord_u16(w + 16 * (l / 2) + 4 * r + 2 * (l % 2)) & 511;
    case CHORD_IQ2_S: return w[4 * r + l] | (w[32 + r] >> 2 * l & 3u) << 8;
    case CHORD_IQ3_XXS: return w[16 * (l / 4) + 4 * r + l % 4];
    case CHORD_IQ3_S: return w[16 * (l / 4) + 4 * r + l % 4] | (w[48 + r] >> l & 1u) << 8;
    case CHORD_IQ1_S: return w[4 * r + l] | (chord_u16(w + 16 + 2 * r) >> 3 * l & 7u) << 8;
    default: return w[4 * r + l] | (chord_u16(w + 16 + 2 * r) >> 4 * l & 7u) << 8; /* IQ1_M */
    }
}

CHORD_INLINE const uint16_t *own_grid(const chord_format *f)
{
    return f->type == CHORD_IQ2_XXS   ? chord_iq2_xxs_grid
           : f->type == CHORD_IQ2_XS  ? chord_iq2_xs_grid
           : f->type == CHORD_IQ2_S   ? chord_iq2_s_grid
           : f->type == CHORD_IQ3_XXS ? chord_iq3_xxs_grid
           : f->type == CHORD_IQ3_S   ? chord_iq3_s_grid
                                      : chord_iq1_s_grid;
}

/* Reads the scales of a part. Returns the signs of its elements, eight to a byte, if the format has signs.
 * s->d, s->pair: see part_scales. */
CHORD_INLINE vi own_scales(const chord_format *f, const uint8_t *w, int32_t part, own_walk *walk,
                           part_scales *s)
{
    vi scale, signs = vi_all(0);
    switch (f->type) {
    case CHORD_IQ2_XXS:
    case CHORD_IQ3_XXS: {
        vi const word = vi_load(w + (f->type == CHORD_IQ2_XXS ? 16 : 32));
        signs = own_signs_28(word);
        scale = vi_shr(word, 28);
        break;
    }
    case CHORD_IQ2_XS: {
        vi const a = vi_load(w), b = vi_load(w + 16);
        signs = own_signs_28(vi_or(vi_or(vi_and(vi_shr(a, 9), vi_all(0x7f)),
                                         vi_and(vi_shr(a, 18), vi_all(0x3f80))),
                                   vi_or(vi_and(vi_shl(b, 5), vi_all(0x1fc000)),
                                         vi_and(vi_shr(b, 4), vi_all(0xfe00000)))));
        scale = vi_load_4u8(w + 32);
        break;
    }
    case CHORD_IQ2_S:
        signs = vi_load(w + 16);
        scale = vi_load_4u8(w + 36);
        break;
    case CHORD_IQ3_S:
        signs = vi_load(w + 32);
        scale = vi_and(walk->low, vi_all(15));
        walk->low = vi_shr(walk->low, 4);
        break;
    case CHORD_IQ1_S: scale = vi_and(vi_shr(vi_load_u16(w + 16), 12), vi_all(7)); break;
    default: /* IQ1_M: two scales of three bits, in fields of 16 */
        scale = walk->low;
        walk->low = part & 1 ? vi_shr(walk->low, 10) : vi_shr(walk->low, 6);
        if (part == 3) walk->low = walk->high;
    }
    if (has_halves(f)) {
        vi const both = f->type == CHORD_IQ1_M
                            ? vi_or(vi_and(scale, vi_all(7)), vi_and(vi_shl(scale, 13), vi_all(7 << 16)))
                            : vi_or(vi_and(scale, vi_all(15)), vi_and(vi_shl(scale, 12), vi_all(15 << 16)));
        s->pair = vi_or(vi_add(both, both), vi_all(0x00010001));
        s->d = walk->d;
    } else s->d = vf_mul(walk->d, vf_of(vi_or(vi_add(scale, scale), vi_all(1))));
    return signs;
}

/* Returns ternary digits 0..2 of bytes times `power`, which is in each 16-bit lane. */
CHORD_INLINE vi own_digits(vi bytes, vi power)
{
    vi const byte = vi_all(0x00ff00ff), three = vi_all(0x00030003);
    vi const even = vi_and(vi_mul16(vi_and(bytes, byte), power), byte),
             odd = vi_and(vi_mul16(vi_shr16(bytes, 8), power), byte);
    return vi_or(vi_shr16(vi_mul16(even, three), 8), vi_and(vi_mul16(odd, three), vi_all(0x03000300)));
}

CHORD_INLINE void own_ternary_part(int32_t part, const own_walk *walk, vi codes[8])
{
    static const uint32_t powers[5] = { 0x00010001, 0x00030003, 0x00090009, 0x001b001b, 0x00510051 };
    const uint8_t *const q = walk->head + 8;
    CHORD_UNROLL(int v = 0; v < 8; v++) {
        int32_t const digit = part < 5   ? part
                              : part < 7 ? 2 * part - 10 + v / 4
                              : v < 4    ? 4
                                         : v - 4,
                      piece = part < 5            ? v
                              : part < 7 || v < 4 ? 8 + v % 4
                                                  : 12;
        codes[v] = own_digits(vi_load(q + 16 * piece), vi_all_at(&powers[digit]));
    }
}

/* Returns four of NVFP4's scales, halved: the low byte of each lane. Its bits become a float's exponent and
 * mantissa, also where the float is subnormal. */
CHORD_INLINE vf own_float(vi bits)
{
    vi const seven = vi_and(bits, vi_all(0x7f)), byte = vi_and(bits, vi_all(0xff));
    vi const is_zero = vi_sub(vi_all(0), vi_shr(vi_add(vi_xor(byte, vi_all(0x7f)), vi_all(-1)), 31));
    return vf_mul(vi_as_f(vi_pick(is_zero, vi_all(0), vi_shl(seven, 20))), vf_all(0x1p119f));
}

CHORD_INLINE const uint8_t *own_float_part(const own_constants *c, const uint8_t *w, vi codes[8],
                                           part_scales *s)
{
    vi const both = vi_load_u16(w);
    s->d = own_float(both);
    s->m = own_float(vi_shr(both, 8));
    CHORD_UNROLL(int v = 0; v < 4; v++) {
        vi const q = vi_load(w + 8 + 16 * v);
        int const first = v / 2 * 4 + v % 2;
        codes[first] = vi_lookup(c->first, vi_and(q, c->nibbles));
        codes[first + 2] = vi_lookup(c->first, vi_and(vi_shr16(q, 4), c->nibbles));
    }
    return w + 72;
}

/* Unpacks part `part` of a block, which starts at w. Returns the address of the next part. */
CHORD_INLINE const uint8_t *own_part(const chord_format *f, const own_constants *c, const uint8_t *w,
                                     int32_t part, own_walk *walk, vi codes[8], part_scales *s)
{
    *s = (part_scales){ walk->d, vf_all(0), vi_all(0), vi_all(0), vi_all(0), vi_all(0) };
    if (has_floats(f)) return own_float_part(c, w, codes, s);
    if (f->type == CHORD_TQ1_0) {
        own_ternary_part(part, walk, codes);
        return w;
    }
    vi const signs = own_scales(f, w, part, walk, s);
    vi const less = is_iq1(f) ? vi_load_u16(w + 16) : vi_all(0);
    int const entries = has_fours(f) ? 8 : 4;
    CHORD_UNROLL(int l = 0; l < entries; l += 2) {
        uint32_t at[8];
        vi e[2];
        CHORD_UNROLL(int i = 0; i < 8; i++) at[i] = own_index(f, w, i % 4, l + i / 4);
        own_entries(c, own_grid(f), at, e);
        if (has_fours(f)) {
            vi const eight = vi_lookup(signs, vi_add(c->row, vi_all(0x01010101 * (l / 2))));
            codes[l] = own_signed(e[0], c->first, c->minus_first, eight, c->low);
            codes[l + 1] = own_signed(e[1], c->first, c->minus_first, eight, c->high);
            continue;
        }
        CHORD_UNROLL(int i = 0; i < 2; i++) {
            int const group = l + i;
            if (is_iq1(f)) {
                /* the bit that says "less" moves to the sign */
                vi const top = f->type == CHORD_IQ1_S ? vi_shl(less, 16)
                               : group == 0           ? vi_shl(less, 28)
                               : group == 1           ? vi_shl(less, 24)
                               : group == 2           ? vi_shl(less, 20)
                                                      : vi_shl(less, 16);
                vi const two = vi_and(vi_sar(top, 31), vi_all(0x02020202));
                codes[2 * group] = vi_sub8(vi_lookup(c->first, e[i]), two);
                codes[2 * group + 1] = vi_sub8(vi_lookup(c->second, e[i]), two);
            } else {
                vi const eight = vi_lookup(signs, vi_add(c->row, vi_all(0x01010101 * group)));
                codes[2 * group] = own_signed(e[i], c->first, c->minus_first, eight, c->low);
                codes[2 * group + 1] = own_signed(e[i], c->second, c->minus_second, eight, c->high);
            }
        }
    }
    return w + (f->block_bytes - f->head[0].bytes - f->head[1].bytes) / 2; /* an eighth of four rows */
}

#endif
