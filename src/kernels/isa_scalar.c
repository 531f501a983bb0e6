/* isa_scalar.c: the specification of every slot: plain loops, f32 sums with k ascending, integers exact.
 * Left out of shipped wasm modules (CHORD_NO_SCALAR). */
/* SPDX-License-Identifier: Apache-2.0 */
#define KERNEL_SCALAR CHORD_FILL
#include "bodies.h"
#ifdef CHORD_HAS_SCALAR
#include "real.h"
#include "../base/bytes.h"
#include "../base/half.h"
#include "../quant/act.h"

/* ---- matmul --------------------------------------------------------------------------------------- */

/* One output element: the sum of `w` (a group), row r of it, times activations `x`. */
typedef float dot_fn(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n);

static inline void matmul(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1, dot_fn *dot)
{
    for (int32_t t = t0; t < t1; t++)
        for (int32_t r = r0; r < r1; r++) {
            const uint8_t *w = (const uint8_t *)m->w + (uint64_t)(r / 4) * m->group_bytes;
            const uint8_t *x = (const uint8_t *)m->x + (uint64_t)t * m->x_stride;
            bool const is_second = m->two_terms && t % 2;
            float *y = m->y + (uint64_t)(m->two_terms ? t / 2 : t) * m->y_stride + r;
            float sum = dot(w, r % 4, x, m->n_in);
            if (m->bias && !is_second) sum += m->bias[r];
            if (m->add || is_second) sum += *y;
            *y = sum;
        }
}

static float dot_f32(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t k = 0; k < n; k++) sum += chord_f32(w + 16 * (int64_t)k + 4 * r) * chord_f32(x + 4 * (int64_t)k);
    return sum;
}

static float dot_f16(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t k = 0; k < n; k++) sum += chord_f16_f32(chord_u16(w + 8 * (int64_t)k + 2 * r)) * chord_f32(x + 4 * (int64_t)k);
    return sum;
}

static float dot_bf16(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t k = 0; k < n; k++) sum += chord_bf16_f32(chord_u16(w + 8 * (int64_t)k + 2 * r)) * chord_f32(x + 4 * (int64_t)k);
    return sum;
}

/* What the formats of 32 elements share: scales of the weights' row r (8 bytes each for four rows),
 * scale and sum of the activations' block b. */
static float scale_at(const uint8_t *w, int32_t r) { return chord_f16_f32(chord_u16(w + 2 * r)); }
static float act_d(const uint8_t *x, int32_t n, int32_t b) { return chord_f32(chord_q8_d(x, n) + 4 * b); }
static int32_t act_sum(const uint8_t *x, int32_t n, int32_t b) { return chord_i32(chord_q8_s(x, n) + 4 * b); }

static int32_t dot_nibbles(const uint8_t *codes, int32_t r, const int8_t *x)
{
    int32_t sum = 0;
    for (int32_t j = 0; j < 16; j++) {
        uint8_t const q = codes[16 * (j / 4) + 4 * r + j % 4];
        sum += (q & 15) * x[j] + (q >> 4) * x[j + 16];
    }
    return sum;
}

static float dot_q4_0(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += 72) {
        int32_t const i = dot_nibbles(w + 8, r, (const int8_t *)x + 32 * b) - 8 * act_sum(x, n, b);
        sum += (scale_at(w, r) * act_d(x, n, b)) * (float)i;
    }
    return sum;
}

static float dot_q4_1(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += 80) {
        int32_t const i = dot_nibbles(w + 16, r, (const int8_t *)x + 32 * b);
        sum += act_d(x, n, b) * (scale_at(w, r) * (float)i + scale_at(w + 8, r) * (float)act_sum(x, n, b));
    }
    return sum;
}

static float dot_q8_0(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += 136) {
        int32_t i = 0;
        for (int32_t j = 0; j < 32; j++) i += (int8_t)w[8 + 16 * (j / 4) + 4 * r + j % 4] * (int8_t)x[32 * b + j];
        sum += (scale_at(w, r) * act_d(x, n, b)) * (float)i;
    }
    return sum;
}

