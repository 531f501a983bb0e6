/* SPDX-License-Identifier: Apache-2.0 */
#include "../../include/chord.h"

#include "expert_pool.h"
#include "../base/host.h"
#include "../quant/quant.h"

#define LOAD(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ADD(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

enum { FREE = 0, LOADING = 1, LOADED = 2, IN_USE = 3 };

static int32_t word_of(int32_t page, int32_t state) { return page << 2 | state; }

static bool swap(int32_t *word, int32_t from, int32_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void chord_pager_bump(int32_t *word)
{
    ADD(word, 1);
    chord_host_wake(word);
}

static int32_t page_of(const chord_pager *p, int32_t layer)
{
    for (int32_t i = 0; p->plan && i < p->plan->n_pages; i++)
        if (p->plan->pages[i].layer == layer) return i;
    return CHORD_NONE;
}

/* Returns the slot whose word is `word`, or CHORD_NONE. */
static int32_t slot_of(chord_pager *p, int32_t word)
{
    for (int32_t i = 0; p->plan && i < p->plan->n_ring; i++)
        if (LOAD(&p->slots[i]) == word) return i;
    return CHORD_NONE;
}

/* ---- the leader's ------------------------------------------------------------------------------------- */

/* Sets the places of a page's tensors in slot `slot`; CHORD_NONE: they have none. */
static void place(chord_pager *p, int32_t page, int32_t slot)
{
    const chord_plan *plan = p->plan;
    for (const chord_op *op = &plan->program.ops[plan->pages[page].op]; op->kind != CHORD_OP_RELEASE; op++)
        for (int32_t k = 0; k < CHORD_OP_WEIGHTS; k++) {
            chord_tensor *t = op->weight[k] < 0 ? NULL : &plan->tensors[op->weight[k]];
            if (!t || t->page != page) continue;
            t->is_ready = slot >= 0;
            t->data = slot < 0 ? NULL : plan->ring + (uint64_t)slot * plan->slot_bytes + t->slot_off;
        }
}

void chord_pager_tell(chord_pager *p, chord_error *e)
{
    if (!LOAD(&p->is_told)) return;
    *e = p->told;
    STORE(&p->is_told, 0);
}

/* Returns the status of a page's load that failed for this walk, or 0. */
static chord_status fault_of(const chord_pager *p, int32_t page)
{
    return LOAD(&p->plan->pages[page].claimed) == LOAD(&p->turn) ? LOAD(&p->plan->pages[page].fault) : 0;
}

/* Returns the fault of a page, with its text, and forgets it. */
static chord_status report(chord_pager *p, int32_t page, chord_error *e)
{
    chord_status const status = LOAD(&p->plan->pages[page].fault);
    chord_pager_tell(p, e);
    if (!e->length) (void)chord_fail(e, status, "layer %d couldn't be read", p->plan->pages[page].layer);
    STORE(&p->plan->pages[page].fault, 0);
    chord_pager_bump(&p->words[1]);
    return status;
}

chord_status chord_pager_acquire(chord_pager *p, int32_t op, chord_error *e)
{
    int32_t const page = p->plan ? page_of(p, p->plan->program.ops[op].layer) : CHORD_NONE;
    if (page < 0) return CHORD_OK;
    if (fault_of(p, page)) return report(p, page, e);
    int32_t const slot = slot_of(p, word_of(page, LOADED));
    if (slot < 0 || !swap(&p->slots[slot], word_of(page, LOADED), word_of(page, IN_USE))) {
        if (LOAD(&p->want) != page) {
            STORE(&p->want, page);
            chord_pager_bump(&p->words[1]);
        }
        return CHORD_NEED_WEIGHTS;
    }
    place(p, page, slot);
    STORE(&p->want, (page + 1) % p->plan->n_pages);
    chord_pager_bump(&p->words[1]);
    return CHORD_OK;
}

void chord_pager_release(chord_pager *p, int32_t layer)
{
    int32_t const page = page_of(p, layer);
    int32_t const slot = page < 0 ? CHORD_NONE : slot_of(p, word_of(page, IN_USE));
    if (slot < 0) return;
    place(p, page, CHORD_NONE);
    STORE(&p->slots[slot], word_of(page, LOADED));
    chord_pager_bump(&p->words[1]);
}

void chord_pager_rewind(chord_pager *p)
{
    if (!p->plan) return;
    for (int32_t i = 0; i < p->plan->n_pages; i++) chord_pager_release(p, p->plan->pages[i].layer);
    ADD(&p->turn, 1);
    chord_experts_rewind(p);
    if (LOAD(&p->is_told)) STORE(&p->is_told, 0);
    STORE(&p->want, 0);
    chord_pager_bump(&p->words[1]);
}

/* ---- the loader's ------------------------------------------------------------------------------------- */

static bool is_in_window(const chord_pager *p, int32_t page, int32_t want)
{
    int32_t const n = p->plan->n_pages, ahead = page < want ? page - want + n : page - want;
    return ahead < p->plan->n_ring;
}

static bool is_in_a_slot(chord_pager *p, int32_t page)
{
    for (int32_t i = 0; i < p->plan->n_ring; i++) {
        int32_t const word = LOAD(&p->slots[i]);
        if (word && word >> 2 == page) return true;
    }
    return false;
}

/* Returns the layer's page to load next, or CHORD_NONE. `take`: claims a slot for it. */
static int32_t next_layer(chord_pager *p, bool take)
{
    int32_t const want = LOAD(&p->want), n = p->plan->n_pages;
    for (int32_t k = 0; k < p->plan->n_ring && k < n; k++) {
        int32_t const page = (want + k) % n;
        if (fault_of(p, page) || is_in_a_slot(p, page)) continue;
        for (int32_t i = 0; i < p->plan->n_ring; i++) {
            int32_t const word = LOAD(&p->slots[i]);
            bool const is_stale = (word & 3) == LOADED && !is_in_window(p, word >> 2, want);
            if (word != FREE && !is_stale) continue;
            if (!take || swap(&p->slots[i], word, word_of(page, LOADING))) return page;
        }
    }
    return CHORD_NONE;
}

static int32_t next_page(chord_pager *p, bool take)
{
    int32_t const page = chord_experts_next(p, take);
    return page < 0 ? next_layer(p, take) : page;
}

int32_t chord_pager_claim(chord_pager *p)
{
    int32_t const page = p->plan ? next_page(p, true) : CHORD_NONE;
    if (page < 0) return CHORD_NONE;
    if (page < p->plan->n_pages) {
        STORE(&p->plan->pages[page].n_loaded, 0);
        STORE(&p->plan->pages[page].fault, 0);
        STORE(&p->plan->pages[page].claimed, LOAD(&p->turn));
    }
    p->error.length = 0;
    p->error.text[0] = 0;
    STORE(&p->is_written, 0);
    return page;
}

/* Returns where the loader's next error text goes; NULL: there is one already. */
static chord_error *first_error(chord_pager *p) { return swap(&p->is_written, 0, 1) ? &p->error : NULL; }

chord_status chord_bad_row(chord_error *e, const chord_tensor *t, int64_t row)
{
    return chord_fail(
        e, CHORD_INVALID_GGUF,
        "tensor %q: row %u holds a block that no quantiser writes (an infinite scale, a NaN or a code out of range)",
        t->name, (size_t)t->n_name, (uint64_t)row);
}

/* Where the rows of a tensor that is being loaded go: those from `first` on, n rows. */
typedef struct target {
    uint8_t *data; /* of row `first` */
    int64_t first, n;
    int64_t *n_loaded;
} target;

/* Finds the target of row `row`. Returns false if the tensor, or the row's expert, isn't being loaded. */
static bool find_target(chord_pager *p, const chord_tensor *t, int64_t row, target *to)
{
    const chord_stacks *s = chord_tensor_stacks(p->plan, t);
    if (s) {
        int64_t const expert = row / t->ne[1];
        const chord_expert_slot *slot = row < 0 || row >= t->n_rows
                                            ? NULL
                                            : chord_expert_loading(s, (int32_t)expert);
        if (!slot) return false;
        *to = (target){ s->memory + (uint64_t)(slot - s->slots) * s->slot_bytes + t->slot_off,
                        expert * t->ne[1], t->ne[1], &s->slots[slot - s->slots].n_loaded };
        return true;
    }
    int32_t const slot = t->page < 0 ? CHORD_NONE : slot_of(p, word_of(t->page, LOADING));
    if (slot < 0) return false;
    *to = (target){ p->plan->ring + (uint64_t)slot * p->plan->slot_bytes + t->slot_off, 0, t->n_rows,
                    &p->plan->pages[t->page].n_loaded };
    return true;
}

chord_status chord_pager_load(chord_pager *p, int32_t tensor, int64_t first_row, const void *rows,
                              size_t bytes)
{
    if (!p->plan || tensor < 0 || tensor >= p->plan->n_tensors)
        return chord_fail(first_error(p), CHORD_INVALID_ARGUMENT, "no tensor %d is paged", tensor);
    const chord_tensor *t = &p->plan->tensors[tensor];
    target to;
    if (!find_target(p, t, first_row, &to))
        return chord_fail(first_error(p), CHORD_INVALID_ARGUMENT,
                          "tensor %q isn't of a page that is being loaded", t->name, (size_t)t->n_name);
    int64_t const n = (int64_t)(bytes / t->row_bytes), left = to.first + to.n - first_row;
    if (!rows || bytes % t->row_bytes || first_row < 0 || first_row % 4 || n > left || (n % 4 && n != left))
        return chord_fail(first_error(p), CHORD_INVALID_ARGUMENT,
                          "tensor %q: %u bytes from row %u on aren't whole groups of four rows", t->name,
                          (size_t)t->n_name, (uint64_t)bytes, (uint64_t)first_row);
    const chord_format *f = chord_format_of(t->type);
    int32_t const n_cols = (int32_t)t->ne[0];
    uint8_t *group = to.data + (uint64_t)(first_row - to.first) * t->row_bytes;
    for (int64_t r = 0; r < n; r += 4, group += 4 * t->row_bytes) {
        const void *four[4] = { NULL, NULL, NULL, NULL };
        for (int64_t i = 0; i < 4 && r + i < n; i++)
            four[i] = (const uint8_t *)rows + (uint64_t)(r + i) * t->row_bytes;
        if (!chord_format_repack(f, group, four, n_cols))
            return chord_bad_row(first_error(p), t, first_row + r);
    }
    ADD(to.n_loaded, n);
    return CHORD_OK;
}

/* A page that is claimed: a layer's slot of the ring, or an expert's. */
typedef struct claim {
    int32_t *word; /* of the ring; NULL: an expert's slot */
    chord_expert_slot *slot;
    int32_t expert;
    int64_t n_loaded, n_rows;
} claim;

/* Finds the claim of a page. Returns false, with an error text, if the page isn't being loaded. */
static bool find_claim(chord_pager *p, int32_t page, claim *c)
{
    const chord_stacks *s = p->plan ? chord_stacks_of_page(p->plan, page) : NULL;
    *c = (claim){ .expert = s ? page - s->first_page : CHORD_NONE };
    if (s && (c->slot = chord_expert_loading(s, c->expert))) {
        c->n_loaded = LOAD(&c->slot->n_loaded);
        c->n_rows = s->n_rows;
        return true;
    }
    bool const is_layer = p->plan && page >= 0 && page < p->plan->n_pages;
    int32_t const slot = is_layer ? slot_of(p, word_of(page, LOADING)) : CHORD_NONE;
    if (slot < 0) {
        (void)chord_fail(first_error(p), CHORD_INVALID_ARGUMENT, "page %d isn't being loaded", page);
        return false;
    }
    c->word = &p->slots[slot];
    c->n_loaded = LOAD(&p->plan->pages[page].n_loaded);
    c->n_rows = p->plan->pages[page].n_rows;
    return true;
}

chord_status chord_pager_loaded(chord_pager *p, int32_t page)
{
    claim c;
    if (!find_claim(p, page, &c)) return CHORD_INVALID_ARGUMENT;
    if (c.n_loaded != c.n_rows)
        return chord_fail(first_error(p), CHORD_INVALID_ARGUMENT,
                          "page %d: %u rows were loaded instead of %u", page, (uint64_t)c.n_loaded,
                          (uint64_t)c.n_rows);
    if (c.slot) chord_expert_loaded(c.slot, c.expert);
    else STORE(c.word, word_of(page, LOADED));
    chord_pager_bump(&p->words[0]);
    return CHORD_OK;
}

chord_status chord_pager_failed(chord_pager *p, int32_t page, chord_status status)
{
    claim c;
    if (!find_claim(p, page, &c) || status >= 0) return CHORD_INVALID_ARGUMENT;
    uint32_t const claimed = LOAD(c.slot ? &c.slot->claimed : &p->plan->pages[page].claimed);
    if (claimed == LOAD(&p->turn) && !LOAD(&p->is_told) && p->error.length) {
        p->told = p->error;
        STORE(&p->is_told, 1);
    }
    if (c.slot) chord_expert_failed(c.slot, status);
    else {
        STORE(&p->plan->pages[page].fault, status);
        STORE(c.word, FREE);
    }
    chord_pager_bump(&p->words[0]);
    return CHORD_OK;
}

chord_status chord_pager_wait(chord_pager *p, int32_t milliseconds)
{
    int32_t const word = LOAD(&p->words[1]);
    if (!p->plan || LOAD(&p->stop)) return CHORD_DONE;
    if (next_page(p, false) < 0) chord_host_wait(&p->words[1], word, milliseconds);
    return LOAD(&p->stop) ? CHORD_DONE : CHORD_OK;
}

void chord_pager_stop(chord_pager *p)
{
    STORE(&p->stop, 1);
    chord_pager_bump(&p->words[0]);
    chord_pager_bump(&p->words[1]);
}

/* ---- lazy rows ---------------------------------------------------------------------------------------- */

int32_t chord_lazy_next(const chord_plan *plan, const chord_tensor *t, const chord_batch *batch, int32_t row)
{
    const uint8_t *flags = chord_lazy_flags(plan, t);
    int const is_given = batch->embeddings && !t->is_padded;
    while (row < batch->n_tokens && (flags[row] || (is_given && batch->embeddings[row]))) row++;
    return row;
}
