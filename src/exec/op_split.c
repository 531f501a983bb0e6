/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/mem.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, 2 * (int64_t)op->split.n_head * op->split.head_dim, cut);
}

static void split(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    int64_t const n = op->split.head_dim;
    for (int64_t row = u0; row < u1; row++) {
        const float *x = chord_run_row(run, op->in[0], row);
        for (int32_t h = 0; h < op->split.n_head; h++)
            for (int i = 0; i < 2; i++)
                chord_copy(chord_run_row(run, op->out[i], row) + h * n, x + (2 * h + i) * n, (size_t)n * 4);
    }
}

const chord_op_cpu chord_op_cpu_split = { .cut = cut, .run = split };
