/* vocabulary_test.c: the tokenizer keys of a header, and llama.cpp's ids for whole vocabularies. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/model/vocabulary.h"
#include "../../src/text/pre.h"
#include "../format/gguf_writer.h"
#include <dirent.h>

/* ---- the keys ---------------------------------------------------------------------------------- */

typedef void (*value_writer)(writer *w, const char *key);
static void as_llama(writer *w, const char *key)
{
    put_key(w, key, CHORD_GGUF_STRING);
    put_text(w, "llama");
}
static void as_gpt2(writer *w, const char *key)
{
    put_key(w, key, CHORD_GGUF_STRING);
    put_text(w, "gpt2");
}
static void as_word(writer *w, const char *key)
{
    put_key(w, key, CHORD_GGUF_STRING);
    put_text(w, "unigram");
}
static void as_one(writer *w, const char *key) { put_u32_kv(w, key, 1); }
static void as_u8(writer *w, const char *key)
{
    put_key(w, key, CHORD_GGUF_U8);
    put_bytes(w, "\1", 1);
}
static void as_minus_one(writer *w, const char *key) { put_u32_kv(w, key, UINT32_MAX); }
static void as_three(writer *w, const char *key) { put_u32_kv(w, key, 3); }
static void as_yes(writer *w, const char *key)
{
    put_key(w, key, CHORD_GGUF_BOOL);
    put_bytes(w, "\1", 1);
}
static void as_no(writer *w, const char *key)
{
    put_key(w, key, CHORD_GGUF_BOOL);
    put_bytes(w, "\0", 1);
}
static void as_numbers(writer *w, const char *key, int type, uint64_t n)
{
    static const uint32_t ones[4] = { 1, 1, 1, 1 };
    put_array_head(w, key, type, n);
    put_bytes(w, ones, n * chord_gguf_type_bytes(type));
}
static void as_3_floats(writer *w, const char *key) { as_numbers(w, key, CHORD_GGUF_F32, 3); }
static void as_2_floats(writer *w, const char *key) { as_numbers(w, key, CHORD_GGUF_F32, 2); }
static void as_3_ints(writer *w, const char *key) { as_numbers(w, key, CHORD_GGUF_I32, 3); }
static void as_4_ints(writer *w, const char *key) { as_numbers(w, key, CHORD_GGUF_I32, 4); }
static void as_3_bytes(writer *w, const char *key) { as_numbers(w, key, CHORD_GGUF_U8, 3); }
static void as_no_texts(writer *w, const char *key) { put_array_head(w, key, CHORD_GGUF_STRING, 0); }
static void as_3_texts(writer *w, const char *key)
{
    put_array_head(w, key, CHORD_GGUF_STRING, 3);
    put_text(w, "<unk>");
    put_text(w, "");
    put_text(w, "a b");
}

typedef struct outcome {
    chord_vocab_source s;
    chord_error error;
    chord_status status;
} outcome;

/* Reads a small valid vocabulary in which `value` writes `key`. A new key is added; NULL leaves the key
 * out. */
static outcome *read_with(const char *key, value_writer value)
{
    const struct {
        const char *key;
        value_writer value;
    } good[] = {
        { "tokenizer.ggml.model", as_llama },      { "tokenizer.ggml.tokens", as_3_texts },
        { "tokenizer.ggml.scores", as_3_floats },  { "tokenizer.ggml.token_type", as_3_ints },
        { "tokenizer.ggml.bos_token_id", as_one }, { "tokenizer.ggml.add_bos_token", as_yes },
    };
    size_t const n = sizeof good / sizeof *good;
    size_t found = n;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(good[i].key, key)) found = i;
    writer *w = begin_file(3, 0, found == n ? n + (value != NULL) : n - (value == NULL));
    for (size_t i = 0; i < n; i++)
        if (i != found) good[i].value(w, good[i].key);
    if (value) value(w, key);
    reading *r = read_file(w);
    CHECK_EQ(r->status, CHORD_OK);
    outcome *o = test_alloc(sizeof *o);
    o->error.text[0] = 0;
    o->status = chord_vocabulary_read(&r->g, 0, &o->s, &o->error);
    return o;
}

