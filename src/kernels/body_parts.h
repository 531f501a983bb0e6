/* body_parts.h: unpacks a group part by part (32 columns, quant/x4.h), and multiplies the formats that have
 * no simpler tile. The bodies read the format's record and know no format by name.
 *
 * The integer dot of a part is exact. If each half of a part has its own scale, the dot includes the scales:
 * i = scale_0 i_0 + scale_1 i_1. One float step per part follows, as for blocks of 32:
 * (d d_x) i, or d_x (d i + m s), where s is the sum of the part's activations (U4: its half sums times their
 * offsets). For K and XS, d is first multiplied by the part's scale. That is exact in f32, because the scale
 * has six bits and d is an f16. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODY_PARTS_H
#define CHORD_KERNELS_BODY_PARTS_H
#include "body_dot.h"

/* ---- properties of a record ----------------------------------------------------------------------- */

CHORD_INLINE bool has_bits(const chord_format *f) { return f->high == 1; }
CHORD_INLINE bool has_pairs(const chord_format *f) { return f->low == 2 || f->high == 2; }
CHORD_INLINE bool has_nibbles(const chord_format *f) { return f->low == 4; }
CHORD_INLINE bool has_offset(const chord_format *f) { return f->m_at >= 0; }
/* each half of a part has its own scale */
CHORD_INLINE bool has_halves(const chord_format *f) { return f->scales >= CHORD_SCALES_Q3; }
/* each part starts with a field of scales */
CHORD_INLINE bool has_field(const chord_format *f) { return f->scales >= CHORD_SCALES_S8; }
CHORD_INLINE bool has_words(const chord_format *f)
{
    return f->scales == CHORD_SCALES_K || f->scales == CHORD_SCALES_Q3;
}
/* codes are signed bytes */
CHORD_INLINE bool is_signed(const chord_format *f) { return f->low == 8 || f->table == CHORD_TABLE_IQ4; }
/* a code is a nibble and no more, and a part has one scale */
CHORD_INLINE bool has_plain_nibbles(const chord_format *f)
{
    return f->tile == CHORD_TILE_PARTS && has_nibbles(f) && !f->high && !f->table && !has_halves(f);
}
CHORD_INLINE int n_parts(const chord_format *f) { return f->block_elems / 32; }

/* Returns how often a part's 16-bit sums are widened with DOT8_16. A sum has eight steps, or four if halves
 * have scales. Each step adds two products of at most the largest code and 127. Signed bytes are widened in
 * each step (dot_add). */
CHORD_INLINE int n_folds(int how, const chord_format *f)
{
    int const code = f->most ? f->most : ((1 << f->low) - 1) | ((1 << f->high) - 1) << f->high_at,
              most = (has_halves(f) ? 4 : 8) * 2 * 127 * code;
    return how != DOT8_16 || is_signed(f) ? 1 : (most + 32766) / 32767;
}

/* ---- scales and codes of one group ---------------------------------------------------------------- */

typedef struct part_scales {
    vf d, m;       /* of the block, or of one part; m is negative if it is subtracted */
    vi low, high;  /* scales of the parts to come, packed as part_next() reads them */
    vi pair;       /* 16-bit scales of both halves of the part; a 32-bit lane is a row */
    vi offsets;    /* U4: 16-bit offsets of both halves of the part */
} part_scales;

/* d or m of four rows. Those of a block of 32 are 63 times as large as a block of 256's, and seldom
 * subnormal. */
CHORD_INLINE vf part_f16(const chord_format *f, const uint8_t *w)
{
    return n_parts(f) == 1 ? vf_load_f16_by(w, vi_all(F16_MASK), vf_all(F16_FACTOR)) : vf_load_f16_finite(w);
}

