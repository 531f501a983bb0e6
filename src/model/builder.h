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
    int32_t v_dim; /* of a value: head_dim, except where b->is_latent */
    float norm_eps;
} chord_hparams;

typedef struct chord_builder {
    const chord_gguf *gguf;
    chord_plan *plan;
    chord_hparams *hparams;
    chord_error *error;
    chord_status status;       /* OK, or the first error */
    const struct chord_family *family; /* the architecture's row of families.def; NULL: it has a file */
    const char *arch;          /* general.architecture */
    size_t n_arch;
    int32_t encoded; /* of an encoder: the slot that the last layer wrote; CHORD_NONE: a decoder */
    int32_t max_ops, max_caches; /* capacity of plan->program.ops and .caches */
    int32_t has_scales; /* the file has tensors <matrix>.scale */
    int32_t n_scaled; /* so many records have theirs (scales.c) */
    int32_t scaled; /* a slot for products that are scaled and then added; 0: none yet */
    int32_t is_by_layer; /* n_head, n_kv and n_ff may differ from layer to layer (chord_read_layer()) */
    int32_t is_latent;   /* values may have another width than keys (latent.c) */
} chord_builder;

typedef struct chord_arch {
    const char *name;
    void (*build)(chord_builder *b);
    const char *chat_template; /* for a file that has none (chat.c); NULL: too many families */
    const struct chord_family *family; /* for dense.c; NULL: the architecture has a file of its own */
} chord_arch;

/* The architectures of this build (archs.def, families.def). An entry without a name ends the list. */
extern const chord_arch chord_archs[];
extern const char chord_chat_qwen2[], chord_chat_qwen3[], chord_chat_gemma3[];
/* Returns the architecture of that name in a list; NULL when it isn't there. */
const chord_arch *chord_arch_find(const chord_arch *archs, const char *name, size_t n);

/* ---- hyper-parameters: key "<arch>.<suffix>", of any integer or float type ------------------------ */
enum { CHORD_REQUIRED = INT32_MIN }; /* fallback of chord_read_int(): the key must be there */
/* Returns an integer from `least` to `most`. The fallback is checked too: it may depend on other keys of the
 * file. */
int32_t chord_read_int(chord_builder *b, const char *suffix, int32_t fallback, int32_t least, int32_t most);
/* The same for a key that may hold an array: the integer (or bool) of one layer. */
int32_t chord_read_int_at(chord_builder *b, const char *suffix, int32_t layer, int32_t fallback,
                          int32_t least, int32_t most);
/* The same for a key that holds 0 for the layers that don't use it: returns the largest integer. */
int32_t chord_read_int_used(chord_builder *b, const char *suffix, int32_t fallback, int32_t most);
/* Returns the largest integer of a key that holds one for all layers, or an array of one for each. An array
 * of another length is an error. */
int32_t chord_read_most(chord_builder *b, const char *suffix, int32_t fallback, int32_t least, int32_t most);
/* Returns whether the key is there and holds an array. */
int chord_read_is_array(chord_builder *b, const char *suffix);
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
/* Returns 1 / value. A value whose inverse isn't a finite number is an error that names the key. */
float chord_inverse_of(chord_builder *b, float value, const char *key);
/* Returns a layer's number under a key without the architecture's name. The key holds one number, or an
 * array of one for each layer. */
float chord_read_key_at(chord_builder *b, const char *key, int32_t layer);
/* Returns the integer under any key; `fallback` when the key is absent or holds something else. */
int64_t chord_read_whole(const chord_gguf *g, const char *key, int64_t fallback);
/* Returns whether the string value equals `text`. An absent key equals "". */
int chord_read_is(chord_builder *b, const char *suffix, const char *text);

/* Returns how many values an array has, 1 to `most`; `fallback` when there is no array under the key. */
int64_t chord_read_count(chord_builder *b, const char *suffix, int64_t fallback, int64_t most);
int chord_arch_is(const chord_builder *b, const char *name);

