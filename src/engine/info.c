/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "../base/bytes.h"
#include "../base/mem.h"

_Static_assert(CHORD_MAX_ROPE_TABLES == CHORD_MAX_ROPES, "a table per rope");

/* Whether the header is complete: metadata can be read, also of a model that failed later. */
static bool is_parsed(const chord_model *m) { return m && m->log_end; }

chord_status chord_model_tensor(const chord_model *m, int32_t i, chord_tensor_info *out, char *name,
                                size_t cap)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    if (!is_parsed(m) || !m->plan.n_tensors) return chord_wrong_phase(m, "chord_model_tensor");
    if (!out || i < 0 || i >= m->plan.n_tensors)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          out ? "no tensor %d, the file has %d tensors" : "out is NULL", i,
                          m->plan.n_tensors);
    const chord_tensor *t = &m->plan.tensors[i];
    *out = (chord_tensor_info){ .version = CHORD_ABI_VERSION,
                                .size = (int32_t)sizeof *out,
                                .type = t->type,
                                .n_dims = t->n_dims,
                                .file_off = (double)t->file_off,
                                .file_bytes = (double)t->file_bytes,
                                .placement = t->placement,
                                .is_ready = t->is_ready,
                                .layer = t->layer,
                                .file = t->file,
                                .is_vector = t->layout == CHORD_LAYOUT_VECTOR };
    for (int d = 0; d < 4; d++) out->ne[d] = (double)t->ne[d];
    const chord_stacks *s = chord_tensor_stacks(&m->plan, t);
    if (t->placement == CHORD_PLACE_PAGED) {
        out->page = s ? s->first_page : t->page;
        out->n_pages = s ? s->n_expert : 1;
    }
    if (!name || !cap) return CHORD_OK;
    size_t const n = (size_t)t->n_name < cap - 1 ? (size_t)t->n_name : cap - 1;
    chord_copy(name, t->name, n);
    name[n] = 0;
    return CHORD_OK;
}

static int32_t file_type(const chord_model *m)
{
    const chord_gguf_kv *kv = chord_gguf_find(&m->gguf, "general.file_type", 17);
    if (!kv || kv->is_array || (kv->type != CHORD_GGUF_U32 && kv->type != CHORD_GGUF_I32)) return -1;
    return chord_i32(chord_gguf_at(&m->gguf, kv->data));
}

chord_status chord_model_get_info(const chord_model *m, chord_model_info *out)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    if (!is_parsed(m) || !m->plan.n_tensors) return chord_wrong_phase(m, "chord_model_get_info");
    if (!out) return chord_fail(e, CHORD_INVALID_ARGUMENT, "out is NULL");
    const chord_hparams *h = &m->hparams;
    const chord_vocab_source *v = &m->vocab_source;
    chord_vocab_specials s = { .bos = v->bos,
                               .eos = v->eos,
                               .unk = v->unk,
                               .pad = v->pad,
                               .add_bos = v->add_bos,
                               .add_eos = v->add_eos };
    if (m->vocab) s = chord_vocab_get_specials(m->vocab);
    *out = (chord_model_info){
        .version = CHORD_ABI_VERSION,
        .size = (int32_t)sizeof *out,
        .n_vocab = h->n_vocab,
        .n_embd = h->n_embd,
        .n_layer = h->n_layer,
        .n_head = h->n_head,
        .n_kv = h->n_kv,
        .head_dim = h->head_dim,
        .n_ff = h->n_ff,
        .n_ctx_train = h->n_ctx_train,
        .file_type = file_type(m),
        .bos = s.bos,
        .eos = s.eos,
        .unk = s.unk,
        .pad = s.pad,
        .add_bos = s.add_bos,
        .add_eos = s.add_eos,
        .is_tied = h->is_tied,
        .gguf_version = (int32_t)m->gguf.version,
        .n_kv_pairs = (int32_t)m->gguf.n_kv,
        .n_tensors = m->plan.n_tensors,
        .is_encoder = m->plan.program.is_encoder,
        .pooling = m->plan.program.pooled_slot == CHORD_NONE ? -1 : m->plan.program.pooling,
        .n_labels = m->plan.program.n_labels,
    };
    for (int32_t i = 0; i < m->plan.n_tensors; i++) {
        const int64_t *ne = m->plan.tensors[i].ne;
        out->n_params += (double)ne[0] * (double)ne[1] * (double)ne[2] * (double)ne[3];
    }
    return CHORD_OK;
}

