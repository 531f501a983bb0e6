/* isa_scalar.c: the specification of every slot: plain loops, f32 sums with k ascending, exact integers. The
 * shipped wasm modules are built without it (CHORD_NO_SCALAR). */
/* SPDX-License-Identifier: Apache-2.0 */
#define KERNEL_SCALAR CHORD_FILL
#include "bodies.h"
#ifdef CHORD_HAS_SCALAR
#include "real.h"
#include "../base/bytes.h"
#include "../base/half.h"
#include "../quant/act.h"
#include "../quant/x4.h"

/* ---- matmul --------------------------------------------------------------------------------------- */

/* Returns one output element: row r (0..3) of group `w` times activations `x`. */
typedef float dot_fn(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n);

static inline void matmul(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, int32_t t1, dot_fn *dot)
{
    for (int32_t t = t0; t < t1; t++)
        for (int32_t r = r0; r < r1; r++) {
            const uint8_t *w = (const uint8_t *)m->w + (uint64_t)(r / 4) * m->group_bytes;
            const uint8_t *x = (const uint8_t *)m->x + (m->at ? m->at[t].x : (uint64_t)t * m->x_stride);
            bool const is_second = m->two_terms && t % 2;
            float *y = m->y + r + (m->at ? m->at[t].y : (uint64_t)(m->two_terms ? t / 2 : t) * m->y_stride);
            float sum = dot(w, r % 4, x, m->n_in);
            if (m->bias && !is_second) sum += m->bias[r];
            if (m->add || is_second) sum += *y;
            *y = sum;
        }
}

/* Return the sum of half `half` of block b of the activations, and the scale of block b (quant/act.h). */
static int32_t act_half(const uint8_t *x, int32_t n, int32_t b, int32_t half)
{
    return (int16_t)chord_u16(chord_q8_h(x, n) + 4 * b + 2 * half);
}
static float act_d(const uint8_t *x, int32_t n, int32_t b) { return chord_f32(chord_q8_d(x, n) + 4 * b); }

/* Return row r of a 16-bit field, and byte i of row r in consecutive pieces (quant/x4.h). */
static float f16_at(const uint8_t *field, int32_t r) { return chord_f16_f32(chord_u16(field + 2 * r)); }
static uint8_t byte_at(const uint8_t *pieces, int32_t r, int32_t i)
{
    return pieces[i / 4 * 16 + 4 * r + i % 4];
}

/* Return element e of row r in a plane of nibbles, of pairs of bits, of bits. */
static int32_t nibble_at(const uint8_t *p, int32_t r, int32_t e)
{
    return byte_at(p, r, e % 16) >> e / 16 * 4 & 15;
}
static int32_t pair_at(const uint8_t *p, int32_t r, int32_t e)
{
    return byte_at(p, r, e / 16 * 4 + e % 4) >> e % 16 / 4 * 2 & 3;
}
static int32_t bit_at(const uint8_t *p, int32_t r, int32_t e) { return byte_at(p, r, e % 4) >> e / 4 & 1; }

/* Returns element e of a packed part (x4.h). */
static int32_t packed_at(int width, const uint8_t *p, int32_t r, int32_t e)
{
    int32_t const v = e / 4, piece = width == 3 ? v / 2 : v;
    if (v < (width == 3 ? 6 : width))
        return byte_at(p, r, 4 * piece + e % 4) >> (width == 3 ? v % 2 * 3 : 0) & ((1 << width) - 1);
    int32_t code = 0;
    for (const chord_pack_run *run = chord_pack_runs[width]; run->bits; run++)
        if (run->code == v)
            code |= (byte_at(p, r, 4 * run->piece + e % 4) >> run->from & ((1 << run->bits) - 1)) << run->to;
    return code;
}

/* Returns element e of a part before its scales: the code minus the centre, or the value that the code has
 * in the table. `planes` points behind the part's field of scales. */
static inline int32_t code_at(const chord_format *f, const uint8_t *planes, int32_t r, int32_t e)
{
    const uint8_t *const pairs = planes + (f->high == 1 ? 16 : 0);
    const uint8_t *const low = pairs + (f->high == 2 ? 32 : 0);
    int32_t const high = f->high == 1 ? bit_at(planes, r, e) : f->high == 2 ? pair_at(pairs, r, e) : 0;
    if (f->low == 8) return (int8_t)byte_at(low, r, e);
    if (chord_is_packed(f)) return packed_at(f->low + f->high, planes, r, e) - f->centre;
    int32_t const code = (f->low == 4   ? nibble_at(low, r, e)
                          : f->low == 2 ? pair_at(low, r, e)
                                        : 0) |
                         high << f->high_at;
    if (f->table == CHORD_TABLE_IQ4) return chord_iq4_values[code];
    return (f->table ? chord_e2m1_codes[code] : code) - f->centre;
}

