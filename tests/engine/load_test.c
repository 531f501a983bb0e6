/* load_test.c: the three phases of loading: files pushed in any chunks, cut anywhere, or damaged.
 * tests/format tests headers alone; here a whole fixture is changed in one place. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"
#include "../format/gguf_writer.h"

typedef struct file {
    uint8_t *p;
    size_t n;
} file;

static file read_fixture(const char *name)
{
    file f;
    f.p = test_read_file(golden_path(name, ".gguf"), &f.n);
    CHECK(f.p != NULL);
    return f;
}

/* ---- a host that gives as little memory as it can ----------------------------------------------------- */

typedef struct host {
    chord_model *model;
    uint8_t *header, *arena;      /* malloc'd, so that the sanitizer knows their ends */
    size_t given;
    chord_status status;
    char error[330];
} host;

enum { HEADER_MOST = 4 << 20 };

static void done(host *h)
{
    chord_last_error(h->model, h->error, sizeof h->error);
    free(h->header);
    free(h->arena);
    h->header = h->arena = NULL;
    h->model = NULL;
}

static chord_status push(host *h, uint64_t off, const uint8_t *p, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1); /* a block without a byte before or after the chunk */
    memcpy(exact, p, n);
    chord_status const status = chord_model_push(h->model, 0, off, exact, n);
    free(exact);
    return status;
}

static chord_status give_header(host *h)
{
    size_t const wanted = chord_model_wanted(h->model);
    if (h->given + wanted > HEADER_MOST) return CHORD_OUT_OF_MEMORY;
    CHECK_EQ(chord_model_give(h->model, h->header + h->given, wanted), CHORD_OK);
    h->given += wanted;
    return CHORD_OK;
}

static chord_status load_header(host *h, file f, size_t (*chunk)(void))
{
    for (uint64_t at; (at = chord_model_position(h->model)) < f.n;) {
        size_t const left = f.n - (size_t)at, want = chunk(), n = want < left ? want : left;
        chord_status status = push(h, at, f.p + at, n);
        if (status == CHORD_NEED_MEMORY)
            status = give_header(h) == CHORD_OK ? CHORD_MORE : CHORD_OUT_OF_MEMORY;
        if (status != CHORD_MORE) return status;
    }
    return chord_model_end(h->model);
}

static chord_status load_data(host *h, file f, size_t (*chunk)(void), const chord_plan_info *plan)
{
    h->arena = aligned_alloc(CHORD_BLOCK_ALIGN, ((size_t)plan->bytes + 63) / 64 * 64);
    chord_status status = chord_model_begin(h->model, h->arena, (size_t)plan->bytes);
    for (uint64_t at = (uint64_t)plan->data_begin; status == CHORD_MORE && at < f.n;) {
        size_t const left = f.n - (size_t)at, want = chunk(), n = want < left ? want : left;
        status = push(h, at, f.p + at, n);
        at += n;
    }
    return status == CHORD_MORE ? chord_model_end(h->model) : status;
}

/* Loads a file; h.status is DONE or the error. `said`: the file length that the host sets, 0 if the host
 * sets none. */
static host load(file f, size_t (*chunk)(void), uint64_t said)
{
    host h = { .given = 64 << 10 };
    h.header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST);
    h.model = chord_model_init(h.header, h.given);
    CHECK(h.model != NULL);
    if (said) CHECK_EQ(chord_model_set_file_bytes(h.model, said), CHORD_OK);
    h.status = load_header(&h, f, chunk);
    chord_config const config = chord_config_default();
    chord_plan_info plan;
    while (h.status == CHORD_DONE) {
        chord_status const planned = chord_model_plan(h.model, &config, &plan);
        if (planned == CHORD_OK) {
            h.status = load_data(&h, f, chunk, &plan);
            break;
        }
        if (planned == CHORD_NEED_MEMORY) CHECK_EQ(give_header(&h), CHORD_OK);
        else h.status = planned;
    }
    return h;
}

static size_t all_at_once(void) { return SIZE_MAX; }
static size_t one_byte(void) { return 1; }
static size_t seven(void) { return 7; }
static size_t a_page(void) { return 4096; }
static size_t random_chunk(void) { return 1 + test_random() % (1u << (test_random() % 17)); }

TEST(a_model_is_the_same_in_any_chunks)
{
    static size_t (*const chunks[])(void) = { one_byte, seven, a_page, random_chunk };
    static const char *const names[] = { "mixed", "f16-d128-spm" };
    for (int32_t i = 0; i < 2; i++) {
        file const f = read_fixture(names[i]);
        for (int32_t c = 0; c < 4; c++) {
            host h = load(f, chunks[c], 0);
            CHECK_EQ(h.status, CHORD_DONE);
            const chord_plan *plan = chord_model_plan_of(h.model);
            for (int32_t k = 0; k < plan->n_tensors; k++) {
                const chord_tensor *t = &plan->tensors[k];
                uint8_t *row = test_alloc((size_t)t->row_bytes);
                for (int64_t r = 0; r < t->n_rows; r += t->n_rows > 9 ? t->n_rows / 9 : 1) {
                    CHECK_EQ(chord_model_row(h.model, k, r, row, (size_t)t->row_bytes), CHORD_OK);
                    CHECK(!memcmp(row, f.p + t->file_off + (uint64_t)r * t->row_bytes, (size_t)t->row_bytes));
                }
            }
            done(&h);
        }
    }
}

