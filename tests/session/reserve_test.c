/* reserve_test.c: pages and states that are handed out before the batch that writes them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/session/sequence.h"
#include "../harness/test.h"

enum { N_CTX = 96 };

static chord_error error;
static const int32_t ids[N_CTX] = { 1 };

static chord_page_pool new_pool(int n_pages)
{
    chord_page_pool pool = { .payload_bytes = 64 };
    size_t const bytes = (size_t)n_pages * (size_t)chord_page_bytes(&pool);
    chord_page_give(&pool, test_alloc(bytes), bytes);
    return pool;
}

static void init(chord_sequence *q, chord_page_pool *pool, const chord_cache_class *only)
{
    chord_sequence_config const config = { .n_ctx = N_CTX,
                                           .n_batch = N_CTX,
                                           .n_logits = 1,
                                           .n_vocab = 9,
                                           .n_axes = 1,
                                           .n_checkpoints = 2,
                                           .n_classes = 1,
                                           .classes = only,
                                           .pools = pool };
    chord_sequence_init(q, test_alloc((size_t)chord_sequence_bytes(&config)), &config);
}

static void push(chord_sequence *q, int n) { CHECK_EQ(chord_sequence_push(q, ids, n, &error), CHORD_OK); }

static void begin(chord_sequence *q, int n)
{
    push(q, n);
    CHECK_EQ(chord_sequence_next_batch(q), CHORD_OK);
}

static void evaluate(chord_sequence *q, int n)
{
    begin(q, n);
    chord_sequence_accept_batch(q);
}

TEST(a_page_handed_out_early_is_the_one_that_the_batch_writes)
{
    static const chord_cache_class paged = { .kind = CHORD_CACHE_PAGED };
    chord_page_pool pool = new_pool(2);
    chord_sequence q;
    init(&q, &pool, &paged);
    push(&q, 30);
    CHECK_EQ(chord_sequence_reserve(&q, 1, &error), CHORD_INVALID_ARGUMENT); /* no batch */
    begin(&q, 0);
    CHECK_EQ(chord_sequence_reserve(&q, 2, &error), CHORD_OK);
    CHECK_EQ(q.classes[0].n_pages, 1); /* positions 30 and 31 */
    CHECK_EQ(chord_sequence_reserve(&q, CHORD_MAX_AHEAD + 1, &error), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_sequence_reserve(&q, -1, &error), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_sequence_reserve(&q, 3, &error), CHORD_OK);
    CHECK_EQ(q.classes[0].n_pages, 2);
    const uint8_t *const early = q.classes[0].pages[1];
    CHECK_EQ(chord_page_refs(early), 1);
    CHECK_EQ(chord_sequence_reserve(&q, 3, &error), CHORD_OK); /* once more */
    CHECK_EQ(pool.n_free, 0);
    chord_sequence_accept_batch(&q);
    evaluate(&q, 2);
    begin(&q, 1);
    CHECK(q.batch.runs[0].pages[0][1] == early);
    chord_sequence_accept_batch(&q);
    chord_sequence_clear(&q);
    CHECK_EQ(pool.n_free, 2);
}

TEST(without_a_page_nothing_is_handed_out_and_the_context_bounds_what_is)
{
    static const chord_cache_class paged = { .kind = CHORD_CACHE_PAGED };
    chord_page_pool pool = new_pool(1);
    chord_sequence q;
    init(&q, &pool, &paged);
    begin(&q, 32);
    CHECK_EQ(chord_sequence_reserve(&q, 1, &error), CHORD_NEED_MEMORY);
    CHECK_EQ(q.wanted, chord_page_bytes(&pool));
    CHECK_EQ(q.classes[0].n_pages, 1);
    chord_sequence_accept_batch(&q); /* the batch itself has all that it needs */
    push(&q, 1);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_NEED_MEMORY);
    chord_page_give(&pool, test_alloc((size_t)(4 * q.wanted)), (size_t)(4 * q.wanted));
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    chord_sequence_accept_batch(&q);
    begin(&q, N_CTX - 33);
    CHECK_EQ(chord_sequence_reserve(&q, CHORD_MAX_AHEAD, &error), CHORD_OK);
    CHECK_EQ(q.classes[0].n_pages, (N_CTX + 31) / 32);
}

