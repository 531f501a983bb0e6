/* pool.c: the threads of the executor. A helper that is awake claims units of an offer. The leader never
 * waits for a helper that has claimed nothing. All atomics are seq_cst: a helper counts itself in
 * `sleepers` before its last look for work, and the leader publishes work before it reads `sleepers`. So
 * the helper sees the work, or the leader sees the sleeper. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"
#include "../base/host.h"

/* A waiting thread looks for SPIN_MS before it sleeps. SPIN_MS is much longer than the leader's own ops
 * between two offers in a decode step of a small model. It is also much longer than the time between the
 * ends of two helpers. It is about as long as a wake-up, so a thread soon gives up a core that another
 * program needs. Reading the clock is a call out of wasm, and the clock is coarse in some browsers. So a
 * thread reads the clock once per LOOKS looks, and sleeps after MOST_LOOKS looks in any case. Tried: a
 * fixed number of looks. 4,000 looks take 50 us on one machine and 2 us on another. There the leader
 * slept after a fifth of the products, which take 30 us each. */
#define SPIN_MS 0.05
#define LOOKS 128
#define MOST_LOOKS 1000000
#define SLICE_MS 200
#define LEAST_WORK 80000      /* multiply-adds of the smallest claim: some 2 us at 40 GMAC/s */

/* The leader keeps a ledger of what sharing costs and saves.
 *   Cost    the time the leader waits for a helper, or takes to wake one. A helper that loses its core
 *           within a claim makes the leader wait for another program's time slice, 3 to 4 ms. A helper that
 *           wakes on the leader's own core does its claim before the leader continues.
 *   Saving  the time the leader would need for the multiply-adds that helpers did, times WORTH: alone, the
 *           leader has the memory to itself (two threads read 1.2 to 1.6 times as fast as one).
 * Measured, as ms lost of 20 and the ratio of the helper's work to the leader's: 0.1 to 1 and 0.7 to 1
 * where no other program needs a core; 4 to 14 and 0.3 to 1 beside one or two busy processes on a core. */
#define WORTH 0.5
#define JUDGED_MS 20.0        /* minimum time to judge: every machine takes a core away now and then */
#define FORGET_MS 100.0       /* after this time the entries of a good ledger are halved */
/* The leader runs alone for LEAST_ALONE_MS the first time, and twice as long each further time, because
 * each trial of sharing costs some 10 ms. It starts again with LEAST_ALONE_MS when the ledger has been
 * good for FORGET_MS. */
#define LEAST_ALONE_MS 25.0
#define MOST_ALONE_MS 1000.0

#define LOAD(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ADD(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

typedef struct spin {
    int32_t looks;
    double until;                 /* by chord_host_now(); set after the first LOOKS looks */
} spin;

static bool look_again(spin *s)
{
    chord_host_pause();
    if (++s->looks % LOOKS) return true;
    double const now = chord_host_now();
    if (s->looks == LOOKS) s->until = now + SPIN_MS;
    return now < s->until && s->looks < MOST_LOOKS;
}

/* Claims and runs some units of the offer. Returns false if no unit is left. A claim takes 1 / n_threads
 * of the unclaimed units, at least `least` (guided self-scheduling, Polychronopoulos and Kuck 1987). A
 * slow or late thread therefore gets less work, and all threads end at about the same time. A claimed
 * unit is safe to read: the leader changes nothing of an offer before its last unit is done. Tried: half
 * of that size. Each claim starts with cold streams of weights, and more claims reduced decode from 209
 * to 195 tokens/s. */
