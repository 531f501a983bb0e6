/* body_parts.h: matmul over the types whose blocks are parts of 32 (quant/x4.h): five bits, K and IQ4. Included by
 * body_matmul.h, whose tiles, ways of a dot and rules these follow.
 *
 * A part's integer dot is exact and, where 16 elements have a scale of their own, holds it: i = scale_0 i_0 + scale_1 i_1.
 * Then one float step a part, as in the formats of 32 elements: (d d_x) i, or d_x (d i + m s). A scale of six bits
 * times an f16 is exact in f32, so d may take it in (Q4_K, Q5_K, IQ4_XS) before or after. */
/* SPDX-License-Identifier: Apache-2.0 */

CHORD_INLINE bool has_bits(int t) { return t == CHORD_Q5_0 || t == CHORD_Q5_1 || t == CHORD_Q5_K || t == CHORD_Q3_K; }
CHORD_INLINE bool has_pairs(int t) { return t == CHORD_Q2_K || t == CHORD_Q3_K || t == CHORD_Q6_K; } /* and a scale each half */
CHORD_INLINE bool has_nibbles(int t) { return t != CHORD_Q2_K && t != CHORD_Q3_K; }
CHORD_INLINE bool has_table(int t) { return t == CHORD_IQ4_NL || t == CHORD_IQ4_XS; }
CHORD_INLINE bool has_offset(int t) { return t == CHORD_Q4_1 || t == CHORD_Q5_1 || t == CHORD_Q2_K || t == CHORD_Q4_K || t == CHORD_Q5_K; }
CHORD_INLINE bool has_field(int t) { return t == CHORD_Q2_K || t == CHORD_Q6_K; } /* of scales in each part */
CHORD_INLINE bool is_k(int t) { return has_pairs(t) || t == CHORD_Q4_K || t == CHORD_Q5_K || t == CHORD_IQ4_XS; }

/* How often a part's 16-bit sums are widened under DOT8_16: after 8 steps of at most 2 * 15 * 127, four of 31 or,
 * by halves, of 7 (the sums of both halves apart), two of 63. */
CHORD_INLINE int n_folds(int how, int t)
{
    return how != DOT8_16 ? 1 : t == CHORD_Q6_K || t == CHORD_Q5_0 || t == CHORD_Q5_1 || t == CHORD_Q5_K ? 2 : 1;
}

/* ---- of one group: scales, codes ------------------------------------------------------------------- */

typedef struct part_scales {
    vf d, m;       /* of the block, then of the part; m negated but in Q5_1 */
    vi low, high;  /* the scales of the parts to come: what part_next makes of them is in its comment */
    vi pair;       /* 16-bit scales of both halves of the part, rows in 32-bit lanes */
    vi offsets;    /* Q2_K: the same of the offsets */
} part_scales;

/* Head of a block; returns where its parts begin. */
CHORD_INLINE const uint8_t *part_head(int type, const uint8_t *w, part_scales *s)
{
    *s = (part_scales){ vf_load_f16_finite(w), vf_all(0), vi_all(0), vi_all(0), vi_all(0), vi_all(0) };
    w += 8;
    if (has_offset(type)) {
        s->m = vf_load_f16_finite(w);
        if (is_k(type)) s->m = vf_sub(vf_all(0), s->m);
        w += 8;
    }
    if (type == CHORD_IQ4_XS) {
        s->high = vi_load_u16(w);
        s->low = vi_load(w + 8);
        return w + 24;
    }
    return type == CHORD_Q3_K || type == CHORD_Q4_K || type == CHORD_Q5_K ? w + 48 : w;
}

/* Scales of four parts from the three vectors of them: part 0 or 4, `w` the first. */
CHORD_INLINE void part_words(int type, const uint8_t *w, int32_t part, part_scales *s)
{
    if (type == CHORD_Q3_K) {
        s->low = vi_load(w + 4 * part);
        if (part == 0) s->high = vi_load(w + 32);
    }
    if (type == CHORD_Q4_K || type == CHORD_Q5_K) {
        vi const a = vi_load(w), b = vi_load(w + 16), c = vi_load(w + 32);
        if (part == 0) {
            s->low = vi_and(a, vi_all(0x3f3f3f3f));
            s->high = vi_and(b, vi_all(0x3f3f3f3f));
        } else {
            s->low = vi_or(vi_and(c, vi_all(0x0f0f0f0f)), vi_and(vi_shr(a, 2), vi_all(0x30303030)));
            s->high = vi_or(vi_and(vi_shr(c, 4), vi_all(0x0f0f0f0f)), vi_and(vi_shr(b, 2), vi_all(0x30303030)));
        }
    }
}

