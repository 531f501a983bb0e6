/* pool.c: a thread spins for some microseconds, then sleeps. Ordering is seq_cst throughout: a sleeper
 * counts itself before it looks at `phase` a last time, a releaser changes `phase` before it looks at
 * the count, so one of them always sees the other. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"
#include "../base/host.h"

#define SPINS 2000            /* about 10 us: longer than most ops of a small model's decode step */
#define SLICE_MS 200

#define LOAD(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ADD(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

/* Until *at differs from `old`, or the pool breaks. The leader breaks it when its patience ends; the
 * others wait as long as it takes: their leader may be stopped in a debugger. */
static bool await_change(chord_pool *p, const int32_t *at, int32_t old, bool is_leader)
{
    for (int i = 0; i < SPINS; i++) {
        if (LOAD(at) != old) return true;
        chord_host_pause();
    }
    ADD(&p->sleepers, 1);
    bool changed = LOAD(at) != old;
    for (int32_t waited = 0; !changed && !LOAD(&p->broken); waited += SLICE_MS) {
        if (is_leader && waited >= p->patience_ms) STORE(&p->broken, 1);
        else chord_host_wait(at, old, SLICE_MS);
        changed = LOAD(at) != old;
    }
    ADD(&p->sleepers, -1);
    return changed;
}

static void signal_change(chord_pool *p, int32_t *at)
{
    ADD(at, 1);
    if (LOAD(&p->sleepers)) chord_host_wake(at);
}

bool chord_pool_barrier(chord_pool *p, int32_t thread)
{
    if (p->n_threads < 2) return true;
    if (LOAD(&p->broken)) return false;
    int32_t const phase = LOAD(&p->phase);
    if (ADD(&p->arrived, 1) < p->n_threads) return await_change(p, &p->phase, phase, thread == 0);
    STORE(&p->arrived, 0);
    signal_change(p, &p->phase);
    return true;
}

void chord_pool_start(chord_pool *p, chord_run *run)
{
    p->run = run;
    if (p->n_threads > 1) signal_change(p, &p->generation);
}

chord_status chord_pool_join(chord_pool *p, int32_t index)
{
    int32_t generation = LOAD(&p->generation);
    ADD(&p->n_ready, 1);
    while (await_change(p, &p->generation, generation, false) && !LOAD(&p->stop)) {
        generation = LOAD(&p->generation);
        chord_exec_walk(p->run, index, NULL);
    }
    ADD(&p->n_ready, -1);
    return CHORD_DONE;
}

void chord_pool_stop(chord_pool *p)
{
    STORE(&p->stop, 1);
    signal_change(p, &p->generation);
}
