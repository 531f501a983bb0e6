/* executor_calls.h: the calls of chord.h for executors outside the library, with what they promise checked.
 * engine_fuzz.c includes it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TESTS_FUZZ_EXECUTOR_CALLS_H
#define CHORD_TESTS_FUZZ_EXECUTOR_CALLS_H
#include "../../include/chord.h"
#include "../../src/program/program.h"
#include <math.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

static void check(int holds)
{
    if (!holds) abort();
}

static int is_index(int32_t i, int32_t n) { return i == CHORD_NONE || (i >= 0 && i < n); }

/* The program and its tables, and the vectors. All that a record names exists. */
static void look_at_program(chord_model *m, int32_t n_tensors)
{
    chord_program_info p;
    check(chord_model_get_program(m, NULL) == CHORD_INVALID_ARGUMENT);
    if (chord_model_get_program(m, &p) != CHORD_OK) return; /* before the plan, or after a fault */
    int32_t n_ops;
    const chord_op *ops = chord_model_program(m, &n_ops);
    check(ops == (const chord_op *)(uintptr_t)p.ops && n_ops == p.n_ops);
    check(p.output_slot >= 0 && p.output_slot < p.n_slots);
    for (int32_t i = 0; i < n_ops; i++) {
        check(chord_op_kind_of(ops[i].kind) != NULL && is_index(ops[i].cache, p.n_caches));
        for (int32_t k = 0; k < 3; k++)
            check(is_index(ops[i].in[k], p.n_slots) && is_index(ops[i].out[k], p.n_slots));
        for (int32_t k = 0; k < CHORD_OP_WEIGHTS; k++) check(is_index(ops[i].weight[k], n_tensors));
    }
    const chord_slot *slots = (const chord_slot *)(uintptr_t)p.slots;
    for (int32_t i = 0; i < p.n_slots; i++) check(slots[i].width > 0);
    const chord_rope *ropes = (const chord_rope *)(uintptr_t)p.ropes;
    for (int32_t i = 0; i < p.n_ropes; i++) {
        const double *freqs = (const double *)(uintptr_t)p.rope_freqs[i];
        double sum = 0;
        for (int32_t k = 0; freqs && k < ropes[i].n_rot / 2; k++) sum += freqs[k]; /* readable */
        (void)sum;
    }
    for (int32_t i = -1; i <= p.n_caches; i++) {
        int32_t const cls = chord_model_cache_class(m, i);
        check(i < 0 || i >= p.n_caches ? cls == CHORD_INVALID_ARGUMENT : cls >= 0 && cls < p.n_classes);
    }
    check(!chord_model_vector(m, -1) && !chord_model_vector(m, n_tensors));
    for (int32_t i = 0; i < n_tensors; i++) {
        chord_tensor_info t;
        check(chord_model_tensor(m, i, &t, NULL, 0) == CHORD_OK);
        const float *vector = chord_model_vector(m, i);
        check(!vector || (t.is_vector && t.is_ready));
        double const n = t.ne[0] * t.ne[1] * t.ne[2] * t.ne[3];
        float sum = 0;
        for (double k = 0; vector && k < n; k++) sum += vector[(size_t)k];
        (void)sum;
    }
}

/* Decodes bytes as rows of every type id. No element behind the n-th is written. */
static void decode_rows(const uint8_t *bytes, size_t n_bytes, int32_t n)
{
    enum { MOST = 1024 };
    float out[MOST + 1];
    n = n % (MOST + 1);
    for (int32_t type = -1; type < 64; type++)
        for (int32_t count = -1; count <= MOST; count += count < 0 ? 1 : 32 + n) {
            out[count < 0 ? 0 : count] = 777;
            /* a copy of the row's exact size: AddressSanitizer finds a byte too many */
            size_t const size = n_bytes < 4096 ? n_bytes : 4096;
            uint8_t *row = malloc(size + 1);
            memcpy(row, bytes, size);
            check(chord_row_decode(type, row, size, count, out) <= CHORD_OK);
            check(out[count < 0 ? 0 : count] == 777);
            free(row);
        }
    check(chord_row_decode(0, NULL, 4, 1, out) == CHORD_INVALID_ARGUMENT);
    check(chord_row_decode(0, bytes, n_bytes, 1, (float *)(void *)((char *)out + 1)) ==
          CHORD_INVALID_ARGUMENT);
}

