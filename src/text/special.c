/* special.c: finds the special tokens of a vocabulary, the tokens that end a generation, and special tokens
 * in a text.
 *
 * The default ids and the lists of texts are those of llama.cpp's vocabulary loader. A token whose text is
 * in end_texts ends a generation, whatever its type in the file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

static const char *const end_texts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
    "[e~[",
    NULL,
};
/* Fill-in-the-middle tokens. For each of the six, the id in the file counts, or else the first text that is
 * a token. Padding, repository and file separator end a generation. */
static const char *const fim_texts[6][9] = {
    { "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",
      "<\xEF\xBD\x9C"
      "fim\xE2\x96\x81"
      "begin\xEF\xBD\x9C>",
      "<PRE>", "\xE2\x96\x81<PRE>", "<|code_prefix|>", "<|prefix|>" },
    { "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",
      "<\xEF\xBD\x9C"
      "fim\xE2\x96\x81hole\xEF\xBD\x9C>",
      "<SUF>", "\xE2\x96\x81<SUF>", "<|code_suffix|>", "<|suffix|>" },
    { "<|fim_middle|>", "<fim-middle>", "<fim_middle>",
      "<\xEF\xBD\x9C"
      "fim\xE2\x96\x81"
      "end\xEF\xBD\x9C>",
      "<MID>", "\xE2\x96\x81<MID>", "<|code_middle|>", "<|middle|>" },
    { "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]" },
    { "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>" },
    { "<|file_sep|>" },
};
enum { FIM_PAD = 3, N_FIM = 6 };
/* Tokens of gpt-oss that are always rendered. */
static const char *const shown_texts[] = { "<|channel|>", "<|message|>", "<|start|>", "<|constrain|>", NULL };

/* Maximum number of tokens that become special by their text alone. */
enum {
    MAX_BY_TEXT = sizeof end_texts / sizeof *end_texts + N_FIM + sizeof shown_texts / sizeof *shown_texts
};

static int32_t find(const chord_vocab *v, const char *text)
{
    return vocab_find(v, text, chord_strlen(text));
}

uint64_t special_bound(const chord_vocab_source *s)
{
    uint64_t n = MAX_BY_TEXT;
    for (int32_t i = 0; s->types && i < s->n_tokens; i++) {
        int32_t const type = chord_i32(s->types + (size_t)i * 4);
        n += type == CHORD_TYPE_UNKNOWN || type == CHORD_TYPE_CONTROL || type == CHORD_TYPE_USER;
    }
    return n;
}

/* ---- ids, EOG ---------------------------------------------------------------------------------- */

static bool has_unused(const uint8_t *text, uint32_t n)
{
    for (uint32_t i = 0; i + 6 <= n && text[i]; i++)
        if (chord_equal(text + i, "unused", 6)) return true;
    return false;
}

static void end_generation(chord_vocab *v, int32_t id)
{
    if (id >= 0) v->attrs[id] |= ATTR_EOG;
}

static void find_fim(chord_vocab *v, const chord_vocab_source *s)
{
    int32_t const given[N_FIM] = { s->fim_pre, s->fim_suf, s->fim_mid, s->fim_pad, s->fim_rep, s->fim_sep };
    for (int32_t kind = 0; kind < N_FIM; kind++) {
        int32_t id = given[kind];
        for (int32_t i = 0; id < 0 && i < 9 && fim_texts[kind][i]; i++) {
            id = find(v, fim_texts[kind][i]);
            if (id >= 0) v->attrs[id] |= ATTR_CONTROL;
        }
        if (kind >= FIM_PAD) end_generation(v, id);
    }
}

/* Returns true if the vocabulary has this text and the token ends a generation. */
static bool ends(const chord_vocab *v, const char *text)
{
    int32_t const id = find(v, text);
    return id >= 0 && (v->attrs[id] & ATTR_EOG);
}
/* In two families a text of end_texts has another meaning. */
static void correct_ends(chord_vocab *v)
{
    bool const has_call = ends(v, "<|call|>") || ends(v, "<|calls|>");
    if (has_call && (ends(v, "<|return|>") || ends(v, "<|flush|>")) && ends(v, "<|end|>"))
        v->attrs[find(v, "<|end|>")] = ATTR_USER;
    if ((ends(v, "<|tool_response>") || ends(v, "<|plamo:eos|>")) && ends(v, "</s>"))
        v->attrs[find(v, "</s>")] = ATTR_NORMAL;
}

