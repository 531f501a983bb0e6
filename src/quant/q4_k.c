/* q4_k.c
 *
 *   block of 256:  | d f16 | m f16 | s 12 bytes | q 128 bytes |    144 bytes
 *   scale i and offset i belong to elements 32 i .. 32 i + 31 and have six bits each
 *     i < 4:   scale i is the low six bits of s[i]; offset i is the low six bits of s[4 + i]
 *     i >= 4:  the low four bits are the low nibble (scale) and the high nibble (offset) of s[4 + i]; the
 *              high two bits are the top bits of s[i - 4] (scale) and of s[i] (offset)
 *   bytes 32 i .. 32 i + 31 of q hold elements 64 i .. 64 i + 63: byte 32 i + l holds element 64 i + l in
 *     its low nibble and element 64 i + 32 + l in its high nibble
 *   w = (d * scale) * q - m * offset, q 0..15, scale and offset 0..63
 *
 * A non-finite d or m is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 144 };

void chord_decode_q4_k(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES)
        for (int i = 0; i < 8; i++) {
            float const d = chord_f16_f32(chord_u16(p)) * (float)chord_k_scale(p + 4, i);
            float const m = chord_f16_f32(chord_u16(p + 2)) * (float)chord_k_offset(p + 4, i);
            for (int l = 0; l < 32; l++) *dst++ = d * (float)(p[16 + i / 2 * 32 + l] >> i % 2 * 4 & 15) - m;
        }
}
