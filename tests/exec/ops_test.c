/* ops_test.c: single ops, compared with double arithmetic. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../include/chord.h"
#include "../../src/exec/op.h"
#include "../../src/quant/quant.h"
#include "../harness/test.h"

#include <math.h>

enum { N_IN = 128, N_OUT = 20, N_ROWS = 3 };

/* Returns the largest error of a product with Q8_0 weights, divided by the sum of its terms' magnitudes. */
static double product_error(int32_t flags)
{
    static float x[N_ROWS * N_IN], y[N_ROWS * 32];
    /* scratch: chord_panel_bytes(N_IN) */
    static _Alignas(64) uint8_t plain[4][N_IN / 32 * 34], weights[5 * 4 * N_IN / 32 * 34],
        quantized[2 * N_ROWS * 256], scratch[N_IN * 19];
    static float w[N_OUT][N_IN];
    const chord_format *f = chord_format_of(CHORD_Q8_0);
    uint32_t seed = 1;
    for (int32_t g = 0; g < N_OUT / 4; g++) {
        const void *rows[4];
        for (int r = 0; r < 4; r++) {
            for (int32_t b = 0; b < N_IN / 32; b++) {
                uint8_t *block = plain[r] + 34 * b;
                block[0] = 0, block[1] = 0x20; /* 2^-7 */
                for (int i = 0; i < 32; i++)
                    seed = seed * 1664525 + 1013904223, block[2 + i] = (uint8_t)((seed >> 24) % 255 - 127);
            }
            f->decode(w[4 * g + r], plain[r], N_IN);
            rows[r] = plain[r];
        }
        CHECK(chord_format_repack(f, weights + (uint64_t)g * chord_x4_bytes(f, N_IN), rows, N_IN));
    }
    for (int32_t i = 0; i < N_ROWS * N_IN; i++)
        seed = seed * 1664525 + 1013904223, x[i] = (float)(seed >> 8) / 0x1p24f - 0.4f;

    chord_tensor tensor = { .type = CHORD_Q8_0, .data = weights };
    chord_plan plan = { .tensors = &tensor,
                        .n_tensors = 1,
                        .work = quantized,
                        .thread_scratch = scratch,
                        .thread_scratch_bytes = sizeof scratch };
    plan.slots[0] = x, plan.slots[1] = y;
    plan.program.slots[0].width = N_IN, plan.program.slots[1].width = N_OUT;
    chord_batch const batch = { .n_tokens = N_ROWS, .n_outputs = N_ROWS };
    chord_op const op = { .kind = CHORD_OP_MATMUL,
                          .flags = flags,
                          .weight = { 0, -1, -1, -1, -1, -1 },
                          .out = { 1, -1, -1 },
                          .matmul = { .n_weights = 1, .n_in = N_IN, .n_out = { N_OUT, 0, 0 } } };
    chord_run const run = { .plan = &plan,
                            .batch = &batch,
                            .ops = chord_ops_of(CHORD_ISA_BEST),
                            .op = &op,
                            .cut = chord_op_cut(&plan, &op, &batch) };
    chord_op_run(&run, 0, N_ROWS, 0);
    chord_op_run(&run, N_ROWS, run.cut.n_units, 0);

    double worst = 0;
    for (int32_t t = 0; t < N_ROWS; t++)
        for (int32_t r = 0; r < N_OUT; r++) {
            double sum = 0, size = 0;
            for (int32_t k = 0; k < N_IN; k++) {
                double const term = (double)w[r][k] * (double)x[t * N_IN + k];
                sum += term;
                size += term < 0 ? -term : term;
            }
            double const off = ((double)y[t * 32 + r] - sum) / size, error = off < 0 ? -off : off;
            if (error > worst) worst = error;
        }
    return worst;
}

/* |x| is at most 0.6, so a step of q8 is at most 0.6 / 127, and its rounding error at most 0.6 / 254. The
 * average |x| is 0.26. If every error had the sign of its weight, the product would be off by 0.6 / 254 /
 * 0.26 = 0.0091. The second term makes the rounding error 254 times smaller. */
TEST(the_activations_of_a_fine_product_have_16_bits)
{
    double const coarse = product_error(0), fine = product_error(CHORD_FLAG_FINE);
    CHECK(coarse < 0.01 && coarse > 0.0001);
    CHECK(fine < 0.01 / 254);
}