/* Reads block_count, embedding_length, head counts and sizes, feed_forward_length, context_length and the
 * number of tokens into b->hparams, and checks each against its bounds. With is_by_layer, n_head, n_kv and
 * n_ff are the largest of all layers, for the widths of slots. */
void chord_read_hparams(chord_builder *b);
/* The same, and the norms' epsilon, whose key is `epsilon`, for a model some of whose layers have no
 * attention or no feed-forward: their numbers are 0. n_head, n_kv and n_ff are 0 when no layer has any;
 * head_dim is then unknown. n_layer doesn't count the blocks of nextn_predict_layers, which come last. */
void chord_read_hybrid(chord_builder *b, const char *epsilon);
/* Fails when no layer has attention. */
void chord_need_attention(chord_builder *b);
/* Sets n_head, n_kv and n_ff in b->hparams to the layer's. */
void chord_read_layer(chord_builder *b, int32_t layer);
/* The same for n_head and n_kv of a hybrid's layer; CHORD_NONE: the largest of all layers again. Returns
 * n_kv; 0: the layer has no attention. */
int32_t chord_read_layer_heads(chord_builder *b, int32_t layer);

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
/* Returns whether the file has the tensor. */
int chord_has(const chord_builder *b, const char *name, int32_t layer);
/* Returns the tensor's rows; 0: the file lacks it. */
int64_t chord_rows_of(const chord_builder *b, const char *name, int32_t layer);
/* Binds the tensor `stem` + `suffix`, such as "blk.%d.attn_q" and ".bias". */
int32_t chord_bind_part(chord_builder *b, int32_t layer, const char *stem, const char *suffix, int64_t n_cols,
                        int64_t n_rows, int32_t flags);
/* Marks a tensor that files may have and the program doesn't use. `reason` is for readers of the code. */
void chord_skip(chord_builder *b, const char *name, int32_t layer, const char *reason);

/* The same for all tensors of a block. */
void chord_skip_block(chord_builder *b, int32_t layer, const char *reason);

/* ---- program -------------------------------------------------------------------------------------- */
int32_t chord_slot_new(chord_builder *b, int32_t width, int32_t rows);
/* Declares RoPE constants, and emits the op that fills their table. Called before the layers are emitted. */
int32_t chord_rope_new(chord_builder *b, chord_rope rope);
/* Declares a cache and returns its index for the ops that use it. */
int32_t chord_cache_new(chord_builder *b, chord_cache_spec spec);
/* Appends a record with every index CHORD_NONE. The pointer is valid until the next call, and never NULL. */
chord_op *chord_emit(chord_builder *b, int32_t kind, int32_t layer);

/* ---- scales.c ----------------------------------------------------------------------------------------- */

/* Emits what the last record needs, if it is a product of matrices with scales. chord_emit() does it before
 * the next record, when the product's flags are set. */
void chord_emit_scales(chord_builder *b);
/* Returns whether the tensor's name ends so. */
int chord_ends_with(const chord_tensor *t, const char *end);

/* ---- blocks.c: the parts that most transformers have in common, made of chord_emit() ----------------- */

/* x is the residual stream, h a normed copy of x. gate also holds the feed-forward's product. */
typedef struct chord_slots {
    int32_t x, h, q, k, v, attn, gate, up, last, logits;
} chord_slots;
chord_slots chord_slots_new(chord_builder *b);

/* Reads the RoPE constants of the model: the keys rope.dimension_count, rope.freq_base and rope.scaling.*
 * (linear, yarn, longrope), and the tensors rope_freqs, rope_factors_short and rope_factors_long. */
chord_rope chord_rope_of(chord_builder *b, int32_t style);
/* The magnitude of YaRN for a context extended `factor` times; log_multiplier 0: the key isn't there. */
float chord_yarn_magnitude(float factor, float log_multiplier);

/* out = the convolution of in, `width` channels wide, over `kernel` tokens, with a new state; its tensors
 * are <stem>.weight and <stem>.bias if the file has it. */
