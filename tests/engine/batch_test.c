/* batch_test.c: the parts of a step: batches that another executor (the float64 interpreter) computes,
 * tokens that it draws, output rows that the host passes in, embeddings in place of ids. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"
#include <math.h>

static const char *const floats[] = { "f32-mha", "f32-odd-tied", "qwen3-f32", "gemma3-f32" };
enum { N_FLOATS = sizeof floats / sizeof *floats, MOST = 100 };

static void *at(double address) { return (void *)(uintptr_t)address; }
static int32_t n_vocab_of(const chord_loaded *l) { return chord_model_plan_of(l->model)->n_vocab; }

static chord_session_state state_of(const chord_session *s)
{
    chord_session_state state;
    CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
    return state;
}

static void check_error(const chord_loaded *l, const char *part)
{
    char text[330];
    chord_last_error(l->model, text, sizeof text);
    CHECK_TEXT(text, part);
}

/* Makes the next batch and gives the pages that it needs. */
static chord_status next_batch(chord_loaded *l, chord_session *s, chord_batch_info *info)
{
    for (;;) {
        chord_status const status = chord_session_next_batch(s, info);
        if (status != CHORD_NEED_MEMORY) return status;
        size_t const bytes = (size_t)state_of(s).wanted_bytes;
        CHECK(bytes > 0);
        CHECK_EQ(chord_model_give(l->model, chord_load_block(l, bytes), bytes), CHORD_OK);
    }
}

/* Returns the logits of the batch's output rows as floats. The interpreter computes the whole sequence
 * `ids`. */
static float *interpret_batch(const chord_loaded *l, const chord_batch_info *b, const int32_t *ids)
{
    size_t const n = (size_t)b->n_outputs * (size_t)b->n_width;
    double *exact = test_alloc(n * sizeof *exact + 1);
    float *row = test_alloc(n * sizeof *row + 1);
    int32_t rows[MOST];
    for (int32_t i = 0; i < b->n_outputs; i++) rows[i] = b->first_pos + ((int32_t *)at(b->rows))[i];
    CHECK(reference_logits(l->model, ids, b->first_pos + b->n_tokens, rows, b->n_outputs, 0, exact));
    for (size_t i = 0; i < n; i++) row[i] = (float)exact[i];
    return row;
}

static void write_outputs(const chord_batch_info *b, const float *rows)
{
    for (int32_t i = 0; i < b->n_outputs; i++)
        memcpy((float *)at(b->outputs) + (size_t)i * (size_t)b->stride, rows + (size_t)i * (size_t)b->n_width,
               (size_t)b->n_width * sizeof *rows);
}

/* The interpreter computes all pending tokens of a session whose evaluated tokens are ids[0 .. n_past). */
static void run_interpreter(chord_loaded *l, chord_session *s, const int32_t *ids)
{
    chord_batch_info b;
    while (next_batch(l, s, &b) == CHORD_OK) {
        write_outputs(&b, interpret_batch(l, &b, ids));
        CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
    }
}

static chord_loaded *load(const char *name, int32_t n_batch)
{
    return load_fixture(name, CHORD_ISA_VECTOR, CHORD_KV_F32, 1, n_batch);
}

static const int32_t *tokens(const char *name)
{
    const golden *g = golden_read(name);
    const golden_prompt *p = &g->prompts[g->n_prompts - 1];
    CHECK_EQ(p->n, 70);
    return p->sequence;
}

/* ---- next, accept, drop ------------------------------------------------------------------------------- */

