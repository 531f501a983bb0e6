/* functions.h: what names.def lists. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEMPLATE_FUNCTIONS_H
#define CHORD_TEMPLATE_FUNCTIONS_H
#include "program.h"

#define NAME(name, params, kinds, least, function) chord_function function;
#define UNSAFE(name, kinds)
#include "names.def"
#undef NAME
#undef UNSAFE

#endif
