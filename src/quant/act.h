/* act.h: the layout of q8 activations (quant.h) and their scalar quantiser, the specification. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_ACT_H
#define CHORD_QUANT_ACT_H
#include "quant.h"

/* Where the scales and the block sums of a row of n activations begin. */
static inline const uint8_t *chord_q8_d(const void *row, int32_t n) { return (const uint8_t *)row + (size_t)n; }
static inline const uint8_t *chord_q8_s(const void *row, int32_t n) { return chord_q8_d(row, n) + (size_t)n / 32 * 4; }

/* A block with a non-finite element has q = 0 and d inf or NaN: every product with it is NaN, so a fault
 * upstream reaches the logits. A block so small that max|x| / 127 is 0 in f32 becomes 0; where d is
 * subnormal, x / d may pass 127 and is clamped. */
void chord_act_quantize_q8(void *dst, const float *x, int32_t n);

#endif
