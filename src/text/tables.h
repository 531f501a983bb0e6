/* tables.h: what the files of this room share: the built vocabulary, the table of functions of a kind of
 * tokenizer, and the state of a text on its way to ids. See vocab.h for the map. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_TABLES_H
#define CHORD_TEXT_TABLES_H
#include "../base/arena.h"
#include "../base/mem.h"
#include "pre.h"
#include "vocab.h"

/* What a token is; more than one bit may be set (a normal token whose text ends a generation becomes
 * CONTROL too). None of the first six: a type that llama.cpp calls undefined. */
enum { ATTR_UNKNOWN = 1, ATTR_UNUSED = 2, ATTR_NORMAL = 4, ATTR_CONTROL = 8, ATTR_USER = 16, ATTR_BYTE = 32,
       ATTR_STRIP_AFTER = 64, ATTR_EOG = 128,
       ATTR_HIDDEN = ATTR_UNKNOWN | ATTR_CONTROL,   /* found in text only when asked; left out by SKIP_SPECIAL */
       ATTR_SPECIAL = ATTR_HIDDEN | ATTR_USER };    /* matched before everything else */

typedef struct chord_merge_rule { int32_t left, right, id; } chord_merge_rule; /* left -1: can never apply */

struct chord_vocab {
    const chord_text_kind *kind;
    int32_t n_tokens, n_merges, n_specials, n_user;
    int32_t bos, eos, unk, pad;
    bool add_bos, add_eos, add_space_prefix, strips_after_special;
    const chord_pre *pre;         /* BPE */
    uint8_t *texts;               /* the tokens' texts as in the file, one after the other */
    uint32_t *offsets;            /* n_tokens + 1 */
    uint32_t longest;             /* bytes of the longest token */
    uint8_t *attrs;               /* ATTR_* of each token */
    uint32_t *order;              /* SPM: smaller for a higher score */
    uint32_t *joints;             /* SPM: bit set of the pairs of bytes that stand side by side in a token */
    uint32_t *slots;              /* text -> id: id + 1, 0 is free */
    uint32_t n_slots;
    chord_merge_rule *merges;     /* BPE: by rank */
    uint32_t *merge_slots;        /* (left, right) -> rank + 1 */
    uint32_t n_merge_slots;
    int32_t *specials;            /* ids with ATTR_SPECIAL: the longest text first, then the lower id */
    int32_t *specials_by_text;    /* indices into `specials`, ordered by text */
    uint32_t special_starts[8];   /* bit set of first bytes of special tokens */
    int32_t byte_ids[256];        /* the token of a single byte, -1: none */
};

static inline const uint8_t *token_text(const chord_vocab *v, int32_t id) { return v->texts + v->offsets[id]; }
static inline uint32_t token_bytes(const chord_vocab *v, int32_t id) { return v->offsets[id + 1] - v->offsets[id]; }

/* vocab.c: the token with this text (the second: `a` followed by `b`), -1 when there is none. */
int32_t vocab_find(const chord_vocab *v, const void *text, size_t n);
int32_t vocab_find_pair(const chord_vocab *v, const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b);

/* Hash tables are 3/4 full. The longest run of full slots is then about ln n / (3/4 - 1 - ln 3/4), 403 for
 * 2^22 entries; a file made to have much longer ones is refused, so building stays linear. */
enum { VOCAB_MAX_PROBES = 1024 };
bool vocab_slot_count(uint64_t n, uint64_t *slots);
uint32_t vocab_slot_of(uint32_t hash, uint32_t n_slots);

/* A cursor over records `u64 length, bytes`; false at a record that isn't wholly there. */
typedef struct vocab_records { const uint8_t *p; uint64_t left; } vocab_records;
bool vocab_next_record(vocab_records *r, const uint8_t **text, uint64_t *n);

/* For lay_out functions: v->field gets room in `a`. With an arena that only counts the pointer means nothing. */
#define VOCAB_TAKE(v, field, count, size, align, a)                                                 \
    do {                                                                                            \
        (v)->field = chord_arena_take(a, (uint64_t)(count) * (size), align);                        \
        if (!(v)->field && (a)->cap != SIZE_MAX) return false;                                      \
    } while (0)

/* special.c: upper bound of n_specials; ids and EOG as llama.cpp derives them; the sorted lists. */
uint64_t special_bound(const chord_vocab_source *source);
chord_status special_build(chord_vocab *v, const chord_vocab_source *source, chord_error *error);

/* ---- a text on its way to ids ------------------------------------------------------------------ */

/* Where ids go. A call for the whole text counts on past `cap`; a step stops before the ids of one symbol
 * (at most CHORD_TOKENIZER_ROOM) might not fit. */
typedef struct chord_ids {
    int32_t *ids;
    int32_t n, cap;
    bool counts_on;
} chord_ids;
static inline void ids_put(chord_ids *out, int32_t id)
{
    if (out->n < out->cap) out->ids[out->n] = id;
    out->n++;
}
static inline bool ids_have_room(const chord_ids *out) { return out->counts_on || out->cap - out->n >= CHORD_TOKENIZER_ROOM; }

