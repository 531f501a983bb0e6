/* quant.h: weight formats. formats.def is the one list, one record per format. Each format has a file
 * (q4_0.c, ...) with its block diagram, its formula and its scalar decode, which is the specification. x4.c
 * checks, interleaves and restores the rows of every format by its record. act.c quantises activations.
 *
 * A matrix is n_rows rows of n_cols elements (ne[0] = n_cols). A row in file order is n_cols / block_elems
 * blocks. In memory a matrix for multiplication is x4-interleaved. A *group* is four consecutive rows; group
 * g starts at g * chord_x4_bytes(format, n_cols). Within a group, blocks ascend. Within a block, a 16-byte
 * vector of codes holds four bytes of each of the four rows, so that its lanes are rows (x4.h). A group has
 * as many bytes as its four rows have in the file. Missing rows of the last group are zero bytes. A matrix
 * used only for lookup stays in file order ("plain"). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_QUANT_QUANT_H
#define CHORD_QUANT_QUANT_H
#include "../base/half.h"
#include "../base/status.h"
#include <stdbool.h>

/* CHORD_Q6_K and so on: ggml's type ids. */
enum {
#define FORMAT(id, NAME, file, ...) CHORD_##NAME = id,
#include "formats.def"
};
/* CHORD_FORMAT_Q6_K and so on: indexes into the list, for tables with one entry per format. */
enum {
#define FORMAT(id, NAME, file, ...) CHORD_FORMAT_##NAME,
#include "formats.def"
    CHORD_N_FORMATS
};

/* The activations that a kernel multiplies a format with. */
enum { CHORD_ACT_F32 = 0, CHORD_ACT_Q8 = 1 };

/* The tile of the kernels that multiplies a format for one to three tokens (kernels/body_matmul.h):
 *   F32, F16, BF16  floats
 *   BLOCK           blocks of 32 elements that hold d, perhaps m, and nibbles or bytes, nothing else
 *   PARTS           any planes and scales that the fields below can describe
 *   PANEL           no tile: even one token goes through a panel, except in the formats of own.h, which have
 *                   tiles of one token in kernels/body_own.h and body_grids.h. Measured with Q1_0 and Q2_0
 *                   (SSE4.1, 576 x 1536): 20.7 GMAC/s for one token instead of 24.7 with PARTS, the same for
 *                   several tokens; both formats add 1.0 kB to the module instead of 2.0 kB, gzipped */
enum {
    CHORD_TILE_F32,
    CHORD_TILE_F16,
    CHORD_TILE_BF16,
    CHORD_TILE_BLOCK,
    CHORD_TILE_PARTS,
    CHORD_TILE_PANEL
};

/* The scales of the 32 elements of a part. d and m are the block's factor and offset; a scale multiplies d,
 * an offset multiplies m.
 *   BLOCK  none: d and m are all
 *   K      per part a scale and an offset of six bits, in twelve bytes of the head (q4_k.c)
 *   XS     per part a scale of six bits minus 32, in a field and a piece of the head (iq4_xs.c)
 *   Q3     per 16 elements a scale of six bits minus 32, in three pieces of the head (q3_k.c)
 *   S8     per 16 elements a scale that is a signed byte, in a field of the part (q6_k.c)
 *   U4     per 16 elements a scale and an offset, one nibble each, in a field of the part (q2_k.c)
 * BLOCK adds m; K and U4 subtract m * offset.
 *   OWN, OWN_HALVES   the format's own `read`, and body_grids.h or body_own.h in kernels/, read a part. The
 *                     part has one scale, or each of its halves has one, an integer.
 *   OWN_FLOATS        the same, with a scale for each half that no product of 32 elements can have as an
 *                     integer (nvfp4.c): each half is a product of its own. */
enum {
    CHORD_SCALES_BLOCK,
    CHORD_SCALES_K,
    CHORD_SCALES_XS,
    CHORD_SCALES_OWN,
    CHORD_SCALES_OWN_FLOATS,
    CHORD_SCALES_Q3,
    CHORD_SCALES_OWN_HALVES,
    CHORD_SCALES_S8,
    CHORD_SCALES_U4
};

/* What d is, and what a check refuses:
 *   F16    an f16; not finite
 *   E8M0   a byte e: 2 ^ (e - 128); 255, which means NaN
 *   NONE   the parts have scales of their own; nothing
 *   SPLIT  an f16 in the top four bits of four fields from d_at on (iq1_m.c); not finite */
