/* iq4_nl.c
 *
 *   block of 32:  | d f16 | q 16 bytes |            18 bytes
 *   byte j of q holds element j in its low nibble and element j + 16 in its high nibble
 *   w = d * chord_iq4_values[q]
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 18 };

const int8_t chord_iq4_values[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
};

void chord_decode_iq4_nl(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES, dst += 32) {
        float const d = chord_f16_f32(chord_u16(p));
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)chord_iq4_values[p[2 + j] & 15];
            dst[j + 16] = d * (float)chord_iq4_values[p[2 + j] >> 4];
        }
    }
}