static void find_ends(chord_vocab *v, const chord_vocab_source *s)
{
    find_fim(v, s);
    for (int32_t id = 0; id < v->n_tokens; id++)
        if ((v->attrs[id] & ATTR_CONTROL) && has_unused(token_text(v, id), token_bytes(v, id)))
            v->attrs[id] |= ATTR_UNUSED;
    for (int32_t i = 0; end_texts[i]; i++) {
        int32_t const id = find(v, end_texts[i]);
        end_generation(v, id);
        if (id >= 0) v->attrs[id] |= ATTR_CONTROL;
    }
    for (int32_t i = 0; shown_texts[i]; i++) {
        int32_t const id = find(v, shown_texts[i]);
        if (id >= 0) v->attrs[id] = (uint8_t)(ATTR_USER | (v->attrs[id] & ATTR_EOG));
    }
    end_generation(v, v->eos);
    end_generation(v, s->eot);
    end_generation(v, s->eom);
    correct_ends(v);
}

/* Phi-3's special tokens, except three, swallow the white space after them. */
static void set_strip_after(chord_vocab *v)
{
    static const char *const keep[] = { "<unk>", "<s>", "<|endoftext|>" };
    int32_t const end = find(v, "</s>");
    for (int32_t i = 0; i < v->n_specials; i++) v->attrs[v->specials[i]] |= ATTR_STRIP_AFTER;
    if (end >= 0) v->attrs[end] |= ATTR_STRIP_AFTER;
    for (int32_t i = 0; i < 3; i++) {
        int32_t const id = find(v, keep[i]);
        if (id >= 0) v->attrs[id] &= (uint8_t)~ATTR_STRIP_AFTER;
    }
}

/* The file's id, else the kind's default if the vocabulary has it. */
static void set_id(const chord_vocab *v, int32_t *id, int32_t given)
{
    if (given >= 0) *id = given;
    if (*id >= v->n_tokens) *id = -1;
}

static chord_status set_ids(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    const struct {
        const char *name;
        int32_t id;
    } given[] = {
        /* "seperator" is GGUF's spelling */
        { "bos", s->bos },         { "eos", s->eos },         { "unknown", s->unk },
        { "seperator", s->sep },   { "padding", s->pad },     { "eot", s->eot },
        { "eom", s->eom },         { "fim_pre", s->fim_pre }, { "fim_suf", s->fim_suf },
        { "fim_mid", s->fim_mid }, { "fim_pad", s->fim_pad }, { "fim_rep", s->fim_rep },
        { "fim_sep", s->fim_sep },
    };
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i].id < -1 || given[i].id >= v->n_tokens)
            return chord_fail(error, CHORD_INVALID_GGUF,
                              "tokenizer.ggml.%s_token_id is %d, the vocabulary has %d tokens", given[i].name,
                              given[i].id, v->n_tokens);
    v->bos = v->eos = v->unk = v->sep = v->pad = -1;
    v->kind->set_defaults(v);
    set_id(v, &v->bos, s->bos);
    set_id(v, &v->eos, s->eos);
    set_id(v, &v->unk, s->unk);
    set_id(v, &v->sep, s->sep);
    set_id(v, &v->pad, s->pad);
    if (s->add_bos >= 0) v->add_bos = s->add_bos;
    if (s->add_eos >= 0) v->add_eos = s->add_eos;
    if (s->add_space_prefix >= 0) v->add_space_prefix = s->add_space_prefix;
    v->first = v->add_bos ? v->bos : -1;
    v->last = v->add_eos ? v->eos : -1;
    if (v->kind->set_ends) v->kind->set_ends(v);
    return CHORD_OK;
}

/* ---- the sorted lists -------------------------------------------------------------------------- */

static bool by_length(const chord_vocab *v, int32_t a, int32_t b)
{
    uint32_t const n_a = token_bytes(v, a), n_b = token_bytes(v, b);
    return n_a > n_b || (n_a == n_b && a < b);
}
static bool by_text(const chord_vocab *v, int32_t a, int32_t b)
{
    return vocab_text_before(v, v->specials[a], v->specials[b]);
}

