/* body_attend.h: attention over one KV page of 32. Included by each isa_*.c with BODY(name) set.
 *
 * Neighbouring queries with the same unmasked slots (the heads of one token, or any heads over a full
 * page) go two at a time, so that a load of K or V serves both. A query's operations are the same alone or
 * in a pair: scores in four lanes over d, then lane sums; slots ascending in the sum over V. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "vexp.h"

/* Scores of slots j .. j + 3 for N queries: s[query][slot] over C vectors of d; what k and q point to moves on.
 * (C = 2: with 4, Node 20 spills; loads stand in the order of their use for the same reason.) */
CHORD_INLINE void attend_dots(int N, int C, const float *k[4], const float *q[2], vf s[2][4])
{
    vf qv[2][2];
    CHORD_UNROLL for (int i = 0; i < N; i++) {
        CHORD_PIN(q[i]);
        CHORD_UNROLL for (int c = 0; c < C; c++) qv[i][c] = vf_load(q[i] + 4 * c);
        q[i] += 4 * C;
    }
    CHORD_UNROLL for (int l = 0; l < 4; l++) {
        CHORD_PIN(k[l]);
        CHORD_UNROLL for (int c = 0; c < C; c++) {
            vf const kv = vf_load(k[l] + 4 * c);
            CHORD_UNROLL for (int i = 0; i < N; i++) {
                s[i][l] = vf_madd(kv, qv[i][c], s[i][l]);
                CHORD_PIN(s[i][l]);
            }
        }
        k[l] += 4 * C;
    }
}

/* d of head_dim / 4 * 4 in lanes, the rest one by one. */
CHORD_INLINE void attend_scores(int N, const chord_attend *a, const float *const *queries, int32_t j, vf *score)
{
    int32_t const n = a->head_dim;
    const float *first = a->k + (size_t)j * (size_t)n, *k[4] = { first, first + n, first + 2 * n, first + 3 * n }, *q[2];
    vf s[2][4];
    CHORD_UNROLL for (int i = 0; i < N; i++) {
        q[i] = queries[i];
        CHORD_UNROLL for (int l = 0; l < 4; l++) s[i][l] = vf_all(0);
    }
    int32_t d = n;
    CHORD_ROLL for (; d >= 8; d -= 8) attend_dots(N, 2, k, q, s);
    CHORD_ROLL for (; d >= 4; d -= 4) attend_dots(N, 1, k, q, s);
    CHORD_UNROLL for (int i = 0; i < N; i++) score[i] = vf_sum_each(s[i][0], s[i][1], s[i][2], s[i][3]);
    CHORD_ROLL for (int32_t e = 0; e < d; e++) {
        float const ke[4] = { k[0][e], k[1][e], k[2][e], k[3][e] };
        CHORD_UNROLL for (int i = 0; i < N; i++) score[i] = vf_madd(vf_load(ke), vf_all(q[i][e]), score[i]);
    }
}

/* All ones in the lanes of slots j .. j + 3 that lie in [lo, hi). */
CHORD_INLINE vi attend_mask(int32_t j, int32_t lo, int32_t hi)
{
    static const int32_t lanes[4] = { 0, 1, 2, 3 };
    vi const slot = vi_add(vi_all(j), vi_load(lanes));
    return vi_and(vi_less(slot, vi_all(hi)), vi_less(vi_all(lo - 1), slot));
}

/* s[query][..] += p[slot] v[slot][..] for D vectors of J slots, n floats apart */
CHORD_INLINE void attend_slots(int N, int D, int J, const float *p, const float *v, size_t n, vf s[2][4])
{
    vf pj[2][2];
    const float *row[2] = { v, v + n };
    CHORD_PIN(p);
    CHORD_UNROLL for (int j = 0; j < J; j++) {
        CHORD_PIN(row[j]);
        CHORD_UNROLL for (int i = 0; i < N; i++) pj[i][j] = vf_all_at(p + 32 * i + j);
    }
    CHORD_UNROLL for (int c = 0; c < D; c++)
        CHORD_UNROLL for (int j = 0; j < J; j++) {
            vf const vc = vf_load(row[j] + 4 * c);
            CHORD_UNROLL for (int i = 0; i < N; i++) {
                s[i][c] = vf_madd(pj[i][j], vc, s[i][c]);
                CHORD_PIN(s[i][c]);
            }
        }
}

