/* tokenizer_fuzz.c: arbitrary bytes as a text, as a vocabulary and as a stream.
 *
 * The first byte, modulo 9, chooses how the rest of the input is used:
 *   0  a text for a small SentencePiece vocabulary
 *   1  a text for a small BPE vocabulary
 *   2  a vocabulary; its first 512 bytes are also the text
 *   3  a text stream with stop strings
 *   4  a text for a small WordPiece vocabulary
 *   5  a text for a small vocabulary of Gemma 4's kind
 *   6  a text for a small Unigram vocabulary
 *   7  a text for a small vocabulary of PLaMo 2's kind
 *   8  a text for a small vocabulary of RWKV's kind
 *
 * Checked, apart from crashes:
 *   scratch of chord_vocab_scratch() bytes is enough;
 *   a smaller output buffer changes neither the count nor the ids that fit;
 *   a text tokenised in slices has the same ids as in one call;
 *   every id is an id of the vocabulary;
 *   the ids of valid UTF-8 under BPE detokenise to the same text;
 *   a stream pushed in small cuts returns the same text as one push. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/text/tables.h"
#include "../text/unset.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(int holds)
{
    if (!holds) abort();
}

/* ---- small vocabularies ------------------------------------------------------------------------ */

static uint8_t texts[1 << 14], merges[1 << 12], types[4 * 512], scores[4 * 512];
static chord_vocab_source base;

static void put(uint8_t *block, uint64_t *used, const char *text)
{
    uint64_t const n = strlen(text);
    memcpy(block + *used, &n, 8);
    memcpy(block + *used + 8, text, n);
    *used += 8 + n;
}
static void token(const char *text, int32_t type)
{
    float const score = (float)(base.n_tokens % 37) - 20;
    memcpy(types + base.n_tokens * 4, &type, 4);
    memcpy(scores + base.n_tokens++ * 4, &score, 4);
    put(texts, &base.texts_bytes, text);
}
static void merge(const char *text, const char *merged)
{
    token(merged, CHORD_TYPE_NORMAL);
    put(merges, &base.merges_bytes, text);
    base.n_merges++;
}

static chord_vocab *built(const chord_vocab_source *s)
{
    uint64_t bytes;
    chord_vocab *v = NULL;
    chord_error error = { 0 };
    if (!chord_vocab_bytes(s, &bytes) || bytes > 1 << 24) return NULL;
    void *block = aligned_alloc(16, (bytes + 15) / 16 * 16);
    chord_status const status = chord_vocab_build(&v, block, bytes, s, &error);
    check(status == CHORD_OK
              ? v == block
              : error.length > 0 && (status == CHORD_INVALID_GGUF || status == CHORD_UNSUPPORTED_TOKENIZER));
    if (status) free(block);
    return status ? NULL : v;
}

static void begin(int32_t kind)
{
    base = (chord_vocab_source){
        .kind = kind, .texts = texts, .types = types, .scores = scores, .merges = merges, VOCAB_UNSET
    };
}

