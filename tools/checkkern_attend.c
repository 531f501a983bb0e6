/* checkkern_attend.c: checks attention over one to three pages. Masked slots hold NaN.
 *
 * The bound. Let d be the larger of the two bodies' errors of one score, and D the width of a key:
 *   d <= |scale| (D + 2) eps sum|q||k|   (+ 5 eps cap for the soft cap's tanh, + eps |score| for its
 *                                         argument, + eps |score| for the sum with a bias)
 * The scalar and the vector p = e^(score - m) differ by 2 d from the score, 2 d from m, and 4 + 1 roundings
 * of exp. Every later page multiplies by another e^(m - m'). 32 sums per page add one rounding each in each
 * body. Therefore
 *   |acc - acc'| <= A (4 d + (8 + 80 pages) eps), A = sum of p |v| over the pages
 * and the same for l with |v| = 1. `relative` is half of this; kernels.def's c = 2 doubles it. Slots far
 * below m may vanish in one body (e^-87.33): near()'s `tiny` covers them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "checkkern.h"
#include "../src/kernels/real.h"

enum { MAX_Q = 6, MAX_DIM = 128 };

typedef struct state {
    float *acc[MAX_Q], *ml[MAX_Q];
} state;

static void new_state(state *s, int32_t n_q, int32_t head_dim)
{
    for (int32_t i = 0; i < n_q; i++) {
        s->acc[i] = region((uint64_t)head_dim * 4, 4);
        s->ml[i] = region(8, 4);
        chord_zero(s->acc[i], (size_t)head_dim * 4);
        s->ml[i][0] = -0x1.fffffep127f;
        s->ml[i][1] = 0;
    }
}

/* One query's maximum, and its sums of magnitudes over all pages, in double, for the bound. */
typedef struct magnitudes {
    double top, l, acc[MAX_DIM], score_error;
} magnitudes;

static void add_page(magnitudes *m, const chord_attend *a, int32_t i)
{
    double score[32], top = m->top;
    for (int32_t j = a->lo[i]; j < a->hi[i]; j++) {
        double sum = 0, size = 0;
        for (int32_t d = 0; d < a->k_dim; d++) {
            double const product = (double)a->q[i][d] * (double)((const float *)a->k)[j * a->k_dim + d];
            sum += product;
            size += magnitude(product);
        }
        double error = magnitude((double)a->scale) * (a->k_dim + 2) * 0x1p-24 * size;
        score[j] = sum * (double)a->scale;
        if (a->cap > 0) {
            error += 0x1p-24 * (5 * (double)a->cap + magnitude(score[j]));
            score[j] = (double)a->cap * chord_real_tanh(score[j] / (double)a->cap);
        }
        if (a->bias) score[j] += (double)a->bias[i][j];
        error += 0x1p-24 * magnitude(score[j]);
        if (error > m->score_error) m->score_error = error;
        if (score[j] > top) top = score[j];
    }
    double const keep = chord_real_exp(m->top - top);
    m->top = top;
    m->l *= keep;
    for (int32_t d = 0; d < a->v_dim; d++) m->acc[d] *= keep;
    for (int32_t j = a->lo[i]; j < a->hi[i]; j++) {
        double const p = chord_real_exp(score[j] - top);
        m->l += p;
        for (int32_t d = 0; d < a->v_dim; d++)
            m->acc[d] += p * magnitude((double)((const float *)a->v)[j * a->v_stride + d]);
    }
}

enum { CAUSAL, FULL, WINDOW, UNTOUCHED, N_MASKS };

static void make_mask(int32_t mask, int32_t n_q, int32_t page, int32_t n_pages, int32_t *lo, int32_t *hi)
{
    for (int32_t i = 0; i < n_q; i++) {
        lo[i] = 0, hi[i] = 32;
        if (mask == CAUSAL && page == n_pages - 1) hi[i] = 1 + (random_below(4) + i / 2 * 5) % 32;
        if (mask == WINDOW) lo[i] = random_below(32), hi[i] = lo[i] + 1 + random_below(32 - lo[i]);
        if (mask == UNTOUCHED && i % 2) lo[i] = random_below(32), hi[i] = random_below(lo[i] + 1);
    }
}

/* Fills the rows that no query sees with `with`. No result may depend on them. */
static void fill_masked(float *kv, int32_t stride, int32_t n_q, const int32_t *lo, const int32_t *hi,
                        float with)
{
    for (int32_t j = 0; j < 32; j++) {
        bool seen = false;
        for (int32_t i = 0; i < n_q; i++) seen = seen || (j >= lo[i] && j < hi[i]);
        for (int32_t d = 0; d < stride && !seen; d++) kv[j * stride + d] = with;
    }
}

typedef struct shape {
    int32_t k_dim, v_dim, v_stride;
} shape;

