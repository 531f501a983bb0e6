/* SPDX-License-Identifier: Apache-2.0 */
#include "vocabulary.h"
#include "../base/mem.h"

#define KEY(name) "tokenizer.ggml." name

const char *const chord_vocabulary_keys[] = {
    KEY("tokens"),
    KEY("scores"),
    KEY("token_type"),
    KEY("merges"),
    KEY("precompiled_charsmap"),
    "tokenizer.chat_template",
    "tokenizer.chat_template.",
    NULL,
};

typedef struct reader {
    const chord_gguf *g;
    chord_error *e;
} reader;

static const chord_gguf_kv *find(const reader *r, const char *key)
{
    return chord_gguf_find(r->g, key, chord_strlen(key));
}

static chord_status wrong_type(const reader *r, const char *key, const chord_gguf_kv *kv, const char *wanted)
{
    return chord_fail(r->e, CHORD_INVALID_GGUF, "%s is %s%s instead of %s", key,
                      kv->is_array ? "an array of " : "", chord_gguf_type_name(kv->type), wanted);
}

/* Reads a string. *text is NULL when the key is absent. */
static chord_status read_string(const reader *r, const char *key, const char **text, size_t *n)
{
    const chord_gguf_kv *kv = find(r, key);
    *text = NULL;
    *n = 0;
    if (!kv) return CHORD_OK;
    if (kv->is_array || kv->type != CHORD_GGUF_STRING) return wrong_type(r, key, kv, "a string");
    if (!kv->is_kept)
        return chord_fail(r->e, CHORD_INVALID_GGUF, "%s has %u bytes; at most %u are accepted", key,
                          kv->data_bytes, (uint64_t)CHORD_KEEP_STRING);
    *text = chord_gguf_at(r->g, kv->data);
    *n = (size_t)kv->data_bytes;
    return CHORD_OK;
}

/* Reads an id; -1 when the key is absent or the id is outside the vocabulary. Converters write u32. */
static chord_status read_id(const reader *r, const char *key, int32_t n_tokens, int32_t *id)
{
    const chord_gguf_kv *kv = find(r, key);
    *id = -1;
    if (!kv) return CHORD_OK;
    if (kv->is_array || (kv->type != CHORD_GGUF_U32 && kv->type != CHORD_GGUF_I32))
        return wrong_type(r, key, kv, "a u32");
    uint32_t const value = chord_u32(chord_gguf_at(r->g, kv->data));
    if (value < (uint32_t)n_tokens) *id = (int32_t)value;
    return CHORD_OK;
}

/* Reads a bool: 0 or 1; -1 when the key is absent. */
static chord_status read_bool(const reader *r, const char *key, int32_t *value)
{
    const chord_gguf_kv *kv = find(r, key);
    *value = -1;
    if (!kv) return CHORD_OK;
    if (kv->is_array || kv->type != CHORD_GGUF_BOOL) return wrong_type(r, key, kv, "a bool");
    *value = *(const uint8_t *)chord_gguf_at(r->g, kv->data) != 0;
    return CHORD_OK;
}

/* Reads an array of strings and checks that each string ends within the value. *texts is NULL when the key
 * is absent. */
static chord_status read_texts(const reader *r, const char *key, const uint8_t **texts, uint64_t *bytes,
                               int32_t *n)
{
    const chord_gguf_kv *kv = find(r, key);
    *texts = NULL;
    *bytes = 0;
    *n = 0;
    if (!kv) return CHORD_OK;
    if (!kv->is_array || kv->type != CHORD_GGUF_STRING) return wrong_type(r, key, kv, "an array of strings");
    if (kv->count > CHORD_MAX_TOKENS)
        return chord_fail(r->e, CHORD_INVALID_GGUF, "%s has %u entries; at most %u are accepted", key,
                          kv->count, (uint64_t)CHORD_MAX_TOKENS);
    if (!kv->is_kept) return chord_fail(r->e, CHORD_INTERNAL, "%s wasn't kept", key);
    const uint8_t *p = chord_gguf_at(r->g, kv->data);
    uint64_t left = kv->data_bytes;
    for (uint64_t i = 0; i < kv->count; i++) {
        uint64_t const length = left < 8 ? UINT64_MAX : chord_u64(p);
        if (left < 8 || length > left - 8)
            return chord_fail(r->e, CHORD_INVALID_GGUF, "%s: entry %u is cut off", key, i);
        p += 8 + length;
        left -= 8 + length;
    }
    *texts = chord_gguf_at(r->g, kv->data);
    *bytes = kv->data_bytes;
    *n = (int32_t)kv->count;
    return CHORD_OK;
}

