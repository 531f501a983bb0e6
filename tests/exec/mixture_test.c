/* mixture_test.c: the ops of mixtures of experts. Choices and weights are compared with the formulas of
 * ops.def; products of stacks are, byte by byte, those of one expert's matrix and one token. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/base/mem.h"
#include "../../src/exec/op_experts.h"
#include "../harness/test.h"
#include <math.h>

static uint32_t seed = 7;
static float noise(void)
{
    seed = seed * 1664525 + 1013904223;
    return (float)(seed >> 8) / 0x1p23f - 1;
}

/* ---- ROUTE -------------------------------------------------------------------------------------------- */

enum { N = 8, USED = 3 };

typedef struct routed {
    float number[USED], weight[USED];
} routed;

static routed route(chord_op_route part, const float logits[N], const float *bias)
{
    static float x[16], y[16];
    static uint8_t scratch[128];
    chord_copy(x, logits, N * sizeof *x);
    chord_tensor tensor = { .data = (uint8_t *)(uintptr_t)bias };
    chord_plan plan = { .tensors = &tensor,
                        .thread_scratch = scratch,
                        .thread_scratch_bytes = sizeof scratch };
    plan.slots[0] = x, plan.slots[1] = y;
    plan.program.slots[0].width = N, plan.program.slots[1].width = 2 * USED;
    part.n_expert = N, part.n_used = USED;
    chord_op const op = { .kind = CHORD_OP_ROUTE,
                          .in = { 0, -1, -1 },
                          .out = { 1, -1, -1 },
                          .weight = { bias ? 0 : -1, -1, -1, -1, -1, -1 },
                          .route = part };
    chord_batch const batch = { .n_tokens = 1 };
    chord_run const run = { .plan = &plan,
                            .batch = &batch,
                            .ops = chord_ops_of(CHORD_ISA_BEST),
                            .op = &op,
                            .cut = chord_op_cut(&plan, &op, &batch) };
    CHECK_EQ(run.cut.n_units, 1);
    chord_op_run(&run, 0, 1, 0);
    routed r;
    chord_copy(&r, y, sizeof r);
    return r;
}

static void check_choice(const routed *r, int32_t a, int32_t b, int32_t c)
{
    CHECK_EQ((int32_t)r->number[0], a);
    CHECK_EQ((int32_t)r->number[1], b);
    CHECK_EQ((int32_t)r->number[2], c);
}
static void check_weight(float got, double want) { CHECK(fabs((double)got - want) < 1e-6 * fabs(want)); }

static const float logits[N] = { 0.5f, 2, -1, 1.5f, 2, -3, 0, 1 };

TEST(route_takes_the_largest_and_of_equal_ones_the_lower_number)
{
    double sum = 0;
    for (int i = 0; i < N; i++) sum += exp((double)logits[i]);
    routed const r = route((chord_op_route){ .gating = CHORD_GATING_SOFTMAX, .scale = 1 }, logits, NULL);
    check_choice(&r, 1, 4, 3);
    check_weight(r.weight[0], exp(2) / sum);
    check_weight(r.weight[2], exp(1.5) / sum);
    routed const n =
        route((chord_op_route){ .gating = CHORD_GATING_SOFTMAX, .is_normalised = 1, .scale = 2.5f }, logits,
              NULL);
    check_weight(n.weight[2], 2.5 * exp(1.5) / (2 * exp(2) + exp(1.5)));
    routed const c = route((chord_op_route){ .gating = CHORD_GATING_CHOSEN, .scale = 1 }, logits, NULL);
    check_choice(&c, 1, 4, 3);
    check_weight(c.weight[0], exp(2) / (2 * exp(2) + exp(1.5)));
}

TEST(the_bias_of_the_choice_is_not_in_the_weights)
{
    static const float bias[N] = { 0, 0, 0, 0, 0, 1, 0, 0 };
    routed const r = route((chord_op_route){ .gating = CHORD_GATING_SIGMOID, .scale = 1 }, logits, bias);
    check_choice(&r, 5, 1, 4);
    check_weight(r.weight[0], 1 / (1 + exp(3)));
}

TEST(only_experts_of_the_best_groups_are_chosen)
{
    chord_op_route const part = {
        .gating = CHORD_GATING_CHOSEN, .n_groups = 4, .n_groups_used = 2, .scale = 1
    };
    /* sums of the groups of two: 2.5, 0.5, -1, 1 */
    routed const r = route(part, logits, NULL);
    check_choice(&r, 1, 7, 0);
}

TEST(tiny_weights_are_divided_by_2_to_the_minus_14_at_least)
{
    static const float low[N] = { -30, -31, -32, -33, -34, -35, -36, -37 };
    routed const r = route((chord_op_route){ .gating = CHORD_GATING_SIGMOID, .is_normalised = 1, .scale = 1 },
                           low, NULL);
    check_weight(r.weight[0], exp(-30) * 16384);
}

