/* caches_test.c: caches, states and batches of synthetic models (synthetic.h). The interpreter judges the
 * values. All other tests compare bytes with the bytes of the sequence evaluated in one go. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"
#include <math.h>

enum { N = 150, ROW = SYN_VOCAB };

static void random_ids(int32_t *ids, int32_t n)
{
    for (int32_t i = 0; i < n; i++) ids[i] = (int32_t)(test_random() % SYN_VOCAB);
}

static void same(const float *got, const float *want, int32_t rows, const char *what, int32_t family,
                 int32_t at)
{
    for (int32_t i = 0; i < rows * ROW; i++)
        if (memcmp(&got[i], &want[i], 4))
            test_fail(__FILE__, __LINE__, "%s, %s %d: row %d, token %d is %.9g, want %.9g",
                      synthetic_names[family], what, at, i / ROW, i % ROW, (double)got[i], (double)want[i]);
}

/* Returns the logits of ids[first .. n) after the session's own ids[0 .. first). */
static float *go_on(chord_loaded *l, chord_session *s, const int32_t *ids, int32_t first, int32_t n)
{
    float *logits = test_alloc((size_t)(n - first) * ROW * sizeof *logits), *out = logits;
    evaluate(l, s, ids + first, n - first, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
    return logits;
}

/* Returns a bound of the NMSE: the terms of all float sums that a logit depends on, each with a relative
 * variance of 2^-48 (one rounding of 2^-24). */
static double float_noise(const chord_plan *plan, int32_t n_tokens)
{
    double terms = 0;
    for (int32_t i = 0; i < plan->program.n_ops; i++) {
        const chord_op *op = &plan->program.ops[i];
        if (op->kind == CHORD_OP_MATMUL) terms += op->matmul.n_in;
        if (op->kind == CHORD_OP_EXPERTS) terms += op->experts.n_in;
        if (op->kind == CHORD_OP_ATTEND) terms += op->attend.k_dim + n_tokens;
        if (op->kind == CHORD_OP_NORM || op->kind == CHORD_OP_LAYER_NORM) terms += 2 * SYN_EMBD;
        if (op->kind == CHORD_OP_SHORT_CONV) terms += op->short_conv.kernel;
        if (op->kind == CHORD_OP_SCAN) terms += 2 * op->scan.k_dim + n_tokens;
        if (op->kind == CHORD_OP_BLEND) terms += op->blend.n_in;
        if (op->kind == CHORD_OP_RESCALE) terms += 2 * op->rescale.width;
        if (op->kind == CHORD_OP_SPARSIFY) terms += 2 * op->sparsify.width;
        if (op->kind == CHORD_OP_WKV) terms += 5 * op->wkv.head_dim + n_tokens;
        if (op->kind == CHORD_OP_HEAD_NORM) terms += 2 * op->head_norm.head_dim;
    }
    return terms * 0x1p-48;
}

static void judge(const chord_loaded *l, const float *got, const double *want, int32_t rows, int32_t n_tokens,
                  int32_t family)
{
    double error = 0, power = 0;
    for (int32_t i = 0; i < rows * ROW; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        power += want[i] * want[i];
    }
    double const bound = float_noise(chord_model_plan_of(l->model), n_tokens);
    if (!(error <= bound * power && power > 0))
        test_fail(__FILE__, __LINE__, "%s: NMSE %.2e, bound %.1e", synthetic_names[family], error / power,
                  bound);
}

TEST(synthetic_programs_agree_with_the_interpreter)
{
    int32_t ids[N], rows[N];
    random_ids(ids, N);
    for (int32_t i = 0; i < N; i++) rows[i] = i;
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F32, 1, 64, 0);
        double *want = test_alloc(N * ROW * sizeof *want);
        CHECK(reference_logits(l->model, ids, N, rows, N, 0, want));
        judge(l, all_logits(l, ids, N), want, N, N, family);
        chord_unload(l);
    }
}

