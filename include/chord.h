/* chord.h: run GGUF language models. C17, freestanding, no allocation, no global state.
 *
 * The library computes. The host owns memory, files, threads and time. One rule holds for all calls: a call
 * returns what it needs, the host gives it and calls again. Calls return a chord_status (chord_status.h):
 * zero and positive values are results, negative values are errors. chord_last_error() returns the cause of
 * an error.
 *
 * A complete native use (examples/c/generate.c is this loop with error handling):
 *
 *   chord_model *m = chord_model_init(block, block_bytes);              // HEADER: metadata, tensor table
 *   while ((st = chord_model_push(m, 0, chord_model_position(m), p, n)) == CHORD_MORE) ...read on...
 *   chord_model_plan(m, &config, &plan);                                      // PLAN: how much memory, which tensors
 *   chord_model_begin(m, arena, plan.bytes);                            // DATA: tensors arrive
 *   while (chord_model_push(m, 0, offset, p, n) == CHORD_MORE) ...read on...
 *   chord_session *s = chord_session_open(m, mem, chord_session_bytes(m));
 *   n = chord_tokenize(m, text, n_text, CHORD_ADD_SPECIAL, ids, cap, scratch, scratch_bytes);
 *   chord_session_push(s, ids, n);
 *   for (;;) {
 *     while ((st = chord_session_step(s, CHORD_NO_LIMIT)) == CHORD_NEED_MEMORY) chord_model_give(m, page, bytes);
 *     token = chord_session_sample(s, &sampling);
 *     if (token < 0 || chord_token_flags(m, token) & CHORD_TOKEN_EOG) break;
 *     chord_detokenize(m, &token, 1, 0, text, cap);
 *     chord_session_push(s, &token, 1);
 *   }
 *
 * Sizes and file offsets are uint64_t or size_t here. In WebAssembly each crosses as a double, an integer
 * below 2^53.
 * The structs below hold only int32_t, float and double. They start with their version and size. Their
 * layout is the same on wasm32, wasm64 and native.
 *
 * Only one thread may call a model at a time, except chord_session_cancel() and helpers in chord_thread_join(). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_H
#define CHORD_H
#include <stddef.h>
#include <stdint.h>
#include "chord_status.h"

#define CHORD_VERSION_MAJOR 0
#define CHORD_VERSION_MINOR 1
#define CHORD_VERSION_PATCH 0
#define CHORD_ABI_VERSION 2                 /* version of the structs below and of the exports */
#define CHORD_NO_LIMIT UINT64_MAX
#define CHORD_PAGE_TOKENS 32                /* tokens per KV page */
#define CHORD_BLOCK_ALIGN 64                /* alignment of every block given to the library */

typedef struct chord_model chord_model;     /* a model while it loads and after */
typedef struct chord_session chord_session; /* one sequence of tokens with its KV cache */

/* ---- structs that cross every boundary ------------------------------------------------------- */

enum { CHORD_KV_F32 = 0, CHORD_KV_F16 = 1, CHORD_KV_Q8_0 = 8 }; /* ggml's type ids */

typedef struct chord_config {
    int32_t version, size;      /* CHORD_ABI_VERSION, sizeof(chord_config) */
    int32_t n_ctx;              /* context length; 0: the model's, at most 4096 */
    int32_t n_batch;            /* maximum tokens in a batch; 0: 256 */
    int32_t n_logits;           /* maximum output rows in a batch; 0: as many as fit 4 MiB, minimum 1 */
    int32_t kv_type;            /* CHORD_KV_* */
    int32_t n_threads;          /* threads that compute, including the caller's; 0: 1 */
    int32_t isa;                /* CHORD_ISA_*; 0: the best of this build */
    int32_t external;           /* 1: matrices are EXTERNAL (a GPU host uploads them); vectors: resident */
    int32_t reserved;
} chord_config;

