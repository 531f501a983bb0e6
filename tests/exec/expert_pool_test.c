/* expert_pool_test.c: the pool of experts by itself: what is kept, asked for and given up, loads that fail,
 * and a thread that loads beside a leader that begins again anywhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/exec/expert_pool.h"
#include "../../include/chord.h"
#include "../../src/base/host.h"
#include "../../src/quant/quant.h"
#include "../harness/test.h"
#include <pthread.h>

/* Two EXPERTS of layer 3 with the same choice of `USED` experts a token, each with one stack. */
enum { EXPERTS = 6, USED = 2, SLOTS = 3, ROWS = 4, COLS = 8, ROW = COLS * 4, TOKENS = 4, STRIDE = 16 };

typedef struct subject {
    chord_tensor tensors[2];
    chord_stacks stacks[2];
    chord_op ops[2];
    chord_expert_slot slots[2][SLOTS];
    int32_t tables[2][3][EXPERTS];
    _Alignas(64) uint8_t memory[2][SLOTS][ROWS * ROW];
    float chosen[TOKENS][STRIDE]; /* what ROUTE has written */
    chord_plan plan;
    chord_pager pager;
} subject;

static subject *make(void)
{
    subject *s = test_alloc(sizeof *s);
    memset(s, 0, sizeof *s);
    for (int32_t i = 0; i < 2; i++) {
        s->tensors[i] = (chord_tensor){
            .name = "stack", .n_name = 5, .n_rows = EXPERTS * ROWS, .page = CHORD_NONE, .stacks = i
        };
        s->tensors[i].ne[0] = COLS; /* F32 */
        s->tensors[i].ne[1] = ROWS;
        s->tensors[i].row_bytes = ROW;
        s->ops[i] = (chord_op){ .kind = CHORD_OP_EXPERTS, .layer = 3 };
        s->ops[i].weight[0] = i;
        s->ops[i].experts = (chord_op_experts){ .n_weights = 1, .n_expert = EXPERTS, .n_used = USED };
        s->stacks[i] = (chord_stacks){ .op = i,
                                       .layer = 3,
                                       .n_expert = EXPERTS,
                                       .n_slots = SLOTS,
                                       .first_page = i * EXPERTS,
                                       .n_rows = ROWS,
                                       .slot_bytes = ROWS * ROW,
                                       .memory = s->memory[i][0],
                                       .slots = s->slots[i],
                                       .slot_of = s->tables[i][0],
                                       .order = s->tables[i][1],
                                       .place = s->tables[i][2],
                                       .turn = UINT32_MAX };
        for (int32_t k = 0; k < SLOTS; k++) s->slots[i][k].expert = CHORD_NONE;
        for (int32_t e = 0; e < EXPERTS; e++) s->tables[i][0][e] = s->tables[i][2][e] = CHORD_NONE;
    }
    s->plan = (chord_plan){ .program = { .ops = s->ops, .n_ops = 2, .n_all = 2, .n_slots = 1 },
                            .tensors = s->tensors,
                            .n_tensors = 2,
                            .stacks = s->stacks,
                            .n_stacks = 2 };
    s->plan.program.slots[0] = (chord_slot){ .width = 2 * USED };
    s->plan.slots[0] = s->chosen[0];
    s->pager.plan = &s->plan;
    return s;
}

static float element(int32_t page, int32_t row, int32_t col)
{
    return (float)(page * 1000 + row * COLS + col);
}

static void load(subject *s, int32_t page)
{
    float rows[ROWS][COLS];
    for (int32_t r = 0; r < ROWS; r++)
        for (int32_t c = 0; c < COLS; c++) rows[r][c] = element(page, r, c);
    CHECK_EQ(chord_pager_load(&s->pager, page / EXPERTS, page % EXPERTS * ROWS, rows, sizeof rows), CHORD_OK);
    CHECK_EQ(chord_pager_loaded(&s->pager, page), CHORD_OK);
}

/* Checks that an expert's rows have the page's elements. */
static void check(const subject *s, int32_t i, int32_t expert)
{
    float row[COLS];
    const uint8_t *rows = chord_expert_rows(&s->stacks[i], &s->tensors[i], expert);
    for (int32_t r = 0; r < ROWS; r++) {
        chord_format_unpack(chord_format_of(CHORD_F32), row, rows, r, COLS);
        for (int32_t c = 0; c < COLS; c++) CHECK(row[c] == element(i * EXPERTS + expert, r, c));
    }
}

/* Begins the stacks with experts `a` and `b` for one token. */
static void begin(subject *s, int32_t a, int32_t b)
{
    s->chosen[0][0] = (float)a, s->chosen[0][1] = (float)b;
    chord_pager_rewind(&s->pager);
    chord_experts_begin(&s->pager, s->stacks, &(chord_batch){ .n_tokens = 1 });
}

