/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "../base/mem.h"
#include "../model/vocabulary.h"

#define GROW_LEAST (64u << 10)
#define PATIENCE_MS 20000      /* claimed units take milliseconds, but a machine may be busy */
#define GROW_MOST (1u << 20)   /* maximum memory for a claimed length before its bytes arrive */

int32_t chord_abi_version(void) { return CHORD_ABI_VERSION; }
int32_t chord_isa(void) { return chord_ops_of(CHORD_ISA_BEST)->isa; }

const char *chord_status_text(chord_status status)
{
#define CASE(name, value, code, text) \
    case value: return text;
    switch (status) {
        CHORD_ERROR_LIST(CASE)
    }
#undef CASE
    return "no error";
}

static chord_status failed(chord_model *m, chord_status status)
{
    if (status < 0) m->phase = PHASE_FAILED;
    return status;
}

chord_status chord_wrong_phase(const chord_model *m, const char *call)
{
    return chord_fail(
        chord_error_begin(m), CHORD_INVALID_ARGUMENT,
        "%s isn't allowed in phase %d of the model (0 header, 1 parsed, 2 planned, 3 data, 4 ready, 5 failed)",
        call, m->phase);
}

static chord_status missing(chord_model *m, const char *what)
{
    return chord_fail(&m->error, CHORD_INVALID_ARGUMENT, "%s is NULL", what);
}

chord_model *chord_model_init(void *block, size_t bytes)
{
    if (!block || (uintptr_t)block % CHORD_BLOCK_ALIGN || bytes < (64u << 10)) return NULL;
    chord_model *m = block;
    chord_zero(m, sizeof *m);
    size_t const own = (sizeof *m + CHORD_BLOCK_ALIGN - 1) & ~(size_t)(CHORD_BLOCK_ALIGN - 1);
    chord_arena const log = { (uint8_t *)block + own, 0, bytes - own };
    m->archs = chord_archs;
    m->split.n_files = 1;
    chord_gguf_init(&m->gguf, log, chord_vocabulary_keys);
    return m;
}

/* Returns the header under way; after the HEADER phase the first file's. */
static const chord_gguf *header_of(const chord_model *m)
{
    return m->phase == PHASE_HEADER && m->shard.file ? &m->shard : &m->gguf;
}
static chord_gguf *under_way(chord_model *m) { return (chord_gguf *)(uintptr_t)header_of(m); }

chord_status chord_model_set_file_bytes(chord_model *m, uint64_t bytes)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(m);
    if (m->phase > PHASE_PARSED) return chord_wrong_phase(m, "chord_model_set_file_bytes");
    if (bytes > CHORD_MAX_FILE)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "a file of %u bytes is larger than the maximum of 2^53", bytes);
    under_way(m)->file_bytes = bytes;
    m->split.files[under_way(m)->file].bytes = bytes;
    return CHORD_OK;
}

int32_t chord_model_files(const chord_model *m) { return m ? m->split.n_files : 0; }

int32_t chord_model_file(const chord_model *m)
{
    if (!m) return 0;
    return m->phase == PHASE_DATA ? chord_data_file(m) : header_of(m)->file;
}

uint64_t chord_model_position(const chord_model *m)
{
    if (!m) return 0;
    return m->phase == PHASE_DATA ? chord_data_position(m) : header_of(m)->position;
}

size_t chord_model_wanted(const chord_model *m) { return m ? (size_t)m->wanted : 0; }

/* Returns the class that gets the rest of a block after the wanted pages: the number of its pages grows
 * with the sequence. */
static int32_t growing_class(const chord_plan *p)
{
    for (int32_t c = 0; c < p->n_classes; c++)
        if (p->classes[c].kind == CHORD_CACHE_PAGED) return c;
    return 0;
}

chord_status chord_model_give(chord_model *m, void *block, size_t bytes)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(m);
    if (!block) return missing(m, "block");
    if (m->phase == PHASE_READY) {
        if ((uintptr_t)block % CHORD_BLOCK_ALIGN)
            return chord_fail(&m->error, CHORD_INVALID_ARGUMENT, "the block isn't aligned to %d bytes",
                              CHORD_BLOCK_ALIGN);
        chord_pages_give(m->pools, m->plan.n_classes, growing_class(&m->plan), block, bytes);
        return CHORD_OK;
    }
    if (m->phase > PHASE_PLANNED) return chord_wrong_phase(m, "chord_model_give");
    chord_arena *a = &under_way(m)->log;
    if ((uint8_t *)block != a->base + a->cap)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "the block doesn't start where the header's memory ends");
    a->cap += bytes;
    m->wanted = 0;
    return CHORD_OK;
}