enum { CHORD_ISA_BEST = 0, CHORD_ISA_SCALAR = 1, CHORD_ISA_VECTOR = 2, CHORD_ISA_RELAXED = 3 };

typedef struct chord_plan_info {
    int32_t version, size;
    int32_t n_tensors, n_ops;
    int32_t n_ctx, n_batch, n_logits, n_threads; /* as granted */
    double bytes;               /* what chord_model_begin() needs: the sum of the next three */
    double weight_bytes, vocabulary_bytes, activation_bytes;
    double header_bytes;        /* used so far of the header's blocks: metadata, tensor table, program */
    double file_weight_bytes;   /* the resident tensors' bytes in the file */
    double file_vocabulary_bytes; /* tokens, scores, types and merges in the file */
    double page_bytes;          /* a page of every class of caches: CHORD_PAGE_TOKENS more tokens cost at most this */
    double context_bytes;       /* pages and states of a session whose context is full; windows cost what they keep */
    double session_bytes;       /* what chord_session_open() needs */
    double data_begin, data_end; /* file range that holds the tensors' bytes */
    double madds_per_token;     /* multiply-adds of one token at position 0, output row included */
} chord_plan_info;

enum { CHORD_PLACE_RESIDENT = 0, CHORD_PLACE_EXTERNAL = 1, CHORD_PLACE_SKIPPED = 2 };

typedef struct chord_tensor_info {
    int32_t version, size;
    int32_t type;               /* ggml's type id */
    int32_t n_dims;
    double ne[4];               /* elements per dimension; ne[0] is the row length */
    double file_off, file_bytes; /* offset from the file's first byte; bytes in the file */
    int32_t placement;          /* CHORD_PLACE_* */
    int32_t is_ready;           /* 1: all its bytes have arrived */
    int32_t file;               /* index of the file that holds it, as in chord_model_push(); 0 today */
    int32_t reserved;
} chord_tensor_info;

typedef struct chord_model_info {
    int32_t version, size;
    int32_t n_vocab, n_embd, n_layer, n_head, n_kv, head_dim, n_ff, n_ctx_train;
    int32_t file_type;          /* general.file_type, -1 when absent */
    int32_t bos, eos, unk, pad; /* token ids, -1 when absent */
    int32_t add_bos, add_eos;
    int32_t is_tied;            /* 1: the output matrix is the embedding matrix */
    int32_t gguf_version, n_kv_pairs, n_tensors;
    int32_t reserved;
    double n_params;            /* elements of all tensors */
} chord_model_info;

typedef struct chord_session_state {
    int32_t version, size;
    int32_t n_past;             /* tokens whose KV is in the cache */
    int32_t n_tokens;           /* n_past plus the pushed tokens not yet evaluated */
    int32_t n_rows;             /* output rows of the last finished batch, see chord_session_logits */
    int32_t first_row;          /* position of the first output row */
    int32_t n_pages;            /* KV pages this session uses */
    int32_t layer;              /* after NEED_WEIGHTS: the layer that isn't resident */
    double wanted_bytes;        /* after NEED_MEMORY: bytes to give */
    double work_done;           /* planned work since the session was opened */
    double last_step_work;      /* planned work of the last step: at most its budget, or one larger unit */
    double batch_work, batch_work_done; /* planned work of the unfinished batch; its part already done */
} chord_session_state;

typedef struct chord_sampling {
    int32_t version, size;
    int32_t top_k;              /* 0: off */
    int32_t n_bias;             /* pairs at `bias` */
    float temperature;          /* 0: argmax, lowest id on a tie */
    float top_p, min_p, typical_p; /* 1, 0, 1: off; typical_p other than 1 isn't there yet */
    float repetition_penalty, frequency_penalty, presence_penalty; /* 1, 0, 0: off; over the last 64 tokens */
    float reserved;
    double bias;                /* address of n_bias pairs (int32_t id, float added to its logit), or 0 */
} chord_sampling;

