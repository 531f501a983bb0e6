/* body_attend.h: attention over one KV page of 32 slots. Each isa_*.c includes it with BODY(name) set.
 *
 * Neighbouring queries with the same unmasked slots (the heads of one token, or any heads over a full page)
 * are computed together, so that one load of K or V serves all of them: two queries over rows of floats, up
 * to four over rows of f16, because widening a vector of f16 costs more than multiplying it. The operations
 * of a query don't depend on the queries computed with it. They are the same for f16 and for the equal
 * floats. A score is summed in four lanes over d, then over the lanes. The sum over V goes by ascending
 * slots. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "vexp.h"

/* The kind of rows. is_f16 is known at compile time. */
typedef struct attend_rows {
    bool is_f16;
    /* constants of vf_load_f16_by, pinned: V8 would rebuild them for every four elements */
    vi mask;
    vf factor;
} attend_rows;

CHORD_INLINE attend_rows attend_rows_of(bool is_f16)
{
    attend_rows rows = { is_f16, vi_all(F16_MASK), vf_all(F16_FACTOR) };
    if (is_f16) {
        CHORD_PIN(rows.mask);
        CHORD_PIN(rows.factor);
    }
    return rows;
}
CHORD_INLINE size_t attend_bytes(attend_rows rows) { return rows.is_f16 ? 2 : 4; }
CHORD_INLINE vf attend_load(attend_rows rows, const uint8_t *p)
{
    return rows.is_f16 ? vf_load_f16_by(p, rows.mask, rows.factor) : vf_load(p);
}
static inline float attend_element(attend_rows rows, const uint8_t *p)
{
    float x;
    uint16_t h;
    if (rows.is_f16) __builtin_memcpy(&h, p, 2), x = chord_f16_f32(h);
    else __builtin_memcpy(&x, p, 4);
    return x;
}

/* Adds the products of C vectors of d to the scores s[query][row] of N queries and R rows, and advances k
 * and q. With f16 and four queries (R is 2) the loop needs 15 registers: eight sums, four vectors of q, two
 * constants and a vector of k. V8 has 15 on x64. */
CHORD_INLINE void attend_dots(attend_rows rows, int N, int R, int C, const uint8_t *k[4], const float *q[4],
                              vf s[4][4])
{
    vf qv[4];
    CHORD_UNROLL(int i = 0; i < N; i++) CHORD_PIN(q[i]);
    CHORD_UNROLL(int l = 0; l < R; l++) CHORD_PIN(k[l]);
    CHORD_UNROLL(int c = 0; c < C; c++) {
        CHORD_UNROLL(int i = 0; i < N; i++) qv[i] = vf_load(q[i] + 4 * c);
        CHORD_UNROLL(int l = 0; l < R; l++) {
            vf const kv = attend_load(rows, k[l] + 4 * (size_t)c * attend_bytes(rows));
            CHORD_UNROLL(int i = 0; i < N; i++) {
                s[i][l] = vf_madd(kv, qv[i], s[i][l]);
                CHORD_PIN(s[i][l]);
            }
        }
    }
    CHORD_UNROLL(int i = 0; i < N; i++) q[i] += 4 * C;
    CHORD_UNROLL(int l = 0; l < R; l++) k[l] += 4 * (size_t)C * attend_bytes(rows);
}

/* score[i] = dot products of query i with k[j .. j + 3]. The first k_dim / 4 * 4 elements are summed in
 * lanes, the others one by one. */
