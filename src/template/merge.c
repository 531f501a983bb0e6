/* merge.c: a system message, given to the user's next message. Some templates refuse system messages. What
 * is sent then is what llama.cpp sends: the system's text, a line end, the user's text. Messages are merged
 * as values, so the template sees nothing but messages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

static val word(vm *r, const char *s) { return of_string(r, s, chord_strlen(s)); }

/* A copy of the mapping in which `key` is v. */
static val with(vm *r, val d, const char *key, val v)
{
    uint32_t const first = r->made.n;
    for (uint32_t i = 0; i < 2 * d->n; i++) chord_list_put(r, d->v[i]);
    chord_dict_put(r, first, word(r, key), v);
    return chord_list_take(r, first, DICT);
}

static val field(vm *r, val d, const char *key)
{
    return d->kind == DICT ? chord_dict_get(r, d, word(r, key)) : NOTHING;
}

/* The content as one string: text parts are lines, as llama.cpp joins them; others have no text. */
static val text_of(vm *r, val content)
{
    val text = word(r, "");
    if (content->kind == STRING) return content;
    for (uint32_t i = 0; content->kind == LIST && i < content->n; i++) {
        val const part = field(r, content->v[i], "text");
        if (part->kind != STRING) continue;
        if (text->n) text = chord_string_join(r, text, word(r, "\n"));
        text = chord_string_join(r, text, part);
    }
    return text;
}

/* `text` and a line end before the content: in front of its string or of its first part's text, so that a
 * template that strips parts, or reads the first alone, loses nothing; a part of its own before an image. */
static val prepend(vm *r, val text, val content)
{
    text = chord_string_join(r, text, word(r, "\n"));
    if (content->kind == STRING) return chord_string_join(r, text, content);
    if (content->kind != LIST) return text;
    val const old = content->n ? field(r, content->v[0], "text") : NOTHING;
    bool const has_text = old->kind == STRING;
    uint32_t const first = r->made.n;
    if (has_text) {
        chord_list_put(r, with(r, content->v[0], "text", chord_string_join(r, text, old)));
    } else {
        chord_dict_put(r, first, word(r, "type"), word(r, "text"));
        chord_dict_put(r, first, word(r, "text"), text);
        chord_list_put(r, chord_list_take(r, first, DICT));
    }
    for (uint32_t i = has_text; i < content->n; i++) chord_list_put(r, content->v[i]);
    return chord_list_take(r, first, LIST);
}

val chord_messages_merge(vm *r, val variables)
{
    val const messages = field(r, variables, "messages");
    if (messages->kind != LIST || !messages->n) return variables;
    val const system = messages->v[0];
    if (!chord_value_is(field(r, system, "role"), "system")) return variables;

    val const next = messages->n > 1 ? messages->v[1] : NOTHING;
    bool const has_user = chord_value_is(field(r, next, "role"), "user");
    val const content = field(r, system, "content");
    uint32_t const first = r->made.n;
    chord_list_put(r, has_user ? with(r, next, "content",
                                      prepend(r, text_of(r, content), field(r, next, "content")))
                               : with(r, system, "role", word(r, "user")));
    for (uint32_t i = 1 + has_user; i < messages->n; i++) chord_list_put(r, messages->v[i]);
    return with(r, variables, "messages", chord_list_take(r, first, LIST));
}
