/* SPDX-License-Identifier: Apache-2.0 */
#include "op.h"
#include "../base/mem.h"

static void cut(const chord_plan *plan, const chord_op *op, const chord_batch *batch, chord_cut *cut)
{
    (void)plan;
    chord_cut_rows(op, batch, (int64_t)op->kv_store.n_kv * (op->kv_store.k_dim + op->kv_store.v_dim), cut);
}

static bool are_finite(const float *x, int32_t n)
{
    uint32_t wrong = 0;
    for (int32_t i = 0; i < n; i++) wrong |= (uint32_t)!chord_is_finite(x[i]);
    return !wrong;
}

/* Stores one head's row. A key or value that isn't finite would spread to every later token, or be hidden by
 * a type that saturates. The walk stops instead. */
static void store(const chord_run *run, int32_t type, void *dst, const float *x, int32_t n)
{
    if (!are_finite(x, n)) chord_run_fault(run, CHORD_FAULT_KV);
    if (type == CHORD_KV_F32) chord_copy(dst, x, (size_t)n * 4);
    else if (type == CHORD_KV_F16) run->ops->f16_store(dst, x, n);
    else run->ops->kv_q8_store(dst, x, n);
}

static void kv_store(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)thread;
    const chord_op *op = run->op;
    const chord_op_kv_store *s = &op->kv_store;
    const chord_cache *c = &run->plan->caches[op->cache];
    for (int64_t row = u0; row < u1; row++) {
        const chord_batch_run *of = chord_batch_run_of(run->batch, row);
        int64_t const at = of->first_pos + row - of->first_row;
        uint8_t *page = of->pages[c->cls][at / CHORD_PAGE_TOKENS];
        uint64_t const slot = (uint64_t)(at % CHORD_PAGE_TOKENS);
        const float *k = chord_run_row(run, op->in[0], row),
                    *v = s->v_dim ? chord_run_row(run, op->in[1], row) : NULL;
        for (int32_t h = 0; h < s->n_kv; h++) {
            store(run, c->type, page + c->k_off + (uint64_t)h * c->k_head + slot * c->k_row,
                  k + (int64_t)h * s->k_dim, s->k_dim);
            if (v)
                store(run, c->type, page + c->v_off + (uint64_t)h * c->v_head + slot * c->v_row,
                      v + (int64_t)h * s->v_dim, s->v_dim);
        }
    }
}

const chord_op_cpu chord_op_cpu_kv_store = { .cut = cut, .run = kv_store };
