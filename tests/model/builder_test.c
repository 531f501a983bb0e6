/* builder_test.c: hyper-parameters as an architecture reads them: present, absent, derived, out of range. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/model/builder.h"
#include "../format/gguf_writer.h"

/* A builder over a header that holds these keys of the architecture "a". */
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

TEST(an_integer_that_is_absent_is_its_default_when_that_is_in_range)
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

/* Such a default was derived from other keys of the file. */
TEST(a_default_outside_the_range_is_a_fault_that_names_the_key)
{
    for (int32_t fallback = 0; fallback <= 9; fallback += 9) {
        built *x = over(begin_file(3, 0, 0));
        int32_t const v = chord_read_int(&x->b, "size", fallback, 1, 8);
        CHECK(v >= 1 && v <= 8); /* what follows works on with it */
        CHECK_EQ(x->b.status, CHORD_INVALID_GGUF);
        CHECK_TEXT(x->error.text, fallback ? "'a.size', and its default, 9, is outside 1 to 8" : "'a.size', and its default, 0, is outside 1 to 8");
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

TEST(an_epsilon_or_a_rope_base_is_held_against_its_range_also_as_a_default)
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
    read_one(1, none, CHORD_EPSILON, 0, CHORD_INVALID_GGUF); /* required, and absent */
    for (int32_t is_there = 0; is_there < 2; is_there++) {
        read_one(infinite, infinite, CHORD_FINITE, is_there, CHORD_INVALID_GGUF);
        read_one(none, none, CHORD_FINITE, is_there, CHORD_INVALID_GGUF);
        CHECK_NEAR((double)read_one(-2, -2, CHORD_FINITE, is_there, CHORD_OK), -2, 0);
    }
}
