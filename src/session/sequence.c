/* sequence.c: tokens in, batches out. A call checks everything that can fail before its first change: a
 * refused call changes nothing. caches.c adds and frees the sequence's pages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "caches.h"
#include "../base/arena.h"
#include "../base/mem.h"

/* States are as many as a sequence of tokens has, so a model with states takes its texts one by one. */
static int32_t most_texts(const chord_sequence_config *c)
{
    if (c->is_one_text) return 1;
    for (int32_t i = 0; i < c->n_classes; i++)
        if (c->classes[i].kind == CHORD_CACHE_STATE) return 1;
    return c->n_batch < CHORD_MAX_RUNS ? c->n_batch : CHORD_MAX_RUNS;
}

static void place_arrays(chord_sequence *q, chord_arena *a)
{
    const chord_sequence_config *c = &q->config;
    q->ids = chord_arena_take(a, (uint64_t)c->n_ctx * sizeof *q->ids, CHORD_BLOCK_ALIGN);
    q->positions = chord_arena_take(a, (uint64_t)c->n_ctx * (uint64_t)c->n_axes * sizeof *q->positions,
                                    CHORD_BLOCK_ALIGN);
    q->rows = chord_arena_take(a, (uint64_t)c->n_batch * sizeof *q->rows, CHORD_BLOCK_ALIGN);
    q->batch_embeddings = chord_arena_take(a, (uint64_t)c->n_batch * sizeof *q->batch_embeddings,
                                           CHORD_BLOCK_ALIGN);
    q->texts = chord_arena_take(a, (uint64_t)most_texts(c) * sizeof *q->texts, CHORD_BLOCK_ALIGN);
    for (int32_t i = 0; i < c->n_classes; i++) {
        uint64_t const n = c->classes[i].kind == CHORD_CACHE_STATE ? 2 + CHORD_MAX_AHEAD
                                                                   : (uint64_t)chord_pages_for(c->n_ctx);
        q->classes[i].pages = chord_arena_take(a, n * sizeof(uint8_t *), CHORD_BLOCK_ALIGN);
    }
}

uint64_t chord_sequence_bytes(const chord_sequence_config *config)
{
    chord_sequence q = { .config = *config };
    chord_arena a = { .cap = CHORD_MEASURE };
    place_arrays(&q, &a);
    return a.used;
}

void chord_sequence_init(chord_sequence *q, void *arrays, const chord_sequence_config *config)
{
    chord_zero(q, sizeof *q);
    q->config = *config;
    q->outputs = CHORD_OUTPUT_LAST;
    chord_arena a = { .base = arrays, .cap = CHORD_MEASURE };
    place_arrays(q, &a);
    chord_sequence_seed(q, 0);
}

void chord_sequence_clear(chord_sequence *q)
{
    chord_caches_clear(q);
    q->transfer.kind = CHORD_TRANSFER_NONE;
    q->has_batch = q->n_past = q->n_tokens = q->n_rows = q->first_row = 0;
    q->embeddings = NULL;
    q->has_positions = q->next_position = 0;
    q->n_texts = q->n_text_pages = 0;
}

/* ---- push -------------------------------------------------------------------------------------------- */

static chord_status may_push(const chord_sequence *q, const void *what, int32_t n, chord_error *e)
{
    if (n < 0 || (n && !what))
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "can't push %d tokens: the number is negative, or the address is NULL", n);
    if (q->has_batch || q->transfer.kind == CHORD_TRANSFER_RESTORE)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "tokens pushed while a %s is under way",
                          q->has_batch ? "batch" : "restore");
    if (n > q->config.n_ctx - q->n_tokens)
        return chord_fail(e, CHORD_CONTEXT_FULL, "%d tokens after the first %d exceed the context length %d",
                          n, q->n_tokens, q->config.n_ctx);
    return CHORD_OK;
}

static void place_token(chord_sequence *q, int32_t id)
{
    int32_t const axes = q->config.n_axes;
    q->ids[q->n_tokens] = id;
    for (int32_t a = 0; a < axes; a++) q->positions[(int64_t)q->n_tokens * axes + a] = q->next_position;
    q->next_position++;
    q->n_tokens++;
}

