/* tq2_0.c
 *
 *   block of 256:  | q 64 bytes | d f16 |            66 bytes
 *   bits 2 s, 2 s + 1 of byte 32 h + j of q are element 128 h + 32 s + j
 *   w = d * (q - 1), q 0..3; a file of a ternary model never holds 3, but the format allows it
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 66 };

void chord_decode_tq2_0(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES) {
        float const d = chord_f16_f32(chord_u16(p + 64));
        for (int i = 0; i < 256; i++)
            *dst++ = d * (float)((p[i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3) - 1);
    }
}
