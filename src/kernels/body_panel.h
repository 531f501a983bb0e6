/* body_panel.h: matmul of quantised weights over four or more tokens, and over any number of tokens for
 * formats without a tile of their own.
 *
 * Two groups at a time are unpacked into a panel, and all tokens go over the panel, a few at a time. So
 * codes and scales are unpacked once for all tokens, and the tiles know three kinds of panels instead of all
 * formats. For each part (32 columns) a panel holds these vectors. The two groups alternate: a vector of the
 * first, then the same vector of the second.
 *
 *     BYTES    8 of codes, 4 rows x 4 k, k ascending                         | d | m
 *     HALVES   as BYTES, where each half of a part has its own scale         | d | m | by_half | pair
 *     WORDS    16 of 16-bit values: a code minus the centre, times the
 *              scale of its half if halves have scales; per 4 k one
 *              vector of rows 0 and 1 and one of rows 2 and 3                | d | m | by_half
 *
 *     d, m     floats of four rows; m only if the format has offsets
 *     pair     16-bit scales of both halves
 *     by_half  16-bit factors of the half sums of x: with m the offsets of U4 (HALVES and WORDS),
 *              without m the scales times the centre (HALVES)
 *
 * WORDS is for isas without 8-bit dots, and for signed bytes with DOT8_16. The integers of a part are exact
 * and equal those of the tiles without a panel. The float operations on them are the same, in the same
 * order. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODY_PANEL_H
#define CHORD_KERNELS_BODY_PANEL_H
#include "body_grids.h"

enum { PANEL_BYTES, PANEL_HALVES, PANEL_WORDS };
enum { PANEL_GROUPS = 2, PANEL_TOKENS = 4 };

/* The panel of a format. All fields are known at compile time. */
typedef struct panel_kind {
    int kind, how;
    int m; /* 0: no offsets; 1: one offset per part; 2: one per half, in by_half; 3: d of the second half */
    int folds;  /* times that the sums of a part are widened or scaled */
} panel_kind;

typedef struct panel_tile {
    const uint8_t *w, *x[PANEL_TOKENS];
    uint32_t n;      /* columns */
    int32_t centre;  /* BYTES without m: the code that means 0 */
} panel_tile;
typedef void panel_tile_fn(const panel_tile *p, vf *sum);
typedef void panel_unpack_fn(const uint8_t *w, uint8_t *to, uint32_t n);

CHORD_INLINE int panel_tokens(int kind) { return kind == PANEL_WORDS ? 2 : 4; }
CHORD_INLINE uint32_t panel_vectors(panel_kind k) /* per group and part */
{
    return (k.kind == PANEL_WORDS ? 16 : 8) + 1 + (k.m != 0) + (k.kind == PANEL_HALVES ? 2 : k.m == 2);
}

/* ---- unpack a group into a panel ------------------------------------------------------------------ */

/* The way in which codes are written to a panel. */
typedef struct panel_put_way {
    const chord_format *f;
    int kind;
    uint32_t second; /* WORDS: bytes from the vector of rows 0, 1 to the vector of rows 2, 3 */
    vi flip, centre; /* flip: see dot_weights; centre: the code that means 0, in each byte */
} panel_put_way;

/* Writes codes of 4 rows x 4 k. `scale`: the 16-bit scale of their half, twice per row. */
CHORD_INLINE void panel_put(panel_put_way p, uint8_t *to, vi codes, vi scale)
{
    if (p.kind != PANEL_WORDS) {
        vi_store(to, p.f->low == 8 ? vi_xor(codes, p.flip) : codes);
        return;
    }
    if (p.f->centre) codes = vi_sub8(codes, p.centre);
    vi a = vi_low8_s(codes), b = vi_high8_s(codes);
    if (has_halves(p.f)) {
        vf const s = vi_as_f(scale);
        a = vi_mul16(a, vf_bits(vf_shuffle(s, s, 0, 0, 1, 1)));
        b = vi_mul16(b, vf_bits(vf_shuffle(s, s, 2, 2, 3, 3)));
    }
    vi_store(to, a);
    vi_store(to + p.second, b);
}

