/* SPDX-License-Identifier: Apache-2.0 */
#include "caches.h"
#include "../base/mem.h"

/* A window keeps the pages that a truncation by KEPT_TOKENS needs. 256 is the default length of a
 * generation. */
#define KEPT_TOKENS 256
/* Pages between two periodic checkpoints. */
#define CHECKPOINT_PAGES 4

static bool is_state(const chord_sequence *q, int32_t c)
{
    return q->config.classes[c].kind == CHORD_CACHE_STATE;
}

static bool has_states(const chord_sequence *q)
{
    for (int32_t c = 0; c < q->config.n_classes; c++)
        if (is_state(q, c)) return true;
    return false;
}

/* ---- dead pages -------------------------------------------------------------------------------------- */

/* Returns the end of the dead pages of class c: no query at or behind n_past - KEPT_TOKENS reads a page
 * before it. The margin lets a chat remove its last answer. Without it, the chat would start again at
 * position 0. */
static int32_t dead_end(const chord_sequence *q, int32_t c)
{
    const chord_cache_class *k = &q->config.classes[c];
    /* the first position that a query at n_past - KEPT_TOKENS sees; a window may be INT32_MAX */
    int64_t const lowest = (int64_t)q->n_past - KEPT_TOKENS - k->window + 1;
    return k->kind == CHORD_CACHE_WINDOW && lowest > 0 ? (int32_t)(lowest / CHORD_PAGE_TOKENS) : 0;
}

/* Returns how many pages would become free if the sequence dropped all dead pages of class c. */
static int32_t n_dying(const chord_sequence *q, int32_t c)
{
    int32_t n = 0;
    for (int32_t i = q->classes[c].n_dead; i < dead_end(q, c); i++)
        n += chord_page_refs(q->classes[c].pages[i]) == 1;
    return n;
}

/* Drops dead pages, oldest first, until the pool has n free pages. */
static void bury(chord_sequence *q, int32_t c, int32_t n)
{
    chord_sequence_class *k = &q->classes[c];
    chord_page_pool *pool = &q->config.pools[c];
    for (int32_t const end = dead_end(q, c); pool->n_free < n && k->n_dead < end; k->n_dead++) {
        chord_page_drop(pool, k->pages[k->n_dead]);
        k->pages[k->n_dead] = NULL;
    }
}

uint64_t chord_sequence_cache_bytes(const chord_sequence_config *config, int32_t n)
{
    uint64_t bytes = 0;
    for (int32_t c = 0; c < config->n_classes; c++) {
        const chord_cache_class *k = &config->classes[c];
        int32_t pages = chord_pages_for(n);
        /* a window, its margin, a batch, and a partial page at either end */
        int64_t const kept = ((int64_t)k->window + KEPT_TOKENS + config->n_batch) / CHORD_PAGE_TOKENS + 2;
        if (k->kind == CHORD_CACHE_WINDOW && pages > kept) pages = (int32_t)kept;
        if (k->kind == CHORD_CACHE_STATE) pages = 2 + config->n_checkpoints;
        bytes += (uint64_t)pages * chord_page_bytes(&(chord_page_pool){ .payload_bytes = k->page_bytes });
    }
    return bytes;
}

/* ---- extend ------------------------------------------------------------------------------------------ */

/* Returns NEED_MEMORY unless each pool c has n[c] pages that are free or would become free by dropping dead
 * pages. */
static chord_status want_pages(chord_sequence *q, const int32_t n[CHORD_MAX_CLASSES])
{
    uint64_t wanted = 0;
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        chord_page_pool *pool = &q->config.pools[c];
        int32_t const missing = n[c] - pool->n_free - n_dying(q, c);
        pool->n_wanted = missing > 0 ? missing : 0;
        wanted += (uint64_t)pool->n_wanted * chord_page_bytes(pool);
    }
    if (!wanted) return CHORD_OK;
    q->wanted = wanted;
    return CHORD_NEED_MEMORY;
}

