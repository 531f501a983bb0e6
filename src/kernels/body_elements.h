/* body_elements.h: the slots that work row by row: all except matmul and attention. Each isa_*.c includes it
 * with BODY(name) set. An element's value doesn't depend on where a row was cut. In rms_norm and the
 * activations the last n % 4 elements go through the same vector operations, in a padded copy. In the other
 * bodies the scalar operations of the last elements round as the vector operations do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/half.h"
#include "../quant/act.h"
#include "vexp.h"

/* Returns the first n (0..3) floats at p, followed by zeros. */
CHORD_INLINE vf load_part(const float *p, int32_t n)
{
    float part[4] = { 0, 0, 0, 0 };
    for (int32_t i = 0; i < n; i++) part[i] = p[i];
    return vf_load(part);
}
CHORD_INLINE void store_part(float *p, vf v, int32_t n)
{
    float part[4];
    vf_store(part, v);
    for (int32_t i = 0; i < n; i++) p[i] = part[i];
}

/* ---- q8 activations: the operations of chord_act_quantize_q8 -------------------------------------- */

CHORD_INLINE vi quantize_four(vf x, vf d)
{
    vi const bits = vf_bits(x), sign = vi_sar(bits, 31);
    vf const t = vi_as_f(vi_and(vf_bits(vf_div(x, d)), vi_all(0x7fffffff)));
    vi const v = vi_min(vi_trunc(vf_add(t, vf_all(0x1.fffffep-2f))), vi_all(127));
    return vi_sub(vi_xor(v, sign), sign);
}

/* Converts 16 floats to 16 codes. The sum of the returned four lanes is the sum of the codes. */
CHORD_INLINE vi quantize_sixteen(uint8_t *q, const float *x, vf d)
{
    vi const v0 = quantize_four(vf_load(x), d), v1 = quantize_four(vf_load(x + 4), d);
    vi const v2 = quantize_four(vf_load(x + 8), d), v3 = quantize_four(vf_load(x + 12), d);
    vi_store(q, vi_narrow8(v0, v1, v2, v3));
    return vi_add(vi_add(v0, v1), vi_add(v2, v3));
}

CHORD_INLINE vi swap_pairs(vi a) { return vf_bits(vf_shuffle(vi_as_f(a), vi_as_f(a), 2, 3, 0, 1)); }
CHORD_INLINE vi swap_lanes(vi a) { return vf_bits(vf_shuffle(vi_as_f(a), vi_as_f(a), 1, 0, 3, 2)); }

/* Converts a block to 32 codes and returns its scale. The sum of the four lanes of half[i] is the sum of
 * half i's codes. */
CHORD_INLINE float quantize_block(uint8_t *q, const float *x, vi half[2])
{
    vi top = vi_all(0);
    CHORD_UNROLL(int i = 0; i < 32; i += 4) top = vi_max(top, vi_and(vi_load(x + i), vi_all(0x7fffffff)));
    top = vi_max(top, swap_pairs(top));
    uint32_t const bits = (uint32_t)vi_first(vi_max(top, swap_lanes(top)));
    float const d = chord_bits_f32(bits) / 127.0f;
    half[0] = half[1] = vi_all(0);
    if (d > 0 && bits < 0x7f800000) {
        vf const dv = vf_all(d);
        half[0] = quantize_sixteen(q, x, dv);
        half[1] = quantize_sixteen(q + 16, x + 16, dv);
    } else {
        vi_store(q, half[0]);
        vi_store(q + 16, half[0]);
    }
    return d;
}

void BODY(chord_quantize_q8)(void *dst, const float *x, int32_t n)
{
    uint8_t *q = dst, *d_at = q + (size_t)n, *s_at = d_at + (size_t)n / 8;
    for (int32_t b = 0; b < n / 32; b++, x += 32, q += 32, d_at += 4, s_at += 4) {
        vi half[2];
        float const d = quantize_block(q, x, half);
        __builtin_memcpy(d_at, &d, 4);
        vf const h0 = vi_as_f(half[0]), h1 = vi_as_f(half[1]);
        vi sums = vi_add(vf_bits(vf_shuffle(h0, h1, 0, 1, 0, 1)), vf_bits(vf_shuffle(h0, h1, 2, 3, 2, 3)));
        sums = vi_add(sums, swap_lanes(sums)); /* lanes 0, 1: the first half's sum; 2, 3: the second's */
        int32_t const first = vi_first(sums), second = vi_first(swap_pairs(sums)), s = first + second;
        uint32_t const both = ((uint32_t)first & 0xffff) | (uint32_t)second << 16;
        __builtin_memcpy(s_at, &s, 4);
        __builtin_memcpy(s_at + (size_t)n / 8, &both, 4);
    }
}