enum { CHORD_D_F16, CHORD_D_E8M0, CHORD_D_SPLIT, CHORD_D_NONE };

/* The values of codes of four bits: IQ4_NL's and IQ4_XS's, or MXFP4's plus the centre. */
enum { CHORD_TABLE_NONE, CHORD_TABLE_IQ4, CHORD_TABLE_E2M1 };

/* 32 elements of a block: element e is d * scale[e / 16] * q[e], products that are exact. */
typedef struct chord_elements {
    float d;
    int32_t scale[2];
    int8_t q[32];
} chord_elements;

/* The formats of OWN and OWN_HALVES, each in its file: writes part i of a block in file order. */
typedef void chord_read_fn(chord_elements *to, const uint8_t *block, int32_t i);
extern chord_read_fn chord_read_iq2_xxs, chord_read_iq2_xs, chord_read_iq2_s, chord_read_iq3_xxs,
    chord_read_iq3_s, chord_read_iq1_s, chord_read_iq1_m, chord_read_tq1_0, chord_read_nvfp4;

/* Rearrangements of a block's bytes before the block is cut into fields and pieces, so that the codes of a
 * part are side by side (x4.h):
 *   NIBBLES, PAIRS, BITS  32 bytes, whose nibbles, pairs of bits or bits belong to two, four or eight parts.
 *                         PAIRS gives the first piece of parts 0..3, then the second piece of each. The line
 *                         of Q2_K in formats.def is the example.
 *   SPREAD                4 bytes: bit e of the 32 (element e) moves to bit e / 4 of byte e % 4
 *   TURN                  4 bytes: pair of bits i of byte j (element 4 j + i) moves to pair j of byte i
 *   SIGNS                 4 bytes: bit k of byte l (element 8 l + k) moves to byte k % 4, to bit l of its
 *                         low half if k < 4, else of its high half
 *   SEVENS                the same for 4 bytes that hold seven signs of each of four l, from bit 7 l on, and
 *                         four other bits at the top, which stay: there the eighth signs would be
 *   SEVENS_8              8 bytes: SEVENS of the last four
 *   NINES                 8 bytes: four numbers of 16 bits become their four low bytes, then SEVENS of their
 *                         top seven bits each and of the four bits between
 *   Q3_SCALES             the 12 bytes of scales of Q3_K (q3_k.c) */
enum {
    CHORD_MIX_NONE,
    CHORD_MIX_NIBBLES,
    CHORD_MIX_PAIRS,
    CHORD_MIX_BITS,
    CHORD_MIX_SPREAD,
    CHORD_MIX_TURN,
    CHORD_MIX_SIGNS,
    CHORD_MIX_SEVENS,
    CHORD_MIX_SEVENS_8,
    CHORD_MIX_NINES,
    CHORD_MIX_Q3_SCALES
};
/* The mix `kind` of the next 32, 4 or 12 bytes, `n` times, starting at byte `at` of the block. */
typedef struct chord_mix {
    uint8_t kind, at, n;
} chord_mix;
/* `bytes` bytes of a block, starting at `at`: pieces of four bytes, or one field of two bytes, or one byte.
 * In part p the stretch starts at `at` plus by[j] for each bit j that is set in p. */
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
    int32_t d_at, m_at;        /* byte offsets of d and m in a block in the file; -1: none */
    uint8_t d_kind;            /* CHORD_D_*; m is an f16 */
    /* A code has `low` bits in the lower plane (8: signed bytes, 4: nibbles, 2: pairs, 0: none) and `high`
     * bits in the upper plane (2: pairs, 1: bits, 0: none), which starts at bit `high_at` of the code. d
     * multiplies code - centre, or with CHORD_TABLE_IQ4 chord_iq4_values[code]. With CHORD_TABLE_E2M1 nibble
     * i is code chord_e2m1_codes[i]. */
    uint8_t low, high, high_at, centre, table;
    uint8_t most; /* the largest code, where `low` and `high` don't say it; else 0 */
    uint8_t scales, tile; /* CHORD_SCALES_*, CHORD_TILE_* */
    /* llama-quantize writes output matrices in this format: Q6_K, or Q8_0 where rows aren't whole blocks */
    uint8_t is_output;
    /* The x4 order: the block is mixed by each entry of `mix`, then come the stretches of `head`, then for
     * each part the stretches of `part`: its field of scales if it has one, then its planes (bits, pairs,
     * nibbles or bytes). */
    chord_mix mix[3];
    chord_stretch head[3];
    chord_part_stretch part[4];
    chord_read_fn *read; /* of OWN and OWN_HALVES, whose codes are q + centre; else NULL */
    /* decodes n_cols elements of a row in file order: the specification of the format */
    void (*decode)(float *dst, const void *row, int32_t n_cols);
} chord_format;

