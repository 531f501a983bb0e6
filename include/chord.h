/* chord.h: run GGUF language models. C17, freestanding, no allocation, no global state.
 *
 * The library computes. The host owns memory, files, threads and time. One rule holds for all calls: a call
 * that needs memory or bytes says so, and the host provides them and calls again. Calls return a
 * chord_status (chord_status.h): zero and positive values are results, negative values are errors.
 * chord_last_error() returns the cause of an error.
 *
 * A complete native use (examples/c/generate.c is this loop with error handling). A native program links
 * build/native/libchord.a -lm -lpthread; `make native` builds the library.
 *
 *   chord_model *m = chord_model_init(block, block_bytes);              // HEADER: metadata, tensor table
 *   for (st = CHORD_MORE; st == CHORD_MORE && (n = ...read the next bytes to p...) > 0;)
 *     st = chord_model_push(m, 0, chord_model_position(m), p, n);
 *   if (st == CHORD_MORE) chord_model_end(m);                           // the file ended: names the fault
 *   chord_model_plan(m, &config, &plan);                                // PLAN: memory sizes, tensor list
 *   st = chord_model_begin(m, arena, plan.bytes);                       // DATA: tensors arrive
 *   for (offset = plan.data_begin; st == CHORD_MORE && (n = ...read from offset on...) > 0; offset += n)
 *     st = chord_model_push(m, 0, offset, p, n);
 *   if (st == CHORD_MORE) chord_model_end(m);
 *   chord_session *s = chord_session_open(m, mem, chord_session_bytes(m));
 *   n = chord_tokenize(m, text, n_text, CHORD_ADD_SPECIAL, ids, cap, scratch, scratch_bytes);
 *   chord_session_push(s, ids, n);
 *   for (;;) {
 *     while ((st = chord_session_step(s, CHORD_NO_LIMIT)) == CHORD_NEED_MEMORY) {
 *       chord_session_get_state(s, &state);
 *       chord_model_give(m, page, state.wanted_bytes);                  // or a larger block, for more pages
 *     }
 *     token = chord_session_sample(s, &sampling);
 *     if (token < 0 || chord_token_flags(m, token) & CHORD_TOKEN_EOG) break;
 *     chord_detokenize(m, &token, 1, 0, text, cap);
 *     chord_session_push(s, &token, 1);
 *   }
 *
 * Sizes and file offsets are uint64_t or size_t here. In WebAssembly each of them crosses as a double that
 * holds an integer below 2^53.
 * The structs below hold only int32_t, float and double. Their layout is the same on wasm32, wasm64 and
 * native. They start with their version and size. The host sets both in chord_config and chord_sampling,
 * and sets `reserved` to 0; a wrong version or size is INVALID_ARGUMENT. The library sets all fields of the
 * structs that it writes.
 *
 * Only one thread may call a model at a time, except chord_session_cancel(), helpers in chord_thread_join(),
 * and a loader's thread in the calls of "paging". */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_H
#define CHORD_H
#include <stddef.h>
#include <stdint.h>
#include "chord_status.h"

#define CHORD_VERSION_MAJOR 0
#define CHORD_VERSION_MINOR 1
#define CHORD_VERSION_PATCH 0
#define CHORD_ABI_VERSION 5                 /* version of the structs below and of the exports */
#define CHORD_NO_LIMIT UINT64_MAX
#define CHORD_PAGE_TOKENS 32                /* tokens per KV page */
#define CHORD_BLOCK_ALIGN 64                /* alignment of every block given to the library */

typedef struct chord_model chord_model;     /* a model while it loads and after */
typedef struct chord_session chord_session; /* one sequence of tokens with its KV cache */

/* ---- structs that cross every boundary ------------------------------------------------------- */

enum { CHORD_KV_F32 = 0, CHORD_KV_F16 = 1, CHORD_KV_Q8_0 = 8 }; /* ggml's type ids */

/* A config of zeros, with version and size, is valid. Its KV cache is F32; the command lines use F16. */
typedef struct chord_config {
    int32_t version, size;      /* CHORD_ABI_VERSION, sizeof(chord_config) */
    int32_t n_ctx;              /* context length, at most n_ctx_train; 0: n_ctx_train, at most 4096 */
    /* maximum tokens in a batch; 0: 256, with paged layers mostly 512, of an encoder n_ctx */
    int32_t n_batch;
    /* maximum output rows in a batch; 0: the number that fits in 4 MiB, minimum 1 */
    int32_t n_logits;
    int32_t kv_type;            /* CHORD_KV_* */
    int32_t n_threads;          /* threads that compute, including the caller's; 0: 1 */
    int32_t isa;                /* CHORD_ISA_*; 0: the best of this build */
    int32_t external;           /* 1: matrices are EXTERNAL (a GPU host uploads them); vectors: resident */
    /* 1: tensors that are only looked up by row are LAZY; 0: only if layers are paged */
    int32_t lazy;
    /* bytes that the matrices of layers may take in memory, see "paging"; 0 or less: no limit */
    double resident_bytes;
    int32_t any_pre;            /* 1: an unknown tokenizer.ggml.pre is read as "default", not refused */
    int32_t reserved;
} chord_config;

enum { CHORD_ISA_BEST = 0, CHORD_ISA_SCALAR = 1, CHORD_ISA_VECTOR = 2, CHORD_ISA_RELAXED = 3 };

typedef struct chord_plan_info {
    int32_t version, size;
    int32_t n_tensors, n_ops;
    int32_t n_ctx, n_batch, n_logits, n_threads; /* the values that the model uses */
    double bytes;               /* bytes for chord_model_begin(): the sum of the next three fields */
    double weight_bytes, vocabulary_bytes, activation_bytes;
    double header_bytes;        /* bytes that metadata, tensor table and program use */
    double file_weight_bytes;   /* the resident tensors' bytes in the file */
    double file_vocabulary_bytes; /* tokens, scores, types and merges in the file */
    double page_bytes; /* one page of each class: CHORD_PAGE_TOKENS more tokens need at most this */
    double context_bytes; /* pages and states of a session with a full context */
    double session_bytes; /* bytes for chord_session_open() */
    /* offsets of the first tensor's first byte and behind the last tensor's last byte, in their files */
    double data_begin, data_end;
    double madds_per_token; /* multiply-adds of one token at position 0, output row included */
    int32_t n_paged; /* layers of which matrices are PAGED; 0: no layer */
    int32_t n_ring; /* slots that whole layers share: 2, or 1 if two don't fit config.resident_bytes */
    int32_t n_lazy; /* tensors that are LAZY */
    int32_t n_experts; /* experts of a layer that are in memory at a time; 0: they aren't paged one by one */
    double layer_bytes; /* bytes of the matrices of all layers, if all were resident */
    double ring_bytes; /* bytes of the slots of layers and experts, a part of weight_bytes */
    double paged_bytes; /* the paged matrices' bytes in the file: what a batch reads, of experts at most */
    double token_bytes; /* what a batch of one token reads; of experts at most: all that it chooses */
    int32_t n_all_ops; /* n_ops, and behind them the ops of embeddings */
    int32_t reserved;
} chord_plan_info;

