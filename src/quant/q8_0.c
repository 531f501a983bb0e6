/* q8_0.c
 *
 *   block of 32:  | d f16 | q 32 signed bytes |     34 bytes
 *   w = d * q, q -127..127
 *
 * A non-finite d is refused (see q4_0.c), and so is the code -128: no known quantiser writes it, and its
 * magnitude doesn't fit the seven-bit operand of the relaxed dot product. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 34 };

static void decode(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES, dst += 32) {
        float const d = chord_f16_f32(chord_u16(p));
        for (int j = 0; j < 32; j++) dst[j] = d * (float)(int8_t)p[2 + j];
    }
}

static bool check(const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES) {
        int wrong = !chord_f16_finite(p); /* no way out of the loop: it becomes one of vectors */
        for (int j = 0; j < 32; j++) wrong |= p[2 + j] == 0x80;
        if (wrong) return false;
    }
    return true;
}

CHORD_X4_FORMAT(32, 1, 8)

const chord_format chord_format_q8_0 = { CHORD_Q8_0, "Q8_0", 32, BYTES, CHORD_ACT_Q8, 0, -1, decode, repack, unpack, check };
