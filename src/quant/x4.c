/* x4.c: checks rows, copies them into a group and back. One loop over a format's record serves every format.
 * Tried: the loop inlined per format. It was no faster and added 3 kB, gzipped. */
/* SPDX-License-Identifier: Apache-2.0 */
#if !defined(__wasm__) && !defined(CHORD_SIMD_PLAIN)
#define CHORD_SIMD_PLAIN /* a native build of this room runs on any machine */
#endif
#include "../base/simd.h"
#include "x4.h"

/* ---- mixing: each function is its own inverse, except those with a parameter `back` ------------------- */

static inline void put_u32(uint8_t *p, uint32_t v) { chord_copy(p, &v, 4); }

/* In: 32 bytes; their low nibbles are one part, their high nibbles another. Out: 16 bytes of each part. */
static inline void mix_nibbles(uint8_t p[32])
{
    for (int j = 0; j < 16; j++) {
        uint8_t const a = p[j], b = p[j + 16];
        p[j] = (uint8_t)((a & 15) | b << 4);
        p[j + 16] = (uint8_t)(a >> 4 | (b & 0xf0));
    }
}

/* In: 32 bytes; bits 2 s, 2 s + 1 of byte e belong to element e of part s = 0..3. Out: the first piece of
 * pairs of each part, then the second piece of each. */
static inline void mix_pairs(uint8_t p[32])
{
    for (int i = 0; i < 2; i++, p += 16) {
        uint32_t w[4];
        for (int v = 0; v < 4; v++) w[v] = chord_u32(p + 4 * v);
        for (int s = 0; s < 4; s++) {
            uint32_t run = 0;
            for (int v = 0; v < 4; v++) run |= (w[v] >> 2 * s & 0x03030303) << 2 * v;
            put_u32(p + 4 * s, run);
        }
    }
}

/* In: 32 bytes; bit s of byte e belongs to element e of part s = 0..7. Out: a piece of bits of each part. */
static inline void mix_bits(uint8_t p[32])
{
    uint32_t w[8];
    for (int u = 0; u < 8; u++) w[u] = chord_u32(p + 4 * u);
    for (int s = 0; s < 8; s++) {
        uint32_t run = 0;
        for (int u = 0; u < 8; u++) run |= (w[u] >> s & 0x01010101) << u;
        put_u32(p + 4 * s, run);
    }
}

/* In: four bytes; bit e belongs to element e. Out: a piece of bits; `back` is the inverse. The products move
 * bit b of a nibble to bit 8 b, and bit 8 b to bit 24 + b, without a carry. */
static inline void mix_spread(uint8_t p[4], bool back)
{
    uint32_t const from = chord_u32(p);
    uint32_t to = 0;
    if (back)
        for (int u = 0; u < 8; u++) to |= ((from >> u & 0x01010101) * 0x01020408 >> 24 & 15) << 4 * u;
    else
        for (int u = 0; u < 8; u++) to |= ((from >> 4 * u & 15) * 0x00204081 & 0x01010101) << u;
    put_u32(p, to);
}

/* Swaps pair of bits i of byte j with pair j of byte i: a matrix transposed, first within its quarters. */
static inline void mix_turn(uint8_t p[4])
{
    uint32_t w = chord_u32(p), swap = (w ^ w >> 6) & 0x00cc00cc;
    w ^= swap ^ swap << 6;
    swap = (w ^ w >> 12) & 0x0000f0f0;
    put_u32(p, w ^ swap ^ swap << 12);
}

/* Bit l of byte k % 4 and bit k of byte l change places, in both halves of the bytes. */
static inline uint32_t turn_signs(uint32_t w)
{
    uint32_t swap = (w ^ w >> 7) & 0x00aa00aa;
    w ^= swap ^ swap << 7;
    swap = (w ^ w >> 14) & 0x0000cccc;
    return w ^ swap ^ swap << 14;
}

static __attribute__((noinline)) void mix_signs(uint8_t p[4]) { put_u32(p, turn_signs(chord_u32(p))); }

/* The products are those of mix_spread. */
static __attribute__((noinline)) void mix_sevens(uint8_t p[4], bool back)
{
    uint32_t const from = chord_u32(p), w = turn_signs(from);
    if (back)
        put_u32(p, (w & 0x7f) | (w >> 1 & 0x3f80) | (w >> 2 & 0x1fc000) | (w >> 3 & 0xfe00000) |
                       (w >> 7 & 0x01010101) * 0x01020408 >> 24 << 28);
    else
        put_u32(p, turn_signs((from & 0x7f) | (from << 1 & 0x7f00) | (from << 2 & 0x7f0000) |
                              (from << 3 & 0x7f000000) | ((from >> 28) * 0x00204081 & 0x01010101) << 7));
}

