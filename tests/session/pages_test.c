/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/session/sequence.h"
#include "../harness/test.h"

TEST(a_page_is_header_and_payload_rounded_up_to_the_block_alignment)
{
    CHECK_EQ(chord_page_bytes(&(chord_page_pool){ .payload_bytes = 1 }), 128);
    CHECK_EQ(chord_page_bytes(&(chord_page_pool){ .payload_bytes = 64 }), 128);
    CHECK_EQ(chord_page_bytes(&(chord_page_pool){ .payload_bytes = 65 }), 192);
    CHECK_EQ(chord_page_bytes(&(chord_page_pool){ .payload_bytes = (uint64_t)5 << 30 }),
             ((uint64_t)5 << 30) + 64);
}

TEST(a_block_becomes_pages_and_its_rest_is_unused)
{
    chord_page_pool pool = { .payload_bytes = 100 };
    size_t const page = (size_t)chord_page_bytes(&pool);
    chord_page_give(&pool, test_alloc(page - 1), page - 1);
    CHECK_EQ(pool.n_pages, 0);
    CHECK(!chord_page_take(&pool));
    chord_page_give(&pool, test_alloc(page), page);
    CHECK_EQ(pool.n_pages, 1);
    chord_page_give(&pool, test_alloc(4 * page - 1), 4 * page - 1);
    CHECK_EQ(pool.n_pages, 4);
    CHECK_EQ(pool.n_free, 4);
}

TEST(pages_are_aligned_disjoint_and_inside_their_block)
{
    enum { N = 7 };
    chord_page_pool pool = { .payload_bytes = 130 };
    size_t const page = (size_t)chord_page_bytes(&pool), block_bytes = N * page + 50;
    uint8_t *const block = test_alloc(block_bytes + 64), *payload[N];
    memset(block, 0xee, block_bytes + 64);
    chord_page_give(&pool, block, block_bytes);
    for (int i = 0; i < N; i++) {
        payload[i] = chord_page_take(&pool);
        CHECK(payload[i] && (uintptr_t)payload[i] % CHORD_BLOCK_ALIGN == 0);
        CHECK(payload[i] >= block && payload[i] + 130 <= block + N * page);
        memset(payload[i], i, 130);
    }
    CHECK(!chord_page_take(&pool));
    for (int i = 0; i < N; i++) {
        CHECK_EQ(chord_page_refs(payload[i]), 1);
        for (int k = 0; k < 130; k++) CHECK_EQ(payload[i][k], i);
    }
    for (size_t k = N * page; k < block_bytes + 64; k++) CHECK_EQ(block[k], 0xee);
}

TEST(a_page_is_freed_only_with_its_last_reference)
{
    chord_page_pool pool = { .payload_bytes = 64 };
    chord_page_give(&pool, test_alloc(128), 128);
    uint8_t *const payload = chord_page_take(&pool);
    CHECK_EQ(pool.n_free, 0);
    chord_page_share(payload);
    CHECK_EQ(chord_page_refs(payload), 2);
    chord_page_drop(&pool, payload);
    CHECK_EQ(pool.n_free, 0);
    CHECK(!chord_page_take(&pool));
    chord_page_drop(&pool, payload);
    CHECK_EQ(pool.n_free, 1);
    CHECK(chord_page_take(&pool) == payload);
    CHECK_EQ(chord_page_refs(payload), 1);
}

TEST(random_takes_shares_and_drops_keep_every_payload_and_every_count)
{
    enum { N = 24, PAYLOAD = 96 };
    chord_page_pool pool = { .payload_bytes = PAYLOAD };
    size_t const page = (size_t)chord_page_bytes(&pool);
    struct {
        uint8_t *payload;
        int refs, stamp;
    } live[N];
    int n_live = 0, n_given = 0;
    for (int step = 0; step < 20000; step++) {
        uint64_t const r = test_random();
        int const i = n_live ? (int)(r >> 8) % n_live : -1;
        if (step % 1000 == 0 && n_given < N) {
            chord_page_give(&pool, test_alloc(4 * page), 4 * page);
            n_given += 4;
        }
        if (r % 3 == 0 || i < 0) {
            uint8_t *const payload = chord_page_take(&pool);
            CHECK((payload != NULL) == (n_live < n_given));
            if (!payload) continue;
            live[n_live].payload = payload;
            live[n_live].refs = 1;
            memset(payload, live[n_live].stamp = (int)(r >> 16 & 255), PAYLOAD);
            n_live++;
        } else if (r % 3 == 1 && live[i].refs < 5) {
            chord_page_share(live[i].payload);
            live[i].refs++;
        } else {
            for (int k = 0; k < PAYLOAD; k++) CHECK_EQ(live[i].payload[k], live[i].stamp);
            CHECK_EQ(chord_page_refs(live[i].payload), live[i].refs);
            chord_page_drop(&pool, live[i].payload);
            if (--live[i].refs == 0) live[i] = live[--n_live];
        }
        CHECK_EQ(pool.n_pages, n_given);
        CHECK_EQ(pool.n_free, n_given - n_live);
    }
}
