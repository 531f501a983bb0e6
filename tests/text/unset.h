/* unset.h: the fields of a chord_vocab_source that a file need not have, as it is without their keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEST_UNSET_H
#define CHORD_TEST_UNSET_H

/* clang-format off */
#define VOCAB_UNSET                                                                                     \
    .bos = -1, .eos = -1, .unk = -1, .sep = -1, .pad = -1, .eot = -1, .eom = -1, .fim_pre = -1,         \
    .fim_suf = -1, .fim_mid = -1, .fim_pad = -1, .fim_rep = -1, .fim_sep = -1, .add_bos = -1,           \
    .add_eos = -1, .add_space_prefix = -1, .remove_extra_whitespaces = -1, .lowercase = -1,             \
    .strip_accents = -1
/* clang-format on */

#endif
