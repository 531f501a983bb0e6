/* interpreter_wasm.c: the float64 interpreter as an executor, in a wasm module for tests
 * (build/test/interpreter.wasm: the core, its exports, and four more). The package loads this module instead
 * of its own (`wasmUrl`).
 *
 *   interpreter_kept_bytes(session)                     the bytes per position of the session's caches
 *   interpreter_bytes(session)                          the bytes of heap that the pending batch needs
 *   interpreter_run(session, flags, heap, bytes, kept)  computes the batch into its output rows
 *   interpreter_work()                                  returns the multiply-adds of the last run
 *
 * The caller owns the caches of each session: `kept` has one row of interpreter_kept_bytes() for each
 * position, pending ones included. A run reads the rows of earlier positions and writes the rows of its
 * batch. The rows may move between two runs, and a fork needs a copy of them. `flags` are REFERENCE_*
 * (interpreter.h). `heap` and `kept` are 16-byte aligned. `heap` belongs to the caller again afterwards.
 * interpreter_run() returns OK (the host then accepts the batch), NEED_MEMORY (the heap is smaller than
 * interpreter_bytes()), INVALID_ARGUMENT (no batch is pending) or INTERNAL (an unknown op). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "interpreter.h"
#include "libc.h"
#include "../../src/base/host.h"

#define EXPORT(name) __attribute__((export_name(#name)))

/* ---- heap: a stack of blocks; a freed block is removed when all blocks above it are free ----------- */

typedef struct block {
    struct block *before;
    int32_t is_free, reserved[2];
} block;
_Static_assert(sizeof(block) == 16, "blocks keep an alignment of 16");

static uint8_t *heap_at, *heap_end;
static block *last;

static size_t padded(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

/* interpreter_bytes() counts every allocation, so a heap that is too small here is a bug in this file. */
void *malloc(size_t bytes)
{
    bytes = padded(bytes) + sizeof(block);
    if (bytes > (size_t)(heap_end - heap_at)) abort();
    block *b = (block *)(void *)heap_at;
    *b = (block){ .before = last };
    last = b;
    heap_at += bytes;
    return b + 1;
}

void *calloc(size_t n, size_t bytes)
{
    void *p = malloc(n * bytes);
    __builtin_memset(p, 0, n * bytes);
    return p;
}

void *aligned_alloc(size_t alignment, size_t bytes) /* aligned to 16 only, which is enough for vectors */
{
    return alignment > 64 ? NULL : malloc(bytes);
}

void free(void *p)
{
    if (!p) return;
    ((block *)p - 1)->is_free = 1;
    for (; last && last->is_free; last = last->before) heap_at = (uint8_t *)last;
}

/* ---- math ------------------------------------------------------------------------------------------ */

double exp(double x) { return chord_host_exp(x); }
double log(double x) { return chord_host_log(x); }
double pow(double x, double y) { return chord_host_pow(x, y); }
double sin(double x) { return chord_host_sin(x); }
double cos(double x) { return chord_host_cos(x); }

/* Lambert's fraction x / (1 + x^2 / (3 + x^2 / (5 + ... 17))). Error: below 2^-53 for |x| <= 1/2. */
double tanh(double x)
{
    if (fabs(x) > 0.5) return 1 - 2 / (chord_host_exp(2 * x) + 1);
    double below = 17;
    for (int32_t i = 15; i > 0; i -= 2) below = i + x * x / below;
    return x / below;
}

/* ---- exports --------------------------------------------------------------------------------------- */

static size_t blocks(uint64_t n_floats, uint64_t bytes)
{
    return padded((size_t)(n_floats * bytes)) + sizeof(block);
}

/* Returns the bytes that run_program() allocates: slots, attention weights, at most two matrices of
 * inputs and six rows of weights. */
static size_t heap_bytes(const chord_plan *plan, const chord_batch *batch)
{
    const chord_program *p = &plan->program;
    int32_t const n_tokens = batch->n_tokens, n_outputs = batch->n_outputs;
    uint64_t widest = 0, longest = 0;
    size_t bytes = blocks((uint64_t)batch->runs->first_pos + (uint64_t)n_tokens, 8);
    for (int32_t i = 0; i < p->n_slots; i++) {
        uint64_t const rows = (uint64_t)(p->slots[i].rows == CHORD_ROWS_OUTPUT ? n_outputs : n_tokens),
                       width = (uint64_t)p->slots[i].width;
        bytes += blocks(rows * width, 8);
        if (rows * width > widest) widest = rows * width;
        if (i == p->output_slot) bytes += blocks(rows * width, 8); /* outputs as doubles */
    }
    for (int32_t i = 0; i < plan->n_tensors; i++)
        if ((uint64_t)plan->tensors[i].ne[0] > longest) longest = (uint64_t)plan->tensors[i].ne[0];
    return bytes + blocks(widest, 8) * 2 + (blocks(longest, 8) + 64) * 6;
}

static void write_outputs(const chord_session *s, const double *from, int32_t n)
{
    const chord_program *p = &s->model->plan.program;
    int32_t const width = p->slots[p->output_slot].width;
    for (int32_t r = 0; r < n; r++)
        for (int32_t i = 0; i < width; i++)
            chord_output_row(s->model, r)[i] = (float)from[(int64_t)r * width + i];
}

static const chord_session *with_batch(double session)
{
    const chord_session *s = (const chord_session *)(uintptr_t)session;
    return s && s->is_given ? s : NULL;
}

static double work_of_run;

EXPORT(interpreter_work) double interpreter_work(void) { return work_of_run; }

EXPORT(interpreter_kept_bytes) double interpreter_kept_bytes(double session)
{
    return (double)reference_kept_width(((const chord_session *)(uintptr_t)session)->model) *
           (double)sizeof(double);
}

EXPORT(interpreter_bytes) double interpreter_bytes(double session)
{
    const chord_session *s = with_batch(session);
    return s ? (double)heap_bytes(&s->model->plan, &s->sequence.batch) : 0;
}

EXPORT(interpreter_run)
int32_t interpreter_run(double session, int32_t flags, double heap, double bytes, double kept)
{
    const chord_session *s = with_batch(session);
    if (!s || heap <= 0 || (uintptr_t)heap % 16 || kept <= 0 || (uintptr_t)kept % 16)
        return CHORD_INVALID_ARGUMENT;
    const chord_batch *b = &s->sequence.batch;
    const chord_program *p = &s->model->plan.program;
    if (bytes < (double)heap_bytes(&s->model->plan, b)) return CHORD_NEED_MEMORY;
    heap_at = (uint8_t *)(uintptr_t)heap;
    heap_end = heap_at + (size_t)bytes;
    last = NULL;
    double *outputs = malloc((size_t)b->n_outputs * (size_t)p->slots[p->output_slot].width * sizeof *outputs);
    if (!reference_batch(s->model, b, (double *)(uintptr_t)kept, flags, outputs, &work_of_run))
        return CHORD_INTERNAL;
    write_outputs(s, outputs, b->n_outputs);
    return CHORD_OK;
}
