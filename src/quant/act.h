/* act.h: the layout of q8 activations (quant.h) and their scalar quantiser, the specification. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_ACT_H
#define CHORD_QUANT_ACT_H
#include "../base/half.h"
#include "quant.h"

/* Addresses of the scales, the block sums and the half sums in a q8 row of n activations. */
static inline const uint8_t *chord_q8_d(const void *row, int32_t n)
{
    return (const uint8_t *)row + (size_t)n;
}
static inline const uint8_t *chord_q8_s(const void *row, int32_t n)
{
    return chord_q8_d(row, n) + (size_t)n / 32 * 4;
}
static inline const uint8_t *chord_q8_h(const void *row, int32_t n)
{
    return chord_q8_s(row, n) + (size_t)n / 32 * 4;
}

/* A block with a non-finite element gets q = 0 and d = inf or NaN. Every product with the block is NaN, so
 * the non-finite value reaches the logits. When max|x| / 127 is 0 in f32, the block becomes 0. When d is
 * subnormal, x / d may exceed 127; q is clamped. */
void chord_act_quantize_q8(void *dst, const float *x, int32_t n);

/* Quantises the rounding error of `first` (x minus the row's values) as a second row. Its scales are those
 * of `first` divided by 254. Both rows together hold 254 q + rest, a code of 16 bits. */
void chord_act_quantize_rest(void *dst, const void *first, const float *x, int32_t n);

/* A row of the KV cache in q8_0: n codes, then n / 32 f16 scales; 34 bytes per 32 elements. n is a multiple
 * of 32. The codes are those of chord_act_quantize_q8(). The scale is rounded to f16 and saturates at 65504.
 * A block with a non-finite element gets a NaN scale, so the non-finite value reaches the logits. */
static inline uint64_t chord_kv_q8_bytes(int64_t n) { return (uint64_t)n + (uint64_t)(n / 32) * 2; }
static inline uint16_t chord_kv_q8_scale(float d) { return d <= 3e38f ? chord_f32_f16(d) : 0x7e00; }
void chord_act_kv_q8_store(void *dst, const float *x, int32_t n);
void chord_act_kv_q8_load(float *dst, const void *row, int32_t n);

#endif
