/* body_matmul.h: matmul over x4 groups. Included by each isa_*.c with BODY(name) set.
 *
 * A tile is G groups (of four rows) x T tokens; lanes are rows, so nothing is summed across lanes and
 * one vector multiplication scales four rows. Decode (one token) takes several groups, so that a load
 * of activations serves more rows; prefill takes one group x 8 tokens, so that a load (and unpacking)
 * of weights serves more tokens; 4, 2 and 1 take the rest. Each output element goes through the same
 * operations in every tile: one accumulator, k ascending. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/simd.h"
#include "../quant/act.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef struct tile {
    const uint8_t *w, *x;      /* the first group, the first token's row */
    uint64_t group_bytes, x_stride;
    uint32_t n;                /* columns */
} tile;

/* ---- f32, f16, bf16 ------------------------------------------------------------------------------- */

CHORD_INLINE vf load_weights(int type, const uint8_t *p)
{
    return type == CHORD_F32 ? vf_load(p) : type == CHORD_F16 ? vf_load_f16(p) : vf_load_bf16(p);
}

CHORD_INLINE void tile_float(int type, int G, int T, tile a, vf *sum)
{
    UNROLL for (int i = 0; i < G * T; i++) sum[i] = vf_all(0);
    for (uint32_t k = 0; k < a.n; k++, a.w += type == CHORD_F32 ? 16 : 8, a.x += 4) {
        vf w[4];
        UNROLL for (int g = 0; g < G; g++) w[g] = load_weights(type, a.w + (uint64_t)g * a.group_bytes);
        UNROLL for (int t = 0; t < T; t++) {
            vf const x = vf_all_at(a.x + (uint64_t)t * a.x_stride);
            UNROLL for (int g = 0; g < G; g++) sum[g * T + t] = vf_madd(w[g], x, sum[g * T + t]);
        }
    }
}

/* ---- q4_0, q4_1, q8_0 times q8: an exact integer dot a block, then floats -------------------------- */

/* How a block's integer dot is taken; all three are exact.
 *   DOT8     vi_dot8 into 32 bits
 *   DOT8_16  vi_dot8_16: x86 without VNNI emulates vi_dot8 through it, so take it bare and widen once a
 *            block: eight steps of nibbles sum to at most 8 * 2 * 15 * 127 = 30480
 *   DOT16    for isas without 8-bit dots: both sides widened to 16 bits, rows 0, 1 in a and rows 2, 3 in b */
enum { DOT8, DOT8_16, DOT16 };

typedef struct dot_sum {
    vi a, b;
} dot_sum;

/* Weights 4 rows x 4 k, prepared once for all tokens of a tile. Codes of Q8_0 go into the seven-bit operand as
 * magnitudes and their signs move to the activations: (x ^ s) - s with s = -1 where w < 0. A wide tile leaves the
 * "- s" out and takes sum |w| s off the block's dot instead, once for all its tokens. */
typedef struct dot_weights {
    vi a, b; /* b: DOT16's rows 2, 3 or the signs of Q8_0 */
} dot_weights;

enum { WIDE = 4 }; /* tokens from which that pays */

CHORD_INLINE dot_weights dot_prepare(int type, vi codes)
{
#ifndef CHORD_SIMD_I8
    (void)type;
    return (dot_weights){ vi_low8_s(codes), vi_high8_s(codes) };
#else
    if (type != CHORD_Q8_0) return (dot_weights){ codes, codes };
    return (dot_weights){ vi_abs8(codes), vi_negative8(codes) };
#endif
}

CHORD_INLINE dot_sum dot_step(int how, int type, int T, dot_sum s, dot_weights w, const uint8_t *x)
{
    vi v = vi_all_at(x);
#ifndef CHORD_SIMD_I8
    (void)how, (void)type, (void)T;
    v = vi_low8_s(v);
    s.a = vi_add(s.a, vi_dot16(w.a, v));
    s.b = vi_add(s.b, vi_dot16(w.b, v));
#else
    if (type == CHORD_Q8_0) v = vi_xor(v, w.b);
    if (type == CHORD_Q8_0 && T < WIDE) v = vi_sub8(v, w.b);
    if (how == DOT8) s.a = vi_dot8(v, w.a, s.a);
    else if (type == CHORD_Q8_0) s.a = vi_add(s.a, vi_pairs16(vi_dot8_16(v, w.a)));
    else s.a = vi_add16(s.a, vi_dot8_16(v, w.a));
#endif
    return s;
}

/* s + sum |w| s of four more k; its 16-bit sums stay within 8 * 2 * 127. */
CHORD_INLINE vi dot_signs(int how, vi s, dot_weights w)
{
#ifndef CHORD_SIMD_I8
    (void)how, (void)w;
    return s;
#else
    return how == DOT8 ? vi_dot8(w.b, w.a, s) : vi_add16(s, vi_dot8_16(w.b, w.a));
#endif
}

