/* equivalence_test.c: logits have the same bits however the work is cut: splits of a prompt, budgets,
 * threads, batches, forks, truncations, cancels. Each output element is one sequence of float operations
 * (docs/DESIGN.md, section 5), so every comparison here is of bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"

/* These fixtures cover float and q8 activations, head sizes that are and aren't multiples of the vector
 * width, one and several query heads per KV head, tied and separate output matrices, and layers with a
 * window of 16 tokens. */
static const char *const some[] = { "f32-odd-tied", "bf16-d80-freqs", "q4_1-smollm", "mixed",
                                    "gemma3-iq4_nl" };
enum { N_SOME = sizeof some / sizeof *some };

static const golden_prompt *prompt_of_70(const golden *g)
{
    const golden_prompt *p = &g->prompts[g->n_prompts - 1];
    CHECK_EQ(p->n, 70);
    return p;
}

static void same(const float *got, const float *want, int32_t rows, int32_t n_vocab, const char *what,
                 const char *fixture, int64_t at)
{
    for (int32_t i = 0; i < rows * n_vocab; i++)
        if (memcmp(&got[i], &want[i], 4))
            test_fail(__FILE__, __LINE__, "%s, %s %lld: row %d, token %d is %.9g, want %.9g", fixture, what,
                      (long long)at, i / n_vocab, i % n_vocab, (double)got[i], (double)want[i]);
}

typedef struct subject {
    const golden *g;
    const golden_prompt *p;
    int32_t n, n_vocab;           /* tokens of p's sequence that the test uses */
    chord_loaded *l;
    float *want;                  /* all rows, computed in one go by one thread */
    float *got;
} subject;

static subject make(const char *name, int32_t isa, int32_t kv_type, int32_t n_threads, int32_t n_batch,
                    int32_t n)
{
    subject t = { .g = golden_read(name), .n = n };
    t.p = prompt_of_70(t.g);
    t.n_vocab = t.g->n_vocab;
    chord_loaded *l = load_fixture(name, isa, kv_type, 1, 128);
    t.want = all_logits(l, t.p->sequence, n);
    chord_unload(l);
    t.l = load_fixture(name, isa, kv_type, n_threads, n_batch);
    t.got = test_alloc((size_t)n * (size_t)t.n_vocab * sizeof *t.got);
    return t;
}

static void same_rows(const subject *t, int32_t first, int32_t rows, const char *what, int64_t at)
{
    same(t->got, t->want + (size_t)first * (size_t)t->n_vocab, rows, t->n_vocab, what, t->g->name, at);
}

TEST(prefill_split_at_every_point_equals_one_prefill)
{
    for (int32_t i = 0; i < 2 * N_SOME; i++) {
        subject t = make(some[i / 2], i % 2 ? CHORD_ISA_VECTOR : CHORD_ISA_SCALAR,
                         i % 4 ? CHORD_KV_F16 : CHORD_KV_F32, 1, 128, 70);
        int32_t const step = i % 2 ? 1 : 9; /* scalar bodies are slow */
        for (int32_t k = 1; k < 70; k += step) {
            chord_session *s = open_session(t.l);
            float *out = t.got;
            evaluate(t.l, s, t.p->sequence, k, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, &out);
            same_rows(&t, k - 1, 1, "end of the first part of", k);
            out = t.got;
            evaluate(t.l, s, t.p->sequence + k, 70 - k, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, &out);
            same_rows(&t, 69, 1, "split at", k);
            chord_session_close(s);
        }
        chord_unload(t.l);
    }
}

