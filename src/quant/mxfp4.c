/* mxfp4.c
 *
 *   block of 32:  | e 1 byte | q 16 bytes |          17 bytes
 *   byte j of q holds element j in its low nibble and element j + 16 in its high nibble, each a float of
 *     four bits: a sign, two bits of exponent, one of mantissa
 *   w = 2 ^ (e - 128) * (chord_e2m1_codes[q] - 12): half of the scale, times twice the float
 *
 * e = 255, a NaN, is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 17 };

const uint8_t chord_e2m1_codes[16] = { 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0 };

void chord_decode_mxfp4(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES, dst += 32) {
        float const d = chord_e8m0_f32(p[0]);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)(chord_e2m1_codes[p[1 + j] & 15] - 12);
            dst[j + 16] = d * (float)(chord_e2m1_codes[p[1 + j] >> 4] - 12);
        }
    }
}