static void mix_nines(uint8_t p[8], bool back)
{
    uint8_t from[8];
    if (back) mix_signs(p + 4);
    chord_copy(from, p, 8);
    CHORD_ROLL(int l = 0; l < 4; l++) {
        uint8_t const low = from[back ? l : 2 * l], high = from[back ? 4 + l : 2 * l + 1];
        p[back ? 2 * l : l] = low;
        p[back ? 2 * l + 1 : 4 + l] = back ? (uint8_t)(high << 1 | high >> 7)
                                           : (uint8_t)(high >> 1 | high << 7);
    }
    if (!back) mix_signs(p + 4);
}

static void mix(const chord_format *f, uint8_t *block, bool back)
{
    for (const chord_mix *m = f->mix; m < f->mix + 3 && m->kind; m++) {
        uint8_t *p = block + m->at;
        for (int i = 0; i < m->n; i++) {
            switch (m->kind) {
            case CHORD_MIX_NIBBLES:
                mix_nibbles(p);
                p += 32;
                break;
            case CHORD_MIX_PAIRS:
                mix_pairs(p);
                p += 32;
                break;
            case CHORD_MIX_BITS:
                mix_bits(p);
                p += 32;
                break;
            case CHORD_MIX_SPREAD:
                mix_spread(p, back);
                p += 4;
                break;
            case CHORD_MIX_TURN:
                mix_turn(p);
                p += 4;
                break;
            case CHORD_MIX_SIGNS:
                mix_signs(p);
                p += 4;
                break;
            case CHORD_MIX_SEVENS_8:
            case CHORD_MIX_SEVENS:
                if (m->kind == CHORD_MIX_SEVENS_8) p += 4;
                mix_sevens(p, back);
                p += 4;
                break;
            case CHORD_MIX_NINES:
                mix_nines(p, back);
                p += 8;
                break;
            default: chord_q3_scales_mix(p, back); p += 12;
            }
        }
    }
}

/* ---- the order ---------------------------------------------------------------------------------------- */

/* Consecutive bytes of a (mixed) block, interleaved `cell` bytes at a time: 4 (pieces), 2 (fields) or 1. */
typedef struct stretch {
    size_t at, bytes, cell;
} stretch;
enum { MOST_STRETCHES = 3 + 8 * 4 };
typedef struct order {
    int32_t n_stretches, n_blocks;
    size_t block; /* bytes of a block */
    stretch stretches[MOST_STRETCHES];
} order;

static void order_add(order *o, size_t at, size_t bytes)
{
    stretch *const last = o->n_stretches ? &o->stretches[o->n_stretches - 1] : NULL;
    size_t const cell = bytes < 4 ? bytes : 4;
    if (last && last->cell == cell && last->at + last->bytes == at) last->bytes += bytes;
    else o->stretches[o->n_stretches++] = (stretch){ at, bytes, cell };
}

/* The order of a row of n_cols columns. When no row is missing (`are_all`), a row of floats is one block. */
static void order_of(order *o, const chord_format *f, int32_t n_cols, bool are_all)
{
    o->n_stretches = 0;
    o->n_blocks = n_cols / f->block_elems;
    o->block = (size_t)f->block_bytes;
    if (f->block_elems == 1) {
        if (are_all) o->block *= (size_t)n_cols, o->n_blocks = n_cols > 0;
        o->stretches[o->n_stretches++] = (stretch){ 0, o->block, (size_t)f->block_bytes };
        return;
    }
    for (int i = 0; i < 3 && f->head[i].bytes; i++) order_add(o, f->head[i].at, f->head[i].bytes);
    for (int part = 0; part < f->block_elems / 32; part++)
        for (int i = 0; i < 4 && f->part[i].bytes; i++) {
            const chord_part_stretch *const s = &f->part[i];
            order_add(o,
                      (size_t)s->at + (part & 1 ? s->by[0] : 0u) + (part & 2 ? s->by[1] : 0u) +
                          (part & 4 ? s->by[2] : 0u),
                      s->bytes);
        }
}

/* n >= 16. A call of memory.copy would take as long as everything else that a small block needs. */
static inline void copy_block(uint8_t *to, const uint8_t *from, size_t n)
{
    for (size_t at = 0; at + 16 < n; at += 16) vf_store(to + at, vf_load(from + at));
    vf_store(to + n - 16, vf_load(from + n - 16));
}

