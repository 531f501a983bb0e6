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

static void decode(float *dst, const void *row, int32_t n_cols)
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

static void order(uint8_t *x4, uint8_t *file, bool back)
{
    if (!back) chord_x4_spread(file + 4);
    chord_x4_move(x4, file, BYTES, back);
    if (back) chord_x4_gather(file + 4);
}

static bool check(const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 32; b++, p += BYTES)
        if (!chord_f16_finite(p) || !chord_f16_finite(p + 2)) return false;
    return true;
}

CHORD_X4_FORMAT_OF(32, BYTES, ((chord_x4_shape){ 2, 5, 0, 0, 0 }), order)

const chord_format chord_format_q5_1 = { CHORD_Q5_1, "Q5_1", 32, BYTES, CHORD_ACT_Q8, 0, 2, decode, repack, unpack, check };
