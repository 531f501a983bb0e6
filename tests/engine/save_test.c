/* save_test.c: saved and restored sessions. A restored session has the bits of the session that was never
 * saved; a save that is damaged, cut off or of another model is an error that leaves an empty session. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"
#include "../../src/session/save.h"

enum { N = 150, ROW = SYN_VOCAB };

static void random_ids(int32_t *ids, int32_t n)
{
    for (int32_t i = 0; i < n; i++) ids[i] = (int32_t)(test_random() % SYN_VOCAB);
}

typedef struct bytes {
    uint8_t *at;
    size_t n;
} bytes;

/* chunk 0: chunks of random sizes */
static size_t cut(size_t chunk, size_t left)
{
    size_t const n = chunk ? chunk : 1 + test_random() % 3000;
    return n < left ? n : left;
}

static bytes save(chord_session *s, size_t chunk)
{
    bytes b = { .n = (size_t)chord_session_save_bytes(s) };
    b.at = test_alloc(b.n);
    memset(b.at, 0xee, b.n);
    for (size_t at = 0, n; at < b.n; at += n) {
        n = cut(chunk, b.n - at);
        CHECK_EQ(chord_session_save(s, at, b.at + at, n), at + n < b.n ? CHORD_MORE : CHORD_DONE);
    }
    return b;
}

static void give(chord_loaded *l, chord_session *s)
{
    chord_session_state state;
    CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
    size_t const n = (size_t)state.wanted_bytes;
    CHECK(n > 0);
    CHECK_EQ(chord_model_give(l->model, chord_load_block(l, n), n), CHORD_OK);
}

static chord_status restore(chord_loaded *l, chord_session *s, bytes b, size_t chunk)
{
    chord_status status = CHORD_MORE;
    for (size_t at = 0, n; at < b.n && status == CHORD_MORE; at += n) {
        n = cut(chunk, b.n - at);
        while ((status = chord_session_restore(s, at, b.at + at, n)) == CHORD_NEED_MEMORY) give(l, s);
    }
    return status;
}

static void same(const float *got, const float *want, int32_t n, const char *what, const char *model,
                 int32_t at)
{
    for (int32_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], 4))
            test_fail(__FILE__, __LINE__, "%s, %s %d: float %d is %.9g, want %.9g", model, what, at, i,
                      (double)got[i], (double)want[i]);
}

static void same_save(bytes a, bytes b)
{
    CHECK_EQ(a.n, b.n);
    CHECK(!memcmp(a.at, b.at, a.n));
}