/* The scales of one row of a part: d and m with the part's factors, and the integer scales and offsets of
 * both halves (1 where a format has none). */
typedef struct scales {
    float d, m;
    int32_t half[2], offset[2];
} scales;

static inline scales scales_of(const chord_format *f, const uint8_t *block, const uint8_t *at, int32_t part,
                               int32_t r)
{
    const uint8_t *const head = block + (f->m_at >= 0 ? 16 : 8);
    float const d = f->d_kind == CHORD_D_E8M0 ? chord_e8m0_f32(block[r]) : f16_at(block, r);
    scales s = { d, f->m_at >= 0 ? f16_at(block + 8, r) : 0, { 1, 1 }, { 1, 1 } };
    if (f->scales == CHORD_SCALES_K) {
        uint8_t words[12];
        for (int32_t i = 0; i < 12; i++) words[i] = byte_at(head, r, i);
        s.d *= (float)chord_k_scale(words, part);
        s.m *= (float)chord_k_offset(words, part);
    }
    if (f->scales == CHORD_SCALES_XS) {
        int32_t const low = (int32_t)(chord_u32(head + 8 + 4 * r) >> part * 4 & 15),
                      high = chord_u16(head + 2 * r) >> part * 2 & 3;
        s.d *= (float)((low | high << 4) - 32);
    }
    for (int32_t h = 0; h < 2; h++) {
        int32_t const i = 2 * part + h; /* index among the block's sixteen scales */
        if (f->scales == CHORD_SCALES_Q3)
            s.half[h] = ((byte_at(head, r, i / 2) >> i % 2 * 4 & 15) |
                         (byte_at(head + 32, r, i / 4) >> i % 4 * 2 & 3) << 4) -
                        32;
        if (f->scales == CHORD_SCALES_S8) s.half[h] = (int8_t)at[2 * r + h];
        if (f->scales == CHORD_SCALES_U4) s.half[h] = at[2 * r + h] & 15, s.offset[h] = at[2 * r + h] >> 4;
    }
    return s;
}

static inline float dot_blocks(const chord_format *f, const uint8_t *w, int32_t r, const uint8_t *x,
                               int32_t n)
{
    int32_t const parts = f->block_elems / 32, field = f->scales >= CHORD_SCALES_S8 ? 8 : 0;
    int32_t const part_bytes = field + 16 * (f->low + f->high),
                  head_bytes = 4 * f->block_bytes - parts * part_bytes;
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++) {
        const uint8_t *const block = w + (int64_t)(b / parts) * 4 * f->block_bytes;
        const uint8_t *const at = block + head_bytes + b % parts * part_bytes;
        scales const s = scales_of(f, block, at, b % parts, r);
        int32_t i = 0, offset = 0;
        for (int32_t h = 0; h < 2; h++) {
            int32_t dot = 0;
            for (int32_t e = 16 * h; e < 16 * h + 16; e++)
                dot += code_at(f, at + field, r, e) * (int8_t)x[32 * b + e];
            i += s.half[h] * dot;
            offset += s.offset[h] * act_half(x, n, b, h);
        }
        if (f->m_at < 0) sum += (s.d * act_d(x, n, b)) * (float)i;
        else
            sum += act_d(x, n, b) *
                   (s.d * (float)i + (f->scales == CHORD_SCALES_BLOCK ? s.m : -s.m) * (float)offset);
    }
    return sum;
}

static inline float dot_own(const chord_format *f, const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)
{
    uint8_t block[CHORD_X4_MOST];
    float sum = 0;
    for (int32_t b = 0; b < n / 32; b++) {
        int32_t const part = b % (f->block_elems / 32);
        if (part == 0)
            chord_format_unpack(f, block, w + (int64_t)(b / (f->block_elems / 32)) * 4 * f->block_bytes, r,
                                f->block_elems);
        chord_elements e;
        f->read(&e, block, part);
        if (f->scales == CHORD_SCALES_OWN_FLOATS) {
            for (int32_t h = 0; h < 2; h++) {
                int32_t dot = 0;
                for (int32_t k = 16 * h; k < 16 * h + 16; k++) dot += e.q[k] * (int8_t)x[32 * b + k];
                sum += (e.d * (float)e.scale[h]) * act_d(x, n, b) * (float)dot;
            }
            continue;
        }
        int32_t i = 0;
        for (int32_t k = 0; k < 32; k++) i += e.scale[k / 16] * e.q[k] * (int8_t)x[32 * b + k];
        sum += (e.d * act_d(x, n, b)) * (float)i;
    }
    return sum;
}