TEST(any_batch_size_gives_the_same_logits)
{
    static const int32_t sizes[] = { 1, 3, 31, 32, 33, 64 };
    for (int32_t i = 0; i < N_SOME; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            subject t = make(some[i], CHORD_ISA_VECTOR, CHORD_KV_F16, 1, sizes[k], 70);
            chord_session *s = open_session(t.l);
            float *out = t.got;
            evaluate(t.l, s, t.p->sequence, 70, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
            same_rows(&t, 0, 70, "batches of", sizes[k]);
            chord_unload(t.l);
        }
}

TEST(decode_over_page_boundaries_equals_prefill)
{
    const char *names[GOLDEN_FILES];
    int32_t const n = golden_fixtures(names);
    for (int32_t i = 0; i < n; i++) {
        subject t = make(names[i], i % 3 ? CHORD_ISA_VECTOR : CHORD_ISA_SCALAR,
                         i % 2 ? CHORD_KV_F16 : CHORD_KV_F32, 1, 8, 100);
        chord_session *s = open_session(t.l);
        float *out = t.got;
        for (int32_t k = 0; k < 100; k++)
            evaluate(t.l, s, t.p->sequence + k, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, &out);
        same_rows(&t, 0, 100, "token by token from", 0);
        chord_unload(t.l);
    }
}

/* Writes a copy of a fixture to `path`, with n_ctx as the context length that it was trained for. */
static void copy_with_context(const char *name, const char *path, uint32_t n_ctx)
{
    static char const key[] = "llama.context_length";
    size_t bytes;
    uint8_t *file = test_read_file(golden_path(name, ".gguf"), &bytes);
    uint8_t *at = file;
    while (memcmp(at, key, sizeof key - 1)) at++;
    for (int32_t i = 0; i < 4; i++)
        at[sizeof key - 1 + 4 + i] = (uint8_t)(n_ctx >> (8 * i)); /* after the type */
    FILE *out = fopen(path, "wb");
    CHECK(out && fwrite(file, 1, bytes, out) == bytes && fclose(out) == 0);
}

/* For a single token attention computes spans of 64 chunks, 4,096 positions, and joins each span to the one
 * before. */
TEST(a_token_after_more_than_4096_others_is_the_same_alone_and_in_a_prefill)
{
    enum { N = 4164 };
    chord_loaded *l = test_alloc(sizeof *l);
    chord_config config = chord_config_default();
    config.n_ctx = N;
    config.n_threads = 2;
    copy_with_context("f32-mha", "build/test/long-context.gguf", N);
    if (chord_load_file(l, "build/test/long-context.gguf", &config, 0, 0, NULL) < 0)
        test_fail(__FILE__, __LINE__, "%s", l->error);
    CHECK_EQ(remove("build/test/long-context.gguf"), 0);
    size_t const bytes = (size_t)chord_model_plan_of(l->model)->n_vocab * sizeof(float);
    float *want = test_alloc(2 * bytes), *end = want;
    int32_t ids[N];
    for (int32_t i = 0; i < N; i++) ids[i] = (int32_t)(test_random() % 290);
    chord_session *s = open_session(l);
    evaluate(l, s, ids, N - 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, &end);
    CHECK_EQ(chord_session_truncate(s, N - 3), N - 3);
    for (int32_t k = N - 3; k < N - 1; k++)
        end = want + bytes / sizeof *want,
        evaluate(l, s, ids + k, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, &end);
    CHECK(!memcmp(want, want + bytes / sizeof *want, bytes));
    chord_unload(l);
}

/* Evaluates all tokens in steps of the budgets that next() returns. Returns the number of steps. */
static int64_t run_in_steps(subject *t, uint64_t (*next)(void), const char *what)
{
    chord_session *s = open_session(t->l);
    CHECK_EQ(chord_session_outputs(s, CHORD_OUTPUT_ALL), CHORD_OK);
    CHECK_EQ(chord_session_push(s, t->p->sequence, t->n), CHORD_OK);
    float *out = t->got;
    int64_t n_steps = 0;
    for (;;) {
        uint64_t const budget = next();
        chord_status const status = chord_session_step(s, budget);
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        n_steps++;
        if (status == CHORD_NEED_MEMORY) {
            size_t const bytes = (size_t)state.wanted_bytes;
            CHECK_EQ(chord_model_give(t->l->model, chord_load_block(t->l, bytes), bytes), CHORD_OK);
            continue;
        }
        if (status != CHORD_DONE && status != CHORD_MORE)
            test_fail(__FILE__, __LINE__, "%s: status %d", t->g->name, status);
        if (status == CHORD_MORE) {
            CHECK(state.last_step_work > 0);
            continue;
        }
        for (int32_t r = 0; r < state.n_rows; r++, out += t->n_vocab)
            memcpy(out, chord_session_logits(s, r), (size_t)t->n_vocab * sizeof *out);
        if (state.n_past == state.n_tokens) break;
    }
    chord_session_close(s);
    same_rows(t, 0, t->n, what, n_steps);
    return n_steps;
}

static uint64_t one_unit(void) { return 0; }
static uint64_t random_budget(void) { return test_random() % (1u << (test_random() % 24)); }
static uint64_t unbounded(void) { return CHORD_NO_LIMIT; }

TEST(any_budget_gives_the_same_logits_with_one_two_and_three_threads)
{
    const char *names[GOLDEN_FILES];
    int32_t const n = golden_fixtures(names);
    for (int32_t i = 0; i < n; i++)
        for (int32_t threads = 1; threads <= (i % 4 == 1 ? 3 : 2); threads++) {
            int32_t const isa = (i + threads) % 4 ? CHORD_ISA_VECTOR : CHORD_ISA_SCALAR;
            subject t = make(names[i], isa, i % 2 ? CHORD_KV_F16 : CHORD_KV_F32, threads, 40, 70);
            int64_t const units = run_in_steps(&t, one_unit, "steps of one unit:");
            int64_t const steps = run_in_steps(&t, random_budget, "steps of random budgets:");
            int64_t const batches = run_in_steps(&t, unbounded, "unbounded steps:");
            CHECK(units > 500 && steps < units && batches < 8);
            chord_unload(t.l);
        }
}

TEST(a_step_spends_at_most_its_budget_or_one_unit)
{
    subject t = make("q4_1-smollm", CHORD_ISA_VECTOR, CHORD_KV_F16, 1, 70, 70);
    chord_session *s = open_session(t.l);
    CHECK_EQ(chord_session_push(s, t.p->sequence, 70), CHORD_OK);
    uint64_t const budget = 2000000;
    double work = 0;
    chord_session_state state;
    for (chord_status status = CHORD_MORE; status != CHORD_DONE;) {
        status = chord_session_step(s, budget);
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        if (status == CHORD_NEED_MEMORY)
            chord_model_give(t.l->model, chord_load_block(t.l, 1 << 20), 1 << 20);
        CHECK(state.last_step_work <= (double)budget);
        work += state.last_step_work;
        CHECK(state.work_done == work && state.batch_work_done <= state.batch_work);
    }
    CHECK(state.batch_work_done == state.batch_work && work > 10 * (double)budget);
    chord_unload(t.l);
}

TEST(forks_share_pages_and_continue_independently)
{
    for (int32_t i = 0; i < N_SOME; i++)        /* inside and at the end of pages 0 and 1, and after them */
        for (int32_t at = 30; at <= 65; at += 5) {
            int32_t const cut = at % 10 ? at == 35 ? 32 : at == 65 ? 64 : at : at;
            subject t = make(some[i], CHORD_ISA_VECTOR, CHORD_KV_F16, 1, 128, 80);
            chord_session *s = open_session(t.l);
            evaluate(t.l, s, t.p->sequence, cut, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            chord_session *copy = fork_session(t.l, s);
            CHECK_EQ(chord_session_match(copy, t.p->sequence, 70), cut);

            /* the copy gets other tokens, then the original continues: neither may see the other's tokens */
            int32_t other[70];
            memcpy(other, t.p->sequence, sizeof other);
            for (int32_t k = cut; k < 70; k++) other[k] = (other[k] + 7) % t.n_vocab;
            float *out = t.got;
            evaluate(t.l, copy, other + cut, 70 - cut, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
            float *want = all_logits(t.l, other, 70);
            same(t.got, want + cut * t.n_vocab, 70 - cut, t.n_vocab, "the fork's own tokens after", t.g->name,
                 cut);
            out = t.got;
            evaluate(t.l, s, t.p->sequence + cut, 70 - cut, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
            same_rows(&t, cut, 70 - cut, "the original's tokens after a fork at", cut);

            /* a fork that is truncated inside a page that it shares must not write to that page */
            chord_session *late = fork_session(t.l, s);
            CHECK_EQ(chord_session_truncate(late, cut / 2), cut / 2);
            evaluate(t.l, late, other + 20, 40, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            out = t.got;
            evaluate(t.l, s, t.p->sequence + 70, 10, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
            same_rows(&t, 70, 10, "the original after a truncated fork wrote, forked at", cut);

            chord_session_close(s);
            CHECK_EQ(chord_session_truncate(copy, cut), cut);
            out = t.got;
            evaluate(t.l, copy, t.p->sequence + cut, 70 - cut, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
            same_rows(&t, cut, 70 - cut, "the fork with the original's tokens, the original closed, after",
                      cut);
            chord_unload(t.l);
        }
}

TEST(a_truncated_session_continues_as_if_it_had_never_been_longer)
{
    subject t = make("mixed", CHORD_ISA_VECTOR, CHORD_KV_F32, 1, 128, 70);
    chord_session *s = open_session(t.l);
    int32_t other[70];
    for (int32_t k = 0; k < 70; k++) other[k] = (int32_t)(test_random() % (uint64_t)t.n_vocab);
    for (int32_t cut = 0; cut < 70; cut++) {
        chord_session_state state;
        CHECK_EQ(chord_session_truncate(s, cut), cut);
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        CHECK_EQ(state.n_tokens, cut);
        CHECK_EQ(state.n_pages, (cut + 31) / 32);
        float *out = t.got;
        evaluate(t.l, s, t.p->sequence + cut, 70 - cut, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
        same_rows(&t, cut, 70 - cut, "after a cut to", cut);
        /* write pages that the next round must not see */
        CHECK_EQ(chord_session_truncate(s, cut + 1), cut + 1);
        evaluate(t.l, s, other, 69 - cut, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    }
    CHECK_EQ(chord_session_truncate(s, 71), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_truncate(s, -1), CHORD_INVALID_ARGUMENT);
    chord_unload(t.l);
}

TEST(after_a_cancel_at_any_of_200_cursors_the_next_call_is_right)
{
    for (int32_t threads = 1; threads <= 2; threads++) {
        subject t = make("q4_1-smollm", CHORD_ISA_VECTOR, CHORD_KV_F16, threads, 33, 70);
        chord_session *s = open_session(t.l);
        /* all pages exist from here on */
        evaluate(t.l, s, t.p->sequence, 70, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        uint64_t const all_work = (uint64_t)state.work_done;
        int32_t ends[3] = { 0 };
        for (int32_t k = 0; k < 100;) {
            CHECK_EQ(chord_session_truncate(s, 0), 0);
            CHECK_EQ(chord_session_push(s, t.p->sequence, 70), CHORD_OK);
            chord_status const status = chord_session_step(s, test_random() % all_work);
            CHECK(status == CHORD_MORE);
            chord_session_cancel(s);
            CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_CANCELLED);
            CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
            CHECK(state.n_past == state.n_tokens && state.n_past % 33 == 0 && state.n_past < 70);
            ends[state.n_past / 33]++;
            float *out = t.got;
            evaluate(t.l, s, t.p->sequence + state.n_past, 70 - state.n_past, CHORD_OUTPUT_LAST,
                     CHORD_NO_LIMIT, &out);
            same_rows(&t, 69, 1, "cancelled at random cursor", k++);
        }
        if (!(ends[0] && ends[1] && ends[2]))
            test_fail(__FILE__, __LINE__, "%d, %d, %d cancels after 0, 1 and 2 batches", ends[0], ends[1],
                      ends[2]);
        chord_unload(t.l);
    }
}

TEST(a_key_or_value_that_is_not_finite_ends_the_step_and_names_the_layer)
{
    int32_t const kinds[] = { CHORD_KV_F16, CHORD_KV_F32, CHORD_KV_Q8_0 };
    for (int32_t i = 0; i < 3; i++) {
        chord_loaded *l = load_fixture("qwen3-f32", CHORD_ISA_VECTOR, kinds[i], 2, 16);
        const chord_plan *plan = chord_model_plan_of(l->model);
        for (int32_t t = 0; t < plan->n_tensors; t++) /* a value of layer 1 overflows */
            if (!strncmp(plan->tensors[t].name, "blk.1.attn_v.weight", 19))
                memcpy(plan->tensors[t].data, &(float){ __builtin_inff() }, 4);
        chord_session *s = open_session(l);
        int32_t const ids[] = { 5, 6, 7 };
        CHECK_EQ(chord_session_push(s, ids, 3), CHORD_OK);
        CHECK_EQ(chord_load_run(l, s, CHORD_NO_LIMIT), CHORD_INVALID_GGUF);
        char text[200];
        chord_last_error(l->model, text, sizeof text);
        CHECK_TEXT(text, "layer 1: a key or value isn't a finite number");
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        CHECK_EQ(state.n_tokens, 0);
        chord_session_close(s);
        chord_unload(l);
    }
}

/* Another thread cancels while a step runs. The step returns CANCELLED, or DONE if the flag is too late. */
typedef struct canceller {
    chord_session *s;
    int32_t microseconds, *stop;
} canceller;

static void *cancel_later(void *p)
{
    canceller const c = *(canceller *)p;
    for (int32_t i = 0; i < c.microseconds * 300 && !__atomic_load_n(c.stop, __ATOMIC_RELAXED); i++)
        __asm__ volatile("");
    chord_session_cancel(c.s);
    return NULL;
}

TEST(a_cancel_from_another_thread_ends_the_step_and_the_next_call_is_right)
{
    subject t = make("q4_0-spm", CHORD_ISA_VECTOR, CHORD_KV_F16, 2, 16, 70);
    chord_session *s = open_session(t.l);
    evaluate(t.l, s, t.p->sequence, 70, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    int32_t n_inside = 0; /* cancels that took effect after the first slice */
    for (int32_t k = 0; k < 60; k++) {
        CHECK_EQ(chord_session_truncate(s, 0), 0);
        CHECK_EQ(chord_session_push(s, t.p->sequence, 70), CHORD_OK);
        int32_t stop = 0;
        canceller c = { s, k * 20, &stop };
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, cancel_later, &c), 0);
        chord_status const status = chord_session_step(s, CHORD_NO_LIMIT);
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        CHECK(status == CHORD_CANCELLED || status == CHORD_DONE);
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        n_inside += status == CHORD_CANCELLED && state.last_step_work > 0;
        /* the flag stays set for the next step */
        if (status == CHORD_DONE) CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_CANCELLED);
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        CHECK_EQ(state.n_past, state.n_tokens);
        float *out = t.got;
        if (state.n_past == 70) CHECK_EQ(chord_session_truncate(s, state.n_past = 69), 69);
        evaluate(t.l, s, t.p->sequence + state.n_past, 70 - state.n_past, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT,
                 &out);
        same_rows(&t, 69, 1, "cancelled by another thread, round", k);
    }
    CHECK(n_inside > 0);
    chord_unload(t.l);
}
