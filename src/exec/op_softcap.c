/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->softcap.width, cut);
}

static void softcap(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op_softcap *c = &run->op->softcap;
    for (int64_t row = u0; row < u1; row++)
        run->ops->softcap(chord_run_row(run, run->op->out[0], row), c->cap, c->width);
}

const chord_op_cpu chord_op_cpu_softcap = { .cut = cut, .run = softcap };
