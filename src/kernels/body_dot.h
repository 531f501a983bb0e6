/* body_dot.h: the integer dot of 32 columns, 4 rows x 4 k per vector, and the declarations that all tiles
 * share. Four headers include one another in this order: body_dot.h, body_parts.h, body_panel.h,
 * body_matmul.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODY_DOT_H
#define CHORD_KERNELS_BODY_DOT_H
#include "../base/simd.h"
#include "../quant/act.h"
#include "kernels.h"

/* The records of the formats as constants: the compiler folds each question that a body asks a record. */
#define FORMAT(id, NAME, file, ...) \
    static const chord_format format_##file = { .type = id, .name = #NAME, __VA_ARGS__ };
#include "../quant/formats.def"

/* G groups (of four rows) x T tokens of a format; `how` is DOT8, DOT8_16 or DOT16, or FINE or FLOATS of
 * body_matmul.h. in_place: high nibbles are multiplied where they are, as 16 times their value. The sum is
 * shifted, and not each vector of codes. That takes a dot that reads eight unsigned bits. */
typedef struct tile_kind {
    const chord_format *f;
    int how, G, T;
    bool in_place;
} tile_kind;

typedef struct tile {
    const uint8_t *w[8], *x[8]; /* w of each group, x of each token */
    uint32_t n;                 /* columns */
} tile;

/* The three ways to compute the integer dot of a block. All are exact.
 *   DOT8     vi_dot8, sums of 32 bits: one instruction on ARM and on x86 with VNNI
 *   DOT8_16  vi_dot8_16, for x86 without VNNI, where vi_dot8 takes five instructions. Nibbles are summed in
 *            16 bits and widened once per block (eight steps sum to at most 8 * 2 * 15 * 127 = 30480),
 *            longer codes more often (n_folds), signed bytes in each step.
 *   DOT16    for isas without 8-bit dots: both operands widened to 16 bits, rows 0, 1 in `a` and rows 2, 3
 *            in `b` */
enum { DOT8, DOT8_16, DOT16 };

/* The way in which a tile computes its dots. All fields except `ones` and `flip` are known at compile
 * time. */
typedef struct dot_way {
    int how;
    bool is_signed; /* codes are signed bytes, else they have at most seven bits */
    /* 1 in each 16-bit lane: vi_dot16 with it adds pairs in one instruction. V8 rebuilds the constant of
     * vi_pairs16 at each use. */
    vi ones;
    vi flip;       /* DOT8 of signed bytes: 128 in each byte, or 0; see dot_weights */
} dot_way;

CHORD_INLINE dot_way dot_way_of(int how, bool is_signed)
{
    dot_way way = { how, is_signed, vi_all(0x00010001), vi_all(0) };
    if (how == DOT8_16) CHORD_PIN(way.ones);
#ifdef CHORD_SIMD_I8
    if (how == DOT8 && is_signed) {
        /* 4 * 255 if the isa reads the second operand as unsigned, 4 * -1 if it reads it as signed */
        vi const dot = vi_dot8(vi_all(0x01010101), vi_all(-1), vi_all(0));
        way.flip = vi_and(vi_less(vi_all(0), dot), vi_all((int32_t)0x80808080));
        CHORD_PIN(way.flip);
    }
#endif
    return way;
}

typedef struct dot_sum {
    vi a, b; /* b: DOT16 only */
} dot_sum;

/* Weights, 4 rows x 4 k, prepared once for all tokens of a tile. An 8-bit dot is defined for a second
 * operand of seven bits, but signed bytes have eight.
 *   DOT8     is used only where the isa reads all eight bits, as signed (ARM) or as unsigned (VNNI). If it
 *            reads them as unsigned, the operand is w + 128, which is w with its top bit flipped, and the
 *            sums start at -128 * sum(x) (dot_begin). dot_flipped flips codes; a table of values is flipped
 *            once.
 *   DOT8_16  multiplies |w| and moves the signs to the activations: (x ^ s) - s, s = -1 where w < 0 */
typedef struct dot_weights {
    vi a, b; /* b: rows 2, 3 of DOT16 or the signs of signed bytes */
} dot_weights;

CHORD_INLINE dot_weights dot_prepare(dot_way way, vi codes)
{
    if (way.how == DOT16) return (dot_weights){ vi_low8_s(codes), vi_high8_s(codes) };
    if (!way.is_signed) return (dot_weights){ codes, codes };
    if (way.how == DOT8) return (dot_weights){ codes, codes };
    return (dot_weights){ vi_abs8(codes), vi_negative8(codes) };
}

CHORD_INLINE vi dot_flipped(dot_way way, vi codes)
{
    return way.how == DOT8 && way.is_signed ? vi_xor(codes, way.flip) : codes;
}

/* Returns the first value of a block's sums: -128 * sum(x) for flipped weights, else 0. `sum` points to the
 * sum of the block's activations. */
CHORD_INLINE dot_sum dot_begin(dot_way way, const uint8_t *sum)
{
    if (way.how != DOT8 || !way.is_signed) return (dot_sum){ vi_all(0), vi_all(0) };
    vi const s = vi_and(vi_shl(vi_all_at(sum), 7), vi_sar(way.flip, 31));
    return (dot_sum){ vi_sub(vi_all(0), s), vi_all(0) };
}