/* PAGED: in memory while its layer, or an expert, is computed. LAZY: the rows of the batch are in memory. */
enum {
    CHORD_PLACE_RESIDENT = 0,
    CHORD_PLACE_EXTERNAL = 1,
    CHORD_PLACE_SKIPPED = 2,
    CHORD_PLACE_PAGED = 3,
    CHORD_PLACE_LAZY = 4
};

typedef struct chord_tensor_info {
    int32_t version, size;
    int32_t type; /* ggml's type id */
    int32_t n_dims;
    double ne[4]; /* elements per dimension; ne[0] is the row length */
    double file_off, file_bytes; /* offset from the file's first byte; bytes in the file */
    int32_t placement; /* CHORD_PLACE_* */
    int32_t is_ready; /* 1: all its bytes have arrived */
    int32_t file; /* index of the file that holds it, as in chord_model_push() */
    int32_t is_vector; /* 1: held as floats (a norm, a bias, rope factors): chord_model_vector() */
    int32_t layer; /* the layer that alone uses it; -1: none, or several */
    int32_t page,
        n_pages; /* PAGED: pages page .. page + n_pages - 1 have equal parts of its rows, in order */
    int32_t reserved;
} chord_tensor_info;

typedef struct chord_model_info {
    int32_t version, size;
    int32_t n_vocab, n_embd, n_layer, n_head, n_kv, head_dim, n_ff, n_ctx_train;
    int32_t file_type; /* general.file_type, -1 when absent */
    int32_t bos, eos, unk, pad; /* token ids, -1 when absent */
    int32_t add_bos, add_eos;
    int32_t is_tied; /* 1: the output matrix is the embedding matrix */
    int32_t gguf_version, n_kv_pairs, n_tensors;
    int32_t is_encoder; /* 1: the model has embeddings and no logits */
    int32_t pooling; /* CHORD_POOLING_*: the file's, or its kind's; -1: the model has no embeddings */
    int32_t n_labels; /* outputs of CHORD_POOLING_RANK; 0: the model has no classifier */
    double n_params; /* elements of all tensors */
} chord_model_info;

typedef struct chord_session_state {
    int32_t version, size;
    int32_t n_past; /* evaluated tokens: their keys, values and states are in the caches */
    int32_t n_tokens; /* evaluated and pending tokens */
    int32_t n_rows; /* output rows of the last finished batch, see chord_session_logits() */
    int32_t first_row; /* position of the first output row */
    int32_t n_pages; /* pages and states that the session refers to, checkpoints included */
    int32_t layer; /* after NEED_WEIGHTS: the layer that isn't resident; -1: lazy rows are missing */
    double wanted_bytes; /* after NEED_MEMORY: bytes to give */
    double work_done; /* planned work since the session was opened */
    double last_step_work; /* planned work of the last step: at most the step's budget, or one larger unit */
    double batch_work, batch_work_done; /* planned work of the last batch; work of that batch already done */
} chord_session_state;

typedef struct chord_sampling {
    int32_t version, size;
    int32_t top_k; /* 0: off */
    int32_t n_bias; /* pairs at `bias` */
    float temperature; /* 0: argmax, lowest id on a tie */
    float top_p, min_p, typical_p; /* off: 1, 0, 1; typical_p must be 1 */
    /* off: 1, 0, 0; the penalties look at the last 64 tokens */
    float repetition_penalty, frequency_penalty, presence_penalty;
    float reserved;
    double bias; /* address of n_bias pairs (int32_t id, float added to its logit), or 0 */
} chord_sampling;

/* A batch for an executor, from chord_session_next_batch(): one run of consecutive positions of one
 * sequence, or texts, each a run from position 0 on, whose output rows are embeddings. The addresses are
 * valid until the batch is accepted or dropped. `embeddings` points into the host's block, all other
 * addresses into the library's memory. */
typedef struct chord_batch_info {
    int32_t version, size;
    int32_t n_tokens, n_outputs; /* rows of the batch; number of rows that have an output row */
    int32_t first_pos; /* position of the run's first token */
    int32_t n_axes; /* numbers per position: 1 or 3 */
    int32_t n_embd; /* floats per embedding */
    int32_t n_width; /* floats per output row: n_vocab for logits */
    /* rows [first_embedding, first_embedding + n_embeddings) are embeddings; all other rows are ids */
    int32_t first_embedding, n_embeddings;
    double ids; /* int32_t[n_tokens]; -1: the row is an embedding */
    double embeddings; /* float[n_embeddings][n_embd], inside the block that was pushed; 0: none */
    /* int32_t[n_tokens][n_axes], for rotary angles only; 0: row i has first_pos + i on every axis */
    double positions;
    double rows; /* int32_t[n_outputs]: rows that have an output row, ascending */
    double outputs; /* float[n_outputs][stride]: output rows, in the order of `rows` */
    double random; /* the number in [0, 1) that chord_session_sample() would draw next */
    int32_t stride; /* floats from one output row to the next */
    int32_t pooling; /* of texts: CHORD_POOLING_*; -1: tokens */
    double runs; /* n_runs, run_bytes apart; each begins with its first row and its rows, int32_t */
    int32_t n_runs, run_bytes;
} chord_batch_info;

/* The program and its tables, for an executor outside the library. The addresses are valid as long as the
 * model. The records are in src/program/program.h. */
#define CHORD_MAX_ROPE_TABLES 4
typedef struct chord_program_info {
    int32_t version, size;
    int32_t n_ops, n_slots, n_ropes, n_caches, n_classes;
    int32_t output_slot; /* slot that holds the output rows */
    int32_t kv_type; /* CHORD_KV_* of keys and values */
    /* Embeddings: ops [0, n_body), then [n_ops, n_pooled), and if the pooling is RANK [n_pooled, n_all) */
    int32_t n_body, n_pooled, n_all;
    int32_t pooled_slot, rank_slot; /* slots that hold embeddings, and the classifier's outputs; -1: none */
    /* 1: with external weights a batch has one text. 0: whole texts can be computed without a cache: what an
     * ATTEND reads is still in the slots of the KV_STORE before it */
    int32_t is_one_text, reserved;
    double ops, slots, ropes; /* chord_op[n_all], chord_slot[n_slots], chord_rope[n_ropes] */
    double caches; /* chord_cache_spec[n_caches] */
    /* double[n_rot / 2] per rope: the angle of each pair per position. Complete after the load. */
    double rope_freqs[CHORD_MAX_ROPE_TABLES];
} chord_program_info;

/* ---- library --------------------------------------------------------------------------------- */