/* Writes the scales of a part behind its codes. Returns the address after them. */
CHORD_INLINE uint8_t *panel_put_scales(const chord_format *f, panel_kind k, part_scales s, uint8_t *to)
{
    uint32_t const vector = 16 * PANEL_GROUPS;
    vf_store(to, s.d);
    to += vector;
    if (k.m) {
        vf_store(to, s.m);
        to += vector;
    }
    if (k.kind == PANEL_HALVES || k.m == 2) {
        vi_store(to, k.m ? s.offsets : vi_mul16(s.pair, vi_all(0x00010001 * f->centre)));
        to += vector;
    }
    if (k.kind == PANEL_HALVES) {
        vi_store(to, s.pair);
        to += vector;
    }
    return to;
}

/* Unpacks one group into a panel. `to` is the address of the group's first vector. */
CHORD_INLINE void panel_unpack(const chord_format *f, panel_kind k, const uint8_t *w, uint8_t *to, uint32_t n)
{
    uint32_t const vector = 16 * PANEL_GROUPS, code = k.kind == PANEL_WORDS ? 2 * vector : vector,
                   block = (uint32_t)f->block_elems;
    panel_put_way const put = { f, k.kind, vector, dot_way_of(k.how, is_signed(f)).flip,
                                vi_all(0x01010101 * f->centre) };
    part_masks const masks = part_masks_of(f, false, put.flip);
    const uint8_t *words = w;
    part_scales scales;
    const uint8_t *byte_at = part_bytes[0];
    for (uint32_t b = 0; b < n; b += 32) {
        part_planes planes;
        if (n_parts(f) == 1 || b % block == 0) {
            words = w + (has_offset(f) ? 16 : 8);
            w = part_head(f, w, &scales);
        }
        if (has_words(f) && b % 128 == 0) {
            part_words(f, words, (int32_t)(b / 32 % 8), &scales);
            byte_at = part_bytes[0];
        }
        part_scales const s = part_next(f, w, byte_at, &scales);
        if (f->scales == CHORD_SCALES_K) byte_at += 16;
        vi const even = has_halves(f) ? vi_even16(s.pair) : vi_all(0x00010001),
                 odd = has_halves(f) ? vi_odd16(s.pair) : even;
        w = part_planes_load(f, w, &planes);
        CHORD_PIN(w);
        CHORD_PIN(to);
        CHORD_UNROLL(int v = 0; v < 4; v++) {
            vi codes[2];
            if (f->low == 8) codes[0] = vi_load(w + 16 * v), codes[1] = vi_load(w + 16 * v + 64);
            else part_codes(f, false, w, v, masks, &planes, codes);
            panel_put(put, to + (uint32_t)v * code, codes[0], even);
            panel_put(put, to + (uint32_t)(v + 4) * code, codes[1], odd);
        }
        w += f->low == 8 ? 128 : part_codes_bytes(f);
        to = panel_put_scales(f, k, s, to + 8 * code);
    }
}

/* Writes the codes and scales of a part of a format of quant/own.h: signed codes less than the centre in
 * magnitude, 16-bit scales of both halves (1 where a part has none), and d. Returns the address behind. */
CHORD_INLINE uint8_t *panel_put_own(const vi codes[8], vi pair, bool has_halves, vi centre, vf d, uint8_t *to)
{
    uint32_t const vector = 16 * PANEL_GROUPS;
    CHORD_UNROLL(int v = 0; v < 8; v++) vi_store(to + (uint32_t)v * vector, vi_add8(codes[v], centre));
    to += 8 * vector;
    vf_store(to, d);
    to += vector;
    if (!has_halves) return to;
    vi_store(to, vi_mul16(pair, vi_and(centre, vi_all(0x00ff00ff))));
    vi_store(to + vector, pair);
    return to + 2 * vector;
}
/* The same for WORDS. */
CHORD_INLINE uint8_t *panel_put_own_words(const vi codes[8], vi pair, vf d, uint8_t *to)
{
    uint32_t const vector = 16 * PANEL_GROUPS;
    vf const even = vi_as_f(vi_even16(pair)), odd = vi_as_f(vi_odd16(pair));
    CHORD_UNROLL(int v = 0; v < 8; v++) {
        vf const s = v < 4 ? even : odd;
        vi_store(to, vi_mul16(vi_low8_s(codes[v]), vf_bits(vf_shuffle(s, s, 0, 0, 1, 1))));
        vi_store(to + vector, vi_mul16(vi_high8_s(codes[v]), vf_bits(vf_shuffle(s, s, 2, 2, 3, 3))));
        to += 2 * vector;
    }
    vf_store(to, d);
    return to + vector;
}

