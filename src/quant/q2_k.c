/* q2_k.c
 *
 *   block of 256:  | s 16 bytes | q 64 bytes | d f16 | m f16 |    84 bytes
 *   byte i of s: its low nibble is the scale of elements 16 i .. 16 i + 15, its high nibble their offset
 *   bytes 32 i .. 32 i + 31 of q hold elements 128 i .. 128 i + 127: bits 2 j, 2 j + 1 of byte 32 i + l are
 *     element 128 i + 32 j + l
 *   w = (d * scale) * q - m * offset, q 0..3, scale and offset 0..15
 *
 * A non-finite d or m is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 84 };

void chord_decode_q2_k(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES)
        for (int i = 0; i < 256; i++) {
            float const d = chord_f16_f32(chord_u16(p + 80)), m = chord_f16_f32(chord_u16(p + 82));
            int const q = p[16 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3, s = p[i / 16];
            *dst++ = d * (float)(s & 15) * (float)q - m * (float)(s >> 4);
        }
}