static chord_status need(subject *s, int32_t i, int32_t expert)
{
    chord_error e = { 0 };
    return chord_experts_need(&s->pager, &s->stacks[i], expert, &e);
}

/* Loads what is asked for, and uses both experts of both stacks. */
static int32_t run(subject *s, int32_t a, int32_t b)
{
    int32_t n = 0;
    begin(s, a, b);
    for (int32_t page; (page = chord_pager_claim(&s->pager)) >= 0; n++) load(s, page);
    for (int32_t i = 0; i < 2; i++)
        for (int32_t k = 0; k < s->stacks[i].n_chosen; k++) {
            CHECK_EQ(need(s, i, s->stacks[i].order[k]), CHORD_OK);
            check(s, i, s->stacks[i].order[k]);
        }
    return n;
}

TEST(experts_stay_until_others_are_chosen_and_the_longest_unused_one_goes_first)
{
    subject *s = make();
    CHECK_EQ(run(s, 4, 1), 4); /* two in each of the stacks */
    CHECK_EQ(run(s, 1, 4), 0);
    CHECK_EQ(run(s, 1, 0), 2); /* 0, 1, 4 are there */
    CHECK_EQ(run(s, 2, 1), 2); /* in the place of 4 */
    CHECK_EQ(run(s, 0, 2), 0);
    CHECK_EQ(run(s, 4, 0), 2); /* in the place of 1 */
    CHECK_EQ(run(s, 2, 2), 0);
    CHECK_EQ(s->pager.n_experts - s->pager.n_hits, 10);
}

TEST(experts_in_memory_are_computed_first_and_missing_ones_asked_for_in_order_as_slots_become_free)
{
    subject *s = make();
    run(s, 5, 3);
    static const float all[TOKENS][USED] = { { 5, 0 }, { 1, 4 }, { 0, 3 }, { 2, 1 } };
    for (int32_t t = 0; t < TOKENS; t++) memcpy(s->chosen[t], all[t], sizeof all[t]);
    chord_pager_rewind(&s->pager);
    chord_experts_begin(&s->pager, s->stacks, &(chord_batch){ .n_tokens = TOKENS });
    static const int32_t order[] = { 3, 5, 0, 1, 2, 4 };
    for (int32_t i = 0; i < EXPERTS; i++) CHECK_EQ(s->stacks[0].order[i], order[i]);
    CHECK_EQ(s->stacks[0].n_chosen, EXPERTS);
    CHECK_EQ(chord_pager_claim(&s->pager), 0); /* the third slot */
    CHECK_EQ(chord_pager_claim(&s->pager), EXPERTS); /* the other stack's */
    CHECK_EQ(chord_pager_claim(&s->pager), CHORD_NONE); /* 3 and 5 are needed */
    CHECK_EQ(need(s, 0, 3), CHORD_OK);
    CHECK_EQ(chord_pager_claim(&s->pager), CHORD_NONE);
    CHECK_EQ(need(s, 0, 5), CHORD_OK); /* 3 is computed */
    CHECK_EQ(chord_pager_claim(&s->pager), 1);
    CHECK_EQ(need(s, 0, 0), CHORD_NEED_WEIGHTS); /* so is 5 */
    CHECK_EQ(chord_pager_claim(&s->pager), 2);
    load(s, 1);
    CHECK_EQ(need(s, 0, 0), CHORD_NEED_WEIGHTS);
    load(s, 0);
    CHECK_EQ(need(s, 0, 0), CHORD_OK);
    check(s, 0, 0);
    CHECK(chord_expert_is_there(&s->stacks[0], 1) && !chord_expert_is_there(&s->stacks[0], 2));
    CHECK_EQ(need(s, 0, 1), CHORD_OK);
    CHECK_EQ(chord_pager_claim(&s->pager), 4);
}

TEST(a_walk_that_begins_again_keeps_what_is_there_and_forgets_what_it_asked_for)
{
    subject *s = make();
    begin(s, 0, 1);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    chord_pager_rewind(&s->pager);
    CHECK_EQ(chord_pager_claim(&s->pager), CHORD_NONE); /* expert 1, and the other stack */
    load(s, 0);
    begin(s, 0, 2);
    CHECK_EQ(s->pager.n_hits, 1);
    CHECK_EQ(chord_pager_claim(&s->pager), 2);
    chord_pager_rewind(&s->pager);
    begin(s, 2, 3); /* 2 is on its way */
    CHECK_EQ(s->stacks[0].order[0], 2);
    CHECK_EQ(chord_pager_claim(&s->pager), 3);
    load(s, 2);
    CHECK_EQ(need(s, 0, 2), CHORD_OK);
}

