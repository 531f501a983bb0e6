/* dispatch_test.c: the dispatch tables: every one is complete, and every format has a matmul of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../harness/test.h"
#include "../../include/chord.h"
#include "../../src/kernels/kernels.h"

TEST(every_table_has_a_body_in_every_slot)
{
    int n = 0;
    for (int32_t isa = CHORD_ISA_SCALAR; isa <= CHORD_ISA_RELAXED; isa++) {
        const chord_ops *ops = chord_ops_of(isa);
        if (!ops) continue;
        n++;
        CHECK_EQ(ops->isa, isa);
#define KERNEL(slot, isa, body) CHECK(ops->slot != NULL);
#include "../../src/kernels/kernels.def"
    }
    CHECK(n >= 1 && chord_ops_of(CHORD_ISA_SCALAR));
}

TEST(best_is_the_highest_isa_that_this_build_has)
{
    const chord_ops *best = chord_ops_of(CHORD_ISA_BEST);
    CHECK(best != NULL);
    for (int32_t isa = best->isa + 1; isa <= CHORD_ISA_RELAXED; isa++) CHECK(!chord_ops_of(isa));
    CHECK(!chord_ops_of(-1) && !chord_ops_of(CHORD_ISA_RELAXED + 1));
}

TEST(each_format_has_its_own_matmul)
{
    const chord_ops *ops = chord_ops_of(CHORD_ISA_BEST);
    for (int32_t i = 0; chord_format_at(i); i++) {
        chord_matmul_fn *f = chord_ops_matmul(ops, chord_format_at(i)->type);
        CHECK(f != NULL);
        for (int32_t j = 0; j < i; j++) CHECK(f != chord_ops_matmul(ops, chord_format_at(j)->type));
    }
    CHECK(!chord_ops_matmul(ops, 36) && !chord_ops_matmul(ops, -1));
}