static chord_status need_memory(chord_model *m, uint64_t bytes)
{
    uint64_t const least = bytes < GROW_LEAST ? GROW_LEAST : bytes > GROW_MOST ? GROW_MOST : bytes;
    m->wanted = (least + GROW_LEAST - 1) / GROW_LEAST * GROW_LEAST;
    return CHORD_NEED_MEMORY;
}

chord_status chord_fail_in_file(chord_model *m, int32_t file, chord_status status)
{
    char text[CHORD_ERROR_BYTES];
    if (m->split.n_files == 1) return status;
    chord_copy(text, m->error.text, sizeof text);
    return chord_fail(chord_error_begin(m), status, "shard %d of %d: %s", file + 1, m->split.n_files, text);
}

/* Checks a complete header and begins the next file's. DONE: it was the last one. */
static chord_status end_header(chord_model *m, chord_gguf *g)
{
    CHORD_TRY(chord_split_check(&m->split, g, &m->error));
    if (g->file) chord_gguf_join(&m->gguf, g);
    if (g->file + 1 < m->split.n_files) {
        chord_gguf_follow(&m->shard, g);
        return CHORD_MORE;
    }
    CHORD_TRY(chord_split_end(&m->split, &m->gguf, &m->error));
    m->phase = PHASE_PARSED;
    m->log_end = m->gguf.log.used;
    return CHORD_DONE;
}

/* A shard that doesn't belong here may have the tensors of another one: its keys are the better reason. */
static chord_status reason_of(chord_model *m, const chord_gguf *g, chord_status status)
{
    chord_error const first = m->error;
    if (!g->file || !g->n_kv || g->kv_left) return status; /* its keys are complete */
    chord_status const keys = chord_split_check(&m->split, g, &m->error);
    if (keys < 0) return keys;
    m->error = first;
    return status;
}

static chord_status push_header(chord_model *m, int32_t file, uint64_t off, const void *bytes, size_t n)
{
    chord_gguf *g = under_way(m);
    if (file != g->file)
        return chord_fail(
            &m->error, CHORD_INVALID_ARGUMENT,
            "bytes pushed for file %d, but the header of file %d is needed next: the model has %d files",
            file, g->file, m->split.n_files);
    if (off != g->position)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "bytes pushed at offset %u, but the bytes at %u are needed next", off, g->position);
    size_t taken;
    chord_status const status = chord_gguf_push(g, bytes, n, &taken, &m->error);
    if (status == CHORD_NEED_MEMORY) return need_memory(m, g->left);
    if (status == CHORD_MORE) return status;
    chord_status const ended = status == CHORD_OK ? end_header(m, g) : reason_of(m, g, status);
    return ended < 0 ? failed(m, chord_fail_in_file(m, file, ended)) : ended;
}

chord_status chord_model_push(chord_model *m, int32_t file, uint64_t off, const void *bytes, size_t n)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(m);
    if (!bytes && n) return missing(m, "bytes");
    if (file < 0 || file >= m->split.n_files)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "bytes pushed for file %d, the model's last file is file %d", file,
                          m->split.n_files - 1);
    if (m->phase == PHASE_HEADER) return push_header(m, file, off, bytes, n);
    if (m->phase == PHASE_DATA) return failed(m, chord_data_push(m, file, off, bytes, n));
    if (m->phase == PHASE_READY) return CHORD_DONE;
    return chord_wrong_phase(m, "chord_model_push");
}

static chord_status end_in_header(chord_model *m, const chord_gguf *g)
{
    if (g->file && !g->position)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "the file is sound, but it is shard %d of %d of a model; the next shard is missing",
                          g->file, m->split.n_files);
    return chord_fail_in_file(m, g->file,
                              chord_fail(&m->error, CHORD_INVALID_GGUF,
                                         "the file ends at byte %u, inside its header", g->position));
}

chord_status chord_model_end(chord_model *m)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(m);
    if (m->phase == PHASE_READY) return CHORD_OK;
    if (m->phase == PHASE_HEADER) return failed(m, end_in_header(m, under_way(m)));
    if (m->phase != PHASE_DATA) return chord_wrong_phase(m, "chord_model_end");
    const chord_tensor *t = &m->plan.tensors[m->plan.file_order[m->at]];
    chord_status const status = chord_fail(&m->error, CHORD_INVALID_GGUF,
                                           "the file ends inside tensor %q: %u of its %u bytes are there",
                                           t->name, (size_t)t->n_name, m->filled, t->file_bytes);
    return failed(m, chord_fail_in_file(m, t->file, status));
}

/* ---- plan ------------------------------------------------------------------------------------------- */

/* Bytes of a page with external weights: its executor holds the contents. */
#define EMPTY_PAGE 64

