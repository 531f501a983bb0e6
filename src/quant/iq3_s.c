/* iq3_s.c
 *
 *   block of 256:  | d f16 | g 64 bytes | h 8 bytes | signs 32 bytes | s 4 bytes |     110 bytes
 *   byte l of g, with bit l of h above it, is the entry of the grid for elements 4 l .. 4 l + 3
 *   bit k of byte l of signs: element 8 l + k is negative
 *   nibble i of s is the scale of elements 32 i .. 32 i + 31
 *   w = d * (2 scale + 1) * the grid's value
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 110 };

void chord_read_iq3_s(chord_elements *to, const uint8_t *p, int32_t i)
{
    const uint8_t *const g = p + 2 + 8 * i;
    uint32_t const h = p[66 + i];
    int32_t const scale = p[106 + i / 2] >> i % 2 * 4 & 15;
    *to = (chord_elements){ chord_f16_f32(chord_u16(p)) * (float)(2 * scale + 1), { 1, 1 }, { 0 } };
    for (int l = 0; l < 4; l++)
        chord_own_signed(to->q + 8 * l, chord_iq_grids.iq3_s[g[2 * l] | (h >> 2 * l & 1) << 8],
                         chord_iq_grids.iq3_s[g[2 * l + 1] | (h >> (2 * l + 1) & 1) << 8], p[74 + 4 * i + l]);
}

void chord_decode_iq3_s(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 256, BYTES, chord_read_iq3_s);
}