const void *chord_model_program(const chord_model *m, int32_t *n_ops)
{
    const chord_plan *p = chord_model_plan_of(m);
    if (n_ops) *n_ops = p ? p->program.n_ops : 0;
    return p ? p->program.ops : NULL;
}

static double address(const void *p) { return (double)(uintptr_t)p; }

chord_status chord_model_get_program(const chord_model *m, chord_program_info *out)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    if (!chord_model_plan_of(m)) return chord_wrong_phase(m, "chord_model_get_program");
    if (!out) return chord_fail(e, CHORD_INVALID_ARGUMENT, "out is NULL");
    const chord_program *p = &m->plan.program;
    *out = (chord_program_info){ .version = CHORD_ABI_VERSION,
                                 .size = (int32_t)sizeof *out,
                                 .n_ops = p->n_ops,
                                 .n_slots = p->n_slots,
                                 .n_ropes = p->n_ropes,
                                 .n_caches = p->n_caches,
                                 .n_classes = m->plan.n_classes,
                                 .output_slot = p->output_slot,
                                 .kv_type = m->config.kv_type,
                                 .n_body = p->n_body,
                                 .n_pooled = p->n_pooled,
                                 .n_all = p->n_all,
                                 .pooled_slot = p->pooled_slot,
                                 .rank_slot = p->rank_slot,
                                 .is_one_text = chord_is_one_text(p),
                                 .ops = address(p->ops),
                                 .slots = address(p->slots),
                                 .ropes = address(p->ropes),
                                 .caches = address(p->caches) };
    int const is_begun = m->phase >= PHASE_DATA;
    for (int32_t r = 0; is_begun && r < p->n_ropes; r++) out->rope_freqs[r] = address(m->plan.rope_freqs[r]);
    return CHORD_OK;
}

int32_t chord_model_cache_class(const chord_model *m, int32_t cache)
{
    const chord_plan *p = chord_model_plan_of(m);
    return p && cache >= 0 && cache < p->program.n_caches ? p->caches[cache].cls : CHORD_INVALID_ARGUMENT;
}

const float *chord_model_vector(const chord_model *m, int32_t tensor)
{
    const chord_plan *p = chord_model_plan_of(m);
    if (!p || tensor < 0 || tensor >= p->n_tensors) return NULL;
    const chord_tensor *t = &p->tensors[tensor];
    return t->layout == CHORD_LAYOUT_VECTOR && t->is_ready ? (const float *)(const void *)t->data : NULL;
}

chord_status chord_model_profile(chord_model *m, double *ms)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(m);
    if ((uintptr_t)ms & 7)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT, "ms isn't aligned to 8 bytes");
    m->profile = ms;
    return CHORD_OK;
}

int32_t chord_error_text(const chord_error *e, char *dst, size_t cap)
{
    if (!dst || !cap) return 0;
    size_t const n = (size_t)e->length < cap - 1 ? (size_t)e->length : cap - 1;
    chord_copy(dst, e->text, n);
    dst[n] = 0;
    return (int32_t)n;
}

int32_t chord_last_error(const chord_model *m, char *dst, size_t cap)
{
    return m ? chord_error_text(&m->error, dst, cap) : 0;
}

/* ---- metadata as text ------------------------------------------------------------------------------- */

/* A text in `dst`. `n` counts its full length; bytes behind `cap` are dropped. */
typedef struct text {
    char *dst;
    size_t cap;
    int64_t n;
} text;

static void put(text *t, char c)
{
    if ((uint64_t)t->n < t->cap) t->dst[t->n] = c;
    t->n++;
}
static void put_string(text *t, const char *s)
{
    while (*s) put(t, *s++);
}
static void put_unsigned(text *t, uint64_t v)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n) put(t, digits[--n]);
}

