/* SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"
#include "gguf_file.h"

const char *const synthetic_names[SYN_FAMILIES] = { "heads",  "state", "values-in-keys", "axes",
                                                    "tables", "scan",  "streams",        "wkv" };

/* Weights have a generator of their own, so each load gives the same weights. */
static uint64_t state_of_weights;
static float weight(void)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        state_of_weights = state_of_weights * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(state_of_weights >> 40) / 0x1p24f;
    }
    return (sum - 2) * 1.7f;
}

/* ---- the file ----------------------------------------------------------------------------------------- */

typedef struct matrix {
    const char *name;
    int32_t cols, rows;
} matrix; /* rows 0: a vector; "?b.weight": a stack of 4 */
static int32_t stack_of(const matrix *m) { return strstr(m->name, "b.weight") ? 4 : 0; }

/* The tensors of the files: those of every family, then each family's layers. */
static const matrix of_model[] = { { "token_embd.weight", SYN_EMBD, SYN_VOCAB },
                                   { "output_norm.weight", SYN_EMBD, 0 } };
static const matrix heads_layers[5][7] = {
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 32 },
      { "k", SYN_EMBD, 16 },
      { "v", SYN_EMBD, 16 },
      { "o", 32, SYN_EMBD },
      { "up", SYN_EMBD, 48 },
      { "down", 48, SYN_EMBD } },
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 32 },
      { "k", SYN_EMBD, 16 },
      { "v", SYN_EMBD, 16 },
      { "o", 32, SYN_EMBD },
      { "up", SYN_EMBD, 48 },
      { "down", 48, SYN_EMBD } },
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 64 },
      { "k", SYN_EMBD, 16 },
      { "v", SYN_EMBD, 16 },
      { "o", 64, SYN_EMBD },
      { "up", SYN_EMBD, 48 },
      { "down", 48, SYN_EMBD } },
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 64 },
      { "o", 64, SYN_EMBD },
      { "up", SYN_EMBD, 48 },
      { "down", 48, SYN_EMBD } },
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 32 },
      { "o", 32, SYN_EMBD },
      { "up", SYN_EMBD, 48 },
      { "down", 48, SYN_EMBD } },
};
static const matrix state_layers[2][9] = {
    { { "norm.weight", SYN_EMBD, 0 },
      { "norm.bias", SYN_EMBD, 0 },
      { "conv", 4, SYN_EMBD },
      { "up", SYN_EMBD, 48 },
      { "down", 48, SYN_EMBD } },
    { { "norm.weight", SYN_EMBD, 0 },
      { "norm.bias", SYN_EMBD, 0 },
      { "conv", 4, SYN_EMBD },
      { "q", SYN_EMBD, 32 },
      { "k", SYN_EMBD, 16 },
      { "v", SYN_EMBD, 16 },
      { "o", 32, SYN_EMBD },
      { "up", SYN_EMBD, 48 },
      { "down", 48, SYN_EMBD } },
};
static const matrix keys_layers[2][6] = {
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 4 * 20 },
      { "k", SYN_EMBD, 24 },
      { "kb.weight", 12, 16 },
      { "vb.weight", 16, 12 },
      { "o", 4 * 12, SYN_EMBD } },
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 4 * 12 },
      { "k", SYN_EMBD, 2 * 12 },
      { "v", SYN_EMBD, 2 * 20 },
      { "o", 4 * 20, SYN_EMBD } },
};
static const matrix axes_layers[1][5] = {
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 32 },
      { "k", SYN_EMBD, 32 },
      { "v", SYN_EMBD, 32 },
      { "o", 32, SYN_EMBD } },
};
static const matrix tables_layers[2][8] = {
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "table", 2 * 12, SYN_VOCAB },
      { "q", SYN_EMBD, 32 },
      { "k", SYN_EMBD, 32 },
      { "v", SYN_EMBD, 32 },
      { "o", 32, SYN_EMBD },
      { "gate", SYN_EMBD, 12 },
      { "back", 12, SYN_EMBD } },
    { { "gate", SYN_EMBD, 12 }, { "back", 12, SYN_EMBD } },
};
/* Layer 0: the delta rule. Layer 1: a scan. */
static const matrix scan_layers[2][10] = {
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "in", SYN_EMBD, SYN_DELTA_WIDE },
      { "step", SYN_EMBD, 4 },
      { "beta", SYN_EMBD, 4 },
      { "conv.weight", 3, SYN_DELTA_WIDE },
      { "conv.bias", SYN_DELTA_WIDE, 0 },
      { "dt", 4, 0 },
      { "decay", 4, 0 },
      { "o", 4 * 36, SYN_EMBD } },
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "in", SYN_EMBD, 2 * SYN_SCAN_WIDE },
      { "step", SYN_EMBD, 4 },
      { "conv.weight", 2, SYN_SCAN_WIDE },
      { "dt", 4, 0 },
      { "decay", 1, 4 },
      { "skip", 1, 4 },
      { "norm", 16, 2 },
      { "o", 4 * 8, SYN_EMBD } },
};
static const matrix streams_layers[1][12] = {
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "others", SYN_EMBD, 3 * SYN_EMBD },
      { "router", SYN_EMBD, 4 },
      { "predict", 4, 16 },
      { "correct", 4, 4 },
      { "scale", SYN_EMBD, 0 },
      { "q", SYN_EMBD, 32 },
      { "k", SYN_EMBD, 32 },
      { "v", SYN_EMBD, 32 },
      { "o", 32, SYN_EMBD },
      { "up", SYN_EMBD, 48 },
      { "down", 48, SYN_EMBD } },
};
/* Two heads of 16. */
static const matrix wkv_layers[1][15] = {
    { { "attn_norm.weight", SYN_EMBD, 0 },
      { "lerp", SYN_EMBD, 3 },
      { "r", SYN_EMBD, SYN_EMBD },
      { "w", SYN_EMBD, SYN_EMBD },
      { "k", SYN_EMBD, SYN_EMBD },
      { "v", SYN_EMBD, SYN_EMBD },
      { "a", SYN_EMBD, SYN_EMBD },
      { "k_k", SYN_EMBD, 0 },
      { "k_a", SYN_EMBD, 0 },
      { "r_k", SYN_EMBD, 0 },
      { "ln", SYN_EMBD, 0 },
      { "ln_b", SYN_EMBD, 0 },
      { "o", SYN_EMBD, SYN_EMBD } },
};
static const struct {
    const matrix *layers;
    int32_t n, stride;
} tables[SYN_FAMILIES] = {
    { heads_layers[0], 5, 7 },    { state_layers[0], 2, 9 },  { keys_layers[0], 2, 6 },
    { axes_layers[0], 1, 5 },     { tables_layers[0], 2, 8 }, { scan_layers[0], 2, 10 },
    { streams_layers[0], 1, 12 }, { wkv_layers[0], 1, 15 },
};