/* Returns the logits of ids[first .. n) after the session's own ids[0 .. first). */
static float *go_on(chord_loaded *l, chord_session *s, const int32_t *ids, int32_t first, int32_t n)
{
    size_t const width = (size_t)chord_model_plan_of(l->model)->n_vocab;
    float *logits = test_alloc((size_t)(n - first) * width * sizeof *logits), *out = logits;
    evaluate(l, s, ids + first, n - first, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
    return logits;
}

static chord_session *opened(chord_loaded *l, const int32_t *ids, int32_t n)
{
    chord_session *s = open_session(l);
    evaluate(l, s, ids, n, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    return s;
}

static void check_empty(chord_session *s)
{
    chord_session_state state;
    CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
    CHECK(state.n_tokens == 0 && state.n_past == 0 && state.n_pages == 0 && state.n_rows == 0);
}

TEST(a_restored_session_gives_the_bits_of_the_session_that_was_never_saved)
{
    int32_t ids[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++)
        for (int32_t type = 0; type < 2; type++) {
            int32_t const kv = type ? CHORD_KV_F32 : CHORD_KV_F16;
            chord_loaded *l = load_synthetic(family, kv, 1, 64, 0), *m = load_synthetic(family, kv, 1, 17, 0);
            const float *want = all_logits(l, ids, N);
            for (int32_t at = 1; at < N; at += type ? 37 : 13) {
                int const mark = test_mark();
                chord_session *s = opened(l, ids, at), *r = open_session(m);
                bytes const b = save(s, at % 2 ? 0 : SIZE_MAX);
                CHECK_EQ(restore(m, r, b, at % 3 ? 0 : SIZE_MAX), CHORD_DONE);
                same_save(save(r, 0), b);
                same(go_on(m, r, ids, at, N), want + at * ROW, (N - at) * ROW, "restored at",
                     synthetic_names[family], at);
                /* the save hasn't changed the saved one */
                same(go_on(l, s, ids, at, N), want + at * ROW, (N - at) * ROW, "saved at",
                     synthetic_names[family], at);
                chord_session_close(s);
                chord_session_close(r);
                test_release(mark);
            }
            chord_unload(l);
            chord_unload(m);
        }
}

TEST(a_restored_session_of_every_fixture_and_kv_type_has_the_same_bits)
{
    static const int32_t types[] = { CHORD_KV_F32, CHORD_KV_F16, CHORD_KV_Q8_0 };
    const char *names[GOLDEN_FILES];
    int32_t const n = golden_fixtures(names);
    for (int32_t i = 0; i < n; i++)
        for (int32_t t = 0; t < 3; t++) {
            int const mark = test_mark();
            const golden *g = golden_read(names[i]);
            if (types[t] == CHORD_KV_Q8_0 && !(g->kv8_nmse > 0)) continue; /* no heads of 32 elements */
            const int32_t *ids = g->prompts[g->n_prompts - 1].sequence;
            int32_t const at = 33 + (i * 7) % 30;
            chord_loaded *l = load_fixture(names[i], CHORD_ISA_VECTOR, types[t], 1, 64),
                         *m = load_fixture(names[i], CHORD_ISA_VECTOR, types[t], 1, 16);
            chord_session *s = opened(l, ids, at), *r = open_session(m);
            CHECK_EQ(restore(m, r, save(s, 0), 0), CHORD_DONE);
            same(go_on(m, r, ids, at, 70), go_on(l, s, ids, at, 70), (70 - at) * g->n_vocab, "restored at",
                 names[i], at);
            chord_unload(l);
            chord_unload(m);
            test_release(mark);
        }
}

TEST(a_long_context_whose_window_has_dead_pages_is_restored)
{
    enum { LONG = 900, AT = 850 };
    int32_t ids[LONG];
    random_ids(ids, LONG);
    chord_loaded *l = load_synthetic(SYN_HEADS, CHORD_KV_F16, 1, 32, 0),
                 *m = load_synthetic(SYN_HEADS, CHORD_KV_F16, 1, 32, 0);
    chord_session *s = opened(l, ids, AT), *r = open_session(m);
    int32_t n_dead = 0;
    for (int32_t c = 0; c < CHORD_MAX_CLASSES; c++) n_dead += s->sequence.classes[c].n_dead;
    CHECK(n_dead > 5);
    CHECK_EQ(restore(m, r, save(s, 0), 0), CHORD_DONE);
    CHECK_EQ(chord_sequence_pages(&r->sequence), chord_sequence_pages(&s->sequence));
    same(go_on(m, r, ids, AT, LONG), go_on(l, s, ids, AT, LONG), (LONG - AT) * ROW, "restored at", "heads",
         AT);
    /* within the margin, and before it */
    CHECK_EQ(chord_session_truncate(r, 700), chord_session_truncate(s, 700));
    CHECK_EQ(chord_session_truncate(r, 300), 0);
    chord_unload(l);
    chord_unload(m);
}

TEST(a_restored_session_truncates_to_the_checkpoints_of_the_saved_one)
{
    int32_t ids[N];
    random_ids(ids, N);
    chord_loaded *l = load_synthetic(SYN_STATE, CHORD_KV_F16, 1, 64, 0);
    const float *want = all_logits(l, ids, N);
    for (int32_t at = 90; at < N; at += 10)
        for (int32_t back = at; back >= 0; back -= 29) {
            int const mark = test_mark();
            chord_session *s = opened(l, ids, 77), *r = open_session(l);
            for (int32_t i = 77; i < at; i++)
                evaluate(l, s, ids + i, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            CHECK_EQ(restore(l, r, save(s, 0), 0), CHORD_DONE);
            int32_t const stand = chord_session_truncate(r, back);
            CHECK_EQ(stand, chord_session_truncate(s, back));
            same(go_on(l, r, ids, stand, N), want + stand * ROW, (N - stand) * ROW, "cut at", "state", back);
            same(go_on(l, s, ids, stand, N), want + stand * ROW, (N - stand) * ROW, "cut at", "state", back);
            chord_session_close(s);
            chord_session_close(r);
            test_release(mark);
        }
    chord_unload(l);
}

/* A fork shares pages in which the other sequence has more rows; the pool's free pages have old rows. */
TEST(a_save_has_no_byte_of_another_sequence)
{
    int32_t ids[N], other[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 1, 64, 0),
                     *fresh = load_synthetic(family, CHORD_KV_F16, 1, 64, 0);
        memcpy(other, ids, sizeof other);
        for (int32_t i = 40; i < N; i++) other[i] = (ids[i] + 5) % SYN_VOCAB;
        chord_session *old = opened(l, other, N);
        chord_session_close(old);
        chord_session *s = opened(l, ids, 96), *fork = fork_session(l, s);
        go_on(l, s, other, 96, N);
        int32_t const stand = chord_session_truncate(fork, 40); /* in a shared page */
        if (stand < 40) evaluate(l, fork, ids + stand, 40 - stand, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
        bytes const b = save(fork, 0);
        chord_session *only = opened(fresh, ids, 40);
        if (!synthetic_has_states(family))
            same_save(b, save(only, 0)); /* checkpoints depend on the way to a position */
        chord_session *r = open_session(l);
        CHECK_EQ(restore(l, r, b, 0), CHORD_DONE);
        same(go_on(l, r, ids, 40, N), go_on(fresh, only, ids, 40, N), (N - 40) * ROW, "fork restored at",
             synthetic_names[family], 40);
        chord_unload(l);
        chord_unload(fresh);
    }
}

TEST(the_generator_and_the_penalties_continue_as_if_nothing_was_saved)
{
    int32_t ids[N];
    random_ids(ids, N);
    chord_sampling const sampling = { .version = CHORD_ABI_VERSION,
                                      .size = sizeof sampling,
                                      .top_k = 30,
                                      .temperature = 1.5f,
                                      .top_p = 1,
                                      .typical_p = 1,
                                      .repetition_penalty = 1.3f,
                                      .frequency_penalty = 0.2f };
    chord_loaded *l = load_synthetic(SYN_HEADS, CHORD_KV_F16, 1, 64, 0);
    chord_session *s = opened(l, ids, 70), *r = open_session(l);
    chord_session_seed(s, 42);
    for (int i = 0; i < 5; i++) {
        int32_t const id = chord_session_sample(s, &sampling);
        evaluate(l, s, &id, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    }
    CHECK_EQ(restore(l, r, save(s, 0), 0), CHORD_DONE);
    for (int i = 0; i < 30; i++) {
        int32_t const last = s->sequence.ids[s->sequence.n_tokens - 1];
        CHECK_EQ(last, r->sequence.ids[r->sequence.n_tokens - 1]);
        int32_t drawn[2];
        for (int k = 0; k < 2; k++) { /* output rows aren't saved: the last token is evaluated again */
            chord_session *of = k ? r : s;
            CHECK_EQ(chord_session_truncate(of, 74 + i), 74 + i);
            evaluate(l, of, &last, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            drawn[k] = chord_session_sample(of, &sampling);
            evaluate(l, of, &drawn[k], 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
        }
        CHECK_EQ(drawn[0], drawn[1]);
    }
    chord_unload(l);
}

TEST(pending_tokens_embeddings_and_positions_of_three_numbers_are_restored)
{
    int32_t ids[N], positions[3][3] = { { 5, 9, 2 }, { 5, 10, 2 }, { 5, 11, 2 } };
    float rows[3 * SYN_EMBD];
    random_ids(ids, N);
    for (int32_t i = 0; i < 3 * SYN_EMBD; i++) rows[i] = (float)(i % 7) - 3;
    chord_loaded *l = load_synthetic(SYN_AXES, CHORD_KV_F16, 1, 64, 0);
    chord_session *s = opened(l, ids, 20), *r = open_session(l);
    CHECK_EQ(chord_session_push_embeddings(s, rows, &positions[0][0], 3), CHORD_OK);
    uint8_t byte;
    CHECK_EQ(chord_session_save(s, 0, &byte, 1), CHORD_INVALID_ARGUMENT);
    CHECK(strstr(l->model->error.text, "embeddings are pending"));
    CHECK_EQ(chord_load_run(l, s, CHORD_NO_LIMIT), CHORD_DONE);
    CHECK_EQ(chord_session_push(s, ids + 20, 7), CHORD_OK); /* pending */
    CHECK_EQ(restore(l, r, save(s, 0), 0), CHORD_DONE);
    chord_session_state state;
    CHECK_EQ(chord_session_get_state(r, &state), CHORD_OK);
    CHECK(state.n_past == 23 && state.n_tokens == 30 && state.n_rows == 0);
    CHECK(!memcmp(chord_session_tokens(s), chord_session_tokens(r), 30 * sizeof(int32_t)));
    CHECK_EQ(chord_session_tokens(r)[21], -1);
    CHECK_EQ(chord_load_run(l, s, CHORD_NO_LIMIT), CHORD_DONE);
    float *want = test_alloc(ROW * sizeof *want);
    memcpy(want, chord_session_logits(s, 0), ROW * sizeof *want);
    CHECK_EQ(chord_load_run(l, r, CHORD_NO_LIMIT), CHORD_DONE);
    same(chord_session_logits(r, 0), want, ROW, "pending", "axes", 20);
    chord_unload(l);
}

TEST(an_empty_session_can_be_saved_and_restored)
{
    chord_loaded *l = load_synthetic(SYN_STATE, CHORD_KV_F16, 1, 64, 0);
    chord_session *s = open_session(l), *r = open_session(l);
    chord_session_seed(s, 7);
    CHECK_EQ(restore(l, r, save(s, 1), 1), CHORD_DONE);
    check_empty(r);
    CHECK(s->sequence.random[0] == r->sequence.random[0]);
    chord_unload(l);
}

TEST(a_damaged_byte_anywhere_is_an_error_and_leaves_an_empty_usable_session)
{
    int32_t ids[N];
    random_ids(ids, N);
    chord_loaded *l = load_synthetic(SYN_STATE, CHORD_KV_F16, 1, 64, 0);
    const float *want = all_logits(l, ids, 40);
    chord_session *s = opened(l, ids, 35), *r = open_session(l);
    bytes const b = save(s, 0);
    for (size_t i = 0; i < b.n; i += i < 600 ? 1 : 23) {
        int const mark = test_mark();
        uint8_t const was = b.at[i];
        b.at[i] ^= (uint8_t)(1 + test_random() % 255);
        chord_status const status = restore(l, r, b, 0);
        if (status != CHORD_INTEGRITY && !(i < 16 && status == CHORD_INVALID_ARGUMENT))
            test_fail(__FILE__, __LINE__, "byte %zu: status %d", i, status);
        CHECK(l->model->error.length > 0);
        check_empty(r);
        b.at[i] = was;
        test_release(mark);
    }
    for (size_t n = 0; n < b.n; n += n < 600 ? 1 : 23) { /* cut off */
        CHECK_EQ(restore(l, r, (bytes){ b.at, n }, 0), CHORD_MORE);
        CHECK_EQ(chord_session_truncate(r, 0), 0);
        check_empty(r);
    }
    CHECK_EQ(restore(l, r, b, 0), CHORD_DONE);
    same(go_on(l, r, ids, 35, 40), want + 35 * ROW, 5 * ROW, "restored after damage at", "state", 35);
    chord_unload(l);
}

TEST(bytes_behind_the_end_are_an_error)
{
    int32_t const ids[4] = { 1, 2, 3, 4 };
    chord_loaded *l = load_synthetic(SYN_HEADS, CHORD_KV_F16, 1, 64, 0);
    chord_session *s = opened(l, ids, 4), *r = open_session(l);
    bytes const b = save(s, 0);
    bytes const more = { memcpy(test_alloc(b.n + 1), b.at, b.n), b.n + 1 };
    more.at[b.n] = 0;
    CHECK_EQ(restore(l, r, more, SIZE_MAX), CHORD_INTEGRITY);
    check_empty(r);
    chord_unload(l);
}

/* Writes the checksums of a changed save, as a hostile hand would. */
static void sign(bytes b)
{
    chord_save_header h;
    memcpy(&h, b.at, sizeof h);
    h.sum = chord_sum(CHORD_SUM_BEGIN, &h, sizeof h - 8);
    memcpy(b.at, &h, sizeof h);
    uint64_t const sum = chord_sum(CHORD_SUM_BEGIN, b.at, b.n - 8);
    memcpy(b.at + b.n - 8, &sum, 8);
}

TEST(every_number_of_a_save_with_right_checksums_is_checked)
{
    static const struct {
        size_t at;
        int32_t value, status;
        const char *text;
    } cases[] = {
#define FIELD(field, value, status, text) { offsetof(chord_save_header, field), value, CHORD_##status, text }
        FIELD(version, 3, INVALID_ARGUMENT, "version 3"),
        FIELD(size, 8, INVALID_ARGUMENT, "version"),
        FIELD(bytes, 300, INTEGRITY, "300 bytes instead of"),
        FIELD(model.n_layer, 9, INVALID_ARGUMENT, "9 layers"),
        FIELD(model.n_embd, 64, INVALID_ARGUMENT, "layers of 64"),
        FIELD(model.n_vocab, 41, INVALID_ARGUMENT, "41 tokens"),
        FIELD(model.kv_type, CHORD_KV_Q8_0, INVALID_ARGUMENT, "are q8_0, this model's are f16"),
        FIELD(model.kv_type, -7, INVALID_ARGUMENT, "this model's are f16"),
        FIELD(model.fingerprint, 1, INVALID_ARGUMENT, "another model of this shape"),
        FIELD(model.architecture, 0x41414141, INVALID_ARGUMENT, "of a model 'AAAA"),
        FIELD(n_tokens, -1, INTEGRITY, "number 0 of its header is -1"),
        FIELD(n_tokens, SYN_CTX + 1, CONTEXT_FULL, "1025 tokens"),
        FIELD(n_tokens, 149, INTEGRITY, "number 1 of its header is 150, not 0 to 149"),
        FIELD(n_tokens, 151, INTEGRITY, "bytes instead of"),
        FIELD(n_past, -1, INTEGRITY, "number 1 of its header is -1"),
        FIELD(n_past, 149, INTEGRITY, "bytes instead of"),
        FIELD(has_positions, 2, INTEGRITY, "number 2 of its header is 2"),
        FIELD(has_positions, 1, INTEGRITY, "bytes instead of"),
        FIELD(next_position, -3, INTEGRITY, "number 3 of its header is -3"),
        FIELD(outputs, 2, INTEGRITY, "number 4"),
        FIELD(next_checkpoint, -1, INTEGRITY, "number 5"),
        FIELD(next_checkpoint, 1, INTEGRITY, "number 5"),
        FIELD(n_dead[0], -1, INTEGRITY, "number 6 of its header is -1"),
        FIELD(n_dead[0], 4, INTEGRITY,
              "number 6 of its header is 4, not 0 to 3"),  /* the window starts in page 3 */
        FIELD(n_dead[1], 1, INTEGRITY, "number 7"),  /* no window */
        FIELD(n_dead[5], 1, INTEGRITY, "number 11"),  /* no class */
        FIELD(checkpoints[0], 150, INTEGRITY, "number 14 of its header is 150, not 0 to 0"), /* no states */
        FIELD(checkpoints[7], 1, INTEGRITY, "number 21"),
    };
    int32_t ids[N];
    random_ids(ids, N);
    chord_loaded *l = load_synthetic(SYN_HEADS, CHORD_KV_F16, 1, 64, 0);
    chord_session *s = opened(l, ids, N), *r = open_session(l);
    bytes const b = save(s, 0);
    uint8_t *const copy = memcpy(test_alloc(b.n), b.at, b.n);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(b.at, copy, b.n);
        memcpy(b.at + cases[i].at, &cases[i].value, 4);
        sign(b);
        chord_status const status = restore(l, r, b, 0);
        if (status != cases[i].status || !strstr(l->model->error.text, cases[i].text))
            test_fail(__FILE__, __LINE__, "case %zu: status %d, '%s', want %d, '%s'", i, status,
                      l->model->error.text, cases[i].status, cases[i].text);
        check_empty(r);
    }
    for (int32_t k = 0; k < 2; k++) { /* an id */
        memcpy(b.at, copy, b.n);
        memcpy(b.at + sizeof(chord_save_header) + 40, &(int32_t){ k ? SYN_VOCAB : -2 }, 4);
        sign(b);
        CHECK_EQ(restore(l, r, b, 0), CHORD_INTEGRITY);
        CHECK(strstr(l->model->error.text, k ? "token 10 has the id 40" : "token 10 has the id -2"));
        check_empty(r);
    }
    chord_unload(l);
}

TEST(a_save_of_another_model_or_kv_type_is_refused_by_name)
{
    chord_loaded *l = load_fixture("f32-mha", CHORD_ISA_VECTOR, CHORD_KV_F16, 1, 8),
                 *f32 = load_fixture("f32-mha", CHORD_ISA_VECTOR, CHORD_KV_F32, 1, 8),
                 *other = load_fixture("qwen3-f32", CHORD_ISA_VECTOR, CHORD_KV_F16, 1, 8);
    int32_t const ids[4] = { 1, 2, 3, 4 };
    chord_session *s = opened(l, ids, 4), *r = open_session(f32);
    bytes const b = save(s, 0);
    CHECK_EQ(restore(f32, r, b, 0), CHORD_INVALID_ARGUMENT);
    CHECK(strstr(f32->model->error.text, "the save's keys and values are f16, this model's are f32"));
    check_empty(r);
    r = open_session(other);
    CHECK_EQ(restore(other, r, b, 0), CHORD_INVALID_ARGUMENT);
    CHECK(strstr(other->model->error.text, "of a model 'llama'") &&
          strstr(other->model->error.text, "this one is 'qwen3'"));
    check_empty(r);
    /* the same shape with other weights, in one tensor */
    for (int32_t i = 0; i < l->model->plan.n_tensors; i++) {
        chord_tensor *t = &l->model->plan.tensors[i];
        t->data[3] ^= 1;
        r = open_session(l);
        CHECK_EQ(restore(l, r, b, 0), CHORD_INVALID_ARGUMENT);
        CHECK(strstr(l->model->error.text, "another model of this shape"));
        t->data[3] ^= 1;
    }
    chord_unload(l);
    chord_unload(f32);
    chord_unload(other);
}

TEST(saves_and_restores_out_of_order_are_refused)
{
    int32_t ids[N];
    random_ids(ids, N);
    uint8_t buffer[600];
    chord_loaded *l = load_synthetic(SYN_HEADS, CHORD_KV_F16, 1, 64, 0);
    const float *want = all_logits(l, ids, N);
    chord_session *s = opened(l, ids, 70), *r = open_session(l);
    bytes const b = save(s, 0);

    CHECK_EQ(chord_session_save(s, 0, buffer, 100), CHORD_MORE);
    CHECK_EQ(chord_session_save(s, 99, buffer, 100), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_save(s, 100, buffer, 100), CHORD_MORE);
    evaluate(l, s, ids + 70, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    CHECK_EQ(chord_session_save(s, 200, buffer, 100), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_save(s, 0, buffer, 100), CHORD_MORE);
    CHECK_EQ(chord_session_truncate(s, 70), 70);
    CHECK_EQ(chord_session_save(s, 100, buffer, 100), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_save(s, 0, NULL, 100), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_save(NULL, 0, buffer, 100), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_save_bytes(NULL), 0);

    CHECK_EQ(chord_session_restore(s, 0, b.at, b.n), CHORD_INVALID_ARGUMENT); /* not empty */
    CHECK(strstr(l->model->error.text, "a session of 70 tokens"));
    same(go_on(l, s, ids, 70, 80), want + 70 * ROW, 10 * ROW, "after refusals at", "heads", 70);

    CHECK_EQ(chord_session_restore(r, 5, b.at + 5, 5), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_restore(r, 0, NULL, 5), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(restore(l, r, (bytes){ b.at, 3000 }, SIZE_MAX), CHORD_MORE);
    CHECK_EQ(chord_session_restore(r, 2999, b.at, 5), CHORD_INVALID_ARGUMENT);
    /* in the middle of a restore the session is empty and takes nothing */
    CHECK_EQ(chord_session_push(r, ids, 1), CHORD_INVALID_ARGUMENT);
    CHECK(strstr(l->model->error.text, "while a restore is under way"));
    CHECK_EQ(chord_session_save(r, 0, buffer, 5), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_save_bytes(r), 0);
    CHECK_EQ(chord_session_step(r, 0), CHORD_DONE);
    chord_session *copy;
    size_t const session_bytes = chord_session_bytes(l->model);
    CHECK_EQ(chord_session_fork(r, chord_load_block(l, session_bytes), session_bytes, &copy),
             CHORD_INVALID_ARGUMENT);
    for (int32_t k = 0; k < 2; k++) { /* a truncation or a drop ends it */
        if (k) chord_session_drop_batch(r);
        else CHECK_EQ(chord_session_truncate(r, 0), 0);
        check_empty(r);
        CHECK_EQ(restore(l, r, (bytes){ b.at, 3000 }, SIZE_MAX), CHORD_MORE);
    }
    CHECK_EQ(restore(l, r, b, 0), CHORD_DONE); /* and so does another one */
    same(go_on(l, r, ids, 70, 80), want + 70 * ROW, 10 * ROW, "after refusals at", "heads", 70);

    CHECK_EQ(chord_session_push(s, ids, 40), CHORD_OK);
    chord_status status;
    while ((status = chord_session_step(s, 0)) == CHORD_NEED_MEMORY) give(l, s);
    CHECK_EQ(status, CHORD_MORE);
    CHECK_EQ(chord_session_save(s, 0, buffer, 5), CHORD_BUSY);
    chord_unload(l);
}

TEST(a_restore_without_memory_asks_for_it_before_it_takes_a_byte)
{
    int32_t ids[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 1, 64, 0),
                     *m = load_synthetic(family, CHORD_KV_F16, 1, 64, 0);
        bytes const b = save(opened(l, ids, 100), 0);
        chord_session *r = open_session(m);
        size_t const first = sizeof(chord_save_header) - 1;
        CHECK_EQ(chord_session_restore(r, 0, b.at, first), CHORD_MORE);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(chord_session_restore(r, first, b.at + first, b.n - first), CHORD_NEED_MEMORY);
            check_empty(r);
        }
        give(m, r); /* exactly what was asked for is enough */
        CHECK_EQ(chord_session_restore(r, first, b.at + first, b.n - first), CHORD_DONE);
        chord_unload(l);
        chord_unload(m);
    }
}

TEST(a_save_fits_every_context_length_that_its_tokens_fit)
{
    int32_t ids[N];
    random_ids(ids, N);
    chord_loaded *l = test_alloc(sizeof *l);
    chord_config config = chord_config_default();
    config.n_ctx = 96;
    CHECK(chord_load_file(l, golden_path("q4_1-smollm", ".gguf"), &config, 0, 0, NULL) >= 0);
    chord_loaded *m = load_fixture("q4_1-smollm", CHORD_ISA_VECTOR, CHORD_KV_F16, 1, 64);
    chord_session *s = opened(m, ids, 96), *r = open_session(l);
    CHECK_EQ(restore(l, r, save(s, 0), 0), CHORD_DONE);
    chord_session_close(r);
    evaluate(m, s, ids + 96, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    r = open_session(l);
    CHECK_EQ(restore(l, r, save(s, 0), 0), CHORD_CONTEXT_FULL);
    CHECK(strstr(l->model->error.text, "the save has 97 tokens, the context length is 96"));
    check_empty(r);
    chord_unload(l);
    chord_unload(m);
}

/* Where a save's pages are, by class and number: what an executor outside the library has. */
static uint8_t *outside(uint8_t (*pages)[16][1 << 15], const int32_t place[3])
{
    CHECK(place[0] >= 0 && place[0] < 2 && place[1] >= 0 && place[1] < 16 && place[2] >= 0);
    return pages[place[0]][place[1]] + place[2];
}

TEST(pages_outside_the_library_are_summed_and_placed_by_their_executor)
{
    int32_t const ids[45] = { 1, 2, 3 };
    uint8_t (*pages)[16][1 << 15] = test_alloc(2 * sizeof *pages);
    for (size_t i = 0; i < 2 * sizeof *pages; i++) ((uint8_t *)pages)[i] = (uint8_t)test_random();
    chord_config config = chord_config_default();
    config.external = 1;
    chord_loaded *l = test_alloc(sizeof *l);
    CHECK_EQ(chord_load_file(l, golden_path("f32-mha", ".gguf"), &config, 0, 0, NULL), CHORD_OK);
    chord_session *s = open_session(l), *r = open_session(l);
    chord_batch_info batch;
    CHECK_EQ(chord_session_push(s, ids, 45), CHORD_OK);
    while (chord_session_next_batch(s, &batch) == CHORD_NEED_MEMORY) give(l, s);
    CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);

    uint64_t const total = chord_session_save_bytes(s);
    bytes const b = { test_alloc((size_t)total), (size_t)total };
    int32_t place[3], n_outside = 0;
    for (uint64_t at = 0; at < total;) {
        int32_t const n = chord_session_save_place(s, at, place);
        CHECK(n > 0 && (at || place[0] < 0));
        if (place[0] >= 0) memcpy(b.at + at, outside(pages, place), (size_t)n), n_outside += n;
        chord_status const status = chord_session_save(s, at, b.at + at, (size_t)n);
        at += (uint64_t)n;
        CHECK_EQ(status, at < total ? CHORD_MORE : CHORD_DONE);
    }
    CHECK_EQ(n_outside, 45 * 2 * 2 * 3 * 16 * 2); /* tokens, layers, K and V, heads, width, f16 */
    CHECK_EQ(chord_session_save_place(s, total, place), 0);

    /* a chunk of any size; then the executor takes its bytes */
    for (uint64_t at = 0; at < total;) {
        size_t const n = total - at < 1000 ? (size_t)(total - at) : 1000;
        chord_status status;
        while ((status = chord_session_restore(r, at, b.at + at, n)) == CHORD_NEED_MEMORY) give(l, r);
        CHECK_EQ(status, at + n < total ? CHORD_MORE : CHORD_DONE);
        for (uint64_t end = at + n; at < end;) {
            int32_t const k = chord_session_save_place(r, at, place);
            size_t const take = (uint64_t)k < end - at ? (size_t)k : (size_t)(end - at);
            if (place[0] >= 0) memcpy(outside(pages, place), b.at + at, take);
            at += take;
        }
    }
    int32_t of_s[2], of_r[2];
    CHECK_EQ(chord_session_pages(s, 0, 0, of_s, 2), 2);
    CHECK_EQ(chord_session_pages(r, 0, 0, of_r, 2), 2);
    CHECK(of_r[0] != of_s[0] && of_r[1] != of_s[1]);
    for (int i = 0; i < 2; i++) /* of each head's rows, those in use */
        for (int at = 0; at < 12 * 1024; at += 1024)
            CHECK(!memcmp(pages[0][of_s[i]] + at, pages[0][of_r[i]] + at, i ? 13 * 32 : 1024));
    b.at[b.n - 100] ^= 1;
    CHECK_EQ(chord_session_truncate(r, 0), 0);
    CHECK_EQ(chord_session_restore(r, 0, b.at, b.n), CHORD_INTEGRITY);
    b.at[b.n - 100] ^= 1;

    /* A model with its weights inside takes the save if it knows the samples. */
    chord_loaded *own = test_alloc(sizeof *own);
    config.external = 0;
    CHECK_EQ(chord_load_file(own, golden_path("f32-mha", ".gguf"), &config, 0, 0, NULL), CHORD_OK);
    chord_session *o = open_session(own);
    CHECK_EQ(restore(own, o, b, 0), CHORD_INVALID_ARGUMENT);
    CHECK(strstr(own->model->error.text, "another model of this shape"));
    uint8_t row[4096];
    for (int32_t t = 0; t < own->model->plan.n_tensors; t++) {
        if (l->model->plan.tensors[t].data) continue;
        CHECK_EQ(chord_model_row(own->model, t, 0, row, sizeof row), CHORD_OK);
        CHECK_EQ(chord_model_sample(l->model, t, row, 1), CHORD_INVALID_ARGUMENT);
        CHECK_EQ(chord_model_sample(l->model, t, row, sizeof row), CHORD_OK);
    }
    CHECK_EQ(chord_session_save(s, 0, b.at, (size_t)chord_session_save_place(s, 0, place)), CHORD_MORE);
    sign(b);
    CHECK_EQ(restore(own, o, b, 0), CHORD_DONE);
    chord_session_state state;
    CHECK_EQ(chord_session_get_state(o, &state), CHORD_OK);
    CHECK_EQ(state.n_past, 45);
    chord_unload(own);
    chord_unload(l);
}

TEST(what_another_executor_computed_cant_be_saved)
{
    int32_t const ids[3] = { 1, 2, 3 };
    uint8_t byte;
    chord_loaded *l = load_synthetic(SYN_HEADS, CHORD_KV_F16, 1, 64, 0);
    chord_session *s = open_session(l);
    CHECK_EQ(chord_session_push(s, ids, 3), CHORD_OK);
    chord_batch_info batch;
    while (chord_session_next_batch(s, &batch) == CHORD_NEED_MEMORY) give(l, s);
    CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
    CHECK_EQ(chord_session_save(s, 0, &byte, 1), CHORD_INVALID_ARGUMENT);
    CHECK(strstr(l->model->error.text, "another executor holds the keys and values from position 0 on"));
    CHECK_EQ(chord_session_truncate(s, 0), 0);
    CHECK_EQ(chord_session_save(s, 0, &byte, 1), CHORD_MORE);
    chord_unload(l);
}