/* Nine significant digits without trailing zeros. Nine digits distinguish all f32. */
static void put_real(text *t, double v)
{
    if (v != v) {
        put_string(t, "nan");
        return;
    }
    if (v < 0) {
        put(t, '-');
        v = -v;
    }
    if (v > 1.7e308) {
        put_string(t, "inf");
        return;
    }
    if (v < 0x1p53 && v == (double)(uint64_t)v) {
        put_unsigned(t, (uint64_t)v);
        return;
    }
    int exponent = 0;
    while (v >= 10) {
        v /= 10;
        exponent++;
    }
    while (v < 1) {
        v *= 10;
        exponent--;
    }
    uint64_t digits = (uint64_t)(v * 1e8 + 0.5);
    if (digits >= 1000000000) {
        digits /= 10;
        exponent++;
    }
    int n = 9;
    while (n > 1 && digits % 10 == 0) {
        digits /= 10;
        n--;
    }
    char s[9];
    for (int i = n; i-- > 0; digits /= 10) s[i] = (char)('0' + digits % 10);
    bool const is_plain = exponent >= -5 && exponent < n; /* positional notation from 0.00001 on */
    if (is_plain && exponent < 0) {
        put_string(t, "0.");
        for (int i = -1; i > exponent; i--) put(t, '0');
    }
    for (int i = 0; i < n; i++) {
        put(t, s[i]);
        if (i + 1 < n && i == (is_plain ? exponent : 0)) put(t, '.');
    }
    if (is_plain) return;
    put_string(t, exponent < 0 ? "e-" : "e+");
    put_unsigned(t, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

static void put_integer(text *t, int64_t v)
{
    if (v < 0) put(t, '-');
    put_unsigned(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void put_scalar(text *t, const void *p, int32_t type)
{
    const uint8_t *u = p;
    switch (type) {
    case CHORD_GGUF_U8: put_unsigned(t, u[0]); break;
    case CHORD_GGUF_I8: put_integer(t, (int8_t)u[0]); break;
    case CHORD_GGUF_U16: put_unsigned(t, chord_u16(p)); break;
    case CHORD_GGUF_I16: put_integer(t, (int16_t)chord_u16(p)); break;
    case CHORD_GGUF_U32: put_unsigned(t, chord_u32(p)); break;
    case CHORD_GGUF_I32: put_integer(t, chord_i32(p)); break;
    case CHORD_GGUF_U64: put_unsigned(t, chord_u64(p)); break;
    case CHORD_GGUF_I64: put_integer(t, (int64_t)chord_u64(p)); break;
    case CHORD_GGUF_F32: put_real(t, (double)chord_f32(p)); break;
    case CHORD_GGUF_F64: put_real(t, chord_f64(p)); break;
    default: put_string(t, u[0] ? "true" : "false");
    }
}

int64_t chord_model_meta(const chord_model *m, const char *key, int32_t n_key, char *dst, size_t cap)
{
    if (!is_parsed(m) || (cap && !dst)) return -1;
    text t = { dst, cap, 0 };
    if (n_key < 0) {
        const chord_gguf_kv *kv = chord_gguf_next_kv(&m->gguf, NULL);
        for (int64_t i = -1 - (int64_t)n_key; kv && i > 0; i--) kv = chord_gguf_next_kv(&m->gguf, kv);
        if (!kv) return -1;
        const char *name = chord_gguf_at(&m->gguf, kv->key);
        for (int32_t i = 0; i < kv->n_key; i++) put(&t, name[i]);
        return t.n;
    }
    const chord_gguf_kv *kv = key ? chord_gguf_find(&m->gguf, key, (size_t)n_key) : NULL;
    if (!kv || (!kv->is_array && !kv->is_kept)) return -1;
    const void *value = chord_gguf_at(&m->gguf, kv->data);
    if (kv->is_array) {
        put(&t, '[');
        put_string(&t, chord_gguf_type_name(kv->type));
        put_string(&t, " x ");
        put_unsigned(&t, kv->count);
        put(&t, ']');
    } else if (kv->type == CHORD_GGUF_STRING) {
        chord_copy(dst, value, kv->data_bytes < cap ? (size_t)kv->data_bytes : cap);
        return (int64_t)kv->data_bytes;
    } else {
        put_scalar(&t, value, kv->type);
    }
    return t.n;
}

int64_t chord_model_meta_at(const chord_model *m, const char *key, int32_t n_key, int32_t index, char *dst,
                            size_t cap)
{
    if (!is_parsed(m) || !key || n_key < 0 || index < 0 || (cap && !dst)) return -1;
    const chord_gguf_kv *kv = chord_gguf_find(&m->gguf, key, (size_t)n_key);
    if (!kv || !kv->is_array || !kv->is_kept || (uint64_t)index >= kv->count) return -1;
    const uint8_t *value = chord_gguf_at(&m->gguf, kv->data);
    if (kv->type != CHORD_GGUF_STRING) {
        text t = { dst, cap, 0 };
        put_scalar(&t, value + (uint64_t)index * chord_gguf_type_bytes(kv->type), kv->type);
        return t.n;
    }
    for (; index > 0; index--) value += 8 + chord_u64(value);
    uint64_t const n = chord_u64(value);
    chord_copy(dst, value + 8, n < cap ? (size_t)n : cap);
    return (int64_t)n;
}
