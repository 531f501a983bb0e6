/* SPDX-License-Identifier: Apache-2.0 */
#include "save.h"
#include "caches.h"
#include "../base/mem.h"

#define HEADER ((uint64_t)sizeof(chord_save_header))
#define SUM ((uint64_t)sizeof(uint64_t)) /* bytes of the checksum at the end */
#define MOST_POSITION (1 << 29) /* pushed positions end at 2^28, later tokens have the next ones */

/* ---- the places of a save's bytes ------------------------------------------------------------------- */

/* n consecutive bytes of a save, in memory. Those of a page are its bytes from `off` on. */
typedef struct span {
    uint8_t *at;                  /* NULL: an executor outside the library has them */
    uint64_t n;
    const uint8_t *page;          /* NULL: they aren't a page's */
    uint64_t off;
    int32_t cls;
} span;

/* The keys or the values of a cache in a page. A STATE cache has one row of one head. */
typedef struct part {
    uint64_t off, row, head;      /* offset in the page; bytes of a row; from head to head */
    uint64_t n_heads;
} part;

static part part_of(const chord_cache *k, int32_t is_value)
{
    uint64_t const n_kv = (uint64_t)k->spec.n_kv, n_state = (uint64_t)k->spec.n_state;
    if (k->spec.kind == CHORD_CACHE_STATE) return (part){ k->k_off, n_state * 4, 0, is_value ? 0 : 1 };
    if (!is_value) return (part){ k->k_off, k->k_row, k->k_head, n_kv };
    return (part){ k->v_off, k->v_row, k->v_head, k->spec.v_dim ? n_kv : 0 };
}

/* Returns the bytes of a row of all caches of class c. */
static uint64_t row_bytes(const chord_sequence *q, int32_t c)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < 2 * q->config.n_caches; i++) {
        const chord_cache *k = &q->config.caches[i / 2];
        part const p = part_of(k, i % 2);
        if (k->cls == c) bytes += p.n_heads * p.row;
    }
    return bytes;
}

/* Returns byte `at` of the first `rows` rows of a page, and the bytes that follow it there. */
static span in_page(const chord_sequence *q, int32_t c, uint8_t *page, uint64_t rows, uint64_t at)
{
    for (int32_t i = 0; i < 2 * q->config.n_caches; i++) {
        const chord_cache *k = &q->config.caches[i / 2];
        part const p = part_of(k, i % 2);
        uint64_t const head = rows * p.row, bytes = k->cls == c ? p.n_heads * head : 0;
        if (at < bytes) {
            uint64_t const off = p.off + at / head * p.head + at % head;
            return (span){ .at = q->is_elsewhere ? NULL : page + off,
                           .n = head - at % head,
                           .page = page,
                           .off = off,
                           .cls = c };
        }
        at -= bytes;
    }
    return (span){ .n = 0 };
}

static bool is_state(const chord_sequence *q, int32_t c)
{
    return q->config.classes[c].kind == CHORD_CACHE_STATE;
}

static uint64_t ids_bytes(const chord_save_header *h) { return (uint64_t)h->n_tokens * sizeof(int32_t); }
static uint64_t positions_bytes(const chord_sequence *q, const chord_save_header *h)
{
    return h->has_positions ? ids_bytes(h) * (uint64_t)q->config.n_axes : 0;
}
/* Returns the bytes of class c, checkpoints excluded. */
static uint64_t class_bytes(const chord_sequence *q, const chord_save_header *h, int32_t c)
{
    int32_t const rows = is_state(q, c) ? h->n_past > 0 : h->n_past - h->n_dead[c] * CHORD_PAGE_TOKENS;
    return (uint64_t)rows * row_bytes(q, c);
}

static uint64_t save_bytes(const chord_sequence *q, const chord_save_header *h)
{
    uint64_t bytes = HEADER + ids_bytes(h) + positions_bytes(q, h) + SUM, states = 0;
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        bytes += class_bytes(q, h, c);
        if (is_state(q, c)) states += row_bytes(q, c);
    }
    for (int32_t i = 0; i < q->config.n_checkpoints; i++)
        if (h->checkpoints[i]) bytes += states;
    return bytes;
}

static span in_class(const chord_sequence *q, const chord_save_header *h, int32_t c, uint64_t at)
{
    uint8_t **const pages = q->classes[c].pages;
    if (is_state(q, c)) return in_page(q, c, pages[0], 1, at);
    uint64_t const page_bytes = row_bytes(q, c) * CHORD_PAGE_TOKENS;
    int32_t const page = h->n_dead[c] + (int32_t)(at / page_bytes);
    int32_t const rows = h->n_past - page * CHORD_PAGE_TOKENS;
    return in_page(q, c, pages[page], (uint64_t)(rows < CHORD_PAGE_TOKENS ? rows : CHORD_PAGE_TOKENS),
                   at % page_bytes);
}

