/* experts_test.c: a mixture whose experts are read when a batch chooses them has the bits of a resident one,
 * with any number of slots, and reads no expert twice a batch. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "paged.h"
#include "gguf_file.h"
#include "../../src/base/half.h"
#include <fcntl.h>
#include <unistd.h>

/* ---- a qwen3moe of random weights --------------------------------------------------------------------- */

enum { VOCAB = 40, EMBD = 64, LAYERS = 3, FF = 32, EXPERTS = 8, USED = 3, N = 40 };

/* Writes a tensor's entry in the header's table, or (`data`) its elements. In Q8_0: the stacks of layer 1.
 * */
static void put_tensor(file *f, const char *name, int32_t cols, int32_t rows, int32_t n, int data)
{
    bool const is_q8 = !strncmp(name, "blk.1.", 6) && n;
    size_t const all = (size_t)cols * (size_t)(rows ? rows : 1) * (size_t)(n ? n : 1);
    if (!data) {
        put_text(f, name);
        put32(f, rows ? n ? 3 : 2 : 1);
        put64(f, (uint64_t)cols);
        if (rows) put64(f, (uint64_t)rows);
        if (n) put64(f, (uint64_t)n);
        put32(f, is_q8 ? CHORD_Q8_0 : CHORD_F32);
        put64(f, f->data);
    } else if (is_q8) {
        for (size_t i = 0; i < all / 32; i++) {
            uint8_t block[34] = { 0, 0x14 }; /* 2^-10 */
            for (int32_t k = 0; k < 32; k++) block[2 + k] = (uint8_t)(test_random() % 255 - 127);
            put(f, block, sizeof block);
        }
    } else
        for (size_t i = 0; i < all; i++) {
            float const x = (float)(int32_t)(test_random() % 2001) / 1000 - 1, y = rows ? x / 4 : 1 + x / 8;
            put(f, &y, 4);
        }
    if (data) put_padding(f);
    f->data += ((is_q8 ? all / 32 * 34 : all * 4) + 31) / 32 * 32;
}

static int32_t put_tensors(file *f, int data)
{
    static const struct {
        const char *name;
        int32_t cols, rows, n;
    } of_layer[] = {
        { "attn_norm", EMBD, 0, 0 },
        { "attn_q", EMBD, 64, 0 },
        { "attn_k", EMBD, 32, 0 },
        { "attn_v", EMBD, 32, 0 },
        { "attn_output", 64, EMBD, 0 },
        { "attn_q_norm", 16, 0, 0 },
        { "attn_k_norm", 16, 0, 0 },
        { "ffn_norm", EMBD, 0, 0 },
        { "ffn_gate_inp", EMBD, EXPERTS, 0 },
        { "ffn_gate_exps", EMBD, FF, EXPERTS },
        { "ffn_up_exps", EMBD, FF, EXPERTS },
        { "ffn_down_exps", FF, EMBD, EXPERTS },
    };
    int32_t const n = (int32_t)(sizeof of_layer / sizeof *of_layer);
    f->data = 0;
    put_tensor(f, "token_embd.weight", EMBD, VOCAB, 0, data);
    put_tensor(f, "output_norm.weight", EMBD, 0, 0, data);
    put_tensor(f, "output.weight", EMBD, VOCAB, 0, data);
    for (int32_t i = 0; i < LAYERS * n; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.%s.weight", i / n, of_layer[i % n].name);
        put_tensor(f, name, of_layer[i % n].cols, of_layer[i % n].rows, of_layer[i % n].n, data);
    }
    return 3 + LAYERS * n;
}

static const char *const path = "build/test/experts.gguf";

