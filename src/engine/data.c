/* data.c: the DATA phase. Bytes are collected in the staging area until it holds four rows of a matrix (one
 * group). The rows are then repacked to their place. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "../base/half.h"
#include "../base/mem.h"
#include "../quant/own.h"

static chord_tensor *tensor_at(const chord_model *m) { return &m->plan.tensors[m->plan.file_order[m->at]]; }

/* Moves to the next resident tensor. DONE: there is none; the model is ready. */
static chord_status seek(chord_model *m)
{
    while (m->at < m->plan.n_tensors && tensor_at(m)->placement != CHORD_PLACE_RESIDENT) m->at++;
    m->filled = m->staged = 0;
    if (m->at < m->plan.n_tensors) return CHORD_MORE;
    chord_exec_prepare(&m->plan);
    m->phase = PHASE_READY;
    return CHORD_DONE;
}

chord_status chord_data_begin(chord_model *m)
{
    m->at = 0;
    return seek(m);
}

int32_t chord_data_file(const chord_model *m)
{
    return m->at < m->plan.n_tensors ? tensor_at(m)->file : m->split.n_files - 1;
}

uint64_t chord_data_position(const chord_model *m)
{
    return m->at < m->plan.n_tensors ? tensor_at(m)->file_off + m->filled : UINT64_MAX;
}

/* Checks rows [first, first + n), complete in the staging area, and writes them to their place. */
static chord_status place_rows(chord_model *m, const chord_tensor *t, int64_t first, int32_t n)
{
    const chord_format *f = chord_format_of(t->type);
    int32_t const n_cols = (int32_t)t->ne[0];
    const uint8_t *staging = m->plan.staging;
    if (t->layout == CHORD_LAYOUT_X4) {
        const void *rows[4] = { NULL, NULL, NULL, NULL };
        for (int32_t i = 0; i < n; i++) rows[i] = staging + (uint64_t)i * t->row_bytes;
        if (!chord_format_repack(f, t->data + (uint64_t)(first / 4) * chord_x4_bytes(f, n_cols), rows,
                                 n_cols))
            return chord_bad_row(&m->error, t, first);
        return CHORD_OK;
    }
    for (int32_t i = 0; i < n; i++) {
        const uint8_t *row = staging + (uint64_t)i * t->row_bytes;
        if (!chord_format_check(f, row, n_cols)) return chord_bad_row(&m->error, t, first + i);
        if (t->layout == CHORD_LAYOUT_VECTOR)
            f->decode((float *)(void *)t->data + (first + i) * n_cols, row, n_cols);
        else chord_copy(t->data + (uint64_t)(first + i) * t->row_bytes, row, (size_t)t->row_bytes);
    }
    return CHORD_OK;
}

/* Stages up to n bytes of the tensor under way, at most to the end of four rows. *taken gets the number of
 * bytes. */
static chord_status take(chord_model *m, const uint8_t *bytes, size_t n, size_t *taken)
{
    chord_tensor *t = tensor_at(m);
    uint64_t const group = 4 * t->row_bytes, done = m->filled - m->staged;
    uint64_t const want = (t->file_bytes - done < group ? t->file_bytes - done : group) - m->staged;
    size_t const k = n < want ? n : (size_t)want;
    chord_copy(m->plan.staging + m->staged, bytes, k);
    m->staged += k;
    m->filled += k;
    *taken = k;
    if (k < want) return CHORD_OK;
    CHORD_TRY(place_rows(m, t, (int64_t)(done / t->row_bytes), (int32_t)(m->staged / t->row_bytes)));
    m->staged = 0;
    return CHORD_OK;
}

chord_status chord_data_push(chord_model *m, int32_t file, uint64_t off, const uint8_t *bytes, size_t n)
{
    uint64_t end;
    if (!chord_add(off, n, &end))
        return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                          "offset %u is too large: the pushed bytes end behind 2^64", off);
    for (;;) {
        uint64_t const position = chord_data_position(m);
        if (file < tensor_at(m)->file || (file == tensor_at(m)->file && position >= end)) return CHORD_MORE;
        if (file > tensor_at(m)->file)
            return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                              "bytes of file %d pushed, but the bytes at %u of file %d are needed first",
                              file, position, tensor_at(m)->file);
        if (position < off)
            return chord_fail(&m->error, CHORD_INVALID_ARGUMENT,
                              "bytes pushed at offset %u, but the bytes at %u are needed first", off,
                              position);
        size_t taken;
        CHORD_TRY(take(m, bytes + (position - off), (size_t)(end - position), &taken));
        if (m->filled < tensor_at(m)->file_bytes) continue;
        tensor_at(m)->is_ready = 1;
        m->at++;
        if (seek(m) == CHORD_DONE) return CHORD_DONE;
    }
}

