/* tables.h: what the files of this room share: the built vocabulary, the state of tokenising one text, and
 * the table of functions of a tokenizer kind. See vocab.h for the map. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEXT_TABLES_H
#define CHORD_TEXT_TABLES_H
#include "../base/arena.h"
#include "../base/mem.h"
#include "charsmap.h"
#include "pre.h"
#include "vocab.h"

/* Attributes of a token. Several bits may be set: a normal token whose text ends a generation becomes
 * CONTROL too. A token whose type llama.cpp calls undefined has none of the first six. */
enum {
    ATTR_UNKNOWN = 1,
    ATTR_UNUSED = 2,
    ATTR_NORMAL = 4,
    ATTR_CONTROL = 8,
    ATTR_USER = 16,
    ATTR_BYTE = 32,
    ATTR_STRIP_AFTER = 64,
    ATTR_EOG = 128,
    ATTR_HIDDEN = ATTR_UNKNOWN | ATTR_CONTROL,   /* needs PARSE_SPECIAL; omitted with SKIP_SPECIAL */
    ATTR_SPECIAL = ATTR_HIDDEN | ATTR_USER       /* found before the text is tokenised by its kind */
};

typedef struct chord_merge_rule {
    int32_t left, right, id;
} chord_merge_rule; /* left -1: never applies */

/* Ids in the order of their texts: sorted.c. */
typedef struct vocab_list {
    int32_t *ids;
    int32_t n;
} vocab_list;

struct chord_vocab {
    const chord_text_kind *kind;
    int32_t n_tokens, n_merges, n_specials, n_user;
    int32_t bos, eos, unk, sep, pad;
    int32_t strips_before;        /* the special token that swallows the white space before it; -1: none */
    int32_t first, last;          /* CHORD_ADD_SPECIAL puts them around a text; -1: none */
    bool add_bos, add_eos, add_space_prefix, strips_after_special;
    bool lowers, strips_accents;  /* WordPiece; the kind "whitespace" */
    vocab_list by_text; /* WordPiece, RWKV: all tokens; Unigram: those that may spell a text */
    vocab_list users; /* Unigram: user-defined tokens */
    chord_charsmap charsmap; /* Unigram */
    float *scores, unknown_score; /* Unigram */
    bool joins_blanks; /* Unigram: blanks in a row are one, those at the ends none */
    const chord_pre *pre; /* BPE */
    uint8_t *texts; /* token texts as in the file, back to back */
    uint32_t *offsets; /* n_tokens + 1: token i is [offsets[i], offsets[i + 1]) of `texts` */
    uint32_t longest; /* bytes of the longest token */
    uint8_t *attrs; /* ATTR_* of each token */
    uint32_t *order; /* SPM: smaller for a higher score */
    uint32_t *joints; /* bit set of byte pairs that are adjacent in some token: joints.c */
    uint32_t *slots; /* hash table text -> id + 1; 0 is free */
    uint32_t n_slots;
    chord_merge_rule *merges; /* BPE: by rank */
    uint32_t *merge_slots; /* BPE: hash table (left, right) -> rank + 1; 0 is free */
    uint32_t n_merge_slots;
    int32_t *specials; /* ids with ATTR_SPECIAL, longest text first; ties: lower id first */
    int32_t *specials_by_text; /* indices into `specials`, sorted by text */
    uint32_t special_starts[8]; /* bit set of first bytes of special tokens */
    int32_t byte_ids[256]; /* token of each single byte, -1: none */
};

static inline const uint8_t *token_text(const chord_vocab *v, int32_t id)
{
    return v->texts + v->offsets[id];
}
static inline uint32_t token_bytes(const chord_vocab *v, int32_t id)
{
    return v->offsets[id + 1] - v->offsets[id];
}

/* vocab.c: return the token whose text is `text`, or `a` followed by `b`; -1 if there is none. */
int32_t vocab_find(const chord_vocab *v, const void *text, size_t n);
int32_t vocab_find_pair(const chord_vocab *v, const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b);
/* Returns the token <0xHH> of a byte, or -1. */
int32_t vocab_find_byte(const chord_vocab *v, uint8_t b);

/* Hash tables are 3/4 full. The longest run of full slots is then about ln n / (3/4 - 1 - ln 3/4), 403 for
 * 2^22 entries. A file with runs above VOCAB_MAX_PROBES is refused, so building stays linear. */
enum { VOCAB_MAX_PROBES = 1024 };
bool vocab_slot_count(uint64_t n, uint64_t *slots);
uint32_t vocab_slot_of(uint32_t hash, uint32_t n_slots);

/* A cursor over records `u64 length, bytes`. vocab_next_record() returns false if a record is cut off. */
typedef struct vocab_records {
    const uint8_t *p;
    uint64_t left;
} vocab_records;
bool vocab_next_record(vocab_records *r, const uint8_t **text, uint64_t *n);

