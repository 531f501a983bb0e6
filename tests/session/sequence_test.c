/* sequence_test.c: tokens, batches and pages of a sequence. The executor of these tests writes one number
 * per position into its page: a hash of all ids up to this position, because a KV row depends on all of
 * them. A page that is aliased, lost or not copied shows as a wrong number. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/session/sequence.h"
#include "../harness/test.h"

enum { PAYLOAD = CHORD_PAGE_TOKENS * 8, N_VOCAB = 50 };

static chord_error error;

static chord_page_pool new_pool(int n_pages)
{
    chord_page_pool pool = { .payload_bytes = PAYLOAD };
    size_t const bytes = (size_t)n_pages * (size_t)chord_page_bytes(&pool);
    chord_page_give(&pool, test_alloc(bytes), bytes);
    return pool;
}

static void init_class(chord_sequence *q, chord_page_pool *pool, int n_ctx, int n_batch, int n_logits,
                       const chord_cache_class *only)
{
    chord_sequence_config const config = { .n_ctx = n_ctx,
                                           .n_batch = n_batch,
                                           .n_logits = n_logits,
                                           .n_vocab = N_VOCAB,
                                           .n_axes = 1,
                                           .n_classes = 1,
                                           .classes = only,
                                           .pools = pool };
    chord_sequence_init(q, test_alloc((size_t)chord_sequence_bytes(&config)), &config);
}

static void init(chord_sequence *q, chord_page_pool *pool, int n_ctx, int n_batch, int n_logits)
{
    static const chord_cache_class paged = { .kind = CHORD_CACHE_PAGED };
    init_class(q, pool, n_ctx, n_batch, n_logits, &paged);
}

static int32_t random_id(void) { return (int32_t)(test_random() % N_VOCAB); }

static void push_random(chord_sequence *q, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_EQ(chord_sequence_push(q, &(int32_t){ random_id() }, 1, &error), CHORD_OK);
}

static uint64_t hash(const int32_t *ids, int n)
{
    uint64_t h = 1469598103934665603u;
    for (int i = 0; i < n; i++) h = (h ^ (uint64_t)(uint32_t)ids[i]) * 1099511628211u;
    return h;
}

static uint64_t *row(const chord_sequence *q, int position)
{
    return (uint64_t *)(void *)q->classes[0].pages[position / CHORD_PAGE_TOKENS] +
           position % CHORD_PAGE_TOKENS;
}

static void check_rows(const chord_sequence *q)
{
    for (int i = 0; i < q->n_past; i++) CHECK(*row(q, i) == hash(q->ids, i + 1));
}

/* Does what an executor does with a batch. `finished` 0 writes wrong rows, as after a cancel. */
static void compute(chord_sequence *q, int finished)
{
    const chord_batch *const b = &q->batch;
    CHECK(b->n_tokens > 0 && b->runs[0].first_pos == q->n_past && b->ids == q->ids + q->n_past);
    for (int i = 0; i < b->n_tokens; i++) {
        int const at = b->runs[0].first_pos + i;
        CHECK_EQ(chord_page_refs(b->runs[0].pages[0][at / CHORD_PAGE_TOKENS]), 1);
        *row(q, at) = finished ? hash(q->ids, at + 1) : 0xdead;
    }
}

static void evaluate(chord_sequence *q)
{
    chord_status status;
    while ((status = chord_sequence_next_batch(q)) == CHORD_OK) {
        compute(q, 1);
        chord_sequence_accept_batch(q);
    }
    CHECK_EQ(status, CHORD_DONE);
    check_rows(q);
}

TEST(output_last_cuts_at_n_batch_and_asks_for_the_last_row_only)
{
    chord_page_pool pool = new_pool(4);
    chord_sequence q;
    init(&q, &pool, 100, 16, 3);
    push_random(&q, 37);
    int const want[][3] = { { 0, 16, 0 }, { 16, 16, 0 }, { 32, 5, 1 } };
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
        CHECK_EQ(q.batch.runs[0].first_pos, want[i][0]);
        CHECK_EQ(q.batch.n_tokens, want[i][1]);
        CHECK_EQ(q.batch.n_outputs, want[i][2]);
        CHECK_EQ(q.classes[0].n_pages, (want[i][0] + want[i][1] + 31) / 32);
        chord_sequence_accept_batch(&q);
        CHECK_EQ(q.n_past, want[i][0] + want[i][1]);
        CHECK_EQ(q.n_rows, want[i][2]);
    }
    CHECK_EQ(q.batch.rows[0], 4);
    CHECK_EQ(q.first_row, 36);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_DONE);
    CHECK_EQ(q.n_rows, 1);
}

