/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

bool vocab_slot_count(uint64_t n, uint64_t *slots)
{
    return chord_mul(n, 4, slots) && (*slots = *slots / 3 + 2) < UINT32_MAX;
}

bool vocab_next_record(vocab_records *r, const uint8_t **text, uint64_t *n)
{
    if (r->left < 8) return false;
    *n = chord_u64(r->p);
    if (r->left - 8 < *n) return false;
    *text = r->p + 8;
    r->p += 8 + *n;
    r->left -= 8 + *n;
    return true;
}

/* ---- kinds ------------------------------------------------------------------------------------- */

static const chord_text_kind *const kinds[] = { &chord_text_spm,       &chord_text_bpe,
                                                &chord_text_gemma4,    &chord_text_whitespace,
                                                &chord_text_wordpiece, &chord_text_unigram,
                                                &chord_text_rwkv,      &chord_text_plamo2 };

/* Returns the kind with this number. No other code depends on the number. */
static const chord_text_kind *kind_of(int32_t number)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i]->number == number) return kinds[i];
    return NULL;
}

int32_t chord_vocab_kind_named(const char *model, size_t n)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (chord_strlen(kinds[i]->model) == n && chord_equal(kinds[i]->model, model, n))
            return kinds[i]->number;
    return 0;
}

chord_status chord_vocab_check(const chord_vocab_source *s, chord_error *error)
{
    const chord_text_kind *kind = kind_of(s->kind);
    if (!kind)
        return chord_fail(error, CHORD_UNSUPPORTED_TOKENIZER, "unknown kind of vocabulary %d", s->kind);
    return kind->check(s, error);
}

/* ---- memory ------------------------------------------------------------------------------------ */

/* An empty token gets the text [EMPTY_<id>], as in llama.cpp, so that no two tokens have the same text. */
enum { EMPTY_BYTES = 24 };
static uint32_t empty_name(int32_t id, uint8_t *dst)
{
    uint8_t digits[10];
    uint32_t n = 0, length = 7;
    do {
        digits[n++] = (uint8_t)('0' + id % 10);
        id /= 10;
    } while (id);
    chord_copy(dst, "[EMPTY_", 7);
    while (n) dst[length++] = digits[--n];
    dst[length++] = ']';
    return length;
}

static bool text_bytes(const chord_vocab_source *s, uint64_t *bytes)
{
    vocab_records r = { s->texts, s->texts_bytes };
    const uint8_t *text;
    *bytes = 0;
    for (int32_t i = 0; i < s->n_tokens; i++) {
        uint64_t n;
        if (!vocab_next_record(&r, &text, &n) || !chord_add(*bytes, n ? n : EMPTY_BYTES, bytes)) return false;
    }
    return *bytes < UINT32_MAX;
}

/* Allocates all tables in `a`. If `a` only counts, the pointers in v mean nothing. */
static bool lay_out(chord_vocab *v, const chord_text_kind *kind, const chord_vocab_source *s, chord_arena *a)
{
    uint64_t bytes, slots;
    uint64_t const n = (uint64_t)s->n_tokens, n_specials = special_bound(s);
    if (!text_bytes(s, &bytes) || !vocab_slot_count(n, &slots)) return false;
    v->n_slots = (uint32_t)slots;
    VOCAB_TAKE(v, offsets, n + 1, 4, 4, a);
    VOCAB_TAKE(v, slots, slots, 4, 4, a);
    VOCAB_TAKE(v, specials, n_specials, 4, 4, a);
    VOCAB_TAKE(v, specials_by_text, n_specials, 4, 4, a);
    if (kind && !kind->lay_out(v, s, a)) return false;
    VOCAB_TAKE(v, attrs, n, 1, 1, a);
    VOCAB_TAKE(v, texts, bytes, 1, 1, a);
    return true;
}

bool chord_vocab_bytes(const chord_vocab_source *source, uint64_t *bytes)
{
    chord_vocab v;
    chord_arena a = { NULL, sizeof v, SIZE_MAX };
    const chord_text_kind *kind = kind_of(source->kind);
    if (source->n_tokens <= 0 || source->n_merges < 0 || !lay_out(&v, kind, source, &a)) return false;
    *bytes = a.used;
    return true;
}

/* ---- text -> id -------------------------------------------------------------------------------- */

/* Returns the slot of a hash. The hash is mixed so that its high bits depend on all bits, then scaled. */
uint32_t vocab_slot_of(uint32_t hash, uint32_t n_slots)
{
    hash ^= hash >> 15;
    hash *= 0x2c1b3c6du;
    hash ^= hash >> 12;
    hash *= 0x297a2d39u;
    hash ^= hash >> 15;
    return (uint32_t)((uint64_t)hash * n_slots >> 32);
}

static uint32_t hash_text(uint32_t hash, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) hash = (hash ^ p[i]) * 0x01000193u; /* FNV-1a */
    return hash;
}
#define HASH_START 0x811c9dc5u

int32_t vocab_find_pair(const chord_vocab *v, const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b)
{
    if (n_a > v->longest || n_b > v->longest - n_a) return -1;
    uint32_t slot = vocab_slot_of(hash_text(hash_text(HASH_START, a, n_a), b, n_b), v->n_slots);
    for (; v->slots[slot]; slot = slot + 1 == v->n_slots ? 0 : slot + 1) {
        int32_t const id = (int32_t)v->slots[slot] - 1;
        const uint8_t *text = token_text(v, id);
        if (token_bytes(v, id) == n_a + n_b && chord_equal(text, a, n_a) && chord_equal(text + n_a, b, n_b))
            return id;
    }
    return -1;
}

