/* ops.c: the table of ops, made from ops.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"
#include <stddef.h>

static const chord_op_kind kinds[CHORD_OP_KINDS] = {
#define INT(f)
#define INTS(f, n)
#define FLOAT(f)
#define OP(NAME, name, number, traits, fields, text) [number] = { #NAME, traits },
#include "ops.def"
};

const chord_op_kind *chord_op_kind_of(int32_t kind)
{
    return kind > 0 && kind < CHORD_OP_KINDS && kinds[kind].name ? &kinds[kind] : NULL;
}