static bool work_some(chord_pool *p, int32_t thread)
{
    int32_t left = LOAD(&p->left), take;
    do {
        if (left <= 0) return false;
        take = left / p->n_threads;
        int32_t const least = LOAD(&p->least);
        if (take < least) take = least;
        if (take > left) take = left;
    } while (!__atomic_compare_exchange_n(&p->left, &left, left - take, 0, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    int64_t const first = p->end - left;
    chord_op_run(&p->run, first, first + take, thread);
    if (thread == 0) p->done_here += take;
    else {
        ADD(&p->done, take);
        if (LOAD(&p->leader_sleeps)) chord_host_wake(&p->done);
    }
    return true;
}

static void forget(chord_ledger *a, double part, double now)
{
    double const spent = (a->spent + now - a->since) * part;
    *a = (chord_ledger){ a->here * part, a->there * part, a->lost * part, spent, now };
}

void chord_pool_charge(chord_pool *p, double lost, double now)
{
    chord_ledger *a = &p->ledger;
    a->lost += lost;
    double const spent = a->spent + now - a->since;
    /* an offer with a wake-up and a wait is judged once */
    if (spent < JUDGED_MS || p->alone_until > 0) return;
    if (a->lost * a->here > WORTH * (spent - a->lost) * a->there) {
        p->alone_ms = p->alone_ms > 0 ? 2 * p->alone_ms : LEAST_ALONE_MS;
        if (p->alone_ms > MOST_ALONE_MS) p->alone_ms = MOST_ALONE_MS;
        p->alone_until = now + p->alone_ms;
    } else if (spent > FORGET_MS) {
        p->alone_ms = 0;
        forget(a, 0.5, now);
    }
}

bool chord_pool_is_alone(chord_pool *p)
{
    if (p->n_threads < 2) return true;
    if (p->alone_until <= 0) return false;
    double const now = chord_host_now();
    if (now < p->alone_until) return true;
    p->alone_until = 0;
    forget(&p->ledger, 0, now);
    return false;
}

void chord_pool_begin(chord_pool *p) { p->ledger.since = chord_host_now(); }
void chord_pool_end(chord_pool *p) { p->ledger.spent += chord_host_now() - p->ledger.since; }

/* Waits until the helpers have done `units` units. When the patience ends, the pool is broken. */
static bool await_helpers(chord_pool *p, int32_t units)
{
    spin s = { 0 };
    do
        if (LOAD(&p->done) == units) return true;
    while (look_again(&s));
    double const begin = chord_host_now();
    double now = begin, waited = 0;
    STORE(&p->leader_sleeps, 1);
    int32_t done = LOAD(&p->done);
    while (done != units && waited < (double)p->patience_ms) {
        chord_host_wait(&p->done, done, SLICE_MS);
        done = LOAD(&p->done);
        double const then = now;
        now = chord_host_now();
        /* A wait may return early, on a host without futexes at once, so the clock measures the wait.
         * One wait counts as at most SLICE_MS: while a machine is suspended, helpers don't work either. */
        waited += now - then < SLICE_MS ? now - then : SLICE_MS;
    }
    STORE(&p->leader_sleeps, 0);
    chord_pool_charge(p, now - begin, now);
    if (done != units) STORE(&p->broken, 1);
    return done == units;
}

bool chord_pool_share(chord_pool *p, const chord_run *run, int64_t first, int32_t n, uint64_t unit_work)
{
    int32_t const least = unit_work < LEAST_WORK ? (int32_t)(LEAST_WORK / unit_work) : 1;
    if (n <= least || chord_pool_is_alone(p)) {
        chord_op_run(run, first, first + n, 0);
        return true;
    }
    p->run = *run;
    p->end = first + n;
    p->done_here = 0;
    STORE(&p->done, 0);
    STORE(&p->least, least);
    STORE(&p->left, n);
    if (LOAD(&p->sleepers)) {
        double const begin = chord_host_now();
        ADD(&p->calls, 1);
        chord_host_wake(&p->calls);
        double const end = chord_host_now();
        chord_pool_charge(p, end - begin, end);
    }
    while (work_some(p, 0)) {}
    p->ledger.here += (double)unit_work * p->done_here;
    p->ledger.there += (double)unit_work * (n - p->done_here);
    return await_helpers(p, n - p->done_here);
}

chord_status chord_pool_join(chord_pool *p, int32_t index)
{
    ADD(&p->n_ready, 1);
    for (spin s = { 0 }; !LOAD(&p->stop);) {
        if (work_some(p, index)) s = (spin){ 0 };
        else if (!look_again(&s)) {
            int32_t const calls = LOAD(&p->calls);
            ADD(&p->sleepers, 1);
            if (LOAD(&p->left) <= 0 && !LOAD(&p->stop)) chord_host_wait(&p->calls, calls, SLICE_MS);
            ADD(&p->sleepers, -1);
            s = (spin){ 0 };
        }
    }
    ADD(&p->n_ready, -1);
    return CHORD_DONE;
}

void chord_pool_stop(chord_pool *p)
{
    STORE(&p->stop, 1);
    ADD(&p->calls, 1);
    chord_host_wake(&p->calls);
}
