/* body_scan.h: one token of a linear recurrence, SCAN's or WKV's. Each isa_*.c includes it with BODY(name)
 * set. The sums of a block's columns are in registers. With the delta rule, and in WKV, the rows of S are
 * read twice, first for what S holds under the key. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "vexp.h"

/* Computes `width` vectors of columns from column `at` on. A column's operations are the same for any
 * `width`. */
CHORD_INLINE void scan_columns(const chord_scan *s, int32_t at, int32_t width, vf decay, vf beta)
{
    int64_t const stride = s->stride;
    const float *from = s->before + at;
    float *to = s->after + at;
    vf u[4], even[4], odd[4];
    CHORD_UNROLL(int c = 0; c < width; c++) even[c] = odd[c] = vf_all(0);
    int32_t i = 0;
    if (s->is_delta) {
        for (; i + 2 <= s->k_dim; i += 2) {
            const float *row = from + i * stride;
            vf const k0 = vf_all_at(s->k + i), k1 = vf_all_at(s->k + i + 1);
            CHORD_UNROLL(int c = 0; c < width; c++) even[c] = vf_madd(k0, vf_load(row + 4 * c), even[c]);
            CHORD_UNROLL(int c = 0; c < width; c++)
                odd[c] = vf_madd(k1, vf_load(row + stride + 4 * c), odd[c]);
        }
        if (i < s->k_dim)
            CHORD_UNROLL(int c = 0; c < width; c++)
                even[c] = vf_madd(vf_all_at(s->k + i), vf_load(from + i * stride + 4 * c), even[c]);
    }
    CHORD_UNROLL(int c = 0; c < width; c++) {
        vf const recalled = vf_mul(vf_all(s->k_scale), vf_add(even[c], odd[c]));
        u[c] = vf_mul(beta, vf_sub(vf_load(s->v + at + 4 * c), vf_mul(decay, recalled)));
        u[c] = vf_mul(vf_all(s->k_scale), u[c]);
        even[c] = odd[c] = vf_all(0);
    }
    for (i = 0; i < s->k_dim; i++, from += stride, to += stride) {
        vf const k = vf_all_at(s->k + i), q = vf_all_at(s->q + i);
        CHORD_UNROLL(int c = 0; c < width; c++) {
            vf const kept = vf_madd(k, u[c], vf_mul(decay, vf_load(from + 4 * c)));
            vf_store(to + 4 * c, kept);
            even[c] = vf_madd(q, kept, even[c]);
        }
    }
    CHORD_UNROLL(int c = 0; c < width; c++) {
        vf const skipped = vf_mul(vf_all(s->skip), vf_load(s->v + at + 4 * c));
        vf_store(s->y + at + 4 * c, vf_madd(vf_all(s->q_scale), even[c], skipped));
    }
}

void BODY(chord_scan)(const chord_scan *s)
{
    vf const one = vf_all(1.0f), gate = vf_all(s->gate), decay = vf_exp(vf_all(s->log_decay));
    vf const beta = s->is_delta ? vf_div(one, vf_add(one, vf_exp(vf_sub(vf_all(0), gate)))) : gate;
    int32_t at = 0;
    CHORD_ROLL(; at + 16 <= s->n; at += 16) scan_columns(s, at, 4, decay, beta);
    CHORD_ROLL(; at < s->n; at += 4) scan_columns(s, at, 1, decay, beta);
}

/* In blocks of eight columns: with sixteen, as above, the code is twice as long. */
void BODY(chord_wkv)(const chord_wkv *s)
{
    int64_t const n = s->n;
    CHORD_ROLL(int64_t at = 0; at < n; at += 8) {
        const float *from = s->before + at, *v = s->v + at;
        float *to = s->after + at;
        vf gone[2], sum[2];
        CHORD_UNROLL(int c = 0; c < 2; c++) gone[c] = sum[c] = vf_all(0);
        CHORD_ROLL(int64_t i = 0; i < n; i++)
            CHORD_UNROLL(int c = 0; c < 2; c++)
                gone[c] = vf_madd(vf_all_at(s->c + i), vf_load(from + i * n + 4 * c), gone[c]);
        CHORD_ROLL(int64_t i = 0; i < n; i++)
            CHORD_UNROLL(int c = 0; c < 2; c++) {
                vf kept = vf_mul(vf_all_at(s->decay + i), vf_load(from + i * n + 4 * c));
                kept = vf_madd(vf_all_at(s->k + i), vf_load(v + 4 * c), kept);
                kept = vf_sub(kept, vf_mul(vf_all_at(s->b + i), gone[c]));
                vf_store(to + i * n + 4 * c, kept);
                sum[c] = vf_madd(vf_all_at(s->r + i), kept, sum[c]);
            }
        CHORD_UNROLL(int c = 0; c < 2; c++) vf_store(s->y + at + 4 * c, sum[c]);
    }
}
