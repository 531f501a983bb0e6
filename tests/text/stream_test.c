/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny.h"

static chord_stream *open_stream(const char *const *stops)
{
    static uint8_t records[4096];
    size_t n = 0;
    for (int i = 0; stops && stops[i]; i++) {
        int32_t const length = (int32_t)strlen(stops[i]);
        memcpy(records + n, &length, 4);
        memcpy(records + n + 4, stops[i], (size_t)length);
        n += 4 + (size_t)length;
    }
    size_t const bytes = chord_stream_bytes(n);
    chord_stream *t = chord_stream_open(test_alloc(bytes), bytes, records, n);
    CHECK(t);
    memset(records, 0x55, sizeof records); /* the stream has its own copy */
    return t;
}
#define STOPS(...) open_stream((const char *const[]){ __VA_ARGS__, NULL })

static const char *text_of(const char *text, int32_t n)
{
    static char copy[65536];
    CHECK(n >= 0 && n < 65536);
    memcpy(copy, text, (size_t)n);
    copy[n] = 0;
    return copy;
}
static const char *push(chord_stream *t, const char *bytes)
{
    const char *text;
    int32_t const n = chord_stream_push(t, bytes, strlen(bytes), &text);
    return text_of(text, n);
}
static const char *end(chord_stream *t)
{
    const char *text;
    int32_t const n = chord_stream_end(t, &text);
    return text_of(text, n);
}

TEST(a_stream_holds_back_a_character_until_it_is_complete)
{
    chord_stream *t = open_stream(NULL);
    CHECK_SAYS(push(t, "a\xF0\x9F"), "a");
    CHECK_SAYS(push(t, "\x98"), "");
    CHECK_SAYS(push(t, "\x80"
                       "b"),
               "\xF0\x9F\x98\x80"
               "b");
    CHECK_SAYS(push(t, " c"), " c");
    CHECK_SAYS(end(t), "");
}

TEST(a_stream_replaces_invalid_bytes_where_a_text_decoder_does)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        /* ? is U+FFFD */
        { "\x80", "?" },
        { "\xC3"
          "a",
          "?a" },
        { "\xE2\x82"
          "a",
          "?a" },
        { "\xE2\xE2\x82\xAC", "?\xE2\x82\xAC" },
        { "\xF0\x9F\x98", "?" },
        { "\xED\xA0\x80", "???" },
        { "\xC0\xAF", "??" },
        { "\xE0\x80\xAF", "???" },
        { "\xF4\x90\x80\x80", "????" },
        { "\xF8\x88", "??" },
        { "\xFF", "?" },
        { "\xF0\x9F"
          "a\xF0",
          "?a?" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            char want[64] = "", got[64] = "";
            for (const char *p = cases[i].text; *p; p++)
                strcat(want, *p == '?' ? "\xEF\xBF\xBD" : (char[]){ *p, 0 });
            chord_stream *t = open_stream(NULL);
            for (const char *p = cases[i].bytes; one_by_one && *p; p++)
                strcat(got, push(t, (char[]){ *p, 0 }));
            if (!one_by_one) strcat(got, push(t, cases[i].bytes));
            strcat(got, end(t));
            CHECK_SAYS(got, want);
        }
}

TEST(a_stop_string_over_several_pushes_ends_the_text_before_it)
{
    chord_stream *t = STOPS("</tool>");
    CHECK_SAYS(push(t, "yes <"), "yes ");
    CHECK_SAYS(push(t, "/to"), "");
    CHECK_EQ(chord_stream_stopped(t), 0);
    CHECK_SAYS(push(t, "ol> and more"), "");
    CHECK_EQ(chord_stream_stopped(t), 1);
    CHECK_SAYS(push(t, "more"), "");
    CHECK_SAYS(end(t), "");
}

TEST(text_that_only_begins_like_a_stop_string_is_released)
{
    chord_stream *t = STOPS("</tool>", "\n\n");
    CHECK_SAYS(push(t, "a</to"), "a");
    CHECK_SAYS(push(t, "wn"), "</town");
    CHECK_SAYS(push(t, "\n"), "");
    CHECK_SAYS(push(t, "b</"), "\nb");
    CHECK_SAYS(end(t), "</");
    CHECK_EQ(chord_stream_stopped(t), 0);
}

TEST(a_stop_string_that_overlaps_itself_is_found)
{
    chord_stream *t = STOPS("aab");
    CHECK_SAYS(push(t, "aaa"), "a"); /* the last two may become aab */
    CHECK_SAYS(push(t, "ab"), "a");
    CHECK_EQ(chord_stream_stopped(t), 1);
}

TEST(the_first_stop_string_to_complete_wins_and_on_a_tie_the_longest)
{
    chord_stream *t = STOPS("abcd", "bc");
    CHECK_SAYS(push(t, "xabcd"), "xa");
    CHECK_EQ(chord_stream_stopped(t), 2); /* its number */
    t = STOPS("bc", "abc", "c");
    CHECK_SAYS(push(t, "xabc"), "x"); /* all complete at once: the longest wins */
    CHECK_EQ(chord_stream_stopped(t), 2);
    CHECK_SAYS(push(t, "bc"), "");
    CHECK_EQ(chord_stream_stopped(t), 2);
}