/* The specification with caches: keys, values and states that its own batches left. */
TEST(the_interpreter_gives_a_sequence_cut_into_batches_the_bits_of_the_whole)
{
    int32_t ids[N], rows[N];
    random_ids(ids, N);
    for (int32_t i = 0; i < N; i++) rows[i] = i;
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F32, 1, 64, 0);
        double *want = test_alloc(N * ROW * sizeof *want), *got = test_alloc(N * ROW * sizeof *got), work = 0,
               all = 0;
        double *kept = test_alloc(N * (size_t)reference_kept_width(l->model) * sizeof *kept);
        chord_batch const whole = { .n_tokens = N, .ids = ids, .n_outputs = N, .rows = rows };
        CHECK(reference_batch(l->model, &whole, kept, 0, want, &all));
        for (size_t i = 0; i < N * (size_t)reference_kept_width(l->model); i++) kept[i] = NAN;
        for (int32_t first = 0, n = 1; first < N; first += n, n = first % 5 ? 1 : 11) {
            double part;
            if (n > N - first) n = N - first;
            chord_batch_run const run = { .n_tokens = n, .first_pos = first };
            chord_batch const batch = {
                .n_tokens = n, .n_runs = 1, .runs = &run, .ids = ids + first, .n_outputs = n, .rows = rows
            };
            CHECK(reference_batch(l->model, &batch, kept, 0, got + first * ROW, &part));
            work += part;
        }
        for (int32_t i = 0; i < N * ROW; i++)
            if (memcmp(&got[i], &want[i], sizeof *got))
                test_fail(__FILE__, __LINE__, "%s: token %d is %.17g, want %.17g", synthetic_names[family],
                          i / ROW, got[i], want[i]);
        CHECK(work > 0 && work == all); /* no token is computed twice */
        chord_unload(l);
    }
}

TEST(every_split_of_a_sequence_gives_the_same_bits)
{
    int32_t ids[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *whole = load_synthetic(family, CHORD_KV_F16, 1, 256, 0),
                     *l = load_synthetic(family, CHORD_KV_F16, 2, 17, 0);
        const float *want = all_logits(whole, ids, N);
        for (int32_t cut = 1; cut < N; cut += 12) {
            int const mark = test_mark();
            chord_session *s = open_session(l);
            same(go_on(l, s, ids, 0, cut), want, cut, "before the cut at", family, cut);
            for (int32_t i = cut; i < N && i < cut + 5; i++)
                same(go_on(l, s, ids, i, i + 1), want + i * ROW, 1, "one by one at", family, i);
            if (cut + 5 < N)
                same(go_on(l, s, ids, cut + 5, N), want + (cut + 5) * ROW, N - cut - 5, "after the cut at",
                     family, cut);
            chord_session_close(s);
            test_release(mark);
        }
        chord_unload(whole);
        chord_unload(l);
    }
}

TEST(a_step_cancelled_at_any_unit_leaves_the_session_at_its_last_batch)
{
    enum { BEGIN = 40, END = 60 };
    int32_t ids[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 1, 64, 0);
        const float *want = all_logits(l, ids, END);
        size_t const bytes_of_session = chord_session_bytes(l->model);
        void *block = test_alloc(bytes_of_session);
        for (int32_t units = 0;; units++) {
            int const mark = test_mark();
            chord_session *s = chord_session_open(l->model, block, bytes_of_session);
            evaluate(l, s, ids, BEGIN, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            CHECK_EQ(chord_session_push(s, ids + BEGIN, END - BEGIN), CHORD_OK);
            chord_status status = CHORD_MORE;
            for (int32_t k = 0; k < units && status == CHORD_MORE; k++)
                while ((status = chord_session_step(s, 0)) == CHORD_NEED_MEMORY) {
                    chord_session_state state;
                    chord_session_get_state(s, &state);
                    size_t const bytes = (size_t)state.wanted_bytes;
                    CHECK_EQ(chord_model_give(l->model, chord_load_block(l, bytes), bytes), CHORD_OK);
                }
            if (status == CHORD_DONE) {
                CHECK(units > 20);
                chord_session_close(s);
                break;
            }
            chord_session_cancel(s);
            CHECK_EQ(chord_session_step(s, 0), CHORD_CANCELLED);
            same(go_on(l, s, ids, BEGIN, END), want + BEGIN * ROW, END - BEGIN, "after a cancel at unit",
                 family, units);
            chord_session_close(s);
            test_release(mark);
        }
        chord_unload(l);
    }
}

