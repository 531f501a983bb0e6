/* iq2_xs.c
 *
 *   block of 256:  | d f16 | q 32 of u16 | s 8 bytes |     74 bytes
 *   q number l belongs to elements 8 l .. 8 l + 7: nine bits are the entry of the grid, seven bits their
 *     first signs (own.h)
 *   nibble i of s is the scale of elements 16 i .. 16 i + 15
 *   w = d / 8 * (2 scale + 1) * the grid's value
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

enum { BYTES = 74 };

void chord_read_iq2_xs(chord_elements *to, const uint8_t *p, int32_t i)
{
    uint8_t const s = p[66 + i];
    *to = (chord_elements){ chord_f16_f32(chord_u16(p)) * 0.125f,
                            { 2 * (s & 15) + 1, 2 * (s >> 4) + 1 },
                            { 0 } };
    for (int l = 0; l < 4; l++) {
        uint32_t const q = chord_u16(p + 2 + 8 * i + 2 * l);
        const uint8_t *const entry = chord_iq_grids.iq2_xs[q & 511];
        chord_own_signed(to->q + 8 * l, entry, entry + 4, chord_own_signs(q >> 9));
    }
}

void chord_decode_iq2_xs(float *dst, const void *row, int32_t n_cols)
{
    chord_own_decode(dst, row, n_cols, 256, BYTES, chord_read_iq2_xs);
}