CHORD_INLINE void attend_scores(attend_rows rows, int N, const chord_attend *a, const float *const *queries,
                                int32_t j, vf *score)
{
    int32_t const n = a->k_dim;
    int const R = N > 2 ? 2 : 4;
    size_t const row_bytes = (size_t)n * attend_bytes(rows);
    const uint8_t *first = (const uint8_t *)a->k + (size_t)j * row_bytes;
    vf s[4][4], part[4][4];
    float rest[4];
    int32_t d = n;
    for (int r = 0; r < 4; r += R) {
        const uint8_t *k[4];
        const float *q[4];
        CHORD_UNROLL(int i = 0; i < N; i++) q[i] = queries[i];
        CHORD_UNROLL(int l = 0; l < R; l++) k[l] = first + (size_t)(r + l) * row_bytes;
        CHORD_UNROLL(int i = 0; i < N; i++)
            CHORD_UNROLL(int l = 0; l < R; l++) part[i][l] = vf_all(0);
        d = n;
        CHORD_ROLL(; d >= 8; d -= 8) attend_dots(rows, N, R, 2, k, q, part);
        CHORD_ROLL(; d >= 4; d -= 4) attend_dots(rows, N, R, 1, k, q, part);
        CHORD_UNROLL(int i = 0; i < N; i++)
            CHORD_UNROLL(int l = 0; l < R; l++) s[i][r + l] = part[i][l];
    }
    CHORD_UNROLL(int i = 0; i < N; i++) score[i] = vf_sum_each(s[i][0], s[i][1], s[i][2], s[i][3]);
    CHORD_ROLL(; d > 0; d--) {
        CHORD_ROLL(int l = 0; l < 4; l++)
            rest[l] = attend_element(rows,
                                     first + (size_t)l * row_bytes + (size_t)(n - d) * attend_bytes(rows));
        CHORD_UNROLL(int i = 0; i < N; i++)
            score[i] = vf_madd(vf_load(rest), vf_all(queries[i][n - d]), score[i]);
    }
}

/* Returns all ones in the lanes of those slots of j .. j + 3 that are in [lo, hi). */
CHORD_INLINE vi attend_mask(int32_t j, int32_t lo, int32_t hi)
{
    static const int32_t lanes[4] = { 0, 1, 2, 3 };
    vi const slot = vi_add(vi_all(j), vi_load(lanes));
    return vi_and(vi_less(slot, vi_all(hi)), vi_less(vi_all(lo - 1), slot));
}

/* s[query][..] += p[slot] v[slot][..] for D vectors of each of J slots; rows are row_bytes apart */
CHORD_INLINE void attend_slots(attend_rows rows, int N, int D, int J, const float *p, const uint8_t *v,
                               size_t row_bytes, vf s[4][4])
{
    const uint8_t *row[2] = { v, v + row_bytes };
    CHORD_PIN(p);
    CHORD_UNROLL(int j = 0; j < J; j++) CHORD_PIN(row[j]);
    CHORD_UNROLL(int j = 0; j < J; j++) {
        vf pj[4];
        CHORD_UNROLL(int i = 0; i < N; i++) pj[i] = vf_all_at(p + 32 * i + j);
        CHORD_UNROLL(int c = 0; c < D; c++) {
            vf const vc = attend_load(rows, row[j] + 4 * (size_t)c * attend_bytes(rows));
            CHORD_UNROLL(int i = 0; i < N; i++) {
                s[i][c] = vf_madd(pj[i], vc, s[i][c]);
                CHORD_PIN(s[i][c]);
            }
        }
    }
}

/* acc[d .. d + 4 D) = acc * keep + sum of p[j] v[j] over slots j = lo .. hi - 1 */
CHORD_INLINE void attend_values(attend_rows rows, int N, int D, const chord_attend *a, float *const *acc,
                                int32_t d, const float *p, const float *keep, int32_t lo, int32_t hi)
{
    vf s[4][4];
    CHORD_UNROLL(int i = 0; i < N; i++)
        CHORD_UNROLL(int c = 0; c < D; c++) s[i][c] = vf_mul(vf_load(acc[i] + d + 4 * c), vf_all(keep[i]));
    size_t const row_bytes = (size_t)a->v_stride * attend_bytes(rows);
    const uint8_t *v = (const uint8_t *)a->v + (size_t)lo * row_bytes + (size_t)d * attend_bytes(rows);
    int32_t left = hi - lo;
    p += lo;
    CHORD_ROLL(; left >= 2; left -= 2, p += 2, v += 2 * row_bytes)
        attend_slots(rows, N, D, 2, p, v, row_bytes, s);
    if (left) attend_slots(rows, N, D, 1, p, v, 0, s);
    CHORD_UNROLL(int i = 0; i < N; i++)
        CHORD_UNROLL(int c = 0; c < D; c++) vf_store(acc[i] + d + 4 * c, s[i][c]);
}

