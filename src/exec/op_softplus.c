/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/host.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->softplus.width, cut);
}

/* In double: a step is mostly small, and 1 + exp(x) would lose its digits. */
static void softplus(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const float *bias = chord_run_vector(run, run->op->weight[0]);
    for (int64_t row = u0; row < u1; row++) {
        float *y = chord_run_row(run, run->op->out[0], row);
        for (int32_t i = 0; i < run->op->softplus.width; i++) {
            double const x = (double)y[i] + (double)bias[i];
            y[i] = (float)(x > 30 ? x : chord_host_log(1 + chord_host_exp(x)));
        }
    }
}

const chord_op_cpu chord_op_cpu_softplus = { .cut = cut, .run = softplus };
