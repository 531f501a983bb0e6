/* paging_test.c: a model whose layers are read again for each batch has the bits of a resident one,
 * whatever reads them: the step's own thread or a loader's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"

/* Loads a fixture with the least memory: everything is paged that can be. `slots` 2: a ring of two. */
static chord_loaded *load_paged(const char *name, int32_t kv_type, int32_t n_threads, int32_t n_batch,
                                int32_t slots)
{
    chord_loaded *l = test_alloc(sizeof *l);
    chord_config config = chord_config_default();
    config.kv_type = kv_type;
    config.n_threads = n_threads;
    config.n_batch = config.n_logits = n_batch;
    config.resident_bytes = 1;
    if (slots > 1) {
        CHECK(chord_load_file(l, golden_path(name, ".gguf"), &config, 0, 1, NULL) >= 0);
        config.resident_bytes = slots * l->plan.ring_bytes;
        chord_unload(l);
    }
    chord_status const status = chord_load_file(l, golden_path(name, ".gguf"), &config, 0, 0, NULL);
    if (status < 0) test_fail(__FILE__, __LINE__, "%s: %s", name, l->error);
    return l;
}

static void same(const float *got, const float *want, int32_t rows, int32_t n_vocab, const char *name,
                 int32_t first)
{
    for (int32_t i = 0; i < rows * n_vocab; i++)
        if (memcmp(&got[i], &want[i], 4))
            test_fail(__FILE__, __LINE__, "%s: position %d, token %d is %.9g, want %.9g", name,
                      first + i / n_vocab, i % n_vocab, (double)got[i], (double)want[i]);
}

static void compare(const char *name, int32_t kv_type, int32_t n_threads, bool has_loader)
{
    golden *g = golden_read(name);
    const golden_prompt *p = &g->prompts[g->n_prompts - 1];
    int32_t const n = 40;
    chord_loaded *l = load_fixture(name, CHORD_ISA_VECTOR, kv_type, 1, 128);
    float *want = all_logits(l, p->sequence, n);
    chord_unload(l);
    l = load_paged(name, kv_type, n_threads, 16, 1);
    chord_model_info info;
    CHECK_EQ(chord_model_get_info(l->model, &info), CHORD_OK);
    if (info.n_layer == 1) return chord_unload(l); /* one layer is its own ring */
    if (l->plan.n_paged != info.n_layer || l->plan.n_ring != 1 || !l->reader)
        test_fail(__FILE__, __LINE__, "%s: %d layers are paged through %d slots", name, l->plan.n_paged,
                  l->plan.n_ring);
    if (!has_loader) chord_reader_stop(l->reader);
    float *got = all_logits(l, p->sequence, n); /* three batches */
    same(got, want, n, g->n_vocab, name, 0);
    chord_session *s = open_session(l);
    for (int32_t i = 0; i < n; i++) { /* token by token */
        float *out = got;
        evaluate(l, s, p->sequence + i, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, &out);
        same(got, want + (size_t)i * (size_t)g->n_vocab, 1, g->n_vocab, name, i);
    }
    chord_unload(l);
}

TEST(a_paged_model_has_the_logits_of_a_resident_one)
{
    static const int32_t kv[] = { CHORD_KV_F16, CHORD_KV_F32, CHORD_KV_F16 };
    const char *names[GOLDEN_FILES];
    int32_t const n = golden_fixtures(names);
    for (int32_t i = 0; i < n; i++) compare(names[i], kv[i % 3], 1 + i % 2, i % 3 != 0);
}