TEST(truncations_and_forks_leave_early_pages_behind)
{
    static const chord_cache_class paged = { .kind = CHORD_CACHE_PAGED };
    chord_page_pool pool = new_pool(4);
    chord_sequence q, copy;
    init(&q, &pool, &paged);
    init(&copy, &pool, &paged);
    begin(&q, 32);
    CHECK_EQ(chord_sequence_reserve(&q, 1, &error), CHORD_OK);
    chord_sequence_accept_batch(&q);
    CHECK_EQ(chord_sequence_fork(&q, &copy), CHORD_OK);
    CHECK_EQ(copy.classes[0].n_pages, 1);
    CHECK_EQ(chord_page_refs(q.classes[0].pages[1]), 1);
    CHECK_EQ(chord_sequence_truncate(&q, 32, &error), 32);
    CHECK_EQ(q.classes[0].n_pages, 1);
    CHECK_EQ(pool.n_free, 3);
    begin(&q, 1);
    CHECK_EQ(chord_sequence_reserve(&q, 4, &error), CHORD_OK);
    chord_sequence_drop_batch(&q);
    CHECK_EQ(pool.n_free, 3);
}

TEST(states_handed_out_early_follow_each_other_and_never_are_the_current_one)
{
    static const chord_cache_class states = { .kind = CHORD_CACHE_STATE };
    chord_page_pool pool = new_pool(8);
    chord_sequence q, copy;
    init(&q, &pool, &states);
    init(&copy, &pool, &states);
    evaluate(&q, 20);
    const uint8_t *written = NULL;
    for (int i = 0; i < 30; i++) {
        begin(&q, 1);
        CHECK_EQ(chord_sequence_reserve(&q, 2, &error), CHORD_OK);
        uint8_t **const pages = q.classes[0].pages;
        CHECK_EQ(q.classes[0].n_pages, 4);
        for (int k = 0; k < 4; k++) {
            for (int l = 0; l < k; l++) CHECK(pages[k] != pages[l]);
            CHECK(pages[k] != q.checkpoints[0].states[0] || !k);
        }
        if (written) CHECK(pages[1] == written); /* the state that the step ahead has written */
        written = pages[2];
        const uint8_t *const next = pages[1];
        chord_sequence_accept_batch(&q);
        CHECK(q.classes[0].pages[0] == next);
        CHECK_EQ(q.classes[0].n_pages, 3);
    }
    CHECK_EQ(chord_sequence_fork(&q, &copy), CHORD_OK);
    CHECK_EQ(copy.classes[0].n_pages, 1);
    CHECK_EQ(chord_page_refs(q.classes[0].pages[0]), 2);
    for (int k = 1; k < 3; k++) CHECK_EQ(chord_page_refs(q.classes[0].pages[k]), 1);
    begin(&q, 1);
    CHECK_EQ(chord_sequence_reserve(&q, 2, &error), CHORD_OK);
    CHECK_EQ(chord_sequence_truncate(&q, 50, &error), 50);
    CHECK_EQ(q.classes[0].n_pages, 1);
    CHECK(q.classes[0].pages[0] == copy.classes[0].pages[0]);
    CHECK_EQ(chord_sequence_truncate(&q, 20, &error), 20); /* the checkpoint behind the prompt */
    chord_sequence_clear(&q);
    chord_sequence_clear(&copy);
    CHECK_EQ(pool.n_free, 8);
}

TEST(a_window_s_dead_page_is_used_early_and_the_margin_stays)
{
    static const chord_cache_class window = { .kind = CHORD_CACHE_WINDOW, .window = 8 };
    chord_page_pool pool = new_pool(10);
    chord_sequence q;
    chord_sequence_config const config = { .n_ctx = 400,
                                           .n_batch = 400,
                                           .n_logits = 1,
                                           .n_vocab = 9,
                                           .n_axes = 1,
                                           .n_classes = 1,
                                           .classes = &window,
                                           .pools = &pool };
    chord_sequence_init(&q, test_alloc((size_t)chord_sequence_bytes(&config)), &config);
    for (int i = 0; i < 10; i++) evaluate(&q, 31);
    begin(&q, 10); /* to the end of page 9 */
    uint8_t *const first = q.classes[0].pages[0];
    CHECK_EQ(chord_sequence_reserve(&q, 1, &error), CHORD_OK);
    CHECK_EQ(q.classes[0].n_dead, 1);
    CHECK(q.classes[0].pages[10] == first);
    chord_sequence_accept_batch(&q);
    CHECK_EQ(chord_sequence_truncate(&q, 320 - 256, &error), 320 - 256);
    chord_sequence_clear(&q);
    CHECK_EQ(pool.n_free, 10);
}
