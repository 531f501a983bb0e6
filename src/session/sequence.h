/* sequence.h: one sequence of tokens: ids, positions, the pages and states of its caches, the batch under
 * way. A sequence knows no executor: next_batch() makes a batch, an executor computes it, accept_batch()
 * accepts it. The engine's chord_session is a sequence, a cursor and the model that owns it.
 *
 *   sequence.c  tokens and batches        caches.c   the pages and states that a sequence holds
 *   pages.c     the pool of pages         sampler.c  logits -> token id
 *   save.c      a sequence as bytes
 *
 * Invariants: n_past <= n_tokens <= n_ctx; a page that is written has one reference. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_SESSION_SEQUENCE_H
#define CHORD_SESSION_SEQUENCE_H
#include "../../include/chord.h"

#include "../base/status.h"
#include "../program/batch.h"

/* ---- pages ----------------------------------------------------------------------------------------
 * A page is a header of CHORD_PAGE_HEADER bytes and a payload: keys and values of CHORD_PAGE_TOKENS tokens
 * of the caches of a class, or a state (program/plan.h). Page tables point at payloads. A pool keeps its
 * free pages in a list. */
#define CHORD_PAGE_HEADER 64
typedef struct chord_page_pool {
    uint64_t payload_bytes;
    uint8_t *free;                /* payload of the first free page; each header links the next */
    int32_t n_pages, n_free;
    int32_t n_wanted;             /* pages that the last NEED_MEMORY wanted, minus pages given since */
} chord_page_pool;

/* Returns the bytes of a whole page, header included, a multiple of CHORD_BLOCK_ALIGN. */
uint64_t chord_page_bytes(const chord_page_pool *pool);
/* Cuts `block` (CHORD_BLOCK_ALIGN aligned) into free pages. A rest smaller than a page is unused. */
void chord_page_give(chord_page_pool *pool, void *block, size_t bytes);
/* Cuts `block` into free pages of the n pools of a model: first n_wanted pages of each pool, then pages of
 * pool `most`. */
void chord_pages_give(chord_page_pool *pools, int32_t n, int32_t most, void *block, size_t bytes);
/* Returns a page with one reference, or NULL if the list is empty. The payload isn't cleared. */
uint8_t *chord_page_take(chord_page_pool *pool);
/* Adds a reference. */
void chord_page_share(uint8_t *payload);
/* Removes a reference. Without references the page is free. */
void chord_page_drop(chord_page_pool *pool, uint8_t *payload);
int32_t chord_page_refs(const uint8_t *payload);
/* An executor outside the library holds keys, values and states in pages of its own. It knows a page by its
 * number, 0 .. n_pages - 1 of the pool, which the page keeps for ever. The page's source says what the
 * executor must put into the page before it is used: nothing (NEW), zeros (ZEROS), or a copy of the page of
 * that number. */
enum { CHORD_PAGE_NEW = -1, CHORD_PAGE_ZEROS = -2 };
int32_t chord_page_number(const uint8_t *payload);
int32_t chord_page_source(const uint8_t *payload);
void chord_page_set_source(uint8_t *payload, int32_t source);

/* ---- sequence ---------------------------------------------------------------------------------------
 * A sequence holds pages of each class of caches (program/plan.h):
 *   PAGED   the pages of [0, n_past); while a batch is under way, also the pages of the batch; and pages
 *           handed out early, by chord_sequence_reserve()
 *   WINDOW  like PAGED; when the pool has no free page, pages far enough before the window die: their
 *           entries become NULL
 *   STATE   the state at n_past; while a batch is under way, also a second state, which the executor
 *           writes; states handed out early for the batches behind it; and checkpoints, the states at
 *           earlier positions. An accepted state is never written again, so that a checkpoint or a fork
 *           costs one reference. */
