/* planner.c: the model's block holds the weights, the vocabulary, then the activations. The staging of a
 * load overlaps the activations, because no op runs before the last tensor is in place. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "planner.h"
#include "../base/mem.h"
#include "../quant/quant.h"

#define OPS_PER_LAYER 48   /* maximum for any architecture; llama emits 13, gemma3n 45 */
#define SCALES_PER_LAYER 24 /* further ops of products with scales (scales.c), two or three each */
#define CACHES_PER_LAYER 3 /* one for keys and values, and two states */
#define LOGITS_BYTES (4u << 20)

/* ---- tensor table --------------------------------------------------------------------------------- */

static chord_status tensor_from_header(chord_tensor *t, const chord_gguf_tensor *in, const chord_gguf *g,
                                       const chord_split_file *files, chord_error *e)
{
    const chord_split_file *file = &files[in->file];
    const char *name = chord_gguf_at(g, in->name);
    size_t const n = (size_t)in->n_name;
    chord_zero(t, sizeof *t);
    t->name = name;
    t->n_name = in->n_name;
    t->type = in->type;
    t->n_dims = in->n_dims;
    t->file = in->file;
    t->placement = -1; /* neither bound nor skipped yet */
    t->page = t->stacks = CHORD_NONE;
    chord_copy(t->ne, in->ne, sizeof t->ne);

    const chord_format *f = chord_format_of(in->type);
    if (!f) {
        const char *type = chord_type_name(in->type);
        return chord_fail(e, CHORD_UNSUPPORTED_QUANTIZATION,
                          "tensor %q has the type %s (%d), which isn't supported", name, n,
                          type ? type : "unknown", in->type);
    }
    if (t->ne[0] % f->block_elems)
        return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q: rows of %u elements aren't whole blocks of %s",
                          name, n, (uint64_t)t->ne[0], f->name);
    uint64_t rows = (uint64_t)t->ne[1], end;
    if (!chord_mul(rows, (uint64_t)t->ne[2], &rows) || !chord_mul(rows, (uint64_t)t->ne[3], &rows) ||
        rows > (uint64_t)CHORD_MAX_DIM || !chord_mul(rows, chord_row_bytes(f, t->ne[0]), &t->file_bytes) ||
        !chord_add(file->data_begin, in->offset, &t->file_off) ||
        !chord_add(t->file_off, t->file_bytes, &end) || end > CHORD_MAX_FILE)
        return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q is larger than any file", name, n);
    if (end > file->bytes && in->file)
        return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q ends at offset %u, but shard %d ends at %u", name,
                          n, end, in->file + 1, file->bytes);
    if (end > file->bytes)
        return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q ends at offset %u, but the file ends at %u", name,
                          n, end, file->bytes);
    t->n_rows = (int64_t)rows;
    t->row_bytes = chord_row_bytes(f, t->ne[0]);
    return CHORD_OK;
}

static bool is_behind(const chord_tensor *a, const chord_tensor *b)
{
    return a->file != b->file ? a->file > b->file : a->file_off > b->file_off;
}

/* Heap sort of tensor indices by file and offset. */
static void sift(int32_t *order, const chord_tensor *t, int32_t i, int32_t n)
{
    for (;;) {
        int32_t big = i;
        for (int32_t c = 2 * i + 1; c <= 2 * i + 2 && c < n; c++)
            if (is_behind(&t[order[c]], &t[order[big]])) big = c;
        if (big == i) return;
        int32_t const swap = order[i];
        order[i] = order[big];
        order[big] = swap;
        i = big;
    }
}

static void sort_by_offset(int32_t *order, const chord_tensor *t, int32_t n)
{
    for (int32_t i = 0; i < n; i++) order[i] = i;
    for (int32_t i = n / 2; i-- > 0;) sift(order, t, i, n);
    for (int32_t end = n - 1; end > 0; end--) {
        int32_t const swap = order[0];
        order[0] = order[end];
        order[end] = swap;
        sift(order, t, 0, end);
    }
}