/* Returns the linked library's CHORD_ABI_VERSION. */
int32_t chord_abi_version(void);
/* Returns the best CHORD_ISA_* of this build on this machine. */
int32_t chord_isa(void);
/* Returns the likely cause of a status: a static string, never NULL. */
const char *chord_status_text(chord_status status);

/* ---- load: HEADER, PLAN, DATA ---------------------------------------------------------------- */

/* Creates a model object at the start of `block`. The rest of the block is the header's arena.
 *
 *   block  `bytes` of memory, CHORD_BLOCK_ALIGN aligned, minimum 64 KiB. The model owns it from now on.
 *          64 MiB is more than any header needs today. Where the system provides memory at the first touch,
 *          the unused rest costs nothing. A smaller block must be extensible in place: NEED_MEMORY asks
 *          for more bytes at its end.
 *
 * Returns NULL if the block is too small or misaligned. To free a model, the host closes its sessions, waits
 * until every helper has returned, and frees the blocks. */
chord_model *chord_model_init(void *block, size_t bytes);

/* Sets the length of file chord_model_file(), if the host knows it. Call it before chord_model_plan(); the
 * lengths of later files are set while their headers are read. Without this call the length is unknown; 0 is
 * an empty file.
 * chord_model_plan() then refuses a file that is too short for its tensors, and chord_model_push() a length
 * in the header that exceeds the rest of the file. A file that ends inside its header is a fault only in
 * chord_model_end(). */
chord_status chord_model_set_file_bytes(chord_model *m, uint64_t bytes);

/* Returns the number of the model's files: the key split.count, and 1 until the first header is complete. */
int32_t chord_model_files(const chord_model *m);
/* Returns the file that chord_model_push() needs next, in the phases HEADER and DATA. */
int32_t chord_model_file(const chord_model *m);
/* Returns the offset in that file that chord_model_push() needs next. The host may drop all bytes before
 * it, of a shard in HEADER only those of its header. */
uint64_t chord_model_position(const chord_model *m);
/* Returns, after NEED_MEMORY of chord_model_push() or chord_model_plan(), the minimum number of bytes to
 * add at the arena's end. */
size_t chord_model_wanted(const chord_model *m);

/* Gives memory to the model. Before chord_model_begin(), `block` must start where the last block ended: it
 * extends the arena in place. After the load, `block` must be CHORD_BLOCK_ALIGN aligned, and the library
 * cuts it into pages and states: first the pages that NEED_MEMORY asked for, then pages of the class
 * that grows with the sequence. The pages asked for need state.wanted_bytes (chord_session_get_state()); a
 * larger block leaves pages for later steps. A rest smaller than a page stays unused. Errors:
 * INVALID_ARGUMENT. */
chord_status chord_model_give(chord_model *m, void *block, size_t bytes);

/* Pushes bytes [off, off + n) of file `file`. Most models have one file, number 0. A model that
 * llama-gguf-split has cut has chord_model_files() files, the shards in the order of their key split.no:
 *
 *   do st = ...push the next bytes of file chord_model_file(m), from chord_model_position(m) on...
 *   while (st == CHORD_MORE);                     // HEADER: all headers, from offset 0 of each file
 *   ...plan, begin, and the same loop again...    // DATA: the tensors, file by file
 *
 * A push of 0 bytes returns MORE in both phases. When the file that is needed has no more bytes, call
 * chord_model_end().
 *
 * HEADER phase: `file` must equal chord_model_file(), and `off` chord_model_position(). A chunk may have any
 * size.
 *   MORE: push the bytes from chord_model_position() on. If chord_model_file() has changed, a header is
 *   complete, the rest of the chunk wasn't consumed, and the next file's bytes are needed.
 *   NEED_MEMORY: give memory, then push again from chord_model_position(). Some of the bytes may have been
 *   consumed.
 *   DONE: metadata and tensor table are complete. The rest of the chunk wasn't consumed.
 * DATA phase: push chunks in the order of files and offsets. The call ignores bytes outside the resident
 * tensors; the host may leave them out.
 *   MORE: push the next chunk.
 *   DONE: the last resident tensor is complete.
 * Errors: INVALID_ARGUMENT if the model has no such file or, in HEADER, `file` or `off` is wrong; no byte
 * was consumed. After INVALID_GGUF, UNSUPPORTED_*, INVALID_ARGUMENT of a shard that doesn't belong here or,
 * in DATA, an offset that leaves out needed bytes, the model object can't continue. */
chord_status chord_model_push(chord_model *m, int32_t file, uint64_t off, const void *bytes, size_t n);

/* Tells the model that file chord_model_file() has ended. Returns OK if the load is complete. Errors:
 * INVALID_GGUF (the file ends too early; chord_last_error() says where), INVALID_ARGUMENT (a shard is
 * missing: none of its bytes was pushed). */
chord_status chord_model_end(chord_model *m);

/* Chooses the architecture, binds every tensor and lays out memory. Call it after HEADER. The host may call
 * it again with another config until chord_model_begin(). NEED_MEMORY: extend the arena by
 * chord_model_wanted() bytes (chord_model_give) and call again. Errors: UNSUPPORTED_*, INVALID_GGUF,
 * INVALID_ARGUMENT. */
chord_status chord_model_plan(chord_model *m, const chord_config *config, chord_plan_info *out);

/* Starts the DATA phase. `block` holds weights, vocabulary and activations: `plan.bytes` bytes. The call
 * builds the vocabulary. Returns DONE if no tensor is resident, otherwise MORE. Errors: INVALID_ARGUMENT,
 * OUT_OF_MEMORY (the block is too small). On a 32-bit host `plan.bytes` may exceed the address space:
 * compare it before a cast to size_t. */
chord_status chord_model_begin(chord_model *m, void *block, size_t bytes);

/* Writes row `i` of the tensor table to *out. Call it after chord_model_plan(), also after one that failed
 * (file_bytes is 0 then for a type that isn't known). `name` receives the tensor's name, cut to `cap` - 1
 * bytes and terminated. `name` may be NULL. Errors: INVALID_ARGUMENT. */
chord_status chord_model_tensor(const chord_model *m, int32_t i, chord_tensor_info *out, char *name,
                                size_t cap);

/* Writes the model's numbers to *out. Call it after chord_model_plan(). After one that failed only
 * file_type, gguf_version, n_kv_pairs, n_tensors and n_params are sure. Errors: INVALID_ARGUMENT. */
chord_status chord_model_get_info(const chord_model *m, chord_model_info *out);

/* Writes the value of metadata key `key` (`n_key` bytes) as text: strings unchanged, numbers in decimal,
 * arrays as "[type x count]". Writes at most `cap` bytes, not terminated. Returns the full length, or -1 if
 * the model has no such key or the value was skipped. With n_key = -1 - i the call writes the name of key i
 * instead. Call it after HEADER, also of a model that failed later. */
int64_t chord_model_meta(const chord_model *m, const char *key, int32_t n_key, char *dst, size_t cap);

