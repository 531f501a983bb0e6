/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, (int64_t)op->rope.n_head * op->rope.head_dim, cut);
}

static void rope(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    const chord_rope *r = &run->plan->program.ropes[op->rope.rope];
    chord_rope_fn *const turn = r->style == CHORD_ROPE_NORM ? run->ops->rope_norm : run->ops->rope_neox;
    for (int64_t row = u0; row < u1; row++) {
        const float *pairs = chord_run_row(run, op->in[0], row);
        float *x = chord_run_row(run, op->out[0], row) + op->rope.first;
        for (int32_t h = 0; h < op->rope.n_head; h++)
            turn(x + (int64_t)h * op->rope.head_dim, pairs, r->n_rot / 2);
    }
}

const chord_op_cpu chord_op_cpu_rope = { .cut = cut, .run = rope };
