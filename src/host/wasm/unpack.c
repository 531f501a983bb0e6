/* unpack.c: a wasm module that holds another one, compressed, and unpacks it: the files that a page loads.
 * gzip leaves a third more, and servers that don't compress modules send these as they are. tools/pack.py
 * writes the stream PACKED: LZMA (lc 1, lp 0, pb 0) without a header, the first byte (0) and an end mark.
 * SIZE is the module's bytes, HASH is FNV-1a over them. The stream holds the bytes of function bodies by
 * kind, and the bytes outside bodies, of which CODE come before them. These parts begin at STARTS. The
 * bodies end at CODE_END. From byte GRIDS on there are ENTRIES 16-bit numbers, packed as differences, each
 * of the one before. Then each becomes the bytes of an entry of the grids (quant/iq_grids_tables.c).
 *
 *   exports: memory; unpack(), which puts the module at address 0 and returns SIZE, or 0 if it is damaged.
 *
 * The stack comes first in memory and is larger than twice the module. LZMA's bytes go to address SIZE, the
 * module to address 0: no variable here is on the stack. A damaged stream may also read or write outside the
 * memory, which traps. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

static const uint8_t packed[] = {
#embed PACKED
};

/* Probabilities of 0 in units of 1/2048, by what they decide. A state has 8 places from STATE on; a length
 * has 2 choices, then trees of 3, 3 and 8 bits. */
enum {
    STATE = 0,
    LENGTH = 96,
    REPEATED = LENGTH + 2 + 8 + 8 + 256,
    SLOT = REPEATED + 2 + 8 + 8 + 256,
    NEAR = SLOT + 4 * 64,
    ALIGN = NEAR + 128,
    LITERAL = ALIGN + 16,
    N_PROBABILITIES = LITERAL + 2 * 0x300,
};
enum { IS_MATCH, IS_REPEATED, IS_OLDER, IS_OLDER_2, IS_OLDER_3, IS_LONG };

static uint16_t probability[N_PROBABILITIES];
static const uint8_t *in;
static uint32_t d[4]; /* the last distances, less one */
static uint32_t range, code;

/* Grids: entries; copies; bytes of an entry. The value of code c is first + step * c, and 1 more for code
 * `more`; in the second copy 2 less. */
static const struct grid {
    uint16_t n;
    uint8_t copies, size, first, step, more;
} grids[6] = { { 2048, 2, 8, 2, 8, 8 }, { 1024, 1, 8, 8, 17, 2 }, { 512, 1, 8, 8, 17, 2 },
               { 256, 1, 8, 8, 17, 2 }, { 512, 1, 4, 1, 2, 8 },   { 256, 1, 4, 2, 4, 7 } };
enum { GRIDS_BYTES = 8 * (2 * 2048 + 1024 + 512 + 256) + 4 * (512 + 256) };

static void refill(void)
{
    if (range >> 24) return;
    range <<= 8;
    code = code << 8 | *in++;
}

static __attribute__((noinline)) uint32_t bit(uint32_t at)
{
    uint16_t *const p = &probability[at];
    uint32_t const bound = (range >> 11) * *p, is_set = code >= bound;
    if (is_set) {
        range -= bound;
        code -= bound;
        *p -= *p >> 5;
    } else {
        range = bound;
        *p += (2048 - *p) >> 5;
    }
    refill();
    return is_set;
}

/* A number of n bits, the highest first. */
static uint32_t tree(uint32_t at, uint32_t n)
{
    uint32_t m = 1;
    while (!(m >> n)) m = m << 1 | bit(at + m);
    return m - (1u << n);
}

/* A number of n bits, the lowest first. */
static uint32_t reverse(uint32_t at, uint32_t n)
{
    uint32_t m = 1, v = 0;
    for (uint32_t i = 0; i < n; i++) {
        m = m << 1 | bit(at + m);
        v |= (m & 1) << i;
    }
    return v;
}