TEST(chord_model_row_returns_every_row_as_it_is_in_the_file)
{
    const char *names[GOLDEN_FILES];
    int32_t const n = golden_fixtures(names);
    for (int32_t i = 0; i < n; i++) {
        file const f = read_fixture(names[i]);
        host h = load(f, all_at_once, f.n);
        CHECK_EQ(h.status, CHORD_DONE);
        const chord_plan *plan = chord_model_plan_of(h.model);
        uint8_t *row = test_alloc(1 << 16);
        for (int32_t k = 0; k < plan->n_tensors; k++)
            for (int64_t r = 0; r < plan->tensors[k].n_rows; r++) {
                const chord_tensor *t = &plan->tensors[k];
                CHECK_EQ(chord_model_row(h.model, k, r, row, (size_t)t->row_bytes), CHORD_OK);
                CHECK(!memcmp(row, f.p + t->file_off + (uint64_t)r * t->row_bytes, (size_t)t->row_bytes));
            }
        CHECK_EQ(chord_model_row(h.model, 0, plan->tensors[0].n_rows, row, 1 << 16), CHORD_INVALID_ARGUMENT);
        CHECK_EQ(chord_model_row(h.model, plan->n_tensors, 0, row, 1 << 16), CHORD_INVALID_ARGUMENT);
        CHECK_EQ(chord_model_row(h.model, 0, 0, row, (size_t)plan->tensors[0].row_bytes - 1),
                 CHORD_INVALID_ARGUMENT);
        done(&h);
    }
}

TEST(a_released_matrix_is_the_hosts_and_the_vectors_stay)
{
    file const f = read_fixture("qwen2-q4_k");
    host h = load(f, all_at_once, f.n);
    CHECK_EQ(h.status, CHORD_DONE);
    const chord_plan *plan = chord_model_plan_of(h.model);
    size_t released = 0, n = 7;
    CHECK(!chord_model_release(h.model, -1, &n) && !chord_model_release(h.model, plan->n_tensors, &n));
    for (int32_t k = 0; k < plan->n_tensors; k++) {
        const chord_tensor *t = &plan->tensors[k];
        const float *vector = chord_model_vector(h.model, k);
        const uint8_t *data = t->data;
        uint8_t *block = chord_model_release(h.model, k, &n);
        CHECK(!!block == (t->layout != CHORD_LAYOUT_VECTOR && data));
        CHECK(chord_model_vector(h.model, k) == vector);
        if (!block) continue;
        CHECK(block == data && n == t->bytes && (uintptr_t)block % CHORD_BLOCK_ALIGN == 0);
        memset(block, 0xff, n);
        released += n;
        CHECK(!chord_model_release(h.model, k, &n)); /* once */
        CHECK_EQ(chord_model_row(h.model, k, 0, block, n), CHORD_INVALID_ARGUMENT);
    }
    CHECK(released > f.n / 2);
    size_t const bytes = chord_session_bytes(h.model);
    void *block = aligned_alloc(CHORD_BLOCK_ALIGN,
                                (bytes + CHORD_BLOCK_ALIGN - 1) / CHORD_BLOCK_ALIGN * CHORD_BLOCK_ALIGN);
    chord_session *s = chord_session_open(h.model, block, bytes);
    int32_t const id = 1;
    CHECK_EQ(chord_session_push(s, &id, 1), CHORD_OK);
    CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_INVALID_ARGUMENT);
    free(block);
    done(&h);
}

/* Rope factors, norms and biases stay in the plan: tables and small kernels of every executor need them. */
TEST(external_placement_leaves_vectors_in_the_plan)
{
    static const char *const names[] = { "q4_0-d80-freqs", "qwen2-q4_k" };
    for (int32_t i = 0; i < 2; i++) {
        file const f = read_fixture(names[i]);
        host own = load(f, all_at_once, f.n), h = { .given = HEADER_MOST };
        h.header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST);
        h.model = chord_model_init(h.header, h.given);
        CHECK_EQ(load_header(&h, f, all_at_once), CHORD_DONE);
        chord_config config = chord_config_default();
        config.external = 1;
        chord_plan_info plan;
        CHECK_EQ(chord_model_plan(h.model, &config, &plan), CHORD_OK);
        CHECK_EQ(load_data(&h, f, random_chunk, &plan), CHORD_DONE);
        const chord_plan *p = chord_model_plan_of(h.model), *q = chord_model_plan_of(own.model);
        int32_t vectors = 0;
        for (int32_t k = 0; k < p->n_tensors; k++) {
            const chord_tensor *t = &p->tensors[k];
            bool const is_vector = t->layout == CHORD_LAYOUT_VECTOR;
            vectors += is_vector;
            CHECK_EQ(t->placement, is_vector ? CHORD_PLACE_RESIDENT : CHORD_PLACE_EXTERNAL);
            CHECK_EQ(t->is_ready, is_vector);
            if (is_vector) CHECK(!memcmp(t->data, q->tensors[k].data, (size_t)t->bytes));
        }
        CHECK(vectors > 4 && plan.bytes < own.model->map.bytes);
        for (int32_t r = 0; r < p->program.n_ropes; r++)
            CHECK(!memcmp(p->rope_freqs[r], q->rope_freqs[r],
                          (size_t)p->program.ropes[r].n_rot / 2 * sizeof(double)));
        done(&own);
        done(&h);
    }
}

