/* q5_0.c
 *
 *   block of 32:  | d f16 | h 4 bytes | q 16 bytes |            22 bytes
 *   the nibbles of byte j of q are the low four bits of elements j (low nibble) and j + 16 (high nibble)
 *   bit j of h is the fifth bit of element j
 *   w = d * (q - 16), q 0..31
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 22 };

void chord_decode_q5_0(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES, dst += 32) {
        float const d = chord_f16_f32(chord_u16(p));
        uint32_t const h = chord_u32(p + 2);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)((int)((p[6 + j] & 15) | (h >> j & 1) << 4) - 16);
            dst[j + 16] = d * (float)((int)(p[6 + j] >> 4 | (h >> (j + 16) & 1) << 4) - 16);
        }
    }
}
