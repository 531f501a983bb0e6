/* tokenize.c: text -> ids: special tokens first, then each stretch between them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

/* Positions are 32 bits wide, and SentencePiece's escaped text is up to three times as long. */
enum { MAX_TEXT = INT32_MAX / 4 };

/* Marks, and then either the heap that finds them or the arrays of one stretch. */
static uint64_t scratch_bytes_of(const chord_vocab *v, uint64_t n)
{
    uint64_t const stretch = v->kind == CHORD_VOCAB_SPM ? spm_scratch(n) : bpe_scratch(v, n);
    uint64_t const heap = n * sizeof(uint64_t);
    return n * sizeof(uint32_t) + (stretch > heap ? stretch : heap) + 16;
}

size_t chord_vocab_scratch(const chord_vocab *v, size_t n)
{
    uint64_t const bytes = n > MAX_TEXT ? 0 : scratch_bytes_of(v, n);
    return bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes;
}

static bool put_stretches(const chord_vocab *v, const uint8_t *text, uint32_t n, const uint32_t *marks, chord_ids *out, chord_arena scratch)
{
    bool is_after_special = true; /* the beginning counts as such: it gets the prefix */
    for (uint32_t at = 0, to; at < n; at = to) {
        to = at + 1;
        if (marks[at] == MARK_COVERED) continue;
        if (marks[at]) {
            ids_put(out, (int32_t)marks[at] - 1);
            is_after_special = true;
            continue;
        }
        while (to < n && !marks[to]) to++;
        bool const is_done = v->kind == CHORD_VOCAB_SPM
            ? spm_tokenize(v, text + at, to - at, v->add_space_prefix && is_after_special, out, scratch)
            : bpe_tokenize(v, text + at, to - at, out, scratch);
        if (!is_done) return false;
        is_after_special = false;
    }
    return true;
}

int32_t chord_vocab_tokenize(const chord_vocab *v, const char *text, size_t n, int32_t flags,
                             int32_t *ids, int32_t cap, void *scratch, size_t scratch_bytes)
{
    if (n > MAX_TEXT || cap < 0) return CHORD_INVALID_ARGUMENT;
    const uint8_t *bytes = (const uint8_t *)text;
    chord_ids out = { ids, 0, cap };
    uintptr_t const skip = -(uintptr_t)scratch & 15; /* the caller's block may begin anywhere */
    if (skip > scratch_bytes) return CHORD_OUT_OF_MEMORY;
    chord_arena arena = { (uint8_t *)((uintptr_t)scratch + skip), 0, scratch_bytes - skip };

    if ((flags & CHORD_ADD_SPECIAL) && v->add_bos && v->bos >= 0) ids_put(&out, v->bos);
    if (n) {
        uint32_t *marks = chord_arena_take(&arena, n * sizeof *marks, 8);
        chord_arena for_heap = arena;
        uint64_t *heap = chord_arena_take(&for_heap, n * sizeof *heap, 8);
        if (!marks || !heap) return CHORD_OUT_OF_MEMORY;
        special_mark(v, bytes, (uint32_t)n, flags & CHORD_PARSE_SPECIAL, marks, heap);
        if (!put_stretches(v, bytes, (uint32_t)n, marks, &out, arena)) return CHORD_OUT_OF_MEMORY;
    }
    if ((flags & CHORD_ADD_SPECIAL) && v->add_eos && v->eos >= 0) ids_put(&out, v->eos);
    return out.n;
}
