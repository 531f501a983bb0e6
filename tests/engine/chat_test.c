/* chat_test.c: chord_model_chat_template over headers: one template, several, none, and what isn't one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../include/chord.h"
#include "../format/gguf_writer.h"

#define KEY "tokenizer.chat_template"

static void put_string_kv(writer *w, const char *key, const char *text)
{
    put_key(w, key, CHORD_GGUF_STRING);
    put_text(w, text);
}

/* A model whose header is `w`, and then `n` letters x. */
static chord_model *model_of(const writer *w, size_t n)
{
    size_t const bytes = (1 << 18) + n, room = (bytes + 63) & ~(size_t)63;
    uint8_t *const block = test_alloc(room + 64), *const file = test_alloc(w->n + n);
    memcpy(file, w->bytes, w->n);
    memset(file + w->n, 'x', n);
    chord_model *m = chord_model_init((void *)(((uintptr_t)block + 63) & ~(uintptr_t)63), room);
    CHECK(m);
    chord_status const status = chord_model_push(m, 0, 0, file, w->n + n);
    char text[330];
    chord_last_error(m, text, sizeof text);
    if (status != CHORD_DONE) test_fail(__FILE__, __LINE__, "the header: %d %s", status, text);
    return m;
}

/* The call's text in memory of its own length, terminated behind it; NULL after an error. */
static const char *text_of(const chord_model *m, const char *name, int32_t n_name)
{
    int64_t const n = chord_model_chat_template(m, name, n_name, NULL, 0);
    if (n < 0) return NULL;
    char *const text = test_alloc((size_t)n + 1);
    text[n] = 0;
    CHECK_EQ(chord_model_chat_template(m, name, n_name, text, (size_t)n), n);
    return text;
}
static const char *named(const chord_model *m, const char *name)
{
    return text_of(m, name, (int32_t)strlen(name));
}

static void check_same(const char *got, const char *want)
{
    if (!got || strcmp(got, want))
        test_fail(__FILE__, __LINE__, "got %s, want %s", got ? got : "an error", want);
}
static void check_fails(const chord_model *m, const char *name, chord_status status, const char *part)
{
    char text[330];
    CHECK_EQ(chord_model_chat_template(m, name, (int32_t)strlen(name), text, sizeof text), status);
    chord_last_error(m, text, sizeof text);
    CHECK_TEXT(text, part);
}

static writer *begin_model(const char *architecture, uint64_t n_more)
{
    writer *w = begin_file(3, 0, 1 + n_more);
    put_string_kv(w, "general.architecture", architecture);
    return w;
}

TEST(a_file_s_template_is_its_default_and_has_no_name)
{
    writer *w = begin_model("qwen2", 1);
    put_string_kv(w, KEY, "its own {{ \xc3\xa9 }}");
    chord_model *m = model_of(w, 0);
    check_same(text_of(m, NULL, 0), "its own {{ \xc3\xa9 }}");
    check_same(named(m, "default"), "its own {{ \xc3\xa9 }}");
    check_same(text_of(m, NULL, -1), "");
    check_fails(m, "tool_use", CHORD_INVALID_ARGUMENT, "no chat template 'tool_use': the file has no names");
    char cut[4] = "....";
    CHECK_EQ(chord_model_chat_template(m, NULL, 0, cut, 3), 16);
    CHECK(!memcmp(cut, "its.", 4));
}

TEST(a_named_template_is_chosen_and_an_unknown_name_lists_the_names)
{
    writer *w = begin_model("llama", 6);
    put_string_kv(w, KEY ".tool_use", "with tools");
    put_array_head(w, KEY "s", CHORD_GGUF_STRING, 2);
    put_text(w, "tool_use");
    put_text(w, "rag");
    put_string_kv(w, KEY, "plain");
    put_string_kv(w, KEY ".", "no name");
    put_string_kv(w, KEY "_x", "another key");
    put_string_kv(w, KEY ".rag", "with documents");
    chord_model *m = model_of(w, 0);
    check_same(named(m, ""), "plain");
    check_same(named(m, "default"), "plain");
    check_same(named(m, "tool_use"), "with tools");
    check_same(named(m, "rag"), "with documents");
    check_same(text_of(m, NULL, -1), "tool_use");
    check_same(text_of(m, NULL, -2), "rag");
    check_same(text_of(m, NULL, -3), "");
    check_same(text_of(m, NULL, INT32_MIN), "");
    check_fails(m, "tool", CHORD_INVALID_ARGUMENT, "no chat template 'tool'; the file has 'tool_use, rag'");
    check_fails(m, "tool_use2", CHORD_INVALID_ARGUMENT, "the file has 'tool_use, rag'");
}

