/* hostile_test.c: malformed headers. The reader refuses each with INVALID_GGUF and names the key, tensor,
 * offset or value, or it waits for bytes that never come. The cases are the classes of published GGUF
 * vulnerabilities. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "gguf_writer.h"

static const uint64_t one[4] = { 32, 1, 1, 1 };

/* The header is refused, in one chunk and byte by byte, with `part` in the error text. A further push is
 * refused with the same text. */
static void refused(const writer *w, const char *part)
{
    for (size_t chunk = 1; chunk <= w->n; chunk += w->n - 1) {
        reading *r = read_header(w->bytes, w->n, chunk, 65536, 65536, UINT64_MAX);
        if (r->status != CHORD_INVALID_GGUF)
            test_fail(__FILE__, __LINE__, "status %d, want a refusal naming \"%s\"", r->status, part);
        CHECK_TEXT(r->error.text, part);
        size_t taken;
        chord_error again;
        CHECK_EQ(chord_gguf_push(&r->g, w->bytes, 1, &taken, &again), CHORD_INVALID_GGUF);
        CHECK_TEXT(again.text, part);
    }
}

TEST(gguf_refuses_a_file_that_is_no_gguf)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *part;
    } files[] = {
        { "\0\0\0\0\0\0\0\0", 8, "begins with '?\?\?\?'" },
        { "<!DOCTYPE html>", 15, "begins with '<!DO'" },
        { "GGML\1\0\0\0", 8, "'GGML'" },
        { "GGUF\0\0\0\0", 8, "version 0" },
        { "GGUF\1\0\0\0", 8, "version 1;" },
        { "GGUF\4\0\0\0", 8, "version 4;" },
        { "GGUF\0\0\0\3", 8, "big-endian" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        writer *w = test_alloc(sizeof *w);
        w->n = 0;
        put_bytes(w, files[i].bytes, files[i].n);
        refused(w, files[i].part);
    }
}

TEST(gguf_refuses_impossible_counts)
{
    refused(begin_file(3, 1ull << 63, 0), "claims 9223372036854775808 tensors");
    refused(begin_file(3, 0, 1ull << 63), "claims 9223372036854775808 metadata keys");
    refused(begin_file(3, UINT64_MAX, UINT64_MAX), "claims 18446744073709551615 tensors");
    refused(begin_file(3, CHORD_MAX_TENSORS + 1, 0), "32769 tensors");
    refused(begin_file(3, 0, CHORD_MAX_KEYS + 1), "8193 metadata keys");
}

TEST(gguf_counts_within_the_limits_cost_no_memory_until_bytes_arrive)
{
    reading *r = read_file(begin_file(3, CHORD_MAX_TENSORS, CHORD_MAX_KEYS));
    CHECK_EQ(r->status, CHORD_MORE);
    CHECK_EQ(r->g.log.used, 8);
}

TEST(gguf_refuses_keys_that_are_too_long_and_names_the_offset)
{
    static const uint64_t lengths[] = { CHORD_MAX_KEY_BYTES + 1, 1ull << 32, 1ull << 63, UINT64_MAX };
    for (int i = 0; i < 4; i++) {
        writer *w = begin_file(3, 0, 1);
        put64(w, lengths[i]);
        refused(w, "the key at offset 24 claims");
    }
}

TEST(gguf_refuses_unknown_value_types)
{
    static const uint32_t types[] = { CHORD_GGUF_TYPES, 255, 0x80000000u, 0xffffffffu };
    for (int i = 0; i < 4; i++) {
        writer *w = begin_file(3, 0, 1);
        put_key(w, "odd.key", (int)types[i]);
        refused(w, "'odd.key' has the unknown value type");
        w = begin_file(3, 0, 1);
        put_array_head(w, "odd.array", (int)types[i], 1);
        refused(w, "'odd.array' is an array of an unknown type");
    }
}

TEST(gguf_refuses_nested_arrays)
{
    writer *w = begin_file(3, 0, 1);
    put_array_head(w, "nested", CHORD_GGUF_ARRAY, 1ull << 62);
    refused(w, "'nested' is an array of arrays");
}

