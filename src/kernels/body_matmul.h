/* body_matmul.h: matmul over x4 groups. Each isa_*.c includes it with BODY(name) set.
 *
 * A tile is G groups (of four rows) x T tokens. Lanes are rows, so nothing is summed across lanes, and one
 * vector multiplication scales four rows. A tile of one token has several groups, so that one load of
 * activations serves more rows. From four tokens on, quantised weights go through panels (body_panel.h).
 * Each output element is the same sequence of operations in every tile: one accumulator, k ascending. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "body_panel.h"

/* ---- f32, f16, bf16 ------------------------------------------------------------------------------- */

CHORD_INLINE vf load_weights(const chord_format *f, const uint8_t *p)
{
    return f->tile == CHORD_TILE_F32   ? vf_load(p)
           : f->tile == CHORD_TILE_F16 ? vf_load_f16(p)
                                       : vf_load_bf16(p);
}

CHORD_INLINE void tile_float(tile_kind k, tile a, vf *sum)
{
    int const G = k.G, T = k.T;
    CHORD_UNROLL(int i = 0; i < G * T; i++) sum[i] = vf_all(0);
    for (uint32_t i = 0; i < a.n; i++) {
        vf w[4];
        CHORD_UNROLL(int g = 0; g < G; g++) {
            w[g] = load_weights(k.f, a.w[g]);
            a.w[g] += 4 * k.f->block_bytes;
        }
        CHORD_UNROLL(int t = 0; t < T; t++) {
            vf const x = vf_all_at(a.x[t]);
            a.x[t] += 4;
            CHORD_UNROLL(int g = 0; g < G; g++) sum[g * T + t] = vf_madd(w[g], x, sum[g * T + t]);
        }
    }
}

/* ---- blocks of 32 nibbles or bytes times q8: one exact integer dot per block, then floats --------- */

/* Quarter v of a block: 4 rows x 8 k as two vectors. For nibbles k starts at 4v and at 16 + 4v, for bytes at
 * 8v and at 8v + 4. */
typedef struct quarter {
    /* bytes to the next quarter's codes; from the first vector's activations to the second's; to the next
     * quarter's activations */
    uint32_t codes_step, x_second, x_step;
} quarter;
static const quarter nibbles = { 16, 16, 4 }, bytes8 = { 32, 4, 8 };

