/* body_matmul.h: matmul over x4 groups. Included by each isa_*.c with BODY(name) set.
 *
 * A tile is G groups (of four rows) x T tokens; lanes are rows, so nothing is summed across lanes and
 * one vector multiplication scales four rows. Decode (one token) takes several groups, so that a load
 * of activations serves more rows; of four tokens on, quantised weights go through panels (body_panel.h).
 * Each output element goes through the same operations in every tile: one accumulator, k ascending. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/simd.h"
#include "../quant/act.h"

typedef struct tile {
    const uint8_t *w[8], *x[8]; /* of each group, of each token */
    uint32_t n;                 /* columns */
} tile;

/* ---- f32, f16, bf16 ------------------------------------------------------------------------------- */

CHORD_INLINE vf load_weights(int type, const uint8_t *p)
{
    return type == CHORD_F32 ? vf_load(p) : type == CHORD_F16 ? vf_load_f16(p) : vf_load_bf16(p);
}

CHORD_INLINE void tile_float(int type, int G, int T, tile a, vf *sum)
{
    CHORD_UNROLL for (int i = 0; i < G * T; i++) sum[i] = vf_all(0);
    for (uint32_t k = 0; k < a.n; k++) {
        vf w[4];
        CHORD_UNROLL for (int g = 0; g < G; g++) {
            w[g] = load_weights(type, a.w[g]);
            a.w[g] += type == CHORD_F32 ? 16 : 8;
        }
        CHORD_UNROLL for (int t = 0; t < T; t++) {
            vf const x = vf_all_at(a.x[t]);
            a.x[t] += 4;
            CHORD_UNROLL for (int g = 0; g < G; g++) sum[g * T + t] = vf_madd(w[g], x, sum[g * T + t]);
        }
    }
}

/* ---- q4_0, q4_1, q8_0 times q8: an exact integer dot a block, then floats -------------------------- */

/* How a block's integer dot is taken; all three are exact.
 *   DOT8     vi_dot8 into 32 bits: one instruction on ARM and on x86 with VNNI
 *   DOT8_16  vi_dot8_16, where x86 without VNNI makes vi_dot8 out of five instructions: nibbles summed in 16 bits
 *            and widened once a block (eight steps give at most 8 * 2 * 15 * 127 = 30480), bytes widened each step
 *   DOT16    both sides widened to 16 bits, rows 0, 1 in a and rows 2, 3 in b: without 8-bit dots */
enum { DOT8, DOT8_16, DOT16 };

/* The way of a tile; all but `ones` and `flip` known to the compiler. */
typedef struct dot_way {
    int how, type; /* Q8_0: signed bytes, else codes of at most seven bits */
    vi ones;       /* 16-bit: adds pairs in one instruction, where an engine builds the constant of vi_pairs16 anew each time */
    vi flip;       /* DOT8 of Q8_0: 128 in each byte, or 0; see dot_weights */
} dot_way;

