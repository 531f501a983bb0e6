/* SPDX-License-Identifier: Apache-2.0 */
#include "fold.h"

uint32_t chord_unicode_lower(uint32_t c)
{
    int32_t low = 0, high = chord_n_lower_runs; /* runs before `low` begin at or before c */
    while (low < high) {
        int32_t const middle = (low + high) / 2;
        if (chord_lower_runs[middle].first <= c) low = middle + 1;
        else high = middle;
    }
    if (!low) return c;
    const chord_lower_run *run = &chord_lower_runs[low - 1];
    bool const is_in = c <= run->last && (c - run->first) % (uint32_t)run->step == 0;
    return is_in ? c + (uint32_t)run->difference : c;
}

static uint32_t number(const uint8_t **p)
{
    uint32_t value = 0;
    for (int shift = 0;; shift += 7) {
        uint8_t const byte = *(*p)++;
        value |= (uint32_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
}

/* Hangul: 588 syllables begin with the same consonant. */
enum { HANGUL = 0xAC00, HANGUL_END = 0xD7A4, CONSONANT = 0x1100, SYLLABLES = 588 };

uint32_t chord_unicode_base(uint32_t c)
{
    if (c < chord_base_index[0].first) return c;
    if (c >= HANGUL && c < HANGUL_END) return CONSONANT + (c - HANGUL) / SYLLABLES;
    int32_t low = 0, high = (chord_n_base_runs + CHORD_BASE_STRIDE - 1) / CHORD_BASE_STRIDE;
    while (high - low > 1) {
        int32_t const middle = (low + high) / 2;
        if (chord_base_index[middle].first <= c) low = middle;
        else high = middle;
    }
    const uint8_t *p = chord_base_runs + chord_base_index[low].at;
    uint32_t at = chord_base_index[low].first, base = at;
    int32_t const left = chord_n_base_runs - low * CHORD_BASE_STRIDE;
    for (int32_t i = 0; i < left && i < CHORD_BASE_STRIDE; i++) {
        uint32_t const skipped = number(&p);
        uint32_t const length = skipped & 1 ? number(&p) : 1, zigzag = number(&p);
        at += skipped >> 1;
        base += zigzag & 1 ? ~(zigzag >> 1) : zigzag >> 1;
        if (c < at) return c;
        if (c < at + length) return base;
        at += length;
    }
    return c;
}
