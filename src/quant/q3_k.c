/* q3_k.c
 *
 *   block of 256:  | h 32 bytes | q 64 bytes | s 12 bytes | d f16 |    110 bytes
 *   bits 2 j, 2 j + 1 of byte l of 32 bytes of q: the low bits of element 32 j + l of their 128
 *   bit j of byte l of h: the third bit of element 32 j + l
 *   scale i of elements 16 i .. 16 i + 15: the low four bits in s[i % 8], its low nibble for i < 8; the high two
 *   at bit i / 4 * 2 of s[8 + i % 4]
 *   w = (d * (scale - 32)) * (q - 4), q 0..7, scale 0..63
 *
 * In a group byte j of the first eight of scales is the low bits of scale 2 j and of scale 2 j + 1, nibble j of the
 * other four bytes the high two bits of both.
 * A non-finite d is refused (see q4_0.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

enum { BYTES = 110 };

static void scales_of(uint8_t scale[16], const uint8_t s[12])
{
    for (int i = 0; i < 16; i++)
        scale[i] = (uint8_t)((s[i % 8] >> i / 8 * 4 & 15) | (s[8 + i % 4] >> i / 4 * 2 & 3) << 4);
}

void chord_decode_q3_k(float *dst, const void *row, int32_t n_cols)
{
    const uint8_t *p = row;
    for (int32_t b = 0; b < n_cols / 256; b++, p += BYTES) {
        float const d = chord_f16_f32(chord_u16(p + 108));
        uint8_t scale[16];
        scales_of(scale, p + 96);
        for (int i = 0; i < 256; i++) {
            int const q = (p[32 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) | (p[i % 32] >> i / 32 & 1) << 2;
            *dst++ = d * (float)(scale[i / 16] - 32) * (float)(q - 4);
        }
    }
}

void chord_q3_scales_mix(uint8_t s[12], bool back)
{
    uint8_t scale[16];
    if (!back) scales_of(scale, s);
    else
        for (int i = 0; i < 16; i++)
            scale[i] = (uint8_t)((s[i / 2] >> i % 2 * 4 & 15) | (s[8 + i / 4] >> i % 4 * 2 & 3) << 4);
    chord_zero(s, 12);
    for (int i = 0; i < 16; i++) {
        int const low = scale[i] & 15, high = scale[i] >> 4;
        s[back ? i % 8 : i / 2] |= (uint8_t)(low << (back ? i / 8 * 4 : i % 2 * 4));
        s[8 + (back ? i % 4 : i / 4)] |= (uint8_t)(high << (back ? i / 4 * 2 : i % 4 * 2));
    }
}