TEST(the_reader_returns_arrays_ids_and_flags)
{
    outcome *o = read_with("general.name", as_llama);
    CHECK_EQ(o->status, CHORD_OK);
    CHECK(o->s.kind == CHORD_VOCAB_SPM && o->s.n_tokens == 3 && o->s.texts_bytes == 3 * 8 + 5 + 3 &&
          o->s.n_merges == 0 && !o->s.merges);
    CHECK(o->s.bos == 1 && o->s.eos == -1 && o->s.add_bos == 1 && o->s.add_eos == -1 && !o->s.pre &&
          !o->s.strip_after_special);
    CHECK(chord_i32(o->s.types + 8) == 1 && o->s.scores);
    CHECK_EQ(chord_vocabulary_file_bytes(&o->s), 3 * 8 + 8 + 3 * 4 + 3 * 4);
    o = read_with("tokenizer.ggml.add_bos_token", as_no);
    CHECK_EQ(o->s.add_bos, 0);
    o = read_with("tokenizer.ggml.pre", as_word);
    CHECK(o->s.n_pre == 7 && !memcmp(o->s.pre, "unigram", 7));
    o = read_with("tokenizer.ggml.suffix_token_id", as_one); /* the older name of fim_suf */
    CHECK_EQ(o->s.fim_suf, 1);
}

