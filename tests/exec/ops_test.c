/* ops_test.c: single ops, compared with double arithmetic. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../include/chord.h"
#include "../../src/exec/op.h"
#include "../../src/quant/quant.h"
#include "../harness/test.h"

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
