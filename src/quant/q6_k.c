/* q6_k.c
 *
 *   block of 256:  | q 128 bytes | h 64 bytes | s 16 signed bytes | d f16 |    210 bytes
 *   byte l of 64 bytes of q: the low bits of element l of their 128 in its low nibble, of 64 + l in its high nibble
 *   bits 2 j, 2 j + 1 of byte l of 32 bytes of h: the high bits of element 32 j + l of their 128
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
