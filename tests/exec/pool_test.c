/* pool_test.c: the pool by itself: offers, claims, the ledger, stop, and a thread that never finishes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/exec/exec.h"
#include "../../src/base/host.h"
#include "../harness/test.h"
#include <pthread.h>
#include <sched.h>
#include <time.h>

/* WORK: planned multiply-adds of a row, enough for a claim of one row. */
enum { THREADS = 4, ROWS = 96, WORK = 100000 };

/* Rows of one float. A unit of the op adds a row of slot 1 to the same row of slot 0. */
static float rows[2][ROWS * 16];
static chord_plan const plan = { .program.slots = { { 1, 0 }, { 1, 0 } }, .slots = { rows[0], rows[1] } };
static chord_op const op = { .kind = CHORD_OP_ADD, .out = { 0 }, .in = { 1 }, .add = { .width = 1 } };
/* naps: microseconds that a row takes; helpers_naps: how many more for a helper; helpers_rows: rows that
 * helpers did */
static int32_t naps, helpers_naps, helpers_rows;
static pthread_t leader;

static void add(float *y, const float *x, int32_t n)
{
    for (int32_t i = 0; i < n; i++) y[i] += x[i];
    bool const is_helper = !pthread_equal(pthread_self(), leader);
    if (is_helper) __atomic_add_fetch(&helpers_rows, 1, __ATOMIC_RELAXED);
    int32_t const nap = naps + (is_helper ? helpers_naps : 0);
    if (nap) nanosleep(&(struct timespec){ .tv_nsec = nap * 1000l }, NULL);
}
static chord_ops const ops = { .add = add };

typedef struct helper {
    chord_pool *pool;
    int32_t index;
    pthread_t thread;
} helper;

static void *join(void *p)
{
    helper *h = p;
    chord_pool_join(h->pool, h->index);
    return NULL;
}

static void start(chord_pool *pool, helper *helpers)
{
    leader = pthread_self();
    helpers_rows = 0;
    for (int32_t i = 0; i < 2 * ROWS * 16; i++)
        rows[i / (ROWS * 16)][i % (ROWS * 16)] = (float)(i / (ROWS * 16));
    for (int32_t i = 1; i < pool->n_threads; i++) {
        helpers[i] = (helper){ .pool = pool, .index = i };
        pthread_create(&helpers[i].thread, NULL, join, &helpers[i]);
    }
    while (__atomic_load_n(&pool->n_ready, __ATOMIC_SEQ_CST) + 1 < pool->n_threads) sched_yield();
}

static void stop(chord_pool *pool, helper *helpers)
{
    chord_pool_stop(pool);
    for (int32_t i = 1; i < pool->n_threads; i++) pthread_join(helpers[i].thread, NULL);
    CHECK_EQ(pool->n_ready, 0);
    CHECK_EQ(pool->sleepers, 0);
}

static int32_t rows_other_than(float value)
{
    int32_t n = 0;
    for (int32_t i = 0; i < ROWS; i++) n += rows[0][i * 16] < value || rows[0][i * 16] > value;
    return n;
}

TEST(every_unit_is_done_once_and_before_the_offer_ends)
{
    chord_pool pool = { .n_threads = THREADS, .patience_ms = 10000 };
    helper helpers[THREADS];
    start(&pool, helpers);
    chord_run const run = { .plan = &plan, .ops = &ops, .pool = &pool, .op = &op };
    int32_t wrong = 0;
    for (int32_t round = 1; round <= 800; round++, pool.alone_until = 0) {
        int32_t const cut = round % ROWS; /* two offers of changing size, without a pause between them */
        CHECK(!cut || chord_pool_share(&pool, &run, 0, cut, (uint64_t)(20000 + round % 7 * 20000)));
        CHECK(chord_pool_share(&pool, &run, cut, ROWS - cut, (uint64_t)(10000 + round % 5 * 20000)));
        wrong += rows_other_than((float)round);
    }
    CHECK_EQ(wrong, 0);
    stop(&pool, helpers);
}

