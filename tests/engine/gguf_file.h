/* gguf_file.h: writes a GGUF file into memory, for tests that make their models. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_GGUF_FILE_H
#define CHORD_TESTS_GGUF_FILE_H
#include "../harness/test.h"
#include "../../src/format/gguf.h"

typedef struct file {
    uint8_t *bytes;
    size_t n, cap, data; /* data: bytes of tensor data so far */
} file;

static inline void put(file *f, const void *p, size_t n)
{
    CHECK(f->n + n <= f->cap);
    memcpy(f->bytes + f->n, p, n);
    f->n += n;
}
static inline void put32(file *f, uint32_t v) { put(f, &v, 4); }
static inline void put64(file *f, uint64_t v) { put(f, &v, 8); }
static inline void put_text(file *f, const char *s)
{
    put64(f, strlen(s));
    put(f, s, strlen(s));
}
static inline void put_number(file *f, const char *key, uint32_t v)
{
    put_text(f, key);
    put32(f, CHORD_GGUF_U32);
    put32(f, v);
}
static inline void put_string(file *f, const char *key, const char *value)
{
    put_text(f, key);
    put32(f, CHORD_GGUF_STRING);
    put_text(f, value);
}
/* The tokens t0, t1 ... of a vocabulary of SentencePiece. */
static inline void put_vocabulary(file *f, int32_t n)
{
    put_string(f, "tokenizer.ggml.model", "llama");
    put_text(f, "tokenizer.ggml.tokens");
    put32(f, CHORD_GGUF_ARRAY);
    put32(f, CHORD_GGUF_STRING);
    put64(f, (uint64_t)n);
    for (int32_t i = 0; i < n; i++) {
        char token[16];
        snprintf(token, sizeof token, "t%d", i);
        put_text(f, token);
    }
}
static inline void put_padding(file *f)
{
    while (f->n % 32) put(f, "", 1);
}

#endif
