/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"
#include "../base/mem.h"

#define ARCH(name, build, chat) void build(chord_builder *b);
#include "archs.def"
#undef ARCH

const chord_arch chord_archs[] = {
#define ARCH(name, build, chat) { name, build, chat, NULL },
#include "archs.def"
#undef ARCH
#define FAMILY(name, chat, flags, activation, window, period, n_layer_wide) \
    { name, chord_build_dense, chat,                                        \
      &(const chord_family){ flags, CHORD_ACTIVATION_##activation, window, period, n_layer_wide } },
#include "families.def"
    { NULL, NULL, NULL, NULL },
};

const chord_arch *chord_arch_find(const chord_arch *archs, const char *name, size_t n)
{
    for (; archs->name; archs++)
        if (chord_strlen(archs->name) == n && chord_equal(archs->name, name, n)) return archs;
    return NULL;
}
