/* status.h: status codes inside the core, and the text that names the culprit of the last error. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_STATUS_H
#define CHORD_BASE_STATUS_H
#include "../../include/chord_status.h"
#include <stddef.h>
#include <stdint.h>

/* Leave the function with any result that isn't OK. */
#define CHORD_TRY(call)                                                                             \
    do { chord_status const status_ = (call); if (status_ != CHORD_OK) return status_; } while (0)

#define CHORD_ERROR_BYTES 320
typedef struct chord_error {
    int32_t length;
    char text[CHORD_ERROR_BYTES]; /* UTF-8, always terminated; too long a text is cut */
} chord_error;

/* Write the error's text and return `status`, so that a check reads `return chord_fail(...)`.
 * The format knows %s (const char *), %q (const char *, size_t: quoted, controls, line ends and bidi marks as '?'),
 * %d (int32_t), %u (uint64_t), %x (uint64_t) and %%. `error` may be NULL. */
chord_status chord_fail(chord_error *error, chord_status status, const char *format, ...);

#endif
