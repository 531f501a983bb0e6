/* pager_test.c: the pager by itself: what is read ahead, misses out of order, loads that fail, and a thread
 * that loads beside a leader that begins again at any layer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/exec/pager.h"
#include "../../include/chord.h"
#include "../../src/base/host.h"
#include "../../src/quant/quant.h"
#include "../harness/test.h"
#include <pthread.h>

/* Layer i, page i, has one matrix, tensor i. Layer numbers differ from pages by FIRST. */
enum { PAGES = 5, ROWS = 10, COLS = 8, ROW = COLS * 4, SLOT = 12 * ROW, FIRST = 7 };

typedef struct subject {
    chord_tensor tensors[PAGES];
    chord_page pages[PAGES];
    chord_op ops[3 * PAGES];
    _Alignas(64) uint8_t ring[CHORD_RING][SLOT];
    chord_plan plan;
    chord_pager pager;
} subject;

static subject *make(int32_t n_ring)
{
    subject *s = test_alloc(sizeof *s);
    memset(s, 0, sizeof *s);
    for (int32_t i = 0; i < PAGES; i++) {
        s->tensors[i] = (chord_tensor){ .name = "matrix", .n_name = 6, .n_rows = ROWS, .page = i };
        s->tensors[i].ne[0] = COLS; /* F32 */
        s->tensors[i].row_bytes = ROW;
        s->pages[i] = (chord_page){ .layer = FIRST + i, .op = 3 * i, .n_rows = ROWS };
        for (int32_t k = 0; k < 3; k++) {
            static const int32_t kinds[] = { CHORD_OP_ACQUIRE, CHORD_OP_MATMUL, CHORD_OP_RELEASE };
            chord_op *op = &s->ops[3 * i + k];
            *op = (chord_op){ .kind = kinds[k], .layer = FIRST + i };
            for (int32_t w = 0; w < CHORD_OP_WEIGHTS; w++) op->weight[w] = CHORD_NONE;
            if (k == 1) op->weight[0] = i;
        }
    }
    s->plan = (chord_plan){ .program = { .ops = s->ops, .n_ops = 3 * PAGES },
                            .tensors = s->tensors,
                            .n_tensors = PAGES,
                            .pages = s->pages,
                            .n_pages = PAGES,
                            .n_ring = n_ring,
                            .slot_bytes = SLOT,
                            .ring = s->ring[0] };
    s->pager.plan = &s->plan;
    return s;
}

static float element(int32_t page, int32_t row, int32_t col)
{
    return (float)(page * 1000 + row * COLS + col);
}

static chord_status load_rows(subject *s, int32_t page, int32_t first, int32_t n)
{
    float rows[ROWS][COLS];
    for (int32_t r = 0; r < n; r++)
        for (int32_t c = 0; c < COLS; c++) rows[r][c] = element(page, first + r, c);
    return chord_pager_load(&s->pager, page, first, rows, (size_t)n * ROW);
}

static void load(subject *s, int32_t page)
{
    CHECK_EQ(load_rows(s, page, 8, 2), CHORD_OK);
    CHECK_EQ(load_rows(s, page, 0, 8), CHORD_OK);
    CHECK_EQ(chord_pager_loaded(&s->pager, page), CHORD_OK);
}

static chord_status acquire(subject *s, int32_t page)
{
    chord_error e = { 0 };
    return chord_pager_acquire(&s->pager, 3 * page, &e);
}

/* Checks that the tensor of an acquired page has the page's elements. */
static void check(const subject *s, int32_t page)
{
    float row[COLS];
    const chord_tensor *t = &s->tensors[page];
    CHECK(t->data && t->is_ready);
    for (int32_t r = 0; r < ROWS; r++) {
        chord_format_unpack(chord_format_of(CHORD_F32), row, t->data + r / 4 * 4 * ROW, r % 4, COLS);
        for (int32_t c = 0; c < COLS; c++) CHECK(row[c] == element(page, r, c));
    }
}

TEST(a_walk_reads_ahead_as_far_as_its_slots_go)
{
    subject *s = make(2);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    CHECK_EQ(acquire(s, 0), CHORD_NEED_WEIGHTS);
    load(s, 0);
    CHECK_EQ(chord_pager_claim(&s->pager), 1);
    load(s, 1);
    CHECK_EQ(chord_pager_claim(&s->pager), CHORD_NONE);
    for (int32_t i = 0; i < 3 * PAGES; i++) {
        int32_t const page = i % PAGES;
        CHECK_EQ(acquire(s, page), CHORD_OK);
        check(s, page);
        CHECK_EQ(chord_pager_claim(&s->pager), CHORD_NONE); /* both slots: this page, and the next */
        chord_pager_release(&s->pager, FIRST + page);
        CHECK(!s->tensors[page].data && !s->tensors[page].is_ready);
        CHECK_EQ(chord_pager_claim(&s->pager), (page + 2) % PAGES);
        load(s, (page + 2) % PAGES);
    }
}

TEST(one_slot_is_enough_for_a_walk)
{
    subject *s = make(1);
    for (int32_t i = 0; i < 2 * PAGES; i++) {
        CHECK_EQ(acquire(s, i % PAGES), CHORD_NEED_WEIGHTS);
        CHECK_EQ(chord_pager_claim(&s->pager), i % PAGES);
        load(s, i % PAGES);
        CHECK_EQ(acquire(s, i % PAGES), CHORD_OK);
        check(s, i % PAGES);
        CHECK_EQ(chord_pager_claim(&s->pager), CHORD_NONE);
        chord_pager_release(&s->pager, FIRST + i % PAGES);
    }
}