/* Writes element `index` of the array `key` as chord_model_meta() writes a value. Returns the full length,
 * or -1 if there is no such element or the array was skipped. The time for strings grows with `index`. */
int64_t chord_model_meta_at(const chord_model *m, const char *key, int32_t n_key, int32_t index, char *dst,
                            size_t cap);

/* Writes a chat template, Jinja text, to `dst`: at most `cap` bytes, not terminated. Call it after HEADER,
 * also of a model that failed later.
 *
 *   name  `n_name` bytes: the template that the file has under this name, its key
 *         tokenizer.chat_template.<name>. An empty name, or "default": the file's tokenizer.chat_template,
 *         or if there is none the one of the architecture's family (qwen2, qwen3, gemma3).
 *         With n_name = -1 - i the call writes name i of the file instead, and `name` may be NULL.
 *
 * Returns the full length; 0 if there is no template, or no name i. Errors: INVALID_GGUF (the key's value
 * isn't a string), INVALID_ARGUMENT (no such name; chord_last_error() lists the names). */
int64_t chord_model_chat_template(const chord_model *m, const char *name, int32_t n_name, char *dst,
                                  size_t cap);

/* Writes row `row` of tensor `tensor` to `dst` in file form: the exact inverse of the repacking. The row
 * has file_bytes / (ne[1] * ne[2] * ne[3]) bytes (fields of chord_tensor_info). Call it after
 * chord_model_begin(). Errors: INVALID_ARGUMENT (no such row, `cap` too small, the tensor isn't in
 * memory). */
chord_status chord_model_row(const chord_model *m, int32_t tensor, int64_t row, void *dst, size_t cap);

/* Returns ggml's name of a tensor type, such as "Q4_K"; NULL for a number that ggml never gave. */
const char *chord_type_name(int32_t type);

/* Decodes the `n` elements of a row in file form to `dst`, one element after another: the specification of
 * the tensor type. An executor outside the library checks its own kernels with it. Errors: INVALID_ARGUMENT
 * (an unknown type, `n` elements aren't whole blocks, `bytes` are fewer than the row has, NULL, dst isn't
 * aligned to 4 bytes). */
chord_status chord_row_decode(int32_t type, const void *row, size_t bytes, int32_t n, float *dst);

/* Returns the bytes of the grids of the IQ types, and writes them to `dst` if `cap` is as large: entries of
 * 16 bits (src/quant/iq_grids_tables.c), of IQ2_XXS 256, IQ2_XS 512, IQ2_S 1024, IQ3_XXS 256, IQ3_S 512, and
 * of IQ1_S and IQ1_M 2048. An executor outside the library needs them for its own kernels. */
size_t chord_grids(void *dst, size_t cap);

/* Takes a matrix out of the model, because another executor has a copy: the model never uses its bytes
 * again, and the host may. Its placement is EXTERNAL from then on, and the CPU executor can't step any more.
 * Call it when the model is ready and no helper has joined it. Returns the address of *bytes bytes, a
 * multiple of CHORD_BLOCK_ALIGN; NULL if the tensor is no matrix in memory, or the model isn't ready. */
void *chord_model_release(chord_model *m, int32_t tensor, size_t *bytes);

/* Returns the program's op records (program/program.h) and their count. NULL before chord_model_plan(). */
const void *chord_model_program(const chord_model *m, int32_t *n_ops);

/* Writes where the program and its tables are to *out. Call it after chord_model_plan(); another plan makes
 * other tables. The angles have an address after chord_model_begin(). Errors: INVALID_ARGUMENT. */
chord_status chord_model_get_program(const chord_model *m, chord_program_info *out);
/* Returns the class of pages or states to which cache `cache` belongs: 0 .. n_classes - 1, or
 * INVALID_ARGUMENT. */
int32_t chord_model_cache_class(const chord_model *m, int32_t cache);
/* Returns the address of a vector's elements in rows of ne[0] floats: a norm, a bias, rope factors. NULL if
 * the tensor is a matrix or isn't complete. */
const float *chord_model_vector(const chord_model *m, int32_t tensor);

/* Profiles steps by op. Each step adds to ms[i] the milliseconds that op i took on the leader, including its
 * wait for helpers. `ms` has plan_info.n_ops doubles, 8-byte aligned, and belongs to the host. NULL ends
 * the profile. Errors: INVALID_ARGUMENT. */
chord_status chord_model_profile(chord_model *m, double *ms);

/* Writes the cause of the last call's error: the tensor, key, offset or value. Writes "" if the last call
 * succeeded. Every call that can fail, on the model or on one of its sessions, first clears the text of an
 * earlier call. Writes at most `cap` bytes, terminated. Returns the length. */
int32_t chord_last_error(const chord_model *m, char *dst, size_t cap);

/* ---- threads ----------------------------------------------------------------------------------- */

/* Runs a helper: the thread counts as ready, then helps in every step until chord_model_stop(). `index` is
 * 1 .. config.n_threads - 1. Each index is used once. Call it after chord_model_begin(). Returns DONE after
 * chord_model_stop(). Errors: INVALID_ARGUMENT. */
chord_status chord_thread_join(chord_model *m, int32_t index);
/* Returns how many helpers have joined. All must have joined before the first step. */
int32_t chord_threads_ready(const chord_model *m);
/* Makes every helper return from chord_thread_join(), and the loader from chord_model_wait_page(). */
void chord_model_stop(chord_model *m);

/* ---- paging ------------------------------------------------------------------------------------ */

/* With config.resident_bytes, a model larger than memory runs. The matrices of some layers are PAGED: they
 * share n_ring slots, and are read again for each batch, while other layers compute. The other layers are
 * resident (pinned), spread evenly among the paged ones. Of a mixture, the experts are paged one by one: the
 * rest of a layer is resident if it fits beside one expert of each, and n_experts experts of a layer stay in
 * memory until others are chosen. The logits are the same bits. If the budget is too small for any of this,
 * the plan has one slot for layers and one for each layer's experts, and plan.bytes says what that takes.
 *
 * A *page* is what is read at a time: the paged matrices of a layer, or an expert's rows of some of its
 * layer's stacks. One *loader* (a thread, or the host between two steps) reads pages:
 *
 *   while (chord_model_wait_page(m, 200) != CHORD_DONE)                   // DONE: chord_model_stop()
 *     while ((page = chord_model_want_page(m)) >= 0) {
 *       for (each tensor with info.page <= page and page < info.page + info.n_pages) {
 *         n = rows of the tensor / info.n_pages;
 *         st = chord_model_load_rows(m, tensor, (page - info.page) * n, ...these n rows' bytes...);
 *       }
 *       if (...all is read...) chord_model_page_loaded(m, page);
 *       else chord_model_page_failed(m, page, st);
 *     }
 *
 * A step that comes to a page that isn't there returns NEED_WEIGHTS. The host waits, or loads the page
 * itself, and steps again. A LAZY tensor is an embedding matrix that no product uses: the rows of the
 * batch's tokens are loaded before the batch is computed, also with NEED_WEIGHTS.
 *
 * The calls from chord_model_want_page() to chord_pager_error() may run on the loader's thread while
 * another thread steps. They may be called after chord_model_begin(), also before the load is complete.
 * They don't touch chord_last_error(). */

