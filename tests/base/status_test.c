/* status_test.c: the texts of errors (chord_fail). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/base/status.h"
#include "../harness/test.h"

TEST(fail_returns_its_status_and_needs_no_error_object)
{
    CHECK_EQ(chord_fail(NULL, CHORD_INVALID_GGUF, "%s", "x"), CHORD_INVALID_GGUF);
    chord_error e;
    CHECK_EQ(chord_fail(&e, CHORD_BUSY, "plain"), CHORD_BUSY);
    CHECK_EQ(e.length, 5);
    CHECK(!strcmp(e.text, "plain"));
}

TEST(fail_formats_each_kind_of_argument)
{
    chord_error e;
    chord_fail(&e, CHORD_INTERNAL, "%s %q %d %d %u %x %%", "s", "tensor.x", (size_t)6, (int32_t)-12,
               INT32_MIN, UINT64_MAX, (uint64_t)0xbeef);
    CHECK(!strcmp(e.text, "s 'tensor' -12 -2147483648 18446744073709551615 beef %"));
    CHECK_EQ(e.length, strlen(e.text));
}

TEST(a_quoted_name_is_shortened_and_cleaned)
{
    chord_error e;
    char name[200];
    memset(name, 'n', sizeof name);
    name[0] = 0;
    name[1] = '\n';
    name[2] = 127;
    chord_fail(&e, CHORD_INVALID_GGUF, "%q", name, sizeof name);
    CHECK_EQ(e.length, 1 + 120 + 3 + 1);
    CHECK(!memcmp(e.text, "'???nnn", 7));
    CHECK_TEXT(e.text, "n...'");
}

TEST(a_quoted_name_has_no_controls_and_no_bidi_marks)
{
    chord_error e;
    /* ESC, CSI, ALM, RLM, LS, RLO, LRI */
    static const char name[] =
        "a\x1b[2J\xc2\x9b\xd8\x9c\xe2\x80\x8f\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6z\r\n";
    chord_fail(&e, CHORD_INVALID_GGUF, "%q", name, sizeof name - 1);
    CHECK(!memcmp(e.text, "'a?[2J\?\?\?\?\?\?z\?\?'", 17));
    /* letters, a dash, a face */
    static const char kept[] = "\xc3\xa4\xe2\x82\xac\xe2\x80\x93\xd8\xa7\xf0\x9f\x98\x80";
    chord_fail(&e, CHORD_INVALID_GGUF, "%q", kept, sizeof kept - 1);
    CHECK(!memcmp(e.text + 1, kept, sizeof kept - 1));
}

TEST(a_text_that_is_too_long_is_cut_between_characters)
{
    chord_error e;
    char text[1000] = "";
    for (int shift = 0; shift < 3; shift++) { /* the limit is at each byte of a three-byte character */
        memset(text, 'x', (size_t)shift);
        for (int i = 0; i < 200; i++) memcpy(text + shift + 3 * i, "\xe2\x82\xac", 4);
        memset(&e, 0xff, sizeof e);
        chord_fail(&e, CHORD_INVALID_GGUF, "%s", text);
        CHECK(e.length < CHORD_ERROR_BYTES && e.length > CHORD_ERROR_BYTES - 5);
        CHECK_EQ(e.text[e.length], 0);
        CHECK_EQ((e.length - shift) % 3, 0);
    }
}

TEST(every_status_number_and_code_is_used_once)
{
#define ROW(name, value, code, text) { value, code },
    static const struct {
        int32_t value;
        const char *code;
    } rows[] = { CHORD_ERROR_LIST(ROW) };
#undef ROW
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(rows[i].value < 0);
        for (size_t j = 0; j < i; j++)
            CHECK(rows[i].value != rows[j].value && strcmp(rows[i].code, rows[j].code));
    }
}
