/* gguf.c: the header's state machine. An *atom* is consecutive bytes that are copied to one sink: the carry
 * buffer (numbers), the log (kept bytes) or nowhere. When the atom is complete, advance() reads the carry
 * buffer and sets the next atom. No state reads ahead, so a chunk may end anywhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "gguf.h"
#include "../base/mem.h"

enum { SINK_CARRY, SINK_LOG, SINK_SKIP };
enum {
    STATE_MAGIC,
    STATE_COUNTS,
    STATE_KEY_LENGTH,
    STATE_KEY,
    STATE_VALUE_TYPE,
    STATE_SCALAR,
    STATE_STRING_LENGTH,
    STATE_STRING,
    STATE_ARRAY_HEAD,
    STATE_ARRAY_DATA,
    STATE_ARRAY_LENGTH,
    STATE_ARRAY_STRING,
    STATE_NAME_LENGTH,
    STATE_NAME,
    STATE_N_DIMS,
    STATE_DIMS,
    STATE_DONE
};

static const struct {
    const char *name;
    uint32_t bytes;
} types[CHORD_GGUF_TYPES] = {
    { "u8", 1 },   { "i8", 1 },     { "u16", 2 },   { "i16", 2 }, { "u32", 4 }, { "i32", 4 }, { "f32", 4 },
    { "bool", 1 }, { "string", 0 }, { "array", 0 }, { "u64", 8 }, { "i64", 8 }, { "f64", 8 },
};

const char *chord_gguf_type_name(int32_t type)
{
    return type >= 0 && type < CHORD_GGUF_TYPES ? types[type].name : "unknown";
}
uint32_t chord_gguf_type_bytes(int32_t type)
{
    return type >= 0 && type < CHORD_GGUF_TYPES ? types[type].bytes : 0;
}

static uint32_t hash_of(const uint8_t *s, size_t n) /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ s[i]) * 16777619u;
    return h;
}

static void expect(chord_gguf *g, int32_t state, int32_t sink, uint64_t bytes)
{
    g->state = state;
    g->sink = sink;
    g->left = bytes;
    if (sink == SINK_CARRY) g->carried = 0;
}

void chord_gguf_init(chord_gguf *g, chord_arena log, const char *const *wanted)
{
    chord_zero(g, sizeof *g);
    g->wanted = wanted;
    g->log = log;
    g->log.used = 8; /* offset 0 means "none" */
    g->file_bytes = UINT64_MAX;
    g->alignment = 32;
    g->tensors_most = CHORD_MAX_TENSORS;
    expect(g, STATE_MAGIC, SINK_CARRY, 8);
}

void chord_gguf_follow(chord_gguf *g, const chord_gguf *before)
{
    chord_gguf const b = *before; /* may be g itself */
    chord_gguf_init(g, b.log, NULL);
    g->log.used = b.log.used;
    g->first_tensor = b.first_tensor;
    g->last_tensor = b.last_tensor;
    g->tensors_most = b.tensors_most - b.n_tensors;
    g->file = b.file + 1;
}

void chord_gguf_join(chord_gguf *first, const chord_gguf *g)
{
    first->log = g->log;
    first->first_tensor = g->first_tensor;
    first->last_tensor = g->last_tensor;
    first->n_tensors += g->n_tensors;
}

static chord_gguf_kv *last_kv(chord_gguf *g) { return (chord_gguf_kv *)(g->log.base + g->last_kv); }
static chord_gguf_tensor *last_tensor(chord_gguf *g)
{
    return (chord_gguf_tensor *)(g->log.base + g->last_tensor);
}
static const char *key_of(const chord_gguf *g, const chord_gguf_kv *kv)
{
    return (const char *)g->log.base + kv->key;
}

/* Refuses a length, read just before `position`, that exceeds the rest of the file. */
static chord_status claim(chord_gguf *g, uint64_t bytes, const char *what, chord_error *e)
{
    if (bytes <= g->file_bytes && g->position <= g->file_bytes - bytes) return CHORD_OK;
    return chord_fail(e, CHORD_INVALID_GGUF, "%s at offset %u claims %u bytes, the file ends at %u", what,
                      g->position, bytes, g->file_bytes);
}

