/* checkkern_matmul.c: checks each matmul over shapes around the sizes of tiles, with data that is normal,
 * random, extreme and integral. A body is compared with the scalar body within the bound. Any split of its
 * rows and tokens must give the same bits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "checkkern.h"
#include "../src/base/bytes.h"
#include "../src/quant/act.h"
#include "../src/quant/blocks.h"

enum { SANE, BITS, ZERO_SCALE, LARGEST, SUBNORMAL, INTEGERS, N_KINDS };

static uint16_t random_scale(int32_t kind)
{
    uint16_t const r = (uint16_t)random64(), sign = r & 0x8000;
    switch (kind) {
    case SANE: return chord_f32_f16(0.01f * random_gauss());
    case BITS: return (r & 0x7c00) == 0x7c00 ? (uint16_t)(r & 0xbbff) : r;
    case ZERO_SCALE: return random_below(3) ? sign : chord_f32_f16(random_gauss());
    case LARGEST: return sign | 0x7bff;
    case SUBNORMAL: return r & 0x83ff;
    default: return 0x3c00; /* 1 */
    }
}

void random_rows(const chord_format *f, void *const rows[4], int32_t n, int32_t kind)
{
    for (int r = 0; r < 4; r++) {
        uint8_t *p = rows[r];
        if (f->block_elems == 1) {
            for (int32_t i = 0; i < n; i++) {
                float w = kind == INTEGERS                        ? (float)(random_below(31) - 15)
                          : kind == ZERO_SCALE && random_below(2) ? 0
                                                                  : random_gauss();
                if (kind == SUBNORMAL) w *= f->tile == CHORD_TILE_F16 ? 0x1p-20f : 0x1p-130f;
                if (kind == LARGEST) w = w < 0 ? -60000 : 60000;
                if (f->tile == CHORD_TILE_F16 && kind == BITS) w = chord_f16_f32(random_scale(BITS));
                if (f->tile == CHORD_TILE_F32) chord_copy(p + 4 * i, &w, 4);
                uint16_t const h = f->tile == CHORD_TILE_F16 ? chord_f32_f16(w)
                                                             : (uint16_t)(chord_f32_bits(w) >> 16);
                if (f->tile != CHORD_TILE_F32) chord_copy(p + 2 * i, &h, 2);
            }
            continue;
        }
        for (int32_t b = 0; b < n / f->block_elems; b++, p += f->block_bytes) {
            for (int i = 0; i < f->block_bytes; i++) {
                static const uint8_t extreme[8] = { 0xff, 0, 0xf0, 0x0f, 0xff, 0, 0x80, 0x7f };
                uint8_t q = (uint8_t)random64();
                if (kind == LARGEST) q = f->low == 8 ? (q & 1 ? 0x7f : 0x81) : extreme[q % 8];
                p[i] = f->low == 8 && q == 0x80 ? 0x81 : q;
            }
            uint16_t d = random_scale(kind);
            if (kind == SANE && f->d_kind == CHORD_D_NONE) d |= 0x1111; /* exponents that aren't 0 */
            chord_block_set_d(f, p, d);
            if (f->m_at < 0) continue;
            d = kind == INTEGERS ? chord_f32_f16((float)(random_below(15) - 7)) : random_scale(kind);
            chord_copy(p + f->m_at, &d, 2);
        }
    }
}

typedef struct problem {
    const chord_format *f;
    chord_matmul m;
    int32_t n_t, kind;
    float *old;       /* y before the call */
    uint64_t y_floats;
} problem;

static void make_weights(problem *p)
{
    int32_t const n = p->m.n_in;
    uint8_t *w = region((uint64_t)((p->m.n_out + 3) / 4) * p->m.group_bytes, 8);
    void *rows[4];
    for (int r = 0; r < 4; r++) rows[r] = region(chord_row_bytes(p->f, n), 0);
    p->m.w = w;
    for (int32_t g = 0; g * 4 < p->m.n_out; g++, w += p->m.group_bytes) {
        random_rows(p->f, rows, n, p->kind);
        const void *given[4];
        for (int r = 0; r < 4; r++) given[r] = g * 4 + r < p->m.n_out ? rows[r] : NULL;
        if (!chord_format_repack(p->f, w, given, n)) fail("repack refused the test's own rows");
    }
}

