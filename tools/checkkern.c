/* checkkern.c: checks each kernel body against the scalar body.
 *
 *   checkkern [slot] [isa] [seed] [--bench] [--ratios] [--all] [--json]
 *
 * slot and isa are names of kernels.def and chord_ops; without them everything is checked. --all tries
 * all 2^32 floats in f16_store (half a minute). --bench measures instead of checking. --ratios compares
 * the speed of each matmul with Q4_K's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "checkkern.h"
#include "../src/base/simd.h"

verdict judge;
bool check_everything;

/* ---- printing -------------------------------------------------------------------------------------- */

typedef struct text {
    char *at;
    int32_t n, cap;
} text;

static void put(text *t, char c)
{
    if (t->n < t->cap) t->at[t->n++] = c;
}
static void put_text(text *t, const char *s)
{
    while (*s) put(t, *s++);
}

static void put_number(text *t, uint64_t v, uint32_t base, int least)
{
    char digits[24];
    int n = 0;
    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v || n < least);
    while (n) put(t, digits[--n]);
}

static void put_double(text *t, double v, bool scientific)
{
    if (v != v) {
        put_text(t, "nan");
        return;
    }
    if (v < 0) {
        put(t, '-');
        v = -v;
    }
    if (!is_finite(v)) {
        put_text(t, "inf");
        return;
    }
    int exponent = 0;
    if (scientific && v > 0) {
        while (v >= 10) {
            v /= 10;
            exponent++;
        }
        while (v < 1) {
            v *= 10;
            exponent--;
        }
    }
    if (v > 1e15) v = 1e15;
    int const decimals = scientific ? 7 : 3;
    uint64_t const unit = scientific ? 10000000 : 1000, whole = (uint64_t)(v * (double)unit + 0.5);
    put_number(t, whole / unit, 10, 1);
    put(t, '.');
    put_number(t, whole % unit, 10, decimals);
    if (scientific) {
        put(t, 'e');
        put(t, exponent < 0 ? '-' : '+');
        put_number(t, (uint64_t)(exponent < 0 ? -exponent : exponent), 10, 2);
    }
}

static void put_format(text *t, const char *format, __builtin_va_list args)
{
    for (const char *f = format; *f; f++) {
        if (*f != '%') {
            put(t, *f);
            continue;
        }
        switch (*++f) {
        case 's': put_text(t, __builtin_va_arg(args, const char *)); break;
        case 'd': {
            int32_t const v = __builtin_va_arg(args, int32_t);
            if (v < 0) put(t, '-');
            put_number(t, (uint64_t)(v < 0 ? -(int64_t)v : v), 10, 1);
            break;
        }
        case 'u': put_number(t, __builtin_va_arg(args, uint64_t), 10, 1); break;
        case 'x': put_number(t, __builtin_va_arg(args, uint32_t), 16, 8); break;
        case 'f': put_double(t, __builtin_va_arg(args, double), false); break;
        case 'e': put_double(t, __builtin_va_arg(args, double), true); break;
        default: put(t, *f);
        }
    }
}

void say(const char *format, ...)
{
    char line[600];
    text t = { line, 0, sizeof line };
    __builtin_va_list args;
    __builtin_va_start(args, format);
    put_format(&t, format, args);
    __builtin_va_end(args);
    checkkern_print(line, t.n);
}

/* ---- memory and random ----------------------------------------------------------------------------- */

static _Alignas(64) uint8_t memory[24u << 20];
static uint64_t memory_used;
static struct {
    uint8_t *at;
    uint64_t n;
} regions[64];
static int32_t n_regions;
static uint64_t random_state;

void *region(uint64_t n, uint64_t offset)
{
    uint64_t const begin = ((memory_used + CANARY + 15) & ~(uint64_t)15) + offset, end = begin + n + CANARY;
    if (end > sizeof memory || n_regions == 64) {
        say("checkkern: a case needs more than 24 MiB or 64 regions\n");
        __builtin_trap();
    }
    uint8_t *at = memory + begin;
    for (int i = 1; i <= CANARY; i++) at[-i] = 0xc5;
    for (uint64_t i = 0; i < n; i++) at[i] = 0xa7;
    for (int i = 0; i < CANARY; i++) at[n + (uint64_t)i] = 0xc5;
    memory_used = end;
    regions[n_regions].at = at;
    regions[n_regions++].n = n;
    return at;
}

bool canaries_live(void)
{
    for (int32_t r = 0; r < n_regions; r++)
        for (int i = 1; i <= CANARY; i++)
            if (regions[r].at[-i] != 0xc5 || regions[r].at[regions[r].n + (uint64_t)i - 1] != 0xc5) {
                fail("wrote %s a buffer", regions[r].at[-i] != 0xc5 ? "before" : "past");
                return false;
            }
    return true;
}

uint64_t random64(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int32_t random_below(int32_t n) { return (int32_t)(random64() % (uint64_t)n); }

float random_gauss(void)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += (float)(int32_t)(random64() >> 40) * 0x1p-24f - 0.5f;
    return sum * 1.7320508f;
}

/* ---- comparing ------------------------------------------------------------------------------------- */