#define BLANK_LETTER "\xE2\x96\x81" /* U+2581, a blank in token texts */
static inline bool is_blank_letter(const uint8_t *p, size_t n)
{
    return n >= 3 && chord_equal(p, BLANK_LETTER, 3);
}

/* joints.c: joints_build() fills v->joints, which has JOINTS_WORDS. */
enum { JOINT_BLANK = ' ', JOINTS_WORDS = 256 * 256 / 32 };
void joints_build(chord_vocab *v);
static inline bool is_joint(const chord_vocab *v, uint32_t left, uint32_t right)
{
    return v->joints[left * 8 + right / 32] >> right % 32 & 1;
}

/* sorted.c. vocab_sort() is a heapsort: n log n for any file. */
typedef bool vocab_before(const chord_vocab *v, int32_t a, int32_t b);
bool vocab_text_before(const chord_vocab *v, int32_t a, int32_t b);
void vocab_sort(const chord_vocab *v, int32_t *list, int32_t n, vocab_before *before);

/* A walk through the texts of a list sorted by text: the `depth` bytes walked are the beginning of the texts
 * list[low, high). vocab_walk_on() walks one byte further and returns false if no text continues with it.
 * vocab_walk_token() returns the token whose text is what was walked, or -1. */
typedef struct vocab_walk {
    int32_t low, high;
    uint32_t depth;
} vocab_walk;
vocab_walk vocab_walk_begin(const vocab_list *list);
bool vocab_walk_on(const chord_vocab *v, const vocab_list *list, vocab_walk *w, uint8_t byte);
int32_t vocab_walk_token(const chord_vocab *v, const vocab_list *list, const vocab_walk *w);
/* Returns the longest token of by_text that begins n bytes; -1 if there is none. */
int32_t vocab_longest(chord_tokenizer *t, const uint8_t *bytes, uint32_t n);

/* For lay_out functions: allocates v->field in `a`. If `a` only counts, the pointer means nothing. */
#define VOCAB_TAKE(v, field, count, size, align, a)                          \
    do {                                                                     \
        (v)->field = chord_arena_take(a, (uint64_t)(count) * (size), align); \
        if (!(v)->field && (a)->cap != SIZE_MAX) return false;               \
    } while (0)

/* special.c: special_bound() returns an upper bound of n_specials. special_build() sets special ids and
 * ATTR_EOG as llama.cpp does, and builds the sorted lists. */
uint64_t special_bound(const chord_vocab_source *source);
chord_status special_build(chord_vocab *v, const chord_vocab_source *source, chord_error *error);

/* ---- tokenising one text ----------------------------------------------------------------------- */

/* Destination of ids. chord_vocab_tokenize() counts on past `cap` (counts_on). A step stops when fewer than
 * CHORD_TOKENIZER_ROOM ids fit: one symbol becomes at most that many. */
typedef struct chord_ids {
    int32_t *ids;
    int32_t n, cap;
    bool counts_on;
} chord_ids;
void ids_put(chord_ids *out, int32_t id);
static inline bool ids_have_room(const chord_ids *out)
{
    return out->counts_on || out->cap - out->n >= CHORD_TOKENIZER_ROOM;
}

/* A cluster of special tokens in text [begin, end), while special_mark() marks it: see special.c. */
typedef struct special_cluster {
    int32_t phase;
    uint32_t begin, end, i, n_heap;
} special_cluster;

enum { TOKENIZER_STATE = 24 }; /* uint64_t of state that a kind keeps for its stretch */

struct chord_tokenizer {
    const chord_vocab *v;
    const uint8_t *text;
    uint32_t n;
    int32_t flags, phase;
    int64_t left; /* small steps left in the budget of the current call */
    uint64_t wanted; /* after NEED_MEMORY: bytes of scratch needed */
    chord_arena scratch; /* the caller's block; the marks of `special` are its first `used` bytes */
    chord_ids out;
    uint64_t n_ids; /* ids written by finished steps */
    uint32_t at; /* the text before it has become ids */
    uint32_t to; /* [at, to) is the current stretch; FIND moves `to` */
    uint32_t next; /* the text goes on here: behind white space that a token swallows */
    bool is_after_special; /* a special token or the beginning of the text is before the stretch */
    bool is_begun; /* kind->begin() was called for the stretch */
    special_cluster special; /* its marks begin at scratch.base: marks[i - special.begin] */
    uint64_t state[TOKENIZER_STATE];
};

/* Results of functions that work in small steps. */
enum { TOKENIZER_DONE, TOKENIZER_MORE, TOKENIZER_NEEDS_MEMORY };

