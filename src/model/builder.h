/* builder.h: the functions for an architecture's file: typed reads of hyper-parameters, binding of tensors
 * by name, emission of op records. The first error is kept in `status`. After it every function does nothing
 * and returns a harmless value, so that an architecture needs no checks. chord_plan_program() returns
 * `status` at the end. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_MODEL_BUILDER_H
#define CHORD_MODEL_BUILDER_H
#include "../format/gguf.h"
#include "../program/plan.h"

/* The hyper-parameters that more than one room reads. Sizes in elements. */
typedef struct chord_hparams {
    int32_t n_vocab, n_embd, n_layer, n_head, n_kv, head_dim, n_ff, n_ctx_train;
    int32_t is_tied;
    float norm_eps;
} chord_hparams;

typedef struct chord_builder {
    const chord_gguf *gguf;
    chord_plan *plan;
    chord_hparams *hparams;
    chord_error *error;
    chord_status status;       /* OK, or the first error */
    const char *arch;          /* general.architecture */
    size_t n_arch;
    int32_t max_ops, max_caches; /* capacity of plan->program.ops and .caches */
} chord_builder;

typedef struct chord_arch {
    const char *name;
    void (*build)(chord_builder *b);
    const char *chat_template; /* for a file that has none (chat.c); NULL: too many families */
} chord_arch;

/* The architectures of this build (archs.def). An entry without a name ends the list. */
extern const chord_arch chord_archs[];
/* The names of chord_archs, for a message. */
extern const char *const chord_arch_names;
extern const char chord_chat_qwen2[], chord_chat_qwen3[], chord_chat_gemma3[];
/* Returns the architecture of that name in a list; NULL when it isn't there. */
const chord_arch *chord_arch_find(const chord_arch *archs, const char *name, size_t n);

/* ---- hyper-parameters: key "<arch>.<suffix>", of any integer or float type ------------------------ */
enum { CHORD_REQUIRED = INT32_MIN }; /* fallback of chord_read_int(): the key must be there */
/* Returns an integer from `least` to `most`. The fallback is checked too: it may depend on other keys of the
 * file. */
int32_t chord_read_int(chord_builder *b, const char *suffix, int32_t fallback, int32_t least, int32_t most);
/* Bounds of a number; `text` describes them in an error. No range includes an infinity or a NaN. */
typedef struct chord_range {
    double least, most;
    const char *text;
} chord_range;
#define CHORD_FINITE ((chord_range){ -3e38, 3e38, "a number from -3e38 to 3e38" })
/* Range of a norm's epsilon. With 0, a row of zeros has no norm (0 / 0). The minimum is the smallest normal
 * float, which no device flushes to 0. */
#define CHORD_EPSILON ((chord_range){ 0x1p-126, 3e38, "a number from 1.2e-38 to 3e38" })
/* Range of RoPE's base. Below 1, angles would grow from pair to pair, up to 1 / base per position. */
#define CHORD_ROPE_BASE ((chord_range){ 1, 3e38, "a number from 1 to 3e38" })
/* Returns a number within the range. The fallback is checked too; NaN: the key must be there. */
float chord_read_float(chord_builder *b, const char *suffix, float fallback, chord_range range);
/* Returns the integer under any key; `fallback` when the key is absent or holds something else. */
int64_t chord_read_whole(const chord_gguf *g, const char *key, int64_t fallback);
/* Returns whether the string value equals `text`. An absent key equals "". */
int chord_read_is(chord_builder *b, const char *suffix, const char *text);

/* Reads block_count, embedding_length, head counts and sizes, feed_forward_length, context_length and the
 * number of tokens into b->hparams, and checks each against its bounds. */
void chord_read_hparams(chord_builder *b);

/* ---- tensors -------------------------------------------------------------------------------------- */
/* LOOKUP: rows are looked up; the matrix stays in file order unless it is also multiplied. WIDE: a small
 * table that an op reads element by element, such as a convolution's weights; it is widened to floats, as
 * vectors are. */
enum { CHORD_OPTIONAL = 1, CHORD_LOOKUP = 2, CHORD_WIDE = 4 };
/* Returns the index of tensor `name` ("%d" is the layer), which must have the shape [n_cols, n_rows]; n_rows
 * 0: a vector of n_cols. Returns CHORD_NONE when the tensor is optional and absent. A tensor may be bound
 * more than once. */
int32_t chord_bind(chord_builder *b, const char *name, int32_t layer, int64_t n_cols, int64_t n_rows,
                   int32_t flags);