/* Claims a slot for the page that the walk needs first and that isn't there, and returns the page. -1:
 * nothing is wanted, or no slot is free. Only one thread at a time may claim. A claimed page must become
 * loaded or failed. */
int32_t chord_model_want_page(chord_model *m);
/* Checks whole rows of a paged tensor and writes them to their place in the claimed slot.
 *
 *   first_row  a multiple of 4
 *   rows       `bytes` bytes, whole rows in file form, at any address. Their number is a multiple of 4,
 *              except at the tensor's end. They are of one page.
 *
 * Each row of the page is loaded once, in any order, by any number of threads at a time. Errors:
 * INVALID_GGUF (a block that no quantiser writes; chord_pager_error() names tensor and row),
 * INVALID_ARGUMENT. */
chord_status chord_model_load_rows(chord_model *m, int32_t tensor, int64_t first_row, const void *rows,
                                   size_t bytes);
/* Ends the load of a claimed page: a step may use it. Errors: INVALID_ARGUMENT (it isn't claimed, or rows
 * are missing; the page stays claimed then). */
chord_status chord_model_page_loaded(chord_model *m, int32_t page);
/* Gives the slot of a claimed page back. The step that needs the page returns `status`, an error, once,
 * with the text of chord_pager_error(), and leaves the session as CANCELLED does. The next batch tries the
 * page again. The step also tries it again if the page was claimed before its batch began.
 * Errors: INVALID_ARGUMENT. */
chord_status chord_model_page_failed(chord_model *m, int32_t page, chord_status status);
/* Sleeps until chord_model_want_page() may have a page, or for about `milliseconds`. Returns OK; DONE
 * after chord_model_stop(), or if nothing is paged. */
chord_status chord_model_wait_page(chord_model *m, int32_t milliseconds);
/* Writes the cause of the first error since the last claim, at most `cap` bytes, terminated. Returns the
 * length. */
int32_t chord_pager_error(const chord_model *m, char *dst, size_t cap);
/* Returns the address of two words that change, int32_t[2]: word 0 with each page that becomes loaded or
 * failed, word 1 when a page may be wanted. A host that waits for a page reads word 0 before the step,
 * and sleeps while it has that value. NULL: nothing is paged. */
const int32_t *chord_pager_word(const chord_model *m);

/* Writes which rows of LAZY tensors the batch under way still needs: triples (tensor, row of the batch,
 * token id), at most `cap`. Returns the number of rows that are missing. Error: INVALID_ARGUMENT. */
int32_t chord_session_lazy_rows(const chord_session *s, int32_t *triples, int32_t cap);
/* Loads the row of a lazy tensor for row `row` of the batch under way: `n` bytes in file form, row `id` of
 * the tensor. Errors: INVALID_ARGUMENT, INVALID_GGUF (as chord_model_load_rows()); chord_last_error() has
 * the cause. */
chord_status chord_session_load_row(chord_session *s, int32_t tensor, int32_t row, const void *bytes,
                                    size_t n);

/* ---- text -------------------------------------------------------------------------------------- */

enum { CHORD_ADD_SPECIAL = 1, CHORD_PARSE_SPECIAL = 2, CHORD_SKIP_SPECIAL = 4, CHORD_WHOLE_TEXT = 8 };
enum {
    CHORD_TOKEN_CONTROL = 1,
    CHORD_TOKEN_EOG = 2,
    CHORD_TOKEN_USER = 4,
    CHORD_TOKEN_BYTE = 8,
    CHORD_TOKEN_UNKNOWN = 16,
    CHORD_TOKEN_UNUSED = 32
};

/* Returns the bytes of scratch that chord_tokenize() needs for `n` bytes of text. */
size_t chord_tokenize_bytes(const chord_model *m, size_t n);

/* Converts text to ids. The text is UTF-8; invalid bytes become tokens too. `flags`: CHORD_ADD_SPECIAL,
 * CHORD_PARSE_SPECIAL. `scratch` may have any alignment. Returns the number of ids or a negative status. If
 * the number exceeds `cap`, only `cap` ids were written. The ids equal llama.cpp's. Errors: INVALID_ARGUMENT
 * (2^29 bytes or more), OUT_OF_MEMORY (`scratch` is too small). */
int32_t chord_tokenize(const chord_model *m, const char *text, size_t n, int32_t flags, int32_t *ids,
                       int32_t cap, void *scratch, size_t scratch_bytes);

/* A tokenizer converts a long text in slices. The ids equal those of chord_tokenize(), whatever the budgets.
 *
 *   t = chord_tokenizer_open(m, text, n, flags, block, chord_tokenizer_bytes());
 *   do {
 *     status = chord_tokenizer_step(t, 20000, ids, cap, &n_ids);
 *     ... use n_ids ids; on CHORD_NEED_MEMORY: chord_tokenizer_give(t, more, chord_tokenizer_wanted(t)) ...
 *   } while (status == CHORD_MORE || status == CHORD_NEED_MEMORY);
 *
 * The text and all blocks belong to the host. They must stay in place, and the text unchanged, until the
 * last step. Blocks may have any alignment. */
#define CHORD_TOKENIZER_ROOM 16
typedef struct chord_tokenizer chord_tokenizer;
/* Returns the bytes of the block for chord_tokenizer_open(). */
size_t chord_tokenizer_bytes(void);
/* Creates a tokenizer in `block`. Call it after chord_model_begin(). Returns NULL if the model has no
 * vocabulary, the text has 2^29 bytes or more, or the block is too small. */
chord_tokenizer *chord_tokenizer_open(const chord_model *m, const char *text, size_t n, int32_t flags,
                                      void *block, size_t bytes);
/* Continues for about `budget` small steps of some 50 ns. A small step looks at one character or special
 * token, or tries one pair. Writes *n_ids ids, at most `cap`. `cap` is at least CHORD_TOKENIZER_ROOM.
 * Results: DONE (the text is complete), MORE (call again), NEED_MEMORY (give memory, call again; nothing is
 * lost). Errors: INVALID_ARGUMENT.
 *
 * Most texts need only the first block. A piece of more than some 1,500 bytes in which any two
 * neighbours might merge needs more: about 20 bytes per character of the piece. */
chord_status chord_tokenizer_step(chord_tokenizer *t, uint64_t budget, int32_t *ids, int32_t cap,
                                  int32_t *n_ids);
/* Returns, after NEED_MEMORY, the minimum bytes for chord_tokenizer_give(). */
size_t chord_tokenizer_wanted(const chord_tokenizer *t);
/* Replaces the scratch memory by a larger block. The host may reuse the block of an earlier give, but not
 * the block of chord_tokenizer_open(). Errors: INVALID_ARGUMENT (fewer bytes than wanted). */