TEST(a_truncated_sequence_continues_at_the_position_that_truncate_returns)
{
    int32_t ids[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 1, 64, 0);
        const float *want = all_logits(l, ids, N);
        for (int32_t cut = 0; cut <= N; cut += 7) {
            int const mark = test_mark();
            chord_session *s = open_session(l);
            /* a prompt: its end becomes a checkpoint */
            evaluate(l, s, ids, 100, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            for (int32_t i = 100; i < N; i++)
                evaluate(l, s, ids + i, 1, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            int32_t const stand = chord_session_truncate(s, cut);
            /* states exist at the prompt's end, at 128 tokens (the periodic checkpoint), at the newest
             * position, and at 0 */
            int32_t const states = cut == N ? N : cut >= 128 ? 128 : cut >= 100 ? 100 : 0;
            CHECK_EQ(stand, synthetic_has_states(family) ? states : cut);
            chord_session_state state;
            CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
            CHECK(state.n_past == stand && state.n_tokens == stand);
            CHECK_EQ(chord_session_match(s, ids, N), stand);
            if (stand < N)
                same(go_on(l, s, ids, stand, N), want + stand * ROW, N - stand, "cut at", family, cut);
            chord_session_close(s);
            test_release(mark);
        }
        chord_unload(l);
    }
}

TEST(a_fork_shares_states_and_pages_and_neither_sees_the_other)
{
    int32_t ids[N], other[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 1, 64, 0);
        const float *want = all_logits(l, ids, N);
        for (int32_t at = 31; at <= 70; at += 13) {
            int const mark = test_mark();
            memcpy(other, ids, sizeof other);
            for (int32_t i = at; i < N; i++) other[i] = (ids[i] + 3) % SYN_VOCAB;
            const float *others = all_logits(l, other, N);
            chord_session *s = open_session(l);
            evaluate(l, s, ids, at, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            chord_session *copy = fork_session(l, s);
            same(go_on(l, copy, other, at, N), others + at * ROW, N - at, "a fork's own tokens after", family,
                 at);
            same(go_on(l, s, ids, at, N), want + at * ROW, N - at, "the original after a fork at", family,
                 at);
            int32_t const stand = chord_session_truncate(copy, at);
            /* with states: the end of the fork's own prompt has replaced the checkpoint at the fork */
            CHECK(synthetic_has_states(family) ? stand <= at : stand == at);
            chord_session_close(s);
            same(go_on(l, copy, ids, stand, N), want + stand * ROW, N - stand,
                 "the fork with the original's tokens after", family, at);
            chord_session_close(copy);
            test_release(mark);
        }
        chord_unload(l);
    }
}

/* Copies the bytes of every page and state to a new session, as saving and restoring a session will. */
static void carry(chord_loaded *l, const chord_session *from, chord_session *to)
{
    const chord_sequence *q = &from->sequence;
    chord_sequence *r = &to->sequence;
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        chord_page_pool *pool = &q->config.pools[c];
        for (int32_t i = 0; i < q->classes[c].n_pages; i++) {
            if (!pool->n_free) {
                size_t const bytes = (size_t)chord_page_bytes(pool);
                chord_page_give(pool, chord_load_block(l, bytes), bytes);
            }
            r->classes[c].pages[i] = chord_page_take(pool);
            memcpy(r->classes[c].pages[i], q->classes[c].pages[i], (size_t)pool->payload_bytes);
        }
        r->classes[c].n_pages = q->classes[c].n_pages;
    }
    CHECK_EQ(chord_sequence_push(r, q->ids, q->n_past, &l->model->error), CHORD_OK);
    r->n_past = q->n_past;
}

TEST(a_session_with_copied_pages_and_states_continues_with_the_same_bits)
{
    int32_t ids[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 1, 64, 0);
        const float *want = all_logits(l, ids, N);
        chord_session *s = open_session(l), *copy = open_session(l);
        evaluate(l, s, ids, 77, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
        carry(l, s, copy);
        chord_session_close(s);
        same(go_on(l, copy, ids, 77, N), want + 77 * ROW, N - 77, "copied at", family, 77);
        chord_session_close(copy);
        chord_unload(l);
    }
}