TEST(after_batches_of_the_interpreter_the_session_has_its_logits)
{
    for (int32_t k = 0; k < N_FLOATS * 2; k++) {
        const int32_t *ids = tokens(floats[k / 2]);
        chord_loaded *l = load(floats[k / 2], 33);
        chord_session *s = open_session(l);
        int32_t const all = k % 2, n_vocab = n_vocab_of(l);
        CHECK_EQ(chord_session_outputs(s, all ? CHORD_OUTPUT_ALL : CHORD_OUTPUT_LAST), CHORD_OK);
        CHECK_EQ(chord_session_push(s, ids, 70), CHORD_OK);
        for (int32_t first = 0; first < 70; first += 33) {
            int32_t const n = first == 66 ? 4 : 33;
            chord_batch_info b;
            CHECK_EQ(next_batch(l, s, &b), CHORD_OK);
            CHECK(b.version == CHORD_ABI_VERSION && b.size == sizeof b);
            CHECK(b.n_tokens == n && b.first_pos == first && b.n_axes == 1 && b.n_width == n_vocab &&
                  b.stride >= n_vocab);
            CHECK(!memcmp(at(b.ids), ids + first, (size_t)n * sizeof *ids));
            CHECK(b.embeddings == 0 && b.n_embeddings == 0 && b.positions == 0);
            CHECK_EQ(b.n_outputs, all ? n : n == 4);
            for (int32_t i = 0; i < b.n_outputs; i++) CHECK_EQ(((int32_t *)at(b.rows))[i], all ? i : 3);
            const float *want = interpret_batch(l, &b, ids);
            write_outputs(&b, want);
            CHECK_EQ(state_of(s).n_past, first);
            CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
            CHECK(state_of(s).n_past == first + n && state_of(s).n_rows == b.n_outputs &&
                  state_of(s).n_tokens == 70);
            for (int32_t i = 0; i < b.n_outputs; i++)
                CHECK(!memcmp(chord_session_logits(s, i), want + (size_t)i * (size_t)n_vocab,
                              (size_t)n_vocab * sizeof *want));
            CHECK(chord_session_logits(s, b.n_outputs) == NULL);
        }
        chord_batch_info b = { .n_tokens = 77 };
        CHECK_EQ(chord_session_next_batch(s, &b), CHORD_DONE);
        CHECK_EQ(b.n_tokens, 77);
        chord_unload(l);
    }
}

TEST(dropping_a_batch_drops_the_pending_tokens_and_nothing_else)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 16);
    float *want = all_logits(l, ids, 70);
    chord_session *s = open_session(l);
    evaluate(l, s, ids, 20, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    int32_t const n_pages = state_of(s).n_pages;
    CHECK_EQ(chord_session_push(s, ids, 50), CHORD_OK);
    chord_batch_info b;
    CHECK_EQ(next_batch(l, s, &b), CHORD_OK);
    CHECK(state_of(s).n_pages > n_pages);
    CHECK_EQ(chord_session_drop_batch(s), CHORD_OK);
    CHECK(state_of(s).n_tokens == 20 && state_of(s).n_past == 20 && state_of(s).n_pages == n_pages);
    CHECK_EQ(chord_session_accept_batch(s), CHORD_INVALID_ARGUMENT);

    /* without a batch it drops the pending tokens, and clears a cancel that came before */
    CHECK_EQ(chord_session_push(s, ids, 3), CHORD_OK);
    chord_session_cancel(s);
    CHECK_EQ(chord_session_drop_batch(s), CHORD_OK);
    CHECK_EQ(state_of(s).n_tokens, 20);
    float *got = test_alloc((size_t)n_vocab_of(l) * sizeof *got), *out = got;
    evaluate(l, s, ids + 20, 50, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, &out);
    CHECK(!memcmp(got, want + 69 * n_vocab_of(l), (size_t)n_vocab_of(l) * sizeof *got));
    chord_unload(l);
}

TEST(a_cancel_ends_the_next_batch_as_it_ends_a_step)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 16);
    chord_session *s = open_session(l);
    chord_batch_info b;
    CHECK_EQ(chord_session_push(s, ids, 70), CHORD_OK);
    CHECK_EQ(next_batch(l, s, &b), CHORD_OK);
    CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
    CHECK_EQ(next_batch(l, s, &b), CHORD_OK);
    chord_session_cancel(s);
    CHECK_EQ(chord_session_next_batch(s, &b), CHORD_CANCELLED);
    CHECK(state_of(s).n_past == 16 && state_of(s).n_tokens == 16);
    CHECK_EQ(chord_session_next_batch(s, &b), CHORD_DONE); /* once */
    chord_unload(l);
}