static void make_activations(problem *p)
{
    int32_t const n = p->m.n_in;
    bool const q8 = p->f->act == CHORD_ACT_Q8;
    uint64_t const bytes = q8 ? chord_q8_bytes(n) : (uint64_t)n * 4;
    p->m.x_stride = (bytes + 15) / 16 * 16 + 16;
    uint8_t *x = region(p->m.x_stride * (uint64_t)p->n_t, 0);
    float *row = region((uint64_t)n * 4, 0);
    p->m.x = x;
    for (int32_t t = 0; t < p->n_t; t++, x += p->m.x_stride) {
        for (int32_t k = 0; k < n; k++) {
            row[k] = random_gauss();
            /* every code is 127 */
            if (p->kind == LARGEST) row[k] = row[k] < 0 ? -1e9f : 1e9f;
            if (p->kind == ZERO_SCALE && (k / 32 + t) % 3 == 0) row[k] = 0;
            if (p->kind == SUBNORMAL) row[k] *= 1e-6f;
            /* d = 1 */
            if (p->kind == INTEGERS) row[k] = k % 32 == 0 && q8 ? 127 : (float)(random_below(15) - 7);
        }
        if (q8) chord_ops_of(CHORD_ISA_SCALAR)->quantize_q8(x, row, n);
        else chord_copy(x, row, (size_t)bytes);
    }
}

typedef struct shape {
    int32_t n_in, n_out, n_t, kind;
    bool bias, add;
} shape;

static void make_problem(problem *p, const chord_format *f, shape s)
{
    int32_t const n_in = s.n_in, n_out = s.n_out, n_t = s.n_t, kind = s.kind;
    *p = (problem){ .f = f, .n_t = n_t, .kind = kind };
    p->m = (chord_matmul){ .n_in = n_in, .n_out = n_out, .add = s.add };
    p->m.group_bytes = chord_x4_bytes(p->f, n_in);
    p->m.y_stride = (uint64_t)n_out + 3;
    p->y_floats = p->m.y_stride * (uint64_t)n_t;
    make_weights(p);
    make_activations(p);
    float *y = region(p->y_floats * 4, 4), *b = region((uint64_t)n_out * 4, 4);
    p->old = region(p->y_floats * 4, 0);
    for (uint64_t i = 0; i < p->y_floats; i++)
        p->old[i] = kind == INTEGERS ? (float)random_below(100) : random_gauss();
    for (int32_t i = 0; i < n_out; i++) b[i] = kind == INTEGERS ? (float)random_below(100) : random_gauss();
    p->m.y = y;
    p->m.panel = region(chord_panel_bytes(n_in), 0);
    if (s.bias) p->m.bias = b;
}

/* Returns the sum of the magnitudes of the terms of y[t][r], in double. `tiny` is the part of the bound that
 * covers products in the subnormal range. */
