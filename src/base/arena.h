/* arena.h: bump allocation inside a block of the host. Allocations are never freed one by one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_ARENA_H
#define CHORD_BASE_ARENA_H
#include "bytes.h"

/* `used` and `cap` have 64 bits on every host, so that a plan larger than the address space is measured
 * correctly. */
typedef struct chord_arena {
    uint8_t *base;
    uint64_t used, cap;
} chord_arena;

/* The `cap` of an arena that only counts; its base is NULL. */
#define CHORD_MEASURE UINT64_MAX

/* Allocates `bytes` at a multiple of `align`, a power of two. Returns NULL if they don't fit. An arena that
 * only counts lets one function both measure and lay out: its results may be NULL and must not be
 * dereferenced. */
void *chord_arena_take(chord_arena *a, uint64_t bytes, uint64_t align);

#endif