/* ---- windows ------------------------------------------------------------------------------------------ */

static int32_t live_pages(const chord_session *s, int32_t kind)
{
    int32_t n = 0;
    for (int32_t c = 0; c < s->sequence.config.n_classes; c++)
        if (s->sequence.config.classes[c].kind == kind)
            n += s->sequence.classes[c].n_pages - s->sequence.classes[c].n_dead;
    return n;
}

TEST(a_long_context_costs_windowed_layers_their_window_and_the_margin_of_truncation)
{
    enum { LONG = 900, BATCH = 32 };
    int32_t ids[LONG], rows[1] = { LONG - 1 };
    random_ids(ids, LONG);
    chord_loaded *l = load_synthetic(SYN_HEADS, CHORD_KV_F32, 1, BATCH, 0);
    chord_session *s = open_session(l);
    for (int32_t at = 0; at < LONG; at += 20) {
        int const mark = test_mark();
        go_on(l, s, ids, at, at + 20 < LONG ? at + 20 : LONG);
        CHECK(live_pages(s, CHORD_CACHE_WINDOW) <= (SYN_WINDOW + 256 + BATCH) / CHORD_PAGE_TOKENS + 2);
        CHECK_EQ(live_pages(s, CHORD_CACHE_PAGED), (at + 20 + 31) / 32);
        test_release(mark);
    }
    CHECK(live_pages(s, CHORD_CACHE_PAGED) > 2 * live_pages(s, CHORD_CACHE_WINDOW));
    uint64_t held = 0; /* as the plan says: a context of SYN_CTX tokens holds at most context_bytes */
    for (int32_t c = 0; c < s->sequence.config.n_classes; c++)
        held += (uint64_t)(s->sequence.classes[c].n_pages - s->sequence.classes[c].n_dead) *
                chord_page_bytes(&s->sequence.config.pools[c]);
    CHECK((double)held <= l->plan.context_bytes &&
          l->plan.context_bytes < SYN_CTX / CHORD_PAGE_TOKENS * l->plan.page_bytes);

    /* no query needed the dead pages: the last row is right */
    double *want = test_alloc(ROW * sizeof *want);
    CHECK(reference_logits(l->model, ids, LONG, rows, 1, 0, want));
    judge(l, chord_session_logits(s, 19), want, 1, LONG, SYN_HEADS);

    /* within the margin truncate returns the position asked for; further back it returns 0 */
    CHECK_EQ(chord_session_truncate(s, LONG - 200), LONG - 200);
    const float *again = go_on(l, s, ids, LONG - 200, LONG);
    judge(l, again + 199 * ROW, want, 1, LONG, SYN_HEADS);
    CHECK_EQ(chord_session_truncate(s, 400), 0);
    CHECK_EQ(live_pages(s, CHORD_CACHE_WINDOW), 0);
    const float *anew = go_on(l, s, ids, 0, LONG);
    same(anew + (LONG - 200) * ROW, again, 200, "started over, from", SYN_HEADS, LONG - 200);
    chord_unload(l);
}

/* ---- runs, embeddings, positions ---------------------------------------------------------------------- */

