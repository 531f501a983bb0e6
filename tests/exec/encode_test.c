/* encode_test.c: the attention of encoders against double arithmetic, and a text in company against the text
 * alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../include/chord.h"
#include "../../src/exec/op.h"
#include "../harness/test.h"
#include <math.h>

enum { HEADS = 6, KV = 2, DIM = 12, BUCKETS = 32, ROWS = 200, WIDE = 80, NARROW = 32 };

static float q[ROWS * WIDE], k[ROWS * NARROW], v[ROWS * NARROW], out[ROWS * WIDE], alone[ROWS * WIDE];
static float table[BUCKETS * HEADS];
static uint32_t seed = 7;
static float uniform(void)
{
    seed = seed * 1664525 + 1013904223;
    return (float)(seed >> 8) / 0x1p23f - 1;
}

static void run_batch(const chord_op *op, const chord_batch_run *runs, int32_t n_runs, float *to)
{
    static _Alignas(64) uint8_t scratch[1 << 14];
    chord_tensor tensor = { .type = CHORD_F32, .data = (uint8_t *)table };
    chord_plan plan = {
        .tensors = &tensor, .n_tensors = 1, .thread_scratch = scratch, .thread_scratch_bytes = sizeof scratch
    };
    chord_op_memory memory = { 0, 0 };
    chord_op_cpu_of(CHORD_OP_ENCODE)->measure(&plan, op, &memory);
    CHECK(memory.thread_bytes <= sizeof scratch);
    plan.slots[0] = q, plan.slots[1] = k, plan.slots[2] = v, plan.slots[3] = to;
    plan.program.slots[0].width = plan.program.slots[3].width = HEADS * DIM;
    plan.program.slots[1].width = plan.program.slots[2].width = KV * DIM;
    chord_batch batch = { .n_runs = n_runs, .runs = runs };
    for (int32_t i = 0; i < n_runs; i++) batch.n_tokens += runs[i].n_tokens;
    chord_run const run = { .plan = &plan,
                            .batch = &batch,
                            .ops = chord_ops_of(CHORD_ISA_BEST),
                            .op = op,
                            .cut = chord_op_cut(&plan, op, &batch) };
    for (int64_t u = run.cut.n_units; u-- > 0;) chord_op_run(&run, u, u + 1, 0); /* in any order */
}

/* The bucket of T5's paper, by its borders: 16 of each sign, 8 exact, then doubling in two steps. */
static int32_t bucket(int32_t d)
{
    static const int32_t border[7] = { 12, 16, 23, 32, 46, 64, 91 };
    int32_t const far = abs(d);
    int32_t at = far < 8 ? far : 8;
    for (int32_t i = 0; i < 7 && far >= border[i]; i++) at = 9 + i;
    return (d > 0 ? 16 : 0) + at;
}

/* Slopes for 6 heads: four of the series for 4, then two of the series for 8. */
static double slope(int32_t h) { return h < 4 ? pow(2, -2.0 * (h + 1)) : pow(2, -(1.0 + 2 * (h - 4))); }

static double error_of(const chord_op *op, const chord_batch_run *of)
{
    const chord_op_encode *a = &op->encode;
    double worst = 0;
    for (int32_t r = 0; r < of->n_tokens; r++)
        for (int32_t h = 0; h < HEADS; h++) {
            double p[ROWS], sum = 0, top = -1e300;
            int32_t const kv = h / (HEADS / KV) * DIM;
            for (int32_t j = 0; j < of->n_tokens; j++) {
                p[j] = -1e300;
                if ((a->window && abs(r - j) > a->window / 2) || (a->is_causal && j > r)) continue;
                p[j] = 0;
                for (int32_t i = 0; i < DIM; i++)
                    p[j] += (double)q[(of->first_row + r) * WIDE + h * DIM + i] *
                            (double)k[(of->first_row + j) * NARROW + kv + i];
                p[j] *= (double)a->scale;
                if (a->max_bias > 0) p[j] -= slope(h) * abs(r - j);
                if (op->weight[0] >= 0) p[j] += (double)table[bucket(j - r) * HEADS + h];
                top = fmax(top, p[j]);
            }
            for (int32_t j = 0; j < of->n_tokens; j++) sum += p[j] = exp(p[j] - top);
            for (int32_t i = 0; i < DIM; i++) {
                double want = 0;
                for (int32_t j = 0; j < of->n_tokens; j++)
                    want += p[j] / sum * (double)v[(of->first_row + j) * NARROW + kv + i];
                worst = fmax(worst, fabs(want - (double)out[(of->first_row + r) * WIDE + h * DIM + i]));
            }
        }
    return worst;
}

/* Values are below 1, and weights add up to 1. A score is below 12 and has 16 roundings of 2^-24, which
 * multiply its weight by up to 1 + 2^-16.4, and so does the largest score. 200 sums follow: 2^-14.5 covers
 * both. */
TEST(a_text_sees_its_own_rows_only_and_all_that_the_op_allows)
{
    chord_batch_run const runs[4] = { { .first_row = 0, .n_tokens = 33 },
                                      { .first_row = 33, .n_tokens = 1 },
                                      { .first_row = 34, .n_tokens = 130 },
                                      { .first_row = 164, .n_tokens = 32 } };
    for (int32_t i = 0; i < ROWS * WIDE; i++) q[i] = uniform();
    for (int32_t i = 0; i < ROWS * NARROW; i++) k[i] = uniform(), v[i] = uniform();
    for (int32_t i = 0; i < BUCKETS * HEADS; i++) table[i] = uniform();
    chord_op const ops[6] = {
        { .encode = { .window = 0 } },          { .encode = { .window = 17 } },
        { .encode = { .window = 32 } },         { .encode = { .max_bias = 8 } },
        { .encode = { .n_buckets = BUCKETS } }, { .encode = { .n_buckets = BUCKETS, .is_causal = 1 } }
    };
    for (int32_t o = 0; o < 6; o++) {
        chord_op op = { .kind = CHORD_OP_ENCODE,
                        .in = { 0, 1, 2 },
                        .out = { 3, -1, -1 },
                        .weight = { ops[o].encode.n_buckets ? 0 : -1, -1, -1, -1, -1, -1 },
                        .encode = ops[o].encode };
        op.encode.n_head = HEADS, op.encode.n_kv = KV, op.encode.head_dim = DIM, op.encode.scale = 1;
        run_batch(&op, runs, 4, out);
        for (int32_t i = 0; i < 4; i++) {
            CHECK(error_of(&op, &runs[i]) < 0x1p-14);
            run_batch(&op, &runs[i], 1, alone);
            for (int32_t r = runs[i].first_row; r < runs[i].first_row + runs[i].n_tokens; r++)
                CHECK(!memcmp(alone + r * WIDE, out + r * WIDE, HEADS * DIM * sizeof *out));
        }
    }
}
