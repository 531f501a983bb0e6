/* paging.c: chooses what is paged. The first pass over the program finds which layer each matrix belongs to.
 * Of a mixture the stacks are paged by expert: a token reads few of an expert's bytes, but all of the rest.
 * So the rest comes first, as few layers of it as possible are paged, and the experts get what is left. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "planner.h"
#include "../base/arena.h"

static bool is_layer_matrix(const chord_tensor *t) { return t->layer >= 0 && t->layout == CHORD_LAYOUT_X4; }
static bool is_of_ring(const chord_tensor *t) { return is_layer_matrix(t) && t->stacks < 0; }

enum { UNSEEN = -2, SHARED = -3 };

/* Sets t->layer: CHORD_NONE if two layers use the tensor, or an op outside the layers. Sets t->stacks to the
 * op that alone uses it, or SHARED. */
static void find_layers(chord_plan *plan)
{
    for (int32_t i = 0; i < plan->n_tensors; i++) plan->tensors[i].layer = plan->tensors[i].stacks = UNSEEN;
    int32_t layer = CHORD_NONE;
    for (int32_t i = 0; i < plan->program.n_all; i++) {
        const chord_op *op = &plan->program.ops[i];
        if (op->kind == CHORD_OP_ACQUIRE) layer = op->layer;
        if (op->kind == CHORD_OP_RELEASE) layer = CHORD_NONE;
        for (int32_t k = 0; k < CHORD_OP_WEIGHTS; k++) {
            if (op->weight[k] < 0) continue;
            chord_tensor *t = &plan->tensors[op->weight[k]];
            t->layer = t->layer == UNSEEN || t->layer == layer ? layer : CHORD_NONE;
            t->stacks = t->stacks == UNSEEN || t->stacks == i ? i : SHARED;
        }
    }
    for (int32_t i = 0; i < plan->n_tensors; i++)
        if (plan->tensors[i].layer == UNSEEN) plan->tensors[i].layer = CHORD_NONE;
}

/* ---- stacks that are paged by expert ------------------------------------------------------------------ */

/* Returns whether op `i` is an EXPERTS that chooses, of a layer, and alone uses its stacks. */
static bool has_stacks(const chord_plan *plan, int32_t i)
{
    const chord_op *op = &plan->program.ops[i];
    if (op->kind != CHORD_OP_EXPERTS || op->experts.n_used == op->experts.n_expert) return false;
    for (int32_t k = 0; k < op->experts.n_weights; k++) {
        const chord_tensor *t = &plan->tensors[op->weight[k]];
        if (!is_layer_matrix(t) || t->stacks != i || t->ne[1] * op->experts.n_expert != t->n_rows)
            return false;
    }
    return true;
}

/* Lays an expert's rows of the op's stacks out in a slot. A fused stack is there once. */
static chord_status place_expert(chord_plan *plan, chord_stacks *s, int32_t index)
{
    const chord_op *op = &plan->program.ops[s->op];
    for (int32_t k = 0; k < op->experts.n_weights; k++) {
        chord_tensor *t = &plan->tensors[op->weight[k]];
        if (t->stacks == index) continue;
        t->stacks = index;
        t->slot_off = s->slot_bytes;
        s->n_rows += t->ne[1];
        s->file_bytes += t->file_bytes / (uint64_t)s->n_expert;
        if (!chord_align(s->slot_bytes + (uint64_t)t->ne[1] * t->row_bytes, CHORD_BLOCK_ALIGN,
                         &s->slot_bytes))
            return CHORD_INTERNAL;
    }
    return CHORD_OK;
}

/* Lists the stacks. The tensors' `stacks`, so far the number of an op, becomes an index of the list. */
static chord_status find_stacks(chord_plan *plan, chord_arena *tables)
{
    int32_t n = 0, page = 0;
    for (int32_t i = 0; i < plan->program.n_all; i++) n += has_stacks(plan, i);
    plan->stacks = chord_arena_take(tables, (uint64_t)n * sizeof *plan->stacks, 16);
    if (!plan->stacks) return CHORD_NEED_MEMORY;
    for (int32_t i = 0; i < plan->program.n_all; i++) {
        if (!has_stacks(plan, i)) continue;
        const chord_op *op = &plan->program.ops[i];
        plan->stacks[plan->n_stacks++] = (chord_stacks){
            .op = i, .layer = op->layer, .n_expert = op->experts.n_expert, .first_page = page
        };
        page += op->experts.n_expert;
    }
    for (int32_t i = 0; i < plan->n_tensors; i++) plan->tensors[i].stacks = CHORD_NONE;
    for (int32_t i = 0; i < plan->n_stacks; i++) CHORD_TRY(place_expert(plan, &plan->stacks[i], i));
    return CHORD_OK;
}