TEST(output_all_cuts_at_n_logits_and_asks_for_every_row)
{
    chord_page_pool pool = new_pool(4);
    chord_sequence q;
    for (int n_logits = 5; n_logits <= 20; n_logits += 15) { /* n_batch limits the second one */
        int const most = n_logits < 16 ? n_logits : 16;
        init(&q, &pool, 100, 16, n_logits);
        q.outputs = CHORD_OUTPUT_ALL;
        push_random(&q, 36);
        for (int at = 0; at < 36; at += most) {
            int const n = 36 - at < most ? 36 - at : most;
            CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
            CHECK_EQ(q.batch.n_tokens, n);
            CHECK_EQ(q.batch.n_outputs, n);
            for (int i = 0; i < n; i++) CHECK_EQ(q.batch.rows[i], i);
            chord_sequence_accept_batch(&q);
            CHECK_EQ(q.n_rows, n);
            CHECK_EQ(q.first_row, at);
        }
        CHECK_EQ(chord_sequence_next_batch(&q), CHORD_DONE);
        chord_sequence_clear(&q);
    }
}

TEST(a_batch_under_way_is_kept_until_it_is_accepted_or_dropped)
{
    chord_page_pool pool = new_pool(4);
    chord_sequence q;
    init(&q, &pool, 100, 16, 1);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_DONE);
    push_random(&q, 20);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    chord_sequence const before = q;
    q.outputs = CHORD_OUTPUT_ALL;
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    q.outputs = CHORD_OUTPUT_LAST;
    CHECK(!memcmp(&before, &q, sizeof q));
}

TEST(output_rows_are_dropped_when_the_next_batch_begins)
{
    chord_page_pool pool = new_pool(4);
    chord_sequence q;
    init(&q, &pool, 100, 16, 1);
    push_random(&q, 3);
    evaluate(&q);
    CHECK_EQ(q.n_rows, 1);
    push_random(&q, 1);
    CHECK_EQ(q.n_rows, 1);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    CHECK_EQ(q.n_rows, 0);
    chord_sequence_drop_batch(&q);
    CHECK_EQ(q.n_rows, 0);
}

