/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, 2ll * op->layer_norm.width, cut); /* two passes: mean, variance */
}

static void layer_norm(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    const float *w = chord_run_vector(run, op->weight[0]), *bias = chord_run_vector(run, op->weight[1]);
    for (int64_t row = u0; row < u1; row++) {
        float const variance =
            run->ops->layer_norm(&(chord_layer_norm){ .y = chord_run_row(run, op->out[0], row),
                                                      .x = chord_run_gathered(run, row),
                                                      .w = w,
                                                      .bias = bias,
                                                      .n = op->layer_norm.width,
                                                      .eps = op->layer_norm.eps });
        if (!chord_is_finite(variance)) chord_run_fault(run, CHORD_FAULT_NORM);
    }
}

const chord_op_cpu chord_op_cpu_layer_norm = { .cut = cut, .run = layer_norm };