TEST(sleeping_helpers_wake_up_when_there_is_work)
{
    chord_pool pool = { .n_threads = THREADS, .patience_ms = 10000 };
    helper helpers[THREADS];
    start(&pool, helpers);
    while (__atomic_load_n(&pool.sleepers, __ATOMIC_SEQ_CST) < THREADS - 1) sched_yield();
    naps = 1000;
    chord_run const run = { .plan = &plan, .ops = &ops, .pool = &pool, .op = &op };
    CHECK(chord_pool_share(&pool, &run, 0, ROWS, WORK));
    naps = 0;
    CHECK_EQ(rows_other_than(1), 0);
    /* helpers are three of four threads; a thread that naps gives up its core */
    CHECK(helpers_rows >= ROWS / 4);
    stop(&pool, helpers);
}

/* Returns a pool after a cost is recorded. In `spent` ms the helpers did `there` multiply-adds per
 * multiply-add of the leader, and `lost` ms were lost. */
static chord_pool after(double spent, double there, double lost)
{
    chord_pool p = { .n_threads = 2, .ledger = { .here = 1e9, .there = 1e9 * there, .since = 1000 } };
    chord_pool_charge(&p, lost, 1000 + spent);
    return p;
}

TEST(the_leader_runs_alone_if_waiting_costs_more_than_half_of_what_helpers_do)
{
    CHECK(after(30, 1, 11).alone_until > 1030); /* 11 ms lost; helpers saved half of 30 - 11 ms */
    CHECK(after(30, 1, 9).alone_until <= 0);
    CHECK(after(30, 0.3, 4).alone_until > 1030);
    CHECK(after(30, 3, 15).alone_until <= 0); /* three helpers */
    CHECK(after(30, 0, 0.1).alone_until > 1030);
    CHECK(after(19, 1, 18).alone_until <= 0); /* 19 ms are too few to judge */
}

TEST(the_time_alone_doubles_until_sharing_has_paid_for_a_while)
{
    chord_pool p = after(30, 1, 20);
    CHECK_NEAR(p.alone_until, 1030 + 25, 1e-9);
    for (int32_t i = 0; i < 8; i++) {
        chord_pool_charge(&p, 1, p.alone_until - 1); /* until the time alone has ended, nothing is judged */
        double const ms = p.alone_ms;
        p.alone_until = 0;
        p.ledger = (chord_ledger){ .here = 1, .there = 1, .since = 2000 };
        chord_pool_charge(&p, 20, 2030);
        CHECK_NEAR(p.alone_ms, ms < 500 ? 2 * ms : 1000, 1e-9);
        CHECK_NEAR(p.alone_until, 2030 + p.alone_ms, 1e-9);
    }
    p.alone_until = 0;
    p.ledger = (chord_ledger){ .here = 8, .there = 6, .since = 3000 };
    chord_pool_charge(&p, 1, 3090);
    CHECK_NEAR(p.alone_ms, 1000, 1e-9);
    chord_pool_charge(&p, 1, 3110);
    CHECK_NEAR(p.alone_ms, 0, 1e-9);
    CHECK_NEAR(p.ledger.spent, 55, 1e-9); /* half of the ledger is forgotten */
    CHECK_NEAR(p.ledger.since, 3110, 1e-9);
    CHECK_NEAR(p.ledger.lost, 1, 1e-9);
    CHECK_NEAR(p.ledger.here, 4, 1e-9);
    CHECK_NEAR(p.ledger.there, 3, 1e-9);
}

TEST(time_between_two_steps_is_not_in_the_ledger)
{
    chord_pool p = { .n_threads = 2, .ledger = { .here = 1, .there = 1 } };
    chord_pool_begin(&p);
    double const begun = p.ledger.since;
    chord_pool_end(&p);
    CHECK(p.ledger.spent >= 0 && p.ledger.spent < 1000);
    p.ledger.spent = 30;
    p.ledger.since = begun - 50000; /* as after a pause: if the pause counted, it would hide the cost */
    chord_pool_begin(&p);
    chord_pool_charge(&p, 20, chord_host_now());
    CHECK(p.alone_until > 0);
}

