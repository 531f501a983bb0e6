/* q3_k.c
 *
 *   block of 256:  | h 32 bytes | q 64 bytes | s 12 bytes | d f16 |    110 bytes
 *   bytes 32 i .. 32 i + 31 of q hold the low two bits of elements 128 i .. 128 i + 127: bits 2 j, 2 j + 1
 *     of byte 32 i + l belong to element 128 i + 32 j + l
 *   bit j of byte l of h is the third bit of element 32 j + l
 *   scale i belongs to elements 16 i .. 16 i + 15; its low four bits are the low (i < 8) or high (i >= 8)
 *     nibble of s[i % 8], its high two bits start at bit i / 4 * 2 of s[8 + i % 4]
 *   w = (d * (scale - 32)) * (q - 4), q 0..7, scale 0..63
 *
 * In x4 order, byte j (0..7) of the scales holds the low four bits of scales 2 j and 2 j + 1. Nibble j
 * (0..7) of the last four bytes holds the high two bits of both.
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
            int const low = p[32 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
            int const high = p[i % 32] >> i / 32 & 1;
            int const q = low | high << 2;
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