void chord_emit_conv(chord_builder *b, int32_t layer, const char *stem, int32_t in, int32_t out,
                     int32_t width, int32_t kernel);
/* out = activation(gate) * up; `out` may equal either. */
void chord_emit_glu_of(chord_builder *b, int32_t layer, int32_t gate, int32_t up, int32_t out, int32_t width,
                       int32_t activation);

/* x = embeddings of the tokens * scale. */
void chord_emit_embed(chord_builder *b, int32_t x, float scale);
/* A norm over `width`; its tensors are <stem>.weight and, of a LAYER norm, <stem>.bias if the file has it.
 * `out` may equal `in`. */
enum { CHORD_NORM_RMS = 0, CHORD_NORM_LAYER = 1, CHORD_NORM_BARE = 2 /* LAYER without tensors */ };
chord_op *chord_emit_norm_of(chord_builder *b, int32_t layer, int32_t kind, int32_t width, int32_t in,
                             int32_t out, const char *stem);
/* RMS norm over n_embd; its tensor is <stem>.weight. `out` may equal `in`. */
void chord_emit_norm(chord_builder *b, int32_t layer, int32_t in, int32_t out, const char *stem);
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
/* The same for n_q rows of queries and n_k of keys and of values. */
void chord_emit_qkv_of(chord_builder *b, int32_t layer, const chord_slots *s, int32_t n_q, int32_t n_k);
/* RMS norm of each head of a slot (QK norm, arXiv 2010.04245). */
void chord_emit_head_norm(chord_builder *b, int32_t layer, int32_t slot, int32_t n_head, const char *weight);
/* Rotates q and k, stores k and v (k alone, if the cache's values are the first part of its keys), attends:
 * q, k, v -> attn. */
typedef struct chord_attention {
    int32_t rope, cache; /* indices; rope CHORD_NONE: positions aren't encoded in this layer */
    int32_t is_shared; /* 1: another layer stored the keys and values; slots k and v aren't read */
    int32_t n_head, n_kv, head_dim, v_dim; /* head_dim: of queries and keys */
    int32_t first; /* the elements of a head before those that RoPE turns */
    float scale, softcap; /* softcap 0: none */
    int32_t window; /* of an encoder */
} chord_attention;
/* Attention with the model's heads over a new cache. A query sees all keys up to its own position, or the
 * last `window` of them (0: no window). */
chord_attention chord_attention_new(chord_builder *b, int32_t rope, int32_t window, float scale);
void chord_emit_attention(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a);
/* The parts of chord_emit_attention(), for a family that does something between them. */
void chord_emit_rope(chord_builder *b, int32_t layer, const chord_attention *a, int32_t slot, int32_t n_head);
chord_op *chord_emit_attend(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a);
/* Queries grow with the position (LOG_SCALE). */
void chord_emit_log_scale(chord_builder *b, int32_t layer, int32_t q, const chord_attention *a, float factor,
                          int32_t period);
/* h -> gate, up: ffn_gate h, ffn_up h. */
void chord_emit_gate_up(chord_builder *b, int32_t layer, const chord_slots *s);
/* h -> gate: act(ffn_gate h) * (ffn_up h). */
void chord_emit_glu(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation);
/* The same, where ffn_up holds the gate's rows and then its own. */
void chord_emit_fused_glu(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation);
/* gate = act(gate) * up. */
void chord_emit_act(chord_builder *b, int32_t layer, const chord_slots *s, int32_t activation);
/* An encoder's attention, q, k, v -> attn: rows see each other in both directions, at most window / 2 apart
 * (0: any distance). RoPE first, if `rope` isn't CHORD_NONE. */
