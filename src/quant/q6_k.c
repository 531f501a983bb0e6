/* q6_k.c
 *
 *   block of 256:  | q 128 bytes | h 64 bytes | s 16 signed bytes | d f16 |    210 bytes
 *   byte l of 64 bytes of q: the low bits of element l of their 128 in its low nibble, of 64 + l in its high nibble
 *   bits 2 j, 2 j + 1 of byte l of 32 bytes of h: the high bits of element 32 j + l of their 128
 *   w = (d * s[i / 16]) * (q - 32), q 0..63
 *
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 210 };

static void decode(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES) {
        float const d = chord_f16_f32(chord_u16(p + 208));
        for (int i = 0; i < 256; i++) {
            int const low = p[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15;
            int const high = p[128 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
            *dst++ = d * (float)(int8_t)p[192 + i / 16] * (float)((low | high << 4) - 32);
        }
    }
}

static void planes(uint8_t *file)
{
    for (int i = 0; i < 4; i++) chord_x4_nibbles(file + 32 * i);
    for (int i = 0; i < 2; i++) chord_x4_pairs(file + 128 + 32 * i);
}

static void order(uint8_t *x4, uint8_t *file, bool back)
{
    if (!back) planes(file);
    chord_x4_move(x4, file + 208, 2, back);
    for (int i = 0; i < 8; i++) {
        uint8_t *part = x4 + 2 + 26 * i, *h = file + 128 + i / 4 * 32 + i % 4 * 4;
        chord_x4_move(part, file + 192 + 2 * i, 2, back);
        chord_x4_move(part + 2, h, 4, back);
        chord_x4_move(part + 6, h + 16, 4, back);
        chord_x4_move(part + 10, file + i / 4 * 64 + i % 2 * 32 + i % 4 / 2 * 16, 16, back);
    }
    if (back) planes(file);
}

static bool check(const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES)
        if (!chord_f16_finite(p + 208)) return false;
    return true;
}

CHORD_X4_FORMAT_OF(256, BYTES, ((chord_x4_shape){ 1, 0, 8, 1, 6 }), order)

const chord_format chord_format_q6_k = { CHORD_Q6_K, "Q6_K", 256, BYTES, CHORD_ACT_Q8, 208, -1, decode, repack, unpack, check };
