/* exports.c: chord.h across the WebAssembly boundary. Only int32 and double cross it (docs/DESIGN.md, "The
 * boundary"). Addresses, sizes and file offsets are doubles, integers below 2^53. Ids, counts and status
 * codes are int32. Each export is the C function of the same name without `chord_`, with the same order of
 * arguments. A budget below 0 is CHORD_NO_LIMIT. The host (ts/wasm) owns the memory from `__heap_base` on,
 * and sets `__stack_pointer` in each thread's instance. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../include/chord.h"

#define EXPORT(name) __attribute__((export_name(#name)))

/* Converts a double to an integer. NaN and doubles outside 0 .. 2^53 - 1 become 0; as an address, 0 is a
 * NULL that every call refuses. */
static uint64_t whole(double x) { return x >= 0 && x < 0x1p53 ? (uint64_t)x : 0; }
static void *at(double x) { return (void *)(uintptr_t)whole(x); }
static size_t size(double x) { return (size_t)whole(x); }
static double address(const void *p) { return (double)(uintptr_t)p; }

/* Its presence says that addresses have 64 bits (ts/wasm/instantiate.ts). */
#ifdef __wasm64__
EXPORT(has_wide_addresses) void export_has_wide_addresses(void) {}
#endif

EXPORT(abi_version) int32_t export_abi_version(void) { return chord_abi_version(); }
EXPORT(isa) int32_t export_isa(void) { return chord_isa(); }

EXPORT(model_init) double export_model_init(double block, double bytes)
{
    return address(chord_model_init(at(block), size(bytes)));
}
EXPORT(model_set_file_bytes) int32_t export_set_file_bytes(double m, double bytes)
{
    return chord_model_set_file_bytes(at(m), whole(bytes));
}
EXPORT(model_files) int32_t export_files(double m) { return chord_model_files(at(m)); }
EXPORT(model_file) int32_t export_file(double m) { return chord_model_file(at(m)); }
EXPORT(model_position) double export_position(double m) { return (double)chord_model_position(at(m)); }
EXPORT(model_wanted) double export_wanted(double m) { return (double)chord_model_wanted(at(m)); }
EXPORT(model_give) int32_t export_give(double m, double block, double bytes)
{
    return chord_model_give(at(m), at(block), size(bytes));
}
EXPORT(model_push) int32_t export_push(double m, int32_t file, double off, double bytes, double n)
{
    return chord_model_push(at(m), file, whole(off), at(bytes), size(n));
}
EXPORT(model_end) int32_t export_end(double m) { return chord_model_end(at(m)); }
EXPORT(model_plan) int32_t export_plan(double m, double config, double out)
{
    return chord_model_plan(at(m), at(config), at(out));
}
EXPORT(model_begin) int32_t export_begin(double m, double block, double bytes)
{
    return chord_model_begin(at(m), at(block), size(bytes));
}
EXPORT(model_tensor) int32_t export_tensor(double m, int32_t i, double out, double name, double cap)
{
    return chord_model_tensor(at(m), i, at(out), at(name), size(cap));
}
EXPORT(model_get_info) int32_t export_get_info(double m, double out)
{
    return chord_model_get_info(at(m), at(out));
}
EXPORT(model_meta) double export_meta(double m, double key, int32_t n_key, double dst, double cap)
{
    return (double)chord_model_meta(at(m), at(key), n_key, at(dst), size(cap));
}
EXPORT(model_meta_at)
double export_meta_at(double m, double key, int32_t n_key, int32_t index, double dst, double cap)
{
    return (double)chord_model_meta_at(at(m), at(key), n_key, index, at(dst), size(cap));
}
EXPORT(model_chat_template)
double export_chat_template(double m, double name, int32_t n_name, double dst, double cap)
{
    return (double)chord_model_chat_template(at(m), at(name), n_name, at(dst), size(cap));
}
EXPORT(model_row) int32_t export_row(double m, int32_t tensor, double row, double dst, double cap)
{
    return chord_model_row(at(m), tensor, (int64_t)whole(row), at(dst), size(cap));
}
EXPORT(row_decode) int32_t export_row_decode(int32_t type, double row, double bytes, int32_t n, double dst)
{
    return chord_row_decode(type, at(row), size(bytes), n, at(dst));
}
EXPORT(grids) double export_grids(double dst, double cap) { return (double)chord_grids(at(dst), size(cap)); }
/* Writes the number of bytes to the double at `bytes`. */
EXPORT(model_release) double export_release(double m, int32_t tensor, double bytes)
{
    size_t n = 0;
    void *block = chord_model_release(at(m), tensor, &n);
    *(double *)at(bytes) = (double)n;
    return address(block);
}
/* The number of ops is plan_info.n_ops. */
EXPORT(model_program) double export_program(double m)
{
    int32_t n;
    return address(chord_model_program(at(m), &n));
}
EXPORT(model_get_program) int32_t export_get_program(double m, double out)
{
    return chord_model_get_program(at(m), at(out));
}
EXPORT(model_cache_class) int32_t export_cache_class(double m, int32_t cache)
{
    return chord_model_cache_class(at(m), cache);
}
EXPORT(model_vector) double export_vector(double m, int32_t tensor)
{
    return address(chord_model_vector(at(m), tensor));
}
EXPORT(model_profile) int32_t export_profile(double m, double ms)
{
    return chord_model_profile(at(m), at(ms));
}
EXPORT(last_error) int32_t export_last_error(double m, double dst, double cap)
{
    return chord_last_error(at(m), at(dst), size(cap));
}

