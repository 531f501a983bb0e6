/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "../base/mem.h"

#define N_CHECKPOINTS 2 /* checkpoints of states: the end of the last prompt and a periodic one */

/* Returns the bytes of the session object. The sequence's arrays follow it. */
static uint64_t object_bytes(void)
{
    return (sizeof(chord_session) + CHORD_BLOCK_ALIGN - 1) & ~(uint64_t)(CHORD_BLOCK_ALIGN - 1);
}

/* Returns the numbers per position. */
static int32_t axes_of(const chord_program *p)
{
    for (int32_t r = 0; r < p->n_ropes; r++)
        if (p->ropes[r].sections[1]) return 3;
    return 1;
}

int32_t chord_is_one_text(const chord_program *p)
{
    const chord_op *store = NULL;
    for (int32_t i = 0; i < p->n_body; i++) {
        const chord_op *op = &p->ops[i];
        if (op->kind == CHORD_OP_ATTEND && (!store || store->cache != op->cache)) return 1;
        for (int k = 0; store && k < 3; k++)
            if (op->out[k] != CHORD_NONE && (op->out[k] == store->in[0] || op->out[k] == store->in[1]))
                store = NULL;
        if (op->kind == CHORD_OP_KV_STORE) store = op;
    }
    return 0;
}

static chord_sequence_config sequence_config(const chord_model *m)
{
    const chord_plan *p = &m->plan;
    return (chord_sequence_config){ .n_ctx = p->n_ctx,
                                    .n_batch = p->n_batch,
                                    .n_logits = p->n_logits,
                                    .n_vocab = p->n_vocab,
                                    .n_axes = axes_of(&p->program),
                                    .is_causal = !p->program.is_encoder,
                                    .is_one_text = p->is_external && chord_is_one_text(&p->program),
                                    .n_checkpoints = N_CHECKPOINTS,
                                    .n_classes = p->n_classes,
                                    .classes = p->classes,
                                    .pools = (chord_page_pool *)(uintptr_t)m->pools,
                                    .n_caches = p->program.n_caches,
                                    .caches = p->caches };
}

uint64_t chord_session_cache_bytes(const chord_model *m)
{
    chord_sequence_config const config = sequence_config(m);
    return chord_sequence_cache_bytes(&config, m->plan.n_ctx);
}

size_t chord_session_bytes(const chord_model *m)
{
    if (!m || m->phase < PHASE_PARSED || m->phase == PHASE_FAILED || !m->plan.n_ctx) return 0;
    chord_sequence_config const config = sequence_config(m);
    return (size_t)(object_bytes() + chord_sequence_bytes(&config));
}

chord_session *chord_session_open(chord_model *m, void *block, size_t bytes)
{
    if (!m) return NULL;
    chord_error *e = chord_error_begin(m);
    if (m->phase != PHASE_READY) {
        (void)chord_wrong_phase(m, "chord_session_open");
        return NULL;
    }
    if (!block || (uintptr_t)block % CHORD_BLOCK_ALIGN || bytes < chord_session_bytes(m)) {
        (void)chord_fail(e, CHORD_INVALID_ARGUMENT, "a session needs a block of %u bytes, aligned to %d",
                         (uint64_t)chord_session_bytes(m), CHORD_BLOCK_ALIGN);
        return NULL;
    }
    chord_session *s = block;
    chord_zero(s, sizeof *s);
    s->model = m;
    s->first_elsewhere = INT32_MAX;
    chord_sequence_config const config = sequence_config(m);
    chord_sequence_init(&s->sequence, (uint8_t *)block + object_bytes(), &config);
    return s;
}

void chord_session_close(chord_session *s)
{
    if (!s) return;
    chord_batch_leave(s);
    if (s->model->shown == s) s->model->shown = NULL;
    chord_sequence_clear(&s->sequence);
}

/* Returns OK if the session may take tokens to continue. */
static chord_status may_generate(const chord_session *s, chord_error *e)
{
    if (s->sequence.is_texts)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "the session is one of texts, for embeddings");
    if (!s->model->plan.program.is_encoder) return CHORD_OK;
    return chord_fail(e, CHORD_UNSUPPORTED_ARCHITECTURE,
                      "the model is an encoder: it makes embeddings of texts, and continues none");
}