static void write_model(void)
{
    static const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        { "qwen3moe.context_length", 256 },
        { "qwen3moe.embedding_length", EMBD },
        { "qwen3moe.feed_forward_length", FF },
        { "qwen3moe.block_count", LAYERS },
        { "qwen3moe.attention.head_count", 4 },
        { "qwen3moe.attention.head_count_kv", 2 },
        { "qwen3moe.attention.key_length", 16 },
        { "qwen3moe.attention.value_length", 16 },
        { "qwen3moe.expert_count", EXPERTS },
        { "qwen3moe.expert_used_count", USED },
        { "qwen3moe.expert_feed_forward_length", FF },
    };
    size_t const n = sizeof numbers / sizeof *numbers, cap = (size_t)2 << 20;
    file f = { .bytes = test_alloc(cap), .cap = cap }, counted = { .bytes = test_alloc(cap), .cap = cap };
    put(&f, "GGUF", 4);
    put32(&f, 3);
    put64(&f, (uint64_t)put_tensors(&counted, 0));
    put64(&f, n + 4);
    put_string(&f, "general.architecture", "qwen3moe");
    put_text(&f, "qwen3moe.attention.layer_norm_rms_epsilon");
    put32(&f, CHORD_GGUF_F32);
    put(&f, &(float){ 1e-5f }, 4);
    for (size_t i = 0; i < n; i++) put_number(&f, numbers[i].key, numbers[i].value);
    put_vocabulary(&f, VOCAB);
    put_tensors(&f, 0);
    put_padding(&f);
    put_tensors(&f, 1);
    FILE *out = fopen(path, "wb");
    CHECK(out && fwrite(f.bytes, 1, f.n, out) == f.n && fclose(out) == 0);
}

/* ---- helpers ------------------------------------------------------------------------------------------ */

static int32_t ids[N];

/* Loads the model with `slots` slots for each of the stacks; 0: the least, with a ring for the rest of the
 * layers. */
static chord_loaded *load_slots(int32_t slots, int32_t n_threads, int32_t n_batch)
{
    double resident = 1;
    chord_loaded *l = load_with(path, CHORD_KV_F16, 1, n_batch, resident, 1);
    double const step = l->plan.layer_bytes / 200;
    for (; slots && (l->plan.n_experts != slots || l->plan.n_ring); resident += step) {
        chord_unload(l);
        l = load_with(path, CHORD_KV_F16, 1, n_batch, resident + step, 1);
        CHECK(resident < 201 * step);
    }
    chord_unload(l);
    l = load_with(path, CHORD_KV_F16, n_threads, n_batch, resident, 0);
    CHECK_EQ(l->plan.n_paged, LAYERS);
    CHECK_EQ(l->plan.n_experts, slots ? slots : 1);
    CHECK((l->plan.n_ring > 0) == !slots && l->plan.n_lazy == 1 && l->reader);
    return l;
}

static subject make(int32_t slots, int32_t n_threads, bool has_loader)
{
    write_model();
    for (int32_t i = 0; i < N; i++) ids[i] = (int32_t)(test_random() % VOCAB);
    subject t = { .name = "mixture", .ids = ids, .n = N, .n_vocab = VOCAB };
    chord_loaded *l = load_with(path, CHORD_KV_F16, 1, 128, 0, 0);
    CHECK(l->plan.n_paged == 0 && l->plan.n_experts == 0);
    t.want = all_logits(l, ids, N);
    chord_unload(l);
    t.l = load_slots(slots, n_threads, 16);
    t.got = test_alloc(N * VOCAB * sizeof *t.got);
    if (!has_loader) chord_reader_stop(t.l->reader);
    return t;
}

/* ---- tests -------------------------------------------------------------------------------------------- */

TEST(experts_that_are_read_when_they_are_chosen_give_the_logits_of_resident_ones)
{
    for (int32_t slots = 0; slots < EXPERTS; slots++) {
        subject t = make(slots, 1 + slots % 2, slots % 3 != 1);
        chord_session *s = open_session(t.l);
        check_rows(&t, s, 0, N); /* three batches, which choose more experts than there are slots */
        CHECK_EQ(chord_session_truncate(s, 0), 0);
        for (int32_t i = 0; i < N; i++) check_rows(&t, s, i, i + 1);
        chord_unload(t.l);
    }
}