EXPORT(thread_join) int32_t export_thread_join(double m, int32_t index)
{
    return chord_thread_join(at(m), index);
}
EXPORT(threads_ready) int32_t export_threads_ready(double m) { return chord_threads_ready(at(m)); }
EXPORT(model_stop) void export_stop(double m) { chord_model_stop(at(m)); }

EXPORT(model_want_page) int32_t export_want_page(double m) { return chord_model_want_page(at(m)); }
EXPORT(model_load_rows)
int32_t export_load_rows(double m, int32_t tensor, double first_row, double rows, double bytes)
{
    return chord_model_load_rows(at(m), tensor, (int64_t)whole(first_row), at(rows), size(bytes));
}
EXPORT(model_page_loaded) int32_t export_page_loaded(double m, int32_t page)
{
    return chord_model_page_loaded(at(m), page);
}
EXPORT(model_page_failed) int32_t export_page_failed(double m, int32_t page, int32_t status)
{
    return chord_model_page_failed(at(m), page, status);
}
EXPORT(model_wait_page) int32_t export_wait_page(double m, int32_t milliseconds)
{
    return chord_model_wait_page(at(m), milliseconds);
}
EXPORT(pager_word) double export_pager_word(double m) { return address(chord_pager_word(at(m))); }
EXPORT(pager_error) int32_t export_pager_error(double m, double dst, double cap)
{
    return chord_pager_error(at(m), at(dst), size(cap));
}

EXPORT(tokenizer_bytes) double export_tokenizer_bytes(void) { return (double)chord_tokenizer_bytes(); }
EXPORT(tokenizer_open)
double export_tokenizer_open(double m, double text, double n, int32_t flags, double block, double bytes)
{
    return address(chord_tokenizer_open(at(m), at(text), size(n), flags, at(block), size(bytes)));
}
EXPORT(tokenizer_step)
int32_t export_tokenizer_step(double t, double budget, double ids, int32_t cap, double n)
{
    return chord_tokenizer_step(at(t), whole(budget), at(ids), cap, at(n));
}
EXPORT(tokenizer_wanted) double export_tokenizer_wanted(double t)
{
    return (double)chord_tokenizer_wanted(at(t));
}
EXPORT(tokenizer_give) int32_t export_tokenizer_give(double t, double block, double bytes)
{
    return chord_tokenizer_give(at(t), at(block), size(bytes));
}
EXPORT(tokenizer_least) double export_tokenizer_least(double t)
{
    return (double)chord_tokenizer_least(at(t));
}

EXPORT(detokenize)
double export_detokenize(double m, double ids, int32_t n, int32_t flags, double dst, double cap)
{
    return (double)chord_detokenize(at(m), at(ids), n, flags, at(dst), size(cap));
}
EXPORT(token_flags) int32_t export_token_flags(double m, int32_t id) { return chord_token_flags(at(m), id); }

EXPORT(stream_bytes) double export_stream_bytes(double n_stops)
{
    return (double)chord_stream_bytes(size(n_stops));
}
EXPORT(stream_open) double export_stream_open(double block, double bytes, double stops, double n_stops)
{
    return address(chord_stream_open(at(block), size(bytes), at(stops), size(n_stops)));
}
/* Writes the address of the text to `text`, as a double. */
EXPORT(stream_push) int32_t export_stream_push(double t, double bytes, double n, double text)
{
    const char *out = 0;
    int32_t const length = chord_stream_push(at(t), at(bytes), size(n), &out);
    *(double *)at(text) = address(out);
    return length;
}
EXPORT(stream_end) int32_t export_stream_end(double t, double text)
{
    const char *out = 0;
    int32_t const length = chord_stream_end(at(t), &out);
    *(double *)at(text) = address(out);
    return length;
}
EXPORT(stream_stopped) int32_t export_stream_stopped(double t) { return chord_stream_stopped(at(t)); }

