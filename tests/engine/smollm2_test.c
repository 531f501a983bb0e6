/* smollm2_test.c: a real model, fed with exact's greedy tokens and compared with llama.cpp (tests/golden).
 * With a sanitizer it runs two prompts of 16 tokens. A build without one runs all prompts, as
 * tests/ts/smollm2.test.mjs does in wasm. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"
#include <math.h>

#define MODEL "models/SmolLM2-135M-Instruct.Q4_1.gguf"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHORT 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SHORT 1
#endif
#ifdef SHORT
enum { PROMPTS = 2, STEPS = 16 };
#else
enum { PROMPTS = 10, STEPS = GOLDEN_STEPS };
#endif

typedef struct outcome {
    int32_t n_differ, n_equal;    /* steps whose argmax isn't exact's; texts that are equal to the end */
    double worst_regret, error, power;
} outcome;

/* Judges the logits that predict step k of prompt i. */
static void judge(outcome *o, const golden *g, int32_t i, int32_t k, const float *logits, int32_t *is_same,
                  const char *way)
{
    const golden_prompt *p = &g->prompts[i];
    int32_t const token = golden_argmax(logits, g->n_vocab);
    double const regret = golden_step_regret(g, i, k, token);
    o->worst_regret = fmax(o->worst_regret, regret);
    if (token != p->greedy[k]) {
        /* the first difference: here a text of the session's own greedy tokens would leave exact's */
        if (*is_same && p->margins[k] > g->regret)
            test_fail(__FILE__, __LINE__, "%s, prompt %d, step %d: %d, want %d, which leads by %.3f", way, i,
                      k, token, p->greedy[k], p->margins[k]);
        *is_same = 0;
        o->n_differ++;
    }
    if (!(regret <= g->regret))
        test_fail(__FILE__, __LINE__, "%s, prompt %d, step %d: regret %.3f, tolerance %.3f", way, i, k,
                  regret, g->regret);
    if (k % g->every) return;
    int32_t n;
    const float *exact = golden_sample(g, i, k, &n);
    for (int32_t j = 0; j < n; j++) {
        double const d = (double)logits[j * g->stride] - (double)exact[j];
        o->error += d * d;
        o->power += (double)exact[j] * (double)exact[j];
    }
}

static void finish(const outcome *o, const golden *g, int32_t native, const char *way)
{
    double const nmse = o->error / o->power;
    printf(
        "  SmolLM2, %s: %d of %d steps differ (llama.cpp natively %d of 640), regret at most %.3f (tolerance %.3f), NMSE %.1e (%.1e), %d of %d texts equal to the end\n",
        way, o->n_differ, PROMPTS * STEPS, native, o->worst_regret, g->regret, nmse, g->nmse, o->n_equal,
        PROMPTS);
    /* the NMSE of a few rows varies much: in a tenth of the rows it is five times the mean */
    if (PROMPTS == 10 && !(nmse <= g->nmse))
        test_fail(__FILE__, __LINE__, "%s: NMSE %.2e, tolerance %.1e", way, nmse, g->nmse);
    if (o->n_differ > 2 * native)
        test_fail(__FILE__, __LINE__, "%s: %d steps differ, twice llama.cpp's are %d", way, o->n_differ,
                  2 * native);
}

static chord_loaded *load_smollm2(int32_t isa, const golden *g)
{
    FILE *f = fopen(MODEL, "rb");
    if (!f) SKIP("no " MODEL ": run `make model`");
    fclose(f);
    chord_loaded *l = test_alloc(sizeof *l);
    chord_config config = chord_config_default();
    config.isa = isa;
    config.n_ctx = 320;
    if (chord_load_file(l, MODEL, &config, 0, 0, NULL) < 0) test_fail(__FILE__, __LINE__, "%s", l->error);
    CHECK_EQ(chord_model_plan_of(l->model)->n_vocab, g->n_vocab);
    return l;
}

TEST(smollm2_prompts_have_llama_cpp_s_tokens)
{
    const golden *g = golden_read("smollm2");
    chord_loaded *l = load_smollm2(CHORD_ISA_BEST, g);
    CHECK_EQ(g->n_prompts, 10);
    for (int32_t i = 0; i < g->n_prompts; i++) {
        const golden_prompt *p = &g->prompts[i];
        int32_t ids[512];
        size_t const bytes = chord_tokenize_bytes(l->model, p->n_text);
        int32_t const n = chord_tokenize(l->model, p->text, p->n_text,
                                         CHORD_ADD_SPECIAL | CHORD_PARSE_SPECIAL, ids, 512, test_alloc(bytes),
                                         bytes);
        CHECK_EQ(n, p->n);
        CHECK(!memcmp(ids, p->ids, (size_t)n * sizeof *ids));
    }
    chord_unload(l);
}

/* In the small fixtures attention needs more scratch than any product, so they don't show this. */
TEST(each_thread_has_scratch_for_smollm2_s_panels)
{
    const golden *g = golden_read("smollm2");
    chord_loaded *l = load_smollm2(CHORD_ISA_BEST, g);
    const chord_plan *plan = chord_model_plan_of(l->model);
    for (int32_t k = 0; k < plan->program.n_ops; k++) {
        const chord_op *op = &plan->program.ops[k];
        if (op->kind == CHORD_OP_MATMUL)
            CHECK(plan->thread_scratch_bytes >= chord_panel_bytes(op->matmul.n_in));
    }
    chord_unload(l);
}

TEST(smollm2_fed_with_exact_s_tokens_as_one_prefill_prefers_as_good_tokens)
{
    const golden *g = golden_read("smollm2");
    chord_loaded *l = load_smollm2(CHORD_ISA_VECTOR, g);
    outcome o = { 0 };
    for (int32_t i = 0; i < PROMPTS; i++) {
        const golden_prompt *p = &g->prompts[i];
        int32_t const n = p->n + STEPS - 1;
        float *logits = malloc((size_t)n * (size_t)g->n_vocab * sizeof *logits), *out = logits;
        chord_session *s = open_session(l);
        evaluate(l, s, p->sequence, n, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
        chord_session_close(s);
        int32_t is_same = 1;
        for (int32_t k = 0; k < STEPS; k++)
            judge(&o, g, i, k, logits + (size_t)(p->n - 1 + k) * (size_t)g->n_vocab, &is_same, "one prefill");
        o.n_equal += is_same;
        free(logits);
    }
    finish(&o, g, g->native_prefill, "one prefill");
    chord_unload(l);
}

TEST(smollm2_fed_with_exact_s_tokens_one_by_one_prefers_as_good_tokens)
{
    const golden *g = golden_read("smollm2");
    chord_loaded *l = load_smollm2(CHORD_ISA_VECTOR, g);
    outcome o = { 0 };
    for (int32_t i = 0; i < PROMPTS; i++) {
        const golden_prompt *p = &g->prompts[i];
        chord_session *s = open_session(l);
        evaluate(l, s, p->ids, p->n, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
        int32_t is_same = 1;
        for (int32_t k = 0; k < STEPS; k++) {
            judge(&o, g, i, k, chord_session_logits(s, 0), &is_same, "one by one");
            if (k + 1 < STEPS) evaluate(l, s, &p->greedy[k], 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
        }
        o.n_equal += is_same;
        chord_session_close(s);
    }
    finish(&o, g, g->native_steps, "one by one");
    chord_unload(l);
}
