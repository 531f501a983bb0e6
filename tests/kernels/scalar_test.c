/* scalar_test.c: compares the scalar bodies, checkkern's specification, with double arithmetic over the
 * formats' own decode and libm. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../harness/test.h"
#include "../../include/chord.h"
#include "../../src/base/half.h"
#include "../../src/kernels/kernels.h"
#include "../../src/quant/act.h"
#include "../../src/quant/blocks.h"
#include <math.h>

enum { N_IN = 512, N_OUT = 7, N_T = 3 };
#define EPS 0x1p-24

static const chord_ops *scalar(void) { return chord_ops_of(CHORD_ISA_SCALAR); }

static void random_row(const chord_format *f, uint8_t *row)
{
    for (uint64_t i = 0; i < chord_row_bytes(f, N_IN); i++) row[i] = (uint8_t)test_random();
    for (int32_t b = 0; b < N_IN / f->block_elems; b++, row += f->block_bytes) {
        float const w = test_gauss();
        uint16_t const half = chord_f32_f16(w * 0.05f), other = chord_f32_f16(test_gauss() * 0.3f),
                       brain = (uint16_t)(chord_f32_bits(w) >> 16);
        if (f->tile == CHORD_TILE_F32) memcpy(row, &w, 4);
        else if (f->block_elems == 1) memcpy(row, f->tile == CHORD_TILE_BF16 ? &brain : &half, 2);
        else chord_block_set_d(f, row, half);
        if (f->m_at >= 0) memcpy(row + f->m_at, &other, 2);
        for (int j = 2; j < f->block_bytes && f->low == 8; j++) row[j] += row[j] == 0x80;
    }
}

/* Decodes a row with d = 0, which leaves what the offsets alone add to each element. */
static void offsets_of(const chord_format *f, const uint8_t *row, float *out)
{
    uint8_t *copy = test_alloc((size_t)chord_row_bytes(f, N_IN));
    memcpy(copy, row, (size_t)chord_row_bytes(f, N_IN));
    for (int32_t b = 0; b < N_IN / f->block_elems; b++) memset(copy + b * f->block_bytes + f->d_at, 0, 2);
    f->decode(out, copy, N_IN);
}

/* Decodes activations as the matmul reads them: q * d for q8. */
static void seen(const chord_format *f, const uint8_t *x, double *out)
{
    for (int k = 0; k < N_IN; k++) {
        float v;
        if (f->act == CHORD_ACT_F32) {
            memcpy(&v, x + 4 * k, 4);
            out[k] = (double)v;
            continue;
        }
        memcpy(&v, chord_q8_d(x, N_IN) + k / 32 * 4, 4);
        out[k] = (double)v * (int8_t)x[k];
    }
}

