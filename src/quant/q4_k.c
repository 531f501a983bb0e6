/* q4_k.c
 *
 *   block of 256:  | d f16 | m f16 | s 12 bytes | q 128 bytes |    144 bytes
 *   s: scale and offset of elements 32 i .. 32 i + 31, six bits each: for i < 4 the low six bits of s[i] and of
 *   s[4 + i]; else their low four bits in the low and the high nibble of s[4 + i], their high two in the top bits of
 *   s[i - 4] and of s[i]
 *   byte l of 32 bytes of q: element l of their 64 in its low nibble, element 32 + l in its high nibble
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