TEST(a_helper_that_keeps_the_leader_waiting_gets_no_work_for_a_while)
{
    chord_pool pool = { .n_threads = 2, .patience_ms = 10000 };
    helper helpers[2];
    start(&pool, helpers);
    chord_run const run = { .plan = &plan, .ops = &ops, .pool = &pool, .op = &op };
    chord_pool_begin(&pool);
    naps = 1000, helpers_naps = 20000; /* both claim; the helper's rows end long after the leader's */
    CHECK(chord_pool_share(&pool, &run, 0, 8, WORK));
    int32_t const before = helpers_rows;
    CHECK(before > 0);
    CHECK(pool.alone_until > 0);
    pool.alone_until += 1e9; /* however slow this machine is */
    naps = 200, helpers_naps = 0; /* time enough for a helper to claim rows */
    CHECK(chord_pool_share(&pool, &run, 8, ROWS - 8, WORK));
    CHECK_EQ(helpers_rows, before);
    CHECK_EQ(rows_other_than(1), 0);
    pool.alone_until = 1e-9;
    pool.ledger.here = 1e18;
    naps = 1000;
    CHECK(chord_pool_share(&pool, &run, 0, ROWS, WORK));
    naps = 0;
    CHECK(helpers_rows > before); /* the leader shares again, with a new ledger */
    CHECK(pool.ledger.here + pool.ledger.there <= WORK * ROWS);
    stop(&pool, helpers);
}

/* Runs a step of a program of one op. */
static chord_status step(chord_pool *pool, chord_error *e)
{
    static int32_t cancel;
    chord_op one = op;
    chord_plan const of_one = { .program = { .n_ops = 1, .ops = &one, .slots = { { 1, 0 }, { 1, 0 } } },
                                .slots = { rows[0], rows[1] } };
    chord_batch_run const all = { .n_tokens = ROWS };
    chord_batch const batch = { .n_tokens = ROWS, .n_runs = 1, .runs = &all };
    one.add.width = 16000; /* planned work: enough to share */
    chord_ops const naught = { .add = add };
    chord_run run = { .plan = &of_one,
                      .ops = &naught,
                      .batch = &batch,
                      .budget = 1ull << 40,
                      .cancel = &cancel,
                      .pool = pool };
    return chord_exec_run(&run, e);
}

TEST(a_step_is_refused_until_all_threads_of_the_plan_have_joined)
{
    chord_pool pool = { .n_threads = 2, .patience_ms = 10000 };
    chord_error e;
    CHECK_EQ(step(&pool, &e), CHORD_INTERNAL);
    CHECK_TEXT(e.text, "0 of 1 pool threads have joined");
}

TEST(a_helper_that_joined_but_never_runs_delays_no_step)
{
    /* the helper has joined, but gets no core */
    chord_pool pool = { .n_threads = 2, .patience_ms = 10000, .n_ready = 1 };
    chord_run const run = { .plan = &plan, .ops = &ops, .pool = &pool, .op = &op };
    for (int32_t i = 0; i < 2 * ROWS * 16; i++)
        rows[i / (ROWS * 16)][i % (ROWS * 16)] = (float)(i / (ROWS * 16));
    CHECK(chord_pool_share(&pool, &run, 0, ROWS, WORK));
    CHECK_EQ(rows_other_than(1), 0);
}

/* A thread that claims a unit and dies with it. */
static void *claim_and_die(void *p)
{
    chord_pool *pool = p;
    int32_t left;
    do left = __atomic_load_n(&pool->left, __ATOMIC_SEQ_CST);
    while (left <= 0 ||
           !__atomic_compare_exchange_n(&pool->left, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return NULL;
}

TEST(a_thread_that_dies_with_its_units_ends_the_offer_and_breaks_the_pool)
{
    chord_pool pool = { .n_threads = 2, .patience_ms = 300, .n_ready = 1 };
    chord_run const run = { .plan = &plan, .ops = &ops, .pool = &pool, .op = &op };
    pthread_t thread;
    chord_error e;
    pthread_create(&thread, NULL, claim_and_die, &pool);
    naps = 1000;
    CHECK(!chord_pool_share(&pool, &run, 0, ROWS, WORK));
    naps = 0;
    pthread_join(thread, NULL);
    CHECK_EQ(step(&pool, &e), CHORD_INTERNAL);
    CHECK_TEXT(e.text, "broken");
}
