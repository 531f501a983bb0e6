/* merge.h: a line of symbols that merge with their right neighbours, the best pair first.
 *
 * A symbol is named by its first element. Its size is stored at its first and its last element, so both
 * neighbours are found without links:   size  3 . 3 1 2 2 ...
 * A pair is named by its left symbol. Pairs are in a binary heap, smallest key first; on a tie, leftmost
 * first. slot[i] is the index of symbol i in the heap + 1, or 0. All merges of a text together are O(n log
 * n).
 *
 * Usage: merge_take, merge_add for each element in order, merge_set for each pair; then merge_pop,
 * merge_join and merge_set for the pairs that changed, until merge_pop returns m->n. The caller may pause
 * between any two calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_MERGE_H
#define CHORD_TEXT_MERGE_H
#include "../base/arena.h"
#include "../base/mem.h"

#define MERGE_NONE UINT32_MAX /* the key of a pair that doesn't merge */
enum { MERGE_BYTES = 16 };    /* of scratch per element */

typedef struct chord_merge {
    uint32_t *size, *key, *slot, *heap;
    uint32_t n, n_heap;
} chord_merge;

/* Allocates n elements. Returns false if the arena is too small. */
static inline bool merge_take(chord_merge *m, uint32_t n, chord_arena *scratch)
{
    uint32_t *p = chord_arena_take(scratch, (uint64_t)n * MERGE_BYTES, 4);
    if (!p) return false;
    *m = (chord_merge){ p, p + n, p + (size_t)n * 2, p + (size_t)n * 3, n, 0 };
    return true;
}

/* Makes element i a symbol, in no pair. */
static inline void merge_add(chord_merge *m, uint32_t i)
{
    m->size[i] = 1;
    m->slot[i] = 0;
}

/* merge_next() returns the right neighbour, m->n if there is none. merge_previous() returns the left
 * neighbour of a symbol that isn't the first. */
static inline uint32_t merge_next(const chord_merge *m, uint32_t i) { return i + m->size[i]; }
static inline uint32_t merge_previous(const chord_merge *m, uint32_t i) { return i - m->size[i - 1]; }

static inline bool merge_before(const chord_merge *m, uint32_t a, uint32_t b)
{
    return m->key[a] < m->key[b] || (m->key[a] == m->key[b] && a < b);
}

/* Puts symbol i into the heap: the free place `at` moves up or down to where symbol i belongs. */
static inline void merge_place(chord_merge *m, uint32_t i, uint32_t at)
{
    while (at && merge_before(m, i, m->heap[(at - 1) / 2])) {
        m->heap[at] = m->heap[(at - 1) / 2];
        m->slot[m->heap[at]] = at + 1;
        at = (at - 1) / 2;
    }
    for (uint32_t child; (child = at * 2 + 1) < m->n_heap; at = child) {
        if (child + 1 < m->n_heap && merge_before(m, m->heap[child + 1], m->heap[child])) child++;
        if (!merge_before(m, m->heap[child], i)) break;
        m->heap[at] = m->heap[child];
        m->slot[m->heap[at]] = at + 1;
    }
    m->heap[at] = i;
    m->slot[i] = at + 1;
}

/* Sets the key of the pair (i, next). MERGE_NONE removes the pair from the heap. */
static inline void merge_set(chord_merge *m, uint32_t i, uint32_t key)
{
    uint32_t const slot = m->slot[i];
    if (key != MERGE_NONE) {
        m->key[i] = key;
        merge_place(m, i, slot ? slot - 1 : m->n_heap++);
    } else if (slot) {
        m->slot[i] = 0;
        uint32_t const last = m->heap[--m->n_heap];
        if (last != i) merge_place(m, last, slot - 1);
    }
}

/* Removes the best pair from the heap and returns its left symbol, or m->n if no pair is left. */
static inline uint32_t merge_pop(chord_merge *m)
{
    if (!m->n_heap) return m->n;
    uint32_t const i = m->heap[0];
    merge_set(m, i, MERGE_NONE);
    return i;
}

/* Joins symbol i and its right neighbour to one symbol i. */
static inline void merge_join(chord_merge *m, uint32_t i)
{
    uint32_t const right = merge_next(m, i), size = m->size[i] + m->size[right];
    merge_set(m, right, MERGE_NONE);
    m->size[i] = m->size[i + size - 1] = size;
}

#endif