TEST(a_context_beyond_the_trained_one_is_refused_with_both_lengths)
{
    file const f = read_fixture("f32-mha");
    host h = { .given = HEADER_MOST };
    h.header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST);
    h.model = chord_model_init(h.header, h.given);
    CHECK_EQ(load_header(&h, f, all_at_once), CHORD_DONE);
    chord_config config = chord_config_default();
    chord_plan_info plan;
    static int32_t const beyond[] = { 257, 1000000, INT32_MAX };
    for (int32_t i = 0; i < 3; i++) {
        config.n_ctx = beyond[i];
        CHECK_EQ(chord_model_plan(h.model, &config, &plan), CHORD_INVALID_ARGUMENT);
        char asked[40], message[256];
        snprintf(asked, sizeof asked, "a context of %d tokens", (int)beyond[i]);
        chord_last_error(h.model, message, sizeof message);
        CHECK_TEXT(message, asked);
        CHECK_TEXT(message, "trained for 256");
    }
    config.n_ctx = 256;
    CHECK_EQ(chord_model_plan(h.model, &config, &plan), CHORD_OK);
    CHECK_EQ(plan.n_ctx, 256);
    done(&h);
}

/* ---- cut off ------------------------------------------------------------------------------------------ */

/* One load, byte by byte. Before each byte the host says that the file has ended. This changes only the
 * object's own fields, so a copy of them undoes it. */
TEST(a_file_cut_at_any_byte_is_an_error_that_says_so)
{
    file const f = read_fixture("f16-fused");
    host h = { .header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST) };
    h.model = chord_model_init(h.header, HEADER_MOST);
    chord_config const config = chord_config_default();
    chord_plan_info plan;
    chord_status status = CHORD_MORE;
    for (size_t at = 0; at < f.n; at++) {
        CHECK_EQ(status, CHORD_MORE);
        struct chord_model const saved = *h.model;
        CHECK_EQ(chord_model_end(h.model), CHORD_INVALID_GGUF);
        chord_last_error(h.model, h.error, sizeof h.error);
        CHECK_TEXT(h.error, h.arena ? "the file ends inside tensor '" : "inside its header");
        *h.model = saved;
        status = chord_model_push(h.model, 0, at, f.p + at, 1);
        if (status == CHORD_DONE && !h.arena) {
            CHECK_EQ(chord_model_plan(h.model, &config, &plan), CHORD_OK);
            h.arena = aligned_alloc(CHORD_BLOCK_ALIGN, ((size_t)plan.bytes + 63) / 64 * 64);
            status = chord_model_begin(h.model, h.arena, (size_t)plan.bytes);
        }
        if (status == CHORD_DONE) CHECK(at + 32 >= f.n); /* only padding follows the last tensor */
        if (status == CHORD_DONE) break;
    }
    CHECK_EQ(status, CHORD_DONE);
    done(&h);
}

TEST(a_file_cut_anywhere_never_loads_in_larger_chunks)
{
    file const f = read_fixture("f32-odd-tied");
    size_t const end = f.n - f.n % 4; /* the last tensor's bytes reach to the last whole float */
    for (int32_t i = 0; i < 300; i++) {
        size_t const n = i < 100 ? (size_t)test_random() % 8000 : (size_t)test_random() % (end - 32);
        for (int32_t known = 0; known < 2; known++) {
            host h = load((file){ f.p, n }, i % 2 ? all_at_once : random_chunk, known && n ? n : 0);
            CHECK_EQ(h.status, CHORD_INVALID_GGUF);
            /* the object stays unusable */
            CHECK_EQ(chord_model_push(h.model, 0, 0, f.p, f.n), CHORD_INVALID_ARGUMENT);
            CHECK(chord_session_open(h.model, h.header, 1 << 20) == NULL);
            done(&h);
        }
    }
}

TEST(a_file_that_is_no_model_is_refused)
{
    static const char *const texts[] = { "",
                                         "G",
                                         "GGUF",
                                         "GGUF\3\0\0\0",
                                         "Hello, this is a text.\n",
                                         "<!DOCTYPE html><html><head><title>404</title>",
                                         "GGML\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        host h = load((file){ (uint8_t *)(uintptr_t)texts[i], i == 3 ? 8 : strlen(texts[i]) }, all_at_once,
                      0);
        CHECK_EQ(h.status, CHORD_INVALID_GGUF);
        done(&h);
    }
    uint8_t *p = test_alloc(100);
    memset(p, 0, 100);
    host h = load((file){ p, 100 }, all_at_once, 0);
    CHECK_EQ(h.status, CHORD_INVALID_GGUF);
    done(&h);
    memcpy(p, "GGUF\3\0\0\0", 8);
    p[15] = 0x80; /* 2^63 tensors */
    h = load((file){ p, 100 }, all_at_once, 0);
    CHECK_EQ(h.status, CHORD_INVALID_GGUF);
    done(&h);
    p[15] = 0;
    p[23] = 0x80; /* 2^63 keys */
    h = load((file){ p, 100 }, all_at_once, 0);
    CHECK_EQ(h.status, CHORD_INVALID_GGUF);
    done(&h);
    p[23] = 0; /* neither keys nor tensors */
    h = load((file){ p, 100 }, all_at_once, 0);
    CHECK_EQ(h.status, CHORD_INVALID_GGUF);
    done(&h);
}

/* ---- changed in one place ----------------------------------------------------------------------------- */

/* Returns the offset after a length-prefixed name: a key's type or a tensor's dimensions. 0: the name isn't
 * there. */