/* Scales of the next part, which begins at w. */
CHORD_INLINE part_scales part_next(int type, const uint8_t *w, part_scales *s)
{
    part_scales p = *s;
    if (type == CHORD_Q4_K || type == CHORD_Q5_K) { /* low: scales, high: offsets; a byte a part */
        p.d = vf_mul(s->d, vf_of(vi_and(s->low, vi_all(255))));
        p.m = vf_mul(s->m, vf_of(vi_and(s->high, vi_all(255))));
        s->low = vi_shr(s->low, 8);
        s->high = vi_shr(s->high, 8);
    }
    if (type == CHORD_IQ4_XS) { /* four bits and two a part */
        vi const scale = vi_or(vi_and(s->low, vi_all(15)), vi_and(vi_shl(s->high, 4), vi_all(48)));
        p.d = vf_mul(s->d, vf_of(vi_sub(scale, vi_all(32))));
        s->low = vi_shr(s->low, 4);
        s->high = vi_shr(s->high, 2);
    }
    if (type == CHORD_Q3_K) { /* low: a byte of two nibbles a part; high: a nibble of two pairs */
        vi const low = vi_or(vi_and(s->low, vi_all(15)), vi_and(vi_shl(s->low, 12), vi_all(15 << 16)));
        vi const high = vi_or(vi_and(vi_shl(s->high, 4), vi_all(48)), vi_and(vi_shl(s->high, 18), vi_all(48 << 16)));
        p.pair = vi_add16(vi_or(low, high), vi_all((int32_t)0xffe0ffe0)); /* less 32 */
        s->low = vi_shr(s->low, 8);
        s->high = vi_shr(s->high, 4);
    }
    if (type == CHORD_Q6_K) p.pair = vi_load_s8(w);
    if (type == CHORD_Q2_K) {
        vi const both = vi_load_u8(w);
        p.pair = vi_and(both, vi_all(0x000f000f));
        p.offsets = vi_shr16(both, 4);
    }
    return p;
}

/* The planes of a part that are shifted as its four steps use them up. */
typedef struct part_planes {
    vi bits, pair0, pair1;
} part_planes;

CHORD_INLINE const uint8_t *part_planes_load(int type, const uint8_t *w, part_planes *p)
{
    if (has_field(type)) w += 8;
    if (has_bits(type)) { p->bits = vi_load(w); w += 16; }
    if (has_pairs(type)) { p->pair0 = vi_load(w); p->pair1 = vi_load(w + 16); w += 32; }
    return w;
}

typedef struct part_masks {
    vi nibble, high, table; /* high: of what bits or pairs add to a code */
} part_masks;

CHORD_INLINE part_masks part_masks_of(int type)
{
    part_masks m;
    m.nibble = vi_all(has_nibbles(type) ? 0x0f0f0f0f : 0x03030303);
    m.high = vi_all(type == CHORD_Q6_K ? 0x30303030 : type == CHORD_Q3_K ? 0x04040404 : 0x10101010);
    CHORD_PIN(m.nibble);
    if (has_bits(type) || type == CHORD_Q6_K) CHORD_PIN(m.high);
    m.table = m.nibble;
    if (has_table(type)) m.table = vi_load(chord_iq4_values);
    return m;
}

