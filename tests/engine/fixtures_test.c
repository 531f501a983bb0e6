/* fixtures_test.c: the fixtures of tests/golden against llama.cpp, and against the float64 interpreter. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_test.h"
#include <math.h>

static const char *const isa_names[] = { "best", "scalar", "vector", "relaxed" };

static int32_t fixtures(const char *names[GOLDEN_FILES])
{
    int32_t const n = golden_fixtures(names);
    CHECK(n >= 20);
    return n;
}

/* ---- llama.cpp ---------------------------------------------------------------------------------------- */

static void compare_logits(const golden *g, int32_t isa, int32_t kv_type)
{
    chord_loaded *l = load_fixture(g->name, isa, kv_type, 1, 128);
    golden_score score = { 0 };
    size_t const n_vocab = (size_t)g->n_vocab;
    CHECK_EQ(chord_model_plan_of(l->model)->n_vocab, g->n_vocab);
    for (int32_t i = 0; i < g->n_prompts; i++) {
        const golden_prompt *p = &g->prompts[i];
        const float *logits = all_logits(l, p->sequence, p->n_sequence);
        for (int32_t r = 0; r < p->n_rows; r++)
            golden_add(&score, logits + (size_t)p->rows[r] * n_vocab, p->logits + (size_t)r * n_vocab,
                       g->n_vocab);
    }
    double const nmse = golden_nmse(&score), median = golden_median(&score);
    int const is_q8 = kv_type == CHORD_KV_Q8_0;
    double const most = is_q8 ? g->kv8_nmse : g->nmse, most_median = is_q8 ? g->kv8_median : g->median;
    double const most_regret = is_q8 ? g->kv8_regret : g->regret;
    if (!(nmse <= most && median <= most_median && score.worst_regret <= most_regret))
        test_fail(__FILE__, __LINE__,
                  "%s, %s, KV %d: NMSE %.2e (tolerance %.1e), median %.2e (%.1e), regret %.3f (%.3f)",
                  g->name, isa_names[isa], kv_type, nmse, most, median, most_median, score.worst_regret,
                  most_regret);
    if (is_q8) printf("  %s, %s: KV q8_0, NMSE %.1e of %.1e\n", g->name, isa_names[isa], nmse, most);
    chord_unload(l);
}

static void compare_all_logits(int32_t isa)
{
    const char *names[GOLDEN_FILES];
    int32_t const n = fixtures(names);
    for (int32_t i = 0; i < n; i++) {
        const golden *g = golden_read(names[i]);
        compare_logits(g, isa, CHORD_KV_F16);
        compare_logits(g, isa, CHORD_KV_F32);
        if (g->kv8_nmse > 0) compare_logits(g, isa, CHORD_KV_Q8_0);
    }
}

TEST(logits_of_every_fixture_are_llama_cpp_s_in_scalar_bodies) { compare_all_logits(CHORD_ISA_SCALAR); }
TEST(logits_of_every_fixture_are_llama_cpp_s_in_vector_bodies) { compare_all_logits(CHORD_ISA_VECTOR); }

/* The session continues with its own greedy tokens. They must be exact's, up to the first token whose lead
 * over the second-best is within the noise. */