/* What an executor computes, by chord_session_next_batch(): one run of consecutive positions of one sequence. The
 * addresses are the library's; they are valid until the batch is accepted or dropped. */
typedef struct chord_batch_info {
    int32_t version, size;
    int32_t n_tokens, n_outputs; /* rows of the batch, and how many of them give output */
    int32_t first_pos;          /* index of the run's first token in its sequence */
    int32_t n_axes;             /* numbers of one position: 1 or 3 */
    int32_t n_embd;             /* floats of an embedding row */
    int32_t n_width;            /* floats of an output row: n_vocab for logits */
    int32_t first_embedding, n_embeddings; /* the rows [first, first + n) of the batch are embeddings; all others are ids */
    double ids;                 /* int32_t[n_tokens]; -1: the row is an embedding */
    double embeddings;          /* float[n_embeddings][n_embd], inside the block that was pushed; 0: none */
    double positions;           /* int32_t[n_tokens][n_axes], for rotary angles alone; 0: first_pos and up, on every axis */
    double rows;                /* int32_t[n_outputs]: rows that give output, ascending */
    double outputs;             /* float[n_outputs][stride]: where output rows go, in the order of `rows` */
    double random;              /* below 1: the number that chord_session_sample() would draw with next */
    int32_t stride;             /* floats from one output row to the next */
    int32_t reserved;
} chord_batch_info;

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
 *
 * Returns NULL if the block is too small or misaligned. To free a model, the host closes its sessions, waits
 * until every helper has returned, and frees the blocks. */
chord_model *chord_model_init(void *block, size_t bytes);

/* Sets the file's length, if the host knows it. A truncated file is then refused before its data is read. */
chord_status chord_model_set_file_bytes(chord_model *m, uint64_t bytes);

/* Returns the file offset chord_model_push() needs next. The host may drop all bytes before it. */
uint64_t chord_model_position(const chord_model *m);
/* After NEED_MEMORY of chord_model_push() or chord_model_plan(): the minimum bytes to add at the arena's end. */
size_t chord_model_wanted(const chord_model *m);

/* Gives memory to the model. Before chord_model_begin(), `block` must start where the last block ended: it
 * extends the arena in place. After the load, the block becomes KV pages of plan_info.page_bytes each; a
 * rest smaller than a page stays unused. Errors: INVALID_ARGUMENT. */
chord_status chord_model_give(chord_model *m, void *block, size_t bytes);

/* Pushes bytes [off, off + n) of file `file`. A model has one file today, number 0. Every push names its
 * file, so that shards, adapters and projectors can become files of one model.
 *
 * HEADER phase: `off` must equal chord_model_position(). A chunk may have any size.
 *   MORE: push on from chord_model_position().
 *   NEED_MEMORY: give memory, then push again from chord_model_position(). Some of the bytes may have been
 *   consumed.
 *   DONE: metadata and tensor table are complete. The rest of the chunk wasn't consumed.
 * DATA phase: push chunks in file order. Bytes outside the wanted tensors are ignored; the host may leave
 * them out.
 *   The call repacks four rows at a time. MORE, or DONE when the last wanted tensor is complete.
 * Errors: INVALID_ARGUMENT if the model has no such file or, in HEADER, `off` is wrong; no byte was
 * consumed.
 * INVALID_GGUF, UNSUPPORTED_* and, in DATA, an offset that leaves out wanted bytes: the model object can't
 * continue. */
chord_status chord_model_push(chord_model *m, int32_t file, uint64_t off, const void *bytes, size_t n);

/* Tells the model that the file has ended. INVALID_GGUF if something is missing; chord_last_error() names
 * it. */
chord_status chord_model_end(chord_model *m);

/* Chooses the architecture, binds every tensor and lays out memory. Call it after HEADER. The host may call
 * it again with another config until chord_model_begin(). NEED_MEMORY: extend the arena by
 * chord_model_wanted() bytes (chord_model_give) and call again. Errors: UNSUPPORTED_*, INVALID_GGUF,
 * INVALID_ARGUMENT. */
