/* batch.c: makes, computes and accepts a session's batches. chord_session_step() calls next_batch(), the
 * CPU executor and accept_batch() in a loop. Another executor calls next_batch() and accept_batch() through
 * chord.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "../base/host.h"

/* ---- next, accept, drop --------------------------------------------------------------------------- */

void chord_batch_leave(chord_session *s)
{
    s->cursor = (chord_cursor){ 0, 0, 0 };
    s->is_given = 0;
    if (s->model->active != s) return;
    s->model->active = NULL;
    chord_pager_rewind(&s->model->pager);
}

static chord_status cancelled(chord_session *s)
{
    __atomic_store_n(&s->cancel, 0, __ATOMIC_RELAXED);
    chord_sequence_drop_batch(&s->sequence);
    chord_batch_leave(s);
    return CHORD_CANCELLED;
}

/* Makes a batch unless one is under way. OK: a batch is under way. */
static chord_status next_batch(chord_session *s)
{
    chord_model *m = s->model;
    if (m->active && m->active != s)
        return chord_fail(&m->error, CHORD_BUSY, "another session of this model has a batch under way");
    if (__atomic_load_n(&s->cancel, __ATOMIC_RELAXED)) return cancelled(s);
    if (s->sequence.has_batch) return CHORD_OK;
    CHORD_TRY(chord_sequence_next_batch(&s->sequence));
    m->active = s;
    m->shown = NULL;
    chord_pager_rewind(&m->pager); /* forgets what failed between two batches */
    chord_lazy_begin(m);
    s->cursor = (chord_cursor){ 0, 0, 0 };
    s->batch_work = chord_exec_work(&m->plan, &s->sequence.batch);
    s->batch_work_done = 0;
    return CHORD_OK;
}

/* The slot that holds the output rows of the session's batches. */
static int32_t slot_of_rows(const chord_session *s)
{
    const chord_program *p = &s->model->plan.program;
    if (!s->sequence.is_texts) return p->output_slot;
    return s->sequence.pooling == CHORD_POOLING_RANK ? p->rank_slot : p->pooled_slot;
}

float *chord_session_row(const chord_session *s, int32_t row)
{
    const chord_plan *p = &s->model->plan;
    int32_t const slot = slot_of_rows(s);
    return p->slots[slot] + row * chord_slot_stride(&p->program.slots[slot]);
}

static void softmax(float *x, int32_t n)
{
    double top = (double)x[0], sum = 0;
    for (int32_t i = 1; i < n; i++) top = (double)x[i] > top ? (double)x[i] : top;
    for (int32_t i = 0; i < n; i++) sum += chord_host_exp((double)x[i] - top);
    for (int32_t i = 0; i < n; i++) x[i] = (float)(chord_host_exp((double)x[i] - top) / sum);
}

static void accept_batch(chord_session *s)
{
    chord_sequence_accept_batch(&s->sequence);
    chord_batch_leave(s);
    const chord_program *p = &s->model->plan.program;
    if (s->sequence.is_texts && s->sequence.pooling == CHORD_POOLING_RANK && p->is_softmax)
        for (int32_t i = 0; i < s->sequence.n_rows; i++) softmax(chord_session_row(s, i), p->n_labels);
    if (s->sequence.n_rows) s->model->shown = s;
}

float *chord_output_row(const chord_model *m, int32_t row)
{
    const chord_program *p = &m->plan.program;
    return m->plan.slots[p->output_slot] + row * chord_slot_stride(&p->slots[p->output_slot]);
}

static double address(const void *p) { return (double)(uintptr_t)p; }

static void fill_info(const chord_session *s, chord_batch_info *out)
{
    const chord_batch *b = &s->sequence.batch;
    const chord_slot *slot = &s->model->plan.program.slots[slot_of_rows(s)];
    int32_t first = 0, n = 0; /* the embeddings: one block at most is pending, so they are consecutive */
    for (int32_t i = 0; b->embeddings && i < b->n_tokens; i++)
        if (b->embeddings[i] && !n++) first = i;
    *out = (chord_batch_info){
        .version = CHORD_ABI_VERSION,
        .size = (int32_t)sizeof *out,
        .n_tokens = b->n_tokens,
        .n_outputs = b->n_outputs,
        .first_pos = b->runs[0].first_pos,
        .n_axes = b->n_axes,
        .n_embd = s->model->hparams.n_embd,
        .n_width = slot->width,
        .stride = (int32_t)chord_slot_stride(slot),
        .first_embedding = first,
        .n_embeddings = n,
        .ids = address(b->ids),
        .embeddings = n ? address(b->embeddings[first]) : 0,
        .positions = address(b->positions),
        .rows = address(b->rows),
        .outputs = address(chord_session_row(s, 0)),
        .random = chord_session_random(s, 0),
        .pooling = b->is_texts ? b->pooling : CHORD_NONE,
        .runs = address(b->runs),
        .n_runs = b->n_runs,
        .run_bytes = (int32_t)sizeof *b->runs,
    };
}

