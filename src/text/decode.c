/* decode.c: ids -> bytes, and the flags of a token. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

void bytes_put(chord_bytes_out *o, const void *bytes, size_t n)
{
    const char *p = bytes;
    if (o->strip && n) {
        o->strip = false;
        if (*p == ' ') {
            p++;
            n--;
        }
    }
    if (o->n < o->cap) chord_copy(o->dst + o->n, p, n < o->cap - o->n ? n : (size_t)(o->cap - o->n));
    o->n += n;
}

void bytes_put_blanks(chord_bytes_out *o, const uint8_t *text, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        bool const is_blank = is_blank_letter(text + i, n - i);
        bytes_put(o, is_blank ? (const uint8_t *)" " : text + i, 1);
        if (is_blank) i += 2;
    }
}

static uint8_t hex(uint8_t c) { return (uint8_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10); }

static void put_token(chord_bytes_out *o, const chord_vocab *v, int32_t id)
{
    const uint8_t *text = token_text(v, id);
    uint32_t const n = token_bytes(v, id);
    bool const is_text = !v->kind->put_text && !(v->attrs[id] & ATTR_BYTE);
    if (is_text || v->attrs[id] & ATTR_SPECIAL) bytes_put(o, text, n);
    else if (v->attrs[id] & ATTR_NORMAL)
        (v->pre && (v->pre->flags & CHORD_PRE_RAW) ? bytes_put_blanks : v->kind->put_text)(o, text, n);
    /* the build has checked that the text of a byte token is <0xHH> */
    else if (v->attrs[id] & ATTR_BYTE)
        bytes_put(o, &(uint8_t){ (uint8_t)(hex(text[3]) << 4 | hex(text[4])) }, 1);
    /* unused and undefined tokens have no text */
}

int64_t chord_vocab_detokenize(const chord_vocab *v, const int32_t *ids, int32_t n, int32_t flags, char *dst,
                               size_t cap)
{
    chord_bytes_out o = { dst, cap, 0, (flags & CHORD_WHOLE_TEXT) && v->add_space_prefix };
    for (int32_t i = 0; i < n; i++) {
        int32_t const id = ids[i];
        if (id < 0 || id >= v->n_tokens) return CHORD_INVALID_ARGUMENT;
        if (!((flags & CHORD_SKIP_SPECIAL) && (v->attrs[id] & ATTR_HIDDEN))) put_token(&o, v, id);
        o.strip = false;
    }
    return (int64_t)o.n;
}

int32_t chord_vocab_flags(const chord_vocab *v, int32_t id)
{
    static const struct {
        uint8_t attr;
        int32_t flag;
    } pairs[] = {
        { ATTR_CONTROL, CHORD_TOKEN_CONTROL }, { ATTR_EOG, CHORD_TOKEN_EOG },
        { ATTR_USER, CHORD_TOKEN_USER },       { ATTR_BYTE, CHORD_TOKEN_BYTE },
        { ATTR_UNKNOWN, CHORD_TOKEN_UNKNOWN }, { ATTR_UNUSED, CHORD_TOKEN_UNUSED },
    };
    if (id < 0 || id >= v->n_tokens) return CHORD_INVALID_ARGUMENT;
    int32_t flags = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (v->attrs[id] & pairs[i].attr) flags |= pairs[i].flag;
    return flags;
}
