/* paging_test.c: a model whose layers are read again for each batch has the bits of a resident one,
 * whatever reads them: the step's own thread or a loader's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "paged.h"
#include <fcntl.h>
#include <unistd.h>

/* Loads a fixture with the smallest ring of `slots` slots. */
static chord_loaded *load_paged(const char *name, int32_t kv_type, int32_t n_threads, int32_t n_batch,
                                int32_t slots)
{
    const char *path = golden_path(name, ".gguf");
    double resident = 1;
    if (slots > 1) {
        chord_loaded *l = load_with(path, kv_type, 1, n_batch, resident, 1);
        resident = slots * l->plan.ring_bytes;
        chord_unload(l);
    }
    return load_with(path, kv_type, n_threads, n_batch, resident, 0);
}

static subject make(const char *name, int32_t kv_type, int32_t n_threads, int32_t slots)
{
    golden *g = golden_read(name);
    subject t = {
        .name = name, .ids = g->prompts[g->n_prompts - 1].sequence, .n = 40, .n_vocab = g->n_vocab
    };
    chord_loaded *l = load_fixture(name, CHORD_ISA_VECTOR, kv_type, 1, 128);
    t.want = all_logits(l, t.ids, t.n);
    chord_unload(l);
    t.l = load_paged(name, kv_type, n_threads, 16, slots);
    t.got = test_alloc((size_t)t.n * (size_t)t.n_vocab * sizeof *t.got);
    return t;
}

static void compare(const char *name, int32_t kv_type, int32_t n_threads, int32_t slots, bool has_loader)
{
    subject t = make(name, kv_type, n_threads, slots);
    chord_model_info info;
    CHECK_EQ(chord_model_get_info(t.l->model, &info), CHORD_OK);
    if (info.n_layer == 1) return chord_unload(t.l); /* one layer is its own ring */
    if (t.l->plan.n_paged != info.n_layer || t.l->plan.n_ring != slots || !t.l->reader)
        test_fail(__FILE__, __LINE__, "%s: %d layers are paged through %d slots", name, t.l->plan.n_paged,
                  t.l->plan.n_ring);
    if (!has_loader) chord_reader_stop(t.l->reader);
    chord_session *s = open_session(t.l);
    check_rows(&t, s, 0, t.n); /* three batches */
    CHECK_EQ(chord_session_truncate(s, 0), 0);
    for (int32_t i = 0; i < t.n; i++) check_rows(&t, s, i, i + 1);
    chord_unload(t.l);
}

TEST(a_paged_model_has_the_logits_of_a_resident_one)
{
    static const int32_t kv[] = { CHORD_KV_F16, CHORD_KV_F32 };
    const char *names[GOLDEN_FILES];
    int32_t const n = golden_fixtures(names);
    for (int32_t i = 0; i < n; i++) compare(names[i], kv[i % 2], 1 + i % 2, 1, i % 3 != 0);
}

TEST(a_ring_of_two_slots_and_a_loader_thread_give_the_same_logits)
{
    compare("gemma3-iq4_nl", CHORD_KV_F16, 2, 2, true);
    compare("gemma3-iq4_nl", CHORD_KV_F32, 1, 2, false);
    compare("gemma3-f32", CHORD_KV_Q8_0, 1, 2, true);
}

TEST(a_cancel_inside_a_paged_layer_leaves_a_thread_that_loads_and_the_next_batch_right)
{
    subject t = make("gemma3-iq4_nl", CHORD_KV_F16, 1, 2);
    chord_session *s = open_session(t.l);
    int32_t n_cancelled = 0;
    for (int32_t k = 0; k < 60; k++) {
        CHECK_EQ(chord_session_truncate(s, 0), 0);
        CHECK_EQ(chord_session_push(s, t.ids, t.n), CHORD_OK);
        for (int32_t i = (int32_t)(test_random() % 40); i-- > 0;) step_somewhere(&t, s);
        chord_session_cancel(s);
        n_cancelled += chord_session_step(s, CHORD_NO_LIMIT) == CHORD_CANCELLED;
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        CHECK(state.n_past == state.n_tokens && state.n_past < t.n);
        check_rows(&t, s, state.n_past, t.n);
    }
    CHECK_EQ(n_cancelled, 60);
    chord_unload(t.l);
}

