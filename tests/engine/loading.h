/* loading.h: helpers of the tests of loading: a host that gives as little memory as it can, and the places
 * of a file's keys and tensors. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_LOADING_H
#define CHORD_TESTS_LOADING_H
#include "engine_test.h"

typedef struct file {
    uint8_t *p;
    size_t n;
} file;

static inline file read_fixture(const char *name)
{
    file f;
    f.p = test_read_file(golden_path(name, ".gguf"), &f.n);
    CHECK(f.p != NULL);
    return f;
}

/* ---- a host that gives as little memory as it can ----------------------------------------------------- */

typedef struct host {
    chord_model *model;
    uint8_t *header, *arena; /* malloc'd, so that the sanitizer knows their ends */
    size_t given;
    chord_status status;
    char error[330];
} host;

enum { HEADER_MOST = 4 << 20 };

static inline void done(host *h)
{
    chord_last_error(h->model, h->error, sizeof h->error);
    free(h->header);
    free(h->arena);
    h->header = h->arena = NULL;
    h->model = NULL;
}

static inline chord_status push(host *h, uint64_t off, const uint8_t *p, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1); /* a block without a byte before or after the chunk */
    memcpy(exact, p, n);
    chord_status const status = chord_model_push(h->model, 0, off, exact, n);
    free(exact);
    return status;
}

static inline chord_status give_header(host *h)
{
    size_t const wanted = chord_model_wanted(h->model);
    if (h->given + wanted > HEADER_MOST) return CHORD_OUT_OF_MEMORY;
    CHECK_EQ(chord_model_give(h->model, h->header + h->given, wanted), CHORD_OK);
    h->given += wanted;
    return CHORD_OK;
}

static inline chord_status load_header(host *h, file f, size_t (*chunk)(void))
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

static inline chord_status load_data(host *h, file f, size_t (*chunk)(void), const chord_plan_info *plan)
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
static inline host load(file f, size_t (*chunk)(void), uint64_t said)
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

static inline size_t all_at_once(void) { return SIZE_MAX; }
static inline size_t one_byte(void) { return 1; }
static inline size_t seven(void) { return 7; }
static inline size_t a_page(void) { return 4096; }
static inline size_t random_chunk(void) { return 1 + test_random() % (1u << (test_random() % 17)); }

/* ---- places in a file --------------------------------------------------------------------------------- */

/* Returns the offset after a length-prefixed name: a key's type or a tensor's dimensions. 0: the name isn't
 * there. */
static inline size_t behind(file f, const char *name)
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

#endif
