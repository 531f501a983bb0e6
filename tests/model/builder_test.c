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