chord_status chord_model_plan(chord_model *m, const chord_config *config, chord_plan_info *out);

/* Starts the DATA phase. `block` holds weights, vocabulary and activations: `plan.bytes` bytes. The call
 * builds the vocabulary. Returns DONE if no tensor is wanted, otherwise MORE. Errors: INVALID_ARGUMENT,
 * OUT_OF_MEMORY (the block is too small). On a 32-bit host `plan.bytes` may exceed the address space:
 * compare it before a cast to size_t. */
chord_status chord_model_begin(chord_model *m, void *block, size_t bytes);

/* Returns row `i` of the tensor table. Call it after HEADER. `name` receives the tensor's name, cut to `cap`
 * - 1 bytes and terminated. `name` may be NULL. */
chord_status chord_model_tensor(const chord_model *m, int32_t i, chord_tensor_info *out, char *name, size_t cap);

/* Returns the model's numbers. Call it after chord_model_plan(). */
chord_status chord_model_get_info(const chord_model *m, chord_model_info *out);

/* Writes the value of metadata key `key` (`n_key` bytes) as text: strings unchanged, numbers in decimal,
 * arrays as "[type x count]". Writes at most `cap` bytes, not terminated. Returns the full length, or -1 if
 * the model has no such key or the value was skipped. With n_key = -1 - i the call writes the name of key i
 * instead. */
int64_t chord_model_meta(const chord_model *m, const char *key, int32_t n_key, char *dst, size_t cap);

/* Writes one row of a matrix to `dst` in file form: the exact inverse of the repacking. */
chord_status chord_model_row(const chord_model *m, int32_t tensor, int64_t row, void *dst, size_t cap);

/* Returns the program's op records (program/program.h) and their count. NULL before chord_model_plan(). */
const void *chord_model_program(const chord_model *m, int32_t *n_ops);

/* Profiles steps by op. Each step adds to ms[i] the milliseconds op i took on the leader, including its wait
 * for helpers.
 * `ms` has plan_info.n_ops doubles and stays the host's. NULL ends the profile. */
chord_status chord_model_profile(chord_model *m, double *ms);

/* Writes the cause of the last call's error: the tensor, key, offset or value. Writes "" if the last call
 * succeeded. Every call that can fail, on the model or on one of its sessions, first clears the text of an
 * earlier call. Writes at most `cap` bytes, terminated. Returns the length. */
int32_t chord_last_error(const chord_model *m, char *dst, size_t cap);

/* ---- threads ----------------------------------------------------------------------------------- */

/* Runs a helper: the thread counts as ready, then helps in every step until chord_model_stop(). `index` is
 * 1 .. config.n_threads - 1. Each index is used once. */
chord_status chord_thread_join(chord_model *m, int32_t index);
/* Returns how many helpers have joined. All must have joined before the first step. */
int32_t chord_threads_ready(const chord_model *m);
/* Makes every helper return from chord_thread_join(). */
void chord_model_stop(chord_model *m);

/* ---- text -------------------------------------------------------------------------------------- */

enum { CHORD_ADD_SPECIAL = 1, CHORD_PARSE_SPECIAL = 2, CHORD_SKIP_SPECIAL = 4, CHORD_WHOLE_TEXT = 8 };
enum { CHORD_TOKEN_CONTROL = 1, CHORD_TOKEN_EOG = 2, CHORD_TOKEN_USER = 4, CHORD_TOKEN_BYTE = 8,
       CHORD_TOKEN_UNKNOWN = 16, CHORD_TOKEN_UNUSED = 32 };

/* Returns the bytes of scratch that tokenising `n` bytes of text needs. */
size_t chord_tokenize_bytes(const chord_model *m, size_t n);