TEST(a_batch_of_five_runs_gives_each_run_the_bits_that_it_has_alone)
{
    enum { RUNS = 5 };
    static const int32_t before[RUNS] = { 0, 33, 64, 100, 7 }, more[RUNS] = { 9, 1, 1, 30, 17 };
    int32_t ids[RUNS][N];
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 2, 64, 0);
        const float *want[RUNS];
        chord_session *s[RUNS];
        chord_batch_run runs[RUNS];
        int32_t all[64], rows[64], n = 0;
        for (int32_t r = 0; r < RUNS; r++) {
            random_ids(ids[r], N);
            want[r] = all_logits(l, ids[r], before[r] + more[r]) + before[r] * ROW;
        }
        /* evaluates each session's first tokens and makes its next batch */
        for (int32_t r = 0; r < RUNS; r++) {
            s[r] = open_session(l);
            if (before[r]) evaluate(l, s[r], ids[r], before[r], CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
            chord_sequence *q = &s[r]->sequence;
            CHECK_EQ(chord_sequence_push(q, ids[r] + before[r], more[r], &l->model->error), CHORD_OK);
            while (chord_sequence_next_batch(q) == CHORD_NEED_MEMORY) {
                void *block = chord_load_block(l, (size_t)q->wanted);
                CHECK_EQ(chord_model_give(l->model, block, (size_t)q->wanted), CHORD_OK);
            }
            runs[r] = q->batch.runs[0];
            runs[r].first_row = n;
            for (int32_t i = 0; i < more[r]; i++, n++) all[n] = ids[r][before[r] + i], rows[n] = n;
        }
        chord_batch const batch = {
            .n_tokens = n, .n_runs = RUNS, .runs = runs, .ids = all, .n_outputs = n, .rows = rows
        };
        int32_t cancel = 0;
        chord_run run = { .plan = &l->model->plan,
                          .ops = l->model->ops,
                          .batch = &batch,
                          .budget = CHORD_NO_LIMIT,
                          .cancel = &cancel,
                          .pool = &l->model->pool };
        CHECK_EQ(chord_exec_run(&run, &l->model->error), CHORD_DONE);
        CHECK_EQ(run.work, chord_exec_work(&l->model->plan, &batch));
        const chord_slot *out = &l->model->plan.program.slots[l->model->plan.program.output_slot];
        const float *logits = l->model->plan.slots[l->model->plan.program.output_slot];
        for (int32_t r = 0; r < RUNS; r++) {
            for (int32_t i = 0; i < more[r]; i++)
                same(logits + (runs[r].first_row + i) * chord_slot_stride(out), want[r] + i * ROW, 1, "run",
                     family, r);
            chord_sequence_accept_batch(&s[r]->sequence);
        }
        /* the batch has left the right values in each session's caches */
        for (int32_t r = 0; r < RUNS; r++) {
            const float *next = go_on(l, s[r], ids[r], before[r] + more[r], before[r] + more[r] + 3);
            float *copy = test_alloc(3 * ROW * sizeof *copy);
            memcpy(copy, next, 3 * ROW * sizeof *copy);
            same(copy, all_logits(l, ids[r], before[r] + more[r] + 3) + (before[r] + more[r]) * ROW, 3,
                 "after the batch, run", family, r);
        }
        chord_unload(l);
    }
}

/* Returns rows of the embedding matrix, scaled as EMBED scales them. */
static float *embedded(const chord_loaded *l, const int32_t *ids, int32_t n)
{
    float *rows = test_alloc((size_t)n * SYN_EMBD * sizeof *rows);
    const chord_plan *plan = chord_model_plan_of(l->model);
    const chord_op *op = plan->program.ops;
    while (op->kind != CHORD_OP_EMBED) op++;
    for (int32_t i = 0; i < n; i++) {
        float *row = rows + (size_t)i * SYN_EMBD;
        CHECK_EQ(chord_model_row(l->model, op->weight[0], ids[i], row, SYN_EMBD * 4), CHORD_OK);
        for (int32_t k = 0; k < SYN_EMBD; k++) row[k] *= op->embed.scale;
    }
    return rows;
}

TEST(embeddings_in_place_of_ids_give_the_same_bits)
{
    int32_t ids[N];
    random_ids(ids, N);
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 1, 16, 0);
        /* In a second table an embedding has row 0. */
        for (int32_t i = 10; i < 40 && family == SYN_TABLES; i++) ids[i] = 0;
        const float *want = all_logits(l, ids, 60);
        chord_session *s = open_session(l);
        chord_error *e = &l->model->error;
        CHECK_EQ(chord_session_outputs(s, CHORD_OUTPUT_ALL), CHORD_OK);
        /* ids, embeddings and ids in one prompt, in batches of 16 */
        CHECK_EQ(chord_session_push(s, ids, 10), CHORD_OK);
        chord_embeddings const in = { .rows = embedded(l, ids + 10, 30), .n = 30, .width = SYN_EMBD };
        CHECK_EQ(chord_sequence_push_embeddings(&s->sequence, &in, e), CHORD_OK);
        CHECK_EQ(chord_sequence_push_embeddings(&s->sequence, &in, e), CHORD_BUSY);
        float *got = test_alloc(60 * ROW * sizeof *got), *out = got;
        evaluate(l, s, ids + 40, 20, CHORD_OUTPUT_ALL, CHORD_NO_LIMIT, &out);
        same(got, want, 60, "a prompt of ids and embeddings", family, 0);
        chord_session_close(s);
        chord_unload(l);
    }
}

