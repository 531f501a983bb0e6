/* shards_test.c: a model in several files. tests/golden/shards holds fixtures that llama.cpp's own Python
 * writer has split. The tests change their keys, their order or their bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"

enum { HEADER_MOST = 4 << 20, MOST_FILES = 8 };

typedef struct shard {
    uint8_t *p;
    size_t n;
} shard;

typedef struct host {
    chord_model *model;
    uint8_t *header, *arena;
    size_t given;
    chord_status status;
    char error[330];
} host;

static void read_shards(const char *stem, shard *files, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        char name[100];
        snprintf(name, sizeof name, "shards/%s-%05d-of-%05d", stem, i + 1, n);
        files[i].p = test_read_file(golden_path(name, ".gguf"), &files[i].n);
        CHECK(files[i].p != NULL);
    }
}

static uint8_t *value_of(shard f, const char *key)
{
    size_t const n = strlen(key);
    for (size_t i = 0; i + n < f.n; i++)
        if (!memcmp(f.p + i, key, n)) return f.p + i + n + 4; /* behind the type */
    test_fail(__FILE__, __LINE__, "no key %s", key);
    return NULL;
}

static chord_status give_header(host *h)
{
    size_t const wanted = chord_model_wanted(h->model);
    if (h->given + wanted > HEADER_MOST) return CHORD_OUT_OF_MEMORY;
    CHECK_EQ(chord_model_give(h->model, h->header + h->given, wanted), CHORD_OK);
    h->given += wanted;
    return CHORD_MORE;
}

/* Pushes what the model needs next until the phase ends. A block has no byte before or after the chunk. */
static chord_status push_all(host *h, const shard *files, int32_t n_files, size_t most, int is_header)
{
    for (;;) {
        int32_t const file = chord_model_file(h->model);
        uint64_t const at = chord_model_position(h->model);
        if (file >= n_files || at >= files[file].n) return chord_model_end(h->model);
        if (is_header && !at) CHECK_EQ(chord_model_set_file_bytes(h->model, files[file].n), CHORD_OK);
        size_t const left = files[file].n - (size_t)at, want = 1 + test_random() % most,
                     n = want < left ? want : left;
        uint8_t *exact = malloc(n);
        memcpy(exact, files[file].p + at, n);
        chord_status status = chord_model_push(h->model, file, at, exact, n);
        free(exact);
        if (status == CHORD_NEED_MEMORY) status = give_header(h);
        if (status != CHORD_MORE) return status;
    }
}

static host load(const shard *files, int32_t n_files, size_t most)
{
    host h = { .given = 64 << 10 };
    h.header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST);
    h.model = chord_model_init(h.header, h.given);
    h.status = push_all(&h, files, n_files, most, 1);
    chord_config const config = chord_config_default();
    chord_plan_info plan;
    while (h.status == CHORD_DONE && (h.status = chord_model_plan(h.model, &config, &plan)) > 0)
        h.status = give_header(&h) == CHORD_MORE ? CHORD_DONE : CHORD_OUT_OF_MEMORY;
    if (h.status == CHORD_OK) {
        h.arena = aligned_alloc(CHORD_BLOCK_ALIGN, ((size_t)plan.bytes + 63) / 64 * 64);
        h.status = chord_model_begin(h.model, h.arena, (size_t)plan.bytes);
        if (h.status == CHORD_MORE) h.status = push_all(&h, files, n_files, most, 0);
    }
    chord_last_error(h.model, h.error, sizeof h.error);
    return h;
}

static void done(host *h)
{
    free(h->header);
    free(h->arena);
}

static void refused(const shard *files, int32_t n, chord_status status, const char *text, const char *more)
{
    host h = load(files, n, 1 << 20);
    CHECK_EQ(h.status, status);
    CHECK_TEXT(h.error, text);
    CHECK_TEXT(h.error, more);
    done(&h);
}

