/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->norm.width, cut);
}

/* An infinite sum of squares would make every element, and then every logit, 0 without an error. The
 * walk stops instead. */
static void norm(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    for (int64_t row = u0; row < u1; row++) {
        float const mean = run->ops->rms_norm(chord_run_row(run, op->out[0], row),
                                              chord_run_gathered(run, row),
                                              chord_run_vector(run, op->weight[0]), op->norm.width,
                                              op->norm.eps);
        if (!chord_is_finite(mean)) chord_run_fault(run, CHORD_FAULT_NORM);
    }
}

const chord_op_cpu chord_op_cpu_norm = { .cut = cut, .run = norm };
