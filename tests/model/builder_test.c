/* builder_test.c: reading hyper-parameters that are present, absent, derived or out of range. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/model/planner.h"
#include "../../include/chord.h"
#include "../../src/quant/quant.h"
#include "../format/gguf_writer.h"

/* A builder over a header with keys of the architecture "a". */
typedef struct built {
    reading *r;
    chord_error error;
    chord_builder b;
} built;

static built *over(const writer *w)
{
    built *x = test_alloc(sizeof *x);
    memset(x, 0, sizeof *x);
    x->r = read_file(w);
    CHECK_EQ(x->r->status, CHORD_OK);
    x->b = (chord_builder){ .gguf = &x->r->g, .error = &x->error, .arch = "a", .n_arch = 1 };
    return x;
}

TEST(an_absent_integer_is_its_default_if_the_default_is_in_range)
{
    writer *w = begin_file(3, 0, 1);
    put_u32_kv(w, "a.there", 7);
    built *x = over(w);
    CHECK_EQ(chord_read_int(&x->b, "there", 3, 1, 8), 7);
    CHECK_EQ(chord_read_int(&x->b, "absent", 3, 1, 8), 3);
    CHECK_EQ(chord_read_int(&x->b, "absent", 1, 1, 8), 1);
    CHECK_EQ(chord_read_int(&x->b, "absent", 8, 1, 8), 8);
    CHECK_EQ(x->b.status, CHORD_OK);
}

/* Other keys of the file can lead to such a default. */
TEST(a_default_outside_the_range_is_an_error_that_names_the_key)
{
    for (int32_t fallback = 0; fallback <= 9; fallback += 9) {
        built *x = over(begin_file(3, 0, 0));
        int32_t const v = chord_read_int(&x->b, "size", fallback, 1, 8);
        CHECK(v >= 1 && v <= 8); /* the caller continues with a valid value */
        CHECK_EQ(x->b.status, CHORD_INVALID_GGUF);
        CHECK_TEXT(x->error.text, fallback ? "'a.size', and its default, 9, is outside 1 to 8"
                                           : "'a.size', and its default, 0, is outside 1 to 8");
    }
}

static float read_one(float value, float fallback, chord_range range, int is_there, chord_status want)
{
    writer *w = begin_file(3, 0, 1);
    put_key(w, is_there ? "a.number" : "a.other", CHORD_GGUF_F32);
    put_bytes(w, &value, 4);
    built *x = over(w);
    float const v = chord_read_float(&x->b, "number", fallback, range);
    CHECK_EQ(x->b.status, want);
    if (want != CHORD_OK) CHECK_TEXT(x->error.text, "'a.number'");
    return v;
}

TEST(an_epsilon_and_a_rope_base_are_checked_also_as_defaults)
{
    float const none = __builtin_nanf(""), infinite = __builtin_inff();
    CHECK_NEAR((double)read_one(1e-5f, none, CHORD_EPSILON, 1, CHORD_OK), 1e-5, 1e-11);
    CHECK_NEAR((double)read_one(0, 1e-6f, CHORD_EPSILON, 0, CHORD_OK), 1e-6, 1e-12);
    static const float bad[] = { 0, -0.0f, -1e-5f, 1e-40f };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        read_one(bad[i], none, CHORD_EPSILON, 1, CHORD_INVALID_GGUF);
        read_one(1, bad[i], CHORD_EPSILON, 0, CHORD_INVALID_GGUF);
        read_one(bad[i], 10000, CHORD_ROPE_BASE, 1, CHORD_INVALID_GGUF);
    }
    read_one(1, none, CHORD_EPSILON, 0, CHORD_INVALID_GGUF); /* a required key is absent */
    for (int32_t is_there = 0; is_there < 2; is_there++) {
        read_one(infinite, infinite, CHORD_FINITE, is_there, CHORD_INVALID_GGUF);
        read_one(none, none, CHORD_FINITE, is_there, CHORD_INVALID_GGUF);
        CHECK_NEAR((double)read_one(-2, -2, CHORD_FINITE, is_there, CHORD_OK), -2, 0);
    }
}

