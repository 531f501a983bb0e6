/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->scale.width, cut);
}

static void scale(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op_scale *s = &run->op->scale;
    const float *w = chord_run_vector(run, run->op->weight[0]);
    for (int64_t row = u0; row < u1; row++) {
        float *x = chord_run_row(run, run->op->out[0], row);
        for (int32_t i = 0; i < s->width; i++) x[i] *= w ? s->factor * w[s->is_each ? i : 0] : s->factor;
    }
}

const chord_op_cpu chord_op_cpu_scale = { .cut = cut, .run = scale };