TEST(a_replaced_character_can_complete_a_stop_string)
{
    chord_stream *t = STOPS("a\xEF\xBF\xBD");
    CHECK_SAYS(push(t, "ba\xE2"), "b");
    CHECK_SAYS(end(t), "");
    CHECK_EQ(chord_stream_stopped(t), 1);
}

TEST(pushes_after_the_end_begin_anew)
{
    chord_stream *t = STOPS("ab");
    CHECK_SAYS(push(t, "xa"), "x");
    CHECK_SAYS(end(t), "a");
    CHECK_SAYS(push(t, "b\xE2\x82"), "b"); /* no stop string reaches over the end */
    CHECK_SAYS(end(t), "\xEF\xBF\xBD");
    CHECK_SAYS(push(t, "\xAC"), "\xEF\xBF\xBD"); /* and no character */
    CHECK_EQ(chord_stream_stopped(t), 0);
    CHECK_SAYS(push(t, "ab"), "");
    CHECK_EQ(chord_stream_stopped(t), 1);
}

TEST(stop_strings_that_are_not_text_are_refused)
{
    uint8_t block[32768];
    void *aligned = (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    size_t const bytes = sizeof block - 64;
    CHECK(chord_stream_open(aligned, bytes, NULL, 0));
    CHECK(!chord_stream_open(aligned, bytes, "\0\0\0\0a", 5));         /* empty */
    CHECK(!chord_stream_open(aligned, bytes, "\2\0\0\0a", 5));         /* longer than the rest */
    CHECK(!chord_stream_open(aligned, bytes,
                             "\xFF\xFF\xFF\xFF"
                             "a",
                             5));
    CHECK(!chord_stream_open(aligned, bytes, "\1\0\0\0ab", 6));        /* a rest that is no record */
    CHECK(!chord_stream_open(aligned, bytes, "\1\0\0\0\x80", 5));      /* not UTF-8 */
    CHECK(!chord_stream_open(aligned, bytes, "\2\0\0\0\xC0\x80", 6));
    CHECK(chord_stream_open(aligned, bytes, "\1\0\0\0a", 5));
    CHECK(!chord_stream_open(aligned, chord_stream_bytes(5) - 1, "\1\0\0\0a", 5));
    CHECK(!chord_stream_open((uint8_t *)aligned + 1, bytes, NULL, 0));
    CHECK(!chord_stream_open(NULL, bytes, NULL, 0));
    CHECK_EQ(chord_stream_bytes(65537), 0);
}

TEST(a_push_has_a_limit_and_stays_within_the_block)
{
    chord_stream *t = open_stream(NULL);
    static char bytes[CHORD_STREAM_PUSH + 1];
    const char *text;
    memset(bytes, '\xFF', sizeof bytes);
    CHECK_EQ(chord_stream_push(t, "\xF0\x9F\x98", 3, &text), 0);
    /* the maximum text of one push */
    CHECK_EQ(chord_stream_push(t, bytes, CHORD_STREAM_PUSH, &text), 3 * (CHORD_STREAM_PUSH + 1));
    CHECK_EQ(chord_stream_push(t, bytes, CHORD_STREAM_PUSH + 1, &text), CHORD_INVALID_ARGUMENT);
}

/* The rule: the first stop string to complete wins; on a tie, the longest. */
static size_t naive_stop(const char *text, const char *const *stops)
{
    for (size_t to = 1; to <= strlen(text); to++) {
        size_t longest = 0;
        for (int i = 0; stops[i]; i++) {
            size_t const n = strlen(stops[i]);
            if (n <= to && !memcmp(text + to - n, stops[i], n) && n > longest) longest = n;
        }
        if (longest) return to - longest;
    }
    return strlen(text);
}

TEST(any_division_of_a_text_into_pushes_streams_the_same_text)
{
    static const char *const stops[] = { "abab", "ba\xC3\xA9", "bb",
                                         "\xC3\xA9\xC3\xA9"
                                         "a",
                                         NULL };
    for (int round = 0; round < 3000; round++) {
        int const mark = test_mark();
        char text[128] = "", got[128] = "";
        for (int i = 0, n = (int)(test_random() % 24); i < n; i++) {
            static const char *const parts[] = { "a", "b", "\xC3\xA9" };
            strcat(text, parts[test_random() % 3]);
        }
        chord_stream *t = open_stream(stops);
        size_t const want = naive_stop(text, stops), n = strlen(text);
        for (size_t at = 0; at < n;) {
            char part[16] = "";
            size_t size = 1 + test_random() % 8;
            if (size > n - at) size = n - at;
            memcpy(part, text + at, size);
            at += size;
            const char *ready = push(t, part);
            CHECK((ready[0] & 0xC0) != 0x80); /* a piece never begins in the middle of a character */
            strcat(got, ready);
            CHECK(strlen(got) <= want);
        }
        strcat(got, end(t));
        text[want] = 0;
        CHECK_SAYS(got, text);
        CHECK_EQ(chord_stream_stopped(t) > 0, want < n);
        test_release(mark);
    }
}