/* Reads the head of a block. Returns the address of its first part. */
CHORD_INLINE const uint8_t *part_head(const chord_format *f, const uint8_t *w, part_scales *s)
{
    bool const is_byte = f->d_kind == CHORD_D_E8M0;
    vf const d = is_byte ? vf_load_e8m0(w) : part_f16(f, w);
    *s = (part_scales){ d, vf_all(0), vi_all(0), vi_all(0), vi_all(0), vi_all(0) };
    w += is_byte ? 4 : 8;
    if (has_offset(f)) {
        s->m = part_f16(f, w);
        if (f->scales != CHORD_SCALES_BLOCK) s->m = vf_sub(vf_all(0), s->m);
        w += 8;
    }
    if (f->scales == CHORD_SCALES_XS) {
        s->high = vi_load_u16(w);
        s->low = vi_load(w + 8);
        return w + 24;
    }
    return has_words(f) ? w + 48 : w;
}

/* Reads the scales of parts `part` .. `part` + 3 from the head's three vectors at w. `part` is 0 or 4. */
CHORD_INLINE void part_words(const chord_format *f, const uint8_t *w, int32_t part, part_scales *s)
{
    if (f->scales == CHORD_SCALES_Q3) {
        s->low = vi_load(w + 4 * part);
        if (part == 0) s->high = vi_load(w + 32);
    }
    if (f->scales == CHORD_SCALES_K) {
        vi const a = vi_load(w), b = vi_load(w + 16), c = vi_load(w + 32);
        if (part == 0) {
            s->low = vi_and(a, vi_all(0x3f3f3f3f));
            s->high = vi_and(b, vi_all(0x3f3f3f3f));
        } else {
            s->low = vi_or(vi_and(c, vi_all(0x0f0f0f0f)), vi_and(vi_shr(a, 2), vi_all(0x30303030)));
            s->high = vi_or(vi_and(vi_shr(c, 4), vi_all(0x0f0f0f0f)),
                            vi_and(vi_shr(b, 2), vi_all(0x30303030)));
        }
    }
}

/* For vi_lookup: byte i of each row's four, of parts 0 to 3. */
#define PART_BYTES(i) i, 128, 128, 128, 4 + i, 128, 128, 128, 8 + i, 128, 128, 128, 12 + i, 128, 128, 128
static const uint8_t part_bytes[4][16] = {
    { PART_BYTES(0) }, { PART_BYTES(1) }, { PART_BYTES(2) }, { PART_BYTES(3) }
};

/* Returns the scales of the next part, which starts at w, and removes them from s->low and s->high. K's are
 * bytes that stay there, and byte_at tells which are next. */
CHORD_INLINE part_scales part_next(const chord_format *f, const uint8_t *w, const uint8_t *byte_at,
                                   part_scales *s)
{
    part_scales p = *s;
    if (f->scales == CHORD_SCALES_K) { /* low: scales, high: offsets */
        vi const byte = vi_load(byte_at);
        p.d = vf_mul(s->d, vf_of(vi_lookup(s->low, byte)));
        p.m = vf_mul(s->m, vf_of(vi_lookup(s->high, byte)));
    }
    if (f->scales == CHORD_SCALES_XS) { /* low: four bits per part, high: two bits per part */
        vi const scale = vi_or(vi_and(s->low, vi_all(15)), vi_and(vi_shl(s->high, 4), vi_all(48)));
        p.d = vf_mul(s->d, vf_of(vi_sub(scale, vi_all(32))));
        s->low = vi_shr(s->low, 4);
        s->high = vi_shr(s->high, 2);
    }
    if (f->scales == CHORD_SCALES_Q3) { /* per part: low two nibbles, high two pairs */
        vi const low = vi_or(vi_and(s->low, vi_all(15)), vi_and(vi_shl(s->low, 12), vi_all(15 << 16)));
        vi const high = vi_or(vi_and(vi_shl(s->high, 4), vi_all(48)),
                              vi_and(vi_shl(s->high, 18), vi_all(48 << 16)));
        p.pair = vi_add16(vi_or(low, high), vi_all((int32_t)0xffe0ffe0)); /* -32 */
        s->low = vi_shr(s->low, 8);
        s->high = vi_shr(s->high, 4);
    }
    if (f->scales == CHORD_SCALES_S8) p.pair = vi_load_s8(w);
    if (f->scales == CHORD_SCALES_U4) {
        vi const both = vi_load_u8(w);
        p.pair = vi_and(both, vi_all(0x000f000f));
        p.offsets = vi_shr16(both, 4);
    }
    return p;
}

