/* q6_k.c
 *
 *   block of 256:  | q 128 bytes | h 64 bytes | s 16 signed bytes | d f16 |    210 bytes
 *   bytes 64 i .. 64 i + 63 of q hold the low four bits of elements 128 i .. 128 i + 127: the low nibble of
 *     byte 64 i + l belongs to element 128 i + l, its high nibble to element 128 i + 64 + l
 *   bytes 32 i .. 32 i + 31 of h hold the high two bits of elements 128 i .. 128 i + 127: bits 2 j, 2 j + 1
 *     of byte 32 i + l belong to element 128 i + 32 j + l
 *   w = (d * s[i / 16]) * (q - 32), q 0..63
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 210 };

void chord_decode_q6_k(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES) {
        float const d = chord_f16_f32(chord_u16(p + 208));
        for (int i = 0; i < 256; i++) {
            int const low = p[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15;
            int const high = p[128 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
            *dst++ = d * (float)(int8_t)p[192 + i / 16] * (float)((low | high << 4) - 32);
        }
    }
}
