/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, 3 * (int64_t)op->sparsify.width, cut);
}

/* The row is normed: numbers count in deviations, whose divisor is n, from the mean. */
static void sparsify(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    int32_t const n = run->op->sparsify.width;
    float const cutoff = run->op->sparsify.factor * __builtin_sqrtf((float)n / (float)(n - 1));
    for (int64_t row = u0; row < u1; row++) {
        float *y = chord_run_row(run, run->op->out[0], row);
        float const squares =
            run->ops->layer_norm(&(chord_layer_norm){ .y = y, .x = y, .n = n, .eps = 0x1p-126f });
        float const deviation = __builtin_sqrtf(squares / (float)n);
        if (!chord_is_finite(squares)) chord_run_fault(run, CHORD_FAULT_NORM);
        for (int32_t i = 0; i < n; i++) y[i] = y[i] > cutoff ? (y[i] - cutoff) * deviation : 0;
    }
}

const chord_op_cpu chord_op_cpu_sparsify = { .cut = cut, .run = sparsify };