chord_status chord_plan_tensors(chord_plan *plan, const chord_gguf *g, const chord_split_file *files,
                                chord_arena *tables, chord_error *e)
{
    plan->tensors = chord_arena_take(tables, g->n_tensors * sizeof(chord_tensor), 16);
    plan->file_order = chord_arena_take(tables, g->n_tensors * sizeof(int32_t), 16);
    if (!plan->tensors || !plan->file_order) return CHORD_NEED_MEMORY;
    if (!g->n_tensors) return chord_fail(e, CHORD_INVALID_GGUF, "the file has no tensors");
    int32_t i = 0;
    chord_status status = CHORD_OK;
    /* The table is complete also after a fault: chord_model_tensor() shows all of a file that can't run. */
    for (const chord_gguf_tensor *in = NULL; (in = chord_gguf_next_tensor(g, in)); i++) {
        chord_error later = *e;
        chord_status const found = tensor_from_header(&plan->tensors[i], in, g, files, status ? &later : e);
        if (!status) status = found;
    }
    plan->n_tensors = i;
    CHORD_TRY(status);
    sort_by_offset(plan->file_order, plan->tensors, plan->n_tensors);
    for (i = 1; i < plan->n_tensors; i++) {
        const chord_tensor *a = &plan->tensors[plan->file_order[i - 1]],
                           *b = &plan->tensors[plan->file_order[i]];
        if (a->file == b->file && a->file_off + a->file_bytes > b->file_off)
            return chord_fail(e, CHORD_INVALID_GGUF, "tensors %q and %q overlap in the file", a->name,
                              (size_t)a->n_name, b->name, (size_t)b->n_name);
        uint64_t const end = a->file_off + a->file_bytes;
        /* Writers put tensors side by side, and llama.cpp refuses any gap. A fork's larger blocks under a
         * number that ggml gives to another type leave a gap smaller than the tensor. */
        if (a->file == b->file && b->file_off - end >= g->alignment && b->file_off - end < a->file_bytes)
            return chord_fail(e, CHORD_INVALID_GGUF,
                              "tensor %q: %u bytes of %s, but the file has %u in their place", a->name,
                              (size_t)a->n_name, a->file_bytes, chord_format_of(a->type)->name,
                              b->file_off - a->file_off);
    }
    return CHORD_OK;
}

/* ---- program -------------------------------------------------------------------------------------- */

static int32_t has_scales(const chord_plan *plan)
{
    for (int32_t i = 0; i < plan->n_tensors; i++)
        if (chord_ends_with(&plan->tensors[i], ".scale")) return 1;
    return 0;
}

chord_status chord_plan_program(chord_plan *plan, const chord_arch *archs, chord_hparams *h,
                                const chord_gguf *g, chord_arena *tables, chord_error *e)
{
    const chord_gguf_kv *kv = chord_gguf_find(g, "general.architecture", 20);
    if (!kv || kv->type != CHORD_GGUF_STRING || kv->is_array || !kv->is_kept || !kv->data_bytes)
        return chord_fail(e, CHORD_INVALID_GGUF, "the metadata lacks the key 'general.architecture'");
    const char *name = chord_gguf_at(g, kv->data);
    const chord_arch *arch = chord_arch_find(archs, name, (size_t)kv->data_bytes);
    if (!arch)
        return chord_fail(e, CHORD_UNSUPPORTED_ARCHITECTURE, "the architecture %q isn't known", name,
                          (size_t)kv->data_bytes);

    chord_builder b = { .gguf = g,
                        .plan = plan,
                        .hparams = h,
                        .error = e,
                        .status = CHORD_OK,
                        .family = arch->family,
                        .encoded = CHORD_NONE,
                        .has_scales = has_scales(plan),
                        .arch = name,
                        .n_arch = (size_t)kv->data_bytes };
    int32_t const per_layer = OPS_PER_LAYER + (b.has_scales ? SCALES_PER_LAYER : 0);
    int32_t const n_layer = chord_read_int(&b, "block_count", CHORD_REQUIRED, 1, CHORD_MAX_LAYERS);
    CHORD_TRY(b.status);
    int32_t const n_loops = chord_read_int(&b, "num_loops", 1, 1, CHORD_MAX_LOOPS);
    CHORD_TRY(b.status);
    b.max_ops = per_layer * (n_loops * n_layer + 1);
    b.max_caches = CACHES_PER_LAYER * n_loops * n_layer;
    plan->program = (chord_program){ .version = CHORD_PROGRAM_VERSION };
    plan->program.caches = chord_arena_take(tables, (uint64_t)b.max_caches * sizeof(chord_cache_spec), 16);
    if (!plan->program.caches) return CHORD_NEED_MEMORY;
    uint64_t const mark = tables->used;
    plan->program.ops = chord_arena_take(tables, (uint64_t)b.max_ops * sizeof(chord_op), 16);
    if (!plan->program.ops) return CHORD_NEED_MEMORY;

    arch->build(&b);
    chord_emit_embeddings(&b);
    CHORD_TRY(b.status);
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        chord_tensor *t = &plan->tensors[i];
        if (t->placement < 0 && chord_ends_with(t, ".input_scale"))
            t->placement = CHORD_PLACE_SKIPPED; /* of kernels with 4-bit inputs (scales.c) */
        if (t->placement < 0)
            return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q isn't used by the architecture %q", t->name,
                              (size_t)t->n_name, b.arch, b.n_arch);
    }
    tables->used = mark; /* frees the records that the builder didn't use */
    (void)chord_arena_take(tables, (uint64_t)plan->program.n_all * sizeof(chord_op), 16);
    return CHORD_OK;
}