/* ---- whole models ------------------------------------------------------------------------------------- */

TEST(a_split_model_has_the_rows_of_the_whole_one_in_any_chunks)
{
    static const char *const stems[] = { "f16-fused", "f16-fused-small-first" };
    static const size_t chunks[] = { 1, 7, 4096, 1 << 20 };
    chord_loaded *whole = load_fixture("f16-fused", CHORD_ISA_BEST, CHORD_KV_F16, 1, 0);
    const chord_plan *p = chord_model_plan_of(whole->model);
    uint8_t *row = test_alloc(1 << 16), *same = test_alloc(1 << 16);
    for (int32_t i = 0; i < 8; i++) {
        shard files[3];
        read_shards(stems[i / 4], files, 3);
        host h = load(files, 3, chunks[i % 4]);
        CHECK_EQ(h.status, CHORD_DONE);
        CHECK_EQ(chord_model_files(h.model), 3);
        const chord_plan *q = chord_model_plan_of(h.model);
        CHECK_EQ(q->n_tensors, p->n_tensors);
        int32_t seen = 0;
        for (int32_t t = 0; t < p->n_tensors; t++) {
            chord_tensor_info info;
            CHECK_EQ(chord_model_tensor(h.model, t, &info, NULL, 0), CHORD_OK);
            seen |= 1 << info.file;
            CHECK_EQ(p->tensors[t].n_name, q->tensors[t].n_name);
            CHECK(!memcmp(p->tensors[t].name, q->tensors[t].name, (size_t)p->tensors[t].n_name));
            for (int64_t r = 0; r < p->tensors[t].n_rows; r++) {
                CHECK_EQ(chord_model_row(h.model, t, r, row, 1 << 16), CHORD_OK);
                CHECK_EQ(chord_model_row(whole->model, t, r, same, 1 << 16), CHORD_OK);
                CHECK(!memcmp(row, same, (size_t)p->tensors[t].row_bytes));
            }
        }
        CHECK_EQ(seen, i / 4 ? 6 : 7);
        done(&h);
    }
    chord_unload(whole);
}

TEST(a_split_model_has_the_logits_of_the_whole_one_whichever_shard_is_named)
{
    static const char *const names[] = { "f16-fused-00001-of-00003", "f16-fused-00003-of-00003",
                                         "f16-fused-small-first-00001-of-00003" };
    static const int32_t ids[] = { 1, 2, 3, 250, 4, 5 };
    chord_loaded *whole = load_fixture("f16-fused", CHORD_ISA_BEST, CHORD_KV_F16, 1, 0);
    float *expected = all_logits(whole, ids, 6);
    for (int32_t i = 0; i < 3; i++) {
        char name[100];
        snprintf(name, sizeof name, "shards/%s", names[i]);
        for (size_t chunk = 999; chunk < 1 << 20; chunk *= 100) {
            chord_loaded l;
            chord_config const config = chord_config_default();
            CHECK_EQ(chord_load_file(&l, golden_path(name, ".gguf"), &config, chunk, 0, NULL), CHORD_OK);
            float *logits = all_logits(&l, ids, 6);
            CHECK(!memcmp(logits, expected, 6 * 300 * sizeof *logits));
            chord_unload(&l);
        }
    }
    chord_unload(whole);
}

/* ---- files that don't belong together ----------------------------------------------------------------- */

TEST(a_missing_shard_is_an_error_and_the_message_says_that_the_file_is_sound)
{
    shard files[3];
    read_shards("f16-fused", files, 3);
    refused(files, 1, CHORD_INVALID_ARGUMENT, "the file is sound", "shard 1 of 3");
    refused(files, 2, CHORD_INVALID_ARGUMENT, "the file is sound", "shard 2 of 3");
}