/* Spends one small step. Returns false if the budget is spent. */
static inline bool tokenizer_spend(chord_tokenizer *t) { return t->left-- > 0; }
/* Sets `scratch` to an arena behind the marks. Returns false if it has fewer than `bytes`: the step must
 * then end with NEED_MEMORY. */
bool tokenizer_scratch(chord_tokenizer *t, uint64_t bytes, chord_arena *scratch);

/* special.c: special_begins() returns false if no special token begins at `at`. Otherwise a cluster of
 * special tokens that may overlap begins there, and special_mark() is called until the cluster is marked.
 * marks[i]: id + 1 where a token begins, MARK_COVERED inside the token and in white space that it
 * swallows, else 0. */
#define MARK_COVERED UINT32_MAX
static inline bool is_ascii_space(uint8_t c) { return c == ' ' || (c >= 9 && c <= 13); }
bool special_begins(chord_tokenizer *t, uint32_t at);
int32_t special_mark(chord_tokenizer *t);
static inline uint32_t special_mark_at(const chord_tokenizer *t, uint32_t at)
{
    return at < t->special.end ? ((const uint32_t *)t->scratch.base)[at - t->special.begin] : 0;
}

/* ---- kinds ------------------------------------------------------------------------------------- */

/* Returns how many bytes a character has by its first byte, be it valid or not. */
static inline uint32_t lead_bytes(uint8_t first)
{
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* Destination of a token's bytes. */
typedef struct chord_bytes_out {
    char *dst;
    size_t cap;
    uint64_t n;
    bool strip; /* omit the next byte if it is a blank */
} chord_bytes_out;
void bytes_put(chord_bytes_out *o, const void *bytes, size_t n);
/* Writes a text with blanks in the place of each U+2581. */
void bytes_put_blanks(chord_bytes_out *o, const uint8_t *text, uint32_t n);

/* A tokenizer kind: one file that defines one chord_text_kind, and one line in vocab.c's list. */
struct chord_text_kind {
    int32_t number; /* CHORD_VOCAB_* */
    const char *model; /* its value of tokenizer.ggml.model */

    /* Checks that the source has what this kind needs. Errors name the key. */
    chord_status (*check)(const chord_vocab_source *s, chord_error *error);
    /* lay_out allocates the kind's own tables, build fills them and sets byte_ids. Texts, attributes and the
     * table text -> id are ready when build is called. */
    bool (*lay_out)(chord_vocab *v, const chord_vocab_source *s, chord_arena *a);
    chord_status (*build)(chord_vocab *v, const chord_vocab_source *s, chord_error *error);
    /* Sets the ids (-1 before), add_bos, add_eos and add_space_prefix for a file without these keys. */
    void (*set_defaults)(chord_vocab *v);
    /* Changes v->first and v->last, which add_bos and add_eos have set. May be NULL. */
    void (*set_ends)(chord_vocab *v);

    /* Returns the maximum scratch for a stretch of n bytes. */
    uint64_t (*most_scratch)(const chord_vocab *v, uint64_t n);
    /* Convert the stretch [t->at, t->to) to ids. begin prepares t->state, step continues and returns
     * TOKENIZER_*. A step calls tokenizer_spend() for each small step and keeps all its state in t->state
     * and scratch. After NEEDS_MEMORY the next step finds a larger scratch, empty behind the marks. */
    void (*begin)(chord_tokenizer *t);
    int32_t (*step)(chord_tokenizer *t);

    /* Writes the bytes that the text of a normal token represents; those of other types have none. NULL: all
     * tokens but bytes stand for their texts. */
    void (*put_text)(chord_bytes_out *o, const uint8_t *text, uint32_t n);
};

extern const chord_text_kind chord_text_spm, chord_text_bpe, chord_text_gemma4, chord_text_whitespace,
    chord_text_wordpiece, chord_text_unigram, chord_text_rwkv, chord_text_plamo2;

/* GPT-2's alphabet has a printable code point for every byte. Bytes 0x21..0x7E, 0xA1..0xAC and 0xAE..0xFF
 * are their own letters. The others are U+0100, U+0101, ... in order. */
static inline uint32_t byte_to_letter(uint8_t b)
{
    if (b < 0x21) return 0x100u + b;
    if (b >= 0x7F && b <= 0xA0) return 0x121u + b - 0x7F;
    return b == 0xAD ? 0x143u : b;
}
/* Returns -1 for a code point outside the alphabet. */
static inline int32_t letter_to_byte(uint32_t c)
{
    if (c < 0x100) return byte_to_letter((uint8_t)c) == c ? (int32_t)c : -1;
    if (c < 0x121) return (int32_t)c - 0x100;
    if (c < 0x143) return (int32_t)c - 0x121 + 0x7F;
    return c == 0x143 ? 0xAD : -1;
}

#endif