static chord_vocab *small_vocabulary(int is_bpe)
{
    static const char *const words[] = { "ab",
                                         "bc",
                                         "abc",
                                         ("\xE2\x96\x81"
                                          "a"),
                                         "\xE2\x96\x81",
                                         "\xE2\x96\x81\xE2\x96\x81",
                                         "aa",
                                         "aaaa",
                                         "a",
                                         "b",
                                         "c",
                                         "\xC3\xA9",
                                         "s" };
    begin(is_bpe ? CHORD_VOCAB_BPE : CHORD_VOCAB_SPM);
    base.strip_after_special = !is_bpe;
    for (int b = 0; b < 256; b++) {
        char text[8] = { 0 };
        if (is_bpe) chord_utf8_encode(byte_to_letter((uint8_t)b), (uint8_t *)text);
        else
            memcpy(text,
                   (char[]){ '<', '0', 'x', "0123456789ABCDEF"[b >> 4], "0123456789ABCDEF"[b & 15], '>' }, 6);
        token(text, is_bpe ? CHORD_TYPE_NORMAL : CHORD_TYPE_BYTE);
    }
    token("<s>", CHORD_TYPE_CONTROL);
    token("<|x|>", CHORD_TYPE_CONTROL);
    token("<|", CHORD_TYPE_USER);
    token("\n\n", CHORD_TYPE_USER);
    token("\n\n\n", CHORD_TYPE_USER);
    token("x|><", CHORD_TYPE_USER);
    base.bos = 256;
    if (is_bpe) {
        base.pre = "llama-bpe";
        base.n_pre = 9;
        merge("a a", "aa");
        merge("aa aa", "aaaa");
        merge("\xC4\xA0 a", "\xC4\xA0"
                            "a");
        merge("\xC4\xA0 \xC4\xA0", "\xC4\xA0\xC4\xA0");
        merge("\xC3\xAF \xC2\xBF", "\xC3\xAF\xC2\xBF"); /* the first two bytes of U+FFFD */
        merge("b c", "bc");
    } else {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) token(words[i], CHORD_TYPE_NORMAL);
    }
    return built(&base);
}

static chord_vocab *small_wordpiece(void)
{
    static const char *const words[] = { BLANK_LETTER "a",
                                         BLANK_LETTER "ab",
                                         BLANK_LETTER "!",
                                         BLANK_LETTER,
                                         "a",
                                         "b",
                                         "abc",
                                         "\xC3\xA9",
                                         "\xE4\xB8\x80",
                                         "$",
                                         "\xC3" };
    begin(CHORD_VOCAB_WORDPIECE);
    token("[UNK]", CHORD_TYPE_CONTROL);
    token("[CLS]", CHORD_TYPE_CONTROL);
    token("[SEP]", CHORD_TYPE_CONTROL);
    base.unk = 0;
    base.bos = 1;
    base.sep = 2;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) token(words[i], CHORD_TYPE_NORMAL);
    return built(&base);
}

static chord_vocab *small_gemma4(void)
{
    begin(CHORD_VOCAB_GEMMA4);
    base.pre = NULL;
    for (int b = 0; b < 255; b++) { /* one byte has no token */
        char text[8] = { '<', '0', 'x', "0123456789ABCDEF"[b >> 4], "0123456789ABCDEF"[b & 15], '>' };
        token(text, CHORD_TYPE_BYTE);
    }
    token("a", CHORD_TYPE_NORMAL);
    token("b", CHORD_TYPE_NORMAL);
    token(BLANK_LETTER, CHORD_TYPE_NORMAL);
    token("\n", CHORD_TYPE_NORMAL);
    token("\n\n", CHORD_TYPE_NORMAL);
    token("<s>", CHORD_TYPE_CONTROL);
    merge("a a", "aa");
    merge("a b", "ab");
    merge(BLANK_LETTER " a", BLANK_LETTER "a");
    merge("ab " BLANK_LETTER, "ab" BLANK_LETTER);
    return built(&base);
}

/* Its normaliser makes "x" of "ab" and nothing of "c". */
static chord_vocab *small_unigram(void)
{
    static uint8_t charsmap[4 + 4 * 512 + 3];
    uint32_t units[512], size = sizeof units;
    begin(CHORD_VOCAB_UNIGRAM);
    for (int i = 0; i < 512; i++) units[i] = 1u << 31;
    units[0] = 1 << 10;                             /* children at 1 ^ c */
    units[1 ^ 'a'] = ((1 ^ 'a') ^ 256) << 10 | 'a'; /* children at 256 ^ c */
    units[256 ^ 'b'] = ((256 ^ 'b') ^ 2) << 10 | 1 << 8 | 'b';
    units[2] = 1u << 31;                            /* the replacement at 0 */
    units[1 ^ 'c'] = ((1 ^ 'c') ^ 4) << 10 | 1 << 8 | 'c';
    units[4] = 1u << 31 | 1;
    memcpy(charsmap, &size, 4);
    memcpy(charsmap + 4, units, sizeof units);
    charsmap[4 + sizeof units] = 'x';
    base.charsmap = charsmap;
    base.charsmap_bytes = sizeof charsmap;
    base.unk = 0;
    base.add_space_prefix = base.remove_extra_whitespaces = 1;
    token("<unk>", CHORD_TYPE_UNKNOWN);
    token("<s>", CHORD_TYPE_CONTROL);
    token("<u>", CHORD_TYPE_USER);
    for (int i = 0; i < 6; i++)
        token(((const char *[]){ BLANK_LETTER, "x", BLANK_LETTER "x", "b", "bx", "a" })[i],
              CHORD_TYPE_NORMAL);
    return built(&base);
}

