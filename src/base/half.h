/* half.h: f16 and bf16, one value at a time. The vector forms in simd.h return the same bits. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_HALF_H
#define CHORD_BASE_HALF_H
#include <stdint.h>

static inline float chord_bits_f32(uint32_t u)
{
    float f;
    __builtin_memcpy(&f, &u, 4);
    return f;
}
static inline uint32_t chord_f32_bits(float f)
{
    uint32_t u;
    __builtin_memcpy(&u, &f, 4);
    return u;
}

/* The conversion is exact for zero, subnormal and normal numbers. Inf stays inf, NaN stays NaN. The
 * multiplication by 2^112 re-biases the exponent and normalises subnormals in one step. */
static inline float chord_f16_f32(uint16_t h)
{
    uint32_t const sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t const magnitude = (uint32_t)(h & 0x7fff) << 13;
    if ((h & 0x7c00) == 0x7c00) return chord_bits_f32(sign | 0x7f800000u | magnitude);
    return chord_bits_f32(sign | chord_f32_bits(chord_bits_f32(magnitude) * 0x1p112f));
}

/* Rounds to even and saturates at 65504, because a KV cache must not hold inf. NaN stays NaN. */
static inline uint16_t chord_f32_f16(float f)
{
    uint32_t const u = chord_f32_bits(f), sign = (u >> 16) & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7bff); /* 65520 and more, inf */
    if (a < 0x38800000) {                                  /* subnormal in f16: the f32 addition rounds */
        float const r = chord_bits_f32(a) + 0.5f; /* an ulp of [0.5, 1) is 2^-24, f16's smallest step */
        return (uint16_t)(sign | (chord_f32_bits(r) - 0x3f000000));
    }
    uint32_t const r = a + 0xfff + ((a >> 13) & 1);
    return (uint16_t)(sign | ((r - 0x38000000) >> 13));
}

static inline float chord_bf16_f32(uint16_t h) { return chord_bits_f32((uint32_t)h << 16); }

#endif