/* panel_unpack for the formats of body_grids.h, block by block. */
static __attribute__((noinline)) void panel_unpack_grid(const grid_kind *k, bool are_words, const uint8_t *w,
                                                        uint8_t *to, uint32_t n)
{
    vi const centre = vi_all(0x01010101 * k->centre);
    grid_part parts[GRID_PARTS];
    for (uint32_t b = 0; b < n; b += 256, w += k->block_bytes) {
        k->scan(w, parts);
        CHORD_ROLL(int32_t part = 0; part < GRID_PARTS; part++) {
            const grid_part *p = &parts[part];
            CHORD_PIN(p);
            vi codes[8], pair = vi_all(0x00010001);
            if (k->shape == GRID_FOURS) grid_codes(GRID_FOURS, p, centre, codes);
            else if (k->shape == GRID_EIGHTS) grid_codes(GRID_EIGHTS, p, centre, codes);
            else grid_codes(GRID_TERNARY, p, centre, codes);
            if (k->has_halves) pair = vi_or(p->scale[0], vi_shl(p->scale[1], 16));
            to = are_words ? panel_put_own_words(codes, pair, p->d, to)
                           : panel_put_own(codes, pair, k->has_halves, centre, p->d, to);
        }
    }
}

/* panel_unpack for TQ1_0. */
CHORD_INLINE void panel_unpack_ternary(bool are_words, const uint8_t *w, uint8_t *to, uint32_t n)
{
    vi const one = vi_all(0x01010101), pair = vi_all(0x00010001);
    for (uint32_t b = 0; b < n; b += 256, w += 216) {
        vi all[65];
        own_ternary_codes(w + 8, all);
        CHORD_ROLL(int32_t part = 0; part < 8; part++) {
            vi codes[8];
            vf const d = vf_load_f16_finite(w);
            CHORD_UNROLL(int v = 0; v < 8; v++) codes[v] = vi_sub8(all[8 * part + v], one);
            to = are_words ? panel_put_own_words(codes, pair, d, to)
                           : panel_put_own(codes, pair, false, one, d, to);
        }
    }
}

/* panel_unpack for NVFP4. */
CHORD_INLINE void panel_unpack_floats(bool are_words, const uint8_t *w, uint8_t *to, uint32_t n)
{
    own_floats const c = own_floats_of();
    vi const centre = vi_all(0x0c0c0c0c), pair = vi_all(0x00010001), zero = vi_all(0);
    for (uint32_t b = 0; b < n; b += 32) {
        vi codes[8];
        vf d[2];
        w = own_float_part(&c, w, codes, d);
        if (are_words)
            CHORD_UNROLL(int v = 0; v < 8; v++) codes[v] = vi_sub8(codes[v], centre);
        to = are_words ? panel_put_own_words(codes, pair, d[0], to)
                       : panel_put_own(codes, pair, false, zero, d[0], to);
        vf_store(to, d[1]);
        to += 16 * PANEL_GROUPS;
    }
}

/* ---- tiles ---------------------------------------------------------------------------------------- */

/* Returns the factor of a fold: for HALVES the scales of half `half`, otherwise ones. */
CHORD_INLINE vi panel_scale(panel_kind k, dot_way way, const uint8_t *pair, int half)
{
    if (k.kind != PANEL_HALVES) return way.ones;
    vi const v = vi_load(pair);
    if (k.how == DOT8_16) return half ? vi_odd16(v) : vi_even16(v);
    return half ? vi_sar(v, 16) : vi_sar(vi_shl(v, 16), 16);
}
/* Returns the exact 32-bit sums of four rows, for HALVES times the scale of the half. */
CHORD_INLINE vi panel_fold(panel_kind k, dot_way way, dot_sum s, vi scale)
{
    if (k.kind == PANEL_WORDS) return dot_rows(way, s);
    if (k.how == DOT8_16) return vi_dot16(s.a, scale);
    return k.kind == PANEL_BYTES ? s.a : vi_mul(s.a, scale);
}

/* Multiplies a panel by T tokens. The PANEL_GROUPS x T `sums` stay in memory, because the integers of two
 * groups x four tokens occupy the registers. */