/* ---- config --------------------------------------------------------------------------------------- */

static int32_t clamp(int32_t v, int32_t least, int32_t most)
{
    return v < least ? least : v > most ? most : v;
}

static uint64_t cache_row(int32_t type, int32_t width)
{
    uint64_t const n = (uint64_t)width;
    return type == CHORD_KV_F32 ? 4 * n : type == CHORD_KV_F16 ? 2 * n : n + n / 32 * 2;
}

/* Returns the class of a cache and appends it if it doesn't exist; CHORD_NONE when the table is full. */
static int32_t class_of(chord_plan *plan, const chord_cache_spec *spec)
{
    int32_t const window = spec->kind == CHORD_CACHE_WINDOW ? spec->window : 0;
    for (int32_t i = 0; i < plan->n_classes; i++)
        if (plan->classes[i].kind == spec->kind && plan->classes[i].window == window) return i;
    if (plan->n_classes == CHORD_MAX_CLASSES) return CHORD_NONE;
    plan->classes[plan->n_classes] = (chord_cache_class){ .kind = spec->kind, .window = window };
    return plan->n_classes++;
}

/* Places the cache in its class's page, behind the caches placed before. No sum overflows: widths and counts
 * have maxima (limits.h), and 2048 caches x 1024 heads x 32 tokens x 2048 elements x 4 bytes are far below
 * 2^63. */
static chord_status place_cache(chord_plan *plan, chord_cache *c)
{
    const chord_cache_spec *s = &c->spec;
    chord_cache_class *k = &plan->classes[c->cls];
    c->k_off = c->v_off = k->page_bytes;
    if (s->kind == CHORD_CACHE_STATE) {
        uint64_t const bytes = (uint64_t)s->n_state * 4;
        return chord_align(k->page_bytes + bytes, 16, &k->page_bytes) ? CHORD_OK : CHORD_INTERNAL;
    }
    c->k_row = cache_row(c->type, s->k_dim);
    c->v_row = s->v_dim ? cache_row(c->type, s->v_dim) : c->k_row;
    if (!chord_align(c->k_row * CHORD_PAGE_TOKENS, 16, &c->k_head) ||
        !chord_align(c->v_row * CHORD_PAGE_TOKENS, 16, &c->v_head))
        return CHORD_INTERNAL;
    k->page_bytes += (uint64_t)s->n_kv * c->k_head;
    if (!s->v_dim) return CHORD_OK;
    c->v_off = k->page_bytes;
    k->page_bytes += (uint64_t)s->n_kv * c->v_head;
    return CHORD_OK;
}

static chord_status plan_caches(chord_plan *plan, int32_t kv_type, chord_arena *tables, chord_error *e)
{
    int32_t const n = plan->program.n_caches;
    plan->caches = chord_arena_take(tables, (uint64_t)n * sizeof(chord_cache), 16);
    if (!plan->caches) return CHORD_NEED_MEMORY;
    plan->n_classes = 0;
    for (int32_t i = 0; i < n; i++) {
        chord_cache *c = &plan->caches[i];
        *c = (chord_cache){ .spec = plan->program.caches[i], .type = kv_type };
        const chord_cache_spec *s = &c->spec;
        bool const is_state = s->kind == CHORD_CACHE_STATE;
        if (is_state) c->type = CHORD_KV_F32;
        if (kv_type == CHORD_KV_Q8_0 && !is_state && (s->k_dim % 32 || s->v_dim % 32))
            return chord_fail(
                e, CHORD_INVALID_ARGUMENT,
                "a KV cache of q8_0 needs heads of a multiple of 32 elements; this model's heads have %d; use f16",
                s->k_dim % 32 ? s->k_dim : s->v_dim);
        c->cls = class_of(plan, s);
        if (c->cls == CHORD_NONE)
            return chord_fail(e, CHORD_INTERNAL, "the model has more than %d classes of caches",
                              CHORD_MAX_CLASSES);
        CHORD_TRY(place_cache(plan, c));
    }
    for (int32_t i = 0; i < plan->n_classes; i++)
        if (!chord_align(plan->classes[i].page_bytes, CHORD_BLOCK_ALIGN, &plan->classes[i].page_bytes))
            return CHORD_INTERNAL;
    return CHORD_OK;
}

