/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"
#include "../quant/quant.h"

#define NAME_CAP 300
#define LEAST_HEAD 2     /* RoPE rotates pairs */
#define MOST_HEAD 1024

void chord_build_fail(chord_builder *b, chord_status status, const char *what, const char *name,
                      size_t n_name)
{
    if (b->status == CHORD_OK) b->status = chord_fail(b->error, status, "%s %q", what, name, n_name);
}

/* "<arch>.<suffix>" */
static size_t key_name(const chord_builder *b, const char *suffix, char dst[NAME_CAP])
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_arch && n < 128; i++) dst[n++] = b->arch[i];
    dst[n++] = '.';
    while (*suffix && n < NAME_CAP) dst[n++] = *suffix++;
    return n;
}

/* Writes the tensor name with "%d" replaced by the layer. */
static size_t tensor_name(const char *format, int32_t layer, char dst[NAME_CAP])
{
    size_t n = 0;
    for (const char *f = format; *f && n < NAME_CAP - 12; f++) {
        if (f[0] != '%') {
            dst[n++] = *f;
            continue;
        }
        f++;
        char digits[10];
        int k = 0;
        do {
            digits[k++] = (char)('0' + layer % 10);
            layer /= 10;
        } while (layer);
        while (k) dst[n++] = digits[--k];
    }
    return n;
}

static const chord_gguf_kv *find(chord_builder *b, const char *suffix, char *name, size_t *n_name)
{
    *n_name = key_name(b, suffix, name);
    const chord_gguf_kv *kv = chord_gguf_find(b->gguf, name, *n_name);
    if (kv && !kv->is_kept) /* an array of texts, or a very long value */
        chord_build_fail(b, CHORD_INVALID_GGUF, "numbers or a short text are needed for the key", name,
                         *n_name);
    return kv && kv->is_kept ? kv : NULL;
}

/* Returns an integer of any width, or INT64_MIN for a type that isn't an integer. */
static int64_t integer_at(const void *p, int32_t type)
{
    const uint8_t *u = p;
    switch (type) {
    case CHORD_GGUF_U8:
    case CHORD_GGUF_BOOL: return u[0];
    case CHORD_GGUF_I8: return (int8_t)u[0];
    case CHORD_GGUF_U16: return chord_u16(p);
    case CHORD_GGUF_I16: return (int16_t)chord_u16(p);
    case CHORD_GGUF_U32: return chord_u32(p);
    case CHORD_GGUF_I32: return chord_i32(p);
    case CHORD_GGUF_U64:
    case CHORD_GGUF_I64: return (int64_t)chord_u64(p);
    default: return INT64_MIN;
    }
}

int64_t chord_read_whole(const chord_gguf *g, const char *key, int64_t fallback)
{
    const chord_gguf_kv *kv = chord_gguf_find(g, key, chord_strlen(key));
    int64_t const v = kv && kv->is_kept && !kv->is_array ? integer_at(chord_gguf_at(g, kv->data), kv->type)
                                                         : INT64_MIN;
    return v == INT64_MIN ? fallback : v;
}

/* Returns the integer at `p`, if it is from `least` to `most`. */
static int32_t bounded(chord_builder *b, const chord_gguf_kv *kv, const void *p, const char *name, size_t n,
                       int32_t least, int32_t most)
{
    int64_t const v = p ? integer_at(p, kv->type) : INT64_MIN;
    if (v >= least && v <= most) return (int32_t)v;
    if (b->status == CHORD_OK && v == INT64_MIN)
        chord_build_fail(b, CHORD_INVALID_GGUF, "an integer is needed for the key", name, n);
    else if (b->status == CHORD_OK)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF, "the key %q is %s%u, outside %d to %d", name, n,
                               v < 0 ? "-" : "", (uint64_t)(v < 0 ? -v : v), least, most);
    return least;
}

