/* q5_1.c
 *
 *   block of 32:  | d f16 | m f16 | h 4 bytes | q 16 bytes |    24 bytes
 *   q and h as in q5_0.c
 *   w = d * q + m, q 0..31
 *
 * A non-finite d or m is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 24 };

void chord_decode_q5_1(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES, dst += 32) {
        float const d = chord_f16_f32(chord_u16(p)), m = chord_f16_f32(chord_u16(p + 2));
        uint32_t const h = chord_u32(p + 4);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)((p[8 + j] & 15) | (h >> j & 1) << 4) + m;
            dst[j + 16] = d * (float)(p[8 + j] >> 4 | (h >> (j + 16) & 1) << 4) + m;
        }
    }
}
