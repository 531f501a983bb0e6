/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

/* Hash tables are 3/4 full. The longest run of full slots is then about ln n / (3/4 - 1 - ln 3/4), 403 for
 * 2^22 entries; a file made to have much longer ones is refused, so building stays linear. */
enum { MAX_PROBES = 1024 };
static bool slot_count(uint64_t n, uint64_t *slots) { return chord_mul(n, 4, slots) && (*slots = *slots / 3 + 2) < UINT32_MAX; }

/* A cursor over records `u64 length, bytes`; false at a record that isn't wholly there. */
typedef struct records { const uint8_t *p; uint64_t left; } records;
static bool next_record(records *r, const uint8_t **text, uint64_t *n)
{
    if (r->left < 8) return false;
    *n = chord_u64(r->p);
    if (r->left - 8 < *n) return false;
    *text = r->p + 8;
    r->p += 8 + *n;
    r->left -= 8 + *n;
    return true;
}

/* An empty token is called [EMPTY_<id>], as in llama.cpp, so that its text is its own. */
enum { EMPTY_BYTES = 24 };
static uint32_t empty_name(int32_t id, uint8_t *dst)
{
    uint8_t digits[10];
    uint32_t n = 0, length = 7;
    do { digits[n++] = (uint8_t)('0' + id % 10); id /= 10; } while (id);
    chord_copy(dst, "[EMPTY_", 7);
    while (n) dst[length++] = digits[--n];
    dst[length++] = ']';
    return length;
}

static bool text_bytes(const chord_vocab_source *s, uint64_t *bytes)
{
    records r = { s->texts, s->texts_bytes };
    const uint8_t *text;
    *bytes = 0;
    for (int32_t i = 0; i < s->n_tokens; i++) {
        uint64_t n;
        if (!next_record(&r, &text, &n) || !chord_add(*bytes, n ? n : EMPTY_BYTES, bytes)) return false;
    }
    return *bytes < UINT32_MAX;
}

/* Everything in its place; with an arena that only counts, v's pointers mean nothing. */
static bool lay_out(chord_vocab *v, const chord_vocab_source *s, chord_arena *a)
{
    uint64_t bytes, slots, merge_slots = 0;
    uint64_t const n = (uint64_t)s->n_tokens, n_merges = s->kind == CHORD_VOCAB_BPE ? (uint64_t)s->n_merges : 0;
    uint64_t const n_specials = special_bound(s);
    if (!text_bytes(s, &bytes) || !slot_count(n, &slots) || !slot_count(n_merges, &merge_slots)) return false;
    v->n_slots = (uint32_t)slots;
    v->n_merge_slots = (uint32_t)merge_slots;
#define TAKE(field, count, size, align)                                                             \
    do { if (!(v->field = chord_arena_take(a, (uint64_t)(count) * (size), align)) && a->cap != SIZE_MAX) return false; } while (0)
    TAKE(offsets, n + 1, 4, 4);
    TAKE(slots, slots, 4, 4);
    TAKE(merges, n_merges, 12, 4);
    TAKE(merge_slots, merge_slots, 4, 4);
    TAKE(specials, n_specials, 4, 4);
    TAKE(specials_by_text, n_specials, 4, 4);
    TAKE(order, s->kind == CHORD_VOCAB_SPM ? n : 0, 4, 4);
    TAKE(attrs, n, 1, 1);
    TAKE(texts, bytes, 1, 1);
#undef TAKE
    return true;
}

bool chord_vocab_bytes(const chord_vocab_source *source, uint64_t *bytes)
{
    chord_vocab v;
    chord_arena a = { NULL, sizeof v, SIZE_MAX };
    if (source->n_tokens <= 0 || source->n_merges < 0 || !lay_out(&v, source, &a)) return false;
    *bytes = a.used;
    return true;
}

/* ---- text -> id -------------------------------------------------------------------------------- */

/* A hash to a slot: mixed so that the high bits depend on all, then scaled. */
static uint32_t slot_of(uint32_t hash, uint32_t n_slots)
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

/* The token whose text is `a` followed by `b`. */
static int32_t find_pair(const chord_vocab *v, const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b)
{
    if (n_a > v->longest || n_b > v->longest - n_a) return -1;
    uint32_t slot = slot_of(hash_text(hash_text(HASH_START, a, n_a), b, n_b), v->n_slots);
    for (; v->slots[slot]; slot = slot + 1 == v->n_slots ? 0 : slot + 1) {
        int32_t const id = (int32_t)v->slots[slot] - 1;
        const uint8_t *text = token_text(v, id);
        if (token_bytes(v, id) == n_a + n_b && chord_equal(text, a, n_a) && chord_equal(text + n_a, b, n_b)) return id;
    }
    return -1;
}