TEST(shards_in_another_order_or_given_twice_are_refused_by_key)
{
    shard files[3];
    read_shards("f16-fused", files, 3);
    refused((shard[]){ files[1], files[0], files[2] }, 3, CHORD_INVALID_ARGUMENT,
            "it is shard 2 of 3 of a model", "'split.no'");
    refused((shard[]){ files[0], files[2], files[1] }, 3, CHORD_INVALID_ARGUMENT,
            "shard 2 of 3:", "'split.no' is 2 instead of 1");
    refused((shard[]){ files[0], files[1], files[1] }, 3, CHORD_INVALID_ARGUMENT,
            "shard 3 of 3:", "'split.no' is 1 instead of 2");
}

TEST(a_shard_of_another_model_is_refused_by_key)
{
    shard files[3], other[3];
    read_shards("f16-fused", files, 3);
    read_shards("f16-fused-small-first", other, 3);
    refused((shard[]){ files[0], files[1], other[2] }, 3, CHORD_INVALID_GGUF,
            "shard 3 of 3:", "is in the table twice");
    refused((shard[]){ other[0], other[1], files[2] }, 3, CHORD_INVALID_GGUF, "'split.tensors.count' is",
            "the 3 files have");
    read_shards("f16-fused", other, 3);
    *value_of(other[1], "split.count") = 4;
    refused((shard[]){ files[0], other[1], files[2] }, 3, CHORD_INVALID_ARGUMENT,
            "shard 2 of 3:", "'split.count' is 4, but 3");
    *value_of(other[2], "split.tensors.count") += 1;
    refused((shard[]){ files[0], files[1], other[2] }, 3, CHORD_INVALID_ARGUMENT,
            "shard 3 of 3:", "'split.tensors.count' is");
    shard whole;
    whole.p = test_read_file(golden_path("f16-fused", ".gguf"), &whole.n);
    refused((shard[]){ files[0], whole, files[2] }, 3, CHORD_INVALID_ARGUMENT,
            "shard 2 of 3:", "lacks the key 'split.no'");
    shard zeros = { test_alloc(99), 99 };
    memset(zeros.p, 0, zeros.n);
    refused((shard[]){ files[0], zeros, files[2] }, 3, CHORD_INVALID_GGUF,
            "shard 2 of 3:", "not a GGUF file");
    value_of(other[1], "split.no")[-5] = 'x';
    refused((shard[]){ files[0], other[1], files[2] }, 3, CHORD_INVALID_ARGUMENT,
            "shard 2 of 3:", "lacks the key 'split.no'");
}

TEST(split_count_has_a_maximum)
{
    shard files[3];
    read_shards("f16-fused", files, 3);
    uint8_t *const count = value_of(files[0], "split.count");
    count[0] = 1, count[1] = 1;
    refused(files, 3, CHORD_INVALID_GGUF, "'split.count' claims 257 files", "at most 256");
    count[0] = 0;
    refused(files, 3, CHORD_INVALID_ARGUMENT, "shard 2 of 256:", "'split.count' is 3, but 256");
}

TEST(a_shard_cut_anywhere_is_an_error_that_names_the_shard)
{
    shard files[3];
    read_shards("f16-fused", files, 3);
    for (int32_t k = 0; k < 3; k++)
        for (size_t n = files[k].n - 1; n > 1; n = n > 3000 ? n - n / 7 : n - 1 - n / 20) {
            shard cut[3] = { files[0], files[1], files[2] };
            cut[k].n = n;
            host h = load(cut, 3, 5000);
            CHECK_EQ(h.status, CHORD_INVALID_GGUF);
            if (k) CHECK(strstr(h.error, "shard ") != NULL);
            done(&h);
        }
    files[1].n -= 100;
    refused(files, 3, CHORD_INVALID_GGUF, "tensor '", "but shard 2 ends at");
}

