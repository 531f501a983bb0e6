/* checkkern_rows.c: checks the slots that work row by row, over sizes around the vector width and larger
 * sizes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "checkkern.h"
#include "../src/quant/act.h"

static const int32_t sizes[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 576, 1001 };
#define EACH_SIZE(n)                                             \
    for (size_t i_ = 0; i_ < sizeof sizes / sizeof *sizes; i_++) \
        for (int32_t n = sizes[i_], once_ = 1; once_; once_ = 0)

static float random_any_float(void) /* finite */
{
    uint32_t bits;
    do bits = (uint32_t)random64();
    while ((bits & 0x7f800000) == 0x7f800000);
    return chord_bits_f32(bits);
}

/* kind: 0 bell-shaped, 1 any finite bits, 2 zeros of both signs, 3 subnormals, 4 large */
static void fill(float *x, int32_t n, int32_t kind)
{
    for (int32_t i = 0; i < n; i++) {
        float const g = random_gauss();
        x[i] = kind == 0   ? g
               : kind == 1 ? random_any_float()
               : kind == 2 ? (g < 0 ? -0.0f : 0.0f)
               : kind == 3 ? g * 0x1p-130f
                           : g * 1e15f;
    }
}

/* Halves, which round away from zero, and the floats just below halves, which don't. */
static float tie(void)
{
    float const x = (float)random_below(255) / 2;
    uint32_t const below = x > 0 ? (uint32_t)random_below(2) : 0;
    return chord_bits_f32((chord_f32_bits(x) - below) | (random_below(2) ? 0x80000000u : 0));
}

/* A row of floats, misaligned by 4 bytes where the contract allows. */
static float *floats(int32_t n, uint64_t offset) { return region((uint64_t)n * 4, offset); }

/* ---- q8 ------------------------------------------------------------------------------------------- */

void check_quantize(const chord_ops *ops, const chord_ops *scalar)
{
    for (int32_t kind = 0; kind < 9; kind++)
        for (int32_t n = 0; n <= 1024; n = n < 128 ? n + 32 : n * 2) {
            next_case("n %d, data %d", n, kind);
            float *x = floats(n, 4);
            uint8_t *got = region(chord_q8_bytes(n), 0), *want = region(chord_q8_bytes(n), 0);
            fill(x, n, kind < 5 ? kind : 0);
            for (int32_t i = 0; i < n; i++) {
                /* d = 1 */
                if (kind == 5) x[i] = i % 32 ? tie() : 127;
                /* d is subnormal or 0 */
                if (kind == 6) x[i] *= 0x1p-146f;
                if (kind == 7 && random_below(40) == 0)
                    x[i] = chord_bits_f32(random_below(2) ? 0x7f800000 : 0xff800000);
                if (kind == 8 && random_below(40) == 0) x[i] = chord_bits_f32(0x7fc00000);
            }
            ops->quantize_q8(got, x, n);
            scalar->quantize_q8(want, x, n);
            same_bytes(got, want, (uint64_t)n, "codes");
            same_bytes(got + n + n / 8, want + n + n / 8, (uint64_t)n / 4, "sums of blocks or of halves");
            for (int32_t b = 0; b < n / 32; b++) {
                float d, e;
                __builtin_memcpy(&d, got + n + 4 * b, 4);
                __builtin_memcpy(&e, want + n + 4 * b, 4);
                same(d, e, b);
            }
            canaries_live();
        }
}

void check_kv_q8_store(const chord_ops *ops, const chord_ops *scalar)
{
    for (int32_t kind = 0; kind < 7; kind++)
        for (int32_t n = 0; n <= 256; n += 32) {
            next_case("n %d, data %d", n, kind);
            float *x = floats(n, 4);
            uint8_t *got = region(chord_kv_q8_bytes(n), 2), *want = region(chord_kv_q8_bytes(n), 0);
            fill(x, n, kind < 5 ? kind : 0);
            for (int32_t i = 0; i < n; i++) {
                /* d = 1 */
                if (kind == 5) x[i] = i % 32 ? tie() : 127;
                if (kind == 6 && random_below(40) == 0)
                    x[i] = chord_bits_f32(random_below(2) ? 0x7f800000 : 0x7fc00000);
            }
            ops->kv_q8_store(got, x, n);
            scalar->kv_q8_store(want, x, n);
            same_bytes(got, want, chord_kv_q8_bytes(n), "row");
            canaries_live();
        }
}