/* A batch reads each paged layer once. Q4_K has 0.56 bytes per weight, and a batch of 512 tokens does 512
 * multiply-adds with each: at 40 GMAC/s (a thread) a disk of 44 MB/s keeps up, at 150 one of 160 MB/s. With
 * 256 tokens it must be twice as fast, which slow sources aren't. The activations are memory that pinned
 * layers could use, so those of 512 tokens must cost at most an eighth of it. */
static int32_t default_batch(const chord_plan *plan, const chord_config *c)
{
    uint64_t row = 0; /* bytes of a token's activations, if no two slots shared memory */
    for (int32_t s = 0; s < plan->program.n_slots; s++)
        if (plan->program.slots[s].rows == CHORD_ROWS_BATCH)
            row += (uint64_t)chord_slot_stride(&plan->program.slots[s]) * 4;
    return plan->n_pages + plan->n_stacks && (double)(512 * row) <= c->resident_bytes / 8 ? 512 : 256;
}

chord_status chord_plan_config(chord_plan *plan, const chord_hparams *h, const chord_config *c,
                               chord_arena *tables, chord_error *e)
{
    if (c->version != CHORD_ABI_VERSION || c->size != (int32_t)sizeof *c)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "chord_config has version %d and %d bytes instead of version %d and %d bytes",
                          c->version, c->size, CHORD_ABI_VERSION, (int32_t)sizeof *c);
    if (c->n_ctx < 0 || c->n_batch < 0 || c->n_logits < 0 || c->n_threads < 0 || c->n_threads > 64)
        return chord_fail(
            e, CHORD_INVALID_ARGUMENT,
            "n_ctx %d, n_batch %d, n_logits %d, n_threads %d: the minimum is 0, n_threads is at most 64",
            c->n_ctx, c->n_batch, c->n_logits, c->n_threads);
    if (c->kv_type != CHORD_KV_F16 && c->kv_type != CHORD_KV_F32 && c->kv_type != CHORD_KV_Q8_0)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "unknown KV type %d; f32 is 0, f16 is 1, q8_0 is 8",
                          c->kv_type);
    plan->n_vocab = h->n_vocab;
    if (c->n_ctx > h->n_ctx_train)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "a context of %d tokens; the model was trained for %d",
                          c->n_ctx, h->n_ctx_train);
    plan->n_ctx = c->n_ctx ? c->n_ctx : clamp(h->n_ctx_train, 1, 4096);
    if (plan->n_ctx > (1 << 24))
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "a context of %d tokens; the maximum is %d", plan->n_ctx,
                          1 << 24);
    CHORD_TRY(chord_plan_paging(plan, c, tables));
    /* A batch holds a whole text, unless it's pooled by the last row of a decoder. */
    int32_t const pooling = plan->program.pooling;
    int const is_whole = plan->program.is_encoder || pooling == CHORD_POOLING_MEAN ||
                         pooling == CHORD_POOLING_CLS;
    int32_t const usual = is_whole ? plan->n_ctx : default_batch(plan, c);
    plan->n_batch = clamp(c->n_batch ? c->n_batch : usual, 1, clamp(plan->n_ctx, 1, 4096));
    int32_t const fits = clamp((int32_t)(LOGITS_BYTES / 4 / (uint32_t)h->n_vocab), 1, plan->n_batch);
    plan->n_logits = clamp(c->n_logits ? c->n_logits : fits, 1, plan->n_batch);
    plan->n_threads = clamp(c->n_threads, 1, 64);

    return plan_caches(plan, c->kv_type, tables, e);
}

/* ---- memory --------------------------------------------------------------------------------------- */