TEST(positions_of_three_numbers_rotate_each_pair_by_its_own_axis)
{
    enum { IMAGE = 20, TEXT = 7 };
    int32_t ids[TEXT], positions[IMAGE + TEXT][3], all[IMAGE + TEXT], rows[1] = { IMAGE + TEXT - 1 };
    random_ids(ids, TEXT);
    chord_loaded *l = load_synthetic(SYN_AXES, CHORD_KV_F32, 1, 64, 0);
    float *image = test_alloc(IMAGE * SYN_EMBD * sizeof *image);
    const float *embeddings[IMAGE + TEXT] = { 0 };
    for (int32_t i = 0; i < IMAGE * SYN_EMBD; i++) image[i] = test_gauss() / 4;
    for (int32_t i = 0; i < IMAGE; i++)
        positions[i][0] = 3, positions[i][1] = 3 + i / 5, positions[i][2] = 3 + i % 5,
        embeddings[i] = image + i * SYN_EMBD, all[i] = -1;
    for (int32_t i = 0; i < TEXT; i++) /* after the image's largest position */
        positions[IMAGE + i][0] = positions[IMAGE + i][1] = positions[IMAGE + i][2] = 8 + i,
                          all[IMAGE + i] = ids[i];
    chord_batch const batch = { .n_tokens = IMAGE + TEXT,
                                .ids = all,
                                .embeddings = embeddings,
                                .n_axes = 3,
                                .positions = positions[0],
                                .n_outputs = 1,
                                .rows = rows };
    double want[ROW];
    CHECK(reference_outputs(l->model, &batch, 0, want));
    chord_session *s = open_session(l);
    chord_embeddings const in = { .rows = image, .positions = positions[0], .n = IMAGE, .width = SYN_EMBD };
    CHECK_EQ(chord_sequence_push_embeddings(&s->sequence, &in, &l->model->error), CHORD_OK);
    evaluate(l, s, ids, TEXT, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    judge(l, chord_session_logits(s, 0), want, 1, IMAGE + TEXT, SYN_AXES);

    chord_session *flat = open_session(l); /* the same tokens without positions give other logits */
    chord_embeddings const unplaced = { .rows = image, .n = IMAGE, .width = SYN_EMBD };
    float placed[ROW];
    memcpy(placed, chord_session_logits(s, 0), sizeof placed);
    CHECK_EQ(chord_sequence_push_embeddings(&flat->sequence, &unplaced, &l->model->error), CHORD_OK);
    evaluate(l, flat, ids, TEXT, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL);
    CHECK(memcmp(placed, chord_session_logits(flat, 0), sizeof placed));
    chord_unload(l);
}

/* ---- values out of range ------------------------------------------------------------------------------ */

TEST(a_norm_whose_sum_overflows_ends_the_step_and_names_the_layer)
{
    int32_t const loud[] = { 1, 7, 2 }, quiet[] = { 1, 2, 3 };
    for (int32_t family = 0; family < SYN_FAMILIES; family++) {
        chord_loaded *l = load_synthetic(family, CHORD_KV_F16, 1, 64, 1);
        chord_session *s = open_session(l);
        CHECK_EQ(chord_session_push(s, loud, 3), CHORD_OK);
        CHECK_EQ(chord_load_run(l, s, CHORD_NO_LIMIT), CHORD_INTERNAL);
        CHECK_TEXT(l->error, "layer 0: the sum of a norm isn't a finite number");
        evaluate(l, s, quiet, 3, CHORD_OUTPUT_LAST, CHORD_NO_LIMIT, NULL); /* the model stays usable */
        const float *logits = chord_session_logits(s, 0);
        /* token 7: the logits use the loud row too */
        for (int32_t i = 0; i < ROW; i++) CHECK(i == 7 || (logits[i] > -1e30f && logits[i] < 1e30f));
        chord_unload(l);
    }
}