chord_status chord_tokenizer_give(chord_tokenizer *t, void *scratch, size_t bytes);
/* Returns a lower bound of the number of ids of the whole text. The bound rises from step to step. The
 * host can refuse a text that doesn't fit the context before all of it is tokenised. */
uint64_t chord_tokenizer_least(const chord_tokenizer *t);

/* Converts ids to bytes. A special token becomes its text; CHORD_SKIP_SPECIAL leaves it out.
 * CHORD_WHOLE_TEXT: the ids are a whole text, and the blank that tokenising put before it is removed. Leave
 * the flag out for the pieces of a generation, whose blanks belong to the text. Writes at most `cap` bytes,
 * not terminated. Returns the full length, or a negative status (an id out of range). */
int64_t chord_detokenize(const chord_model *m, const int32_t *ids, int32_t n, int32_t flags, char *dst,
                         size_t cap);

/* Returns the CHORD_TOKEN_* bits of an id, or a negative status. EOG follows llama.cpp's rules. */
int32_t chord_token_flags(const chord_model *m, int32_t id);

/* A stream turns the bytes of tokens into whole characters. It holds back text that may become a stop
 * string. Invalid bytes become U+FFFD as in TextDecoder. The first stop string to complete wins; on a tie,
 * the longest. The text then ends before the stop string, and further pushes add nothing. */
#define CHORD_STREAM_PUSH 4096 /* maximum bytes per chord_stream_push() */
typedef struct chord_stream chord_stream;
/* Returns the bytes of the block for chord_stream_open(); 0 if `n_stops` is more than 65536. */
size_t chord_stream_bytes(size_t n_stops);
/* Creates a stream in `block`.
 *
 *   block  at least chord_stream_bytes(n_stops) bytes, 8-byte aligned
 *   stops  n_stops bytes, maximum 65536: the stop strings one after the other, each an int32_t length
 *          (little-endian, unaligned) and its bytes (UTF-8, not empty). The call copies them.
 *
 * Returns NULL if the block is too small or misaligned, or the stop strings aren't in this form. */
chord_stream *chord_stream_open(void *block, size_t bytes, const void *stops, size_t n_stops);
/* Appends the bytes of a token, at most CHORD_STREAM_PUSH. Returns how many bytes of text are ready, and
 * sets *text to their address, which is valid until the next call. Error: INVALID_ARGUMENT (too many
 * bytes). */
int32_t chord_stream_push(chord_stream *t, const char *bytes, size_t n, const char **text);
/* Ends the text: releases held bytes, and an unfinished character as U+FFFD. Returns as
 * chord_stream_push(). Pushes may follow. They begin as in a new stream, unless a stop string is
 * complete. */
int32_t chord_stream_end(chord_stream *t, const char **text);
/* Returns which stop string is complete, counted from 1 in the order of `stops`; 0 if none is. */
int32_t chord_stream_stopped(const chord_stream *t);

/* ---- sessions ---------------------------------------------------------------------------------- */

/* Returns the bytes of a session object. Its KV pages come from chord_model_give(). */
size_t chord_session_bytes(const chord_model *m);
/* Creates an empty session in `block` (chord_session_bytes() bytes, CHORD_BLOCK_ALIGN aligned). Returns NULL
 * if the model isn't ready, or the block is too small or misaligned. */
chord_session *chord_session_open(chord_model *m, void *block, size_t bytes);
/* Returns the session's pages to the model and its block to the host. After a step that ended INTERNAL
 * because a helper didn't answer, the host must wait until all helpers have returned: a slow helper may
 * still read the session's batch. */
void chord_session_close(chord_session *s);

/* ---- embeddings: a session of texts ----
 *
 *   chord_session_embed(s, pooling);
 *   for (;;) {
 *     while (...a text is left... && (st = chord_session_push(s, ids, n)) == CHORD_OK) ...take it...
 *     while ((st = chord_session_step(s, budget)) == CHORD_NEED_MEMORY) ...give memory...
 *     ...row i of chord_session_embedding(s, i) belongs to text i since the last step that was DONE...
 *   }
 *
 * Weights are read once a batch, so many short texts cost little more than one. An embedding doesn't depend
 * on the other texts of its batch. The numbers are llama.cpp's. */
enum {
    CHORD_POOLING_NONE = 0, /* a row for each token */
    CHORD_POOLING_MEAN = 1,
    CHORD_POOLING_CLS = 2, /* the first token */
    CHORD_POOLING_LAST = 3,
    CHORD_POOLING_RANK = 4 /* the classifier's outputs, n_labels (chord_model_info) */
};
/* Makes a session one of texts, or with pooling -1 one of tokens again. Each chord_session_push() is then a
 * whole text, and a step that returns DONE has computed all texts pushed so far, and forgotten them. Such a
 * session can't be forked, saved or sampled. Another executor computes its batches as those of tokens; with
 * external weights a batch may have one text only (is_one_text of chord_program_info). Errors:
 * INVALID_ARGUMENT (the session isn't empty, an unknown pooling, the model has no embeddings or no
 * classifier). */
chord_status chord_session_embed(chord_session *s, int32_t pooling);
/* Returns output row `row` of the last finished batch: n_embd floats, or with CHORD_POOLING_RANK n_labels.
 * NULL if there is no such row. The row is valid until a session of the model starts its next batch. */
const float *chord_session_embedding(const chord_session *s, int32_t row);

/* Appends tokens, which the next step evaluates. Errors: CONTEXT_FULL, INVALID_ARGUMENT (an id out of
 * range, named; a batch under way). After an error nothing was appended.
 * In a session of texts: MORE (the batch has no room for this text: step, then push it again); CONTEXT_FULL
 * (the text has more than n_batch tokens; a decoder takes up to n_ctx where only the last row counts).
 * Without chord_session_embed() an encoder takes no tokens: UNSUPPORTED_ARCHITECTURE. */
chord_status chord_session_push(chord_session *s, const int32_t *ids, int32_t n);

/* Appends `n` embeddings of n_embd floats (chord_model_info) in place of ids: an image, a soft prompt. The
 * model reads them unchanged: a factor that it applies to the embeddings of ids isn't applied.
 *
 *   rows       float[n][n_embd]. The host owns the rows, and keeps them unchanged and in place until they
 *              are evaluated or dropped.
 *   positions  int32_t[n][n_axes], each 0 to 2^28. A token pushed later gets the largest of these
 *              positions + 1. NULL: the positions continue from the position of the last token.
 *
 * Errors: CONTEXT_FULL; BUSY (earlier embeddings are still pending); INVALID_ARGUMENT (no rows, an address
 * that isn't aligned to 4 bytes, a position out of range, a batch under way). After an error nothing was
 * appended. */
