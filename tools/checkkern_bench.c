/* checkkern_bench.c: --bench: the fastest of several runs, after a warm-up in which V8 optimises the
 * code.
 *
 * GMAC/s counts the multiply-adds of the operation. GB/s counts its weights (matmul), or all bytes read
 * and written (rows). "of the ceiling" is the share of a ceiling that the same run measures: for quantised
 * formats the isa's dot alone, in eight chains; for floats vf_madd alone. Scales are normal floats, because
 * subnormal scales would halve the speed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "checkkern.h"
#include "../src/base/simd.h"

enum { N_IN = 1536, N_OUT = 576, N_TOKENS = 64 };

typedef struct work {
    const chord_ops *ops;
    chord_matmul_fn *matmul;
    chord_matmul m;
    int32_t n_t, n;
    float *a, *b, *c;
    uint8_t *q;
    chord_attend attend;
} work;
typedef void work_fn(work *w);

static double fastest_ns(work_fn *f, work *w)
{
    double best = 1e30, begin = checkkern_now();
    int32_t times = 1;
    /* warm-up */
    do f(w);
    while (checkkern_now() - begin < 150);
    /* Doubles `times` until the fastest of three rounds takes 3 ms. With a single round, a moment
     * without the processor would count as work; in Chromium (a clock of 0.1 ms) all rounds would then
     * take single ticks. */
    for (;;) {
        double least = 1e30;
        for (int round = 0; round < 3; round++) {
            double const t = checkkern_now();
            for (int32_t i = 0; i < times; i++) f(w);
            double const ms = checkkern_now() - t;
            if (ms < least) least = ms;
        }
        if (least >= 3 || times > 1 << 24) break;
        times *= 2;
    }
    for (int round = 0; round < 40; round++) {
        double const t = checkkern_now();
        for (int32_t i = 0; i < times; i++) f(w);
        double const ns = (checkkern_now() - t) * 1e6 / times;
        if (ns < best) best = ns;
    }
    return best;
}

/* ---- ceilings -------------------------------------------------------------------------------------- */

#define CHAINS 8
static vi sink[CHAINS];
static vf float_sink[CHAINS];

static void dots(work *w)
{
    vi s[CHAINS], a = vi_all_at(w->q), b = vi_and(vi_all_at(w->q + 4), vi_all(0x0f0f0f0f));
    for (int c = 0; c < CHAINS; c++) s[c] = sink[c];
    for (int32_t i = 0; i < 4096; i++)
        for (int c = 0; c < CHAINS; c++)
#if defined(CHORD_SIMD_I8)
            s[c] = vi_dot8(a, b, s[c]);
#else
            s[c] = vi_add(s[c], vi_dot16(a, b));
#endif
    for (int c = 0; c < CHAINS; c++) sink[c] = s[c];
}

static void madds(work *w)
{
    vf s[CHAINS], b = vf_all_at(w->b);
    for (int c = 0; c < CHAINS; c++) s[c] = float_sink[c];
    CHORD_ROLL(int32_t i = 0; i < 4096; i++) {
        /* The index changes, so that clang doesn't move the product out of the loop. Both signs occur: no
         * overflow. */
        vf const a = vf_all_at(w->a + (uint32_t)i % 256);
        CHORD_UNROLL(int c = 0; c < CHAINS; c++) {
            s[c] = vf_madd(a, b, s[c]);
            CHORD_PIN(s[c]);
        }
    }
    for (int c = 0; c < CHAINS; c++) float_sink[c] = s[c];
}

#if defined(CHORD_SIMD_I8)
#define DOT_MACS 16
#else
#define DOT_MACS 8
#endif

/* ---- rows of the table ------------------------------------------------------------------------------ */

/* A row of the table: the fields that identify it, and the figures that it is compared with. */
typedef struct row_of {
    const char *slot, *isa, *shape;
    double scalar_ns, ceiling; /* 0: none */
    bool json;
} row_of;

