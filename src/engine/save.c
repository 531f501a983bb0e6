/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "../base/mem.h"
#include "../quant/quant.h"
#include "../session/save.h"

/* Bytes of a tensor that the fingerprint holds: of a matrix's first row, as in the file. Models of one shape
 * differ in their weights. */
#define SAMPLE 256
#define MOST_BLOCK 256 /* bytes of a block of any format, at most */

#define ADD(sum, field) chord_sum(sum, &(field), sizeof(field))

static size_t least(uint64_t a, uint64_t b) { return (size_t)(a < b ? a : b); }

uint64_t chord_tensor_sample(const chord_tensor *t)
{
    if (t->placement != CHORD_PLACE_RESIDENT) return t->sample;
    if (t->layout == CHORD_LAYOUT_PLAIN)
        return chord_sum(CHORD_SUM_BEGIN, t->data, least(t->row_bytes, SAMPLE));
    if (t->layout == CHORD_LAYOUT_VECTOR) return chord_sum(CHORD_SUM_BEGIN, t->data, least(t->bytes, SAMPLE));
    const chord_format *f = chord_format_of(t->type);
    uint8_t row[SAMPLE + MOST_BLOCK];
    int64_t const n_blocks = (SAMPLE + f->block_bytes - 1) / f->block_bytes, all = t->ne[0] / f->block_elems;
    chord_format_unpack(f, row, t->data, 0, (int32_t)(n_blocks < all ? n_blocks : all) * f->block_elems);
    return chord_sum(CHORD_SUM_BEGIN, row, least(t->row_bytes, SAMPLE));
}

static uint64_t add_tensor(uint64_t sum, const chord_tensor *t)
{
    sum = chord_sum(sum, t->name, (size_t)t->n_name);
    sum = ADD(sum, t->type);
    sum = ADD(sum, t->ne);
    uint64_t const sample = chord_tensor_sample(t);
    return ADD(sum, sample);
}

chord_status chord_model_sample(chord_model *m, int32_t tensor, const void *bytes, size_t n)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    if (m->phase < PHASE_DATA || m->phase == PHASE_FAILED) return chord_wrong_phase(m, "chord_model_sample");
    if (!bytes || tensor < 0 || tensor >= m->plan.n_tensors)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "no bytes, or no tensor %d", tensor);
    chord_tensor *t = &m->plan.tensors[tensor];
    size_t const want = least(t->row_bytes, SAMPLE);
    if (n < want)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "the sample of tensor %q has %u bytes instead of %u",
                          t->name, (size_t)t->n_name, (uint64_t)n, (uint64_t)want);
    t->sample = chord_sum(CHORD_SUM_BEGIN, bytes, want);
    return CHORD_OK;
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
    if (s->sequence.is_texts) return chord_fail(e, CHORD_INVALID_ARGUMENT, "a session of texts has no save");
    s->sequence.is_elsewhere = s->model->plan.is_external;
    if (s->first_elsewhere < s->sequence.n_past && !s->sequence.is_elsewhere)
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
    if (s->sequence.is_texts) return chord_fail(e, CHORD_INVALID_ARGUMENT, "a session of texts has no save");
    s->sequence.is_elsewhere = s->model->plan.is_external;
    /* only the header's last byte needs the model */
    chord_save_model const model = at < sizeof(chord_save_header) ? save_model(s->model)
                                                                  : (chord_save_model){ 0 };
    chord_status const status = chord_sequence_restore(&s->sequence, &model, at, bytes, n, e);
    if (status == CHORD_DONE) s->first_elsewhere = INT32_MAX;
    return status;
}

int32_t chord_session_save_place(const chord_session *s, uint64_t at, int32_t place[3])
{
    if (!s || !place) return CHORD_INVALID_ARGUMENT;
    uint64_t const n = chord_sequence_save_place(&s->sequence, at, place);
    return (int32_t)(n < INT32_MAX ? n : INT32_MAX);
}
