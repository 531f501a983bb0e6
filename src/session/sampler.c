/* sampler.c: logits -> token id. Candidates are (logit, id) pairs in the scratch; bias and penalties
 * act on all of them, then each truncation leaves a prefix. Order: logit descending, then id ascending,
 * so nothing depends on how a sort treats ties. Softmax sums are double, one order on every machine. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence.h"
#include "../base/host.h"
#include <float.h>
#include <stdbool.h>

typedef struct candidate {
    float logit;                  /* a weight in draw() */
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
    q->random[1] = 54 << 1 | 1; /* the stream of the published demo; any odd number would do */
    chord_random(q->random);
    q->random[0] += seed;
    chord_random(q->random);
}

/* ---- arguments ------------------------------------------------------------------------------------ */

static bool is_within(float x, float least, float most) { return x >= least && x <= most; }

static chord_status check(const chord_sequence *q, const chord_sampling *p, const chord_bias *bias, chord_error *e)
{
#define WANT(condition, text) if (!(condition)) return chord_fail(e, CHORD_INVALID_ARGUMENT, text)
    WANT(p->top_k >= 0, "top_k is negative");
    WANT(is_within(p->temperature, 0, FLT_MAX), "temperature is negative or not finite");
    WANT(is_within(p->top_p, 0, 1), "top_p is outside 0 .. 1");
    WANT(is_within(p->min_p, 0, 1), "min_p is outside 0 .. 1");
    WANT(p->typical_p == 1, "typical_p other than 1 isn't there yet");
    WANT(p->repetition_penalty > 0 && p->repetition_penalty <= FLT_MAX, "repetition_penalty isn't a positive finite number");
    WANT(is_within(p->frequency_penalty, -FLT_MAX, FLT_MAX), "frequency_penalty isn't finite");
    WANT(is_within(p->presence_penalty, -FLT_MAX, FLT_MAX), "presence_penalty isn't finite");
    WANT(p->n_bias >= 0 && (bias || !p->n_bias), "n_bias is negative, or its pairs have no address");
    for (int32_t i = 0; i < p->n_bias; i++) {
        if (bias[i].id < 0 || bias[i].id >= q->n_vocab)
            return chord_fail(e, CHORD_INVALID_ARGUMENT, "bias %d is for token %d, the vocabulary has %d", i, bias[i].id,
                              q->n_vocab);
        if (!(bias[i].value <= FLT_MAX))
            return chord_fail(e, CHORD_INVALID_ARGUMENT, "bias %d, for token %d, isn't a finite number or -inf", i,
                              bias[i].id);
    }
#undef WANT
    return CHORD_OK;
}

/* ---- candidates ----------------------------------------------------------------------------------- */

/* c[id] for the distinct tokens of the window, each at its last occurrence. */
static void penalise(const chord_sequence *q, const chord_sampling *p, candidate *c)
{
    if (p->repetition_penalty == 1 && p->frequency_penalty == 0 && p->presence_penalty == 0) return;
    int32_t const n = q->n_tokens < CHORD_PENALTY_WINDOW ? q->n_tokens : CHORD_PENALTY_WINDOW;
    const int32_t *const ids = q->ids + (q->n_tokens - n);
    for (int32_t i = 0; i < n; i++) {
        int32_t count = 1, is_last = 1;
        for (int32_t j = 0; j < n; j++) {
            if (ids[j] != ids[i] || j == i) continue;
            count++;
            if (j > i) is_last = 0;
        }
        if (!is_last) continue;
        float *const logit = &c[ids[i]].logit;
        *logit = *logit > 0 ? *logit / p->repetition_penalty : *logit * p->repetition_penalty;
        *logit -= (float)count * p->frequency_penalty + p->presence_penalty;
    }
}

/* All possible candidates with bias and penalties applied, by id; their number or an error. */
static int32_t gather(const chord_sequence *q, const float *logits, const chord_sampling *p, const chord_bias *bias,
                      candidate *c, chord_error *e)
{
    float const infinity = __builtin_inff();
    int32_t const position = q->n_past - 1; /* of the last output row */
    int32_t n_possible = 0, n = 0;
    for (int32_t id = 0; id < q->n_vocab; id++) {
        c[id] = (candidate){ logits[id], id };
        if (!(logits[id] < infinity))
            return chord_fail(e, CHORD_INTERNAL, "the logit of token %d at position %d isn't finite", id, position);
        n_possible += logits[id] > -infinity;
    }
    if (!n_possible) return chord_fail(e, CHORD_INTERNAL, "no token has a finite logit at position %d", position);

    for (int32_t i = 0; i < p->n_bias; i++) c[bias[i].id].logit += bias[i].value;
    penalise(q, p, c);
    for (int32_t id = 0; id < q->n_vocab; id++) {
        if (!(c[id].logit < infinity))
            return chord_fail(e, CHORD_INVALID_ARGUMENT, "bias and penalties leave token %d without a finite logit", id);
        if (c[id].logit > -infinity) c[n++] = c[id];
    }
    return n ? n : chord_fail(e, CHORD_INVALID_ARGUMENT, "bias and penalties forbid every token");
}

static bool is_before(candidate a, candidate b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

static void swap(candidate *a, candidate *b)
{
    candidate const x = *a;
    *a = *b;
    *b = x;
}

/* A heap whose root is the last of its n in order. */
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

/* The k best to the front, in order: of all that pass by, a heap keeps k, and is then sorted. */
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

/* top-k, then the fewest best candidates whose probability together is at least top_p. */
static int32_t keep_top(candidate *c, int32_t n, const chord_sampling *p, float best)
{
    int32_t n_sorted = 0;
    if (p->top_k > 0 && p->top_k < n) {
        sort_best(c, n, p->top_k);
        n = n_sorted = p->top_k;
    }
    if (p->top_p >= 1) return n;

    double total = 0, sum = 0;
    for (int32_t i = 0; i < n; i++) total += weight(c[i], best, 1);
    for (int32_t i = 0; i < n; i++) {
        if (i == n_sorted) { /* mostly the first few hundred are enough; what is sorted stays where it is */
            n_sorted = i < n / 16 ? i * 16 : n;
            if (n_sorted < 256) n_sorted = n < 256 ? n : 256;
            sort_best(c, n, n_sorted);
        }
        sum += weight(c[i], best, 1);
        if (sum >= (double)p->top_p * total) return i + 1;
    }
    return n;
}

/* Those with at least min_p of the best one's probability. */
static int32_t keep_min_p(candidate *c, int32_t n, float min_p, float best)
{
    if (min_p <= 0) return n;
    float const least = best + (float)chord_host_log(min_p);
    int32_t n_kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (c[i].logit >= least) c[n_kept++] = c[i];
    return n_kept;
}

/* One number of the generator whatever n is; u < 1, so the sum passes u * total at a weight above 0. */
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

int32_t chord_sequence_sample(chord_sequence *q, const float *logits, const chord_sampling *p, const chord_bias *bias,
                              void *scratch, chord_error *e)
{
    CHORD_TRY(check(q, p, bias, e));
    candidate *const c = scratch;
    int32_t n = gather(q, logits, p, bias, c, e);
    if (n < 0) return n;
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (c[i].logit > c[best].logit) best = i;
    if (p->temperature == 0) return c[best].id;

    float const top = c[best].logit;
    n = keep_top(c, n, p, top);
    n = keep_min_p(c, n, p->min_p, top);
    return draw(q, c, n, top, p->temperature);
}
