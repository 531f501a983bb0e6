/* load_test.c: the three phases of loading: files pushed in any chunks, cut anywhere, or with tensors far
 * apart. damage_test.c has files that are changed in one place. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "loading.h"

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

/* ---- tensors elsewhere -------------------------------------------------------------------------------- */

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
