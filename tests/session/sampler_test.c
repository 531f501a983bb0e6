/* sampler_test.c: the sampler, compared with a naive sampler in double and with llama.cpp's chain
 * (tests/golden/sampler.txt). aim() sets the generator so that its next number is a given number. So a
 * test checks the draw at chosen points of [0, 1). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/session/sequence.h"
#include "../harness/test.h"
#include <float.h>
#include <math.h>

enum { N_CTX = 256, MAX_VOCAB = 50000 };

static chord_error error;
static chord_page_pool pool;
static chord_sequence q;
static _Alignas(CHORD_BLOCK_ALIGN) uint8_t arrays[N_CTX * 16], scratch[MAX_VOCAB * 8 + 64];

static chord_sampling const plain = { .temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1 };

/* Initialises q for n_vocab ids. A canary is behind the scratch. */
static void begin(int n_vocab)
{
    static const chord_cache_class paged = { .kind = CHORD_CACHE_PAGED };
    chord_sequence_config const config = { .n_ctx = N_CTX,
                                           .n_batch = 8,
                                           .n_logits = 1,
                                           .n_vocab = n_vocab,
                                           .n_axes = 1,
                                           .n_classes = 1,
                                           .classes = &paged,
                                           .pools = &pool };
    CHECK(chord_sequence_bytes(&config) <= sizeof arrays);
    chord_sequence_init(&q, arrays, &config);
    memset(scratch + (size_t)n_vocab * 8, 0xee, 64);
}

static int32_t sample(const float *logits, const chord_sampling *p, const chord_bias *bias)
{
    int32_t const id = chord_sequence_sample(&q, logits, p, bias, scratch, &error);
    for (int i = 0; i < 64; i++) CHECK_EQ(scratch[(size_t)q.config.n_vocab * 8 + (size_t)i], 0xee);
    return id;
}

/* Sets the generator's state so that its next number is `number`: the inverse of its output function,
 * rotation 0. */
static void aim(uint32_t number)
{
    uint64_t x = (uint64_t)number << 27;
    x ^= x >> 18;
    x ^= x >> 36;
    q.random[0] = x;
    uint64_t state[2] = { q.random[0], q.random[1] };
    CHECK_EQ(chord_random(state), number);
}

/* Samples with the random number u, clamped to [0, 1). */
static int32_t sample_at(double u, const float *logits, const chord_sampling *p, const chord_bias *bias)
{
    aim(u <= 0 ? 0 : u >= 1 ? UINT32_MAX : (uint32_t)(u * 0x1p32));
    return sample(logits, p, bias);
}

/* ---- the generator ---------------------------------------------------------------------------------- */

TEST(the_generator_is_pcg32_as_published)
{
    /* pcg32-demo of the reference implementation, seed 42, sequence 54, round 1 */
    uint32_t const want[] = { 0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e };
    begin(2);
    chord_sequence_seed(&q, 42);
    for (int i = 0; i < 6; i++) CHECK_EQ(chord_random(q.random), want[i]);
}

TEST(the_same_seed_draws_the_same_ids)
{
    float logits[100];
    int32_t ids[3][200];
    begin(100);
    for (int i = 0; i < 100; i++) logits[i] = test_gauss();
    for (int run = 0; run < 3; run++) {
        chord_sequence_seed(&q, run == 2 ? 8 : 7);
        for (int i = 0; i < 200; i++) ids[run][i] = sample(logits, &plain, NULL);
    }
    CHECK(!memcmp(ids[0], ids[1], sizeof ids[0]));
    CHECK(memcmp(ids[0], ids[2], sizeof ids[0]));
}

TEST(a_draw_consumes_one_random_number_and_argmax_none)
{
    float const logits[] = { 1, 5, 2 };
    chord_sampling p = plain;
    begin(3);
    for (p.top_k = 0; p.top_k < 3; p.top_k++) {
        uint64_t want[2] = { q.random[0], q.random[1] };
        chord_random(want);
        sample(logits, &p, NULL);
        CHECK(q.random[0] == want[0] && q.random[1] == want[1]);
    }
    p.temperature = 0;
    uint64_t const before = q.random[0];
    CHECK_EQ(sample(logits, &p, NULL), 1);
    CHECK(q.random[0] == before);
}