/* Returns the bytes of n slots for each of the stacks. */
static uint64_t slots_cost(const chord_plan *plan, int32_t n)
{
    uint64_t bytes = 0; /* below 2^53, as a file is */
    for (int32_t i = 0; i < plan->n_stacks; i++) {
        const chord_stacks *s = &plan->stacks[i];
        bytes += s->slot_bytes * (uint64_t)(n < s->n_expert ? n : s->n_expert);
    }
    return bytes;
}

/* Gives each of the stacks as many slots as `budget` bytes have room for, the same number for all: each
 * layer uses the same number of experts. A slot stays with its stacks. If layers shared slots, the walk
 * would give up first what it needs next. */
static chord_status page_experts(chord_plan *plan, uint64_t budget, chord_arena *tables)
{
    int32_t n = 1, most = CHORD_MAX_EXPERTS;
    while (n < most) {
        int32_t const middle = n + (most - n + 1) / 2;
        if (slots_cost(plan, middle) <= budget) n = middle;
        else most = middle - 1;
    }
    for (int32_t i = 0; i < plan->n_stacks; i++) {
        chord_stacks *s = &plan->stacks[i];
        s->first_page += plan->n_pages;
        s->n_slots = n < s->n_expert ? n : s->n_expert;
        s->turn = UINT32_MAX;
        s->slots = chord_arena_take(tables, (uint64_t)s->n_slots * sizeof *s->slots, 16);
        s->slot_of = chord_arena_take(tables, (uint64_t)s->n_expert * 12, 16);
        if (!s->slots || !s->slot_of) return CHORD_NEED_MEMORY;
        s->order = s->slot_of + s->n_expert;
        s->place = s->order + s->n_expert;
        for (int32_t k = 0; k < s->n_slots; k++) s->slots[k] = (chord_expert_slot){ .expert = CHORD_NONE };
        for (int32_t e = 0; e < s->n_expert; e++) s->slot_of[e] = s->place[e] = CHORD_NONE;
    }
    for (int32_t i = 0; i < plan->n_tensors; i++)
        if (plan->tensors[i].stacks >= 0) plan->tensors[i].placement = CHORD_PLACE_PAGED;
    return CHORD_OK;
}

/* ---- layers ------------------------------------------------------------------------------------------- */

/* Adds the sizes of the layers' matrices to plan->layer_bytes. */
static chord_status measure_layers(chord_plan *plan)
{
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        uint64_t bytes;
        if (!is_layer_matrix(&plan->tensors[i])) continue;
        if (!chord_plan_tensor_bytes(&plan->tensors[i], &bytes) ||
            !chord_align(bytes, CHORD_BLOCK_ALIGN, &bytes))
            return CHORD_INTERNAL;
        plan->layer_bytes += bytes; /* no sum overflows: a file is below 2^53 bytes */
    }
    return CHORD_OK;
}

/* Returns the bytes of a matrix that measure_layers() has checked. */
static uint64_t bytes_of(const chord_tensor *t)
{
    uint64_t bytes = 0;
    (void)chord_plan_tensor_bytes(t, &bytes);
    (void)chord_align(bytes, CHORD_BLOCK_ALIGN, &bytes);
    return bytes;
}

/* Adds the sizes of the matrices that a ring may hold to the pages. */
static void measure_pages(chord_plan *plan)
{
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        const chord_tensor *t = &plan->tensors[i];
        if (!is_of_ring(t)) continue;
        chord_page *page = plan->pages;
        while (page->layer != t->layer) page++;
        page->n_rows += t->n_rows;
        page->bytes += bytes_of(t);
        page->file_bytes += t->file_bytes;
    }
}

/* Of n layers, k are paged and spread evenly, the last one among them: reading a paged layer then overlaps
 * the pinned ones before it, and the first paged layer has the longest time. */
static bool is_paged(int64_t layer, int64_t k, int64_t n) { return (layer + 1) * k / n > layer * k / n; }

/* Returns the bytes of pinned layers and slots, and sets *slot to a slot's. */
static uint64_t cost_of(const chord_page *layers, int32_t n, int32_t k, int32_t n_ring, uint64_t *slot)
{
    uint64_t bytes = 0;
    *slot = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!is_paged(i, k, n)) bytes += layers[i].bytes;
        else if (layers[i].bytes > *slot) *slot = layers[i].bytes;
    }
    return bytes + (uint64_t)n_ring * *slot;
}