/* The planes of bits or of pairs of a part. Each of its four steps shifts out what it has used. */
typedef struct part_planes {
    vi bits, pair0, pair1;
} part_planes;

CHORD_INLINE const uint8_t *part_planes_load(const chord_format *f, const uint8_t *w, part_planes *p)
{
    if (has_field(f)) w += 8;
    if (chord_is_packed(f)) return w;
    if (has_bits(f)) {
        p->bits = vi_load(w);
        w += 16;
    }
    if (has_pairs(f)) {
        p->pair0 = vi_load(w);
        p->pair1 = vi_load(w + 16);
        w += 32;
    }
    return w;
}
/* Bytes of a part behind those planes. */
CHORD_INLINE uint32_t part_codes_bytes(const chord_format *f)
{
    return chord_is_packed(f) ? 16u * (uint32_t)(f->low + f->high) : has_nibbles(f) ? 64 : 0;
}

typedef struct part_masks {
    /* code: of a whole code in a piece, or of the lower plane; more: of bits of a code that isn't whole, or
     * of the upper plane's bits, or of nibbles in place; bits: the rest of such a code */
    vi code, more, bits, table;
} part_masks;

/* flip: what the table's signed bytes are changed by (dot_weights). */
CHORD_INLINE part_masks part_masks_of(const chord_format *f, bool in_place, vi flip)
{
    part_masks m;
    int const width = chord_is_packed(f) ? f->low + f->high : has_nibbles(f) ? 4 : 2;
    m.code = vi_all(0x01010101 * ((1 << width) - 1));
    m.more = vi_all(in_place     ? (int32_t)0xf0f0f0f0
                    : width == 5 ? 0x18181818
                    : width == 3 ? 0x03030303
                                 : 0x01010101 * (((1 << f->high) - 1) << f->high_at));
    if (f->low) CHORD_PIN(m.code);
    if (f->high || in_place) CHORD_PIN(m.more);
    m.table = m.bits = m.code;
    if (f->table == CHORD_TABLE_IQ4) m.table = vi_xor(vi_load(chord_iq4_values), flip);
    else if (f->table) m.table = vi_load(chord_e2m1_codes);
    if (width == 5 || width == 3) {
        m.bits = vi_all(width == 5 ? 0x20202020 : 0x04040404);
        CHORD_PIN(m.bits);
    }
    return m;
}

CHORD_INLINE vi piece_of(const uint8_t *w, int i) { return vi_load(w + 16 * i); }

/* Unpacks code v of a packed part (x4.h): 4 rows x 4 k. */
CHORD_INLINE vi part_packed(const chord_format *f, const uint8_t *w, part_masks m, int v)
{
    int const width = f->low + f->high;
    if (width == 3) {
        if (v < 6) return vi_and(v % 2 ? vi_shr16(piece_of(w, v / 2), 3) : piece_of(w, v / 2), m.code);
        vi const low = vi_and(vi_shr16(piece_of(w, v - 6), 6), m.more), top = piece_of(w, 2);
        return vi_or(low, vi_and(v == 6 ? vi_shr16(top, 4) : vi_shr16(top, 5), m.bits));
    }
    if (v < width) return vi_and(piece_of(w, v), m.code);
    if (width == 6) { /* the tops of three pieces, moved down by two bits each time */
        int const i = 3 * (v - 6);
        vi const a = piece_of(w, i), b = piece_of(w, i + 1), c = piece_of(w, i + 2);
        vi const tops = vi_or(vi_shr16(vi_xor(a, vi_and(a, m.code)), 2), vi_xor(b, vi_and(b, m.code)));
        return vi_shr16(vi_or(vi_shr16(tops, 2), vi_xor(c, vi_and(c, m.code))), 2);
    }
    vi const a = piece_of(w, 2 * (v - 5)), low = vi_shr16(vi_xor(a, vi_and(a, m.code)), 5);
    if (v < 7) return vi_or(low, vi_and(vi_shr16(piece_of(w, 2 * v - 9), 3), m.more));
    vi const b = vi_and(piece_of(w, 1), m.bits), c = vi_and(piece_of(w, 3), m.bits);
    return vi_or(low, vi_or(vi_shr16(b, 2), vi_shr16(c, 1)));
}

