/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->add.width, cut);
}

static void add(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    for (int64_t row = u0; row < u1; row++)
        run->ops->add(chord_run_row(run, op->out[0], row), chord_run_row(run, op->in[0], row), op->add.width);
}

const chord_op_cpu chord_op_cpu_add = { .cut = cut, .run = add };
