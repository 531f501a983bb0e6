/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, (int64_t)op->rescale.width * (op->rescale.n_out + 1), cut);
}

/* Each block is normed, and multiplied by the root of in[0]'s mean square. */
static void rescale(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    int32_t const width = run->op->rescale.width;
    for (int64_t row = u0; row < u1; row++) {
        const float *x = chord_run_row(run, run->op->in[0], row);
        float *y = chord_run_row(run, run->op->out[0], row), all = 0;
        for (int32_t k = 0; k < width; k++) all += x[k] * x[k];
        float const length = __builtin_sqrtf(all / (float)width);
        for (int32_t i = 0; i < run->op->rescale.n_out; i++, y += width) {
            all += run->ops->rms_norm(y, y, NULL, width, 0x1p-126f); /* with 0, zeros would be 0 / 0 */
            for (int32_t k = 0; k < width; k++) y[k] *= length;
        }
        if (!chord_is_finite(all)) chord_run_fault(run, CHORD_FAULT_NORM);
    }
}

const chord_op_cpu chord_op_cpu_rescale = { .cut = cut, .run = rescale };
