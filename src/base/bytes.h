/* bytes.h: loads of numbers from a file's bytes, and arithmetic that detects overflow. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_BYTES_H
#define CHORD_BASE_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* GGUF is little-endian and unaligned. All targets are little-endian, and memcpy needs no alignment. */
#define CHORD_LOAD_LE(type, name)          \
    static inline type name(const void *p) \
    {                                      \
        type v;                            \
        __builtin_memcpy(&v, p, sizeof v); \
        return v;                          \
    }
CHORD_LOAD_LE(uint16_t, chord_u16)
CHORD_LOAD_LE(uint32_t, chord_u32)
CHORD_LOAD_LE(uint64_t, chord_u64)
CHORD_LOAD_LE(int32_t, chord_i32)
CHORD_LOAD_LE(float, chord_f32)
CHORD_LOAD_LE(double, chord_f64)
#undef CHORD_LOAD_LE

/* The next three functions return false on overflow and leave *out unchanged then. */

/* *out = a + b */
static inline bool chord_add(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
/* *out = a * b, computed by 32-bit halves. wasm has no 128-bit product: clang compiles
 * __builtin_mul_overflow, and a comparison with UINT64_MAX / a, to a library call. */
static inline bool chord_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t const ah = a >> 32, al = a & 0xffffffff, bh = b >> 32, bl = b & 0xffffffff;
    if (ah && bh) return false;
    uint64_t const cross = ah * bl + al * bh; /* one of the two is 0 */
    if (cross >> 32) return false;
    return chord_add(cross << 32, al * bl, out);
}
/* *out = n rounded up to a multiple of `align`, a power of two */
static inline bool chord_align(uint64_t n, uint64_t align, uint64_t *out)
{
    uint64_t r;
    if (!chord_add(n, align - 1, &r)) return false;
    *out = r & ~(align - 1);
    return true;
}

#endif
