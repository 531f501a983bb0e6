/* act.h: the layout of q8 activations (quant.h) and their scalar quantiser, the specification. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_ACT_H
#define CHORD_QUANT_ACT_H
#include "../base/half.h"
#include "quant.h"

/* Where the scales, the block sums and the half sums of a row of n activations begin. */
static inline const uint8_t *chord_q8_d(const void *row, int32_t n) { return (const uint8_t *)row + (size_t)n; }
static inline const uint8_t *chord_q8_s(const void *row, int32_t n) { return chord_q8_d(row, n) + (size_t)n / 32 * 4; }
static inline const uint8_t *chord_q8_h(const void *row, int32_t n) { return chord_q8_s(row, n) + (size_t)n / 32 * 4; }

/* A block with a non-finite element has q = 0 and d inf or NaN: every product with it is NaN, so a fault
 * upstream reaches the logits. A block so small that max|x| / 127 is 0 in f32 becomes 0; where d is
 * subnormal, x / d may pass 127 and is clamped. */
void chord_act_quantize_q8(void *dst, const float *x, int32_t n);

/* What rounding to `first` took from x, as a second row whose scales are 1 / 254 of the first's: together 254 q + rest, 16 bits. */
void chord_act_quantize_rest(void *dst, const void *first, const float *x, int32_t n);

/* A row of the KV cache in q8_0: n codes, then n / 32 f16 scales; 34 bytes for 32 elements. The codes are
 * those of chord_act_quantize_q8; the scale is rounded to f16 and saturates at 65504. n is a multiple of
 * 32. A block with a non-finite element gets a NaN for its scale: the fault reaches the logits. */
static inline uint64_t chord_kv_q8_bytes(int64_t n) { return (uint64_t)n + (uint64_t)(n / 32) * 2; }
static inline uint16_t chord_kv_q8_scale(float d) { return d <= 3e38f ? chord_f32_f16(d) : 0x7e00; }
void chord_act_kv_q8_store(void *dst, const float *x, int32_t n);
void chord_act_kv_q8_load(float *dst, const void *row, int32_t n);

#endif