/* The value of an absent key. */
static int32_t fallen_back(chord_builder *b, const char *name, size_t n, int32_t fallback, int32_t least,
                           int32_t most)
{
    if (fallback == CHORD_REQUIRED)
        chord_build_fail(b, CHORD_INVALID_GGUF, "the metadata lacks the key", name, n);
    else if (fallback < least || fallback > most)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "the metadata lacks the key %q, and its default, %d, is outside %d to %d",
                               name, n, fallback, least, most);
    return b->status == CHORD_OK ? fallback : least;
}

int32_t chord_read_int(chord_builder *b, const char *suffix, int32_t fallback, int32_t least, int32_t most)
{
    char name[NAME_CAP];
    size_t n;
    const chord_gguf_kv *kv = find(b, suffix, name, &n);
    if (b->status != CHORD_OK) return least;
    if (!kv) return fallen_back(b, name, n, fallback, least, most);
    if (kv->is_array) { /* one value per layer: supported only if all values are equal */
        uint32_t const step = chord_gguf_type_bytes(kv->type);
        const uint8_t *p = chord_gguf_at(b->gguf, kv->data);
        for (uint64_t i = 1; step && i < kv->count; i++)
            if (!chord_equal(p, p + i * step, step)) {
                chord_build_fail(b, CHORD_UNSUPPORTED_ARCHITECTURE,
                                 "values that differ from layer to layer aren't supported:", name, n);
                return least;
            }
    }
    return bounded(b, kv, kv->count ? chord_gguf_at(b->gguf, kv->data) : NULL, name, n, least, most);
}

int chord_read_is_array(chord_builder *b, const char *suffix)
{
    char name[NAME_CAP];
    size_t n;
    const chord_gguf_kv *kv = find(b, suffix, name, &n);
    return kv && kv->is_array;
}

int32_t chord_read_int_at(chord_builder *b, const char *suffix, int32_t layer, int32_t fallback,
                          int32_t least, int32_t most)
{
    char name[NAME_CAP];
    size_t n;
    const chord_gguf_kv *kv = find(b, suffix, name, &n);
    if (b->status != CHORD_OK) return least;
    if (!kv) return fallen_back(b, name, n, fallback, least, most);
    const uint8_t *p = chord_gguf_at(b->gguf, kv->data);
    if (!kv->is_array) return bounded(b, kv, p, name, n, least, most);
    if (kv->count <= (uint64_t)layer) {
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "the key %q has %u values, and layer %d needs one more", name, n, kv->count,
                               layer);
        return least;
    }
    uint32_t const step = chord_gguf_type_bytes(kv->type);
    return bounded(b, kv, step ? p + (uint64_t)layer * step : NULL, name, n, least, most);
}

int32_t chord_read_int_used(chord_builder *b, const char *suffix, int32_t fallback, int32_t most)
{
    int32_t used = 0;
    for (int32_t layer = 0; layer < b->hparams->n_layer && b->status == CHORD_OK; layer++) {
        int32_t const of_layer = chord_read_int_at(b, suffix, layer, fallback, 0, most);
        if (of_layer > used) used = of_layer;
    }
    return used;
}

int32_t chord_read_most(chord_builder *b, const char *suffix, int32_t fallback, int32_t least, int32_t most)
{
    char name[NAME_CAP];
    size_t n;
    const chord_gguf_kv *kv = find(b, suffix, name, &n);
    if (!kv || !kv->is_array) return chord_read_int(b, suffix, fallback, least, most);
    int32_t const n_layer = chord_read_int(b, "block_count", CHORD_REQUIRED, 1, CHORD_MAX_LAYERS);
    if (b->status == CHORD_OK && kv->count != (uint64_t)n_layer)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "the key %q has %u values instead of one for each of the %d layers", name, n,
                               kv->count, n_layer);
    int32_t largest = least;
    for (int32_t layer = 0; layer < n_layer && b->status == CHORD_OK; layer++) {
        int32_t const v = chord_read_int_at(b, suffix, layer, fallback, least, most);
        if (v > largest) largest = v;
    }
    return largest;
}

