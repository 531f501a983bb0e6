/* program.h: a model as data. An architecture file emits a flat array of fixed-size op records. The CPU
 * executor and the float64 interpreter in tests/ run the same array; a GPU executor will, too.
 *
 * A record names tensors, slots, caches and constants by index only. The plan's tensor table (plan.h) holds
 * the place of a tensor, its layout, and whether it is resident.
 *
 * A *slot* is a float matrix [rows][width]. Its rows are the batch's tokens (CHORD_ROWS_BATCH) or the
 * batch's output rows (CHORD_ROWS_OUTPUT). Ops run in order: all rows of an op are done before the next op
 * starts. */
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
    CHORD_OP_KINDS                /* the last number + 1 */
};

/* IN_PLACE: the op reads the old contents of its out slots. READS_CACHE, WRITES_CACHE: the op reads or
 * writes the cache that its record names. */
enum { CHORD_TRAIT_IN_PLACE = 1, CHORD_TRAIT_READS_CACHE = 2, CHORD_TRAIT_WRITES_CACHE = 4 };

/* Flags of a record. OUTPUT: t runs over the output rows. ADD: a MATMUL adds to out. GATHER: a norm reads
 * the batch's rows that have an output row. FINE: if a MATMUL quantises its activations, it quantises them
 * to 16 bits. POOLED: t runs over the output rows of a batch of texts, of which there may be n_batch. */
enum {
    CHORD_FLAG_ADD = 1,
    CHORD_FLAG_GATHER = 2,
    CHORD_FLAG_OUTPUT = 4,
    CHORD_FLAG_FINE = 8,
    CHORD_FLAG_POOLED = 16
};
enum {
    CHORD_ACTIVATION_SILU = 1,
    CHORD_ACTIVATION_GELU = 2, /* the form with tanh */
    CHORD_ACTIVATION_RELU = 3,
    CHORD_ACTIVATION_RELU_SQUARED = 4,
    CHORD_ACTIVATION_SIGMOID = 5, /* 1 / (1 + exp(-x)) */
    /* of a GLU alone, gpt-oss: x / (1 + exp(-1.702 x)) * (y + 1), x = min(gate, 7), y = up from -7 to 7 */
    CHORD_ACTIVATION_SWIGLU_OAI = 6,
    CHORD_ACTIVATION_NONE = 7 /* of a GLU alone: gate * up */
};
/* What ROUTE makes of the logits. SOFTMAX: the probabilities of all experts. SIGMOID: of each by itself.
 * CHOSEN: the choice is by logits, the softmax over the chosen ones. */
enum { CHORD_GATING_SOFTMAX = 1, CHORD_GATING_SIGMOID = 2, CHORD_GATING_CHOSEN = 3 };
enum { CHORD_MAX_EXPERTS = 1024, CHORD_MAX_EXPERTS_USED = 32 };
enum { CHORD_ROPE_NORM = 0, CHORD_ROPE_NEOX = 1 };
enum { CHORD_ROWS_BATCH = 0, CHORD_ROWS_OUTPUT = 1 };

/* The ops' own parts: chord_op_embed and so on. */
#define INT(f) int32_t f;
#define INTS(f, n) int32_t f[n];
#define FLOAT(f) float f;
#define OP(NAME, name, number, traits, fields, text) \
    typedef struct chord_op_##name {                 \
        fields                                       \
    } chord_op_##name;
#include "ops.def"

/* A record: a head common to all ops, and the op's own part. */
typedef struct chord_op {
    int32_t kind; /* CHORD_OP_* */
    int32_t layer; /* CHORD_NONE outside the layers */
    int32_t flags; /* CHORD_FLAG_* */
    int32_t cache; /* index into the program's caches, or CHORD_NONE */
    int32_t in[3], out[3]; /* slots, or CHORD_NONE */
    int32_t weight[CHORD_OP_WEIGHTS]; /* indices into the plan's tensor table, or CHORD_NONE */
    union {
        int32_t words[16]; /* the size of the largest part that may come */
#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, number, traits, fields, text) chord_op_##name name;
#include "ops.def"
    };
} chord_op;

/* An op's entry in the list. chord_op_kind_of() returns NULL for an unknown kind. */
typedef struct chord_op_kind {
    const char *name; /* "MATMUL" */
    int32_t traits;
} chord_op_kind;
const chord_op_kind *chord_op_kind_of(int32_t kind);