chord_status chord_session_next_batch(chord_session *s, chord_batch_info *out)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    if (!out) return chord_fail(e, CHORD_INVALID_ARGUMENT, "out is NULL");
    CHORD_TRY(next_batch(s));
    /* The batch starts again, also if a step began it. NaN marks an output row that the executor doesn't
     * write. */
    if (!s->is_given) {
        s->is_given = 1;
        s->cursor = (chord_cursor){ 0, 0, 0 };
        chord_pager_rewind(&s->model->pager);
        s->batch_work_done = 0;
        for (int32_t i = 0; i < s->sequence.batch.n_outputs; i++)
            chord_session_row(s, i)[0] = __builtin_nanf("");
    }
    fill_info(s, out);
    return CHORD_OK;
}

chord_status chord_session_reserve(chord_session *s, int32_t ahead)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    return chord_sequence_reserve(&s->sequence, ahead, chord_error_begin(s->model));
}

chord_status chord_session_accept_batch(chord_session *s)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    if (!s->is_given)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "no batch to accept: call chord_session_next_batch first");
    if (s->first_elsewhere > s->sequence.n_past) s->first_elsewhere = s->sequence.n_past;
    accept_batch(s);
    return CHORD_OK;
}

chord_status chord_session_drop_batch(chord_session *s)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(s->model);
    cancelled(s);
    return CHORD_OK;
}

/* ---- the pages of an executor outside the library ---------------------------------------------------- */

static bool is_class(const chord_session *s, int32_t cls)
{
    return s && cls >= 0 && cls < s->sequence.config.n_classes;
}

int32_t chord_session_pages(const chord_session *s, int32_t cls, int32_t first, int32_t *numbers, int32_t cap)
{
    if (!is_class(s, cls) || first < 0 || cap < 0 || (cap && !numbers)) return CHORD_INVALID_ARGUMENT;
    const chord_sequence_class *k = &s->sequence.classes[cls];
    int32_t const n = k->n_pages > first ? k->n_pages - first : 0;
    for (int32_t i = 0; i < n && i < cap; i++)
        numbers[i] = k->pages[first + i] ? chord_page_number(k->pages[first + i]) : -1;
    return n;
}

/* A page is copied or cleared only where it holds the first position that is written next, or a state. */
static uint8_t *page_to_fill(const chord_sequence *q, int32_t c)
{
    const chord_sequence_class *k = &q->classes[c];
    int32_t const i = q->config.classes[c].kind == CHORD_CACHE_STATE ? 0 : q->n_past / CHORD_PAGE_TOKENS;
    return i < k->n_pages ? k->pages[i] : NULL;
}

int32_t chord_session_copies(chord_session *s, int32_t *triples, int32_t cap)
{
    if (!s || !triples || cap < s->sequence.config.n_classes) return CHORD_INVALID_ARGUMENT;
    int32_t n = 0;
    for (int32_t c = 0; c < s->sequence.config.n_classes; c++) {
        uint8_t *const page = page_to_fill(&s->sequence, c);
        if (!page || chord_page_source(page) == CHORD_PAGE_NEW) continue;
        triples[3 * n] = c;
        triples[3 * n + 1] = chord_page_number(page);
        triples[3 * n + 2] = chord_page_source(page);
        chord_page_set_source(page, CHORD_PAGE_NEW);
        n++;
    }
    return n;
}

/* ---- step ------------------------------------------------------------------------------------------- */

/* Computes the batch under way with at most `budget` multiply-adds. */
static chord_status run_batch(chord_session *s, uint64_t budget, uint64_t *spent)
{
    chord_model *m = s->model;
    s->is_given = 0;
    chord_run run = { .plan = &m->plan,
                      .ops = m->ops,
                      .batch = &s->sequence.batch,
                      .cursor = s->cursor,
                      .budget = budget,
                      .cancel = &s->cancel,
                      .pool = &m->pool,
                      .pager = &m->pager,
                      .profile = m->profile };
    chord_status const status = chord_exec_run(&run, &m->error);
    s->cursor = run.cursor;
    s->layer = run.layer;
    s->work_done += run.work;
    s->batch_work_done += run.work;
    *spent = run.work;
    return status;
}

/* Returns OK if the session may step: the CPU executor needs the keys and values of all earlier
 * positions. */
static chord_status may_step(chord_session *s)
{
    chord_model *m = s->model;
    const chord_sequence *q = &s->sequence;
    if (m->config.external)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "the weights are external: the CPU executor can't step");
    if (q->n_tokens > q->n_past && s->first_elsewhere < q->n_past)
        return chord_fail(
            &m->error, CHORD_INVALID_ARGUMENT,
            "another executor evaluated position %d: a step can't continue behind it, truncate first",
            s->first_elsewhere);
    return CHORD_OK;
}

chord_status chord_session_step(chord_session *s, uint64_t budget)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(s->model);
    CHORD_TRY(may_step(s));
    s->last_step_work = 0;
    for (;;) {
        CHORD_TRY(next_batch(s)); /* gets all pages of the batch before any of its positions is written */
        uint64_t spent;
        chord_status const status = run_batch(s, budget - s->last_step_work, &spent);
        s->last_step_work += spent;
        if (status == CHORD_CANCELLED) return cancelled(s);
        if (status < 0) {
            cancelled(s);
            return status;
        }
        if (status != CHORD_DONE) return status;
        accept_batch(s);
        if (s->sequence.n_rows) return CHORD_DONE;
        if (s->last_step_work >= budget) return CHORD_MORE; /* more batches are pending */
    }
}
