/* show_test.c: how text from a file or a model is escaped before it reaches a terminal. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/cli/show.c"
#include "../harness/test.h"

static const char *shown(const char *text, size_t n, int32_t form)
{
    char *got = NULL;
    size_t bytes;
    FILE *f = open_memstream(&got, &bytes);
    cli_show(f, text, n, form);
    fclose(f);
    char *kept = test_alloc(bytes + 1);
    memcpy(kept, got, bytes + 1);
    free(got);
    return kept;
}
#define SHOWN(text, form) shown(text, sizeof text - 1, form)
#define CHECK_SAME(got, want) CHECK(!strcmp(got, want))

TEST(controls_and_bidi_marks_are_shown_as_escapes)
{
    CHECK_SAME(SHOWN("a\x1b[2Jb\x7f", CLI_LINE), "a\\x1b[2Jb\\x7f");
    CHECK_SAME(SHOWN("\xc2\x9b"
                     "2J\xc2\x85",
                     CLI_TEXT),
               "\\x9b2J\\x85");
    CHECK_SAME(SHOWN("\xe2\x80\xae"
                     "abc\xe2\x81\xa9\xd8\x9c\xe2\x80\x8e\xe2\x80\xa9",
                     CLI_TEXT),
               "\\u202eabc\\u2069\\u061c\\u200e\\u2029");
    CHECK_SAME(SHOWN("\x9b"
                     "2J\xc0\x9b\xff",
                     CLI_TEXT),
               "\\x9b2J\\xc0\\x9b\\xff"); /* not UTF-8 */
    CHECK_SAME(SHOWN("\0", CLI_LINE), "\\x00");
}

TEST(line_ends_stay_in_texts_and_are_escaped_in_names)
{
    CHECK_SAME(SHOWN("a\n\tb\r\n", CLI_TEXT), "a\n\tb\\x0d\n");
    CHECK_SAME(SHOWN("a\n\tb\r\n", CLI_LINE), "a\\x0a\tb\\x0d\\x0a");
}

TEST(all_other_characters_are_sent_unchanged)
{
    static const char text[] = "\xc3\xa4 \xe2\x82\xac \xe2\x80\x93 \xd8\xa7 \xf0\x9f\x98\x80 \"quoted\" \\";
    CHECK_SAME(SHOWN(text, CLI_TEXT), text);
    CHECK_SAME(SHOWN(text, CLI_LINE), text);
}

TEST(a_json_string_is_valid_and_contains_no_controls)
{
    CHECK_SAME(SHOWN("\"\\\n\x1b\x7f\xc2\x9b\xe2\x80\xae\x9b\xc3\xa4", CLI_JSON),
               "\\\"\\\\\\u000a\\u001b\\u007f\\u009b\\u202e\\ufffd\xc3\xa4");
}
