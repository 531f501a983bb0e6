/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/mem.h"

static int32_t width_of(const chord_op *op) { return op->join.width[0] + op->join.width[1]; }

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, (int64_t)op->join.n_head * width_of(op), cut);
}

static void join(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    const chord_op_join *j = &op->join;
    for (int64_t row = u0; row < u1; row++)
        for (int32_t i = 0; i < 2 && j->width[i]; i++) {
            const float *x = chord_run_row(run, op->in[i], row) + j->first[i];
            float *y = chord_run_row(run, op->out[0], row) + (i ? j->width[0] : 0);
            for (int64_t h = 0; h < j->n_head; h++)
                chord_copy(y + h * width_of(op), x + h * j->step[i], (size_t)j->width[i] * 4);
        }
}

const chord_op_cpu chord_op_cpu_join = { .cut = cut, .run = join };
