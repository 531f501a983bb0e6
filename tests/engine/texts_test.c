/* texts_test.c: sessions of texts, over decoders: many texts a batch, long ones in several, and what is
 * refused. tests/families compares encoders with llama.cpp. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"
#include <math.h>

enum { CAP = 4096 };

static void check_error(const chord_loaded *l, const char *part)
{
    char text[330];
    chord_last_error(l->model, text, sizeof text);
    CHECK_TEXT(text, part);
}

static chord_session *open_texts(chord_loaded *l, int32_t pooling)
{
    size_t const bytes = chord_session_bytes(l->model);
    chord_session *s = chord_session_open(l->model, chord_load_block(l, bytes), bytes);
    CHECK(s != NULL);
    CHECK_EQ(chord_session_embed(s, pooling), CHORD_OK);
    return s;
}

/* Steps until the batch of texts is computed, `budget` at a time. */
static void finish(chord_loaded *l, chord_session *s, uint64_t budget)
{
    for (chord_status st; (st = chord_session_step(s, budget)) != CHORD_DONE;) {
        if (st == CHORD_MORE) continue;
        CHECK_EQ(st, CHORD_NEED_MEMORY);
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        CHECK_EQ(chord_model_give(l->model, chord_load_block(l, (size_t)state.wanted_bytes),
                                  (size_t)state.wanted_bytes),
                 CHORD_OK);
    }
}

static const int32_t *tokens(const char *name)
{
    const golden *g = golden_read(name);
    return g->prompts[g->n_prompts - 1].sequence;
}

static int32_t width_of(const chord_loaded *l)
{
    chord_model_info info;
    CHECK_EQ(chord_model_get_info(l->model, &info), CHORD_OK);
    CHECK(info.is_encoder == 0 && info.pooling == CHORD_POOLING_LAST && info.n_labels == 0);
    return info.n_embd;
}

/* The float64 interpreter's embeddings of one text. */
static double *interpret(const chord_loaded *l, const int32_t *ids, int32_t n, int32_t pooling, int32_t width)
{
    chord_batch const batch = { .n_tokens = n,
                                .ids = ids,
                                .is_texts = 1,
                                .pooling = pooling,
                                .n_outputs = pooling == CHORD_POOLING_NONE ? n : 1 };
    double *rows = test_alloc((size_t)n * (size_t)width * sizeof *rows);
    CHECK(reference_outputs(l->model, &batch, 0, rows));
    return rows;
}

/* Checks rows of an F32 model: relative to the length of a row they err by what its products round, far
 * below 1e-4; another row, or a mean over other rows, differs by 0.1 and more. */
static void check_rows(const float *got, const double *want, int32_t n, int32_t width)
{
    double error = 0, power = 0;
    for (int32_t i = 0; i < n * width; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        power += want[i] * want[i];
    }
    CHECK(power > 0 && error / power < 1e-8);
}

static void check_poolings(const char *name)
{
    static const int32_t lengths[5] = { 3, 40, 1, 32, 20 };
    const int32_t *ids = tokens(name);
    chord_loaded *l = load_fixture(name, CHORD_ISA_BEST, CHORD_KV_F32, 1, 100);
    int32_t const width = width_of(l);
    static float kept[CAP];
    for (int32_t pooling = CHORD_POOLING_NONE; pooling <= CHORD_POOLING_LAST; pooling++) {
        chord_session *s = open_texts(l, pooling);
        for (int32_t i = 0; i < 5; i++) CHECK_EQ(chord_session_push(s, ids + 2 * i, lengths[i]), CHORD_OK);
        finish(l, s, 100000);
        for (int32_t i = 0, row = 0; i < 5; i++) {
            int32_t const n = pooling == CHORD_POOLING_NONE ? lengths[i] : 1;
            CHECK(n * width <= CAP);
            for (int32_t r = 0; r < n; r++)
                memcpy(kept + r * width, chord_session_embedding(s, row++), (size_t)width * sizeof *kept);
            check_rows(kept, interpret(l, ids + 2 * i, lengths[i], pooling, width), n, width);
        }
        CHECK(!chord_session_logits(s, 0));
        chord_session_close(s);
    }
}
TEST(each_pooling_of_a_batch_of_texts_is_the_interpreters) { check_poolings("qwen3-f32"); }
TEST(each_pooling_of_a_batch_of_texts_is_the_interpreters_with_windows) { check_poolings("gemma3-f32"); }

/* A text of 70 tokens in batches of 16, and in one. */
static void check_long(const char *name)
{
    const int32_t *ids = tokens(name);
    chord_loaded *whole = load_fixture(name, CHORD_ISA_BEST, CHORD_KV_F16, 1, 128),
                 *parts = load_fixture(name, CHORD_ISA_BEST, CHORD_KV_F16, 1, 16);
    chord_session *a = open_texts(whole, CHORD_POOLING_LAST), *b = open_texts(parts, CHORD_POOLING_LAST);
    size_t const bytes = (size_t)width_of(whole) * sizeof(float);
    for (int32_t round = 0; round < 2; round++) { /* the second one finds the pages of the first */
        CHECK_EQ(chord_session_push(a, ids + 3, 9), CHORD_OK);
        CHECK_EQ(chord_session_push(a, ids, 70), CHORD_OK);
        finish(whole, a, CHORD_NO_LIMIT);
        CHECK_EQ(chord_session_push(b, ids, 70), CHORD_OK);
        CHECK_EQ(chord_session_push(b, ids + 3, 9), CHORD_MORE);
        finish(parts, b, round ? 1 : CHORD_NO_LIMIT);
        CHECK(!chord_session_embedding(b, 1));
        CHECK(!memcmp(chord_session_embedding(a, 1), chord_session_embedding(b, 0), bytes));
        CHECK_EQ(chord_session_push(b, ids + 3, 9), CHORD_OK);
        finish(parts, b, CHORD_NO_LIMIT);
        CHECK(!memcmp(chord_session_embedding(b, 0), chord_session_embedding(b, 0), bytes));
    }
    chord_session_close(b);
    b = open_texts(parts, CHORD_POOLING_MEAN);
    CHECK_EQ(chord_session_push(b, ids, 17), CHORD_CONTEXT_FULL);
    check_error(parts, "a text of 17 tokens; with this pooling a text has at most 16");
}
TEST(a_text_longer_than_a_batch_takes_several_with_the_same_bits) { check_long("f16-d64"); }