/* s = cap * tanh(s / cap) for n vectors. Not inlined: few models cap scores, and each of the six bodies
 * below would contain a copy. */
__attribute__((noinline)) static void attend_cap(vf *s, int32_t n, float cap)
{
    CHORD_ROLL(int32_t i = 0; i < n; i++) s[i] = vf_mul(vf_tanh(vf_div(s[i], vf_all(cap))), vf_all(cap));
}

/* Replaces the scores p[query][lo .. hi) by weights exp(score - top), 0 for the other slots of a four. top:
 * the maxima in four lanes. Updates each query's ml: its maximum and its sum of weights. keep: the factor
 * for what was summed before. Not inlined, as attend_cap. */
__attribute__((noinline)) static void attend_weigh(int32_t N, const vf *top, float p[][32], float *const *ml,
                                                   float *keep, int32_t lo, int32_t hi)
{
    CHORD_ROLL(int32_t i = 0; i < N; i++) {
        vf t = vf_max(top[i], vf_shuffle(top[i], top[i], 2, 3, 0, 1));
        t = vf_max(t, vf_shuffle(t, t, 1, 0, 3, 2));
        t = vf_all(vf_first(t));
        vf sum = vf_all(0);
        CHORD_ROLL(int32_t j = lo / 4 * 4; j < hi; j += 4) {
            vi const e = vf_bits(vf_exp(vf_sub(vf_load(&p[i][j]), t)));
            vf const pj = vi_as_f(vi_and(attend_mask(j, lo, hi), e));
            sum = vf_add(sum, pj);
            vf_store(&p[i][j], pj);
        }
        keep[i] = vf_first(vf_exp(vf_sub(vf_all(ml[i][0]), t)));
        ml[i][0] = vf_first(t);
        ml[i][1] = ml[i][1] * keep[i] + vf_sum(sum);
    }
}

/* attend_values from element d on, where fewer are left than a body computes at once. Heads of a multiple of
 * 16 elements have none, or one vector. */
CHORD_INLINE void attend_last_rows(attend_rows rows, const chord_attend *a, int32_t N, float *const *acc,
                                   int32_t d, float p[][32], const float *keep, int32_t lo, int32_t hi)
{
    CHORD_ROLL(; d + 4 <= a->v_dim; d += 4)
        CHORD_ROLL(int32_t i = 0; i < N; i++)
            attend_values(rows, 1, 1, a, acc + i, d, p[i], keep + i, lo, hi);
    CHORD_ROLL(; d < a->v_dim; d++)
        CHORD_ROLL(int32_t i = 0; i < N; i++) {
            float sum = acc[i][d] * keep[i];
            CHORD_ROLL(int32_t j = lo; j < hi; j++)
                sum += p[i][j] * attend_element(rows, (const uint8_t *)a->v +
                                                          ((size_t)j * (size_t)a->v_stride + (size_t)d) *
                                                              attend_bytes(rows));
            acc[i][d] = sum;
        }
}
__attribute__((noinline)) static void attend_last_values(const chord_attend *a, int32_t N, float *const *acc,
                                                         int32_t d, float p[][32], const float *keep,
                                                         int32_t lo, int32_t hi)
{
    if (a->is_f16) attend_last_rows(attend_rows_of(true), a, N, acc, d, p, keep, lo, hi);
    else attend_last_rows(attend_rows_of(false), a, N, acc, d, p, keep, lo, hi);
}