static void matmul_is_the_sum_over_decoded_rows(const chord_format *f)
{
    uint8_t *rows[8] = { 0 }, *w = test_alloc((size_t)(2 * chord_x4_bytes(f, N_IN))), *x[N_T];
    float decoded[N_OUT][N_IN], offsets[N_OUT][N_IN], bias[N_OUT], y[N_T][N_OUT + 1], old[N_T][N_OUT];
    uint64_t const stride = 2048;
    uint8_t *xs = test_alloc(stride * N_T);
    for (int r = 0; r < N_OUT; r++) {
        random_row(f, rows[r] = test_alloc((size_t)chord_row_bytes(f, N_IN)));
        f->decode(decoded[r], rows[r], N_IN);
        if (f->m_at >= 0) offsets_of(f, rows[r], offsets[r]);
        bias[r] = test_gauss();
    }
    for (int g = 0; g < 2; g++)
        CHECK(chord_format_repack(f, w + (uint64_t)g * chord_x4_bytes(f, N_IN),
                                  (const void *const *)(rows + 4 * g), N_IN));
    for (int t = 0; t < N_T; t++) {
        float in[N_IN];
        x[t] = xs + (uint64_t)t * stride;
        for (int k = 0; k < N_IN; k++) in[k] = test_gauss();
        if (f->act == CHORD_ACT_Q8) scalar()->quantize_q8(x[t], in, N_IN);
        else memcpy(x[t], in, sizeof in);
        for (int r = 0; r < N_OUT; r++) y[t][r] = old[t][r] = test_gauss();
        y[t][N_OUT] = 5;
    }
    chord_matmul const m = {
        w, chord_x4_bytes(f, N_IN), xs, stride, &y[0][0], N_OUT + 1, bias, NULL, N_IN, N_OUT, 1, 0, NULL
    };
    chord_ops_matmul(scalar(), f->type)(&m, 0, N_OUT, 0, N_T);
    for (int t = 0; t < N_T; t++) {
        double in[N_IN];
        seen(f, x[t], in);
        for (int r = 0; r < N_OUT; r++) {
            double sum = 0, size = 0, offset = 0;
            for (int k = 0; k < N_IN; k++) {
                sum += (double)decoded[r][k] * in[k];
                size += fabs((double)decoded[r][k] * in[k]);
                /* decode rounds once more, and d q and m may cancel: the offsets count separately */
                if (f->m_at >= 0) offset += 3 * fabs((double)offsets[r][k] * in[k]);
            }
            /* at most N_IN products and sums, bias, old y; with an m decode rounds each element once */
            double const bound = (N_IN + 6) * EPS *
                                 (size + offset + fabs((double)bias[r]) + fabs((double)old[t][r]));
            CHECK_NEAR((double)y[t][r], sum + (double)bias[r] + (double)old[t][r], bound);
        }
        CHECK(y[t][N_OUT] == 5);
    }
}
#define FORMAT(id, NAME, file, ...)                               \
    TEST(scalar_matmul_##file##_is_the_sum_over_decoded_rows)     \
    {                                                             \
        matmul_is_the_sum_over_decoded_rows(chord_format_of(id)); \
    }
#include "../../src/quant/formats.def"

TEST(scalar_norm_divides_by_the_root_of_the_mean_square)
{
    float x[100], w[100], y[100];
    double sum = 0;
    for (int i = 0; i < 100; i++)
        x[i] = test_gauss(), w[i] = test_gauss(), sum += (double)x[i] * (double)x[i];
    scalar()->rms_norm(y, x, w, 100, 0.01f);
    for (int i = 0; i < 100; i++) {
        double const want = (double)x[i] / sqrt(sum / 100 + (double)0.01f) * (double)w[i];
        CHECK_NEAR((double)y[i], want, 6 * EPS * fabs(want));
    }
}

/* Without an epsilon a row of zeros has no norm: 0 / sqrt(0) is NaN in IEEE arithmetic, in the float64
 * interpreter and in llama.cpp (ggml's scale is 1 / sqrtf(mean + eps)). A file's epsilon must therefore be
 * above 0 (model/builder.h). */
TEST(a_row_of_zeros_needs_an_epsilon_in_every_body)
{
    float x[7] = { 0 }, y[7];
    for (int32_t isa = CHORD_ISA_SCALAR; isa <= CHORD_ISA_RELAXED; isa++) {
        const chord_ops *ops = chord_ops_of(isa);
        if (!ops) continue;
        ops->rms_norm(y, x, NULL, 7, 0);
        for (int i = 0; i < 7; i++) CHECK(isnan(y[i]));
        ops->rms_norm(y, x, NULL, 7, 0x1p-126f); /* the minimum that a file may have */
        for (int i = 0; i < 7; i++) CHECK_NEAR((double)y[i], 0, 0);
    }
}

TEST(scalar_gates_are_silu_and_tanh_gelu)
{
    for (int i = -4000; i <= 4000; i++) {
        float const x = (float)i / 40, up = 0.7f;
        double const z = (double)x;
        float silu, gelu;
        scalar()->silu_glu(&silu, &x, &up, 1);
        scalar()->gelu_glu(&gelu, &x, &up, 1);
        CHECK_NEAR((double)silu, z / (1 + exp(-z)) * (double)up, 2 * EPS * fabs((double)silu) + 1e-44);
        double const u = sqrt(2 / acos(-1)) * (z + 0.044715 * z * z * z);
        /* 1 + tanh(u) cancels for u < 0 in this form; its absolute error is some 2^-53 */
        CHECK_NEAR((double)gelu, 0.5 * z * (1 + tanh(u)) * (double)up,
                   2 * EPS * fabs((double)gelu) + 1e-15 * fabs(z));
    }
}

TEST(scalar_rope_bodies_rotate_their_pairs)
{
    float cs[8], norm[9], neox[9];
    for (int i = 0; i < 4; i++) cs[2 * i] = cosf(0.3f + (float)i), cs[2 * i + 1] = sinf(0.3f + (float)i);
    for (int i = 0; i < 8; i++) norm[i] = neox[i] = (float)(i + 1);
    norm[8] = neox[8] = 7;
    scalar()->rope_norm(norm, cs, 4);
    scalar()->rope_neox(neox, cs, 4);
    for (int i = 0; i < 4; i++) {
        double const c = (double)cs[2 * i], s = (double)cs[2 * i + 1];
        CHECK_NEAR((double)norm[2 * i], (2 * i + 1) * c - (2 * i + 2) * s, 4e-6);
        CHECK_NEAR((double)norm[2 * i + 1], (2 * i + 1) * s + (2 * i + 2) * c, 4e-6);
        CHECK_NEAR((double)neox[i], (i + 1) * c - (i + 5) * s, 4e-6);
        CHECK_NEAR((double)neox[i + 4], (i + 1) * s + (i + 5) * c, 4e-6);
    }
    CHECK(norm[8] == 7 && neox[8] == 7);
}

/* 40 slots over two pages. The last 24 slots of the second page and the first 3 of the first are masked. */
static void attention_is_a_softmax(float cap)
{
    enum { D = 12, SEEN = 40 };
    float k[64][D], v[64][D], q[D], acc[D] = { 0 }, ml[2] = { -0x1.fffffep127f, 0 };
    float *accs[1] = { acc }, *mls[1] = { ml };
    const float *qs[1] = { q };
    for (int d = 0; d < D; d++) q[d] = 2 * test_gauss();
    for (int j = 0; j < 64; j++)
        for (int d = 0; d < D; d++) k[j][d] = test_gauss(), v[j][d] = test_gauss();
    for (int page = 0; page < 2; page++) {
        int32_t const lo = page ? 0 : 3, hi = page ? SEEN - 32 : 32;
        chord_attend const a = { k[32 * page], v[32 * page], qs, accs, mls, &lo, &hi,
                                 0.5f,         cap,          1,  D,    D,   D,   0,
                                 NULL };
        scalar()->attend(&a);
    }
    double p[SEEN], sum = 0, top = -1e300, largest = 0, size = 0;
    for (int j = 3; j < SEEN; j++) {
        double product = 0;
        p[j] = 0;
        for (int d = 0; d < D; d++) {
            p[j] += 0.5 * (double)q[d] * (double)k[j][d];
            product += 0.5 * fabs((double)q[d] * (double)k[j][d]);
            largest = fmax(largest, fabs((double)v[j][d]));
        }
        size = fmax(size, product);
        if (cap > 0) p[j] = (double)cap * tanh(p[j] / (double)cap);
        top = fmax(top, p[j]);
    }
    for (int j = 3; j < SEEN; j++) sum += p[j] = exp(p[j] - top);
    double const score_error = (D + 2) * EPS * size + 2 * EPS * (double)cap;
    CHECK_NEAR((double)ml[0], top, score_error);
    for (int d = 0; d < D; d++) {
        double want = 0;
        for (int j = 3; j < SEEN; j++) want += p[j] / sum * (double)v[j][d];
        /* p errs by the errors of its score and of the top, in numerator and denominator; some 50 sums and
         * scalings */
        CHECK_NEAR((double)(acc[d] / ml[1]), want, (4 * score_error + 100 * EPS) * largest);
    }
}
TEST(scalar_attention_over_pages_is_one_softmax) { attention_is_a_softmax(0); }
TEST(scalar_attention_caps_scores_softly) { attention_is_a_softmax(3); }
