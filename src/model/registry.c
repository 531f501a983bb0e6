/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"

#define ARCH(name, build) void build(chord_builder *b);
#include "archs.def"
#undef ARCH

static const chord_arch archs[] = {
#define ARCH(name, build) { name, build },
#include "archs.def"
#undef ARCH
};

const chord_arch *chord_arch_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (chord_strlen(archs[i].name) == n && chord_equal(archs[i].name, name, n)) return &archs[i];
    return NULL;
}
