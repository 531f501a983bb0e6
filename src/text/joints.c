/* joints.c: where a text may be cut because no token reaches across.
 *
 * `joints` holds the pairs of bytes that are adjacent in some token. A merge joins two symbols into a token,
 * so two neighbouring characters can only get into one symbol if the last byte of the first and the first
 * byte of the second are such a pair. U+2581 counts as one byte, JOINT_BLANK: most texts have it between any
 * two words, and its own bytes are in too many pairs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

static void join(chord_vocab *v, uint32_t left, uint32_t right)
{
    v->joints[left * 8 + right / 32] |= 1u << right % 32;
}

/* Adds every pair of adjacent bytes of a token, and the same pairs with each U+2581 as one byte. Both are
 * needed: in an invalid text a character may begin inside the three bytes of U+2581. */
static void add_token(chord_vocab *v, const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        bool const is_after = i >= 3 && is_blank_letter(p + i - 3, 3);
        bool const is_before = is_blank_letter(p + i, n - i);
        join(v, p[i - 1], p[i]);
        if (is_after) join(v, JOINT_BLANK, p[i]);
        if (is_before) join(v, p[i - 1], JOINT_BLANK);
        if (is_after && is_before) join(v, JOINT_BLANK, JOINT_BLANK);
    }
}

void joints_build(chord_vocab *v)
{
    chord_zero(v->joints, JOINTS_WORDS * 4);
    for (int32_t id = 0; id < v->n_tokens; id++) add_token(v, token_text(v, id), token_bytes(v, id));
}
