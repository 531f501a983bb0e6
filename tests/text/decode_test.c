/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

#define UNDERSCORE "\xE2\x96\x81"

static const char *say(const tiny *t, int32_t flags, const int32_t *ids, int32_t n)
{
    static char text[512];
    int64_t const length = chord_vocab_detokenize(t->v, ids, n, flags, text, sizeof text - 1);
    CHECK(length >= 0 && length < 512);
    CHECK_EQ(chord_vocab_detokenize(t->v, ids, n, flags, NULL, 0), length);
    text[length] = 0;
    return text;
}

static tiny *sample(void)
{
    tiny *t = tiny_spm();
    put_token(t, UNDERSCORE "Hello", CHORD_TYPE_NORMAL, 0);   /* 259 */
    put_token(t, UNDERSCORE "wor" UNDERSCORE, CHORD_TYPE_NORMAL, 0);
    put_token(t, "[" UNDERSCORE "]", CHORD_TYPE_USER, 0);     /* 261 */
    put_token(t, "unused", CHORD_TYPE_UNUSED, 0);
    put_token(t, "odd", 99, 0);                               /* 263 */
    build(t);
    return t;
}

TEST(spm_tokens_turn_underscores_into_blanks_except_in_special_tokens)
{
    tiny *t = sample();
    CHECK_SAYS(say(t, 0, (int32_t[]){ 259, 260, 261 }, 3), " Hello wor [" UNDERSCORE "]");
}

TEST(a_whole_text_loses_one_blank_at_its_beginning)
{
    tiny *t = sample();
    CHECK_SAYS(say(t, CHORD_WHOLE_TEXT, (int32_t[]){ 259, 259 }, 2), "Hello Hello");
    /* of the first token only, as in llama.cpp */
    CHECK_SAYS(say(t, CHORD_WHOLE_TEXT, (int32_t[]){ 1, 259 }, 2), "<s> Hello");
    CHECK_SAYS(say(t, CHORD_WHOLE_TEXT | CHORD_SKIP_SPECIAL, (int32_t[]){ 1, 259 }, 2), " Hello");
    CHECK_SAYS(say(t, CHORD_WHOLE_TEXT, (int32_t[]){ 3 + ' ', 3 + ' ', 3 + 'x' }, 3), " x");
    CHECK_SAYS(say(t, CHORD_WHOLE_TEXT, NULL, 0), "");
    t->s.add_space_prefix = 0;
    build(t);
    CHECK_SAYS(say(t, CHORD_WHOLE_TEXT, (int32_t[]){ 259 }, 1), " Hello");
}

TEST(byte_tokens_become_bytes_and_unused_tokens_become_nothing)
{
    tiny *t = sample();
    CHECK_SAYS(say(t, 0, (int32_t[]){ 3 + 0xC3, 3 + 0xA9, 262, 263 }, 4), "\xC3\xA9");
}

TEST(skip_special_omits_control_and_unknown_tokens_only)
{
    tiny *t = sample();
    CHECK_SAYS(say(t, 0, (int32_t[]){ 1, 0, 261, 2 }, 4), "<s><unk>[" UNDERSCORE "]</s>");
    CHECK_SAYS(say(t, CHORD_SKIP_SPECIAL, (int32_t[]){ 1, 0, 261, 2 }, 4), "[" UNDERSCORE "]");
}

TEST(bpe_tokens_become_the_bytes_of_their_letters)
{
    tiny *t = tiny_bpe("gpt-2");
    put_token(t,
              "\xC4\xA0"
              "caf\xC3\x83\xC2\xA9",
              CHORD_TYPE_NORMAL, 0); /* 256 */
    put_token(t, "\xC4\xA0special\xC3\xA9", CHORD_TYPE_CONTROL, 0);        /* 257 */
    put_token(t, "a\xE6\x9D\xB1", CHORD_TYPE_NORMAL, 0);                   /* 258: outside the alphabet */
    build(t);
    CHECK_SAYS(say(t, 0, (int32_t[]){ 256 }, 1), " caf\xC3\xA9");
    CHECK_SAYS(say(t, 0, (int32_t[]){ 257 }, 1), "\xC4\xA0special\xC3\xA9");
    CHECK_SAYS(say(t, 0, (int32_t[]){ 258 }, 1), "a\xE6\x9D\xB1");
    /* BPE has no blank prefix */
    CHECK_SAYS(say(t, CHORD_WHOLE_TEXT, (int32_t[]){ 256 }, 1), " caf\xC3\xA9");
    for (int32_t b = 1; b < 256; b++) CHECK_EQ((uint8_t)say(t, 0, &b, 1)[0], b);
}

TEST(detokenizing_writes_at_most_cap_bytes_and_refuses_unknown_ids)
{
    tiny *t = sample();
    char text[8] = "~~~~~~~";
    CHECK_EQ(chord_vocab_detokenize(t->v, (int32_t[]){ 259, 259 }, 2, CHORD_WHOLE_TEXT, text, 3), 11);
    CHECK_SAYS(text, "Hel~~~~");
    /* the second piece is cut */
    CHECK_EQ(chord_vocab_detokenize(t->v, (int32_t[]){ 1, 1 }, 2, 0, text, 4), 6);
    CHECK_SAYS(text, "<s><~~~");
    CHECK_EQ(chord_vocab_detokenize(t->v, (int32_t[]){ 0 }, 1, 0, text, 3), 5); /* the first piece is cut */
    CHECK_SAYS(text, "<un<~~~");
    CHECK_EQ(chord_vocab_detokenize(t->v, (int32_t[]){ 259, 264 }, 2, 0, text, 3), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_vocab_detokenize(t->v, (int32_t[]){ -1 }, 1, 0, text, 3), CHORD_INVALID_ARGUMENT);
}
