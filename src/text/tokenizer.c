/* tokenizer.c: text -> ids, in slices. Special tokens are found first; the vocabulary's kind converts each
 * stretch of text between them. All state is in chord_tokenizer and its scratch, so the ids don't depend on
 * where steps end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

/* Offsets have 32 bits, and SentencePiece's escaped text is up to three times as long as the text. */
enum { MAX_TEXT = INT32_MAX / 4 };
enum { ALIGN = 16, FIRST_SCRATCH = 32 << 10 /* enough for words of some 1,500 bytes */ };

enum { BEGIN, FIND, MARK, STRETCH, SPECIAL, END, DONE };

/* ---- memory ------------------------------------------------------------------------------------ */

static chord_arena arena_of(void *block, size_t bytes)
{
    if (!block) return (chord_arena){ 0 };
    size_t const skip = -(uintptr_t)block & (ALIGN - 1); /* the caller's block has any alignment */
    return (chord_arena){ (uint8_t *)block + skip, 0, skip < bytes ? bytes - skip : 0 };
}

bool tokenizer_scratch(chord_tokenizer *t, uint64_t bytes, chord_arena *scratch)
{
    *scratch = t->scratch;
    if (chord_arena_take(scratch, bytes, ALIGN)) {
        scratch->used -= (size_t)bytes;
        return true;
    }
    t->wanted = t->scratch.used + bytes + 2 * ALIGN;
    return false;
}

static chord_tokenizer begun(const chord_vocab *v, const char *text, size_t n, int32_t flags)
{
    return (chord_tokenizer){
        .v = v, .text = (const uint8_t *)text, .n = (uint32_t)n, .flags = flags, .is_after_special = true
    };
}

size_t chord_tokenizer_bytes(void) { return sizeof(chord_tokenizer) + FIRST_SCRATCH; }

chord_tokenizer *chord_vocab_open_tokenizer(const chord_vocab *v, const char *text, size_t n, int32_t flags,
                                            void *block, size_t bytes)
{
    chord_arena a = arena_of(block, bytes);
    chord_tokenizer *t = block ? chord_arena_take(&a, sizeof *t, ALIGN) : NULL;
    if (!t || n > MAX_TEXT || (n && !text)) return NULL;
    *t = begun(v, text, n, flags);
    t->scratch = arena_of(a.base + a.used, a.cap - a.used);
    return t;
}

size_t chord_tokenizer_wanted(const chord_tokenizer *t)
{
    return t && t->wanted < SIZE_MAX ? (size_t)t->wanted : SIZE_MAX;
}

chord_status chord_tokenizer_give(chord_tokenizer *t, void *scratch, size_t bytes)
{
    if (!t || !scratch || bytes < t->wanted) return CHORD_INVALID_ARGUMENT;
    chord_arena a = arena_of(scratch, bytes);
    chord_copy(a.base, t->scratch.base, t->scratch.used);
    a.used = t->scratch.used;
    t->scratch = a;
    t->wanted = 0;
    return CHORD_OK;
}

/* ---- steps ------------------------------------------------------------------------------------- */

/* Moves t->to to the end of the stretch that begins at t->at: the next special token or the end of text. */
static int32_t find(chord_tokenizer *t)
{
    for (; t->to < t->n && !special_mark_at(t, t->to); t->to++) {
        if (!(t->to & 15) && !tokenizer_spend(t)) return TOKENIZER_MORE; /* 16 bytes are one small step */
        if (t->to >= t->special.end && special_begins(t, t->to)) {
            t->phase = MARK;
            return TOKENIZER_DONE;
        }
    }
    t->phase = STRETCH;
    return TOKENIZER_DONE;
}

/* Shortens the stretch by white space that the special token behind it swallows. llama.cpp does the same
 * with the text that is still free when it marks the token; a shorter special token of white space alone
 * could be in there, but no vocabulary with such a token has one. */
static void strip_end(chord_tokenizer *t)
{
    t->next = t->to;
    if (t->v->strips_before < 0 || special_mark_at(t, t->to) != (uint32_t)t->v->strips_before + 1) return;
    while (t->to > t->at && is_ascii_space(t->text[t->to - 1])) t->to--;
}