/* Element e of a part of the other types, where x4.h says. */
static int32_t nibble_at(const uint8_t *p, int32_t r, int32_t e) { return p[e % 16 / 4 * 16 + 4 * r + e % 4] >> e / 16 * 4 & 15; }
static int32_t pair_at(const uint8_t *p, int32_t r, int32_t e) { return p[e / 16 * 16 + 4 * r + e % 4] >> e % 16 / 4 * 2 & 3; }
static int32_t bit_at(const uint8_t *p, int32_t r, int32_t e) { return p[4 * r + e % 4] >> e / 4 & 1; }

static int32_t q5_at(const uint8_t *p, int32_t r, int32_t e) { return nibble_at(p + 16, r, e) | bit_at(p, r, e) << 4; }
static int32_t q3_at(const uint8_t *p, int32_t r, int32_t e) { return pair_at(p + 16, r, e) | bit_at(p, r, e) << 2; }
static int32_t q6_at(const uint8_t *p, int32_t r, int32_t e) { return nibble_at(p + 32, r, e) | pair_at(p, r, e) << 4; }
static int32_t iq4_at(const uint8_t *p, int32_t r, int32_t e) { return chord_iq4_values[nibble_at(p, r, e)]; }

typedef int32_t code_fn(const uint8_t *part, int32_t r, int32_t e);

static inline int32_t dot_half(code_fn *code, const uint8_t *part, int32_t r, const uint8_t *x, int32_t b, int32_t half)
{
    int32_t sum = 0;
    for (int32_t e = 16 * half; e < 16 * half + 16; e++) sum += code(part, r, e) * (int8_t)x[32 * b + e];
    return sum;
}
static inline int32_t dot_part(code_fn *code, const uint8_t *part, int32_t r, const uint8_t *x, int32_t b)
{
    return dot_half(code, part, r, x, b, 0) + dot_half(code, part, r, x, b, 1);
}
static int32_t act_half(const uint8_t *x, int32_t n, int32_t b, int32_t half)
{
    return (int16_t)chord_u16(chord_q8_h(x, n) + 4 * b + 2 * half);
}

static float dot_q5_0(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += 88) {
        int32_t const i = dot_part(q5_at, w + 8, r, x, b) - 16 * act_sum(x, n, b);
        sum += (scale_at(w, r) * act_d(x, n, b)) * (float)i;
    }
    return sum;
}

static float dot_q5_1(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += 96) {
        int32_t const i = dot_part(q5_at, w + 16, r, x, b);
        sum += act_d(x, n, b) * (scale_at(w, r) * (float)i + scale_at(w + 8, r) * (float)act_sum(x, n, b));
    }
    return sum;
}

static float dot_iq4_nl(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += 72)
        sum += (scale_at(w, r) * act_d(x, n, b)) * (float)dot_part(iq4_at, w + 8, r, x, b);
    return sum;
}

static float dot_iq4_xs(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += b % 8 ? 0 : 544) {
        int32_t const low = (int32_t)(chord_u32(w + 16 + 4 * r) >> b % 8 * 4 & 15), high = chord_u16(w + 8 + 2 * r) >> b % 8 * 2 & 3;
        float const d = scale_at(w, r) * (float)((low | high << 4) - 32);
        sum += (d * act_d(x, n, b)) * (float)dot_part(iq4_at, w + 32 + b % 8 * 64, r, x, b);
    }
    return sum;
}

/* Q4_K, Q5_K: the twelve bytes of row r, d and m before them. */
static float dot_offsets(code_fn *code, int32_t part, const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += b % 8 ? 0 : 64 + 8 * part) {
        uint8_t s[12];
        for (int32_t i = 0; i < 12; i++) s[i] = w[16 + i / 4 * 16 + 4 * r + i % 4];
        float const d = scale_at(w, r) * (float)chord_k_scale(s, b % 8), m = scale_at(w + 8, r) * (float)chord_k_offset(s, b % 8);
        int32_t const i = dot_part(code, w + 64 + b % 8 * part, r, x, b);
        sum += act_d(x, n, b) * (d * (float)i - m * (float)act_sum(x, n, b));
    }
    return sum;
}
static float dot_q4_k(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n) { return dot_offsets(nibble_at, 64, w, r, x, n); }
static float dot_q5_k(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n) { return dot_offsets(q5_at, 80, w, r, x, n); }