CHORD_INLINE vi dot_rows(int how, int type, dot_sum s)
{
    if (how == DOT16) {
        vf const a = vi_as_f(s.a), b = vi_as_f(s.b);
        return vi_add(vf_bits(vf_shuffle(a, b, 0, 2, 0, 2)), vf_bits(vf_shuffle(a, b, 1, 3, 1, 3)));
    }
    return how == DOT8_16 && type != CHORD_Q8_0 ? vi_pairs16(s.a) : s.a;
}

/* The v-th four k of a block's codes, 0..7. */
CHORD_INLINE vi block_codes(int type, const uint8_t *codes, uint32_t v)
{
    if (type == CHORD_Q8_0) return vi_load(codes + 16 * v);
    if (v < 4) return vi_and(vi_load(codes + 16 * v), vi_all(0x0f0f0f0f));
    return vi_and(vi_shr16(vi_load(codes + 16 * (v - 4)), 4), vi_all(0x0f0f0f0f));
}

CHORD_INLINE void tile_quant(int type, int how, int G, int T, tile a, vf *sum)
{
    uint32_t const head = type == CHORD_Q4_1 ? 16 : 8, block = head + (type == CHORD_Q8_0 ? 128 : 64);
    bool const has_signs = type == CHORD_Q8_0 && how != DOT16 && T >= WIDE;
    UNROLL for (int i = 0; i < G * T; i++) sum[i] = vf_all(0);
    const uint8_t *d = a.x + a.n, *total = d + a.n / 8; /* of the first token */
    for (uint32_t b = 0; b < a.n / 32; b++, a.w += block, a.x += 32, d += 4, total += 4) {
        dot_sum s[8];
        vi signs[4];
        UNROLL for (int i = 0; i < G * T; i++) s[i] = (dot_sum){ vi_all(0), vi_all(0) };
        UNROLL for (int g = 0; g < G; g++) signs[g] = vi_all(0);
        UNROLL for (uint32_t v = 0; v < 8; v++) {
            dot_weights w[4];
            UNROLL for (int g = 0; g < G; g++) {
                w[g] = dot_prepare(type, block_codes(type, a.w + (uint64_t)g * a.group_bytes + head, v));
                if (has_signs) signs[g] = dot_signs(how, signs[g], w[g]);
            }
            UNROLL for (int t = 0; t < T; t++)
                UNROLL for (int g = 0; g < G; g++)
                    s[g * T + t] = dot_step(how, type, T, s[g * T + t], w[g], a.x + (uint64_t)t * a.x_stride + 4 * v);
        }
        UNROLL for (int g = 0; g < G; g++) {
            const uint8_t *scales = a.w + (uint64_t)g * a.group_bytes;
            vf const dw = vf_load_f16_finite(scales);
            vi const offset = how == DOT8_16 ? vi_pairs16(signs[g]) : signs[g];
            UNROLL for (int t = 0; t < T; t++) {
                vf const dx = vf_all_at(d + (uint64_t)t * a.x_stride);
                vi i = dot_rows(how, type, s[g * T + t]);
                if (has_signs) i = vi_sub(i, offset);
                vf *const to = &sum[g * T + t];
                if (type == CHORD_Q8_0) *to = vf_madd(vf_mul(dw, dx), vf_of(i), *to);
                else {
                    vi const x_sum = vi_all_at(total + (uint64_t)t * a.x_stride); /* for the offset of q, or for m */
                    if (type == CHORD_Q4_0) *to = vf_madd(vf_mul(dw, dx), vf_of(vi_sub(i, vi_shl(x_sum, 3))), *to);
                    else *to = vf_madd(dx, vf_madd(dw, vf_of(i), vf_mul(vf_load_f16_finite(scales + 8), vf_of(x_sum))), *to);
                }
            }
        }
    }
}

/* ---- rows x tokens -> tiles ----------------------------------------------------------------------- */

/* Sums of one group and token -> y[0..rows), rows 1..4. */
CHORD_INLINE void matmul_finish(const chord_matmul *m, vf sum, int32_t t, int32_t row)
{
    float *y = m->y + (uint64_t)t * m->y_stride + row;
    if (row + 4 <= m->n_out) {
        if (m->bias) sum = vf_add(sum, vf_load(m->bias + row));
        if (m->add) sum = vf_add(sum, vf_load(y));
        vf_store(y, sum);
        return;
    }
    float last[4];
    vf_store(last, sum);
    for (int32_t r = 0; row + r < m->n_out; r++) {
        if (m->bias) last[r] += m->bias[row + r];
        y[r] = m->add ? last[r] + y[r] : last[r];
    }
}

