/* The pool alone: barriers, a step's start, stop, and a thread that never comes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/exec/exec.h"
#include "../harness/test.h"
#include <pthread.h>
#include <sched.h>

enum { THREADS = 4, ROUNDS = 3000 };

typedef struct meeting { chord_pool *pool; int32_t index; int32_t *counts; int32_t wrong; } meeting;

static void *meet_often(void *p)
{
    meeting *m = p;
    for (int32_t round = 1; round <= ROUNDS; round++) {
        m->counts[m->index] = round;
        chord_pool_barrier(m->pool, m->index);
        for (int32_t i = 0; i < THREADS; i++) m->wrong += m->counts[i] != round;
        chord_pool_barrier(m->pool, m->index);
    }
    return NULL;
}

TEST(barrier_lets_nobody_pass_before_all_have_come)
{
    chord_pool pool = { .n_threads = THREADS, .patience_ms = 60000 };
    int32_t counts[THREADS] = { 0 };
    pthread_t threads[THREADS];
    meeting m[THREADS];
    for (int32_t i = 0; i < THREADS; i++) m[i] = (meeting){ &pool, i, counts, 0 };
    for (int32_t i = 1; i < THREADS; i++) pthread_create(&threads[i], NULL, meet_often, &m[i]);
    meet_often(&m[0]);
    for (int32_t i = 1; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int32_t i = 0; i < THREADS; i++) CHECK_EQ(m[i].wrong, 0);
    CHECK_EQ(pool.sleepers, 0);
}

/* A program of nothing: a step is then the start signal and the last barrier. */
static chord_model_plan const nothing;

static void *join(void *p)
{
    chord_pool_join(p, 1);
    return NULL;
}

static chord_status step(chord_pool *pool, chord_error *e)
{
    static int32_t cancel;
    chord_batch const batch = { 0 };
    chord_run run = { .plan = &nothing, .batch = &batch, .budget = 1, .cancel = &cancel, .pool = pool };
    return chord_exec_run(&run, e);
}

TEST(pool_threads_come_to_every_step_and_leave_at_stop)
{
    chord_pool pool = { .n_threads = 2, .patience_ms = 60000 };
    chord_error e;
    pthread_t thread;
    CHECK_EQ(step(&pool, &e), CHORD_INTERNAL);
    CHECK_TEXT(e.text, "0 of 1 pool threads have joined");
    pthread_create(&thread, NULL, join, &pool);
    while (__atomic_load_n(&pool.n_ready, __ATOMIC_SEQ_CST) < 1) sched_yield();
    for (int32_t i = 0; i < 2000; i++) CHECK_EQ(step(&pool, &e), CHORD_DONE);
    chord_pool_stop(&pool);
    pthread_join(thread, NULL);
    CHECK_EQ(pool.n_ready, 0);
}

TEST(a_thread_that_never_comes_ends_the_step_with_internal_and_stays_an_error)
{
    chord_pool pool = { .n_threads = 2, .patience_ms = 300, .n_ready = 1 }; /* counted as ready, then dead */
    chord_error e;
    CHECK_EQ(step(&pool, &e), CHORD_INTERNAL);
    CHECK_TEXT(e.text, "didn't answer");
    CHECK_EQ(step(&pool, &e), CHORD_INTERNAL);
    CHECK_TEXT(e.text, "broken");
}