/* Codes of step v: 4 rows x 4 k, k from 4 v and from 16 + 4 v. */
CHORD_INLINE void part_codes(int type, const uint8_t *nibbles_at, part_masks m, part_planes *p, vi code[2])
{
    if (has_nibbles(type)) {
        vi const both = vi_load(nibbles_at);
        code[0] = vi_and(both, m.nibble);
        code[1] = vi_and(vi_shr16(both, 4), m.nibble);
    } else {
        code[0] = vi_and(p->pair0, m.nibble);
        code[1] = vi_and(p->pair1, m.nibble);
    }
    if (type == CHORD_Q6_K) {
        code[0] = vi_or(code[0], vi_and(vi_shl(p->pair0, 4), m.high));
        code[1] = vi_or(code[1], vi_and(vi_shl(p->pair1, 4), m.high));
    }
    if (type == CHORD_Q3_K) {
        code[0] = vi_or(code[0], vi_and(vi_shl(p->bits, 2), m.high));
        code[1] = vi_or(code[1], vi_and(vi_shr(p->bits, 2), m.high));
    } else if (has_bits(type)) {
        code[0] = vi_or(code[0], vi_and(vi_shl(p->bits, 4), m.high));
        code[1] = vi_or(code[1], vi_and(p->bits, m.high));
    }
    if (has_bits(type)) p->bits = vi_shr(p->bits, 1);
    if (has_pairs(type)) {
        p->pair0 = vi_shr(p->pair0, 2);
        p->pair1 = vi_shr(p->pair1, 2);
    }
    if (has_table(type)) {
        code[0] = vi_lookup(m.table, code[0]);
        code[1] = vi_lookup(m.table, code[1]);
    }
}

/* ---- of a tile ------------------------------------------------------------------------------------- */

/* Weights for dot_step; DOT16 takes the scale of their half in. */
CHORD_INLINE dot_weights part_prepare(dot_way way, int type, vi code, vi scale)
{
    dot_weights w = dot_prepare(way, code);
    if (way.how == DOT16 && has_pairs(type)) {
        vf const s = vi_as_f(scale);
        w.a = vi_mul16(w.a, vf_bits(vf_shuffle(s, s, 0, 0, 1, 1)));
        w.b = vi_mul16(w.b, vf_bits(vf_shuffle(s, s, 2, 2, 3, 3)));
    }
    return w;
}

/* Sums of a part's halves -> 32 bits, scaled where each half has a scale. */
CHORD_INLINE vi part_fold(dot_way way, int type, dot_sum s0, dot_sum s1, vi pair, vi even, vi odd)
{
    if (way.how == DOT16 || !has_pairs(type)) return dot_rows(way, s0);
    if (way.how == DOT8_16) return vi_add(vi_dot16(s0.a, even), vi_dot16(s1.a, odd));
    return vi_add(vi_mul(s0.a, vi_sar(vi_shl(pair, 16), 16)), vi_mul(s1.a, vi_sar(pair, 16)));
}

/* One float step: the exact integers of a part and its activations' d (sums behind) -> *to. */
CHORD_INLINE void part_finish(int type, const part_scales *w, vi i, const uint8_t *d, uint32_t n, vf *to)
{
    vf const dx = vf_all_at(d);
    vi const sum = vi_all_at(d + n / 8), halves = vi_all_at(d + n / 4);
    if (type == CHORD_Q5_0) i = vi_sub(i, vi_shl(sum, 4));
    if (type == CHORD_Q3_K) i = vi_sub(i, vi_shl(vi_dot16(halves, w->pair), 2));
    if (type == CHORD_Q6_K) i = vi_sub(i, vi_shl(vi_dot16(halves, w->pair), 5));
    if (has_offset(type)) {
        vi const s = type == CHORD_Q2_K ? vi_dot16(halves, w->offsets) : sum;
        *to = vf_madd(dx, vf_madd(w->d, vf_of(i), vf_mul(w->m, vf_of(s))), *to);
    } else *to = vf_madd(vf_mul(w->d, dx), vf_of(i), *to);
}

