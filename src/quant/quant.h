/* quant.h: weight formats. One file a format (q4_0.c, ...): block diagram, formula, scalar decode (the
 * specification), the x4 repack and its exact inverse; act.c quantises activations.
 *
 * A matrix is n_rows rows of n_cols elements (ne[0] = n_cols); a row in file form is
 * n_cols / block_elems blocks. In memory a matrix for multiplication is x4-interleaved: a *group* is
 * four consecutive rows, group g at g * chord_x4_bytes(type, n_cols); inside, blocks ascend, and in a
 * block the codes lie 4 rows x 4 k to a 16-byte vector so that lanes are rows (notes in x4.h).
 * A group takes exactly four rows' file bytes for the types here. Missing rows of the last group are
 * zero-scale padding. A matrix used only for lookup stays in file form ("plain"). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_QUANT_H
#define CHORD_QUANT_QUANT_H
#include "../base/status.h"
#include <stdbool.h>

/* ggml's type ids */
enum { CHORD_F32 = 0, CHORD_F16 = 1, CHORD_Q4_0 = 2, CHORD_Q4_1 = 3, CHORD_Q5_0 = 6, CHORD_Q5_1 = 7, CHORD_Q8_0 = 8,
       CHORD_Q2_K = 10, CHORD_Q3_K = 11, CHORD_Q4_K = 12, CHORD_Q5_K = 13, CHORD_Q6_K = 14, CHORD_IQ4_NL = 20, CHORD_IQ4_XS = 23,
       CHORD_BF16 = 30 };

/* How the kernels want the activations that a weight type is multiplied with. */
enum { CHORD_ACT_F32 = 0, CHORD_ACT_Q8 = 1 };

typedef struct chord_format {
    int32_t type;              /* ggml's id */
    const char *name;          /* "Q4_0" */
    int32_t block_elems, block_bytes;
    int32_t act;               /* CHORD_ACT_* */
    int32_t d_at, m_at;        /* bytes in a block of its f16 factor and of its f16 offset; -1: has none */
    /* file form -> float, n_cols elements: the specification of the format */
    void (*decode)(float *dst, const void *row, int32_t n_cols);
    /* rows[i] = row i in file form, NULL for a padding row -> one group. false when a block can't be
     * represented (non-finite scale, Q8_0 code -128): the file is invalid. */
    bool (*repack)(void *group, const void *const rows[4], int32_t n_cols);
    /* row i (0..3) of a group -> file form, bit for bit what repack was given */
    void (*unpack)(void *row, const void *group, int32_t i, int32_t n_cols);
    /* false when the row holds a non-finite scale etc.: for matrices that stay plain */
    bool (*check)(const void *row, int32_t n_cols);
} chord_format;

/* NULL for a type this build doesn't know. */
const chord_format *chord_format_of(int32_t type);
/* Every format, for lists and tests. */
const chord_format *chord_format_at(int32_t i); /* NULL past the end */
/* The name of any ggml type id ever assigned, known to us or not; NULL when never assigned. */
const char *chord_type_name(int32_t type);

/* Bytes of a row in file form; n_cols is a multiple of block_elems (checked by the caller). */
static inline uint64_t chord_row_bytes(const chord_format *f, int64_t n_cols)
{
    return (uint64_t)(n_cols / f->block_elems) * (uint64_t)f->block_bytes;
}
/* Bytes of one x4 group. */
static inline uint64_t chord_x4_bytes(const chord_format *f, int64_t n_cols) { return 4 * chord_row_bytes(f, n_cols); }

/* What the nibbles of IQ4_NL and IQ4_XS stand for. */
extern const int8_t chord_iq4_values[16];

/* Scale and offset i (0..7) of the twelve bytes in Q4_K and Q5_K (q4_k.c). */
static inline int32_t chord_k_scale(const uint8_t s[12], int i)
{
    return i < 4 ? s[i] & 63 : (s[i + 4] & 15) | s[i - 4] >> 6 << 4;
}
static inline int32_t chord_k_offset(const uint8_t s[12], int i)
{
    return i < 4 ? s[i + 4] & 63 : s[i + 4] >> 4 | s[i] >> 6 << 4;
}

/* Activations as q8: blocks of 32 along a row, each with its own f32 scale.
 *   q[n] int8 (-127..127, round half away from zero of x/d) | d[n/32] float | s[n/32] int32, the sum of the block's q
 *   | h[n/32] two int16, the sums of its halves, for types that scale 16 elements
 * d = max|x| / 127, 0 for an all-zero block. n is a multiple of 32; a row starts 16-byte aligned. */
static inline uint64_t chord_q8_bytes(int64_t n) { return (uint64_t)n + (uint64_t)(n / 32) * 12; }
/* From a row to the next. */
static inline uint64_t chord_q8_stride(int64_t n) { return (chord_q8_bytes(n) + 63) & ~63ull; }

/* Room in which a product takes two groups apart (kernels/body_panel.h): at most 19 vectors of each for 32 columns. */
static inline uint64_t chord_panel_bytes(int64_t n) { return (uint64_t)n * 19; }

#endif
