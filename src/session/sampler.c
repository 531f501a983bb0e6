/* sampler.c: logits -> token id. Bias and penalties change a copy of the logits. Top-k selects the
 * candidates, (logit, id) pairs in the scratch; top-p and min-p keep fewer of them. Candidates are ordered
 * by descending logit, then by ascending id, so that no result depends on how a sort treats ties. Softmax
 * sums are double and have one order on every machine. A large vocabulary is read only once or twice, in
 * eight lanes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence.h"
#include "../base/host.h"
#include "../base/mem.h"
#include <float.h>
#include <stdbool.h>

typedef struct candidate {
    float logit;                  /* in draw(): the weight */
    int32_t id;
} candidate;
_Static_assert(sizeof(candidate) == 8, "the scratch is n_vocab x 8 bytes");

/* ---- PCG32 ---------------------------------------------------------------------------------------- */

uint32_t chord_random(uint64_t state[2])
{
    uint64_t const old = state[0];
    state[0] = old * 6364136223846793005u + state[1];
    uint32_t const mixed = (uint32_t)(((old >> 18) ^ old) >> 27), turn = (uint32_t)(old >> 59);
    return mixed >> turn | mixed << (-turn & 31);
}

void chord_sequence_seed(chord_sequence *q, uint64_t seed)
{
    q->random[0] = 0;
    q->random[1] = 54 << 1 | 1; /* the stream of the published demo; any odd number works */
    chord_random(q->random);
    q->random[0] += seed;
    chord_random(q->random);
}

/* ---- arguments ------------------------------------------------------------------------------------ */

static bool is_within(float x, float least, float most) { return x >= least && x <= most; }

static chord_status check(const chord_sequence *q, const chord_sampling *p, const chord_bias *bias,
                          chord_error *e)
{
#define WANT(condition, text) \
    if (!(condition)) return chord_fail(e, CHORD_INVALID_ARGUMENT, text)
    WANT(p->top_k >= 0, "top_k is negative");
    WANT(is_within(p->temperature, 0, FLT_MAX), "temperature is negative or not finite");
    WANT(is_within(p->top_p, 0, 1), "top_p is outside 0 .. 1");
    WANT(is_within(p->min_p, 0, 1), "min_p is outside 0 .. 1");
    WANT(p->typical_p == 1, "typical_p isn't 1: typical-p sampling isn't supported yet");
    WANT(p->repetition_penalty > 0 && p->repetition_penalty <= FLT_MAX,
         "repetition_penalty isn't a positive finite number");
    WANT(is_within(p->frequency_penalty, -FLT_MAX, FLT_MAX), "frequency_penalty isn't finite");
    WANT(is_within(p->presence_penalty, -FLT_MAX, FLT_MAX), "presence_penalty isn't finite");
    WANT(p->n_bias >= 0 && (bias || !p->n_bias), "n_bias is negative, or bias is NULL");
    for (int32_t i = 0; i < p->n_bias; i++) {
        if (bias[i].id < 0 || bias[i].id >= q->config.n_vocab)
            return chord_fail(e, CHORD_INVALID_ARGUMENT,
                              "bias %d is for token %d, the vocabulary has %d tokens", i, bias[i].id,
                              q->config.n_vocab);
        if (!(bias[i].value <= FLT_MAX))
            return chord_fail(e, CHORD_INVALID_ARGUMENT,
                              "bias %d, for token %d, isn't a finite number or -inf", i, bias[i].id);
    }
#undef WANT
    return CHORD_OK;
}

/* ---- logits ----------------------------------------------------------------------------------------- */

enum { LANES = 8 };

/* Returns the largest of x[0..n). *is_finite: no element is NaN or +inf. */
static float largest_of(const float *x, int32_t n, bool *is_finite)
{
    float const infinity = __builtin_inff();
    float top[LANES];
    int32_t wrong[LANES] = { 0 }, i = 0;
    for (int32_t l = 0; l < LANES; l++) top[l] = -infinity;
    for (; n - i >= LANES; i += LANES)
        for (int32_t l = 0; l < LANES; l++) {
            top[l] = x[i + l] > top[l] ? x[i + l] : top[l];
            wrong[l] |= !(x[i + l] < infinity);
        }
    for (; i < n; i++) {
        top[0] = x[i] > top[0] ? x[i] : top[0];
        wrong[0] |= !(x[i] < infinity);
    }
    for (int32_t l = 1; l < LANES; l++) {
        if (top[l] > top[0]) top[0] = top[l];
        wrong[0] |= wrong[l];
    }
    *is_finite = !wrong[0];
    return top[0];
}

static int32_t first_not_finite(const float *x)
{
    int32_t i = 0;
    while (x[i] < __builtin_inff()) i++;
    return i;
}