/* Returns a number of any type; NaN for a value that isn't a number. */
static double number_at(const void *p, int32_t type)
{
    if (type == CHORD_GGUF_F32) return (double)chord_f32(p);
    if (type == CHORD_GGUF_F64) return chord_f64(p);
    int64_t const i = integer_at(p, type);
    return i == INT64_MIN ? __builtin_nan("") : (double)i;
}

float chord_read_float(chord_builder *b, const char *suffix, float fallback, chord_range range)
{
    char name[NAME_CAP];
    size_t n;
    const chord_gguf_kv *kv = find(b, suffix, name, &n);
    if (b->status != CHORD_OK) return 1;
    double v = (double)fallback;
    if (kv) v = kv->is_array ? __builtin_nan("") : number_at(chord_gguf_at(b->gguf, kv->data), kv->type);
    if (v >= range.least && v <= range.most) return (float)v;
    if (!kv && v != v) chord_build_fail(b, CHORD_INVALID_GGUF, "the metadata lacks the key", name, n);
    else
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF, "%s is needed for the key %q", range.text, name,
                               n);
    return 1;
}

float chord_inverse_of(chord_builder *b, float value, const char *key)
{
    if (value < 0x1p-126f && value > -0x1p-126f)
        chord_build_fail(b, CHORD_INVALID_GGUF, "a number further from 0 is needed for the key", key,
                         chord_strlen(key));
    return 1 / value;
}

float chord_read_key_at(chord_builder *b, const char *key, int32_t layer)
{
    size_t const n = chord_strlen(key);
    const chord_gguf_kv *kv = chord_gguf_find(b->gguf, key, n);
    if (b->status != CHORD_OK) return 1;
    double v = __builtin_nan("");
    if (kv && kv->is_kept && (!kv->is_array || kv->count == (uint64_t)b->hparams->n_layer)) {
        uint64_t const step = kv->is_array ? (uint64_t)layer * chord_gguf_type_bytes(kv->type) : 0;
        v = number_at((const uint8_t *)chord_gguf_at(b->gguf, kv->data) + step, kv->type);
    }
    if (v >= -3e38 && v <= 3e38) return (float)v;
    b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                           "a number for layer %d, or one for each layer, is needed under the key %q", layer,
                           key, n);
    return 1;
}

int chord_read_is(chord_builder *b, const char *suffix, const char *text)
{
    char name[NAME_CAP];
    size_t n;
    const chord_gguf_kv *kv = find(b, suffix, name, &n);
    size_t const n_text = chord_strlen(text);
    if (!kv || kv->type != CHORD_GGUF_STRING || kv->is_array) return n_text == 0;
    return kv->data_bytes == n_text && chord_equal(chord_gguf_at(b->gguf, kv->data), text, n_text);
}

int64_t chord_read_count(chord_builder *b, const char *suffix, int64_t fallback, int64_t most)
{
    char name[NAME_CAP];
    size_t const n = key_name(b, suffix, name);
    const chord_gguf_kv *kv = chord_gguf_find(b->gguf, name, n);
    if (!kv || !kv->is_array) return fallback;
    if (kv->count >= 1 && kv->count <= (uint64_t)most) return (int64_t)kv->count;
    if (b->status == CHORD_OK)
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF, "the key %q has %u values, outside 1 to %u",
                               name, n, kv->count, (uint64_t)most);
    return 1;
}

int chord_arch_is(const chord_builder *b, const char *name)
{
    return chord_strlen(name) == b->n_arch && chord_equal(b->arch, name, b->n_arch);
}

/* Maximum width: the product of two widths fits int64, the number of floats in a row fits int32. */
#define MOST_WIDTH (1 << 20)

static int32_t read_size(chord_builder *b, const char *suffix, int32_t fallback, int32_t most)
{
    return (b->is_by_layer ? chord_read_most : chord_read_int)(b, suffix, fallback, 1, most);
}

