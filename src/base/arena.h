/* arena.h: bump allocation inside memory that the host gave. Nothing is freed one by one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_ARENA_H
#define CHORD_BASE_ARENA_H
#include "bytes.h"

typedef struct chord_arena {
    uint8_t *base;
    size_t used, cap;
} chord_arena;

/* `bytes` at a multiple of `align` (a power of two), or NULL when they don't fit. With base NULL and
 * cap SIZE_MAX it only counts, so that one function both measures and lays out; the result is then
 * not to be followed. */
static inline void *chord_arena_take(chord_arena *a, uint64_t bytes, uint64_t align)
{
    uint64_t begin, end;
    if (!chord_align(a->used, align, &begin) || !chord_add(begin, bytes, &end) || end > a->cap) return NULL;
    a->used = (size_t)end;
    return (void *)((uintptr_t)a->base + (uintptr_t)begin);
}

#endif