static uint8_t *copy_page(chord_page_pool *pool, const uint8_t *payload)
{
    uint8_t *const copy = chord_page_take(pool);
    chord_copy(copy, payload, (size_t)pool->payload_bytes);
    chord_page_set_source(copy, chord_page_number(payload));
    return copy;
}

/* Returns whether another sequence shares the page that contains position n_past. */
static bool shares_partial(const chord_sequence *q, int32_t c)
{
    int32_t const partial = q->n_past / CHORD_PAGE_TOKENS;
    return partial < q->classes[c].n_pages && chord_page_refs(q->classes[c].pages[partial]) > 1;
}

static void extend_pages(chord_sequence *q, int32_t c, int32_t n_pages)
{
    chord_sequence_class *k = &q->classes[c];
    chord_page_pool *pool = &q->config.pools[c];
    if (shares_partial(q, c)) {
        uint8_t **partial = &k->pages[q->n_past / CHORD_PAGE_TOKENS];
        uint8_t *const copy = copy_page(pool, *partial);
        chord_page_drop(pool, *partial);
        *partial = copy;
    }
    while (k->n_pages < n_pages) k->pages[k->n_pages++] = chord_page_take(pool);
}

/* The state of a new sequence is zeros. */
static void extend_state(chord_sequence *q, int32_t c, int32_t n_states)
{
    chord_sequence_class *k = &q->classes[c];
    chord_page_pool *pool = &q->config.pools[c];
    if (!k->n_pages) {
        k->pages[k->n_pages++] = chord_page_take(pool);
        chord_zero(k->pages[0], (size_t)pool->payload_bytes);
        chord_page_set_source(k->pages[0], CHORD_PAGE_ZEROS);
    }
    while (k->n_pages < n_states) k->pages[k->n_pages++] = chord_page_take(pool);
}

chord_status chord_caches_extend(chord_sequence *q, int32_t n, int32_t ahead)
{
    int64_t const most = (int64_t)q->n_past + n + ahead;
    int32_t const n_pages = chord_pages_for(most < q->config.n_ctx ? (int32_t)most : q->config.n_ctx);
    int32_t need[CHORD_MAX_CLASSES] = { 0 };
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        int32_t const n_more = (is_state(q, c) ? 2 + ahead : n_pages) - q->classes[c].n_pages;
        need[c] = (n_more > 0 ? n_more : 0) + (!is_state(q, c) && shares_partial(q, c));
    }
    CHORD_TRY(want_pages(q, need));
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        bury(q, c, need[c]);
        if (is_state(q, c)) extend_state(q, c, 2 + ahead);
        else extend_pages(q, c, n_pages);
    }
    return CHORD_OK;
}

/* ---- checkpoints ------------------------------------------------------------------------------------- */

static void forget_checkpoint(chord_sequence *q, chord_checkpoint *p)
{
    for (int32_t c = 0; p->at && c < q->config.n_classes; c++)
        if (is_state(q, c)) chord_page_drop(&q->config.pools[c], p->states[c]);
    p->at = 0;
}

/* Keeps the current states as checkpoint `i`. */
static void take_checkpoint(chord_sequence *q, int32_t i)
{
    chord_checkpoint *p = &q->checkpoints[i];
    forget_checkpoint(q, p);
    p->at = q->n_past;
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        if (!is_state(q, c)) continue;
        p->states[c] = q->classes[c].pages[0];
        chord_page_share(p->states[c]);
    }
}

/* Takes a checkpoint at the end of a prompt, and when a batch passes a multiple of CHECKPOINT_PAGES pages. A
 * checkpoint costs one state of each class and no computation. */
static void checkpoint(chord_sequence *q, int32_t before)
{
    int32_t const n = q->config.n_checkpoints, period = CHECKPOINT_PAGES * CHORD_PAGE_TOKENS;
    if (n > 0 && q->n_past == q->n_tokens && q->n_past - before > 1) take_checkpoint(q, 0);
    else if (n > 1 && q->n_past / period > before / period) {
        take_checkpoint(q, 1 + q->next_checkpoint);
        q->next_checkpoint = (q->next_checkpoint + 1) % (n - 1);
    }
}

