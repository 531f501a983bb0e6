/* q8_0.c
 *
 *   block of 32:  | d f16 | q 32 signed bytes |     34 bytes
 *   w = d * q, q -127..127
 *
 * A non-finite d is refused (see q4_0.c). The code -128 is refused too: no known quantiser writes it, and
 * its magnitude doesn't fit the seven-bit operand of the relaxed dot product. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 34 };

void chord_decode_q8_0(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES, dst += 32) {
        float const d = chord_f16_f32(chord_u16(p));
        for (int j = 0; j < 32; j++) dst[j] = d * (float)(int8_t)p[2 + j];
    }
}
