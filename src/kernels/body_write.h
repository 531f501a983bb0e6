/* body_write.h: writes a tile's sums to y. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_KERNELS_BODY_WRITE_H
#define CHORD_KERNELS_BODY_WRITE_H
#include "../base/simd.h"
#include "kernels.h"

/* Groups [g0, g1) times tokens [t0, t1). */
typedef struct matmul_range {
    int32_t g0, g1, t0, t1;
} matmul_range;

/* The destination of a tile's sums: tokens from t on, and groups g, g + step, g + 2 step .. below g1. */
typedef struct matmul_place {
    int32_t t, g, step, g1;
} matmul_place;

/* Returns token t's row of x. */
CHORD_INLINE const uint8_t *matmul_x(const chord_matmul *m, int32_t t)
{
    return (const uint8_t *)m->x + (m->at ? m->at[t].x : (size_t)((uint64_t)t * m->x_stride));
}

/* Writes the rows of a last group that has fewer than four. */
CHORD_INLINE void matmul_rest(vf sum, float *y, const float *bias, bool add, int32_t rows)
{
    float last[4];
    vf_store(last, sum);
    for (int32_t r = 0; r < rows; r++) {
        if (bias) last[r] += bias[r];
        y[r] = add ? last[r] + y[r] : last[r];
    }
}

/* Writes a tile's sums to y. Each of G groups has T sums; the first n_tokens of them are written. Not
 * inlined: a copy in every tile would be an eighth of the module. */
static __attribute__((noinline)) void matmul_write(const chord_matmul *m, const vf *sums,
                                                   const matmul_place *p, int32_t G, int32_t T,
                                                   int32_t n_tokens)
{
    bool const two = m->two_terms, add = m->add;
    uint64_t const stride = m->y_stride;
    const chord_matmul_at *const at = m->at ? m->at + p->t : NULL;
    float *const y0 = m->y + (at ? 0 : (uint64_t)(two ? p->t / 2 : p->t) * stride);
    for (int32_t g = p->g; G > 0 && g < p->g1; G--, g += p->step, sums += T) {
        const vf *sum = sums;
        int32_t const rows = m->n_out - 4 * g;
        const float *const bias = m->bias ? m->bias + 4 * g : NULL;
        float *y = y0 + 4 * g;
        if (rows >= 4 && !two) {
            vf const b = bias ? vf_load(bias) : vf_all(0);
            CHORD_ROLL(int32_t j = 0; j < n_tokens; j++, y += stride) {
                vf v = sum[j];
                float *const to = at ? y0 + 4 * g + at[j].y : y;
                if (bias) v = vf_add(v, b);
                vf_store(to, add ? vf_add(v, vf_load(to)) : v);
            }
            continue;
        }
        for (int32_t j = 0; j < n_tokens; j++) {
            bool const is_second = two && (p->t + j) % 2, adds = add || is_second;
            vf v = *sum++;
            if (at) y = y0 + 4 * g + at[j].y;
            if (rows < 4) matmul_rest(v, y, is_second ? NULL : bias, adds, rows);
            else {
                if (bias && !is_second) v = vf_add(v, vf_load(bias));
                if (adds) v = vf_add(v, vf_load(y));
                vf_store(y, v);
            }
            if (!two || is_second) y += stride;
        }
    }
}

#endif
