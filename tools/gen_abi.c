/* gen_abi.c: prints ts/abi/abi.gen.ts from the C headers (`make abi`). `make check` fails when the committed
 * file differs. A host program; its output is the same on every machine.
 *
 * The layouts are the same on wasm32, wasm64 and native hosts. Every field is an int32_t, float or double
 * (other types have no branch in TYPE_OF), and a struct's size is the sum of its fields' sizes, so there is
 * no padding that a target could choose. ASSERT_NO_PADDING checks the size. It also fails when a field of
 * the header is missing from the lists below. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../include/chord.h"
#include "../src/program/program.h"
#include <stdio.h>

/* clang-format off */
#define CONFIG(F, T)                                                                                \
    F(T, version) F(T, size) F(T, n_ctx) F(T, n_batch) F(T, n_logits) F(T, kv_type) F(T, n_threads) \
    F(T, isa) F(T, external) F(T, lazy) F(T, resident_bytes) F(T, any_pre) F(T, reserved)
#define PLAN_INFO(F, T)                                                                             \
    F(T, version) F(T, size) F(T, n_tensors) F(T, n_ops) F(T, n_ctx) F(T, n_batch) F(T, n_logits)   \
    F(T, n_threads) F(T, bytes) F(T, weight_bytes) F(T, vocabulary_bytes) F(T, activation_bytes)    \
    F(T, header_bytes) F(T, file_weight_bytes) F(T, file_vocabulary_bytes) F(T, page_bytes)         \
    F(T, context_bytes)                                                                             \
    F(T, session_bytes) F(T, data_begin) F(T, data_end) F(T, madds_per_token)                       \
    F(T, n_paged) F(T, n_ring) F(T, n_lazy) F(T, n_experts) F(T, layer_bytes) F(T, ring_bytes)      \
    F(T, paged_bytes) F(T, token_bytes) F(T, n_all_ops) F(T, reserved)
#define TENSOR_INFO(F, T)                                                                           \
    F(T, version) F(T, size) F(T, type) F(T, n_dims) F(T, ne) F(T, file_off) F(T, file_bytes)       \
    F(T, placement) F(T, is_ready) F(T, file) F(T, is_vector) F(T, layer) F(T, page) F(T, n_pages)  \
    F(T, reserved)
#define MODEL_INFO(F, T)                                                                            \
    F(T, version) F(T, size) F(T, n_vocab) F(T, n_embd) F(T, n_layer) F(T, n_head) F(T, n_kv)       \
    F(T, head_dim) F(T, n_ff) F(T, n_ctx_train) F(T, file_type) F(T, bos) F(T, eos) F(T, unk)       \
    F(T, pad) F(T, add_bos) F(T, add_eos) F(T, is_tied) F(T, gguf_version) F(T, n_kv_pairs)         \
    F(T, n_tensors) F(T, is_encoder) F(T, pooling) F(T, n_labels) F(T, n_params)
#define SESSION_STATE(F, T)                                                                         \
    F(T, version) F(T, size) F(T, n_past) F(T, n_tokens) F(T, n_rows) F(T, first_row) F(T, n_pages) \
    F(T, layer) F(T, wanted_bytes) F(T, work_done) F(T, last_step_work) F(T, batch_work)            \
    F(T, batch_work_done)
#define SAMPLING(F, T)                                                                              \
    F(T, version) F(T, size) F(T, top_k) F(T, n_bias) F(T, temperature) F(T, top_p) F(T, min_p)     \
    F(T, typical_p) F(T, repetition_penalty) F(T, frequency_penalty) F(T, presence_penalty)         \
    F(T, reserved) F(T, bias)
#define BATCH_INFO(F, T)                                                                            \
    F(T, version) F(T, size) F(T, n_tokens) F(T, n_outputs) F(T, first_pos) F(T, n_axes)            \
    F(T, n_embd) F(T, n_width) F(T, first_embedding) F(T, n_embeddings) F(T, ids)                   \
    F(T, embeddings) F(T, positions) F(T, rows) F(T, outputs) F(T, random) F(T, stride) F(T, pooling)  \
    F(T, runs) F(T, n_runs) F(T, run_bytes)