static void check_one(const chord_ops *ops, const chord_ops *scalar, shape h, int32_t n_q, int32_t n_pages,
                      int32_t mask, int32_t kind)
{
    static magnitudes m[MAX_Q];
    /* alone: query by query; half: over rows of f16 */
    state got, want, alone, half;
    const float *q[MAX_Q];
    int32_t lo[MAX_Q], hi[MAX_Q];
    for (int32_t i = 0; i < n_q; i++) {
        float *p = region((uint64_t)h.k_dim * 4, 4);
        /* kind 1: p reaches 0 */
        for (int32_t d = 0; d < h.k_dim; d++) p[d] = random_gauss() * (kind == 1 ? 30.0f : 1.0f);
        q[i] = p;
        m[i] = (magnitudes){ .top = -3e38 };
    }
    new_state(&got, n_q, h.v_dim);
    new_state(&want, n_q, h.v_dim);
    new_state(&alone, n_q, h.v_dim);
    new_state(&half, n_q, h.v_dim);
    int32_t const n_k = 32 * h.k_dim, n_v = 32 * h.v_stride;
    float *k = region((uint64_t)n_k * 4, 0), *v = region((uint64_t)n_v * 4, 0);
    float *bias = region((uint64_t)n_q * 32 * 4, 4);
    const float *biases[MAX_Q];
    for (int32_t i = 0; i < n_q; i++) biases[i] = bias + 32 * i;
    uint16_t *k16 = region((uint64_t)n_k * 2, 0), *v16 = region((uint64_t)n_v * 2, 0);
    for (int32_t page = 0; page < n_pages; page++) {
        for (int32_t d = 0; d < n_k; d++) k[d] = chord_f16_f32(chord_f32_f16(random_gauss()));
        for (int32_t d = 0; d < n_v; d++) v[d] = chord_f16_f32(chord_f32_f16(random_gauss()));
        for (int32_t i = 0; i < 32 * n_q; i++) bias[i] = random_gauss();
        make_mask(mask, n_q, page, n_pages, lo, hi);
        chord_attend a = { .k = k,
                           .v = v,
                           .q = q,
                           .acc = want.acc,
                           .ml = want.ml,
                           .lo = lo,
                           .hi = hi,
                           .n_q = n_q,
                           .scale = kind == 2 ? 1.0f : 0.125f,
                           .cap = kind == 2 ? 5.0f : 0,
                           .k_dim = h.k_dim,
                           .v_dim = h.v_dim,
                           .v_stride = h.v_stride,
                           .bias = kind == 2 ? biases : NULL };
        fill_masked(k, h.k_dim, n_q, lo, hi, 0);
        fill_masked(v, h.v_stride, n_q, lo, hi, 0);
        scalar->attend(&a);
        for (int32_t i = 0; i < n_q; i++)
            if (lo[i] < hi[i]) add_page(&m[i], &a, i);
        fill_masked(k, h.k_dim, n_q, lo, hi, chord_bits_f32(0x7fc00000));
        fill_masked(v, h.v_stride, n_q, lo, hi, chord_bits_f32(0x7f800000));
        a.acc = got.acc;
        a.ml = got.ml;
        ops->attend(&a);
        for (int32_t d = 0; d < n_k; d++) k16[d] = chord_f32_f16(k[d]);
        for (int32_t d = 0; d < n_v; d++) v16[d] = v[d] - v[d] == 0 ? chord_f32_f16(v[d]) : 0x7e00;
        chord_attend over_f16 = a;
        over_f16.k = k16, over_f16.v = v16, over_f16.is_f16 = 1;
        over_f16.acc = half.acc, over_f16.ml = half.ml;
        ops->attend(&over_f16);
        /* query by query; a single query sees other numbers in masked rows */
        for (int32_t i = n_q - 1; i >= 0; i--) {
            if (n_q == 1 && mask != FULL) {
                fill_masked(k, h.k_dim, n_q, lo, hi, 1e30f);
                fill_masked(v, h.v_stride, n_q, lo, hi, 1e30f);
            }
            chord_attend one = a;
            one.q = q + i, one.acc = alone.acc + i, one.ml = alone.ml + i, one.lo = lo + i, one.hi = hi + i,
            one.n_q = 1, one.bias = a.bias ? biases + i : NULL;
            ops->attend(&one);
        }
    }
    for (int32_t i = 0; i < n_q; i++) {
        /* in eps; c = 2 doubles it */
        double const relative = 2 * m[i].score_error * 0x1p24 + 4 + 40 * n_pages;
        same_bytes(got.acc[i], alone.acc[i], (uint64_t)h.v_dim * 4, "acc of a query alone and in company");
        same_bytes(got.ml[i], alone.ml[i], 8, "m, l of a query alone and in company");
        same_bytes(got.acc[i], half.acc[i], (uint64_t)h.v_dim * 4, "acc over floats and over f16");
        same_bytes(got.ml[i], half.ml[i], 8, "m, l over floats and over f16");
        near(got.ml[i][0], want.ml[i][0], m[i].score_error * 0x1p24, 0x1p-148, i);
        near(got.ml[i][1], want.ml[i][1], relative * m[i].l, 0x1p-118, i);
        for (int32_t d = 0; d < h.v_dim; d++)
            near(got.acc[i][d], want.acc[i][d], relative * m[i].acc[d], 0x1p-110, d);
        if (mask == UNTOUCHED && i % 2) {
            same(got.ml[i][0], -0x1.fffffep127f, 0);
            for (int32_t d = 0; d < h.v_dim; d++) same(got.acc[i][d], 0, d);
        }
    }
    canaries_live();
}

