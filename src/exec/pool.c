/* pool.c: threads that help, if they come. Ordering is seq_cst throughout: a sleeper counts itself before it
 * looks for work a last time, a leader offers work before it looks at the count, so one sees the other. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"
#include "../base/host.h"

/* Whoever waits looks for so long before it sleeps: much longer than the leader's own ops between two offers of a small
 * model's decode step, or than one helper ends before another, as long as a wake-up takes; a core that others want is soon given
 * up. Counted looks won't do: 4,000 are 50 us on one machine and 2 us on another, where the leader slept after a fifth of the
 * products, 30 us each. The clock is a call out of wasm, and coarse in some browsers: hence LOOKS between, and MOST_LOOKS. */
#define SPIN_MS 0.05
#define LOOKS 128
#define MOST_LOOKS 1000000
#define SLICE_MS 200
/* A helper that keeps the leader waiting so long has lost its core to somebody else: for a while the leader does all himself.
 * Each try after it costs a time slice of the other's, 3 to 4 ms. */
#define LOST_MS 0.5
#define ALONE_MS 100.0

#define LOAD(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ADD(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

typedef struct spin {
    int32_t looks;
    double until;                 /* by chord_host_now(); begins at the first LOOKS */
} spin;

static bool look_again(spin *s)
{
    chord_host_pause();
    if (++s->looks % LOOKS) return true;
    double const now = chord_host_now();
    if (s->looks == LOOKS) s->until = now + SPIN_MS;
    return now < s->until && s->looks < MOST_LOOKS;
}

/* Claims and runs some of what is on offer; false: there was nothing. A claim takes the n_threads-th part of what is
 * left, at least `least` units (guided self-scheduling, Polychronopoulos and Kuck 1987): threads that come late or are slow
 * find less to do, and all end at about the same time. Half of that part made more claims, and each begins with cold
 * streams of weights: 195 tokens/s instead of 209. What was claimed is safe to read: the leader changes nothing of an offer before its last unit is done. */
static bool work_some(chord_pool *p, int32_t thread)
{
    int32_t left = LOAD(&p->left), take;
    do {
        if (left <= 0) return false;
        take = left / p->n_threads;
        int32_t const least = LOAD(&p->least);
        if (take < least) take = least;
        if (take > left) take = left;
    } while (!__atomic_compare_exchange_n(&p->left, &left, left - take, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    int64_t const first = p->end - left;
    chord_op_run(p->run, p->op, first, first + take, thread);
    if (thread == 0) p->done_here += take;
    else {
        ADD(&p->done, take);
        if (LOAD(&p->leader_sleeps)) chord_host_wake(&p->done);
    }
    return true;
}

/* Until the helpers have done `units`. The leader calls the pool broken when its patience ends. */
static bool await_helpers(chord_pool *p, int32_t units)
{
    spin s = { 0 };
    do if (LOAD(&p->done) == units) return true;
    while (look_again(&s));
    double const begin = chord_host_now();
    STORE(&p->leader_sleeps, 1);
    int32_t done = LOAD(&p->done);
    for (int32_t waited = 0; done != units && waited < p->patience_ms; waited += SLICE_MS) {
        chord_host_wait(&p->done, done, SLICE_MS);
        done = LOAD(&p->done);
    }
    STORE(&p->leader_sleeps, 0);
    double const end = chord_host_now();
    if (end - begin > LOST_MS) p->alone_until = end + ALONE_MS;
    if (done != units) STORE(&p->broken, 1);
    return done == units;
}

bool chord_pool_share(chord_pool *p, const chord_run *run, const chord_op *op, int64_t first, int32_t n, int32_t least)
{
    if (p->alone_until > 0) {
        if (chord_host_now() < p->alone_until) {
            chord_op_run(run, op, first, first + n, 0);
            return true;
        }
        p->alone_until = 0;
    }
    p->run = run;
    p->op = op;
    p->end = first + n;
    p->done_here = 0;
    STORE(&p->done, 0);
    STORE(&p->least, least);
    STORE(&p->left, n);
    if (LOAD(&p->sleepers)) {
        ADD(&p->calls, 1);
        chord_host_wake(&p->calls);
    }
    while (work_some(p, 0)) {}
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
