/* pages.c: a pool of pages: a free list, with reference counts in the pages' headers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence.h"

typedef struct chord_page_header {
    uint8_t *next;                /* payload of the next free page; only while free */
    int32_t refs;                 /* 0 while free */
    int32_t number;               /* the pool numbers its pages from 0 */
    int32_t source;               /* number of the page that this page was copied from, or CHORD_PAGE_* */
} chord_page_header;

_Static_assert(sizeof(chord_page_header) <= CHORD_PAGE_HEADER, "the header's room");
_Static_assert(CHORD_PAGE_HEADER % CHORD_BLOCK_ALIGN == 0, "payloads are aligned as blocks are");

static chord_page_header *header(const uint8_t *payload)
{
    return (chord_page_header *)(uintptr_t)(payload - CHORD_PAGE_HEADER);
}

static void put(chord_page_pool *pool, uint8_t *payload)
{
    header(payload)->refs = 0;
    header(payload)->next = pool->free;
    pool->free = payload;
    pool->n_free++;
}

uint64_t chord_page_bytes(const chord_page_pool *pool)
{
    return (CHORD_PAGE_HEADER + pool->payload_bytes + (CHORD_BLOCK_ALIGN - 1)) &
           ~(uint64_t)(CHORD_BLOCK_ALIGN - 1);
}

void chord_page_give(chord_page_pool *pool, void *block, size_t bytes)
{
    uint64_t const page = chord_page_bytes(pool);
    uint64_t n = bytes / page;
    if (n > (uint64_t)(INT32_MAX - pool->n_pages)) n = (uint64_t)(INT32_MAX - pool->n_pages);
    /* from the last page to the first: chord_page_take() then returns pages in ascending order of address */
    for (uint64_t i = n; i-- > 0;) {
        uint8_t *const payload = (uint8_t *)block + i * page + CHORD_PAGE_HEADER;
        header(payload)->number = pool->n_pages + (int32_t)i;
        put(pool, payload);
    }
    pool->n_pages += (int32_t)n;
}

void chord_pages_give(chord_page_pool *pools, int32_t n, int32_t most, void *block, size_t bytes)
{
    uint8_t *at = block;
    for (int32_t c = 0; c < n; c++) {
        uint64_t const page = chord_page_bytes(&pools[c]), fit = bytes / page;
        uint64_t const pages = fit < (uint64_t)pools[c].n_wanted ? fit : (uint64_t)pools[c].n_wanted;
        chord_page_give(&pools[c], at, (size_t)(pages * page));
        pools[c].n_wanted -= (int32_t)pages;
        at += pages * page;
        bytes -= (size_t)(pages * page);
    }
    if (n) chord_page_give(&pools[most], at, bytes);
}

uint8_t *chord_page_take(chord_page_pool *pool)
{
    uint8_t *const payload = pool->free;
    if (!payload) return NULL;
    pool->free = header(payload)->next;
    pool->n_free--;
    chord_page_header *h = header(payload);
    h->next = NULL;
    h->refs = 1;
    h->source = CHORD_PAGE_NEW;
    return payload;
}

void chord_page_share(uint8_t *payload) { header(payload)->refs++; }

void chord_page_drop(chord_page_pool *pool, uint8_t *payload)
{
    if (--header(payload)->refs == 0) put(pool, payload);
}

int32_t chord_page_refs(const uint8_t *payload) { return header(payload)->refs; }

int32_t chord_page_number(const uint8_t *payload) { return header(payload)->number; }
int32_t chord_page_source(const uint8_t *payload) { return header(payload)->source; }
void chord_page_set_source(uint8_t *payload, int32_t source) { header(payload)->source = source; }