static chord_status are_ids(const chord_sequence *q, const int32_t *ids, int32_t n, chord_error *e)
{
    for (int32_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= q->config.n_vocab)
            return chord_fail(e, CHORD_INVALID_ARGUMENT,
                              "token %d of the %d pushed is %d, the vocabulary has %d tokens", i, n, ids[i],
                              q->config.n_vocab);
    return CHORD_OK;
}

chord_status chord_sequence_push(chord_sequence *q, const int32_t *ids, int32_t n, chord_error *e)
{
    CHORD_TRY(may_push(q, ids, n, e));
    CHORD_TRY(are_ids(q, ids, n, e));
    for (int32_t i = 0; i < n; i++) place_token(q, ids[i]);
    return CHORD_OK;
}

void chord_sequence_set_texts(chord_sequence *q, int32_t is_texts, int32_t pooling)
{
    q->is_texts = is_texts;
    q->pooling = pooling;
    q->n_rows = 0;
}

chord_status chord_sequence_push_text(chord_sequence *q, const int32_t *ids, int32_t n, chord_error *e)
{
    const chord_sequence_config *c = &q->config;
    int const is_last = c->is_causal &&
                        (q->pooling == CHORD_POOLING_LAST || q->pooling == CHORD_POOLING_RANK);
    int32_t const most = is_last ? c->n_ctx : c->n_batch;
    if (n > most)
        return chord_fail(e, CHORD_CONTEXT_FULL, "a text of %d tokens; %s at most %d", n,
                          is_last ? "the context has" : "with this pooling a text has", most);
    if (n > 0 && !q->has_batch && q->n_texts &&
        (q->n_tokens + n > c->n_batch || q->n_texts == most_texts(c) ||
         q->n_text_pages + chord_pages_for(n) > chord_pages_for(c->n_ctx)))
        return CHORD_MORE;
    CHORD_TRY(may_push(q, ids, n, e));
    if (!n) return chord_fail(e, CHORD_INVALID_ARGUMENT, "a text without tokens");
    CHORD_TRY(are_ids(q, ids, n, e));
    chord_batch_run *run = &q->texts[q->n_texts++];
    *run = (chord_batch_run){ .first_row = q->n_tokens, .n_tokens = n };
    for (int32_t i = 0; i < c->n_classes; i++)
        run->pages[i] = q->classes[i].pages + (c->classes[i].kind == CHORD_CACHE_STATE ? 0 : q->n_text_pages);
    q->n_text_pages += chord_pages_for(n);
    for (int32_t i = 0; i < n; i++) q->ids[q->n_tokens++] = ids[i];
    return CHORD_OK;
}

chord_status chord_sequence_push_embeddings(chord_sequence *q, const chord_embeddings *in, chord_error *e)
{
    CHORD_TRY(may_push(q, in->rows, in->n, e));
    if (q->embeddings && q->n_past < q->end_embedding)
        return chord_fail(e, CHORD_BUSY, "embeddings pushed before are still pending");
    if (!in->n) return CHORD_OK;
    int32_t const axes = q->config.n_axes;
    int32_t most = q->next_position + in->n - 1;
    for (int64_t i = 0; in->positions && i < (int64_t)in->n * axes; i++) {
        if (in->positions[i] < 0 || in->positions[i] > (1 << 28))
            return chord_fail(e, CHORD_INVALID_ARGUMENT, "position %d of an embedding is outside 0 to 2^28",
                              in->positions[i]);
        most = i && in->positions[i] < most ? most : in->positions[i];
    }
    q->embeddings = in->rows;
    q->embedding_width = in->width;
    q->first_embedding = q->n_tokens;
    for (int32_t i = 0; i < in->n; i++) place_token(q, -1);
    q->end_embedding = q->n_tokens;
    if (!in->positions) return CHORD_OK;
    q->has_positions = 1;
    q->next_position = most + 1;
    chord_copy(q->positions + (int64_t)q->first_embedding * axes, in->positions,
               (size_t)in->n * (size_t)axes * sizeof *in->positions);
    return CHORD_OK;
}

/* ---- batches ----------------------------------------------------------------------------------------- */

/* Returns the number of tokens of the next batch, or 0. */
static int32_t batch_size(const chord_sequence *q)
{
    int32_t n = q->n_tokens - q->n_past;
    if (n > q->config.n_batch) n = q->config.n_batch;
    if (q->outputs == CHORD_OUTPUT_ALL && n > q->config.n_logits) n = q->config.n_logits;
    return n;
}

