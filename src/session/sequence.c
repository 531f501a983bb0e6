/* sequence.c: tokens in, batches out; which pages a sequence holds. Everything that can fail is checked
 * before the first change, so that a refused call leaves the sequence as it was. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence.h"
#include "../base/arena.h"
#include "../base/mem.h"

static int32_t pages_for(int32_t n_tokens) { return n_tokens / CHORD_PAGE_TOKENS + (n_tokens % CHORD_PAGE_TOKENS != 0); }

static void place_arrays(chord_sequence *q, chord_arena *a)
{
    q->ids = chord_arena_take(a, (uint64_t)q->n_ctx * sizeof *q->ids, CHORD_BLOCK_ALIGN);
    q->rows = chord_arena_take(a, (uint64_t)q->n_batch * sizeof *q->rows, CHORD_BLOCK_ALIGN);
    q->pages = chord_arena_take(a, (uint64_t)pages_for(q->n_ctx) * sizeof *q->pages, CHORD_BLOCK_ALIGN);
}

uint64_t chord_sequence_bytes(int32_t n_ctx, int32_t n_batch)
{
    chord_sequence q = { .n_ctx = n_ctx, .n_batch = n_batch };
    chord_arena a = { .cap = SIZE_MAX };
    place_arrays(&q, &a);
    return a.used;
}

void chord_sequence_init(chord_sequence *q, void *arrays, chord_page_pool *pool, int32_t n_ctx, int32_t n_batch,
                         int32_t n_logits, int32_t n_vocab)
{
    *q = (chord_sequence){ .pool = pool, .n_ctx = n_ctx, .n_batch = n_batch, .n_logits = n_logits, .n_vocab = n_vocab,
                           .outputs = CHORD_OUTPUT_LAST };
    chord_arena a = { .base = arrays, .cap = SIZE_MAX };
    place_arrays(q, &a);
    chord_sequence_seed(q, 0);
}

/* Give back the pages after the first `keep`. */
static void drop_pages(chord_sequence *q, int32_t keep)
{
    while (q->n_pages > keep) chord_page_drop(q->pool, q->pages[--q->n_pages]);
}

/* The batch is forgotten, its tokens are pending again. */
static void undo_batch(chord_sequence *q)
{
    q->has_batch = 0;
    drop_pages(q, pages_for(q->n_past));
}

/* NEED_MEMORY unless the pool has `n` free pages. */
static chord_status want_pages(chord_sequence *q, int32_t n)
{
    if (n <= q->pool->n_free) return CHORD_OK;
    q->wanted = (uint64_t)(n - q->pool->n_free) * chord_page_bytes(q->pool);
    return CHORD_NEED_MEMORY;
}

static uint8_t *copy_page(chord_page_pool *pool, const uint8_t *payload)
{
    uint8_t *const copy = chord_page_take(pool);
    chord_copy(copy, payload, (size_t)pool->payload_bytes);
    return copy;
}

void chord_sequence_clear(chord_sequence *q)
{
    drop_pages(q, 0);
    q->has_batch = q->n_past = q->n_tokens = q->n_rows = q->first_row = 0;
}

chord_status chord_sequence_push(chord_sequence *q, const int32_t *ids, int32_t n, chord_error *e)
{
    if (n < 0 || (n && !ids)) return chord_fail(e, CHORD_INVALID_ARGUMENT, "%d tokens to push at no address", n);
    if (q->has_batch) return chord_fail(e, CHORD_INVALID_ARGUMENT, "tokens pushed while a batch is under way");
    if (n > q->n_ctx - q->n_tokens)
        return chord_fail(e, CHORD_CONTEXT_FULL, "%d tokens after the first %d exceed the context length %d", n,
                          q->n_tokens, q->n_ctx);
    for (int32_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= q->n_vocab)
            return chord_fail(e, CHORD_INVALID_ARGUMENT, "token %d of the %d pushed is %d, the vocabulary has %d", i, n,
                              ids[i], q->n_vocab);
    chord_copy(q->ids + q->n_tokens, ids, (size_t)n * sizeof *ids);
    q->n_tokens += n;
    return CHORD_OK;
}