TEST(join_puts_parts_of_heads_behind_each_other)
{
    enum { HEADS = 3, ROWS = 2 };
    static float a[ROWS * 32], b[ROWS * 16], y[ROWS * 32];
    for (int32_t i = 0; i < ROWS * 32; i++) a[i] = (float)i;
    for (int32_t i = 0; i < ROWS * 16; i++) b[i] = 1000 + (float)i;
    chord_plan plan = { .slots = { a, b, y } };
    plan.program.slots[0].width = plan.program.slots[2].width = 32, plan.program.slots[1].width = 16;
    chord_batch const batch = { .n_tokens = ROWS };
    chord_op op = { .kind = CHORD_OP_JOIN,
                    .in = { 0, 1, -1 },
                    .out = { 2, -1, -1 },
                    .join = { .n_head = HEADS, .width = { 5, 2 }, .first = { 3, 10 }, .step = { 9, 0 } } };
    for (int32_t second = 2; second >= 0; second -= 2) { /* then one part alone */
        op.join.width[1] = second;
        if (!second) op.in[1] = CHORD_NONE;
        for (int32_t i = 0; i < ROWS * 32; i++) y[i] = -1;
        chord_run const run = {
            .plan = &plan, .batch = &batch, .op = &op, .cut = chord_op_cut(&plan, &op, &batch)
        };
        CHECK_EQ(run.cut.n_units, ROWS);
        chord_op_run(&run, 0, ROWS, 0);
        int32_t const width = 5 + second;
        for (int32_t r = 0; r < ROWS; r++)
            for (int32_t i = 0; i < 32; i++) {
                int32_t const h = i / width, at = i % width;
                float const want = h >= HEADS ? -1
                                   : at < 5   ? a[r * 32 + 3 + 9 * h + at]
                                              : b[r * 16 + 10 + at - 5];
                CHECK(y[r * 32 + i] == want);
            }
    }
}

/* Runs an op over rows of three slots, 32 floats each. */
enum { STREAM_ROWS = 3, STREAM_ROW = 32 };
static float stream_slots[3][STREAM_ROWS * STREAM_ROW];
static void run_rows(const chord_op *op, float *vector)
{
    chord_tensor tensor = { .data = (uint8_t *)vector };
    chord_plan plan = { .tensors = &tensor, .slots = { stream_slots[0], stream_slots[1], stream_slots[2] } };
    for (int32_t i = 0; i < 3; i++) plan.program.slots[i].width = STREAM_ROW;
    chord_batch const batch = { .n_tokens = STREAM_ROWS };
    int32_t fault = 0;
    chord_run const run = { .plan = &plan,
                            .batch = &batch,
                            .ops = chord_ops_of(CHORD_ISA_BEST),
                            .op = op,
                            .fault = &fault,
                            .cut = chord_op_cut(&plan, op, &batch) };
    CHECK_EQ(run.cut.n_units, STREAM_ROWS);
    chord_op_run(&run, 1, STREAM_ROWS, 0);
    chord_op_run(&run, 0, 1, 0);
    CHECK_EQ(fault, 0);
}
static void fill_streams(void)
{
    uint32_t seed = 5;
    for (int32_t i = 0; i < 3; i++)
        for (int32_t k = 0; k < STREAM_ROWS * STREAM_ROW; k++)
            seed = seed * 1664525 + 1013904223, stream_slots[i][k] = (float)(seed >> 8) / 0x1p24f - 0.4f;
}
/* A sum of `terms` products of numbers below 0.6, each rounded a few times. */
static bool is_near(float got, double want, int32_t terms)
{
    double const off = (double)got - want;
    return off < terms * 0x1p-22 && -off < terms * 0x1p-22;
}