/* Special tokens of [begin, end) on their way to marks: see special.c. */
typedef struct special_cluster {
    int32_t phase;
    uint32_t begin, end, i, n_heap;
} special_cluster;

enum { TOKENIZER_STATE = 24 }; /* uint64_t of state that a kind has for its stretch */

struct chord_tokenizer {
    const chord_vocab *v;
    const uint8_t *text;
    uint32_t n;
    int32_t flags, phase;
    int64_t left;                /* small steps that the present call may still take */
    uint64_t wanted;             /* after NEED_MEMORY: bytes of scratch */
    chord_arena scratch;         /* as given; `used` is what the marks of `special` take */
    chord_ids out;
    uint64_t n_ids;              /* of the steps before this one */
    uint32_t at;                 /* text before it has become ids */
    uint32_t to;                 /* [at, to) is the stretch under way */
    bool is_after_special;       /* the beginning counts as such */
    bool is_begun;               /* the kind has begun with the stretch */
    special_cluster special;     /* marks[i - special.begin] at the beginning of scratch */
    uint64_t state[TOKENIZER_STATE];
};

/* What functions that take small steps return. */
enum { TOKENIZER_DONE, TOKENIZER_MORE, TOKENIZER_NEEDS_MEMORY };

/* Take one small step; false: the budget is spent. */
static inline bool tokenizer_spend(chord_tokenizer *t) { return t->left-- > 0; }
/* An arena behind the marks, when it has `bytes`; else false, and the step ends with NEED_MEMORY. */
bool tokenizer_scratch(chord_tokenizer *t, uint64_t bytes, chord_arena *scratch);

/* special.c: the longest special token that begins at `at` begins a cluster of special tokens that may
 * overlap: false when there is none. Then special_mark goes on until the cluster is marked: marks[i] is
 * id + 1 where a token begins, MARK_COVERED inside it and in white space that it swallows, 0 elsewhere. */
#define MARK_COVERED UINT32_MAX
bool special_begins(chord_tokenizer *t, uint32_t at);
int32_t special_mark(chord_tokenizer *t);
static inline uint32_t special_mark_at(const chord_tokenizer *t, uint32_t at)
{
    return at < t->special.end ? ((const uint32_t *)t->scratch.base)[at - t->special.begin] : 0;
}

/* ---- kinds ------------------------------------------------------------------------------------- */

/* Where a token's bytes go. */
typedef struct chord_bytes_out {
    char *dst;
    size_t cap;
    uint64_t n;
    bool strip; /* drop the next byte if it is a blank */
} chord_bytes_out;
void bytes_put(chord_bytes_out *o, const void *bytes, size_t n);

/* A kind of tokenizer: one file that defines one of these, and a line in vocab.c's list. */
struct chord_text_kind {
    int32_t number;    /* CHORD_VOCAB_* */
    const char *model; /* of tokenizer.ggml.model */

    /* Whether the source has what this kind needs. Errors name the key. */
    chord_status (*check)(const chord_vocab_source *s, chord_error *error);
    /* The kind's own tables: their room, and what is in them. When build is called, texts, attributes and
     * the table text -> id are there; it also sets byte_ids. */
    bool (*lay_out)(chord_vocab *v, const chord_vocab_source *s, chord_arena *a);
    chord_status (*build)(chord_vocab *v, const chord_vocab_source *s, chord_error *error);
    /* Set bos, eos, unk (-1: none), add_bos and add_space_prefix as they are when the file is silent. */
    void (*set_defaults)(chord_vocab *v);

    /* Scratch that a stretch of n bytes needs at most. */
    uint64_t (*most_scratch)(const chord_vocab *v, uint64_t n);
    /* Ids of the text [t->at, t->to): begin prepares t->state, step goes on with it and returns
     * TOKENIZER_*. A step calls tokenizer_spend for each small piece of work and keeps everything in
     * t->state and scratch; after NEEDS_MEMORY scratch is larger, and empty. */
    void (*begin)(chord_tokenizer *t);
    int32_t (*step)(chord_tokenizer *t);

    /* A normal token's text as bytes of the text it came from. */
    void (*put_text)(chord_bytes_out *o, const uint8_t *text, uint32_t n);
};

extern const chord_text_kind chord_text_spm, chord_text_bpe;

/* GPT-2's alphabet: every byte as a printable code point, 0x21..0x7E, 0xA1..0xAC and 0xAE..0xFF as
 * themselves, the others from U+0100 on in order. */
static inline uint32_t byte_to_letter(uint8_t b)
{
    if (b < 0x21) return 0x100u + b;
    if (b >= 0x7F && b <= 0xA0) return 0x121u + b - 0x7F;
    return b == 0xAD ? 0x143u : b;
}
/* -1 when the code point isn't of the alphabet. */
static inline int32_t letter_to_byte(uint32_t c)
{
    if (c < 0x100) return byte_to_letter((uint8_t)c) == c ? (int32_t)c : -1;
    if (c < 0x121) return (int32_t)c - 0x100;
    if (c < 0x143) return (int32_t)c - 0x121 + 0x7F;
    return c == 0x143 ? 0xAD : -1;
}

#endif