/* Returns the place of byte `at` of the payload. */
static span find(const chord_sequence *q, const chord_save_header *h, uint64_t at)
{
    uint64_t n = ids_bytes(h);
    if (at < n) return (span){ .at = (uint8_t *)q->ids + at, .n = n - at };
    at -= n;
    n = positions_bytes(q, h);
    if (at < n) return (span){ .at = (uint8_t *)q->positions + at, .n = n - at };
    at -= n;
    for (int32_t c = 0; c < q->config.n_classes; c++) {
        n = class_bytes(q, h, c);
        if (at < n) return in_class(q, h, c, at);
        at -= n;
    }
    for (int32_t i = 0; i < q->config.n_checkpoints; i++)
        for (int32_t c = 0; h->checkpoints[i] && c < q->config.n_classes; c++) {
            n = is_state(q, c) ? row_bytes(q, c) : 0;
            if (at < n) return in_page(q, c, q->checkpoints[i].states[c], 1, at);
            at -= n;
        }
    return (span){ .n = 0 };
}

/* ---- save -------------------------------------------------------------------------------------------- */

static uint64_t header_sum(const chord_save_header *h)
{
    return chord_sum(CHORD_SUM_BEGIN, h, sizeof *h - sizeof h->sum);
}

static chord_save_header header_of(const chord_sequence *q, const chord_save_model *model)
{
    chord_save_header h = { .magic = { 'c', 'h', 'o', 'r', 'd', 's', 'a', 'v' },
                            .version = CHORD_SAVE_VERSION,
                            .size = (int32_t)HEADER,
                            .random = { q->random[0], q->random[1] },
                            .n_tokens = q->n_tokens,
                            .n_past = q->n_past,
                            .has_positions = q->has_positions,
                            .next_position = q->next_position,
                            .outputs = q->outputs,
                            .next_checkpoint = q->next_checkpoint };
    if (model) h.model = *model;
    for (int32_t c = 0; c < q->config.n_classes; c++) h.n_dead[c] = q->classes[c].n_dead;
    for (int32_t i = 0; i < q->config.n_checkpoints; i++) h.checkpoints[i] = q->checkpoints[i].at;
    h.bytes = save_bytes(q, &h);
    h.sum = header_sum(&h);
    return h;
}

uint64_t chord_sequence_save_bytes(const chord_sequence *q)
{
    return q->transfer.kind == CHORD_TRANSFER_RESTORE ? 0 : header_of(q, NULL).bytes;
}

static chord_status begin_save(chord_sequence *q, const chord_save_model *model, chord_error *e)
{
    if (q->transfer.kind == CHORD_TRANSFER_RESTORE)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "a restore of this session is under way");
    if (q->has_batch) return chord_fail(e, CHORD_BUSY, "a session can't be saved while a batch is under way");
    if (q->embeddings)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "embeddings are pending: evaluate them before the session is saved");
    q->transfer = (chord_transfer){ .kind = CHORD_TRANSFER_SAVE,
                                    .sum = CHORD_SUM_BEGIN,
                                    .header = header_of(q, model) };
    return CHORD_OK;
}

/* Returns the next bytes of the transfer under way. */
static span next_span(chord_sequence *q)
{
    chord_transfer *t = &q->transfer;
    uint64_t const end = t->header.bytes - SUM;
    if (t->at < HEADER) return (span){ .at = (uint8_t *)&t->header + t->at, .n = HEADER - t->at };
    if (t->at < end) return find(q, &t->header, t->at - HEADER);
    return (span){ .at = (uint8_t *)&t->end + (t->at - end), .n = t->header.bytes - t->at };
}

uint64_t chord_sequence_save_place(const chord_sequence *q, uint64_t at, int32_t place[3])
{
    const chord_transfer *t = &q->transfer;
    bool const has_header = t->kind == CHORD_TRANSFER_RESTORE || (t->kind == CHORD_TRANSFER_SAVE && at);
    chord_save_header const h = has_header ? t->header : header_of(q, NULL);
    uint64_t const end = h.bytes - SUM;
    place[0] = CHORD_NONE;
    place[1] = place[2] = 0;
    if (at >= h.bytes || (t->kind == CHORD_TRANSFER_RESTORE && t->at < HEADER)) return 0;
    if (at < HEADER) return HEADER - at;
    if (at >= end) return h.bytes - at;
    span const s = find(q, &h, at - HEADER);
    if (!s.page) return s.n;
    place[0] = s.cls;
    place[1] = chord_page_number(s.page);
    place[2] = (int32_t)s.off;
    return s.n;
}