TEST(push_refuses_ids_outside_the_vocabulary_by_name_and_appends_nothing)
{
    chord_page_pool pool = new_pool(1);
    chord_sequence q;
    init(&q, &pool, 10, 4, 1);
    CHECK_EQ(chord_sequence_push(&q, (int32_t[]){ 0, N_VOCAB - 1 }, 2, &error), CHORD_OK);
    CHECK_EQ(chord_sequence_push(&q, (int32_t[]){ 1, 2, N_VOCAB }, 3, &error), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(error.text, "token 2 of the 3 pushed is 50");
    CHECK_EQ(chord_sequence_push(&q, (int32_t[]){ -7 }, 1, &error), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(error.text, "is -7");
    CHECK_EQ(chord_sequence_push(&q, NULL, 1, &error), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_sequence_push(&q, (int32_t[]){ 1 }, -1, &error), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_sequence_push(&q, NULL, 0, &error), CHORD_OK);
    CHECK_EQ(q.n_tokens, 2);
}

TEST(push_fills_the_context_and_refuses_one_more)
{
    chord_page_pool pool = new_pool(2);
    chord_sequence q;
    int32_t const ids[41] = { 0 };
    init(&q, &pool, 40, 16, 1);
    CHECK_EQ(chord_sequence_push(&q, ids, 41, &error), CHORD_CONTEXT_FULL);
    CHECK_TEXT(error.text, "context length 40");
    CHECK_EQ(chord_sequence_push(&q, ids, INT32_MAX, &error), CHORD_CONTEXT_FULL);
    CHECK_EQ(chord_sequence_push(&q, ids, 39, &error), CHORD_OK);
    CHECK_EQ(chord_sequence_push(&q, ids, 2, &error), CHORD_CONTEXT_FULL);
    CHECK_EQ(q.n_tokens, 39);
    CHECK_EQ(chord_sequence_push(&q, ids, 1, &error), CHORD_OK);
    evaluate(&q);
    CHECK_EQ(chord_sequence_push(&q, ids, 1, &error), CHORD_CONTEXT_FULL);
    CHECK_EQ(q.n_past, 40);
}

TEST(push_during_a_batch_is_refused)
{
    chord_page_pool pool = new_pool(1);
    chord_sequence q;
    init(&q, &pool, 40, 16, 1);
    push_random(&q, 3);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    CHECK_EQ(chord_sequence_push(&q, &(int32_t){ 1 }, 1, &error), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(q.n_tokens, 3);
    chord_sequence_accept_batch(&q);
    CHECK_EQ(chord_sequence_push(&q, &(int32_t){ 1 }, 1, &error), CHORD_OK);
}

TEST(need_memory_changes_nothing_and_the_wanted_bytes_are_enough)
{
    chord_page_pool pool = new_pool(1);
    chord_sequence q;
    init(&q, &pool, 200, 128, 1);
    push_random(&q, 100);
    chord_sequence before = q;
    chord_page_pool pool_before = pool;
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_NEED_MEMORY);
    pool_before.n_wanted = 3;
    CHECK_EQ(q.wanted, 3 * chord_page_bytes(&pool));
    before.wanted = q.wanted;
    CHECK(!memcmp(&before, &q, sizeof q) && !memcmp(&pool_before, &pool, sizeof pool));
    chord_page_give(&pool, test_alloc((size_t)q.wanted), (size_t)q.wanted);
    evaluate(&q);
    CHECK_EQ(pool.n_free, 0);
    CHECK_EQ(q.n_past, 100);
}

TEST(decoding_needs_one_page_per_32_tokens)
{
    chord_page_pool pool = new_pool(3);
    chord_sequence q;
    init(&q, &pool, 96, 16, 1);
    for (int i = 0; i < 96; i++) {
        CHECK_EQ(q.classes[0].n_pages, (i + 31) / 32);
        push_random(&q, 1);
        evaluate(&q);
        CHECK_EQ(q.first_row, i);
    }
    CHECK_EQ(pool.n_free, 0);
}

TEST(dropping_a_batch_keeps_finished_batches_and_drops_pending_tokens)
{
    chord_page_pool pool = new_pool(4);
    chord_sequence q;
    init(&q, &pool, 100, 40, 1);
    push_random(&q, 100);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    compute(&q, 1);
    chord_sequence_accept_batch(&q);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    CHECK_EQ(q.classes[0].n_pages, 3);
    compute(&q, 0);
    chord_sequence_drop_batch(&q);
    CHECK_EQ(q.n_tokens, 40);
    CHECK_EQ(q.n_past, 40);
    CHECK_EQ(q.classes[0].n_pages, 2);
    CHECK_EQ(pool.n_free, 2);
    check_rows(&q);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_DONE);
    push_random(&q, 30);
    evaluate(&q);
}

TEST(truncate_frees_the_pages_past_the_cut_and_keeps_the_rest)
{
    chord_page_pool pool = new_pool(4);
    chord_sequence q;
    init(&q, &pool, 128, 128, 128);
    q.outputs = CHORD_OUTPUT_ALL;
    push_random(&q, 100);
    evaluate(&q);
    int const cuts[] = { 100, 97, 96, 65, 64, 63, 33, 32, 31, 1, 0 };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        CHECK_EQ(chord_sequence_truncate(&q, cuts[i], &error), cuts[i]);
        CHECK_EQ(q.n_past, cuts[i]);
        CHECK_EQ(q.n_tokens, cuts[i]);
        CHECK_EQ(q.classes[0].n_pages, (cuts[i] + 31) / 32);
        CHECK_EQ(q.n_rows, cuts[i]);
        CHECK_EQ(pool.n_free, 4 - q.classes[0].n_pages);
        check_rows(&q);
    }
}