static float dot_q2_k(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += b % 8 ? 0 : 336) {
        const uint8_t *part = w + 16 + b % 8 * 40;
        int32_t i = 0, s = 0;
        for (int32_t half = 0; half < 2; half++) {
            i += (part[2 * r + half] & 15) * dot_half(pair_at, part + 8, r, x, b, half);
            s += (part[2 * r + half] >> 4) * act_half(x, n, b, half);
        }
        sum += act_d(x, n, b) * (scale_at(w, r) * (float)i - scale_at(w + 8, r) * (float)s);
    }
    return sum;
}

static float dot_q3_k(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += b % 8 ? 0 : 440) {
        int32_t i = 0;
        for (int32_t half = 0; half < 2; half++) {
            int32_t const at = b % 8 * 2 + half; /* the scale among sixteen */
            int32_t const low = w[8 + at / 8 * 16 + 4 * r + at / 2 % 4] >> at % 2 * 4 & 15;
            int32_t const high = w[40 + 4 * r + at / 4] >> at % 4 * 2 & 3;
            i += ((low | high << 4) - 32) * (dot_half(q3_at, w + 56 + b % 8 * 48, r, x, b, half) - 4 * act_half(x, n, b, half));
        }
        sum += (scale_at(w, r) * act_d(x, n, b)) * (float)i;
    }
    return sum;
}

static float dot_q6_k(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++, w += b % 8 ? 0 : 840) {
        const uint8_t *part = w + 8 + b % 8 * 104;
        int32_t i = 0;
        for (int32_t half = 0; half < 2; half++)
            i += (int8_t)part[2 * r + half] * (dot_half(q6_at, part + 8, r, x, b, half) - 32 * act_half(x, n, b, half));
        sum += (scale_at(w, r) * act_d(x, n, b)) * (float)i;
    }
    return sum;
}

#define MATMUL(name, dot)                                                                           \
    void name(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1) { matmul(m, r0, r1, t0, t1, dot); }
MATMUL(chord_matmul_f32_f32__scalar, dot_f32)
MATMUL(chord_matmul_f16_f32__scalar, dot_f16)
MATMUL(chord_matmul_bf16_f32__scalar, dot_bf16)
MATMUL(chord_matmul_q4_0_q8__scalar, dot_q4_0)
MATMUL(chord_matmul_q4_1_q8__scalar, dot_q4_1)
MATMUL(chord_matmul_q8_0_q8__scalar, dot_q8_0)
MATMUL(chord_matmul_q5_0_q8__scalar, dot_q5_0)
MATMUL(chord_matmul_q5_1_q8__scalar, dot_q5_1)
MATMUL(chord_matmul_q2_k_q8__scalar, dot_q2_k)
MATMUL(chord_matmul_q3_k_q8__scalar, dot_q3_k)
MATMUL(chord_matmul_q4_k_q8__scalar, dot_q4_k)
MATMUL(chord_matmul_q5_k_q8__scalar, dot_q5_k)
MATMUL(chord_matmul_q6_k_q8__scalar, dot_q6_k)
MATMUL(chord_matmul_iq4_nl_q8__scalar, dot_iq4_nl)
MATMUL(chord_matmul_iq4_xs_q8__scalar, dot_iq4_xs)

/* ---- elements ------------------------------------------------------------------------------------- */

void chord_quantize_q8__scalar(void *dst, const float *x, int32_t n) { chord_act_quantize_q8(dst, x, n); }

void chord_rms_norm__scalar(float *y, const float *x, const float *w, int32_t n, float eps)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    float const scale = 1.0f / __builtin_sqrtf((float)(sum / (n > 0 ? n : 1)) + eps);
    for (int32_t i = 0; i < n; i++) y[i] = w ? x[i] * scale * w[i] : x[i] * scale;
}

static float over_one_plus_exp(double x, double z) { return (float)(x / (1 + chord_real_exp(-z))); }

void chord_silu_glu__scalar(float *y, const float *gate, const float *up, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] = over_one_plus_exp((double)gate[i], (double)gate[i]) * up[i];
}

