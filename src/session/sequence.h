/* sequence.h: one sequence of tokens: ids, positions, the pages and states of its caches, the batch under way. It knows
 * no executor: next_batch() says what to compute, an executor computes it, accept_batch() moves on.
 * The engine's chord_session is a sequence, a cursor and the model it belongs to.
 *
 *   sequence.c  tokens and batches        caches.c   which pages and states a sequence holds
 *   pages.c     the pool of pages         sampler.c  logits -> token id
 *
 * Invariants: n_past <= n_tokens <= n_ctx; a page that is written to has one reference. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_SESSION_SEQUENCE_H
#define CHORD_SESSION_SEQUENCE_H
#include "../../include/chord.h"

#include "../base/status.h"
#include "../program/batch.h"

/* ---- pages ----------------------------------------------------------------------------------------
 * A page is a header of CHORD_PAGE_HEADER bytes and the payload of its class (program/plan.h: keys and values of
 * CHORD_PAGE_TOKENS tokens, or a state). The tables point at payloads. Pages are taken when tokens come and go back to
 * the list when freed. */
#define CHORD_PAGE_HEADER 64
typedef struct chord_page_pool {
    uint64_t payload_bytes;
    uint8_t *free;                /* payload of the first free page; each header links the next */
    int32_t n_pages, n_free;
    int32_t n_wanted;             /* pages that the last NEED_MEMORY asked for */
} chord_page_pool;

/* Bytes of a whole page, header included, a multiple of CHORD_BLOCK_ALIGN. */
uint64_t chord_page_bytes(const chord_page_pool *pool);
/* Cut `block` (CHORD_BLOCK_ALIGN aligned) into free pages; a rest smaller than a page is unused. */
void chord_page_give(chord_page_pool *pool, void *block, size_t bytes);
/* The same for the pools of a model's classes: first what each wants, then pages of pool `most`. */
void chord_pages_give(chord_page_pool *pools, int32_t n, int32_t most, void *block, size_t bytes);
/* A page with one reference, or NULL when the list is empty. Its payload isn't cleared. */
uint8_t *chord_page_take(chord_page_pool *pool);
void chord_page_share(uint8_t *payload);                 /* one more reference */
void chord_page_drop(chord_page_pool *pool, uint8_t *payload); /* one less; the last frees it */
int32_t chord_page_refs(const uint8_t *payload);

/* ---- sequence ---------------------------------------------------------------------------------------
 * A sequence holds pages of each class of caches (program/plan.h):
 *   PAGED   every page of [0, n_past) and, while a batch is under way, its own
 *   WINDOW  the same, but pages far enough before the window die when pages run short: their entries are NULL
 *   STATE   one page, the state at n_past; while a batch is under way a second one, which the executor writes;
 *           and checkpoints, the states at earlier positions. A state is never written to again once it stands, so a
 *           checkpoint or a fork is one more reference. */
#define CHORD_MAX_CHECKPOINTS 8
typedef struct chord_sequence_class {
    uint8_t **pages;              /* by position / CHORD_PAGE_TOKENS; STATE: [0] stands, [1] is to be */
    int32_t n_pages;              /* entries, dead ones included; STATE: 0, 1 or 2 */
    int32_t n_dead;               /* WINDOW: the first entries, which are NULL */
} chord_sequence_class;

typedef struct chord_checkpoint {
    int32_t at;                   /* tokens before it; 0: unused */
    uint8_t *states[CHORD_MAX_CLASSES]; /* of the classes that are states */
} chord_checkpoint;

typedef struct chord_sequence_config {
    int32_t n_ctx, n_batch, n_logits, n_vocab;
    int32_t n_axes;               /* numbers that a position is made of: 1 or 3 */
    int32_t n_checkpoints;        /* at most CHORD_MAX_CHECKPOINTS; the first is for the ends of prompts */
    int32_t n_classes;
    const chord_cache_class *classes; /* stays the caller's, as long as the sequence */
    chord_page_pool *pools;       /* n_classes */
} chord_sequence_config;

typedef struct chord_sequence {
    chord_sequence_config config;
    int32_t n_past, n_tokens;     /* evaluated; evaluated and pending */
    int32_t outputs;              /* CHORD_OUTPUT_* */
    int32_t has_batch;            /* a batch is under way: batch.* below is valid */
    int32_t n_rows, first_row;    /* output rows of the last finished batch, position of the first */
    uint64_t wanted;              /* after NEED_MEMORY */
    uint64_t random[2];           /* PCG32: state, increment */
    chord_batch batch;
    chord_batch_run run;          /* the batch's only one */
    const float *embeddings;      /* the caller's rows of tokens [first_embedding, end_embedding), or NULL */
    int32_t first_embedding, end_embedding, embedding_width;
    int32_t has_positions;        /* 1: positions[] differ from the tokens' places */
    int32_t next_position;        /* of the next token pushed, on every axis */
    int32_t next_checkpoint;      /* which periodic one is taken next */
    chord_checkpoint checkpoints[CHORD_MAX_CHECKPOINTS];
    chord_sequence_class classes[CHORD_MAX_CLASSES];
    int32_t *ids;                 /* [n_ctx]; -1 for an embedding */
    int32_t *positions;           /* [n_ctx][n_axes] */
    int32_t *rows;                /* [n_batch] */
    const float **batch_embeddings; /* [n_batch] */
} chord_sequence;

