/* cut_test.c: the cuts of ops. Every unit belongs to one stage, no unit is too large, and a window costs
 * what its queries see. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/exec/op_attend.h"
#include "../../src/exec/op_matmul.h"
#include "../harness/test.h"

static chord_tensor tensors[3];
static chord_cache caches[2] = { { .spec = { .kind = CHORD_CACHE_PAGED } },
                                 { .spec = { .kind = CHORD_CACHE_WINDOW } } };
static chord_plan plan = { .tensors = tensors, .n_tensors = 3, .caches = caches };

static chord_op product(int32_t n_in, int32_t a, int32_t b)
{
    tensors[0].type = CHORD_Q4_1;
    tensors[1].type = CHORD_F32;
    return (chord_op){ .kind = CHORD_OP_MATMUL,
                       .weight = { 0, 1, -1, -1, -1, -1 },
                       .matmul = { .n_weights = 2, .n_in = n_in, .n_out = { a, b, 0 } } };
}
static chord_op attention(int32_t n_head, int32_t n_kv, int32_t width)
{
    return (chord_op){ .kind = CHORD_OP_ATTEND,
                       .attend = { .n_head = n_head, .n_kv = n_kv, .k_dim = width, .v_dim = width } };
}

/* Returns a batch of one run: n tokens, the first at position `first_pos`. */
static chord_batch batch_of(int32_t n, int32_t first_pos, int32_t n_outputs)
{
    static chord_batch_run run;
    run = (chord_batch_run){ .n_tokens = n, .first_pos = first_pos };
    return (chord_batch){ .n_tokens = n, .n_runs = 1, .runs = &run, .n_outputs = n_outputs };
}

static int64_t units(const chord_plan *p, const chord_op *op, const chord_batch *batch)
{
    return chord_op_cut(p, op, batch).n_units;
}
static chord_stage stage_at(const chord_op *op, const chord_batch *batch, int64_t unit)
{
    chord_cut const cut = chord_op_cut(&plan, op, batch);
    return chord_op_stage(op, &cut, unit);
}

static void check_stages(const chord_op *op, const chord_batch *batch)
{
    chord_cut const cut = chord_op_cut(&plan, op, batch);
    int64_t at = 0;
    while (at < cut.n_units) {
        chord_stage const s = chord_op_stage(op, &cut, at);
        CHECK_EQ(s.first, at);
        CHECK(s.end > at && s.unit_work >= 1);
        CHECK_EQ(chord_op_stage(op, &cut, s.end - 1).first, s.first);
        at = s.end;
    }
    CHECK_EQ(at, cut.n_units);
}

TEST(stages_follow_each_other_and_cover_all_units)
{
    chord_op windowed = attention(9, 3, 64);
    windowed.cache = 1;
    chord_op const ops[] = {
        product(64, 100, 7), attention(9, 3, 64), windowed, { .kind = CHORD_OP_GLU, .glu = { .width = 1536 } }
    };
    for (caches[1].spec.window = 1; caches[1].spec.window < 2000; caches[1].spec.window *= 3)
        for (int32_t i = 0; i < 4; i++)
            for (int32_t n = 1; n < 200; n += 33) {
                chord_batch const batch = batch_of(n, 700, 1);
                check_stages(&ops[i], &batch);
            }
}

TEST(no_planned_work_is_zero)
{
    /* every op, with the smallest sizes that a file may have */
    for (int32_t kind = 1; kind < CHORD_OP_KINDS; kind++) {
        chord_op const op = { .kind = kind, .matmul = { .n_in = 1, .n_weights = 1, .n_out = { 1 } } };
        chord_op const small = { .kind = kind, .attend = { .n_head = 1, .n_kv = 1, .k_dim = 1, .v_dim = 1 } };
        chord_batch const batch = batch_of(1, 0, 1);
        check_stages(kind == CHORD_OP_MATMUL ? &op : &small, &batch);
    }
}

TEST(a_product_quantises_its_rows_first_and_only_if_a_matrix_needs_it)
{
    chord_batch const batch = batch_of(270, 0, 1);
    chord_op op = product(64, 100, 7); /* 7 + 1 blocks of 16 rows, 2 tiles of maximum 256 tokens */
    CHECK_EQ(units(&plan, &op, &batch), 270 + 2 * 8);
    tensors[0].type = CHORD_F16;
    CHECK_EQ(units(&plan, &op, &batch), 2 * 8);
    op.flags = CHORD_FLAG_OUTPUT;
    CHECK_EQ(units(&plan, &op, &batch), 8);
}

TEST(a_product_is_cut_finer_if_threads_would_wait)
{
    chord_batch const batch = batch_of(300, 0, 0);
    chord_op const op = product(64, 1600, 7); /* 101 blocks */
    for (int32_t n = 1; n <= 64; n *= 2) {
        chord_plan of_n = plan;
        of_n.n_threads = n;
        int64_t const tiles = (units(&of_n, &op, &batch) - 300) / 101;
        /* tiles of 256, 128 and 64 tokens; 64 is the minimum */
        CHECK_EQ(tiles, n <= 16 ? 2 : n <= 32 ? 3 : 5);
    }
}