#define CHORD_MAX_CHECKPOINTS 8
typedef struct chord_sequence_class {
    uint8_t **pages;              /* by position / CHORD_PAGE_TOKENS; STATE: [0] current, [1] next, early */
    int32_t n_pages;              /* entries, dead pages included; STATE: maximum 2 + CHORD_MAX_AHEAD */
    int32_t n_dead;               /* WINDOW: dead pages, the first entries, which are NULL */
} chord_sequence_class;

typedef struct chord_checkpoint {
    int32_t at;                   /* position: tokens before the checkpoint; 0: unused */
    uint8_t *states[CHORD_MAX_CLASSES]; /* one per class of states */
} chord_checkpoint;

typedef struct chord_sequence_config {
    int32_t n_ctx, n_batch, n_logits, n_vocab;
    int32_t n_axes;               /* numbers per position: 1 or 3 */
    int32_t is_causal;            /* 1: rows see no later ones, so a text may take several batches */
    int32_t is_one_text;          /* 1: a batch has one text, because its executor needs a cache for it */
    int32_t n_checkpoints;        /* maximum CHORD_MAX_CHECKPOINTS; the first is for the ends of prompts */
    int32_t n_classes;
    const chord_cache_class *classes; /* owned by the caller, valid as long as the sequence */
    chord_page_pool *pools;       /* n_classes pools, owned by the caller */
    int32_t n_caches;
    const chord_cache *caches;    /* the places in a page, for save.c; owned by the caller */
} chord_sequence_config;

/* ---- saves: save.h -----------------------------------------------------------------------------------
 * What a save must have in common with the model that restores it. */
#define CHORD_SAVE_VERSION 2
typedef struct chord_save_model {
    char architecture[24];        /* cut, padded with zeros */
    int32_t n_layer, n_embd, n_vocab;
    int32_t kv_type;              /* CHORD_KV_* */
    uint64_t fingerprint;         /* of everything else */
} chord_save_model;

typedef struct chord_save_header {
    char magic[8];                /* "chordsav" */
    int32_t version, size;        /* CHORD_SAVE_VERSION, sizeof(chord_save_header) */
    uint64_t bytes;               /* of the whole save */
    chord_save_model model;
    uint64_t random[2];
    int32_t n_tokens, n_past, has_positions, next_position, outputs, next_checkpoint;
    int32_t n_dead[CHORD_MAX_CLASSES];
    int32_t checkpoints[CHORD_MAX_CHECKPOINTS]; /* their positions, 0: unused */
    uint64_t sum;                 /* of the fields above */
} chord_save_header;
/* No padding: the same on every target. */
_Static_assert(sizeof(chord_save_header) == 8 + 8 + 8 + 24 + 16 + 8 + 16 + 24 + 64 + 8, "padding");

/* A save or a restore under way. */
enum { CHORD_TRANSFER_NONE, CHORD_TRANSFER_SAVE, CHORD_TRANSFER_RESTORE };
typedef struct chord_transfer {
    int32_t kind, reserved;
    uint64_t at, sum;             /* bytes so far, and their sum */
    uint64_t end;                 /* restore: the checksum at the save's end, as far as it has arrived */
    chord_save_header header;
} chord_transfer;

typedef struct chord_sequence {
    chord_sequence_config config;
    int32_t n_past, n_tokens;     /* evaluated tokens; evaluated and pending tokens */
    int32_t outputs;              /* CHORD_OUTPUT_* */
    int32_t has_batch;            /* 1: a batch is under way: `batch` and `run` are valid */
    int32_t n_rows, first_row;    /* output rows of the last finished batch; position of the first */
    uint64_t wanted;              /* after NEED_MEMORY: bytes of the missing pages */
    uint64_t random[2];           /* PCG32: state, increment */
    chord_batch batch;
    chord_batch_run run;          /* the only run of a batch of tokens */
    int32_t is_texts, pooling;    /* 1: a sequence of texts, for embeddings; CHORD_POOLING_* */
    int32_t n_texts;              /* pending texts */
    int32_t n_text_pages;         /* pages of the pending texts: each begins a page */
    const float *embeddings;      /* the host's rows of tokens [first_embedding, end_embedding), or NULL */
    int32_t first_embedding, end_embedding, embedding_width;
    int32_t has_positions;        /* 1: positions were pushed: positions[i] may differ from i */
    int32_t next_position;        /* position of the next token pushed, on every axis */
    int32_t next_checkpoint;      /* index of the periodic checkpoint that is taken next */
    chord_checkpoint checkpoints[CHORD_MAX_CHECKPOINTS];
    chord_sequence_class classes[CHORD_MAX_CLASSES];
    int32_t is_elsewhere;         /* 1: the pages' bytes are in an executor outside the library */
    int32_t *ids;                 /* [n_ctx]; -1 for an embedding */
    int32_t *positions;           /* [n_ctx][n_axes] */
    int32_t *rows;                /* [n_batch] */
    const float **batch_embeddings; /* [n_batch] */
    chord_batch_run *texts;       /* [n_batch, at most CHORD_MAX_RUNS] */
    chord_transfer transfer;
} chord_sequence;