static uint32_t length(uint32_t at)
{
    if (!bit(at)) return tree(at + 2, 3);
    return bit(at + 1) ? 16 + tree(at + 18, 8) : 8 + tree(at + 10, 3);
}

/* A distance, less one, for a match of n bytes, less two. */
static uint32_t distance(uint32_t n)
{
    uint32_t const slot = tree(SLOT + 64 * (n < 3 ? n : 3), 6), bits = (slot >> 1) - 1;
    if (slot < 4) return slot;
    uint32_t v = (2 | (slot & 1)) << bits;
    if (slot < 14) return v + reverse(NEAR + v - slot, bits);
    for (uint32_t i = bits; i-- > 4;) {
        range >>= 1;
        if (code >= range) {
            code -= range;
            v += 1u << i;
        }
        refill();
    }
    return v + reverse(ALIGN, 4);
}

/* A byte behind `before`. After a match, the byte `match` foretells the bits, until one differs. */
static uint32_t literal(uint32_t before, uint32_t match, int is_foretold)
{
    uint32_t const at = LITERAL + 0x300 * (before >> 7);
    uint32_t m = 1;
    while (is_foretold && m < 256) {
        uint32_t const guess = match >> 7 & 1;
        match <<= 1;
        m = m << 1 | bit(at + 0x100 + (guess << 8) + m);
        is_foretold = (m & 1) == guess;
    }
    while (m < 256) m = m << 1 | bit(at + m);
    return m;
}

/* ---- the bodies of functions, of streams by kind -------------------------------------------------- */

enum { OP, LOCAL, I32, I64, OFFSET, CALL, BYTES, BODY, REST, N_STREAMS };
static uint32_t starts[N_STREAMS] = { STARTS };
static uint32_t written; /* bytes of the module */

static uint32_t byte_of(uint32_t stream)
{
    uint32_t const x = ((volatile uint8_t *)SIZE)[starts[stream]++];
    ((volatile uint8_t *)0)[written++] = (uint8_t)x;
    return x;
}

static void bytes_of(uint32_t stream, uint32_t n)
{
    while (n--) byte_of(stream);
}

static __attribute__((noinline)) uint32_t number_of(uint32_t stream)
{
    uint32_t v = 0, x = 128;
    for (uint32_t shift = 0; x & 128; shift += 7) {
        x = byte_of(stream);
        v |= (x & 127) << (shift & 31);
    }
    return v;
}

static __attribute__((noinline)) void place(void)
{
    number_of(OP);
    number_of(OFFSET);
}

/* One instruction: the same walk as in tools/pack.py, which refuses what isn't known here. */
static void instruction(void)
{
    uint32_t const op = byte_of(OP);
    if ((op >= 0x02 && op <= 0x04) || op == 0x0c || op == 0x0d || op == 0x23 || op == 0x24 || op == 0x3f ||
        op == 0x40)
        number_of(OP);
    else if (op == 0x0e)
        for (uint32_t n = number_of(OP) + 1; n; n--) number_of(OP);
    else if (op == 0x10) number_of(CALL);
    else if (op == 0x11) number_of(OP), number_of(OP);
    else if (op >= 0x20 && op <= 0x22) number_of(LOCAL);
    else if (op >= 0x28 && op <= 0x3e) place();
    else if (op == 0x41 || op == 0x42) number_of(op == 0x41 ? I32 : I64);
    else if (op == 0x43 || op == 0x44) bytes_of(BYTES, op == 0x43 ? 4 : 8);
    else if (op == 0xfc) {
        uint32_t const kind = number_of(OP);
        if (kind > 7) number_of(OP);
        if (kind == 8 || kind == 10) number_of(OP);
    } else if (op == 0xfd) {
        uint32_t const kind = number_of(OP);
        if (kind <= 11 || (kind >= 84 && kind <= 93)) place();
        else if (kind <= 13) bytes_of(BYTES, 16);
        if ((kind >= 21 && kind <= 34) || (kind >= 84 && kind <= 91)) byte_of(OP);
    } else if (op == 0xfe) {
        if (number_of(OP) == 3) byte_of(OP);
        else place();
    }
}