chord_status special_build(chord_vocab *v, const chord_vocab_source *s, chord_error *error)
{
    CHORD_TRY(set_ids(v, s, error));
    find_ends(v, s);
    v->n_specials = v->n_user = 0;
    for (int32_t id = 0; id < v->n_tokens; id++)
        if (v->attrs[id] & ATTR_SPECIAL) {
            v->specials[v->n_specials++] = id;
            v->n_user += !(v->attrs[id] & ATTR_HIDDEN);
        }
    v->strips_after_special = s->strip_after_special;
    v->strips_before = s->strips_before ? find(v, s->strips_before) : -1;
    if (v->strips_after_special) set_strip_after(v);
    vocab_sort(v, v->specials, v->n_specials, by_length);
    chord_zero(v->special_starts, sizeof v->special_starts);
    for (int32_t i = 0; i < v->n_specials; i++) {
        uint8_t const first = *token_text(v, v->specials[i]);
        v->special_starts[first >> 5] |= 1u << (first & 31);
        v->specials_by_text[i] = i;
    }
    vocab_sort(v, v->specials_by_text, v->n_specials, by_text);
    return CHORD_OK;
}

/* ---- special tokens in text -------------------------------------------------------------------- */

typedef struct search {
    const chord_vocab *v;
    const uint8_t *text;
    uint32_t n;
    bool parse;
} search;

/* The texts of specials_by_text[low, high) agree in their first `depth` bytes. Returns the index of the
 * first one whose next byte is >= `byte`. */
