/* gguf_test.c: well-formed headers are read the same in chunks of any size and with memory of any size. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "gguf_writer.h"

/* A header with every value type, with kept and skipped values, and tensors of one to four dimensions. */
static writer *sample(uint32_t version)
{
    static const uint64_t ne[4] = { 64, 3, 2, 5 };
    writer *w = begin_file(version, 4, 22);
    for (int type = 0; type < CHORD_GGUF_TYPES; type++) {
        uint32_t const bytes = chord_gguf_type_bytes(type);
        if (!bytes) continue;
        char key[32];
        snprintf(key, sizeof key, "scalar.%s", chord_gguf_type_name(type));
        put_key(w, key, type);
        put_bytes(w, "\1\2\3\4\5\6\7", bytes);
    }
    put_key(w, "general.architecture", CHORD_GGUF_STRING);
    put_text(w, "llama");
    put_key(w, "empty.string", CHORD_GGUF_STRING);
    put_text(w, "");
    put_u32_kv(w, "general.alignment", 64);
    put_array_head(w, "empty.array", CHORD_GGUF_F32, 0);
    put_array_head(w, "empty.strings", CHORD_GGUF_STRING, 0);
    put_array_head(w, "small.array", CHORD_GGUF_U16, 3);
    put_bytes(w, "abcdef", 6);
    /* one element more than the limit for keeping */
    put_array_head(w, "long.array", CHORD_GGUF_U8, CHORD_KEEP_ARRAY + 1);
    for (int i = 0; i <= CHORD_KEEP_ARRAY; i++) put_bytes(w, "\x5a", 1);
    put_array_head(w, "unwanted.strings", CHORD_GGUF_STRING, 3);
    put_text(w, "one");
    put_text(w, "");
    put_text(w, "three");
    put_array_head(w, "tokenizer.ggml.tokens", CHORD_GGUF_STRING, 3);
    put_text(w, "<unk>");
    put_text(w, "");
    put_text(w, "\xe2\x96\x81the");
    put_array_head(w, "tokenizer.ggml.scores", CHORD_GGUF_F32, 3);
    put_bytes(w, "............", 12);
    put_key(w, "", CHORD_GGUF_BOOL);
    put_bytes(w, "\1", 1);
    put_tensor(w, "token_embd.weight", 2, ne, 0, 0);
    put_tensor(w, "norm", 1, ne, 1, 768);
    put_tensor(w, "experts", 3, ne, 2, 1024);
    put_tensor(w, "four", 4, ne, -7, 1 << 20); /* the reader doesn't check types, binding does */
    return w;
}

TEST(gguf_reads_every_kind_of_value)
{
    writer *w = sample(3);
    reading *r = read_file(w);
    CHECK_EQ(r->status, CHORD_OK);
    CHECK_EQ(r->g.position, w->n);
    CHECK_EQ(r->g.data_begin, (w->n + 63) / 64 * 64);
    const char *text = describe(&r->g);
    CHECK_TEXT(text, "v3 kv 22 tensors 4 align 64");
    CHECK_TEXT(text, "scalar.u8: u8 x 1, kept 1 bytes 01\n");
    CHECK_TEXT(text, "scalar.f64: f64 x 1, kept 8 bytes 01 02 03 04 05 06 07 00\n");
    CHECK_TEXT(text, "general.architecture: string x 1, kept 5 bytes 6c 6c 61 6d 61\n");
    CHECK_TEXT(text, "empty.string: string x 1, kept 0 bytes\n");
    CHECK_TEXT(text, "small.array: u16[] x 3, kept 6 bytes 61 62 63 64 65 66\n");
    CHECK_TEXT(text, "long.array: u8[] x 16385, skipped 16385 bytes\n");
    CHECK_TEXT(text, "unwanted.strings: string[] x 3, skipped 0 bytes\n");
    CHECK_TEXT(text, "tokenizer.ggml.tokens: string[] x 3, kept 35 bytes 05 00 00 00 00 00 00 00 3c");
    CHECK_TEXT(text, "token_embd.weight: type 0, 2 dims 64 3 1 1 at 0\n");
    CHECK_TEXT(text, "four: type -7, 4 dims 64 3 2 5 at 1048576\n");
}

TEST(gguf_versions_2_and_3_read_the_same)
{
    const char *two = describe(&read_file(sample(2))->g), *three = describe(&read_file(sample(3))->g);
    CHECK(!memcmp(two, "v2", 2) && !memcmp(three, "v3", 2));
    CHECK(!strcmp(two + 2, three + 2));
}

TEST(gguf_reads_the_same_in_any_chunk_size)
{
    writer *w = sample(3);
    const char *want = describe(&read_file(w)->g);
    for (size_t chunk = 1; chunk <= w->n; chunk += chunk < 80 ? 1 : 997) {
        int const mark = test_mark();
        reading *r = read_header(w->bytes, w->n, chunk, 65536, 65536, w->n);
        CHECK_EQ(r->status, CHORD_OK);
        CHECK(!strcmp(describe(&r->g), want));
        test_release(mark);
    }
}

