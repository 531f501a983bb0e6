/* x4.h: the interleave of four rows, one rule for every format.
 *
 * A block is cut into fields, pieces and single bytes: first the head, then each part. The group's block
 * holds them in the same order, each for rows 0..3:
 *
 *     row r:   | d    | piece 0 | piece 1 | ...
 *     group:   | d r0 r1 r2 r3 | p0 r0 r1 r2 r3 | p1 r0 r1 r2 r3 | ...
 *
 * A *field* is two bytes. In a group, the fields of four rows are side by side, such as four f16 scales. A
 * *piece* is four bytes. In a group, the pieces of four rows are a 16-byte vector whose 32-bit lanes are
 * rows. No byte is added. The inverse goes over the same fields and pieces in the same order. Nothing is
 * aligned: Q8_0's block in a group has 136 bytes, so its vectors may start at odd multiples of 8.
 *
 * A *part* is 32 elements with their scales. Where the file order scatters a part over the block, the record
 * (formats.def) lists the stretches of the part, and the bits that are moved first (`mix`). A kernel then
 * gets each code by a shift and a mask. A *plane* is the same bits of all codes of a part. In these pieces
 * of a plane, e is the element's index within the part:
 *
 *     bytes       eight pieces; byte b of piece v: e = 4 v + b
 *     nibbles     four pieces; byte b of piece v: e = 4 v + b in its low half, 16 + 4 v + b in its high half
 *     pairs       two pieces; bits 2 v, 2 v + 1 of byte b of piece i: e = 16 i + 4 v + b
 *     bits        one piece; bit u of byte b: e = 4 u + b
 *
 * Codes of two planes are packed within the group. A packed code takes half of the instructions to cut.
 * Code v = 0..7 of byte b is element e = 4 v + b. Codes 0 .. 5 (fives: 0 .. 4) are whole in a piece. The
 * bits above them hold the other codes, as chord_pack_runs lists:
 *
 *     sixes       six pieces; code v from bit 0 of piece v on
 *     fives       five pieces; code v from bit 0 of piece v on
 *     threes      three pieces; code 2 i from bit 0 of piece i on, code 2 i + 1 from bit 3 on
 *
 *               head                          one part                      parts per block
 *     F32                                     a piece: one element          1
 *     F16 BF16                                a field: one element          1
 *     Q1_0      d                             bits                          4
 *     Q2_0      d                             pairs                         2
 *     TQ2_0     d                             pairs                         8
 *     MXFP4     a byte                        nibbles                       1
 *     Q8_0      d                             bytes                         1
 *     Q4_0      d                             nibbles                       1
 *     Q4_1      d, m                          nibbles                       1
 *     IQ4_NL    d                             nibbles                       1
 *     IQ4_XS    d, a field, a piece           nibbles                       8
 *     Q5_0      d                             fives                         1
 *     Q5_1      d, m                          fives                         1
 *     Q2_K      d, m                          a field of scales, pairs      8
 *     Q3_K      d, three pieces of scales     threes                        8
 *     Q4_K      d, m, three pieces of scales  nibbles                       8
 *     Q5_K      d, m, three pieces of scales  fives                         8
 *     Q6_K      d                             a field of scales, sixes      8
 *
 * The formats of own.h have no planes: a part is the pieces, fields and bytes that the record lists. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_X4_H
#define CHORD_QUANT_X4_H
#include "../base/bytes.h"
#include "../base/half.h"
#include "../base/mem.h"
#include "quant.h"

enum { CHORD_X4_MOST = 256 }; /* maximum bytes of a block of codes */

/* chord_decode_q6_k() and so on, each in its file. */
#define FORMAT(id, NAME, file, ...) void chord_decode_##file(float *dst, const void *row, int32_t n_cols);
#include "formats.def"

/* The codes that aren't whole in a piece: `bits` bits of a code, from bit `to` on, are in a piece, from bit
 * `from` on. A list for each width of codes; bits 0 ends it. */
typedef struct chord_pack_run {
    uint8_t code, to, bits, piece, from;
} chord_pack_run;
static const chord_pack_run chord_pack_runs[7][8] = {
    [3] = { { 6, 0, 2, 0, 6 }, { 6, 2, 1, 2, 6 }, { 7, 0, 2, 1, 6 }, { 7, 2, 1, 2, 7 } },
    [5] = { { 5, 0, 3, 0, 5 },
            { 5, 3, 2, 1, 6 },
            { 6, 0, 3, 2, 5 },
            { 6, 3, 2, 3, 6 },
            { 7, 0, 3, 4, 5 },
            { 7, 3, 1, 1, 5 },
            { 7, 4, 1, 3, 5 } },
    [6] = { { 6, 0, 2, 0, 6 },
            { 6, 2, 2, 1, 6 },
            { 6, 4, 2, 2, 6 },
            { 7, 0, 2, 3, 6 },
            { 7, 2, 2, 4, 6 },
            { 7, 4, 2, 5, 6 } }
};

/* Converts Q3_K's twelve bytes of scales (q3_k.c) from file order to x4 order, or back. */
void chord_q3_scales_mix(uint8_t s[12], bool back);

#endif
