/* gguf_writer.h: writes GGUF headers, well-formed or not, for the tests of the reader. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEST_GGUF_WRITER_H
#define CHORD_TEST_GGUF_WRITER_H
#include "../../src/format/gguf.h"
#include "../harness/test.h"

typedef struct writer {
    uint8_t bytes[1 << 16];
    size_t n;
} writer;

static inline void put_bytes(writer *w, const void *p, size_t n)
{
    if (w->n + n > sizeof w->bytes) test_fail(__FILE__, __LINE__, "the test's file is too long");
    memcpy(w->bytes + w->n, p, n);
    w->n += n;
}
static inline void put32(writer *w, uint32_t v) { put_bytes(w, &v, 4); }
static inline void put64(writer *w, uint64_t v) { put_bytes(w, &v, 8); }
static inline void put_text(writer *w, const char *s)
{
    put64(w, strlen(s));
    put_bytes(w, s, strlen(s));
}

static inline writer *begin_file(uint32_t version, uint64_t n_tensors, uint64_t n_kv)
{
    writer *w = test_alloc(sizeof *w);
    w->n = 0;
    put_bytes(w, "GGUF", 4);
    put32(w, version);
    put64(w, n_tensors);
    put64(w, n_kv);
    return w;
}
static inline void put_key(writer *w, const char *key, int type)
{
    put_text(w, key);
    put32(w, (uint32_t)type);
}
static inline void put_u32_kv(writer *w, const char *key, uint32_t v)
{
    put_key(w, key, CHORD_GGUF_U32);
    put32(w, v);
}
static inline void put_array_head(writer *w, const char *key, int type, uint64_t count)
{
    put_key(w, key, CHORD_GGUF_ARRAY);
    put32(w, (uint32_t)type);
    put64(w, count);
}
static inline void put_tensor(writer *w, const char *name, int n_dims, const uint64_t *ne, int type,
                              uint64_t offset)
{
    put_text(w, name);
    put32(w, (uint32_t)n_dims);
    for (int i = 0; i < n_dims; i++) put64(w, ne[i]);
    put32(w, (uint32_t)type);
    put64(w, offset);
}

typedef struct reading {
    chord_gguf g;
    chord_error error;
    chord_status status;
    int n_refused; /* number of NEED_MEMORY results */
} reading;

static const char *const test_wanted[] = { "tokenizer.ggml.tokens",
                                           "tokenizer.ggml.scores",
                                           "tokenizer.ggml.token_type",
                                           "tokenizer.ggml.merges",
                                           "tokenizer.chat_template",
                                           "tokenizer.chat_template.",
                                           NULL };

/* Reads `n` bytes in chunks of `chunk`. The log has `first` bytes at first; each NEED_MEMORY adds `step`
 * bytes. */
static inline reading *read_header(const uint8_t *bytes, size_t n, size_t chunk, size_t first, size_t step,
                                   uint64_t file_bytes)
{
    reading *r = test_alloc(sizeof *r);
    size_t const room = 4 * n + 65536; /* a record has at most 80 bytes, for at least 24 in the file */
    memset(r, 0, sizeof *r);
    chord_gguf_init(&r->g, (chord_arena){ test_alloc(room), 0, first }, test_wanted);
    r->g.file_bytes = file_bytes;
    r->status = CHORD_MORE;
    for (size_t done = 0; r->status == CHORD_MORE && done < n;) {
        size_t const end = n - done < chunk ? n : done + chunk;
        do {
            size_t taken = 99999999;
            r->status = chord_gguf_push(&r->g, bytes + done, end - done, &taken, &r->error);
            CHECK(taken <= end - done);
            done += taken;
            if (r->status == CHORD_MORE) CHECK_EQ(done, end);
            if (r->status == CHORD_NEED_MEMORY) {
                r->n_refused++;
                r->g.log.cap += step;
                if (r->g.log.cap > room) r->g.log.cap = room;
            }
        } while (r->status == CHORD_NEED_MEMORY);
        CHECK_EQ(r->g.position, done);
    }
    return r;
}
static inline reading *read_file(const writer *w)
{
    return read_header(w->bytes, w->n, w->n, 65536, 65536, UINT64_MAX);
}

/* Prints everything that a header holds: equal texts are equal headers. */
static inline const char *describe(const chord_gguf *g)
{
    size_t const cap = 1 << 20;
    char *text = test_alloc(cap);
    size_t n = 0;
#define SAY(...) (n += (size_t)snprintf(text + n, n < cap ? cap - n : 0, __VA_ARGS__))
    SAY("v%u kv %llu tensors %llu align %u data %llu\n", g->version, (unsigned long long)g->n_kv,
        (unsigned long long)g->n_tensors, g->alignment, (unsigned long long)g->data_begin);
    for (const chord_gguf_kv *kv = NULL; (kv = chord_gguf_next_kv(g, kv));) {
        SAY("%.*s: %s%s x %llu, %s %llu bytes", kv->n_key, (const char *)chord_gguf_at(g, kv->key),
            chord_gguf_type_name(kv->type), kv->is_array ? "[]" : "", (unsigned long long)kv->count,
            kv->is_kept ? "kept" : "skipped", (unsigned long long)kv->data_bytes);
        const uint8_t *data = chord_gguf_at(g, kv->data);
        for (uint64_t i = 0; kv->is_kept && i < kv->data_bytes && i < 2000; i++) SAY(" %02x", data[i]);
        SAY("\n");
    }
    for (const chord_gguf_tensor *t = NULL; (t = chord_gguf_next_tensor(g, t));)
        SAY("%.*s: type %d, %d dims %lld %lld %lld %lld at %llu\n", t->n_name,
            (const char *)chord_gguf_at(g, t->name), t->type, t->n_dims, (long long)t->ne[0],
            (long long)t->ne[1], (long long)t->ne[2], (long long)t->ne[3], (unsigned long long)t->offset);
#undef SAY
    return text;
}

#endif