TEST(truncate_outside_the_sequence_is_refused)
{
    chord_page_pool pool = new_pool(2);
    chord_sequence q;
    init(&q, &pool, 40, 40, 1);
    push_random(&q, 5);
    CHECK_EQ(chord_sequence_truncate(&q, 6, &error), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(error.text, "truncation at 6 is outside the sequence of 5");
    CHECK_EQ(chord_sequence_truncate(&q, -1, &error), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(q.n_tokens, 5);
}

TEST(truncate_undoes_a_batch_and_leaves_tokens_below_n_pending)
{
    chord_page_pool pool = new_pool(4);
    chord_sequence q;
    init(&q, &pool, 128, 40, 1);
    push_random(&q, 100);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    compute(&q, 1);
    chord_sequence_accept_batch(&q);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    CHECK_EQ(chord_sequence_truncate(&q, 70, &error), 70);
    CHECK(!q.has_batch);
    CHECK_EQ(q.n_past, 40);
    CHECK_EQ(q.n_tokens, 70);
    CHECK_EQ(q.classes[0].n_pages, 2);
    evaluate(&q);
    CHECK_EQ(q.n_past, 70);
    CHECK_EQ(q.first_row, 69);
}

TEST(output_rows_below_the_cut_stay_readable)
{
    chord_page_pool pool = new_pool(2);
    chord_sequence q;
    init(&q, &pool, 64, 16, 8);
    q.outputs = CHORD_OUTPUT_ALL;
    push_random(&q, 24);
    evaluate(&q);
    CHECK_EQ(q.first_row, 16);
    CHECK_EQ(chord_sequence_truncate(&q, 19, &error), 19);
    CHECK_EQ(q.n_rows, 3);
    CHECK_EQ(chord_sequence_truncate(&q, 10, &error), 10);
    CHECK_EQ(q.n_rows, 0);
}

TEST(fork_shares_whole_pages_and_copies_the_partial_one)
{
    chord_page_pool pool = new_pool(8);
    chord_sequence q, fork;
    init(&q, &pool, 128, 128, 1);
    init(&fork, &pool, 128, 128, 1);
    chord_sequence_seed(&q, 7);
    push_random(&q, 70);
    evaluate(&q);
    push_random(&q, 3);
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_OK);
    CHECK(fork.classes[0].pages[0] == q.classes[0].pages[0] &&
          fork.classes[0].pages[1] == q.classes[0].pages[1] &&
          fork.classes[0].pages[2] != q.classes[0].pages[2]);
    CHECK_EQ(chord_page_refs(q.classes[0].pages[1]), 2);
    CHECK_EQ(chord_page_refs(q.classes[0].pages[2]), 1);
    CHECK_EQ(chord_page_refs(fork.classes[0].pages[2]), 1);
    CHECK_EQ(fork.n_past, 70);
    CHECK_EQ(fork.n_tokens, 73);
    CHECK_EQ(fork.n_rows, 0);
    CHECK(!memcmp(fork.ids, q.ids, 73 * sizeof *q.ids));
    CHECK(fork.random[0] == q.random[0] && fork.random[1] == q.random[1]);
    check_rows(&fork);

    CHECK_EQ(chord_sequence_truncate(&fork, 70, &error), 70); /* both continue independently */
    push_random(&fork, 20);
    evaluate(&fork);
    evaluate(&q);
    check_rows(&fork);
    chord_sequence_clear(&q);
    check_rows(&fork);
    CHECK_EQ(chord_page_refs(fork.classes[0].pages[0]), 1);
    chord_sequence_clear(&fork);
    CHECK_EQ(pool.n_free, 8);
}

TEST(fork_at_a_page_boundary_copies_nothing)
{
    chord_page_pool pool = new_pool(2);
    chord_sequence q, fork;
    init(&q, &pool, 128, 128, 1);
    init(&fork, &pool, 128, 128, 1);
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_OK);
    CHECK_EQ(fork.classes[0].n_pages, 0);
    push_random(&q, 64);
    evaluate(&q);
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_OK);
    CHECK_EQ(pool.n_free, 0);
    CHECK_EQ(chord_page_refs(q.classes[0].pages[1]), 2);
}

TEST(fork_leaves_a_batch_under_way_to_the_original)
{
    chord_page_pool pool = new_pool(8);
    chord_sequence q, fork;
    init(&q, &pool, 128, 40, 1);
    init(&fork, &pool, 128, 40, 1);
    push_random(&q, 100);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    compute(&q, 1);
    chord_sequence_accept_batch(&q);
    CHECK_EQ(chord_sequence_next_batch(&q), CHORD_OK);
    compute(&q, 0);
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_OK);
    CHECK(!fork.has_batch && q.has_batch);
    CHECK_EQ(fork.n_past, 40);
    CHECK_EQ(fork.classes[0].n_pages, 2);
    evaluate(&fork);
    compute(&q, 1);
    chord_sequence_accept_batch(&q);
    evaluate(&q);
    check_rows(&fork);
}