TEST(gguf_refuses_arrays_whose_bytes_overflow)
{
    static const struct {
        int type;
        uint64_t count;
    } arrays[] = {
        { CHORD_GGUF_U64, 1ull << 61 },       { CHORD_GGUF_U64, UINT64_MAX },
        { CHORD_GGUF_F32, (1ull << 62) + 1 }, { CHORD_GGUF_STRING, 1ull << 61 },
        { CHORD_GGUF_U8, UINT64_MAX },        { CHORD_GGUF_U8, CHORD_MAX_FILE + 1 },
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        writer *w = begin_file(3, 0, 1);
        put_array_head(w, "tokenizer.ggml.scores", arrays[i].type, arrays[i].count);
        refused(w, "the array 'tokenizer.ggml.scores' claims");
    }
}

TEST(gguf_refuses_lengths_past_the_end_of_the_file)
{
    writer *key = begin_file(3, 0, 1);
    put64(key, 500);
    writer *text = begin_file(3, 0, 1);
    put_key(text, "k", CHORD_GGUF_STRING);
    put64(text, UINT64_MAX);
    writer *array = begin_file(3, 0, 1);
    put_array_head(array, "k", CHORD_GGUF_U8, 1000);
    writer *element = begin_file(3, 0, 1);
    put_array_head(element, "tokenizer.ggml.tokens", CHORD_GGUF_STRING, 2);
    put64(element, 1ull << 40);
    writer *name = begin_file(3, 1, 0);
    put64(name, 250);
    const writer *const files[] = { key, text, array, element, name };
    for (int i = 0; i < 5; i++) {
        reading *r = read_header(files[i]->bytes, files[i]->n, 4096, 65536, 65536, 200);
        CHECK_EQ(r->status, CHORD_INVALID_GGUF);
        CHECK_TEXT(r->error.text, "the file ends at 200");
    }
}

TEST(gguf_waits_for_a_huge_string_without_allocating_it)
{
    writer *w = begin_file(3, 0, 1);
    put_key(w, "tokenizer.chat_template", CHORD_GGUF_STRING);
    put64(w, 1ull << 50);
    put_bytes(w, "only this", 9);
    reading *r = read_header(w->bytes, w->n, 3, 8, 16, UINT64_MAX);
    CHECK_EQ(r->status, CHORD_MORE);
    CHECK(r->g.log.used < 200);
}

TEST(gguf_refuses_a_key_or_a_tensor_that_occurs_twice)
{
    writer *w = begin_file(3, 0, 2);
    put_u32_kv(w, "same", 1);
    put_u32_kv(w, "same", 1);
    refused(w, "the key 'same' is in the header twice");
    w = begin_file(3, 3, 0);
    put_tensor(w, "blk.0.x", 1, one, 0, 0);
    put_tensor(w, "blk.0.y", 1, one, 0, 128);
    put_tensor(w, "blk.0.x", 1, one, 0, 256);
    refused(w, "the tensor 'blk.0.x' is in the table twice");
}

TEST(gguf_refuses_alignments_that_are_no_power_of_two)
{
    static const uint32_t alignments[] = { 0, 1, 3, 4, 24, 33, 1u << 17, 1u << 30, 1u << 31, UINT32_MAX };
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        writer *w = begin_file(3, 0, 1);
        put_u32_kv(w, "general.alignment", alignments[i]);
        refused(w, "general.alignment");
    }
    writer *w = begin_file(3, 0, 1);
    put_key(w, "general.alignment", CHORD_GGUF_U64);
    put64(w, 32);
    refused(w, "general.alignment is a u64");
    w = begin_file(3, 0, 1);
    put_array_head(w, "general.alignment", CHORD_GGUF_U32, 1);
    put32(w, 32);
    refused(w, "general.alignment");
    w = begin_file(3, 0, 1);
    put_key(w, "general.alignment", CHORD_GGUF_STRING);
    put_text(w, "");
    refused(w, "general.alignment is a string");
}

