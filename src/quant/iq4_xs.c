/* iq4_xs.c
 *
 *   block of 256:  | d f16 | h u16 | l 4 bytes | q 128 bytes |    136 bytes
 *   scale i belongs to elements 32 i .. 32 i + 31; its low four bits are nibble i of l, its high two bits
 *     are bits 2 i, 2 i + 1 of h
 *   bytes 16 i .. 16 i + 15 of q hold elements 32 i .. 32 i + 31: byte 16 i + j holds element 32 i + j in
 *     its low nibble and element 32 i + 16 + j in its high nibble
 *   w = (d * (scale - 32)) * chord_iq4_values[q], scale 0..63
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 136 };

void chord_decode_iq4_xs(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES)
        for (int i = 0; i < 8; i++, dst += 32) {
            int const scale = (int)((chord_u32(p + 4) >> 4 * i & 15) |
                                    (uint32_t)(chord_u16(p + 2) >> 2 * i & 3) << 4);
            float const d = chord_f16_f32(chord_u16(p)) * (float)(scale - 32);
            for (int j = 0; j < 16; j++) {
                dst[j] = d * (float)chord_iq4_values[p[8 + 16 * i + j] & 15];
                dst[j + 16] = d * (float)chord_iq4_values[p[8 + 16 * i + j] >> 4];
            }
        }
}