CHORD_INLINE dot_way dot_way_of(int how, int type)
{
    dot_way way = { how, type, vi_all(0x00010001), vi_all(0) };
    if (how == DOT8_16) CHORD_PIN(way.ones);
#ifdef CHORD_SIMD_I8
    if (how == DOT8 && type == CHORD_Q8_0) {
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

/* Weights 4 rows x 4 k, prepared once for all tokens of a tile. Q8_0's are signed, and the 8-bit dots want one operand of seven bits.
 * DOT8 is taken only where the engine was seen to read all eight, as signed (ARM) or as unsigned (VNNI): then w + 128 is what it gets,
 * which is w with its top bit flipped, and 128 sum x comes off (dot_begin). DOT8_16 takes magnitudes, and moves the signs to the
 * activations: (x ^ s) - s with s = -1 where w < 0. */
typedef struct dot_weights {
    vi a, b; /* b: rows 2, 3 of DOT16 or the signs of Q8_0 */
} dot_weights;

CHORD_INLINE dot_weights dot_prepare(dot_way way, vi codes)
{
    if (way.how == DOT16) return (dot_weights){ vi_low8_s(codes), vi_high8_s(codes) };
    if (way.type != CHORD_Q8_0) return (dot_weights){ codes, codes };
    if (way.how == DOT8) return (dot_weights){ vi_xor(codes, way.flip), codes };
    return (dot_weights){ vi_abs8(codes), vi_negative8(codes) };
}

/* What a block's dot begins with; `sum`: of its activations. */
CHORD_INLINE dot_sum dot_begin(dot_way way, const uint8_t *sum)
{
    if (way.how != DOT8 || way.type != CHORD_Q8_0) return (dot_sum){ vi_all(0), vi_all(0) };
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
    if (way.how == DOT8_16 && way.type == CHORD_Q8_0) {
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

/* One token's step for G groups: weights w[g][0] times x, into s0[g * stride], then w[g][1] times x_1, into s1. Each vector of
 * activations is loaded once: left to clang each group would load it anew, for CHORD_PIN counts as a write to memory. */
CHORD_INLINE void dot_step(dot_way way, int G, int stride, dot_sum *s0, dot_sum *s1, dot_weights w[][2], const uint8_t *x, const uint8_t *x_1)
{
    vi const v = dot_load(way, x), v_1 = dot_load(way, x_1);
    CHORD_UNROLL for (int g = 0; g < G; g++) {
        s0[g * stride] = dot_add(way, s0[g * stride], w[g][0], v);
        s1[g * stride] = dot_add(way, s1[g * stride], w[g][1], v_1);
        CHORD_PIN(s0[g * stride].a);
        if (s0 != s1) CHORD_PIN(s1[g * stride].a);
        if (way.how == DOT16) CHORD_PIN(s0[g * stride].b);
    }
}

CHORD_INLINE vi dot_rows(dot_way way, dot_sum s)
{
    if (way.how == DOT8 || (way.how == DOT8_16 && way.type == CHORD_Q8_0)) return s.a;
    if (way.how == DOT8_16) return vi_pairs16(s.a);
    vf const a = vi_as_f(s.a), b = vi_as_f(s.b);
    return vi_add(vf_bits(vf_shuffle(a, b, 0, 2, 0, 2)), vf_bits(vf_shuffle(a, b, 1, 3, 1, 3)));
}

/* A quarter of a block: 4 rows x 8 k as two vectors. Nibbles: k 4v .. and 16 + 4v ..; bytes: k 8v .. and 8v + 4 .. */
typedef struct quarter {
    uint32_t codes_step, x_second, x_step; /* bytes to the next quarter's codes; of the second vector's activations; to the next */
} quarter;
static const quarter nibbles = { 16, 16, 4 }, bytes8 = { 32, 4, 8 };

/* Of a block's four steps, those that stand side by side, their loads at constant offsets. Two tokens come in twos only at a
 * prompt's end, and of Q8_0 in FINE products; a loop of one step there keeps the module small. */
CHORD_INLINE int steps_at_once(int T, int type) { return T == 2 && type != CHORD_Q8_0 ? 1 : 4; }

CHORD_INLINE void tile_quant(int type, int how, int G, int T, tile a, vf *sum)
{
    quarter const step = type == CHORD_Q8_0 ? bytes8 : nibbles;
    uint32_t const head = type == CHORD_Q4_1 ? 16 : 8, block = head + 4 * step.codes_step;
    dot_way const way = dot_way_of(how, type);
    int const at_once = steps_at_once(T, type);
    uint32_t d_off = a.n - 32; /* from x[t] after a block to that block's scale */
    vi mask = vi_all(0x0f0f0f0f), f16_mask = vi_all(F16_MASK);
    vf f16_factor = vf_all(F16_FACTOR);
    CHORD_PIN(mask);
    CHORD_PIN(f16_mask);
    CHORD_PIN(f16_factor);
    CHORD_UNROLL for (int i = 0; i < G * T; i++) sum[i] = vf_all(0);
    for (uint32_t b = 0; b < a.n; b += 32, d_off -= 28) {
        dot_sum s[4];
        CHORD_UNROLL for (int t = 0; t < T; t++) {
            dot_sum const begin = dot_begin(way, a.x[t] + 32 + d_off + a.n / 8);
            CHORD_UNROLL for (int g = 0; g < G; g++) s[g * T + t] = begin;
        }
        CHORD_UNROLL for (int g = 0; g < G; g++) a.w[g] += head;
        CHORD_ROLL for (int left = 4; left > 0; left -= at_once) {
            CHORD_UNROLL for (int g = 0; g < G; g++) CHORD_PIN(a.w[g]);
            CHORD_UNROLL for (int t = 0; t < T; t++) CHORD_PIN(a.x[t]);
            CHORD_UNROLL for (int v = 0; v < 4; v++) {
                if (v == at_once) break;
                dot_weights w[4][2];
                CHORD_UNROLL for (int g = 0; g < G; g++) {
                    const uint8_t *const codes_at = a.w[g] + (uint32_t)v * step.codes_step;
                    vi const codes = vi_load(codes_at);
                    if (type == CHORD_Q8_0) {
                        w[g][0] = dot_prepare(way, codes);
                        w[g][1] = dot_prepare(way, vi_load(codes_at + 16));
                    } else {
                        w[g][0] = dot_prepare(way, vi_and(codes, mask));
                        w[g][1] = dot_prepare(way, vi_and(vi_shr16(codes, 4), mask));
                    }
                }
                CHORD_UNROLL for (int t = 0; t < T; t++) {
                    const uint8_t *const x = a.x[t] + (uint32_t)v * step.x_step;
                    dot_step(way, G, T, s + t, s + t, w, x, x + step.x_second);
                }
            }
            CHORD_UNROLL for (int g = 0; g < G; g++) a.w[g] += (uint32_t)at_once * step.codes_step;
            CHORD_UNROLL for (int t = 0; t < T; t++) a.x[t] += (uint32_t)at_once * step.x_step;
        }
        CHORD_UNROLL for (int t = 0; t < T; t++) a.x[t] += 32 - 4 * step.x_step;
        CHORD_UNROLL for (int g = 0; g < G; g++) {
            const uint8_t *scales = a.w[g] - block;
            vf const dw = vf_load_f16_by(scales, f16_mask, f16_factor);
            CHORD_UNROLL for (int t = 0; t < T; t++) {
                const uint8_t *d = a.x[t] + d_off;
                vf const dx = vf_all_at(d);
                vi const i = dot_rows(way, s[g * T + t]);
                vf *const to = &sum[g * T + t];
                if (type == CHORD_Q8_0) *to = vf_madd(vf_mul(dw, dx), vf_of(i), *to);
                else {
                    vi const x_sum = vi_all_at(d + a.n / 8); /* for the offset of q, or for m */
                    if (type == CHORD_Q4_0) *to = vf_madd(vf_mul(dw, dx), vf_of(vi_sub(i, vi_shl(x_sum, 3))), *to);
                    else *to = vf_madd(dx, vf_madd(dw, vf_of(i), vf_mul(vf_load_f16_by(scales + 8, f16_mask, f16_factor), vf_of(x_sum))), *to);
                }
            }
        }
    }
}

/* Q8_0 times two terms, but for DOT8: on the way the terms become one of 16 bits, 254 q + rest, so that both take as many
 * instructions as one alone (two terms as two tokens: 1.4 times). A block's sum is at most 32 * 127 * 32385. a.x: of both. */
CHORD_INLINE void tile_fine(int G, tile a, vf *sum)
{
    vi scale = vi_all(0x00fe00fe);
    CHORD_PIN(scale);
    uint32_t d_off = a.n - 32; /* as in tile_quant, of the rest */
    CHORD_UNROLL for (int g = 0; g < G; g++) sum[g] = vf_all(0);
    for (uint32_t b = 0; b < a.n; b += 32, d_off -= 28) {
        dot_sum s[4];
        CHORD_UNROLL for (int g = 0; g < G; g++) s[g] = (dot_sum){ vi_all(0), vi_all(0) }, a.w[g] += 8;
        CHORD_ROLL for (int v = 0; v < 8; v++) {
            CHORD_PIN(a.x[0]);
            CHORD_PIN(a.x[1]);
            vi const x = vi_add16(vi_mul16(vi_low8_s(vi_all_at(a.x[0])), scale), vi_low8_s(vi_all_at(a.x[1])));
            a.x[0] += 4, a.x[1] += 4;
            CHORD_UNROLL for (int g = 0; g < G; g++) {
                CHORD_PIN(a.w[g]);
                vi const w = vi_load(a.w[g]);
                s[g].a = vi_add(s[g].a, vi_dot16(vi_low8_s(w), x));
                s[g].b = vi_add(s[g].b, vi_dot16(vi_high8_s(w), x));
                CHORD_PIN(s[g].a);
                CHORD_PIN(s[g].b);
                a.w[g] += 16;
            }
        }
        vf const dx = vf_all_at(a.x[1] + d_off);
        CHORD_UNROLL for (int g = 0; g < G; g++) {
            vf const dw = vf_load_f16_finite(a.w[g] - 136);
            sum[g] = vf_madd(vf_mul(dw, dx), vf_of(dot_rows(dot_way_of(DOT16, CHORD_Q8_0), s[g])), sum[g]);
        }
    }
}

#include "body_parts.h"

enum { MATMUL_L1 = 16 << 10 }; /* bytes of weights: half of the smallest L1 cache there is */

/* ---- rows x tokens -> tiles ----------------------------------------------------------------------- */

/* The last group's rows, where they are fewer than four. */
CHORD_INLINE void matmul_rest(vf sum, float *y, const float *bias, bool add, int32_t rows)
{
    float last[4];
    vf_store(last, sum);
    for (int32_t r = 0; r < rows; r++) {
        if (bias) last[r] += bias[r];
        y[r] = add ? last[r] + y[r] : last[r];
    }
}

/* A tile's sums -> y; see matmul_tile. Called, for inlined into every tile it were an eighth of the module. */
static __attribute__((noinline)) void matmul_write(const chord_matmul *m, const vf *sums, int32_t T, int32_t n_tokens, int32_t t, int32_t g, int32_t step, int32_t g1)
{
    bool const two = m->two_terms, add = m->add;
    uint64_t const stride = m->y_stride;
    float *const y0 = m->y + (uint64_t)(two ? t / 2 : t) * stride;
    for (; g < g1; g += step, sums += T) {
        const vf *sum = sums;
        int32_t const rows = m->n_out - 4 * g;
        const float *const bias = m->bias ? m->bias + 4 * g : NULL;
        float *y = y0 + 4 * g;
        if (rows >= 4 && !two) {
            vf const b = bias ? vf_load(bias) : vf_all(0);
            CHORD_ROLL for (int32_t j = 0; j < n_tokens; j++, y += stride) {
                vf v = sum[j];
                if (bias) v = vf_add(v, b);
                vf_store(y, add ? vf_add(v, vf_load(y)) : v);
            }
            continue;
        }
        for (int32_t j = 0; j < n_tokens; j++) {
            bool const is_second = two && j % 2, adds = add || is_second;
            vf v = *sum++;
            if (rows < 4) matmul_rest(v, y, is_second ? NULL : bias, adds, rows);
            else {
                if (bias && !is_second) v = vf_add(v, vf_load(bias));
                if (adds) v = vf_add(v, vf_load(y));
                vf_store(y, v);
            }
            if (!two || is_second) y += stride;
        }
    }
}

enum { PANEL_LEAST = 4 }; /* tokens that are worth a panel */
enum { FINE = -2 }; /* a way of matmul_tile, beside -1 for floats and those of dot_kind() */

#include "body_panel.h"

/* Groups g, g + step .. of tokens t .. t + T - 1; those from g1 on don't exist: the last is computed again in their
 * place and dropped, for a body of its own would double the module. */
CHORD_INLINE void matmul_tile(int type, int how, int G, int T, const chord_matmul *m, int32_t g, int32_t step, int32_t g1, int32_t t)
{
    tile a = { .n = (uint32_t)m->n_in };
    CHORD_UNROLL for (int i = 0; i < G; i++) {
        int32_t const group = g + i * step < g1 ? g + i * step : g1 - 1;
        a.w[i] = (const uint8_t *)m->w + (size_t)((uint64_t)group * m->group_bytes);
    }
    CHORD_UNROLL for (int i = 0; i < T; i++) a.x[i] = (const uint8_t *)m->x + (size_t)((uint64_t)(t + i) * m->x_stride);
    vf sum[8];
    if (how == FINE) tile_fine(G, a, sum);
    else if (how < 0) tile_float(type, G, T, a, sum);
    else if (type == CHORD_Q4_0 || type == CHORD_Q4_1 || type == CHORD_Q8_0) tile_quant(type, how, G, T, a, sum);
    else tile_parts(type, how, G, T, a, sum);
    int32_t const end = g + G * step;
    matmul_write(m, sum, how == FINE ? 1 : T, how == FINE ? 1 : T, t, g, step, end < g1 ? end : g1);
}

/* Tokens t0 .. t1 - 1, T at a time; returns where fewer than T are left.
 *
 * A tile's groups lie far apart, each beginning its own G-th of the rows: two streams within one page of memory
 * defeat the processor's prefetching (Zen 4, decode of 66 MB of Q4_1: neighbouring groups 6 GMAC/s, far ones 27,
 * which is what cached weights give). Several tiles of tokens take turns over weights that fit the L1 cache. */
CHORD_INLINE int32_t matmul_tokens(int type, int how, int G, int T, const chord_matmul *m, int32_t g0, int32_t g1, int32_t t0, int32_t t1)
{
    int32_t const step = (g1 - g0 + G - 1) / G, end = g0 + step;
    uint64_t const fit = MATMUL_L1 / (m->group_bytes * (uint64_t)G + 1); /* no columns: no bytes */
    int32_t const chunk = t1 - t0 < 2 * T ? step : fit < 1 ? 1 : fit < (uint64_t)step ? (int32_t)fit : step;
    for (int32_t first = g0; first < end; first += chunk) {
        int32_t const last = end - first < chunk ? end : first + chunk;
        for (int32_t t = t0; t1 - t >= T; t += T)
            for (int32_t g = first; g < last; g++) matmul_tile(type, how, G, T, m, g, step, g1, t);
    }
    return t0 + (t1 - t0) / T * T;
}

CHORD_INLINE void matmul_tiles(int type, int how, const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1, panel_unpack_fn *unpack)
{
    int32_t const g0 = r0 / 4, g1 = r1 / 4 + (r1 % 4 != 0);
    if (type == CHORD_Q8_0 && how > DOT8 && m->two_terms) {
        matmul_tokens(type, FINE, 4, 2, m, g0, g1, t0, t1);
        return;
    }
    if (how >= 0 && t1 - t0 >= PANEL_LEAST) {
        int32_t const over = panel_of(how, type).kind == PANEL_WORDS ? 0 : (t1 - t0) % 4, rest = over > 2 ? 0 : over; /* three are as fast as four */
        panel_matmul(type, how, m, g0, g1, t0, t1 - rest, unpack);
        t0 = t1 - rest;
    }
    int32_t t = how < 0 ? matmul_tokens(type, how, 2, 4, m, g0, g1, t0, t1) : t0;
    t = matmul_tokens(type, how, how < 0 ? 4 : how == DOT16 ? 1 : 2, 2, m, g0, g1, t, t1);
    matmul_tokens(type, how, how < 0 ? 4 : 2, 1, m, g0, g1, t, t1);
}

#define MATMUL_FLOAT(name, type)                                                                    \
    void BODY(name)(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1)          \
    {                                                                                               \
        matmul_tiles(type, -1, m, r0, r1, t0, t1, NULL);                                            \
    }
MATMUL_FLOAT(chord_matmul_f32_f32, CHORD_F32)
MATMUL_FLOAT(chord_matmul_f16_f32, CHORD_F16)
MATMUL_FLOAT(chord_matmul_bf16_f32, CHORD_BF16)

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

#ifdef CHORD_SIMD_I8
#define MATMUL_ALL(name, type)                                                                      \
    if (dot_kind() == DOT8) matmul_tiles(type, DOT8, m, r0, r1, t0, t1, name##_unpack);             \
    else matmul_tiles(type, DOT8_16, m, r0, r1, t0, t1, name##_unpack)
#define UNPACK_ALL(type)                                                                            \
    if (!is_signed(type) || dot_kind() == DOT8) panel_unpack_as(DOT8, type, w, to, n);              \
    else panel_unpack_as(DOT8_16, type, w, to, n)
#else
#define MATMUL_ALL(name, type) matmul_tiles(type, DOT16, m, r0, r1, t0, t1, name##_unpack)
#define UNPACK_ALL(type) panel_unpack_as(DOT16, type, w, to, n)
#endif
#define MATMUL_QUANT(name, type)                                                                    \
    static void name##_unpack(const uint8_t *w, uint8_t *to, uint32_t n) { UNPACK_ALL(type); }      \
    void BODY(name)(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1) { MATMUL_ALL(name, type); }
MATMUL_QUANT(chord_matmul_q4_0_q8, CHORD_Q4_0)
MATMUL_QUANT(chord_matmul_q4_1_q8, CHORD_Q4_1)
MATMUL_QUANT(chord_matmul_q8_0_q8, CHORD_Q8_0)
MATMUL_QUANT(chord_matmul_q5_0_q8, CHORD_Q5_0)
MATMUL_QUANT(chord_matmul_q5_1_q8, CHORD_Q5_1)
MATMUL_QUANT(chord_matmul_q2_k_q8, CHORD_Q2_K)
MATMUL_QUANT(chord_matmul_q3_k_q8, CHORD_Q3_K)
MATMUL_QUANT(chord_matmul_q4_k_q8, CHORD_Q4_K)
MATMUL_QUANT(chord_matmul_q5_k_q8, CHORD_Q5_K)
MATMUL_QUANT(chord_matmul_q6_k_q8, CHORD_Q6_K)
MATMUL_QUANT(chord_matmul_iq4_nl_q8, CHORD_IQ4_NL)
MATMUL_QUANT(chord_matmul_iq4_xs_q8, CHORD_IQ4_XS)
