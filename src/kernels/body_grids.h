/* body_grids.h: the formats whose codes are entries of grids (quant/own.h). A block of 256 columns is
 * scanned first. That gives the places of its entries, its signs and its scales. The rest is the same for
 * all formats: it loads an entry of each of four rows, and either multiplies it or puts it into a panel. An
 * entry of eight elements is half a vector, 2 rows x 8 k; one of four is a quarter, 4 rows x 4 k.
 *
 * A sign is at the top of each byte of a vector of signs, for elements 24..31 of a part. Then the vector is
 * doubled, and the signs of elements 16..23 are at the top, and so on. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODY_GRIDS_H
#define CHORD_KERNELS_BODY_GRIDS_H
#include "body_own.h"
#include <stddef.h>

enum { GRID_EIGHTS, GRID_FOURS, GRID_TERNARY };

typedef struct grid_part {
    /* EIGHTS: of rows 0 and 1, of rows 2 and 3. FOURS: of elements 0..3, of elements 4..7 of eight */
    vi signs[2];
    vi scale[2]; /* of the halves, if they have scales */
    vf d; /* with the part's scale, if it has one */
    /* Bytes from the first grid of the shape to the entries. Entry l (l + 4 of FOURS: 16 numbers further) of
     * row r is number l % 2 * 8 + r * 2 + l / 2. */
    uint16_t at[32];
} grid_part;
enum { GRID_PARTS = 8 };

typedef struct grid_kind {
    void (*scan)(const uint8_t *w, grid_part *parts);
    int32_t shape, centre;
    uint32_t block_bytes; /* of four rows */
    bool has_halves;
    bool are_words; /* panels hold words with DOT8_16 */
} grid_kind;

CHORD_INLINE int grid_shape(const chord_format *f)
{
    return f->type == CHORD_IQ3_XXS || f->type == CHORD_IQ3_S ? GRID_FOURS
           : f->type == CHORD_IQ1_S || f->type == CHORD_IQ1_M ? GRID_TERNARY
                                                              : GRID_EIGHTS;
}
/* The shape's first grid, and bytes from there to the format's. */
CHORD_INLINE const void *grid_table(int shape)
{
    return shape == GRID_FOURS     ? (const void *)chord_iq_grids.iq3_s
           : shape == GRID_TERNARY ? (const void *)chord_iq_grids.iq1_s
                                   : (const void *)chord_iq_grids.iq2_s;
}
CHORD_INLINE uint32_t grid_at(const chord_format *f)
{
    return f->type == CHORD_IQ2_XS    ? sizeof chord_iq_grids.iq2_s
           : f->type == CHORD_IQ2_XXS ? sizeof chord_iq_grids.iq2_s + sizeof chord_iq_grids.iq2_xs
           : f->type == CHORD_IQ3_XXS ? sizeof chord_iq_grids.iq3_s
                                      : 0;
}

/* ---- scan a block --------------------------------------------------------------------------------- */

/* The head of a block: d times the factor of the format, and scales of the parts to come. */
typedef struct grid_head {
    vf d;
    vi low, high;
} grid_head;

CHORD_INLINE const uint8_t *grid_head_of(const chord_format *f, const uint8_t *w, grid_head *h)
{
    h->low = h->high = vi_all(0);
    if (f->type == CHORD_IQ1_M) {
        vi const a = vi_load(w),
                 b = vi_load(w + 16); /* twelve bits of scales, four of d, and the same again */
        h->low = vi_or(vi_and(a, vi_all(0xfff)), vi_and(vi_shr(a, 4), vi_all(0xfff000)));
        h->high = vi_or(vi_and(b, vi_all(0xfff)), vi_and(vi_shr(b, 4), vi_all(0xfff000)));
        vi const d = vi_or(vi_or(vi_and(vi_shr(a, 12), vi_all(15)), vi_and(vi_shr(a, 24), vi_all(0xf0))),
                           vi_or(vi_and(vi_shr(b, 4), vi_all(0xf00)), vi_and(vi_shr(b, 16), vi_all(0xf000))));
        h->d = vf_mul(vf_of_f16_finite(vi_sar(vi_shl(d, 16), 16)), vf_all(0.125f));
        return w + 32;
    }
    h->d = vf_load_f16_finite(w);
    if (f->type != CHORD_IQ3_S) {
        h->d = vf_mul(h->d, vf_all(f->type == CHORD_IQ3_XXS ? 0.5f : 0.125f));
        return w + 8;
    }
    h->low = vi_load(w + 8);
    return w + 24;
}

