/* q1_0.c
 *
 *   block of 128:  | d f16 | q 16 bytes |            18 bytes
 *   bit i of byte j of q is element 8 j + i
 *   w = d * (2 * q - 1), q 0..1
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 18 };

void chord_decode_q1_0(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 128; b++, p += BYTES) {
        float const d = chord_f16_f32(chord_u16(p));
        for (int i = 0; i < 128; i++) *dst++ = p[2 + i / 8] >> i % 8 & 1 ? d : -d;
    }
}