void chord_caches_accept(chord_sequence *q, int32_t before)
{
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        chord_sequence_class *k = &q->classes[c];
        if (!is_state(q, c)) continue;
        chord_page_drop(&q->config.pools[c], k->pages[0]);
        k->n_pages--; /* of states handed out early, the next batch writes the first */
        for (int32_t i = 0; i < k->n_pages; i++) k->pages[i] = k->pages[i + 1];
    }
    if (has_states(q)) checkpoint(q, before);
}

/* ---- truncate ---------------------------------------------------------------------------------------- */

/* Drops the pages of class c behind the first `keep`. */
static void drop_pages(chord_sequence *q, int32_t c, int32_t keep)
{
    chord_sequence_class *k = &q->classes[c];
    while (k->n_pages > keep) {
        uint8_t *const payload = k->pages[--k->n_pages];
        if (payload) chord_page_drop(&q->config.pools[c], payload);
    }
    if (k->n_dead > k->n_pages) k->n_dead = k->n_pages;
}

void chord_caches_undo(chord_sequence *q)
{
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        if (!is_state(q, c)) drop_pages(q, c, chord_pages_for(q->n_past));
        else if (q->classes[c].n_pages > 1) drop_pages(q, c, q->n_past ? 1 : 0);
    }
}

/* Returns the last checkpoint at or before position n. NULL: there is none. */
static const chord_checkpoint *checkpoint_at(const chord_sequence *q, int32_t n)
{
    const chord_checkpoint *best = NULL;
    for (int32_t i = 0; i < q->config.n_checkpoints; i++) {
        const chord_checkpoint *p = &q->checkpoints[i];
        if (p->at && p->at <= n && (!best || p->at > best->at)) best = p;
    }
    return best;
}

int32_t chord_caches_stand(const chord_sequence *q, int32_t n)
{
    if (has_states(q)) {
        const chord_checkpoint *p = checkpoint_at(q, n);
        n = p ? p->at : 0;
    }
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        /* the first position that a query at n sees */
        int32_t const lowest = n - q->config.classes[c].window + 1;
        if (q->classes[c].n_dead && (lowest > 0 ? lowest / CHORD_PAGE_TOKENS : 0) < q->classes[c].n_dead)
            return 0;
    }
    return n;
}

void chord_caches_cut(chord_sequence *q)
{
    if (!q->n_past) {
        chord_caches_clear(q);
        return;
    }
    const chord_checkpoint *p = has_states(q) ? checkpoint_at(q, q->n_past) : NULL;
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        if (!is_state(q, c)) {
            drop_pages(q, c, chord_pages_for(q->n_past));
            continue;
        }
        chord_page_share(p->states[c]); /* before the drop: the checkpoint may be the current state */
        drop_pages(q, c, 0);
        q->classes[c].pages[0] = p->states[c];
        q->classes[c].n_pages = 1;
    }
    for (int32_t i = 0; i < q->config.n_checkpoints; i++)
        if (q->checkpoints[i].at > q->n_past) forget_checkpoint(q, &q->checkpoints[i]);
}

void chord_caches_clear(chord_sequence *q)
{
    for (int32_t c = 0; c < q->config.n_classes; c++) drop_pages(q, c, 0);
    for (int32_t i = 0; i < q->config.n_checkpoints; i++) forget_checkpoint(q, &q->checkpoints[i]);
    q->next_checkpoint = 0;
}

int32_t chord_sequence_pages(const chord_sequence *q)
{
    int32_t n = 0;
    for (int32_t c = 0; c < q->config.n_classes; c++) n += q->classes[c].n_pages - q->classes[c].n_dead;
    for (int32_t i = 0; i < q->config.n_checkpoints; i++)
        for (int32_t c = 0; q->checkpoints[i].at && c < q->config.n_classes; c++) n += is_state(q, c);
    return n;
}