CHORD_INLINE void attend_queries(bool is_f16, int N, const chord_attend *a, int32_t first, int32_t lo,
                                 int32_t hi)
{
    attend_rows const rows = attend_rows_of(is_f16);
    const float *const *q = a->q + first;
    float *const *acc = a->acc + first, *const *ml = a->ml + first;
    float p[4][32], keep[4];
    vf top[4];
    CHORD_UNROLL(int i = 0; i < N; i++) top[i] = vf_all(ml[i][0]);
    for (int32_t j = lo / 4 * 4; j < hi; j += 4) {
        vf s[4];
        attend_scores(rows, N, a, q, j, s);
        vi const mask = attend_mask(j, lo, hi);
        CHORD_UNROLL(int i = 0; i < N; i++) s[i] = vf_mul(s[i], vf_all(a->scale));
        if (a->cap > 0) {
            vf capped[4]; /* a copy, so that s stays in registers when no scores are capped */
            CHORD_UNROLL(int i = 0; i < N; i++) capped[i] = s[i];
            attend_cap(capped, N, a->cap);
            CHORD_UNROLL(int i = 0; i < N; i++) s[i] = capped[i];
        }
        if (a->bias)
            CHORD_UNROLL(int i = 0; i < N; i++) s[i] = vf_add(s[i], vf_load(a->bias[first + i] + j));
        CHORD_UNROLL(int i = 0; i < N; i++) {
            s[i] = vi_as_f(vi_pick(mask, vf_bits(s[i]), vf_bits(vf_all(-0x1.fffffep127f))));
            vf_store(&p[i][j], s[i]);
            top[i] = vf_max(top[i], s[i]);
        }
    }
    vf tops[4]; /* a copy, so that top stays in registers */
    CHORD_UNROLL(int i = 0; i < N; i++) tops[i] = top[i];
    attend_weigh(N, tops, p, ml, keep, lo, hi);
    int const D = N > 2 ? 2 : 4;
    int32_t d = 0;
    for (; d + 4 * D <= a->v_dim; d += 4 * D) attend_values(rows, N, D, a, acc, d, &p[0][0], keep, lo, hi);
    if (d < a->v_dim) attend_last_values(a, N, acc, d, p, keep, lo, hi);
}

void BODY(chord_attend)(const chord_attend *a)
{
    int32_t const most = a->is_f16 ? 4 : 2;
    for (int32_t i = 0, n; i < a->n_q; i += n) {
        int32_t const lo = a->lo[i], hi = a->hi[i];
        for (n = 1; n < most && i + n < a->n_q && a->lo[i + n] == lo && a->hi[i + n] == hi;) n++;
        if (lo >= hi) continue;
        if (!a->is_f16) {
            if (n == 2) attend_queries(false, 2, a, i, lo, hi);
            else attend_queries(false, 1, a, i, lo, hi);
        } else if (n == 4) attend_queries(true, 4, a, i, lo, hi);
        else if (n == 3) attend_queries(true, 3, a, i, lo, hi);
        else if (n == 2) attend_queries(true, 2, a, i, lo, hi);
        else attend_queries(true, 1, a, i, lo, hi);
    }
}

void BODY(chord_attend_join)(float *acc, float *ml, const float *acc_2, const float *ml_2, int32_t v_dim)
{
    float const top = ml[0] > ml_2[0] ? ml[0] : ml_2[0];
    vf const keep = vf_exp(vf_all(ml[0] - top)), take = vf_exp(vf_all(ml_2[0] - top));
    float const keep_1 = vf_first(keep), take_1 = vf_first(take);
    ml[0] = top;
    ml[1] = ml[1] * keep_1 + ml_2[1] * take_1;
    int32_t d = 0;
    for (; d + 4 <= v_dim; d += 4)
        vf_store(acc + d, vf_madd(vf_load(acc_2 + d), take, vf_mul(vf_load(acc + d), keep)));
    for (; d < v_dim; d++) acc[d] = acc[d] * keep_1 + acc_2[d] * take_1;
}