static int32_t lower_bound(const chord_vocab *v, int32_t low, int32_t high, uint32_t depth, uint32_t byte)
{
    while (low < high) {
        int32_t const middle = low + (high - low) / 2;
        if (token_text(v, v->specials[v->specials_by_text[middle]])[depth] < byte) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Returns the index in specials of the longest special token at `at` of fewer than `limit` bytes, or -1. */
static int32_t longest_at(const search *s, uint32_t at, uint32_t limit)
{
    const chord_vocab *v = s->v;
    int32_t low = 0, high = v->n_specials, best = -1;
    for (uint32_t depth = 0; depth < limit; depth++) {
        if (low < high) { /* a text of `depth` bytes, if there is one, comes first */
            int32_t const first = v->specials_by_text[low], id = v->specials[first];
            if (token_bytes(v, id) == depth) {
                if (s->parse || !(v->attrs[id] & ATTR_HIDDEN)) best = first;
                low++;
            }
        }
        if (low >= high || at + depth == s->n) break;
        uint32_t const byte = s->text[at + depth];
        low = lower_bound(v, low, high, depth, byte);
        high = lower_bound(v, low, high, depth, byte + 1);
    }
    return best;
}

static void sift_key(uint64_t *heap, uint32_t at, uint32_t n)
{
    uint64_t const key = heap[at];
    for (uint32_t child; (child = at * 2 + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= key) break;
        heap[at] = heap[child];
    }
    heap[at] = key;
}

/* llama.cpp goes through the special tokens, longest first, and marks each one wherever the text is still
 * free, from left to right. A token competes only with tokens that overlap it or the white space that it may
 * swallow. So the text falls into clusters: a cluster ends where no possible token reaches across. Each
 * cluster is marked alone.
 *
 * Within a cluster, a heap holds (index in `specials`, offset) for each offset where a token may begin: the
 * longest such token. When an entry is popped and its text is free, the token is marked. When only its first
 * byte is free, the entry returns with the next shorter token of that offset. Tokens that are already marked
 * are never shorter, so looking at the first and the last byte is enough. */
enum { SPAN, TAKE, LIST, ORDER, POP };

static search search_of(const chord_tokenizer *t)
{
    return (search){ t->v, t->text, t->n, t->flags & CHORD_PARSE_SPECIAL };
}

static bool may_begin(const chord_tokenizer *t, uint32_t at)
{
    return t->v->special_starts[t->text[at] >> 5] >> (t->text[at] & 31) & 1;
}

/* Returns the end of the longest special token at `at`, or `at` if there is none. */
static uint32_t reach_of(const chord_tokenizer *t, uint32_t at)
{
    search const s = search_of(t);
    int32_t const index = may_begin(t, at) ? longest_at(&s, at, UINT32_MAX) : -1;
    return index < 0 ? at : at + token_bytes(t->v, t->v->specials[index]);
}

/* Moves the end of the cluster to `end`, and past the white space that a token may swallow there. */
static void extend(chord_tokenizer *t, uint32_t end)
{
    special_cluster *c = &t->special;
    if (end <= c->end) return;
    c->end = end;
    while (t->v->strips_after_special && c->end < t->n && is_ascii_space(t->text[c->end])) c->end++;
}

bool special_begins(chord_tokenizer *t, uint32_t at)
{
    if (!(t->flags & CHORD_PARSE_SPECIAL ? t->v->n_specials : t->v->n_user)) return false;
    uint32_t const end = reach_of(t, at);
    if (end == at) return false;
    t->special = (special_cluster){ SPAN, at, at, at + 1, 0 };
    t->scratch.used = 0; /* the marks of the cluster before are no longer needed */
    extend(t, end);
    return true;
}

static bool span(chord_tokenizer *t, special_cluster *c)
{
    for (; c->i < c->end; c->i++) {
        if (!tokenizer_spend(t)) return false;
        extend(t, reach_of(t, c->i));
    }
    return true;
}

/* Scratch holds the marks, 4 bytes per byte of the cluster, and behind them the heap, 8 bytes per byte. */
static uint64_t heap_off(const special_cluster *c) { return ((uint64_t)(c->end - c->begin) * 4 + 7) & ~7ull; }
static uint64_t *heap_of(const chord_tokenizer *t)
{
    return (uint64_t *)(t->scratch.base + heap_off(&t->special));
}

static bool take(chord_tokenizer *t, special_cluster *c)
{
    chord_arena scratch;
    if (!tokenizer_scratch(t, heap_off(c) + (uint64_t)(c->end - c->begin) * 8, &scratch)) return false;
    t->scratch.used = (size_t)heap_off(c);
    c->i = c->begin;
    return true;
}

static bool list(chord_tokenizer *t, special_cluster *c)
{
    uint32_t *marks = (uint32_t *)t->scratch.base;
    search const s = search_of(t);
    for (; c->i < c->end; c->i++) {
        if (!tokenizer_spend(t)) return false;
        int32_t const index = may_begin(t, c->i) ? longest_at(&s, c->i, UINT32_MAX) : -1;
        marks[c->i - c->begin] = 0;
        if (index >= 0) heap_of(t)[c->n_heap++] = (uint64_t)index << 32 | c->i;
    }
    c->i = c->n_heap / 2;
    return true;
}

static bool order(chord_tokenizer *t, special_cluster *c)
{
    for (; c->i > 0; c->i--) {
        if (!tokenizer_spend(t)) return false;
        sift_key(heap_of(t), c->i - 1, c->n_heap);
    }
    return true;
}

static void mark(const chord_tokenizer *t, uint32_t *marks, uint32_t at, int32_t id)
{
    const special_cluster *c = &t->special;
    uint32_t i = at + 1;
    marks[at - c->begin] = (uint32_t)id + 1;
    for (; i < at + token_bytes(t->v, id); i++) marks[i - c->begin] = MARK_COVERED;
    if (!(t->v->attrs[id] & ATTR_STRIP_AFTER)) return;
    for (; i < c->end && !marks[i - c->begin] && is_ascii_space(t->text[i]); i++)
        marks[i - c->begin] = MARK_COVERED;
}

static bool pop(chord_tokenizer *t, special_cluster *c)
{
    uint32_t *marks = (uint32_t *)t->scratch.base;
    uint64_t *heap = heap_of(t);
    search const s = search_of(t);
    while (c->n_heap) {
        if (!tokenizer_spend(t)) return false;
        int32_t const id = t->v->specials[heap[0] >> 32];
        uint32_t const at = (uint32_t)heap[0], size = token_bytes(t->v, id);
        bool const is_free = !marks[at - c->begin];
        int32_t index = -1;
        if (is_free && !marks[at + size - 1 - c->begin]) mark(t, marks, at, id);
        else if (is_free) index = longest_at(&s, at, size);
        heap[0] = index >= 0 ? (uint64_t)index << 32 | at : heap[--c->n_heap];
        if (c->n_heap) sift_key(heap, 0, c->n_heap);
    }
    return true;
}

int32_t special_mark(chord_tokenizer *t)
{
    static bool (*const phases[])(chord_tokenizer *, special_cluster *) = { span, take, list, order, pop };
    for (special_cluster *c = &t->special; c->phase <= POP; c->phase++)
        if (!phases[c->phase](t, c)) return c->phase == TAKE ? TOKENIZER_NEEDS_MEMORY : TOKENIZER_MORE;
    return TOKENIZER_DONE;
}
