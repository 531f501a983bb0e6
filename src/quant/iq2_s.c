/* iq2_s.c
 *
 *   block of 256:  | d f16 | g 32 bytes | signs 32 bytes | h 8 bytes | s 8 bytes |     82 bytes
 *   byte l of g, with two bits more, is the entry of the grid for elements 8 l .. 8 l + 7; the two bits are
 *     pair l % 4 of byte l / 4 of h
 *   bit k of byte l of signs: element 8 l + k is negative
 *   nibble i of s is the scale of elements 16 i .. 16 i + 15
 *   w = d / 8 * (2 scale + 1) * the grid's value
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 82 };

void chord_read_iq2_s(chord_elements *to, const uint8_t *p, int32_t i)
{
    uint8_t const s = p[74 + i];
    *to = (chord_elements){ chord_f16_f32(chord_u16(p)) * 0.125f,
                            { 2 * (s & 15) + 1, 2 * (s >> 4) + 1 },
                            { 0 } };
    for (int l = 0; l < 4; l++) {
        uint32_t const high = p[66 + i] >> 2 * l & 3;
        const uint8_t *const entry = chord_iq_grids.iq2_s[p[2 + 4 * i + l] | high << 8];
        chord_own_signed(to->q + 8 * l, entry, entry + 4, p[34 + 4 * i + l]);
    }
}

void chord_decode_iq2_s(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 256, BYTES, chord_read_iq2_s);
}