/* Two tokens have one text. */
static chord_vocab *small_rwkv(void)
{
    begin(CHORD_VOCAB_RWKV);
    base.unk = 0;
    token("<s>", CHORD_TYPE_CONTROL);
    token("<u>", CHORD_TYPE_USER);
    static const char *const texts[] = { "a",   "ab",   "aba",    "\\x61\\xff", "\\xe2\\x96",
                                         "\\n", "\\\\", "\\x61b", "ba\\x6" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) token(texts[i], CHORD_TYPE_NORMAL);
    return built(&base);
}

/* "ba" and "bab" cost as much as a character of no token, "ab" can't be taken. */
static chord_vocab *small_plamo2(void)
{
    static const char *const texts[] = { "a", "b", "aa", "\xC3\xA9", "a\xC3\xA9", "ba", "bab", "ab" };
    begin(CHORD_VOCAB_PLAMO2);
    base.unk = 0;
    token("<unk>", CHORD_TYPE_UNKNOWN);
    for (int b = 0; b < 256; b++)
        token((char[]){ '<', '0', 'x', "0123456789ABCDEF"[b >> 4], "0123456789ABCDEF"[b & 15], '>', 0 },
              CHORD_TYPE_BYTE);
    token("<u>", CHORD_TYPE_USER);
    for (int i = 0; i < 8; i++) {
        float const score = i < 5 ? -1.5f - (float)(i % 2) : i < 7 ? -1000 : -2500;
        token(texts[i], CHORD_TYPE_NORMAL);
        memcpy(scores + 4 * (base.n_tokens - 1), &score, 4);
    }
    return built(&base);
}

/* ---- text -------------------------------------------------------------------------------------- */

static int is_utf8(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t code_point;
        uint8_t bytes[4];
        uint32_t const size = chord_utf8_decode(p + i, p + n, &code_point);
        if (size != chord_utf8_encode(code_point, bytes) || memcmp(p + i, bytes, size)) return 0;
        i += size;
    }
    return 1;
}

/* Tokenises in slices, with scratch only when a step needs it. The ids must equal `ids`. */
static void check_slices(const chord_vocab *v, const uint8_t *text, size_t n, int32_t flags,
                         const int32_t *ids, int32_t count)
{
    uint64_t const budget = n ? text[0] % 61 : 1;
    int32_t const cap = CHORD_TOKENIZER_ROOM + (n ? text[n - 1] % 50 : 0);
    size_t const bytes = chord_tokenizer_bytes();
    void *block = malloc(bytes), *scratch = NULL;
    int32_t *got = malloc((size_t)cap * 4), at = 0, n_got = 0;
    chord_tokenizer *t = chord_vocab_open_tokenizer(v, (const char *)text, n, flags, block, bytes);
    check(t && chord_tokenizer_least(t) <= (uint64_t)count);
    for (chord_status status = CHORD_MORE; status != CHORD_DONE; at += n_got) {
        status = chord_tokenizer_step(t, budget, got, cap, &n_got);
        check(status >= 0 && n_got >= 0 && n_got <= cap && at + n_got <= count &&
              !memcmp(got, ids + at, (size_t)n_got * 4));
        if (status != CHORD_NEED_MEMORY) continue;
        size_t const wanted = chord_tokenizer_wanted(t);
        check(wanted <= chord_vocab_scratch(v, n));
        void *larger = malloc(wanted);
        check(chord_tokenizer_give(t, larger, wanted) == CHORD_OK);
        free(scratch);
        scratch = larger;
    }
    check(at == count);
    free(got);
    free(scratch);
    free(block);
}

