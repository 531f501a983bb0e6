/* memory_test.c: checked arithmetic and the arena at their edges. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/base/arena.h"
#include "../../src/base/mem.h"
#include "../harness/test.h"

static const uint64_t edges[] = {
    0, 1, 2, 3, 0xffffffff, 0x100000000, 0x100000001, 1ull << 63, UINT64_MAX - 1, UINT64_MAX
};
#define N_EDGES (sizeof edges / sizeof *edges)

TEST(sums_and_products_that_overflow_are_refused_and_leave_the_result_alone)
{
    for (size_t i = 0; i < N_EDGES; i++)
        for (size_t j = 0; j < N_EDGES; j++) {
            uint64_t const a = edges[i], b = edges[j];
            unsigned __int128 const sum = (unsigned __int128)a + b, product = (unsigned __int128)a * b;
            uint64_t out = 42;
            CHECK_EQ(chord_add(a, b, &out), sum <= UINT64_MAX);
            CHECK(out == (sum <= UINT64_MAX ? (uint64_t)sum : 42));
            out = 42;
            CHECK_EQ(chord_mul(a, b, &out), product <= UINT64_MAX);
            CHECK(out == (product <= UINT64_MAX ? (uint64_t)product : 42));
        }
}

TEST(align_rounds_up_and_refuses_to_wrap)
{
    uint64_t out = 42;
    CHECK(chord_align(0, 32, &out) && out == 0);
    CHECK(chord_align(1, 32, &out) && out == 32);
    CHECK(chord_align(32, 32, &out) && out == 32);
    CHECK(chord_align(UINT64_MAX - 31, 32, &out) && out == UINT64_MAX - 31);
    out = 42;
    CHECK(!chord_align(UINT64_MAX - 30, 32, &out));
    CHECK(out == 42);
}

TEST(numbers_are_read_from_any_address)
{
    uint8_t *p = test_alloc(32);
    for (int i = 0; i < 32; i++) p[i] = (uint8_t)(i + 0x80);
    for (int i = 0; i < 8; i++) { /* UBSan finds a misaligned load that isn't a copy */
        CHECK_EQ(chord_u16(p + i), (0x8180 + 0x101 * i));
        CHECK_EQ(chord_u32(p + i) & 0xff, 0x80 + i);
        CHECK_EQ(chord_u64(p + i) >> 56, 0x87 + i);
        CHECK_EQ((uint32_t)chord_i32(p + i), chord_u32(p + i));
    }
}

TEST(arena_hands_out_aligned_blocks_until_it_is_full)
{
    uint8_t *memory = test_alloc(256);
    chord_arena a = { memory, 0, 256 };
    CHECK(chord_arena_take(&a, 3, 1) == memory);
    CHECK(chord_arena_take(&a, 8, 8) == memory + 8);
    CHECK(chord_arena_take(&a, 1, 64) == memory + 64);
    CHECK(chord_arena_take(&a, 192, 1) == NULL); /* 191 are left */
    CHECK_EQ(a.used, 65);                        /* a refused call changes nothing */
    CHECK(chord_arena_take(&a, 191, 1) == memory + 65);
    CHECK(chord_arena_take(&a, 1, 1) == NULL);
    CHECK(chord_arena_take(&a, 0, 1) == memory + 256);
    CHECK(chord_arena_take(&a, UINT64_MAX, 64) == NULL);
    CHECK(chord_arena_take(&a, UINT64_MAX - 200, 1) == NULL);
}

TEST(arena_without_memory_only_counts)
{
    chord_arena a = { NULL, 0, CHORD_MEASURE };
    chord_arena_take(&a, 100, 1);
    chord_arena_take(&a, 1000, 64);
    CHECK_EQ(a.used, 1128);
    CHECK(chord_arena_take(&a, UINT64_MAX - 1000, 1) == NULL);
    CHECK_EQ(a.used, 1128);
}

TEST(an_arena_counts_past_4_gib_also_with_32_bit_addresses)
{
    _Static_assert(sizeof((chord_arena){ 0 }.used) == 8 && sizeof((chord_arena){ 0 }.cap) == 8,
                   "sizes are measured in 64 bits");
    chord_arena a = { NULL, 0, CHORD_MEASURE };
    for (int i = 0; i < 5; i++) chord_arena_take(&a, 3ull << 30, 64);
    CHECK_EQ(a.used, 15ull << 30);
}

TEST(copies_of_nothing_touch_nothing)
{
    chord_copy(NULL, NULL, 0); /* undefined for memcpy: UBSan would report it */
    chord_move(NULL, NULL, 0);
    chord_zero(NULL, 0);
    CHECK(chord_equal(NULL, NULL, 0));
    CHECK(chord_equal("abc", "abd", 2) && !chord_equal("abc", "abd", 3));
    CHECK_EQ(chord_strlen(""), 0);
    CHECK_EQ(chord_strlen("abc"), 3);
}