/* Converts text to ids. The text is UTF-8; invalid bytes become tokens too. `flags`: CHORD_ADD_SPECIAL,
 * CHORD_PARSE_SPECIAL. Returns the number of ids or a negative status. If the number exceeds `cap`, only
 * `cap` ids were written. The ids equal llama.cpp's. */
int32_t chord_tokenize(const chord_model *m, const char *text, size_t n, int32_t flags,
                       int32_t *ids, int32_t cap, void *scratch, size_t scratch_bytes);

/* The same in slices, for texts that may be long: the ids are the same however they are cut.
 *
 *   t = chord_tokenizer_open(m, text, n, flags, block, chord_tokenizer_bytes());
 *   while ((status = chord_tokenizer_step(t, 20000, ids, cap, &n_ids)) != CHORD_DONE) {
 *     ... take n_ids ids; on CHORD_NEED_MEMORY: chord_tokenizer_give(t, block, chord_tokenizer_wanted(t)) ...
 *   }
 *
 * chord_tokenizer_open() returns NULL for a text of 2^29 bytes or more, or a block that is too small; the
 * block (any alignment) and the text stay in place until the last step. chord_tokenizer_step() takes about
 * `budget` small steps, some 50 ns each: a special token or a character looked at, a pair tried. It writes *n_ids ids, at
 * most `cap` (at least CHORD_TOKENIZER_ROOM). Results: DONE (that was all), MORE, NEED_MEMORY (nothing is
 * lost), INVALID_ARGUMENT. Most texts never need more memory than the block: a step does only for a piece
 * of some 1,500 bytes in which any two neighbours might merge, about 20 bytes a character of that piece.
 * chord_tokenizer_give() takes a block of at least chord_tokenizer_wanted() bytes in place of the one given
 * before, which is the caller's again. chord_tokenizer_least() is how many ids there will be at least, as
 * far as is known: a text that can't fit can be refused before it is read. */
#define CHORD_TOKENIZER_ROOM 16
typedef struct chord_tokenizer chord_tokenizer;
size_t chord_tokenizer_bytes(void);
chord_tokenizer *chord_tokenizer_open(const chord_model *m, const char *text, size_t n, int32_t flags,
                                      void *block, size_t bytes);
chord_status chord_tokenizer_step(chord_tokenizer *t, uint64_t budget, int32_t *ids, int32_t cap, int32_t *n_ids);
size_t chord_tokenizer_wanted(const chord_tokenizer *t);
chord_status chord_tokenizer_give(chord_tokenizer *t, void *scratch, size_t bytes);
uint64_t chord_tokenizer_least(const chord_tokenizer *t);

/* Ids to bytes; special tokens as their text, or left out with CHORD_SKIP_SPECIAL. With CHORD_WHOLE_TEXT
 * the ids are a text from its beginning and the blank that tokenising put before it is taken off again
 * (a generation's pieces keep theirs). Returns the full length, which may exceed `cap`, or a negative
 * status (an id out of range). */
int64_t chord_detokenize(const chord_model *m, const int32_t *ids, int32_t n, int32_t flags,
                         char *dst, size_t cap);

/* Returns the CHORD_TOKEN_* bits of an id, or a negative status. EOG follows llama.cpp's rules. */
int32_t chord_token_flags(const chord_model *m, int32_t id);

/* Streamed text: bytes of tokens in, whole characters out; what may become a stop string is held back.
 *
 *   block       at least chord_stream_bytes(n_stops) bytes, 8-byte aligned
 *   stops       the stop strings one after the other, each `int32_t length` then bytes (UTF-8, not
 *               empty); n_stops bytes in all, at most 64 kB; copied
 *
 * chord_stream_open() returns NULL when the block is too small or the stops aren't that.
 * chord_stream_push() appends a token's bytes (at most CHORD_STREAM_PUSH at a time, else
 * INVALID_ARGUMENT) and returns how many bytes of text are ready (>= 0), chord_stream_end() releases
 * what is held (an unfinished character as U+FFFD); both leave them at *text until the next call.
 * Invalid bytes become U+FFFD as in TextDecoder. The first stop string to complete wins; on a tie, the
 * longest. Then chord_stream_stopped() returns 1, the text ends before the stop string and pushes add
 * nothing. */