TEST(fork_without_a_free_page_changes_nothing)
{
    chord_page_pool pool = new_pool(2);
    chord_sequence q, fork;
    init(&q, &pool, 128, 128, 1);
    init(&fork, &pool, 128, 128, 1);
    push_random(&q, 40);
    evaluate(&q);
    chord_sequence const before = fork;
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_NEED_MEMORY);
    CHECK_EQ(q.wanted, chord_page_bytes(&pool));
    CHECK(!memcmp(&before, &fork, sizeof fork));
    CHECK_EQ(chord_page_refs(q.classes[0].pages[0]), 1);
    chord_page_give(&pool, test_alloc((size_t)q.wanted), (size_t)q.wanted);
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_OK);
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_INVALID_ARGUMENT); /* the fork isn't empty any more */
    CHECK_EQ(chord_page_refs(q.classes[0].pages[0]), 2);
}

TEST(a_shared_page_truncated_in_its_middle_is_copied_before_it_is_written_to)
{
    chord_page_pool pool = new_pool(4);
    chord_sequence q, fork;
    init(&q, &pool, 128, 128, 1);
    init(&fork, &pool, 128, 128, 1);
    push_random(&q, 64);
    evaluate(&q);
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_OK);
    CHECK_EQ(chord_sequence_truncate(&fork, 45, &error), 45);
    CHECK(fork.classes[0].pages[1] == q.classes[0].pages[1]);
    push_random(&fork, 5);
    evaluate(&fork);
    CHECK(fork.classes[0].pages[1] != q.classes[0].pages[1] &&
          fork.classes[0].pages[0] == q.classes[0].pages[0]);
    CHECK_EQ(chord_page_refs(q.classes[0].pages[1]), 1);
    CHECK_EQ(chord_page_refs(fork.classes[0].pages[1]), 1);
    check_rows(&q);
    check_rows(&fork);
}

TEST(wanted_memory_includes_the_copy_of_a_shared_page)
{
    chord_page_pool pool = new_pool(2);
    chord_sequence q, fork;
    init(&q, &pool, 128, 128, 1);
    init(&fork, &pool, 128, 128, 1);
    push_random(&q, 64);
    evaluate(&q);
    CHECK_EQ(chord_sequence_fork(&q, &fork), CHORD_OK);
    CHECK_EQ(chord_sequence_truncate(&fork, 45, &error), 45);
    push_random(&fork, 20); /* 65 tokens: the copy and one more page */
    CHECK_EQ(chord_sequence_next_batch(&fork), CHORD_NEED_MEMORY);
    CHECK_EQ(fork.wanted, 2 * chord_page_bytes(&pool));
    CHECK(fork.classes[0].pages[1] == q.classes[0].pages[1] && chord_page_refs(q.classes[0].pages[1]) == 2);
    chord_page_give(&pool, test_alloc((size_t)fork.wanted), (size_t)fork.wanted);
    evaluate(&fork);
    check_rows(&q);
    CHECK_EQ(pool.n_free, 0);
}

TEST(match_counts_evaluated_tokens_only)
{
    chord_page_pool pool = new_pool(2);
    chord_sequence q;
    init(&q, &pool, 40, 40, 1);
    int32_t const ids[] = { 1, 2, 3, 4, 5 };
    CHECK_EQ(chord_sequence_push(&q, ids, 3, &error), CHORD_OK);
    CHECK_EQ(chord_sequence_match(&q, ids, 5), 0);
    evaluate(&q);
    CHECK_EQ(chord_sequence_push(&q, ids + 3, 2, &error), CHORD_OK);
    CHECK_EQ(chord_sequence_match(&q, ids, 5), 3);
    CHECK_EQ(chord_sequence_match(&q, ids, 2), 2);
    CHECK_EQ(chord_sequence_match(&q, (int32_t[]){ 1, 9, 3 }, 3), 1);
    CHECK_EQ(chord_sequence_match(&q, ids, 0), 0);
}

/* ---- random operations compared with a naive model ------------------------------------------------- */

enum { N_SEQUENCES = 4, N_CTX = 150, N_BATCH = 40, N_LOGITS = 7 };

typedef struct model {
    int32_t ids[N_CTX];
    int n_past, n_tokens, n_batch, all, n_rows, first_row;
    int end;                      /* of the positions with pages that were handed out early */
} model;

