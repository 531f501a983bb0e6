/* tiny.h: hand-made vocabularies for tests; ids shown as token texts.
 *
 *   tiny *t = tiny_spm();                     // <unk> <s> </s> and the 256 bytes: ids 0 .. 258
 *   put_token(t, "ab", CHORD_TYPE_NORMAL, -1);
 *   build(t);
 *   CHECK_SAYS(show(t, 0, "abc"), "ab|c");    // tokenised, the tokens' texts joined with | */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEST_TINY_H
#define CHORD_TEST_TINY_H
#include "../../src/text/tables.h"
#include "../harness/test.h"
#include "unset.h"

enum { TINY_BYTES = 1 << 16, TINY_TOKENS = 4096 };
typedef struct tiny {
    chord_vocab_source s;
    uint8_t texts[TINY_BYTES], merges[TINY_BYTES], scores[TINY_TOKENS * 4], types[TINY_TOKENS * 4];
    chord_vocab *v;
    chord_error error;
} tiny;

#define CHECK_SAYS(got, want)                                                              \
    do {                                                                                   \
        const char *const got_ = (got), *const want_ = (want);                             \
        if (strcmp(got_, want_))                                                           \
            test_fail(__FILE__, __LINE__, "%s is \"%s\", want \"%s\"", #got, got_, want_); \
    } while (0)

static inline void put_record(uint8_t *block, uint64_t *used, const char *text, uint64_t n)
{
    CHECK(*used + 8 + n <= TINY_BYTES);
    memcpy(block + *used, &n, 8);
    memcpy(block + *used + 8, text, n);
    *used += 8 + n;
}

static inline int32_t put_token(tiny *t, const char *text, int32_t type, float score)
{
    int32_t const id = t->s.n_tokens++;
    CHECK(id < TINY_TOKENS);
    put_record(t->texts, &t->s.texts_bytes, text, strlen(text));
    memcpy(t->types + id * 4, &type, 4);
    memcpy(t->scores + id * 4, &score, 4);
    return id;
}

static inline void put_merge(tiny *t, const char *text)
{
    put_record(t->merges, &t->s.merges_bytes, text, strlen(text));
    t->s.n_merges++;
}

static inline tiny *tiny_new(int32_t kind)
{
    tiny *t = test_alloc(sizeof *t);
    memset(t, 0, sizeof *t);
    t->s = (chord_vocab_source){ .kind = kind, .texts = t->texts, .types = t->types, VOCAB_UNSET };
    return t;
}

static inline tiny *tiny_spm(void)
{
    tiny *t = tiny_new(CHORD_VOCAB_SPM);
    t->s.scores = t->scores;
    put_token(t, "<unk>", CHORD_TYPE_UNKNOWN, 0);
    put_token(t, "<s>", CHORD_TYPE_CONTROL, 0);
    put_token(t, "</s>", CHORD_TYPE_CONTROL, 0);
    for (int b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        put_token(t, text, CHORD_TYPE_BYTE, 0);
    }
    return t;
}

/* The 256 letters of GPT-2's alphabet: byte b has id b. */
static inline tiny *tiny_bpe(const char *pre)
{
    tiny *t = tiny_new(CHORD_VOCAB_BPE);
    t->s.merges = t->merges;
    t->s.pre = pre;
    t->s.n_pre = strlen(pre);
    for (int b = 0; b < 256; b++) {
        char text[5] = { 0 };
        chord_utf8_encode(byte_to_letter((uint8_t)b), (uint8_t *)text);
        put_token(t, text, CHORD_TYPE_NORMAL, 0);
    }
    return t;
}

/* Adds a merge and its result as a token. */
static inline void put_merged(tiny *t, const char *merge)
{
    char text[256];
    const char *blank = strchr(merge + 1, ' ');
    snprintf(text, sizeof text, "%.*s%s", (int)(blank - merge), merge, blank + 1);
    put_token(t, text, CHORD_TYPE_NORMAL, 0);
    put_merge(t, merge);
}

static inline chord_status try_build(tiny *t)
{
    uint64_t bytes;
    if (!chord_vocab_bytes(&t->s, &bytes)) return CHORD_OUT_OF_MEMORY;
    return chord_vocab_build(&t->v, test_alloc(bytes), bytes, &t->s, &t->error);
}

static inline void build(tiny *t)
{
    chord_status const status = try_build(t);
    if (status) test_fail(__FILE__, __LINE__, "build: %d %s", status, t->error.text);
}

/* Tokenises a text in scratch of exactly the size that chord_vocab_scratch() returns. */
static inline int32_t tokenize(const tiny *t, int32_t flags, const char *text, size_t n, int32_t *ids,
                               int32_t cap)
{
    size_t const scratch_bytes = chord_vocab_scratch(t->v, n);
    /* exact sizes: ASan checks both ends */
    char *copy = malloc(n ? n : 1), *scratch = malloc(scratch_bytes ? scratch_bytes : 1);
    memcpy(copy, text, n);
    int32_t const count = chord_vocab_tokenize(t->v, copy, n, flags, ids, cap, scratch, scratch_bytes);
    free(copy);
    free(scratch);
    return count;
}

static inline const char *show_bytes(const tiny *t, int32_t flags, const char *text, size_t n)
{
    static char shown[8192];
    int32_t ids[1024];
    int32_t const count = tokenize(t, flags, text, n, ids, 1024);
    CHECK(count >= 0 && count <= 1024);
    size_t at = 0;
    shown[0] = 0;
    for (int32_t i = 0; i < count; i++)
        at += (size_t)snprintf(shown + at, sizeof shown - at, "%s%.*s", i ? "|" : "",
                               (int)token_bytes(t->v, ids[i]), (const char *)token_text(t->v, ids[i]));
    return shown;
}
static inline const char *show(const tiny *t, int32_t flags, const char *text)
{
    return show_bytes(t, flags, text, strlen(text));
}

static inline int32_t id_of(const tiny *t, const char *text)
{
    int32_t const id = vocab_find(t->v, text, strlen(text));
    CHECK(id >= 0);
    return id;
}

#endif