TEST(a_batch_goes_from_the_cpu_to_another_executor_and_back_whole)
{
    const int32_t *ids = tokens("f32-odd-tied");
    chord_loaded *l = load("f32-odd-tied", 128);
    int32_t const n_vocab = n_vocab_of(l);
    float *want = all_logits(l, ids, 70);
    chord_session *s = open_session(l);
    evaluate(l, s, ids, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    double const before = state_of(s).work_done;
    CHECK_EQ(chord_session_push(s, ids + 1, 69), CHORD_OK);
    chord_batch_info b;
    CHECK_EQ(next_batch(l, s, &b), CHORD_OK); /* all pages exist from here on */
    double const whole = state_of(s).batch_work;
    for (int32_t k = 1; k < 12; k++) {
        CHECK_EQ(chord_session_step(s, (uint64_t)(whole / 12) * (uint64_t)k), CHORD_MORE);
        CHECK(state_of(s).batch_work_done > 0);
        /* the batch is the CPU executor's */
        CHECK_EQ(chord_session_accept_batch(s), CHORD_INVALID_ARGUMENT);
        CHECK_EQ(chord_session_next_batch(s, &b), CHORD_OK);
        CHECK(b.n_tokens == 69 && b.first_pos == 1 && state_of(s).batch_work_done == 0);
    }
    CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_DONE);
    CHECK(state_of(s).batch_work_done == whole && state_of(s).work_done > before + whole);
    CHECK(!memcmp(chord_session_logits(s, 0), want + 69 * n_vocab, (size_t)n_vocab * sizeof *want));
    chord_unload(l);
}

TEST(a_batch_asked_for_again_is_the_same_and_keeps_the_rows_that_were_written)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 128);
    chord_session *s = open_session(l);
    chord_batch_info a, b;
    CHECK_EQ(chord_session_push(s, ids, 70), CHORD_OK);
    CHECK_EQ(next_batch(l, s, &a), CHORD_OK);
    const float *want = interpret_batch(l, &a, ids);
    write_outputs(&a, want);
    CHECK_EQ(chord_session_next_batch(s, &b), CHORD_OK);
    CHECK(!memcmp(&a, &b, sizeof a));
    CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
    CHECK(!memcmp(chord_session_logits(s, 0), want, (size_t)a.n_width * sizeof *want));
    chord_unload(l);
}

static chord_sampling const greedy = { .version = CHORD_ABI_VERSION,
                                       .size = (int32_t)sizeof greedy,
                                       .top_p = 1,
                                       .typical_p = 1,
                                       .repetition_penalty = 1 };

TEST(an_output_row_that_was_not_written_is_refused_by_sample)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 128);
    chord_session *s = open_session(l);
    evaluate(l, s, ids, 20, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    CHECK(chord_session_sample(s, &greedy) >= 0);
    CHECK_EQ(chord_session_push(s, ids, 1), CHORD_OK);
    chord_batch_info b;
    CHECK_EQ(next_batch(l, s, &b), CHORD_OK);
    /* no rows while a batch is under way */
    CHECK_EQ(chord_session_sample(s, &greedy), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
    CHECK_EQ(chord_session_sample(s, &greedy), CHORD_INTERNAL);
    check_error(l, "token 0 at position 20 isn't finite");
    chord_unload(l);
}

TEST(a_step_does_not_continue_after_positions_of_another_executor)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 16);
    int32_t const n_vocab = n_vocab_of(l);
    float *want = all_logits(l, ids, 70), *got = test_alloc((size_t)n_vocab * sizeof *got), *out = got;
    chord_session *s = open_session(l);
    evaluate(l, s, ids, 20, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    CHECK_EQ(chord_session_push(s, ids + 20, 20), CHORD_OK);
    run_interpreter(l, s, ids);
    CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_DONE); /* nothing is pending */
    CHECK_EQ(chord_session_push(s, ids + 40, 30), CHORD_OK);
    chord_session *copy = fork_session(l, s);
    for (int32_t i = 0; i < 2; i++) {
        CHECK_EQ(chord_session_step(i ? copy : s, CHORD_NO_LIMIT), CHORD_INVALID_ARGUMENT);
        check_error(l, "position 20");
    }
    CHECK(state_of(s).n_past == 40 && state_of(s).n_tokens == 70);
    CHECK_EQ(chord_session_truncate(s, 20), 20);
    evaluate(l, s, ids + 20, 49, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    /* the CPU executor has computed all positions again */
    evaluate(l, s, ids + 69, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, &out);
    CHECK(!memcmp(got, want + 69 * n_vocab, (size_t)n_vocab * sizeof *got));

    /* another executor computes from position 10 on: steps are refused from there */
    CHECK_EQ(chord_session_truncate(s, 10), 10);
    CHECK_EQ(chord_session_push(s, ids + 10, 20), CHORD_OK);
    run_interpreter(l, s, ids);
    CHECK_EQ(chord_session_push(s, ids + 30, 1), CHORD_OK);
    CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_INVALID_ARGUMENT);
    check_error(l, "position 10");
    chord_unload(l);
}