TEST(logits_that_are_not_numbers_choose_experts_that_exist)
{
    float bad[N];
    for (int i = 0; i < N; i++) bad[i] = __builtin_nanf("");
    for (int32_t gating = CHORD_GATING_SOFTMAX; gating <= CHORD_GATING_CHOSEN; gating++) {
        routed const r =
            route((chord_op_route){ .gating = gating, .n_groups = 4, .n_groups_used = 2, .scale = 1 }, bad,
                  NULL);
        for (int u = 0; u < USED; u++) {
            CHECK(r.number[u] >= 0 && r.number[u] < N);
            CHECK(!u || r.number[u] > r.number[u - 1]);
        }
    }
}

/* ---- EXPERTS ------------------------------------------------------------------------------------------ */

enum { N_IN = 64, ROWS = 24, OUT = 20, N_EXPERT = 5, TOKENS = 40, TYPES = 3, CHOSEN_STRIDE = 16 };
static const int32_t types[TYPES] = { CHORD_Q8_0, CHORD_F32, CHORD_Q4_0 };
static _Alignas(64) uint8_t stacks[TYPES][N_EXPERT * ROWS * N_IN * 4];
static float biases[N_EXPERT * ROWS], scales[N_EXPERT];
static float in[TOKENS * USED * N_IN], chosen[TOKENS * CHOSEN_STRIDE], out[2][TOKENS * 64];
static _Alignas(64) uint8_t work[1 << 16], scratch[N_IN * 19];

static void make_stack(int32_t i)
{
    const chord_format *f = chord_format_of(types[i]);
    for (int32_t g = 0; g < N_EXPERT * ROWS / 4; g++) {
        static uint8_t plain[4][N_IN * 4];
        const void *rows[4];
        for (int r = 0; r < 4; r++) {
            for (int32_t k = 0; k < N_IN; k++) ((float *)(void *)plain[r])[k] = noise();
            for (int32_t b = 0; f->act == CHORD_ACT_Q8 && b < N_IN / 32; b++) {
                uint8_t *block = plain[r] + b * f->block_bytes;
                block[0] = (uint8_t)(seed >> 24), block[1] = 0x20; /* about 2^-7 */
                for (int32_t k = 2; k < f->block_bytes; k++) block[k] = (uint8_t)((int)(noise() * 127) & 255);
            }
            rows[r] = plain[r];
        }
        CHECK(chord_format_repack(f, stacks[i] + (uint64_t)g * chord_x4_bytes(f, N_IN), rows, N_IN));
    }
}

static chord_tensor tensors[TYPES + 2];
static chord_plan plan = { .tensors = tensors,
                           .n_batch = TOKENS,
                           .n_threads = 2,
                           .work = work,
                           .thread_scratch = scratch,
                           .thread_scratch_bytes = sizeof scratch };

static chord_op prepare(int32_t a, int32_t b, int32_t is_each)
{
    for (int32_t i = 0; i < TYPES; i++) {
        make_stack(i);
        tensors[i] = (chord_tensor){ .type = types[i], .data = stacks[i], .ne = { N_IN, ROWS, N_EXPERT, 1 } };
    }
    for (int32_t i = 0; i < N_EXPERT * ROWS; i++) biases[i] = noise();
    for (int32_t i = 0; i < N_EXPERT; i++) scales[i] = noise() + 2;
    tensors[TYPES] = (chord_tensor){ .data = (uint8_t *)biases };
    tensors[TYPES + 1] = (chord_tensor){ .data = (uint8_t *)scales };
    for (int32_t i = 0; i < TOKENS * USED * N_IN; i++) in[i] = noise();
    for (int32_t t = 0; t < TOKENS; t++)
        for (int32_t u = 0; u < USED; u++) /* expert 2 is rare, expert 0 is everyone's */
            chosen[t * CHOSEN_STRIDE + u] = (float)(u == 0 ? 0 : u == 1 ? (t == 11 ? 2 : 1) : 3 + t % 2);
    plan.slots[0] = in, plan.slots[1] = chosen, plan.slots[2] = out[0], plan.slots[3] = out[1];
    plan.program.slots[0].width = (is_each ? USED : 1) * N_IN;
    plan.program.slots[1].width = 2 * USED;
    plan.program.slots[2].width = plan.program.slots[3].width = USED * OUT;
    return (chord_op){ .kind = CHORD_OP_EXPERTS,
                       .in = { 0, 1, -1 },
                       .out = { 2, 3, -1 },
                       .weight = { a, b, -1, -1, TYPES, -1 },
                       .experts = { .n_in = N_IN,
                                    .n_weights = 2,
                                    .n_out = { OUT, OUT },
                                    .row = { 0, 4 },
                                    .n_expert = N_EXPERT,
                                    .n_used = USED,
                                    .is_each = is_each } };
}

/* Computes units in slices of at most `n`. */
static void run_in(const chord_op *op, int32_t n_tokens, int64_t n)
{
    chord_batch const batch = { .n_tokens = n_tokens };
    chord_run const run = { .plan = &plan,
                            .batch = &batch,
                            .ops = chord_ops_of(CHORD_ISA_BEST),
                            .op = op,
                            .cut = chord_op_cut(&plan, op, &batch) };
    for (int64_t u = 0; u < run.cut.n_units;) {
        chord_stage const s = chord_op_stage(op, &run.cut, u);
        int64_t const end = s.end - u < n ? s.end : u + n;
        chord_op_run(&run, u, end, 0);
        u = end;
    }
}

