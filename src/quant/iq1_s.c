/* iq1_s.c
 *
 *   block of 256:  | d f16 | g 32 bytes | h 8 of u16 |     50 bytes
 *   byte l of g, with three bits more, is the entry of the grid for elements 8 l .. 8 l + 7
 *   h number i belongs to elements 32 i .. 32 i + 31: three bits for each of the four bytes of g, three bits
 *     of scale, and one bit: 1/8 is subtracted from these elements, else added
 *   w = d / 8 * (2 scale + 1) * (8 times the grid's value + 1, or - 1)
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 50 };

void chord_read_iq1_s(chord_elements *to, const uint8_t *p, int32_t i)
{
    uint32_t const h = chord_u16(p + 34 + 2 * i);
    *to = (chord_elements){ chord_f16_f32(chord_u16(p)) * 0.125f * (float)(2 * (h >> 12 & 7) + 1),
                            { 1, 1 },
                            { 0 } };
    for (int l = 0; l < 4; l++)
        chord_own_ternary(to->q + 8 * l,
                          chord_iq_grids.iq1_s[h >> 15][p[2 + 4 * i + l] | (h >> 3 * l & 7) << 8]);
}

void chord_decode_iq1_s(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 256, BYTES, chord_read_iq1_s);
}