TEST(only_one_session_of_a_model_has_a_batch_under_way)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 16);
    chord_session *a = open_session(l), *b = open_session(l);
    chord_batch_info info, untouched = { .n_tokens = 77 };
    CHECK_EQ(chord_session_push(a, ids, 5), CHORD_OK);
    CHECK_EQ(chord_session_push(b, ids, 5), CHORD_OK);
    CHECK_EQ(next_batch(l, a, &info), CHORD_OK);
    CHECK_EQ(chord_session_next_batch(b, &untouched), CHORD_BUSY);
    CHECK_EQ(untouched.n_tokens, 77);
    check_error(l, "another session");
    CHECK_EQ(chord_session_step(b, CHORD_NO_LIMIT), CHORD_BUSY);
    CHECK_EQ(state_of(b).n_tokens, 5);
    CHECK_EQ(chord_session_outputs(a, CHORD_OUTPUT_ALL), CHORD_BUSY);
    CHECK_EQ(chord_session_push(a, ids, 1), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_accept_token(a, 1), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_drop_batch(b), CHORD_OK); /* drops b's tokens, not a's batch */
    CHECK_EQ(chord_session_accept_batch(a), CHORD_OK);
    CHECK(state_of(a).n_past == 5 && state_of(b).n_tokens == 0);
    CHECK_EQ(chord_session_push(b, ids, 5), CHORD_OK);
    CHECK_EQ(next_batch(l, b, &info), CHORD_OK);
    CHECK(chord_session_logits(a, 0) == NULL); /* b's batch uses their memory */
    CHECK_EQ(chord_session_truncate(b, 5), 5); /* the batch is undone */
    CHECK_EQ(chord_session_accept_batch(b), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_push(a, ids, 1), CHORD_OK);
    CHECK_EQ(next_batch(l, a, &info), CHORD_OK);
    chord_session_close(a);
    CHECK_EQ(next_batch(l, b, &info), CHORD_OK);
    chord_unload(l);
}

TEST(with_external_weights_next_batch_works_and_steps_are_refused)
{
    chord_loaded *l = test_alloc(sizeof *l);
    chord_config config = chord_config_default();
    config.external = 1;
    CHECK_EQ(chord_load_file(l, golden_path("f32-mha", ".gguf"), &config, 0, 0, NULL), CHORD_OK);
    chord_session *s = open_session(l);
    int32_t const ids[] = { 3, 5, 7 };
    CHECK_EQ(chord_session_push(s, ids, 3), CHORD_OK);
    CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_INVALID_ARGUMENT);
    check_error(l, "external");
    chord_batch_info b;
    CHECK_EQ(next_batch(l, s, &b), CHORD_OK);
    float *logits = at(b.outputs);
    for (int32_t i = 0; i < b.n_width; i++) logits[i] = i == 11 ? 1 : 0;
    CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
    CHECK_EQ(chord_session_sample(s, &greedy), 11);
    chord_unload(l);
}

