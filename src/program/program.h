/* program.h: a model as data. An architecture file emits a flat array of fixed-size op records; the
 * CPU executor, the GPU executor and the float64 interpreter in tests/ all run the same array.
 *
 * A record names tensors, activation slots, caches and constants by index only: where a tensor lies, in which
 * layout and whether it is resident stands in the plan's tensor table (plan.h).
 *
 * A *slot* is a float matrix [rows][width], rows being the batch's tokens (CHORD_ROWS_BATCH) or its
 * output rows (CHORD_ROWS_OUTPUT). Ops run in order; all rows of an op are done before the next op. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_PROGRAM_PROGRAM_H
#define CHORD_PROGRAM_PROGRAM_H
#include <stdint.h>

#define CHORD_PROGRAM_VERSION 2
#define CHORD_NONE (-1)           /* no tensor, no slot, no cache, no layer */
#define CHORD_MAX_SLOTS 32
#define CHORD_MAX_ROPES 4
#define CHORD_OP_WEIGHTS 6

#define OP(NAME, name, number, traits, fields, text) CHORD_OP_##NAME = number,
enum {
#include "ops.def"
    CHORD_OP_KINDS                /* behind the last number */
};

/* What the planner and the executors ask of an op.
 * IN_PLACE: the op reads the old contents of out. READS_CACHE, WRITES_CACHE: of the cache that the record names. */
enum { CHORD_TRAIT_IN_PLACE = 1, CHORD_TRAIT_READS_CACHE = 2, CHORD_TRAIT_WRITES_CACHE = 4 };

/* Flags of a record. OUTPUT: t runs over the output rows. ADD: a MATMUL adds to out. GATHER: a norm reads the batch's
 * rows that give output. FINE: a MATMUL whose activations, where they are quantised at all, want 16 bits. */
enum { CHORD_FLAG_ADD = 1, CHORD_FLAG_GATHER = 2, CHORD_FLAG_OUTPUT = 4, CHORD_FLAG_FINE = 8 };
enum { CHORD_ACTIVATION_SILU = 1, CHORD_ACTIVATION_GELU = 2, CHORD_ACTIVATION_RELU = 3 };
enum { CHORD_ROPE_NORM = 0, CHORD_ROPE_NEOX = 1 };
enum { CHORD_ROWS_BATCH = 0, CHORD_ROWS_OUTPUT = 1 };

/* The parts: chord_op_embed and so on. */
#define INT(f) int32_t f;
#define INTS(f, n) int32_t f[n];
#define FLOAT(f) float f;
#define OP(NAME, name, number, traits, fields, text) typedef struct chord_op_##name { fields } chord_op_##name;
#include "ops.def"

/* A head common to all ops and the op's own part. */
typedef struct chord_op {
    int32_t kind;                 /* CHORD_OP_* */
    int32_t layer;                /* CHORD_NONE outside the layers */
    int32_t flags;                /* CHORD_FLAG_* */
    int32_t cache;                /* index into the program's caches, or CHORD_NONE */
    int32_t in[3], out[3];        /* slots, or CHORD_NONE */
    int32_t weight[CHORD_OP_WEIGHTS]; /* indices into the plan's tensor table, or CHORD_NONE */
    union {
        int32_t words[16];        /* room for parts to come */
#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, number, traits, fields, text) chord_op_##name name;
#include "ops.def"
    };
} chord_op;

/* An op's line in the list; NULL for an unknown kind. */
typedef struct chord_op_kind {
    const char *name;             /* "MATMUL" */
    int32_t traits;
} chord_op_kind;
const chord_op_kind *chord_op_kind_of(int32_t kind);

/* Does the op read what its out slots held before? */
static inline int chord_op_is_in_place(const chord_op *op)
{
    return (op->flags & CHORD_FLAG_ADD) || (chord_op_kind_of(op->kind)->traits & CHORD_TRAIT_IN_PLACE);
}

/* Angles: position p turns pair i by  p * factor * base^(-2 i / n_rot) / freqs[i]  (RoFormer,
 * arXiv 2104.09864; freqs: the tensor rope_freqs.weight of llama 3, CHORD_NONE for all ones);
 * cosine and sine are multiplied by `magnitude`. */
typedef struct chord_rope {
    int32_t style;                /* CHORD_ROPE_* */
    int32_t n_rot;                /* elements rotated in a head, even */
    int32_t freqs;                /* tensor or CHORD_NONE */
    int32_t slot;                 /* where ANGLES leaves the pairs */
    int32_t sections[3];          /* pairs that turn by each axis of a position, in order; all 0: the first axis */
    float base, factor, magnitude;
} chord_rope;

typedef struct chord_slot {
    int32_t width;                /* floats a row */
    int32_t rows;                 /* CHORD_ROWS_* */
} chord_slot;

/* Floats from one row of a slot to the next: rows start 64-byte aligned. */
static inline int64_t chord_slot_stride(const chord_slot *s) { return ((int64_t)s->width + 15) & ~15ll; }

/* What an architecture remembers of a sequence, as it declares it; where the bytes lie stands in the plan (plan.h). */
enum { CHORD_CACHE_PAGED = 0,     /* keys and values of every position */
       CHORD_CACHE_WINDOW = 1,    /* of the last `window` positions: older pages die */
       CHORD_CACHE_STATE = 2 };   /* a fixed number of floats a sequence */
typedef struct chord_cache_spec {
    int32_t kind;                 /* CHORD_CACHE_* */
    int32_t window;               /* WINDOW: a query sees keys at positions above its own - window */
    int32_t n_kv, k_dim, v_dim;   /* heads and their widths; v_dim 0: values are the first part of the keys (MLA) */
    int32_t n_state;              /* STATE: floats */
} chord_cache_spec;

typedef struct chord_program {
    int32_t version;
    int32_t n_ops, n_slots, n_ropes, n_caches;
    chord_op *ops;
    chord_cache_spec *caches;
    chord_slot slots[CHORD_MAX_SLOTS];
    chord_rope ropes[CHORD_MAX_ROPES];
    int32_t output_slot;          /* the slot that holds the output rows; its width is theirs (logits: n_vocab) */
} chord_program;

#endif
