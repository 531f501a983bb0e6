/* session_fuzz.c: chord_session_restore() on damaged and on hostile saves.
 *
 *   input   byte 0: the tokens of the saved session; byte 1: flags; byte 2: bytes cut off, / 8;
 *           byte 3: bytes per chunk. Then edits of 4 bytes: an offset (16 bits), a byte to xor, 0
 *           flags: 1 writes right checksums after the edits, 2 puts the offsets behind the header,
 *           4 truncates the session before it is saved
 *
 * No call may fault. A save that was changed and not signed again is never accepted. An accepted session
 * computes, forks, truncates and saves; a refused one is empty and usable. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/host/native/load.h"
#include "../../src/session/save.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { N_CTX = 128, MOST = 1 << 20 };

static void check(int holds)
{
    if (!holds) abort();
}

static chord_loaded loaded;
static void *from_block, *to_block, *fork_block;

static void load(void)
{
    chord_config config = chord_config_default();
    config.n_ctx = N_CTX;
    config.n_batch = 16;
    check(chord_load_file(&loaded, "tests/golden/gemma3-iq4_nl.gguf", &config, 0, 0, NULL) >= 0);
    size_t const bytes = chord_session_bytes(loaded.model);
    from_block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    to_block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    fork_block = aligned_alloc(64, (bytes + 63) / 64 * 64);
}

/* Gives the pages that a session wants. They are used again by later inputs. */
static void give(chord_session *s)
{
    chord_session_state state;
    check(chord_session_get_state(s, &state) == CHORD_OK);
    size_t const bytes = (size_t)state.wanted_bytes;
    void *block = chord_load_block(&loaded, bytes);
    check(bytes && block && chord_model_give(loaded.model, block, bytes) == CHORD_OK);
}

/* Makes a session of n tokens and returns its save. */
static size_t make_save(uint8_t *to, int32_t n, int is_cut)
{
    chord_session *s = chord_session_open(loaded.model, from_block, chord_session_bytes(loaded.model));
    int32_t ids[N_CTX];
    for (int32_t i = 0; i < n; i++) ids[i] = i * 7 % 200;
    check(chord_session_push(s, ids, n) == CHORD_OK);
    check(chord_load_run(&loaded, s, CHORD_NO_LIMIT) == CHORD_DONE);
    if (is_cut) check(chord_session_truncate(s, n / 2) >= 0);
    size_t const bytes = (size_t)chord_session_save_bytes(s);
    check(bytes <= MOST && chord_session_save(s, 0, to, bytes) == CHORD_DONE);
    chord_session_close(s);
    return bytes;
}

static void sign(uint8_t *save, size_t n)
{
    chord_save_header h;
    memcpy(&h, save, sizeof h);
    h.sum = chord_sum(CHORD_SUM_BEGIN, &h, sizeof h - 8);
    memcpy(save, &h, sizeof h);
    uint64_t const sum = chord_sum(CHORD_SUM_BEGIN, save, n - 8);
    memcpy(save + n - 8, &sum, 8);
}

/* Evaluates a few more tokens. Logits needn't be finite. */
static void go_on(chord_session *s)
{
    static uint8_t again[MOST];
    chord_session_state state;
    check(chord_session_get_state(s, &state) == CHORD_OK);
    check(0 <= state.n_past && state.n_past <= state.n_tokens && state.n_tokens <= N_CTX);
    size_t const bytes = (size_t)chord_session_save_bytes(s);
    check(bytes <= MOST && chord_session_save(s, 0, again, bytes) == CHORD_DONE);
    chord_session *fork;
    chord_status status;
    size_t const session_bytes = chord_session_bytes(loaded.model);
    while ((status = chord_session_fork(s, fork_block, session_bytes, &fork)) == CHORD_NEED_MEMORY) give(s);
    check(status == CHORD_OK);
    int32_t const more[3] = { 5, 6, 7 };
    if (chord_session_push(fork, more, 3) == CHORD_OK)
        check(chord_load_run(&loaded, fork, CHORD_NO_LIMIT) != CHORD_NEED_MEMORY);
    check(chord_session_truncate(fork, state.n_tokens / 2) <= state.n_tokens / 2);
    chord_session_close(fork);
    if (chord_session_push(s, more, 3) == CHORD_OK)
        check(chord_load_run(&loaded, s, CHORD_NO_LIMIT) != CHORD_NEED_MEMORY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static uint8_t save[MOST], before[MOST];
    if (n < 4) return 0;
    if (!loaded.model) load();
    size_t const whole = make_save(save, 1 + data[0] % (N_CTX - 4), data[1] & 4);
    memcpy(before, save, whole);
    for (size_t i = 4; i + 4 <= n; i += 4) {
        size_t const off = (size_t)(data[i] | data[i + 1] << 8);
        save[(data[1] & 2 ? sizeof(chord_save_header) + off : off) % whole] ^= data[i + 2];
    }
    if (data[1] & 1) sign(save, whole);
    size_t const cut = data[2] * (size_t)8, bytes = cut < whole ? whole - cut : 0;
    size_t const chunk = data[3] ? data[3] * (size_t)16 : whole;

    chord_session *s = chord_session_open(loaded.model, to_block, chord_session_bytes(loaded.model));
    chord_status status = CHORD_MORE;
    for (size_t at = 0; at < bytes && status == CHORD_MORE; at += chunk) {
        size_t const part = chunk < bytes - at ? chunk : bytes - at;
        while ((status = chord_session_restore(s, at, save + at, part)) == CHORD_NEED_MEMORY) give(s);
    }
    check(status == CHORD_MORE || status == CHORD_DONE || status == CHORD_INTEGRITY ||
          status == CHORD_INVALID_ARGUMENT || status == CHORD_CONTEXT_FULL);
    check(status == CHORD_DONE || chord_session_truncate(s, 0) == 0);
    check(status != CHORD_DONE || data[1] & 1 || !memcmp(save, before, whole));
    check(status != CHORD_MORE || bytes < whole);
    go_on(s);
    chord_session_close(s);
    return 0;
}
