/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "../base/mem.h"
#include "../session/save.h"

/* Bytes of each tensor that the fingerprint holds. Models of one shape differ in their weights. */
#define SAMPLE 256

#define ADD(sum, field) chord_sum(sum, &(field), sizeof(field))

static uint64_t add_tensor(uint64_t sum, const chord_tensor *t)
{
    sum = chord_sum(sum, t->name, (size_t)t->n_name);
    sum = ADD(sum, t->type);
    sum = ADD(sum, t->ne);
    /* In memory, because the layout is the same for every isa. Only tensors that are there in every plan: a
     * save of a resident model continues in a paged one. */
    bool const is_there = t->layout == CHORD_LAYOUT_VECTOR || (t->layout == CHORD_LAYOUT_X4 && t->layer < 0);
    return t->data && is_there ? chord_sum(sum, t->data, t->bytes < SAMPLE ? (size_t)t->bytes : SAMPLE) : sum;
}

static chord_save_model save_model(const chord_model *m)
{
    const chord_hparams *h = &m->hparams;
    const chord_plan *p = &m->plan;
    chord_save_model model = {
        .n_layer = h->n_layer, .n_embd = h->n_embd, .n_vocab = h->n_vocab, .kv_type = m->config.kv_type
    };
    const chord_gguf_kv *name = chord_gguf_find(&m->gguf, "general.architecture", 20);
    size_t const most = sizeof model.architecture;
    if (name && name->is_kept)
        chord_copy(model.architecture, chord_gguf_at(&m->gguf, name->data),
                   name->data_bytes < most ? (size_t)name->data_bytes : most);
    uint64_t sum = ADD(CHORD_SUM_BEGIN, *h);
    for (int32_t i = 0; i < p->program.n_caches; i++)
        sum = ADD(ADD(sum, p->caches[i].spec), p->caches[i].type);
    for (int32_t i = 0; i < p->n_tensors; i++) sum = add_tensor(sum, &p->tensors[i]);
    model.fingerprint = sum;
    return model;
}

const int32_t *chord_session_tokens(const chord_session *s) { return s ? s->sequence.ids : NULL; }

uint64_t chord_session_save_bytes(const chord_session *s)
{
    return s ? chord_sequence_save_bytes(&s->sequence) : 0;
}

chord_status chord_session_save(chord_session *s, uint64_t at, void *dst, size_t n)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    if (!dst) return chord_fail(e, CHORD_INVALID_ARGUMENT, "dst is NULL");
    if (s->first_elsewhere < s->sequence.n_past)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "another executor holds the keys and values from position %d on: the session can't "
                          "be saved",
                          s->first_elsewhere);
    chord_save_model const model = at ? (chord_save_model){ 0 } : save_model(s->model);
    return chord_sequence_save(&s->sequence, &model, at, dst, n, e);
}

chord_status chord_session_restore(chord_session *s, uint64_t at, const void *bytes, size_t n)
{
    if (!s) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(s->model);
    if (!bytes) return chord_fail(e, CHORD_INVALID_ARGUMENT, "bytes is NULL");
    /* only the header's last byte needs the model */
    chord_save_model const model = at < sizeof(chord_save_header) ? save_model(s->model)
                                                                  : (chord_save_model){ 0 };
    chord_status const status = chord_sequence_restore(&s->sequence, &model, at, bytes, n, e);
    if (status == CHORD_DONE) s->first_elsewhere = INT32_MAX;
    return status;
}
