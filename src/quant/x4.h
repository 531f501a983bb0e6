/* x4.h: the interleave of four rows, one rule for every format here.
 *
 * A block in file form is some 16-bit fields (scales), then codes. Cut the codes into *pieces* of four
 * bytes; the group's block holds the fields first, each for rows 0..3, then the pieces, each for rows 0..3:
 *
 *     row r:   | field 0 | field 1 | piece 0 | piece 1 | ...
 *     group:   | f0 r0 r1 r2 r3 | f1 r0 r1 r2 r3 | p0 r0 r1 r2 r3 | p1 r0 r1 r2 r3 | ...
 *
 *               fields  pieces  a 16-byte vector of the group is
 *     F32         0       1     4 rows x 1 k
 *     F16 BF16    1       0     4 rows x 2 k, k by k (8 bytes each)
 *     Q8_0        1       8     4 rows x 4 k
 *     Q4_0        1       4     4 rows x 4 k in the low nibbles, the same rows x 4 k, 16 further on, in the high ones
 *     Q4_1        2       4     the same
 *
 * So a vector's 32-bit lanes are rows, four scales are eight bytes, no byte is added and the inverse is
 * the same walk. Nothing is aligned: Q8_0's block is 136 bytes, its vectors begin at odd multiples of 8. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_X4_H
#define CHORD_QUANT_X4_H
#include "../base/bytes.h"
#include "../base/half.h"
#include "../base/mem.h"
#include "quant.h"

static inline void chord_x4_pack(uint8_t *group, const void *const rows[4], int32_t n_blocks, int fields, int pieces)
{
    size_t const block = (size_t)(2 * fields + 4 * pieces);
    for (size_t r = 0; r < 4; r++) {
        uint8_t *dst = group;
        for (int32_t b = 0; b < n_blocks; b++) {
            const uint8_t *src = rows[r] ? (const uint8_t *)rows[r] + (size_t)b * block : NULL;
            for (int i = 0; i < fields; i++, dst += 8)
                if (src) { chord_copy(dst + 2 * r, src, 2); src += 2; } else chord_zero(dst + 2 * r, 2);
            for (int i = 0; i < pieces; i++, dst += 16)
                if (src) { chord_copy(dst + 4 * r, src, 4); src += 4; } else chord_zero(dst + 4 * r, 4);
        }
    }
}

static inline void chord_x4_unpack(uint8_t *row, const uint8_t *group, int32_t r, int32_t n_blocks, int fields, int pieces)
{
    for (int32_t b = 0; b < n_blocks; b++) {
        for (int i = 0; i < fields; i++, group += 8, row += 2) chord_copy(row, group + 2 * r, 2);
        for (int i = 0; i < pieces; i++, group += 16, row += 4) chord_copy(row, group + 4 * r, 4);
    }
}

static inline bool chord_f16_finite(const uint8_t *p) { return (chord_u16(p) & 0x7c00) != 0x7c00; }

/* repack and unpack of a format; its check runs first on every row that is there */
#define CHORD_X4_FORMAT(block_elems, fields, pieces)                                          \
    static bool repack(void *group, const void *const rows[4], int32_t n_cols)                      \
    {                                                                                               \
        for (int r = 0; r < 4; r++)                                                                 \
            if (rows[r] && !check(rows[r], n_cols)) return false;                                   \
        chord_x4_pack(group, rows, n_cols / (block_elems), fields, pieces);                         \
        return true;                                                                                \
    }                                                                                               \
    static void unpack(void *row, const void *group, int32_t i, int32_t n_cols)                     \
    {                                                                                               \
        chord_x4_unpack(row, group, i, n_cols / (block_elems), fields, pieces);                     \
    }

#endif