CHORD_INLINE void panel_run(panel_kind k, int T, const panel_tile *p, vf *sums)
{
    enum { G = PANEL_GROUPS };
    bool const is_words = k.kind == PANEL_WORDS, has_halves = k.kind == PANEL_HALVES || k.m == 2;
    uint32_t const vector = 16 * G, code = is_words ? 2 * vector : vector, n = p->n;
    int const steps = 8 / k.folds;
    const uint8_t *w = p->w, *x[PANEL_TOKENS];
    dot_way way = { k.how, false, vi_all(0x00010001), vi_all(0) };
    vi const less = vi_all(-p->centre);
    /* m == 3: halves of BYTES have a d each, so each subtracts what its half of x adds for the centre. With
     * DOT8 the sums begin with that. The sums of DOT8_16 have 16 bits, which are too few. */
    bool const has_centres = k.m == 3 && !is_words, begins = has_centres && k.how == DOT8;
    vi const less_half[2] = { vi_and(less, vi_all(0xffff)), vi_shl(less, 16) };
    vi folded[G * PANEL_TOKENS], *total = folded; /* also in memory */
    if (k.how == DOT8_16 && k.kind == PANEL_BYTES) CHORD_PIN(way.ones);
    CHORD_UNROLL(int t = 0; t < T; t++) x[t] = p->x[t];
    CHORD_UNROLL(int i = 0; i < G * T; i++) sums[i] = vf_all(0);
    uint32_t d_off = n;
    for (uint32_t b = 0; b < n; b += 32, d_off -= 28) {
        const uint8_t *const scales = w + 8 * code, *const by_half_at = scales + vector * (k.m ? 2 : 1),
                             *const pairs = by_half_at + vector;
        dot_sum s[G * PANEL_TOKENS];
        vi scale[G];
        CHORD_PIN(w);
        CHORD_PIN(total);
        CHORD_UNROLL(int t = 0; t < T; t++) {
            CHORD_PIN(x[t]);
            bool const now = k.how == DOT8 && k.kind == PANEL_BYTES && !k.m;
            vi const begin = now      ? vi_mul(vi_all_at(x[t] + d_off + n / 8), less)
                             : begins ? vi_dot16(vi_all_at(x[t] + d_off + n / 4), less_half[0])
                                      : vi_all(0);
            CHORD_UNROLL(int g = 0; g < G; g++) s[g * T + t] = (dot_sum){ begin, vi_all(0) };
        }
        CHORD_UNROLL(int v = 0; v < 8; v++) {
            dot_weights c[G];
            CHORD_UNROLL(int g = 0; g < G; g++) {
                c[g].a = vi_load(w + (uint32_t)v * code + 16 * g);
                c[g].b = is_words ? vi_load(w + (uint32_t)v * code + vector + 16 * g) : c[g].a;
            }
            CHORD_UNROLL(int t = 0; t < T; t++) {
                vi const xv = dot_load(way, x[t] + 4 * v);
                CHORD_UNROLL(int g = 0; g < G; g++) {
                    s[g * T + t] = dot_add(way, s[g * T + t], c[g], xv);
                    CHORD_PIN(s[g * T + t].a);
                    if (is_words) CHORD_PIN(s[g * T + t].b);
                }
            }
            if (v == 7 || (v + 1) % steps) continue;
            CHORD_UNROLL(int g = 0; g < G; g++) scale[g] = panel_scale(k, way, pairs + 16 * g, v / 4);
            CHORD_UNROLL(int i = 0; i < G * T; i++) {
                const uint8_t *const halves = x[i % T] + d_off + n / 4;
                vi const centre = has_centres ? vi_dot16(vi_all_at(halves), less_half[begins]) : vi_all(0);
                vi f = panel_fold(k, way, s[i], scale[i / T]);
                if (has_centres && !begins) f = vi_add(f, centre);
                vi_store(&total[i], v + 1 == steps ? f : vi_add(f, vi_load(&total[i])));
                s[i] = (dot_sum){ begins ? centre : vi_all(0), vi_all(0) };
            }
        }
        vf d[G], m[G];
        CHORD_UNROLL(int g = 0; g < G; g++) {
            scale[g] = panel_scale(k, way, pairs + 16 * g, 1);
            d[g] = vf_load(scales + 16 * g);
            m[g] = k.m ? vf_load(scales + vector + 16 * g) : vf_all(0);
        }
        CHORD_UNROLL(int t = 0; t < T; t++) {
            const uint8_t *const xd = x[t] + d_off;
            vf const dx = vf_all_at(xd);
            vi x_sum = k.m == 1 || (k.how == DOT8_16 && !k.m) ? vi_all_at(xd + n / 8) : vi_all(0);
            if (k.m == 1) CHORD_PIN(x_sum); /* else clang converts and splats x_sum per group */
            CHORD_UNROLL(int g = 0; g < G; g++) {
                int const j = g * T + t;
                vi i = panel_fold(k, way, s[j], scale[g]);
                if (k.folds > 1 && k.m != 3) i = vi_add(i, vi_load(&total[j]));
                vi const by_half = has_halves ? vi_dot16(vi_all_at(xd + n / 4), vi_load(by_half_at + 16 * g))
                                              : vi_all(0);
                if (k.m == 3) { /* the first half's sums are in `total` */
                    if (has_centres && !begins) i = vi_add(i, vi_dot16(vi_all_at(xd + n / 4), less_half[1]));
                    sums[j] = vf_madd(vf_mul(d[g], dx), vf_of(vi_load(&total[j])), sums[j]);
                    sums[j] = vf_madd(vf_mul(m[g], dx), vf_of(i), sums[j]);
                } else if (k.m)
                    sums[j] =
                        vf_madd(dx, vf_madd(d[g], vf_of(i), vf_mul(m[g], vf_of(k.m == 2 ? by_half : x_sum))),
                                sums[j]);
                else {
                    if (k.kind == PANEL_HALVES) i = vi_sub(i, by_half);
                    else if (k.how == DOT8_16) i = vi_add(i, vi_mul(x_sum, less));
                    sums[j] = vf_madd(vf_mul(d[g], dx), vf_of(i), sums[j]);
                }
            }
        }
        w += vector * panel_vectors(k);
        CHORD_UNROLL(int t = 0; t < T; t++) x[t] += 32;
    }
}