static int is_wanted(const chord_gguf *g, const chord_gguf_kv *kv)
{
    const char *key = key_of(g, kv);
    for (const char *const *wanted = g->wanted; wanted && *wanted; wanted++) {
        size_t const n = chord_strlen(*wanted), n_key = (size_t)kv->n_key;
        bool const is_prefix = (*wanted)[n - 1] == '.';
        if ((is_prefix ? n < n_key : n == n_key) && chord_equal(*wanted, key, n)) return 1;
    }
    return 0;
}

static chord_status begin_key_or_tensors(chord_gguf *g)
{
    if (g->kv_left) expect(g, STATE_KEY_LENGTH, SINK_CARRY, 8);
    else if (g->tensors_left) expect(g, STATE_NAME_LENGTH, SINK_CARRY, 8);
    else g->state = STATE_DONE;
    return CHORD_OK;
}

static chord_status magic(chord_gguf *g, chord_error *e)
{
    if (!chord_equal(g->carry, "GGUF", 4))
        return chord_fail(e, CHORD_INVALID_GGUF, "not a GGUF file: it begins with %q instead of 'GGUF'",
                          (const char *)g->carry, (size_t)4);
    g->version = chord_u32(g->carry + 4);
    if (g->version == 2 || g->version == 3) {
        expect(g, STATE_COUNTS, SINK_CARRY, 16);
        return CHORD_OK;
    }
    if (g->version && (g->version & 0xffff) == 0)
        return chord_fail(e, CHORD_INVALID_GGUF, "big-endian GGUF files aren't supported (version 0x%x)",
                          (uint64_t)g->version);
    return chord_fail(e, CHORD_INVALID_GGUF, "GGUF version %u; versions 2 and 3 are supported",
                      (uint64_t)g->version);
}

static chord_status counts(chord_gguf *g, chord_error *e)
{
    g->n_tensors = g->tensors_left = chord_u64(g->carry);
    g->n_kv = g->kv_left = chord_u64(g->carry + 8);
    if (g->n_tensors > g->tensors_most)
        return chord_fail(e, CHORD_INVALID_GGUF, "the header claims %u tensors; at most %u are accepted",
                          g->n_tensors, g->tensors_most);
    if (g->n_kv > CHORD_MAX_KEYS)
        return chord_fail(e, CHORD_INVALID_GGUF,
                          "the header claims %u metadata keys; at most %u are accepted", g->n_kv,
                          (uint64_t)CHORD_MAX_KEYS);
    return begin_key_or_tensors(g);
}

/* Appends a zeroed record to the log and links it to the last record of its chain. NULL: the log is full. */
static void *append_record(chord_gguf *g, size_t bytes, uint64_t *first, uint64_t *last)
{
    uint8_t *record = chord_arena_take(&g->log, bytes, 8);
    if (!record) return NULL;
    chord_zero(record, bytes);
    uint64_t const off = (uint64_t)(record - g->log.base);
    /* `next` is the first field of both kinds of records */
    if (*last) *(uint64_t *)(void *)(g->log.base + *last) = off;
    else *first = off;
    *last = off;
    return record;
}

static chord_status key_length(chord_gguf *g, chord_error *e)
{
    uint64_t const n = chord_u64(g->carry);
    if (n > CHORD_MAX_KEY_BYTES)
        return chord_fail(e, CHORD_INVALID_GGUF,
                          "the key at offset %u claims %u bytes; at most %u are accepted", g->position - 8, n,
                          (uint64_t)CHORD_MAX_KEY_BYTES);
    CHORD_TRY(claim(g, n, "the key", e));
    chord_gguf_kv *kv = append_record(g, sizeof *kv, &g->first_kv, &g->last_kv);
    if (!kv) return CHORD_NEED_MEMORY;
    kv->n_key = (int32_t)n;
    kv->key = g->log.used;
    expect(g, STATE_KEY, SINK_LOG, n);
    return CHORD_OK;
}