/* Writes the largest of the last row's logits to *top. Errors: INTERNAL (NaN, +inf or no finite logit). */
static chord_status find_top(const chord_sequence *q, const float *logits, float *top, chord_error *e)
{
    int32_t const position = q->n_past - 1; /* position of the last output row */
    bool is_finite;
    *top = largest_of(logits, q->config.n_vocab, &is_finite);
    if (!is_finite)
        return chord_fail(e, CHORD_INTERNAL, "the logit of token %d at position %d isn't finite",
                          first_not_finite(logits), position);
    if (!(*top > -__builtin_inff()))
        return chord_fail(e, CHORD_INTERNAL, "no token has a finite logit at position %d", position);
    return CHORD_OK;
}

static bool is_penalising(const chord_sampling *p)
{
    return p->repetition_penalty != 1 || p->frequency_penalty != 0 || p->presence_penalty != 0;
}

/* Penalises the distinct tokens of the window in x, each once, at its last occurrence. */
static void penalise(const chord_sequence *q, const chord_sampling *p, float *x)
{
    int32_t const n = q->n_tokens < CHORD_PENALTY_WINDOW ? q->n_tokens : CHORD_PENALTY_WINDOW;
    const int32_t *const ids = q->ids + (q->n_tokens - n);
    for (int32_t i = 0; i < n; i++) {
        int32_t count = 1, is_last = 1;
        for (int32_t j = 0; j < n; j++) {
            if (ids[j] != ids[i] || j == i) continue;
            count++;
            if (j > i) is_last = 0;
        }
        if (!is_last || ids[i] < 0) continue; /* -1: an embedding */
        float *const logit = &x[ids[i]];
        *logit = *logit > 0 ? *logit / p->repetition_penalty : *logit * p->repetition_penalty;
        *logit -= (float)count * p->frequency_penalty + p->presence_penalty;
    }
}

/* Applies bias and penalties to *logits. They are then finite or -inf; *top is the largest. With bias or
 * penalties *logits becomes `copy`, the second half of the scratch. Candidates are later written from the
 * start of the scratch. They don't overwrite logits that aren't read yet: a logit read gives at most one
 * candidate of eight bytes. */
static chord_status adjust(const chord_sequence *q, const float **logits, const chord_sampling *p,
                           const chord_bias *bias, float *copy, float *top, chord_error *e)
{
    CHORD_TRY(find_top(q, *logits, top, e));
    if (!p->n_bias && !is_penalising(p)) return CHORD_OK;

    chord_copy(copy, *logits, (size_t)q->config.n_vocab * 4);
    *logits = copy;
    for (int32_t i = 0; i < p->n_bias; i++) copy[bias[i].id] += bias[i].value;
    if (is_penalising(p)) penalise(q, p, copy);
    bool is_finite;
    *top = largest_of(copy, q->config.n_vocab, &is_finite);
    if (!is_finite)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "bias and penalties leave token %d without a finite logit", first_not_finite(copy));
    if (!(*top > -__builtin_inff()))
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "bias and penalties forbid every token");
    return CHORD_OK;
}

/* ---- candidates ----------------------------------------------------------------------------------- */

static bool is_before(candidate a, candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void swap(candidate *a, candidate *b)
{
    candidate const x = *a;
    *a = *b;
    *b = x;
}

/* Restores the heap below entry i. The heap's root is the last of its n candidates in order. */
static void sift(candidate *c, int64_t n, int64_t i)
{
    candidate const x = c[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_before(c[child], c[child + 1])) child++;
        if (!is_before(x, c[child])) break;
        c[i] = c[child];
    }
    c[i] = x;
}

/* Moves the k best candidates to the front, in order. A heap keeps the k best so far, and is sorted at the
 * end. */
static void sort_best(candidate *c, int32_t n, int32_t k)
{
    for (int32_t i = k / 2; i-- > 0;) sift(c, k, i);
    for (int32_t i = k; i < n; i++)
        if (is_before(c[i], c[0])) {
            swap(&c[i], &c[0]);
            sift(c, k, 0);
        }
    for (int32_t i = k - 1; i > 0; i--) {
        swap(&c[i], &c[0]);
        sift(c, i, 0);
    }
}

static double weight(candidate c, float best, double temperature)
{
    return chord_host_exp(((double)c.logit - (double)best) / temperature);
}

/* Makes a candidate of every token with a logit above -inf, by ascending id. Returns their number. */
static int32_t gather(const float *x, int32_t n_vocab, candidate *c)
{
    int32_t n = 0;
    for (int32_t id = 0; id < n_vocab; id++)
        if (x[id] > -__builtin_inff()) c[n++] = (candidate){ x[id], id };
    return n;
}

