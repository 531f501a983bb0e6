/* checkkern_recur.c: the checks of the slots of recurrent layers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "checkkern.h"

/* kind: 0 bell-shaped, 1 large and subnormal ones too */
static float *row(int32_t n, uint64_t offset, int32_t kind)
{
    float *x = region((uint64_t)n * 4, offset);
    for (int32_t i = 0; i < n; i++) {
        x[i] = random_gauss();
        if (kind && random_below(4) == 0) x[i] *= random_below(2) ? 0x1p-130f : 1e15f;
    }
    return x;
}

void check_conv(const chord_ops *ops, const chord_ops *scalar)
{
    for (int32_t kernel = 1; kernel <= 5; kernel++)
        for (int32_t n = 0; n <= 70; n = n < 9 ? n + 1 : n + 61)
            for (int32_t kind = 0; kind < 4; kind++) {
                next_case("kernel %d, n %d, data %d%s", kernel, n, kind, kind & 1 ? ", bias" : "");
                float *y = row(n, 4, 0), *want = row(n, 0, 0), *w = row(kernel * n, 8, kind / 2),
                      *bias = row(n, 4, 0);
                const float *x[5];
                for (int32_t j = 0; j < kernel; j++) x[j] = row(n, 4 * (uint64_t)(j % 3), kind / 2);
                chord_conv c = { want, x, w, kind & 1 ? bias : NULL, kernel, n };
                scalar->conv(&c);
                c.y = y;
                ops->conv(&c);
                for (int32_t i = 0; i < n; i++) same(y[i], want[i], i);
                canaries_live();
            }
}

/* Bounds of a column's terms: |S| and |v| in the place of S and v, and no minus. decay and beta are upper
 * bounds. */
typedef struct terms {
    double decay, u, y;
} terms;

static double kept_of(const chord_scan *s, const terms *t, int32_t i, int32_t j)
{
    return t->decay * magnitude((double)s->before[i * s->stride + j]) +
           magnitude((double)s->k_scale * (double)s->k[i]) * t->u;
}

static terms terms_of(const chord_scan *s, int32_t j, double decay, double beta)
{
    double recalled = 0;
    for (int32_t i = 0; i < s->k_dim && s->is_delta; i++)
        recalled += magnitude((double)s->k_scale * (double)s->k[i] * (double)s->before[i * s->stride + j]);
    terms t = { .decay = decay, .u = beta * (magnitude((double)s->v[j]) + decay * recalled) };
    for (int32_t i = 0; i < s->k_dim; i++)
        t.y += magnitude((double)s->q_scale * (double)s->q[i]) * kept_of(s, &t, i, j);
    t.y += magnitude((double)s->skip * (double)s->v[j]);
    return t;
}

void check_scan(const chord_ops *ops, const chord_ops *scalar)
{
    static const int32_t dims[] = { 1, 2, 5, 16, 33, 128 };
    for (int32_t d = 0; d < 6; d++)
        for (int32_t n = 0; n <= 36; n += 4)
            for (int32_t kind = 0; kind < 4; kind++) {
                int32_t const k_dim = dims[d], stride = n + 4, size = k_dim * stride;
                next_case("k_dim %d, n %d, %s%s", k_dim, n, kind & 1 ? "delta" : "scan",
                          kind & 2 ? ", in place" : "");
                float *before = row(size, 4, 0), *old = row(size, 0, 0), *want = row(n, 0, 0),
                      *y = row(n, 4, 0), *to = kind & 2 ? before : row(size, 8, 0),
                      *want_to = row(size, 0, 0);
                for (int32_t i = 0; i < size; i++) old[i] = before[i], want_to[i] = to[i];
                chord_scan s = { old,
                                 want_to,
                                 row(k_dim, 4, 0),
                                 row(k_dim, 8, 0),
                                 row(n, 4, 0),
                                 want,
                                 stride,
                                 k_dim,
                                 n,
                                 kind & 1,
                                 -0.1f,
                                 random_gauss(),
                                 0.3f,
                                 0.7f,
                                 kind & 2 ? 0.5f : 0 };
                scalar->scan(&s);
                s.before = before, s.after = to, s.y = y;
                ops->scan(&s);
                s.before = old;
                double const decay = 0.91, gate = magnitude((double)s.gate), beta = s.is_delta ? 1 : gate;
                for (int32_t j = 0; j < n; j++) {
                    terms const t = terms_of(&s, j, decay, beta);
                    near(y[j], want[j], (2.0 * k_dim + 40) * t.y, 0x1p-140, j);
                    for (int32_t i = 0; i < k_dim; i++)
                        near(to[i * stride + j], want_to[i * stride + j],
                             (k_dim + 40.0) * kept_of(&s, &t, i, j), 0x1p-140, j);
                }
                for (int32_t i = 0; i < k_dim; i++) /* the columns behind n stay */
                    for (int32_t j = n; j < stride; j++) same(to[i * stride + j], want_to[i * stride + j], j);
                canaries_live();
            }
}

void check_wkv(const chord_ops *ops, const chord_ops *scalar)
{
    for (int32_t n = 0; n <= 128; n += n < 32 ? 8 : n)
        for (int32_t kind = 0; kind < 2; kind++) {
            next_case("n %d%s", n, kind ? ", in place" : "");
            int32_t const size = n * n;
            float *before = row(size, 4, 0), *old = row(size, 0, 0), *to = kind ? before : row(size, 8, 0),
                  *want_to = row(size, 0, 0), *y = row(n, 4, 0), *want = row(n, 0, 0), *decay = row(n, 8, 0);
            for (int32_t i = 0; i < size; i++) old[i] = before[i];
            chord_wkv s = { old,          want_to,      decay,        row(n, 4, 0), row(n, 8, 0),
                            row(n, 4, 0), row(n, 0, 0), row(n, 8, 0), want,         n };
            scalar->wkv(&s);
            s.before = before, s.after = to, s.y = y;
            ops->wkv(&s);
            for (int32_t j = 0; j < n; j++) {
                double gone = 0, sum = 0;
                for (int32_t i = 0; i < n; i++) gone += magnitude((double)s.c[i] * (double)old[i * n + j]);
                for (int32_t i = 0; i < n; i++) {
                    double const kept = magnitude((double)decay[i] * (double)old[i * n + j]) +
                                        magnitude((double)s.k[i] * (double)s.v[j]) +
                                        magnitude((double)s.b[i]) * gone;
                    near(to[i * n + j], want_to[i * n + j], (2.0 * n + 6) * kept, 0x1p-140, j);
                    sum += magnitude((double)s.r[i]) * kept;
                }
                near(y[j], want[j], (3.0 * n + 10) * sum, 0x1p-140, j);
            }
            canaries_live();
        }
}