/* The tables of a session. `batch`: it is handed out, and its pages must be there. */
static void look_at_pages(chord_model *m, chord_session *s, const chord_batch_info *batch, int takes_copies)
{
    enum { MOST = 16 };
    chord_program_info p;
    check(chord_model_get_program(m, &p) == CHORD_OK);
    int32_t numbers[MOST], triples[3 * 16];
    check(p.n_classes <= 16);
    check(chord_session_pages(s, -1, 0, numbers, MOST) == CHORD_INVALID_ARGUMENT);
    check(chord_session_pages(s, p.n_classes, 0, numbers, MOST) == CHORD_INVALID_ARGUMENT);
    const chord_cache_spec *caches = (const chord_cache_spec *)(uintptr_t)p.caches;
    for (int32_t c = 0; c < p.n_caches; c++) {
        int32_t const cls = chord_model_cache_class(m, c);
        int32_t const n = chord_session_pages(s, cls, 0, numbers, MOST);
        int32_t const rest = chord_session_pages(s, cls, 1, NULL, 0);
        check(n >= 0 && n <= MOST && rest == (n > 0 ? n - 1 : 0));
        int const is_state = caches[c].kind == CHORD_CACHE_STATE;
        int32_t const needed = !batch ? 0 : is_state ? 2 : (batch->first_pos + batch->n_tokens + 31) / 32;
        check(n >= needed);
        for (int32_t i = 0; i < n; i++) {
            check(numbers[i] >= -1);
            check(numbers[i] >= 0 || (caches[c].kind == CHORD_CACHE_WINDOW && i != needed - 1));
            /* a page of positions is at one place of a table only */
            for (int32_t k = 0; k < i && !is_state; k++) check(numbers[i] < 0 || numbers[i] != numbers[k]);
        }
    }
    if (!takes_copies) return;
    check(chord_session_copies(s, triples, p.n_classes - 1) == CHORD_INVALID_ARGUMENT);
    int32_t const n = chord_session_copies(s, triples, 16);
    check(n >= 0 && n <= p.n_classes);
    for (int32_t i = 0; i < n; i++) {
        const int32_t *t = triples + 3 * i;
        check(t[0] >= 0 && t[0] < p.n_classes && t[1] >= 0 && (t[2] >= 0 || t[2] == -2) && t[1] != t[2]);
    }
    check(chord_session_copies(s, triples, 16) == 0); /* each once */
}

/* Numbers ahead: the generator doesn't move, and the next one is the batch's. */
static void look_at_random(const chord_session *s, const chord_batch_info *batch, int32_t ahead)
{
    double const next = chord_session_random(s, 0);
    double const later = chord_session_random(s, ahead);
    check(next >= 0 && next < 1 && later >= 0 && later < 1);
    check(chord_session_random(s, 0) == next && chord_session_random(s, -1) == -1);
    check(!batch || batch->random == next);
}

/* Takes the matrices of which `which` has a bit, and poisons them: the model may not read one again. */
static int32_t release_matrices(chord_model *m, int32_t n_tensors, uint32_t which)
{
    int32_t n = 0;
    size_t bytes = 0;
    check(!chord_model_release(m, -1, &bytes) && !chord_model_release(m, n_tensors, &bytes));
    for (int32_t i = 0; i < n_tensors; i++) {
        chord_tensor_info t;
        if (!(which >> i % 32 & 1)) continue;
        void *block = chord_model_release(m, i, &bytes);
        check(chord_model_tensor(m, i, &t, NULL, 0) == CHORD_OK);
        if (!block) continue;
        check(!t.is_vector && t.placement == CHORD_PLACE_EXTERNAL && (uintptr_t)block % 64 == 0 && bytes > 0);
        memset(block, 0xa5, bytes);
        __asan_poison_memory_region(block, bytes);
        check(!chord_model_release(m, i, &bytes)); /* once */
        n++;
    }
    return n;
}
#endif