TEST(a_batch_of_texts_is_full_at_its_tokens_and_at_the_contexts_pages)
{
    const int32_t *ids = tokens("qwen3-f32");
    chord_loaded *l = load_fixture("qwen3-f32", CHORD_ISA_BEST, CHORD_KV_F32, 1, 64);
    chord_session *s = open_texts(l, CHORD_POOLING_MEAN);
    CHECK_EQ(chord_session_push(s, ids, 60), CHORD_OK);
    CHECK_EQ(chord_session_push(s, ids, 5), CHORD_MORE);
    CHECK_EQ(chord_session_push(s, ids, 4), CHORD_OK);
    CHECK_EQ(chord_session_push(s, ids, 1), CHORD_MORE);
    CHECK_EQ(chord_session_truncate(s, 0), 0);
    int32_t n = 0;
    while (chord_session_push(s, ids, 1) == CHORD_OK) n++;
    CHECK_EQ(n, (chord_model_plan_of(l->model)->n_ctx + 31) / 32 < 64
                    ? (chord_model_plan_of(l->model)->n_ctx + 31) / 32
                    : 64);
    finish(l, s, CHORD_NO_LIMIT);
    CHECK(chord_session_embedding(s, n - 1) && !chord_session_embedding(s, n));
}

TEST(a_session_of_texts_refuses_what_continues_a_text)
{
    const int32_t *ids = tokens("qwen3-f32");
    chord_loaded *l = load_fixture("qwen3-f32", CHORD_ISA_BEST, CHORD_KV_F32, 1, 64);
    chord_session *s = open_texts(l, CHORD_POOLING_MEAN);
    chord_session *fork;
    float row[256];
    uint8_t save[64];
    CHECK_EQ(chord_session_push(s, ids, 0), CHORD_INVALID_ARGUMENT);
    check_error(l, "a text without tokens");
    CHECK_EQ(chord_session_push_embeddings(s, row, NULL, 1), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_save(s, 0, save, sizeof save), CHORD_INVALID_ARGUMENT);
    size_t const bytes = chord_session_bytes(l->model);
    CHECK_EQ(chord_session_fork(s, chord_load_block(l, bytes), bytes, &fork), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_push(s, ids, 5), CHORD_OK);
    CHECK_EQ(chord_session_embed(s, CHORD_POOLING_LAST), CHORD_INVALID_ARGUMENT);
    chord_session_cancel(s);
    CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_CANCELLED);
    CHECK_EQ(chord_session_embed(s, CHORD_POOLING_RANK), CHORD_INVALID_ARGUMENT);
    check_error(l, "no classifier");
    CHECK_EQ(chord_session_embed(s, 5), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_session_embed(s, -1), CHORD_OK);
    CHECK_EQ(chord_session_push(s, ids, 5), CHORD_OK);
    finish(l, s, CHORD_NO_LIMIT);
    CHECK(chord_session_logits(s, 0) && !chord_session_embedding(s, 0));
}

TEST(another_executor_is_told_the_runs_of_texts_and_hands_over_embeddings)
{
    const int32_t *ids = tokens("qwen3-f32");
    chord_loaded *l = load_fixture("qwen3-f32", CHORD_ISA_BEST, CHORD_KV_F32, 1, 64);
    int32_t const width = width_of(l);
    chord_session *s = open_texts(l, CHORD_POOLING_MEAN);
    CHECK_EQ(chord_session_push(s, ids, 5), CHORD_OK);
    CHECK_EQ(chord_session_push(s, ids + 5, 3), CHORD_OK);
    chord_batch_info info;
    for (chord_session_state state; chord_session_next_batch(s, &info) == CHORD_NEED_MEMORY;) {
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        CHECK_EQ(chord_model_give(l->model, chord_load_block(l, (size_t)state.wanted_bytes),
                                  (size_t)state.wanted_bytes),
                 CHORD_OK);
    }
    CHECK(info.pooling == CHORD_POOLING_MEAN && info.n_runs == 2 && info.n_tokens == 8 &&
          info.n_outputs == 2);
    CHECK(info.n_width == width && info.first_pos == 0);
    const uint8_t *const runs = (const uint8_t *)(uintptr_t)info.runs;
    const int32_t *const second = (const int32_t *)(const void *)(runs + info.run_bytes);
    CHECK(second[0] == 5 && second[1] == 3);
    for (int32_t i = 0; i < 2; i++) ((float *)(uintptr_t)info.outputs)[i * info.stride] = (float)(7 + i);
    CHECK_EQ(chord_session_accept_batch(s), CHORD_OK);
    CHECK(chord_session_embedding(s, 0)[0] == 7 && chord_session_embedding(s, 1)[0] == 8);
    CHECK_EQ(chord_session_next_batch(s, &info), CHORD_DONE);
}