/* Sets the eighth sign of each eight elements: an even number of eight is negative. The eighth signs are the
 * top four bits. The word holds a scale there, and so does `parity`: both scales together leave no bit. */
CHORD_INLINE vi grid_eighths(vi word, vi top)
{
    vi parity = vi_xor(word, vi_shl(word, 4));
    parity = vi_xor(parity, vi_shl(parity, 8));
    parity = vi_xor(parity, vi_shl(parity, 16));
    return vi_xor(word, vi_and(parity, top));
}

/* Writes the places of 4 rows x 4 entries, which have these bytes and the bits of `even` (entries 0 and 2)
 * and `odd`. `mask`: eight bits, where they are in a place. */
CHORD_INLINE void grid_places(bool fours, uint16_t *at, vi bytes, vi mask, vi even, vi odd)
{
    vi_store(at, vi_or(vi_and(fours ? vi_shl(bytes, 2) : vi_shl(bytes, 3), mask), even));
    vi_store(at + 8, vi_or(vi_and(fours ? vi_shr16(bytes, 6) : vi_shr16(bytes, 5), mask), odd));
}

/* A constant that clang doesn't see: V8 would build it again at each use. */
CHORD_INLINE vi grid_constant(int32_t x)
{
    vi v = vi_all(x);
    CHORD_PIN(v);
    return v;
}

CHORD_INLINE void grid_scan(const chord_format *f, const uint8_t *w, grid_part *p)
{
    int const type = f->type;
    bool const fours = grid_shape(f) == GRID_FOURS, ternary = grid_shape(f) == GRID_TERNARY;
    grid_head head;
    vi const mask = grid_constant(fours ? 0x03fc03fc : 0x07f807f8),
             above = grid_constant(type == CHORD_IQ2_XS  ? 0x08000800
                                   : type == CHORD_IQ2_S ? 0x18001800
                                   : type == CHORD_IQ3_S ? 0x04000400
                                   : type == CHORD_IQ1_M ? 0x78007800
                                                         : 0x38003800),
             base = grid_constant((int32_t)(0x00010001u * grid_at(f))), one = grid_constant(1),
             few = grid_constant(ternary ? 7 : 15), top = grid_constant((int32_t)0xf0000000),
             eighths_at = grid_constant(0x40004000); /* IQ1: from one copy of the grid to the other */
    w = grid_head_of(f, w, &head);
    CHORD_ROLL(int part = 0; part < GRID_PARTS; part++, p++) {
        CHORD_PIN(w);
        CHORD_PIN(p);
        const uint8_t *const more = w + (fours ? 32 : 16); /* behind the bytes of the indexes */
        vi const zero = vi_all(0), word = ternary ? zero : vi_load(more);
        vi scale, even = base, odd = base, even_1 = base, odd_1 = base, signs = word, h = zero;
        /* bits above the bytes: those of entries 2 and 3 are moved to the upper half */
        if (type == CHORD_IQ2_XS) {
            h = vi_shr(word, 28);
            vi t = vi_or(h, vi_shl(h, 14));
            CHORD_PIN(t); /* else clang multiplies h, by constants that V8 builds each time */
            even = vi_or(vi_and(vi_shl(t, 11), above), base);
            odd = vi_or(vi_and(vi_shl(t, 10), above), base);
        } else if (type == CHORD_IQ2_S) {
            h = vi_load_4u8(more + 16);
            vi const t = vi_or(h, vi_shl(h, 12));
            even = vi_or(vi_and(vi_shl(t, 11), above), base);
            odd = vi_or(vi_and(vi_shl(t, 9), above), base);
        } else if (type == CHORD_IQ3_S) {
            h = vi_load_4u8(more + 16);
            vi const t = vi_or(h, vi_shl(h, 14));
            even = vi_or(vi_and(vi_shl(t, 10), above), base);
            odd = vi_or(vi_and(vi_shl(t, 9), above), base);
            even_1 = vi_or(vi_and(vi_shl(t, 6), above), base);
            odd_1 = vi_or(vi_and(vi_shl(t, 5), above), base);
        } else if (type == CHORD_IQ1_S) {
            h = vi_load_u16(more);
            vi const t = vi_or(h, vi_shl(h, 10)),
                     less = vi_and(vi_or(vi_shr(h, 1), vi_shl(h, 15)), eighths_at);
            even = vi_or(vi_and(vi_shl(t, 11), above), less);
            odd = vi_or(vi_and(vi_shl(t, 8), above), less);
        } else if (type == CHORD_IQ1_M) {
            h = vi_load_u16(more);
            vi const t = vi_or(h, vi_shl(h, 8));
            even = vi_or(vi_and(vi_shl(t, 11), above), base);
            odd = vi_or(vi_and(vi_shl(t, 7), above), base);
        }
        grid_places(fours, p->at, vi_load(w), mask, even, odd);
        if (fours) grid_places(fours, p->at + 16, vi_load(w + 16), mask, even_1, odd_1);

        /* scales */
        if (type == CHORD_IQ2_XS) scale = vi_load_4u8(more + 16);
        else if (type == CHORD_IQ2_S) scale = vi_load_4u8(more + 20);
        else if (type == CHORD_IQ1_S) scale = vi_and(vi_shr(h, 12), few);
        else if (type == CHORD_IQ3_S) {
            scale = vi_and(head.low, few);
            head.low = vi_shr(head.low, 4);
        } else if (type == CHORD_IQ1_M) { /* two of three bits */
            scale = head.low;
            head.low = part == 3 ? head.high : vi_shr(head.low, 6);
        } else {
            scale = vi_shr(word, 28);
            CHORD_PIN(scale);
        }
        if (has_halves(f)) {
            vi const first = vi_and(scale, few),
                     second = type == CHORD_IQ1_M ? vi_and(vi_shr(scale, 3), few) : vi_shr(scale, 4);
            p->scale[0] = vi_or(vi_add(first, first), one);
            p->scale[1] = vi_or(vi_add(second, second), one);
            p->d = head.d;
        } else p->d = vf_mul(head.d, vf_of(vi_or(vi_add(scale, scale), one)));

        /* signs */
        if (!ternary) {
            if (type != CHORD_IQ2_S && type != CHORD_IQ3_S) signs = grid_eighths(word, top);
            vi const low = vi_shl(signs, 4);
            p->signs[0] = fours ? low : vi_zip32_low(low, signs);
            p->signs[1] = fours ? signs : vi_zip32_high(low, signs);
        }
        w += (f->block_bytes - f->head[0].bytes - f->head[1].bytes) / 2; /* an eighth of four rows */
    }
}

