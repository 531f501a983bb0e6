/* iq1_m.c
 *
 *   block of 256:  | g 32 bytes | h 16 bytes | s 4 of u16 |     56 bytes
 *   byte l of g, with three bits more, is the entry of IQ1_S's grid for elements 8 l .. 8 l + 7; the three
 *     bits are the low ones of nibble l of h. Its top bit: 1/8 is subtracted from these elements, else added
 *   three bits i % 4 of s number i / 4 are the scale of elements 16 i .. 16 i + 15
 *   the top four bits of each s, the first lowest, are d, an f16
 *   w = d / 8 * (2 scale + 1) * (8 times the grid's value + 1, or - 1)
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 56 };

void chord_read_iq1_m(chord_elements *to, const uint8_t *p, int32_t i)
{
    uint32_t const s = chord_u16(p + 48 + i / 2 * 2) >> i % 2 * 6;
    uint16_t const d = (uint16_t)(chord_u16(p + 48) >> 12 | (chord_u16(p + 50) >> 12) << 4 |
                                  (chord_u16(p + 52) >> 12) << 8 | (chord_u16(p + 54) >> 12) << 12);
    *to = (chord_elements){ chord_f16_f32(d) * 0.125f,
                            { (int32_t)(2 * (s & 7) + 1), (int32_t)(2 * (s >> 3 & 7) + 1) },
                            { 0 } };
    for (int l = 0; l < 4; l++) {
        uint32_t const h = p[32 + 2 * i + l / 2] >> l % 2 * 4;
        chord_own_ternary(to->q + 8 * l, chord_iq_grids.iq1_s[h >> 3 & 1][p[4 * i + l] | (h & 7) << 8]);
    }
}

void chord_decode_iq1_m(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 256, BYTES, chord_read_iq1_m);
}