#define CHORD_STREAM_PUSH 4096
typedef struct chord_stream chord_stream;
size_t chord_stream_bytes(size_t n_stops);
chord_stream *chord_stream_open(void *block, size_t bytes, const void *stops, size_t n_stops);
int32_t chord_stream_push(chord_stream *t, const char *bytes, size_t n, const char **text);
int32_t chord_stream_end(chord_stream *t, const char **text);
int32_t chord_stream_stopped(const chord_stream *t);

/* ---- sessions ---------------------------------------------------------------------------------- */

/* Returns the bytes of a session object. Its KV pages come from chord_model_give(). */
size_t chord_session_bytes(const chord_model *m);
/* Creates an empty session in `block`. Returns NULL if the model isn't ready or the block is too small. */
chord_session *chord_session_open(chord_model *m, void *block, size_t bytes);
/* Returns the session's pages to the model and its block to the host. After a step that ended INTERNAL
 * because a helper didn't answer, the host must wait until all helpers have returned: a slow helper may
 * still read the session's batch. */
void chord_session_close(chord_session *s);

/* Append tokens to be evaluated. Errors: CONTEXT_FULL, INVALID_ARGUMENT (an id out of range, named; a batch under way).
 * Nothing was appended then. */
chord_status chord_session_push(chord_session *s, const int32_t *ids, int32_t n);

/* Append `n` rows of n_embd floats (chord_model_info) in place of ids: an image, a soft prompt. The model gets them as they
 * are: a factor that it applies to the embeddings of ids isn't applied.
 *
 *   rows       float[n][n_embd]; the rows stay the caller's, unchanged and in place until they are evaluated or dropped
 *   positions  int32_t[n][n_axes], each 0 to 2^28, or NULL: the tokens' places. A token pushed later gets the largest + 1
 *
 * Errors: CONTEXT_FULL; BUSY (embeddings pushed before are still pending); INVALID_ARGUMENT (no rows, an address that isn't
 * aligned to 4 bytes, a position out of range, a batch under way). Nothing was appended then. */
chord_status chord_session_push_embeddings(chord_session *s, const float *rows, const int32_t *positions, int32_t n);

/* Which rows the output op computes: only the last pushed token's (the default), or all of them in
 * batches of at most n_logits tokens, each ending with DONE while tokens remain. */
enum { CHORD_OUTPUT_LAST = 0, CHORD_OUTPUT_ALL = 1 };
chord_status chord_session_outputs(chord_session *s, int32_t mode);

/* Go on with the pending tokens for about `budget` multiply-adds.
 *
 *   budget  multiply-adds to spend; 0 takes one unit, CHORD_NO_LIMIT runs to the end.
 *
 * Continues at the session's cursor and may be called again at the same cursor after every result.
 * Allocates nothing; one caller a model at a time; all threads of the pool join in. Results: DONE
 * (the last finished batch has output rows to read; nothing was pending: also DONE), MORE (budget
 * spent), NEED_MEMORY (state.wanted_bytes, then chord_model_give; nothing has changed yet),
 * NEED_WEIGHTS, CANCELLED (the session stands at the end of its last finished batch, pending tokens
 * are dropped), or an error that leaves the session as after a cancel. Only these errors change nothing: BUSY (another
 * session of the model has a batch under way), INVALID_ARGUMENT (the weights are external; or another executor evaluated
 * a position before the pending tokens, whose keys and values aren't here: truncate to it). */
chord_status chord_session_step(chord_session *s, uint64_t budget);