CHORD_INLINE void tile_quant(tile_kind k, tile a, vf *sum)
{
    const chord_format *const f = k.f;
    int const G = k.G, T = k.T;
    bool const are_bytes = f->low == 8;
    quarter const step = are_bytes ? bytes8 : nibbles;
    uint32_t const head = has_offset(f) ? 16 : 8, block = head + 4 * step.codes_step;
    dot_way const way = dot_way_of(k.how, are_bytes);
    int const at_once = steps_at_once(T, are_bytes);
    uint32_t d_off = a.n - 32; /* bytes from x[t] after a block to the block's scale */
    vi mask = vi_all(0x0f0f0f0f), f16_mask = vi_all(F16_MASK);
    vf f16_factor = vf_all(F16_FACTOR);
    CHORD_PIN(mask);
    CHORD_PIN(f16_mask);
    CHORD_PIN(f16_factor);
    CHORD_UNROLL(int i = 0; i < G * T; i++) sum[i] = vf_all(0);
    for (uint32_t b = 0; b < a.n; b += 32, d_off -= 28) {
        dot_sum s[4];
        CHORD_UNROLL(int t = 0; t < T; t++) {
            dot_sum const begin = dot_begin(way, a.x[t] + 32 + d_off + a.n / 8);
            CHORD_UNROLL(int g = 0; g < G; g++) s[g * T + t] = begin;
        }
        CHORD_UNROLL(int g = 0; g < G; g++) a.w[g] += head;
        CHORD_ROLL(int left = 4; left > 0; left -= at_once) {
            CHORD_UNROLL(int g = 0; g < G; g++) CHORD_PIN(a.w[g]);
            CHORD_UNROLL(int t = 0; t < T; t++) CHORD_PIN(a.x[t]);
            CHORD_UNROLL(int v = 0; v < 4; v++) {
                if (v == at_once) break;
                dot_weights w[4][2];
                CHORD_UNROLL(int g = 0; g < G; g++) {
                    const uint8_t *const codes_at = a.w[g] + (uint32_t)v * step.codes_step;
                    vi const codes = vi_load(codes_at);
                    if (are_bytes) {
                        w[g][0] = dot_prepare(way, dot_flipped(way, codes));
                        w[g][1] = dot_prepare(way, dot_flipped(way, vi_load(codes_at + 16)));
                    } else {
                        w[g][0] = dot_prepare(way, vi_and(codes, mask));
                        w[g][1] = dot_prepare(way, vi_and(vi_shr16(codes, 4), mask));
                    }
                }
                CHORD_UNROLL(int t = 0; t < T; t++) {
                    const uint8_t *const x = a.x[t] + (uint32_t)v * step.x_step;
                    vi const first = dot_load(way, x), second = dot_load(way, x + step.x_second);
                    dot_step(way, G, T, (dot_token){ s + t, s + t, first, second }, w);
                }
            }
            CHORD_UNROLL(int g = 0; g < G; g++) a.w[g] += (uint32_t)at_once * step.codes_step;
            CHORD_UNROLL(int t = 0; t < T; t++) a.x[t] += (uint32_t)at_once * step.x_step;
        }
        CHORD_UNROLL(int t = 0; t < T; t++) a.x[t] += 32 - 4 * step.x_step;
        CHORD_UNROLL(int g = 0; g < G; g++) {
            const uint8_t *scales = a.w[g] - block;
            vf const dw = vf_load_f16_by(scales, f16_mask, f16_factor);
            CHORD_UNROLL(int t = 0; t < T; t++) {
                const uint8_t *d = a.x[t] + d_off;
                vf const dx = vf_all_at(d);
                vi const i = dot_rows(way, s[g * T + t]);
                vf *const to = &sum[g * T + t];
                if (are_bytes) *to = vf_madd(vf_mul(dw, dx), vf_of(i), *to);
                else {
                    vi const x_sum = vi_all_at(d + a.n / 8); /* the factor of the centre or of m */
                    if (!has_offset(f))
                        *to = vf_madd(vf_mul(dw, dx), vf_of(vi_sub(i, vi_mul(x_sum, vi_all(f->centre)))),
                                      *to);
                    else
                        *to = vf_madd(dx,
                                      vf_madd(dw, vf_of(i),
                                              vf_mul(vf_load_f16_by(scales + 8, f16_mask, f16_factor),
                                                     vf_of(x_sum))),
                                      *to);
                }
            }
        }
    }
}

/* Signed bytes times two terms, for DOT8_16 and DOT16. The tile joins the terms' codes to one of 16 bits,
 * 254 q + rest (chord_act_quantize_rest). Both terms then take as many instructions as one; as two tokens
 * they would take 1.4 times as many. A block's sum is at most 32 * 127 * 32385. a.x[0] is the first term,
 * a.x[1] the second. */