static size_t behind(file f, const char *name)
{
    uint64_t const n = strlen(name);
    uint8_t head[300];
    memcpy(head, &n, 8);
    memcpy(head + 8, name, (size_t)n);
    for (size_t at = 0; at + 8 + n <= f.n; at++)
        if (f.p[at] == head[0] && !memcmp(f.p + at, head, 8 + (size_t)n)) return at + 8 + (size_t)n;
    return 0;
}

/* The place of the change, in bytes after the name of the key or tensor. */
enum {
    TYPE = 0,
    VALUE = 4,
    TEXT_LENGTH = 4,
    TEXT = 12,
    ELEMENT_TYPE = 4,
    COUNT = 8,
    ELEMENTS = 16,
    NAME_END = -1,
    N_DIMS = 0,
    NE0 = 4,
    NE1 = 12,
    TENSOR_TYPE = 20,
    OFFSET = 24, /* TENSOR_TYPE, OFFSET: of a matrix */
    DATA = 1000 /* DATA + i: byte i of the tensor */
};

/* Moves the data of every second tensor of the file on by `gap`, and the last one's by twice as much. */
static void spread(file f, const chord_plan *plan, uint64_t gap)
{
    uint64_t shift = 0;
    for (int32_t k = 0; k < plan->n_tensors; k++) {
        const chord_tensor *t = &plan->tensors[plan->file_order[k]];
        if (k == plan->n_tensors / 2 || k == plan->n_tensors - 1) shift += gap;
        char name[65] = { 0 };
        memcpy(name, t->name, (size_t)t->n_name);
        size_t const at = behind(f, name), offset = at + 4 + 8 * (size_t)f.p[at] + 4;
        uint64_t old;
        memcpy(&old, f.p + offset, 8);
        old += shift;
        memcpy(f.p + offset, &old, 8);
    }
}

/* The gap leaves the low 32 bits of each offset as they were: what cuts them reads another tensor. */
TEST(tensors_past_4_and_8_gib_of_the_file_make_the_same_model)
{
    uint64_t const gap = (uint64_t)4 << 30;
    file const whole = read_fixture("mixed"), f = read_fixture("mixed");
    host plain = load(whole, a_page, 0);
    const chord_plan *plan = chord_model_plan_of(plain.model);
    spread(f, plan, gap);

    host h = { .given = HEADER_MOST };
    h.header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST);
    h.model = chord_model_init(h.header, h.given);
    CHECK_EQ(chord_model_set_file_bytes(h.model, f.n + 2 * gap), CHORD_OK);
    CHECK_EQ(load_header(&h, f, a_page), CHORD_DONE);
    chord_config const config = chord_config_default();
    chord_plan_info info;
    CHECK_EQ(chord_model_plan(h.model, &config, &info), CHORD_OK);
    CHECK(info.data_end > (double)(2 * gap));
    h.arena = aligned_alloc(CHORD_BLOCK_ALIGN, ((size_t)info.bytes + 63) / 64 * 64);
    chord_status status = chord_model_begin(h.model, h.arena, (size_t)info.bytes);
    for (int32_t k = 0; status == CHORD_MORE && k < plan->n_tensors; k++) {
        const chord_tensor *t = &plan->tensors[plan->file_order[k]];
        uint64_t const shift = (k >= plan->n_tensors / 2) * gap + (k == plan->n_tensors - 1) * gap;
        CHECK_EQ(chord_model_position(h.model), t->file_off + shift);
        status = push(&h, t->file_off + shift, f.p + t->file_off, (size_t)(t->row_bytes * t->n_rows));
    }
    CHECK_EQ(status, CHORD_DONE);
    for (int32_t k = 0; k < plan->n_tensors; k++) {
        const chord_tensor *t = &plan->tensors[k];
        uint8_t *row = test_alloc((size_t)t->row_bytes);
        CHECK_EQ(chord_model_row(h.model, k, t->n_rows - 1, row, (size_t)t->row_bytes), CHORD_OK);
        CHECK(!memcmp(row, whole.p + t->file_off + (t->n_rows - 1) * t->row_bytes, (size_t)t->row_bytes));
    }
    done(&h);

    /* A file that ends between the two is refused before its data. */
    h = (host){ .given = HEADER_MOST };
    h.header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST);
    h.model = chord_model_init(h.header, h.given);
    CHECK_EQ(chord_model_set_file_bytes(h.model, f.n + gap), CHORD_OK);
    CHECK_EQ(load_header(&h, f, a_page), CHORD_DONE);
    CHECK_EQ(chord_model_plan(h.model, &config, &info), CHORD_INVALID_GGUF);
    done(&h);
    done(&plain);
}

/* A fork's blocks are a little larger than those of the type whose number it takes. */
TEST(a_tensor_with_more_bytes_than_its_type_takes_is_refused_by_size_and_named)
{
    file const f = read_fixture("mixed");
    host plain = load(read_fixture("mixed"), a_page, 0);
    const chord_plan *plan = chord_model_plan_of(plain.model);
    const chord_tensor *t = &plan->tensors[plan->file_order[plan->n_tensors / 2 - 1]];
    CHECK(t->file_bytes > 64);
    spread(f, plan, 64);
    host h = { .given = HEADER_MOST };
    h.header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST);
    h.model = chord_model_init(h.header, h.given);
    CHECK_EQ(chord_model_set_file_bytes(h.model, f.n + 128), CHORD_OK);
    CHECK_EQ(load_header(&h, f, a_page), CHORD_DONE);
    chord_config const config = chord_config_default();
    chord_plan_info info;
    CHECK_EQ(chord_model_plan(h.model, &config, &info), CHORD_INVALID_GGUF);
    char name[65] = { 0 };
    memcpy(name, t->name, (size_t)t->n_name);
    char message[512];
    chord_last_error(h.model, message, sizeof message);
    if (!strstr(message, name) || !strstr(message, "in their place"))
        test_fail(__FILE__, __LINE__, "the error is \"%s\"", message);
    done(&h);
    done(&plain);
}