/* Returns NULL for a type this build doesn't know. */
const chord_format *chord_format_of(int32_t type);
/* Returns format i of the list (CHORD_FORMAT_*), for tables and tests; NULL past the end. */
const chord_format *chord_format_at(int32_t i);
/* Returns the index of a type in the list, -1 when this build doesn't know the type. */
int32_t chord_format_place(int32_t type);
/* Returns the name of any type id that ggml ever assigned, whether this build knows it or not; else NULL. */
const char *chord_type_name(int32_t type);

/* Returns false when a row in file order holds a d or m that isn't finite, or a Q8_0 code of -128. No
 * quantiser writes these, and the kernels rely on their absence. Floats pass, also inf and NaN. */
bool chord_format_check(const chord_format *f, const void *row, int32_t n_cols);
/* Writes rows[0..3] (file order; NULL: a padding row) as a group. Returns false if a row fails the check. */
bool chord_format_repack(const chord_format *f, void *group, const void *const rows[4], int32_t n_cols);
/* Writes row i (0..3) of a group in file order, bit for bit as chord_format_repack() read it. */
void chord_format_unpack(const chord_format *f, void *row, const void *group, int32_t i, int32_t n_cols);

/* Returns the bytes of a row in file order; n_cols is a multiple of block_elems (checked by the caller). */
static inline uint64_t chord_row_bytes(const chord_format *f, int64_t n_cols)
{
    return (uint64_t)(n_cols / f->block_elems) * (uint64_t)f->block_bytes;
}
/* Returns the bytes of one x4 group. */
static inline uint64_t chord_x4_bytes(const chord_format *f, int64_t n_cols)
{
    return 4 * chord_row_bytes(f, n_cols);
}

/* The value of each nibble in IQ4_NL and IQ4_XS. */
extern const int8_t chord_iq4_values[16];
/* The code of each nibble of MXFP4: its value, doubled, plus 12. */
extern const uint8_t chord_e2m1_codes[16];

/* Returns 2 ^ (e - 128): the scale of MXFP4. It is subnormal for e = 0 and 1. */
static inline float chord_e8m0_f32(uint8_t e)
{
    return chord_bits_f32(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* Whether codes have two planes, which a group packs into pieces of whole codes (x4.h). */
static inline bool chord_is_packed(const chord_format *f) { return f->low && f->high; }

/* Return scale and offset i (0..7) from the twelve bytes of Q4_K and Q5_K (q4_k.c). */
static inline int32_t chord_k_scale(const uint8_t s[12], int i)
{
    return i < 4 ? s[i] & 63 : (s[i + 4] & 15) | s[i - 4] >> 6 << 4;
}
static inline int32_t chord_k_offset(const uint8_t s[12], int i)
{
    return i < 4 ? s[i + 4] & 63 : s[i + 4] >> 4 | s[i] >> 6 << 4;
}

/* Activations as q8: blocks of 32 along a row, each with its own f32 scale. A row is
 *   q[n]     int8, x / d rounded half away from zero, -127..127
 *   d[n/32]  float, max|x| / 127 of the block, 0 for a block of zeros
 *   s[n/32]  int32, the sum of the block's q
 *   h[n/32]  two int16, the sums of q over each half, for formats with a scale per 16 elements
 * n is a multiple of 32. A row starts at a multiple of 16 bytes. */
static inline uint64_t chord_q8_bytes(int64_t n) { return (uint64_t)n + (uint64_t)(n / 32) * 12; }
/* Returns the bytes from one row to the next. */
static inline uint64_t chord_q8_stride(int64_t n) { return (chord_q8_bytes(n) + 63) & ~63ull; }

/* Bytes of a panel, into which a product unpacks two groups (kernels/body_panel.h): at most 19 vectors of 16
 * bytes per group and 32 columns. */
static inline uint64_t chord_panel_bytes(int64_t n) { return (uint64_t)n * 19; }

#endif