int32_t vocab_find(const chord_vocab *v, const void *text, size_t n)
{
    return vocab_find_pair(v, text, n, NULL, 0);
}

int32_t vocab_find_byte(const chord_vocab *v, uint8_t b)
{
    static const char digits[] = "0123456789ABCDEF";
    return vocab_find(v, (char[]){ '<', '0', 'x', digits[b >> 4], digits[b & 15], '>' }, 6);
}

static chord_status insert(chord_vocab *v, int32_t id, chord_error *error)
{
    const uint8_t *text = token_text(v, id);
    uint32_t const n = token_bytes(v, id);
    uint32_t slot = vocab_slot_of(hash_text(HASH_START, text, n), v->n_slots);
    for (int32_t probes = 0; v->slots[slot]; slot = slot + 1 == v->n_slots ? 0 : slot + 1) {
        int32_t const other = (int32_t)v->slots[slot] - 1;
        if (token_bytes(v, other) == n && chord_equal(token_text(v, other), text, n))
            return chord_fail(error, CHORD_INVALID_GGUF, "tokens %d and %d have the same text %q", other, id,
                              (const char *)text, (size_t)n);
        if (++probes == VOCAB_MAX_PROBES)
            return chord_fail(error, CHORD_INVALID_GGUF,
                              "token %d: the vocabulary's texts were made to collide", id);
    }
    v->slots[slot] = (uint32_t)id + 1;
    return CHORD_OK;
}

/* ---- tokens ------------------------------------------------------------------------------------ */

static uint8_t attr_of_type(int32_t type)
{
    switch (type) {
    case CHORD_TYPE_NORMAL: return ATTR_NORMAL;
    case CHORD_TYPE_UNKNOWN: return ATTR_UNKNOWN;
    case CHORD_TYPE_CONTROL: return ATTR_CONTROL;
    case CHORD_TYPE_USER: return ATTR_USER;
    case CHORD_TYPE_UNUSED: return ATTR_UNUSED;
    case CHORD_TYPE_BYTE: return ATTR_BYTE;
    default: return 0;
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns the byte that "<0xHH>" names, or -1. */
static int byte_of_text(const uint8_t *text, uint32_t n)
{
    if (n != 6 || !chord_equal(text, "<0x", 3) || text[5] != '>') return -1;
    int const high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static chord_status build_tokens(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    vocab_records r = { s->texts, s->texts_bytes };
    uint32_t at = 0;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        const uint8_t *text;
        uint64_t n;
        if (!vocab_next_record(&r, &text, &n))
            return chord_fail(error, CHORD_INVALID_GGUF, "the text of token %d is cut off", id);
        v->offsets[id] = at;
        if (n) chord_copy(v->texts + at, text, (size_t)n);
        else n = empty_name(id, v->texts + at);
        at += (uint32_t)n;
        v->offsets[id + 1] = at;
        if (n > v->longest) v->longest = (uint32_t)n;
        v->attrs[id] = s->types ? attr_of_type(chord_i32(s->types + (size_t)id * 4)) : ATTR_NORMAL;
        if ((v->attrs[id] & ATTR_BYTE) && byte_of_text(token_text(v, id), (uint32_t)n) < 0)
            return chord_fail(error, CHORD_INVALID_GGUF,
                              "token %d is a byte by its type, but its text is %q, not <0xHH>", id,
                              (const char *)token_text(v, id), (size_t)n);
        CHORD_TRY(insert(v, id, error));
    }
    return CHORD_OK;
}

/* ---- build ------------------------------------------------------------------------------------- */

chord_status chord_vocab_build(chord_vocab **out, void *block, uint64_t bytes, const chord_vocab_source *s,
                               chord_error *error)
{
    CHORD_TRY(chord_vocab_check(s, error));
    const chord_text_kind *kind = kind_of(s->kind);
    chord_arena a = { block, 0, bytes > SIZE_MAX - 1 ? SIZE_MAX - 1 : (size_t)bytes };
    chord_vocab *v = chord_arena_take(&a, sizeof *v, 16);
    if (v) *v = (chord_vocab){ .kind = kind, .n_tokens = s->n_tokens };
    if (!v || s->n_tokens <= 0 || s->n_tokens >= 1 << 24 || s->n_merges < 0 || !lay_out(v, kind, s, &a))
        return chord_fail(error, CHORD_INVALID_GGUF,
                          "the vocabulary of %d tokens is cut off or larger than its memory", s->n_tokens);
    chord_zero(v->slots, (size_t)v->n_slots * 4);
    CHORD_TRY(build_tokens(v, s, error));
    CHORD_TRY(kind->build(v, s, error));
    CHORD_TRY(special_build(v, s, error));
    *out = v;
    return CHORD_OK;
}

chord_vocab_specials chord_vocab_get_specials(const chord_vocab *v)
{
    return (chord_vocab_specials){ v->n_tokens, v->bos, v->eos, v->unk, v->pad, v->add_bos, v->add_eos };
}