TEST(two_sessions_and_a_fork_take_turns_at_a_paged_model)
{
    subject t = make("qwen3-f32", CHORD_KV_F32, 2, 1);
    chord_session *a = open_session(t.l), *b = open_session(t.l);
    for (int32_t i = 0; i < 12; i++) {
        check_rows(&t, a, 2 * i, 2 * i + 2);
        check_rows(&t, b, i, i + 1);
    }
    chord_session *c = fork_session(t.l, a);
    for (int32_t i = 24; i < 30; i++) {
        check_rows(&t, c, i, i + 1);
        check_rows(&t, b, i - 12, i - 11);
    }
    /* a batch that is dropped between two layers */
    CHECK_EQ(chord_session_push(a, t.ids + 24, 8), CHORD_OK);
    chord_reader_stop(t.l->reader);
    chord_status status = CHORD_NEED_MEMORY;
    while (status != CHORD_NEED_WEIGHTS || a->layer < 1) {
        status = step_somewhere(&t, a);
        if (status == CHORD_NEED_WEIGHTS && a->layer < 1) {
            const char *error = NULL;
            CHECK_EQ(chord_reader_serve(t.l->reader, a, 0, &error), CHORD_OK);
        }
    }
    CHECK_EQ(chord_session_push(b, t.ids + 18, 1), CHORD_OK);
    CHECK_EQ(chord_session_step(b, CHORD_NO_LIMIT), CHORD_BUSY);
    CHECK_EQ(chord_session_drop_batch(a), CHORD_OK);
    CHECK_EQ(chord_load_run(t.l, b, CHORD_NO_LIMIT), CHORD_DONE);
    check_rows(&t, b, 19, 24);
    check_rows(&t, a, 24, 32);
    chord_unload(t.l);
}

/* Saves `from` of one model and restores it as a session of another. */
static chord_session *move(chord_session *from, chord_loaded *to)
{
    size_t const n = (size_t)chord_session_save_bytes(from);
    uint8_t *bytes = test_alloc(n);
    CHECK_EQ(chord_session_save(from, 0, bytes, n), CHORD_DONE);
    chord_session *s = open_session(to);
    chord_status status;
    while ((status = chord_session_restore(s, 0, bytes, n)) == CHORD_NEED_MEMORY) {
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        size_t const more = (size_t)state.wanted_bytes;
        CHECK_EQ(chord_model_give(to->model, chord_load_block(to, more), more), CHORD_OK);
    }
    CHECK_EQ(status, CHORD_DONE);
    return s;
}

TEST(a_save_of_a_resident_model_continues_in_a_paged_one_and_back)
{
    static const char *const names[] = { "q8_0-d128", "mixed" };
    for (int32_t i = 0; i < 2; i++) {
        subject t = make(names[i], CHORD_KV_F16, 1, 1);
        chord_loaded *paged = t.l, *resident = load_fixture(names[i], CHORD_ISA_VECTOR, CHORD_KV_F16, 1, 16);
        t.l = resident;
        chord_session *s = open_session(resident);
        check_rows(&t, s, 0, 10);
        t.l = paged;
        chord_session *p = move(s, paged);
        check_rows(&t, p, 10, 20);
        t.l = resident;
        check_rows(&t, move(p, resident), 20, 30);
        chord_unload(paged);
        chord_unload(resident);
    }
}