static chord_status key(chord_gguf *g, chord_error *e)
{
    chord_gguf_kv *kv = last_kv(g);
    const char *name = key_of(g, kv);
    kv->hash = hash_of((const uint8_t *)name, (size_t)kv->n_key);
    const chord_gguf_kv *same = chord_gguf_find(g, name, (size_t)kv->n_key);
    if (same != kv)
        return chord_fail(e, CHORD_INVALID_GGUF, "the key %q is in the header twice", name,
                          (size_t)kv->n_key);
    expect(g, STATE_VALUE_TYPE, SINK_CARRY, 4);
    return CHORD_OK;
}

static chord_status value_type(chord_gguf *g, chord_error *e)
{
    chord_gguf_kv *kv = last_kv(g);
    uint32_t const type = chord_u32(g->carry);
    if (type >= CHORD_GGUF_TYPES)
        return chord_fail(e, CHORD_INVALID_GGUF, "the key %q has the unknown value type %u", key_of(g, kv),
                          (size_t)kv->n_key, (uint64_t)type);
    kv->type = (int32_t)type;
    kv->count = 1;
    if (type == CHORD_GGUF_STRING) expect(g, STATE_STRING_LENGTH, SINK_CARRY, 8);
    else if (type == CHORD_GGUF_ARRAY) expect(g, STATE_ARRAY_HEAD, SINK_CARRY, 12);
    else {
        kv->is_kept = 1;
        kv->data = g->log.used;
        kv->data_bytes = types[type].bytes;
        expect(g, STATE_SCALAR, SINK_LOG, types[type].bytes);
    }
    return CHORD_OK;
}

static chord_status end_value(chord_gguf *g, chord_error *e)
{
    chord_gguf_kv *kv = last_kv(g);
    if (kv->n_key == 17 && chord_equal(key_of(g, kv), "general.alignment", 17)) {
        g->alignment = kv->type == CHORD_GGUF_U32 && !kv->is_array ? chord_u32(g->log.base + kv->data) : 0;
        uint32_t const a = g->alignment;
        if (a < 8 || a > CHORD_MAX_ALIGNMENT || (a & (a - 1)))
            return chord_fail(
                e, CHORD_INVALID_GGUF,
                "general.alignment is a %s of value %u; it must be a u32, a power of two from 8 to %u",
                chord_gguf_type_name(kv->type), (uint64_t)a, (uint64_t)CHORD_MAX_ALIGNMENT);
    }
    g->kv_left--;
    return begin_key_or_tensors(g);
}

static chord_status string_length(chord_gguf *g, chord_error *e)
{
    chord_gguf_kv *kv = last_kv(g);
    uint64_t const n = chord_u64(g->carry);
    CHORD_TRY(claim(g, n, "a string", e));
    kv->is_kept = n <= CHORD_KEEP_STRING || is_wanted(g, kv);
    kv->data = g->log.used;
    kv->data_bytes = n;
    expect(g, STATE_STRING, kv->is_kept ? SINK_LOG : SINK_SKIP, n);
    return CHORD_OK;
}

static chord_status array_head(chord_gguf *g, chord_error *e)
{
    chord_gguf_kv *kv = last_kv(g);
    uint32_t const type = chord_u32(g->carry);
    uint64_t const count = chord_u64(g->carry + 4);
    uint64_t bytes = 0;
    const char *name = key_of(g, kv);
    size_t const n_name = (size_t)kv->n_key;
    if (type >= CHORD_GGUF_TYPES || type == CHORD_GGUF_ARRAY)
        return chord_fail(e, CHORD_INVALID_GGUF, "the key %q is an array of %s (%u)", name, n_name,
                          type == CHORD_GGUF_ARRAY ? "arrays" : "an unknown type", (uint64_t)type);
    uint64_t const least = type == CHORD_GGUF_STRING ? 8 : types[type].bytes;
    if (!chord_mul(count, least, &bytes) || bytes > CHORD_MAX_FILE)
        return chord_fail(e, CHORD_INVALID_GGUF, "the array %q claims %u elements, more than any file holds",
                          name, n_name, count);
    CHORD_TRY(claim(g, bytes, "an array", e));
    kv->is_array = 1;
    kv->type = (int32_t)type;
    kv->count = count;
    kv->data = g->log.used;
    kv->is_kept = is_wanted(g, kv) || (type != CHORD_GGUF_STRING && bytes <= CHORD_KEEP_ARRAY);
    if (type == CHORD_GGUF_STRING) {
        g->elements_left = count;
        if (!count) return end_value(g, e);
        expect(g, STATE_ARRAY_LENGTH, SINK_CARRY, 8);
    } else {
        kv->data_bytes = bytes;
        expect(g, STATE_ARRAY_DATA, kv->is_kept ? SINK_LOG : SINK_SKIP, bytes);
    }
    return CHORD_OK;
}

