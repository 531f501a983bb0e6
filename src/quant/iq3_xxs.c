/* iq3_xxs.c
 *
 *   block of 256:  | d f16 | g 64 bytes | s 8 of u32 |     98 bytes
 *   byte l of g is the entry of the grid for elements 4 l .. 4 l + 3
 *   s number i belongs to elements 32 i .. 32 i + 31. Its bits 7 l .. 7 l + 6 are the first seven signs of
 *     elements 8 l .. 8 l + 7 of these (own.h), its top four bits are the scale
 *   w = d / 2 * (2 scale + 1) * half of the grid's value
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 98 };

void chord_read_iq3_xxs(chord_elements *to, const uint8_t *p, int32_t i)
{
    const uint8_t *const g = p + 2 + 8 * i;
    uint32_t const s = chord_u32(p + 66 + 4 * i);
    *to =
        (chord_elements){ chord_f16_f32(chord_u16(p)) * 0.5f * (float)(2 * (s >> 28) + 1), { 1, 1 }, { 0 } };
    for (int l = 0; l < 4; l++)
        chord_own_signed(to->q + 8 * l, chord_iq_grids.iq3_xxs[g[2 * l]],
                         chord_iq_grids.iq3_xxs[g[2 * l + 1]], chord_own_signs(s >> 7 * l & 127));
}

void chord_decode_iq3_xxs(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 256, BYTES, chord_read_iq3_xxs);
}
