/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/host.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, op->log_scale.width, cut);
}

static int32_t position_of(const chord_batch *b, int64_t row)
{
    if (b->positions) return b->positions[row * b->n_axes];
    const chord_batch_run *of = chord_batch_run_of(b, row);
    return of->first_pos + (int32_t)(row - of->first_row);
}

static void log_scale(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op_log_scale *s = &run->op->log_scale;
    for (int64_t row = u0; row < u1; row++) {
        int32_t const periods = position_of(run->batch, row) / s->period;
        if (!periods) continue;
        float const factor = (float)(1 + (double)s->factor * chord_host_log(1.0 + periods));
        float *x = chord_run_row(run, run->op->out[0], row);
        for (int32_t i = 0; i < s->width; i++) x[i] *= factor;
    }
}

const chord_op_cpu chord_op_cpu_log_scale = { .cut = cut, .run = log_scale };
