/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/mem.h"

/* A unit is UNIT_CHANNELS channels of a whole run, token by token: no token of a run needs another unit's
 * result. */
enum { UNIT_CHANNELS = 64 };

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    int32_t most = 0;
    for (int32_t i = 0; i < batch->n_runs; i++)
        if (batch->runs[i].n_tokens > most) most = batch->runs[i].n_tokens;
    cut->n_units = batch->n_runs * chord_ceil_div(op->short_conv.width, UNIT_CHANNELS);
    cut->unit_work = (uint64_t)most * UNIT_CHANNELS * (uint64_t)op->short_conv.kernel;
}

typedef struct conv {
    const chord_run *run;
    const chord_batch_run *of;
    const float *before;          /* [kernel - 1][width], oldest first */
} conv;

/* Returns the inputs of the run's token `t`. If t < 0, they come from the state. */
static const float *inputs_at(const conv *c, int32_t t)
{
    const chord_op_short_conv *s = &c->run->op->short_conv;
    if (t < 0) return c->before + (int64_t)(s->kernel - 1 + t) * s->width;
    return chord_run_row(c->run, c->run->op->in[0], c->of->first_row + t);
}

/* Computes channels [c0, c1) of one run: the outputs and the state after the run. */
static void convolve(const conv *c, float *after, int32_t c0, int32_t c1)
{
    const chord_op *op = c->run->op;
    int32_t const kernel = op->short_conv.kernel, width = op->short_conv.width;
    const float *w = chord_run_vector(c->run, op->weight[0]);
    for (int32_t t = 0; t < c->of->n_tokens; t++) {
        float *y = chord_run_row(c->run, op->out[0], c->of->first_row + t);
        for (int32_t i = c0; i < c1; i++) y[i] = 0;
        for (int32_t j = 0; j < kernel; j++) { /* oldest first, as the specification adds */
            const float *x = inputs_at(c, t - kernel + 1 + j);
            for (int32_t i = c0; i < c1; i++) y[i] += w[(int64_t)i * kernel + j] * x[i];
        }
    }
    for (int32_t j = 0; j < kernel - 1; j++)
        chord_copy(after + (int64_t)j * width + c0, inputs_at(c, c->of->n_tokens - kernel + 1 + j) + c0,
                   (size_t)(c1 - c0) * 4);
}

static void short_conv(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    const chord_cache *cache = &run->plan->caches[op->cache];
    int64_t const n_blocks = chord_ceil_div(op->short_conv.width, UNIT_CHANNELS);
    for (int64_t u = u0; u < u1; u++) {
        const chord_batch_run *of = &run->batch->runs[u / n_blocks];
        uint8_t *const *states = of->pages[cache->cls];
        int32_t const first = (int32_t)(u % n_blocks) * UNIT_CHANNELS;
        conv const c = { run, of, (const float *)(const void *)(states[0] + cache->k_off) };
        convolve(&c, (float *)(void *)(states[1] + cache->k_off), first,
                 chord_min32(first + UNIT_CHANNELS, op->short_conv.width));
    }
}

const chord_op_cpu chord_op_cpu_short_conv = { .cut = cut, .run = short_conv };