/* With `external` the host places the matrices, and its executor the caches. Vectors (norms, biases, rope
 * factors) stay resident: the tables of rotary angles are made from the rope factors. */
static void take_config(chord_model *m, const chord_config *config)
{
    m->config = *config;
    m->plan.is_external = config->external != 0;
    for (int32_t i = 0; config->external && i < m->plan.n_tensors; i++) {
        chord_tensor *t = &m->plan.tensors[i];
        if (t->placement == CHORD_PLACE_RESIDENT && t->layout != CHORD_LAYOUT_VECTOR)
            t->placement = CHORD_PLACE_EXTERNAL;
    }
    for (int32_t c = 0; config->external && c < m->plan.n_classes; c++)
        m->plan.classes[c].page_bytes = EMPTY_PAGE;
}

static chord_status plan(chord_model *m, const chord_config *config)
{
    chord_arena *tables = &m->gguf.log;
    tables->used = m->log_end;
    chord_zero(&m->plan, sizeof m->plan);
    CHORD_TRY(chord_plan_tensors(&m->plan, &m->gguf, m->split.files, tables, &m->error));
    CHORD_TRY(chord_plan_program(&m->plan, m->archs, &m->hparams, &m->gguf, tables, &m->error));
    CHORD_TRY(chord_plan_config(&m->plan, &m->hparams, config, tables, &m->error));
    m->ops = chord_ops_of(config->isa);
    if (!m->ops)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT, "isa %d isn't in this build", config->isa);
    take_config(m, config);
    CHORD_TRY(chord_vocabulary_read(&m->gguf, config->any_pre, &m->vocab_source, &m->error));
    if (!chord_vocab_bytes(&m->vocab_source, &m->vocab_bytes))
        return chord_fail(&m->error, CHORD_INVALID_GGUF, "the vocabulary is larger than any memory");
    if (!m->plan.is_external) chord_exec_measure(&m->plan);
    chord_arena measure = { NULL, 0, CHORD_MEASURE };
    return chord_plan_memory(&m->plan, &measure, m->vocab_bytes, &m->vocab_block, &m->map);
}

/* Returns the bytes of one page of each class that has pages. */
static uint64_t page_bytes(const chord_plan *p)
{
    uint64_t bytes = 0;
    for (int32_t c = 0; c < p->n_classes; c++)
        if (p->classes[c].kind != CHORD_CACHE_STATE) bytes += p->classes[c].page_bytes + CHORD_PAGE_HEADER;
    return bytes;
}

/* Returns the planned work of one token at position 0. */
static uint64_t token_work(const chord_model *m)
{
    int32_t const zero = 0;
    chord_batch_run const run = { .n_tokens = 1 };
    chord_batch const one = {
        .n_tokens = 1, .n_runs = 1, .runs = &run, .ids = &zero, .n_outputs = 1, .rows = &zero
    };
    return chord_exec_work(&m->plan, &one);
}

/* Returns the number of layers of which a matrix is paged. */
static int32_t paged_layers(const chord_plan *p)
{
    int32_t n = p->n_pages, last = CHORD_NONE;
    for (int32_t i = 0; i < p->n_stacks; last = p->stacks[i++].layer) {
        bool is_new = p->stacks[i].layer != last;
        for (int32_t k = 0; k < p->n_pages; k++) is_new &= p->pages[k].layer != p->stacks[i].layer;
        n += is_new;
    }
    return n;
}