TEST(no_unit_is_larger_than_50_million_multiply_adds)
{
    chord_batch const batch = batch_of(256, 100000, 256);
    for (int32_t n_in = 32; n_in <= 1 << 20; n_in *= 2) {
        chord_op const op = product(n_in, 64, 64);
        chord_cut const cut = chord_op_cut(&plan, &op, &batch);
        CHECK(chord_op_stage(&op, &cut, cut.n_units - 1).unit_work <= 50000000);
        int32_t const tile = chord_matmul_cut_of(&cut)->tile;
        CHECK(tile <= 4 || tile % 4 == 0); /* kernels take four tokens at a time */
        chord_op fine = op;
        fine.flags = CHORD_FLAG_FINE;
        CHECK(stage_at(&fine, &batch, units(&plan, &fine, &batch) - 1).unit_work <= 50000000);
    }
    chord_op const attend = attention(64, 1, 1024);
    CHECK(stage_at(&attend, &batch, 0).unit_work <= 50000000);
}

TEST(attention_of_many_queries_is_cut_into_stages_of_some_chunks)
{
    chord_op const op = attention(9, 3, 64);
    chord_batch const batch = batch_of(20, 32 * 16, 0);
    chord_cut const cut = chord_op_cut(&plan, &op, &batch);
    CHECK_EQ(chord_attend_cut_of(&cut)->most_pages, 17);
    CHECK_EQ(chord_attend_cut_of(&cut)->n_columns, 6); /* 60 queries per KV head, three KV heads */
    CHECK_EQ(cut.n_units, 12);
    CHECK_EQ(stage_at(&op, &batch, 0).end, 6);
    CHECK_EQ(stage_at(&op, &batch, 6).unit_work, 32 * 32 * 2 * 64); /* one page is left */
}

TEST(attention_of_one_token_is_cut_into_chunks_that_are_joined_in_order)
{
    chord_op const op = attention(9, 3, 64);
    chord_batch const batch = batch_of(1, 64 * 70, 0); /* 71 chunks: a span of 64 and one of 7 */
    chord_cut const cut = chord_op_cut(&plan, &op, &batch);
    CHECK_EQ(chord_attend_cut_of(&cut)->most_chunks, 71);
    CHECK_EQ(cut.n_units, 3 * (64 + 1 + 7 + 1));
    int64_t const ends[] = { 3 * 64, 3 * 65, 3 * (65 + 7), 3 * (65 + 8) };
    int64_t at = 0;
    for (int32_t i = 0; i < 4; at = ends[i++]) CHECK_EQ(stage_at(&op, &batch, at).end, ends[i]);
    chord_op const many = attention(66, 2, 64); /* 33 heads per KV head */
    CHECK_EQ(units(&plan, &many, &batch), 2 * 2 * 9);
}

/* Returns the planned work of a batch of n tokens, the first at position `first_pos`. */
static uint64_t work_at(const chord_op *op, int32_t n, int32_t first_pos)
{
    chord_batch const batch = batch_of(n, first_pos, 0);
    chord_cut const cut = chord_op_cut(&plan, op, &batch);
    uint64_t work = 0;
    for (int64_t at = 0; at < cut.n_units;) {
        chord_stage const s = chord_op_stage(op, &cut, at);
        work += (uint64_t)(s.end - s.first) * s.unit_work;
        at = s.end;
    }
    return work;
}

TEST(planned_work_of_a_window_stops_growing_past_it)
{
    chord_op const all = attention(8, 4, 64);
    chord_op windowed = all;
    windowed.cache = 1;
    caches[1].spec.window = 512;
    int32_t const sizes[] = { 1, 7, 256 };
    for (int32_t i = 0; i < 3; i++) {
        /* positions with the same offset in their chunk see the same number of chunks */
        uint64_t const at_window = work_at(&windowed, sizes[i], 1024);
        for (int32_t pos = 1024; pos < 1 << 20; pos *= 2)
            CHECK_EQ(work_at(&windowed, sizes[i], pos), at_window);
        CHECK(work_at(&all, sizes[i], 1 << 19) > 100 * at_window);
        CHECK(at_window <= work_at(&all, sizes[i], 1024));
    }
}

TEST(columns_of_several_runs_follow_each_other)
{
    chord_op const op = attention(8, 4, 64);
    chord_batch_run const runs[] = { { .n_tokens = 3, .first_pos = 200 },
                                     { .first_row = 3, .n_tokens = 1, .first_pos = 5000 },
                                     { .first_row = 4, .n_tokens = 40 } };
    chord_batch const batch = { .n_tokens = 44, .n_runs = 3, .runs = runs };
    chord_cut const cut = chord_op_cut(&plan, &op, &batch);
    CHECK_EQ(chord_attend_cut_of(&cut)->n_columns, 4 + 4 + 3 * 4);
    CHECK_EQ(chord_attend_cut_of(&cut)->most_chunks, 79);
    check_stages(&op, &batch);
}

TEST(a_unit_that_touches_nothing_has_planned_work_too)
{
    chord_op const op = { .kind = CHORD_OP_ANGLES }; /* no pairs */
    chord_batch const batch = batch_of(3, 0, 0);
    CHECK_EQ(stage_at(&op, &batch, 0).unit_work, 1);
}