/* Adds to conflict[s] the slots that hold a value at the same time as slot s, if ops [0, body) and then
 * [first, end) run and leave the slots `live`. A slot is live from its write to its last read before the
 * next full write. */
static void add_conflicts(const chord_program *p, int32_t body, int32_t first, int32_t end, uint32_t live,
                          uint32_t conflict[CHORD_MAX_SLOTS])
{
    for (int32_t i = end; i-- > 0;) {
        if (i < first && i >= body) continue;
        const chord_op *op = &p->ops[i];
        uint32_t reads = 0, writes = 0;
        for (int k = 0; k < 3; k++)
            if (op->in[k] != CHORD_NONE) reads |= 1u << op->in[k];
        for (int k = 0; k < 3; k++)
            if (op->out[k] != CHORD_NONE) writes |= 1u << op->out[k];
        int const in_place = chord_op_is_in_place(op);
        uint32_t const here = live | reads | writes; /* outputs must not overlap inputs either */
        for (int32_t s = 0; s < p->n_slots; s++)
            if (here >> s & 1) conflict[s] |= here & ~(1u << s);
        if (!in_place) live &= ~writes;
        live |= reads | (in_place ? writes : 0);
    }
}

static void slot_conflicts(const chord_program *p, uint32_t conflict[CHORD_MAX_SLOTS])
{
    for (int32_t s = 0; s < p->n_slots; s++) conflict[s] = 0;
    add_conflicts(p, p->n_ops, p->n_ops, p->n_ops, 1u << p->output_slot, conflict);
    if (p->pooled_slot == CHORD_NONE) return;
    add_conflicts(p, p->n_body, p->n_ops, p->n_pooled, 1u << p->pooled_slot, conflict);
    if (p->n_labels) add_conflicts(p, p->n_body, p->n_ops, p->n_all, 1u << p->rank_slot, conflict);
}

/* Returns whether the slot has memory. Outside the library's executor, only output rows are handed over. */
static int has_memory(const chord_plan *plan, int32_t s)
{
    const chord_program *p = &plan->program;
    return !plan->is_external || s == p->output_slot || s == p->pooled_slot || s == p->rank_slot;
}

static uint64_t slot_bytes(const chord_plan *plan, int32_t s)
{
    if (!has_memory(plan, s)) return 0;
    const chord_slot *slot = &plan->program.slots[s];
    uint64_t const rows = (uint64_t)(slot->rows == CHORD_ROWS_OUTPUT ? plan->n_logits : plan->n_batch);
    return rows * (uint64_t)chord_slot_stride(slot) * 4;
}

/* Returns the first offset where slot s overlaps no conflicting slot of 0 .. s-1, which are placed. */
static uint64_t slot_place(const chord_plan *plan, int32_t s, uint32_t conflict, const uint64_t *place)
{
    uint64_t at = 0;
    for (int moved = 1; moved;) {
        moved = 0;
        for (int32_t o = 0; o < s; o++) {
            uint64_t const end = place[o] + slot_bytes(plan, o);
            if ((conflict >> o & 1) && at < end && place[o] < at + slot_bytes(plan, s)) {
                at = end;
                moved = 1;
            }
        }
    }
    return at;
}

static chord_status place_slots(chord_plan *plan, chord_arena *memory)
{
    uint32_t conflict[CHORD_MAX_SLOTS];
    uint64_t place[CHORD_MAX_SLOTS], total = 0;
    slot_conflicts(&plan->program, conflict);
    for (int32_t s = 0; s < plan->program.n_slots; s++) {
        place[s] = slot_place(plan, s, conflict[s], place);
        uint64_t const end = place[s] + slot_bytes(plan, s);
        if (end > total) total = end;
    }
    uint8_t *base = chord_arena_take(memory, total, CHORD_BLOCK_ALIGN);
    if (!base && memory->cap != CHORD_MEASURE) return CHORD_NEED_MEMORY;
    for (int32_t s = 0; s < plan->program.n_slots; s++)
        plan->slots[s] = has_memory(plan, s) ? (float *)((uintptr_t)base + (uintptr_t)place[s]) : NULL;
    return CHORD_OK;
}

bool chord_plan_tensor_bytes(const chord_tensor *t, uint64_t *bytes)
{
    uint64_t rows = (uint64_t)t->n_rows;
    if (t->layout == CHORD_LAYOUT_X4) rows = (rows + 3) & ~3ull;
    uint64_t const row_bytes = t->layout == CHORD_LAYOUT_VECTOR ? (uint64_t)t->ne[0] * 4 : t->row_bytes;
    return chord_mul(rows, row_bytes, bytes);
}

