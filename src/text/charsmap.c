/* SPDX-License-Identifier: Apache-2.0 */
#include "charsmap.h"
#include "../base/mem.h"

#define KEY "tokenizer.ggml.precompiled_charsmap"
enum { VALUE = 31, LEAF = 8, BLOCK = 256 };

/* A trie of real texts has paths of some 20 bytes. The bound keeps a match linear in a file whose units form
 * a circle. */
enum { LONGEST_PREFIX = 256 };

static uint32_t base_of(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

/* The parts of the value. The trie is at least one unit, the replacements at least one byte. */
typedef struct parts {
    const uint8_t *units, *replacements;
    uint32_t n_units, n_replacements;
} parts;
static bool cut(const uint8_t *bytes, uint64_t n, parts *p)
{
    if (n < 9 || n > UINT32_MAX) return false;
    uint32_t const trie = chord_u32(bytes);
    if (trie < 4 || trie > n - 5) return false;
    *p = (parts){ bytes + 4, bytes + 4 + trie, trie / 4, (uint32_t)(n - 4 - trie) };
    return true;
}

chord_status charsmap_check(const uint8_t *bytes, uint64_t n, chord_error *error)
{
    parts p;
    if (!bytes) return CHORD_OK;
    if (!cut(bytes, n, &p))
        return chord_fail(error, CHORD_INVALID_GGUF,
                          KEY " of %u bytes is cut off, or its trie has another size", n);
    if (p.replacements[p.n_replacements - 1])
        return chord_fail(error, CHORD_INVALID_GGUF, KEY ": the last replacement has no end");
    for (uint32_t i = 0; i < p.n_units; i++) {
        uint32_t const unit = chord_u32(p.units + (size_t)i * 4), to = i ^ base_of(unit);
        if (unit >> VALUE) continue;
        if ((to | (BLOCK - 1)) >= p.n_units)
            return chord_fail(error, CHORD_INVALID_GGUF, KEY ": unit %u leads to %u, the trie has %u units",
                              (uint64_t)i, (uint64_t)to, (uint64_t)p.n_units);
        uint32_t const value = chord_u32(p.units + (size_t)to * 4) & ~(1u << VALUE);
        if ((unit >> LEAF & 1) && value >= p.n_replacements)
            return chord_fail(error, CHORD_INVALID_GGUF,
                              KEY ": unit %u leads to replacement %u, but they have %u bytes", (uint64_t)i,
                              (uint64_t)value, (uint64_t)p.n_replacements);
    }
    return CHORD_OK;
}

bool charsmap_lay_out(chord_charsmap *m, const uint8_t *bytes, uint64_t n, chord_arena *a)
{
    parts p;
    if (!bytes || !cut(bytes, n, &p)) return true; /* the check has refused, or will */
    m->units = chord_arena_take(a, (uint64_t)p.n_units * 4, 4);
    m->replacements = chord_arena_take(a, p.n_replacements, 1);
    return (m->units && m->replacements) || a->cap == SIZE_MAX;
}

void charsmap_build(chord_charsmap *m, const uint8_t *bytes, uint64_t n)
{
    parts p;
    m->n_units = m->longest = 0;
    if (!bytes || !cut(bytes, n, &p)) return;
    m->n_units = p.n_units;
    m->n_replacements = p.n_replacements;
    for (uint32_t i = 0; i < p.n_units; i++) m->units[i] = chord_u32(p.units + (size_t)i * 4);
    chord_copy(m->replacements, p.replacements, p.n_replacements);
    for (uint32_t i = 0, length = 0; i < p.n_replacements; i++) {
        length = p.replacements[i] ? length + 1 : 0;
        if (length > m->longest) m->longest = length;
    }
}

uint32_t charsmap_match(const chord_charsmap *m, const uint8_t *text, uint32_t n, const uint8_t **replacement,
                        uint32_t *n_replacement)
{
    uint32_t longest = 0, at = 0;
    if (!m->n_units) return 0;
    uint32_t node = base_of(m->units[0]);
    for (uint32_t i = 0; i < n && i < LONGEST_PREFIX && text[i]; i++) {
        uint32_t const unit = m->units[node ^= text[i]];
        if ((unit & (1u << VALUE | 0xFF)) != text[i]) break;
        node ^= base_of(unit);
        if (!(unit >> LEAF & 1)) continue;
        longest = i + 1;
        at = m->units[node] & ~(1u << VALUE);
    }
    if (!longest) return 0;
    uint32_t length = 0;
    while (m->replacements[at + length]) length++;
    *replacement = m->replacements + at;
    *n_replacement = length;
    return longest;
}