TEST(blend_reads_all_blocks_before_it_writes_one)
{
    static float old[3][STREAM_ROWS * STREAM_ROW];
    static const struct {
        int32_t in, coefficients, n_in, n_out, first;
    } cases[] = { { 2, 1, 4, 4, 0 }, { 0, 1, 1, 4, 0 }, { 0, -1, 1, 3, 1 }, { 0, 1, 3, 1, 2 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t const n_in = cases[i].n_in, width = 7;
        fill_streams();
        memcpy(old, stream_slots, sizeof old);
        chord_op const op = { .kind = CHORD_OP_BLEND,
                              .in = { cases[i].in, cases[i].coefficients, -1 },
                              .out = { 2, -1, -1 },
                              .blend = { .width = width,
                                         .n_in = n_in,
                                         .n_out = cases[i].n_out,
                                         .first = cases[i].first,
                                         .factor = 2,
                                         .bias = 0.25f } };
        run_rows(&op, NULL);
        for (int32_t k = 0; k < STREAM_ROWS * STREAM_ROW; k++) {
            int32_t const row = k / STREAM_ROW * STREAM_ROW, block = k % STREAM_ROW / width - cases[i].first;
            double want = (double)old[2][k];
            bool const is_of = block >= 0 && block < cases[i].n_out;
            for (int32_t j = 0; j < n_in && is_of; j++) {
                double const c = cases[i].coefficients < 0 ? 0 : (double)old[1][row + block * n_in + j];
                want += (2 * c + 0.25) * (double)old[cases[i].in][row + j * width + k % STREAM_ROW % width];
            }
            CHECK(is_of ? is_near(stream_slots[2][k], want, 4 * n_in) : stream_slots[2][k] == old[2][k]);
        }
    }
}

TEST(rescale_gives_each_block_a_length_and_leaves_zeros)
{
    static float old[STREAM_ROWS * STREAM_ROW];
    fill_streams();
    for (int32_t k = 0; k < 10; k++) stream_slots[1][STREAM_ROW + 10 + k] = 0; /* row 1, block 1 */
    memcpy(old, stream_slots[1], sizeof old);
    chord_op const op = { .kind = CHORD_OP_RESCALE,
                          .in = { 0, -1, -1 },
                          .out = { 1, -1, -1 },
                          .rescale = { .width = 10, .n_out = 3 } };
    run_rows(&op, NULL);
    for (int32_t row = 0; row < STREAM_ROWS; row++)
        for (int32_t i = 0; i < 4; i++) {
            double target = 0, own = 0;
            for (int32_t k = 0; k < 10 && i < 3; k++) {
                double const x = (double)stream_slots[0][row * STREAM_ROW + k],
                             y = (double)old[row * STREAM_ROW + 10 * i + k];
                target += x * x, own += y * y;
            }
            for (int32_t k = 10 * i; k < 10 * i + 10 && k < STREAM_ROW; k++) {
                double const factor = own > 0 ? sqrt(target / own) : 1;
                int32_t const at = row * STREAM_ROW + k;
                CHECK(is_near(stream_slots[1][at], factor * (double)old[at], i < 3 ? 20 : 0) ||
                      stream_slots[1][at] == old[at]);
                CHECK((stream_slots[1][at] == old[at]) == (i == 3 || !(own > 0)));
            }
        }
}

TEST(sparsify_keeps_what_is_above_the_mean_by_some_deviations)
{
    enum { WIDTH = 29 };
    static float old[STREAM_ROWS * STREAM_ROW];
    fill_streams();
    for (int32_t k = 0; k < WIDTH; k++) stream_slots[0][STREAM_ROW + k] = 0.125f; /* no deviation */
    memcpy(old, stream_slots[0], sizeof old);
    chord_op const op = { .kind = CHORD_OP_SPARSIFY,
                          .out = { 0, -1, -1 },
                          .sparsify = { .width = WIDTH, .factor = 0.75f } };
    run_rows(&op, NULL);
    for (int32_t row = 0; row < STREAM_ROWS; row++) {
        const float *x = old + row * STREAM_ROW, *y = stream_slots[0] + row * STREAM_ROW;
        double mean = 0, variance = 0;
        int32_t kept = 0;
        for (int32_t k = 0; k < WIDTH; k++) mean += (double)x[k] / WIDTH;
        for (int32_t k = 0; k < WIDTH; k++)
            variance += ((double)x[k] - mean) * ((double)x[k] - mean) / (WIDTH - 1);
        for (int32_t k = 0; k < WIDTH; k++) {
            double const want = (double)x[k] - mean - 0.75 * sqrt(variance);
            CHECK(is_near(y[k], want > 0 ? want : 0, WIDTH));
            kept += y[k] > 0;
        }
        CHECK(row == 1 ? kept == 0 : kept > 0 && kept < WIDTH / 2);
        for (int32_t k = WIDTH; k < STREAM_ROW; k++) CHECK(y[k] == x[k]);
    }
}

TEST(scale_has_one_number_or_one_for_each_element)
{
    static float old[STREAM_ROWS * STREAM_ROW], factors[STREAM_ROW];
    for (int32_t k = 0; k < STREAM_ROW; k++) factors[k] = 1 + (float)k / 8;
    for (int32_t i = 0; i < 3; i++) {
        fill_streams();
        memcpy(old, stream_slots[0], sizeof old);
        chord_op const op = { .kind = CHORD_OP_SCALE,
                              .weight = { i ? 0 : -1 },
                              .out = { 0, -1, -1 },
                              .scale = { .width = 21, .factor = 0.5f, .is_each = i == 2 } };
        run_rows(&op, factors);
        for (int32_t k = 0; k < STREAM_ROWS * STREAM_ROW; k++) {
            int32_t const at = k % STREAM_ROW;
            float const factor = at < 21 ? 0.5f * (i ? factors[i == 2 ? at : 0] : 1) : 1;
            CHECK(stream_slots[0][k] == old[k] * factor);
        }
    }
}