/* Groups g .. g + G - 1 of tokens t .. t + T - 1. */
CHORD_INLINE void matmul_tile(int type, int how, int G, int T, const chord_matmul *m, int32_t g, int32_t t)
{
    tile const a = { (const uint8_t *)m->w + (uint64_t)g * m->group_bytes, (const uint8_t *)m->x + (uint64_t)t * m->x_stride,
                     m->group_bytes, m->x_stride, (uint32_t)m->n_in };
    vf sum[8];
    if (how < 0) tile_float(type, G, T, a, sum);
    else tile_quant(type, how, G, T, a, sum);
    UNROLL for (int i = 0; i < G; i++)
        UNROLL for (int j = 0; j < T; j++) matmul_finish(m, sum[i * T + j], t + j, 4 * (g + i));
}

/* Groups [g0, g1), G at a time and then singly. */
CHORD_INLINE void matmul_groups(int type, int how, int G, int T, const chord_matmul *m, int32_t g0, int32_t g1, int32_t t)
{
    int32_t g = g0;
    for (; g + G <= g1; g += G) matmul_tile(type, how, G, T, m, g, t);
    for (; G > 1 && g < g1; g++) matmul_tile(type, how, 1, T, m, g, t);
}

/* Tiles as measured (docs/SPEED.md): floats have one long chain an element, so eight chains; the widened dots of
 * DOT16 take two accumulators an element. */
CHORD_INLINE void matmul_tiles(int type, int how, const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1)
{
    int32_t const g0 = r0 / 4, g1 = r1 / 4 + (r1 % 4 != 0);
    int32_t t = t0;
    if (how == DOT8 || how == DOT8_16)
        for (; t + 8 <= t1; t += 8) matmul_groups(type, how, 1, 8, m, g0, g1, t);
    for (; t + 4 <= t1; t += 4) matmul_groups(type, how, how < 0 ? 2 : 1, 4, m, g0, g1, t);
    for (; t + 2 <= t1; t += 2) matmul_groups(type, how, how < 0 ? 4 : 1, 2, m, g0, g1, t);
    for (; t < t1; t++) matmul_groups(type, how, how < 0 ? 4 : how == DOT16 ? 1 : 2, 1, m, g0, g1, t);
}

#define MATMUL_FLOAT(name, type)                                                                    \
    void BODY(name)(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1)          \
    {                                                                                               \
        matmul_tiles(type, -1, m, r0, r1, t0, t1);                                                  \
    }
MATMUL_FLOAT(chord_matmul_f32_f32, CHORD_F32)
MATMUL_FLOAT(chord_matmul_f16_f32, CHORD_F16)
MATMUL_FLOAT(chord_matmul_bf16_f32, CHORD_BF16)

#if defined(CHORD_HAS_RELAXED)
/* What does this engine make of 127 * 255, four times, which the operand rule forbids us to rely on? 129540 (VNNI)
 * or, with 255 read as -1, -508 (ARM): one instruction, DOT8. Else pairs saturate at 32767 (x86 without VNNI) and
 * DOT8_16 is faster; the V8 of Node 20 falls here too, whose i32x4 form may add its product twice. Asked anew
 * each call (one dot): no state, no start-up step, and the result is the same either way. */
CHORD_INLINE int dot_kind(void)
{
    int32_t const dot = vi_first(vi_dot8(vi_all(0x7f7f7f7f), vi_all(-1), vi_all(1000)));
    return dot == 130540 || dot == 492 ? DOT8 : DOT8_16;
}
#define MATMUL_QUANT(name, type)                                                                    \
    void BODY(name)(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1)          \
    {                                                                                               \
        if (dot_kind() == DOT8_16) matmul_tiles(type, DOT8_16, m, r0, r1, t0, t1);                  \
        else matmul_tiles(type, DOT8, m, r0, r1, t0, t1);                                           \
    }
#else
#if !defined(CHORD_SIMD_I8)
#define DOT_KIND DOT16
#elif defined(__ARM_FEATURE_DOTPROD)
#define DOT_KIND DOT8
#else
#define DOT_KIND DOT8_16
#endif
#define MATMUL_QUANT(name, type)                                                                    \
    void BODY(name)(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1)          \
    {                                                                                               \
        matmul_tiles(type, DOT_KIND, m, r0, r1, t0, t1);                                            \
    }
#endif
MATMUL_QUANT(chord_matmul_q4_0_q8, CHORD_Q4_0)
MATMUL_QUANT(chord_matmul_q4_1_q8, CHORD_Q4_1)
MATMUL_QUANT(chord_matmul_q8_0_q8, CHORD_Q8_0)