TEST(the_reader_names_a_key_that_is_missing_or_wrong)
{
    static const struct {
        const char *key;
        value_writer value;
        chord_status status;
        const char *says;
    } cases[] = {
        { "tokenizer.ggml.model", NULL, CHORD_INVALID_GGUF, "tokenizer.ggml.model is missing" },
        { "tokenizer.ggml.model", as_one, CHORD_INVALID_GGUF,
          "tokenizer.ggml.model is u32 instead of a string" },
        { "tokenizer.ggml.model", as_word, CHORD_UNSUPPORTED_TOKENIZER, "unknown tokenizer 'unigram'" },
        { "tokenizer.ggml.model", as_gpt2, CHORD_INVALID_GGUF, "tokenizer.ggml.merges is missing" },
        { "tokenizer.ggml.pre", as_one, CHORD_INVALID_GGUF, "tokenizer.ggml.pre is u32" },
        { "tokenizer.ggml.tokens", NULL, CHORD_INVALID_GGUF, "tokenizer.ggml.tokens is missing or empty" },
        { "tokenizer.ggml.tokens", as_no_texts, CHORD_INVALID_GGUF,
          "tokenizer.ggml.tokens is missing or empty" },
        { "tokenizer.ggml.tokens", as_3_ints, CHORD_INVALID_GGUF,
          "tokenizer.ggml.tokens is an array of i32" },
        { "tokenizer.ggml.tokens", as_llama, CHORD_INVALID_GGUF, "tokenizer.ggml.tokens is string" },
        { "tokenizer.ggml.scores", as_2_floats, CHORD_INVALID_GGUF,
          "tokenizer.ggml.scores has 2 entries for 3 tokens" },
        { "tokenizer.ggml.scores", as_3_bytes, CHORD_INVALID_GGUF,
          "tokenizer.ggml.scores is an array of u8" },
        { "tokenizer.ggml.scores", as_one, CHORD_INVALID_GGUF, "tokenizer.ggml.scores is u32" },
        { "tokenizer.ggml.token_type", as_4_ints, CHORD_INVALID_GGUF,
          "tokenizer.ggml.token_type has 4 entries" },
        { "tokenizer.ggml.token_type", as_3_floats, CHORD_INVALID_GGUF,
          "tokenizer.ggml.token_type is an array of f32" },
        { "tokenizer.ggml.merges", as_3_ints, CHORD_INVALID_GGUF,
          "tokenizer.ggml.merges is an array of i32" },
        { "tokenizer.ggml.bos_token_id", as_llama, CHORD_INVALID_GGUF,
          "tokenizer.ggml.bos_token_id is string" },
        { "tokenizer.ggml.eot_token_id", as_u8, CHORD_INVALID_GGUF, "tokenizer.ggml.eot_token_id is u8" },
        { "tokenizer.ggml.add_eos_token", as_one, CHORD_INVALID_GGUF,
          "tokenizer.ggml.add_eos_token is u32 instead of a bool" },
        { "tokenizer.ggml.add_space_prefix", as_3_ints, CHORD_INVALID_GGUF,
          "tokenizer.ggml.add_space_prefix is an array of i32" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        outcome *o = read_with(cases[i].key, cases[i].value);
        CHECK_TEXT(o->error.text, cases[i].says);
        CHECK_EQ(o->status, cases[i].status);
    }
}

TEST(an_id_outside_the_vocabulary_counts_as_absent)
{
    CHECK_EQ(read_with("tokenizer.ggml.bos_token_id", as_minus_one)->s.bos, -1);
    CHECK_EQ(read_with("tokenizer.ggml.padding_token_id", as_three)->s.pad, -1);
}

static const char *model_name;
static void as_name(writer *w, const char *key)
{
    put_key(w, key, CHORD_GGUF_STRING);
    put_text(w, model_name);
}

TEST(phi3_is_recognised_by_its_name)
{
    static const struct {
        const char *name;
        int32_t strip;
    } cases[] = {
        { "Phi-3 mini", 1 }, { "my PHI3.5", 1 }, { "phi3", 1 },   { "phi-3", 1 }, { "phi", 0 },
        { "phi-", 0 },       { "Phi-2", 0 },     { "phi--3", 0 }, { "", 0 },      { "delphi 3", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_name = cases[i].name;
        CHECK_EQ(read_with("general.name", as_name)->s.strip_after_special, cases[i].strip);
    }
}

/* ---- goldens: lines `text FLAGS HEX ids ...`, `end_tokens ids ...` and `pieces HEX ...` --------- */

/* Loads a vocabulary; with `pre`, tokenizer.ggml.pre has that value. */
static chord_vocab *load_with(const char *path, const char *pre)
{
    size_t n;
    uint8_t *bytes = test_read_file(path, &n);
    if (!bytes) return NULL;
    size_t const part = n < 8u << 20 ? n : 8u << 20; /* a vocabulary of 49,152 tokens has 2 MB */
    reading *r = read_header(bytes, part, part, part + 65536, 65536, UINT64_MAX);
    CHECK_EQ(r->status, CHORD_OK);
    chord_vocab_source source;
    uint64_t size;
    chord_vocab *v;
    chord_status status = chord_vocabulary_read(&r->g, 0, &source, &r->error);
    if (pre) {
        source.pre = pre;
        source.n_pre = strlen(pre);
        if (!strcmp(pre, "whitespace")) source.kind = CHORD_VOCAB_WHITESPACE;
        if (!strncmp(pre, "jina-v2-", 8)) source.strips_before = "<mask>";
    }
    if (!status) CHECK(chord_vocab_bytes(&source, &size));
    if (!status) status = chord_vocab_build(&v, test_alloc(size), size, &source, &r->error);
    if (status) test_fail(__FILE__, __LINE__, "%s: %s", path, r->error.text);
    if (source.n_tokens > 10000) CHECK(size <= chord_vocabulary_file_bytes(&source) * 3 / 2);
    return v;
}

static chord_vocab *load(const char *path) { return load_with(path, NULL); }

static size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t n = 0;
    for (unsigned byte; *hex != '-' && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) bytes[n] = (uint8_t)byte;
    return n;
}

/* Checks that slices of `budget` small steps give the same ids. */
static void check_slices(const chord_vocab *v, int32_t flags, const uint8_t *text, size_t n, uint64_t budget,
                         const int32_t *ids, int32_t count)
{
    int32_t got[CHORD_TOKENIZER_ROOM * 4], n_got, at = 0;
    size_t const bytes = chord_tokenizer_bytes();
    void *block = malloc(bytes), *scratch = NULL;
    chord_tokenizer *t = chord_vocab_open_tokenizer(v, (const char *)text, n, flags, block, bytes);
    CHECK(t && chord_tokenizer_least(t) <= (uint64_t)count);
    for (chord_status status = CHORD_MORE; status != CHORD_DONE; at += n_got) {
        status = chord_tokenizer_step(t, budget, got, CHORD_TOKENIZER_ROOM * 4, &n_got);
        CHECK(status >= 0 && at + n_got <= count && !memcmp(got, ids + at, (size_t)n_got * 4));
        if (status != CHORD_NEED_MEMORY) continue;
        void *larger = malloc(chord_tokenizer_wanted(t));
        CHECK_EQ(chord_tokenizer_give(t, larger, chord_tokenizer_wanted(t)), CHORD_OK);
        free(scratch);
        scratch = larger;
    }
    CHECK_EQ(at, count);
    free(scratch);
    free(block);
}

/* Checks one golden text: its ids are llama.cpp's, and they detokenise to the text if the vocabulary has
 * every byte. */
static void check_text(const chord_vocab *v, const char *path, int32_t flags, const char *hex,
                       const char *ids)
{
    static uint8_t text[65536];
    static char again[65536 * 3];
    static int32_t got[65536];
    size_t const n = from_hex(hex, text);
    size_t const scratch_bytes = chord_vocab_scratch(v, n);
    void *scratch = malloc(scratch_bytes + 1);
    int32_t const count = chord_vocab_tokenize(v, (const char *)text, n, flags, got, 65536, scratch,
                                               scratch_bytes);
    free(scratch);
    check_slices(v, flags, text, n, 1, got, count);
    check_slices(v, flags, text, n, 50, got, count);
    int32_t i = 0, used = 0;
    for (int32_t id; sscanf(ids, "%d%n", &id, &used) == 1; ids += used, i++)
        if (i >= count || id != got[i])
            test_fail(__FILE__, __LINE__, "%s: text %d %s: id %d is %d, want %d", path, flags, hex, i,
                      i < count ? got[i] : -1, id);
    if (i != count)
        test_fail(__FILE__, __LINE__, "%s: text %d %s: %d ids, want %d", path, flags, hex, count, i);
    int64_t const n_again = chord_vocab_detokenize(v, got, count, CHORD_WHOLE_TEXT, again, sizeof again);
    /* reduced vocabularies lack bytes */
    bool const is_changed = (flags & CHORD_ADD_SPECIAL) ||
                            strstr(path, "tests/golden/smollm2_tokens") == NULL;
    if (!is_changed && (n_again != (int64_t)n || memcmp(again, text, n)))
        test_fail(__FILE__, __LINE__, "%s: text %d %s comes back as '%.*s'", path, flags, hex, (int)n_again,
                  again);
}

/* Checks the text of each token. */
static void check_pieces(const chord_vocab *v, const char *path, const char *line)
{
    char hex[600], got[256];
    uint8_t want[256];
    int32_t id = 0;
    for (int used; sscanf(line, "%599s%n", hex, &used) == 1; line += used, id++) {
        size_t const n = from_hex(hex, want);
        int64_t const n_got = chord_vocab_detokenize(v, &id, 1, 0, got, sizeof got);
        if (n_got != (int64_t)n || memcmp(got, want, n))
            test_fail(__FILE__, __LINE__, "%s: token %d is '%.*s', want %s", path, id, (int)n_got, got, hex);
    }
    CHECK(chord_vocab_flags(v, id) < 0);
}

/* Leaves a line for `make proof` where PROOF names a folder: `n_texts` texts had llama.cpp's ids. `name` is
 * the vocabulary's, or a path whose last part up to its first dot is. */
static void prove(const char *name, int32_t n_texts)
{
    const char *folder = getenv("PROOF"), *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    char path[4096];
    if (!folder) return;
    snprintf(path, sizeof path, "%s/texts.jsonl", folder);
    FILE *f = fopen(path, "a");
    CHECK(f);
    fprintf(f, "{\"vocabulary\":\"%.*s\",\"texts\":%d}\n", (int)strcspn(base, "."), base, n_texts);
    fclose(f);
}

static int32_t check_goldens(const chord_vocab *v, const char *path)
{
    static char line[1 << 20];
    int32_t n_texts = 0, n_ends = 0, used;
    FILE *f = fopen(path, "r");
    CHECK(f);
    while (fgets(line, sizeof line, f)) {
        char hex[65536];
        int32_t flags;
        if (sscanf(line, "text %d %65535s%n", &flags, hex, &used) == 2) {
            check_text(v, path, flags, hex, line + used);
            n_texts++;
        } else if (!strncmp(line, "pieces", 6)) {
            check_pieces(v, path, line + 6);
        } else if (!strncmp(line, "end_tokens", 10)) {
            const char *p = line + 10;
            for (int32_t id; sscanf(p, "%d%n", &id, &used) == 1; p += used, n_ends++)
                CHECK(chord_vocab_flags(v, id) & CHORD_TOKEN_EOG);
            for (int32_t id = 0; chord_vocab_flags(v, id) >= 0; id++)
                n_ends -= (chord_vocab_flags(v, id) & CHORD_TOKEN_EOG) != 0;
            CHECK_EQ(n_ends, 0);
        }
    }
    fclose(f);
    prove(path, n_texts);
    return n_texts;
}

TEST(smollm2_tokenizes_every_golden_text_as_llama_cpp_does)
{
    chord_vocab *v = load("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if (!v) SKIP("no default model here: run `make model`");
    CHECK_EQ(check_goldens(v, "tests/golden/smollm2_tokens.txt"), 400);
}

/* Compares every NAME.gguf of a folder with NAME.txt. Returns the number of texts. */
static int32_t check_folder(const char *path, int32_t least_files)
{
    DIR *folder = opendir(path);
    CHECK(folder);
    int32_t n_files = 0, n_texts = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char file[512];
        size_t const n = strlen(entry->d_name);
        if (n < 6 || strcmp(entry->d_name + n - 5, ".gguf")) continue;
        snprintf(file, sizeof file, "%s/%.*s.txt", path, (int)n - 5, entry->d_name);
        FILE *f = fopen(file, "r");
        if (!f) continue; /* bpe.gguf and raw.gguf: pre.txt has their ids */
        fclose(f);
        int const mark = test_mark();
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        chord_vocab *v = load(file);
        CHECK(v);
        snprintf(file, sizeof file, "%s/%.*s.txt", path, (int)n - 5, entry->d_name);
        n_texts += check_goldens(v, file);
        n_files++;
        test_release(mark);
    }
    closedir(folder);
    CHECK(n_files >= least_files && n_texts >= 10 * n_files);
    return n_texts;
}

TEST(fixtures_tokenize_their_golden_texts_as_llama_cpp_does) { check_folder("tests/golden", 10); }

TEST(vocabularies_of_each_kind_tokenize_their_golden_texts_as_llama_cpp_does)
{
    check_folder("tests/golden/vocab", 4);
}

typedef struct golden_text {
    int32_t flags;
    uint8_t *text;
    size_t n;
} golden_text;

static uint32_t hash_ids(uint32_t hash, const chord_vocab *v, const golden_text *t)
{
    static int32_t ids[1 << 16];
    size_t const scratch_bytes = chord_vocab_scratch(v, t->n);
    void *scratch = malloc(scratch_bytes + 1);
    int32_t const count = chord_vocab_tokenize(v, (const char *)t->text, t->n, t->flags, ids, 1 << 16,
                                               scratch, scratch_bytes);
    free(scratch);
    check_slices(v, t->flags, t->text, t->n, 7, ids, count);
    for (int32_t i = 0; i < count; i++)
        for (int k = 0; k < 4; k++) hash = (hash ^ (uint8_t)(ids[i] >> 8 * k)) * 0x01000193u;
    return hash;
}

/* Lines `text FLAGS HEX`, then `pre NAME hashes ...`: one hash for the ids of each 8 texts. */
TEST(every_pre_tokenizer_cuts_its_golden_texts_as_llama_cpp_does)
{
    enum { GROUP = 8, MOST = 1024 };
    static golden_text all[MOST];
    static char line[1 << 16], hex[1 << 16];
    int32_t n_all = 0, n_pres = 0, used;
    FILE *f = fopen("tests/golden/vocab/pre.txt", "r");
    CHECK(f);
    while (fgets(line, sizeof line, f)) {
        char name[64];
        golden_text t;
        if (sscanf(line, "text %d %65535s", &t.flags, hex) == 2) {
            CHECK(n_all < MOST);
            t.text = test_alloc(strlen(hex) / 2 + 1);
            t.n = from_hex(hex, t.text);
            all[n_all++] = t;
        }
        if (sscanf(line, "pre %63s%n", name, &used) != 1) continue;
        int const mark = test_mark();
        const chord_pre *pre = chord_pre_find(name, strlen(name));
        if (!pre) test_fail(__FILE__, __LINE__, "%s is no pre-tokenizer", name);
        chord_vocab *v = load_with(pre->flags & CHORD_PRE_RAW ? "tests/golden/vocab/raw.gguf"
                                                              : "tests/golden/vocab/bpe.gguf",
                                   name);
        const char *p = line + used;
        for (int32_t i = 0; i < n_all; i += GROUP, p += used) {
            uint32_t want, got = 0x811c9dc5u;
            CHECK_EQ(sscanf(p, "%x%n", &want, &used), 1);
            for (int32_t k = i; k < n_all && k < i + GROUP; k++) got = hash_ids(got, v, &all[k]);
            if (got != want)
                test_fail(__FILE__, __LINE__, "%s: other ids than llama.cpp's in texts %d to %d", name, i,
                          i + GROUP - 1);
        }
        prove(name, n_all);
        n_pres++;
        test_release(mark);
    }
    fclose(f);
    CHECK_EQ(n_pres, chord_n_pre_table);
    CHECK_EQ(n_pres, 91);
}
