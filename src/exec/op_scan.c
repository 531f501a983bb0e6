/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

/* A unit is UNIT_COLUMNS columns of one head of a run, token by token. Its part of the state stays in the
 * nearest cache, and two threads share the units of one token. */
enum { UNIT_COLUMNS = 32 };

static int64_t blocks_of(const chord_op *op)
{
    return op->scan.n_head * chord_ceil_div(op->scan.v_dim, UNIT_COLUMNS);
}

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    int32_t most = 0;
    for (int32_t i = 0; i < batch->n_runs; i++)
        if (batch->runs[i].n_tokens > most) most = batch->runs[i].n_tokens;
    cut->n_units = batch->n_runs * blocks_of(op);
    cut->unit_work = (uint64_t)most * UNIT_COLUMNS * (uint64_t)op->scan.k_dim * 4;
}

/* Computes columns [c0, c1) of head h of one run. `before` and `after` are the head's S. */
static void scan_run(const chord_run *run, const chord_batch_run *of, int32_t h, int32_t c0, int32_t c1,
                     const float *before, float *after)
{
    const chord_op *op = run->op;
    const chord_op_scan *p = &op->scan;
    const float *skip = chord_run_vector(run, op->weight[1]);
    int32_t const g = p->is_delta ? h % p->n_keys : h / (p->n_head / p->n_keys);
    chord_scan s = { .before = before + c0,
                     .after = after + c0,
                     .stride = p->v_dim,
                     .k_dim = p->k_dim,
                     .n = c1 - c0,
                     .is_delta = p->is_delta,
                     .q_scale = p->q_scale,
                     .k_scale = p->k_scale,
                     .skip = skip ? skip[h] : 0 };
    float const a = chord_run_vector(run, op->weight[0])[h];
    for (int32_t t = of->first_row; t < of->first_row + of->n_tokens; t++) {
        const float *x = chord_run_row(run, op->in[0], t);
        float const step = chord_run_row(run, op->in[1], t)[h];
        s.q = x + p->q_at + g * p->k_dim;
        s.k = x + p->k_at + g * p->k_dim;
        s.v = x + p->v_at + h * p->v_dim + c0;
        s.y = chord_run_row(run, op->out[0], t) + h * p->v_dim + c0;
        s.log_decay = step * a;
        s.gate = p->is_delta ? chord_run_row(run, op->in[2], t)[h] : step;
        run->ops->scan(&s);
        s.before = s.after;
    }
}

static void scan(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op_scan *p = &run->op->scan;
    const chord_cache *cache = &run->plan->caches[run->op->cache];
    int64_t const n_blocks = blocks_of(run->op), per_head = n_blocks / p->n_head;
    for (int64_t u = u0; u < u1; u++) {
        const chord_batch_run *of = &run->batch->runs[u / n_blocks];
        uint8_t *const *states = of->pages[cache->cls];
        int32_t const h = (int32_t)(u % n_blocks / per_head), c0 = (int32_t)(u % per_head) * UNIT_COLUMNS;
        int64_t const at = (int64_t)h * p->k_dim * p->v_dim;
        scan_run(run, of, h, c0, chord_min32(c0 + UNIT_COLUMNS, p->v_dim),
                 (const float *)(const void *)(states[0] + cache->k_off) + at,
                 (float *)(void *)(states[1] + cache->k_off) + at);
    }
}

const chord_op_cpu chord_op_cpu_scan = { .cut = cut, .run = scan };