/* ---- entries -------------------------------------------------------------------------------------- */

/* Entry l of rows 0 and 1, or of rows 2 and 3. */
CHORD_INLINE vi grid_eight(int shape, const uint16_t *at, int l, int rows)
{
    int const first = l % 2 * 8 + rows * 4 + l / 2;
    return vi_load_8_8(grid_table(shape), at, first, first + 2);
}
/* Entry l of four rows. */
CHORD_INLINE vi grid_four(const uint16_t *at, int l)
{
    int const first = l / 4 * 16 + l % 2 * 8 + l % 4 / 2;
    return vi_load_4_4_4_4(grid_table(GRID_FOURS), at, first, first + 2, first + 4, first + 6);
}
/* Without the pin clang shifts, by 1, 2 and 3: fewer units of a processor shift than add. */
CHORD_INLINE vi grid_doubled(vi signs)
{
    vi v = vi_add(signs, signs);
    CHORD_PIN(v);
    return v;
}
/* v, or -v where a byte of `signs` is negative. */
CHORD_INLINE vi grid_signed(vi v, vi signs, vi zero)
{
    vi is_less = vi_less8(signs, zero);
    CHORD_PIN(is_less); /* else clang takes v, or -v, by a bitselect of three instructions */
    return vi_sub8(vi_xor(v, is_less), is_less);
}

/* ---- panels --------------------------------------------------------------------------------------- */

