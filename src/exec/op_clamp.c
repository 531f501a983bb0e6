/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->clamp.width, cut);
}

static void clamp(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op_clamp *c = &run->op->clamp;
    for (int64_t row = u0; row < u1; row++) {
        float *x = chord_run_row(run, run->op->out[0], row);
        for (int32_t i = 0; i < c->width; i++) {
            if (x[i] > c->limit) x[i] = c->limit;
            if (x[i] < -c->limit) x[i] = -c->limit;
        }
    }
}

const chord_op_cpu chord_op_cpu_clamp = { .cut = cut, .run = clamp };