/* ---- KV rows in q8_0: the operations of chord_act_kv_q8_store and _load --------------------------- */

void BODY(chord_kv_q8_store)(void *dst, const float *x, int32_t n)
{
    uint8_t *q = dst, *d_at = q + (size_t)n;
    for (int32_t b = 0; b < n / 32; b++, x += 32, q += 32, d_at += 2) {
        vi half[2];
        uint16_t const d = chord_kv_q8_scale(quantize_block(q, x, half));
        __builtin_memcpy(d_at, &d, 2);
    }
}

void BODY(chord_kv_q8_load)(float *dst, const void *row, int32_t n)
{
    const uint8_t *q = row, *d_at = q + (size_t)n;
    for (int32_t b = 0; b < n / 32; b++, d_at += 2) {
        uint16_t h;
        __builtin_memcpy(&h, d_at, 2);
        vf const d = vf_all(chord_f16_f32(h));
        for (int i = 0; i < 32; i += 16, q += 16, dst += 16) {
            vi const codes = vi_load(q);
            int16_t wide[16];
            vi_store(wide, vi_low8_s(codes));
            vi_store(wide + 8, vi_high8_s(codes));
            for (int k = 0; k < 16; k += 4) vf_store(dst + k, vf_mul(d, vf_of(vi_load_s16(wide + k))));
        }
    }
}

/* ---- norm ----------------------------------------------------------------------------------------- */

float BODY(chord_rms_norm)(float *y, const float *x, const float *w, int32_t n, float eps)
{
    vf s0 = vf_all(0), s1 = s0, s2 = s0, s3 = s0;
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) {
        vf const x0 = vf_load(x + i), x1 = vf_load(x + i + 4), x2 = vf_load(x + i + 8),
                 x3 = vf_load(x + i + 12);
        s0 = vf_madd(x0, x0, s0);
        s1 = vf_madd(x1, x1, s1);
        s2 = vf_madd(x2, x2, s2);
        s3 = vf_madd(x3, x3, s3);
    }
    for (; i < n; i += 4) {
        vf const v = i + 4 <= n ? vf_load(x + i) : load_part(x + i, n - i);
        s0 = vf_madd(v, v, s0);
    }
    float const sum = vf_sum(vf_add(vf_add(s0, s1), vf_add(s2, s3)));
    vf const scale = vf_div(vf_all(1.0f), vf_sqrt(vf_all(sum / (float)(n > 0 ? n : 1) + eps)));
    for (i = 0; i + 4 <= n; i += 4) {
        vf const v = vf_mul(vf_load(x + i), scale);
        vf_store(y + i, w ? vf_mul(v, vf_load(w + i)) : v);
    }
    if (i < n) {
        vf const v = vf_mul(load_part(x + i, n - i), scale);
        store_part(y + i, w ? vf_mul(v, load_part(w + i, n - i)) : v, n - i);
    }
    return sum;
}

