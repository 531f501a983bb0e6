/* expert_pool.h: experts of a mixture that are read when a batch chooses them.
 *
 * The stacks of an EXPERTS op (chord_stacks, program/plan.h) have n_slots slots of their own, and a table
 * from an expert to its slot. Expert e is page first_page + e of the pager; gate and up of an expert are one
 * page, down is another. The leader alone decides which expert has which slot. It asks the loader to fill
 * slots, in order:
 *
 *       FREE ──ask──► ASKED ──claim──► LOADING ──loaded──► LOADED
 *        ▲ ▲            │ rewind          │ failed            │
 *        │ └────────────┴─────────────────┘                   │
 *        └──────────────────── ask (for another expert) ◄─────┘
 *
 *   the leader moves   FREE, LOADED -> ASKED (ask), ASKED -> FREE (rewind)
 *   the loader moves   ASKED -> LOADING (claim), LOADING -> LOADED (loaded), LOADING -> FREE (failed)
 *
 * Both move ASKED on, so both compare and swap. Every other state has one owner, who alone writes the word.
 *
 * When the walk comes to the op it knows what ROUTE chose. The order of computing is: experts in memory,
 * those on their way, then the missing ones, by number. Results don't depend on it: each pair of a token and
 * an expert has a place of its own, and COMBINE adds them up later, in the order of the choice. So any
 * number of slots gives the same bits. Missing experts take free slots, then those whose expert this batch
 * doesn't need (any more), least recently used first. If there are more experts than slots, the op goes on
 * in *waves*: what is computed makes room for what is asked for next, and reading overlaps computing.
 * Invariants:
 *   1. The bytes of a slot are written in LOADING only, and read in LOADED only, by the leader and its
 *      helpers, who are done when the leader goes on. The word orders the accesses.
 *   2. A batch reads each expert at most once: the slot of one that the batch still needs isn't taken.
 *   3. No wait without end. The leader waits for the first expert of the order that isn't computed. If it
 *      has no slot, each slot is on its way, or its expert comes later in the order. But those that come
 *      later get slots later, and those that had one come first. So one is on its way, to LOADED or FREE.
 *   4. A load that failed is reported by the step that needs the expert, once. Then it may be asked for
 *      again. One that was claimed for an earlier walk isn't reported: the step asks again.
 *
 * The experts of the next EXPERTS of the layer with the same choice (down behind gate and up) are asked for
 * at the same time, behind those of this one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_EXEC_EXPERT_POOL_H
#define CHORD_EXEC_EXPERT_POOL_H
#include "pager.h"
#include <stdbool.h>

/* ---- the leader's ------------------------------------------------------------------------------------- */

/* Returns the stacks of an EXPERTS op; NULL: they are resident. */
static inline chord_stacks *chord_stacks_of(const chord_plan *plan, const chord_op *op)
{
    return chord_tensor_stacks(plan, &plan->tensors[op->weight[0]]);
}
/* Returns whether expert `expert` may be computed. */
bool chord_expert_is_there(const chord_stacks *s, int32_t expert);
/* Returns an expert's rows of stack `t`, which is there. */
static inline const uint8_t *chord_expert_rows(const chord_stacks *s, const chord_tensor *t, int32_t expert)
{
    return s->memory + (uint64_t)s->slot_of[expert] * s->slot_bytes + t->slot_off;
}

/* The walk comes to stacks `s`: makes the order of the batch's experts, and asks for what is missing. A call
 * that the walk has made already does nothing. */
void chord_experts_begin(chord_pager *p, chord_stacks *s, const chord_batch *batch);
/* The experts before `expert` in the order are computed: their slots may be taken. OK: `expert` is there;
 * NEED_WEIGHTS: not yet; otherwise the status of the load that failed. */
chord_status chord_experts_need(chord_pager *p, chord_stacks *s, int32_t expert, chord_error *e);
/* The walk begins again. What was asked for and isn't claimed isn't wanted any more. */
void chord_experts_rewind(chord_pager *p);

/* ---- the loader's ------------------------------------------------------------------------------------- */

/* Returns the page that is asked for next, or CHORD_NONE. `take`: claims its slot. */
int32_t chord_experts_next(chord_pager *p, bool take);
/* Returns the stacks of a page; NULL: the page is a layer's, or there is none. */
chord_stacks *chord_stacks_of_page(const chord_plan *plan, int32_t page);
/* Returns the slot that is being loaded for an expert, or NULL. */
chord_expert_slot *chord_expert_loading(const chord_stacks *s, int32_t expert);
void chord_expert_loaded(chord_expert_slot *slot, int32_t expert);
void chord_expert_failed(chord_expert_slot *slot, chord_status status);

#endif