static void check_heads(chord_builder *b)
{
    const chord_hparams *h = b->hparams;
    if (b->status == CHORD_OK && h->n_head % h->n_kv)
        b->status =
            chord_fail(b->error, CHORD_INVALID_GGUF,
                       "the %d heads aren't a multiple of the %d KV heads of 'attention.head_count_kv'",
                       h->n_head, h->n_kv);
}

void chord_read_layer(chord_builder *b, int32_t layer)
{
    chord_hparams *h = b->hparams;
    h->n_ff = chord_read_int_at(b, "feed_forward_length", layer, CHORD_REQUIRED, 1, MOST_WIDTH);
    h->n_head = chord_read_int_at(b, "attention.head_count", layer, CHORD_REQUIRED, 1, CHORD_MAX_HEADS);
    h->n_kv = chord_read_int_at(b, "attention.head_count_kv", layer, h->n_head, 1, h->n_head);
    check_heads(b);
}

int32_t chord_read_layer_heads(chord_builder *b, int32_t layer)
{
    chord_hparams *h = b->hparams;
    if (layer == CHORD_NONE) {
        h->n_head = chord_read_int_used(b, "attention.head_count", CHORD_REQUIRED, CHORD_MAX_HEADS);
        h->n_kv = chord_read_int_used(b, "attention.head_count_kv", h->n_head, h->n_head);
        return h->n_kv;
    }
    h->n_head = chord_read_int_at(b, "attention.head_count", layer, CHORD_REQUIRED, 0, CHORD_MAX_HEADS);
    h->n_kv = chord_read_int_at(b, "attention.head_count_kv", layer, h->n_head, 0, h->n_head);
    if (h->n_kv) check_heads(b);
    return h->n_kv;
}

/* The keys that every architecture has. */
static void read_sizes(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    const chord_gguf_kv *tokens = chord_gguf_find(b->gguf, "tokenizer.ggml.tokens", 21);
    if (!tokens || !tokens->is_array || tokens->type != CHORD_GGUF_STRING || !tokens->count ||
        tokens->count > CHORD_MAX_TOKENS)
        chord_build_fail(b, CHORD_INVALID_GGUF,
                         "the metadata lacks a usable array of tokens:", "tokenizer.ggml.tokens", 21);
    else h->n_vocab = (int32_t)tokens->count;
    h->n_ctx_train = chord_read_int(b, "context_length", CHORD_REQUIRED, 1, INT32_MAX);
    h->n_embd = chord_read_int(b, "embedding_length", CHORD_REQUIRED, 1, MOST_WIDTH);
    h->n_layer = chord_read_int(b, "block_count", CHORD_REQUIRED, 1, CHORD_MAX_LAYERS);
}

/* Reads the heads' size, when their numbers are known. */
static void read_heads(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    h->head_dim = chord_read_int(b, "attention.key_length", h->n_embd / h->n_head, LEAST_HEAD, MOST_HEAD);
    int32_t const value_length = chord_read_int(b, "attention.value_length",
                                                b->is_latent ? h->n_embd / h->n_head : h->head_dim,
                                                LEAST_HEAD, MOST_HEAD);
    h->v_dim = value_length;
    if (b->status == CHORD_OK && value_length != h->head_dim && !b->is_latent)
        b->status = chord_fail(
            b->error, CHORD_UNSUPPORTED_ARCHITECTURE,
            "keys of %d and values of %d elements ('attention.value_length') per head; both must be equal",
            h->head_dim, value_length);
}

/* A model of experts alone may lack feed_forward_length. */
static int32_t n_ff_or_required(chord_builder *b)
{
    int32_t const of_expert = chord_read_int(b, "expert_feed_forward_length", 0, 0, MOST_WIDTH);
    return of_expert ? of_expert : CHORD_REQUIRED;
}

void chord_read_hparams(chord_builder *b)
{
    chord_hparams *h = b->hparams;
    read_sizes(b);
    h->n_ff = read_size(b, "feed_forward_length", n_ff_or_required(b), MOST_WIDTH);
    h->n_head = read_size(b, "attention.head_count", CHORD_REQUIRED, CHORD_MAX_HEADS);
    h->n_kv = read_size(b, "attention.head_count_kv", h->n_head, h->n_head);
    if (!b->is_by_layer) check_heads(b);
    read_heads(b);
}

