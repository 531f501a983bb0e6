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

/* Scratch of a unit: the weights of its channels, [kernel][channels], and the kernel's rows of inputs. */
static void measure(const chord_plan *plan, const chord_op *op, chord_op_memory *memory)
{
    (void)plan;
    memory->thread_bytes = (uint64_t)op->short_conv.kernel * (UNIT_CHANNELS * 4 + sizeof(float *));
}

typedef struct conv {
    const chord_run *run;
    const chord_batch_run *of;
    const float *before;          /* [kernel - 1][width], oldest first */
    float *after;
    const float **x;              /* scratch: kernel pointers */
    float *w;                     /* scratch: [kernel][c1 - c0] */
} conv;

/* Returns the inputs of the run's token `t`. If t < 0, they come from the state. */
static const float *inputs_at(const conv *c, int32_t t)
{
    const chord_op_short_conv *s = &c->run->op->short_conv;
    if (t < 0) return c->before + (int64_t)(s->kernel - 1 + t) * s->width;
    return chord_run_row(c->run, c->run->op->in[0], c->of->first_row + t);
}

/* Computes channels [c0, c1) of one run: the outputs and the state after the run. */
static void convolve(const conv *c, int32_t c0, int32_t c1)
{
    const chord_op *op = c->run->op;
    int32_t const kernel = op->short_conv.kernel, width = op->short_conv.width, n = c1 - c0;
    const float *w = chord_run_vector(c->run, op->weight[0]), *bias = chord_run_vector(c->run, op->weight[1]);
    const float *lerp = op->short_conv.is_lerp ? w + (int64_t)op->short_conv.row * width + c0 : NULL;
    for (int32_t j = 0; j < kernel; j++)
        for (int32_t i = 0; i < n; i++)
            c->w[j * n + i] = !lerp ? w[(int64_t)(c0 + i) * kernel + j] : j ? 1 - lerp[i] : lerp[i];
    for (int32_t t = 0; t < c->of->n_tokens; t++) {
        for (int32_t j = 0; j < kernel; j++) c->x[j] = inputs_at(c, t - kernel + 1 + j) + c0;
        chord_conv const of_row = { .y = chord_run_row(c->run, op->out[0], c->of->first_row + t) + c0,
                                    .x = c->x,
                                    .w = c->w,
                                    .bias = bias ? bias + c0 : NULL,
                                    .kernel = kernel,
                                    .n = n };
        c->run->ops->conv(&of_row);
    }
    for (int32_t j = 0; j < kernel - 1; j++)
        chord_copy(c->after + (int64_t)j * width + c0, inputs_at(c, c->of->n_tokens - kernel + 1 + j) + c0,
                   (size_t)n * 4);
}

static void short_conv(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    const chord_op *op = run->op;
    const chord_cache *cache = &run->plan->caches[op->cache];
    int64_t const n_blocks = chord_ceil_div(op->short_conv.width, UNIT_CHANNELS);
    uint8_t *scratch = chord_run_scratch(run, thread);
    for (int64_t u = u0; u < u1; u++) {
        const chord_batch_run *of = &run->batch->runs[u / n_blocks];
        uint8_t *const *states = of->pages[cache->cls];
        int32_t const first = (int32_t)(u % n_blocks) * UNIT_CHANNELS;
        conv const c = { .run = run,
                         .of = of,
                         .before = (const float *)(const void *)(states[0] + cache->k_off),
                         .after = (float *)(void *)(states[1] + cache->k_off),
                         .x = (const float **)(void *)scratch,
                         .w = (float *)(void *)(scratch + sizeof(float *) * (size_t)op->short_conv.kernel) };
        convolve(&c, first, chord_min32(first + UNIT_CHANNELS, op->short_conv.width));
    }
}

const chord_op_cpu chord_op_cpu_short_conv = { .measure = measure, .cut = cut, .run = short_conv };