TEST(gguf_reads_the_same_however_its_memory_grows)
{
    writer *w = sample(3);
    const char *want = describe(&read_file(w)->g);
    for (size_t step = 1; step < 300; step += 7)
        for (size_t chunk = 1; chunk < 20000; chunk = chunk * 11 + 2) {
            int const mark = test_mark();
            reading *r = read_header(w->bytes, w->n, chunk, 8, step, UINT64_MAX);
            CHECK_EQ(r->status, CHORD_OK);
            CHECK(r->n_refused > 3);
            CHECK(!strcmp(describe(&r->g), want));
            test_release(mark);
        }
}

TEST(gguf_consumes_nothing_past_the_header)
{
    writer *w = sample(3);
    size_t const header = w->n;
    for (int i = 0; i < 100; i++) put_bytes(w, "tensor data", 11);
    reading *r = read_file(w);
    CHECK_EQ(r->status, CHORD_OK);
    CHECK_EQ(r->g.position, header);
    size_t taken = 1;
    CHECK_EQ(chord_gguf_push(&r->g, w->bytes + header, 100, &taken, &r->error), CHORD_OK);
    CHECK_EQ(taken, 0);
}

TEST(gguf_truncated_at_any_byte_is_never_complete)
{
    writer *w = sample(3);
    for (size_t n = 0; n < w->n; n += n < 900 || n + 900 > w->n ? 1 : 101) {
        int const mark = test_mark();
        reading *r = read_header(w->bytes, n, 4096, 65536, 65536, UINT64_MAX);
        CHECK_EQ(r->status, CHORD_MORE); /* unknown length: more bytes may come */
        r = read_header(w->bytes, n, 4096, 65536, 65536, n);
        CHECK(r->status == CHORD_MORE || r->status == CHORD_INVALID_GGUF);
        CHECK(r->status == CHORD_MORE || strstr(r->error.text, "the file ends at"));
        test_release(mark);
    }
}

TEST(gguf_skipped_values_cost_no_memory)
{
    writer *w = begin_file(3, 0, 2);
    put_array_head(w, "long.array", CHORD_GGUF_U8, 30000);
    for (int i = 0; i < 30000; i++) put_bytes(w, "x", 1);
    put_array_head(w, "strings", CHORD_GGUF_STRING, 1000);
    for (int i = 0; i < 1000; i++) put_text(w, "twenty bytes of text");
    reading *r = read_file(w);
    CHECK_EQ(r->status, CHORD_OK);
    CHECK(r->g.log.used < 400);
}

TEST(gguf_without_keys_and_tensors_is_complete_after_24_bytes)
{
    writer *w = begin_file(3, 0, 0);
    reading *r = read_file(w);
    CHECK_EQ(r->status, CHORD_OK);
    CHECK_EQ(r->g.data_begin, 32);
    CHECK(!chord_gguf_next_kv(&r->g, NULL) && !chord_gguf_next_tensor(&r->g, NULL));
}

TEST(gguf_finds_keys_by_their_whole_name)
{
    reading *r = read_file(sample(3));
    const chord_gguf_kv *kv = chord_gguf_find(&r->g, "general.alignment", 17);
    CHECK(kv && kv->type == CHORD_GGUF_U32 && chord_u32(chord_gguf_at(&r->g, kv->data)) == 64);
    CHECK(!chord_gguf_find(&r->g, "general.alignment", 16));
    CHECK(!chord_gguf_find(&r->g, "general.alignmenT", 17));
    CHECK(chord_gguf_find(&r->g, "", 0)); /* the sample has an empty key */
}

TEST(gguf_keeps_strings_of_the_wanted_keys_only)
{
    static const char *const keys[] = { "tokenizer.ggml.tokens", "tokenizer.ggml.token",
                                        "tokenizer.ggml.tokens2", "other.texts" };
    for (int i = 0; i < 4; i++) {
        writer *w = begin_file(3, 0, 1);
        put_array_head(w, keys[i], CHORD_GGUF_STRING, 1);
        put_text(w, "word");
        reading *r = read_file(w);
        CHECK_EQ(r->status, CHORD_OK);
        const chord_gguf_kv *kv = chord_gguf_find(&r->g, keys[i], strlen(keys[i]));
        CHECK(kv);
        CHECK_EQ(kv->is_kept, i == 0);
    }
    writer *w = begin_file(3, 0, 1);
    put_array_head(w, "tokenizer.ggml.tokens", CHORD_GGUF_STRING, 1);
    put_text(w, "word");
    chord_gguf g;
    chord_error error = { 0 };
    size_t taken;
    chord_gguf_init(&g, (chord_arena){ test_alloc(4096), 0, 4096 }, NULL);
    CHECK_EQ(chord_gguf_push(&g, w->bytes, w->n, &taken, &error), CHORD_OK);
    CHECK_EQ(chord_gguf_find(&g, "tokenizer.ggml.tokens", 21)->is_kept, 0); /* the caller wants no keys */
}
