/* q5_0.c
 *
 *   block of 32:  | d f16 | h 4 bytes | q 16 bytes |            22 bytes
 *   byte j of q holds the low four bits of element j in its low nibble, of element j + 16 in its high nibble;
 *   bit j of h is the fifth bit of element j
 *   w = d * (q - 16), q 0..31
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 22 };

static void decode(float *dst, const void *row, int32_t n_cols)
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

static void order(uint8_t *x4, uint8_t *file, bool back)
{
    if (!back) chord_x4_spread(file + 2);
    chord_x4_move(x4, file, BYTES, back);
    if (back) chord_x4_gather(file + 2);
}

static bool check(const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES)
        if (!chord_f16_finite(p)) return false;
    return true;
}

CHORD_X4_FORMAT_OF(32, BYTES, ((chord_x4_shape){ 1, 5, 0, 0, 0 }), order)

const chord_format chord_format_q5_0 = { CHORD_Q5_0, "Q5_0", 32, BYTES, CHORD_ACT_Q8, 0, -1, decode, repack, unpack, check };