chord_status chord_session_push_embeddings(chord_session *s, const float *rows, const int32_t *positions,
                                           int32_t n);

/* Selects the tokens that get an output row. CHORD_OUTPUT_LAST, the default: only the last pushed token.
 * CHORD_OUTPUT_ALL: every token. Batches then have at most n_logits tokens, and a step returns DONE after
 * each batch, also while tokens are pending. Errors: INVALID_ARGUMENT (unknown mode), BUSY (a batch is
 * under way). */
enum { CHORD_OUTPUT_LAST = 0, CHORD_OUTPUT_ALL = 1 };
chord_status chord_session_outputs(chord_session *s, int32_t mode);

/* Evaluates pending tokens with the CPU executor and all helpers. A step continues where the last step
 * stopped.
 *
 *   budget  planned multiply-adds to spend. 0: one unit. CHORD_NO_LIMIT: until a batch with output rows is
 *           complete.
 *
 * The host may call chord_session_step() again after every result:
 *   DONE          a batch with output rows is complete, or nothing was pending
 *   MORE          the budget is spent
 *   NEED_MEMORY   the next batch needs pages and hasn't started: give state.wanted_bytes with
 *                 chord_model_give()
 *   NEED_WEIGHTS  the weights of state.layer aren't there: load the layer, or wait for the loader; layer -1:
 *                 chord_session_lazy_rows(). Nothing is lost
 *   CANCELLED     the session is at the end of its last finished batch; its pending tokens are dropped
 *
 * These errors change nothing: BUSY (another session of the model has a batch under way), INVALID_ARGUMENT
 * (the weights are external, or the keys and values of an earlier position are in another executor;
 * truncate to that position). Every other error leaves the session as CANCELLED does, also that of a layer
 * that couldn't be loaded (chord_model_page_failed()). */
chord_status chord_session_step(chord_session *s, uint64_t budget);

/* The three calls of a step, for an executor outside the library (a GPU's, the tests' interpreter):
 *
 *   while ((st = chord_session_next_batch(s, &batch)) == CHORD_OK) {      // NEED_MEMORY: give, call again
 *     ... compute the batch; write output rows to batch.outputs, or keep them ...
 *     chord_session_accept_batch(s);                                      // or chord_session_drop_batch(s)
 *   }
 *   token = chord_session_sample(s, &sampling);                           // or chord_session_sample_row()
 *   chord_session_push(s, &token, 1);                                     // or chord_session_accept_token()
 *
 * The executor keeps its own keys, values and states, by position. A batch continues behind the first
 * first_pos tokens of the session. The session may have been truncated or forked since the last batch.
 *
 * chord_session_next_batch() makes a batch of pending tokens and writes it to *out. If a batch is under
 * way, the call writes that batch again. If a step began the batch, the step's work is lost: the executor
 * computes the whole batch. A later step would in turn compute the whole batch itself.
 *
 * Results: OK; DONE (nothing is pending); NEED_MEMORY (give state.wanted_bytes with chord_model_give(),
 * call again); CANCELLED (chord_session_cancel() was called; the session is as after
 * chord_session_drop_batch()). Errors: BUSY (another session of the model has a batch under way),
 * INVALID_ARGUMENT (`out` is NULL). Only OK writes *out. Only OK and CANCELLED change the session. */
chord_status chord_session_next_batch(chord_session *s, chord_batch_info *out);
/* Hands out early the pages and states that `ahead` batches of one token behind the batch under way will
 * write, so that an executor can submit these batches before their tokens are known. The context's end
 * bounds them. The batches later find them in the table. A truncation or a drop takes them back, and neither
 * forks nor saves hold them. Results: OK; NEED_MEMORY (give state.wanted_bytes, call again; nothing has
 * changed). Error: INVALID_ARGUMENT (no batch is under way, or not 0 <= ahead <= CHORD_MAX_AHEAD). */
#define CHORD_MAX_AHEAD 4
chord_status chord_session_reserve(chord_session *s, int32_t ahead);
/* Writes the numbers of the pages of class `cls` from entry `first` of the session's table on: at most `cap`
 * numbers, -1 for a dead page. Entry i holds positions 32 i .. 32 i + 31. A class of states has entry 0, the
 * state before the batch, and entry 1, the state that the executor writes; entry 1 only while a batch is
 * under way. States handed out early follow. The executor keeps a page for each number. Numbers begin at 0,
 * and a page keeps its number. With external weights the library's own pages hold nothing and take 128 bytes
 * each. Returns how many entries the table has from `first` on. Errors: INVALID_ARGUMENT. */
int32_t chord_session_pages(const chord_session *s, int32_t cls, int32_t first, int32_t *numbers,
                            int32_t cap);
/* Writes what the executor must put into pages before the next batch: triples (class, number of the page,
 * number of the page to copy, or -2 for zeros), at most `cap`. Call it after each OK of
 * chord_session_next_batch(), and for the new session after chord_session_fork(). What is written isn't
 * reported again. Returns the number of triples. Errors: INVALID_ARGUMENT (`cap` is below n_classes). */
int32_t chord_session_copies(chord_session *s, int32_t *triples, int32_t cap);
/* Marks the tokens of the batch as evaluated. chord_session_logits() then returns its output rows. An output
 * row that the executor didn't write starts with NaN, and chord_session_sample() refuses it. Error:
 * INVALID_ARGUMENT (chord_session_next_batch() has returned no batch since the last accept, drop, step
 * or truncate). The error changes nothing. */
chord_status chord_session_accept_batch(chord_session *s);
/* Drops the batch under way and all pending tokens, as a cancelled step does. The call also clears an
 * earlier chord_session_cancel(): the next step isn't cancelled. */
chord_status chord_session_drop_batch(chord_session *s);

/* Makes the running or the next step stop before its next slice of work. Any thread may call it. */
void chord_session_cancel(chord_session *s);

/* Returns output row `row` of the last finished batch: float[n_vocab], the logits. NULL if there is no such
 * row. The row is valid until a session of the model starts its next batch. */
const float *chord_session_logits(const chord_session *s, int32_t row);

/* Draws a token from the last output row. The order is llama.cpp's: bias, penalties, top-k, top-p, min-p,
 * temperature, draw. The random generator (PCG32) belongs to the session. Returns the id, which isn't
 * pushed, or a negative status: INVALID_ARGUMENT (no output row, or a field out of range, named), INTERNAL
 * (a logit isn't finite; the text names the position). */
int32_t chord_session_sample(chord_session *s, const chord_sampling *p);
/* Writes natural logarithms of probabilities. The probabilities are the softmax of the last output row,
 * before bias, penalties and all other fields of chord_sampling apply.
 *
 *   id             the token whose entry is written first: mostly the one that was sampled
 *   k              how many of the most likely tokens follow, 0 .. CHORD_MAX_TOP: by descending
 *                  logarithm, then by ascending id
 *   ids, logprobs  int32_t[1 + k], double[1 + k], aligned
 *
 * Returns the number of entries: 1 + k, or fewer if fewer than k tokens have a logit above -inf. Errors:
 * those of chord_session_sample(); INVALID_ARGUMENT (an argument out of range, NULL or misaligned). */