int32_t vocab_find(const chord_vocab *v, const void *text, size_t n) { return find_pair(v, text, n, NULL, 0); }

static chord_status insert(chord_vocab *v, int32_t id, chord_error *error)
{
    const uint8_t *text = token_text(v, id);
    uint32_t const n = token_bytes(v, id);
    uint32_t slot = slot_of(hash_text(HASH_START, text, n), v->n_slots);
    for (int32_t probes = 0; v->slots[slot]; slot = slot + 1 == v->n_slots ? 0 : slot + 1) {
        int32_t const other = (int32_t)v->slots[slot] - 1;
        if (token_bytes(v, other) == n && chord_equal(token_text(v, other), text, n))
            return chord_fail(error, CHORD_INVALID_GGUF, "tokens %d and %d have the same text %q", other, id, (const char *)text, (size_t)n);
        if (++probes == MAX_PROBES)
            return chord_fail(error, CHORD_INVALID_GGUF, "token %d: the vocabulary's texts were made to collide", id);
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

/* The byte that "<0xHH>" names, or -1. */
static int byte_of_text(const uint8_t *text, uint32_t n)
{
    if (n != 6 || !chord_equal(text, "<0x", 3) || text[5] != '>') return -1;
    int const high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Floats as integers that order the other way round; both zeros are the same, NaN is somewhere. */
static uint32_t order_of_score(float score)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &score, 4);
    if (score == 0) bits = 0;
    uint32_t const key = bits & 0x80000000u ? bits : ~bits & 0x7FFFFFFFu;
    return key == UINT32_MAX ? key - 1 : key; /* the last key means "no merge" */
}

static chord_status build_tokens(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    records r = { s->texts, s->texts_bytes };
    uint32_t at = 0;
    for (int32_t id = 0; id < v->n_tokens; id++) {
        const uint8_t *text;
        uint64_t n;
        if (!next_record(&r, &text, &n)) return chord_fail(error, CHORD_INVALID_GGUF, "the text of token %d is cut off", id);
        v->offsets[id] = at;
        if (n) chord_copy(v->texts + at, text, (size_t)n);
        else n = empty_name(id, v->texts + at);
        at += (uint32_t)n;
        v->offsets[id + 1] = at;
        if (n > v->longest) v->longest = (uint32_t)n;
        v->attrs[id] = s->types ? attr_of_type(chord_i32(s->types + (size_t)id * 4)) : ATTR_NORMAL;
        if ((v->attrs[id] & ATTR_BYTE) && byte_of_text(token_text(v, id), (uint32_t)n) < 0)
            return chord_fail(error, CHORD_INVALID_GGUF, "token %d is a byte by its type, but its text is %q", id,
                              (const char *)token_text(v, id), (size_t)n);
        if (v->kind == CHORD_VOCAB_SPM) v->order[id] = order_of_score(s->scores ? chord_f32(s->scores + (size_t)id * 4) : 0);
        CHORD_TRY(insert(v, id, error));
    }
    return CHORD_OK;
}

static void build_bytes(chord_vocab *v)
{
    for (int32_t b = 0; b < 256; b++) {
        uint8_t text[6] = { '<', '0', 'x', (uint8_t)"0123456789ABCDEF"[b >> 4], (uint8_t)"0123456789ABCDEF"[b & 15], '>' };
        if (v->kind == CHORD_VOCAB_SPM) {
            v->byte_ids[b] = vocab_find(v, text, 6);
            if (v->byte_ids[b] >= 0) continue;
            text[0] = (uint8_t)b;
            v->byte_ids[b] = vocab_find(v, text, 1);
        } else {
            v->byte_ids[b] = vocab_find(v, text, chord_utf8_encode(byte_to_letter((uint8_t)b), text));
        }
    }
}

/* ---- merges ------------------------------------------------------------------------------------ */

static uint32_t hash_ids(int32_t left, int32_t right) { return ((uint32_t)left * 0x9E3779B1u ^ (uint32_t)right) * 0x85EBCA77u; }

int32_t vocab_find_merge(const chord_vocab *v, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return -1;
    uint32_t slot = slot_of(hash_ids(left, right), v->n_merge_slots);
    for (; v->merge_slots[slot]; slot = slot + 1 == v->n_merge_slots ? 0 : slot + 1) {
        int32_t const rank = (int32_t)v->merge_slots[slot] - 1;
        if (v->merges[rank].left == left && v->merges[rank].right == right) return rank;
    }
    return -1;
}

static bool is_one_letter(const uint8_t *text, size_t n)
{
    uint32_t code_point;
    return n && chord_utf8_decode(text, text + n, &code_point) == n;
}

/* Merges work on ids, so their parts and their result have to be tokens. A part that is neither a token
 * nor a single letter never comes up: that merge is dropped. Of a merge given twice the first is found. */
static chord_status build_merge(chord_vocab *v, int32_t rank, const uint8_t *text, size_t n, chord_error *error)
{
    size_t blank = 1;
    while (blank < n && text[blank] != ' ') blank++;
    if (blank >= n) return chord_fail(error, CHORD_INVALID_GGUF, "merge %d: no blank in %q", rank, (const char *)text, n);
    const uint8_t *right = text + blank + 1;
    size_t const n_right = n - blank - 1;
    chord_merge_rule const rule = { vocab_find(v, text, blank), vocab_find(v, right, n_right), find_pair(v, text, blank, right, n_right) };
    v->merges[rank] = rule;
    bool const is_reachable = (rule.left >= 0 || is_one_letter(text, blank)) && (rule.right >= 0 || is_one_letter(right, n_right));
    if (is_reachable && (rule.left < 0 || rule.right < 0 || rule.id < 0))
        return chord_fail(error, CHORD_INVALID_GGUF, "merge %d: %q needs a token that the vocabulary doesn't have", rank, (const char *)text, n);
    if (!is_reachable) {
        v->merges[rank].left = -1;
        return CHORD_OK;
    }
    uint32_t slot = slot_of(hash_ids(rule.left, rule.right), v->n_merge_slots);
    for (int32_t probes = 0; v->merge_slots[slot]; slot = slot + 1 == v->n_merge_slots ? 0 : slot + 1)
        if (++probes == MAX_PROBES) return chord_fail(error, CHORD_INVALID_GGUF, "merge %d: the merges were made to collide", rank);
    v->merge_slots[slot] = (uint32_t)rank + 1;
    return CHORD_OK;
}

static chord_status build_merges(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    records r = { s->merges, s->merges_bytes };
    for (int32_t rank = 0; rank < v->n_merges; rank++) {
        const uint8_t *text;
        uint64_t n;
        if (!next_record(&r, &text, &n)) return chord_fail(error, CHORD_INVALID_GGUF, "merge %d is cut off", rank);
        CHORD_TRY(build_merge(v, rank, text, (size_t)n, error));
    }
    return CHORD_OK;
}

/* ---- build ------------------------------------------------------------------------------------- */

static chord_status choose_pre(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    if (v->kind == CHORD_VOCAB_SPM) return CHORD_OK;
    if (!s->pre) return chord_fail(error, CHORD_UNSUPPORTED_TOKENIZER, "the file names no pre-tokenizer (tokenizer.ggml.pre), and any guess may be wrong");
    v->pre = chord_pre_find(s->pre, s->n_pre);
    if (!v->pre) return chord_fail(error, CHORD_UNSUPPORTED_TOKENIZER, "unknown pre-tokenizer %q (tokenizer.ggml.pre)", s->pre, s->n_pre);
    return CHORD_OK;
}

chord_status chord_vocab_build(chord_vocab **out, void *block, uint64_t bytes,
                               const chord_vocab_source *s, chord_error *error)
{
    if (s->kind != CHORD_VOCAB_SPM && s->kind != CHORD_VOCAB_BPE)
        return chord_fail(error, CHORD_UNSUPPORTED_TOKENIZER, "unknown kind of vocabulary %d", s->kind);
    chord_arena a = { block, 0, bytes > SIZE_MAX - 1 ? SIZE_MAX - 1 : (size_t)bytes };
    chord_vocab *v = chord_arena_take(&a, sizeof *v, 16);
    if (!v || s->n_tokens <= 0 || s->n_tokens >= 1 << 24 || s->n_merges < 0 || !lay_out(v, s, &a))
        return chord_fail(error, CHORD_INVALID_GGUF, "the vocabulary of %d tokens is cut off or larger than its memory", s->n_tokens);
    chord_zero(v->slots, (size_t)v->n_slots * 4);
    chord_zero(v->merge_slots, (size_t)v->n_merge_slots * 4);
    v->kind = s->kind;
    v->n_tokens = s->n_tokens;
    v->n_merges = s->kind == CHORD_VOCAB_BPE ? s->n_merges : 0;
    v->longest = 0;
    v->pre = NULL;
    CHORD_TRY(choose_pre(v, s, error));
    CHORD_TRY(build_tokens(v, s, error));
    build_bytes(v);
    CHORD_TRY(build_merges(v, s, error));
    CHORD_TRY(special_build(v, s, error));
    *out = v;
    return CHORD_OK;
}

chord_vocab_specials chord_vocab_get_specials(const chord_vocab *v)
{
    return (chord_vocab_specials){ v->n_tokens, v->bos, v->eos, v->unk, v->pad, v->add_bos, v->add_eos };
}
