/* pool_eager_test.c: the pool on a host that can't sleep: waits return at once, as on a system without
 * futexes. The pool's source is included under other names, so that it calls the host below. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/exec/exec.h"
#include "../../src/base/host.h"
#include "../harness/test.h"
#include <pthread.h>
#include <sched.h>
#include <time.h>

static int32_t clock_ahead;       /* atomic: ms that the host's clock is ahead of the time */
static int32_t n_waits;

static double eager_now(void) { return chord_host_now() + __atomic_load_n(&clock_ahead, __ATOMIC_SEQ_CST); }
static void eager_wait(const int32_t *at, int32_t expected, int32_t timeout_ms)
{
    (void)at, (void)expected, (void)timeout_ms;
    n_waits++;
    sched_yield();
}
#define chord_host_now eager_now
#define chord_host_wait eager_wait
#define chord_op_run eager_op_run
#define chord_pool_charge eager_pool_charge
#define chord_pool_is_alone eager_pool_is_alone
#define chord_pool_begin eager_pool_begin
#define chord_pool_end eager_pool_end
#define chord_pool_share eager_pool_share
#define chord_pool_join eager_pool_join
#define chord_pool_stop eager_pool_stop
void chord_op_run(const chord_run *run, int64_t u0, int64_t u1, int32_t thread);
void chord_pool_charge(chord_pool *p, double lost, double now);
bool chord_pool_is_alone(chord_pool *p);
void chord_pool_begin(chord_pool *p);
void chord_pool_end(chord_pool *p);
bool chord_pool_share(chord_pool *p, const chord_run *run, int64_t first, int32_t n, uint64_t unit_work);
chord_status chord_pool_join(chord_pool *p, int32_t index);
void chord_pool_stop(chord_pool *p);
#include "../../src/exec/pool.c"
#undef chord_host_now
#undef chord_host_wait

static int32_t helper_is_at_work;
static const chord_plan *seen; /* the run's plan, as a helper saw it at the end of its unit */
static int32_t clock_leap;        /* ms that the clock leaps ahead while a helper is at work */

void chord_op_run(const chord_run *run, int64_t u0, int64_t u1, int32_t thread)
{
    (void)u0, (void)u1;
    if (thread) {
        __atomic_store_n(&helper_is_at_work, 1, __ATOMIC_SEQ_CST);
        nanosleep(&(struct timespec){ .tv_nsec = 100000000l }, NULL);
        __atomic_add_fetch(&clock_ahead, clock_leap, __ATOMIC_SEQ_CST);
        nanosleep(&(struct timespec){ .tv_nsec = 100000000l }, NULL);
        __atomic_store_n(&seen, run->plan, __ATOMIC_SEQ_CST);
    } else {
        while (!__atomic_load_n(&helper_is_at_work, __ATOMIC_SEQ_CST)) sched_yield();
    }
}

static void *join(void *pool)
{
    chord_pool_join(pool, 1);
    return NULL;
}

/* Makes an offer of two units. A helper does one of them in 200 ms. */
static bool share(int32_t leap, int32_t patience_ms)
{
    static const chord_plan plan;
    chord_pool pool = { .n_threads = 2, .patience_ms = patience_ms };
    pthread_t helper;
    helper_is_at_work = n_waits = 0;
    clock_leap = leap;
    seen = NULL;
    chord_run run = { .plan = &plan };
    pthread_create(&helper, NULL, join, &pool);
    bool const is_whole = chord_pool_share(&pool, &run, 0, 2, 1000000);
    memset(&run, 0xff, sizeof run); /* a step's run ends with the step */
    chord_pool_stop(&pool);
    pthread_join(helper, NULL);
    CHECK(seen == &plan);
    return is_whole;
}

TEST(waits_that_return_at_once_count_for_the_time_that_they_took)
{
    CHECK(share(0, 10000));
    CHECK(n_waits > 10000 / 200); /* more waits than the patience has slices */
}

TEST(a_machine_that_was_suspended_in_a_wait_does_not_break_the_pool) { CHECK(share(3600000, 10000)); }

TEST(a_helper_that_is_slower_than_the_patience_ends_its_unit_after_the_step_has_ended)
{
    CHECK(!share(0, 50));
}

/* A thread that claims a unit and dies with it. */
static void *claim_and_die(void *p)
{
    chord_pool *pool = p;
    int32_t left;
    do left = __atomic_load_n(&pool->left, __ATOMIC_SEQ_CST);
    while (left <= 0 ||
           !__atomic_compare_exchange_n(&pool->left, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    __atomic_store_n(&helper_is_at_work, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

TEST(a_dead_helper_still_ends_the_offer_after_the_patience)
{
    chord_pool pool = { .n_threads = 2, .patience_ms = 300 };
    pthread_t thread;
    helper_is_at_work = 0;
    pthread_create(&thread, NULL, claim_and_die, &pool);
    double const begin = chord_host_now();
    CHECK(!chord_pool_share(&pool, &(chord_run){ 0 }, 0, 2, 1000000));
    CHECK(chord_host_now() - begin >= 300);
    CHECK_EQ(pool.broken, 1);
    pthread_join(thread, NULL);
}