TEST(the_plan_pages_as_few_layers_as_its_budget_allows_and_spreads_them)
{
    const char *path = golden_path("gemma3-f32", ".gguf");
    chord_loaded *l = load_with(path, CHORD_KV_F16, 1, 16, 0, 1);
    chord_plan_info const all = l->plan;
    CHECK(all.n_paged == 0 && all.n_ring == 0 && all.n_lazy == 0 && all.ring_bytes == 0 &&
          all.layer_bytes > 0);
    chord_unload(l);
    double const layer = all.layer_bytes / 7; /* the seven layers are equal */
    for (int32_t k = 1; k <= 7; k++) { /* room for k layers */
        l = load_with(path, CHORD_KV_F16, 1, 16, k * layer, 1);
        int32_t const paged = k == 7 ? 0 : k == 1 ? 7 : 9 - k;
        CHECK_EQ(l->plan.n_paged, paged);
        CHECK_EQ(l->plan.n_ring, k == 7 ? 0 : k == 1 ? 1 : 2);
        CHECK(all.bytes - l->plan.bytes == (7 - k) * layer);
        CHECK(l->plan.paged_bytes > 0 || k == 7);
        chord_unload(l);
    }
    l = load_with(path, CHORD_KV_F16, 1, 16, 4 * layer, 1); /* five of seven are paged */
    chord_tensor_info info;
    char name[64], spread[] = ".......";
    for (int32_t i = 0; chord_model_tensor(l->model, i, &info, name, sizeof name) == CHORD_OK; i++) {
        CHECK((info.layer >= 0) == !strncmp(name, "blk.", 4));
        if (info.placement == CHORD_PLACE_PAGED) spread[info.layer] = 'p';
    }
    CHECK_TEXT(spread, ".pp.ppp");
    chord_unload(l);
}

TEST(rows_of_a_lazy_matrix_are_loaded_for_each_batch_alone)
{
    golden *g = golden_read("mixed");
    const int32_t *ids = g->prompts[g->n_prompts - 1].sequence;
    chord_loaded *l = load_fixture("mixed", CHORD_ISA_VECTOR, CHORD_KV_F16, 1, 128);
    double const bytes = l->plan.bytes;
    float *want = all_logits(l, ids, 20);
    chord_unload(l);
    chord_config config = chord_config_default();
    config.n_batch = config.n_logits = 8;
    config.lazy = 1;
    l = test_alloc(sizeof *l);
    CHECK_EQ(chord_load_file(l, golden_path("mixed", ".gguf"), &config, 0, 0, NULL), CHORD_OK);
    CHECK(l->plan.n_lazy == 1 && l->plan.n_paged == 0 && l->plan.bytes < bytes);
    same(all_logits(l, ids, 20), want, 20, g->n_vocab, "mixed", 0);
    chord_session *s = open_session(l);
    int32_t triples[6];
    CHECK_EQ(chord_session_lazy_rows(s, triples, 2), 0); /* no batch */
    CHECK_EQ(chord_session_push(s, ids, 3), CHORD_OK);
    chord_status status;
    while ((status = chord_session_step(s, CHORD_NO_LIMIT)) == CHORD_NEED_MEMORY) {
        size_t const more = (size_t)chord_model_plan_of(l->model)->classes[0].page_bytes + 4096;
        CHECK_EQ(chord_model_give(l->model, chord_load_block(l, more), more), CHORD_OK);
    }
    CHECK_EQ(status, CHORD_NEED_WEIGHTS);
    CHECK_EQ(s->layer, -1);
    CHECK_EQ(chord_session_lazy_rows(s, triples, 2), 3);
    CHECK(triples[1] == 0 && triples[2] == ids[0] && triples[4] == 1 && triples[5] == ids[1]);
    const chord_tensor *t = &l->model->plan.tensors[triples[0]];
    size_t const row = (size_t)t->row_bytes;
    uint8_t *wrong = test_alloc(row);
    memset(wrong, 0xff, row);
    CHECK_EQ(chord_session_load_row(s, triples[0], 0, wrong, row - 1), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_load_row(s, triples[0], 3, wrong, row), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_load_row(s, triples[0] + 1, 0, wrong, row), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_load_row(s, triples[0], 0, NULL, row), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_lazy_rows(s, NULL, 0), 3);
    chord_unload(l);
}