/* Accepts every batch of `s` without computing it. */
static void accept_all(chord_loaded *l, chord_session *s)
{
    chord_batch_info b;
    while (next_batch(l, s, &b) == CHORD_OK) CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
}

TEST(an_executor_outside_the_library_knows_pages_by_numbers_and_is_told_what_to_copy)
{
    chord_loaded *l = test_alloc(sizeof *l);
    chord_config config = chord_config_default();
    config.external = 1;
    CHECK_EQ(chord_load_file(l, golden_path("f32-mha", ".gguf"), &config, 0, 0, NULL), CHORD_OK);
    chord_session *a = open_session(l);
    int32_t ids[70] = { 1 }, pages[8], triples[3 * CHORD_MAX_CLASSES];
    CHECK_EQ(chord_session_pages(a, 0, 0, pages, 8), 0);
    CHECK_EQ(chord_session_push(a, ids, 70), CHORD_OK);
    accept_all(l, a);
    CHECK_EQ(chord_session_copies(a, triples, CHORD_MAX_CLASSES), 0);
    CHECK_EQ(chord_session_pages(a, 0, 0, pages, 8), 3);
    for (int32_t i = 0; i < 3; i++)
        for (int32_t j = 0; j < i; j++) CHECK(pages[i] != pages[j]);
    CHECK_EQ(chord_session_pages(a, 0, 2, pages + 4, 1), 1);
    CHECK_EQ(pages[4], pages[2]);

    chord_session *b = NULL; /* a copy: whole pages are shared, and the last one must be copied */
    size_t const bytes = chord_session_bytes(l->model);
    void *block = chord_load_block(l, bytes);
    while (chord_session_fork(a, block, bytes, &b) == CHORD_NEED_MEMORY) {
        size_t const wanted = (size_t)state_of(a).wanted_bytes;
        CHECK_EQ(chord_model_give(l->model, chord_load_block(l, wanted), wanted), CHORD_OK);
    }
    CHECK(b != NULL);
    int32_t of_b[3];
    CHECK_EQ(chord_session_pages(b, 0, 0, of_b, 3), 3);
    CHECK(of_b[0] == pages[0] && of_b[1] == pages[1] && of_b[2] != pages[2]);
    CHECK_EQ(chord_session_copies(b, triples, CHORD_MAX_CLASSES), 1);
    CHECK(triples[0] == 0 && triples[1] == of_b[2] && triples[2] == pages[2]);
    CHECK_EQ(chord_session_copies(b, triples, CHORD_MAX_CLASSES), 0);

    /* a continues inside a page that it shares with b: it writes a copy */
    CHECK_EQ(chord_session_truncate(a, 40), 40);
    CHECK_EQ(chord_session_push(a, ids, 1), CHORD_OK);
    chord_batch_info info;
    CHECK_EQ(next_batch(l, a, &info), CHORD_OK);
    CHECK_EQ(chord_session_pages(a, 0, 0, pages + 4, 3), 2);
    CHECK(pages[4] == pages[0] && pages[5] != pages[1]);
    CHECK_EQ(chord_session_copies(a, triples, CHORD_MAX_CLASSES), 1);
    CHECK(triples[1] == pages[5] && triples[2] == pages[1]);

    CHECK_EQ(chord_session_pages(a, 1, 0, pages, 8), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_pages(a, 0, -1, pages, 8), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_pages(NULL, 0, 0, pages, 8), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_copies(a, triples, 0), CHORD_INVALID_ARGUMENT);
    chord_unload(l);
}