static void check_text(const chord_vocab *v, const uint8_t *text, size_t n, int says_again)
{
    for (int32_t flags = 0; flags < 4; flags++) {
        size_t const scratch_bytes = chord_vocab_scratch(v, n);
        void *scratch = malloc(scratch_bytes);
        int32_t *ids = malloc((3 * n + 8) * 4), *fewer = malloc((n / 2 + 1) * 4);
        int32_t const count = chord_vocab_tokenize(v, (const char *)text, n, flags, ids, (int32_t)(3 * n + 8),
                                                   scratch, scratch_bytes);
        check(count >= 0 && (size_t)count <= 3 * n + 8);
        check(chord_vocab_tokenize(v, (const char *)text, n, flags, fewer, (int32_t)(n / 2), scratch,
                                   scratch_bytes) == count);
        check(!memcmp(ids, fewer, (size_t)(count < (int32_t)(n / 2) ? count : (int32_t)(n / 2)) * 4));
        check_slices(v, text, n, flags, ids, count);
        for (int32_t i = 0; i < count; i++) check(chord_vocab_flags(v, ids[i]) >= 0);
        int64_t const bytes = chord_vocab_detokenize(v, ids, count, 0, NULL, 0);
        char *again = malloc((size_t)bytes + 1);
        check(bytes >= 0 && chord_vocab_detokenize(v, ids, count, 0, again, (size_t)bytes) == bytes);
        if (says_again && flags == 0 && is_utf8(text, n))
            check(bytes == (int64_t)n && !memcmp(again, text, n));
        free(again);
        free(fewer);
        free(ids);
        free(scratch);
    }
}

/* ---- a vocabulary from the input ---------------------------------------------------------------- */

/* The input: 16 bytes of header, a type and a score of 4 bytes each per token, then the records of texts and
 * merges. If p[9] is odd, each record's length becomes 0 to 8, so that most records are read. */
static void check_vocabulary(const uint8_t *p, size_t n)
{
    if (n < 16) return;
    static const char *const pres[] = { "smollm", "gpt-2", "llama-bpe", "qwen2", "glm4", "no such" };
    uint8_t *copy = malloc(n);
    memcpy(copy, p, n);
    begin(p[0] % 9);
    base.lowercase = p[12] % 3 - 1;
    base.strip_accents = p[13] % 3 - 1;
    base.pre = p[1] % 7 == 6 ? NULL : pres[p[1] % 7];
    base.n_pre = base.pre ? strlen(base.pre) : 0;
    base.n_tokens = p[2] % 64;
    base.n_merges = p[3] % 32;
    base.bos = (int8_t)p[4];
    base.eot = (int8_t)p[5];
    base.add_bos = (int8_t)p[6] % 2;
    base.strip_after_special = p[7] & 1;
    size_t const numbers = (size_t)base.n_tokens * 4, blocks = n - 16;
    if (blocks < numbers * 2) {
        free(copy);
        return;
    }
    base.types = p[8] & 1 ? copy + 16 : NULL;
    base.scores = p[8] & 2 ? copy + 16 + numbers : NULL;
    uint8_t *records = copy + 16 + numbers * 2;
    size_t const left = blocks - numbers * 2;
    if (p[9] & 1)
        for (size_t at = 0; at + 8 <= left; at += 8 + records[at]) {
            records[at] %= 9;
            memset(records + at + 1, 0, 7);
        }
    if (p[10] & 1)
        for (size_t i = 0; i < numbers; i += 4) memset(copy + 16 + i + 1, 0, 3); /* types below 256 */
    base.texts = records;
    base.texts_bytes = p[11] % 3 == 2 ? left : left / 2 * (p[11] % 3);
    base.merges = records + base.texts_bytes;
    base.merges_bytes = left - base.texts_bytes;
    base.add_space_prefix = p[14] % 3 - 1;
    base.remove_extra_whitespaces = p[15] % 3 - 1;
    if (p[14] & 128) { /* the merges' bytes are a normaliser, too */
        base.charsmap = base.merges;
        base.charsmap_bytes = base.merges_bytes;
    }
    chord_vocab *v = built(&base);
    if (v) check_text(v, p, n < 512 ? n : 512, 0);
    free(v);
    free(copy);
}