static void function(void)
{
    uint32_t const size = number_of(BODY), end = written + size;
    for (uint32_t n = number_of(BODY); n; n--) {
        number_of(BODY);
        byte_of(BODY);
    }
    while (written < end) instruction();
}

/* The stream of LZMA, from address SIZE on. */
static void decompress(void)
{
    volatile uint8_t *const out = (volatile uint8_t *)SIZE;
    uint32_t state = 0;
    for (uint32_t i = 0; i < N_PROBABILITIES; i++) probability[i] = 1024;
    in = packed;
    for (int i = 0; i < 4; i++) code = code << 8 | *in++;
    range = UINT32_MAX;
    for (uint32_t n = 0; n < SIZE;) {
        uint32_t const at = STATE + 8 * state;
        uint32_t count;
        if (!bit(at + IS_MATCH)) {
            out[n] = (uint8_t)literal(n ? out[n - 1] : 0, n ? out[n - 1 - d[0]] : 0, state >= 7);
            n++;
            state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
            continue;
        }
        if (!bit(at + IS_REPEATED)) {
            d[3] = d[2];
            d[2] = d[1];
            d[1] = d[0];
            count = length(LENGTH);
            d[0] = distance(count);
            state = state < 7 ? 7 : 10;
        } else {
            uint32_t const is_older = bit(at + IS_OLDER);
            if (is_older) {
                uint32_t const k = bit(at + IS_OLDER_2) ? 2 + bit(at + IS_OLDER_3) : 1, again = d[k];
                for (uint32_t i = k; i; i--) d[i] = d[i - 1];
                d[0] = again;
            }
            if (!is_older && !bit(at + IS_LONG)) {
                count = UINT32_MAX; /* one byte */
                state = state < 7 ? 9 : 11;
            } else {
                count = length(REPEATED);
                state = state < 7 ? 8 : 11;
            }
        }
        for (count += 2; count; count--, n++) out[n] = out[n - 1 - d[0]];
    }
}

__attribute__((export_name("unpack"))) uint32_t unpack(void)
{
    volatile uint8_t *const out = (volatile uint8_t *)0;
    uint32_t hash = 2166136261u, rest = SIZE + starts[REST];
    decompress();
    while (written < CODE) out[written++] = out[rest++];
    while (written < CODE_END) function();
    while (written < SIZE) out[written++] = out[rest++];
    uint32_t entry = 0;
    for (uint32_t n = GRIDS; n < GRIDS + 2 * ENTRIES; n += 2) {
        entry += out[n] | (uint32_t)out[n + 1] << 8;
        out[n] = (uint8_t)entry;
        out[n + 1] = (uint8_t)(entry >> 8);
    }
    uint32_t from = GRIDS + 2 * ENTRIES, to = GRIDS + GRIDS_BYTES;
    for (uint32_t g = ENTRIES ? 6 : 0; g-- > 0;) {
        from -= 2u * grids[g].n;
        for (uint32_t copy = grids[g].copies; copy-- > 0;)
            for (uint32_t i = grids[g].n; i-- > 0;) {
                entry = out[from + 2 * i] | (uint32_t)out[from + 2 * i + 1] << 8;
                for (uint32_t k = grids[g].size; k-- > 0;) {
                    uint32_t const c = grids[g].size == 4 ? entry >> 4 * k & 7
                                                          : entry >> (k % 4 * 4 + k / 4 * 2) & 3;
                    out[--to] = (uint8_t)(grids[g].first + grids[g].step * c + (c == grids[g].more) -
                                          2 * copy);
                }
            }
    }
    for (uint32_t n = 0; n < SIZE; n++) hash = (hash ^ out[n]) * 16777619u;
    return hash == HASH ? SIZE : 0;
}
