/* builder.h: what an architecture file works with: typed reads of hyper-parameters, binding of tensors
 * by name, emission of op records. Every helper notes the first fault and the rest become no-ops that
 * return harmless values, so an architecture reads top to bottom without a check on each line;
 * chord_build() looks at the fault once at the end. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_MODEL_BUILDER_H
#define CHORD_MODEL_BUILDER_H
#include "../format/gguf.h"
#include "../program/plan.h"

/* The hyper-parameters that more than one room looks at. Sizes in elements. */
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
    chord_status status;       /* OK, or the first fault */
    const char *arch;          /* general.architecture */
    size_t n_arch;
    int32_t max_ops, max_caches; /* room at plan->program.ops and .caches */
} chord_builder;

typedef struct chord_arch {
    const char *name;
    void (*build)(chord_builder *b);
} chord_arch;

/* The architectures of this build (archs.def); the last one has no name. */
extern const chord_arch chord_archs[];
/* The architecture of that name in such a list, NULL when it isn't there. */
const chord_arch *chord_arch_find(const chord_arch *archs, const char *name, size_t n);

/* ---- hyper-parameters: key "<arch>.<suffix>", of any integer or float type ------------------------ */
enum { CHORD_REQUIRED = INT32_MIN }; /* as the default of chord_read_int: absence is a fault */
/* A fallback may be derived from other keys of the file: it is checked against the range as a value is. */
int32_t chord_read_int(chord_builder *b, const char *suffix, int32_t fallback, int32_t least, int32_t most);
/* What a number may be; `text` is what an error says is needed. No range holds an infinity or a NaN. */
typedef struct chord_range { double least, most; const char *text; } chord_range;
#define CHORD_FINITE ((chord_range){ -3e38, 3e38, "a finite number" })
/* A norm's: without it a row of zeros has no norm (0 / 0). The least normal float: no device takes it for 0. */
#define CHORD_EPSILON ((chord_range){ 0x1p-126, 3e38, "a number above 0" })
/* RoPE's: below 1 the turns grow from pair to pair, up to 1 / base a position, and lose their meaning. */
#define CHORD_ROPE_BASE ((chord_range){ 1, 3e38, "a number of at least 1" })
/* fallback NaN: required. It is checked against the range as a value is. */
float chord_read_float(chord_builder *b, const char *suffix, float fallback, chord_range range);
/* The whole number under any key, or `fallback` where the key is absent or holds something else. */
int64_t chord_read_whole(const chord_gguf *g, const char *key, int64_t fallback);
/* Does the string value equal `text`? An absent key equals "". */
int chord_read_is(chord_builder *b, const char *suffix, const char *text);

/* block_count, embedding_length, head counts and sizes, feed_forward_length, context_length and the
 * number of tokens into b->hparams, each checked against limits.h. */
void chord_read_hparams(chord_builder *b);

/* ---- tensors -------------------------------------------------------------------------------------- */
/* LOOKUP: rows are looked up, the matrix stays plain unless it is also multiplied. WIDE: a small table that an op reads
 * element by element (the kernels of a convolution): widened to floats, as vectors are. */
enum { CHORD_OPTIONAL = 1, CHORD_LOOKUP = 2, CHORD_WIDE = 4 };
/* Index of tensor `name` ("%d" is the layer), which must have the shape [n_cols, n_rows]; n_rows 0: a
 * vector of n_cols. CHORD_NONE when absent and optional. May be called again for a second use. */
int32_t chord_bind(chord_builder *b, const char *name, int32_t layer, int64_t n_cols, int64_t n_rows, int32_t flags);
/* Tensors of that name are in files but not used here; `reason` is for readers. */
void chord_skip(chord_builder *b, const char *name, int32_t layer, const char *reason);

