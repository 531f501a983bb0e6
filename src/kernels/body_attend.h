/* body_attend.h: attention over one KV page of 32. Included by each isa_*.c with BODY(name) set.
 *
 * Neighbouring queries with the same unmasked slots (the heads of one token, or any heads over a full
 * page) go two at a time, so that a load of K or V serves both. A query's operations are the same alone or
 * in a pair: scores in four lanes over d, then lane sums; slots ascending in the sum over V. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "vexp.h"

/* Scores of slots j .. j + 3 for N queries; d of head_dim / 4 * 4 in lanes, the rest one by one. */
CHORD_INLINE void attend_scores(int N, const chord_attend *a, const float *const *q, int32_t j, vf *score)
{
    int32_t const n = a->head_dim;
    const float *k = a->k + (int64_t)j * n;
    vf s[2][4];
    UNROLL for (int i = 0; i < N; i++) UNROLL for (int l = 0; l < 4; l++) s[i][l] = vf_all(0);
    int32_t d = 0;
    for (; d + 4 <= n; d += 4) {
        vf kv[4];
        UNROLL for (int l = 0; l < 4; l++) kv[l] = vf_load(k + (int64_t)l * n + d);
        UNROLL for (int i = 0; i < N; i++) {
            vf const qv = vf_load(q[i] + d);
            UNROLL for (int l = 0; l < 4; l++) s[i][l] = vf_madd(kv[l], qv, s[i][l]);
        }
    }
    UNROLL for (int i = 0; i < N; i++) {
        score[i] = vf_sum_each(s[i][0], s[i][1], s[i][2], s[i][3]);
        for (int32_t e = d; e < n; e++) {
            float const ke[4] = { k[e], k[n + e], k[2 * n + e], k[3 * n + e] };
            score[i] = vf_madd(vf_load(ke), vf_all(q[i][e]), score[i]);
        }
    }
}

/* All ones in the lanes of slots j .. j + 3 that lie in [lo, hi). */
CHORD_INLINE vi attend_mask(int32_t j, int32_t lo, int32_t hi)
{
    static const int32_t lanes[4] = { 0, 1, 2, 3 };
    vi const slot = vi_add(vi_all(j), vi_load(lanes));
    return vi_and(vi_less(slot, vi_all(hi)), vi_less(vi_all(lo - 1), slot));
}

/* acc[0 .. 4 * D) = acc * keep + sum over slots lo .. hi - 1 of p[j] v[j] */
CHORD_INLINE void attend_values(int N, int D, const chord_attend *a, float *const *acc, int32_t d, float p[2][32],
                                const float *keep, int32_t lo, int32_t hi)
{
    vf s[2][8];
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int c = 0; c < D; c++) s[i][c] = vf_mul(vf_load(acc[i] + d + 4 * c), vf_all(keep[i]));
    const float *v = a->v + (int64_t)lo * a->head_dim + d;
    for (int32_t j = lo; j < hi; j++, v += a->head_dim) {
        vf pj[2];
        UNROLL for (int i = 0; i < N; i++) pj[i] = vf_all_at(&p[i][j]);
        UNROLL for (int c = 0; c < D; c++) {
            vf const vc = vf_load(v + 4 * c);
            UNROLL for (int i = 0; i < N; i++) s[i][c] = vf_madd(pj[i], vc, s[i][c]);
        }
    }
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int c = 0; c < D; c++) vf_store(acc[i] + d + 4 * c, s[i][c]);
}

CHORD_INLINE void attend_queries(int N, const chord_attend *a, int32_t first, int32_t lo, int32_t hi)
{
    const float *const *q = a->q + first;
    float *const *acc = a->acc + first, *const *ml = a->ml + first;
    float p[2][32], keep[2];
    vf top[2];
    UNROLL for (int i = 0; i < N; i++) top[i] = vf_all(ml[i][0]);
    for (int32_t j = lo / 4 * 4; j < hi; j += 4) {
        vf s[2];
        attend_scores(N, a, q, j, s);
        vi const mask = attend_mask(j, lo, hi);
        UNROLL for (int i = 0; i < N; i++) {
            s[i] = vf_mul(s[i], vf_all(a->scale));
            if (a->cap > 0) s[i] = vf_mul(vf_tanh(vf_div(s[i], vf_all(a->cap))), vf_all(a->cap));
            s[i] = vi_as_f(vi_pick(mask, vf_bits(s[i]), vf_bits(vf_all(-0x1.fffffep127f))));
            vf_store(&p[i][j], s[i]);
            top[i] = vf_max(top[i], s[i]);
        }
    }
    UNROLL for (int i = 0; i < N; i++) {
        vf t = vf_max(top[i], vf_shuffle(top[i], top[i], 2, 3, 0, 1));
        t = vf_max(t, vf_shuffle(t, t, 1, 0, 3, 2));
        t = vf_all(vf_first(t));
        vf sum = vf_all(0);
        for (int32_t j = lo / 4 * 4; j < hi; j += 4) {
            vi const e = vf_bits(vf_exp(vf_sub(vf_load(&p[i][j]), t)));
            vf const pj = vi_as_f(vi_and(attend_mask(j, lo, hi), e));
            sum = vf_add(sum, pj);
            vf_store(&p[i][j], pj);
        }
        keep[i] = vf_first(vf_exp(vf_sub(vf_all(ml[i][0]), t)));
        ml[i][0] = vf_first(t);
        ml[i][1] = ml[i][1] * keep[i] + vf_sum(sum);
    }
    int32_t d = 0;
    for (; d + 16 <= a->head_dim; d += 16) attend_values(N, 4, a, acc, d, p, keep, lo, hi);
    for (; d + 4 <= a->head_dim; d += 4) attend_values(N, 1, a, acc, d, p, keep, lo, hi);
    for (; d < a->head_dim; d++)
        for (int i = 0; i < N; i++) {
            float sum = acc[i][d] * keep[i];
            for (int32_t j = lo; j < hi; j++) sum += p[i][j] * a->v[(int64_t)j * a->head_dim + d];
            acc[i][d] = sum;
        }
}

void BODY(chord_attend)(const chord_attend *a)
{
    for (int32_t i = 0; i < a->n_q;) {
        int32_t const lo = a->lo[i], hi = a->hi[i];
        if (lo >= hi) { i++; continue; }
        if (i + 1 < a->n_q && a->lo[i + 1] == lo && a->hi[i + 1] == hi) {
            attend_queries(2, a, i, lo, hi);
            i += 2;
        } else {
            attend_queries(1, a, i, lo, hi);
            i++;
        }
    }
}
