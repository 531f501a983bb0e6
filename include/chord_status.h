/* chord_status.h: the list of every result of a call. The enum below, the texts of chord_status_text() and
 * (by tools/gen_abi.c) the `code` strings of ts/abi/abi.gen.ts are made from it.
 *
 * Zero and positive values are results, negative values are errors. A number is never reused.
 *   CHORD_RESULT(name, value)
 *   CHORD_ERROR(name, value, "code of ChordError", "text with the likely cause") */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_STATUS_H
#define CHORD_STATUS_H
#include <stdint.h>

#define CHORD_RESULT_LIST(CHORD_RESULT)                                                            \
    CHORD_RESULT(OK, 0)            /* the call is done */                                          \
    CHORD_RESULT(DONE, 1)          /* the phase or the batch is complete */                        \
    CHORD_RESULT(MORE, 2)          /* call again: more bytes are needed, or the budget is spent */ \
    CHORD_RESULT(NEED_MEMORY, 3)   /* give the wanted bytes, call again; nothing is lost */        \
    CHORD_RESULT(NEED_WEIGHTS, 4)  /* the weights of a layer aren't resident; nothing is lost */   \
    CHORD_RESULT(CANCELLED, 5)     /* a cancel stopped the call; the object is in its last good state */

#define CHORD_ERROR_LIST(CHORD_ERROR)                                                          \
    CHORD_ERROR(INVALID_ARGUMENT, -10, "invalid-argument", "an argument is outside its range") \
    CHORD_ERROR(BUSY, -11, "busy", "another call on this object is unfinished")                \
    CHORD_ERROR(CONTEXT_FULL, -12, "context-full", "the tokens don't fit the context length")  \
    CHORD_ERROR(DISPOSED, -13, "disposed", "the object was already freed")                     \
    CHORD_ERROR(INVALID_GGUF, -20, "invalid-gguf", "the file is damaged or not a GGUF model")  \
    CHORD_ERROR(UNSUPPORTED_ARCHITECTURE, -21, "unsupported-architecture",                     \
                "this runtime doesn't run the model's architecture")                           \
    CHORD_ERROR(UNSUPPORTED_QUANTIZATION, -22, "unsupported-quantization",                     \
                "this runtime doesn't know a tensor's type")                                   \
    CHORD_ERROR(UNSUPPORTED_TOKENIZER, -23, "unsupported-tokenizer",                           \
                "this runtime doesn't know the vocabulary's kind or pre-tokenizer")            \
    CHORD_ERROR(INTEGRITY, -24, "integrity", "the saved session is damaged or cut off")        \
    CHORD_ERROR(OUT_OF_MEMORY, -30, "out-of-memory", "the memory given is too small")          \
    CHORD_ERROR(INTERNAL, -40, "internal", "a fault of the runtime itself")

typedef int32_t chord_status;

#define CHORD_RESULT_ENUM(name, value) CHORD_##name = value,
#define CHORD_ERROR_ENUM(name, value, code, text) CHORD_##name = value,
enum { CHORD_RESULT_LIST(CHORD_RESULT_ENUM) CHORD_ERROR_LIST(CHORD_ERROR_ENUM) };
#undef CHORD_RESULT_ENUM
#undef CHORD_ERROR_ENUM

#endif
