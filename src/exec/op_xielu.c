/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/host.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->xielu.width, cut);
}

/* exp is the host's: a call for each element below 0. One family has this op. */
static void xielu(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op_xielu *c = &run->op->xielu;
    for (int64_t row = u0; row < u1; row++) {
        float *y = chord_run_row(run, run->op->out[0], row);
        for (int32_t i = 0; i < c->width; i++) {
            float const x = y[i];
            if (x > 0) {
                y[i] = c->alpha_p * x * x + c->beta * x;
                continue;
            }
            double const e = chord_host_exp((double)(x < c->eps ? x : c->eps));
            y[i] = (float)(e - 1 - (double)x) * c->alpha_n + c->beta * x;
        }
    }
}

const chord_op_cpu chord_op_cpu_xielu = { .cut = cut, .run = xielu };
