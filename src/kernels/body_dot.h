/* body_dot.h: the integer dot of 32 columns, 4 rows x 4 k to a vector, and what every tile of the products shares. The
 * first of four that include one another in this order only: body_dot.h, body_parts.h, body_panel.h, body_matmul.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODY_DOT_H
#define CHORD_KERNELS_BODY_DOT_H
#include "../base/simd.h"
#include "../quant/act.h"
#include "kernels.h"

/* The records of the formats, known to the compiler: what a body asks of one folds. */
#define FORMAT(id, NAME, file, ...) static const chord_format format_##file = { .type = id, .name = #NAME, __VA_ARGS__ };
#include "../quant/formats.def"

/* G groups (of four rows) times T tokens of a format; `how` is one of DOT8 and so on, or a way of body_matmul.h. */
typedef struct tile_kind {
    const chord_format *f;
    int how, G, T;
} tile_kind;

typedef struct tile {
    const uint8_t *w[8], *x[8]; /* of each group, of each token */
    uint32_t n;                 /* columns */
} tile;

/* How a block's integer dot is taken; all three are exact.
 *   DOT8     vi_dot8 into 32 bits: one instruction on ARM and on x86 with VNNI
 *   DOT8_16  vi_dot8_16, where x86 without VNNI makes vi_dot8 out of five instructions: nibbles summed in 16 bits
 *            and widened once a block (eight steps give at most 8 * 2 * 15 * 127 = 30480), bytes widened each step
 *   DOT16    both sides widened to 16 bits, rows 0, 1 in a and rows 2, 3 in b: without 8-bit dots */
enum { DOT8, DOT8_16, DOT16 };

/* The way of a tile; all but `ones` and `flip` known to the compiler. */
typedef struct dot_way {
    int how;
    bool is_signed; /* codes are signed bytes, else of at most seven bits */
    vi ones;       /* 16-bit: adds pairs in one instruction, where an engine builds the constant of vi_pairs16 anew each time */
    vi flip;       /* DOT8 of signed bytes: 128 in each byte, or 0; see dot_weights */
} dot_way;

CHORD_INLINE dot_way dot_way_of(int how, bool is_signed)
{
    dot_way way = { how, is_signed, vi_all(0x00010001), vi_all(0) };
    if (how == DOT8_16) CHORD_PIN(way.ones);
#ifdef CHORD_SIMD_I8
    if (how == DOT8 && is_signed) {
        vi const dot = vi_dot8(vi_all(0x01010101), vi_all(-1), vi_all(0)); /* 4 * 255 or 4 * -1 */
        way.flip = vi_and(vi_less(vi_all(0), dot), vi_all((int32_t)0x80808080));
        CHORD_PIN(way.flip);
    }
#endif
    return way;
}

typedef struct dot_sum {
    vi a, b; /* b: DOT16 only */
} dot_sum;

/* Weights 4 rows x 4 k, prepared once for all tokens of a tile. Of signed bytes the 8-bit dots want one operand of seven bits.
 * DOT8 is taken only where the engine was seen to read all eight, as signed (ARM) or as unsigned (VNNI): then w + 128 is what it gets,
 * which is w with its top bit flipped, and 128 sum x comes off (dot_begin). DOT8_16 takes magnitudes, and moves the signs to the
 * activations: (x ^ s) - s with s = -1 where w < 0. */
typedef struct dot_weights {
    vi a, b; /* b: rows 2, 3 of DOT16 or the signs of signed bytes */
} dot_weights;

CHORD_INLINE dot_weights dot_prepare(dot_way way, vi codes)
{
    if (way.how == DOT16) return (dot_weights){ vi_low8_s(codes), vi_high8_s(codes) };
    if (!way.is_signed) return (dot_weights){ codes, codes };
    if (way.how == DOT8) return (dot_weights){ vi_xor(codes, way.flip), codes };
    return (dot_weights){ vi_abs8(codes), vi_negative8(codes) };
}

/* What a block's dot begins with; `sum`: of its activations. */
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
    CHORD_PIN(pairs); /* else clang 22 joins it with the additions into the very vi_dot8 that was avoided */
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
CHORD_INLINE vi dot_load(dot_way way, const uint8_t *x) { (void)way; return vi_low8_s(vi_all_at(x)); }
CHORD_INLINE dot_sum dot_add(dot_way way, dot_sum s, dot_weights w, vi v)
{
    (void)way;
    return (dot_sum){ vi_add(s.a, vi_dot16(w.a, v)), vi_add(s.b, vi_dot16(w.b, v)) };
}
#endif

/* One token's sums of a step, and its activations: sums[g * stride] of x, sums_1[g * stride] of x_1. */
typedef struct dot_token {
    dot_sum *sums, *sums_1;
    const uint8_t *x, *x_1;
} dot_token;

/* One token's step for G groups: weights w[g][0] times x, w[g][1] times x_1. Each vector of activations is
 * loaded once: left to clang each group would load it anew, for CHORD_PIN counts as a write to memory. */
CHORD_INLINE void dot_step(dot_way way, int G, int stride, dot_token t, dot_weights w[][2])
{
    vi const v = dot_load(way, t.x), v_1 = dot_load(way, t.x_1);
    CHORD_UNROLL for (int g = 0; g < G; g++) {
        t.sums[g * stride] = dot_add(way, t.sums[g * stride], w[g][0], v);
        t.sums_1[g * stride] = dot_add(way, t.sums_1[g * stride], w[g][1], v_1);
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

/* How many of a block's four steps to unroll. Two tokens come in twos only at a prompt's end, and of bytes in FINE
 * products; a loop of one step there keeps the module small. */
CHORD_INLINE int steps_at_once(int T, bool are_bytes) { return T == 2 && !are_bytes ? 1 : 4; }

/* Which way on this engine. */
#if !defined(CHORD_SIMD_I8)
CHORD_INLINE int dot_kind(void) { return DOT16; }
#elif defined(CHORD_DOT_KIND)                    /* checkkern: DOT8 where the engine would choose otherwise */
CHORD_INLINE int dot_kind(void) { return CHORD_DOT_KIND; }
#elif defined(CHORD_HAS_RELAXED)
/* What does the engine make of 127 * 255, four times, which the operand rule forbids us to rely on? 129540 (VNNI) or,
 * with 255 read as -1, -508 (ARM). Else pairs saturate at 32767 (x86 without VNNI); the V8 of Node 20 falls here too,
 * whose baseline compiler adds the product twice. Asked anew each call (one dot): no state, no start-up step, and
 * the result is the same either way. */
CHORD_INLINE int dot_kind(void)
{
    int32_t const dot = vi_first(vi_dot8(vi_all(0x7f7f7f7f), vi_all(-1), vi_all(1000)));
    return dot == 130540 || dot == 492 ? DOT8 : DOT8_16;
}
#elif defined(__SSE4_1__) && !defined(CHORD_SIMD_PLAIN)
CHORD_INLINE int dot_kind(void) { return DOT8_16; }
#else
CHORD_INLINE int dot_kind(void) { return DOT8; }
#endif

#endif