static void fill_plan_info(const chord_model *m, chord_plan_info *out)
{
    const chord_plan *p = &m->plan;
    const chord_tensor *first = &p->tensors[p->file_order[0]],
                       *last = &p->tensors[p->file_order[p->n_tensors - 1]];
    uint64_t resident = 0;
    double paged = 0, of_token = 0, slots = p->n_pages ? (double)p->n_ring * (double)p->slot_bytes : 0;
    for (int32_t i = 0; i < p->n_pages; i++) paged += (double)p->pages[i].file_bytes;
    of_token = paged;
    int32_t n_held = 0;
    for (int32_t i = 0; i < p->n_stacks; i++) {
        const chord_stacks *s = &p->stacks[i];
        paged += (double)s->file_bytes * s->n_expert;
        of_token += (double)s->file_bytes * p->program.ops[s->op].experts.n_used;
        slots += (double)s->slot_bytes * s->n_slots;
        if (!n_held || s->n_slots < n_held) n_held = s->n_slots;
    }
    for (int32_t i = 0; i < p->n_tensors; i++)
        if (p->tensors[i].placement == CHORD_PLACE_RESIDENT) resident += p->tensors[i].file_bytes;
    const chord_vocab_source *v = &m->vocab_source;
    *out = (chord_plan_info){
        .version = CHORD_ABI_VERSION,
        .size = (int32_t)sizeof *out,
        .n_tensors = p->n_tensors,
        .n_ops = p->program.n_ops,
        .n_all_ops = p->program.n_all,
        .n_ctx = p->n_ctx,
        .n_batch = p->n_batch,
        .n_logits = p->n_logits,
        .n_threads = p->n_threads,
        .bytes = (double)m->map.bytes,
        .weight_bytes = (double)m->map.weight_bytes,
        .vocabulary_bytes = (double)m->map.vocabulary_bytes,
        .activation_bytes = (double)m->map.activation_bytes,
        .header_bytes = (double)m->gguf.log.used,
        .file_weight_bytes = (double)resident,
        .file_vocabulary_bytes = (double)v->texts_bytes + (double)v->merges_bytes +
                                 (double)v->n_tokens * ((v->scores ? 4 : 0) + (v->types ? 4 : 0)),
        .page_bytes = (double)page_bytes(p),
        .session_bytes = (double)chord_session_bytes(m),
        .context_bytes = (double)chord_session_cache_bytes(m),
        .data_begin = (double)first->file_off,
        .data_end = (double)(last->file_off + last->file_bytes),
        .madds_per_token = (double)token_work(m),
        .n_paged = paged_layers(p),
        .n_ring = p->n_pages ? p->n_ring : 0,
        .n_lazy = p->n_lazy,
        .layer_bytes = (double)p->layer_bytes,
        .n_experts = n_held,
        .ring_bytes = slots,
        .paged_bytes = paged,
        .token_bytes = of_token,
    };
}

chord_status chord_model_plan(chord_model *m, const chord_config *config, chord_plan_info *out)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(m);
    if (!config || !out) return missing(m, config ? "out" : "config");
    if (m->phase != PHASE_PARSED && m->phase != PHASE_PLANNED)
        return chord_wrong_phase(m, "chord_model_plan");
    m->phase = PHASE_PARSED;
    chord_status const status = plan(m, config);
    if (status == CHORD_NEED_MEMORY) return need_memory(m, GROW_LEAST);
    if (status == CHORD_INVALID_ARGUMENT) return status; /* another config may work */
    CHORD_TRY(failed(m, status));
    m->phase = PHASE_PLANNED;
    fill_plan_info(m, out);
    return CHORD_OK;
}

chord_status chord_model_begin(chord_model *m, void *block, size_t bytes)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error_begin(m);
    if (!block) return missing(m, "block");
    if (m->phase != PHASE_PLANNED) return chord_wrong_phase(m, "chord_model_begin");
    if ((uintptr_t)block % CHORD_BLOCK_ALIGN)
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT, "the block isn't aligned to %d bytes",
                          CHORD_BLOCK_ALIGN);
    if (bytes < m->map.bytes)
        return chord_fail(&m->error, CHORD_OUT_OF_MEMORY, "the model needs %u bytes, %u were given",
                          m->map.bytes, (uint64_t)bytes);
    chord_arena memory = { block, 0, bytes };
    chord_memory_map map;
    CHORD_TRY(chord_plan_memory(&m->plan, &memory, m->vocab_bytes, &m->vocab_block, &map));
    CHORD_TRY(failed(m, chord_vocab_build(&m->vocab, m->vocab_block, m->vocab_bytes, &m->vocab_source,
                                          &m->error)));
    if (m->plan.n_pages || m->plan.n_stacks) m->pager.plan = &m->plan;
    m->pool.n_threads = m->plan.n_threads;
    m->pool.patience_ms = PATIENCE_MS;
    for (int32_t c = 0; c < m->plan.n_classes; c++) m->pools[c].payload_bytes = m->plan.classes[c].page_bytes;
    m->phase = PHASE_DATA;
    return failed(m, chord_data_begin(m));
}

/* ---- threads ---------------------------------------------------------------------------------------- */

chord_status chord_thread_join(chord_model *m, int32_t index)
{
    if (!m || m->phase < PHASE_DATA || m->phase == PHASE_FAILED || index < 1 || index >= m->pool.n_threads)
        return CHORD_INVALID_ARGUMENT;
    return chord_pool_join(&m->pool, index);
}
int32_t chord_threads_ready(const chord_model *m)
{
    return m ? __atomic_load_n(&m->pool.n_ready, __ATOMIC_SEQ_CST) : 0;
}
void chord_model_stop(chord_model *m)
{
    if (!m) return;
    chord_pool_stop(&m->pool);
    chord_pager_stop(&m->pager);
}

const chord_plan *chord_model_plan_of(const chord_model *m)
{
    return m && m->phase >= PHASE_PLANNED && m->phase != PHASE_FAILED ? &m->plan : NULL;
}
