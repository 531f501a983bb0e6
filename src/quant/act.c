/* SPDX-License-Identifier: Apache-2.0 */
#include "act.h"
#include "../base/half.h"
#include "../base/mem.h"

void chord_act_quantize_q8(void *dst, const float *x, int32_t n)
{
    uint8_t *const q = dst;
    for (int32_t b = 0; b < n / 32; b++, x += 32) {
        uint32_t top = 0; /* of the magnitudes' bits: orders finite < inf < NaN */
        for (int i = 0; i < 32; i++) {
            uint32_t const a = chord_f32_bits(x[i]) & 0x7fffffff;
            if (a > top) top = a;
        }
        float const d = chord_bits_f32(top) / 127.0f;
        int32_t sum = 0;
        for (int i = 0; i < 32; i++) {
            int32_t v = 0;
            if (d > 0 && top < 0x7f800000) {
                float const t = chord_bits_f32(chord_f32_bits(x[i] / d) & 0x7fffffff);
                v = (int32_t)(t + 0x1.fffffep-2f); /* the float below 0.5: + 0.5 would round 0.49999997 up */
                if (v > 127) v = 127;
                if (x[i] < 0) v = -v;
            }
            q[32 * b + i] = (uint8_t)v;
            sum += v;
        }
        chord_copy(q + (size_t)n + 4 * (size_t)b, &d, 4);
        chord_copy(q + (size_t)n + 4 * (size_t)(n / 32 + b), &sum, 4);
    }
}
