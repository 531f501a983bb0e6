/* SPDX-License-Identifier: Apache-2.0 */
#include "act.h"
#include "../base/bytes.h"
#include "../base/half.h"
#include "../base/mem.h"

/* Writes 32 codes. Returns the scale, which is inf or NaN when an element is. */
static float quantize_block(uint8_t *q, const float *x)
{
    uint32_t top = 0; /* largest magnitude, as bits: finite < inf < NaN */
    for (int i = 0; i < 32; i++) {
        uint32_t const a = chord_f32_bits(x[i]) & 0x7fffffff;
        if (a > top) top = a;
    }
    float const d = chord_bits_f32(top) / 127.0f;
    for (int i = 0; i < 32; i++) {
        int32_t v = 0;
        if (d > 0 && top < 0x7f800000) {
            float const t = chord_bits_f32(chord_f32_bits(x[i] / d) & 0x7fffffff);
            v = (int32_t)(t + 0x1.fffffep-2f); /* the float below 0.5: + 0.5 would round 0.49999997 up */
            if (v > 127) v = 127;
            if (x[i] < 0) v = -v;
        }
        q[i] = (uint8_t)v;
    }
    return d;
}

/* Writes scale and sums of block b. Its codes are already written. */
static void finish_block(uint8_t *q, int32_t n, int32_t b, float d)
{
    int16_t half[2] = { 0, 0 };
    for (int i = 0; i < 32; i++) half[i / 16] = (int16_t)(half[i / 16] + (int8_t)q[32 * b + i]);
    int32_t const sum = half[0] + half[1];
    chord_copy(q + (size_t)n + 4 * (size_t)b, &d, 4);
    chord_copy(q + (size_t)n + 4 * (size_t)(n / 32 + b), &sum, 4);
    chord_copy(q + (size_t)n + 4 * (size_t)(n / 32 * 2 + b), half, 4);
}

void chord_act_quantize_q8(void *dst, const float *x, int32_t n)
{
    uint8_t *const q = dst;
    for (int32_t b = 0; b < n / 32; b++)
        finish_block(q, n, b, quantize_block(q + 32 * (size_t)b, x + 32 * (size_t)b));
}

void chord_act_quantize_rest(void *dst, const void *first, const float *x, int32_t n)
{
    uint8_t *const q = dst;
    for (int32_t b = 0; b < n / 32; b++) {
        float const d = chord_f32(chord_q8_d(first, n) + 4 * (size_t)b), step = d / 254.0f;
        bool const is_small = step > 0 && step < 3e38f; /* else all codes are 0; step is 0, inf or NaN */
        for (int32_t i = 32 * b; i < 32 * b + 32; i++) {
            float const t = is_small ? (x[i] - d * (float)((const int8_t *)first)[i]) / step : 0;
            int32_t const v = (int32_t)(t + (t < 0 ? -0.5f : 0.5f));
            q[i] = (uint8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
        }
        finish_block(q, n, b, step);
    }
}

void chord_act_kv_q8_store(void *dst, const float *x, int32_t n)
{
    uint8_t *const q = dst;
    for (int32_t b = 0; b < n / 32; b++) {
        uint16_t const d = chord_kv_q8_scale(quantize_block(q + 32 * (size_t)b, x + 32 * (size_t)b));
        chord_copy(q + (size_t)n + 2 * (size_t)b, &d, 2);
    }
}

void chord_act_kv_q8_load(float *dst, const void *row, int32_t n)
{
    const uint8_t *const q = row;
    for (int32_t i = 0; i < n; i++) {
        float const d = chord_f16_f32(chord_u16(q + (size_t)n + 2 * (size_t)(i / 32)));
        dst[i] = d * (float)(int8_t)q[i];
    }
}