chord_op *chord_emit_encode(chord_builder *b, int32_t layer, const chord_slots *s, const chord_attention *a);
/* x += row `row` of a table with n_rows rows; row CHORD_NONE: that of the position. */
void chord_emit_add_row(chord_builder *b, int32_t x, const char *table, int64_t n_rows, int32_t row);
/* Ends every program, after the builder: pooling, and the classifier if the file has one (embeddings.c). */
void chord_emit_embeddings(chord_builder *b);
/* out += in, n_embd wide. */
void chord_emit_add(chord_builder *b, int32_t layer, int32_t in, int32_t out);
/* out = activation(out) */
void chord_emit_activate(chord_builder *b, int32_t layer, int32_t out, int32_t width, int32_t activation);
/* out = cap * tanh(out / cap) */
chord_op *chord_emit_softcap(chord_builder *b, int32_t layer, int32_t out, int32_t width, float cap);
/* out = n_first elements of `first`, and n_second of `second` behind them */
void chord_emit_join(chord_builder *b, int32_t layer, int32_t out, int32_t first, int32_t n_first,
                     int32_t second, int32_t n_second);
/* out = SCAN of `in` with the steps softplus(step + ssm_dt.bias), the decay ssm_a, ssm_d unless is_delta,
 * and a new state. `gates`: in[2], or CHORD_NONE. */
void chord_emit_scan(chord_builder *b, int32_t layer, int32_t in, int32_t step, int32_t gates, int32_t out,
                     chord_op_scan scan);
/* A STATE of n floats. */
int32_t chord_state_new(chord_builder *b, int32_t n);
/* last -> logits: output.weight; the embedding matrix if output.weight is absent. */
void chord_emit_logits(chord_builder *b, const chord_slots *s);
/* The norm of the output rows of x, whose tensors are those of <stem>, and the logits of it. */
void chord_emit_end(chord_builder *b, const chord_slots *s, int32_t kind, const char *stem);
/* out *= factor, `width` wide; nothing for a factor of 1. Returns the record, or NULL. */
chord_op *chord_emit_scale(chord_builder *b, int32_t layer, int32_t out, int32_t width, float factor);

/* ---- moe.c: mixtures of experts ---------------------------------------------------------------------- */

typedef struct chord_mixture {
    int32_t n_expert, n_used;  /* n_expert 0: the model has no mixtures */
    int32_t n_groups, n_groups_used, gating, is_normalised; /* as ROUTE has them */
    float scale;
    int32_t first;             /* the layers before it have plain feed-forwards */
    int32_t n_ff, n_shared_ff; /* n_shared_ff 0: no shared expert */
    int32_t activation, has_gate; /* has_gate: the shared expert is multiplied by a number per token */
    int32_t is_plain;          /* experts are up, activation, down */
    int32_t logits, chosen, gate, up, out; /* slots */
    int32_t shared_gate, shared_up, shared_out, weight; /* slots of the shared expert */
} chord_mixture;
/* Reads the keys of mixtures, with the CHORD_MIX_* among `flags`, and makes the slots. */
chord_mixture chord_mixture_read(chord_builder *b, uint64_t flags, int32_t activation);
/* `in` -> the chosen experts and their weights. */
void chord_emit_router(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in);
/* `in` -> `out`, behind chord_emit_router(): the sum of the chosen experts and of the shared one. `out` may
 * be `in`. CHORD_FLAG_ADD: it is added to out. */
void chord_emit_mixture(chord_builder *b, int32_t layer, const chord_mixture *m, int32_t in, int32_t out,
                        int32_t flags);
/* Binds <stem>.weight, a stack of n matrices: [n_cols, n_rows, n]. */
int32_t chord_bind_stack(chord_builder *b, int32_t layer, const char *stem, int32_t n, int64_t n_cols,
                         int64_t n_rows);

/* ---- latent.c: multi-head latent attention (DeepSeek V2, arXiv 2405.04434) ---------------------------- */