/* Writes a tensor's entry in the header's table, or (`data`) its floats. */
static void put_matrix(file *f, const matrix *m, const char *name, int data, int loud)
{
    int32_t const rows = (m->rows ? m->rows : 1) * (stack_of(m) ? stack_of(m) : 1);
    size_t const bytes = (size_t)m->cols * (size_t)rows * 4;
    if (!data) {
        put_text(f, name);
        put32(f, stack_of(m) ? 3 : m->rows ? 2 : 1);
        put64(f, (uint64_t)m->cols);
        if (m->rows) put64(f, (uint64_t)m->rows);
        if (stack_of(m)) put64(f, (uint64_t)stack_of(m));
        put32(f, CHORD_F32);
        put64(f, f->data);
    } else {
        for (int32_t i = 0; i < m->cols * rows; i++) {
            bool const is_decay = strstr(name, "decay") != NULL;
            float x = is_decay ? -1 + weight() / 4 : m->rows ? weight() / 4 : 1 + weight() / 8;
            if (loud && m == &of_model[0] && i / m->cols == 7) x = 3e38f;
            put(f, &x, 4);
        }
        put_padding(f);
    }
    f->data += (bytes + 31) / 32 * 32;
}

static void put_tensors(file *f, int32_t family, int data, int loud)
{
    f->data = 0;
    for (int i = 0; i < 2; i++) put_matrix(f, &of_model[i], of_model[i].name, data, loud);
    for (int32_t layer = 0; layer < tables[family].n; layer++)
        for (int32_t k = 0; k < tables[family].stride; k++) {
            const matrix *m = &tables[family].layers[layer * tables[family].stride + k];
            char name[64];
            if (!m->name) continue;
            snprintf(name, sizeof name, "blk.%d.%s", layer, m->name);
            put_matrix(f, m, name, data, loud);
        }
}