/* ---- fork -------------------------------------------------------------------------------------------- */

static void fork_pages(const chord_sequence *q, chord_sequence *to, int32_t c, int32_t n_whole)
{
    const chord_sequence_class *from = &q->classes[c];
    chord_sequence_class *k = &to->classes[c];
    for (int32_t i = 0; i < n_whole; i++) {
        if (from->pages[i]) chord_page_share(from->pages[i]);
        k->pages[i] = from->pages[i];
    }
    int32_t const n_pages = chord_pages_for(q->n_past);
    if (n_pages > n_whole) k->pages[n_whole] = copy_page(&q->config.pools[c], from->pages[n_whole]);
    k->n_pages = n_pages;
    k->n_dead = from->n_dead;
}

static void fork_states(const chord_sequence *q, chord_sequence *to)
{
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        if (!is_state(q, c) || !q->n_past) continue;
        chord_page_share(q->classes[c].pages[0]);
        to->classes[c].pages[0] = q->classes[c].pages[0];
        to->classes[c].n_pages = 1;
    }
    for (int32_t i = 0; i < q->config.n_checkpoints; i++) {
        to->checkpoints[i] = q->checkpoints[i];
        for (int32_t c = 0; q->checkpoints[i].at && c < q->config.n_classes; c++)
            if (is_state(q, c)) chord_page_share(q->checkpoints[i].states[c]);
    }
    to->next_checkpoint = q->next_checkpoint;
}

chord_status chord_caches_fork(chord_sequence *q, chord_sequence *to)
{
    int32_t const n_whole = q->n_past / CHORD_PAGE_TOKENS, n_copied = q->n_past % CHORD_PAGE_TOKENS != 0;
    int32_t need[CHORD_MAX_CLASSES] = { 0 };
    for (int32_t c = 0; c < q->config.n_classes; c++) need[c] = is_state(q, c) ? 0 : n_copied;
    CHORD_TRY(want_pages(q, need));
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        bury(q, c, need[c]);
        if (!is_state(q, c)) fork_pages(q, to, c, n_whole);
    }
    fork_states(q, to);
    return CHORD_OK;
}

/* ---- restore ----------------------------------------------------------------------------------------- */

static void take_pages(chord_sequence *q, int32_t c, int32_t n_dead, int32_t n_pages)
{
    chord_sequence_class *k = &q->classes[c];
    k->n_dead = n_dead;
    for (k->n_pages = 0; k->n_pages < n_pages; k->n_pages++)
        k->pages[k->n_pages] = k->n_pages < n_dead ? NULL : chord_page_take(&q->config.pools[c]);
}

chord_status chord_caches_restore(chord_sequence *q, const chord_save_header *save)
{
    int32_t const n_pages = chord_pages_for(save->n_past);
    int32_t n_saved = save->n_past > 0, need[CHORD_MAX_CLASSES] = { 0 };
    for (int32_t i = 0; i < q->config.n_checkpoints; i++) n_saved += save->checkpoints[i] > 0;
    for (int32_t c = 0; c < q->config.n_classes; c++)
        need[c] = is_state(q, c) ? n_saved : n_pages - save->n_dead[c];
    CHORD_TRY(want_pages(q, need));
    for (int32_t c = 0; c < q->config.n_classes; c++)
        take_pages(q, c, save->n_dead[c], is_state(q, c) ? save->n_past > 0 : n_pages);
    for (int32_t i = 0; i < q->config.n_checkpoints; i++) {
        q->checkpoints[i].at = save->checkpoints[i];
        for (int32_t c = 0; save->checkpoints[i] && c < q->config.n_classes; c++)
            if (is_state(q, c)) q->checkpoints[i].states[c] = chord_page_take(&q->config.pools[c]);
    }
    q->next_checkpoint = save->next_checkpoint;
    return CHORD_OK;
}