#define PROGRAM_INFO(F, T)                                                                          \
    F(T, version) F(T, size) F(T, n_ops) F(T, n_slots) F(T, n_ropes) F(T, n_caches) F(T, n_classes) \
    F(T, output_slot) F(T, kv_type) F(T, n_body) F(T, n_pooled) F(T, n_all) F(T, pooled_slot)       \
    F(T, rank_slot) F(T, is_one_text) F(T, reserved) F(T, ops) F(T, slots) F(T, ropes)               \
    F(T, caches) F(T, rope_freqs)
#define SLOT(F, T) F(T, width) F(T, rows)
#define ROPE(F, T)                                                                                  \
    F(T, style) F(T, n_rot) F(T, freqs) F(T, freqs_long) F(T, n_ctx_orig) F(T, is_yarn)             \
    F(T, beta_fast) F(T, beta_slow) F(T, slot) F(T, sections) F(T, is_interleaved) F(T, base)       \
    F(T, factor) F(T, magnitude)
#define OP_HEAD(F, T)                                                                               \
    F(T, kind) F(T, layer) F(T, flags) F(T, cache) F(T, in) F(T, out) F(T, weight) F(T, words)
#define CACHE_SPEC(F, T) F(T, kind) F(T, window) F(T, n_kv) F(T, k_dim) F(T, v_dim) F(T, n_state)

#define STRUCTS(S)                                                                                  \
    S(CONFIG, chord_config, "configLayout")                                                         \
    S(PLAN_INFO, chord_plan_info, "planInfoLayout")                                                 \
    S(TENSOR_INFO, chord_tensor_info, "tensorInfoLayout")                                           \
    S(MODEL_INFO, chord_model_info, "modelInfoLayout")                                              \
    S(SESSION_STATE, chord_session_state, "sessionStateLayout")                                     \
    S(SAMPLING, chord_sampling, "samplingLayout")                                                   \
    S(BATCH_INFO, chord_batch_info, "batchInfoLayout")                                              \
    S(PROGRAM_INFO, chord_program_info, "programInfoLayout")                                        \
    S(SLOT, chord_slot, "slotLayout")                                                               \
    S(ROPE, chord_rope, "ropeLayout")                                                               \
    S(OP_HEAD, chord_op, "opLayout")                                                                \
    S(CACHE_SPEC, chord_cache_spec, "cacheLayout")
/* clang-format on */

#define MEMBER(T, field) (((T *)0)->field)
#define TYPE_OF(T, field)       \
    _Generic(&MEMBER(T, field), \
        int32_t *: "i32",       \
        float *: "f32",         \
        double *: "f64",        \
        int32_t (*)[2]: "i32",  \
        int32_t (*)[3]: "i32",  \
        int32_t (*)[6]: "i32",  \
        int32_t (*)[16]: "i32", \
        double (*)[4]: "f64")
#define COUNT_OF(T, field)      \
    _Generic(&MEMBER(T, field), \
        int32_t *: 1,           \
        float *: 1,             \
        double *: 1,            \
        int32_t (*)[2]: 2,      \
        int32_t (*)[3]: 3,      \
        int32_t (*)[6]: 6,      \
        int32_t (*)[16]: 16,    \
        double (*)[4]: 4)