/* Sets the ring and returns how many of the n layers are paged. Two slots suffice: while one is in use, the
 * next layer is read into the other. A third would cost a pinned layer, which is never read again. */
static int32_t choose(chord_plan *plan, int32_t n, uint64_t budget)
{
    for (plan->n_ring = CHORD_RING; plan->n_ring > 0; plan->n_ring--)
        for (int32_t k = plan->n_ring + 1; k <= n; k++)
            if (cost_of(plan->pages, n, k, plan->n_ring, &plan->slot_bytes) <= budget) return k;
    plan->n_ring = 1; /* too small for any ring: the smallest, so that the plan says what it takes */
    cost_of(plan->pages, n, n, plan->n_ring, &plan->slot_bytes);
    return n;
}

/* Makes the matrices of page `page` PAGED and lays them out in a slot. */
static void page_layer(chord_plan *plan, int32_t page)
{
    uint64_t at = 0;
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        chord_tensor *t = &plan->tensors[i];
        if (!is_of_ring(t) || t->layer != plan->pages[page].layer) continue;
        t->placement = CHORD_PLACE_PAGED;
        t->page = page;
        t->slot_off = at;
        at += bytes_of(t);
    }
}

/* Pages layers, if the matrices of the rings' pages take more than `budget` bytes. */
static void page_layers(chord_plan *plan, int32_t n, uint64_t budget)
{
    uint64_t all = 0;
    for (int32_t i = 0; i < n; i++) all += plan->pages[i].bytes;
    if (n < 2 || all <= budget) return;
    int32_t const k = choose(plan, n, budget);
    for (int32_t i = 0; i < n; i++)
        if (is_paged(i, k, n)) {
            plan->pages[plan->n_pages] = plan->pages[i];
            page_layer(plan, plan->n_pages++);
        }
}

static void choose_lazy(chord_plan *plan, bool always)
{
    if (!always && !plan->n_pages && !plan->n_stacks) return;
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        chord_tensor *t = &plan->tensors[i];
        if (t->placement != CHORD_PLACE_RESIDENT || t->layout != CHORD_LAYOUT_PLAIN) continue;
        t->placement = CHORD_PLACE_LAZY;
        plan->n_lazy++;
    }
}

/* Pages what doesn't fit `budget` bytes. */
static chord_status page(chord_plan *plan, int32_t n, uint64_t budget, chord_arena *tables)
{
    CHORD_TRY(find_stacks(plan, tables));
    measure_pages(plan);
    uint64_t const least = slots_cost(plan, 1);
    page_layers(plan, n, budget > least ? budget - least : 0);
    if (!plan->n_stacks) return CHORD_OK;
    uint64_t rest = plan->n_pages ? (uint64_t)plan->n_ring * plan->slot_bytes : 0;
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        const chord_tensor *t = &plan->tensors[i];
        if (is_of_ring(t) && t->placement == CHORD_PLACE_RESIDENT) rest += bytes_of(t);
    }
    return page_experts(plan, budget > rest ? budget - rest : 0, tables);
}

chord_status chord_plan_paging(chord_plan *plan, const chord_config *config, chord_arena *tables)
{
    int32_t n = 0;
    for (int32_t i = 0; i < plan->program.n_ops; i++) n += plan->program.ops[i].kind == CHORD_OP_ACQUIRE;
    plan->pages = chord_arena_take(tables, (uint64_t)n * sizeof *plan->pages, 16);
    if (!plan->pages) return CHORD_NEED_MEMORY;
    n = 0;
    for (int32_t i = 0; i < plan->program.n_ops; i++)
        if (plan->program.ops[i].kind == CHORD_OP_ACQUIRE)
            plan->pages[n++] = (chord_page){ .layer = plan->program.ops[i].layer, .op = i };
    find_layers(plan);
    CHORD_TRY(measure_layers(plan));
    bool const fits = config->resident_bytes <= 0 || (double)plan->layer_bytes <= config->resident_bytes;
    if (fits || config->external)
        for (int32_t i = 0; i < plan->n_tensors; i++) plan->tensors[i].stacks = CHORD_NONE;
    if (config->external) return CHORD_OK;
    if (!fits) CHORD_TRY(page(plan, n, (uint64_t)config->resident_bytes, tables));
    choose_lazy(plan, config->lazy != 0);
    return CHORD_OK;
}