TEST(draws_follow_the_distribution)
{
    /* Pearson's chi-square over 8 ids, 7 degrees of freedom: above 55.87 once in 1e9 */
    enum { N = 8, N_DRAWS = 100000 };
    float const logits[N] = { 0.5f, -1, 2, 1.75f, -0.25f, 0, -2, 1 };
    chord_sampling p = plain;
    p.temperature = 1.5f;
    double total = 0, chi = 0;
    int count[N] = { 0 };
    begin(N);
    chord_sequence_seed(&q, 2024);
    for (int i = 0; i < N; i++) total += exp(logits[i] / 1.5);
    for (int i = 0; i < N_DRAWS; i++) count[sample(logits, &p, NULL)]++;
    for (int i = 0; i < N; i++) {
        double const want = N_DRAWS * exp(logits[i] / 1.5) / total;
        chi += (count[i] - want) * (count[i] - want) / want;
    }
    CHECK(chi < 55.87);
}

/* ---- single rules ------------------------------------------------------------------------------------ */

TEST(temperature_zero_selects_the_largest_logit_and_on_a_tie_the_lowest_id)
{
    float logits[40];
    chord_sampling p = { .top_k = 3, .top_p = 0.1f, .min_p = 0.5f, .typical_p = 1, .repetition_penalty = 1 };
    begin(40);
    for (int round = 0; round < 500; round++) {
        int want = 0;
        for (int i = 0; i < 40; i++) {
            logits[i] = (float)(int)(test_random() % 9) - 4;
            if (logits[i] > logits[want]) want = i;
        }
        CHECK_EQ(sample(logits, &p, NULL), want);
    }
}

TEST(top_k_keeps_the_lower_ids_of_a_tie)
{
    float const logits[] = { 1, 2, 1, 2, 1, 2, 1, 2 };
    chord_sampling p = plain;
    p.top_k = 3;
    begin(8);
    int const want[] = { 1, 3, 5 };
    for (int i = 0; i < 12; i++) CHECK_EQ(sample_at((i + 0.5) / 12, logits, &p, NULL), want[i / 4]);
    p.top_k = 6;
    p.temperature = 1e9f;
    int const want_six[] = { 1, 3, 5, 7, 0, 2 };
    for (int i = 0; i < 6; i++) CHECK_EQ(sample_at((i + 0.5) / 6, logits, &p, NULL), want_six[i]);
}

TEST(top_p_includes_the_candidate_that_reaches_it)
{
    float const logits[] = { 3, 3, 3, 3 };
    chord_sampling p = plain;
    begin(4);
    float const top_p[] = { 0, 0.25f, 0.26f, 0.5f, 0.75f, 0.76f, 1 };
    int const n_kept[] = { 1, 1, 2, 2, 3, 4, 4 };
    for (int i = 0; i < 7; i++) {
        p.top_p = top_p[i];
        CHECK_EQ(sample_at(1, logits, &p, NULL), n_kept[i] - 1);
    }
}

TEST(top_p_counts_the_probability_of_the_candidates_that_top_k_keeps)
{
    float const logits[] = { 3, 3, 3, 3 };
    chord_sampling p = plain;
    p.top_k = 2;
    p.top_p = 0.5f;
    begin(4);
    CHECK_EQ(sample_at(1, logits, &p, NULL), 0);
}

TEST(truncations_come_before_the_temperature)
{
    float const logits[] = { 0, 4, 1, 3, 2 };
    chord_sampling p = plain;
    p.top_p = 0.6f; /* the best candidate has 0.636 at temperature 1 */
    p.temperature = 100;
    begin(5);
    CHECK_EQ(sample_at(1, logits, &p, NULL), 1);
    p.top_p = 1;
    p.min_p = 0.3f; /* exp(-1) = 0.37, exp(-2) = 0.14 */
    CHECK_EQ(sample_at(0, logits, &p, NULL), 1);
    CHECK_EQ(sample_at(0.51, logits, &p, NULL), 3);
    CHECK_EQ(sample_at(1, logits, &p, NULL), 3);
}

TEST(min_p_one_keeps_every_candidate_that_equals_the_best)
{
    float const logits[] = { 1, 2, 2, 1, 2 };
    chord_sampling p = plain;
    p.min_p = 1;
    begin(5);
    int const want[] = { 1, 2, 4 };
    for (int i = 0; i < 3; i++) CHECK_EQ(sample_at((i + 0.5) / 3, logits, &p, NULL), want[i]);
}