static int32_t count_tensors(int32_t family)
{
    int32_t n = 2;
    for (int32_t k = 0; k < tables[family].n * tables[family].stride; k++)
        n += tables[family].layers[k].name != NULL;
    return n;
}

static file make_file(int32_t family, int loud)
{
    file f = { .bytes = test_alloc(1 << 20), .cap = 1 << 20 };
    put(&f, "GGUF", 4);
    put32(&f, 3);
    put64(&f, (uint64_t)count_tensors(family));
    put64(&f, 9);
    put_string(&f, "general.architecture", synthetic_names[family]);
    char key[80];
    static const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {
        { "context_length", SYN_CTX }, { "embedding_length", SYN_EMBD }, { "feed_forward_length", 48 },
        { "attention.head_count", 4 }, { "attention.key_length", 8 },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(key, sizeof key, "%s.%s", synthetic_names[family], numbers[i].name);
        put_number(&f, key, numbers[i].value);
    }
    snprintf(key, sizeof key, "%s.block_count", synthetic_names[family]);
    put_number(&f, key, (uint32_t)tables[family].n);
    put_vocabulary(&f, SYN_VOCAB);
    put_tensors(&f, family, 0, loud);
    put_padding(&f);
    put_tensors(&f, family, 1, loud);
    return f;
}

/* ---- load --------------------------------------------------------------------------------------------- */

static void *join(void *m)
{
    chord_thread_join(m, 1);
    return NULL;
}

chord_loaded *load_synthetic(int32_t family, int32_t kv_type, int32_t n_threads, int32_t n_batch,
                             int32_t loud)
{
    CHECK(n_threads <= 2);
    state_of_weights = 1 + (uint64_t)family;
    file const f = make_file(family, loud);
    chord_loaded *l = test_alloc(sizeof *l);
    memset(l, 0, sizeof *l);
    chord_config config = chord_config_default();
    config.kv_type = kv_type, config.n_threads = n_threads, config.n_batch = config.n_logits = n_batch;
    l->model = chord_model_init(chord_load_block(l, 1 << 20), 1 << 20);
    l->model->archs = synthetic_archs;
    char text[400];
#define GOOD(call, want)                                                                               \
    do {                                                                                               \
        chord_status const status_ = (call);                                                           \
        if (status_ != (want)) {                                                                       \
            chord_last_error(l->model, text, sizeof text);                                             \
            test_fail(__FILE__, __LINE__, "%s: %s is %d: %s", synthetic_names[family], #call, status_, \
                      text);                                                                           \
        }                                                                                              \
    } while (0)
    GOOD(chord_model_push(l->model, 0, 0, f.bytes, f.n), CHORD_DONE);
    GOOD(chord_model_plan(l->model, &config, &l->plan), CHORD_OK);
    GOOD(chord_model_begin(l->model, chord_load_block(l, (size_t)l->plan.bytes), (size_t)l->plan.bytes),
         CHORD_MORE);
    GOOD(chord_model_push(l->model, 0, 0, f.bytes, f.n), CHORD_DONE);
#undef GOOD
    if (n_threads == 2) {
        CHECK(!pthread_create(&l->threads[0], NULL, join, l->model));
        l->n_threads = 1;
        while (chord_threads_ready(l->model) < 1) {}
    }
    return l;
}
