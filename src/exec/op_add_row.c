/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->add_row.width, cut);
}

/* The session refuses a text that is longer than the context, which the table has a row for. */
static void add_row(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op_add_row *a = &run->op->add_row;
    const float *table = chord_run_vector(run, run->op->weight[0]);
    for (int64_t row = u0; row < u1; row++) {
        const chord_batch_run *of = chord_batch_run_of(run->batch, row);
        int64_t const at = a->row >= 0 ? a->row : of->first_pos + row - of->first_row;
        run->ops->add(chord_run_row(run, run->op->out[0], row), table + at * a->width, a->width);
    }
}

const chord_op_cpu chord_op_cpu_add_row = { .cut = cut, .run = add_row };
