/* arena.h: bump allocation inside memory that the host gave. Nothing is freed one by one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_ARENA_H
#define CHORD_BASE_ARENA_H
#include "bytes.h"

/* In 64 bits also where an address has 32, so that a plan larger than the address space is measured as it is. */
typedef struct chord_arena {
    uint8_t *base;
    uint64_t used, cap;
} chord_arena;

/* As `cap`, with base NULL: only count. */
#define CHORD_MEASURE UINT64_MAX

/* `bytes` at a multiple of `align` (a power of two), or NULL when they don't fit. One that only counts lets one function
 * both measure and lay out; the result is then not to be followed, and may be NULL. */
static inline void *chord_arena_take(chord_arena *a, uint64_t bytes, uint64_t align)
{
    uint64_t begin, end;
    if (!chord_align(a->used, align, &begin) || !chord_add(begin, bytes, &end) || end > a->cap) return NULL;
    a->used = end;
    return (void *)((uintptr_t)a->base + (uintptr_t)begin);
}

#endif