TEST(an_expert_that_fails_is_reported_once_and_asked_for_again)
{
    subject *s = make();
    chord_error e = { 0 };
    begin(s, 0, 1);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    CHECK_EQ(chord_pager_loaded(&s->pager, 0), CHORD_INVALID_ARGUMENT); /* rows are missing */
    CHECK_EQ(chord_pager_load(&s->pager, 0, ROWS, s->chosen, ROWS * ROW),
             CHORD_INVALID_ARGUMENT); /* expert 1 */
    CHECK_EQ(chord_pager_load(&s->pager, 0, 0, s->chosen, 2 * ROWS * ROW), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_pager_load(&s->pager, 0, EXPERTS * ROWS, s->chosen, ROW), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_pager_load(&s->pager, 0, -4, s->chosen, ROWS * ROW), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_pager_failed(&s->pager, 1, CHORD_INTERNAL), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_pager_failed(&s->pager, 2 * EXPERTS, CHORD_INTERNAL), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INVALID_GGUF), CHORD_OK);
    CHECK_EQ(chord_pager_claim(&s->pager), 1); /* not 0 */
    CHECK_EQ(chord_experts_need(&s->pager, s->stacks, 0, &e), CHORD_INVALID_GGUF);
    CHECK(strstr(e.text, "rows were loaded instead of 4"));
    begin(s, 0, 1);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INTERNAL), CHORD_OK);
    begin(s, 0, 1); /* the fault is forgotten with the walk */
    CHECK_EQ(need(s, 0, 0), CHORD_NEED_WEIGHTS);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INTERNAL), CHORD_OK);
    e.length = 0;
    CHECK_EQ(chord_experts_need(&s->pager, s->stacks, 0, &e), CHORD_INTERNAL);
    CHECK_TEXT(e.text, "layer 3: expert 0 couldn't be read");
}

TEST(an_expert_that_fails_for_an_earlier_batch_is_asked_for_again_and_not_reported)
{
    subject *s = make();
    begin(s, 0, 1);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    begin(s, 0, 1); /* while expert 0 is under way */
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INVALID_GGUF), CHORD_OK);
    CHECK_EQ(need(s, 0, 0), CHORD_NEED_WEIGHTS);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    load(s, 0);
    CHECK_EQ(need(s, 0, 0), CHORD_OK);
}

/* Loads what is asked for; every 50th load fails. */
static void *loader(void *p)
{
    subject *s = p;
    for (int32_t n = 1; chord_pager_wait(&s->pager, 60000) == CHORD_OK;)
        for (int32_t page; (page = chord_pager_claim(&s->pager)) >= 0; n++) {
            if (n % 50) load(s, page);
            else CHECK_EQ(chord_pager_failed(&s->pager, page, CHORD_INTERNAL), CHORD_OK);
        }
    return NULL;
}

/* Waits for an expert, however long it takes. Returns false if its load failed. */
static bool get(subject *s, int32_t i, int32_t expert)
{
    for (int32_t waits = 0;; waits++) {
        int32_t const word = __atomic_load_n(&s->pager.words[0], __ATOMIC_SEQ_CST);
        chord_status const status = need(s, i, expert);
        if (status != CHORD_NEED_WEIGHTS) return status == CHORD_OK;
        double const start = chord_host_now();
        chord_host_wait(&s->pager.words[0], word, 20000);
        CHECK(chord_host_now() - start < 15000 && waits < 100);
    }
}

TEST(a_thread_that_loads_and_batches_that_end_anywhere_never_lose_an_expert)
{
    subject *s = make();
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, loader, s), 0);
    int32_t n_failed = 0, n_whole = 0;
    for (int32_t walk = 0; walk < 1500; walk++) {
        int32_t const n_tokens = 1 + (int32_t)(test_random() % TOKENS);
        for (int32_t t = 0; t < n_tokens; t++)
            for (int32_t u = 0; u < USED; u++) s->chosen[t][u] = (float)(test_random() % EXPERTS);
        chord_experts_begin(&s->pager, s->stacks, &(chord_batch){ .n_tokens = n_tokens });
        int32_t const all = s->stacks[0].n_chosen + s->stacks[1].n_chosen;
        int32_t const end = test_random() % 2 ? all : (int32_t)(test_random() % (uint32_t)all);
        int32_t k = 0;
        for (; k < end; k++) {
            int32_t const i = k >= s->stacks[0].n_chosen, at = i ? k - s->stacks[0].n_chosen : k;
            if (!get(s, i, s->stacks[i].order[at])) break;
            check(s, i, s->stacks[i].order[at]);
        }
        n_failed += k < end;
        n_whole += k == all;
        chord_pager_rewind(&s->pager);
    }
    CHECK(n_failed > 0 && n_whole > 300);
    chord_pager_stop(&s->pager);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}