/* Marks a tensor that files may have and the program doesn't use. `reason` is for readers of the code. */
void chord_skip(chord_builder *b, const char *name, int32_t layer, const char *reason);

/* ---- program -------------------------------------------------------------------------------------- */
int32_t chord_slot_new(chord_builder *b, int32_t width, int32_t rows);
/* Declares RoPE constants, and emits the op that fills their table. Called before the layers are emitted. */
int32_t chord_rope_new(chord_builder *b, chord_rope rope);
/* Declares a cache and returns its index for the ops that use it. */
int32_t chord_cache_new(chord_builder *b, chord_cache_spec spec);
/* Appends a record with every index CHORD_NONE. The pointer is valid until the next call, and never NULL. */
chord_op *chord_emit(chord_builder *b, int32_t kind, int32_t layer);

/* ---- blocks.c: the parts that most transformers have in common, made of chord_emit() ----------------- */

/* x is the residual stream, h a normed copy of x. gate also holds the feed-forward's product. */
typedef struct chord_slots {
    int32_t x, h, q, k, v, attn, gate, up, last, logits;
} chord_slots;
chord_slots chord_slots_new(chord_builder *b);

/* Reads the RoPE constants of the model: the keys rope.dimension_count, rope.freq_base and
 * rope.scaling.* (linear only), and the tensor rope_freqs.weight. */
int32_t chord_rope_read(chord_builder *b, int32_t style);

/* x = embeddings of the tokens * scale. */
void chord_emit_embed(chord_builder *b, int32_t x, float scale);
/* RMS norm over n_embd; `weight` is the tensor's name. `out` may equal `in`. */
void chord_emit_norm(chord_builder *b, int32_t layer, int32_t in, int32_t out, const char *weight);
/* Multiplies one input with n matrices, 1 to 3. `row` is the matrix's first row in a fused matrix. */
typedef struct chord_matrix {
    int32_t weight, bias, out, n_out, row;
} chord_matrix;
chord_op *chord_emit_matmul(chord_builder *b, int32_t layer, int32_t in, int32_t n_in, int32_t n,
                            const chord_matrix *m);
/* out = <stem>.weight * in + <stem>.bias if the file has it. CHORD_FLAG_ADD adds the result to out. */
void chord_emit_linear(chord_builder *b, int32_t layer, const char *stem, int32_t in, int32_t n_in,
                       int32_t out, int32_t n_out, int32_t flags);
/* h -> q, k, v by attn_q, attn_k, attn_v with optional biases, or by one fused attn_qkv, which a file of any
 * architecture may have (its rows: queries, keys, values). */
void chord_emit_qkv(chord_builder *b, int32_t layer, const chord_slots *s);
/* RMS norm of each head of a slot (QK norm, arXiv 2010.04245). */
void chord_emit_head_norm(chord_builder *b, int32_t layer, int32_t slot, int32_t n_head, const char *weight);
/* Rotates q and k, stores k and v, attends: q, k, v -> attn. */
typedef struct chord_attention {
    int32_t rope, cache;       /* indices */
    int32_t is_shared;         /* 1: another layer stored the keys and values; slots k and v aren't read */
    int32_t n_head, n_kv, head_dim;
    float scale, softcap;      /* softcap 0: none */
} chord_attention;
/* Attention with the model's heads over a new cache. A query sees all keys up to its own position, or the
 * last `window` of them (0: no window). */
chord_attention chord_attention_new(chord_builder *b, int32_t rope, int32_t window, float scale);
void chord_emit_attention(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a);
/* h -> gate: act(ffn_gate h) * (ffn_up h). */
void chord_emit_glu(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation);
/* out += in, n_embd wide. */
void chord_emit_add(chord_builder *b, int32_t layer, int32_t in, int32_t out);
/* The layers of a llama-like model, ACQUIRE and RELEASE included: norm, attention without a window, norm,
 * SwiGLU. Each half is added to x. */
enum { CHORD_QK_NORM = 1 };   /* queries and keys have a norm over each head */
void chord_emit_layers(chord_builder *b, const chord_slots *s, int32_t rope, int32_t flags);
/* Final norm of the output rows, then output.weight; the embedding matrix if output.weight is absent. */
void chord_emit_output(chord_builder *b, const chord_slots *s);

/* Sets b->status and the error's text, "`what` 'name'", unless an earlier error is set. */
void chord_build_fail(chord_builder *b, chord_status status, const char *what, const char *name,
                      size_t n_name);

#endif
