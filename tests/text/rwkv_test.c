/* rwkv_test.c: RWKV's tokenizer. llama.cpp's ids and the tokens' bytes are in tests/golden/vocab. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

static tiny *rwkv(int32_t unk)
{
    static const char *const texts[] = { "a", "ab", "abcd", "\\n", "a\\x00b", "\\\\", "\\x61b", "lone\\" };
    tiny *t = tiny_new(CHORD_VOCAB_RWKV);
    t->s.unk = unk;
    put_token(t, "<s>", CHORD_TYPE_CONTROL, 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) put_token(t, texts[i], CHORD_TYPE_NORMAL, 0);
    return t;
}

TEST(rwkv_takes_the_longest_token_and_of_equal_ones_the_last)
{
    tiny *t = rwkv(0);
    build(t);
    int32_t ids[8];
    uint8_t scratch[4096];
    CHECK_EQ(chord_vocab_tokenize(t->v, "abcabcda", 8, CHORD_ADD_SPECIAL, ids, 8, scratch, sizeof scratch),
             4);
    CHECK(ids[0] == 7 && ids[1] == 0 && ids[2] == 3 && ids[3] == 1); /* ab, an unknown c, abcd, a */
}

TEST(rwkv_escapes_stand_for_bytes)
{
    tiny *t = rwkv(-1);
    build(t);
    int32_t ids[8];
    uint8_t scratch[4096];
    char text[8];
    CHECK_EQ(chord_vocab_tokenize(t->v, "\n\\a\0bc", 6, 0, ids, 8, scratch, sizeof scratch), 3); /* c: none */
    CHECK(ids[0] == 4 && ids[1] == 6 && ids[2] == 5);
    CHECK_EQ(chord_vocab_detokenize(t->v, ids, 3, 0, text, 8), 5);
    CHECK(!memcmp(text, "\n\\a\0b", 5));
    CHECK_EQ(chord_vocab_detokenize(t->v, (int32_t[]){ 8 }, 1, 0, text, 8), 4);
}