static void row(row_of r, double ns, double macs, double bytes)
{
    if (r.json)
        say("{\"slot\":\"%s\",\"isa\":\"%s\",\"shape\":\"%s\",\"ns\":%f,\"gmacs\":%f,\"gbs\":%f,\"vs_scalar\":%f,\"of_ceiling\":%f}\n",
            r.slot, r.isa, r.shape, ns, macs / ns, bytes / ns, r.scalar_ns / ns,
            r.ceiling > 0 ? macs / ns / r.ceiling : 0.0);
    else {
        say("%s %s %s: %f ns", r.slot, r.isa, r.shape, ns);
        if (macs > 0) say(", %f GMAC/s", macs / ns);
        say(", %f GB/s, %f x scalar", bytes / ns, r.scalar_ns / ns);
        if (r.ceiling > 0) say(", %f of the ceiling", macs / ns / r.ceiling);
        say("\n");
    }
}

static void run_matmul(work *w) { w->matmul(&w->m, 0, w->m.n_out, 0, w->n_t); }

/* Makes the weights and activations of a product. */
static work matmul_work(const chord_ops *scalar, const chord_format *f)
{
    bool const q8 = f->act == CHORD_ACT_Q8;
    work w = {
        .m = { .n_in = N_IN, .n_out = N_OUT, .group_bytes = chord_x4_bytes(f, N_IN), .y_stride = N_OUT }
    };
    w.m.x_stride = q8 ? chord_q8_bytes(N_IN) : N_IN * 4;
    uint8_t *weights = region(N_OUT / 4 * w.m.group_bytes, 0), *x = region(N_TOKENS * w.m.x_stride, 0);
    void *rows[4];
    float *act = region(N_IN * 4, 0);
    for (int r = 0; r < 4; r++) rows[r] = region(chord_row_bytes(f, N_IN), 0);
    for (int32_t g = 0; g < N_OUT / 4; g++) {
        random_rows(f, rows, N_IN, 0);
        chord_format_repack(f, weights + (uint64_t)g * w.m.group_bytes, (const void *const *)rows, N_IN);
    }
    for (int32_t t = 0; t < N_TOKENS; t++) {
        for (int32_t k = 0; k < N_IN; k++) act[k] = random_gauss();
        if (q8) scalar->quantize_q8(x + (uint64_t)t * w.m.x_stride, act, N_IN);
        else chord_copy(x + (uint64_t)t * w.m.x_stride, act, N_IN * 4);
    }
    w.m.w = weights;
    w.m.x = x;
    w.m.panel = region(chord_panel_bytes(N_IN), 0);
    w.m.y = region(N_TOKENS * N_OUT * 4, 0);
    return w;
}

static void bench_matmul(const chord_ops *ops, const chord_ops *scalar, const char *slot, int32_t type,
                         double ceiling, bool json)
{
    next_case("bench");
    work w = matmul_work(scalar, chord_format_of(type));
    static const struct {
        int32_t n_t;
        const char *shape;
    } shapes[] = { { 1, "576x1536 x 1" },
                   { 2, "576x1536 x 2" },
                   { 4, "576x1536 x 4" },
                   { 8, "576x1536 x 8" },
                   { 64, "576x1536 x 64" } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        w.n_t = shapes[i].n_t;
        w.matmul = chord_ops_matmul(ops, type);
        double const ns = fastest_ns(run_matmul, &w);
        double scalar_ns = 0;
        if (w.n_t <= 2) {
            w.matmul = chord_ops_matmul(scalar, type);
            scalar_ns = fastest_ns(run_matmul, &w);
        }
        row((row_of){ slot, ops->name, shapes[i].shape, scalar_ns, ceiling, json }, ns,
            (double)N_IN * N_OUT * w.n_t, (double)(N_OUT / 4 * w.m.group_bytes));
    }
}

static int32_t runs_a_tick(void) /* a browser's clock counts in steps of 5 or 100 us */
{
    double const begin = checkkern_now();
    double now = begin;
    while (now <= begin) now = checkkern_now();
    return now - begin > 0.003 ? 20 : 1;
}

