/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->glu.width, cut);
}

static void glu(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    chord_glu_fn *const act = op->glu.activation == CHORD_ACTIVATION_SILU   ? run->ops->silu_glu
                              : op->glu.activation == CHORD_ACTIVATION_NONE ? run->ops->product
                                                                            : run->ops->gelu_glu;
    for (int64_t row = u0; row < u1; row++)
        act(chord_run_row(run, op->out[0], row), chord_run_row(run, op->in[0], row),
            chord_run_row(run, op->in[1], row) + op->glu.first, op->glu.width);
}

const chord_op_cpu chord_op_cpu_glu = { .cut = cut, .run = glu };
