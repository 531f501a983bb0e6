/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

enum { BLOCKS = 4 };

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, (int64_t)op->blend.width * op->blend.n_in * op->blend.n_out, cut);
}

/* in[0] may be out[0]: all sums of an element are there before the first is written. */
static void blend(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    const chord_op_blend *b = &op->blend;
    int32_t const width = b->width;
    for (int64_t row = u0; row < u1; row++) {
        float factors[BLOCKS * BLOCKS], sums[BLOCKS];
        const float *x = chord_run_row(run, op->in[0], row),
                    *c = op->in[1] < 0 ? NULL : chord_run_row(run, op->in[1], row);
        float *y = chord_run_row(run, op->out[0], row) + b->first * width;
        for (int32_t i = 0; i < b->n_in * b->n_out; i++) factors[i] = (c ? b->factor * c[i] : 0) + b->bias;
        for (int32_t k = 0; k < width; k++, x++, y++) {
            const float *f = factors;
            for (int32_t i = 0; i < b->n_out; i++) {
                sums[i] = y[i * width];
                for (int32_t j = 0; j < b->n_in; j++) sums[i] += *f++ * x[j * width];
            }
            for (int32_t i = 0; i < b->n_out; i++) y[i * width] = sums[i];
        }
    }
}

const chord_op_cpu chord_op_cpu_blend = { .cut = cut, .run = blend };