typedef struct chord_latent {
    int32_t is_absorbed; /* the cache has the latent vector; else keys and values of each head */
    int32_t q_rank, rank; /* widths of the latent vectors of queries (0: none) and of keys and values */
    int32_t nope, rot, v_dim; /* of a head: elements of its key without and with RoPE, and of its value */
    int32_t period; /* of chord_emit_log_scale() */
    float temperature; /* 0: none */
    int32_t low, wide, latent, part; /* slots */
    int32_t out; /* the slot that chord_emit_latent() writes, n_head * v_dim wide */
} chord_latent;
/* Reads the keys that chord_read_hparams() hasn't read, and checks all of them. */
chord_latent chord_latent_read(chord_builder *b);
/* DeepSeek's scale of scores. YaRN's magnitude is a part of it; that of `rope` is changed. */
float chord_latent_scale(chord_builder *b, const chord_latent *l, chord_rope *rope);
/* Makes the slots beside those of `s`. */
void chord_latent_slots(chord_builder *b, chord_latent *l, const chord_slots *s);
/* h -> l->out */
void chord_emit_latent(chord_builder *b, int32_t layer, const chord_latent *l, const chord_slots *s,
                       int32_t rope, float scale);

/* ---- dense.c: the transformers that a row of families.def describes ---------------------------------- */