EXPORT(session_bytes) double export_session_bytes(double m) { return (double)chord_session_bytes(at(m)); }
EXPORT(session_open) double export_session_open(double m, double block, double bytes)
{
    return address(chord_session_open(at(m), at(block), size(bytes)));
}
EXPORT(session_close) void export_session_close(double s) { chord_session_close(at(s)); }
EXPORT(session_push) int32_t export_session_push(double s, double ids, int32_t n)
{
    return chord_session_push(at(s), at(ids), n);
}
EXPORT(session_push_embeddings)
int32_t export_session_push_embeddings(double s, double rows, double positions, int32_t n)
{
    return chord_session_push_embeddings(at(s), at(rows), at(positions), n);
}
EXPORT(session_embed) int32_t export_session_embed(double s, int32_t pooling)
{
    return chord_session_embed(at(s), pooling);
}
EXPORT(session_embedding) double export_session_embedding(double s, int32_t row)
{
    return address(chord_session_embedding(at(s), row));
}
EXPORT(session_outputs) int32_t export_session_outputs(double s, int32_t mode)
{
    return chord_session_outputs(at(s), mode);
}
EXPORT(session_step) int32_t export_session_step(double s, double budget)
{
    return chord_session_step(at(s), budget < 0 ? CHORD_NO_LIMIT : whole(budget));
}
EXPORT(session_next_batch) int32_t export_session_next_batch(double s, double out)
{
    return chord_session_next_batch(at(s), at(out));
}
EXPORT(session_reserve) int32_t export_session_reserve(double s, int32_t ahead)
{
    return chord_session_reserve(at(s), ahead);
}
EXPORT(session_pages)
int32_t export_session_pages(double s, int32_t cls, int32_t first, double numbers, int32_t cap)
{
    return chord_session_pages(at(s), cls, first, at(numbers), cap);
}
EXPORT(session_copies) int32_t export_session_copies(double s, double triples, int32_t cap)
{
    return chord_session_copies(at(s), at(triples), cap);
}
EXPORT(session_lazy_rows) int32_t export_session_lazy_rows(double s, double triples, int32_t cap)
{
    return chord_session_lazy_rows(at(s), at(triples), cap);
}
EXPORT(session_load_row)
int32_t export_session_load_row(double s, int32_t tensor, int32_t row, double bytes, double n)
{
    return chord_session_load_row(at(s), tensor, row, at(bytes), size(n));
}
EXPORT(session_accept_batch) int32_t export_session_accept_batch(double s)
{
    return chord_session_accept_batch(at(s));
}
EXPORT(session_drop_batch) int32_t export_session_drop_batch(double s)
{
    return chord_session_drop_batch(at(s));
}
EXPORT(session_cancel) void export_cancel(double s) { chord_session_cancel(at(s)); }
EXPORT(session_logits) double export_session_logits(double s, int32_t row)
{
    return address(chord_session_logits(at(s), row));
}
EXPORT(session_sample) int32_t export_session_sample(double s, double p)
{
    return chord_session_sample(at(s), at(p));
}
EXPORT(session_sample_row) int32_t export_session_sample_row(double s, double p, double logits)
{
    return chord_session_sample_row(at(s), at(p), at(logits));
}
EXPORT(session_accept_token) int32_t export_session_accept_token(double s, int32_t id)
{
    return chord_session_accept_token(at(s), id);
}
EXPORT(session_logprobs)
int32_t export_session_logprobs(double s, int32_t id, int32_t k, double ids, double logprobs)
{
    return chord_session_logprobs(at(s), id, k, at(ids), at(logprobs));
}
EXPORT(session_seed) void export_session_seed(double s, double seed)
{
    chord_session_seed(at(s), whole(seed));
}
EXPORT(session_random) double export_session_random(double s, int32_t ahead)
{
    return chord_session_random(at(s), ahead);
}
EXPORT(session_truncate) int32_t export_session_truncate(double s, int32_t n)
{
    return chord_session_truncate(at(s), n);
}
/* Returns the new session's address, or a negative number: the error, or -NEED_MEMORY. */
EXPORT(session_fork) double export_session_fork(double s, double block, double bytes)
{
    chord_session *out = 0;
    chord_status const status = chord_session_fork(at(s), at(block), size(bytes), &out);
    return status == CHORD_OK ? address(out) : status > 0 ? -status : status;
}
EXPORT(session_match) int32_t export_session_match(double s, double ids, int32_t n)
{
    return chord_session_match(at(s), at(ids), n);
}
EXPORT(session_tokens) double export_session_tokens(double s) { return address(chord_session_tokens(at(s))); }
EXPORT(session_save_bytes) double export_session_save_bytes(double s)
{
    return (double)chord_session_save_bytes(at(s));
}
EXPORT(session_save_place) int32_t export_session_save_place(double s, double at_byte, double place)
{
    return chord_session_save_place(at(s), whole(at_byte), at(place));
}
EXPORT(model_sample) int32_t export_model_sample(double m, int32_t tensor, double bytes, double n)
{
    return chord_model_sample(at(m), tensor, at(bytes), size(n));
}
EXPORT(session_save) int32_t export_session_save(double s, double off, double dst, double n)
{
    return chord_session_save(at(s), whole(off), at(dst), size(n));
}
EXPORT(session_restore) int32_t export_session_restore(double s, double off, double bytes, double n)
{
    return chord_session_restore(at(s), whole(off), at(bytes), size(n));
}
EXPORT(session_get_state) int32_t export_session_get_state(double s, double out)
{
    return chord_session_get_state(at(s), at(out));
}