/* ---- streams ----------------------------------------------------------------------------------- */

static size_t stream_all(const uint8_t *stops, size_t n_stops, const uint8_t *p, size_t n, size_t step,
                         char *out, int *is_stopped)
{
    size_t const bytes = chord_stream_bytes(n_stops);
    void *block = aligned_alloc(16, (bytes + 15) / 16 * 16);
    chord_stream *t = chord_stream_open(block, bytes, stops, n_stops);
    size_t done = 0;
    const char *text;
    if (t) {
        for (size_t at = 0; at < n; at += step) {
            int32_t const ready = chord_stream_push(t, (const char *)p + at, at + step > n ? n - at : step,
                                                    &text);
            check(ready >= 0);
            memcpy(out + done, text, (size_t)ready);
            done += (size_t)ready;
        }
        int32_t const ready = chord_stream_end(t, &text);
        memcpy(out + done, text, (size_t)ready);
        done += (size_t)ready;
        *is_stopped = chord_stream_stopped(t);
        check(is_utf8((const uint8_t *)out, done));
    }
    free(block);
    return done;
}

static void check_stream(const uint8_t *p, size_t n)
{
    if (n < 4) return;
    size_t n_stops = p[0], stop_bytes = 0;
    uint8_t stops[2048];
    p++;
    n--;
    n_stops %= 8;
    for (size_t i = 0; i < n_stops && n > 8; i++) { /* short stop strings from the input's bytes */
        int32_t const length = 1 + p[0] % 4;
        memcpy(stops + stop_bytes, &length, 4);
        memcpy(stops + stop_bytes + 4, p + 1, (size_t)length);
        stop_bytes += 4 + (size_t)length;
        p += 1 + length;
        n -= 1 + (size_t)length;
    }
    if (n > 4096) n = 4096;
    char *once = malloc(3 * n + 16), *cut = malloc(3 * n + 16);
    int is_stopped_once = 0, is_stopped_cut = 0;
    size_t const n_once = stream_all(stops, stop_bytes, p, n, n ? n : 1, once, &is_stopped_once);
    size_t const n_cut = stream_all(stops, stop_bytes, p, n, 1 + p[0] % 5, cut, &is_stopped_cut);
    check(n_once == n_cut && !memcmp(once, cut, n_once) && is_stopped_once == is_stopped_cut);
    free(once);
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static chord_vocab *spm, *bpe, *wordpiece, *gemma4, *unigram, *rwkv, *plamo2;
    if (!spm) {
        spm = small_vocabulary(0);
        bpe = small_vocabulary(1);
        wordpiece = small_wordpiece();
        gemma4 = small_gemma4();
        unigram = small_unigram();
        rwkv = small_rwkv();
        plamo2 = small_plamo2();
    }
    check(spm && bpe && wordpiece && gemma4 && unigram && rwkv && plamo2);
    if (n < 1) return 0;
    switch (data[0] % 9) {
    case 0: check_text(spm, data + 1, n - 1, 0); break;
    case 1: check_text(bpe, data + 1, n - 1, 1); break;
    case 2: check_vocabulary(data + 1, n - 1); break;
    case 4: check_text(wordpiece, data + 1, n - 1, 0); break;
    case 5: check_text(gemma4, data + 1, n - 1, 0); break;
    case 6: check_text(unigram, data + 1, n - 1, 0); break;
    case 7: check_text(plamo2, data + 1, n - 1, 0); break;
    case 8: check_text(rwkv, data + 1, n - 1, 0); break;
    default: check_stream(data + 1, n - 1);
    }
    return 0;
}