/* ---- groups x tokens -> panels x tiles ------------------------------------------------------------ */

typedef struct panel_way {
    panel_unpack_fn *unpack;
    panel_tile_fn *tile, *one; /* for `tokens` tokens; for one token, or NULL */
    int32_t tokens, centre;
} panel_way;

static __attribute__((noinline)) void panel_walk(const chord_matmul *m, panel_way way, int32_t g0, int32_t g1,
                                                 int32_t t0, int32_t t1)
{
    panel_tile p = { .w = m->panel, .n = (uint32_t)m->n_in, .centre = way.centre };
    for (int32_t g = g0; g < g1; g += PANEL_GROUPS) {
        for (int32_t i = 0; i < PANEL_GROUPS; i++) {
            /* a group or token that doesn't exist: the last one is computed again, its sums are dropped */
            int32_t const group = g + i < g1 ? g + i : g1 - 1;
            way.unpack((const uint8_t *)m->w + (size_t)((uint64_t)group * m->group_bytes),
                       (uint8_t *)m->panel + 16 * i, p.n);
        }
        matmul_place place = { .g = g, .step = 1, .g1 = g1 };
        for (int32_t t = t0, n; t < t1; t += n) {
            bool const is_one = way.one && t1 - t <= way.tokens / 2;
            n = is_one ? 1 : way.tokens;
            vf sum[PANEL_GROUPS * PANEL_TOKENS];
            for (int32_t i = 0; i < n; i++) {
                p.x[i] = matmul_x(m, t + i < t1 ? t + i : t1 - 1);
            }
            (is_one ? way.one : way.tile)(&p, sum);
            place.t = t;
            matmul_write(m, sum, &place, PANEL_GROUPS, n, t1 - t < n ? t1 - t : n);
        }
    }
}

#define PANEL_TILE_OF(name, kind, how, m, folds, tokens)                     \
    static __attribute__((noinline)) void name(const panel_tile *p, vf *sum) \
    {                                                                        \
        panel_run((panel_kind){ kind, how, m, folds }, tokens, p, sum);      \
    }