TEST(the_program_s_tables_can_be_found)
{
    chord_loaded *l = load("q4_0-d80-freqs", 128);
    chord_program_info info;
    CHECK_EQ(chord_model_get_program(l->model, &info), CHORD_OK);
    const chord_plan *p = chord_model_plan_of(l->model);
    CHECK(info.n_ops == p->program.n_ops && at(info.ops) == (void *)p->program.ops);
    CHECK(info.n_caches == p->program.n_caches && info.n_slots == p->program.n_slots);
    CHECK(at(info.rope_freqs[0]) == (void *)p->rope_freqs[0]);
    CHECK_EQ(chord_model_cache_class(l->model, 0), 0);
    CHECK_EQ(chord_model_cache_class(l->model, info.n_caches), CHORD_INVALID_ARGUMENT);
    const chord_rope *rope = at(info.ropes);
    const float *freqs = chord_model_vector(l->model, rope->freqs);
    CHECK(freqs && freqs == (const float *)(const void *)p->tensors[rope->freqs].data);
    CHECK(!chord_model_vector(l->model, -1) && !chord_model_vector(l->model, p->n_tensors));
    for (int32_t i = 0; i < p->n_tensors; i++)
        if (p->tensors[i].layout == CHORD_LAYOUT_X4) CHECK(!chord_model_vector(l->model, i));
    chord_unload(l);
}

/* ---- tokens and rows of another executor -------------------------------------------------------------- */

TEST(rows_of_the_host_are_sampled_as_the_session_s_own)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 128);
    chord_session *a = open_session(l), *b = open_session(l);
    evaluate(l, a, ids, 70, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    size_t const bytes = (size_t)n_vocab_of(l) * sizeof(float);
    float *row = test_alloc(bytes), *same = test_alloc(bytes);
    memcpy(row, chord_session_logits(a, 0), bytes);
    memcpy(same, row, bytes);
    CHECK_EQ(chord_session_push(b, ids, 70), CHORD_OK); /* only for the penalties; never evaluated */
    chord_sampling p = greedy;
    p.repetition_penalty = 1.3f;
    for (int32_t i = 0, n_kinds = 0, last = -1; i < 60; i++) {
        p.temperature = (float)(i % 4);
        p.top_k = i % 3 * 20;
        p.top_p = i % 2 ? 0.9f : 1;
        chord_session_seed(a, (uint64_t)i);
        chord_session_seed(b, (uint64_t)i);
        for (int32_t k = 0; k < 3; k++) {
            int32_t const want = chord_session_sample(a, &p), got = chord_session_sample_row(b, &p, row);
            CHECK(want >= 0);
            CHECK_EQ(got, want);
            n_kinds += got != last;
            last = got;
        }
        CHECK(i < 59 || n_kinds > 20);
    }
    CHECK(!memcmp(row, same, bytes));
    row[7] = NAN;
    CHECK_EQ(chord_session_sample_row(b, &p, row), CHORD_INTERNAL);
    check_error(l, "token 7");
    chord_unload(l);
}

TEST(a_token_drawn_elsewhere_moves_the_generator_as_a_sample_does)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 128);
    chord_session *a = open_session(l), *b = open_session(l);
    size_t const bytes = (size_t)n_vocab_of(l) * sizeof(float);
    float *row = test_alloc(bytes);
    chord_sampling p = greedy;
    p.temperature = 2;
    chord_session_seed(a, 7);
    chord_session_seed(b, 7);
    CHECK_EQ(chord_session_push(a, ids, 10), CHORD_OK);
    CHECK_EQ(chord_session_push(b, ids, 10), CHORD_OK);
    chord_sequence q;
    chord_sequence_seed(&q, 7);
    for (int32_t k = 0; k < 20; k++) {
        chord_batch_info info;
        CHECK_EQ(next_batch(l, b, &info), CHORD_OK);
        CHECK(info.random == chord_random(q.random) * 0x1p-32 && info.random < 1);
        CHECK_EQ(chord_session_accept_batch(b), CHORD_OK);
        CHECK_EQ(chord_load_run(l, a, CHORD_NO_LIMIT), CHORD_DONE);
        memcpy(row, chord_session_logits(a, 0), bytes);
        int32_t const token = chord_session_sample(a, &p);
        CHECK(token >= 0);
        /* the generator doesn't move */
        CHECK_EQ(chord_session_accept_token(b, n_vocab_of(l)), CHORD_INVALID_ARGUMENT);
        CHECK_EQ(chord_session_accept_token(b, token), CHORD_OK);
        CHECK_EQ(chord_session_push(a, &token, 1), CHORD_OK);
    }
    CHECK_EQ(state_of(b).n_tokens, 30);
    CHECK_EQ(chord_session_match(b, ids, 10), 10);
    for (int32_t k = 0; k < 20; k++)
        CHECK_EQ(chord_session_sample_row(b, &p, row), chord_session_sample_row(a, &p, row));
    chord_unload(l);
}