chord_status chord_row_decode(int32_t type, const void *row, size_t bytes, int32_t n, float *dst)
{
    const chord_format *f = chord_format_of(type);
    if (!f || !row || !dst || (uintptr_t)dst % sizeof *dst || n < 0 || n % f->block_elems ||
        bytes < chord_row_bytes(f, n))
        return CHORD_INVALID_ARGUMENT;
    f->decode(dst, row, n);
    return CHORD_OK;
}

/* A value over `step` is its code (quant/iq_grids_tables.c). */
#define GRID(name, step) \
    { chord_iq_grids.name[0], sizeof chord_iq_grids.name, sizeof chord_iq_grids.name[0], step }

size_t chord_grids(void *dst, size_t cap)
{
    static const struct {
        const uint8_t *values;
        uint16_t bytes;
        uint8_t size, step;
    } grids[] = { GRID(iq2_xxs, 17), GRID(iq2_xs, 17), GRID(iq2_s, 17),
                  GRID(iq3_xxs, 4),  GRID(iq3_s, 2),   GRID(iq1_s[0], 8) };
    size_t bytes = 0;
    uint8_t *p = dst;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
            size_t const size = grids[i].size, n = grids[i].bytes / size;
            if (pass == 0) bytes += 2 * n;
            if (pass == 0 || !dst || cap < bytes) continue;
            for (size_t e = 0; e < n; e++, p += 2) {
                uint32_t entry = 0;
                for (size_t k = 0; k < size; k++)
                    entry |= (uint32_t)(grids[i].values[e * size + k] / grids[i].step)
                             << (k % 4 * 4 + k / 4 * 2);
                p[0] = (uint8_t)entry;
                p[1] = (uint8_t)(entry >> 8);
            }
        }
    return bytes;
}

/* Narrows a vector, which the load widened to f32, to the file's bits. A quiet NaN stays one. */
static void narrow(void *dst, const float *x, int32_t n, int32_t type)
{
    uint16_t *h = dst;
    for (int32_t i = 0; i < n; i++) {
        uint32_t const bits = chord_f32_bits(x[i]);
        if (type == CHORD_BF16) h[i] = (uint16_t)(bits >> 16);
        else if ((bits & 0x7f800000) == 0x7f800000)
            h[i] = (uint16_t)((bits >> 16 & 0x8000) | 0x7c00 | (bits >> 13 & 0x3ff));
        else h[i] = chord_f32_f16(x[i]);
    }
}

chord_status chord_model_row(const chord_model *m, int32_t tensor, int64_t row, void *dst, size_t cap)
{
    if (!m) return CHORD_INVALID_ARGUMENT;
    chord_error *e = chord_error_begin(m);
    if (m->phase < PHASE_DATA || m->phase == PHASE_FAILED) return chord_wrong_phase(m, "chord_model_row");
    if (tensor < 0 || tensor >= m->plan.n_tensors)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "no tensor %d, the file has %d tensors", tensor,
                          m->plan.n_tensors);
    const chord_tensor *t = &m->plan.tensors[tensor];
    size_t const n = (size_t)t->n_name;
    if (row < 0 || row >= t->n_rows)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "no such row: tensor %q has %u rows", t->name, n,
                          (uint64_t)t->n_rows);
    if (!dst || cap < t->row_bytes)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "a row of tensor %q takes %u bytes; dst is NULL or cap is smaller", t->name, n,
                          t->row_bytes);
    if (!t->data || !t->is_ready)
        return chord_fail(e, CHORD_INVALID_ARGUMENT, "tensor %q isn't in memory", t->name, n);
    const chord_format *f = chord_format_of(t->type);
    int32_t const n_cols = (int32_t)t->ne[0];
    if (t->layout == CHORD_LAYOUT_X4)
        chord_format_unpack(f, dst, t->data + (uint64_t)(row / 4) * chord_x4_bytes(f, n_cols),
                            (int32_t)(row % 4), n_cols);
    else if (t->layout == CHORD_LAYOUT_PLAIN || t->type == CHORD_F32)
        chord_copy(dst, t->data + (uint64_t)row * t->row_bytes, (size_t)t->row_bytes);
    else narrow(dst, (const float *)(const void *)t->data + row * n_cols, n_cols, t->type);
    return CHORD_OK;
}

void *chord_model_release(chord_model *m, int32_t tensor, size_t *bytes)
{
    if (!m || m->phase != PHASE_READY || tensor < 0 || tensor >= m->plan.n_tensors) return NULL;
    chord_tensor *t = &m->plan.tensors[tensor];
    if (t->placement != CHORD_PLACE_RESIDENT || t->layout == CHORD_LAYOUT_VECTOR) return NULL;
    void *block = t->data;
    t->sample = chord_tensor_sample(t);
    *bytes = (size_t)t->bytes;
    t->placement = CHORD_PLACE_EXTERNAL;
    t->data = NULL;
    t->is_ready = 0;
    m->config.external = 1; /* no step of the CPU executor from now on */
    return block;
}
