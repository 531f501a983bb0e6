/* paged.h: helpers of the tests of paged models: a model with little memory beside the logits of a resident
 * one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_PAGED_H
#define CHORD_TESTS_PAGED_H
#include "engine_test.h"

/* Loads a model whose layers' matrices may take `resident` bytes. */
static inline chord_loaded *load_with(const char *path, int32_t kv_type, int32_t n_threads, int32_t n_batch,
                                      double resident, int32_t only_header)
{
    chord_loaded *l = test_alloc(sizeof *l);
    chord_config config = chord_config_default();
    config.kv_type = kv_type;
    config.n_threads = n_threads;
    config.n_batch = config.n_logits = n_batch;
    config.resident_bytes = resident;
    chord_status const status = chord_load_file(l, path, &config, 0, only_header, NULL);
    if (status < 0) test_fail(__FILE__, __LINE__, "%s: %s", path, l->error);
    return l;
}

static inline void same(const float *got, const float *want, int32_t rows, int32_t n_vocab, const char *name,
                        int32_t first)
{
    for (int32_t i = 0; i < rows * n_vocab; i++)
        if (memcmp(&got[i], &want[i], 4))
            test_fail(__FILE__, __LINE__, "%s: position %d, token %d is %.9g, want %.9g", name,
                      first + i / n_vocab, i % n_vocab, (double)got[i], (double)want[i]);
}

/* A model, a prompt and its logits of the resident model. */
typedef struct subject {
    const char *name;
    const int32_t *ids;
    int32_t n, n_vocab;
    float *want, *got;
    chord_loaded *l;              /* paged */
} subject;

/* Evaluates ids [from, to) and compares their logits. */
static inline void check_rows(subject *t, chord_session *s, int32_t from, int32_t to)
{
    float *out = t->got;
    evaluate(t->l, s, t->ids + from, to - from, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
    same(t->got, t->want + (size_t)from * (size_t)t->n_vocab, to - from, t->n_vocab, t->name, from);
}

/* Steps until a layer is missing, or by random budgets: the session is left anywhere. */
static inline chord_status step_somewhere(subject *t, chord_session *s)
{
    chord_status const status = chord_session_step(s, test_random() % 400000);
    if (status != CHORD_NEED_MEMORY) return status;
    chord_session_state state;
    CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
    size_t const bytes = (size_t)state.wanted_bytes;
    CHECK_EQ(chord_model_give(t->l->model, chord_load_block(t->l, bytes), bytes), CHORD_OK);
    return status;
}

#endif
