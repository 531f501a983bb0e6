/* paging.c: the loader's calls, which may run beside a step (exec/pager.h, exec/expert_pool.h), and the rows
 * of lazy tensors, which only the session's thread loads. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "../base/mem.h"

/* ---- the loader's: they touch nothing of the model but its pager ------------------------------------ */

int32_t chord_model_want_page(chord_model *m) { return m ? chord_pager_claim(&m->pager) : CHORD_NONE; }

chord_status chord_model_load_rows(chord_model *m, int32_t tensor, int64_t first_row, const void *rows,
                                   size_t bytes)
{
    return m ? chord_pager_load(&m->pager, tensor, first_row, rows, bytes) : CHORD_INVALID_ARGUMENT;
}

chord_status chord_model_page_loaded(chord_model *m, int32_t page)
{
    return m ? chord_pager_loaded(&m->pager, page) : CHORD_INVALID_ARGUMENT;
}

chord_status chord_model_page_failed(chord_model *m, int32_t page, chord_status status)
{
    return m ? chord_pager_failed(&m->pager, page, status) : CHORD_INVALID_ARGUMENT;
}

chord_status chord_model_wait_page(chord_model *m, int32_t milliseconds)
{
    return m ? chord_pager_wait(&m->pager, milliseconds) : CHORD_INVALID_ARGUMENT;
}

const int32_t *chord_pager_word(const chord_model *m) { return m && m->pager.plan ? m->pager.words : NULL; }

int32_t chord_pager_error(const chord_model *m, char *dst, size_t cap)
{
    return m ? chord_error_text(&m->pager.error, dst, cap) : 0;
}

/* ---- lazy rows -------------------------------------------------------------------------------------- */

static bool is_lazy(const chord_tensor *t) { return t->placement == CHORD_PLACE_LAZY && t->data; }

void chord_lazy_begin(chord_model *m)
{
    for (int32_t i = 0; m->plan.n_lazy && i < m->plan.n_tensors; i++) {
        const chord_tensor *t = &m->plan.tensors[i];
        if (is_lazy(t)) chord_zero(chord_lazy_flags(&m->plan, t), (size_t)m->plan.n_batch);
    }
}

int32_t chord_session_lazy_rows(const chord_session *s, int32_t *triples, int32_t cap)
{
    if (!s || cap < 0 || (cap && !triples)) return CHORD_INVALID_ARGUMENT;
    const chord_plan *p = &s->model->plan;
    const chord_batch *b = &s->sequence.batch;
    int32_t n = 0;
    for (int32_t i = 0; s->sequence.has_batch && p->n_lazy && i < p->n_tensors; i++) {
        const chord_tensor *t = &p->tensors[i];
        if (!is_lazy(t)) continue;
        for (int32_t row = 0; (row = chord_lazy_next(p, t, b, row)) < b->n_tokens; row++, n++) {
            if (n >= cap) continue;
            triples[3 * n] = i;
            triples[3 * n + 1] = row;
            triples[3 * n + 2] = b->ids[row] < 0 ? 0 : b->ids[row];
        }
    }
    return n;
}

chord_status chord_session_load_row(chord_session *s, int32_t tensor, int32_t row, const void *bytes,
                                    size_t n)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    const chord_plan *p = &s->model->plan;
    chord_error *e = chord_error_begin(s->model);
    const chord_tensor *t = tensor >= 0 && tensor < p->n_tensors ? &p->tensors[tensor] : NULL;
    if (!t || !is_lazy(t)) return chord_fail(e, CHORD_INVALID_ARGUMENT, "tensor %d isn't lazy", tensor);
    if (!s->sequence.has_batch || row < 0 || row >= s->sequence.batch.n_tokens)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "the batch has no row %d", row);
    if (!bytes || n != t->row_bytes)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "a row of tensor %q takes %u bytes, not %u", t->name,
                          (size_t)t->n_name, t->row_bytes, (uint64_t)n);
    int32_t const id = s->sequence.batch.ids[row];
    if (!chord_format_check(chord_format_of(t->type), bytes, (int32_t)t->ne[0]))
        return chord_bad_row(e, t, id < 0 ? 0 : id);
    chord_copy(t->data + (uint64_t)row * t->row_bytes, bytes, n);
    chord_lazy_flags(p, t)[row] = 1;
    return CHORD_OK;
}