/* The product of one token and one expert's matrix, by its kernel. */
static void plain_row(const chord_op *op, int32_t i, int32_t t, int32_t u, float y[OUT])
{
    const chord_tensor *w = &tensors[op->weight[i]];
    const chord_format *f = chord_format_of(w->type);
    static _Alignas(64) uint8_t q8[1024];
    const float *x = in + (op->experts.is_each ? (t * USED + u) * N_IN : t * N_IN);
    chord_ops_of(CHORD_ISA_BEST)->quantize_q8(q8, x, N_IN);
    int32_t const expert = (int32_t)chosen[t * CHOSEN_STRIDE + u], row = expert * ROWS + op->experts.row[i];
    bool const is_scaled = op->weight[2 + 3 * i] >= 0;
    const float *bias = i ? biases + row : NULL;
    chord_matmul const m = { .w = w->data + (uint64_t)(row / 4) * chord_x4_bytes(f, N_IN),
                             .group_bytes = chord_x4_bytes(f, N_IN),
                             .x = f->act == CHORD_ACT_Q8 ? (const void *)q8 : x,
                             .y = y,
                             .bias = is_scaled ? NULL : bias,
                             .n_in = N_IN,
                             .n_out = OUT,
                             .panel = scratch };
    chord_ops_matmul(chord_ops_of(CHORD_ISA_BEST), w->type)(&m, 0, OUT, 0, 1);
    for (int32_t r = 0; is_scaled && r < OUT; r++) y[r] = y[r] * scales[expert] + (bias ? bias[r] : 0);
}

static void check_products(const chord_op *op, int32_t n_tokens)
{
    for (int32_t t = 0; t < n_tokens; t++)
        for (int32_t u = 0; u < USED; u++)
            for (int32_t i = 0; i < 2; i++) {
                float want[OUT];
                plain_row(op, i, t, u, want);
                CHECK(chord_equal(want, out[i] + t * 64 + u * OUT, sizeof want));
            }
}

TEST(products_of_stacks_are_those_of_one_expert_and_one_token)
{
    for (int32_t k = 0; k < 2 * TYPES; k++) {
        chord_op const op = prepare(k % TYPES, (k + 1) % TYPES, k / TYPES);
        chord_op_memory memory = { 0, 0 };
        chord_op_cpu_of(op.kind)->measure(&plan, &op, &memory);
        CHECK(memory.work_bytes <= sizeof work && memory.thread_bytes <= sizeof scratch);
        static const int32_t sizes[] = { TOKENS, 1, 2, 7 };
        for (int s = 0; s < 4; s++)
            for (int64_t slice = 1; slice < 400; slice = slice * 7 + 2) {
                for (int i = 0; i < 2; i++) chord_zero(out[i], sizeof out[i]);
                run_in(&op, sizes[s], slice);
                check_products(&op, sizes[s]);
            }
    }
}

TEST(a_scale_of_each_expert_multiplies_its_products_before_the_bias)
{
    for (int32_t k = 0; k < 6; k++) { /* either stack's scale, or both; one input, or one for each expert */
        chord_op op = prepare(0, 1, k / 3);
        if (k % 3 != 1) op.weight[2] = TYPES + 1;
        if (k % 3) op.weight[5] = TYPES + 1;
        for (int64_t slice = 1; slice < 400; slice = slice * 7 + 2) {
            for (int i = 0; i < 2; i++) chord_zero(out[i], sizeof out[i]);
            run_in(&op, TOKENS, slice);
            check_products(&op, TOKENS);
        }
    }
}

TEST(without_a_choice_row_u_goes_to_expert_u)
{
    for (int32_t k = 0; k < TYPES; k++) {
        chord_op op = prepare(k, (k + 1) % TYPES, 1);
        op.in[1] = CHORD_NONE;
        op.experts.n_expert = USED;
        for (int32_t t = 0; t < TOKENS; t++)
            for (int32_t u = 0; u < USED; u++) chosen[t * CHOSEN_STRIDE + u] = (float)u;
        for (int i = 0; i < 2; i++) chord_zero(out[i], sizeof out[i]);
        run_in(&op, TOKENS, 5);
        check_products(&op, TOKENS);
    }
}

TEST(the_cut_of_a_stack_has_stages_that_cover_all_units)
{
    chord_op const op = prepare(0, 1, 0);
    for (int32_t n = 1; n <= TOKENS; n += 13) {
        chord_batch const batch = { .n_tokens = n };
        chord_cut const cut = chord_op_cut(&plan, &op, &batch);
        chord_stage const first = chord_op_stage(&op, &cut, 0), last = chord_op_stage(&op, &cut, first.end);
        CHECK_EQ(first.first, 0);
        CHECK_EQ(first.end, n + 1);
        CHECK_EQ(last.end, cut.n_units);
        /* what is planned is at least what is computed */
        double const planned = (double)(last.end - last.first) * (double)last.unit_work;
        CHECK(planned >= (double)n * USED * 2 * OUT * N_IN);
    }
}