static uint64_t seed = 1;

void next_case(const char *format, ...)
{
    text t = { judge.detail, 0, sizeof judge.detail - 1 };
    __builtin_va_list args;
    __builtin_va_start(args, format);
    put_format(&t, format, args);
    __builtin_va_end(args);
    judge.detail[t.n] = 0;
    judge.n_cases++;
    memory_used = 0;
    n_regions = 0;
    random_state = seed * 0x2545f4914f6cdd1du + judge.n_cases;
}

void fail(const char *format, ...)
{
    if (!judge.failed) {
        char line[400];
        text t = { line, 0, sizeof line };
        __builtin_va_list args;
        __builtin_va_start(args, format);
        put_format(&t, format, args);
        __builtin_va_end(args);
        say("FAIL %s %s, case %u (%s): ", judge.slot, judge.isa, judge.n_cases, judge.detail);
        checkkern_print(line, t.n);
        say("\n");
    }
    judge.failed = true;
}

static bool same_kind(float a, float b)
{
    return chord_f32_bits(a) == chord_f32_bits(b) || (a != a && b != b);
}

void near(float got, float want, double scale, double tiny, int32_t at)
{
    judge.n_values++;
    if (!is_finite((double)want) || !is_finite((double)got)) {
        if (!same_kind(got, want)) fail("element %d is %e, want %e", at, (double)got, (double)want);
        return;
    }
    double const difference = magnitude((double)got - (double)want), bound = judge.c * 0x1p-24 * scale + tiny;
    if (!(difference <= bound))
        fail("element %d is %e, want %e: differs by %e, bound %e", at, (double)got, (double)want, difference,
             bound);
    if (bound > 0 && difference / bound > judge.worst) judge.worst = difference / bound;
}

void same(float got, float want, int32_t at)
{
    judge.n_values++;
    if (!same_kind(got, want))
        fail("element %d is %e (%x), want %e (%x)", at, (double)got, chord_f32_bits(got), (double)want,
             chord_f32_bits(want));
}

void same_bytes(const void *got, const void *want, uint64_t n, const char *what)
{
    const uint8_t *g = got, *w = want;
    judge.n_values++;
    for (uint64_t i = 0; i < n; i++)
        if (g[i] != w[i]) {
            fail("%s: byte %u of %u differs", what, i, n);
            return;
        }
}

/* ---- choices of this isa --------------------------------------------------------------------------- */

bool madd_is_fused(void)
{
    float out[4];
    /* a * a = 1 + 2^-11 + 2^-24. The last term is lost unless fused. */
    float const a = 1 + 0x1p-12f;
    vf_store(out, vf_madd(vf_all_at(&a), vf_all_at(&a), vf_all(-1 - 0x1p-11f)));
    return out[0] != 0;
}

#define FAULTY "pairs of 16 bits (i32x4.relaxed_dot adds wrongly in this engine, so matmul doesn't use it)"

const char *dot_flavour(void)
{
#ifdef CHORD_SIMD_I8
    int32_t const dot = vi_first(vi_dot8(vi_all(0x7f7f7f7f), vi_all(-1), vi_all(1000)));
    return dot == 66534    ? "pairs of 16 bits"
           : dot == 130540 ? "32 bits, unsigned"
           : dot == 492    ? "32 bits, signed"
                           : FAULTY;
#else
    return "none";
#endif
}

/* ---- all slots ------------------------------------------------------------------------------------- */

#define CHECK_MATMUL(slot) check_matmul(ops, scalar, matmul_type(#slot))
#define CHECK_QUANTIZE(slot) check_quantize(ops, scalar)
#define CHECK_NORM(slot) check_norm(ops, scalar)
#define CHECK_LAYER_NORM(slot) check_layer_norm(ops, scalar)
#define CHECK_ACTIVATE(slot) check_activate(ops->slot, scalar->slot, ops->slot == ops->gelu)
#define CHECK_SOFTCAP(slot) check_softcap(ops, scalar)
#define CHECK_GLU(slot) \
    check_glu(ops->slot, scalar->slot, ops->slot == ops->gelu_glu, ops->slot == ops->oai_glu)
#define CHECK_ROPE(slot) check_rope(ops->slot, scalar->slot)
#define CHECK_ADD(slot) check_add(ops, scalar)
#define CHECK_SCAN(slot) check_scan(ops, scalar)
#define CHECK_WKV(slot) check_wkv(ops, scalar)
#define CHECK_CONV(slot) check_conv(ops, scalar)
#define CHECK_SCALE(slot) check_scale(ops, scalar)
#define CHECK_STORE(slot) check_store(ops, scalar)
#define CHECK_LOAD(slot) check_load(ops, scalar)
#define CHECK_KV_Q8_STORE(slot) check_kv_q8_store(ops, scalar)
#define CHECK_KV_Q8_LOAD(slot) check_kv_q8_load(ops, scalar)
#define CHECK_ATTEND(slot) check_attend(ops, scalar)
#define CHECK_JOIN(slot) check_attend_join(ops, scalar)