/* Returns whether the op reads the old contents of its out slots. */
int chord_op_is_in_place(const chord_op *op);

/* Rotary angles (RoFormer, arXiv 2104.09864). Position p rotates pair i by
 *   p * base^(-2 i / n_rot) / freqs[i] * scale_i
 * freqs is the tensor rope_freqs.weight (llama 3) or rope_factors_short.weight (LongRoPE, arXiv 2402.13753);
 * CHORD_NONE: all ones. With a context above n_ctx_orig, freqs_long takes the place of freqs (n_ctx_orig 0:
 * never).
 * scale_i is `factor`. With YaRN (arXiv 2309.00071) it goes from 1 to `factor` as i goes from the pair that
 * turns beta_fast times within n_ctx_orig positions to the one that turns beta_slow times. Cosine and sine
 * are multiplied by `magnitude`. */
typedef struct chord_rope {
    int32_t style; /* CHORD_ROPE_* */
    int32_t n_rot; /* elements of a head that are rotated, even */
    int32_t freqs, freqs_long; /* tensors or CHORD_NONE */
    int32_t n_ctx_orig; /* positions of the training before the context was extended */
    int32_t is_yarn;
    float beta_fast, beta_slow;
    int32_t slot; /* slot to which ANGLES writes the pairs of cosine and sine */
    int32_t sections[3]; /* pairs per axis of a position, in order; all 0: the first axis for all */
    /* 1: pair i has axis j % 3, j = i % (the sum of sections); from j = 3 * sections[j % 3] on it stands
     * still */
    int32_t is_interleaved;
    float base, factor, magnitude;
} chord_rope;

/* Returns j of is_interleaved: the place of a pair among the sections, which begin again behind the last. */
static inline int32_t chord_rope_place(const chord_rope *r, int32_t pair)
{
    int32_t const sum = r->sections[0] + r->sections[1] + r->sections[2];
    return sum > 0 ? pair % sum : pair;
}

typedef struct chord_slot {
    int32_t width; /* floats per row */
    int32_t rows; /* CHORD_ROWS_* */
} chord_slot;

/* Returns the floats from one row of a slot to the next. Rows are 64-byte aligned. */
static inline int64_t chord_slot_stride(const chord_slot *s) { return ((int64_t)s->width + 15) & ~15ll; }

/* A cache as an architecture declares it. The plan holds its place (chord_cache in plan.h). */
enum {
    CHORD_CACHE_PAGED = 0, /* keys and values of every position */
    CHORD_CACHE_WINDOW = 1, /* keys and values of the last `window` positions; older pages may die */
    CHORD_CACHE_STATE = 2 /* a fixed number of floats per sequence */
};
typedef struct chord_cache_spec {
    int32_t kind; /* CHORD_CACHE_* */
    int32_t window; /* WINDOW: a query sees keys at positions above its own - window */
    int32_t n_kv, k_dim, v_dim; /* heads and their widths; v_dim 0: values are the start of the keys */
    int32_t n_state; /* STATE: its floats */
} chord_cache_spec;

/* Ops [0, n_ops) compute logits. For embeddings, ops [0, n_body) are followed by [n_ops, n_pooled), and by
 * [n_pooled, n_all) if the pooling is RANK. An encoder has no logits: n_body is n_ops. */
typedef struct chord_program {
    int32_t version;
    int32_t n_ops, n_slots, n_ropes, n_caches;
    int32_t n_body, n_pooled, n_all;
    int32_t is_encoder;
    int32_t pooling; /* CHORD_POOLING_* that the file names, or the default */
    int32_t n_labels; /* outputs of the classifier of RANK; 0: there is none */
    int32_t is_softmax; /* 1: the outputs of RANK are the softmax of the classifier's */
    int32_t pooled_slot,
        rank_slot; /* slots that hold embeddings, CHORD_NONE: the model has none; and labels */
    chord_op *ops;
    chord_cache_spec *caches;
    chord_slot slots[CHORD_MAX_SLOTS];
    chord_rope ropes[CHORD_MAX_ROPES];
    int32_t output_slot; /* slot that holds the output rows, of its width (logits: n_vocab) */
} chord_program;

#endif