static chord_status wrong_place(chord_error *e, const chord_transfer *t, int32_t kind, uint64_t at)
{
    if (t->kind != kind)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "offset %u: the save or restore was never begun, or the session has changed", at);
    return chord_fail(e, CHORD_INVALID_ARGUMENT, "offset %u doesn't follow the %u bytes before it", at,
                      t->at);
}

chord_status chord_sequence_save(chord_sequence *q, const chord_save_model *model, uint64_t at, void *dst,
                                 size_t n, chord_error *e)
{
    chord_transfer *t = &q->transfer;
    if (!at) CHORD_TRY(begin_save(q, model, e));
    if (t->kind != CHORD_TRANSFER_SAVE || at != t->at) return wrong_place(e, t, CHORD_TRANSFER_SAVE, at);
    for (uint8_t *to = dst; n && t->at < t->header.bytes;) {
        if (t->at == t->header.bytes - SUM) t->end = t->sum;
        span const from = next_span(q);
        size_t const take = from.n < n ? (size_t)from.n : n;
        if (from.at) chord_copy(to, from.at, take);
        t->sum = chord_sum(t->sum, to, take);
        t->at += take, to += take, n -= take;
    }
    return t->at < t->header.bytes ? CHORD_MORE : CHORD_DONE;
}

/* ---- restore ----------------------------------------------------------------------------------------- */

static const char *kv_name(int32_t type)
{
    return type == CHORD_KV_F32 ? "f32" : type == CHORD_KV_F16 ? "f16" : "q8_0";
}

static chord_status check_model(const chord_save_model *save, const chord_save_model *own, chord_error *e)
{
    size_t const n = sizeof own->architecture;
    if (!chord_equal(save->architecture, own->architecture, n) || save->n_layer != own->n_layer ||
        save->n_embd != own->n_embd || save->n_vocab != own->n_vocab) {
        char name[2][sizeof own->architecture + 1] = { { 0 } };
        chord_copy(name[0], save->architecture, n);
        chord_copy(name[1], own->architecture, n);
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "the save is of a model %q with %d layers of %d and %d tokens; this one is %q with "
                          "%d layers of %d and %d tokens",
                          name[0], chord_strlen(name[0]), save->n_layer, save->n_embd, save->n_vocab, name[1],
                          chord_strlen(name[1]), own->n_layer, own->n_embd, own->n_vocab);
    }
    if (save->kv_type != own->kv_type)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "the save's keys and values are %s, this model's are %s",
                          kv_name(save->kv_type), kv_name(own->kv_type));
    if (save->fingerprint != own->fingerprint)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "the save is of another model of this shape: its tensors or weights differ");
    return CHORD_OK;
}

/* The numbers of a header from n_tokens on. */
enum { NUMBERS = 6 + CHORD_MAX_CLASSES + CHORD_MAX_CHECKPOINTS };
_Static_assert(offsetof(chord_save_header, sum) - offsetof(chord_save_header, n_tokens) == 4 * NUMBERS,
               "n_tokens to checkpoints");

/* Writes the largest values of a header's numbers; the least values are 0. */
static void bounds(const chord_sequence *q, const chord_save_header *h, int32_t most[NUMBERS])
{
    const chord_sequence_config *config = &q->config;
    int32_t const periodic = config->n_checkpoints - 2; /* the largest index of a periodic checkpoint */
    int32_t *const dead = most + 6, *const checkpoints = dead + CHORD_MAX_CLASSES;
    chord_zero(most, NUMBERS * sizeof *most);
    most[0] = config->n_ctx, most[1] = h->n_tokens, most[2] = 1, most[3] = MOST_POSITION;
    most[4] = CHORD_OUTPUT_ALL, most[5] = periodic > 0 ? periodic : 0;
    for (int32_t c = 0; c < config->n_classes; c++) {
        const chord_cache_class *k = &config->classes[c];
        /* the first position that a query at n_past sees */
        int64_t const lowest = (int64_t)h->n_past - k->window + 1;
        if (k->kind == CHORD_CACHE_WINDOW && lowest > 0) dead[c] = (int32_t)(lowest / CHORD_PAGE_TOKENS);
        for (int32_t i = 0; k->kind == CHORD_CACHE_STATE && i < config->n_checkpoints; i++)
            checkpoints[i] = h->n_past;
    }
}

