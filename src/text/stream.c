/* stream.c: bytes of tokens -> whole characters; possible stop strings are held back. See chord.h.
 *
 * Each byte passes two machines. The first one gathers a character. It passes on complete characters, and
 * U+FFFD for each maximal ill-formed part (Unicode 3.9, as TextDecoder does). The second one runs the
 * Knuth-Morris-Pratt automaton of each stop string over the text, and holds back as many bytes as the
 * longest match so far has. Neither machine depends on where a push ends, so the text doesn't depend on
 * how the bytes are divided into pushes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../include/chord.h"
#include "../base/arena.h"
#include "../base/mem.h"

enum { MAX_STOPS_BYTES = 65536 };

typedef struct stop {
    const uint8_t *text;
    uint32_t *fallback; /* [i]: length of the longest proper prefix of text[0 .. i] that is its suffix */
    uint32_t n, matched;
} stop;

struct chord_stream {
    stop *stops;
    uint32_t n_stops;
    uint32_t n_held;     /* last bytes of `text`, which may begin a stop string */
    uint32_t n_text;     /* bytes in `text` */
    uint32_t n_ready;    /* first bytes of `text`, returned by the last call */
    uint32_t n_character, want; /* bytes of the unfinished character: so far; when complete */
    uint8_t character[4], low, high; /* low, high: bounds of the next byte */
    int32_t stopped;             /* the stop string that is complete, counted from 1; 0: none */
    uint8_t *text;
};

/* Maximum text of one push: the bytes held back, and 3 bytes (U+FFFD) per byte of the unfinished character
 * and of the push. */
static uint64_t text_cap(uint64_t n_stops) { return n_stops + 3 * (CHORD_STREAM_PUSH + 4); }

/* `n_stops` is in bytes. A record `int32 length, bytes` has at least 5. */
static bool lay_out(chord_stream *t, uint64_t n_stops, chord_arena *a, uint8_t **copy, uint32_t **fallbacks)
{
    t->stops = chord_arena_take(a, n_stops / 5 * sizeof(stop), 8);
    *fallbacks = chord_arena_take(a, n_stops * 4, 4);
    *copy = chord_arena_take(a, n_stops, 1);
    t->text = chord_arena_take(a, text_cap(n_stops), 1);
    return t->text != NULL;
}

size_t chord_stream_bytes(size_t n_stops)
{
    chord_stream t;
    chord_arena a = { NULL, sizeof t, SIZE_MAX };
    uint8_t *copy;
    uint32_t *fallbacks;
    if (n_stops > MAX_STOPS_BYTES) return 0;
    lay_out(&t, n_stops, &a, &copy, &fallbacks);
    return a.used;
}

/* ---- characters -------------------------------------------------------------------------------- */

/* Returns the length of the character that `lead` begins, or 0, and sets the bounds of its second byte
 * (Unicode table 3-7). */
static uint32_t begin_character(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    *high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    return lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
}

static bool is_utf8(const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n;) {
        uint8_t low, high;
        uint32_t const want = begin_character(p[i], &low, &high);
        if (!want || want > n - i) return false;
        for (uint32_t k = 1; k < want; k++, low = 0x80, high = 0xBF)
            if (p[i + k] < low || p[i + k] > high) return false;
        i += want;
    }
    return true;
}

/* ---- stop strings ------------------------------------------------------------------------------ */

static uint32_t advance(const stop *s, uint32_t matched, uint8_t byte)
{
    while (matched && s->text[matched] != byte) matched = s->fallback[matched - 1];
    return s->text[matched] == byte ? matched + 1 : 0;
}

static void put_byte(chord_stream *t, uint8_t byte)
{
    uint32_t longest = 0;
    if (t->stopped) return;
    t->text[t->n_text++] = byte;
    t->n_held = 0;
    for (uint32_t i = 0; i < t->n_stops; i++) {
        stop *s = &t->stops[i];
        s->matched = advance(s, s->matched, byte);
        if (s->matched == s->n && s->n > longest) longest = s->n, t->stopped = (int32_t)i + 1;
        if (s->matched > t->n_held) t->n_held = s->matched;
    }
    if (!longest) return;
    t->n_text -= longest;
    t->n_held = 0;
}

static void put_bytes(chord_stream *t, const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) put_byte(t, p[i]);
}

static void put_replacement(chord_stream *t)
{
    put_bytes(t, (const uint8_t *)"\xEF\xBF\xBD", 3);
    t->n_character = 0;
}

static void take_byte(chord_stream *t, uint8_t byte)
{
    if (t->n_character) {
        if (byte < t->low || byte > t->high) {
            put_replacement(t); /* the byte then begins a new character */
        } else {
            t->character[t->n_character++] = byte;
            t->low = 0x80;
            t->high = 0xBF;
        }
    }
    if (!t->n_character) {
        t->want = begin_character(byte, &t->low, &t->high);
        if (!t->want) {
            put_replacement(t);
            return;
        }
        t->character[t->n_character++] = byte;
    }
    if (t->n_character == t->want) {
        put_bytes(t, t->character, t->want);
        t->n_character = 0;
    }
}

/* ---- calls ------------------------------------------------------------------------------------- */

chord_stream *chord_stream_open(void *block, size_t bytes, const void *stops, size_t n_stops)
{
    if (!block || (uintptr_t)block % 8 || n_stops > MAX_STOPS_BYTES) return NULL;
    chord_arena a = { block, 0, bytes };
    chord_stream *t = chord_arena_take(&a, sizeof *t, 8);
    uint8_t *copy;
    uint32_t *fallback;
    if (!t) return NULL;
    *t = (chord_stream){ 0 };
    if (!lay_out(t, n_stops, &a, &copy, &fallback)) return NULL;
    chord_copy(copy, stops, n_stops);
    for (size_t left = n_stops; left; t->n_stops++) {
        if (left < 5) return NULL;
        int32_t const n = chord_i32(copy);
        if (n <= 0 || (size_t)n > left - 4 || !is_utf8(copy + 4, (uint32_t)n)) return NULL;
        stop *s = &t->stops[t->n_stops];
        *s = (stop){ copy + 4, fallback, (uint32_t)n, 0 };
        fallback[0] = 0;
        for (uint32_t i = 1; i < s->n; i++) fallback[i] = advance(s, fallback[i - 1], s->text[i]);
        copy += 4 + n;
        fallback += n;
        left -= 4 + (size_t)n;
    }
    return t;
}

/* Drops the text that the last call returned. */
static void drop_ready(chord_stream *t)
{
    chord_move(t->text, t->text + t->n_ready, t->n_text - t->n_ready);
    t->n_text -= t->n_ready;
    t->n_ready = 0;
}

static int32_t give(chord_stream *t, uint32_t n, const char **text)
{
    t->n_ready = n;
    *text = (const char *)t->text;
    return (int32_t)n;
}

int32_t chord_stream_push(chord_stream *t, const char *bytes, size_t n, const char **text)
{
    if (n > CHORD_STREAM_PUSH) return CHORD_INVALID_ARGUMENT;
    drop_ready(t);
    for (size_t i = 0; i < n; i++) take_byte(t, (uint8_t)bytes[i]);
    return give(t, t->n_text - t->n_held, text);
}

int32_t chord_stream_end(chord_stream *t, const char **text)
{
    drop_ready(t);
    if (t->n_character && !t->stopped) put_replacement(t);
    t->n_character = 0;
    for (uint32_t i = 0; i < t->n_stops; i++) t->stops[i].matched = 0;
    t->n_held = 0;
    return give(t, t->n_text, text);
}

int32_t chord_stream_stopped(const chord_stream *t) { return t->stopped; }
