/* x4.c: rows into a group and back, one walk for every format: inlined into each format it was no faster and 3 kB gzipped more. */
/* SPDX-License-Identifier: Apache-2.0 */
#if !defined(__wasm__) && !defined(CHORD_SIMD_PLAIN)
#define CHORD_SIMD_PLAIN /* native builds of this room are for any machine */
#endif
#include "../base/simd.h"
#include "x4.h"

/* Cells of `size` bytes, all four rows' in turn, so that rows are read as streams; from byte `at` of a row, which is byte
 * 4 * at of the group, to the one that is returned. */
static inline size_t weave_run(uint8_t *group, const uint8_t *const row[4], size_t at, int n, size_t size)
{
    const uint8_t *const a = row[0], *const b = row[1], *const c = row[2], *const d = row[3];
    size_t const end = at + (size_t)n * size;
    for (; size == 4 && end - at >= 16; at += 16) { /* four pieces: a matrix transposed */
        vf const p = vf_load(a + at), q = vf_load(b + at), r = vf_load(c + at), s = vf_load(d + at);
        vf const pq = vf_shuffle(p, q, 0, 1, 0, 1), rs = vf_shuffle(r, s, 0, 1, 0, 1);
        vf const pq2 = vf_shuffle(p, q, 2, 3, 2, 3), rs2 = vf_shuffle(r, s, 2, 3, 2, 3);
        uint8_t *const to = group + 4 * at;
        vf_store(to, vf_shuffle(pq, rs, 0, 2, 0, 2));
        vf_store(to + 16, vf_shuffle(pq, rs, 1, 3, 1, 3));
        vf_store(to + 32, vf_shuffle(pq2, rs2, 0, 2, 0, 2));
        vf_store(to + 48, vf_shuffle(pq2, rs2, 1, 3, 1, 3));
    }
    for (; at < end; at += size) {
        uint8_t *const to = group + 4 * at;
        chord_copy(to, a + at, size);
        chord_copy(to + size, b + at, size);
        chord_copy(to + 2 * size, c + at, size);
        chord_copy(to + 3 * size, d + at, size);
    }
    return at;
}

static inline void weave(uint8_t *group, const uint8_t *const row[4], chord_x4_shape s)
{
    size_t at = weave_run(group, row, 0, s.fields, 2);
    at = weave_run(group, row, at, s.pieces, 4);
    for (int i = 0; i < s.parts; i++) {
        at = weave_run(group, row, at, s.part_fields, 2);
        at = weave_run(group, row, at, s.part_pieces, 4);
    }
}

void chord_x4_pack(void *group, const void *const rows[4], int32_t n_blocks, size_t block, chord_x4_shape s, chord_x4_order_rows *order)
{
    uint8_t x4[4][CHORD_X4_MOST];
    const uint8_t *file[4], *from[4];
    for (int r = 0; r < 4; r++) {
        file[r] = rows[r];
        from[r] = rows[r] && !order ? rows[r] : x4[r];
        if (!rows[r]) chord_zero(x4[r], CHORD_X4_MOST); /* in any order */
    }
    uint8_t *to = group;
    for (int32_t b = 0; b < n_blocks; b++, to += 4 * block) {
        if (order) order(x4, file);
        weave(to, from, s);
        for (int r = 0; r < 4; r++) {
            if (rows[r]) file[r] += block;
            if (rows[r] && !order) from[r] += block;
        }
    }
}

static void unweave_run(const uint8_t **group, uint8_t **row, size_t r, int n, size_t size)
{
    for (int i = 0; i < n; i++, *group += 4 * size, *row += size) chord_copy(*row, *group + size * r, size);
}

void chord_x4_unpack(void *row, const void *group, int32_t r, int32_t n_blocks, size_t block, chord_x4_shape s, chord_x4_order *order)
{
    uint8_t x4[CHORD_X4_MOST], *file = row;
    const uint8_t *from = group;
    for (int32_t b = 0; b < n_blocks; b++, file += block) {
        uint8_t *to = order ? x4 : file;
        unweave_run(&from, &to, (size_t)r, s.fields, 2);
        unweave_run(&from, &to, (size_t)r, s.pieces, 4);
        for (int i = 0; i < s.parts; i++) {
            unweave_run(&from, &to, (size_t)r, s.part_fields, 2);
            unweave_run(&from, &to, (size_t)r, s.part_pieces, 4);
        }
        if (order) order(x4, file, true);
    }
}
