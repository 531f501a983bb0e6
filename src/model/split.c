/* SPDX-License-Identifier: Apache-2.0 */
#include "split.h"
#include "builder.h"

static chord_status check_first(chord_split *s, const chord_gguf *g, chord_error *e)
{
    int64_t const count = chord_read_whole(g, "split.count", 1), no = chord_read_whole(g, "split.no", 0);
    s->n_files = 1;
    s->n_tensors = chord_read_whole(g, "split.tensors.count", -1);
    if (count <= 1) return CHORD_OK;
    if (count > CHORD_MAX_FILES)
        return chord_fail(e, CHORD_INVALID_GGUF,
                          "the key 'split.count' claims %u files; at most %d are accepted", (uint64_t)count,
                          CHORD_MAX_FILES);
    if (no)
        return chord_fail(
            e, CHORD_INVALID_ARGUMENT,
            "the file is sound, but it is shard %u of %u of a model (the key 'split.no' is %u); shard 1 comes first",
            (uint64_t)no + 1, (uint64_t)count, (uint64_t)no);
    s->n_files = (int32_t)count;
    return CHORD_OK;
}

static chord_status check_later(const chord_split *s, const chord_gguf *g, chord_error *e)
{
    int64_t const count = chord_read_whole(g, "split.count", -1), no = chord_read_whole(g, "split.no", -1);
    if (no < 0)
        return chord_fail(e, CHORD_INVALID_ARGUMENT,
                          "the metadata lacks the key 'split.no': the file is no shard of a model");
    if (count != s->n_files)
        return chord_fail(
            e, CHORD_INVALID_ARGUMENT,
            "the key 'split.count' is %u, but %d in the first file: the shards are of different models",
            (uint64_t)(count < 0 ? 0 : count), s->n_files);
    if (no != g->file)
        return chord_fail(
            e, CHORD_INVALID_ARGUMENT,
            "the key 'split.no' is %u instead of %d: the shards are in another order, or one is there twice",
            (uint64_t)no, g->file);
    int64_t const n_tensors = chord_read_whole(g, "split.tensors.count", s->n_tensors);
    if (n_tensors != s->n_tensors)
        return chord_fail(
            e, CHORD_INVALID_ARGUMENT,
            "the key 'split.tensors.count' is %u, but %u in the first file: the shards are of different models",
            (uint64_t)n_tensors, (uint64_t)s->n_tensors);
    return CHORD_OK;
}

chord_status chord_split_check(chord_split *s, const chord_gguf *g, chord_error *e)
{
    CHORD_TRY(g->file ? check_later(s, g, e) : check_first(s, g, e));
    s->files[g->file] = (chord_split_file){ g->file_bytes, g->data_begin };
    return CHORD_OK;
}

chord_status chord_split_end(const chord_split *s, const chord_gguf *first, chord_error *e)
{
    if (s->n_files == 1 || s->n_tensors < 0 || (uint64_t)s->n_tensors == first->n_tensors) return CHORD_OK;
    return chord_fail(e, CHORD_INVALID_GGUF,
                      "the key 'split.tensors.count' is %u, but the %d files have %u tensors",
                      (uint64_t)s->n_tensors, s->n_files, first->n_tensors);
}