/* acc[d .. d + 4 D) = acc * keep + sum over slots lo .. hi - 1 of p[j] v[j] */
CHORD_INLINE void attend_values(int N, int D, const chord_attend *a, float *const *acc, int32_t d, const float *p,
                                const float *keep, int32_t lo, int32_t hi)
{
    vf s[2][4];
    CHORD_UNROLL for (int i = 0; i < N; i++)
        CHORD_UNROLL for (int c = 0; c < D; c++) s[i][c] = vf_mul(vf_load(acc[i] + d + 4 * c), vf_all(keep[i]));
    size_t const n = (size_t)a->head_dim;
    const float *v = a->v + (size_t)lo * n + d;
    int32_t left = hi - lo;
    p += lo;
    CHORD_ROLL for (; left >= 2; left -= 2, p += 2, v += 2 * n) attend_slots(N, D, 2, p, v, n, s);
    if (left) attend_slots(N, D, 1, p, v, 0, s);
    CHORD_UNROLL for (int i = 0; i < N; i++)
        CHORD_UNROLL for (int c = 0; c < D; c++) vf_store(acc[i] + d + 4 * c, s[i][c]);
}

CHORD_INLINE void attend_queries(int N, const chord_attend *a, int32_t first, int32_t lo, int32_t hi)
{
    const float *const *q = a->q + first;
    float *const *acc = a->acc + first, *const *ml = a->ml + first;
    float p[2][32], keep[2];
    vf top[2];
    CHORD_UNROLL for (int i = 0; i < N; i++) top[i] = vf_all(ml[i][0]);
    for (int32_t j = lo / 4 * 4; j < hi; j += 4) {
        vf s[2];
        attend_scores(N, a, q, j, s);
        vi const mask = attend_mask(j, lo, hi);
        CHORD_UNROLL for (int i = 0; i < N; i++) {
            s[i] = vf_mul(s[i], vf_all(a->scale));
            if (a->cap > 0) s[i] = vf_mul(vf_tanh(vf_div(s[i], vf_all(a->cap))), vf_all(a->cap));
            s[i] = vi_as_f(vi_pick(mask, vf_bits(s[i]), vf_bits(vf_all(-0x1.fffffep127f))));
            vf_store(&p[i][j], s[i]);
            top[i] = vf_max(top[i], s[i]);
        }
    }
    CHORD_UNROLL for (int i = 0; i < N; i++) {
        vf t = vf_max(top[i], vf_shuffle(top[i], top[i], 2, 3, 0, 1));
        t = vf_max(t, vf_shuffle(t, t, 1, 0, 3, 2));
        t = vf_all(vf_first(t));
        vf sum = vf_all(0);
        CHORD_ROLL for (int32_t j = lo / 4 * 4; j < hi; j += 4) {
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
    for (; d + 16 <= a->head_dim; d += 16) attend_values(N, 4, a, acc, d, &p[0][0], keep, lo, hi);
    for (; d + 4 <= a->head_dim; d += 4) attend_values(N, 1, a, acc, d, &p[0][0], keep, lo, hi);
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

void BODY(chord_attend_join)(float *acc, float *ml, const float *acc_2, const float *ml_2, int32_t head_dim)
{
    float const top = ml[0] > ml_2[0] ? ml[0] : ml_2[0];
    vf const keep = vf_exp(vf_all(ml[0] - top)), take = vf_exp(vf_all(ml_2[0] - top));
    float const keep_1 = vf_first(keep), take_1 = vf_first(take);
    ml[0] = top;
    ml[1] = ml[1] * keep_1 + ml_2[1] * take_1;
    int32_t d = 0;
    for (; d + 4 <= head_dim; d += 4) vf_store(acc + d, vf_madd(vf_load(acc_2 + d), take, vf_mul(vf_load(acc + d), keep)));
    for (; d < head_dim; d++) acc[d] = acc[d] * keep_1 + acc_2[d] * take_1;
}