#define PANEL_TILE(name, kind, how, m, folds) PANEL_TILE_OF(name, kind, how, m, folds, panel_tokens(kind))
#define PANEL_ONE(name, kind, how, m, folds) PANEL_TILE_OF(name, kind, how, m, folds, 1)
PANEL_TILE(panel_words, PANEL_WORDS, DOT16, 0, 1)
PANEL_ONE(panel_words_one, PANEL_WORDS, DOT16, 0, 1)
#ifdef CHORD_SIMD_I8
PANEL_TILE(panel_floats, PANEL_BYTES, DOT8, 3, 2)
PANEL_TILE(panel_floats_16, PANEL_BYTES, DOT8_16, 3, 2)
PANEL_TILE(panel_bytes, PANEL_BYTES, DOT8, 0, 1)
PANEL_TILE(panel_bytes_m, PANEL_BYTES, DOT8, 1, 1)
PANEL_TILE(panel_halves, PANEL_HALVES, DOT8, 0, 2)
PANEL_TILE(panel_halves_m, PANEL_HALVES, DOT8, 2, 2)
PANEL_TILE(panel_bytes_16, PANEL_BYTES, DOT8_16, 0, 2)
PANEL_TILE(panel_bytes_16_m, PANEL_BYTES, DOT8_16, 1, 1)
PANEL_TILE(panel_bytes_16_m2, PANEL_BYTES, DOT8_16, 1, 2)
PANEL_TILE(panel_halves_16, PANEL_HALVES, DOT8_16, 0, 4)
PANEL_TILE(panel_halves_16_m, PANEL_HALVES, DOT8_16, 2, 2)
PANEL_ONE(panel_bytes_one, PANEL_BYTES, DOT8, 0, 1)
PANEL_ONE(panel_halves_one, PANEL_HALVES, DOT8, 0, 2)
PANEL_ONE(panel_bytes_16_one, PANEL_BYTES, DOT8_16, 0, 2)
#else
PANEL_TILE(panel_floats, PANEL_WORDS, DOT16, 3, 2)
PANEL_TILE(panel_words_m, PANEL_WORDS, DOT16, 1, 1)
PANEL_TILE(panel_words_m2, PANEL_WORDS, DOT16, 2, 1)
#endif

/* Whether a panel holds words. With DOT8_16 also for codes that are too large to be summed twice in 16 bits,
 * and for the formats of body_own.h whose halves have scales: there is no tile for them. */
CHORD_INLINE bool by_words(int how, const chord_format *f)
{
    return how == DOT16 ||
           (how == DOT8_16 && (is_signed(f) || n_folds(how, f) > 2 || (is_own(f) && has_halves(f))));
}

CHORD_INLINE panel_kind panel_of(int how, const chord_format *f) /* the tile sets `folds` */
{
    int const kind = by_words(how, f) ? PANEL_WORDS : has_halves(f) ? PANEL_HALVES : PANEL_BYTES;
    if (has_floats(f)) return (panel_kind){ kind, how, 3, 1 };
    return (panel_kind){ kind, how, !has_offset(f) ? 0 : f->scales == CHORD_SCALES_U4 ? 2 : 1, 1 };
}

CHORD_INLINE panel_tile_fn *panel_tile_of(panel_kind k, const chord_format *f)
{
#ifdef CHORD_SIMD_I8
    if (k.m == 3) return k.how == DOT8 ? panel_floats : panel_floats_16;
    if (k.kind == PANEL_WORDS) return panel_words;
    if (k.how == DOT8 && k.kind == PANEL_HALVES) return k.m ? panel_halves_m : panel_halves;
    if (k.how == DOT8) return k.m ? panel_bytes_m : panel_bytes;
    if (k.kind == PANEL_HALVES) return k.m ? panel_halves_16_m : panel_halves_16;
    return !k.m ? panel_bytes_16 : n_folds(DOT8_16, f) > 1 ? panel_bytes_16_m2 : panel_bytes_16_m;
#else
    (void)f;
    if (k.m == 3) return panel_floats;
    return k.m == 0 ? panel_words : k.m == 1 ? panel_words_m : panel_words_m2;
#endif
}

/* Returns the tile of one token for a format without tiles of its own, or NULL. */
CHORD_INLINE panel_tile_fn *panel_one_of(panel_kind k, const chord_format *f)
{
    if (f->tile != CHORD_TILE_PANEL || k.m == 3) return NULL;
    if (k.kind == PANEL_WORDS) return panel_words_one;
#ifdef CHORD_SIMD_I8
    if (k.kind == PANEL_HALVES) return panel_halves_one;
    return k.how == DOT8 ? panel_bytes_one : panel_bytes_16_one;
#else
    return NULL;
#endif
}

CHORD_INLINE void panel_matmul(int how, const chord_format *f, const chord_matmul *m, matmul_range r,
                               panel_unpack_fn *unpack)
{
    panel_kind const k = panel_of(how, f);
    int32_t const centre = is_signed(f) ? vi_first(dot_way_of(how, true).flip) & 128 : f->centre;
    panel_way const way = { unpack, panel_tile_of(k, f), panel_one_of(k, f), panel_tokens(k.kind), centre };
    panel_walk(m, way, r.g0, r.g1, r.t0, r.t1);
}

#endif