chord_status chord_session_embed(chord_session *s, int32_t pooling)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    const chord_program *p = &s->model->plan.program;
    if (pooling < -1 || pooling > CHORD_POOLING_RANK)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "unknown pooling %d; -1 to %d are known", pooling,
                          CHORD_POOLING_RANK);
    if (s->sequence.n_tokens || s->sequence.has_batch || s->sequence.transfer.kind != CHORD_TRANSFER_NONE)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "a session of texts begins empty");
    if (pooling >= 0 && p->pooled_slot == CHORD_NONE)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "this architecture has no embeddings here");
    if (pooling == CHORD_POOLING_RANK && !p->n_labels)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "the model has no classifier, so it can't rank");
    chord_sequence_set_texts(&s->sequence, pooling >= 0, pooling);
    if (s->model->shown == s) s->model->shown = NULL;
    return CHORD_OK;
}

const float *chord_session_embedding(const chord_session *s, int32_t row)
{
    if (!s || s->model->shown != s || !s->sequence.is_texts || row < 0 || row >= s->sequence.n_rows)
        return NULL;
    return chord_session_row(s, row);
}

chord_status chord_session_push(chord_session *s, const int32_t *ids, int32_t n)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    if (n < 0 || (n && !ids))
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "can't push %d ids%s", n, ids ? "" : " at NULL");
    if (s->sequence.is_texts) return chord_sequence_push_text(&s->sequence, ids, n, e);
    CHORD_TRY(may_generate(s, e));
    return chord_sequence_push(&s->sequence, ids, n, &s->model->error);
}

/* Checks that `at`, the address of `what`, is aligned to 4 bytes. */
static chord_status aligned(chord_session *s, const char *what, const void *at)
{
    if ((uintptr_t)at % sizeof(float) == 0) return CHORD_OK;
    return chord_fail(&s->model->error, CHORD_INVALID_ARGUMENT, "the %s aren't aligned to 4 bytes", what);
}

chord_status chord_session_push_embeddings(chord_session *s, const float *rows, const int32_t *positions,
                                           int32_t n)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(s->model);
    CHORD_TRY(may_generate(s, &s->model->error));
    CHORD_TRY(aligned(s, "rows", rows));
    CHORD_TRY(aligned(s, "positions", positions));
    chord_embeddings const in = {
        .rows = rows, .positions = positions, .n = n, .width = s->model->hparams.n_embd
    };
    return chord_sequence_push_embeddings(&s->sequence, &in, &s->model->error);
}

double chord_session_random(const chord_session *s, int32_t ahead)
{
    if (!s || ahead < 0) return -1;
    uint64_t random[2] = { s->sequence.random[0], s->sequence.random[1] };
    for (int32_t i = 0; i < ahead; i++) (void)chord_random(random);
    return chord_random(random) * 0x1p-32;
}

chord_status chord_session_accept_token(chord_session *s, int32_t id)
{
    CHORD_TRY(chord_session_push(s, &id, 1));
    (void)chord_random(s->sequence.random);
    return CHORD_OK;
}

chord_status chord_session_outputs(chord_session *s, int32_t mode)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    if (mode != CHORD_OUTPUT_LAST && mode != CHORD_OUTPUT_ALL)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "unknown output mode %d; 0 (last) and 1 (all) are known",
                          mode);
    if (s->sequence.has_batch)
        return chord_fail(&s->model->error, CHORD_BUSY,
                          "the output mode can't change while a batch is under way");
    s->sequence.outputs = mode;
    return CHORD_OK;
}

void chord_session_cancel(chord_session *s)
{
    if (s) __atomic_store_n(&s->cancel, 1, __ATOMIC_RELAXED);
}

const float *chord_session_logits(const chord_session *s, int32_t row)
{
    if (!s || s->model->shown != s || s->sequence.is_texts || row < 0 || row >= s->sequence.n_rows)
        return NULL;
    return chord_output_row(s->model, row);
}