/* Unpacks a part: 4 rows x 4 k in each vector, k ascending. centre: of TERNARY. */
CHORD_INLINE void grid_codes(int shape, const grid_part *p, vi centre, vi codes[8])
{
    vi const zero = vi_all(0);
    vi signs[2] = { p->signs[0], p->signs[1] };
    if (shape == GRID_FOURS) {
        CHORD_UNROLL(int l = 7; l >= 0; l--) {
            codes[l] = grid_signed(grid_four(p->at, l), signs[l % 2], zero);
            signs[l % 2] = grid_doubled(signs[l % 2]);
        }
        return;
    }
    CHORD_UNROLL(int l = 3; l >= 0; l--) {
        vi v[2];
        CHORD_UNROLL(int i = 0; i < 2; i++) {
            v[i] = grid_eight(shape, p->at, l, i);
            if (shape == GRID_TERNARY) {
                v[i] = vi_sub8(v[i], centre);
                continue;
            }
            v[i] = grid_signed(v[i], signs[i], zero);
            signs[i] = grid_doubled(signs[i]);
        }
        vf const a = vi_as_f(v[0]), b = vi_as_f(v[1]);
        codes[2 * l] = vf_bits(vf_shuffle(a, b, 0, 2, 0, 2));
        codes[2 * l + 1] = vf_bits(vf_shuffle(a, b, 1, 3, 1, 3));
    }
}

/* ---- tiles ---------------------------------------------------------------------------------------- */

/* Returns the sums of four rows, from sums of rows 0 and 1 and sums of rows 2 and 3. */
CHORD_INLINE vi grid_rows(dot_way way, dot_sum s01, dot_sum s23)
{
    if (way.how == DOT16) {
        vf const a = vi_as_f(s01.a), b = vi_as_f(s01.b), c = vi_as_f(s23.a), d = vi_as_f(s23.b);
        s01.a = vi_add(vf_bits(vf_shuffle(a, b, 0, 1, 0, 1)), vf_bits(vf_shuffle(a, b, 2, 3, 2, 3)));
        s23.a = vi_add(vf_bits(vf_shuffle(c, d, 0, 1, 0, 1)), vf_bits(vf_shuffle(c, d, 2, 3, 2, 3)));
    } else if (way.how == DOT8_16) {
        s01.a = vi_dot16(s01.a, way.ones);
        s23.a = vi_dot16(s23.a, way.ones);
    }
    vf const a = vi_as_f(s01.a), b = vi_as_f(s23.a);
    return vi_add(vf_bits(vf_shuffle(a, b, 0, 2, 0, 2)), vf_bits(vf_shuffle(a, b, 1, 3, 1, 3)));
}

/* Multiplies a half of a part. */
CHORD_INLINE vi grid_half(dot_way way, int shape, const grid_part *p, int half, vi signs[2], vi zero,
                          const uint8_t *x)
{
    dot_sum s[2] = { own_zero(), own_zero() };
    vi x16 = vi_all(0);
    if (shape == GRID_TERNARY) {
        x16 = vi_load(x + 16 * half);
        CHORD_PIN(x16);
    }
    vf const f = vi_as_f(x16);
    CHORD_UNROLL(int l = 2 * half + 1; l >= 2 * half; l--) {
        vi const v = shape == GRID_EIGHTS ? vi_all64_at(x + 8 * l)
                     : l % 2              ? vf_bits(vf_shuffle(f, f, 2, 3, 2, 3))
                                          : vf_bits(vf_shuffle(f, f, 0, 1, 0, 1));
        CHORD_UNROLL(int i = 0; i < 2; i++) {
            s[i] = own_add(way.how, s[i], shape == GRID_TERNARY ? v : grid_signed(v, signs[i], zero),
                           grid_eight(shape, p->at, l, i));
            CHORD_PIN(s[i].a);
            if (way.how == DOT16) CHORD_PIN(s[i].b);
            if (shape == GRID_EIGHTS) signs[i] = grid_doubled(signs[i]);
        }
    }
    return grid_rows(way, s[0], s[1]);
}

/* Returns the exact integers of a part. sums: of TERNARY, what the activations of each half
 * add for the centre. */