void chord_read_hybrid(chord_builder *b, const char *epsilon)
{
    chord_hparams *h = b->hparams;
    read_sizes(b);
    h->n_layer -= chord_read_int(b, "nextn_predict_layers", 0, 0, h->n_layer - 1);
    h->n_ff = chord_read_int_used(b, "feed_forward_length", n_ff_or_required(b), MOST_WIDTH);
    for (int32_t layer = 0; layer < h->n_layer; layer++) (void)chord_read_layer_heads(b, layer);
    (void)chord_read_layer_heads(b, CHORD_NONE);
    if (b->status == CHORD_OK && h->n_head && h->n_kv) read_heads(b);
    h->norm_eps = chord_read_float(b, epsilon, __builtin_nanf(""), CHORD_EPSILON);
}

void chord_need_attention(chord_builder *b)
{
    if (!b->hparams->n_head || !b->hparams->n_kv)
        chord_build_fail(b, CHORD_INVALID_GGUF, "no layer has heads according to the key",
                         b->hparams->n_head ? "attention.head_count_kv" : "attention.head_count",
                         b->hparams->n_head ? 23 : 20);
}

static int32_t find_tensor(const chord_builder *b, const char *name, size_t n)
{
    for (int32_t i = 0; i < b->plan->n_tensors; i++) {
        const chord_tensor *t = &b->plan->tensors[i];
        if ((size_t)t->n_name == n && chord_equal(t->name, name, n)) return i;
    }
    return CHORD_NONE;
}

int32_t chord_bind(chord_builder *b, const char *format, int32_t layer, int64_t n_cols, int64_t n_rows,
                   int32_t flags)
{
    if (b->status != CHORD_OK) return CHORD_NONE;
    char name[NAME_CAP];
    size_t const n = tensor_name(format, layer, name);
    int32_t const i = find_tensor(b, name, n);
    if (i == CHORD_NONE) {
        if (!(flags & CHORD_OPTIONAL))
            chord_build_fail(b, CHORD_INVALID_GGUF, "the file lacks the tensor", name, n);
        return CHORD_NONE;
    }
    chord_tensor *t = &b->plan->tensors[i];
    if (t->ne[0] != n_cols || t->n_rows != (n_rows ? n_rows : 1)) {
        b->status = chord_fail(b->error, CHORD_INVALID_GGUF,
                               "tensor %q has the shape [%u, %u], but the metadata requires [%u, %u]", name,
                               n, (uint64_t)t->ne[0], (uint64_t)t->n_rows, (uint64_t)n_cols,
                               (uint64_t)(n_rows ? n_rows : 1));
        return CHORD_NONE;
    }
    int const is_wide = !n_rows || flags & CHORD_WIDE;
    if (is_wide && chord_format_of(t->type)->block_elems > 1) {
        chord_build_fail(b, CHORD_UNSUPPORTED_QUANTIZATION,
                         "a quantised vector or table isn't supported:", name, n);
        return CHORD_NONE;
    }
    if (is_wide) t->layout = CHORD_LAYOUT_VECTOR;
    else if (!(flags & CHORD_LOOKUP)) t->layout = CHORD_LAYOUT_X4;
    else if (t->layout != CHORD_LAYOUT_X4) t->layout = CHORD_LAYOUT_PLAIN;
    t->placement = 0; /* CHORD_PLACE_RESIDENT; chord_model_plan() may make matrices external */
    return i;
}

int32_t chord_bind_part(chord_builder *b, int32_t layer, const char *stem, const char *suffix, int64_t n_cols,
                        int64_t n_rows, int32_t flags)
{
    char name[64];
    size_t n = 0;
    while (stem[n] && n < 48) name[n] = stem[n], n++;
    for (; *suffix && n < sizeof name - 1; suffix++) name[n++] = *suffix;
    name[n] = 0;
    return chord_bind(b, name, layer, n_cols, n_rows, flags);
}