/* Draws a token from `logits`. */
static int32_t sample(chord_session *s, const chord_sampling *p, const float *logits)
{
    chord_model *m = s->model;
    if (!p) return chord_fail(&m->error, CHORD_INVALID_ARGUMENT, "the chord_sampling is NULL");
    if (p->version != CHORD_ABI_VERSION || p->size != (int32_t)sizeof *p)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "chord_sampling has version %d and size %d, which this library doesn't know",
                          p->version, p->size);
    if (!logits)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "there are no logits to sample from: step first");
    if (p->bias > 0 && p->bias < 0x1p53 && (uint64_t)p->bias % sizeof(float))
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT, "bias isn't aligned to 4 bytes");
    const chord_bias *bias =
        (const chord_bias *)(uintptr_t)(p->bias > 0 && p->bias < 0x1p53 ? (uint64_t)p->bias : 0);
    return chord_sequence_sample(&s->sequence, logits, p, bias, m->plan.sample_scratch, &m->error);
}

int32_t chord_session_sample(chord_session *s, const chord_sampling *p)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(s->model);
    return sample(s, p, chord_session_logits(s, s->sequence.n_rows - 1));
}

int32_t chord_session_sample_row(chord_session *s, const chord_sampling *p, const float *logits)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    if (!logits) return chord_fail(e, CHORD_INVALID_ARGUMENT, "logits is NULL");
    CHORD_TRY(aligned(s, "logits", logits));
    return sample(s, p, logits);
}

int32_t chord_session_logprobs(chord_session *s, int32_t id, int32_t k, int32_t *ids, double *logprobs)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    const float *logits = chord_session_logits(s, s->sequence.n_rows - 1);
    int32_t const n_vocab = s->sequence.config.n_vocab;
    if (!logits) return chord_fail(e, CHORD_INVALID_ARGUMENT, "there are no logits: step first");
    if (!ids || !logprobs) return chord_fail(e, CHORD_INVALID_ARGUMENT, "ids or logprobs is NULL");
    CHORD_TRY(aligned(s, "ids", ids));
    if ((uintptr_t)logprobs % sizeof *logprobs)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "logprobs isn't aligned to 8 bytes");
    if (id < 0 || id >= n_vocab)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "id %d is outside the vocabulary of %d tokens", id,
                          n_vocab);
    if (k < 0 || k > CHORD_MAX_TOP)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "k is %d, not 0 to %d", k, CHORD_MAX_TOP);
    return chord_sequence_logprobs(&s->sequence, logits, id, k, ids, logprobs, e);
}

void chord_session_seed(chord_session *s, uint64_t seed)
{
    if (s) chord_sequence_seed(&s->sequence, seed);
}

int32_t chord_session_truncate(chord_session *s, int32_t n)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(s->model);
    int32_t const stand = chord_sequence_truncate(&s->sequence, n, &s->model->error);
    if (stand < 0) return stand;
    chord_batch_leave(s);
    if (s->first_elsewhere >= stand) s->first_elsewhere = INT32_MAX;
    return stand;
}

chord_status chord_session_fork(chord_session *s, void *block, size_t bytes, chord_session **out)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    if (!out) return chord_fail(chord_error_begin(s->model), CHORD_INVALID_ARGUMENT, "out is NULL");
    chord_session *copy = chord_session_open(s->model, block, bytes);
    if (!copy) return CHORD_INVALID_ARGUMENT;
    CHORD_TRY(chord_sequence_fork(&s->sequence, &copy->sequence));
    copy->first_elsewhere = s->first_elsewhere;
    *out = copy;
    return CHORD_OK;
}

int32_t chord_session_match(const chord_session *s, const int32_t *ids, int32_t n)
{
    return s && n > 0 && ids ? chord_sequence_match(&s->sequence, ids, n) : 0;
}

chord_status chord_session_get_state(const chord_session *s, chord_session_state *out)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    if (!out) return chord_fail(chord_error_begin(s->model), CHORD_INVALID_ARGUMENT, "out is NULL");
    const chord_sequence *q = &s->sequence;
    *out = (chord_session_state){
        .version = CHORD_ABI_VERSION,
        .size = (int32_t)sizeof *out,
        .n_past = q->n_past,
        .n_tokens = q->n_tokens,
        .n_rows = q->n_rows,
        .first_row = q->first_row,
        .n_pages = chord_sequence_pages(q),
        .layer = s->layer,
        .wanted_bytes = (double)q->wanted,
        .work_done = (double)s->work_done,
        .last_step_work = (double)s->last_step_work,
        .batch_work = (double)s->batch_work,
        .batch_work_done = (double)s->batch_work_done,
    };
    return CHORD_OK;
}
