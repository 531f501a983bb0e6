/* paging.c: chooses the paged layers. The first pass over the program finds which layer each matrix belongs
 * to; then as few layers as possible are paged. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "planner.h"
#include "../base/arena.h"

static bool is_layer_matrix(const chord_tensor *t) { return t->layer >= 0 && t->layout == CHORD_LAYOUT_X4; }

/* Sets t->layer: CHORD_NONE if two layers use the tensor, or an op outside the layers. */
static void find_layers(chord_plan *plan)
{
    enum { UNSEEN = -2 };
    for (int32_t i = 0; i < plan->n_tensors; i++) plan->tensors[i].layer = UNSEEN;
    int32_t layer = CHORD_NONE;
    for (int32_t i = 0; i < plan->program.n_all; i++) {
        const chord_op *op = &plan->program.ops[i];
        if (op->kind == CHORD_OP_ACQUIRE) layer = op->layer;
        if (op->kind == CHORD_OP_RELEASE) layer = CHORD_NONE;
        for (int32_t k = 0; k < CHORD_OP_WEIGHTS; k++) {
            if (op->weight[k] < 0) continue;
            chord_tensor *t = &plan->tensors[op->weight[k]];
            t->layer = t->layer == UNSEEN || t->layer == layer ? layer : CHORD_NONE;
        }
    }
    for (int32_t i = 0; i < plan->n_tensors; i++)
        if (plan->tensors[i].layer == UNSEEN) plan->tensors[i].layer = CHORD_NONE;
}

/* Adds the sizes of all layers' matrices to the pages. */
static chord_status measure_pages(chord_plan *plan)
{
    plan->layer_bytes = 0;
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        const chord_tensor *t = &plan->tensors[i];
        if (!is_layer_matrix(t)) continue;
        chord_page *page = plan->pages;
        while (page->layer != t->layer) page++;
        uint64_t bytes;
        if (!chord_plan_tensor_bytes(t, &bytes) || !chord_align(bytes, CHORD_BLOCK_ALIGN, &bytes))
            return CHORD_INTERNAL;
        page->n_rows += t->n_rows;
        page->bytes += bytes; /* no sum overflows: a file is below 2^53 bytes */
        page->file_bytes += t->file_bytes;
        plan->layer_bytes += bytes;
    }
    return CHORD_OK;
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
        if (!is_layer_matrix(t) || t->layer != plan->pages[page].layer) continue;
        uint64_t bytes = 0;
        (void)chord_plan_tensor_bytes(t, &bytes); /* measure_pages() has checked it */
        t->placement = CHORD_PLACE_PAGED;
        t->page = page;
        t->slot_off = at;
        (void)chord_align(at + bytes, CHORD_BLOCK_ALIGN, &at);
    }
}

static void choose_lazy(chord_plan *plan, int32_t always)
{
    if (!always && !plan->n_pages) return;
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        chord_tensor *t = &plan->tensors[i];
        if (t->placement != CHORD_PLACE_RESIDENT || t->layout != CHORD_LAYOUT_PLAIN) continue;
        t->placement = CHORD_PLACE_LAZY;
        plan->n_lazy++;
    }
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
    CHORD_TRY(measure_pages(plan));
    if (config->external) return CHORD_OK;
    if (n > 1 && config->resident_bytes > 0 && (double)plan->layer_bytes > config->resident_bytes) {
        int32_t const k = choose(plan, n, (uint64_t)config->resident_bytes);
        for (int32_t i = 0; i < n; i++)
            if (is_paged(i, k, n)) {
                plan->pages[plan->n_pages] = plan->pages[i];
                page_layer(plan, plan->n_pages++);
            }
    }
    choose_lazy(plan, config->lazy);
    return CHORD_OK;
}