int chord_has(const chord_builder *b, const char *format, int32_t layer)
{
    char name[NAME_CAP];
    return find_tensor(b, name, tensor_name(format, layer, name)) != CHORD_NONE;
}

int64_t chord_rows_of(const chord_builder *b, const char *format, int32_t layer)
{
    char name[NAME_CAP];
    int32_t const i = find_tensor(b, name, tensor_name(format, layer, name));
    return i == CHORD_NONE ? 0 : b->plan->tensors[i].n_rows;
}

void chord_skip(chord_builder *b, const char *format, int32_t layer, const char *reason)
{
    (void)reason;
    if (b->status != CHORD_OK) return;
    char name[NAME_CAP];
    int32_t const i = find_tensor(b, name, tensor_name(format, layer, name));
    if (i != CHORD_NONE) b->plan->tensors[i].placement = 2; /* CHORD_PLACE_SKIPPED */
}

void chord_skip_block(chord_builder *b, int32_t layer, const char *reason)
{
    (void)reason;
    char name[NAME_CAP];
    size_t const n = tensor_name("blk.%d.", layer, name);
    for (int32_t i = 0; i < b->plan->n_tensors; i++) {
        chord_tensor *t = &b->plan->tensors[i];
        if ((size_t)t->n_name > n && chord_equal(t->name, name, n))
            t->placement = 2; /* CHORD_PLACE_SKIPPED */
    }
}

int32_t chord_slot_new(chord_builder *b, int32_t width, int32_t rows)
{
    chord_program *p = &b->plan->program;
    if (p->n_slots == CHORD_MAX_SLOTS) {
        chord_build_fail(b, CHORD_INTERNAL, "too many slots in", b->arch, b->n_arch);
        return 0;
    }
    p->slots[p->n_slots] = (chord_slot){ .width = width, .rows = rows };
    return p->n_slots++;
}

int32_t chord_rope_new(chord_builder *b, chord_rope rope)
{
    chord_program *p = &b->plan->program;
    if (p->n_ropes == CHORD_MAX_ROPES) {
        chord_build_fail(b, CHORD_INTERNAL, "too many rope tables in", b->arch, b->n_arch);
        return 0;
    }
    if (!rope.n_ctx_orig) rope.freqs_long = rope.freqs;
    rope.slot = chord_slot_new(b, rope.n_rot, CHORD_ROWS_BATCH);
    p->ropes[p->n_ropes] = rope;
    chord_op *op = chord_emit(b, CHORD_OP_ANGLES, CHORD_NONE);
    op->out[0] = rope.slot;
    op->angles.rope = p->n_ropes;
    return p->n_ropes++;
}

int32_t chord_cache_new(chord_builder *b, chord_cache_spec spec)
{
    chord_program *p = &b->plan->program;
    if (p->n_caches == b->max_caches) {
        chord_build_fail(b, CHORD_INTERNAL, "too many caches in", b->arch, b->n_arch);
        return 0;
    }
    p->caches[p->n_caches] = spec;
    return p->n_caches++;
}

chord_op *chord_emit(chord_builder *b, int32_t kind, int32_t layer)
{
    chord_program *p = &b->plan->program;
    chord_emit_scales(b);
    if (p->n_ops == b->max_ops) {
        chord_build_fail(b, CHORD_INTERNAL, "too many ops in", b->arch, b->n_arch);
        p->n_ops--; /* the last record is used again, so that the caller always has a record to write to */
    }
    chord_op *op = &p->ops[p->n_ops++];
    chord_zero(op, sizeof *op);
    op->kind = kind;
    op->layer = layer;
    op->cache = CHORD_NONE;
    for (int i = 0; i < 3; i++) op->in[i] = op->out[i] = CHORD_NONE;
    for (int i = 0; i < CHORD_OP_WEIGHTS; i++) op->weight[i] = CHORD_NONE;
    return op;
}