TEST(a_read_that_fails_inside_a_token_ends_the_step_and_the_next_batch_is_right)
{
    subject t = make("q8_0-d128", CHORD_KV_F16, 1, 1);
    chord_session *s = open_session(t.l);
    check_rows(&t, s, 0, 10);
    int const fd = dup(t.l->reader->fds[0]), nothing = open("/dev/null", O_RDONLY);
    CHECK(fd >= 0 && nothing >= 0);
    CHECK(dup2(nothing, t.l->reader->fds[0]) >= 0);
    for (int32_t i = 0; i < 3; i++) {
        CHECK_EQ(chord_session_push(s, t.ids + 10, 1), CHORD_OK);
        chord_status status = CHORD_DONE; /* the first layers may have been read ahead */
        while (status == CHORD_DONE && !(status = chord_load_run(t.l, s, CHORD_NO_LIMIT), status < 0))
            CHECK_EQ(chord_session_push(s, t.ids + 10, 1), CHORD_OK);
        CHECK_EQ(status, CHORD_INVALID_ARGUMENT);
        CHECK(strstr(t.l->error, "couldn't be read") || strstr(t.l->error, "can't be read"));
        t.l->error[0] = 0;
    }
    CHECK(dup2(fd, t.l->reader->fds[0]) >= 0);
    int32_t const past = chord_session_truncate(s, 10);
    check_rows(&t, s, past, t.n);
    chord_unload(t.l);
}

/* A loader reads ahead for the next batch. What fails then may be right when the batch begins. */
TEST(a_read_that_fails_between_two_batches_is_tried_again_by_the_next)
{
    subject t = make("q8_0-d128", CHORD_KV_F16, 1, 1);
    chord_reader_stop(t.l->reader);
    chord_session *s = open_session(t.l);
    check_rows(&t, s, 0, 10);
    int32_t const page = chord_model_want_page(t.l->model);
    CHECK_EQ(page, 0);
    CHECK_EQ(chord_model_page_failed(t.l->model, page, CHORD_INTERNAL), CHORD_OK);
    check_rows(&t, s, 10, t.n);
    chord_unload(t.l);
}

/* The matrix is damaged in the file after the load. */
TEST(a_damaged_block_of_a_paged_layer_is_named)
{
    size_t bytes;
    uint8_t *file = test_read_file(golden_path("q8_0-d128", ".gguf"), &bytes);
    const char *path = "build/test/paged-damage.gguf";
    FILE *out = fopen(path, "wb");
    CHECK(out && fwrite(file, 1, bytes, out) == bytes && fclose(out) == 0);
    chord_loaded *l = load_with(path, CHORD_KV_F16, 1, 16, 1, 0);
    chord_reader_stop(l->reader);
    chord_tensor_info info;
    char name[64] = "";
    for (int32_t i = 0; strcmp(name, "blk.1.ffn_up.weight"); i++)
        CHECK_EQ(chord_model_tensor(l->model, i, &info, name, sizeof name), CHORD_OK);
    uint64_t const row = (uint64_t)(info.file_bytes / info.ne[1]);
    int const fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, "\xff\x7f", 2, (off_t)((uint64_t)info.file_off + 21 * row)) == 2);
    close(fd);
    chord_session *s = open_session(l);
    CHECK_EQ(chord_session_push(s, &(int32_t){ 5 }, 1), CHORD_OK);
    CHECK_EQ(chord_load_run(l, s, CHORD_NO_LIMIT), CHORD_INVALID_GGUF);
    CHECK(strstr(l->error, "tensor 'blk.1.ffn_up.weight': row 20 holds a block that no quantiser writes"));
    chord_session_state state;
    CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
    CHECK_EQ(state.n_tokens, 0);
    chord_unload(l);
}