/* Unpacks the codes of step v: 4 rows x 4 k. k starts at 4 v in code[0], at 16 + 4 v in code[1]. in_place:
 * code[1] is 16 times the codes. Planes that were loaded are of the next step, whatever v is. */
CHORD_INLINE void part_codes(const chord_format *f, bool in_place, const uint8_t *w, int v, part_masks m,
                             part_planes *p, vi code[2])
{
    if (chord_is_packed(f)) {
        code[0] = part_packed(f, w, m, v);
        code[1] = part_packed(f, w, m, v + 4);
        return;
    }
    code[0] = code[1] = vi_all(0);
    if (has_nibbles(f)) {
        vi const both = piece_of(w, v);
        code[0] = vi_and(both, m.code);
        code[1] = in_place ? vi_and(both, m.more) : vi_and(vi_shr16(both, 4), m.code);
    } else if (f->low) {
        code[0] = vi_and(p->pair0, m.code);
        code[1] = vi_and(p->pair1, m.code);
        p->pair0 = vi_shr(p->pair0, 2);
        p->pair1 = vi_shr(p->pair1, 2);
    } else { /* bits: the second half four bits higher */
        code[0] = vi_and(vi_shl(p->bits, 1), m.more);
        code[1] = vi_and(vi_shr(p->bits, 3), m.more);
        p->bits = vi_shr(p->bits, 1);
    }
    if (f->table) {
        code[0] = vi_lookup(m.table, code[0]);
        code[1] = vi_lookup(m.table, code[1]);
    }
}

/* ---- tiles ---------------------------------------------------------------------------------------- */

/* The 16-bit scales of a part. `even` holds the scale of the first half, `odd` of the second, twice per
 * row. */
typedef struct part_halves {
    vi pair, even, odd;
} part_halves;

/* Prepares weights for dot_step. DOT16 multiplies them by the scale of their half. */
CHORD_INLINE dot_weights part_prepare(dot_way way, const chord_format *f, vi code, vi scale)
{
    dot_weights w = dot_prepare(way, code);
    if (way.how == DOT16 && has_halves(f)) {
        vf const s = vi_as_f(scale);
        w.a = vi_mul16(w.a, vf_bits(vf_shuffle(s, s, 0, 0, 1, 1)));
        w.b = vi_mul16(w.b, vf_bits(vf_shuffle(s, s, 2, 2, 3, 3)));
    }
    return w;
}

/* Returns 32-bit sums: s0 + s1 times the scales of their halves, or s0 alone if the weights or d include the
 * scales. in_place: s1 is 16 times the second half. */
CHORD_INLINE vi part_fold(dot_way way, const chord_format *f, bool in_place, dot_sum s0, dot_sum s1,
                          part_halves h)
{
    if (in_place) return vi_add(s0.a, vi_sar(s1.a, 4));
    if (way.how == DOT16 || !has_halves(f)) return dot_rows(way, s0);
    if (way.how == DOT8_16) return vi_add(vi_dot16(s0.a, h.even), vi_dot16(s1.a, h.odd));
    return vi_add(vi_mul(s0.a, vi_sar(vi_shl(h.pair, 16), 16)), vi_mul(s1.a, vi_sar(h.pair, 16)));
}

/* What the activations of a part are multiplied with, apart from the codes. */
typedef struct part_x {
    vf d;            /* their scale */
    vi sum, halves;  /* their sum; their half sums, in 16 bits each */
} part_x;

/* d: the address of the scale; the sum is n / 8 bytes further, the half sums n / 4. */
CHORD_INLINE part_x part_x_load(const uint8_t *d, uint32_t n)
{
    return (part_x){ vf_all_at(d), vi_all_at(d + n / 8), vi_all_at(d + n / 4) };
}