CHORD_INLINE vi grid_dot(dot_way way, int shape, const grid_kind *k, const grid_part *p, vi zero,
                         const uint8_t *x, const uint8_t *sums)
{
    vi signs[2] = { p->signs[0], p->signs[1] };
    if (shape == GRID_FOURS) {
        dot_sum s[2] = { own_zero(), own_zero() };
        vi x16[2] = { vi_load(x), vi_load(x + 16) };
        CHORD_PIN(x16[0]);
        CHORD_PIN(x16[1]);
        CHORD_UNROLL(int l = 7; l >= 0; l--) {
            vf const f = vi_as_f(x16[l / 4]);
            vi const v = vf_bits(l % 4 == 0   ? vf_shuffle(f, f, 0, 0, 0, 0)
                                 : l % 4 == 1 ? vf_shuffle(f, f, 1, 1, 1, 1)
                                 : l % 4 == 2 ? vf_shuffle(f, f, 2, 2, 2, 2)
                                              : vf_shuffle(f, f, 3, 3, 3, 3));
            s[l % 2] = own_add(way.how, s[l % 2], grid_signed(v, signs[l % 2], zero), grid_four(p->at, l));
            CHORD_PIN(s[l % 2].a);
            if (way.how == DOT16) CHORD_PIN(s[l % 2].b);
            signs[l % 2] = grid_doubled(signs[l % 2]);
        }
        return vi_add(own_rows(way, s[0]), own_rows(way, s[1]));
    }
    vi half[2];
    CHORD_UNROLL(int h = 1; h >= 0; h--) {
        half[h] = grid_half(way, shape, p, h, signs, zero, x);
        if (shape == GRID_TERNARY) half[h] = vi_add(half[h], vi_all_at(sums + 4 * h));
    }
    return k->has_halves ? vi_add(vi_mul(half[0], p->scale[0]), vi_mul(half[1], p->scale[1]))
                         : vi_add(half[0], half[1]);
}

/* Multiplies a block. xd: the scale of its first part's activations. */
CHORD_INLINE vf grid_block(dot_way way, int shape, const grid_kind *k, const grid_part *p, const uint8_t *x,
                           const uint8_t *xd, const uint8_t *sums, vf sum)
{
    vi zero = vi_all(0);
    CHORD_PIN(zero);
    CHORD_ROLL(int part = 0; part < GRID_PARTS; part++, p++, x += 32, xd += 4, sums += 8) {
        CHORD_PIN(p);
        CHORD_PIN(x);
        vi const i = grid_dot(way, shape, k, p, zero, x, sums);
        sum = vf_madd(vf_mul(p->d, vf_all_at(xd)), vf_of(i), sum);
    }
    return sum;
}

/* Writes what each 16 activations add for the centre, from their sum. */
CHORD_INLINE void grid_sums(const uint8_t *sums, int32_t n, int32_t centre, int32_t *to)
{
    CHORD_ROLL(int32_t i = 0; i < n / 16; i++) to[i] = -centre * (int16_t)chord_u16(sums + 2 * i);
}

CHORD_INLINE void grid_tile(int how, const grid_kind *k, const chord_matmul *m, matmul_range r)
{
    dot_way const way = { how, false, vi_all(0x00010001), vi_all(0) };
    uint32_t const n = (uint32_t)m->n_in;
    grid_part parts[GRID_PARTS];
    for (int32_t t = r.t0; t < r.t1; t++) {
        const uint8_t *const x = matmul_x(m, t), *const sums = m->panel;
        if (k->shape == GRID_TERNARY) grid_sums(x + n + n / 4, m->n_in, k->centre, m->panel);
        for (int32_t g = r.g0; g < r.g1; g++) {
            const uint8_t *w = (const uint8_t *)m->w + (size_t)((uint64_t)g * m->group_bytes);
            vf sum = vf_all(0);
            for (uint32_t b = 0; b < n; b += 256, w += k->block_bytes) {
                k->scan(w, parts);
                const uint8_t *const at = x + b, *const d = x + n + b / 8, *const e = sums + b / 4;
                sum = k->shape == GRID_FOURS    ? grid_block(way, GRID_FOURS, k, parts, at, d, e, sum)
                      : k->shape == GRID_EIGHTS ? grid_block(way, GRID_EIGHTS, k, parts, at, d, e, sum)
                                                : grid_block(way, GRID_TERNARY, k, parts, at, d, e, sum);
            }
            matmul_write(m, &sum, &(matmul_place){ .t = t, .g = g, .step = 1, .g1 = r.g1 }, 1, 1, 1);
        }
    }
}

#endif