/* Reads one 4-byte number per token. *numbers is NULL when the key is absent. */
static chord_status read_numbers(const reader *r, const char *key, int32_t type, int32_t n_tokens,
                                 const uint8_t **numbers)
{
    const chord_gguf_kv *kv = find(r, key);
    *numbers = NULL;
    if (!kv) return CHORD_OK;
    if (!kv->is_array || kv->type != type)
        return wrong_type(r, key, kv, type == CHORD_GGUF_F32 ? "an array of f32" : "an array of i32");
    if (kv->count != (uint64_t)n_tokens)
        return chord_fail(r->e, CHORD_INVALID_GGUF, "%s has %u entries for %d tokens", key, kv->count,
                          n_tokens);
    if (!kv->is_kept || kv->data_bytes / 4 < kv->count)
        return chord_fail(r->e, CHORD_INTERNAL, "%s wasn't kept", key);
    *numbers = chord_gguf_at(r->g, kv->data);
    return CHORD_OK;
}

/* Reads an array of bytes. *bytes is NULL when the key is absent or the array empty. */
static chord_status read_bytes(const reader *r, const char *key, const uint8_t **bytes, uint64_t *n)
{
    const chord_gguf_kv *kv = find(r, key);
    *bytes = NULL;
    *n = 0;
    if (!kv || (kv->is_array && kv->count == 0)) return CHORD_OK;
    if (!kv->is_array || (kv->type != CHORD_GGUF_U8 && kv->type != CHORD_GGUF_I8))
        return wrong_type(r, key, kv, "an array of u8");
    if (!kv->is_kept) return chord_fail(r->e, CHORD_INTERNAL, "%s wasn't kept", key);
    *bytes = chord_gguf_at(r->g, kv->data);
    *n = kv->data_bytes;
    return CHORD_OK;
}

static chord_status read_kind(const reader *r, int32_t *kind)
{
    const char *model;
    size_t n;
    CHORD_TRY(read_string(r, KEY("model"), &model, &n));
    if (!model) return chord_fail(r->e, CHORD_INVALID_GGUF, "%s is missing", KEY("model"));
    *kind = chord_vocab_kind_named(model, n);
    if (!*kind)
        return chord_fail(r->e, CHORD_UNSUPPORTED_TOKENIZER, "unknown tokenizer %q (%s)", model, n,
                          KEY("model"));
    return CHORD_OK;
}

static chord_status read_special(const reader *r, chord_vocab_source *s)
{
    const struct {
        const char *key;
        int32_t *id;
    } ids[] = {
        { KEY("bos_token_id"), &s->bos },         { KEY("eos_token_id"), &s->eos },
        { KEY("unknown_token_id"), &s->unk },     { KEY("seperator_token_id"), &s->sep },
        { KEY("padding_token_id"), &s->pad },     { KEY("eot_token_id"), &s->eot },
        { KEY("eom_token_id"), &s->eom },         { KEY("fim_pre_token_id"), &s->fim_pre },
        { KEY("fim_suf_token_id"), &s->fim_suf }, { KEY("fim_mid_token_id"), &s->fim_mid },
        { KEY("fim_pad_token_id"), &s->fim_pad }, { KEY("fim_rep_token_id"), &s->fim_rep },
        { KEY("fim_sep_token_id"), &s->fim_sep },
    };
    const struct {
        const char *key;
        int32_t *id;
    } older[] = {
        { KEY("prefix_token_id"), &s->fim_pre },
        { KEY("suffix_token_id"), &s->fim_suf },
        { KEY("middle_token_id"), &s->fim_mid },
    };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        CHORD_TRY(read_id(r, ids[i].key, s->n_tokens, ids[i].id));
    for (size_t i = 0; i < sizeof older / sizeof *older; i++) {
        int32_t id;
        CHORD_TRY(read_id(r, older[i].key, s->n_tokens, &id));
        if (id >= 0) *older[i].id = id;
    }
    CHORD_TRY(read_bool(r, KEY("add_bos_token"), &s->add_bos));
    CHORD_TRY(read_bool(r, KEY("add_eos_token"), &s->add_eos));
    CHORD_TRY(read_bool(r, KEY("add_space_prefix"), &s->add_space_prefix));
    CHORD_TRY(read_bool(r, KEY("normalizer.lowercase"), &s->lowercase));
    CHORD_TRY(read_bool(r, KEY("normalizer.strip_accents"), &s->strip_accents));
    return read_bool(r, KEY("remove_extra_whitespaces"), &s->remove_extra_whitespaces);
}