static inline float dot_floats(const chord_format *f, const uint8_t *w, int32_t r, const uint8_t *x,
                               int32_t n)
{
    float sum = 0;
    for (int32_t k = 0; k < n; k++) {
        const uint8_t *const at = w + (int64_t)f->block_bytes * (4 * (int64_t)k + r);
        float const weight = f->tile == CHORD_TILE_F32   ? chord_f32(at)
                             : f->tile == CHORD_TILE_F16 ? chord_f16_f32(chord_u16(at))
                                                         : chord_bf16_f32(chord_u16(at));
        sum += weight * chord_f32(x + 4 * (int64_t)k);
    }
    return sum;
}

#define FORMAT(id, NAME, file, ...)                                                               \
    static const chord_format format_##file = { .type = id, .name = #NAME, __VA_ARGS__ };         \
    static float dot_##file(const uint8_t *w, int32_t r, const uint8_t *x, int32_t n)             \
    {                                                                                             \
        return format_##file.act == CHORD_ACT_F32 ? dot_floats(&format_##file, w, r, x, n)        \
               : format_##file.read               ? dot_own(&format_##file, w, r, x, n)           \
                                                  : dot_blocks(&format_##file, w, r, x, n);       \
    }                                                                                             \
    void chord_matmul_##file##__scalar(const chord_matmul *m, int32_t r0, int32_t r1, int32_t t0, \
                                       int32_t t1)                                                \
    {                                                                                             \
        matmul(m, r0, r1, t0, t1, dot_##file);                                                    \
    }
#include "../quant/formats.def"

/* ---- elements ------------------------------------------------------------------------------------- */

void chord_quantize_q8__scalar(void *dst, const float *x, int32_t n) { chord_act_quantize_q8(dst, x, n); }

float chord_rms_norm__scalar(float *y, const float *x, const float *w, int32_t n, float eps)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    float const scale = 1.0f / __builtin_sqrtf((float)(sum / (n > 0 ? n : 1)) + eps);
    for (int32_t i = 0; i < n; i++) y[i] = w ? x[i] * scale * w[i] : x[i] * scale;
    return (float)sum;
}

float chord_layer_norm__scalar(const chord_layer_norm *a)
{
    int32_t const count = a->n > 0 ? a->n : 1;
    double sum = 0, squares = 0;
    for (int32_t i = 0; i < a->n; i++) sum += (double)a->x[i];
    double const mean = sum / count;
    for (int32_t i = 0; i < a->n; i++) squares += ((double)a->x[i] - mean) * ((double)a->x[i] - mean);
    float const scale = 1.0f / __builtin_sqrtf((float)(squares / count) + a->eps);
    for (int32_t i = 0; i < a->n; i++) {
        float const y = (float)((double)a->x[i] - mean) * scale;
        a->y[i] = (a->w ? y * a->w[i] : y) + (a->bias ? a->bias[i] : 0);
    }
    return (float)squares;
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

void chord_sigmoid_glu__scalar(float *y, const float *gate, const float *up, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] = over_one_plus_exp(1, (double)gate[i]) * up[i];
}

void chord_oai_glu__scalar(float *y, const float *gate, const float *up, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        double const x = gate[i] > 7 ? 7 : (double)gate[i];
        float const u = up[i] > 7 ? 7 : up[i] < -7 ? -7 : up[i];
        y[i] = over_one_plus_exp(x, (double)1.702f * x) * (u + 1);
    }
}

void chord_silu__scalar(float *y, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] = over_one_plus_exp((double)y[i], (double)y[i]);
}

void chord_gelu__scalar(float *y, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        double const x = (double)y[i];
        y[i] = over_one_plus_exp(x, 1.5957691216057308 * x * (1 + 0.044715 * x * x));
    }
}

void chord_relu__scalar(float *y, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] = y[i] > 0 || y[i] != y[i] ? y[i] : 0;
}

void chord_softcap__scalar(float *y, float cap, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] = cap * (float)chord_real_tanh((double)(y[i] / cap));
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

void chord_product__scalar(float *y, const float *gate, const float *up, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] = gate[i] * up[i];
}