#define FIELD_BYTES(T, field) +sizeof MEMBER(T, field)
#define ASSERT_NO_PADDING(LIST, T, name) \
    _Static_assert(0 LIST(FIELD_BYTES, T) == sizeof(T), #T ": padding, or a field that isn't listed");
STRUCTS(ASSERT_NO_PADDING)

static void open_object(const char *name) { printf("\nexport const %s = {\n", name); }
static void number(const char *name, int32_t value) { printf("  %s: %d,\n", name, (int)value); }
static void close_object(const char *name, const char *type)
{
    printf("} as const;\nexport type %s = (typeof %s)[keyof typeof %s];\n", type, name, name);
}

static void print_statuses(void)
{
    printf("\n/** Results (zero and positive) and errors (negative) of every call. */");
    open_object("Status");
#define RESULT(name, value) number(#name, value);
#define ERROR(name, value, code, text) number(#name, value);
    CHORD_RESULT_LIST(RESULT)
    CHORD_ERROR_LIST(ERROR)
#undef RESULT
#undef ERROR
    close_object("Status", "Status");

    printf("\n/** Per error status: the `code` of ChordError, and a text with the likely cause. */");
    open_object("statusErrors");
#define ERROR(name, value, code, text) printf("  [%d]: { code: '%s', text: \"%s\" },\n", value, code, text);
    CHORD_ERROR_LIST(ERROR)
#undef ERROR
    close_object("statusErrors", "StatusError");
    printf("export type StatusErrorCode = StatusError['code'];\n");
}

#define ENTRY(prefix, name) number(#name, CHORD_##prefix##name)

static void print_enums(void)
{
    printf("\n/** KV cache types, by ggml's type ids. */");
    open_object("KvType");
    ENTRY(KV_, F32);
    ENTRY(KV_, F16);
    ENTRY(KV_, Q8_0);
    close_object("KvType", "KvType");

    open_object("Isa");
    ENTRY(ISA_, BEST);
    ENTRY(ISA_, SCALAR);
    ENTRY(ISA_, VECTOR);
    ENTRY(ISA_, RELAXED);
    close_object("Isa", "Isa");

    open_object("Place");
    ENTRY(PLACE_, RESIDENT);
    ENTRY(PLACE_, EXTERNAL);
    ENTRY(PLACE_, SKIPPED);
    ENTRY(PLACE_, PAGED);
    ENTRY(PLACE_, LAZY);
    close_object("Place", "Place");

    printf("\n/** Flags of tokenise and detokenise. */");
    open_object("TextFlag");
    ENTRY(, ADD_SPECIAL);
    ENTRY(, PARSE_SPECIAL);
    ENTRY(, SKIP_SPECIAL);
    ENTRY(, WHOLE_TEXT);
    close_object("TextFlag", "TextFlag");

    printf("\n/** Bits of a token id. */");
    open_object("TokenFlag");
    ENTRY(TOKEN_, CONTROL);
    ENTRY(TOKEN_, EOG);
    ENTRY(TOKEN_, USER);
    ENTRY(TOKEN_, BYTE);
    ENTRY(TOKEN_, UNKNOWN);
    ENTRY(TOKEN_, UNUSED);
    close_object("TokenFlag", "TokenFlag");

    printf("\n/** The rows that the output op computes. */");
    open_object("Output");
    ENTRY(OUTPUT_, LAST);
    ENTRY(OUTPUT_, ALL);
    close_object("Output", "Output");

    printf("\n/** Ops of a program, version %d. */", CHORD_PROGRAM_VERSION);
    open_object("OpKind");
#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, value, traits, fields, text) \
    printf("  /** %s */\n", text);                  \
    number(#NAME, value);
#include "../src/program/ops.def"
    close_object("OpKind", "OpKind");

    open_object("OpFlag");
    ENTRY(FLAG_, ADD);
    ENTRY(FLAG_, GATHER);
    ENTRY(FLAG_, OUTPUT);
    ENTRY(FLAG_, FINE);
    ENTRY(FLAG_, POOLED);
    close_object("OpFlag", "OpFlag");

    printf("\n/** What an op does with its slots and its cache. */");
    open_object("OpTrait");
    ENTRY(TRAIT_, IN_PLACE);
    ENTRY(TRAIT_, READS_CACHE);
    ENTRY(TRAIT_, WRITES_CACHE);
    close_object("OpTrait", "OpTrait");
    printf("/** Bits of OpTrait by the op's kind. */\n"
           "export const opTraits: { readonly [kind: number]: number } = {\n");
#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, value, traits, fields, text) printf("  %d: %d,\n", value, (int)(traits));
#include "../src/program/ops.def"
    printf("};\n");

    open_object("Activation");
    ENTRY(ACTIVATION_, SILU);
    ENTRY(ACTIVATION_, GELU);
    ENTRY(ACTIVATION_, RELU);
    ENTRY(ACTIVATION_, SIGMOID);
    ENTRY(ACTIVATION_, NONE);
    ENTRY(ACTIVATION_, SWIGLU_OAI);
    close_object("Activation", "Activation");

    printf("\n/** What ROUTE makes of logits. */");
    open_object("Gating");
    ENTRY(GATING_, SOFTMAX);
    ENTRY(GATING_, SIGMOID);
    ENTRY(GATING_, CHOSEN);
    close_object("Gating", "Gating");

    printf("\n/** Kinds of caches. */");
    open_object("CacheKind");
    ENTRY(CACHE_, PAGED);
    ENTRY(CACHE_, WINDOW);
    ENTRY(CACHE_, STATE);
    close_object("CacheKind", "CacheKind");

    printf("\n/** Names of the tensor types that this build reads, by ggml's ids. */\n"
           "export const tensorTypes: { readonly [type: number]: string } = {\n");
#define FORMAT(id, NAME, file, ...) printf("  %d: '%s',\n", id, #NAME);
#include "../src/quant/formats.def"
    printf("};\n");
}

static void print_structs(void)
{
    printf(
        "\n/** A field of `count` numbers, `offset` bytes into its struct. */\n"
        "export interface FieldLayout {\n"
        "  readonly offset: number;\n  readonly type: 'i32' | 'f32' | 'f64';\n  readonly count: number;\n}\n"
        "export interface StructLayout {\n"
        "  readonly size: number;\n  readonly fields: { readonly [name: string]: FieldLayout };\n}\n"
        "/** A struct's contents: one number per field, or an array of numbers if `count` isn't 1. */\n"
        "export type StructValue<L extends StructLayout> = {\n"
        "  -readonly [K in keyof L['fields']]: L['fields'][K]['count'] extends 1 ? number : number[];\n};\n");
#define FIELD(T, field)                                                                         \
    printf("    %s: { offset: %d, type: '%s', count: %d },\n", #field, (int)offsetof(T, field), \
           TYPE_OF(T, field), COUNT_OF(T, field));
#define STRUCT(LIST, T, name)                                                                         \
    printf("\n/** %s */\nexport const %s = {\n  size: %d,\n  fields: {\n", #T, name, (int)sizeof(T)); \
    LIST(FIELD, T)                                                                                    \
    printf("  },\n} as const satisfies StructLayout;\n");
    STRUCTS(STRUCT)

    printf("\n/** The op's own part of a record, by the op's name. It starts at `words`. */\n"
           "export const opPartLayouts = {\n");
#define PART(f, type, count)                                         \
    printf("      %s: { offset: %d, type: '%s', count: %d },\n", #f, \
           (int)((const char *)&part->f - (const char *)&op), type, count);
#define INT(f) PART(f, "i32", 1)
#define INTS(f, n) PART(f, "i32", n)
#define FLOAT(f) PART(f, "f32", 1)
#define OP(NAME, name, value, traits, parts, text)                                \
    {                                                                             \
        _Static_assert(sizeof(chord_op_##name) <= sizeof(((chord_op *)0)->words), \
                       #name ": larger than a record's part");                    \
        static chord_op op;                                                       \
        const chord_op_##name *part = &op.name;                                   \
        printf("  %s: {\n    size: %d,\n    fields: {\n", #NAME, (int)sizeof op); \
        parts printf("    },\n  },\n");                                           \
    }
#include "../src/program/ops.def"
    printf("} as const satisfies { readonly [name: string]: StructLayout };\n");
}

int main(void)
{
    printf(
        "// SPDX-License-Identifier: Apache-2.0\n"
        "// Generated by tools/gen_abi.c (`make abi`) from include/chord.h, src/program/program.h and src/quant/formats.def: don't edit.\n");
    printf(
        "\n/** Version of the structs below and of the module's exports. */\nexport const ABI_VERSION = %d;\n",
        CHORD_ABI_VERSION);
    printf("export const VERSION = '%d.%d.%d';\n", CHORD_VERSION_MAJOR, CHORD_VERSION_MINOR,
           CHORD_VERSION_PATCH);
    printf("export const PROGRAM_VERSION = %d;\n", CHORD_PROGRAM_VERSION);
    printf("/** Maximum bytes per push to a text stream. */\nexport const STREAM_PUSH = %d;\n",
           CHORD_STREAM_PUSH);
    printf(
        "/** Maximum tokens of session_logprobs beside the one that is given. */\nexport const MAX_TOP = %d;\n",
        CHORD_MAX_TOP);
    printf("/** Tokens per KV page. */\nexport const PAGE_TOKENS = %d;\n", CHORD_PAGE_TOKENS);
    printf("/** Alignment in bytes of every block given to the library. */\nexport const BLOCK_ALIGN = %d;\n",
           CHORD_BLOCK_ALIGN);
    print_statuses();
    print_enums();
    print_structs();
    return 0;
}
