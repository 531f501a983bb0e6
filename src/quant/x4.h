/* x4.h: the interleave of four rows, one rule for every format.
 *
 * A block is cut into *cells* of one, two or four bytes: the head's, then each part's. The group's block holds the cells
 * in the same order, each for rows 0..3:
 *
 *     row r:   | d    | piece 0 | piece 1 | ...
 *     group:   | d r0 r1 r2 r3 | p0 r0 r1 r2 r3 | p1 r0 r1 r2 r3 | ...
 *
 * A cell of two bytes is called a *field* (four scales, side by side), one of four bytes a *piece* (a 16-byte vector whose
 * 32-bit lanes are rows). No byte is added and the inverse is the same walk. Nothing is aligned: Q8_0's block is 136 bytes,
 * its vectors begin at odd multiples of 8.
 *
 * A *part* is 32 elements with what scales them. Where a format's own order scatters a part over its block, the record
 * (formats.def) says where the part's stretches lie, and which bits change place first (`mix`), so that each plane falls
 * to the bytes that it belongs to by a shift and a mask. With e the element within the part, a part's pieces are then
 *
 *     bytes       eight; byte b of piece v: e = 4 v + b
 *     nibbles     four; byte b of piece v: e = 4 v + b in the low half, 16 + 4 v + b in the high one
 *     pairs       two; bits 2 v, 2 v + 1 of byte b of piece i: e = 16 i + 4 v + b
 *     bits        one; bit u of byte b: e = 4 u + b
 *
 *               head                          a part, and how many
 *     F32                                     one piece, an element         one an element
 *     F16 BF16                                one field, an element         one an element
 *     Q1_0      d                             bits                          4
 *     Q2_0      d                             pairs                         2
 *     Q8_0      d                             bytes                         1
 *     Q4_0      d                             nibbles                       1
 *     Q4_1      d, m                          nibbles                       1
 *     IQ4_NL    d                             nibbles                       1
 *     IQ4_XS    d, a field, a piece           nibbles                       8
 *     Q5_0      d                             bits, nibbles                 1
 *     Q5_1      d, m                          bits, nibbles                 1
 *     Q2_K      d, m                          a field of scales, pairs      8
 *     Q3_K      d, three pieces of scales     bits, pairs                   8
 *     Q4_K      d, m, three of scales         nibbles                       8
 *     Q5_K      d, m, three of scales         bits, nibbles                 8
 *     Q6_K      d                             a field of scales, pairs, nibbles  8 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_X4_H
#define CHORD_QUANT_X4_H
#include "../base/bytes.h"
#include "../base/half.h"
#include "../base/mem.h"
#include "quant.h"

enum { CHORD_X4_MOST = 256 }; /* bytes of the largest block that is mixed, or of several parts */

/* chord_decode_q6_k and so on, each in its file. */
#define FORMAT(id, NAME, file, ...) void chord_decode_##file(float *dst, const void *row, int32_t n_cols);
#include "formats.def"

/* Q3_K's twelve bytes of scales (q3_k.c), from the file's order to a group's, or back. */
void chord_q3_scales_mix(uint8_t s[12], bool back);

#endif
