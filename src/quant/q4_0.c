/* q4_0.c
 *
 *   block of 32:  | d f16 | q 16 bytes |            18 bytes
 *   byte j of q holds element j in its low nibble and element j + 16 in its high nibble
 *   w = d * (q - 8), q 0..15
 *
 * A non-finite d is refused: the kernels widen it by a multiplication that would turn inf into 65536. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 18 };

void chord_decode_q4_0(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES, dst += 32) {
        float const d = chord_f16_f32(chord_u16(p));
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)((p[2 + j] & 15) - 8);
            dst[j + 16] = d * (float)((p[2 + j] >> 4) - 8);
        }
    }
}
