/* formats.c: the registry over formats.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "x4.h"

static const chord_format formats[] = {
#define FORMAT(id, NAME, file, ...) { .type = id, .name = #NAME, .decode = chord_decode_##file, __VA_ARGS__ },
#include "formats.def"
};

const chord_format *chord_format_at(int32_t i) { return i >= 0 && i < CHORD_N_FORMATS ? &formats[i] : NULL; }

int32_t chord_format_place(int32_t type)
{
    for (int32_t i = 0; i < CHORD_N_FORMATS; i++)
        if (formats[i].type == type) return i;
    return -1;
}

const chord_format *chord_format_of(int32_t type) { return chord_format_at(chord_format_place(type)); }

const char *chord_type_name(int32_t type)
{
    static const char *const names[] = {
#define FORMAT(id, NAME, file, ...) [id] = #NAME,
#define TYPE(id, NAME) [id] = #NAME,
#include "formats.def"
    };
    return type >= 0 && type < (int32_t)(sizeof names / sizeof *names) ? names[type] : NULL;
}