typedef struct damage {
    const char *name;             /* key or tensor */
    int32_t at, bytes;
    uint64_t value;
    chord_status want;
    const char *text;             /* the error contains it: the culprit */
} damage;

static const damage of_llama[] = {
    /* q8_0-d128 */
    { "general.architecture", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "general.architecture" },
    { "general.architecture", TEXT, 1, 'x', CHORD_UNSUPPORTED_ARCHITECTURE,
      "'xlama' isn't known; known are " },
    { "general.architecture", TYPE, 4, 4, CHORD_INVALID_GGUF, "" },
    { "llama.block_count", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.block_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.block_count", VALUE, 4, 1, CHORD_INVALID_GGUF, "blk.1." },
    { "llama.block_count", VALUE, 4, 3, CHORD_INVALID_GGUF, "blk.2.attn_norm.weight" },
    { "llama.block_count", VALUE, 4, 0x7fffffff, CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.block_count", VALUE, 4, 0xffffffff, CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.block_count", TYPE, 4, 6, CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.embedding_length", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.embedding_length" },
    { "llama.embedding_length", VALUE, 4, 64, CHORD_INVALID_GGUF, "token_embd.weight" },
    { "llama.embedding_length", VALUE, 4, 0xfffffff0, CHORD_INVALID_GGUF, "llama.embedding_length" },
    { "llama.feed_forward_length", VALUE, 4, 96, CHORD_INVALID_GGUF, "blk.0.ffn" },
    { "llama.attention.head_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.attention.head_count" },
    { "llama.attention.head_count", VALUE, 4, 3, CHORD_INVALID_GGUF, "" },
    { "llama.attention.head_count_kv", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.attention.head_count_kv" },
    { "llama.attention.head_count_kv", VALUE, 4, 2, CHORD_INVALID_GGUF, "blk.0.attn_k.weight" },
    { "llama.attention.head_count_kv", VALUE, 4, 5, CHORD_INVALID_GGUF, "llama.attention.head_count_kv" },
    { "llama.attention.key_length", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.attention.key_length" },
    { "llama.attention.key_length", VALUE, 4, 64, CHORD_UNSUPPORTED_ARCHITECTURE, "64" },
    { "llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0x7fc00000, CHORD_INVALID_GGUF,
      "layer_norm_rms_epsilon" },
    { "llama.attention.layer_norm_rms_epsilon", NAME_END, 1, 'x', CHORD_INVALID_GGUF,
      "layer_norm_rms_epsilon" },
    { "llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0, CHORD_INVALID_GGUF,
      "a number from 1.2e-38 to 3e38 is needed for the key 'llama.attention.layer_norm_rms_epsilon'" },
    { "llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0xb727c5ac /* -1e-5 */, CHORD_INVALID_GGUF,
      "layer_norm_rms_epsilon" },
    { "llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0x007fffff /* subnormal */, CHORD_INVALID_GGUF,
      "layer_norm_rms_epsilon" },
    { "llama.context_length", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.context_length" },
    { "llama.rope.freq_base", VALUE, 4, 0x7f800000, CHORD_INVALID_GGUF, "llama.rope.freq_base" },
    { "llama.rope.freq_base", VALUE, 4, 0, CHORD_INVALID_GGUF,
      "a number from 1 to 3e38 is needed for the key 'llama.rope.freq_base'" },
    { "llama.rope.freq_base", VALUE, 4, 0xc61c4000 /* -10000 */, CHORD_INVALID_GGUF, "llama.rope.freq_base" },
    { "llama.rope.freq_base", VALUE, 4, 0x006ce3ee /* 1e-38 */, CHORD_INVALID_GGUF, "llama.rope.freq_base" },
    { "tokenizer.ggml.model", TEXT, 1, 'x', CHORD_UNSUPPORTED_TOKENIZER, "'xpt2'" },
    { "tokenizer.ggml.model", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "tokenizer.ggml.model" },
    { "tokenizer.ggml.pre", TEXT, 1, 'x', CHORD_UNSUPPORTED_TOKENIZER, "'xlama-bpe'" },
    { "tokenizer.ggml.tokens", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "tokenizer.ggml.tokens" },
    { "tokenizer.ggml.tokens", ELEMENTS, 8, 1ull << 63, CHORD_INVALID_GGUF, "" },
    { "tokenizer.ggml.tokens", COUNT, 8, 1ull << 62, CHORD_INVALID_GGUF, "tokenizer.ggml.tokens" },
    { "tokenizer.ggml.merges", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "tokenizer.ggml.merges" },
    { "tokenizer.ggml.merges", ELEMENTS + 10, 1, 'x', CHORD_INVALID_GGUF, "merge 0" }, /* its blank */
    { "tokenizer.ggml.token_type", NAME_END, 1, 'x', CHORD_DONE, "" }, /* all tokens are normal then */
    { "tokenizer.ggml.token_type", ELEMENT_TYPE, 4, 6, CHORD_INVALID_GGUF, "tokenizer.ggml.token_type" },
    { "tokenizer.ggml.eos_token_id", VALUE, 4, 0x7fffffff, CHORD_DONE, "" }, /* ignored, as in llama.cpp */
    { "token_embd.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "token_embd.weight" },
    { "blk.1.ffn_down.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.1.ffn_down.weight" },
    /* a tensor that nothing binds */
    { "blk.1.ffn_down.bias", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.1.ffn_down.biax" },
    { "blk.1.ffn_up.weight", N_DIMS, 4, 0, CHORD_INVALID_GGUF, "" },
    { "blk.1.ffn_up.weight", N_DIMS, 4, 5, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE0, 8, 0, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE0, 8, 95, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE0, 8, 1ull << 63, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE1, 8, 1ull << 62, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE1, 8, 161, CHORD_INVALID_GGUF, "" },
    { "blk.1.ffn_up.weight", TENSOR_TYPE, 4, 99, CHORD_UNSUPPORTED_QUANTIZATION, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", TENSOR_TYPE, 4, 36, CHORD_UNSUPPORTED_QUANTIZATION, "IQ4_NL_4_4" },
    { "blk.1.ffn_up.weight", TENSOR_TYPE, 4, 0, CHORD_INVALID_GGUF, "overlap" },
    { "blk.1.ffn_up.weight", OFFSET, 8, 1, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", OFFSET, 8, 0, CHORD_INVALID_GGUF, "overlap" },
    { "blk.1.ffn_up.weight", OFFSET, 8, 1ull << 40, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", OFFSET, 8, ~31ull, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    /* infinite scale */
    { "blk.1.ffn_up.weight", DATA, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", DATA + 34, 2, 0xfe00, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },   /* NaN */
    /* a code of -128 */
    { "output.weight", DATA + 3 * 34 + 5, 1, 0x80, CHORD_INVALID_GGUF, "output.weight" },
    /* a matrix in plain layout */
    { "token_embd.weight", DATA, 2, 0xfc00, CHORD_INVALID_GGUF, "token_embd.weight" },
};

static const damage of_qwen2[] = {
    /* qwen2-q4_k */
    { "qwen2.attention.head_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "qwen2.attention.head_count" },
    { "qwen2.attention.head_count_kv", VALUE, 4, 3, CHORD_INVALID_GGUF,
      "8 heads aren't a multiple of the 3 KV heads" },
    { "qwen2.attention.layer_norm_rms_epsilon", NAME_END, 1, 'x', CHORD_INVALID_GGUF,
      "qwen2.attention.layer_norm_rms_epsilon" },
    { "blk.0.attn_k.bias", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.0.attn_k.biax" },
    { "blk.0.attn_k.bias", NE0, 8, 16, CHORD_INVALID_GGUF, "blk.0.attn_k.bias" },
    { "blk.0.attn_q.weight", DATA, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.0.attn_q.weight" }, /* Q4_K: scale */
    /* Q4_K: minimum */
    { "blk.0.attn_q.weight", DATA + 144 + 2, 2, 0xfe00, CHORD_INVALID_GGUF, "blk.0.attn_q.weight" },
    /* Q5_K: scale */
    { "blk.0.ffn_down.weight", DATA + 176, 2, 0xfc00, CHORD_INVALID_GGUF, "blk.0.ffn_down.weight" },
    /* Q5_K: minimum */
    { "blk.0.ffn_down.weight", DATA + 2, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.0.ffn_down.weight" },
    { "blk.0.attn_v.weight", DATA + 208, 2, 0x7c01, CHORD_INVALID_GGUF, "blk.0.attn_v.weight" }, /* Q6_K */
    /* no whole blocks of 256 */
    { "blk.0.ffn_up.weight", NE0, 8, 288, CHORD_INVALID_GGUF, "blk.0.ffn_up.weight" },
};

static const damage of_qwen2_q5[] = {
    { "blk.1.attn_q.weight", DATA + 22, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.1.attn_q.weight" }, /* Q5_0 */
    { "blk.1.attn_v.weight", DATA, 2, 0xfc00, CHORD_INVALID_GGUF, "blk.1.attn_v.weight" }, /* Q5_1: scale */
    /* Q5_1: minimum */
    { "blk.1.attn_v.weight", DATA + 2, 2, 0x7e00, CHORD_INVALID_GGUF, "blk.1.attn_v.weight" },
};

static const damage of_qwen3[] = {
    /* qwen3-q3_k-tied */
    { "qwen3.attention.head_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "qwen3.attention.head_count" },
    { "qwen3.attention.head_count_kv", VALUE, 4, 0, CHORD_INVALID_GGUF, "qwen3.attention.head_count_kv" },
    { "qwen3.attention.key_length", VALUE, 4, 128, CHORD_UNSUPPORTED_ARCHITECTURE,
      "keys of 128 and values of 64" },
    { "blk.0.attn_q_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.0.attn_q_norm.weight" },
    { "blk.0.attn_q_norm.weight", NE0, 8, 32, CHORD_INVALID_GGUF, "blk.0.attn_q_norm.weight" },
    { "blk.0.attn_k_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.0.attn_k_norm.weight" },
    { "blk.0.attn_k.weight", DATA + 108, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.0.attn_k.weight" }, /* Q3_K */
    /* Q2_K: scale */
    { "blk.0.attn_q.weight", DATA + 80, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.0.attn_q.weight" },
    /* Q2_K: minimum */
    { "blk.0.attn_q.weight", DATA + 82, 2, 0x7e00, CHORD_INVALID_GGUF, "blk.0.attn_q.weight" },
    { "blk.0.attn_v.weight", DATA + 136, 2, 0xfc00, CHORD_INVALID_GGUF, "blk.0.attn_v.weight" }, /* IQ4_XS */
};

static const damage of_gemma3[] = {
    /* gemma3-iq4_nl */
    { "gemma3.attention.sliding_window", VALUE, 4, 0, CHORD_DONE, "" }, /* no window, as in llama.cpp */
    { "gemma3.attention.sliding_window", VALUE, 4, 0xffffffff, CHORD_INVALID_GGUF,
      "gemma3.attention.sliding_window" },
    { "gemma3.attention.sliding_window", TYPE, 4, 6, CHORD_INVALID_GGUF, "gemma3.attention.sliding_window" },
    { "gemma3.rope.freq_base", VALUE, 4, 0x7fc00000, CHORD_INVALID_GGUF, "gemma3.rope.freq_base" },
    { "gemma3.attention.head_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "gemma3.attention.head_count" },
    { "gemma3.attention.head_count_kv", VALUE, 4, 0, CHORD_INVALID_GGUF, "gemma3.attention.head_count_kv" },
    { "gemma3.block_count", VALUE, 4, 6, CHORD_INVALID_GGUF, "blk.6." },
    { "blk.6.post_attention_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF,
      "blk.6.post_attention_norm.weight" },
    { "blk.0.post_ffw_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.0.post_ffw_norm.weight" },
    { "blk.0.post_ffw_norm.weight", NE0, 8, 32, CHORD_INVALID_GGUF, "blk.0.post_ffw_norm.weight" },
    { "blk.3.attn_k_norm.weight", NE0, 8, 16, CHORD_INVALID_GGUF, "blk.3.attn_k_norm.weight" },
    { "blk.3.attn_q_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.3.attn_q_norm.weight" },
    { "blk.2.ffn_up.weight", DATA + 18, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.2.ffn_up.weight" }, /* IQ4_NL */
};

static const damage of_gemma3_linear[] = {
    /* gemma3-f32 */
    { "gemma3.rope.scaling.factor", VALUE, 4, 0, CHORD_DONE, "" }, /* no scaling, as in llama.cpp */
    { "gemma3.rope.scaling.factor", VALUE, 4, 0x0da24260 /* 1e-30 */, CHORD_INVALID_GGUF,
      "0 or a number from 1/1024 to 3e38 is needed for the key 'gemma3.rope.scaling.factor'" },
    { "gemma3.rope.scaling.factor", VALUE, 4, 0xc0000000 /* -2 */, CHORD_INVALID_GGUF,
      "'gemma3.rope.scaling.factor'" },
    { "gemma3.attention.layer_norm_rms_epsilon", VALUE, 4, 0, CHORD_INVALID_GGUF,
      "gemma3.attention.layer_norm_rms_epsilon" },
};

static void apply(file f, const damage *d, uint64_t data_begin)
{
    size_t at = behind(f, d->name);
    if (!at) test_fail(__FILE__, __LINE__, "no %s in the fixture", d->name);
    if (d->at >= DATA)
        at = (size_t)(data_begin + *(uint64_t *)memcpy(&(uint64_t){ 0 }, f.p + at + OFFSET, 8)) +
             (size_t)(d->at - DATA);
    else at = (size_t)((int64_t)at + d->at);
    memcpy(f.p + at, &d->value, (size_t)d->bytes);
}

static void damage_one_by_one(const char *name, const damage *damages, size_t n)
{
    file const good = read_fixture(name);
    host h = load(good, all_at_once, good.n);
    CHECK_EQ(h.status, CHORD_DONE);
    const chord_plan *plan = chord_model_plan_of(h.model);
    uint64_t data_begin = UINT64_MAX;
    for (int32_t i = 0; i < plan->n_tensors; i++)
        if (plan->tensors[i].file_off < data_begin) data_begin = plan->tensors[i].file_off;
    done(&h);

    for (size_t i = 0; i < n; i++) {
        const damage *d = &damages[i];
        for (int32_t way = 0; way < 3; way++) {
            file const f = { malloc(good.n), good.n };
            memcpy(f.p, good.p, good.n);
            apply(f, d, data_begin);
            h = load(f, way == 1 ? random_chunk : all_at_once, way == 2 ? 0 : f.n);
            done(&h);
            free(f.p);
            if (h.status != d->want || (d->want < 0 && !strstr(h.error, d->text)))
                test_fail(__FILE__, __LINE__, "%s, %s, at %d: status %d, want %d; \"%s\", want '%s' in it",
                          name, d->name, d->at, h.status, d->want, h.error, d->text);
        }
    }
    h = load(good, all_at_once, good.n);
    CHECK_EQ(h.status, CHORD_DONE);
    done(&h);
}

#define DAMAGE(name, list) damage_one_by_one(name, list, sizeof list / sizeof *list)
TEST(a_file_damaged_in_one_place_is_refused_and_the_culprit_named) { DAMAGE("q8_0-d128", of_llama); }
TEST(a_damaged_file_of_another_family_or_format_is_refused_too)
{
    DAMAGE("qwen2-q4_k", of_qwen2);
    DAMAGE("qwen2-q5-tied", of_qwen2_q5);
    DAMAGE("qwen3-q3_k-tied", of_qwen3);
    DAMAGE("gemma3-iq4_nl", of_gemma3);
    DAMAGE("gemma3-f32", of_gemma3_linear);
}

/* Loads a fixture with all of these changes. */
static host load_changed(const char *name, const damage *changes, size_t n)
{
    file const good = read_fixture(name), f = { test_alloc(good.n), good.n };
    memcpy(f.p, good.p, good.n);
    for (size_t i = 0; i < n; i++) apply(f, &changes[i], 0);
    return load(f, all_at_once, f.n);
}
#define LOAD_CHANGED(name, list) load_changed(name, list, sizeof list / sizeof *list)

/* Returns a fixture with the keys that llama.cpp's splitter writes to a shard. They take 96 bytes, so the
 * data stays aligned. */
static file as_shard(const char *name, uint16_t no, uint16_t count)
{
    file const good = read_fixture(name), f = { test_alloc(good.n + 96), good.n + 96 };
    writer w = { .n = 0 };
    put_key(&w, "split.no", CHORD_GGUF_U16);
    put_bytes(&w, &no, 2);
    put_key(&w, "split.count", CHORD_GGUF_U16);
    put_bytes(&w, &count, 2);
    put_key(&w, "split.tensors.count", CHORD_GGUF_I32);
    put32(&w, 21);
    put_key(&w, "x", CHORD_GGUF_U8);
    put_bytes(&w, "", 1);
    CHECK_EQ(w.n, 96);
    memcpy(f.p, good.p, 24);
    f.p[16] += 4; /* keys */
    memcpy(f.p + 24, w.bytes, 96);
    memcpy(f.p + 120, good.p + 24, good.n - 24);
    return f;
}

TEST(a_shard_is_neither_damaged_nor_loaded)
{
    file f = as_shard("f32-mha", 1, 3);
    host h = load(f, all_at_once, f.n);
    done(&h);
    CHECK_EQ(h.status, CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(h.error, "shard 2 of 3");
    CHECK_TEXT(h.error, "the file is sound");
    f.p[behind(f, "llama.block_count") + VALUE] = 77; /* the missing layers would be in other shards */
    h = load(f, all_at_once, f.n);
    done(&h);
    CHECK_EQ(h.status, CHORD_INVALID_ARGUMENT);
    f = as_shard("f32-mha", 0, 1); /* a whole model in one shard */
    h = load(f, all_at_once, f.n);
    done(&h);
    CHECK_EQ(h.status, CHORD_DONE);
}

/* The default of the head size is n_embd / n_head: it derives from other keys of the file. */
TEST(a_head_size_of_1_or_0_is_refused_by_key_when_it_is_derived)
{
    static const damage one[] = { /* f32-mha: n_embd is 48, one query head per KV head */
                                  { "llama.attention.head_count", VALUE, 4, 48, 0, "" },
                                  { "llama.attention.head_count_kv", VALUE, 4, 48, 0, "" },
                                  { "llama.rope.dimension_count", NAME_END, 1, 'x', 0, "" }
    };
    host h = LOAD_CHANGED("f32-mha", one);
    done(&h);
    CHECK_EQ(h.status, CHORD_INVALID_GGUF);
    CHECK_TEXT(h.error, "'llama.attention.key_length', and its default, 1, is outside 2 to 1024");

    static const damage naught[] = { { "llama.attention.head_count", VALUE, 4, 96, 0, "" },
                                     { "llama.attention.head_count_kv", VALUE, 4, 96, 0, "" } };
    h = LOAD_CHANGED("f32-mha", naught);
    done(&h);
    CHECK_EQ(h.status, CHORD_INVALID_GGUF);
    CHECK_TEXT(h.error, "'llama.attention.key_length', and its default, 0, is outside");
}

TEST(a_file_damaged_anywhere_loads_or_is_refused)
{
    file const good = read_fixture("q4_0-d80-freqs");
    int32_t loaded = 0;
    for (int32_t i = 0; i < 600; i++) {
        file const f = { malloc(good.n), good.n };
        memcpy(f.p, good.p, good.n);
        size_t const within = i % 3 ? 9000 : good.n;
        for (uint64_t k = 1 + test_random() % 3; k; k--) {
            size_t const at = test_random() % within;
            f.p[at] = (uint8_t)(test_random() % 3 ? test_random() : f.p[at] ^ 1u << (test_random() % 8));
        }
        host h = load(f, random_chunk, i % 2 ? f.n : 0);
        CHECK(h.status == CHORD_DONE || h.status < 0);
        loaded += h.status == CHORD_DONE;
        done(&h);
        CHECK(h.status == CHORD_DONE || h.error[0]);
        free(f.p);
    }
    CHECK(loaded > 100 && loaded < 500);
}

TEST(gguf_version_2_loads_as_the_same_model)
{
    file const f = read_fixture("f16-fused");
    CHECK_EQ(f.p[4], 3);
    f.p[4] = 2;
    host h = load(f, all_at_once, f.n);
    CHECK_EQ(h.status, CHORD_DONE);
    chord_model_info info;
    CHECK_EQ(chord_model_get_info(h.model, &info), CHORD_OK);
    CHECK(info.gguf_version == 2 && info.n_vocab == 300 && info.is_tied && info.n_layer == 2 &&
          info.n_head == 5 && info.n_kv == 1);
    done(&h);
}