TEST(a_walk_that_begins_again_gets_its_first_layers_and_loses_what_was_read_ahead)
{
    subject *s = make(2);
    for (int32_t page = 0; page < 3; page++) {
        while (acquire(s, page) != CHORD_OK) load(s, chord_pager_claim(&s->pager));
        if (page < 2) chord_pager_release(&s->pager, FIRST + page);
    }
    int32_t const late = chord_pager_claim(&s->pager); /* page 3 is under way while the walk begins again */
    CHECK_EQ(late, 3);
    chord_pager_rewind(&s->pager);
    CHECK(!s->tensors[2].data);
    CHECK_EQ(chord_pager_claim(&s->pager), 0); /* in the place of page 2 */
    CHECK_EQ(acquire(s, 0), CHORD_NEED_WEIGHTS);
    load(s, 0);
    load(s, 3);
    CHECK_EQ(acquire(s, 0), CHORD_OK);
    check(s, 0);
    CHECK_EQ(chord_pager_claim(&s->pager), 1); /* in the place of page 3 */
}

TEST(a_layer_that_fails_is_reported_once_and_tried_again)
{
    subject *s = make(2);
    chord_error e = { 0 };
    char const *const text = "tensor 'matrix': 32 bytes from row 1 on aren't whole groups of four rows";
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INVALID_GGUF), CHORD_INVALID_ARGUMENT); /* not claimed */
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    CHECK_EQ(load_rows(s, 0, 1, 1), CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(s->pager.error.text, text);
    CHECK_EQ(load_rows(s, 0, 0, 3), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(load_rows(s, 0, 8, 4), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(load_rows(s, 1, 0, 4), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(load_rows(s, 0, 0, 8), CHORD_OK);
    CHECK_EQ(chord_pager_loaded(&s->pager, 0), CHORD_INVALID_ARGUMENT); /* two rows are missing */
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INVALID_GGUF), CHORD_OK);
    CHECK_EQ(chord_pager_claim(&s->pager), 1); /* not 0 */
    load(s, 1);
    CHECK_EQ(chord_pager_claim(&s->pager), CHORD_NONE);
    CHECK_EQ(chord_pager_acquire(&s->pager, 0, &e), CHORD_INVALID_GGUF);
    CHECK_TEXT(e.text, text);
    CHECK_EQ(chord_pager_acquire(&s->pager, 0, &e), CHORD_NEED_WEIGHTS);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INTERNAL), CHORD_OK);
    CHECK_EQ(chord_pager_claim(&s->pager), CHORD_NONE); /* page 1 is still there */
    chord_pager_rewind(&s->pager); /* the fault is forgotten with the walk */
    CHECK_EQ(acquire(s, 0), CHORD_NEED_WEIGHTS);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INTERNAL), CHORD_OK);
    e.length = 0;
    CHECK_EQ(chord_pager_acquire(&s->pager, 0, &e), CHORD_INTERNAL);
    CHECK_TEXT(e.text, "layer 7 couldn't be read");
}

TEST(a_layer_that_fails_for_an_earlier_walk_is_wanted_again_and_not_reported)
{
    subject *s = make(1);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    chord_pager_rewind(&s->pager); /* a walk begins while page 0 is under way */
    CHECK_EQ(acquire(s, 0), CHORD_NEED_WEIGHTS);
    CHECK_EQ(load_rows(s, 0, 1, 1), CHORD_INVALID_ARGUMENT); /* an error text of that time */
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INVALID_GGUF), CHORD_OK);
    CHECK_EQ(acquire(s, 0), CHORD_NEED_WEIGHTS);
    CHECK_EQ(chord_pager_claim(&s->pager), 0);
    CHECK_EQ(chord_pager_failed(&s->pager, 0, CHORD_INTERNAL), CHORD_OK);
    chord_error e = { 0 };
    CHECK_EQ(chord_pager_acquire(&s->pager, 0, &e), CHORD_INTERNAL);
    CHECK_TEXT(e.text, "layer 7 couldn't be read");
}

/* Loads what is wanted; every 50th load fails. */
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

/* Acquires a page, however long it takes. Returns false if its load failed. */
static bool get(subject *s, int32_t page)
{
    for (int32_t waits = 0;; waits++) {
        int32_t const word = __atomic_load_n(&s->pager.words[0], __ATOMIC_SEQ_CST);
        chord_status const status = acquire(s, page);
        if (status != CHORD_NEED_WEIGHTS) return status == CHORD_OK;
        double const begin = chord_host_now();
        chord_host_wait(&s->pager.words[0], word, 20000);
        CHECK(chord_host_now() - begin < 15000); /* nobody missed a wake-up */
        CHECK(waits < 100); /* a wait ends with a load, and the second load is the page's */
    }
}

TEST(a_thread_that_loads_and_a_walk_that_begins_again_anywhere_never_lose_a_layer)
{
    for (int32_t n_ring = 1; n_ring <= 2; n_ring++) {
        subject *s = make(n_ring);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, loader, s), 0);
        int32_t n_failed = 0, n_whole = 0;
        for (int32_t walk = 0; walk < 600; walk++) {
            int32_t const end = test_random() % 2 ? PAGES : (int32_t)(test_random() % PAGES);
            int32_t page = 0;
            for (; page < end; page++) {
                if (!get(s, page)) break;
                check(s, page);
                if (page + 1 < end || end == PAGES) chord_pager_release(&s->pager, FIRST + page);
            }
            n_failed += page < end;
            n_whole += page == PAGES;
            chord_pager_rewind(&s->pager);
        }
        CHECK(n_failed > 0 && n_whole > 100);
        chord_pager_stop(&s->pager);
        CHECK_EQ(pthread_join(thread, NULL), 0);
    }
}