/* Makes candidates of the k tokens with the largest logits above -inf, in order. Returns their number. Ids
 * ascend, so that only a larger logit displaces a candidate. */
static int32_t gather_best(const float *x, int32_t n_vocab, int32_t k, candidate *c)
{
    int32_t n = 0, id = 0;
    for (; id < n_vocab && n < k; id++)
        if (x[id] > -__builtin_inff()) c[n++] = (candidate){ x[id], id };
    for (int32_t i = n / 2; i-- > 0;) sift(c, n, i);
    for (; id < n_vocab; id++) {
        if (n_vocab - id >= LANES) { /* mostly none of the eight is large enough */
            int32_t some = 0;
            for (int32_t l = 0; l < LANES; l++) some |= x[id + l] > c[0].logit;
            if (!some) {
                id += LANES - 1;
                continue;
            }
        }
        if (x[id] > c[0].logit) {
            c[0] = (candidate){ x[id], id };
            sift(c, n, 0);
        }
    }
    sort_best(c, n, n);
    return n;
}

/* Keeps the fewest best candidates whose probabilities add up to at least top_p. The first n_sorted
 * candidates are already in order. */
static int32_t keep_top_p(candidate *c, int32_t n, int32_t n_sorted, float top_p, float best)
{
    if (top_p >= 1) return n;
    double total = 0, sum = 0;
    for (int32_t i = 0; i < n; i++) total += weight(c[i], best, 1);
    for (int32_t i = 0; i < n; i++) {
        if (i == n_sorted) { /* mostly a few hundred are enough; sorted candidates keep their places */
            n_sorted = i < n / 16 ? i * 16 : n;
            if (n_sorted < 256) n_sorted = n < 256 ? n : 256;
            sort_best(c, n, n_sorted);
        }
        sum += weight(c[i], best, 1);
        if (sum >= (double)top_p * total) return i + 1;
    }
    return n;
}

/* Keeps the candidates that have at least min_p times the probability of the best candidate. */
static int32_t keep_min_p(candidate *c, int32_t n, float min_p, float best)
{
    if (min_p <= 0) return n;
    float const least = best + (float)chord_host_log(min_p);
    int32_t n_kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (c[i].logit >= least) c[n_kept++] = c[i];
    return n_kept;
}

/* Draws one candidate with one number of the generator, whatever n is. The number is below 1, so that the
 * running sum passes `until` at a candidate of a weight above 0. */
static int32_t draw(chord_sequence *q, candidate *c, int32_t n, float best, float temperature)
{
    double total = 0, sum = 0;
    for (int32_t i = 0; i < n; i++) {
        c[i].logit = (float)weight(c[i], best, (double)temperature);
        total += (double)c[i].logit;
    }
    double const until = total * (chord_random(q->random) * 0x1p-32);
    int32_t i = 0;
    while (i < n - 1 && (sum += (double)c[i].logit) <= until) i++;
    return c[i].id;
}

int32_t chord_sequence_sample(chord_sequence *q, const float *logits, const chord_sampling *p,
                              const chord_bias *bias, void *scratch, chord_error *e)
{
    CHORD_TRY(check(q, p, bias, e));
    float top;
    candidate *const c = scratch;
    CHORD_TRY(adjust(q, &logits, p, bias, (float *)scratch + q->config.n_vocab, &top, e));
    if (p->temperature == 0) {
        int32_t best = 0;
        while (logits[best] < top) best++;
        return best;
    }
    int32_t n, n_sorted = 0;
    if (p->top_k > 0 && p->top_k < q->config.n_vocab)
        n = n_sorted = gather_best(logits, q->config.n_vocab, p->top_k, c);
    else n = gather(logits, q->config.n_vocab, c);
    n = keep_top_p(c, n, n_sorted, p->top_p, top);
    n = keep_min_p(c, n, p->min_p, top);
    return draw(q, c, n, top, p->temperature);
}

int32_t chord_sequence_logprobs(const chord_sequence *q, const float *logits, int32_t id, int32_t k,
                                int32_t *ids, double *logprobs, chord_error *e)
{
    float top;
    CHORD_TRY(find_top(q, logits, &top, e));
    double total = 0;
    for (int32_t i = 0; i < q->config.n_vocab; i++) total += chord_host_exp((double)logits[i] - (double)top);
    double const subtract = (double)top + chord_host_log(total);
    candidate best[CHORD_MAX_TOP];
    int32_t const n = k > 0 ? gather_best(logits, q->config.n_vocab, k, best) : 0;
    ids[0] = id;
    logprobs[0] = (double)logits[id] - subtract;
    for (int32_t i = 0; i < n; i++) {
        ids[1 + i] = best[i].id;
        logprobs[1 + i] = (double)best[i].logit - subtract;
    }
    return 1 + n;
}
