/* iq2_xxs.c
 *
 *   block of 256:  | d f16 | 8 of: g 4 bytes, s u32 |     66 bytes
 *   g and s number i belong to elements 32 i .. 32 i + 31. Byte l of g is the entry of the grid for elements
 *     8 l .. 8 l + 7 of these, and bits 7 l .. 7 l + 6 of s are their first seven signs (own.h)
 *   the scale is the top four bits of s
 *   w = d / 8 * (2 scale + 1) * the grid's value
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 66 };

void chord_read_iq2_xxs(chord_elements *to, const uint8_t *p, int32_t i)
{
    uint32_t const s = chord_u32(p + 6 + 8 * i);
    *to = (chord_elements){ chord_f16_f32(chord_u16(p)) * 0.125f * (float)(2 * (s >> 28) + 1),
                            { 1, 1 },
                            { 0 } };
    for (int l = 0; l < 4; l++) {
        const uint8_t *const entry = chord_iq_grids.iq2_xxs[p[2 + 8 * i + l]];
        chord_own_signed(to->q + 8 * l, entry, entry + 4, chord_own_signs(s >> 7 * l & 127));
    }
}

void chord_decode_iq2_xxs(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 256, BYTES, chord_read_iq2_xxs);
}
