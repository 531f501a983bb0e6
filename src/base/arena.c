/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

void *chord_arena_take(chord_arena *a, uint64_t bytes, uint64_t align)
{
    uint64_t begin, end;
    if (!chord_align(a->used, align, &begin) || !chord_add(begin, bytes, &end) || end > a->cap) return NULL;
    a->used = end;
    return (void *)((uintptr_t)a->base + (uintptr_t)begin);
}