static void check_model(const chord_sequence *q, const model *m)
{
    CHECK_EQ(q->n_past, m->n_past);
    CHECK_EQ(q->n_tokens, m->n_tokens);
    CHECK_EQ(q->has_batch, m->n_batch > 0);
    int const end = m->n_past + m->n_batch;
    CHECK_EQ(q->classes[0].n_pages, ((end > m->end ? end : m->end) + 31) / 32);
    CHECK_EQ(q->n_rows, m->n_rows);
    if (m->n_rows) CHECK_EQ(q->first_row, m->first_row);
    CHECK(!memcmp(q->ids, m->ids, (size_t)m->n_tokens * sizeof *m->ids));
    check_rows(q);
}

/* Checks that a page has one reference per sequence that holds it, and that all other pages are free. */
static void check_pool(const chord_page_pool *pool, const chord_sequence *q)
{
    int n_held = 0;
    for (int i = 0; i < N_SEQUENCES; i++)
        for (int k = 0; k < q[i].classes[0].n_pages; k++) {
            int refs = 0, is_first = 1;
            for (int j = 0; j < N_SEQUENCES; j++)
                for (int l = 0; l < q[j].classes[0].n_pages; l++) {
                    if (q[j].classes[0].pages[l] != q[i].classes[0].pages[k]) continue;
                    CHECK_EQ(l, k);
                    if (j < i) is_first = 0;
                    refs++;
                }
            CHECK_EQ(chord_page_refs(q[i].classes[0].pages[k]), refs);
            n_held += is_first;
        }
    CHECK_EQ(pool->n_free, pool->n_pages - n_held);
}

static void push(chord_sequence *q, model *m, int n)
{
    int32_t ids[80];
    for (int k = 0; k < n; k++) ids[k] = random_id();
    chord_status const want = m->n_batch                ? CHORD_INVALID_ARGUMENT
                              : m->n_tokens + n > N_CTX ? CHORD_CONTEXT_FULL
                                                        : CHORD_OK;
    CHECK_EQ(chord_sequence_push(q, ids, n, &error), want);
    if (want != CHORD_OK) return;
    memcpy(m->ids + m->n_tokens, ids, (size_t)n * sizeof *ids);
    m->n_tokens += n;
}

static void next_batch(chord_sequence *q, model *m, chord_page_pool *pool)
{
    int want = m->n_tokens - m->n_past;
    if (want > N_BATCH) want = N_BATCH;
    if (m->all && want > N_LOGITS) want = N_LOGITS;
    chord_sequence before = *q;
    chord_status status = chord_sequence_next_batch(q);
    if (status == CHORD_NEED_MEMORY) {
        before.wanted = q->wanted;
        CHECK(!memcmp(&before, q, sizeof *q));
        check_model(q, m);
        chord_page_give(pool, test_alloc((size_t)q->wanted), (size_t)q->wanted);
        status = chord_sequence_next_batch(q);
        CHECK_EQ(pool->n_free, 0);
    }
    if (m->n_batch) want = m->n_batch;
    CHECK_EQ(status, want ? CHORD_OK : CHORD_DONE);
    if (!want) return;
    CHECK_EQ(q->batch.n_tokens, want);
    if (!m->n_batch) CHECK_EQ(q->batch.n_outputs, m->all ? want : m->n_past + want == m->n_tokens);
    m->n_batch = want;
    m->n_rows = 0;
    compute(q, 0);
}

static void reserve(chord_sequence *q, model *m, chord_page_pool *pool, int ahead)
{
    chord_sequence const before = *q;
    chord_status status = chord_sequence_reserve(q, ahead, &error);
    if (status == CHORD_NEED_MEMORY) {
        CHECK(q->classes[0].n_pages == before.classes[0].n_pages);
        chord_page_give(pool, test_alloc((size_t)q->wanted), (size_t)q->wanted);
        status = chord_sequence_reserve(q, ahead, &error);
    }
    CHECK_EQ(status, m->n_batch ? CHORD_OK : CHORD_INVALID_ARGUMENT);
    int const end = m->n_past + m->n_batch + ahead;
    if (m->n_batch && end > m->end) m->end = end < N_CTX ? end : N_CTX;
}