TEST(a_template_named_default_comes_before_the_file_s_first)
{
    writer *w = begin_model("llama", 2);
    put_string_kv(w, KEY, "plain");
    put_string_kv(w, KEY ".default", "by name");
    chord_model *m = model_of(w, 0);
    check_same(named(m, ""), "plain");
    check_same(named(m, "default"), "by name");
}

TEST(a_template_that_isn_t_a_string_is_an_error_that_says_so)
{
    writer *w = begin_model("qwen2", 3);
    put_array_head(w, KEY, CHORD_GGUF_STRING, 1);
    put_text(w, "a");
    put_u32_kv(w, KEY ".number", 7);
    put_array_head(w, KEY ".\x1b[1m", CHORD_GGUF_U8, 0);
    chord_model *m = model_of(w, 0);
    check_fails(m, "", CHORD_INVALID_GGUF, "'" KEY "' is an array of string instead of a string");
    check_fails(m, "default", CHORD_INVALID_GGUF, "'" KEY "' is an array");
    check_fails(m, "number", CHORD_INVALID_GGUF, "'" KEY ".number' is u32 instead of a string");
    check_fails(m, "\x1b[1m", CHORD_INVALID_GGUF, "'" KEY ".?[1m' is an array of u8 instead of a string");
    check_fails(m, "x", CHORD_INVALID_ARGUMENT, "'number, ?[1m'");
}

TEST(without_a_template_the_architecture_s_family_has_one)
{
    static const struct {
        const char *architecture, *part;
    } families[] = { { "qwen2", "<|im_start|>" }, { "qwen3", "<think>" }, { "gemma3", "<start_of_turn>" } };
    for (int empty = 0; empty < 2; empty++)
        for (size_t i = 0; i < 3; i++) {
            writer *w = begin_model(families[i].architecture, (uint64_t)empty);
            if (empty) put_string_kv(w, KEY, "");
            chord_model *m = model_of(w, 0);
            CHECK_TEXT(named(m, ""), families[i].part);
            check_same(named(m, "default"), named(m, ""));
            check_fails(m, "tool_use", CHORD_INVALID_ARGUMENT, "the file has no names");
        }
}

TEST(a_family_that_isn_t_known_has_no_template)
{
    static const char *const architectures[] = { "llama", "nobody", "", "qwen" };
    for (size_t i = 0; i < 4; i++) check_same(named(model_of(begin_model(architectures[i], 0), 0), ""), "");
    check_same(named(model_of(begin_file(3, 0, 0), 0), ""), "");
    writer *w = begin_file(3, 0, 1);
    put_u32_kv(w, "general.architecture", 1);
    check_same(named(model_of(w, 0), ""), "");
}

TEST(templates_are_kept_whatever_their_size)
{
    static const char *const keys[] = { KEY, KEY ".long" }, *const names[] = { "", "long" };
    for (int i = 0; i < 2; i++) {
        writer *w = begin_model("llama", 1);
        put_key(w, keys[i], CHORD_GGUF_STRING);
        put64(w, 200000);
        const char *const text = named(model_of(w, 200000), names[i]);
        CHECK(text && strlen(text) == 200000 && text[199999] == 'x');
    }
}

TEST(names_that_an_error_can_t_hold_are_left_out)
{
    writer *w = begin_model("llama", 40);
    char key[64];
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, KEY ".a_name_of_some_length_%02d", i);
        put_string_kv(w, key, "x");
    }
    chord_model *m = model_of(w, 0);
    check_fails(m, "x", CHORD_INVALID_ARGUMENT, "a_name_of_some_length_00, a_name_of_some_length_01");
    check_same(named(m, "a_name_of_some_length_39"), "x");
    check_same(text_of(m, NULL, -40), "a_name_of_some_length_39");
}

TEST(a_wrong_call_is_refused)
{
    writer *w = begin_model("llama", 1);
    put_string_kv(w, KEY, "plain");
    chord_model *m = model_of(w, 0);
    char text[64];
    CHECK_EQ(chord_model_chat_template(NULL, "", 0, text, sizeof text), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_model_chat_template(m, NULL, 1, text, sizeof text), CHORD_INVALID_ARGUMENT);
    CHECK_EQ(chord_model_chat_template(m, "", 0, NULL, 1), CHORD_INVALID_ARGUMENT);
    static _Alignas(64) uint8_t block[1 << 16];
    m = chord_model_init(block, sizeof block);
    CHECK_EQ(chord_model_chat_template(m, "", 0, text, sizeof text), CHORD_INVALID_ARGUMENT);
}
