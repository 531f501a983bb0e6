/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/host.h"

enum { SCRATCH_ROWS = 5 };

/* A unit is one head of a run, token by token: its state stays in the nearest cache. */
static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    int32_t most = 0;
    for (int32_t i = 0; i < batch->n_runs; i++)
        if (batch->runs[i].n_tokens > most) most = batch->runs[i].n_tokens;
    cut->n_units = batch->n_runs * op->wkv.n_head;
    cut->unit_work = (uint64_t)most * (uint64_t)op->wkv.head_dim * (uint64_t)op->wkv.head_dim * 4;
}

static void measure(const chord_plan *plan, const chord_op *op, chord_op_memory *memory)
{
    (void)plan;
    memory->thread_bytes = (uint64_t)op->wkv.head_dim * SCRATCH_ROWS * 4;
}

static void wkv_token(const chord_run *run, int32_t at, int64_t t, const float *before, float *after,
                      float *scratch)
{
    const chord_op *op = run->op;
    int32_t const n = op->wkv.head_dim, width = n * op->wkv.n_head;
    const float *w[5];
    for (int32_t i = 0; i < 5; i++) w[i] = chord_run_vector(run, op->weight[i]);
    float *slots[3];
    for (int32_t i = 0; i < 3; i++) slots[i] = chord_run_row(run, op->in[i], t) + at;
    float *y = chord_run_row(run, op->out[0], t) + at;
    const float *r = slots[0], *k = slots[1], *v = k + width, *a = slots[2];
    float *decay = scratch, *key = decay + n, *b = key + n, *c = b + n, *fixed = c + n;
    double length = 0;
    float sum = 0;
    for (int32_t i = 0; i < n; i++) {
        fixed[i] = -0.606531f; /* as llama.cpp has it */
        b[i] = k[i] * w[1][at + i];
        c[i] = k[i] * w[0][at + i];
        length += (double)c[i] * (double)c[i];
    }
    length = __builtin_sqrt(length);
    run->ops->scale(c, c, (float)(1 / (length > 1e-12 ? length : 1e-12)), n);
    run->ops->sigmoid_glu(decay, r + width, fixed, n);
    run->ops->sigmoid_glu(key, a, b, n);
    for (int32_t i = 0; i < n; i++) {
        decay[i] = (float)chord_host_exp((double)decay[i]);
        key[i] += k[i] - b[i];
        sum += r[i] * key[i] * w[2][at + i];
    }
    run->ops->sigmoid_glu(b, a, c, n);
    run->ops->wkv(&(chord_wkv){ before, after, decay, r, key, v, b, c, y, n });
    if (w[3]) {
        float const variance = run->ops->layer_norm(&(chord_layer_norm){ y, y, w[3] + at, w[4] + at, n,
                                                                         op->wkv.eps });
        if (!chord_is_finite(variance)) chord_run_fault(run, CHORD_FAULT_NORM);
    }
    for (int32_t i = 0; i < n; i++) y[i] += sum * v[i];
}

static void wkv(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    int32_t const n = run->op->wkv.head_dim, n_head = run->op->wkv.n_head;
    uint64_t const off = run->plan->caches[run->op->cache].k_off;
    for (int64_t u = u0; u < u1; u++) {
        const chord_batch_run *of = &run->batch->runs[u / n_head];
        uint8_t *const *states = of->pages[run->plan->caches[run->op->cache].cls];
        int32_t const at = (int32_t)(u % n_head) * n;
        const float *before = (const float *)(const void *)(states[0] + off) + (int64_t)at * n;
        float *after = (float *)(void *)(states[1] + off) + (int64_t)at * n;
        for (int32_t t = 0; t < of->n_tokens; t++) {
            wkv_token(run, at, of->first_row + t, before, after,
                      (float *)(void *)chord_run_scratch(run, thread));
            before = after;
        }
    }
}

const chord_op_cpu chord_op_cpu_wkv = { .measure = measure, .cut = cut, .run = wkv };
