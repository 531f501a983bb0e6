/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../kernels/real.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->gate.width, cut);
}

static void gate(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    for (int64_t row = u0; row < u1; row++) {
        double const x = (double)*chord_run_row(run, op->in[0], row);
        float *y = chord_run_row(run, op->out[0], row);
        run->ops->scale(y, y, (float)(1 / (1 + chord_real_exp(-x))), op->gate.width);
    }
}

const chord_op_cpu chord_op_cpu_gate = { .cut = cut, .run = gate };
