/* gguf_fuzz.c: arbitrary bytes as a GGUF header. The first two bytes of the input seed the sizes of chunks
 * and memory grants. The rest is the file. The file is read twice: once in one chunk with all memory, and
 * once in these chunks. Both readings must agree in status, error text, position and records. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/format/gguf.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct reading {
    chord_gguf g;
    chord_error error;
    chord_status status;
} reading;

static void check(int holds)
{
    if (!holds) abort();
}

static uint32_t next(uint32_t *state) { return *state = *state * 1664525u + 1013904223u, *state >> 16; }

static const char *const wanted[] = { "tokenizer.ggml.tokens",
                                      "tokenizer.ggml.scores",
                                      "tokenizer.ggml.token_type",
                                      "tokenizer.ggml.merges",
                                      "tokenizer.chat_template",
                                      "tokenizer.chat_template.",
                                      NULL };

/* Reads the file in chunks chosen by `seed`. Seed 0: one chunk, with all `room` bytes of memory. */
static void read_all(reading *r, const uint8_t *bytes, size_t n, uint8_t *log, size_t room, uint32_t seed)
{
    memset(r, 0, sizeof *r);
    chord_gguf_init(&r->g, (chord_arena){ log, 0, seed ? 8 : room }, wanted);
    r->g.file_bytes = n;
    r->status = CHORD_MORE;
    for (size_t done = 0; r->status == CHORD_MORE && done < n;) {
        size_t const left = n - done, chunk = seed ? 1 + next(&seed) % (next(&seed) % 4 ? 16 : 4096) : left;
        size_t const end = done + (chunk < left ? chunk : left);
        do {
            size_t taken = 0;
            r->status = chord_gguf_push(&r->g, bytes + done, end - done, &taken, &r->error);
            check(taken <= end - done);
            done += taken;
            check(r->status != CHORD_MORE || done == end);
            if (r->status == CHORD_NEED_MEMORY) {
                check(r->g.log.cap < room); /* no header needs more than `room` */
                r->g.log.cap += 1 + (seed ? next(&seed) % 256 : 0);
                if (r->g.log.cap > room) r->g.log.cap = room;
            }
        } while (r->status == CHORD_NEED_MEMORY);
        check(r->g.position == done);
    }
}

static void same_text(const reading *a, uint64_t at_a, const reading *b, uint64_t at_b, uint64_t n)
{
    check(at_a + n <= a->g.log.used && at_b + n <= b->g.log.used);
    check(!memcmp(a->g.log.base + at_a, b->g.log.base + at_b, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) return 0;
    uint32_t const seed = 2 + 2u * data[0] + 512u * data[1];
    data += 2;
    n -= 2;
    /* 13 bytes of the file can append 64 to the log (a key with a bool); 24 can append 72 (a tensor). */
    size_t const room = 5 * n + 1024;
    uint8_t *logs = aligned_alloc(64, 2 * ((room + 63) / 64 * 64));
    static reading a, b;
    read_all(&a, data, n, logs, room, 0);
    read_all(&b, data, n, logs + (room + 63) / 64 * 64, room, seed);

    check(a.status == b.status && a.g.position == b.g.position);
    check(a.status >= 0 ||
          (a.error.length == b.error.length && !memcmp(a.error.text, b.error.text, (size_t)a.error.length)));
    if (a.status < 0) check(a.status == CHORD_INVALID_GGUF && a.error.length > 0);
    if (a.status == CHORD_OK) {
        check(a.g.n_kv == b.g.n_kv && a.g.n_tensors == b.g.n_tensors && a.g.data_begin == b.g.data_begin);
        uint64_t n_kv = 0, n_tensors = 0;
        const chord_gguf_kv *k = NULL, *l = NULL;
        while ((k = chord_gguf_next_kv(&a.g, k))) {
            l = chord_gguf_next_kv(&b.g, l);
            check(l && k->n_key == l->n_key && k->type == l->type && k->count == l->count &&
                  k->is_array == l->is_array && k->is_kept == l->is_kept && k->data_bytes == l->data_bytes &&
                  k->hash == l->hash);
            same_text(&a, k->key, &b, l->key, (uint64_t)k->n_key);
            if (k->is_kept) same_text(&a, k->data, &b, l->data, k->data_bytes);
            check(chord_gguf_find(&a.g, chord_gguf_at(&a.g, k->key), (size_t)k->n_key) == k);
            n_kv++;
        }
        const chord_gguf_tensor *t = NULL, *u = NULL;
        while ((t = chord_gguf_next_tensor(&a.g, t))) {
            u = chord_gguf_next_tensor(&b.g, u);
            check(u && t->n_name == u->n_name && t->type == u->type && t->n_dims == u->n_dims &&
                  t->offset == u->offset && !memcmp(t->ne, u->ne, sizeof t->ne));
            same_text(&a, t->name, &b, u->name, (uint64_t)t->n_name);
            n_tensors++;
        }
        check(n_kv == a.g.n_kv && n_tensors == a.g.n_tensors);
    }
    free(logs);
    return 0;
}