void chord_conv__scalar(const chord_conv *c)
{
    for (int32_t i = 0; i < c->n; i++) {
        float sum = 0;
        for (int32_t j = 0; j < c->kernel; j++) sum += c->w[j * c->n + i] * c->x[j][i];
        c->y[i] = c->bias ? sum + c->bias[i] : sum;
    }
}

void chord_scan__scalar(const chord_scan *s)
{
    float const decay = (float)chord_real_exp((double)s->log_decay),
                beta = s->is_delta ? over_one_plus_exp(1, (double)s->gate) : s->gate;
    for (int32_t j = 0; j < s->n; j++) {
        float recalled = 0, sum = 0;
        for (int32_t i = 0; i < s->k_dim && s->is_delta; i++)
            recalled += s->k[i] * s->before[(int64_t)i * s->stride + j];
        float const u = beta * (s->v[j] - decay * (s->k_scale * recalled)), scaled = s->k_scale * u;
        for (int32_t i = 0; i < s->k_dim; i++) {
            float const to = decay * s->before[(int64_t)i * s->stride + j] + s->k[i] * scaled;
            s->after[(int64_t)i * s->stride + j] = to;
            sum += s->q[i] * to;
        }
        s->y[j] = s->q_scale * sum + s->skip * s->v[j];
    }
}

void chord_wkv__scalar(const chord_wkv *s)
{
    int32_t const n = s->n;
    for (int32_t j = 0; j < n; j++) {
        float gone = 0, sum = 0;
        for (int32_t i = 0; i < n; i++) gone += s->c[i] * s->before[i * n + j];
        for (int32_t i = 0; i < n; i++) {
            float const kept = s->decay[i] * s->before[i * n + j] + s->k[i] * s->v[j] - s->b[i] * gone;
            s->after[i * n + j] = kept;
            sum += s->r[i] * kept;
        }
        s->y[j] = sum;
    }
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

static float kv_at(const chord_attend *a, const void *rows, int32_t stride, int32_t j, int32_t d)
{
    int64_t const at = (int64_t)j * stride + d;
    return a->is_f16 ? chord_f16_f32(((const uint16_t *)rows)[at]) : ((const float *)rows)[at];
}

static void attend_one(const chord_attend *a, int32_t i)
{
    const float *q = a->q[i], *bias = a->bias ? a->bias[i] : NULL;
    float *acc = a->acc[i], *ml = a->ml[i];
    int32_t const lo = a->lo[i], hi = a->hi[i];
    float score[32], top = ml[0];
    for (int32_t j = lo; j < hi; j++) {
        float dot = 0;
        for (int32_t d = 0; d < a->k_dim; d++) dot += q[d] * kv_at(a, a->k, a->k_dim, j, d);
        score[j] = dot * a->scale;
        if (a->cap > 0) score[j] = a->cap * (float)chord_real_tanh((double)(score[j] / a->cap));
        if (bias) score[j] += bias[j];
        if (score[j] > top) top = score[j];
    }
    float const keep = (float)chord_real_exp((double)(ml[0] - top));
    ml[0] = top;
    ml[1] *= keep;
    for (int32_t d = 0; d < a->v_dim; d++) acc[d] *= keep;
    for (int32_t j = lo; j < hi; j++) {
        float const p = (float)chord_real_exp((double)(score[j] - top));
        ml[1] += p;
        for (int32_t d = 0; d < a->v_dim; d++) acc[d] += p * kv_at(a, a->v, a->v_stride, j, d);
    }
}

void chord_attend__scalar(const chord_attend *a)
{
    for (int32_t i = 0; i < a->n_q; i++)
        if (a->lo[i] < a->hi[i]) attend_one(a, i);
}

void chord_attend_join__scalar(float *acc, float *ml, const float *acc_2, const float *ml_2, int32_t v_dim)
{
    float const top = ml[0] > ml_2[0] ? ml[0] : ml_2[0];
    float const keep = (float)chord_real_exp((double)(ml[0] - top)),
                take = (float)chord_real_exp((double)(ml_2[0] - top));
    ml[0] = top;
    ml[1] = ml[1] * keep + ml_2[1] * take;
    for (int32_t d = 0; d < v_dim; d++) acc[d] = acc[d] * keep + acc_2[d] * take;
}

const chord_ops chord_ops_scalar = {
    CHORD_ISA_SCALAR,
    "scalar",
#define KERNEL CHORD_KERNEL_OF_ISA
#include "kernels.def"
};

#endif