static double term_sum(const problem *p, int32_t t, int32_t r, double *tiny)
{
    const chord_matmul *m = &p->m;
    int32_t const n = m->n_in;
    const uint8_t *w = (const uint8_t *)m->w + (uint64_t)(r / 4) * m->group_bytes,
                  *x = (const uint8_t *)m->x + (uint64_t)t * m->x_stride;
    double sum = 0;
    *tiny = 0x1p-148 * (n + 4);
    if (m->bias) sum += magnitude((double)m->bias[r]);
    if (m->add) sum += magnitude((double)p->old[(uint64_t)t * m->y_stride + (uint64_t)r]);
    if (p->f->act == CHORD_ACT_F32) {
        for (int32_t k = 0; k < n; k++) {
            float wk;
            p->f->decode(&wk, w + p->f->block_bytes * (4 * k + r % 4), 1);
            sum += magnitude((double)wk * (double)chord_f32(x + 4 * k));
        }
        return sum;
    }
    /* d i and m s separately: decodes the row without its m, and without its d. Both are exact in f32. */
    static uint8_t row[2][8192];
    static float part[2][2048];
    /* The row's minimum d except 0. |i| is at most |d i| / d, which bounds the effect of a subnormal d_w
     * d_x. */
    double d = 0;
    for (int m_only = 0; m_only < 2; m_only++) {
        chord_format_unpack(p->f, row[m_only], w, r % 4, n);
        for (int32_t b = 0; b < n / p->f->block_elems; b++) {
            uint8_t *block = row[m_only] + b * p->f->block_bytes;
            double const value = (double)chord_block_d(p->f, block);
            if (value > 0 && !(d > 0 && d < value)) d = value;
            if (m_only) chord_block_set_d(p->f, block, 0);
            else if (p->f->m_at >= 0) chord_zero(block + p->f->m_at, 2);
        }
        p->f->decode(part[m_only], row[m_only], n);
    }
    for (int32_t b = 0; b < n / 32; b++) {
        double terms[2] = { 0, 0 }, dx = (double)chord_f32(chord_q8_d(x, n) + 4 * b);
        for (int32_t k = 32 * b; k < 32 * b + 32; k++)
            for (int i = 0; i < 2; i++) terms[i] += (double)part[i][k] * (int8_t)x[k];
        sum += dx * (magnitude(terms[0]) + magnitude(terms[1]));
        /* d_w d_x may be subnormal before it is multiplied by i. */
        *tiny += 0x1p-148 * ((d > 0 ? magnitude(terms[0]) / d : 0) + 4);
    }
    return sum;
}

/* Roundings of an element with q8 activations (kernels.def). NVFP4 has two products for each 32 columns. */
static double roundings(const problem *p)
{
    int32_t const columns = p->f->scales == CHORD_SCALES_OWN_FLOATS ? 16 : 32;
    return p->m.n_in / columns + (p->f->m_at >= 0 ? 6 : 5);
}

static void restore(problem *p) { chord_copy(p->m.y, p->old, (size_t)p->y_floats * 4); }

/* With places: the rows in the opposite order, written where they were without. */
static void check_places(problem *p, chord_matmul_fn *got, const float *whole)
{
    chord_matmul_at *at = region((uint64_t)p->n_t * sizeof *at, 0);
    for (int32_t i = 0; i < p->n_t; i++) {
        size_t const t = (size_t)(p->n_t - 1 - i);
        at[i] = (chord_matmul_at){ t * (size_t)p->m.x_stride, t * (size_t)p->m.y_stride };
    }
    chord_matmul m = p->m;
    m.at = at;
    m.x_stride = m.y_stride = 0;
    restore(p);
    got(&m, 0, m.n_out, 0, p->n_t);
    same_bytes(m.y, whole, p->y_floats * 4, "places");
}

static void check_problem(problem *p, chord_matmul_fn *got, chord_matmul_fn *want)
{
    float *expected = region(p->y_floats * 4, 0), *whole = region(p->y_floats * 4, 0);
    restore(p);
    want(&p->m, 0, p->m.n_out, 0, p->n_t);
    chord_copy(expected, p->m.y, (size_t)p->y_floats * 4);
    restore(p);
    got(&p->m, 0, p->m.n_out, 0, p->n_t);
    chord_copy(whole, p->m.y, (size_t)p->y_floats * 4);
    canaries_live();

    /* If madd isn't fused, a body is the same sequence of operations as the scalar body. */
    bool const exact = p->kind == INTEGERS || !madd_is_fused();
    double const n_ops = p->f->act == CHORD_ACT_F32 ? p->m.n_in + 4 : roundings(p);
    for (int32_t t = 0; t < p->n_t; t++)
        for (int32_t r = 0; r < (int32_t)p->m.y_stride; r++) {
            uint64_t const at = (uint64_t)t * p->m.y_stride + (uint64_t)r;
            double tiny;
            /* Nothing may be written between the rows. */
            if (r >= p->m.n_out) same(whole[at], p->old[at], (int32_t)at);
            else if (exact) same(whole[at], expected[at], (int32_t)at);
            else {
                double const s = term_sum(p, t, r, &tiny);
                near(whole[at], expected[at], n_ops * s, tiny, (int32_t)at);
            }
        }

    /* Any cut: rows at multiples of 4, tokens anywhere. */
    for (int i = 0; i < 8; i++) {
        int32_t const r = random_below(p->m.n_out / 4 + 1) * 4, t = random_below(p->n_t + 1);
        restore(p);
        got(&p->m, 0, r, 0, t);
        got(&p->m, r, p->m.n_out, t, p->n_t);
        got(&p->m, r, p->m.n_out, 0, t);
        got(&p->m, 0, r, t, p->n_t);
        same_bytes(p->m.y, whole, p->y_floats * 4, "split");
    }
    restore(p);
    for (int32_t t = 0; t < p->n_t; t++)
        for (int32_t r = 0; r < p->m.n_out; r += 4)
            got(&p->m, r, r + 4 < p->m.n_out ? r + 4 : p->m.n_out, t, t + 1);
    same_bytes(p->m.y, whole, p->y_floats * 4, "group by group, token by token");
    check_places(p, got, whole);
    restore(p);
    got(&p->m, 0, 0, 0, p->n_t);
    got(&p->m, 0, p->m.n_out, p->n_t, p->n_t);
    same_bytes(p->m.y, p->old, p->y_floats * 4, "an empty range");
    canaries_live();
}