TEST(numbers_ahead_are_those_that_later_draws_use)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 128);
    chord_session *s = open_session(l);
    chord_sequence q;
    chord_sequence_seed(&q, 11);
    chord_session_seed(s, 11);
    double want[40];
    for (int32_t i = 0; i < 40; i++) want[i] = chord_random(q.random) * 0x1p-32;
    CHECK_EQ(chord_session_push(s, ids, 4), CHORD_OK);
    for (int32_t i = 0; i < 20; i++) {
        for (int32_t ahead = 0; ahead < 20; ahead += 1 + i)
            CHECK(chord_session_random(s, ahead) == want[i + ahead]);
        CHECK_EQ(chord_session_accept_token(s, ids[i]), CHORD_OK); /* moves the generator by one number */
    }
    CHECK(chord_session_random(s, -1) == -1 && chord_session_random(NULL, 0) == -1);
    CHECK(chord_session_random(s, 0) == want[20]);
    chord_unload(l);
}

/* ---- embeddings --------------------------------------------------------------------------------------- */

/* Returns the rows of the embedding matrix, which must be F32, for ids[0 .. n). */
static float *embedding_rows(const chord_loaded *l, const int32_t *ids, int32_t n, int32_t *n_embd)
{
    const chord_plan *plan = chord_model_plan_of(l->model);
    int32_t t = 0;
    while (plan->tensors[t].n_name != 17 || memcmp(plan->tensors[t].name, "token_embd.weight", 17))
        CHECK(++t < plan->n_tensors);
    CHECK_EQ(plan->tensors[t].type, 0);
    *n_embd = (int32_t)plan->tensors[t].ne[0];
    float *rows = test_alloc((size_t)n * (size_t)*n_embd * sizeof *rows);
    for (int32_t i = 0; i < n; i++)
        CHECK_EQ(chord_model_row(l->model, t, ids[i], rows + (size_t)i * (size_t)*n_embd,
                                 (size_t)*n_embd * 4),
                 CHORD_OK);
    return rows;
}

TEST(embeddings_give_the_logits_of_the_ids_whose_rows_they_are)
{
    /* their EMBED scales by 1 */
    static const char *const names[] = { "f32-mha", "f32-odd-tied", "qwen3-f32" };
    static const int32_t blocks[][2] = { { 0, 70 }, { 0, 1 }, { 69, 70 }, { 30, 40 }, { 10, 68 } };
    for (int32_t k = 0; k < 3 * 5; k++) {
        const int32_t *ids = tokens(names[k / 5]);
        int32_t const first = blocks[k % 5][0], end = blocks[k % 5][1], n = end - first;
        chord_loaded *l = load(names[k / 5], 33);
        size_t const bytes = (size_t)n_vocab_of(l) * sizeof(float);
        float *want = all_logits(l, ids, 70);
        int32_t n_embd, positions[70];
        float *rows = embedding_rows(l, ids + first, n, &n_embd);
        for (int32_t i = 0; i < n; i++) positions[i] = first + i;
        chord_session *s = open_session(l);
        CHECK_EQ(chord_session_push(s, ids, first), CHORD_OK);
        CHECK_EQ(chord_session_push_embeddings(s, rows, k % 2 ? positions : NULL, n), CHORD_OK);
        CHECK_EQ(chord_session_push(s, ids + end, 70 - end), CHORD_OK);
        CHECK_EQ(chord_session_outputs(s, CHORD_OUTPUT_ALL), CHORD_OK);
        for (int32_t at_row = 0; at_row < 70;) {
            chord_batch_info b;
            CHECK_EQ(next_batch(l, s, &b), CHORD_OK);
            CHECK_EQ(b.n_embd, n_embd);
            CHECK_EQ(b.positions != 0, k % 2);
            for (int32_t i = 0; i < b.n_tokens; i++) {
                int32_t const p = b.first_pos + i,
                              is_row = i >= b.first_embedding && i < b.first_embedding + b.n_embeddings;
                CHECK_EQ(is_row, p >= first && p < end);
                CHECK_EQ(((int32_t *)at(b.ids))[i], is_row ? -1 : ids[p]);
                if (is_row)
                    CHECK((float *)at(b.embeddings) + (size_t)(i - b.first_embedding) * (size_t)n_embd ==
                          rows + (size_t)(p - first) * (size_t)n_embd);
                if (b.positions != 0) CHECK_EQ(((int32_t *)at(b.positions))[i], p);
            }
            CHECK_EQ(chord_load_run(l, s, CHORD_NO_LIMIT), CHORD_DONE);
            for (int32_t r = 0; r < state_of(s).n_rows; r++, at_row++)
                if (memcmp(chord_session_logits(s, r), want + (size_t)at_row * bytes / sizeof *want, bytes))
                    test_fail(__FILE__, __LINE__, "%s, embeddings [%d, %d): row %d differs", names[k / 5],
                              first, end, at_row);
        }
        CHECK_EQ(chord_session_match(s, ids, 70), first);
        chord_unload(l);
    }
}

