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
 *     IQ4_NL      1       4     Q4_0's
 *     IQ4_XS      2      33     one of four rows' scales_l, then Q4_0's, eight times
 *
 * So a vector's 32-bit lanes are rows, four scales are eight bytes, no byte is added and the inverse is
 * the same walk. Nothing is aligned: Q8_0's block is 136 bytes, its vectors begin at odd multiples of 8.
 *
 * The other types first change each row's block by itself (`order`), so that 32 elements lie together in a *part*
 * and its planes of bits fall to the bytes that they belong to by a shift and a mask. After that, with e the element
 * within the part, a part's pieces are
 *
 *     nibbles     four; byte b of piece v: e = 4 v + b in the low half, 16 + 4 v + b in the high one: Q4_0's order
 *     pairs       two; bits 2 v, 2 v + 1 of byte b of piece i: e = 16 i + 4 v + b
 *     bits        one; bit u of byte b: e = 4 u + b
 *
 *               head                          a part, and how many
 *     Q5_0      d                             bits, nibbles                    1
 *     Q5_1      d, m                          bits, nibbles                    1
 *     Q2_K      d, dmin                       a field of scales, pairs         8
 *     Q3_K      d, three pieces of scales     bits, pairs                      8
 *     Q4_K      d, dmin, three of scales      nibbles                          8
 *     Q5_K      d, dmin, three of scales      bits, nibbles                    8
 *     Q6_K      d                             a field of scales, pairs, nibbles  8 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_X4_H
#define CHORD_QUANT_X4_H
#include "../base/bytes.h"
#include "../base/half.h"
#include "../base/mem.h"
#include "quant.h"

/* A block's cells: a head of fields and pieces, then parts of them. */
typedef struct chord_x4_shape {
    int fields, pieces, parts, part_fields, part_pieces;
} chord_x4_shape;
enum { CHORD_X4_MOST = 256 }; /* bytes of the largest block that has an order */

/* From a block of the file to one in a group's order, and back: either side may be used up. */
typedef void chord_x4_order(uint8_t *x4, uint8_t *file, bool back);

/* The same of one block of each row that is there (not NULL): the file's stay as they are. */
typedef void chord_x4_order_rows(uint8_t x4[4][CHORD_X4_MOST], const uint8_t *const file[4]);

/* Four rows into a group; NULL is a row of zeros. `block` <= CHORD_X4_MOST bytes; `order` may be NULL, here and below. */
void chord_x4_pack(void *group, const void *const rows[4], int32_t n_blocks, size_t block, chord_x4_shape s, chord_x4_order_rows *order);
/* Row r of a group. */
void chord_x4_unpack(void *row, const void *group, int32_t r, int32_t n_blocks, size_t block, chord_x4_shape s, chord_x4_order *order);

/* ---- planes of bits: each of these is its own inverse, but for the last pair ------------------------ */

static inline void chord_put_u32(uint8_t *p, uint32_t v) { chord_copy(p, &v, 4); }

/* 32 bytes whose low nibbles are 32 elements and whose high ones 32 others -> nibbles of these, nibbles of those. */
static inline void chord_x4_nibbles(uint8_t p[32])
{
    for (int j = 0; j < 16; j++) {
        uint8_t const a = p[j], b = p[j + 16];
        p[j] = (uint8_t)((a & 15) | b << 4);
        p[j + 16] = (uint8_t)(a >> 4 | (b & 0xf0));
    }
}

/* 32 bytes, bits 2 s and 2 s + 1 of byte e belong to element e of run s = 0..3 -> the first piece of pairs of each
 * run, then the second of each. */
static inline void chord_x4_pairs(uint8_t p[32])
{
    for (int i = 0; i < 2; i++, p += 16) {
        uint32_t w[4];
        for (int v = 0; v < 4; v++) w[v] = chord_u32(p + 4 * v);
        for (int s = 0; s < 4; s++) {
            uint32_t run = 0;
            for (int v = 0; v < 4; v++) run |= (w[v] >> 2 * s & 0x03030303) << 2 * v;
            chord_put_u32(p + 4 * s, run);
        }
    }
}

/* 32 bytes, bit s of byte e belongs to element e of run s = 0..7 -> the bits of each run. */
static inline void chord_x4_bits(uint8_t p[32])
{
    uint32_t w[8];
    for (int u = 0; u < 8; u++) w[u] = chord_u32(p + 4 * u);
    for (int s = 0; s < 8; s++) {
        uint32_t run = 0;
        for (int u = 0; u < 8; u++) run |= (w[u] >> s & 0x01010101) << u;
        chord_put_u32(p + 4 * s, run);
    }
}

/* Four bytes, bit e belongs to element e -> bits, and back. The products move bit b of a nibble to bit 8 b, and bit
 * 8 b to bit 24 + b, without a carry. */
static inline void chord_x4_spread(uint8_t p[4])
{
    uint32_t const flat = chord_u32(p);
    uint32_t spread = 0;
    for (int u = 0; u < 8; u++) spread |= ((flat >> 4 * u & 15) * 0x00204081 & 0x01010101) << u;
    chord_put_u32(p, spread);
}
static inline void chord_x4_gather(uint8_t p[4])
{
    uint32_t const spread = chord_u32(p);
    uint32_t flat = 0;
    for (int u = 0; u < 8; u++) flat |= ((spread >> u & 0x01010101) * 0x01020408 >> 24 & 15) << 4 * u;
    chord_put_u32(p, flat);
}

/* n bytes from one side of an order to the other. */
static inline void chord_x4_move(uint8_t *x4, uint8_t *file, size_t n, bool back)
{
    if (back) chord_copy(file, x4, n);
    else chord_copy(x4, file, n);
}

static inline bool chord_f16_finite(const uint8_t *p) { return (chord_u16(p) & 0x7c00) != 0x7c00; }

/* repack and unpack of a format; its check runs first on every row that is there */
#define CHORD_X4_REPACK(block_elems, block_bytes, shape, order, order_rows)                           \
    static bool repack(void *group, const void *const rows[4], int32_t n_cols)                      \
    {                                                                                               \
        for (int r = 0; r < 4; r++)                                                                 \
            if (rows[r] && !check(rows[r], n_cols)) return false;                                   \
        chord_x4_pack(group, rows, n_cols / (block_elems), block_bytes, shape, order_rows);         \
        return true;                                                                                \
    }                                                                                               \
    static void unpack(void *row, const void *group, int32_t i, int32_t n_cols)                     \
    {                                                                                               \
        chord_x4_unpack(row, group, i, n_cols / (block_elems), block_bytes, shape, order);          \
    }
#define CHORD_X4_FORMAT_OF(block_elems, block_bytes, shape, order)                                  \
    static void order_rows(uint8_t x4[4][CHORD_X4_MOST], const uint8_t *const file[4])              \
    {                                                                                               \
        for (int r = 0; r < 4; r++) {                                                               \
            uint8_t copy[block_bytes];                                                              \
            if (!file[r]) continue;                                                                 \
            chord_copy(copy, file[r], block_bytes);                                                 \
            order(x4[r], copy, false);                                                              \
        }                                                                                           \
    }                                                                                               \
    CHORD_X4_REPACK(block_elems, block_bytes, shape, order, order_rows)
/* without an order, fields then pieces */
#define CHORD_X4_FORMAT(block_elems, fields, pieces)                                                \
    CHORD_X4_REPACK(block_elems, 2 * (fields) + 4 * (pieces), ((chord_x4_shape){ fields, pieces, 0, 0, 0 }), NULL, NULL)

#endif
