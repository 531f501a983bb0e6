/* mem.h: the only copy, fill and compare of the core. The core calls no libc function by name. In wasm the
 * builtins become memory.copy and memory.fill. Natively the compiler inlines them or the platform has
 * them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_MEM_H
#define CHORD_BASE_MEM_H
#include <stddef.h>
#include <stdint.h>

static inline void chord_copy(void *dst, const void *src, size_t n)
{
    if (n) __builtin_memcpy(dst, src, n);
}
static inline void chord_move(void *dst, const void *src, size_t n)
{
    if (n) __builtin_memmove(dst, src, n);
}
static inline void chord_zero(void *dst, size_t n)
{
    if (n) __builtin_memset(dst, 0, n);
}

/* A loop, because __builtin_memcmp becomes a call, which doesn't link without libc. */
int chord_equal(const void *a, const void *b, size_t n);

size_t chord_strlen(const char *s);

#endif
