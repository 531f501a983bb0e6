/* formats.c: the registry over formats.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "quant.h"

#define FORMAT(file) extern const chord_format chord_format_##file;
#include "formats.def"

const chord_format *chord_format_at(int32_t i)
{
    static const chord_format *const formats[] = {
#define FORMAT(file) &chord_format_##file,
#include "formats.def"
    };
    return i >= 0 && i < (int32_t)(sizeof formats / sizeof *formats) ? formats[i] : NULL;
}

const chord_format *chord_format_of(int32_t type)
{
    for (int32_t i = 0; chord_format_at(i); i++)
        if (chord_format_at(i)->type == type) return chord_format_at(i);
    return NULL;
}

const char *chord_type_name(int32_t type)
{
    static const char *const names[] = {
#define TYPE(id, name) [id] = name,
#include "formats.def"
    };
    return type >= 0 && type < (int32_t)(sizeof names / sizeof *names) ? names[type] : NULL;
}