static chord_status array_length(chord_gguf *g, chord_error *e)
{
    chord_gguf_kv *kv = last_kv(g);
    uint64_t const n = chord_u64(g->carry);
    CHORD_TRY(claim(g, n, "a string of an array", e));
    if (kv->is_kept) { /* kept as in the file: length, then bytes */
        uint8_t *head = chord_arena_take(&g->log, 8, 1);
        if (!head) return CHORD_NEED_MEMORY;
        chord_copy(head, g->carry, 8);
        kv->data_bytes += 8 + n;
    }
    expect(g, STATE_ARRAY_STRING, kv->is_kept ? SINK_LOG : SINK_SKIP, n);
    return CHORD_OK;
}

static chord_status array_string(chord_gguf *g, chord_error *e)
{
    if (--g->elements_left == 0) return end_value(g, e);
    expect(g, STATE_ARRAY_LENGTH, SINK_CARRY, 8);
    return CHORD_OK;
}

static chord_status name_length(chord_gguf *g, chord_error *e)
{
    uint64_t const n = chord_u64(g->carry);
    if (n > CHORD_MAX_NAME_BYTES)
        return chord_fail(e, CHORD_INVALID_GGUF,
                          "the tensor name at offset %u claims %u bytes; at most %u are accepted",
                          g->position - 8, n, (uint64_t)CHORD_MAX_NAME_BYTES);
    CHORD_TRY(claim(g, n, "a tensor name", e));
    chord_gguf_tensor *t = append_record(g, sizeof *t, &g->first_tensor, &g->last_tensor);
    if (!t) return CHORD_NEED_MEMORY;
    t->n_name = (int32_t)n;
    t->name = g->log.used;
    t->file = g->file;
    expect(g, STATE_NAME, SINK_LOG, n);
    return CHORD_OK;
}

static chord_status tensor_name(chord_gguf *g, chord_error *e)
{
    chord_gguf_tensor *t = last_tensor(g);
    const uint8_t *name = g->log.base + t->name;
    t->hash = hash_of(name, (size_t)t->n_name);
    for (const chord_gguf_tensor *o = NULL; (o = chord_gguf_next_tensor(g, o)) && o != t;)
        if (o->hash == t->hash && o->n_name == t->n_name &&
            chord_equal(g->log.base + o->name, name, (size_t)t->n_name))
            return chord_fail(e, CHORD_INVALID_GGUF, "the tensor %q is in the table twice",
                              (const char *)name, (size_t)t->n_name);
    expect(g, STATE_N_DIMS, SINK_CARRY, 4);
    return CHORD_OK;
}

static chord_status n_dims(chord_gguf *g, chord_error *e)
{
    chord_gguf_tensor *t = last_tensor(g);
    uint32_t const n = chord_u32(g->carry);
    if (n < 1 || n > 4)
        return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q has %u dimensions; 1 to 4 are accepted",
                          (const char *)g->log.base + t->name, (size_t)t->n_name, (uint64_t)n);
    t->n_dims = (int32_t)n;
    expect(g, STATE_DIMS, SINK_CARRY, 8 * (uint64_t)n + 12); /* ne[n], type, offset; at most 44 with n = 4 */
    return CHORD_OK;
}