float BODY(chord_layer_norm)(const chord_layer_norm *a)
{
    int32_t const n = a->n, count = n > 0 ? n : 1;
    const float *x = a->x, *w = a->w, *bias = a->bias;
    vf sum = vf_all(0), square = sum;
    int32_t i = 0;
    CHORD_ROLL(; i + 4 <= n; i += 4) sum = vf_add(sum, vf_load(x + i));
    float rest = 0;
    CHORD_ROLL(; i < n; i++) rest += x[i];
    float const mean = (vf_sum(sum) + rest) / (float)count;
    CHORD_ROLL(i = 0; i + 4 <= n; i += 4) {
        vf const v = vf_sub(vf_load(x + i), vf_all(mean));
        square = vf_madd(v, v, square);
    }
    rest = 0;
    CHORD_ROLL(; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    float const squares = vf_sum(square) + rest,
                scale = 1.0f / __builtin_sqrtf(squares / (float)count + a->eps);
    CHORD_ROLL(i = 0; i + 4 <= n; i += 4) {
        vf v = vf_mul(vf_sub(vf_load(x + i), vf_all(mean)), vf_all(scale));
        if (w) v = vf_mul(v, vf_load(w + i));
        if (bias) v = vf_add(v, vf_load(bias + i));
        vf_store(a->y + i, v);
    }
    CHORD_ROLL(; i < n; i++) a->y[i] = (x[i] - mean) * scale * (w ? w[i] : 1) + (bias ? bias[i] : 0);
    return squares;
}

/* ---- gated activations: x / (1 + e^-z) * up ------------------------------------------------------- */

enum { SILU, GELU, SIGMOID, OAI };

CHORD_INLINE vf glu_four(int kind, vf x, vf up)
{
    vf const zero = vf_all(0);
    vf z = vf_sub(zero, x);
    if (kind == OAI) { /* min(x, 7) is -max(-x, -7) */
        vf const least = vf_all(-7.0f), turned = vf_max(z, least);
        x = vf_sub(zero, turned);
        z = vf_mul(turned, vf_all(1.702f));
        up = vf_add(vf_max(vf_sub(zero, vf_max(vf_sub(zero, up), least)), least), vf_all(1.0f));
    }
    if (kind == SIGMOID) x = vf_all(1.0f);
    if (kind == GELU) { /* -2 sqrt(2/pi) x (1 + 0.044715 x^2) */
        vf const cubic = vf_madd(vf_mul(x, x), vf_all(0.044715f), vf_all(1.0f));
        z = vf_mul(vf_mul(x, vf_all(-1.5957691216f)), cubic);
    }
    return vf_mul(vf_div(x, vf_add(vf_all(1.0f), vf_exp(z))), up);
}

CHORD_INLINE void glu(int kind, float *y, const float *gate, const float *up, int32_t n)
{
    /* one loop for whole and padded vectors: an exp takes 200 bytes of code */
    CHORD_ROLL(int32_t i = 0; i < n; i += 4) {
        int32_t const left = n - i;
        bool const is_part = left < 4;
        vf const g = is_part ? load_part(gate + i, left) : vf_load(gate + i),
                 u = is_part ? load_part(up + i, left) : vf_load(up + i);
        vf const v = glu_four(kind, g, u);
        if (is_part) store_part(y + i, v, left);
        else vf_store(y + i, v);
    }
}

void BODY(chord_silu_glu)(float *y, const float *gate, const float *up, int32_t n)
{
    glu(SILU, y, gate, up, n);
}
void BODY(chord_gelu_glu)(float *y, const float *gate, const float *up, int32_t n)
{
    glu(GELU, y, gate, up, n);
}
void BODY(chord_sigmoid_glu)(float *y, const float *gate, const float *up, int32_t n)
{
    glu(SIGMOID, y, gate, up, n);
}
void BODY(chord_oai_glu)(float *y, const float *gate, const float *up, int32_t n)
{
    glu(OAI, y, gate, up, n);
}

/* ---- activations alone, soft-cap ------------------------------------------------------------------ */

enum { RELU = OAI + 1, SOFTCAP };

CHORD_INLINE vf activate_four(int kind, vf x, vf cap)
{
    if (kind == RELU) return vf_max(x, vf_all(0));
    if (kind == SOFTCAP) return vf_mul(vf_tanh(vf_div(x, cap)), cap);
    return glu_four(kind, x, vf_all(1.0f));
}

/* One loop for whole and padded vectors: an activation is much longer than the branch. */
CHORD_INLINE void activate(int kind, float *y, float cap, int32_t n)
{
    CHORD_ROLL(int32_t i = 0; i < n; i += 4) {
        int32_t const left = n - i;
        vf const v = activate_four(kind, left < 4 ? load_part(y + i, left) : vf_load(y + i), vf_all(cap));
        if (left < 4) store_part(y + i, v, left);
        else vf_store(y + i, v);
    }
}

void BODY(chord_silu)(float *y, int32_t n) { activate(SILU, y, 1, n); }
void BODY(chord_gelu)(float *y, int32_t n) { activate(GELU, y, 1, n); }
void BODY(chord_relu)(float *y, int32_t n) { activate(RELU, y, 1, n); }
void BODY(chord_softcap)(float *y, float cap, int32_t n) { activate(SOFTCAP, y, cap, n); }

/* ---- rope ----------------------------------------------------------------------------------------- */

/* Products and sums are never fused, so that the result equals the scalar body's bit by bit, also in the
 * last pairs. */
#define ROTATE(x, y, c, s, to_x, to_y) \
    vf const to_x = vf_sub(vf_mul(x, c), vf_mul(y, s)), to_y = vf_add(vf_mul(x, s), vf_mul(y, c));

CHORD_INLINE void rotate_one(float *a, float *b, const float *cs)
{
    float const x = *a, y = *b;
    *a = x * cs[0] - y * cs[1];
    *b = x * cs[1] + y * cs[0];
}

void BODY(chord_rope_norm)(float *x, const float *cs, int32_t n_pairs)
{
    int32_t i = 0;
    for (; i + 4 <= n_pairs; i += 4) {
        float *const p = x + 2 * i;
        vf const a = vf_load(p), b = vf_load(p + 4), t0 = vf_load(cs + 2 * i), t1 = vf_load(cs + 2 * i + 4);
        vf const re = vf_shuffle(a, b, 0, 2, 0, 2), im = vf_shuffle(a, b, 1, 3, 1, 3);
        vf const c = vf_shuffle(t0, t1, 0, 2, 0, 2), s = vf_shuffle(t0, t1, 1, 3, 1, 3);
        ROTATE(re, im, c, s, u, v)
        vf const low = vf_shuffle(u, v, 0, 1, 0, 1), high = vf_shuffle(u, v, 2, 3, 2, 3);
        vf_store(p, vf_shuffle(low, low, 0, 2, 1, 3));
        vf_store(p + 4, vf_shuffle(high, high, 0, 2, 1, 3));
    }
    for (; i < n_pairs; i++) rotate_one(x + 2 * i, x + 2 * i + 1, cs + 2 * i);
}

void BODY(chord_rope_neox)(float *x, const float *cs, int32_t n_pairs)
{
    int32_t i = 0;
    for (; i + 4 <= n_pairs; i += 4) {
        vf const t0 = vf_load(cs + 2 * i), t1 = vf_load(cs + 2 * i + 4);
        vf const c = vf_shuffle(t0, t1, 0, 2, 0, 2), s = vf_shuffle(t0, t1, 1, 3, 1, 3);
        vf const a = vf_load(x + i), b = vf_load(x + i + n_pairs);
        ROTATE(a, b, c, s, u, v)
        vf_store(x + i, u);
        vf_store(x + i + n_pairs, v);
    }
    for (; i < n_pairs; i++) rotate_one(x + i, x + i + n_pairs, cs + 2 * i);
}

/* ---- add, scale, f16 ------------------------------------------------------------------------------ */

void BODY(chord_add)(float *y, const float *x, int32_t n)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) vf_store(y + i, vf_add(vf_load(y + i), vf_load(x + i)));
    for (; i < n; i++) y[i] += x[i];
}

