/* damage_test.c: a whole fixture that is changed in one place loads, or is refused and the culprit named.
 * tests/format tests headers alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "loading.h"
#include "../format/gguf_writer.h"

typedef struct damage {
    const char *name;             /* key or tensor */
    int32_t at, bytes;
    uint64_t value;
    chord_status want;
    const char *text;             /* the error contains it: the culprit */
} damage;

static const damage of_llama[] = {
    /* q8_0-d128 */
    { "general.architecture", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "general.architecture" },
    { "general.architecture", TEXT, 1, 'x', CHORD_UNSUPPORTED_ARCHITECTURE, "'xlama' isn't known" },
    { "general.architecture", TYPE, 4, 4, CHORD_INVALID_GGUF, "" },
    { "llama.block_count", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.block_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.block_count", VALUE, 4, 1, CHORD_INVALID_GGUF, "blk.1." },
    { "llama.block_count", VALUE, 4, 3, CHORD_INVALID_GGUF, "blk.2.attn_norm.weight" },
    { "llama.block_count", VALUE, 4, 0x7fffffff, CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.block_count", VALUE, 4, 0xffffffff, CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.block_count", TYPE, 4, 6, CHORD_INVALID_GGUF, "llama.block_count" },
    { "llama.embedding_length", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.embedding_length" },
    { "llama.embedding_length", VALUE, 4, 64, CHORD_INVALID_GGUF, "token_embd.weight" },
    { "llama.embedding_length", VALUE, 4, 0xfffffff0, CHORD_INVALID_GGUF, "llama.embedding_length" },
    { "llama.feed_forward_length", VALUE, 4, 96, CHORD_INVALID_GGUF, "blk.0.ffn" },
    { "llama.attention.head_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.attention.head_count" },
    { "llama.attention.head_count", VALUE, 4, 3, CHORD_INVALID_GGUF, "" },
    { "llama.attention.head_count_kv", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.attention.head_count_kv" },
    { "llama.attention.head_count_kv", VALUE, 4, 2, CHORD_INVALID_GGUF, "blk.0.attn_k.weight" },
    { "llama.attention.head_count_kv", VALUE, 4, 5, CHORD_INVALID_GGUF, "llama.attention.head_count_kv" },
    { "llama.attention.key_length", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.attention.key_length" },
    { "llama.attention.key_length", VALUE, 4, 64, CHORD_UNSUPPORTED_ARCHITECTURE, "64" },
    { "llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0x7fc00000, CHORD_INVALID_GGUF,
      "layer_norm_rms_epsilon" },
    { "llama.attention.layer_norm_rms_epsilon", NAME_END, 1, 'x', CHORD_INVALID_GGUF,
      "layer_norm_rms_epsilon" },
    { "llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0, CHORD_INVALID_GGUF,
      "a number from 1.2e-38 to 3e38 is needed for the key 'llama.attention.layer_norm_rms_epsilon'" },
    { "llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0xb727c5ac /* -1e-5 */, CHORD_INVALID_GGUF,
      "layer_norm_rms_epsilon" },
    { "llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0x007fffff /* subnormal */, CHORD_INVALID_GGUF,
      "layer_norm_rms_epsilon" },
    { "llama.context_length", VALUE, 4, 0, CHORD_INVALID_GGUF, "llama.context_length" },
    { "llama.rope.freq_base", VALUE, 4, 0x7f800000, CHORD_INVALID_GGUF, "llama.rope.freq_base" },
    { "llama.rope.freq_base", VALUE, 4, 0, CHORD_INVALID_GGUF,
      "a number from 1 to 3e38 is needed for the key 'llama.rope.freq_base'" },
    { "llama.rope.freq_base", VALUE, 4, 0xc61c4000 /* -10000 */, CHORD_INVALID_GGUF, "llama.rope.freq_base" },
    { "llama.rope.freq_base", VALUE, 4, 0x006ce3ee /* 1e-38 */, CHORD_INVALID_GGUF, "llama.rope.freq_base" },
    { "tokenizer.ggml.model", TEXT, 1, 'x', CHORD_UNSUPPORTED_TOKENIZER, "'xpt2'" },
    { "tokenizer.ggml.model", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "tokenizer.ggml.model" },
    { "tokenizer.ggml.pre", TEXT, 1, 'x', CHORD_UNSUPPORTED_TOKENIZER, "'xlama-bpe'" },
    { "tokenizer.ggml.tokens", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "tokenizer.ggml.tokens" },
    { "tokenizer.ggml.tokens", ELEMENTS, 8, 1ull << 63, CHORD_INVALID_GGUF, "" },
    { "tokenizer.ggml.tokens", COUNT, 8, 1ull << 62, CHORD_INVALID_GGUF, "tokenizer.ggml.tokens" },
    { "tokenizer.ggml.merges", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "tokenizer.ggml.merges" },
    { "tokenizer.ggml.merges", ELEMENTS + 10, 1, 'x', CHORD_INVALID_GGUF, "merge 0" }, /* its blank */
    { "tokenizer.ggml.token_type", NAME_END, 1, 'x', CHORD_DONE, "" }, /* all tokens are normal then */
    { "tokenizer.ggml.token_type", ELEMENT_TYPE, 4, 6, CHORD_INVALID_GGUF, "tokenizer.ggml.token_type" },
    { "tokenizer.ggml.eos_token_id", VALUE, 4, 0x7fffffff, CHORD_DONE, "" }, /* ignored, as in llama.cpp */
    { "token_embd.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "token_embd.weight" },
    { "blk.1.ffn_down.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.1.ffn_down.weight" },
    /* a tensor that nothing binds */
    { "blk.1.ffn_down.bias", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.1.ffn_down.biax" },
    { "blk.1.ffn_up.weight", N_DIMS, 4, 0, CHORD_INVALID_GGUF, "" },
    { "blk.1.ffn_up.weight", N_DIMS, 4, 5, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE0, 8, 0, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE0, 8, 95, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE0, 8, 1ull << 63, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE1, 8, 1ull << 62, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", NE1, 8, 161, CHORD_INVALID_GGUF, "" },
    { "blk.1.ffn_up.weight", TENSOR_TYPE, 4, 99, CHORD_UNSUPPORTED_QUANTIZATION, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", TENSOR_TYPE, 4, 36, CHORD_UNSUPPORTED_QUANTIZATION, "IQ4_NL_4_4" },
    { "blk.1.ffn_up.weight", TENSOR_TYPE, 4, 0, CHORD_INVALID_GGUF, "overlap" },
    { "blk.1.ffn_up.weight", OFFSET, 8, 1, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", OFFSET, 8, 0, CHORD_INVALID_GGUF, "overlap" },
    { "blk.1.ffn_up.weight", OFFSET, 8, 1ull << 40, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", OFFSET, 8, ~31ull, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    /* infinite scale */
    { "blk.1.ffn_up.weight", DATA, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },
    { "blk.1.ffn_up.weight", DATA + 34, 2, 0xfe00, CHORD_INVALID_GGUF, "blk.1.ffn_up.weight" },   /* NaN */
    /* a code of -128 */
    { "output.weight", DATA + 3 * 34 + 5, 1, 0x80, CHORD_INVALID_GGUF, "output.weight" },
    /* a matrix in plain layout */
    { "token_embd.weight", DATA, 2, 0xfc00, CHORD_INVALID_GGUF, "token_embd.weight" },
};

static const damage of_qwen2[] = {
    /* qwen2-q4_k */
    { "qwen2.attention.head_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "qwen2.attention.head_count" },
    { "qwen2.attention.head_count_kv", VALUE, 4, 3, CHORD_INVALID_GGUF,
      "8 heads aren't a multiple of the 3 KV heads" },
    { "qwen2.attention.layer_norm_rms_epsilon", NAME_END, 1, 'x', CHORD_INVALID_GGUF,
      "qwen2.attention.layer_norm_rms_epsilon" },
    { "blk.0.attn_k.bias", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.0.attn_k.biax" },
    { "blk.0.attn_k.bias", NE0, 8, 16, CHORD_INVALID_GGUF, "blk.0.attn_k.bias" },
    { "blk.0.attn_q.weight", DATA, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.0.attn_q.weight" }, /* Q4_K: scale */
    /* Q4_K: minimum */
    { "blk.0.attn_q.weight", DATA + 144 + 2, 2, 0xfe00, CHORD_INVALID_GGUF, "blk.0.attn_q.weight" },
    /* Q5_K: scale */
    { "blk.0.ffn_down.weight", DATA + 176, 2, 0xfc00, CHORD_INVALID_GGUF, "blk.0.ffn_down.weight" },
    /* Q5_K: minimum */
    { "blk.0.ffn_down.weight", DATA + 2, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.0.ffn_down.weight" },
    { "blk.0.attn_v.weight", DATA + 208, 2, 0x7c01, CHORD_INVALID_GGUF, "blk.0.attn_v.weight" }, /* Q6_K */
    /* no whole blocks of 256 */
    { "blk.0.ffn_up.weight", NE0, 8, 288, CHORD_INVALID_GGUF, "blk.0.ffn_up.weight" },
};

static const damage of_qwen2_q5[] = {
    { "blk.1.attn_q.weight", DATA + 22, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.1.attn_q.weight" }, /* Q5_0 */
    { "blk.1.attn_v.weight", DATA, 2, 0xfc00, CHORD_INVALID_GGUF, "blk.1.attn_v.weight" }, /* Q5_1: scale */
    /* Q5_1: minimum */
    { "blk.1.attn_v.weight", DATA + 2, 2, 0x7e00, CHORD_INVALID_GGUF, "blk.1.attn_v.weight" },
};

static const damage of_qwen3[] = {
    /* qwen3-q3_k-tied */
    { "qwen3.attention.head_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "qwen3.attention.head_count" },
    { "qwen3.attention.head_count_kv", VALUE, 4, 0, CHORD_INVALID_GGUF, "qwen3.attention.head_count_kv" },
    { "qwen3.attention.key_length", VALUE, 4, 128, CHORD_UNSUPPORTED_ARCHITECTURE,
      "keys of 128 and values of 64" },
    { "blk.0.attn_q_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.0.attn_q_norm.weight" },
    { "blk.0.attn_q_norm.weight", NE0, 8, 32, CHORD_INVALID_GGUF, "blk.0.attn_q_norm.weight" },
    { "blk.0.attn_k_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.0.attn_k_norm.weight" },
    { "blk.0.attn_k.weight", DATA + 108, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.0.attn_k.weight" }, /* Q3_K */
    /* Q2_K: scale */
    { "blk.0.attn_q.weight", DATA + 80, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.0.attn_q.weight" },
    /* Q2_K: minimum */
    { "blk.0.attn_q.weight", DATA + 82, 2, 0x7e00, CHORD_INVALID_GGUF, "blk.0.attn_q.weight" },
    { "blk.0.attn_v.weight", DATA + 136, 2, 0xfc00, CHORD_INVALID_GGUF, "blk.0.attn_v.weight" }, /* IQ4_XS */
};

static const damage of_gemma3[] = {
    /* gemma3-iq4_nl */
    { "gemma3.attention.sliding_window", VALUE, 4, 0, CHORD_DONE, "" }, /* no window, as in llama.cpp */
    { "gemma3.attention.sliding_window", VALUE, 4, 0xffffffff, CHORD_INVALID_GGUF,
      "gemma3.attention.sliding_window" },
    { "gemma3.attention.sliding_window", TYPE, 4, 6, CHORD_INVALID_GGUF, "gemma3.attention.sliding_window" },
    { "gemma3.rope.freq_base", VALUE, 4, 0x7fc00000, CHORD_INVALID_GGUF, "gemma3.rope.freq_base" },
    { "gemma3.attention.head_count", VALUE, 4, 0, CHORD_INVALID_GGUF, "gemma3.attention.head_count" },
    { "gemma3.attention.head_count_kv", VALUE, 4, 0, CHORD_INVALID_GGUF, "gemma3.attention.head_count_kv" },
    { "gemma3.block_count", VALUE, 4, 6, CHORD_INVALID_GGUF, "blk.6." },
    { "blk.6.post_attention_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF,
      "blk.6.post_attention_norm.weight" },
    { "blk.0.post_ffw_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.0.post_ffw_norm.weight" },
    { "blk.0.post_ffw_norm.weight", NE0, 8, 32, CHORD_INVALID_GGUF, "blk.0.post_ffw_norm.weight" },
    { "blk.3.attn_k_norm.weight", NE0, 8, 16, CHORD_INVALID_GGUF, "blk.3.attn_k_norm.weight" },
    { "blk.3.attn_q_norm.weight", NAME_END, 1, 'x', CHORD_INVALID_GGUF, "blk.3.attn_q_norm.weight" },
    { "blk.2.ffn_up.weight", DATA + 18, 2, 0x7c00, CHORD_INVALID_GGUF, "blk.2.ffn_up.weight" }, /* IQ4_NL */
};

static const damage of_gemma3_linear[] = {
    /* gemma3-f32 */
    { "gemma3.rope.scaling.factor", VALUE, 4, 0, CHORD_DONE, "" }, /* no scaling, as in llama.cpp */
    { "gemma3.rope.scaling.factor", VALUE, 4, 0x0da24260 /* 1e-30 */, CHORD_INVALID_GGUF,
      "0 or a number from 1/1024 to 3e38 is needed for the key 'gemma3.rope.scaling.factor'" },
    { "gemma3.rope.scaling.factor", VALUE, 4, 0xc0000000 /* -2 */, CHORD_INVALID_GGUF,
      "'gemma3.rope.scaling.factor'" },
    { "gemma3.attention.layer_norm_rms_epsilon", VALUE, 4, 0, CHORD_INVALID_GGUF,
      "gemma3.attention.layer_norm_rms_epsilon" },
};

static void apply(file f, const damage *d, uint64_t data_begin)
{
    size_t at = behind(f, d->name);
    if (!at) test_fail(__FILE__, __LINE__, "no %s in the fixture", d->name);
    if (d->at >= DATA)
        at = (size_t)(data_begin + *(uint64_t *)memcpy(&(uint64_t){ 0 }, f.p + at + OFFSET, 8)) +
             (size_t)(d->at - DATA);
    else at = (size_t)((int64_t)at + d->at);
    memcpy(f.p + at, &d->value, (size_t)d->bytes);
}

static void damage_one_by_one(const char *name, const damage *damages, size_t n)
{
    file const good = read_fixture(name);
    host h = load(good, all_at_once, good.n);
    CHECK_EQ(h.status, CHORD_DONE);
    const chord_plan *plan = chord_model_plan_of(h.model);
    uint64_t data_begin = UINT64_MAX;
    for (int32_t i = 0; i < plan->n_tensors; i++)
        if (plan->tensors[i].file_off < data_begin) data_begin = plan->tensors[i].file_off;
    done(&h);

    for (size_t i = 0; i < n; i++) {
        const damage *d = &damages[i];
        for (int32_t way = 0; way < 3; way++) {
            file const f = { malloc(good.n), good.n };
            memcpy(f.p, good.p, good.n);
            apply(f, d, data_begin);
            h = load(f, way == 1 ? random_chunk : all_at_once, way == 2 ? 0 : f.n);
            done(&h);
            free(f.p);
            if (h.status != d->want || (d->want < 0 && !strstr(h.error, d->text)))
                test_fail(__FILE__, __LINE__, "%s, %s, at %d: status %d, want %d; \"%s\", want '%s' in it",
                          name, d->name, d->at, h.status, d->want, h.error, d->text);
        }
    }
    h = load(good, all_at_once, good.n);
    CHECK_EQ(h.status, CHORD_DONE);
    done(&h);
}

#define DAMAGE(name, list) damage_one_by_one(name, list, sizeof list / sizeof *list)
TEST(a_file_damaged_in_one_place_is_refused_and_the_culprit_named) { DAMAGE("q8_0-d128", of_llama); }
TEST(a_damaged_file_of_another_family_or_format_is_refused_too)
{
    DAMAGE("qwen2-q4_k", of_qwen2);
    DAMAGE("qwen2-q5-tied", of_qwen2_q5);
    DAMAGE("qwen3-q3_k-tied", of_qwen3);
    DAMAGE("gemma3-iq4_nl", of_gemma3);
    DAMAGE("gemma3-f32", of_gemma3_linear);
}

/* Loads a fixture with all of these changes. */
static host load_changed(const char *name, const damage *changes, size_t n)
{
    file const good = read_fixture(name), f = { test_alloc(good.n), good.n };
    memcpy(f.p, good.p, good.n);
    for (size_t i = 0; i < n; i++) apply(f, &changes[i], 0);
    return load(f, all_at_once, f.n);
}
#define LOAD_CHANGED(name, list) load_changed(name, list, sizeof list / sizeof *list)

/* Returns a fixture with the keys that llama.cpp's splitter writes to a shard. They take 96 bytes, so the
 * data stays aligned. */
static file as_shard(const char *name, uint16_t no, uint16_t count)
{
    file const good = read_fixture(name), f = { test_alloc(good.n + 96), good.n + 96 };
    writer w = { .n = 0 };
    put_key(&w, "split.no", CHORD_GGUF_U16);
    put_bytes(&w, &no, 2);
    put_key(&w, "split.count", CHORD_GGUF_U16);
    put_bytes(&w, &count, 2);
    put_key(&w, "split.tensors.count", CHORD_GGUF_I32);
    put32(&w, 21);
    put_key(&w, "x", CHORD_GGUF_U8);
    put_bytes(&w, "", 1);
    CHECK_EQ(w.n, 96);
    memcpy(f.p, good.p, 24);
    f.p[16] += 4; /* keys */
    memcpy(f.p + 24, w.bytes, 96);
    memcpy(f.p + 120, good.p + 24, good.n - 24);
    return f;
}

TEST(a_shard_is_neither_damaged_nor_loaded)
{
    file f = as_shard("f32-mha", 1, 3);
    host h = load(f, all_at_once, f.n);
    done(&h);
    CHECK_EQ(h.status, CHORD_INVALID_ARGUMENT);
    CHECK_TEXT(h.error, "shard 2 of 3");
    CHECK_TEXT(h.error, "the file is sound");
    f.p[behind(f, "llama.block_count") + VALUE] = 77; /* the missing layers would be in other shards */
    h = load(f, all_at_once, f.n);
    done(&h);
    CHECK_EQ(h.status, CHORD_INVALID_ARGUMENT);
    f = as_shard("f32-mha", 0, 1); /* a whole model in one shard */
    h = load(f, all_at_once, f.n);
    done(&h);
    CHECK_EQ(h.status, CHORD_DONE);
}

/* The default of the head size is n_embd / n_head: it derives from other keys of the file. */
TEST(a_head_size_of_1_or_0_is_refused_by_key_when_it_is_derived)
{
    static const damage one[] = { /* f32-mha: n_embd is 48, one query head per KV head */
                                  { "llama.attention.head_count", VALUE, 4, 48, 0, "" },
                                  { "llama.attention.head_count_kv", VALUE, 4, 48, 0, "" },
                                  { "llama.rope.dimension_count", NAME_END, 1, 'x', 0, "" }
    };
    host h = LOAD_CHANGED("f32-mha", one);
    done(&h);
    CHECK_EQ(h.status, CHORD_INVALID_GGUF);
    CHECK_TEXT(h.error, "'llama.attention.key_length', and its default, 1, is outside 2 to 1024");

    static const damage naught[] = { { "llama.attention.head_count", VALUE, 4, 96, 0, "" },
                                     { "llama.attention.head_count_kv", VALUE, 4, 96, 0, "" } };
    h = LOAD_CHANGED("f32-mha", naught);
    done(&h);
    CHECK_EQ(h.status, CHORD_INVALID_GGUF);
    CHECK_TEXT(h.error, "'llama.attention.key_length', and its default, 0, is outside");
}

TEST(a_file_damaged_anywhere_loads_or_is_refused)
{
    file const good = read_fixture("q4_0-d80-freqs");
    int32_t loaded = 0;
    for (int32_t i = 0; i < 600; i++) {
        file const f = { malloc(good.n), good.n };
        memcpy(f.p, good.p, good.n);
        size_t const within = i % 3 ? 9000 : good.n;
        for (uint64_t k = 1 + test_random() % 3; k; k--) {
            size_t const at = test_random() % within;
            f.p[at] = (uint8_t)(test_random() % 3 ? test_random() : f.p[at] ^ 1u << (test_random() % 8));
        }
        host h = load(f, random_chunk, i % 2 ? f.n : 0);
        CHECK(h.status == CHORD_DONE || h.status < 0);
        loaded += h.status == CHORD_DONE;
        done(&h);
        CHECK(h.status == CHORD_DONE || h.error[0]);
        free(f.p);
    }
    CHECK(loaded > 100 && loaded < 500);
}