static chord_status dims(chord_gguf *g, chord_error *e)
{
    chord_gguf_tensor *t = last_tensor(g);
    const char *name = (const char *)g->log.base + t->name;
    for (int32_t i = 0; i < 4; i++) {
        uint64_t const ne = i < t->n_dims ? chord_u64(g->carry + 8 * i) : 1;
        if (ne < 1 || ne > (uint64_t)CHORD_MAX_DIM)
            return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q: dimension %d is %u, outside 1 to %u", name,
                              (size_t)t->n_name, i, ne, (uint64_t)CHORD_MAX_DIM);
        t->ne[i] = (int64_t)ne;
    }
    const uint8_t *rest = g->carry + 8 * t->n_dims;
    t->type = chord_i32(rest);
    t->offset = chord_u64(rest + 4);
    if (t->offset % g->alignment)
        return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q: offset %u isn't a multiple of the alignment %u",
                          name, (size_t)t->n_name, t->offset, (uint64_t)g->alignment);
    if (t->offset > CHORD_MAX_FILE)
        return chord_fail(e, CHORD_INVALID_GGUF, "tensor %q: offset %u is beyond any file", name,
                          (size_t)t->n_name, t->offset);
    g->tensors_left--;
    return begin_key_or_tensors(g);
}

static chord_status advance(chord_gguf *g, chord_error *e)
{
    switch (g->state) {
    case STATE_MAGIC: return magic(g, e);
    case STATE_COUNTS: return counts(g, e);
    case STATE_KEY_LENGTH: return key_length(g, e);
    case STATE_KEY: return key(g, e);
    case STATE_VALUE_TYPE: return value_type(g, e);
    case STATE_SCALAR:
    case STATE_STRING:
    case STATE_ARRAY_DATA: return end_value(g, e);
    case STATE_STRING_LENGTH: return string_length(g, e);
    case STATE_ARRAY_HEAD: return array_head(g, e);
    case STATE_ARRAY_LENGTH: return array_length(g, e);
    case STATE_ARRAY_STRING: return array_string(g, e);
    case STATE_NAME_LENGTH: return name_length(g, e);
    case STATE_NAME: return tensor_name(g, e);
    case STATE_N_DIMS: return n_dims(g, e);
    case STATE_DIMS: return dims(g, e);
    default: return chord_fail(e, CHORD_INTERNAL, "unknown header state %d", g->state);
    }
}

chord_status chord_gguf_push(chord_gguf *g, const uint8_t *bytes, size_t n, size_t *taken, chord_error *e)
{
    size_t done = 0;
    chord_status status = CHORD_MORE;
    while (g->state != STATE_DONE) {
        if (g->left == 0) { /* after NEED_MEMORY, advance() is called again with the same state and carry */
            status = advance(g, e);
            if (status != CHORD_OK) break;
            status = CHORD_MORE;
            continue;
        }
        if (done == n) break;
        uint64_t take = g->left < n - done ? g->left : n - done;
        if (g->sink == SINK_LOG) {
            uint64_t const room = g->log.cap - g->log.used;
            if (take > room) take = room;
            if (!take) {
                status = CHORD_NEED_MEMORY;
                break;
            }
            chord_copy(g->log.base + g->log.used, bytes + done, (size_t)take);
            g->log.used += (size_t)take;
        } else if (g->sink == SINK_CARRY) {
            chord_copy(g->carry + g->carried, bytes + done, (size_t)take);
            g->carried += (uint32_t)take;
        }
        done += (size_t)take;
        g->left -= take;
        g->position += take;
    }
    *taken = done;
    if (g->state != STATE_DONE || g->is_done) return g->is_done ? CHORD_OK : status;
    g->is_done = 1;
    if (!chord_align(g->position, g->alignment, &g->data_begin)) return CHORD_INVALID_GGUF;
    return CHORD_OK;
}

const chord_gguf_kv *chord_gguf_next_kv(const chord_gguf *g, const chord_gguf_kv *kv)
{
    uint64_t const off = kv ? kv->next : g->first_kv;
    return off ? chord_gguf_at(g, off) : NULL;
}

const chord_gguf_tensor *chord_gguf_next_tensor(const chord_gguf *g, const chord_gguf_tensor *t)
{
    uint64_t const off = t ? t->next : g->first_tensor;
    return off ? chord_gguf_at(g, off) : NULL;
}

const chord_gguf_kv *chord_gguf_find(const chord_gguf *g, const char *name, size_t n)
{
    uint32_t const hash = hash_of((const uint8_t *)name, n);
    for (const chord_gguf_kv *kv = NULL; (kv = chord_gguf_next_kv(g, kv));)
        if (kv->hash == hash && (size_t)kv->n_key == n && chord_equal(g->log.base + kv->key, name, n))
            return kv;
    return NULL;
}