/* 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3) */
void chord_gelu_glu__scalar(float *y, const float *gate, const float *up, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        double const x = (double)gate[i];
        y[i] = over_one_plus_exp(x, 1.5957691216057308 * x * (1 + 0.044715 * x * x)) * up[i];
    }
}

static void rotate(float *a, float *b, float c, float s)
{
    float const x = *a, y = *b;
    *a = x * c - y * s;
    *b = x * s + y * c;
}

void chord_rope_norm__scalar(float *x, const float *cs, int32_t n_pairs)
{
    for (int32_t i = 0; i < n_pairs; i++) rotate(x + 2 * i, x + 2 * i + 1, cs[2 * i], cs[2 * i + 1]);
}

void chord_rope_neox__scalar(float *x, const float *cs, int32_t n_pairs)
{
    for (int32_t i = 0; i < n_pairs; i++) rotate(x + i, x + i + n_pairs, cs[2 * i], cs[2 * i + 1]);
}

void chord_add__scalar(float *y, const float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] += x[i];
}

void chord_scale__scalar(float *y, const float *x, float scale, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] = x[i] * scale;
}

void chord_kv_q8_store__scalar(void *dst, const float *x, int32_t n) { chord_act_kv_q8_store(dst, x, n); }
void chord_kv_q8_load__scalar(float *dst, const void *x, int32_t n) { chord_act_kv_q8_load(dst, x, n); }

void chord_f16_store__scalar(uint16_t *dst, const float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) dst[i] = chord_f32_f16(x[i]);
}

void chord_f16_load__scalar(float *dst, const uint16_t *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) dst[i] = chord_f16_f32(x[i]);
}

/* ---- attention ------------------------------------------------------------------------------------ */

static float kv_at(const chord_attend *a, const void *rows, int32_t j, int32_t d)
{
    int64_t const at = (int64_t)j * a->head_dim + d;
    return a->is_f16 ? chord_f16_f32(((const uint16_t *)rows)[at]) : ((const float *)rows)[at];
}

static void attend_one(const chord_attend *a, const float *q, float *acc, float *ml, int32_t lo, int32_t hi)
{
    float score[32], top = ml[0];
    for (int32_t j = lo; j < hi; j++) {
        float dot = 0;
        for (int32_t d = 0; d < a->head_dim; d++) dot += q[d] * kv_at(a, a->k, j, d);
        score[j] = dot * a->scale;
        if (a->cap > 0) score[j] = a->cap * (float)chord_real_tanh((double)(score[j] / a->cap));
        if (score[j] > top) top = score[j];
    }
    float const keep = (float)chord_real_exp((double)(ml[0] - top));
    ml[0] = top;
    ml[1] *= keep;
    for (int32_t d = 0; d < a->head_dim; d++) acc[d] *= keep;
    for (int32_t j = lo; j < hi; j++) {
        float const p = (float)chord_real_exp((double)(score[j] - top));
        ml[1] += p;
        for (int32_t d = 0; d < a->head_dim; d++) acc[d] += p * kv_at(a, a->v, j, d);
    }
}

void chord_attend__scalar(const chord_attend *a)
{
    for (int32_t i = 0; i < a->n_q; i++)
        if (a->lo[i] < a->hi[i]) attend_one(a, a->q[i], a->acc[i], a->ml[i], a->lo[i], a->hi[i]);
}

void chord_attend_join__scalar(float *acc, float *ml, const float *acc_2, const float *ml_2, int32_t head_dim)
{
    float const top = ml[0] > ml_2[0] ? ml[0] : ml_2[0];
    float const keep = (float)chord_real_exp((double)(ml[0] - top)), take = (float)chord_real_exp((double)(ml_2[0] - top));
    ml[0] = top;
    ml[1] = ml[1] * keep + ml_2[1] * take;
    for (int32_t d = 0; d < head_dim; d++) acc[d] = acc[d] * keep + acc_2[d] * take;
}

const chord_ops chord_ops_scalar = { CHORD_ISA_SCALAR, "scalar",
#define KERNEL CHORD_KERNEL_OF_ISA
#include "kernels.def"
};

#endif