TEST(an_expert_is_read_once_a_batch_and_not_while_it_stays_in_memory)
{
    for (int32_t slots = 1; slots < EXPERTS; slots++) {
        subject t = make(slots, 1, false);
        const chord_pager *p = &t.l->model->pager;
        const chord_reader_figures *f = &t.l->reader->figures;
        chord_session *s = open_session(t.l);
        uint64_t bytes = 0;
        int64_t chosen = 0;
        for (int32_t i = 0; i < N; i += i < 16 ? 16 : 1) {
            check_rows(&t, s, i, i < 16 ? 16 : i + 1);
            CHECK(p->n_experts > chosen);
            CHECK_EQ((int64_t)f->pages, p->n_experts - p->n_hits);
            double const read = (double)(f->bytes - bytes);
            CHECK(read <= (i ? t.l->plan.token_bytes : t.l->plan.paged_bytes));
            if (i) CHECK_EQ(p->n_experts - chosen, 2 * LAYERS * USED);
            bytes = f->bytes;
            chosen = p->n_experts;
        }
        CHECK(p->n_hits > 0);
        /* the same token again chooses the same experts: those in memory are computed first */
        uint64_t pages = 0;
        for (int32_t i = 0; i < 2; i++) {
            CHECK_EQ(chord_session_truncate(s, 0), 0);
            pages = f->pages;
            check_rows(&t, s, 0, 1);
        }
        CHECK_EQ(f->pages - pages, slots < USED ? 2 * LAYERS * (USED - slots) : 0);
        chord_unload(t.l);
    }
}

TEST(the_rest_of_a_mixture_is_resident_before_experts_are)
{
    write_model();
    chord_loaded *l = load_with(path, CHORD_KV_F16, 1, 16, 0, 1);
    double const all = l->plan.layer_bytes;
    chord_unload(l);
    int32_t last = 0;
    for (double budget = all / 64; budget < all; budget += all / 64) {
        l = load_with(path, CHORD_KV_F16, 1, 16, budget, 1);
        double resident = 0;
        chord_tensor_info t;
        for (int32_t i = 0; chord_model_tensor(l->model, i, &t, NULL, 0) == CHORD_OK; i++) {
            bool const is_stack = t.ne[2] > 1;
            if (is_stack) CHECK(t.placement == CHORD_PLACE_PAGED && t.n_pages == EXPERTS);
            else if (t.layer >= 0 && !t.is_vector && t.placement == CHORD_PLACE_RESIDENT)
                resident += t.file_bytes;
        }
        CHECK(l->plan.n_ring == 0 || !last);
        if (!l->plan.n_ring) {
            CHECK(resident + l->plan.ring_bytes <= budget && l->plan.n_experts >= last);
            last = l->plan.n_experts;
        }
        CHECK(l->plan.token_bytes < l->plan.paged_bytes);
        chord_unload(l);
    }
    CHECK_EQ(last, EXPERTS - 1);
}

TEST(a_cancel_inside_a_wave_leaves_a_thread_that_loads_and_the_next_batch_right)
{
    for (int32_t slots = 0; slots < 5; slots += 2) {
        subject t = make(slots, 1, true);
        chord_session *s = open_session(t.l);
        for (int32_t k = 0; k < 60; k++) {
            CHECK_EQ(chord_session_truncate(s, 0), 0);
            CHECK_EQ(chord_session_push(s, t.ids, N), CHORD_OK);
            for (int32_t i = (int32_t)(test_random() % 60); i-- > 0;) step_somewhere(&t, s);
            chord_session_cancel(s);
            CHECK_EQ(chord_session_step(s, CHORD_NO_LIMIT), CHORD_CANCELLED);
            chord_session_state state;
            CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
            check_rows(&t, s, state.n_past, N);
        }
        chord_unload(t.l);
    }
}

