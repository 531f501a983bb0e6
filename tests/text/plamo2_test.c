/* plamo2_test.c: PLaMo 2's tokenizer. llama.cpp's ids and the tokens' bytes are in tests/golden/vocab. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

/* The bytes up to `n_bytes`; "a", "b", "ab" and "ba" with one score. */
static tiny *plamo2(int32_t n_bytes)
{
    tiny *t = tiny_new(CHORD_VOCAB_PLAMO2);
    t->s.scores = t->scores;
    put_token(t, "<unk>", CHORD_TYPE_UNKNOWN, 0);
    for (int32_t b = 0; b < n_bytes; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
        put_token(t, text, CHORD_TYPE_BYTE, 0);
    }
    for (int i = 0; i < 4; i++)
        put_token(t, ((const char *[]){ "a", "b", "ab", "ba" })[i], CHORD_TYPE_NORMAL, -2);
    return t;
}

TEST(plamo2_of_equal_sums_takes_the_longest_token_in_front)
{
    tiny *t = plamo2(256);
    build(t);
    CHECK_SAYS(show(t, 0, "aba"), "ab|a");
    CHECK_SAYS(show(t, 0, "bab"), "ba|b");
}

TEST(plamo2_a_character_of_no_token_becomes_its_bytes)
{
    tiny *t = plamo2(256);
    build(t);
    CHECK_SAYS(show(t, 0, "a\xC3\xA9"), "a|<0xC3>|<0xA9>");
    CHECK_SAYS(show(t, 0, "\xFF"), "<0xEF>|<0xBF>|<0xBD>");
    CHECK_SAYS(show(t, 0, "\xC0\x80"), "<0x00>"); /* a code point in too many bytes */
}

TEST(plamo2_drops_a_byte_order_mark_in_front)
{
    tiny *t = plamo2(256);
    build(t);
    CHECK_SAYS(show(t, 0, "\xEF\xBB\xBF"), "");
    CHECK_SAYS(show(t, 0,
                    "\xEF\xBB\xBF"
                    "ab"),
               "ab");
}

TEST(plamo2_without_scores_or_a_byte_is_refused)
{
    tiny *t = plamo2(255);
    CHECK_EQ(try_build(t), CHORD_INVALID_GGUF);
    CHECK(strstr(t->error.text, "byte 255"));
    t->s.scores = NULL;
    CHECK_EQ(try_build(t), CHORD_INVALID_GGUF);
    CHECK(strstr(t->error.text, "tokenizer.ggml.scores"));
}