void check_kv_q8_load(const chord_ops *ops, const chord_ops *scalar)
{
    for (int32_t n = 0; n <= 256; n += 32)
        for (int32_t round = 0; round < 8; round++) {
            next_case("n %d, round %d", n, round);
            uint8_t *row = region(chord_kv_q8_bytes(n), 2);
            /* any codes, any scales */
            for (uint64_t i = 0; i < chord_kv_q8_bytes(n); i++) row[i] = (uint8_t)random64();
            float *got = floats(n, 4), *want = floats(n, 0);
            ops->kv_q8_load(got, row, n);
            scalar->kv_q8_load(want, row, n);
            for (int32_t i = 0; i < n; i++) same(got[i], want[i], i);
            canaries_live();
        }
}

/* ---- norm ----------------------------------------------------------------------------------------- */

void check_norm(const chord_ops *ops, const chord_ops *scalar)
{
    EACH_SIZE(n)
        for (int32_t kind = 0; kind < 8; kind++) {
            next_case("n %d, %s weights, %s", n, kind & 1 ? "with" : "without",
                      kind & 2 ? "in place" : "apart");
            float *x = floats(n, 4), *y = kind & 2 ? x : floats(n, 4), *w = floats(n, 8),
                  *want = floats(n, 0);
            fill(x, n, kind & 4 ? 4 : 0);
            fill(w, n, 0);
            scalar->rms_norm(want, x, kind & 1 ? w : NULL, n, 1e-5f);
            ops->rms_norm(y, x, kind & 1 ? w : NULL, n, 1e-5f);
            for (int32_t i = 0; i < n; i++)
                near(y[i], want[i], ((double)n / 32 + 14) * magnitude((double)want[i]), 0x1p-148, i);
            canaries_live();
        }
    next_case("zeros, NaN, inf");
    float x[8] = { 0 }, y[8];
    ops->rms_norm(y, x, NULL, 8, 1e-5f);
    for (int i = 0; i < 8; i++) same(y[i], 0, i);
    x[5] = chord_bits_f32(0x7fc00000);
    ops->rms_norm(y, x, NULL, 8, 1e-5f);
    for (int i = 0; i < 8; i++) same(y[i], x[5], i);
}

/* The two bodies' means differ by at most (n / 16 + 8) eps mean |x|. The difference counts times scale |w|
 * in each element, and a second time through the variance. The other operations are those of the RMS norm.
 * The bias adds one rounding per body. */