CHORD_INLINE void tile_fine(int G, tile a, vf *sum)
{
    vi scale = vi_all(0x00fe00fe);
    CHORD_PIN(scale);
    uint32_t d_off = a.n - 32; /* as in tile_quant, for the second term's scale */
    CHORD_UNROLL(int g = 0; g < G; g++) sum[g] = vf_all(0);
    for (uint32_t b = 0; b < a.n; b += 32, d_off -= 28) {
        dot_sum s[4];
        CHORD_UNROLL(int g = 0; g < G; g++) s[g] = (dot_sum){ vi_all(0), vi_all(0) }, a.w[g] += 8;
        CHORD_ROLL(int v = 0; v < 8; v++) {
            CHORD_PIN(a.x[0]);
            CHORD_PIN(a.x[1]);
            vi const x = vi_add16(vi_mul16(vi_low8_s(vi_all_at(a.x[0])), scale),
                                  vi_low8_s(vi_all_at(a.x[1])));
            a.x[0] += 4, a.x[1] += 4;
            CHORD_UNROLL(int g = 0; g < G; g++) {
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
        CHORD_UNROLL(int g = 0; g < G; g++) {
            vf const dw = vf_load_f16_finite(a.w[g] - 136);
            sum[g] = vf_madd(vf_mul(dw, dx), vf_of(dot_rows(dot_way_of(DOT16, true), s[g])), sum[g]);
        }
    }
}

enum { MATMUL_L1 = 16 << 10 }; /* maximum bytes of weights per chunk: half of an L1 cache of 32 kB */

/* ---- rows x tokens -> tiles ----------------------------------------------------------------------- */

enum { PANEL_LEAST = 4 }; /* minimum tokens for a panel, in formats with tiles of their own */
enum { FINE = -2, FLOATS = -1 }; /* tile_kind.how of tile_fine and of tile_float */

/* Computes groups p->g, p->g + p->step .. of tokens p->t .. p->t + T - 1. In place of a group from p->g1 on,
 * which doesn't exist, the tile computes group p->g1 - 1 again, and matmul_write drops the sums. Tiles with
 * fewer groups would double the module. */
CHORD_INLINE void matmul_tile(tile_kind k, const chord_matmul *m, const matmul_place *p)
{
    int const G = k.G, T = k.T;
    tile a = { .n = (uint32_t)m->n_in };
    CHORD_UNROLL(int i = 0; i < G; i++) {
        int32_t const group = p->g + i * p->step < p->g1 ? p->g + i * p->step : p->g1 - 1;
        a.w[i] = (const uint8_t *)m->w + (size_t)((uint64_t)group * m->group_bytes);
    }
    CHORD_UNROLL(int i = 0; i < T; i++) a.x[i] = matmul_x(m, p->t + i);
    vf sum[8];
    if (k.how == FINE) tile_fine(G, a, sum);
    else if (k.how < 0) tile_float(k, a, sum);
    else if (k.f->tile == CHORD_TILE_BLOCK) tile_quant(k, a, sum);
    else tile_parts(k, a, sum);
    matmul_write(m, sum, p, G, k.how == FINE ? 1 : T, k.how == FINE ? 1 : T);
}

/* Computes tokens r.t0 .. r.t1 - 1, T at a time. Returns the first token that is left.
 *
 * The groups of a tile are far apart: each starts at its own G-th of the rows, because two streams of
 * weights within one memory page defeat the processor's prefetching. Measured (Zen 4, one token, 66 MB of
 * Q4_1): 6 GMAC/s with neighbouring groups, 27 with groups that are far apart, as much as with cached
 * weights. If there are several tiles of tokens, all of them go over a chunk of weights that fits the L1
 * cache before the next chunk. */
CHORD_INLINE int32_t matmul_tokens(tile_kind k, const chord_matmul *m, matmul_range r)
{
    int const G = k.G, T = k.T;
    int32_t const step = (r.g1 - r.g0 + G - 1) / G, end = r.g0 + step;
    uint64_t const fit = MATMUL_L1 / (m->group_bytes * (uint64_t)G + 1); /* group_bytes may be 0 */
    int32_t const chunk = r.t1 - r.t0 < 2 * T    ? step
                          : fit < 1              ? 1
                          : fit < (uint64_t)step ? (int32_t)fit
                                                 : step;
    matmul_place p = { .step = step, .g1 = r.g1 };
    for (int32_t first = r.g0; first < end; first += chunk) {
        int32_t const last = end - first < chunk ? end : first + chunk;
        for (p.t = r.t0; r.t1 - p.t >= T; p.t += T)
            for (p.g = first; p.g < last; p.g++) matmul_tile(k, m, &p);
    }
    return r.t0 + (r.t1 - r.t0) / T * T;
}

/* Whether a format has a tile of two tokens, for the two terms of a FINE product. Signed bytes have
 * tile_fine, except with DOT8. In other formats two tokens go one by one, over weights in the L1 cache.
 * Tiles of two tokens in all formats would add 8 kB to the gzipped module. */
CHORD_INLINE bool has_tile_of_two(int how, const chord_format *f)
{
    return f->is_output && (f->low != 8 || how == DOT8);
}

/* Groups of a tile of two tokens, and of one. x86 has 16 registers. Codes whose high bits are apart take so
 * many that a tile of two groups spills: two tokens of Q6_K took 1.4 times as long, and one token with
 * DOT16 1.4 to 1.7 times (Node 20: Q3_K 7.0 and 11.2 GMAC/s, Q5_K 11.0 and 15.6, Q6_K 7.6 and 12.7). */
CHORD_INLINE int groups_of_two(int how, const chord_format *f) { return f->low == 8 && how != DOT16 ? 2 : 1; }
CHORD_INLINE int groups_of_one(int how, const chord_format *f)
{
    return how < 0 ? 4 : how == DOT16 && f->high ? 1 : 2;
}

CHORD_INLINE void own_tile(int how, const chord_format *f, const chord_matmul *m, matmul_range r)
{
    dot_way const way = dot_way_of(how, !has_floats(f));
    uint32_t const n = (uint32_t)m->n_in;
    const uint8_t *const x = matmul_x(m, r.t0);
    for (int32_t g = r.g0; g < r.g1; g++) {
        const uint8_t *w = (const uint8_t *)m->w + (size_t)((uint64_t)g * m->group_bytes);
        vf sum = vf_all(0);
        if (has_floats(f)) sum = own_floats_tile(way, w, x, n);
        else
            for (uint32_t b = 0; b < n; b += 256, w += 216)
                sum = own_ternary_tile(way, w, x + b, x + n + b / 8, n, sum);
        matmul_write(m, &sum, &(matmul_place){ .t = r.t0, .g = g, .step = 1, .g1 = r.g1 }, 1, 1, 1);
    }
}

/* The formats of body_grids.h share one copy of everything but the scan of a block. */
#define GRID_TILE(name, how)                                                                              \
    static __attribute__((noinline)) void name(const grid_kind *k, const chord_matmul *m, matmul_range r) \
    {                                                                                                     \
        grid_tile(how, k, m, r);                                                                          \
    }
#ifdef CHORD_SIMD_I8
GRID_TILE(grid_tile_dot8, DOT8)
GRID_TILE(grid_tile_dot8_16, DOT8_16)
#else
GRID_TILE(grid_tile_dot16, DOT16)
#endif

static __attribute__((noinline)) void grid_matmul(const grid_kind *k, const chord_matmul *m, matmul_range r,
                                                  panel_unpack_fn *unpack)
{
    bool const is_one = r.t1 - r.t0 == 1;
    panel_way way = { unpack, panel_words, panel_words_one, panel_tokens(PANEL_WORDS), k->centre };
#ifdef CHORD_SIMD_I8
    if (is_one && dot_kind() == DOT8) grid_tile_dot8(k, m, r);
    else if (is_one) grid_tile_dot8_16(k, m, r);
    if (dot_kind() == DOT8) {
        way.tile = k->has_halves ? panel_halves : panel_bytes;
        way.one = k->has_halves ? panel_halves_one : panel_bytes_one;
        way.tokens = panel_tokens(PANEL_BYTES);
    } else if (!k->are_words)
        way = (panel_way){ unpack, panel_bytes_16, panel_bytes_16_one, panel_tokens(PANEL_BYTES), k->centre };
#else
    if (is_one) grid_tile_dot16(k, m, r);
#endif
    if (!is_one) panel_walk(m, way, r.g0, r.g1, r.t0, r.t1);
}

CHORD_INLINE void matmul_tiles(int how, const chord_format *f, const chord_matmul *m, matmul_range r,
                               panel_unpack_fn *unpack)
{
    int32_t const n_tokens = r.t1 - r.t0, t1 = r.t1;
    if (f->low == 8 && how > DOT8 && m->two_terms) {
        matmul_tokens((tile_kind){ f, FINE, 4, 2, false }, m, r);
        return;
    }
    if (is_own(f) && n_tokens == 1) {
        own_tile(how, f, m, r);
        return;
    }
    if (f->tile == CHORD_TILE_PANEL) {
        panel_matmul(how, f, m, r, unpack);
        return;
    }
    if (how >= 0 && n_tokens >= PANEL_LEAST) {
        /* a panel's tile has four tokens (WORDS: two) and takes as long for three */
        int32_t const over = panel_of(how, f).kind == PANEL_WORDS ? 0 : n_tokens % 4,
                      rest = over > 2 ? 0 : over;
        r.t1 = t1 - rest;
        panel_matmul(how, f, m, r, unpack);
        r.t0 = t1 - rest;
        r.t1 = t1;
    }
    if (how < 0) r.t0 = matmul_tokens((tile_kind){ f, how, 2, 4, false }, m, r);
    if (has_tile_of_two(how, f))
        r.t0 = matmul_tokens((tile_kind){ f, how, groups_of_two(how, f), 2, false }, m, r);
    if (how == DOT8 && has_plain_nibbles(f) && dot_is_unsigned())
        r.t0 = matmul_tokens((tile_kind){ f, how, groups_of_one(how, f), 1, true }, m, r);
    matmul_tokens((tile_kind){ f, how, groups_of_one(how, f), 1, false }, m, r);
}

/* ---- one body per format -------------------------------------------------------------------------- */

#ifdef CHORD_SIMD_I8
#define MATMUL_ALL(f, unpack)                                    \
    if (dot_kind() == DOT8) matmul_tiles(DOT8, f, m, r, unpack); \
    else matmul_tiles(DOT8_16, f, m, r, unpack)
#define UNPACK_ALL(f)                                                                              \
    if (!by_words(DOT8_16, f) || dot_kind() == DOT8) panel_unpack(f, panel_of(DOT8, f), w, to, n); \
    else panel_unpack(f, panel_of(DOT8_16, f), w, to, n)
#else
#define MATMUL_ALL(f, unpack) matmul_tiles(DOT16, f, m, r, unpack)
#define UNPACK_ALL(f) panel_unpack(f, panel_of(DOT16, f), w, to, n)
#endif

#define GRID_KIND(file)                                                              \
    {                                                                                \
        scan_##file,   grid_shape(f),       f->centre, 4 * (uint32_t)f->block_bytes, \
        has_halves(f), by_words(DOT8_16, f)                                          \
    }
#define FORMAT(id, NAME, file, ...)                                                                       \
    static void scan_##file(const uint8_t *w, grid_part *parts) { grid_scan(&format_##file, w, parts); }  \
    static void unpack_##file(const uint8_t *w, uint8_t *to, uint32_t n)                                  \
    {                                                                                                     \
        const chord_format *const f = &format_##file;                                                     \
        if (is_grid(f)) {                                                                                 \
            grid_kind const k = GRID_KIND(file);                                                          \
            panel_unpack_grid(&k, by_words(dot_kind(), f), w, to, n);                                     \
        } else if (has_floats(f)) panel_unpack_floats(by_words(dot_kind(), f), w, to, n);                 \
        else if (is_own(f)) panel_unpack_ternary(by_words(dot_kind(), f), w, to, n);                      \
        else {                                                                                            \
            UNPACK_ALL(f);                                                                                \
        }                                                                                                 \
    }                                                                                                     \
    void BODY(chord_matmul_##file)(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1) \
    {                                                                                                     \
        const chord_format *const f = &format_##file;                                                     \
        matmul_range const r = { r0 / 4, r1 / 4 + (r1 % 4 != 0), t0, t1 };                                \
        if (f->act == CHORD_ACT_F32) matmul_tiles(FLOATS, f, m, r, NULL);                                 \
        else if (is_grid(f)) {                                                                            \
            grid_kind const k = GRID_KIND(file);                                                          \
            grid_matmul(&k, m, r, unpack_##file);                                                         \
        } else {                                                                                          \
            MATMUL_ALL(f, unpack_##file);                                                                 \
        }                                                                                                 \
    }
#include "../quant/formats.def"