/* A step taken apart, for an executor outside the library (a GPU's, the tests' interpreter):
 *
 *   while ((st = chord_session_next_batch(s, &batch)) == CHORD_OK) {      // NEED_MEMORY: give, call again
 *     ... compute the batch; write output rows to batch.outputs, or keep them ...
 *     chord_session_accept_batch(s);                                      // or chord_session_drop_batch(s)
 *   }
 *   token = chord_session_sample(s, &sampling);                           // or chord_session_sample_row()
 *   chord_session_push(s, &token, 1);                                     // or chord_session_accept_token()
 *
 * The executor keeps keys, values and states of its own, by position: a batch continues behind first_pos tokens of the
 * session, which may have been truncated or forked since the last one.
 *
 * chord_session_next_batch() makes a batch of pending tokens and writes it to *out. A batch under way is written again,
 * also one that a step has begun: its work is lost, the executor computes all of it. A later step takes the batch back,
 * from its beginning. Results: OK; DONE (nothing is pending); NEED_MEMORY (state.wanted_bytes, then chord_model_give);
 * CANCELLED (chord_session_cancel() was called: as chord_session_drop_batch()). Errors: BUSY (another session of the model has a
 * batch under way), INVALID_ARGUMENT (`out` is NULL). *out is written with OK alone; only CANCELLED changes the session. */
chord_status chord_session_next_batch(chord_session *s, chord_batch_info *out);
/* The batch is computed: its tokens are evaluated, and its output rows are what chord_session_logits() returns. A row that
 * the executor didn't write begins with NaN: chord_session_sample() refuses it. Error: INVALID_ARGUMENT (no batch was
 * given out since the last accept, drop, step or truncate); nothing has changed then. */
chord_status chord_session_accept_batch(chord_session *s);
/* Forget the batch under way and all pending tokens, as a cancelled step does; a chord_session_cancel() before it is answered. */
chord_status chord_session_drop_batch(chord_session *s);

/* Ask the running or the next step to stop at its next unit. May be called from any thread. */
void chord_session_cancel(chord_session *s);

/* Logits of output row `row` of the last finished batch: float[n_vocab], valid until the next step;
 * NULL when there is no such row. */
const float *chord_session_logits(const chord_session *s, int32_t row);

/* Draw a token from the last output row (it isn't pushed). Order as llama.cpp: bias, penalties, top-k,
 * top-p, min-p, temperature, draw. Returns the id or a negative status; INTERNAL names the position
 * of a non-finite logit. The generator is the session's own (PCG32), see chord_session_seed(). */
int32_t chord_session_sample(chord_session *s, const chord_sampling *p);
void chord_session_seed(chord_session *s, uint64_t seed);
/* The same from logits[n_vocab] of the caller's (aligned to 4 bytes, unchanged) instead of the last output row. */
int32_t chord_session_sample_row(chord_session *s, const chord_sampling *p, const float *logits);
/* Push a token that another executor drew with batch_info.random. The generator moves on by one number, as it does in
 * chord_session_sample() at a temperature above 0. Errors as chord_session_push(): the generator stands still then. */
chord_status chord_session_accept_token(chord_session *s, int32_t id);

/* Forget the tokens from position `n` on, or from the nearest earlier position that every cache can stand at: where a
 * state was kept, where a window's pages are still there, or 0. Returns that position (push the tokens between it and
 * `n` again), or INVALID_ARGUMENT unless 0 <= n <= n_tokens. A batch under way is undone: its tokens are pending again. */
int32_t chord_session_truncate(chord_session *s, int32_t n);
/* A second session with the same tokens: whole pages are shared, the last, partial one is copied.
 * *out gets it. NEED_MEMORY: give a page, call again. */
chord_status chord_session_fork(chord_session *s, void *block, size_t bytes, chord_session **out);
/* How many leading ids equal the session's own evaluated tokens. */
int32_t chord_session_match(const chord_session *s, const int32_t *ids, int32_t n);
chord_status chord_session_get_state(const chord_session *s, chord_session_state *out);

#endif