TEST(gguf_refuses_tensors_of_impossible_shape_by_name)
{
    static const uint64_t zero[4] = { 32, 0, 1, 1 }, negative[4] = { 1ull << 63, 1, 1, 1 },
                          wide[4] = { CHORD_MAX_DIM + 1ull, 1, 1, 1 };
    static const struct {
        int n_dims;
        const uint64_t *ne;
        const char *part;
    } shapes[] = {
        { 0, one, "tensor 'bad.weight' has 0 dimensions" },
        { 2, zero, "tensor 'bad.weight': dimension 1 is 0" },
        { 1, negative, "tensor 'bad.weight': dimension 0 is 9223372036854775808" },
        { 1, wide, "tensor 'bad.weight': dimension 0 is 2147483648" },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        writer *w = begin_file(3, 1, 0);
        put_tensor(w, "bad.weight", shapes[i].n_dims, shapes[i].ne, 0, 0);
        refused(w, shapes[i].part);
    }
    static const uint32_t n_dims[] = { 5, 255, 1u << 31, UINT32_MAX };
    for (int i = 0; i < 4; i++) {
        writer *w = begin_file(3, 1, 0);
        put_text(w, "bad.weight");
        put32(w, n_dims[i]);
        refused(w, "tensor 'bad.weight' has");
    }
}

TEST(gguf_refuses_tensor_offsets_that_are_unaligned_or_too_large)
{
    static const uint64_t offsets[] = { 1, 31, 33, CHORD_MAX_FILE + 32, UINT64_MAX - 31 };
    for (int i = 0; i < 5; i++) {
        writer *w = begin_file(3, 1, 0);
        put_tensor(w, "bad.weight", 1, one, 0, offsets[i]);
        refused(w, "tensor 'bad.weight': offset");
    }
}

TEST(gguf_refuses_tensor_names_that_are_too_long)
{
    writer *w = begin_file(3, 1, 0);
    put64(w, CHORD_MAX_NAME_BYTES + 1);
    refused(w, "the tensor name at offset 24 claims 256 bytes");
}

TEST(gguf_names_from_a_file_cannot_break_the_error_text)
{
    writer *w = begin_file(3, 0, 2);
    put_u32_kv(w, "a\n\x1b[2Jb", 1);
    put_u32_kv(w, "a\n\x1b[2Jb", 1);
    refused(w, "'a??[2Jb' is in the header twice");
}

TEST(gguf_with_any_byte_changed_reads_the_same_in_any_chunks)
{
    writer *w = begin_file(3, 2, 4);
    put_u32_kv(w, "general.alignment", 32);
    put_array_head(w, "tokenizer.ggml.tokens", CHORD_GGUF_STRING, 2);
    put_text(w, "ab");
    put_text(w, "c");
    put_key(w, "general.name", CHORD_GGUF_STRING);
    put_text(w, "name");
    put_array_head(w, "list", CHORD_GGUF_I32, 2);
    put64(w, 0);
    put_tensor(w, "a", 2, one, 0, 0);
    put_tensor(w, "b", 1, one, 0, 128);
    uint8_t *bytes = test_alloc(w->n);
    int n_read = 0, n_refused = 0;
    for (size_t at = 0; at < w->n; at++)
        for (int change = 1; change < 256; change = change * 2 + 1) {
            int const mark = test_mark();
            memcpy(bytes, w->bytes, w->n);
            bytes[at] ^= (uint8_t)change;
            reading *whole = read_header(bytes, w->n, w->n, 65536, 65536, w->n);
            reading *split = read_header(bytes, w->n, 1 + test_random() % 9, 8, 1 + test_random() % 99, w->n);
            CHECK_EQ(whole->status, split->status);
            if (whole->status == CHORD_OK) CHECK(!strcmp(describe(&whole->g), describe(&split->g)));
            if (whole->status < 0) CHECK(!strcmp(whole->error.text, split->error.text));
            n_read += whole->status == CHORD_OK;
            n_refused += whole->status < 0;
            test_release(mark);
        }
    CHECK(n_read > 100 && n_refused > 100);
}