/* The float step: adds the product of a part to *to. i: the part's exact integers. */
CHORD_INLINE void part_finish(const chord_format *f, const part_scales *w, vi i, part_x x, vf *to)
{
    if (f->centre)
        i = vi_sub(i, vi_mul(has_halves(f) ? vi_dot16(x.halves, w->pair) : x.sum, vi_all(f->centre)));
    if (has_offset(f)) {
        vi const s = f->scales == CHORD_SCALES_U4 ? vi_dot16(x.halves, w->offsets) : x.sum;
        *to = vf_madd(x.d, vf_madd(w->d, vf_of(i), vf_mul(w->m, vf_of(s))), *to);
    } else *to = vf_madd(vf_mul(w->d, x.d), vf_of(i), *to);
}

/* State of a tile from part to part. d_off: bytes from x[t] after a part to the scale of the part's
 * activations. */
typedef struct part_walk {
    part_masks masks;
    const uint8_t *byte_at; /* K: in part_bytes */
    part_scales scales[2]; /* of each group, for the parts to come */
    uint32_t d_off;
} part_walk;

/* With 64-bit addresses V8 compares each address with the memory's size. A tile that holds the activations
 * of a part in two vectors, and splats four of them by a shuffle, loads two vectors and not eight: 25.9 ->
 * 27.1 GB/s of Q4_K (Node 24). With 32 bits, or where high nibbles are shifted, that is slower: shuffles
 * take the place of dots. */
#ifdef __wasm64__
enum { HOLDS_ACTIVATIONS = 1 };
#else
enum { HOLDS_ACTIVATIONS = 0 };
#endif
CHORD_INLINE vi part_splat(vi held, int v)
{
    vf const x = vi_as_f(held);
    return vf_bits(v == 0   ? vf_shuffle(x, x, 0, 0, 0, 0)
                   : v == 1 ? vf_shuffle(x, x, 1, 1, 1, 1)
                   : v == 2 ? vf_shuffle(x, x, 2, 2, 2, 2)
                            : vf_shuffle(x, x, 3, 3, 3, 3));
}