/* Returns the maximum bytes of pages and states that a sequence of n tokens holds. */
uint64_t chord_sequence_cache_bytes(const chord_sequence_config *config, int32_t n);
/* Returns the bytes of the block of arrays. */
uint64_t chord_sequence_bytes(const chord_sequence_config *config);
/* Initialises an empty sequence. `arrays` is CHORD_BLOCK_ALIGN aligned. */
void chord_sequence_init(chord_sequence *q, void *arrays, const chord_sequence_config *config);
/* Frees all pages and empties the sequence. */
void chord_sequence_clear(chord_sequence *q);
/* Returns how many pages the sequence refers to, of all classes, checkpoints included. */
int32_t chord_sequence_pages(const chord_sequence *q);

/* Appends n ids. Errors: CONTEXT_FULL, INVALID_ARGUMENT (an id outside the vocabulary, named; a batch under
 * way). After an error nothing was appended. */
chord_status chord_sequence_push(chord_sequence *q, const int32_t *ids, int32_t n, chord_error *e);
/* Makes an empty sequence one of texts, or of tokens. A text is a run of its own, and a batch has all texts
 * that were pushed. A text longer than a batch is alone, and takes several, if only its last row counts.
 * Accepting the last batch empties the sequence. */
void chord_sequence_set_texts(chord_sequence *q, int32_t is_texts, int32_t pooling);
/* Appends a text. MORE: the batch has no room for it. Errors: as chord_sequence_push(); CONTEXT_FULL (no
 * batch holds the text); INVALID_ARGUMENT (no ids). */
chord_status chord_sequence_push_text(chord_sequence *q, const int32_t *ids, int32_t n, chord_error *e);
/* Appends n rows of `width` floats in place of ids. `positions` is [n][n_axes], or NULL: consecutive from
 * next_position. The host owns the rows, which must not change until they are evaluated. A token pushed
 * later gets the largest position + 1. Errors: those of chord_sequence_push; BUSY (another block of rows is
 * pending); INVALID_ARGUMENT (a position outside 0 to 2^28). */
typedef struct chord_embeddings {
    const float *rows;
    const int32_t *positions;
    int32_t n, width;
} chord_embeddings;
chord_status chord_sequence_push_embeddings(chord_sequence *q, const chord_embeddings *in, chord_error *e);

/* Makes the next batch of pending tokens (q->batch), or keeps the batch under way. OK: an executor may run
 * it. DONE: nothing is pending. NEED_MEMORY: q->wanted bytes of pages are missing; nothing has changed.
 * OUTPUT_LAST: the batch has at most n_batch tokens. It has one output row if it holds the last pending
 * token, otherwise none. OUTPUT_ALL: the batch has at most n_logits tokens, and each token has an output
 * row. The call copies a partly filled last page that is shared, because the batch writes it. The call
 * reuses dead pages before it returns NEED_MEMORY. */
