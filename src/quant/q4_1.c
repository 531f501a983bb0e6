/* q4_1.c
 *
 *   block of 32:  | d f16 | m f16 | q 16 bytes |    20 bytes
 *   byte j of q holds element j in its low nibble and element j + 16 in its high nibble
 *   w = d * q + m, q 0..15
 *
 * A non-finite d or m is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 20 };

void chord_decode_q4_1(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES, dst += 32) {
        float const d = chord_f16_f32(chord_u16(p)), m = chord_f16_f32(chord_u16(p + 2));
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)(p[4 + j] & 15) + m;
            dst[j + 16] = d * (float)(p[4 + j] >> 4) + m;
        }
    }
}