static void compare_greedy(const golden *g, int32_t isa)
{
    chord_loaded *l = load_fixture(g->name, isa, CHORD_KV_F16, 1, 128);
    chord_sampling const greedy = { .version = CHORD_ABI_VERSION,
                                    .size = (int32_t)sizeof greedy,
                                    .top_p = 1,
                                    .typical_p = 1,
                                    .repetition_penalty = 1 };
    for (int32_t i = 0; i < g->n_prompts; i++) {
        const golden_prompt *p = &g->prompts[i];
        chord_session *s = open_session(l);
        evaluate(l, s, p->ids, p->n, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
        for (int32_t k = 0; k < p->n_greedy; k++) {
            int32_t const token = chord_session_sample(s, &greedy);
            if (token != p->greedy[k]) {
                if (p->margins[k] <= g->regret) break;
                test_fail(__FILE__, __LINE__,
                          "%s, %s, prompt of %d: token %d is %d, want %d, which leads by %.3f (noise %.3f)",
                          g->name, isa_names[isa], p->n, k, token, p->greedy[k], p->margins[k], g->regret);
            }
            if (k + 1 < p->n_greedy) evaluate(l, s, &token, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
        }
        chord_session_close(s);
    }
    chord_unload(l);
}

TEST(greedy_tokens_of_every_fixture_are_llama_cpp_s_while_their_lead_allows)
{
    const char *names[GOLDEN_FILES];
    int32_t const n = fixtures(names);
    for (int32_t i = 0; i < n; i++) {
        const golden *g = golden_read(names[i]);
        compare_greedy(g, CHORD_ISA_SCALAR);
        compare_greedy(g, CHORD_ISA_VECTOR);
    }
}

TEST(texts_have_llama_cpp_s_tokens_and_ends_in_every_fixture)
{
    const char *names[GOLDEN_FILES];
    int32_t const n = fixtures(names);
    for (int32_t i = 0; i < n; i++) {
        const golden *g = golden_read(names[i]);
        chord_loaded *l = load_fixture(g->name, CHORD_ISA_BEST, CHORD_KV_F16, 1, 1);
        for (int32_t k = 0; k < g->n_texts; k++) {
            const golden_text *t = &g->texts[k];
            int32_t ids[512];
            size_t const bytes = chord_tokenize_bytes(l->model, t->n_text);
            void *scratch = malloc(bytes);
            int32_t const got = chord_tokenize(l->model, t->text, t->n_text, t->flags, ids, 512, scratch,
                                               bytes);
            free(scratch);
            int32_t at = 0;
            while (at < got && at < t->n_ids && ids[at] == t->ids[at]) at++;
            if (got != t->n_ids || at != got)
                test_fail(__FILE__, __LINE__,
                          "%s, flags %d, \"%s\": %d tokens, want %d; the first that differs is %d", g->name,
                          t->flags, t->text, got, t->n_ids, at);
        }
        for (int32_t id = 0, k = 0; id < g->n_vocab; id++) {
            int const is_end = k < g->n_ends && g->ends[k] == id;
            k += is_end;
            if (is_end != ((chord_token_flags(l->model, id) & CHORD_TOKEN_EOG) != 0))
                test_fail(__FILE__, __LINE__, "%s: token %d ends a generation: want %d", g->name, id, is_end);
        }
        chord_unload(l);
    }
}

/* ---- the interpreter ---------------------------------------------------------------------------------- */

static double *interpret(chord_loaded *l, const golden_prompt *p, int flags)
{
    double *logits = test_alloc((size_t)p->n_rows * (size_t)chord_model_plan_of(l->model)->n_vocab *
                                sizeof *logits);
    CHECK(reference_logits(l->model, p->sequence, p->n_sequence, p->rows, p->n_rows, flags, logits));
    return logits;
}

static int has_gelu(const chord_program *p)
{
    for (int32_t i = 0; i < p->n_ops; i++)
        if (p->ops[i].kind == CHORD_OP_GLU && p->ops[i].glu.activation == CHORD_ACTIVATION_GELU) return 1;
    return 0;
}

/* Exact's F32 sums have a noise of 5e-13. The errors of its angles, which are F32 products, add up to
 * 2e-11 per row. Its GELU rounds to f16, which costs 4e-8; REFERENCE_GELU_F16 makes the interpreter round
 * too. Ties remain: two sums that differ by 5e-7 round to different f16 once in a thousand times (f16 are
 * 2^-11 apart). Most rows of seven layers have such a tie, which costs up to 2e-9. (Exact one by one
 * differs from exact by 3e-10 over all rows.) */
TEST(interpreter_agrees_with_exact_llama_cpp_within_1e_10_and_5e_9_with_gelu)
{
    const char *names[GOLDEN_FILES];
    int32_t const n = fixtures(names);
    for (int32_t i = 0; i < n; i++) {
        const golden *g = golden_read(names[i]);
        chord_loaded *l = load_fixture(g->name, CHORD_ISA_BEST, CHORD_KV_F32, 1, 1);
        double const bound = has_gelu(&chord_model_plan_of(l->model)->program) ? 5e-9 : 1e-10;
        for (int32_t k = 0; k < g->n_prompts; k++) {
            const golden_prompt *p = &g->prompts[k];
            const double *logits = interpret(l, p, REFERENCE_GELU_F16);
            double error = 0, power = 0;
            for (int32_t j = 0; j < p->n_rows * g->n_vocab; j++) {
                double const exact = (double)p->logits[j], d = logits[j] - exact;
                error += d * d;
                power += exact * exact;
            }
            if (!(error <= bound * power))
                test_fail(__FILE__, __LINE__, "%s, prompt of %d: NMSE %.2e", g->name, p->n, error / power);
        }
        chord_unload(l);
    }
}

/* Returns the NMSE that float32 may cause. A sequential sum of n terms has a relative variance of at most n
 * roundings of eps = 2^-24. The terms of all sums that a logit depends on add up. */
static double float_noise(const chord_plan *plan, int32_t n_tokens)
{
    double terms = 0;
    for (int32_t i = 0; i < plan->program.n_ops; i++) {
        const chord_op *op = &plan->program.ops[i];
        if (op->kind == CHORD_OP_MATMUL) terms += op->matmul.n_in;
        if (op->kind == CHORD_OP_NORM) terms += op->norm.width;
        if (op->kind == CHORD_OP_HEAD_NORM) terms += op->head_norm.head_dim;
        if (op->kind == CHORD_OP_ATTEND) terms += op->attend.k_dim + n_tokens;
    }
    return terms * 0x1p-48;
}

/* With float matrices and an F32 KV cache only float sums differ. Otherwise the interpreter rounds to the
 * same f16 or q8 values, except for ties that float noise decides. The error of these ties is at most that
 * of the rounding itself, which is a third of the tolerance (tests/golden: three times llama.cpp's). */
static void compare_with_interpreter(const golden *g, int32_t isa, int32_t kv_type,
                                     const double *wants[GOLDEN_PROMPTS])
{
    chord_loaded *l = load_fixture(g->name, isa, kv_type, 1, 128);
    const chord_plan *plan = chord_model_plan_of(l->model);
    int is_float = kv_type == CHORD_KV_F32;
    for (int32_t i = 0; i < plan->n_tensors; i++)
        is_float &= chord_format_of(plan->tensors[i].type)->act == CHORD_ACT_F32;
    int const flags = REFERENCE_ACT_Q8 | (kv_type == CHORD_KV_F16 ? REFERENCE_KV_F16 : 0);
    for (int32_t k = 0; k < g->n_prompts; k += 2) {
        const golden_prompt *p = &g->prompts[k];
        /* the same for all bodies */
        const double *want = wants[k] ? wants[k] : (wants[k] = interpret(l, p, flags));
        const float *got = all_logits(l, p->sequence, p->n_sequence);
        double error = 0, power = 0;
        for (int32_t r = 0; r < p->n_rows; r++)
            for (int32_t j = 0; j < g->n_vocab; j++) {
                double const w = want[r * g->n_vocab + j], d = (double)got[p->rows[r] * g->n_vocab + j] - w;
                error += d * d;
                power += w * w;
            }
        double const bound = is_float ? float_noise(plan, p->n_sequence) : g->nmse / 3;
        if (!(error <= bound * power))
            test_fail(__FILE__, __LINE__, "%s, %s, KV %d, prompt of %d: NMSE %.2e, bound %.1e", g->name,
                      isa_names[isa], kv_type, p->n, error / power, bound);
    }
    chord_unload(l);
}

TEST(executor_agrees_with_interpreter_as_closely_as_its_floats_allow)
{
    const char *names[GOLDEN_FILES];
    int32_t const n = fixtures(names);
    for (int32_t i = 0; i < n; i++) {
        const golden *g = golden_read(names[i]);
        const double *f32[GOLDEN_PROMPTS] = { 0 }, *f16[GOLDEN_PROMPTS] = { 0 };
        for (int32_t isa = CHORD_ISA_SCALAR; isa <= CHORD_ISA_VECTOR; isa++) {
            compare_with_interpreter(g, isa, CHORD_KV_F32, f32);
            compare_with_interpreter(g, isa, CHORD_KV_F16, f16);
        }
    }
}