chord_status chord_sequence_next_batch(chord_sequence *q);
/* Hands out early what `ahead` batches of one token behind the batch under way will write: their pages, as
 * far as the context goes, and a state each. These stay until they are used, truncated or dropped.
 * NEED_MEMORY (q->wanted): nothing has changed. Error: INVALID_ARGUMENT (no batch is under way, or not
 * 0 <= ahead <= CHORD_MAX_AHEAD). */
chord_status chord_sequence_reserve(chord_sequence *q, int32_t ahead, chord_error *e);
/* Accepts the computed batch: its tokens are evaluated, and its output rows can be read. */
void chord_sequence_accept_batch(chord_sequence *q);
/* Drops the batch under way and all pending tokens, and frees the pages behind n_past. */
void chord_sequence_drop_batch(chord_sequence *q);

/* Removes the tokens from position n on. If a cache can't continue at n, it removes more tokens: back to
 * the nearest earlier position where every state has a checkpoint and every window still has its pages, or
 * to 0. Undoes a batch under way first: its tokens below n are pending again. Output rows below n stay
 * readable. Returns the position, and the caller pushes the tokens between it and n again. Error:
 * INVALID_ARGUMENT unless 0 <= n <= n_tokens. */
int32_t chord_sequence_truncate(chord_sequence *q, int32_t n, chord_error *e);
/* Makes `to` (initialised, empty, same config) a copy of q. They share whole pages and states; a partial
 * last page is copied. Pending tokens and the generator are copied, a batch under way and output rows
 * aren't. NEED_MEMORY (q->wanted): nothing has changed. Error: INVALID_ARGUMENT (`to` isn't empty, or has
 * other pools). */
chord_status chord_sequence_fork(chord_sequence *q, chord_sequence *to);
/* Returns how many leading ids equal the first evaluated tokens. */
int32_t chord_sequence_match(const chord_sequence *q, const int32_t *ids, int32_t n);

/* ---- sampler ---------------------------------------------------------------------------------------- */
#define CHORD_PENALTY_WINDOW 64

/* Returns the next number of a PCG32 generator (O'Neill 2014). state[1], the increment, is odd. */
uint32_t chord_random(uint64_t state[2]);
/* Seeds q->random. */
void chord_sequence_seed(chord_sequence *q, uint64_t seed);

/* A pair of chord_sampling.bias. `value`, finite or -inf, is added to the logit of `id`. */
typedef struct chord_bias {
    int32_t id;
    float value;
} chord_bias;

/* Draws an id from logits[n_vocab], which it doesn't change. The order and the formulas are those of
 * llama.cpp's sampler chain: bias, penalties over the last 64 tokens of q, top-k, top-p, min-p,
 * temperature, draw.
 *
 *   bias     p->n_bias pairs, or NULL if n_bias is 0; p->bias isn't read
 *   scratch  n_vocab x 8 bytes
 *
 * A token with a logit of -inf is impossible. Temperature 0 selects the largest logit after bias and
 * penalties, the lowest id on a tie, and draws no number. Any other temperature draws one number of the
 * generator, divided by 2^32, and selects the candidate at which the running sum of the probabilities
 * passes that number. The sum runs by descending logit if a top-k below n_vocab or a top-p below 1 has
 * sorted the candidates, otherwise by id. Returns the id. Errors: INVALID_ARGUMENT (the text names the
 * field or the bias), INTERNAL (NaN, +inf or no finite logit; the text names the position). */
int32_t chord_sequence_sample(chord_sequence *q, const float *logits, const chord_sampling *p,
                              const chord_bias *bias, void *scratch, chord_error *e);

/* Writes entries of an id and the natural logarithm of its probability: of `id` first, then of the k most
 * likely tokens (0 <= k <= CHORD_MAX_TOP). The probabilities are the softmax of logits[n_vocab]. See
 * chord_session_logprobs(). Errors: INTERNAL, as chord_sequence_sample(). */
int32_t chord_sequence_logprobs(const chord_sequence *q, const float *logits, int32_t id, int32_t k,
                                int32_t *ids, double *logprobs, chord_error *e);

#endif
