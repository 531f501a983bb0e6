/* pager.h: paged layers in a ring of slots, and experts that are paged one by one (expert_pool.h). A *page*
 * is the matrices of a paged layer (program/plan.h), or an expert's rows. Here is what concerns layers. The
 * *leader* walks the program and uses pages; the *loader*, another thread or the leader between two steps,
 * fills slots. They share a word per slot, which holds the slot's page and its state:
 *
 *       FREE ──claim──► LOADING ──loaded──► LOADED ──acquire──► IN_USE
 *         ▲                │ failed         │    ▲                 │
 *         └────────────────┘     ◄──claim───┘    └─release, rewind─┘
 *
 *   the loader moves   FREE, LOADED -> LOADING (claim), LOADING -> LOADED (loaded), LOADING -> FREE (failed)
 *   the leader moves   LOADED -> IN_USE (acquire), IN_USE -> LOADED (release, rewind)
 *
 * Both move LOADED on, so both compare and swap. Every other state has one owner, who alone writes the
 * slot's word. Invariants:
 *   1. A page is in at most one slot. Only a claim puts a page into a slot, and only one that is in none.
 *   2. The bytes of a slot are written in LOADING only, by the loader, and read in IN_USE only, by the
 *      leader and its helpers, who are done when the leader goes on. The word orders the accesses.
 *   3. `want` is the page that the walk acquires next, cyclically. A claim takes the first page of the
 *      *window* [want, want + n_ring) that is in no slot, and gives up a LOADED page outside the window. So
 *      a page that was read ahead isn't given up while the walk goes on.
 *   4. No wait without end. While the leader waits for page `want`, `want` doesn't change and no slot is
 *      IN_USE (a layer is released before the next is acquired). A slot that is LOADING ends LOADED or FREE,
 *      and at most n_ring - 1 slots hold other pages of the window: the next claim finds a slot for `want`.
 *   5. A page that failed isn't claimed until the leader has reported it or rewound.
 *   6. A fault belongs to the walk during which its page was claimed. What failed for an earlier walk isn't
 *      reported: the page is wanted again.
 *
 * Only one session of a model has a batch under way, so there is one walk at a time. A batch that begins,
 * ends, is dropped or starts again rewinds: pages in use become LOADED and `want` becomes 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_PAGER_H
#define CHORD_EXEC_PAGER_H
#include "../base/status.h"
#include "../program/batch.h"

typedef struct chord_pager {
    const chord_plan *plan; /* NULL: nothing is paged */

    /* Atomics. */
    int32_t slots[CHORD_RING]; /* state | page << 2 */
    int32_t want;
    int32_t words[2]; /* chord_pager_word(): [0] loaded or failed, [1] what makes a layer wanted */
    int32_t stop;
    int32_t is_written; /* 1: `error` is taken since the last claim */
    int32_t is_told; /* 1: `told` is the leader's; 0: the loader's */
    int32_t stacks; /* the first of two stacks whose experts may be asked for */
    uint32_t turn; /* of the walk: + 1 with each rewind */

    /* The leader's. */
    int64_t n_experts, n_hits; /* experts that batches have chosen; those that were in memory then */

    chord_error error; /* the loader's first since the last claim */
    chord_error told; /* a copy for the leader, of the first page that failed */
} chord_pager;

/* ---- the leader's ------------------------------------------------------------------------------------- */

/* Acquires the page of the layer that begins at op `op`, and sets the places of its tensors. OK: it is
 * there, or the layer isn't paged. NEED_WEIGHTS: it isn't there yet. Otherwise the status of the load that
 * failed, once. */
chord_status chord_pager_acquire(chord_pager *p, int32_t op, chord_error *e);
/* Releases the page of layer `layer`. */
void chord_pager_release(chord_pager *p, int32_t layer);
/* The walk begins again at the first op. Faults are forgotten. */
void chord_pager_rewind(chord_pager *p);
/* Changes a word of p->words, and wakes who waits for that. */
void chord_pager_bump(int32_t *word);
/* Copies the loader's error text to *e, if there is one. */
void chord_pager_tell(chord_pager *p, chord_error *e);

/* ---- the loader's: see chord.h, "paging" -------------------------------------------------------------- */

/* Returns the page that a slot was claimed for, or CHORD_NONE. Experts come first: a step that needs one is
 * at it, or will be soon. */
int32_t chord_pager_claim(chord_pager *p);
chord_status chord_pager_load(chord_pager *p, int32_t tensor, int64_t first_row, const void *rows,
                              size_t bytes);
chord_status chord_pager_loaded(chord_pager *p, int32_t page);
chord_status chord_pager_failed(chord_pager *p, int32_t page, chord_status status);
chord_status chord_pager_wait(chord_pager *p, int32_t milliseconds);
void chord_pager_stop(chord_pager *p);

/* ---- lazy rows ---------------------------------------------------------------------------------------- */

/* Returns the bytes, one per row of the batch, that say whether the row of a lazy tensor is there. */
static inline uint8_t *chord_lazy_flags(const chord_plan *plan, const chord_tensor *t)
{
    return t->data + (uint64_t)plan->n_batch * t->row_bytes;
}
/* Returns the batch's first row from `row` on that lacks its row of lazy tensor `t`; n_tokens: none does. */
int32_t chord_lazy_next(const chord_plan *plan, const chord_tensor *t, const chord_batch *batch, int32_t row);

/* Returns the error of a row that fails chord_format_check(). */
chord_status chord_bad_row(chord_error *e, const chord_tensor *t, int64_t row);

#endif