/* Returns true if `text` contains `word`, whatever the case of ASCII letters. `word` has small letters. */
static bool contains(const char *text, size_t n, const char *word)
{
    size_t const n_word = chord_strlen(word);
    for (size_t i = 0; i + n_word <= n; i++) {
        size_t k = 0;
        while (k < n_word &&
               (text[i + k] >= 'A' && text[i + k] <= 'Z' ? text[i + k] | 32 : text[i + k]) == word[k])
            k++;
        if (k == n_word) return true;
    }
    return false;
}

/* Returns true if the string of a key contains one of the words. A list of words ends with NULL. */
static bool key_contains(const reader *r, const char *key, const char *const *words)
{
    const chord_gguf_kv *kv = find(r, key);
    if (!kv || kv->is_array || kv->type != CHORD_GGUF_STRING || !kv->is_kept) return false;
    for (; *words; words++)
        if (contains(chord_gguf_at(r->g, kv->data), (size_t)kv->data_bytes, *words)) return true;
    return false;
}

/* Special tokens that swallow white space. No key says so: llama.cpp knows the models by their names. */
static void read_strips(const reader *r, chord_vocab_source *s)
{
    static const char *const pres[] = { "jina-v2-de", "jina-v2-es", "jina-v2-code", NULL },
                             *const architectures[] = { "nomic-bert-moe", "jina-bert-v3", NULL },
                             *const phi3[] = { "phi-3", "phi3", NULL },
                             *const modern_bert[] = { "modern-bert", NULL };
    if (key_contains(r, KEY("pre"), pres) || key_contains(r, "general.architecture", architectures))
        s->strips_before = "<mask>";
    else if (key_contains(r, "general.name", phi3)) s->strip_after_special = 1;
    else if (key_contains(r, "general.name", modern_bert)) s->strips_before = "[MASK]";
}

chord_status chord_vocabulary_read(const chord_gguf *g, int32_t any_pre, chord_vocab_source *s,
                                   chord_error *e)
{
    reader const r = { g, e };
    *s = (chord_vocab_source){ .takes_any_pre = any_pre };
    CHORD_TRY(read_kind(&r, &s->kind));
    CHORD_TRY(read_string(&r, KEY("pre"), &s->pre, &s->n_pre));
    CHORD_TRY(read_texts(&r, KEY("tokens"), &s->texts, &s->texts_bytes, &s->n_tokens));
    if (!s->n_tokens) return chord_fail(e, CHORD_INVALID_GGUF, "%s is missing or empty", KEY("tokens"));
    CHORD_TRY(read_numbers(&r, KEY("scores"), CHORD_GGUF_F32, s->n_tokens, &s->scores));
    CHORD_TRY(read_numbers(&r, KEY("token_type"), CHORD_GGUF_I32, s->n_tokens, &s->types));
    CHORD_TRY(read_texts(&r, KEY("merges"), &s->merges, &s->merges_bytes, &s->n_merges));
    CHORD_TRY(read_bytes(&r, KEY("precompiled_charsmap"), &s->charsmap, &s->charsmap_bytes));
    CHORD_TRY(chord_vocab_check(s, e));
    read_strips(&r, s);
    return read_special(&r, s);
}

uint64_t chord_vocabulary_file_bytes(const chord_vocab_source *s)
{
    uint64_t const numbers = (uint64_t)s->n_tokens * 4;
    return s->texts_bytes + s->merges_bytes + (s->scores ? numbers : 0) + (s->types ? numbers : 0);
}
