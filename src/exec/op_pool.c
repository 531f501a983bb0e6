/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/mem.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    int64_t const rows = batch->n_outputs ? chord_ceil_div(batch->n_tokens, batch->n_outputs) : 0;
    chord_cut_rows(op, batch, rows * op->pool.width, cut);
}

/* A sum goes by ascending rows, so a text's mean doesn't depend on the other texts of the batch. */
static void pool_run(const chord_run *run, const chord_batch_run *of, int32_t pooling, float *out)
{
    int32_t const width = run->op->pool.width, n = of->n_tokens;
    if (pooling != CHORD_POOLING_MEAN) {
        int32_t const row = of->first_row + (pooling == CHORD_POOLING_LAST ? n - 1 : 0);
        chord_copy(out, chord_run_row(run, run->op->in[0], row), (size_t)width * 4);
        return;
    }
    chord_zero(out, (size_t)width * 4);
    for (int32_t i = 0; i < n; i++)
        run->ops->add(out, chord_run_row(run, run->op->in[0], of->first_row + i), width);
    run->ops->scale(out, out, 1 / (float)n, width);
}

static void pool(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_batch *b = run->batch;
    int32_t const pooling = b->pooling == CHORD_POOLING_RANK ? run->op->pool.rank : b->pooling;
    for (int64_t row = u0; row < u1; row++) {
        float *out = chord_run_row(run, run->op->out[0], row);
        if (pooling == CHORD_POOLING_NONE)
            chord_copy(out, chord_run_row(run, run->op->in[0], row), (size_t)run->op->pool.width * 4);
        else pool_run(run, &b->runs[row], pooling, out);
    }
}

const chord_op_cpu chord_op_cpu_pool = { .cut = cut, .run = pool };