/* Makes the two terms of each token: a row of q8, and a row with its rounding error
 * (chord_act_quantize_rest). */
static void make_terms(problem *p)
{
    int32_t const n = p->m.n_in;
    float *row = region((uint64_t)n * 4, 0);
    for (int32_t t = 0; t + 1 < p->n_t; t += 2) {
        uint8_t *x = (uint8_t *)(uintptr_t)p->m.x + (uint64_t)t * p->m.x_stride;
        for (int32_t k = 0; k < n; k++)
            row[k] = p->kind == LARGEST ? (k % 3 ? 1e9f : -0.996e9f) : random_gauss();
        chord_act_quantize_q8(x, row, n);
        chord_act_quantize_rest(x + p->m.x_stride, x, row, n);
    }
}

/* Two terms per token: y is within the bounds of both terms of the scalar result, and the same for any
 * cut. */
static void check_two_terms(problem *p, chord_matmul_fn *got, chord_matmul_fn *want)
{
    float *expected = region(p->y_floats * 4, 0), *whole = region(p->y_floats * 4, 0);
    int32_t const rows = p->n_t / 2 * 2;
    make_terms(p);
    p->m.two_terms = 1;
    restore(p);
    want(&p->m, 0, p->m.n_out, 0, rows);
    chord_copy(expected, p->m.y, (size_t)p->y_floats * 4);
    restore(p);
    got(&p->m, 0, p->m.n_out, 0, rows);
    chord_copy(whole, p->m.y, (size_t)p->y_floats * 4);
    double const n_ops = roundings(p) + 1;
    for (int32_t t = 0; t < p->n_t; t++)
        for (int32_t r = 0; r < (int32_t)p->m.y_stride; r++) {
            uint64_t const at = (uint64_t)t * p->m.y_stride + (uint64_t)r;
            if (t >= rows / 2 || r >= p->m.n_out) {
                same(whole[at], p->old[at], (int32_t)at);
                continue;
            }
            double tiny, tiny_2;
            double const s = term_sum(p, 2 * t, r, &tiny) + term_sum(p, 2 * t + 1, r, &tiny_2) +
                             (p->m.add ? magnitude((double)p->old[at]) : 0);
            near(whole[at], expected[at], n_ops * s, tiny + tiny_2, (int32_t)at);
        }
    for (int i = 0; i < 4; i++) {
        int32_t const r = random_below(p->m.n_out / 4 + 1) * 4, t = 2 * random_below(rows / 2 + 1);
        restore(p);
        got(&p->m, 0, r, 0, rows);
        got(&p->m, r, p->m.n_out, 0, t);
        got(&p->m, r, p->m.n_out, t, rows);
        same_bytes(p->m.y, whole, p->y_floats * 4, "two terms, split");
    }
    canaries_live();
}