/* One part of G groups x T tokens; a.w and a.x move on by it. d_off: from x[t] behind the part to its d. */
CHORD_INLINE void tile_part(int type, int how, int G, int T, tile *a, part_scales *scales, part_masks masks, uint32_t d_off, vf *sum)
{
    bool const has_halves = has_pairs(type) && how != DOT16;
    int const folds = n_folds(how, type), at_once = steps_at_once(T, type) < 4 / folds ? steps_at_once(T, type) : 4 / folds;
    dot_way const way = dot_way_of(how, has_table(type) ? CHORD_Q8_0 : type);
    part_planes planes[2];
    part_scales s[2];
    vi total[4], even[2], odd[2];
    CHORD_UNROLL for (int g = 0; g < G; g++) {
        CHORD_PIN(a->w[g]);
        s[g] = part_next(type, a->w[g], &scales[g]);
        if (has_pairs(type) && how != DOT8) even[g] = vi_even16(s[g].pair), odd[g] = vi_odd16(s[g].pair);
        else even[g] = odd[g] = vi_all(0);
        a->w[g] = part_planes_load(type, a->w[g], &planes[g]);
    }
    CHORD_UNROLL for (int fold = 0; fold < folds; fold++) {
        dot_sum s0[4], s1[4];
        CHORD_UNROLL for (int t = 0; t < T; t++) {
            dot_sum const begin = dot_begin(way, a->x[t] + 32 + d_off + a->n / 8);
            CHORD_UNROLL for (int g = 0; g < G; g++) s0[g * T + t] = begin, s1[g * T + t] = (dot_sum){ vi_all(0), vi_all(0) };
        }
        CHORD_ROLL for (int left = 4 / folds; left > 0; left -= at_once) {
            CHORD_UNROLL for (int g = 0; g < G; g++) CHORD_PIN(a->w[g]);
            CHORD_UNROLL for (int t = 0; t < T; t++) CHORD_PIN(a->x[t]);
            CHORD_UNROLL for (int v = 0; v < 4; v++) {
                if (v == at_once) break;
                dot_weights w[2][2];
                CHORD_UNROLL for (int g = 0; g < G; g++) {
                    vi code[2];
                    part_codes(type, a->w[g] + 16 * v, masks, &planes[g], code);
                    w[g][0] = part_prepare(way, type, code[0], even[g]);
                    w[g][1] = part_prepare(way, type, code[1], odd[g]);
                }
                CHORD_UNROLL for (int t = 0; t < T; t++) {
                    const uint8_t *const x = a->x[t] + 4 * v;
                    dot_step(way, G, T, s0 + t, has_halves ? s1 + t : s0 + t, w, x, x + 16);
                }
            }
            CHORD_UNROLL for (int g = 0; g < G; g++) a->w[g] += has_nibbles(type) ? 16 * at_once : 0;
            CHORD_UNROLL for (int t = 0; t < T; t++) a->x[t] += 4 * at_once;
        }
        CHORD_UNROLL for (int i = 0; i < G * T; i++) {
            vi const f = part_fold(way, type, s0[i], s1[i], s[i / T].pair, even[i / T], odd[i / T]);
            total[i] = fold ? vi_add(total[i], f) : f;
        }
    }
    CHORD_UNROLL for (int t = 0; t < T; t++) a->x[t] += 16;
    CHORD_UNROLL for (int g = 0; g < G; g++)
        CHORD_UNROLL for (int t = 0; t < T; t++) part_finish(type, &s[g], total[g * T + t], a->x[t] + d_off, a->n, &sum[g * T + t]);
}

CHORD_INLINE void tile_parts(int type, int how, int G, int T, tile a, vf *sum)
{
    part_masks const masks = part_masks_of(type);
    uint32_t d_off = a.n - 32;
    CHORD_UNROLL for (int i = 0; i < G * T; i++) sum[i] = vf_all(0);
    for (uint32_t b = 0; b < a.n; b += is_k(type) ? 256 : 32) {
        const uint8_t *words[2];
        part_scales scales[2];
        CHORD_UNROLL for (int g = 0; g < G; g++) {
            words[g] = a.w[g] + (has_offset(type) ? 16 : 8);
            a.w[g] = part_head(type, a.w[g], &scales[g]);
        }
        if (!is_k(type)) {
            tile_part(type, how, G, T, &a, scales, masks, d_off, sum);
            d_off -= 28;
            continue;
        }
        for (int32_t part = 0; part < 8; part += 4) {
            CHORD_UNROLL for (int g = 0; g < G; g++) part_words(type, words[g], part, &scales[g]);
            CHORD_ROLL for (int k = 0; k < 4; k++, d_off -= 28) tile_part(type, how, G, T, &a, scales, masks, d_off, sum);
        }
    }
}
