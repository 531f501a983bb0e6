/* program.h: a model as data. An architecture file emits a flat array of fixed-size op records; the
 * CPU executor, the GPU executor and the float64 interpreter in tests/ all run the same array.
 *
 * A record names tensors, activation slots and constants by index only: where a tensor lies, in which
 * layout and whether it is resident stands in the plan's tensor table (plan.h).
 *
 * A *slot* is a float matrix [rows][width], rows being the batch's tokens (CHORD_ROWS_BATCH) or its
 * output rows (CHORD_ROWS_OUTPUT). Ops run in order; all rows of an op are done before the next op. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_PROGRAM_PROGRAM_H
#define CHORD_PROGRAM_PROGRAM_H
#include <stdint.h>

#define CHORD_PROGRAM_VERSION 1
#define CHORD_NONE (-1)           /* no tensor, no slot, no layer */
#define CHORD_MAX_SLOTS 16
#define CHORD_MAX_ROPES 4

/* X(name, number, what it computes; t runs over the rows of the op) */
#define CHORD_OP_LIST(X)                                                                            \
    X(EMBED, 1,    "out[t] = scale * row ids[t] of weight[0]")                                      \
    X(NORM, 2,     "out[t] = in[t] / sqrt(mean(in[t]^2) + eps) * weight[0]; GATHER: in[rows[t]]")   \
    X(MATMUL, 3,   "out[i][t] (+)= weight[i][row[i]..] in[t] + bias[i][row[i]..]; ADD adds to out") \
    X(HEAD_NORM, 4, "NORM over each of n_head heads of head_dim in place, weight[0] [head_dim]")    \
    X(ROPE, 5,     "rotate the first n_rot elements of each of n_head heads of out[0] in place")    \
    X(KV_STORE, 6, "in[0] -> K, in[1] -> V of `layer`, n_kv heads of head_dim, at the tokens' positions") \
    X(ATTEND, 7,   "out[0][t] = softmax(scale * q K^T) V; q = in[0], n_head heads over n_kv")       \
    X(GLU, 8,      "out[0][t] = act(in[0][t]) * in[1][t]")                                          \
    X(ADD, 9,      "out[0][t] += in[0][t]")                                                         \
    X(ANGLES, 10,  "cosines and sines of the tokens' positions for the constants `rope`")           \
    X(ACQUIRE, 11, "the weights of `layer` must be resident from here")                             \
    X(RELEASE, 12, "the weights of `layer` may go")

#define CHORD_OP_ENUM(name, number, text) CHORD_OP_##name = number,
enum { CHORD_OP_LIST(CHORD_OP_ENUM) };
#undef CHORD_OP_ENUM

enum { CHORD_FLAG_ADD = 1, CHORD_FLAG_GATHER = 2, CHORD_FLAG_OUTPUT = 4, CHORD_FLAG_FINE = 8 };
/* OUTPUT: t runs over the output rows. FINE: a MATMUL whose activations, where they are quantised at all, want 16 bits */
enum { CHORD_ACTIVATION_SILU = 1, CHORD_ACTIVATION_GELU = 2 };
enum { CHORD_ROPE_NORM = 0, CHORD_ROPE_NEOX = 1 };
enum { CHORD_ROWS_BATCH = 0, CHORD_ROWS_OUTPUT = 1 };

typedef struct chord_op {
    int32_t kind;                 /* CHORD_OP_* */
    int32_t layer;                /* CHORD_NONE outside the layers */
    int32_t flags;
    int32_t n_weights;            /* MATMUL: 1..3 */
    int32_t weight[3], bias[3];   /* indices into the plan's tensor table, or CHORD_NONE */
    int32_t in[2];                /* slots */
    int32_t out[3];
    int32_t row[3];               /* MATMUL: first row taken of weight[i] (fused matrices), a multiple of 4 */
    int32_t n_in, n_out[3];       /* elements a row */
    int32_t n_head, n_kv, head_dim;
    int32_t rope;                 /* ANGLES, ROPE: index into the program's rope constants */
    int32_t activation;           /* GLU: CHORD_ACTIVATION_* */
    int32_t window;               /* ATTEND: keys with position > query - window; 0: all before it */
    float eps, scale, softcap;    /* ATTEND: softcap 0 is none */
    int32_t reserved;
} chord_op;

/* Angles: position p turns pair i by  p * factor * base^(-2 i / n_rot) / freqs[i]  (RoFormer,
 * arXiv 2104.09864; freqs: the tensor rope_freqs.weight of llama 3, CHORD_NONE for all ones);
 * cosine and sine are multiplied by `magnitude`. */
typedef struct chord_rope {
    int32_t style;                /* CHORD_ROPE_* */
    int32_t n_rot;                /* elements rotated in a head, even */
    int32_t freqs;                /* tensor or CHORD_NONE */
    float base, factor, magnitude;
} chord_rope;

typedef struct chord_slot {
    int32_t width;                /* floats a row */
    int32_t rows;                 /* CHORD_ROWS_* */
} chord_slot;

/* Floats from one row of a slot to the next: rows start 64-byte aligned. */
static inline int64_t chord_slot_stride(const chord_slot *s) { return ((int64_t)s->width + 15) & ~15ll; }

typedef struct chord_program {
    int32_t version;
    int32_t n_ops, n_slots, n_ropes;
    chord_op *ops;
    chord_slot slots[CHORD_MAX_SLOTS];
    chord_rope ropes[CHORD_MAX_ROPES];
    int32_t logits_slot;          /* the slot that holds the output rows' logits */
} chord_program;

#endif
