/* quant.h: weight formats. formats.def is the one list: a record a format. One file a format (q4_0.c, ...) has the
 * block diagram, the formula and the scalar decode, which is the specification. x4.c checks, interleaves and restores
 * the rows of every format as the record says. act.c quantises activations.
 *
 * A matrix is n_rows rows of n_cols elements (ne[0] = n_cols); a row in file form is
 * n_cols / block_elems blocks. In memory a matrix for multiplication is x4-interleaved: a *group* is
 * four consecutive rows, group g at g * chord_x4_bytes(format, n_cols); inside, blocks ascend, and in a
 * block the codes lie 4 rows x 4 k to a 16-byte vector so that lanes are rows (notes in x4.h).
 * A group takes exactly four rows' file bytes. Missing rows of the last group are
 * zero-scale padding. A matrix used only for lookup stays in file form ("plain"). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_QUANT_H
#define CHORD_QUANT_QUANT_H
#include "../base/status.h"
#include <stdbool.h>

/* CHORD_Q6_K and so on: ggml's type ids. */
enum {
#define FORMAT(id, NAME, file, ...) CHORD_##NAME = id,
#include "formats.def"
};
/* CHORD_FORMAT_Q6_K and so on: places in the list, for tables of what each format has. */
enum {
#define FORMAT(id, NAME, file, ...) CHORD_FORMAT_##NAME,
#include "formats.def"
    CHORD_N_FORMATS
};

/* How the kernels want the activations that a weight type is multiplied with. */
enum { CHORD_ACT_F32 = 0, CHORD_ACT_Q8 = 1 };

/* Which tile of the kernels multiplies a format for one to three tokens (kernels/body_matmul.h):
 *   F32, F16, BF16  floats
 *   BLOCK           blocks of 32 that hold nothing but d, perhaps m, and nibbles or bytes
 *   PARTS           any planes and scales that the fields below can name
 *   PANEL           none of its own: a panel serves one token too. Measured with Q1_0 and Q2_0 (SSE4.1, 576 x 1536): one
 *                   token 20.7 GMAC/s for 24.7 of PARTS, several alike; both types 1.0 kB of the module for 2.0 kB, gzipped */
enum { CHORD_TILE_F32, CHORD_TILE_F16, CHORD_TILE_BF16, CHORD_TILE_BLOCK, CHORD_TILE_PARTS, CHORD_TILE_PANEL };

/* Which scales the 32 elements of a part have. d and m are the block's factor and offset.
 *   BLOCK  d and m are all
 *   K      a scale to d and an offset to m, of six bits, in twelve bytes of the head (q4_k.c)
 *   XS     a scale to d, of six bits less 32, in a field and a piece of the head (iq4_xs.c)
 * and by the half, for 16 elements:
 *   Q3     six bits less 32, in three pieces of the head (q3_k.c)
 *   S8     a signed byte, in a field of the part (q6_k.c)
 *   U4     a nibble to d and a nibble to m, in a field of the part (q2_k.c)
 * All but BLOCK subtract what they make of m. */
enum { CHORD_SCALES_BLOCK, CHORD_SCALES_K, CHORD_SCALES_XS, CHORD_SCALES_Q3, CHORD_SCALES_S8, CHORD_SCALES_U4 };

/* What is done to bytes of a block before it is cut into cells, so that 32 elements lie together (x4.h):
 *   NIBBLES, PAIRS, BITS  32 bytes, whose nibbles, pairs of bits or bits belong to two, four or eight parts
 *   SPREAD                4 bytes: bit e of 32, element e's, goes to bit e / 4 of byte e % 4
 *   TURN                  4 bytes: pair of bits i of byte j, element 4 j + i's, goes to pair j of byte i
 *   Q3_SCALES             the 12 bytes of Q3_K (q3_k.c) */
enum { CHORD_MIX_NONE, CHORD_MIX_NIBBLES, CHORD_MIX_PAIRS, CHORD_MIX_BITS, CHORD_MIX_SPREAD, CHORD_MIX_TURN,
       CHORD_MIX_Q3_SCALES };
/* `n` times, from byte `at` of the block on. */
typedef struct chord_mix {
    uint8_t kind, at, n;
} chord_mix;
/* `bytes` bytes of a block from `at` on, in cells of four bytes or one cell of two or of one. For part p they lie further
 * by the sum of by[j] over the bits j of p. */
typedef struct chord_stretch {
    uint8_t at, bytes;
} chord_stretch;
typedef struct chord_part_stretch {
    uint8_t at, bytes, by[3];
} chord_part_stretch;

typedef struct chord_format {
    int32_t type;              /* ggml's id */
    const char *name;          /* "Q4_0" */
    int32_t block_elems, block_bytes;
    int32_t act;               /* CHORD_ACT_* */
    int32_t d_at, m_at;        /* bytes in a block of its f16 factor and of its f16 offset; -1: has none */
    /* codes: `low` bits in the lower plane (8: signed bytes, 4: nibbles, 2: pairs, 0: none), `high` in the upper one
     * (2: pairs, 1: bits, 0: none), which begins at bit `high_at` of a code. A code less `centre` is what d multiplies;
     * of a table, chord_iq4_values[code]. */
    uint8_t low, high, high_at, centre, is_table;
    uint8_t scales, tile;      /* CHORD_SCALES_*, CHORD_TILE_* */
    /* The order in memory: after all of `mix` the stretches of `head`, then for each 32 elements those of `part`. A part's
     * are its field of scales, then its planes: bits, pairs, nibbles or bytes. */
    chord_mix mix[3];
    chord_stretch head[3];
    chord_part_stretch part[4];
    /* file form -> float, n_cols elements: the specification of the format */
    void (*decode)(float *dst, const void *row, int32_t n_cols);
} chord_format;

/* NULL for a type this build doesn't know. */
const chord_format *chord_format_of(int32_t type);
/* Every format, for lists and tests: place i, CHORD_FORMAT_*; NULL past the end. */
const chord_format *chord_format_at(int32_t i);
/* The place of a type, -1 when this build doesn't know it. */
int32_t chord_format_place(int32_t type);
/* The name of any ggml type id ever assigned, known to us or not; NULL when never assigned. */
const char *chord_type_name(int32_t type);

/* false when a row in file form holds what no quantiser writes: a scale that isn't finite, a Q8_0 code of -128. Kernels
 * rely on neither being there; floats are let through, inf and NaN too. */
bool chord_format_check(const chord_format *f, const void *row, int32_t n_cols);
/* rows[i] = row i in file form, NULL for a padding row -> one group. false when a row fails the check. */
bool chord_format_repack(const chord_format *f, void *group, const void *const rows[4], int32_t n_cols);
/* Row i (0..3) of a group -> file form, bit for bit what repack was given. */
void chord_format_unpack(const chord_format *f, void *row, const void *group, int32_t i, int32_t n_cols);

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