/* Copies one stretch of four rows' blocks into the group at `to`. Returns the address after it. */
static inline uint8_t *weave(uint8_t *to, const uint8_t *const row[4], const stretch *s)
{
    const uint8_t *const a = row[0], *const b = row[1], *const c = row[2], *const d = row[3];
    size_t at = s->at, end = s->at + s->bytes;
    for (; s->cell == 4 && end - at >= 16; at += 16, to += 64) { /* transposes four pieces of four rows */
        vf const p = vf_load(a + at), q = vf_load(b + at), r = vf_load(c + at), t = vf_load(d + at);
        vf const pq = vf_shuffle(p, q, 0, 1, 0, 1), rt = vf_shuffle(r, t, 0, 1, 0, 1);
        vf const pq2 = vf_shuffle(p, q, 2, 3, 2, 3), rt2 = vf_shuffle(r, t, 2, 3, 2, 3);
        vf_store(to, vf_shuffle(pq, rt, 0, 2, 0, 2));
        vf_store(to + 16, vf_shuffle(pq, rt, 1, 3, 1, 3));
        vf_store(to + 32, vf_shuffle(pq2, rt2, 0, 2, 0, 2));
        vf_store(to + 48, vf_shuffle(pq2, rt2, 1, 3, 1, 3));
    }
#define CELLS(size)                                \
    for (; at < end; at += size, to += 4 * size) { \
        chord_copy(to, a + at, size);              \
        chord_copy(to + size, b + at, size);       \
        chord_copy(to + 2 * size, c + at, size);   \
        chord_copy(to + 3 * size, d + at, size);   \
    }
    if (s->cell == 4) CELLS(4)
    else if (s->cell == 2) CELLS(2)
    else CELLS(1)
    return to;
}

/* ---- packing: a part of a group, whose lanes are rows ------------------------------------------------- */

/* All shifts move bits within bytes that the mask leaves. */
static inline vi cut(vi v, int right, int32_t bytes) { return vi_and(vi_shr(v, right), vi_all(bytes)); }
static inline vi up(vi v, int left) { return vi_shl(v, left); }

/* Code v of a part whose planes are `high` and, behind it, `low` bits wide. */
CHORD_INLINE vi code_of(const vi *planes, int low, int high, int v)
{
    int const of_high = v * high % 8, of_low = low == 4 ? v / 4 * 4 : v * low % 8;
    vi const top = cut(planes[v * high / 8], of_high, 0x01010101 * ((1 << high) - 1));
    vi const rest = cut(planes[high + (low == 4 ? v % 4 : v * low / 8)], of_low,
                        0x01010101 * ((1 << low) - 1));
    return vi_or(rest, up(top, low));
}

/* Packs a part of a group. All numbers are known when this is compiled. */
CHORD_INLINE void pack_part(uint8_t *p, int low, int high)
{
    int const width = low + high, whole = width == 3 ? 6 : width;
    vi planes[6], w[6];
    CHORD_UNROLL(int i = 0; i < width; i++) planes[i] = vi_load(p + 16 * i);
    CHORD_UNROLL(int v = 0; v < 8; v++) {
        vi const code = code_of(planes, low, high, v);
        if (v < whole) {
            int const i = width == 3 ? v / 2 : v;
            w[i] = width == 3 && v % 2 ? vi_or(w[i], up(code, 3)) : code;
        } else
            CHORD_UNROLL(int k = 0; k < 7; k++) {
                chord_pack_run const r = chord_pack_runs[width][k];
                if (!r.bits || r.code != v) continue;
                w[r.piece] = vi_or(w[r.piece], up(cut(code, r.to, 0x01010101 * ((1 << r.bits) - 1)), r.from));
            }
    }
    CHORD_UNROLL(int i = 0; i < width; i++) vi_store(p + 16 * i, w[i]);
}

/* The inverse, for any format. */
static void unpack_part(const chord_format *f, uint8_t *p)
{
    int const widths[2] = { f->high, f->low }, at[2] = { f->high_at, 0 }, width = f->low + f->high;
    vi w[6], c[8];
    for (int i = 0; i < width; i++) w[i] = vi_load(p + 16 * i);
    for (int v = 0; v < 8; v++)
        c[v] = v >= (width == 3 ? 6 : width) ? vi_all(0)
                                             : cut(w[width == 3 ? v / 2 : v], width == 3 ? v % 2 * 3 : 0,
                                                   0x01010101 * ((1 << width) - 1));
    for (const chord_pack_run *r = chord_pack_runs[width]; r->bits; r++)
        c[r->code] = vi_or(c[r->code],
                           up(cut(w[r->piece], r->from, 0x01010101 * ((1 << r->bits) - 1)), r->to));
    for (int k = 0; k < 2; p += 16 * widths[k], k++) {
        chord_zero(p, 16 * (size_t)widths[k]);
        for (int v = 0; v < 8; v++) {
            int const n = widths[k];
            uint8_t *const piece = p + 16 * (n == 4 ? v % 4 : v * n / 8);
            vi const bits = cut(c[v], at[k], 0x01010101 * ((1 << n) - 1));
            vi_store(piece, vi_or(vi_load(piece), up(bits, n == 4 ? v / 4 * 4 : v * n % 8)));
        }
    }
}

