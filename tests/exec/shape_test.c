/* How ops are cut: nothing is left out, nothing is done twice, no unit is too large. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/exec/shape.h"
#include "../harness/test.h"

static chord_tensor tensors[3];
static chord_model_plan plan = { .tensors = tensors, .n_tensors = 3 };

static chord_op product(int32_t n_in, int32_t a, int32_t b)
{
    tensors[0].type = CHORD_Q4_1;
    tensors[1].type = CHORD_F32;
    return (chord_op){ .kind = CHORD_OP_MATMUL, .n_weights = 2, .weight = { 0, 1, -1 }, .n_in = n_in, .n_out = { a, b, 0 } };
}

TEST(stages_follow_each_other_and_cover_all_units)
{
    chord_op const ops[] = { product(64, 100, 7), { .kind = CHORD_OP_ATTEND, .n_head = 9, .n_kv = 3, .head_dim = 64 },
                             { .kind = CHORD_OP_GLU, .n_out = { 1536, 0, 0 } } };
    for (int32_t i = 0; i < 3; i++)
        for (int32_t n = 1; n < 200; n += 33) {
            chord_batch const batch = { .n_tokens = n, .first_pos = 700, .n_outputs = 1 };
            int64_t const units = chord_op_units(&plan, &ops[i], &batch);
            int64_t at = 0;
            while (at < units) {
                chord_stage const s = chord_op_stage(&plan, &ops[i], &batch, at);
                CHECK_EQ(s.first, at);
                CHECK(s.end > at && s.unit_work >= 1);
                CHECK_EQ(chord_op_stage(&plan, &ops[i], &batch, s.end - 1).first, s.first);
                at = s.end;
            }
            CHECK_EQ(at, units);
        }
}

TEST(a_product_quantises_its_rows_first_and_only_where_a_matrix_wants_it)
{
    chord_batch const batch = { .n_tokens = 270, .n_outputs = 1 };
    chord_op op = product(64, 100, 7); /* 7 + 1 blocks of 16 rows, 2 tiles of at most 256 tokens */
    CHECK_EQ(chord_op_units(&plan, &op, &batch), 270 + 2 * 8);
    tensors[0].type = CHORD_F16;
    CHECK_EQ(chord_op_units(&plan, &op, &batch), 2 * 8);
    op.flags = CHORD_FLAG_OUTPUT;
    CHECK_EQ(chord_op_units(&plan, &op, &batch), 8);
}

TEST(a_product_is_cut_finer_where_threads_would_wait)
{
    chord_batch const batch = { .n_tokens = 300 };
    chord_op const op = product(64, 1600, 7); /* 101 blocks */
    for (int32_t n = 1; n <= 64; n *= 2) {
        chord_model_plan of_n = plan;
        of_n.n_threads = n;
        int64_t const tiles = (chord_op_units(&of_n, &op, &batch) - 300) / 101;
        CHECK_EQ(tiles, n <= 16 ? 2 : n <= 32 ? 3 : 5); /* of 256, 128 and 64 tokens, which is the least */
    }
}

TEST(no_unit_is_larger_than_50_million_multiply_adds)
{
    chord_batch const batch = { .n_tokens = 256, .first_pos = 100000, .n_outputs = 256 };
    for (int32_t n_in = 32; n_in <= 1 << 20; n_in *= 2) {
        chord_op const op = product(n_in, 64, 64);
        int64_t const last = chord_op_units(&plan, &op, &batch) - 1;
        CHECK(chord_op_stage(&plan, &op, &batch, last).unit_work <= 50000000);
        int32_t const tile = chord_shape_matmul(&plan, &op, &batch).tile;
        CHECK(tile <= 4 || tile % 4 == 0); /* kernels take four tokens at a time */
        chord_op fine = op;
        fine.flags = CHORD_FLAG_FINE;
        CHECK(chord_op_stage(&plan, &fine, &batch, chord_op_units(&plan, &fine, &batch) - 1).unit_work <= 50000000);
    }
    chord_op const attend = { .kind = CHORD_OP_ATTEND, .n_head = 64, .n_kv = 1, .head_dim = 1024 };
    CHECK(chord_op_stage(&plan, &attend, &batch, 0).unit_work <= 50000000);
}

TEST(attention_goes_through_the_pages_in_stages)
{
    chord_op const op = { .kind = CHORD_OP_ATTEND, .n_head = 9, .n_kv = 3, .head_dim = 64 };
    chord_batch const batch = { .n_tokens = 20, .first_pos = 32 * 16 };
    chord_attend_shape const s = chord_shape_attend(&op, &batch);
    CHECK_EQ(s.n_pages, 17);
    CHECK_EQ(s.n_runs, 2);
    CHECK_EQ(s.n_columns, 6); /* 60 queries of each of three KV heads */
    CHECK_EQ(chord_op_units(&plan, &op, &batch), 12);
    CHECK_EQ(chord_op_stage(&plan, &op, &batch, 0).end, 6);
    CHECK_EQ(chord_op_stage(&plan, &op, &batch, 6).unit_work, 32 * 32 * 2 * 64); /* the one page left */
}

TEST(attention_of_one_token_goes_by_chunks_that_are_joined_in_order)
{
    chord_op const op = { .kind = CHORD_OP_ATTEND, .n_head = 9, .n_kv = 3, .head_dim = 64 };
    chord_batch const batch = { .n_tokens = 1, .first_pos = 64 * 70 }; /* 71 chunks: a span of 64 and one of 7 */
    chord_attend_shape const s = chord_shape_attend(&op, &batch);
    CHECK_EQ(s.n_chunks, 71);
    CHECK_EQ(chord_op_units(&plan, &op, &batch), 3 * (64 + 1 + 7 + 1));
    int64_t const ends[] = { 3 * 64, 3 * 65, 3 * (65 + 7), 3 * (65 + 8) };
    int64_t at = 0;
    for (int32_t i = 0; i < 4; at = ends[i++]) CHECK_EQ(chord_op_stage(&plan, &op, &batch, at).end, ends[i]);
    chord_op const many = { .kind = CHORD_OP_ATTEND, .n_head = 66, .n_kv = 2, .head_dim = 64 }; /* 33 heads to a KV head */
    CHECK_EQ(chord_op_units(&plan, &many, &batch), 2 * 2 * 9);
}

TEST(a_unit_is_planned_as_work_also_where_it_touches_nothing)
{
    chord_op const op = { .kind = CHORD_OP_ANGLES, .rope = 0 }; /* of no pairs */
    chord_batch const batch = { .n_tokens = 3 };
    CHECK_EQ(chord_op_stage(&plan, &op, &batch, 0).unit_work, 1);
}