/* One layer of llama. Its 7 matrices have 65536 x 65536 elements in f16, 8 GiB each; the vocabulary has 3
 * tokens. */
static chord_plan *plan_of_57_gib(chord_hparams *h, chord_error *e)
{
    enum { WIDTH = 1 << 16 };
    static const char *const wide[] = { "blk.0.attn_q.weight",   "blk.0.attn_k.weight",
                                        "blk.0.attn_v.weight",   "blk.0.attn_output.weight",
                                        "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight",
                                        "blk.0.ffn_down.weight" };
    static const char *const vectors[] = { "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
                                           "output_norm.weight" };
    writer *w = begin_file(3, 11, 8);
    put_key(w, "general.architecture", CHORD_GGUF_STRING);
    put_text(w, "llama");
    put_u32_kv(w, "llama.context_length", 32);
    put_u32_kv(w, "llama.embedding_length", WIDTH);
    put_u32_kv(w, "llama.block_count", 1);
    put_u32_kv(w, "llama.feed_forward_length", WIDTH);
    put_u32_kv(w, "llama.attention.head_count", 64);
    put_key(w, "llama.attention.layer_norm_rms_epsilon", CHORD_GGUF_F32);
    put_bytes(w, &(float){ 1e-5f }, 4);
    put_array_head(w, "tokenizer.ggml.tokens", CHORD_GGUF_STRING, 3);
    for (int i = 0; i < 3; i++) put_text(w, "a");
    uint64_t at = 0, ne[2] = { WIDTH, WIDTH };
    for (int i = 0; i < 7; i++, at += 8ull << 30) put_tensor(w, wide[i], 2, ne, CHORD_F16, at);
    ne[1] = 3;
    put_tensor(w, "token_embd.weight", 2, ne, CHORD_F16, at);
    for (int i = 0; i < 3; i++)
        put_tensor(w, vectors[i], 1, ne, CHORD_F32, at + (uint64_t)(i + 1) * 4 * WIDTH * 4);

    reading *r = read_file(w);
    chord_plan *plan = test_alloc(sizeof *plan);
    memset(plan, 0, sizeof *plan);
    chord_arena tables = { test_alloc(1 << 20), 0, 1 << 20 };
    chord_config const config = {
        .version = CHORD_ABI_VERSION, .size = sizeof config, .kv_type = CHORD_KV_F16, .n_threads = 1
    };
    chord_split_file const file = { r->g.file_bytes, r->g.data_begin };
    CHECK_EQ(chord_plan_tensors(plan, &r->g, &file, &tables, e), CHORD_OK);
    CHECK_EQ(chord_plan_program(plan, chord_archs, h, &r->g, &tables, e), CHORD_OK);
    CHECK_EQ(chord_plan_config(plan, h, &config, &tables, e), CHORD_OK);
    return plan;
}

TEST(a_plan_larger_than_32_bits_is_measured_exactly)
{
    chord_hparams h = { 0 };
    chord_error e = { 0 };
    chord_plan *plan = plan_of_57_gib(&h, &e);
    chord_arena measure = { NULL, 0, CHORD_MEASURE };
    void *vocabulary;
    chord_memory_map map;
    CHECK_EQ(chord_plan_memory(plan, &measure, 1000, &vocabulary, &map), CHORD_OK);
    /* the tied matrix has 3 rows, padded to a group of four */
    CHECK_EQ(map.weight_bytes, (7ull << 33) + 4 * 2 * 65536 + 3 * 4 * 65536);
    CHECK(map.bytes > map.weight_bytes &&
          map.bytes == map.weight_bytes + map.vocabulary_bytes + map.activation_bytes);
    chord_arena small = { NULL, 0, UINT32_MAX };
    CHECK_EQ(chord_plan_memory(plan, &small, 1000, &vocabulary, &map), CHORD_NEED_MEMORY);
}