TEST(any_positive_temperature_draws_without_overflow)
{
    float const logits[] = { -FLT_MAX, FLT_MAX, 0, FLT_MAX };
    chord_sampling p = plain;
    begin(4);
    float const temperature[] = { 1e-45f, 1e-20f, 1, 1e20f };
    for (int i = 0; i < 4; i++) {
        p.temperature = temperature[i];
        CHECK_EQ(sample_at(0, logits, &p, NULL), 1);
        CHECK_EQ(sample_at(0.49, logits, &p, NULL), 1);
        CHECK_EQ(sample_at(0.51, logits, &p, NULL), 3);
        CHECK_EQ(sample_at(1, logits, &p, NULL), 3);
    }
    p.temperature = FLT_MAX; /* weights 1, 1, exp(-1), exp(-2) */
    CHECK_EQ(sample_at(0, logits, &p, NULL), 0);
    CHECK_EQ(sample_at(0.10, logits, &p, NULL), 1);
}

TEST(the_repetition_penalty_divides_positive_and_multiplies_negative_logits_once)
{
    float const logits[] = { 3, 2.5f, -1, -3, 2 };
    chord_sampling p = plain;
    p.temperature = 0;
    p.repetition_penalty = 1.25f;
    begin(5);
    CHECK_EQ(chord_sequence_push(&q, (int32_t[]){ 0, 0, 0 }, 3, &error), CHORD_OK);
    CHECK_EQ(sample(logits, &p, NULL), 1); /* 3 / 1.25 = 2.4 < 2.5, but above 2 */
    CHECK_EQ(sample((float[]){ 3, 2.3f, -1, -3, 2 }, &p, NULL), 0);
    CHECK_EQ(sample((float[]){ -1, -1.2f, -1.3f, -2, -2 }, &p, NULL), 1); /* -1 * 1.25 */
    CHECK_EQ(sample((float[]){ -1, -1.3f, -1.3f, -2, -2 }, &p, NULL), 0);
}

TEST(the_frequency_penalty_counts_occurrences_and_the_presence_penalty_does_not)
{
    chord_sampling p = plain;
    p.temperature = 0;
    begin(3);
    CHECK_EQ(chord_sequence_push(&q, (int32_t[]){ 0, 1, 0, 0 }, 4, &error), CHORD_OK);
    p.frequency_penalty = 0.5f;
    CHECK_EQ(sample((float[]){ 1.5f, 0.25f, -0.1f }, &p, NULL), 0); /* 1.5 - 3 * 0.5 */
    CHECK_EQ(sample((float[]){ 1.4f, 0.45f, -0.08f }, &p, NULL), 1); /* 0.45 - 0.5 */
    p.frequency_penalty = 0;
    p.presence_penalty = 2;
    CHECK_EQ(sample((float[]){ 2.1f, 2.05f, 0 }, &p, NULL), 0);
    CHECK_EQ(sample((float[]){ 1.9f, 1.8f, 0 }, &p, NULL), 2);
    p.presence_penalty = -2;
    CHECK_EQ(sample((float[]){ 0, 0.5f, 1.5f }, &p, NULL), 1);
}

TEST(penalties_see_the_last_64_tokens)
{
    float const logits[] = { 2, 1, 0 };
    chord_sampling p = plain;
    p.temperature = 0;
    p.presence_penalty = 5;
    begin(3);
    CHECK_EQ(chord_sequence_push(&q, &(int32_t){ 0 }, 1, &error), CHORD_OK);
    for (int i = 0; i < 63; i++) CHECK_EQ(chord_sequence_push(&q, &(int32_t){ 2 }, 1, &error), CHORD_OK);
    CHECK_EQ(sample(logits, &p, NULL), 1);
    CHECK_EQ(chord_sequence_push(&q, &(int32_t){ 2 }, 1, &error), CHORD_OK);
    CHECK_EQ(sample(logits, &p, NULL), 0);
}

TEST(biases_of_one_token_add_up_and_come_before_the_penalties)
{
    float const logits[] = { 0, -1, 2.5f };
    chord_sampling p = plain;
    p.temperature = 0;
    p.n_bias = 3;
    begin(3);
    chord_bias const bias[] = { { 1, 2 }, { 0, 1 }, { 1, 3 } };
    CHECK_EQ(sample(logits, &p, bias), 1);
    CHECK_EQ(chord_sequence_push(&q, &(int32_t){ 1 }, 1, &error), CHORD_OK);
    p.repetition_penalty = 2; /* (-1 + 5) / 2 < 2.5; the other order gives -2 + 5 */
    CHECK_EQ(sample(logits, &p, bias), 2);
}