/* ---- program -------------------------------------------------------------------------------------- */
int32_t chord_slot_new(chord_builder *b, int32_t width, int32_t rows);
/* Also emits the op that fills its table; before the layers. */
int32_t chord_rope_new(chord_builder *b, chord_rope rope);
/* Declare a cache; the ops that use it name the index. */
int32_t chord_cache_new(chord_builder *b, chord_cache_spec spec);
/* Append a record with every index CHORD_NONE; the pointer holds until the next call. Never NULL. */
chord_op *chord_emit(chord_builder *b, int32_t kind, int32_t layer);

/* ---- blocks: what most transformers are made of, in terms of chord_emit (blocks.c) ------------------- */

/* x is the residual stream, h a normed copy of it; gate is also the feed-forward's product. */
typedef struct chord_slots { int32_t x, h, q, k, v, attn, gate, up, last, logits; } chord_slots;
chord_slots chord_slots_new(chord_builder *b);

/* Rope constants of the whole model under the usual keys: rope.dimension_count, rope.freq_base, rope.scaling.*
 * (linear is all that is known) and the tensor rope_freqs.weight. */
int32_t chord_rope_read(chord_builder *b, int32_t style);

/* Tokens into x, times `scale`. */
void chord_emit_embed(chord_builder *b, int32_t x, float scale);
/* RMS norm over n_embd; `weight` is the tensor's name. out may be in. */
void chord_emit_norm(chord_builder *b, int32_t layer, int32_t in, int32_t out, const char *weight);
/* One to three matrices of one input; ends at the first weight CHORD_NONE. */
typedef struct chord_matrix { int32_t weight, bias, out, n_out, row; } chord_matrix; /* row: first one taken of a fused matrix */
chord_op *chord_emit_matmul(chord_builder *b, int32_t layer, int32_t in, int32_t n_in, int32_t n, const chord_matrix *m);
/* <stem>.weight, <stem>.bias where the file has one: in -> out, added to out with CHORD_FLAG_ADD. */
void chord_emit_linear(chord_builder *b, int32_t layer, const char *stem, int32_t in, int32_t n_in, int32_t out, int32_t n_out, int32_t flags);
/* h -> q, k, v: attn_q, attn_k, attn_v with optional biases, or one fused attn_qkv, which any
 * architecture may carry (its rows: queries, keys, values). */
void chord_emit_qkv(chord_builder *b, int32_t layer, const chord_slots *s);
/* RMS norm of each head of a slot (QK norm, arXiv 2010.04245). */
void chord_emit_head_norm(chord_builder *b, int32_t layer, int32_t slot, int32_t n_head, const char *weight);
/* Rotate q and k, store k and v, attend: q, k, v -> attn. */
typedef struct chord_attention {
    int32_t rope, cache;       /* indices */
    int32_t is_shared;         /* 1: another layer stored the keys and values; k and v aren't looked at */
    int32_t n_head, n_kv, head_dim;
    float scale, softcap;      /* softcap 0: none */
} chord_attention;
/* The model's heads over a cache of its own: all keys before the query, or a window of them (0: none). */
chord_attention chord_attention_new(chord_builder *b, int32_t rope, int32_t window, float scale);
void chord_emit_attention(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a);
/* h -> gate: act(ffn_gate h) * (ffn_up h). */
void chord_emit_glu(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation);
/* out += in, n_embd wide */
void chord_emit_add(chord_builder *b, int32_t layer, int32_t in, int32_t out);
/* The layers of a llama-like model, ACQUIRE and RELEASE included: norm, attention over all keys before the
 * query, norm, SwiGLU, each half added to x. */
enum { CHORD_QK_NORM = 1 };   /* queries and keys have a norm over each head */
void chord_emit_layers(chord_builder *b, const chord_slots *s, int32_t rope, int32_t flags);
/* Final norm on the output rows, then output.weight, or the embedding matrix where that is absent. */
void chord_emit_output(chord_builder *b, const chord_slots *s);

/* A fault that names its cause; the first one is kept. */
void chord_build_fail(chord_builder *b, chord_status status, const char *what, const char *name, size_t n_name);

#endif