/* --ratios: the time of Q4_K over that of a type, for the same product. Single products of both take turns,
 * and the median of their ratios is printed. So other programs on the machine change little. */
static void bench_ratios_of(const chord_ops *ops, const chord_ops *scalar, const char *slot, int32_t type)
{
    enum { N_PAIRS = 1001 };
    static const int32_t tokens[] = { 1, 2, 3, 4, 64 };
    next_case("ratios");
    work both[2] = { matmul_work(scalar, chord_format_of(CHORD_Q4_K)),
                     matmul_work(scalar, chord_format_of(type)) };
    both[0].matmul = chord_ops_matmul(ops, CHORD_Q4_K);
    both[1].matmul = chord_ops_matmul(ops, type);
    say("%s %s:", slot, ops->name);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        static double ratio[N_PAIRS];
        int32_t const runs = runs_a_tick(), n_pairs = tokens[i] > 4 || runs > 1 ? N_PAIRS / 10 : N_PAIRS;
        both[0].n_t = both[1].n_t = tokens[i];
        double const begin = checkkern_now(); /* warm-up */
        do run_matmul(&both[0]), run_matmul(&both[1]);
        while (checkkern_now() - begin < 100);
        for (int pair = 0; pair < n_pairs; pair++) {
            double ms[2];
            for (int w = 0; w < 2; w++) {
                double const t = checkkern_now();
                for (int32_t n = 0; n < runs; n++) run_matmul(&both[w]);
                ms[w] = checkkern_now() - t;
            }
            double const value = ms[0] / (ms[1] > 0 ? ms[1] : 1e-6);
            int at = pair;
            for (; at > 0 && ratio[at - 1] > value; at--) ratio[at] = ratio[at - 1];
            ratio[at] = value;
        }
        say(" %d tokens %f", tokens[i], ratio[n_pairs / 2]);
    }
    say("\n");
}

static bool is(const char *only, const char *slot)
{
    if (!only) return true;
    while (*only && *only == *slot) only++, slot++;
    return *only == *slot;
}