TEST(embeddings_are_refused_whole_and_one_block_is_pending_at_a_time)
{
    const int32_t *ids = tokens("f32-mha");
    chord_loaded *l = load("f32-mha", 128);
    float *want = all_logits(l, ids, 8);
    int32_t n_embd, positions[] = { 0, 1, -1 };
    float *rows = embedding_rows(l, ids, 8, &n_embd);
    chord_session *s = open_session(l);
    CHECK_EQ(chord_session_push_embeddings(s, NULL, NULL, 2), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_push_embeddings(s, rows, NULL, -1), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_push_embeddings(s, (float *)(void *)((char *)rows + 2), NULL, 1),
             CHORD_INVALID_ARGUMENT);
    check_error(l, "aligned");
    CHECK_EQ(chord_session_push_embeddings(s, rows, (int32_t *)(void *)((char *)positions + 1), 1),
             CHORD_INVALID_ARGUMENT);
    check_error(l, "aligned");
    CHECK_EQ(chord_session_push_embeddings(s, rows, positions, 3), CHORD_INVALID_ARGUMENT);
    check_error(l, "position -1");
    CHECK_EQ(chord_session_push_embeddings(s, rows, NULL, 1 << 20), CHORD_CONTEXT_FULL);
    CHECK_EQ(state_of(s).n_tokens, 0);
    CHECK_EQ(chord_session_push(s, ids, 2), CHORD_OK);
    CHECK_EQ(chord_session_push_embeddings(s, rows, NULL, 0), CHORD_OK); /* no rows: nothing is pending */
    CHECK_EQ(chord_session_push_embeddings(s, rows + 2 * n_embd, NULL, 3), CHORD_OK);
    CHECK_EQ(chord_session_push_embeddings(s, rows + 5 * n_embd, NULL, 1), CHORD_BUSY);
    CHECK_EQ(state_of(s).n_tokens, 5);
    CHECK_EQ(chord_load_run(l, s, CHORD_NO_LIMIT), CHORD_DONE);
    CHECK_EQ(chord_session_push_embeddings(s, rows + 5 * n_embd, NULL, 3), CHORD_OK);
    chord_batch_info b;
    CHECK_EQ(next_batch(l, s, &b), CHORD_OK);
    CHECK_EQ(chord_session_push_embeddings(s, rows, NULL, 1), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_load_run(l, s, CHORD_NO_LIMIT), CHORD_DONE);
    size_t const bytes = (size_t)n_vocab_of(l) * sizeof *want;
    CHECK(!memcmp(chord_session_logits(s, 0), want + 7 * bytes / sizeof *want, bytes));
    chord_unload(l);
}