/* What sets a family apart from LLaMA: pre-norm, RMS norms, RoPE of adjacent pairs, a gated feed-forward. */
#define CHORD_NEOX (1ull << 0) /* RoPE of pairs half a head apart */
#define CHORD_LAYER_NORM (1ull << 1) /* layer norms, with biases if the file has them */
#define CHORD_BARE_NORM (1ull << 2) /* layer norms without tensors */
#define CHORD_QK_NORM (1ull << 3) /* RMS norm of each head of queries and keys */
#define CHORD_QK_ROW_NORM (1ull << 4) /* RMS norm of all queries, and of all keys, of a token */
#define CHORD_QK_LATE (1ull << 5) /* the norms of queries and keys come after RoPE */
#define CHORD_NO_PRE_NORM (1ull << 6) /* attention and feed-forward read the residual stream */
#define CHORD_POST_NORM (1ull << 7) /* what they add to it is normed */
#define CHORD_PARALLEL (1ull << 8) /* both read the layer's input, by one norm, or two with ffn_norm */
#define CHORD_NO_GATE (1ull << 9) /* the feed-forward is up, activation, down */
#define CHORD_FUSED_GATE (1ull << 10) /* ffn_up holds the gate's rows, then its own */
#define CHORD_SUB_NORM (1ull << 11) /* RMS norms before attn_output and ffn_down */
#define CHORD_SQRT_EMBED (1ull << 12) /* embeddings times sqrt(n_embd) */
#define CHORD_SCALES (1ull << 13) /* keys of scales, as Granite has them; logits / logit_scale */
#define CHORD_LOGIT_SCALE (1ull << 14) /* logits * logit_scale */
#define CHORD_SOFTCAPS (1ull << 15) /* soft-caps of attention and logits, 50 and 30 by default */
#define CHORD_LOCAL_BASE (1ull << 16) /* windowed layers have RoPE base 10000 by default and no scaling */
#define CHORD_LOCAL_PLAIN (1ull << 17) /* windowed layers have no scaling of RoPE */
#define CHORD_LOCAL_ROPE (1ull << 18) /* if the model has windows, only windowed layers have RoPE */
#define CHORD_NOPE_4 (1ull << 19) /* every fourth layer has no RoPE */
#define CHORD_FFN_POST_NAME (1ull << 20) /* the feed-forward's pre-norm is named post_attention_norm */
#define CHORD_ROPE_SWITCH (1ull << 21) /* rope.scaling.finetuned false: no RoPE */
#define CHORD_ROPE_ALPHA (1ull << 22) /* rope.scaling.alpha makes the base larger */
#define CHORD_ROPE_IMROPE (1ull << 23) /* pair i belongs to axis i % 3 */
#define CHORD_LONG_QUERIES (1ull << 24) /* queries grow with the position; more keys of YaRN are read */
#define CHORD_WINDOW_64 (1ull << 25) /* a window only in models of 64 layers */
#define CHORD_MINICPM (1ull << 26) /* the scales have MiniCPM's defaults */
#define CHORD_NORM_2 (1ull << 27) /* attention has attn_norm_2 if the file has it */
#define CHORD_CLAMP_QKV (1ull << 28) /* queries, keys and values are clamped by attention.clamp_kqv */
#define CHORD_XIELU (1ull << 29) /* the activation is xIELU, with numbers for each layer */
#define CHORD_LOOPS (1ull << 30) /* num_loops passes over the layers, each with caches of its own */
#define CHORD_PARALLEL_KEY (1ull << 31) /* parallel if the key use_parallel_residual says so */
#define CHORD_MAY_PARALLEL (1ull << 32) /* parallel, with one norm, in a file without ffn_norm */
#define CHORD_LATENT (1ull << 33) /* latent attention */
#define CHORD_LATENT_YARN (1ull << 34) /* whose scores have chord_latent_scale() */
#define CHORD_MINICPM3 (1ull << 35) /* MiniCPM's scales are constants, and the logits' one multiplies */
#define CHORD_SECTIONS_NEOX (1ull << 36) /* CHORD_NEOX if the file has sections of RoPE, for images */
#define CHORD_MIXTURE (1ull << 40) /* if expert_count isn't 0, feed-forwards are mixtures of experts */
#define CHORD_MIX_NORM (1ull << 41) /* the weights of the chosen experts are divided by their sum */
#define CHORD_MIX_KEYS (1ull << 42) /* expert_weights_norm, expert_weights_scale, expert_gating_func */
#define CHORD_MIX_GATING (1ull << 43) /* expert_gating_func is required */
#define CHORD_MIX_SHARED (1ull << 44) /* there is a shared expert, also without the key of its size */
#define CHORD_MIX_SHARED_FF (1ull << 45) /* its size is feed_forward_length by default */
#define CHORD_MIX_OWN_FF (1ull << 46) /* an expert's size is feed_forward_length */
#define CHORD_MIX_CHOSEN (1ull << 47) /* the softmax is over the chosen experts */
#define CHORD_MIX_EARLY (1ull << 48) /* the router reads the layer's input */
#define CHORD_MIX_ALWAYS (1ull << 53) /* expert_count is required, and not 0 */
#define CHORD_ONE_BASE (1ull << 54) /* windowed layers have the base of the others: its key isn't read */
#define CHORD_UNBIASED (1ull << 58) /* some biases aren't added: dense.c */
#define CHORD_QK_CENTRED (1ull << 55) /* layer norms of each head with weights of its own, if there */
#define CHORD_SINKS (1ull << 49) /* attention has sinks, attn_sinks */
#define CHORD_NEXTN (1ull << 50) /* the last nextn_predict_layers blocks predict further tokens; skipped */
#define CHORD_WINDOW_4096 (1ull << 51) /* any window is one of 4096 tokens, as llama.cpp has it */
#define CHORD_GLOBAL_FIRST (1ull << 52) /* layer i is local if i % period > 0 */
#define CHORD_ENCODER (1ull << 56) /* rows see each other in both directions; no logits */
#define CHORD_EMBED_NORM (1ull << 57) /* token_embd_norm after the embeddings */
#define CHORD_POSITIONS (1ull << 60) /* embeddings of the positions instead of RoPE */
#define CHORD_ACTIVATION_KEY (1ull << 59) /* hidden_activation may name SiLU */
typedef struct chord_family {
    uint64_t flags;
    int32_t activation; /* CHORD_ACTIVATION_* of the feed-forward */
    int32_t window; /* default of attention.sliding_window; CHORD_NONE: the key is ignored */
    int32_t period; /* default of ..._pattern: layer i is local if i % period < period - 1 */
    int32_t n_layer_wide; /* a size that scales queries by n_embd / n_head instead of head_dim; 0: none */
} chord_family;
enum { CHORD_MAX_LOOPS = 16 };
/* Builds the program of b->family. */
void chord_build_dense(chord_builder *b);

/* Sets b->status and the error's text, "`what` 'name'", unless an earlier error is set. */
void chord_build_fail(chord_builder *b, chord_status status, const char *what, const char *name,
                      size_t n_name);

#endif
