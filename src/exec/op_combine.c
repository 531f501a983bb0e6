/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/mem.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, (int64_t)op->combine.width * op->combine.n_used, cut);
}

static void combine(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    int32_t const width = op->combine.width, n_used = op->combine.n_used;
    for (int64_t row = u0; row < u1; row++) {
        const float *x = chord_run_row(run, op->in[0], row),
                    *weight = chord_run_row(run, op->in[1], row) + n_used;
        float *y = chord_run_row(run, op->out[0], row);
        if (!(op->flags & CHORD_FLAG_ADD)) chord_zero(y, (size_t)width * 4);
        for (int32_t i = 0; i < width; i++) {
            float sum = 0;
            for (int32_t u = 0; u < n_used; u++) sum += weight[u] * x[u * width + i];
            y[i] += sum;
        }
    }
}

const chord_op_cpu chord_op_cpu_combine = { .cut = cut, .run = combine };