void check_attend(const chord_ops *ops, const chord_ops *scalar)
{
    /* In the last three shapes keys and values differ in width. In the last one the distance of two values
     * is a key's width, as in a cache whose values are the first part of its keys. */
    static const shape shapes[] = { { 1, 1, 1 },       { 3, 3, 3 },    { 4, 4, 4 },    { 6, 6, 6 },
                                    { 16, 16, 16 },    { 20, 20, 20 }, { 64, 64, 64 }, { 80, 80, 80 },
                                    { 128, 128, 128 }, { 20, 6, 6 },   { 6, 80, 80 },  { 72, 64, 72 } };
    for (size_t h = 0; h < sizeof shapes / sizeof *shapes; h++)
        for (int32_t mask = 0; mask < N_MASKS; mask++)
            for (int32_t kind = 0; kind < 3; kind++)
                for (int32_t n_q = 0; n_q <= MAX_Q; n_q += 1 + n_q / 3) {
                    int32_t const n_pages = 1 + (n_q + mask) % 3;
                    next_case("keys of %d, values of %d in %d, %d queries, %d pages, mask %d, data %d",
                              shapes[h].k_dim, shapes[h].v_dim, shapes[h].v_stride, n_q, n_pages, mask, kind);
                    check_one(ops, scalar, shapes[h], n_q, n_pages, mask, kind);
                }
    /* A NaN in a seen row of K or of V, or in q, must not be lost. */
    for (int32_t where = 0; where < 3; where++) {
        next_case("a NaN in %s", where == 0 ? "k" : where == 1 ? "v" : "q");
        state s;
        new_state(&s, 1, 8);
        float k[256], v[256], q[8];
        for (int i = 0; i < 256; i++) k[i] = random_gauss(), v[i] = random_gauss();
        for (int i = 0; i < 8; i++) q[i] = random_gauss();
        *(where == 0 ? &k[8 * 7 + 3] : where == 1 ? &v[8 * 7 + 3] : &q[3]) = chord_bits_f32(0x7fc00000);
        const float *qs[1] = { q };
        int32_t const lo = 0, hi = 9;
        chord_attend const a = { k, v, qs, s.acc, s.ml, &lo, &hi, 0.3f, 0, 1, 8, 8, 8, 0, NULL };
        ops->attend(&a);
        if (s.acc[0][3] == s.acc[0][3]) fail("acc[3] is %e", (double)s.acc[0][3]);
    }
}

void check_attend_join(const chord_ops *ops, const chord_ops *scalar)
{
    /* maximum of a part that saw no key */
    float const least = -0x1.fffffep127f;
    float const tops[][2] = { { 0.5f, 0.5f },  { 3.25f, -2.5f }, { -2.5f, 3.25f }, { 80.0f, -80.0f },
                              { least, 1.0f }, { 1.0f, least },  { least, least } };
    static const int32_t dims[] = { 0, 1, 3, 4, 6, 64, 80, 128 };
    for (size_t h = 0; h < sizeof dims / sizeof *dims; h++)
        for (size_t k = 0; k < sizeof tops / sizeof *tops; k++) {
            int32_t const n = dims[h];
            next_case("head_dim %d, m %f and %f", n, (double)tops[k][0], (double)tops[k][1]);
            state got, want, part;
            new_state(&got, 1, n);
            new_state(&want, 1, n);
            new_state(&part, 1, n);
            for (int32_t d = 0; d < n; d++) {
                if (tops[k][0] > least) got.acc[0][d] = want.acc[0][d] = random_gauss();
                if (tops[k][1] > least) part.acc[0][d] = random_gauss();
            }
            got.ml[0][0] = want.ml[0][0] = tops[k][0], part.ml[0][0] = tops[k][1];
            if (tops[k][0] > least) got.ml[0][1] = want.ml[0][1] = 7.5f;
            if (tops[k][1] > least) part.ml[0][1] = 20.25f;
            double const top = tops[k][0] > tops[k][1] ? (double)tops[k][0] : (double)tops[k][1];
            double const keep = chord_real_exp((double)tops[k][0] - top),
                         take = chord_real_exp((double)tops[k][1] - top);
            double const l = (double)got.ml[0][1] * keep + (double)part.ml[0][1] * take;
            double size[MAX_DIM];
            for (int32_t d = 0; d < n; d++)
                size[d] = magnitude((double)got.acc[0][d]) * keep + magnitude((double)part.acc[0][d]) * take;
            scalar->attend_join(want.acc[0], want.ml[0], part.acc[0], part.ml[0], n);
            ops->attend_join(got.acc[0], got.ml[0], part.acc[0], part.ml[0], n);
            same(got.ml[0][0], (float)top, 0);
            near(got.ml[0][1], want.ml[0][1], 6 * l, 0x1p-118, 0);
            for (int32_t d = 0; d < n; d++) near(got.acc[0][d], want.acc[0][d], 6 * size[d], 0x1p-118, d);
            canaries_live();
        }
}
