/* engine_test.h: helpers of the engine's tests: load a fixture, evaluate a sequence, fork a session. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_ENGINE_TEST_H
#define CHORD_TESTS_ENGINE_TEST_H
#include "../harness/test.h"
#include "../reference/golden.h"
#include "../reference/interpreter.h"
#include "../../src/host/native/load.h"

/* Loads tests/golden/NAME.gguf. The test fails if it doesn't load. */
static inline chord_loaded *load_fixture(const char *name, int32_t isa, int32_t kv_type, int32_t n_threads,
                                         int32_t n_batch)
{
    chord_loaded *l = test_alloc(sizeof *l);
    chord_config config = chord_config_default();
    config.isa = isa;
    config.kv_type = kv_type;
    config.n_threads = n_threads;
    config.n_batch = config.n_logits = n_batch;
    chord_status const status = chord_load_file(l, golden_path(name, ".gguf"), &config, 0, 0, NULL);
    if (status < 0) test_fail(__FILE__, __LINE__, "%s: %s", name, l->error);
    return l;
}

/* Pushes ids and evaluates them in steps of `budget`. Writes the logits of all ids or of the last one
 * (`outputs`) to *out and moves *out past them. out NULL: the logits aren't needed. */
static inline void evaluate(chord_loaded *l, chord_session *s, const int32_t *ids, int32_t n, int32_t outputs,
                            uint64_t budget, float **out)
{
    CHECK_EQ(chord_session_outputs(s, outputs), CHORD_OK);
    CHECK_EQ(chord_session_push(s, ids, n), CHORD_OK);
    size_t const n_vocab = (size_t)chord_model_plan_of(l->model)->n_vocab;
    for (chord_session_state state;;) {
        CHECK_EQ(chord_load_run(l, s, budget), CHORD_DONE);
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        for (int32_t r = 0; out && r < state.n_rows; r++, *out += n_vocab)
            memcpy(*out, chord_session_logits(s, r), n_vocab * sizeof **out);
        if (state.n_past == state.n_tokens) return;
    }
}

static inline chord_session *open_session(chord_loaded *l)
{
    chord_session *s = chord_load_session(l);
    CHECK(s != NULL);
    return s;
}

/* Forks a session and gives the pages that the fork needs. */
static inline chord_session *fork_session(chord_loaded *l, chord_session *s)
{
    size_t const bytes = chord_session_bytes(l->model);
    void *block = chord_load_block(l, bytes);
    chord_session *copy = NULL;
    chord_status status;
    while ((status = chord_session_fork(s, block, bytes, &copy)) == CHORD_NEED_MEMORY) {
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        CHECK(state.wanted_bytes > 0);
        CHECK_EQ(chord_model_give(l->model, chord_load_block(l, (size_t)state.wanted_bytes),
                                  (size_t)state.wanted_bytes),
                 CHORD_OK);
    }
    CHECK_EQ(status, CHORD_OK);
    return copy;
}

/* Returns the logits of all ids of a sequence, evaluated in one go. */
static inline float *all_logits(chord_loaded *l, const int32_t *ids, int32_t n)
{
    float *logits = test_alloc((size_t)n * (size_t)chord_model_plan_of(l->model)->n_vocab * sizeof *logits),
          *out = logits;
    chord_session *s = open_session(l);
    evaluate(l, s, ids, n, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
    chord_session_close(s);
    return logits;
}

#endif