#define CHORD_MAX_TOP 20
int32_t chord_session_logprobs(chord_session *s, int32_t id, int32_t k, int32_t *ids, double *logprobs);
/* Seeds the session's random generator. A new session is seeded with 0. */
void chord_session_seed(chord_session *s, uint64_t seed);
/* Returns the number in [0, 1) that the draw after the next `ahead` draws will use; 0: the next draw, as
 * batch_info.random. The generator doesn't move. An executor that draws tokens itself can so encode later
 * steps before it knows the tokens of earlier ones. The time is proportional to `ahead`. Returns -1 if `s`
 * is NULL or `ahead` negative. */
double chord_session_random(const chord_session *s, int32_t ahead);
/* As chord_session_sample(), from the host's logits[n_vocab], aligned to 4 bytes. The call doesn't
 * change the logits. */
int32_t chord_session_sample_row(chord_session *s, const chord_sampling *p, const float *logits);
/* Pushes a token that another executor drew with batch_info.random. The generator advances by one number,
 * as in chord_session_sample() with a temperature above 0. Errors: those of chord_session_push(); the
 * generator doesn't advance then. */
chord_status chord_session_accept_token(chord_session *s, int32_t id);

/* Removes the tokens from position `n` on. If a cache can't continue at `n`, the call removes more tokens:
 * back to the nearest earlier position where every state has a checkpoint and every window still has its
 * pages, or to 0. Returns the position from which the sequence now continues. The host pushes the tokens
 * between that position and `n` again. A batch under way is undone: its tokens are pending again. Error:
 * INVALID_ARGUMENT unless 0 <= n <= n_tokens. */
int32_t chord_session_truncate(chord_session *s, int32_t n);
/* Creates a second session with the same tokens in `block` (chord_session_bytes() bytes, CHORD_BLOCK_ALIGN
 * aligned) and writes it to *out. The sessions share whole pages; the last, partial page is copied. A batch
 * under way and output rows aren't copied. NEED_MEMORY: give state.wanted_bytes of session `s`, call again.
 * Errors: INVALID_ARGUMENT. */
chord_status chord_session_fork(chord_session *s, void *block, size_t bytes, chord_session **out);
/* Returns how many leading ids equal the session's first evaluated tokens. An embedding equals no id. */
int32_t chord_session_match(const chord_session *s, const int32_t *ids, int32_t n);
/* Returns the address of the session's n_tokens ids, evaluated and pending: int32_t[n_tokens], -1 for an
 * embedding. NULL if `s` is NULL. The ids are valid until the session's next call. */
const int32_t *chord_session_tokens(const chord_session *s);

/* A session as bytes, in chunks of any size:
 *
 *   total = chord_session_save_bytes(s);
 *   for (at = 0; at < total; at += n) {                                  // n bytes, cut to the rest
 *     chord_session_save(s, at, chunk, n); ... write chunk ...
 *   }
 *   for (at = 0, st = CHORD_MORE; st == CHORD_MORE && (n = ...read the next bytes to chunk...) > 0; at += n)
 *     while ((st = chord_session_restore(s, at, chunk, n)) == CHORD_NEED_MEMORY)
 *       ... chord_model_give() state.wanted_bytes ...
 *   // st isn't DONE: an error, or the save is cut off
 *
 * A save holds the tokens, pending ones included; keys, values, states and checkpoints; the output mode; the
 * random generator. The penalties' window is the last tokens. It doesn't hold output rows: to get logits,
 * truncate by a token and evaluate that token again. The restored session continues with the bits of the
 * saved one. A save has a version, a fingerprint of the model and the KV type, and checksums. Its numbers
 * are little-endian. A save fits every context length that its tokens fit, and every build and isa of the
 * library with the same CHORD_SAVE_VERSION. Equal sessions have equal saves. */

/* Returns the bytes of a save of the session as it is now; 0 if `s` is NULL or a restore is under way. */
uint64_t chord_session_save_bytes(const chord_session *s);
/* Writes bytes [at, at + n) of the session's save to `dst`, cut to the save's end. `at` 0 begins a save.
 * Every other call continues at the end of the call before; a step, truncate or drop between them ends the
 * save. The session doesn't change. Returns MORE, or DONE after the last byte. Errors: BUSY (a batch is
 * under way); INVALID_ARGUMENT (another offset, embeddings are pending, a restore is under way, another
 * executor holds the keys and values, `dst` is NULL). */
chord_status chord_session_save(chord_session *s, uint64_t at, void *dst, size_t n);
/* For an executor outside the library that holds all keys and values (the weights are external): where byte
 * `at` of a save, or of a restore under way whose header has arrived, is. Writes the class of caches, the
 * number of the page and the byte in it, as the library lays pages out ([cache][K, V][head][token][width], a
 * head and a state's part at multiples of 16 bytes); class -1 if the byte is the library's. Returns how
 * many bytes follow each other there, 0 at the save's end. Before chord_session_save() the host writes the
 * bytes of pages to `dst`, where the call only sums them. After chord_session_restore() it takes them from
 * `bytes`. Offset 0 is always the library's: begin with what chord_session_save_place(s, 0) returns.
 * Errors: INVALID_ARGUMENT. */
int32_t chord_session_save_place(const chord_session *s, uint64_t at, int32_t place[3]);
/* Tells the library, which doesn't see a matrix that is external, paged or lazy, its first bytes in the
 * file: those of the first row, 256 or all of it. They are a part of the fingerprint in saves. Without them
 * a save is another model's. Errors: INVALID_ARGUMENT. */
chord_status chord_model_sample(chord_model *m, int32_t tensor, const void *bytes, size_t n);
/* Reads the next n bytes of a save. `at` 0 begins; the session must then be empty. Every other call
 * continues at the end of the call before. While a restore is under way, the session takes no tokens;
 * chord_session_truncate(s, 0) ends the restore.
 *
 *   MORE         more bytes are needed
 *   NEED_MEMORY  give state.wanted_bytes with chord_model_give(), then pass the same bytes again
 *   DONE         the session continues where the saved one was
 *
 * Errors: INVALID_ARGUMENT (the session isn't empty, another offset, `bytes` is NULL: nothing has changed).
 * After every other error the session is empty: INVALID_ARGUMENT (the bytes are no save, or one of another
 * version, model or KV type; the text names the difference), INTEGRITY (a damaged save, or bytes behind its
 * end), CONTEXT_FULL (more tokens than the context length). */
chord_status chord_session_restore(chord_session *s, uint64_t at, const void *bytes, size_t n);

/* Writes the session's state to *out. Errors: INVALID_ARGUMENT. */
chord_status chord_session_get_state(const chord_session *s, chord_session_state *out);

#endif