static int32_t list_outputs(chord_sequence *q, int32_t n)
{
    int32_t n_outputs = 0;
    if (q->outputs == CHORD_OUTPUT_ALL)
        while (n_outputs < n) {
            q->rows[n_outputs] = n_outputs;
            n_outputs++;
        }
    else if (q->n_past + n == q->n_tokens) q->rows[n_outputs++] = n - 1;
    return n_outputs;
}

/* Returns the embeddings of the next n tokens, NULL for each id; or NULL if all n tokens are ids. */
static const float *const *list_embeddings(chord_sequence *q, int32_t n)
{
    if (!q->embeddings || q->n_past + n <= q->first_embedding || q->n_past >= q->end_embedding) return NULL;
    for (int32_t i = 0; i < n; i++) {
        int32_t const at = q->n_past + i;
        bool const is_id = at < q->first_embedding || at >= q->end_embedding;
        q->batch_embeddings[i] =
            is_id ? NULL : q->embeddings + (int64_t)(at - q->first_embedding) * q->embedding_width;
    }
    return q->batch_embeddings;
}

/* The next batch of one text that is longer than a batch. Only the last one has an output row. */
static chord_status next_part(chord_sequence *q)
{
    int32_t const left = q->n_tokens - q->n_past, n = left < q->config.n_batch ? left : q->config.n_batch;
    CHORD_TRY(chord_caches_extend(q, n, 0));
    q->texts->first_pos = q->n_past;
    q->texts->n_tokens = n;
    q->batch = (chord_batch){ .n_tokens = n,
                              .n_runs = 1,
                              .runs = q->texts,
                              .ids = q->ids + q->n_past,
                              .n_axes = q->config.n_axes,
                              .n_outputs = n == left,
                              .is_texts = 1,
                              .pooling = q->pooling };
    q->has_batch = 1;
    q->n_rows = q->first_row = 0;
    return CHORD_OK;
}

/* Makes a batch of all pending texts. Each text's pages follow those of the one before. */
static chord_status next_texts(chord_sequence *q)
{
    if (!q->n_texts) return CHORD_DONE;
    if (q->n_tokens > q->config.n_batch) return next_part(q);
    int32_t const n = q->n_text_pages * CHORD_PAGE_TOKENS;
    CHORD_TRY(chord_caches_extend(q, n < q->config.n_ctx ? n : q->config.n_ctx, 0));
    q->batch = (chord_batch){ .n_tokens = q->n_tokens,
                              .n_runs = q->n_texts,
                              .runs = q->texts,
                              .ids = q->ids,
                              .n_axes = q->config.n_axes,
                              .n_outputs = q->pooling == CHORD_POOLING_NONE ? q->n_tokens : q->n_texts,
                              .is_texts = 1,
                              .pooling = q->pooling };
    q->has_batch = 1;
    q->n_rows = q->first_row = 0;
    return CHORD_OK;
}

chord_status chord_sequence_next_batch(chord_sequence *q)
{
    if (q->has_batch) return CHORD_OK;
    if (q->is_texts) return next_texts(q);
    int32_t const n = batch_size(q);
    if (n <= 0) return CHORD_DONE;
    q->transfer.kind = CHORD_TRANSFER_NONE; /* the batch may write pages that a save has yet to read */
    CHORD_TRY(chord_caches_extend(q, n, 0));
    q->run = (chord_batch_run){ .n_tokens = n, .first_pos = q->n_past };
    for (int32_t i = 0; i < q->config.n_classes; i++) q->run.pages[i] = q->classes[i].pages;
    int32_t const axes = q->config.n_axes;
    q->batch = (chord_batch){ .n_tokens = n,
                              .n_runs = 1,
                              .runs = &q->run,
                              .ids = q->ids + q->n_past,
                              .embeddings = list_embeddings(q, n),
                              .n_axes = axes,
                              .positions = q->has_positions ? q->positions + (int64_t)q->n_past * axes : NULL,
                              .n_outputs = list_outputs(q, n),
                              .rows = q->rows };
    q->has_batch = 1;
    q->n_rows = q->first_row = 0; /* the batch will overwrite the output rows of the last one */
    return CHORD_OK;
}

chord_status chord_sequence_reserve(chord_sequence *q, int32_t ahead, chord_error *e)
{
    if (!q->has_batch || ahead < 0 || ahead > CHORD_MAX_AHEAD)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "can't reserve for %d batches ahead: %s", ahead,
                          q->has_batch ? "the number is out of range" : "no batch is under way");
    return chord_caches_extend(q, q->batch.n_tokens, ahead);
}