void BODY(chord_product)(float *y, const float *gate, const float *up, int32_t n)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) vf_store(y + i, vf_mul(vf_load(gate + i), vf_load(up + i)));
    for (; i < n; i++) y[i] = gate[i] * up[i];
}

/* Products and sums are never fused: equal to the scalar body, also in the last channels. */
void BODY(chord_conv)(const chord_conv *c)
{
    int32_t i = 0;
    for (; i + 4 <= c->n; i += 4) {
        vf sum = vf_all(0);
        for (int32_t j = 0; j < c->kernel; j++)
            sum = vf_add(sum, vf_mul(vf_load(c->w + j * c->n + i), vf_load(c->x[j] + i)));
        vf_store(c->y + i, c->bias ? vf_add(sum, vf_load(c->bias + i)) : sum);
    }
    for (; i < c->n; i++) {
        float sum = 0;
        for (int32_t j = 0; j < c->kernel; j++) sum += c->w[j * c->n + i] * c->x[j][i];
        c->y[i] = c->bias ? sum + c->bias[i] : sum;
    }
}

void BODY(chord_scale)(float *y, const float *x, float scale, int32_t n)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) vf_store(y + i, vf_mul(vf_load(x + i), vf_all(scale)));
    for (; i < n; i++) y[i] = x[i] * scale;
}

/* chord_f32_f16 in four lanes: computes every case and picks the right one. */
CHORD_INLINE vi f16_of(vf x)
{
    vi const u = vf_bits(x), a = vi_and(u, vi_all(0x7fffffff));
    vi const odd = vi_and(vi_shr(a, 13), vi_all(1));
    vi const normal = vi_shr(vi_sub(vi_add(vi_add(a, vi_all(0xfff)), odd), vi_all(0x38000000)), 13);
    vi const small = vi_sub(vf_bits(vf_add(vi_as_f(a), vf_all(0.5f))), vi_all(0x3f000000));
    vi h = vi_pick(vi_less(a, vi_all(0x38800000)), small, normal);
    h = vi_pick(vi_less(vi_all(0x477fefff), a), vi_all(0x7bff), h);
    h = vi_pick(vi_less(vi_all(0x7f800000), a), vi_all(0x7e00), h);
    return vi_or(h, vi_and(vi_shr(u, 16), vi_all(0x8000)));
}

void BODY(chord_f16_store)(uint16_t *dst, const float *x, int32_t n)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vi const h = f16_of(vf_load(x + i));
        vi_store8(dst + i, vi_narrow16(h, h));
    }
    for (; i < n; i++) dst[i] = chord_f32_f16(x[i]);
}

void BODY(chord_f16_load)(float *dst, const uint16_t *x, int32_t n)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) vf_store(dst + i, vf_load_f16_finite(x + i));
    for (; i < n; i++) dst[i] = chord_f16_f32(x[i]);
}
