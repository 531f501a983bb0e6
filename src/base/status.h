/* status.h: status codes inside the core, and the text that names the cause of the last error. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_STATUS_H
#define CHORD_BASE_STATUS_H
#include "../../include/chord_status.h"
#include <stddef.h>
#include <stdint.h>

/* Returns from the calling function with any result that isn't OK. */
#define CHORD_TRY(call)                          \
    do {                                         \
        chord_status const status_ = (call);     \
        if (status_ != CHORD_OK) return status_; \
    } while (0)

#define CHORD_ERROR_BYTES 320
typedef struct chord_error {
    int32_t length;
    char text[CHORD_ERROR_BYTES]; /* UTF-8, always terminated; a longer text is cut */
} chord_error;

/* Writes the error's text and returns `status`, so that a check can be `return chord_fail(...)`. `error`
 * may be NULL. The format may hold
 *   %s  const char *
 *   %q  const char *, size_t: quoted; controls, line ends and bidi marks become '?'
 *   %d  int32_t
 *   %u  uint64_t
 *   %x  uint64_t
 *   %%  */
chord_status chord_fail(chord_error *error, chord_status status, const char *format, ...);

#endif