/* Multiplies one part, and advances a->w and a->x past it. */
CHORD_INLINE void tile_part(tile_kind k, tile *a, part_walk *p, vf *sum)
{
    const chord_format *const f = k.f;
    int const how = k.how, G = k.G, T = k.T;
    bool const halves = has_halves(f) && how != DOT16, two_sums = halves || k.in_place,
               holds = k.in_place && HOLDS_ACTIVATIONS;
    int const folds = n_folds(how, f), steps = 4 / folds,
              at_once = chord_is_packed(f) || steps_at_once(T, false) > steps ? steps
                                                                              : steps_at_once(T, false);
    dot_way const way = dot_way_of(how, is_signed(f));
    part_planes planes[2];
    part_scales s[2];
    part_halves h[2];
    vi total[4], held[2];
    CHORD_UNROLL(int g = 0; g < G; g++) {
        CHORD_PIN(a->w[g]);
        s[g] = part_next(f, a->w[g], p->byte_at, &p->scales[g]);
        h[g] = (part_halves){ s[g].pair, vi_all(0), vi_all(0) };
        if (has_halves(f) && how != DOT8) h[g].even = vi_even16(s[g].pair), h[g].odd = vi_odd16(s[g].pair);
        a->w[g] = part_planes_load(f, a->w[g], &planes[g]);
    }
    CHORD_UNROLL(int fold = 0; fold < folds; fold++) {
        dot_sum s0[4], s1[4];
        CHORD_UNROLL(int t = 0; t < T; t++) {
            dot_sum const begin = dot_begin(way, a->x[t] + 32 + p->d_off + a->n / 8);
            CHORD_UNROLL(int g = 0; g < G; g++)
                s0[g * T + t] = begin, s1[g * T + t] = (dot_sum){ vi_all(0), vi_all(0) };
        }
        CHORD_ROLL(int left = steps; left > 0; left -= at_once) {
            CHORD_UNROLL(int g = 0; g < G; g++) CHORD_PIN(a->w[g]);
            CHORD_UNROLL(int t = 0; t < T; t++) CHORD_PIN(a->x[t]);
            CHORD_UNROLL(int v = 0; v < 4; v++) {
                if (v == at_once) break;
                dot_weights w[2][2];
                CHORD_UNROLL(int g = 0; g < G; g++) {
                    vi code[2];
                    int const step = chord_is_packed(f) ? fold * steps + v : v;
                    part_codes(f, k.in_place, a->w[g], step, p->masks, &planes[g], code);
                    w[g][0] = part_prepare(way, f, code[0], h[g].even);
                    w[g][1] = part_prepare(way, f, code[1], h[g].odd);
                }
                CHORD_UNROLL(int i = 0; i < 2 && holds && v == 0; i++) {
                    held[i] = vi_load(a->x[0] + 16 * i);
                    CHORD_PIN(held[i]);
                }
                CHORD_UNROLL(int t = 0; t < T; t++) {
                    vi const x = holds ? part_splat(held[0], v) : dot_load(way, a->x[t] + 4 * v),
                             x_1 = holds ? part_splat(held[1], v) : dot_load(way, a->x[t] + 4 * v + 16);
                    dot_step(way, G, T, (dot_token){ s0 + t, two_sums ? s1 + t : s0 + t, x, x_1 }, w);
                }
            }
            if (!chord_is_packed(f))
                CHORD_UNROLL(int g = 0; g < G; g++) a->w[g] += has_nibbles(f) ? 16 * at_once : 0;
            CHORD_UNROLL(int t = 0; t < T; t++) a->x[t] += 4 * at_once;
        }
        CHORD_UNROLL(int i = 0; i < G * T; i++) {
            vi const sums = part_fold(way, f, k.in_place, s0[i], s1[i], h[i / T]);
            total[i] = fold ? vi_add(total[i], sums) : sums;
        }
    }
    CHORD_UNROLL(int t = 0; t < T; t++) a->x[t] += 16;
    if (chord_is_packed(f))
        CHORD_UNROLL(int g = 0; g < G; g++) a->w[g] += part_codes_bytes(f);
    CHORD_UNROLL(int t = 0; t < T; t++) {
        part_x x = part_x_load(a->x[t] + p->d_off, a->n);
        CHORD_PIN(x.sum); /* else clang converts each group's on its own */
        CHORD_UNROLL(int g = 0; g < G; g++) part_finish(f, &s[g], total[g * T + t], x, &sum[g * T + t]);
    }
}

CHORD_INLINE void tile_parts(tile_kind k, tile a, vf *sum)
{
    const chord_format *const f = k.f;
    int const G = k.G, parts = n_parts(f), run = parts < 4 ? parts : 4; /* parts between two part_words */
    part_walk p;
    p.masks = part_masks_of(f, k.in_place, dot_way_of(k.how, is_signed(f)).flip);
    p.byte_at = part_bytes[0];
    p.d_off = a.n - 32;
    CHORD_UNROLL(int i = 0; i < G * k.T; i++) sum[i] = vf_all(0);
    for (uint32_t b = 0; b < a.n; b += 32 * (uint32_t)parts) {
        const uint8_t *words[2];
        CHORD_UNROLL(int g = 0; g < G; g++) {
            words[g] = a.w[g] + (has_offset(f) ? 16 : 8);
            a.w[g] = part_head(f, a.w[g], &p.scales[g]);
        }
        if (parts == 1) {
            tile_part(k, &a, &p, sum);
            p.d_off -= 28;
            continue;
        }
        for (int32_t part = 0; part < parts; part += run) {
            CHORD_UNROLL(int g = 0; g < G; g++) part_words(f, words[g], part, &p.scales[g]);
            p.byte_at = part_bytes[0];
            CHORD_ROLL(int i = 0; i < run; i++, p.d_off -= 28) {
                tile_part(k, &a, &p, sum);
                if (f->scales == CHORD_SCALES_K) p.byte_at += 16;
            }
        }
    }
}

#endif