/* Bytes of pages and states that a sequence of n tokens holds at most. */
uint64_t chord_sequence_cache_bytes(const chord_sequence_config *config, int32_t n);
/* Memory for the arrays, CHORD_BLOCK_ALIGN aligned. */
uint64_t chord_sequence_bytes(const chord_sequence_config *config);
void chord_sequence_init(chord_sequence *q, void *arrays, const chord_sequence_config *config);
/* All pages go back; the sequence is empty afterwards. */
void chord_sequence_clear(chord_sequence *q);
/* Pages that the sequence refers to, of all classes, checkpoints included. */
int32_t chord_sequence_pages(const chord_sequence *q);

/* CONTEXT_FULL or INVALID_ARGUMENT (an id outside the vocabulary, named; a batch under way): nothing was
 * appended. */
chord_status chord_sequence_push(chord_sequence *q, const int32_t *ids, int32_t n, chord_error *e);
/* n rows of `width` floats in place of ids; `positions` [n][n_axes] or NULL: their places. The rows stay the caller's and
 * unchanged until they are evaluated, and only one block of them may be pending (else BUSY). A token pushed after
 * them takes the largest position + 1. Errors as chord_sequence_push; INVALID_ARGUMENT: a negative position. */
typedef struct chord_embeddings {
    const float *rows;
    const int32_t *positions;
    int32_t n, width;
} chord_embeddings;
chord_status chord_sequence_push_embeddings(chord_sequence *q, const chord_embeddings *in, chord_error *e);

/* Make the next batch of pending tokens (q->batch), or keep the one under way. OK: run it; DONE: nothing
 * is pending; NEED_MEMORY: q->wanted bytes of pages are missing, nothing has changed.
 * OUTPUT_LAST: at most n_batch tokens, one output row in the batch that holds the last pending token and
 * none in the others. OUTPUT_ALL: at most n_logits tokens, each an output row.
 * A partly filled last page that is shared is copied before it is written to. Dead pages are taken before memory is
 * asked for. */
chord_status chord_sequence_next_batch(chord_sequence *q);
/* The batch under way is in the caches: n_past moves on, its output rows can be read. */
void chord_sequence_accept_batch(chord_sequence *q);
/* The batch under way and all pending tokens are dropped; pages past n_past go back. */
void chord_sequence_drop_batch(chord_sequence *q);

/* Forget tokens from position n on, or from the nearest earlier position that every cache can stand at: a state's
 * checkpoint, where a window's pages are still there, or 0. A batch under way is undone first: its tokens below n are
 * pending again. Output rows below n stay readable. Returns the position, or INVALID_ARGUMENT unless
 * 0 <= n <= n_tokens. The caller pushes the tokens between the position and n again. */
int32_t chord_sequence_truncate(chord_sequence *q, int32_t n, chord_error *e);
/* `to` (initialised, empty, same config) becomes a copy: whole pages and states shared, the last, partial one copied;
 * pending tokens and the generator are copied too, a batch under way and output rows aren't.
 * NEED_MEMORY (q->wanted): nothing has changed. INVALID_ARGUMENT: `to` isn't as said. */
chord_status chord_sequence_fork(chord_sequence *q, chord_sequence *to);
/* How many leading ids equal the evaluated tokens. */
int32_t chord_sequence_match(const chord_sequence *q, const int32_t *ids, int32_t n);

/* ---- sampler ---------------------------------------------------------------------------------------- */
#define CHORD_PENALTY_WINDOW 64

/* PCG32 (O'Neill 2014): state[1], the increment, is odd. Seeded, it is q->random. */
uint32_t chord_random(uint64_t state[2]);
void chord_sequence_seed(chord_sequence *q, uint64_t seed);

/* A pair of chord_sampling.bias: `value`, finite or -inf, is added to the logit of `id`. */
typedef struct chord_bias {
    int32_t id;
    float value;
} chord_bias;

/* Draw an id from logits[n_vocab] (unchanged): bias, penalties over the last 64 of q's tokens, top-k,
 * top-p, min-p, temperature, draw; the order and the formulas of llama.cpp's sampler chain. bias:
 * p->n_bias pairs, or NULL with n_bias 0 (p->bias isn't followed). scratch: n_vocab x 8 bytes.
 * A logit of -inf is an impossible token. Returns the id, or INVALID_ARGUMENT (the text names the field
 * or the bias), or INTERNAL (NaN, +inf or no finite logit at all: the text names the position).
 * temperature 0: argmax after bias and penalties, lowest id on a tie; draws nothing. Any other takes
 * one number of the generator, divided by 2^32, and walks the candidates' running sum to it: descending,
 * or by id when neither a top-k that cuts nor a top-p below 1 has sorted them. */
int32_t chord_sequence_sample(chord_sequence *q, const float *logits, const chord_sampling *p, const chord_bias *bias,
                              void *scratch, chord_error *e);

#endif