/* Returns the shard with `n_pairs` more keys of strings that the header keeps. */
static shard padded(shard f, int32_t n_pairs)
{
    enum { TEXT = 4096 - 32, PAIR = 8 + 12 + 4 + 8 + TEXT };
    _Static_assert(PAIR % 32 == 0, "the data stays aligned");
    uint64_t const n_key = 12, n_text = TEXT;
    uint32_t const type = CHORD_GGUF_STRING;
    uint64_t n_kv;
    shard more = { .n = f.n + (size_t)n_pairs * PAIR };
    more.p = test_alloc(more.n);
    memset(more.p, 'x', more.n);
    memcpy(more.p, f.p, 24);
    memcpy(&n_kv, f.p + 16, 8);
    n_kv += (uint64_t)n_pairs;
    memcpy(more.p + 16, &n_kv, 8);
    uint8_t *p = more.p + 24;
    for (int32_t i = 0; i < n_pairs; i++, p += PAIR) {
        char key[20];
        snprintf(key, sizeof key, "more.%07d", i);
        memcpy(p, &n_key, 8);
        memcpy(p + 8, key, 12);
        memcpy(p + 20, &type, 4);
        memcpy(p + 24, &n_text, 8);
    }
    memcpy(p, f.p + 24, f.n - 24);
    return more;
}

TEST(the_header_of_every_shard_gets_the_memory_that_it_asks_for)
{
    enum { PAIRS = 40 }; /* 160 KiB: a header asks for 64 KiB at a time */
    shard files[3];
    for (int32_t k = 0; k < 3; k++)
        for (size_t chunk = 999; chunk < 1 << 20; chunk *= 100) {
            read_shards("f16-fused", files, 3);
            files[k] = padded(files[k], PAIRS);
            host h = load(files, 3, chunk);
            CHECK_EQ(h.status, CHORD_DONE);
            CHECK(h.given > PAIRS * 4000u && h.given < 1 << 20);
            done(&h);
        }
}

TEST(files_are_pushed_in_order)
{
    shard files[3];
    read_shards("f16-fused", files, 3);
    host h = { .given = HEADER_MOST };
    h.header = aligned_alloc(CHORD_BLOCK_ALIGN, HEADER_MOST);
    h.model = chord_model_init(h.header, h.given);
    CHECK_EQ(chord_model_push(h.model, 1, 0, files[1].p, files[1].n), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_model_push(h.model, 0, 0, files[0].p, files[0].n), CHORD_MORE);
    CHECK_EQ(chord_model_file(h.model), 1);
    CHECK_EQ(chord_model_position(h.model), 0);
    CHECK_EQ(chord_model_push(h.model, 0, 0, files[0].p, files[0].n), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_model_push(h.model, 3, 0, files[0].p, files[0].n), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_model_push(h.model, 1, 0, files[1].p, files[1].n), CHORD_MORE);
    CHECK_EQ(chord_model_push(h.model, 2, 0, files[2].p, files[2].n), CHORD_DONE);
    chord_config const config = chord_config_default();
    chord_plan_info plan;
    CHECK_EQ(chord_model_plan(h.model, &config, &plan), CHORD_OK);
    h.arena = aligned_alloc(CHORD_BLOCK_ALIGN, ((size_t)plan.bytes + 63) / 64 * 64);
    CHECK_EQ(chord_model_begin(h.model, h.arena, (size_t)plan.bytes), CHORD_MORE);
    CHECK_EQ(chord_model_file(h.model), 0);
    CHECK_EQ(chord_model_push(h.model, 0, 0, files[0].p, files[0].n), CHORD_MORE);
    CHECK_EQ(chord_model_push(h.model, 0, 0, files[0].p, files[0].n), CHORD_MORE); /* no byte is needed */
    CHECK_EQ(chord_model_file(h.model), 1);
    CHECK_EQ(chord_model_push(h.model, 2, 0, files[2].p, files[2].n), CHORD_INVALID_ARGUMENT);
    chord_last_error(h.model, h.error, sizeof h.error);
    CHECK_TEXT(h.error, "file 1 are needed first");
    done(&h);
}
