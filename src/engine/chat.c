/* chat.c: the chat templates of a file. llama.cpp's converter writes the template to
 * tokenizer.chat_template; of several, each further one to tokenizer.chat_template.NAME. It also writes an
 * array of the names, tokenizer.chat_templates. The keys say the same, so nothing reads the array. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/mem.h"
#include "engine.h"

#define KEY "tokenizer.chat_template"
enum { N_KEY = sizeof KEY - 1 };

/* The name in the record's key; n_key > N_KEY + 1. */
static const char *name_of(const chord_model *m, const chord_gguf_kv *kv)
{
    return (const char *)chord_gguf_at(&m->gguf, kv->key) + N_KEY + 1;
}

/* The next record behind `kv` of a template with a name. */
static const chord_gguf_kv *next_named(const chord_model *m, const chord_gguf_kv *kv)
{
    while ((kv = chord_gguf_next_kv(&m->gguf, kv)))
        if (kv->n_key > N_KEY + 1 && chord_equal(chord_gguf_at(&m->gguf, kv->key), KEY ".", N_KEY + 1)) break;
    return kv;
}

static const chord_gguf_kv *find_named(const chord_model *m, const char *name, int32_t n)
{
    for (const chord_gguf_kv *kv = NULL; (kv = next_named(m, kv));)
        if (kv->n_key == N_KEY + 1 + n && chord_equal(name_of(m, kv), name, (size_t)n)) return kv;
    return NULL;
}

static int64_t copy(char *dst, size_t cap, const void *text, uint64_t n)
{
    if (dst) chord_copy(dst, text, n < cap ? (size_t)n : cap);
    return (int64_t)n;
}

static chord_status fail_unknown(const chord_model *m, chord_error *e, const char *name, int32_t n)
{
    char names[CHORD_ERROR_BYTES]; /* cut where the error's text would be */
    size_t used = 0;
    for (const chord_gguf_kv *kv = NULL; (kv = next_named(m, kv));) {
        size_t const left = sizeof names - used, n_name = (size_t)kv->n_key - N_KEY - 1;
        if (left < n_name + 2) break;
        if (used) chord_copy(names + used, ", ", 2), used += 2;
        chord_copy(names + used, name_of(m, kv), n_name);
        used += n_name;
    }
    if (!used)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "there is no chat template %q: the file has no names",
                          name, (size_t)n);
    return chord_fail(e, CHORD_INVALID_ARGUMENT, "there is no chat template %q; the file has %q", name,
                      (size_t)n, names, used);
}

/* The text that the family's own template renders; NULL where none is known. */
static const char *family_template(const chord_model *m)
{
    const chord_gguf_kv *const kv = chord_gguf_find(&m->gguf, "general.architecture", 20);
    if (!kv || kv->is_array || kv->type != CHORD_GGUF_STRING || !kv->is_kept) return NULL;
    const chord_arch *const arch = chord_arch_find(m->archs, chord_gguf_at(&m->gguf, kv->data),
                                                   (size_t)kv->data_bytes);
    return arch ? arch->chat_template : NULL;
}

int64_t chord_model_chat_template(const chord_model *m, const char *name, int32_t n_name, char *dst,
                                  size_t cap)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    if (!m->log_end) return chord_wrong_phase(m, "chord_model_chat_template");
    if ((n_name > 0 && !name) || (cap && !dst))
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "%s is NULL", cap && !dst ? "dst" : "name");

    const chord_gguf_kv *kv = NULL;
    if (n_name < 0) {
        for (int64_t i = n_name; i < 0; i++)
            if (!(kv = next_named(m, kv))) return 0;
        return copy(dst, cap, name_of(m, kv), (uint64_t)kv->n_key - N_KEY - 1);
    }
    bool const is_default = !n_name || (n_name == 7 && chord_equal(name, "default", 7));
    if (n_name) kv = find_named(m, name, n_name);
    if (!kv && is_default) kv = chord_gguf_find(&m->gguf, KEY, N_KEY);
    if (!kv && !is_default) return fail_unknown(m, e, name, n_name);
    if (kv && (kv->is_array || kv->type != CHORD_GGUF_STRING))
        return chord_fail(e, CHORD_INVALID_GGUF, "%q is %s%s instead of a string",
                          chord_gguf_at(&m->gguf, kv->key), (size_t)kv->n_key,
                          kv->is_array ? "an array of " : "", chord_gguf_type_name(kv->type));
    if (kv && kv->data_bytes) return copy(dst, cap, chord_gguf_at(&m->gguf, kv->data), kv->data_bytes);

    const char *const text = is_default ? family_template(m) : NULL;
    return text ? copy(dst, cap, text, chord_strlen(text)) : 0;
}