static void finish_batch(chord_sequence *q, model *m)
{
    if (!m->n_batch) return;
    compute(q, 1);
    m->n_rows = q->batch.n_outputs;
    m->first_row = m->n_past + m->n_batch - m->n_rows;
    m->n_past += m->n_batch;
    m->n_batch = 0;
    chord_sequence_accept_batch(q);
}

static void fork_into(chord_sequence *q, const model *m, chord_sequence *to, model *m_to,
                      chord_page_pool *pool)
{
    chord_sequence_clear(to);
    chord_status status = chord_sequence_fork(q, to);
    if (status == CHORD_NEED_MEMORY) {
        CHECK_EQ(to->classes[0].n_pages, 0);
        CHECK_EQ(q->wanted, chord_page_bytes(pool));
        chord_page_give(pool, test_alloc((size_t)q->wanted), (size_t)q->wanted);
        status = chord_sequence_fork(q, to);
    }
    CHECK_EQ(status, CHORD_OK);
    *m_to = *m;
    m_to->n_batch = m_to->n_rows = m_to->end = 0;
}

TEST(random_operations_agree_with_a_naive_model)
{
    chord_page_pool pool = new_pool(1);
    chord_sequence q[N_SEQUENCES];
    static model m[N_SEQUENCES];
    memset(m, 0, sizeof m);
    for (int i = 0; i < N_SEQUENCES; i++) init(&q[i], &pool, N_CTX, N_BATCH, N_LOGITS);
    for (int step = 0; step < 30000; step++) {
        int const i = (int)(test_random() % N_SEQUENCES), j = (int)(test_random() % N_SEQUENCES);
        int const n = (int)(test_random() % 80), kind = (int)(test_random() % 64);
        if (kind < 16) {
            push(&q[i], &m[i], n);
        } else if (kind < 34) {
            next_batch(&q[i], &m[i], &pool);
        } else if (kind < 48) {
            if (kind % 2) reserve(&q[i], &m[i], &pool, n % (CHORD_MAX_AHEAD + 1));
            else finish_batch(&q[i], &m[i]);
        } else if (kind < 50) {
            chord_sequence_drop_batch(&q[i]);
            m[i].n_tokens = m[i].n_past;
            m[i].n_batch = m[i].end = 0;
        } else if (kind < 56) {
            int const cut = m[i].n_tokens > n ? m[i].n_tokens - n : 0;
            CHECK_EQ(chord_sequence_truncate(&q[i], cut, &error), cut);
            m[i].n_tokens = cut;
            m[i].n_batch = m[i].end = 0;
            if (m[i].n_past > cut) m[i].n_past = cut;
            while (m[i].n_rows && m[i].first_row + m[i].n_rows > cut) m[i].n_rows--;
        } else if (kind < 61) {
            if (i != j) fork_into(&q[i], &m[i], &q[j], &m[j], &pool);
        } else if (kind < 62) {
            chord_sequence_clear(&q[i]);
            m[i] = (model){ .all = m[i].all };
        } else {
            q[i].outputs = m[i].all = !m[i].all;
        }
        for (int k = 0; k < N_SEQUENCES; k++) check_model(&q[k], &m[k]);
        check_pool(&pool, q);
    }
    for (int i = 0; i < N_SEQUENCES; i++) chord_sequence_clear(&q[i]);
    CHECK_EQ(pool.n_free, pool.n_pages);
    CHECK(pool.n_pages <= N_SEQUENCES * ((N_CTX + 31) / 32));
}

TEST(a_window_wider_than_any_context_has_no_dead_pages)
{
    static const chord_cache_class widest[] = {
        { .kind = CHORD_CACHE_WINDOW, .window = INT32_MAX },
        { .kind = CHORD_CACHE_WINDOW, .window = INT32_MAX - 254 },
        { .kind = CHORD_CACHE_WINDOW, .window = 1000 },
    };
    for (int i = 0; i < 3; i++) {
        chord_page_pool pool = new_pool(24);
        chord_sequence q;
        init_class(&q, &pool, 24 * CHORD_PAGE_TOKENS, 50, 1, &widest[i]);
        push_random(&q, 600);
        evaluate(&q);
        CHECK_EQ(chord_sequence_truncate(&q, 40, &error), 40);
        push_random(&q, 700);
        evaluate(&q);
        CHECK_EQ(q.classes[0].n_dead, 0);
        CHECK_EQ(chord_sequence_pages(&q), q.classes[0].n_pages);
    }
}