/* Tokens of the next batch, or 0. */
static int32_t batch_size(const chord_sequence *q)
{
    int32_t n = q->n_tokens - q->n_past;
    if (n > q->n_batch) n = q->n_batch;
    if (q->outputs == CHORD_OUTPUT_ALL && n > q->n_logits) n = q->n_logits;
    return n;
}

chord_status chord_sequence_next_batch(chord_sequence *q)
{
    if (q->has_batch) return CHORD_OK;
    int32_t const n = batch_size(q);
    if (n <= 0) return CHORD_DONE;

    int32_t const partial = q->n_past / CHORD_PAGE_TOKENS; /* the page that position n_past falls into */
    int32_t const is_shared = partial < q->n_pages && chord_page_refs(q->pages[partial]) > 1;
    int32_t const n_pages = pages_for(q->n_past + n);
    CHORD_TRY(want_pages(q, n_pages - q->n_pages + is_shared));

    if (is_shared) {
        uint8_t *const copy = copy_page(q->pool, q->pages[partial]);
        chord_page_drop(q->pool, q->pages[partial]);
        q->pages[partial] = copy;
    }
    while (q->n_pages < n_pages) q->pages[q->n_pages++] = chord_page_take(q->pool);

    int32_t n_outputs = 0;
    if (q->outputs == CHORD_OUTPUT_ALL)
        while (n_outputs < n) { q->rows[n_outputs] = n_outputs; n_outputs++; }
    else if (q->n_past + n == q->n_tokens)
        q->rows[n_outputs++] = n - 1;
    q->batch = (chord_batch){ .n_tokens = n, .first_pos = q->n_past, .ids = q->ids + q->n_past, .n_outputs = n_outputs,
                              .rows = q->rows, .pages = q->pages };
    q->has_batch = 1;
    q->n_rows = q->first_row = 0; /* their memory is about to be overwritten */
    return CHORD_OK;
}

void chord_sequence_accept_batch(chord_sequence *q)
{
    if (!q->has_batch) return;
    q->n_rows = q->batch.n_outputs;
    q->first_row = q->n_rows ? q->n_past + q->rows[0] : 0;
    q->n_past += q->batch.n_tokens;
    q->has_batch = 0;
}

void chord_sequence_drop_batch(chord_sequence *q)
{
    undo_batch(q);
    q->n_tokens = q->n_past;
}

chord_status chord_sequence_truncate(chord_sequence *q, int32_t n, chord_error *e)
{
    if (n < 0 || n > q->n_tokens)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "truncation at %d of a sequence of %d tokens", n, q->n_tokens);
    undo_batch(q);
    q->n_tokens = n;
    if (q->n_past > n) q->n_past = n;
    drop_pages(q, pages_for(q->n_past));
    if (q->n_rows > q->n_past - q->first_row) q->n_rows = q->n_past > q->first_row ? q->n_past - q->first_row : 0;
    return CHORD_OK;
}

chord_status chord_sequence_fork(chord_sequence *q, chord_sequence *to)
{
    if (to == q || to->n_tokens || to->n_pages || to->pool != q->pool || to->n_ctx < q->n_tokens) return CHORD_INVALID_ARGUMENT;
    int32_t const n_whole = q->n_past / CHORD_PAGE_TOKENS;
    int32_t const n_pages = pages_for(q->n_past);
    CHORD_TRY(want_pages(q, n_pages - n_whole));

    for (int32_t i = 0; i < n_whole; i++) {
        chord_page_share(q->pages[i]);
        to->pages[i] = q->pages[i];
    }
    if (n_pages > n_whole) to->pages[n_whole] = copy_page(q->pool, q->pages[n_whole]);
    to->n_pages = n_pages;
    chord_copy(to->ids, q->ids, (size_t)q->n_tokens * sizeof *q->ids);
    to->n_past = q->n_past;
    to->n_tokens = q->n_tokens;
    to->outputs = q->outputs;
    to->random[0] = q->random[0];
    to->random[1] = q->random[1];
    return CHORD_OK;
}

int32_t chord_sequence_match(const chord_sequence *q, const int32_t *ids, int32_t n)
{
    int32_t i = 0;
    while (i < n && i < q->n_past && ids[i] == q->ids[i]) i++;
    return i;
}