void bench_ratios(const chord_ops *ops, const chord_ops *scalar, const char *only)
{
#define FORMAT(id, NAME, file, ...)                                            \
    if (is(only, "matmul_" #file) && chord_format_of(id)->act == CHORD_ACT_Q8) \
        bench_ratios_of(ops, scalar, #file, id);
#include "../src/quant/formats.def"
}

static void run_quantize(work *w) { w->ops->quantize_q8(w->q, w->a, w->n); }
static void run_rms_norm(work *w) { w->ops->rms_norm(w->b, w->a, w->c, w->n, 1e-5f); }
static void run_silu_glu(work *w) { w->ops->silu_glu(w->b, w->a, w->c, w->n); }
static void run_gelu_glu(work *w) { w->ops->gelu_glu(w->b, w->a, w->c, w->n); }
static void run_rope_norm(work *w) { w->ops->rope_norm(w->b, w->c, w->n / 2); }
static void run_rope_neox(work *w) { w->ops->rope_neox(w->b, w->c, w->n / 2); }
static void run_add(work *w) { w->ops->add(w->b, w->c, w->n); }
static void run_scale(work *w) { w->ops->scale(w->b, w->a, 0.5f, w->n); }
static void run_f16_store(work *w) { w->ops->f16_store((uint16_t *)(void *)w->q, w->a, w->n); }
static void run_f16_load(work *w) { w->ops->f16_load(w->b, (const uint16_t *)(const void *)w->q, w->n); }
static void run_attend(work *w)
{
    for (int32_t i = 0; i < w->attend.n_q; i++) w->attend.ml[i][0] = 0, w->attend.ml[i][1] = 1;
    w->ops->attend(&w->attend);
}

/* bytes per element */
static const struct {
    const char *slot;
    work_fn *run;
    int32_t bytes;
} row_slots[] = {
    { "quantize_q8", run_quantize, 5 },
    { "rms_norm", run_rms_norm, 12 },
    { "silu_glu", run_silu_glu, 12 },
    { "gelu_glu", run_gelu_glu, 12 },
    { "rope_norm", run_rope_norm, 12 },
    { "rope_neox", run_rope_neox, 12 },
    { "add", run_add, 12 },
    { "scale", run_scale, 8 },
    { "f16_store", run_f16_store, 6 },
    { "f16_load", run_f16_load, 6 },
};

void bench_all(const chord_ops *ops, const chord_ops *scalar, const char *only, bool json)
{
    next_case("bench");
    work w = { .n = 1024 };
    w.a = region(4096, 0), w.b = region(4096, 0), w.c = region(4096, 0);
    w.q = region(4096, 0);
    for (int32_t i = 0; i < 1024; i++) w.a[i] = random_gauss(), w.b[i] = w.c[i] = random_gauss() / 64;
    chord_zero(w.q, 4096);
    for (int i = 0; i < 8; i++) w.q[i] = (uint8_t)random64();
    double const dot = 4096.0 * CHAINS * DOT_MACS / fastest_ns(dots, &w),
                 madd = 4096.0 * CHAINS * 4 / fastest_ns(madds, &w);
    if (json) say("{\"ceiling\":\"%s\",\"dot\":%f,\"madd\":%f}\n", ops->name, dot, madd);
    else say("ceilings %s: dot %f GMAC/s, madd %f GMAC/s\n", ops->name, dot, madd);

    for (size_t i = 0; i < sizeof row_slots / sizeof *row_slots; i++) {
        if (!is(only, row_slots[i].slot)) continue;
        w.ops = scalar;
        double const scalar_ns = fastest_ns(row_slots[i].run, &w);
        w.ops = ops;
        row((row_of){ row_slots[i].slot, ops->name, "1024", scalar_ns, 0, json },
            fastest_ns(row_slots[i].run, &w), 0, row_slots[i].bytes * 1024.0);
    }
    if (is(only, "attend")) {
        next_case("bench");
        const float *q[3];
        float *acc[3], *ml[3], *k = region(32 * 64 * 4, 0), *v = region(32 * 64 * 4, 0);
        static const int32_t lo[3] = { 0, 0, 0 }, hi[3] = { 32, 32, 32 };
        for (int32_t i = 0; i < 32 * 64; i++) k[i] = random_gauss(), v[i] = random_gauss();
        for (int i = 0; i < 3; i++) {
            float *x = region(256, 0);
            acc[i] = region(256, 0), ml[i] = region(8, 0);
            for (int d = 0; d < 64; d++) x[d] = random_gauss(), acc[i][d] = 0;
            q[i] = x;
        }
        w.attend = (chord_attend){ k, v, q, acc, ml, lo, hi, 0.125f, 0, 3, 64, 64, 64, 0, NULL };
        w.ops = scalar;
        double const scalar_ns = fastest_ns(run_attend, &w);
        w.ops = ops;
        row((row_of){ "attend", ops->name, "3 queries x 32 x 64", scalar_ns, madd, json },
            fastest_ns(run_attend, &w), 3 * 32 * 64 * 2, 2 * 32 * 64 * 4);
        uint16_t *k16 = region(32 * 64 * 2, 0), *v16 = region(32 * 64 * 2, 0);
        for (int32_t i = 0; i < 32 * 64; i++) k16[i] = chord_f32_f16(k[i]), v16[i] = chord_f32_f16(v[i]);
        w.attend.k = k16;
        w.attend.v = v16;
        w.attend.is_f16 = 1;
        row((row_of){ "attend", ops->name, "3 queries x 32 x 64 f16", 0, madd, json },
            fastest_ns(run_attend, &w), 3 * 32 * 64 * 2, 2 * 32 * 64 * 2);
    }
#define FORMAT(id, NAME, file, ...)                    \
    if (is(only, "matmul_" #file))                     \
        bench_matmul(ops, scalar, "matmul_" #file, id, \
                     chord_format_of(id)->act == CHORD_ACT_Q8 ? dot : madd, json);
#include "../src/quant/formats.def"
}