static bool equal_text(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

/* "matmul_q4_0" -> CHORD_Q4_0: the slot's name ends in the format's name in lower case. */
static int32_t matmul_type(const char *slot)
{
    for (int32_t i = 0; chord_format_at(i); i++) {
        const char *a = chord_format_at(i)->name, *b = slot + 7;
        while (*a && (*a == *b || (*a >= 'A' && *a <= 'Z' && *a + 32 == *b))) a++, b++;
        if (!*a && !*b) return chord_format_at(i)->type;
    }
    return -1;
}

static int32_t n_passed, n_failed, n_skipped;

static void report(bool json)
{
    if (judge.failed) n_failed++;
    else n_passed++;
    if (json)
        say("{\"slot\":\"%s\",\"isa\":\"%s\",\"ok\":%s,\"cases\":%u,\"values\":%u,\"worst\":%e}\n",
            judge.slot, judge.isa, judge.failed ? "false" : "true", judge.n_cases, judge.n_values,
            judge.worst);
    else if (!judge.failed)
        say("ok   %s %s: %u cases, %u values%s%f%s\n", judge.slot, judge.isa, judge.n_cases, judge.n_values,
            judge.c > 0 ? ", at most " : ", equal (", judge.worst, judge.c > 0 ? " of the bound" : ")");
}

static void check_slots(const chord_ops *ops, const chord_ops *scalar, const char *only, bool json)
{
#define SLOT(slot_, kind, bound, why)                                        \
    if (!only || equal_text(only, #slot_)) {                                 \
        judge = (verdict){ .slot = #slot_, .isa = ops->name, .c = (bound) }; \
        CHECK_##kind(slot_);                                                 \
        report(json);                                                        \
    }
#include "../src/kernels/kernels.def"
}

static bool is_slot(const char *name)
{
#define SLOT(slot, kind, c, why) \
    if (equal_text(name, #slot)) return true;
#include "../src/kernels/kernels.def"
    return false;
}

static const struct {
    const char *name;
    int32_t isa;
} isas[] = {
    { "native128", CHORD_ISA_VECTOR },
    { "simd128", CHORD_ISA_VECTOR },
    { "relaxed", CHORD_ISA_RELAXED },
};

/* `arguments`: words separated by single spaces, zero-terminated; the call modifies them. Returns 0, 1
 * (failures) or 2 (usage). */
int32_t checkkern_run(char *arguments)
{
    const char *only_slot = NULL, *only_isa = NULL;
    bool json = false, bench = false, ratios = false;
    for (char *word = arguments, *end; *word; word = end) {
        for (end = word; *end && *end != ' ';) end++;
        if (*end) *end++ = 0;
        bool is_isa = false;
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
            is_isa = is_isa || equal_text(word, isas[i].name);
        if (equal_text(word, "--json")) json = true;
        else if (equal_text(word, "--bench")) bench = true;
        else if (equal_text(word, "--ratios")) bench = ratios = true;
        else if (equal_text(word, "--all")) check_everything = true;
        else if (is_slot(word)) only_slot = word;
        else if (is_isa) only_isa = word;
        else if (*word >= '0' && *word <= '9') {
            seed = 0;
            for (const char *p = word; *p >= '0' && *p <= '9'; p++) seed = seed * 10 + (uint64_t)(*p - '0');
        } else if (*word) {
            say("checkkern: unknown argument \"%s\", allowed are [slot] [isa] [seed] [--bench] [--ratios] [--all] [--json]\n",
                word);
            return 2;
        }
    }
    const chord_ops *scalar = chord_ops_of(CHORD_ISA_SCALAR);
    if (!scalar) {
        say("checkkern: built without the scalar bodies\n");
        return 2;
    }
#ifdef CHORD_DOT_KIND
    const char *way = ", matmul uses the dot of ARM";
#else
    const char *way = "";
#endif
    if (!json)
        say("seed %u; dot: %s%s; multiply-add: %s\n", seed, dot_flavour(), way,
            madd_is_fused() ? "fused" : "two roundings");
    if (*way && equal_text(dot_flavour(), FAULTY)) {
        say("skip: the dot that this build uses is faulty in this engine\n0 passed, 0 failed, 1 skipped\n");
        return 0;
    }
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (only_isa && !equal_text(only_isa, isas[i].name)) continue;
        const chord_ops *ops = chord_ops_of(isas[i].isa);
        if (!ops || !equal_text(ops->name, isas[i].name)) {
            if (only_isa) {
                say("skip %s: this build or this machine lacks it\n", isas[i].name);
                n_skipped++;
            }
            continue;
        }
        if (ratios) bench_ratios(ops, scalar, only_slot);
        else if (bench) bench_all(ops, scalar, only_slot, json);
        else check_slots(ops, scalar, only_slot, json);
    }
    if (!bench && n_passed + n_failed == 0 && !only_isa) {
        say("skip: this build has no vector bodies\n");
        n_skipped++;
    }
    if (!bench) say("%d passed, %d failed, %d skipped\n", n_passed, n_failed, n_skipped);
    return n_failed != 0;
}

/* wasm: the runner writes the arguments here. */
char checkkern_arguments[1024];