static int32_t tokenize_stretch(chord_tokenizer *t)
{
    if (!t->is_begun) strip_end(t);
    if (t->at < t->to) {
        if (!t->is_begun) t->v->kind->begin(t);
        t->is_begun = true;
        int32_t const result = t->v->kind->step(t);
        if (result != TOKENIZER_DONE) return result;
        t->is_begun = t->is_after_special = false;
    }
    t->at = t->to = t->next;
    t->phase = t->at < t->n ? SPECIAL : END;
    return TOKENIZER_DONE;
}

static int32_t put_special(chord_tokenizer *t)
{
    if (!ids_have_room(&t->out)) return TOKENIZER_MORE;
    ids_put(&t->out, (int32_t)special_mark_at(t, t->at) - 1);
    do t->at++;
    while (special_mark_at(t, t->at) == MARK_COVERED);
    t->to = t->at;
    t->is_after_special = true;
    t->phase = FIND;
    return TOKENIZER_DONE;
}

static int32_t put_end(chord_tokenizer *t, int32_t id, int32_t next)
{
    if (!ids_have_room(&t->out)) return TOKENIZER_MORE;
    if ((t->flags & CHORD_ADD_SPECIAL) && id >= 0) ids_put(&t->out, id);
    t->phase = next;
    return TOKENIZER_DONE;
}

static int32_t advance(chord_tokenizer *t)
{
    int32_t result = TOKENIZER_DONE;
    while (result == TOKENIZER_DONE) switch (t->phase) {
        case BEGIN: result = put_end(t, t->v->first, FIND); break;
        case FIND: result = find(t); break;
        case MARK:
            if ((result = special_mark(t)) == TOKENIZER_DONE) t->phase = FIND;
            break;
        case STRETCH: result = tokenize_stretch(t); break;
        case SPECIAL: result = put_special(t); break;
        case END: result = put_end(t, t->v->last, DONE); break;
        default: return TOKENIZER_DONE;
        }
    return result;
}

chord_status chord_tokenizer_step(chord_tokenizer *t, uint64_t budget, int32_t *ids, int32_t cap, int32_t *n)
{
    if (!t || !ids || !n || cap < CHORD_TOKENIZER_ROOM) return CHORD_INVALID_ARGUMENT;
    t->left = budget == 0 ? 1 : budget > INT64_MAX ? INT64_MAX : (int64_t)budget;
    t->out = (chord_ids){ ids, 0, cap, false };
    int32_t const result = advance(t);
    *n = t->out.n;
    t->n_ids += (uint64_t)t->out.n;
    return result == TOKENIZER_DONE ? CHORD_DONE : result == TOKENIZER_MORE ? CHORD_MORE : CHORD_NEED_MEMORY;
}

uint64_t chord_tokenizer_least(const chord_tokenizer *t)
{
    if (!t) return 0;
    bool is_sure = !t->v->strips_after_special;
    for (int32_t b = 0; b < 256 && is_sure; b++) is_sure = t->v->byte_ids[b] >= 0;
    return t->n_ids + (is_sure ? (t->n - t->at) / t->v->longest : 0);
}

/* ---- a whole text in one call ------------------------------------------------------------------ */

/* Marks, followed by either the heap of a cluster or the scratch of one stretch. */
static uint64_t scratch_bytes_of(const chord_vocab *v, uint64_t n)
{
    uint64_t const stretch = v->kind->most_scratch(v, n), heap = n * sizeof(uint64_t);
    return n * sizeof(uint32_t) + (stretch > heap ? stretch : heap) + 4 * ALIGN;
}

size_t chord_vocab_scratch(const chord_vocab *v, size_t n)
{
    uint64_t const bytes = n > MAX_TEXT ? 0 : scratch_bytes_of(v, n);
    return bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes;
}

int32_t chord_vocab_tokenize(const chord_vocab *v, const char *text, size_t n, int32_t flags, int32_t *ids,
                             int32_t cap, void *scratch, size_t scratch_bytes)
{
    if (n > MAX_TEXT || cap < 0) return CHORD_INVALID_ARGUMENT;
    chord_tokenizer t = begun(v, text, n, flags);
    t.scratch = arena_of(scratch, scratch_bytes);
    t.left = INT64_MAX;
    t.out = (chord_ids){ ids, 0, cap, true };
    return advance(&t) == TOKENIZER_DONE ? t.out.n : CHORD_OUT_OF_MEMORY;
}

void ids_put(chord_ids *out, int32_t id)
{
    if (out->n < out->cap) out->ids[out->n] = id;
    out->n++;
}
