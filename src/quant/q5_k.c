/* q5_k.c
 *
 *   block of 256:  | d f16 | m f16 | s 12 bytes | h 32 bytes | q 128 bytes |    176 bytes
 *   s as in q4_k.c
 *   bytes 32 i .. 32 i + 31 of q hold the low four bits of elements 64 i .. 64 i + 63: the low nibble of
 *     byte 32 i + l belongs to element 64 i + l, its high nibble to element 64 i + 32 + l
 *   bit j of byte l of h is the fifth bit of element 32 j + l
 *   w = (d * scale) * q - m * offset, q 0..31, scale and offset 0..63
 *
 * A non-finite d or m is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 176 };

void chord_decode_q5_k(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES)
        for (int i = 0; i < 8; i++) {
            float const d = chord_f16_f32(chord_u16(p)) * (float)chord_k_scale(p + 4, i);
            float const m = chord_f16_f32(chord_u16(p + 2)) * (float)chord_k_offset(p + 4, i);
            for (int l = 0; l < 32; l++) {
                int const q = (p[48 + i / 2 * 32 + l] >> i % 2 * 4 & 15) | (p[16 + l] >> i & 1) << 4;
                *dst++ = d * (float)q - m;
            }
        }
}