/* Checks every number of the header, which has arrived. */
static chord_status check_header(const chord_sequence *q, const chord_save_header *h,
                                 const chord_save_model *model, chord_error *e)
{
    if (!chord_equal(h->magic, "chordsav", sizeof h->magic))
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "these bytes aren't a saved session");
    if (h->version != CHORD_SAVE_VERSION || h->size != (int32_t)HEADER)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "the save has version %d, this library reads version %d",
                          h->version, CHORD_SAVE_VERSION);
    if (h->sum != header_sum(h)) return chord_fail(e, CHORD_INTEGRITY, "its header's checksum is wrong");
    CHORD_TRY(check_model(&h->model, model, e));
    if (h->n_tokens > q->config.n_ctx)
        return chord_fail(e, CHORD_CONTEXT_FULL, "the save has %d tokens, the context length is %d",
                          h->n_tokens, q->config.n_ctx);
    int32_t numbers[NUMBERS], most[NUMBERS];
    chord_copy(numbers, (const uint8_t *)h + offsetof(chord_save_header, n_tokens), sizeof numbers);
    bounds(q, h, most);
    for (int32_t i = 0; i < NUMBERS; i++)
        if (numbers[i] < 0 || numbers[i] > most[i])
            return chord_fail(e, CHORD_INTEGRITY, "number %d of its header is %d, not 0 to %d", i, numbers[i],
                              most[i]);
    if (h->bytes != save_bytes(q, h))
        return chord_fail(e, CHORD_INTEGRITY, "it says that it has %u bytes instead of %u", h->bytes,
                          save_bytes(q, h));
    return CHORD_OK;
}

/* Checks the payload's numbers; the arrays have arrived. An id of -1 is an evaluated embedding. */
static chord_status check_arrays(chord_sequence *q, const chord_save_header *h, chord_error *e)
{
    int32_t const axes = q->config.n_axes;
    for (int64_t i = 0; i < (int64_t)h->n_tokens * axes; i++) {
        int32_t const id = q->ids[i / axes];
        if (!h->has_positions) q->positions[i] = (int32_t)(i / axes);
        if (id < (i / axes < h->n_past ? -1 : 0) || id >= q->config.n_vocab || q->positions[i] < 0 ||
            q->positions[i] > MOST_POSITION)
            return chord_fail(e, CHORD_INTEGRITY, "its token %d has the id %d and the position %d",
                              (int32_t)(i / axes), id, q->positions[i]);
    }
    return CHORD_OK;
}

/* All bytes have arrived. */
static chord_status end_restore(chord_sequence *q, chord_error *e)
{
    chord_transfer *t = &q->transfer;
    const chord_save_header *h = &t->header;
    if (t->end != t->sum) return chord_fail(e, CHORD_INTEGRITY, "its checksum is wrong");
    CHORD_TRY(check_arrays(q, h, e));
    q->n_tokens = h->n_tokens;
    q->n_past = h->n_past;
    q->outputs = h->outputs;
    q->has_positions = h->has_positions;
    q->next_position = h->has_positions ? h->next_position : h->n_tokens;
    q->random[0] = h->random[0];
    q->random[1] = h->random[1] | 1;
    t->kind = CHORD_TRANSFER_NONE;
    return CHORD_DONE;
}

static chord_status read_bytes(chord_sequence *q, const chord_save_model *model, const uint8_t *from,
                               size_t n, chord_error *e)
{
    chord_transfer *t = &q->transfer;
    while (n) {
        bool const is_header = t->at < HEADER;
        if (!is_header && t->at == t->header.bytes)
            return chord_fail(e, CHORD_INTEGRITY, "bytes follow its end at %u", t->at);
        bool const is_sum = !is_header && t->at >= t->header.bytes - SUM;
        span const to = next_span(q);
        size_t const take = to.n < n ? (size_t)to.n : n;
        if (to.at) chord_copy(to.at, from, take);
        if (!is_sum) t->sum = chord_sum(t->sum, from, take);
        t->at += take, from += take, n -= take;
        if (!is_header || t->at < HEADER) continue;
        CHORD_TRY(check_header(q, &t->header, model, e));
        CHORD_TRY(chord_caches_restore(q, &t->header));
    }
    return t->at >= HEADER && t->at == t->header.bytes ? end_restore(q, e) : CHORD_MORE;
}

chord_status chord_sequence_restore(chord_sequence *q, const chord_save_model *model, uint64_t at,
                                    const void *bytes, size_t n, chord_error *e)
{
    chord_transfer *t = &q->transfer;
    if (!at) {
        if (q->n_tokens)
            return chord_fail(e, CHORD_INVALID_ARGUMENT,
                              "a session of %d tokens can't be restored: only an empty one can", q->n_tokens);
        chord_sequence_clear(q);
        *t = (chord_transfer){ .kind = CHORD_TRANSFER_RESTORE, .sum = CHORD_SUM_BEGIN };
    }
    if (t->kind != CHORD_TRANSFER_RESTORE || at != t->at)
        return wrong_place(e, t, CHORD_TRANSFER_RESTORE, at);
    chord_transfer const before = *t;
    chord_status const status = read_bytes(q, model, bytes, n, e);
    if (status == CHORD_NEED_MEMORY) *t = before;
    if (status < 0) chord_sequence_clear(q);
    return status;
}