TEST(two_sessions_and_a_fork_take_turns_at_a_mixture)
{
    subject t = make(2, 2, true);
    chord_session *a = open_session(t.l), *b = open_session(t.l);
    for (int32_t i = 0; i < 12; i++) {
        check_rows(&t, a, 2 * i, 2 * i + 2);
        check_rows(&t, b, i, i + 1);
    }
    chord_session *c = fork_session(t.l, a);
    for (int32_t i = 24; i < 30; i++) {
        check_rows(&t, c, i, i + 1);
        check_rows(&t, b, i - 12, i - 11);
    }
    /* a batch that is dropped while it waits for an expert */
    chord_reader_stop(t.l->reader);
    CHECK_EQ(chord_session_push(a, t.ids + 24, 8), CHORD_OK);
    chord_status status = CHORD_NEED_MEMORY;
    for (const char *error = NULL; status != CHORD_NEED_WEIGHTS || a->layer < 1;) {
        status = step_somewhere(&t, a);
        if (status == CHORD_NEED_WEIGHTS && a->layer < 1)
            CHECK_EQ(chord_reader_serve(t.l->reader, a, 0, &error), CHORD_OK);
    }
    CHECK_EQ(chord_session_push(b, t.ids + 18, 1), CHORD_OK);
    CHECK_EQ(chord_session_step(b, CHORD_NO_LIMIT), CHORD_BUSY);
    CHECK_EQ(chord_session_drop_batch(a), CHORD_OK);
    CHECK_EQ(chord_load_run(t.l, b, CHORD_NO_LIMIT), CHORD_DONE);
    check_rows(&t, b, 19, 24);
    check_rows(&t, a, 24, 32);
    chord_unload(t.l);
}

/* The file loses the layers, and gets them back. */
TEST(a_read_of_an_expert_that_fails_ends_the_step_and_the_next_batch_is_right)
{
    for (int32_t slots = 1; slots < 4; slots++) {
        subject t = make(slots, 1, slots % 2);
        chord_session *s = open_session(t.l);
        check_rows(&t, s, 0, 10);
        size_t bytes;
        uint8_t *whole = test_read_file(path, &bytes);
        int const fd = open(path, O_WRONLY);
        CHECK(fd >= 0 && !ftruncate(fd, (off_t)bytes / 4));
        int32_t n_failed = 0;
        for (int32_t i = 10; i < 16; i++) {
            CHECK_EQ(chord_session_push(s, t.ids + i, 1), CHORD_OK);
            chord_status const status = chord_load_run(t.l, s, CHORD_NO_LIMIT);
            if (status == CHORD_DONE) continue; /* all its experts were in memory */
            CHECK_EQ(status, CHORD_INVALID_ARGUMENT);
            CHECK(strstr(t.l->error, ": expert ") && strstr(t.l->error, " couldn't be read"));
            t.l->error[0] = 0;
            n_failed++;
        }
        CHECK(n_failed > 0);
        CHECK(pwrite(fd, whole, bytes, 0) == (ssize_t)bytes && !close(fd));
        check_rows(&t, s, chord_session_truncate(s, 10), N);
        chord_unload(t.l);
    }
}

/* The matrix is damaged in the file after the load. */
TEST(a_damaged_block_of_an_expert_is_named_when_a_token_chooses_it)
{
    subject t = make(3, 1, false);
    chord_tensor_info info;
    char name[64] = "";
    for (int32_t i = 0; strcmp(name, "blk.1.ffn_down_exps.weight"); i++)
        CHECK_EQ(chord_model_tensor(t.l->model, i, &info, name, sizeof name), CHORD_OK);
    uint64_t const row = (uint64_t)(info.file_bytes / (EMBD * EXPERTS));
    int const fd = open(path, O_WRONLY);
    for (int32_t e = 0; e < EXPERTS; e++) /* row 5 of each expert */
        CHECK(fd >= 0 && pwrite(fd, "\xff\x7f", 2,
                                (off_t)((uint64_t)info.file_off + (uint64_t)(EMBD * e + 5) * row)) == 2);
    close(fd);
    chord_session *s = open_session(t.l);
    for (int32_t i = 0; i < 2; i++) {
        CHECK_EQ(chord_session_push(s, t.ids, 1), CHORD_OK);
        CHECK_EQ(chord_load_run(t.l, s, CHORD_NO_LIMIT), CHORD_INVALID_GGUF);
        static char const text[] = "tensor 'blk.1.ffn_down_exps.weight': row ";
        const char *found = strstr(t.l->error, text);
        CHECK(found && strtol(found + sizeof text - 1, NULL, 10) % EMBD == 4);
        chord_session_state state;
        CHECK_EQ(chord_session_get_state(s, &state), CHORD_OK);
        CHECK_EQ(state.n_tokens, 0);
    }
    chord_unload(t.l);
}