#ifdef CHORD_SIMD_I8
CHORD_INLINE vi dot_pairs(dot_way way, vi a, vi b)
{
    vi pairs = vi_dot8_16(a, b);
    CHORD_PIN(pairs); /* without the pin clang 22 merges this and the additions into a vi_dot8 */
    return vi_dot16(pairs, way.ones);
}

CHORD_INLINE vi dot_load(dot_way way, const uint8_t *x)
{
    vi const v = vi_all_at(x);
    return way.how == DOT16 ? vi_low8_s(v) : v;
}

CHORD_INLINE dot_sum dot_add(dot_way way, dot_sum s, dot_weights w, vi v)
{
    if (way.how == DOT8_16 && way.is_signed) {
        v = vi_sub8(vi_xor(v, w.b), w.b);
        return (dot_sum){ vi_add(s.a, dot_pairs(way, v, w.a)), s.b };
    }
    if (way.how == DOT8_16) return (dot_sum){ vi_add16(s.a, vi_dot8_16(v, w.a)), s.b };
    if (way.how == DOT8) return (dot_sum){ vi_dot8(v, w.a, s.a), s.b };
    return (dot_sum){ vi_add(s.a, vi_dot16(w.a, v)), vi_add(s.b, vi_dot16(w.b, v)) };
}
#else
CHORD_INLINE vi dot_load(dot_way way, const uint8_t *x)
{
    (void)way;
    return vi_low8_s(vi_all_at(x));
}
CHORD_INLINE dot_sum dot_add(dot_way way, dot_sum s, dot_weights w, vi v)
{
    (void)way;
    return (dot_sum){ vi_add(s.a, vi_dot16(w.a, v)), vi_add(s.b, vi_dot16(w.b, v)) };
}
#endif

/* One token in a step: four activations x, and x_1, of each row, and its sums. Products with x go to
 * sums[g * stride], products with x_1 to sums_1[g * stride]. */
typedef struct dot_token {
    dot_sum *sums, *sums_1;
    vi x, x_1;
} dot_token;

/* Computes one token's step for G groups: weights w[g][0] times x, w[g][1] times x_1. */
CHORD_INLINE void dot_step(dot_way way, int G, int stride, dot_token t, dot_weights w[][2])
{
    CHORD_UNROLL(int g = 0; g < G; g++) {
        t.sums[g * stride] = dot_add(way, t.sums[g * stride], w[g][0], t.x);
        t.sums_1[g * stride] = dot_add(way, t.sums_1[g * stride], w[g][1], t.x_1);
        CHORD_PIN(t.sums[g * stride].a);
        if (t.sums != t.sums_1) CHORD_PIN(t.sums_1[g * stride].a);
        if (way.how == DOT16) CHORD_PIN(t.sums[g * stride].b);
    }
}

CHORD_INLINE vi dot_rows(dot_way way, dot_sum s)
{
    if (way.how == DOT8 || (way.how == DOT8_16 && way.is_signed)) return s.a;
    if (way.how == DOT8_16) return vi_pairs16(s.a);
    vf const a = vi_as_f(s.a), b = vi_as_f(s.b);
    return vi_add(vf_bits(vf_shuffle(a, b, 0, 2, 0, 2)), vf_bits(vf_shuffle(a, b, 1, 3, 1, 3)));
}

/* Returns the number of a block's four steps to unroll. A tile of two tokens serves only the last tokens
 * of a prompt and the two terms of a FINE product. It is unrolled for bytes only, which keeps the module
 * small. */
CHORD_INLINE int steps_at_once(int T, bool are_bytes) { return T == 2 && !are_bytes ? 1 : 4; }

/* Returns the way that this isa uses: DOT8, DOT8_16 or DOT16. */
#if !defined(CHORD_SIMD_I8)
CHORD_INLINE int dot_kind(void) { return DOT16; }
CHORD_INLINE bool dot_is_unsigned(void) { return false; }
#elif defined(CHORD_DOT_KIND)                    /* checkkern: DOT8 on any machine */
CHORD_INLINE int dot_kind(void) { return CHORD_DOT_KIND; }
CHORD_INLINE bool dot_is_unsigned(void) { return false; }
#elif defined(CHORD_HAS_RELAXED)
/* Tests how the JavaScript engine computes 1000 + four times 127 * 255. The specification leaves the
 * result open, because 255 has eight bits. It is 1000 + 129540 (VNNI) or, if 255 is read as -1, 1000 -
 * 508 (ARM). Any other result means DOT8_16: on x86 without VNNI pairs saturate at 32767, and the
 * baseline compiler of Node 20's V8 adds the product twice. The test runs in each call and costs one
 * dot, so the module needs no state and no start-up step. A product is the same with DOT8 and with
 * DOT8_16. */
CHORD_INLINE int32_t dot_probe(void)
{
    return vi_first(vi_dot8(vi_all(0x7f7f7f7f), vi_all(-1), vi_all(1000)));
}
CHORD_INLINE bool dot_is_unsigned(void) { return dot_probe() == 130540; }
CHORD_INLINE int dot_kind(void) { return dot_is_unsigned() || dot_probe() == 492 ? DOT8 : DOT8_16; }
#else
#if defined(__SSE4_1__) && !defined(CHORD_SIMD_PLAIN)
CHORD_INLINE int dot_kind(void) { return DOT8_16; }
#else
CHORD_INLINE int dot_kind(void) { return DOT8; }
#endif
CHORD_INLINE bool dot_is_unsigned(void) { return false; }
#endif

#endif