TEST(a_bias_of_minus_infinity_forbids_a_token)
{
    float const logits[] = { 1, 9, 2 };
    chord_sampling p = plain;
    begin(3);
    chord_bias const bias[] = { { 1, -INFINITY }, { 0, -INFINITY }, { 2, -INFINITY } };
    p.n_bias = 1;
    for (int i = 0; i < 50; i++) CHECK(sample(logits, &p, bias) != 1);
    p.n_bias = 2;
    CHECK_EQ(sample_at(0, logits, &p, bias), 2);
    CHECK_EQ(sample_at(1, logits, &p, bias), 2);
    p.n_bias = 3;
    CHECK_EQ(sample(logits, &p, bias), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(error.text, "forbid every token");
}

TEST(a_bias_that_overflows_is_refused_by_name)
{
    float const logits[] = { 1, FLT_MAX, 2 };
    chord_sampling p = plain;
    p.n_bias = 1;
    begin(3);
    CHECK_EQ(sample(logits, &p, &(chord_bias){ 1, FLT_MAX }), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(error.text, "token 1 without a finite logit");
}

TEST(a_logit_of_minus_infinity_is_never_drawn)
{
    float const logits[] = { -INFINITY, 0, -INFINITY, 0, -INFINITY };
    chord_sampling p = plain;
    begin(5);
    for (p.top_k = 0; p.top_k <= 5; p.top_k += 5) {
        CHECK_EQ(sample_at(0, logits, &p, NULL), 1);
        CHECK_EQ(sample_at(0.49, logits, &p, NULL), 1);
        CHECK_EQ(sample_at(0.5, logits, &p, NULL), 3);
        CHECK_EQ(sample_at(1, logits, &p, NULL), 3);
    }
}

TEST(non_finite_logits_are_an_internal_error_that_names_the_position)
{
    float const bad[] = { NAN, INFINITY };
    chord_sampling p = plain;
    begin(4);
    for (int temperature = 0; temperature < 2; temperature++)
        for (int at = 0; at < 4; at++)
            for (int i = 0; i < 2; i++) {
                float logits[] = { 0, 1, 2, 3 };
                logits[at] = bad[i];
                p.temperature = (float)temperature;
                q.n_past = q.n_tokens = 18;
                CHECK_EQ(sample(logits, &p, NULL), CHORD_INTERNAL);
                CHECK_TEXT(error.text, "at position 17");
                char name[] = "token 0 ";
                name[6] = (char)(name[6] + at);
                CHECK_TEXT(error.text, name);
            }
    CHECK_EQ(sample((float[]){ -INFINITY, -INFINITY, -INFINITY, -INFINITY }, &p, NULL), CHORD_INTERNAL);
    CHECK_TEXT(error.text, "no token has a finite logit at position 17");
}

TEST(arguments_out_of_range_are_refused_by_name)
{
    float const logits[] = { 0, 1, 2 };
    begin(3);
    uint64_t const before = q.random[0];
#define REFUSE(field, value)                                        \
    do {                                                            \
        chord_sampling p = plain;                                   \
        p.field = value;                                            \
        error.length = 0;                                           \
        CHECK_EQ(sample(logits, &p, NULL), CHORD_INVALID_ARGUMENT); \
        CHECK_TEXT(error.text, #field);                             \
    } while (0)
    REFUSE(top_k, -1);
    REFUSE(temperature, -0.1f);
    REFUSE(temperature, NAN);
    REFUSE(temperature, INFINITY);
    REFUSE(top_p, -0.1f);
    REFUSE(top_p, 1.1f);
    REFUSE(top_p, NAN);
    REFUSE(min_p, -0.1f);
    REFUSE(min_p, 1.1f);
    REFUSE(min_p, NAN);
    REFUSE(typical_p, 0.9f);
    REFUSE(typical_p, NAN);
    REFUSE(repetition_penalty, 0);
    REFUSE(repetition_penalty, -1);
    REFUSE(repetition_penalty, NAN);
    REFUSE(repetition_penalty, INFINITY);
    REFUSE(frequency_penalty, NAN);
    REFUSE(frequency_penalty, -INFINITY);
    REFUSE(presence_penalty, NAN);
    REFUSE(presence_penalty, INFINITY);
    REFUSE(n_bias, -1);
    REFUSE(n_bias, 1); /* one bias, but NULL pairs */
#undef REFUSE
    chord_sampling p = plain;
    p.n_bias = 2;
    CHECK_EQ(sample(logits, &p, (chord_bias[]){ { 0, 1 }, { 3, 1 } }), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(error.text, "bias 1 is for token 3");
    CHECK_EQ(sample(logits, &p, (chord_bias[]){ { -1, 1 }, { 0, 1 } }), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(error.text, "bias 0 is for token -1");
    CHECK_EQ(sample(logits, &p, (chord_bias[]){ { 0, NAN }, { 0, 1 } }), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(error.text, "bias 0, for token 0");
    CHECK_EQ(sample(logits, &p, (chord_bias[]){ { 0, 1 }, { 2, INFINITY } }), CHORD_INVALID_ARGUMENT);
    CHECK(q.random[0] == before);
}

/* ---- against a naive sampler ------------------------------------------------------------------------ */

typedef struct pick {
    double logit, probability;
    int id;
} pick;

static int by_logit(const void *a, const void *b)
{
    const pick *x = a, *y = b;
    return x->logit > y->logit ? -1 : x->logit < y->logit ? 1 : x->id - y->id;
}

/* Returns the number of candidates, and the candidates in the order of the draw. Returns -1 if rounding may
 * decide whether a truncation keeps a candidate. */
static int naive(const float *logits, const chord_sampling *p, const chord_bias *bias, pick *c)
{
    int n = q.config.n_vocab, count[256] = { 0 };
    for (int i = 0; i < n; i++) c[i] = (pick){ logits[i], 0, i };
    for (int i = 0; i < p->n_bias; i++) c[bias[i].id].logit += bias[i].value;
    for (int i = q.n_tokens - 1; i >= 0 && i >= q.n_tokens - 64; i--) count[q.ids[i]]++;
    for (int i = 0; i < n && i < 256; i++) {
        if (!count[i]) continue;
        c[i].logit = c[i].logit > 0 ? c[i].logit / p->repetition_penalty : c[i].logit * p->repetition_penalty;
        c[i].logit -= count[i] * p->frequency_penalty + p->presence_penalty;
    }
    int const is_sorted = (p->top_k > 0 && p->top_k < n) || p->top_p < 1;
    double best = c[0].logit, total = 0, sum = 0;
    for (int i = 0; i < n; i++) best = fmax(best, c[i].logit);
    if (is_sorted) qsort(c, (size_t)n, sizeof *c, by_logit);
    if (p->top_k > 0 && p->top_k < n) n = p->top_k;
    for (int i = 0; i < n; i++) total += exp(c[i].logit - best);
    for (int i = 0; p->top_p < 1 && i < n; i++) {
        sum += exp(c[i].logit - best) / total;
        if (fabs(sum - p->top_p) < 1e-9) return -1;
        if (sum >= p->top_p) n = i + 1;
    }
    int n_kept = 0;
    for (int i = 0; i < n; i++) {
        double const over = c[i].logit - best - log(p->min_p);
        if (p->min_p > 0 && p->min_p < 1 && fabs(over) < 1e-5) return -1;
        if (p->min_p == 0 || over >= 0) c[n_kept++] = c[i];
    }
    total = 0;
    for (int i = 0; i < n_kept; i++) total += c[i].probability = exp((c[i].logit - best) / p->temperature);
    for (int i = 0; i < n_kept; i++) c[i].probability /= total;
    return n_kept;
}

/* Logits and biases are small multiples of 1/64, and penalties are powers of 2 or small integers and halves.
 * So float sums and products are exact, and ties stay ties. */
static void agree_with_naive(int n_vocab, int n_draws, float *logits, pick *c, int *n_doubtful)
{
    static float const choices[] = { 0.5f, 1, 2, 4 };
    chord_bias bias[6];
    chord_sampling p = plain;
    begin(n_vocab);
    int const spread = 1 + (int)(test_random() % 600);
    for (int i = 0; i < n_vocab; i++)
        logits[i] = (float)((int)(test_random() % (uint64_t)spread) - spread / 2) / 64;
    for (int i = (int)(test_random() % 100); i > 0; i--)
        CHECK_EQ(chord_sequence_push(&q,
                                     &(int32_t){ (int32_t)(test_random() %
                                                           (uint64_t)(n_vocab < 256 ? n_vocab : 256)) },
                                     1, &error),
                 CHORD_OK);
    uint64_t const kind = test_random();
    if (kind & 1) p.top_k = 1 + (int32_t)(test_random() % (uint64_t)(n_vocab + 3));
    if (kind & 2) p.top_p = (float)(test_random() % 1000) / 1000;
    if (kind & 4) p.min_p = (float)(test_random() % 1000 + 1) / 1000 * (kind & 8 ? 1 : 0.05f);
    if (kind & 16) p.temperature = kind & 32 ? 1e6f : (float)(test_random() % 200 + 1) / 50;
    if (kind & 64) p.repetition_penalty = choices[test_random() % 4];
    if (kind & 128) p.frequency_penalty = choices[test_random() % 4] - 1;
    if (kind & 256) p.presence_penalty = choices[test_random() % 4] - 2;
    if (kind & 512) p.n_bias = 6;
    for (int i = 0; i < 6; i++)
        bias[i] = (chord_bias){ (int32_t)(test_random() % (uint64_t)n_vocab),
                                (float)(int)(test_random() % 41) / 4 - 5 };

    int const n = naive(logits, &p, bias, c);
    if (n < 0) {
        ++*n_doubtful;
        return;
    }
    for (int draw = 0; draw < n_draws; draw++) {
        uint64_t state[2] = { q.random[0], q.random[1] };
        if (draw < 2) aim(state[0] ? draw * UINT32_MAX : 0);
        memcpy(state, q.random, sizeof state);
        double const u = chord_random(state) * 0x1p-32;
        int32_t const got = sample(logits, &p, bias);
        /* Weights are rounded to float: the relative error of a sum is up to 2^-24, of a quotient 2^-23. */
        double sum = 0;
        int is_right = 0;
        for (int i = 0; i < n; i++) {
            double const from = sum;
            sum += c[i].probability;
            if (c[i].id == got) is_right = u >= from - 0x1p-23 && u <= sum + 0x1p-23;
        }
        CHECK(is_right);
    }
}

TEST(draws_agree_with_a_naive_sampler)
{
    float *const logits = test_alloc(MAX_VOCAB * sizeof *logits);
    pick *const c = test_alloc(MAX_VOCAB * sizeof *c);
    int n_doubtful = 0;
    for (int i = 0; i < 3000; i++)
        agree_with_naive(1 + (int)(test_random() % 300), 20, logits, c, &n_doubtful);
    CHECK(n_doubtful < 100);
    n_doubtful = 0;
    for (int i = 0; i < 12; i++) agree_with_naive(MAX_VOCAB, 3, logits, c, &n_doubtful);
    CHECK(n_doubtful < 12);
}

/* ---- log-probabilities -------------------------------------------------------------------------------- */

/* Compares the entries for `id` and the k best with a computation that sorts nothing: the i-th best token is
 * the one with exactly i tokens before it. */
static void agree_with_plain_logprobs(const float *logits, int n_vocab, int32_t id, int k)
{
    int32_t ids[1 + CHORD_MAX_TOP];
    double logprobs[1 + CHORD_MAX_TOP], total = 0;
    int n_possible = 0;
    for (int i = 0; i < n_vocab; i++) {
        total += exp((double)logits[i]);
        n_possible += logits[i] > -INFINITY;
    }
    int const n = chord_sequence_logprobs(&q, logits, id, k, ids, logprobs, &error);
    CHECK_EQ(n, 1 + (k < n_possible ? k : n_possible));
    CHECK_EQ(ids[0], id);
    for (int e = 0; e < n; e++) {
        int32_t const x = ids[e];
        double const want = log(exp((double)logits[x]) / total);
        CHECK(logits[x] > -INFINITY ? fabs(logprobs[e] - want) < 1e-12 : logprobs[e] == -INFINITY);
        int n_before = 0;
        for (int i = 0; i < n_vocab; i++)
            n_before += logits[i] > logits[x] || (logits[i] == logits[x] && i < x);
        if (e > 0) CHECK_EQ(n_before, e - 1);
    }
}

TEST(logprobs_are_those_of_the_softmax_and_the_best_come_in_order)
{
    float *const logits = test_alloc(MAX_VOCAB * sizeof *logits);
    for (int round = 0; round < 400; round++) {
        int const n_vocab = round < 396 ? 1 + (int)(test_random() % 60) : MAX_VOCAB;
        begin(n_vocab);
        for (int i = 0; i < n_vocab; i++) {
            logits[i] = test_gauss() * 3;
            if (round % 2) logits[i] = (float)(int)logits[i]; /* many ties */
            if (round % 3 == 1 && i > 0 && test_random() % 4 == 0) logits[i] = -INFINITY;
        }
        agree_with_plain_logprobs(logits, n_vocab, (int32_t)(test_random() % (uint32_t)n_vocab),
                                  (int)(test_random() % (CHORD_MAX_TOP + 1)));
    }
}

TEST(logprobs_of_logits_that_are_not_finite_are_an_internal_error)
{
    int32_t ids[3];
    double logprobs[3];
    float const wrong[][2] = { { 0, NAN }, { 0, INFINITY }, { -INFINITY, -INFINITY } };
    begin(2);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(chord_sequence_logprobs(&q, wrong[i], 0, 2, ids, logprobs, &error), CHORD_INTERNAL);
}

/* ---- against llama.cpp ------------------------------------------------------------------------------ */

/* Draws in the middle of every candidate of the golden and near both its ends, if the candidate is wide
 * enough. The ends of [0, 1) must give the first and the last candidate, so no candidate is missing and none
 * is too many. */
static void agree_with_golden(const float *logits, const chord_sampling *p, const chord_bias *bias,
                              const pick *c, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        /* llama.cpp rounds two quotients logit / temperature (below 16) and their difference (below 32) to
         * float. So an exponent is off by at most 32 * 2^-24, and a sum and the total have this relative
         * error each. The 8 covers expf, our weights, and the golden's probabilities as floats. */
        double const width = c[i].probability, margin = (2 * 32 + 8) * 0x1p-24;
        if (width > 2 * margin) {
            CHECK_EQ(sample_at(sum + margin, logits, p, bias), c[i].id);
            CHECK_EQ(sample_at(sum + width / 2, logits, p, bias), c[i].id);
            CHECK_EQ(sample_at(sum + width - margin, logits, p, bias), c[i].id);
        }
        sum += width;
    }
    CHECK_EQ(sample_at(0, logits, p, bias), c[0].id);
    CHECK_EQ(sample_at(1, logits, p, bias), c[n - 1].id);
}

static int by_id(const void *a, const void *b) { return ((const pick *)a)->id - ((const pick *)b)->id; }

TEST(truncations_and_probabilities_equal_llama_cpps)
{
    size_t bytes;
    char *at = (char *)test_read_file("tests/golden/sampler.txt", &bytes);
    CHECK(at);
    at[bytes] = 0;
    float logits[256];
    int32_t history[100];
    at = strstr(at, "\nlogits 256 ") + 12;
    for (int i = 0; i < 256; i++) logits[i] = (float)strtol(at, &at, 10) / 256;
    at = strstr(at, "\nhistory 100 ") + 13;
    for (int i = 0; i < 100; i++) history[i] = (int32_t)strtol(at, &at, 10);
    int n_cases = 0;
    while ((at = strstr(at, "\ncase "))) {
        at += 6;
        chord_sampling p = plain;
        chord_bias bias[8];
        pick c[256];
        begin(256);
        int const n_history = (int)strtol(at, &at, 10);
        CHECK_EQ(chord_sequence_push(&q, history + 100 - n_history, n_history, &error), CHORD_OK);
        p.top_k = (int32_t)strtol(at, &at, 10);
        float *const fields[] = {
            &p.top_p,           &p.min_p, &p.temperature, &p.repetition_penalty, &p.frequency_penalty,
            &p.presence_penalty
        };
        for (int i = 0; i < 6; i++) *fields[i] = strtof(at, &at);
        p.n_bias = (int32_t)strtol(at, &at, 10);
        CHECK(p.n_bias <= 8);
        for (int i = 0; i < p.n_bias; i++) {
            bias[i].id = (int32_t)strtol(at, &at, 10);
            bias[i].value = strtof(at, &at);
        }
        int const n = (int)strtol(at, &at, 10);
        CHECK(n >= 1 && n <= 256);
        for (int i = 0; i < n; i++) {
            c[i].id = (int)strtol(at, &at, 10);
            c[i].probability = strtod(at, &at);
        }
        /* llama.cpp sorts nothing here */
        if (!(p.top_k > 0 && p.top_k < 256) && p.top_p >= 1) qsort(c, (size_t)n, sizeof *c, by_id);
        agree_with_golden(logits, &p, bias, c, n);
        n_cases++;
    }
    CHECK_EQ(n_cases, 24);
}