/* Packs the planes of each part of a group's block, or unpacks them. */
static void pack_block(const chord_format *f, uint8_t *block, bool back)
{
    int const width = f->low + f->high, parts = f->block_elems / 32;
    size_t const field = f->scales >= CHORD_SCALES_S8 ? 8 : 0, bytes = field + 16 * (size_t)width;
    uint8_t *p = block + 4 * (size_t)f->block_bytes - (size_t)parts * bytes + field;
    CHORD_ROLL(int part = 0; part < parts; part++, p += bytes) {
        if (back) unpack_part(f, p);
        else if (width == 6) pack_part(p, 4, 2);
        else if (width == 5) pack_part(p, 4, 1);
        else pack_part(p, 2, 1);
    }
}

bool chord_format_repack(const chord_format *f, void *group, const void *const rows[4], int32_t n_cols)
{
    uint8_t mixed[4][CHORD_X4_MOST], *to = group;
    const uint8_t *file[4], *from[4];
    bool const is_mixed = f->mix[0].kind != CHORD_MIX_NONE;
    order o;
    order_of(&o, f, n_cols, rows[0] && rows[1] && rows[2] && rows[3]);
    for (int r = 0; r < 4; r++) {
        if (rows[r] && !chord_format_check(f, rows[r], n_cols)) return false;
        file[r] = rows[r];
        from[r] = rows[r] && !is_mixed ? file[r] : mixed[r];
        if (!rows[r]) chord_zero(mixed[r], CHORD_X4_MOST);
    }
    for (int32_t b = 0; b < o.n_blocks; b++) {
        for (int r = 0; r < 4; r++)
            if (rows[r] && is_mixed) {
                copy_block(mixed[r], file[r], o.block);
                mix(f, mixed[r], false);
                file[r] += o.block;
            }
        uint8_t *const block = to;
        for (int i = 0; i < o.n_stretches; i++) to = weave(to, from, &o.stretches[i]);
        if (chord_is_packed(f)) pack_block(f, block, false);
        for (int r = 0; r < 4; r++)
            if (rows[r] && !is_mixed) from[r] += o.block;
    }
    return true;
}

void chord_format_unpack(const chord_format *f, void *row, const void *group, int32_t i, int32_t n_cols)
{
    uint8_t mixed[CHORD_X4_MOST], planes[4 * CHORD_X4_MOST], *file = row;
    const uint8_t *from = group;
    bool const is_mixed = f->mix[0].kind != CHORD_MIX_NONE;
    order o;
    order_of(&o, f, n_cols, true);
    for (int32_t b = 0; b < o.n_blocks; b++, file += o.block) {
        uint8_t *const to = is_mixed ? mixed : file;
        if (chord_is_packed(f)) {
            chord_copy(planes, (const uint8_t *)group + 4 * o.block * (size_t)b, 4 * o.block);
            pack_block(f, planes, true);
            from = planes;
        }
        for (const stretch *s = o.stretches; s < o.stretches + o.n_stretches; s++)
            for (size_t at = s->at; at < s->at + s->bytes; at += s->cell, from += 4 * s->cell) {
                if (s->cell == 4) chord_copy(to + at, from + 4 * i, 4);
                else if (s->cell == 2) chord_copy(to + at, from + 2 * i, 2);
                else to[at] = from[i];
            }
        if (!is_mixed) continue;
        mix(f, mixed, true);
        copy_block(file, mixed, o.block);
    }
}

/* ---- the check ---------------------------------------------------------------------------------------- */

static bool is_finite_f16(const uint8_t *p) { return (chord_u16(p) & 0x7c00) != 0x7c00; }

static bool is_scale(const chord_format *f, const uint8_t *p)
{
    if (f->d_kind == CHORD_D_E8M0) return *p != 255;
    if (f->d_kind == CHORD_D_SPLIT) return (p[7] & 0x70) != 0x70 || (p[5] & 0xc0) != 0xc0;
    return is_finite_f16(p);
}

bool chord_format_check(const chord_format *f, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    if (f->d_at < 0 || f->d_kind == CHORD_D_NONE) return true;
    for (int32_t b = 0; b < n_cols / f->block_elems; b++, p += f->block_bytes) {
        if (!is_scale(f, p + f->d_at) || (f->m_at >= 0 && !is_finite_f16(p + f->m_at))) return false;
        if (f->low != 8) continue;
        int wrong = 0; /* no early exit, so that the compiler vectorises the loop */
        for (int j = 0; j < 32; j++) wrong |= p[f->part[0].at + j] == 0x80;
        if (wrong) return false;
    }
    return true;
}