static chord_status place_weights(chord_plan *plan, chord_arena *memory)
{
    for (int32_t k = 0; k < plan->n_tensors; k++) {
        chord_tensor *t = &plan->tensors[plan->file_order[k]];
        t->data = NULL;
        t->bytes = 0;
        if (t->placement == CHORD_PLACE_EXTERNAL || t->placement == CHORD_PLACE_SKIPPED) continue;
        bool const is_lazy = t->placement == CHORD_PLACE_LAZY;
        if (is_lazy ? !chord_mul((uint64_t)plan->n_batch, t->row_bytes + 1, &t->bytes)
                    : !chord_plan_tensor_bytes(t, &t->bytes))
            return CHORD_NEED_MEMORY;
        if (t->placement == CHORD_PLACE_PAGED) continue; /* its place is in a slot */
        t->data = chord_arena_take(memory, t->bytes, CHORD_BLOCK_ALIGN);
        if (!t->data && memory->cap != CHORD_MEASURE) return CHORD_NEED_MEMORY;
    }
    for (int32_t i = 0; i < plan->n_stacks; i++) {
        chord_stacks *s = &plan->stacks[i];
        s->memory = chord_arena_take(memory, (uint64_t)s->n_slots * s->slot_bytes, CHORD_BLOCK_ALIGN);
        if (!s->memory && memory->cap != CHORD_MEASURE) return CHORD_NEED_MEMORY;
    }
    if (!plan->n_pages) return CHORD_OK;
    plan->ring = chord_arena_take(memory, (uint64_t)plan->n_ring * plan->slot_bytes, CHORD_BLOCK_ALIGN);
    return plan->ring || memory->cap == CHORD_MEASURE ? CHORD_OK : CHORD_NEED_MEMORY;
}

/* Allocates RoPE tables, the executor's work memory and scratch, and the sampler's scratch. */
static chord_status place_scratch(chord_plan *plan, chord_arena *memory)
{
    const chord_program *p = &plan->program;
    int missing = 0;
#define TAKE(field, count)                                                  \
    do {                                                                    \
        plan->field = chord_arena_take(memory, (count), CHORD_BLOCK_ALIGN); \
        missing |= !plan->field;                                            \
    } while (0)
    TAKE(work, plan->work_bytes);
    for (int32_t r = 0; r < p->n_ropes; r++) TAKE(rope_freqs[r], (uint64_t)p->ropes[r].n_rot * 4);
    TAKE(thread_scratch, (uint64_t)plan->n_threads * plan->thread_scratch_bytes);
    TAKE(sample_scratch, (uint64_t)plan->n_vocab * 8);
#undef TAKE
    return missing && memory->cap != CHORD_MEASURE ? CHORD_NEED_MEMORY : CHORD_OK;
}

chord_status chord_plan_memory(chord_plan *plan, chord_arena *memory, uint64_t vocabulary_bytes,
                               void **vocabulary, chord_memory_map *map)
{
    CHORD_TRY(place_weights(plan, memory));
    map->weight_bytes = memory->used;
    *vocabulary = chord_arena_take(memory, vocabulary_bytes, CHORD_BLOCK_ALIGN);
    if (!*vocabulary && memory->cap != CHORD_MEASURE) return CHORD_NEED_MEMORY;
    map->vocabulary_bytes = memory->used - map->weight_bytes;

    uint64_t const mark = memory->used;
    CHORD_TRY(place_slots(plan, memory));
    CHORD_TRY(place_scratch(plan, memory));
    uint64_t const end = memory->used;
    uint64_t widest = 0;
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        const chord_tensor *t = &plan->tensors[i];
        if (t->placement == CHORD_PLACE_RESIDENT && t->row_bytes > widest) widest = t->row_bytes;
    }
    memory->used = mark;
    plan->staging_bytes = 4 * widest;
    plan->staging = chord_arena_take(memory, plan->staging_bytes, CHORD_BLOCK_ALIGN);
    if (!plan->staging && memory->cap != CHORD_MEASURE) return CHORD_NEED_MEMORY;
    if (memory->used < end) memory->used = end;
    map->activation_bytes = memory->used - mark;
    map->bytes = memory->used;
    return CHORD_OK;
}