void check_layer_norm(const chord_ops *ops, const chord_ops *scalar)
{
    EACH_SIZE(n)
        for (int32_t kind = 0; kind < 16; kind++) {
            next_case("n %d, data %d", n, kind);
            float *x = floats(n, 4), *y = kind & 4 ? x : floats(n, 4), *w = floats(n, 8),
                  *bias = floats(n, 4), *want = floats(n, 0);
            fill(x, n, kind & 8 ? 4 : 0);
            fill(w, n, 0);
            fill(bias, n, 0);
            double sum = 0, mean = 0, squares = 0;
            for (int32_t i = 0; i < n; i++) sum += magnitude((double)x[i]), mean += (double)x[i] / n;
            for (int32_t i = 0; i < n; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
            double root = 1;
            /* Newton's square root */
            for (int i = 0; i < 60; i++) root = (root + (squares / (n > 0 ? n : 1) + 1e-5) / root) / 2;
            chord_layer_norm a = { .y = want,
                                   .x = x,
                                   .w = kind & 1 ? w : NULL,
                                   .bias = kind & 2 ? bias : NULL,
                                   .n = n,
                                   .eps = 1e-5f };
            scalar->layer_norm(&a);
            a.y = y;
            ops->layer_norm(&a);
            for (int32_t i = 0; i < n; i++) {
                double const of_w = kind & 1 ? magnitude((double)w[i]) : 1,
                             of_bias = kind & 2 ? magnitude((double)bias[i]) : 0;
                double const moved = 2 * ((double)n / 16 + 8) * sum / n / root * of_w;
                double const scaled = ((double)n / 32 + 14) * (magnitude((double)want[i]) + of_bias);
                near(y[i], want[i], moved + scaled + 2 * magnitude((double)want[i]), 0x1p-140, i);
            }
            canaries_live();
        }
    next_case("a constant row, NaN");
    float x[8] = { 3, 3, 3, 3, 3, 3, 3, 3 }, y[8];
    chord_layer_norm const a = { .y = y, .x = x, .n = 8, .eps = 1e-5f };
    ops->layer_norm(&a);
    for (int i = 0; i < 8; i++) same(y[i], 0, i);
    x[5] = chord_bits_f32(0x7fc00000);
    float const squares = ops->layer_norm(&a);
    if (squares == squares) fail("the sum is %e", (double)squares);
}

/* ---- activations ------------------------------------------------------------------------------------ */

void check_activate(chord_activate_fn *got_fn, chord_activate_fn *want_fn, bool is_gelu)
{
    EACH_SIZE(n)
        for (int32_t kind = 0; kind < 6; kind++) {
            next_case("n %d, data %d", n, kind);
            float *y = floats(n, 4), *want = floats(n, 0), *z = floats(n, 0);
            fill(y, n, kind < 5 ? kind : 0);
            /* past both ends of exp's range */
            if (kind == 5)
                for (int32_t i = 0; i < n; i++) y[i] = -120 + 240 * (float)i / (float)n;
            chord_copy(want, y, (size_t)n * 4);
            for (int32_t i = 0; i < n; i++) {
                double const x = (double)y[i], m = magnitude(is_gelu ? 1.6 * x * (1 + 0.044715 * x * x) : x);
                z[i] = m < 200 ? (float)m : 200;
            }
            want_fn(want, n);
            got_fn(y, n);
            for (int32_t i = 0; i < n; i++)
                near(y[i], want[i], magnitude((double)want[i]) * (1 + (double)z[i] / 2),
                     judge.c > 0 ? 0x1p-118 : 0, i);
            canaries_live();
        }
    next_case("NaN and inf");
    static const uint32_t bits[] = { 0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff, 0xff7fffff };
    for (int i = 0; i < 5; i++) {
        float got = chord_bits_f32(bits[i]), want = got;
        got_fn(&got, 1);
        want_fn(&want, 1);
        same(got, want, i);
    }
}

void check_softcap(const chord_ops *ops, const chord_ops *scalar)
{
    EACH_SIZE(n)
        for (int32_t kind = 0; kind < 5; kind++) {
            next_case("n %d, data %d", n, kind);
            float const cap = kind & 1 ? 30.0f : 0.5f;
            float *y = floats(n, 4), *want = floats(n, 0);
            fill(y, n, kind);
            chord_copy(want, y, (size_t)n * 4);
            scalar->softcap(want, cap, n);
            ops->softcap(y, cap, n);
            for (int32_t i = 0; i < n; i++) near(y[i], want[i], (double)cap, 0, i);
            canaries_live();
        }
}

/* ---- gated activations ---------------------------------------------------------------------------- */

void check_glu(chord_glu_fn *got_fn, chord_glu_fn *want_fn, bool is_gelu, bool is_oai)
{
    EACH_SIZE(n)
        for (int32_t kind = 0; kind < 6; kind++) {
            next_case("n %d, data %d%s", n, kind, n % 2 ? ", in place" : "");
            float *gate = floats(n, 4), *up = floats(n, 8), *want = floats(n, 0),
                  *y = n % 2 ? gate : floats(n, 4);
            fill(gate, n, kind < 5 ? kind : 0);
            fill(up, n, 0);
            if (kind == 0)
                for (int32_t i = 0; i < n; i++) gate[i] *= 20, up[i] *= is_oai ? 8 : 1;
            /* past both ends of exp's range */
            if (kind == 5)
                for (int32_t i = 0; i < n; i++) gate[i] = -120 + 240 * (float)i / (float)n;
            want_fn(want, gate, up, n);
            /* gate is overwritten in place */
            float *z = floats(n, 0);
            for (int32_t i = 0; i < n; i++) {
                double const x = (double)gate[i];
                double const m = magnitude(is_gelu ? 1.6 * x * (1 + 0.044715 * x * x) : x);
                /* for |z| > 200 y is x or 0; oai_glu bounds z by 1.702 x 7, and its up may be near -1 */
                z[i] = m < 200 ? (float)m : 200;
            }
            got_fn(y, gate, up, n);
            /* e^-z beyond exp's range: at most 89 * e^-87.33, as an absolute error */
            for (int32_t i = 0; i < n; i++)
                near(y[i], want[i],
                     magnitude((double)want[i]) * (1 + magnitude((double)z[i]) * (is_oai ? 1 : 0.5)),
                     magnitude((double)up[i]) * 0x1p-118 + 0x1p-118 * is_oai + 0x1p-148, i);
            canaries_live();
        }
    /* A row may be cut anywhere: each element stays the same. */
    for (int32_t n = 1; n <= 13; n++) {
        next_case("cut after %d of 13", n);
        float *gate = floats(13, 0), *up = floats(13, 0), *whole = floats(13, 0), *parts = floats(13, 0);
        fill(gate, 13, 0);
        fill(up, 13, 0);
        got_fn(whole, gate, up, 13);
        got_fn(parts, gate, up, n);
        got_fn(parts + n, gate + n, up + n, 13 - n);
        same_bytes(parts, whole, 13 * 4, "a row in two parts");
    }
    next_case("NaN and inf");
    static const uint32_t bits[] = { 0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff, 0xff7fffff };
    for (int i = 0; i < 5; i++) {
        float const gate = chord_bits_f32(bits[i]), up = 1;
        float got, want;
        got_fn(&got, &gate, &up, 1);
        want_fn(&want, &gate, &up, 1);
        same(got, want, i);
    }
}

/* ---- rope, add, scale: equal ----------------------------------------------------------------------- */

void check_rope(chord_rope_fn *got_fn, chord_rope_fn *want_fn)
{
    EACH_SIZE(n)
        for (int32_t kind = 0; kind < 2; kind++) {
            next_case("%d pairs, data %d", n, kind);
            float *x = floats(2 * n, 4), *want = floats(2 * n, 0), *cs = floats(2 * n, 4);
            fill(x, 2 * n, kind ? 4 : 0);
            fill(cs, 2 * n, 0);
            chord_copy(want, x, (size_t)n * 8);
            got_fn(x, cs, n);
            want_fn(want, cs, n);
            for (int32_t i = 0; i < 2 * n; i++) same(x[i], want[i], i);
            canaries_live();
        }
}

void check_add(const chord_ops *ops, const chord_ops *scalar)
{
    EACH_SIZE(n)
        for (int32_t kind = 0; kind < 5; kind++) {
            next_case("n %d, data %d", n, kind);
            float *y = floats(n, 4), *x = floats(n, 8), *want = floats(n, 0);
            fill(x, n, kind);
            fill(y, n, kind);
            chord_copy(want, y, (size_t)n * 4);
            ops->add(y, x, n);
            scalar->add(want, x, n);
            for (int32_t i = 0; i < n; i++) same(y[i], want[i], i);
            canaries_live();
        }
}

void check_scale(const chord_ops *ops, const chord_ops *scalar)
{
    EACH_SIZE(n)
        for (int32_t kind = 0; kind < 5; kind++) {
            next_case("n %d, data %d", n, kind);
            float *y = floats(n, 4), *x = floats(n, 8), *want = floats(n, 0);
            fill(x, n, kind);
            ops->scale(y, x, 0.37f, n);
            scalar->scale(want, x, 0.37f, n);
            for (int32_t i = 0; i < n; i++) same(y[i], want[i], i);
            canaries_live();
        }
}

/* ---- f16: exhaustive ------------------------------------------------------------------------------- */

static void store_four(const chord_ops *ops, const uint32_t bits[4])
{
    float x[4];
    uint16_t got[4];
    for (int i = 0; i < 4; i++) x[i] = chord_bits_f32(bits[i]);
    ops->f16_store(got, x, 4);
    for (int i = 0; i < 4; i++)
        if (got[i] != chord_f32_f16(x[i]))
            fail("f16 of %x is %x, want %x", bits[i], (uint32_t)got[i], (uint32_t)chord_f32_f16(x[i]));
    judge.n_values += 4;
}

void check_store(const chord_ops *ops, const chord_ops *scalar)
{
    /* Rounding changes at each f16 value and at each midpoint of two values. The test covers these
     * floats and their neighbours. */
    next_case("every f16 value, every midpoint, and one step round both");
    for (uint32_t h = 0; h < 0x7c00; h++) {
        float const here = chord_f16_f32((uint16_t)h),
                    next = h == 0x7bff ? 65536.0f : chord_f16_f32((uint16_t)(h + 1));
        uint32_t const a = chord_f32_bits(here), m = chord_f32_bits(here + (next - here) / 2);
        uint32_t const around[8] = {
            a, a ? a - 1 : 0, a + 1, m - 1, m, m + 1, 0x80000000 | m, 0x80000000 | a
        };
        store_four(ops, around);
        store_four(ops, around + 4);
    }
    next_case("random bits, inf and NaN among them");
    for (int i = 0; i < 1000000; i++) {
        uint64_t const r = random64(), s = random64();
        uint32_t const some[4] = { (uint32_t)r, (uint32_t)(r >> 32), (uint32_t)s | 0x7f800000,
                                   (uint32_t)(s >> 32) & 0xbfffffff };
        store_four(ops, some);
    }
    for (uint64_t u = 0; check_everything && u < 0x100000000u; u += 4) {
        uint32_t const four[4] = { (uint32_t)u, (uint32_t)u + 1, (uint32_t)u + 2, (uint32_t)u + 3 };
        store_four(ops, four);
    }
    EACH_SIZE(n) {
        next_case("n %d", n);
        float *x = floats(n, 4);
        uint16_t *got = region((uint64_t)n * 2, 2), *want = region((uint64_t)n * 2, 0);
        fill(x, n, 1);
        ops->f16_store(got, x, n);
        scalar->f16_store(want, x, n);
        same_bytes(got, want, (uint64_t)n * 2, "f16");
        canaries_live();
    }
}

void check_load(const chord_ops *ops, const chord_ops *scalar)
{
    next_case("every finite f16");
    for (uint32_t h = 0; h < 65536; h += 4) {
        if ((h & 0x7c00) == 0x7c00) continue;
        uint16_t const x[4] = { (uint16_t)h, (uint16_t)(h + 1), (uint16_t)(h + 2), (uint16_t)(h + 3) };
        uint32_t got[4];
        float want[4];
        ops->f16_load((float *)(void *)got, x, 4);
        for (int i = 0; i < 4; i++) want[i] = chord_f16_f32(x[i]);
        same_bytes(got, want, 16, "f32");
    }
    EACH_SIZE(n) {
        next_case("n %d", n);
        uint16_t *x = region((uint64_t)n * 2, 2);
        float *got = floats(n, 4), *want = floats(n, 0);
        for (int32_t i = 0; i < n; i++) x[i] = chord_f32_f16(random_gauss());
        ops->f16_load(got, x, n);
        scalar->f16_load(want, x, n);
        same_bytes(got, want, (uint64_t)n * 4, "f32");
        canaries_live();
    }
}