void chord_sequence_accept_batch(chord_sequence *q)
{
    if (!q->has_batch) return;
    if (q->is_texts && q->n_past + q->batch.n_tokens == q->n_tokens) {
        chord_sequence_clear(q);
        q->n_rows = q->batch.n_outputs;
        return;
    }
    q->n_rows = q->batch.n_outputs;
    q->first_row = q->n_rows ? q->n_past + q->rows[0] : 0; /* a part of a text has no output row */
    int32_t const before = q->n_past;
    q->n_past += q->batch.n_tokens;
    q->has_batch = 0;
    if (q->embeddings && q->n_past >= q->end_embedding) q->embeddings = NULL;
    chord_caches_accept(q, before);
}

/* Undoes the batch under way: its tokens are pending again. Ends a save or a restore under way. */
static void undo_batch(chord_sequence *q)
{
    if (q->transfer.kind == CHORD_TRANSFER_RESTORE) chord_caches_clear(q);
    q->transfer.kind = CHORD_TRANSFER_NONE;
    q->has_batch = 0;
    chord_caches_undo(q);
}

/* Removes the tokens from n on. The next token gets the largest remaining position + 1. */
static void keep_tokens(chord_sequence *q, int32_t n)
{
    if (q->n_tokens == n) return;
    q->n_tokens = n;
    if (q->embeddings && q->first_embedding >= n) q->embeddings = NULL;
    if (q->embeddings && q->end_embedding > n) q->end_embedding = n;
    q->next_position = n;
    if (!q->has_positions) return;
    int32_t most = -1;
    for (int64_t i = 0; i < (int64_t)n * q->config.n_axes; i++)
        if (q->positions[i] > most) most = q->positions[i];
    q->next_position = most + 1;
    if (!n) q->has_positions = 0;
}

void chord_sequence_drop_batch(chord_sequence *q)
{
    undo_batch(q);
    keep_tokens(q, q->n_past);
    if (q->is_texts) chord_sequence_clear(q);
}

int32_t chord_sequence_truncate(chord_sequence *q, int32_t n, chord_error *e)
{
    if (n < 0 || n > q->n_tokens)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "truncation at %d is outside the sequence of %d tokens",
                          n, q->n_tokens);
    undo_batch(q);
    if (q->is_texts) {
        chord_sequence_clear(q);
        return 0;
    }
    int32_t const stand = n < q->n_past ? chord_caches_stand(q, n) : n;
    keep_tokens(q, stand);
    if (q->n_past > stand) {
        q->n_past = stand;
        chord_caches_cut(q);
    }
    if (q->n_rows > q->n_past - q->first_row)
        q->n_rows = q->n_past > q->first_row ? q->n_past - q->first_row : 0;
    return stand;
}

chord_status chord_sequence_fork(chord_sequence *q, chord_sequence *to)
{
    if (to == q || to->n_tokens || chord_sequence_pages(to) || to->config.pools != q->config.pools ||
        to->config.n_ctx < q->n_tokens || q->is_texts || q->transfer.kind == CHORD_TRANSFER_RESTORE)
        return CHORD_INVALID_ARGUMENT;
    CHORD_TRY(chord_caches_fork(q, to));
    chord_copy(to->ids, q->ids, (size_t)q->n_tokens * sizeof *q->ids);
    chord_copy(to->positions, q->positions,
               (size_t)q->n_tokens * (size_t)q->config.n_axes * sizeof *q->positions);
    to->n_past = q->n_past;
    to->n_tokens = q->n_tokens;
    to->outputs = q->outputs;
    to->embeddings = q->embeddings;
    to->first_embedding = q->first_embedding, to->end_embedding = q->end_embedding,
    to->embedding_width = q->embedding_width;
    to->has_positions = q->has_positions, to->next_position = q->next_position;
    to->random[0] = q->random[0];
    to->random[1] = q->random[1];
    return CHORD_OK;
}

int32_t chord_sequence_match(const chord_sequence *q, const int32_t *ids, int32_t n)
{
    int32_t i = 0;
    while (i < n && i < q->n_past && ids[i] == q->ids[i] && ids[i] >= 0) i++;
    return i;
}