/* A NaN or infinity in the activations, or in float weights, must reach y. */
static void check_non_finite(const chord_format *f, chord_matmul_fn *got)
{
    for (int32_t n_t = 1; n_t <= 9; n_t += 4) {
        problem p;
        next_case("a NaN in token %d of %d", n_t / 2, n_t);
        int32_t const n = f->block_elems > 64 ? f->block_elems : 64;
        make_problem(&p, f, (shape){ n, 5, n_t, SANE, false, false });
        uint8_t *x = (uint8_t *)(uintptr_t)p.m.x + p.m.x_stride * (uint64_t)(n_t / 2);
        float row[256] = { [40] = chord_bits_f32(0x7fc00000) };
        if (f->act == CHORD_ACT_Q8) chord_act_quantize_q8(x, row, n);
        else chord_copy(x, row, (size_t)n * 4);
        got(&p.m, 0, 5, 0, n_t);
        for (int32_t t = 0; t < n_t; t++)
            for (int32_t r = 0; r < 5; r++) {
                float const y = p.m.y[(uint64_t)t * p.m.y_stride + (uint64_t)r];
                if ((y != y) != (t == n_t / 2)) fail("y[%d][%d] is %e", t, r, (double)y);
            }
    }
    if (f->act != CHORD_ACT_F32) return;
    static const uint32_t values[3] = { 0x7f800000, 0xff800000, 0x7fc00000 };
    for (int i = 0; i < 3; i++) {
        problem p;
        next_case("weight %x", values[i]);
        make_problem(&p, f, (shape){ 8, 4, 1, ZERO_SCALE, false, false });
        uint8_t *w = (uint8_t *)(uintptr_t)p.m.w + f->block_bytes * (4 * 5 + 2); /* row 2, k 5 */
        uint16_t const half = f->tile == CHORD_TILE_F16
                                  ? (uint16_t)(values[i] == 0x7fc00000 ? 0x7e00
                                                                       : 0x7c00 | (values[i] >> 16 & 0x8000))
                                  : (uint16_t)(values[i] >> 16);
        if (f->tile == CHORD_TILE_F32) chord_copy(w, &values[i], 4);
        else chord_copy(w, &half, 2);
        float *x = (float *)(uintptr_t)p.m.x;
        for (int k = 0; k < 8; k++) x[k] = 1;
        got(&p.m, 0, 4, 0, 1);
        same(p.m.y[2], chord_bits_f32(values[i]), 2);
        if (!is_finite((double)p.m.y[1])) fail("a neighbouring row is %e", (double)p.m.y[1]);
    }
}

void check_matmul(const chord_ops *ops, const chord_ops *scalar, int32_t type)
{
    static const int32_t outs[] = { 1, 3, 4, 5, 8, 12, 16, 17, 20, 35 },
                         tokens[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17 };
    /* Rows are 0, 1, 2 and 5 blocks long, and 3, 9 and 32 where a block has 32 elements. */
    static const int32_t float_ins[] = { 0, 1, 2, 3, 5, 32, 65, 300 }, blocks[] = { 0, 1, 2, 5, 3, 9, 32 };
    chord_matmul_fn *const got = chord_ops_matmul(ops, type), *const want = chord_ops_matmul(scalar, type);
    const chord_format *const f = chord_format_of(type);
    bool const q8 = f->act == CHORD_ACT_Q8;
    int const n_ins = !q8 ? 8 : f->block_elems > 32 ? 4 : 7;
    problem p;
    for (int32_t kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < n_ins; i++)
            for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) {
                int32_t const
                    t = tokens[((size_t)kind + 5 * (size_t)i + o) % (sizeof tokens / sizeof *tokens)],
                    n_in = q8 ? blocks[i] * f->block_elems : float_ins[i];
                int const flags = (int)((o + (size_t)i) % 4);
                next_case("%d x %d, %d tokens, data %d%s%s", outs[o], n_in, t, kind,
                          flags & 1 ? ", bias" : "", flags & 2 ? ", add" : "");
                make_problem(&p, f, (shape){ n_in, outs[o], t, kind, flags & 1, flags & 2 });
                check_problem(&p, got, want);
                if (q8) check_two_terms(&p, got, want);
            }
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
        int32_t const n = f->block_elems > 32 ? 2 * f->block_elems : 160;
        next_case("21 x %d, %d tokens", n, tokens[t]);
        make_problem(&p, f, (shape){ n, 21, tokens[t], SANE, true, true });
        check_problem(&p, got, want);
    }
    check_non_finite(f, got);
}
