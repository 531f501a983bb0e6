/* checkkern.h: shared declarations of checkkern. No libc: the same files run natively and inside wasm.
 *
 *   checkkern.c          arguments, the loop over kernels.def, the report; printing and memory
 *   checkkern_rows.c     slots that work row by row
 *   checkkern_matmul.c   the matmuls
 *   checkkern_attend.c   attention
 *   checkkern_bench.c    --bench
 *   checkkern_native.c   main() for native builds; tools/checkkern.mjs is its counterpart for wasm */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_CHECKKERN_H
#define CHORD_CHECKKERN_H
#include "../include/chord.h"
#include "../src/base/half.h"
#include "../src/base/mem.h"
#include "../src/kernels/kernels.h"

/* The host provides these. */
void checkkern_print(const char *text, int32_t n);
double checkkern_now(void); /* milliseconds */

/* ---- printing: %s, %d (int32_t), %u (uint64_t), %f (double, three decimals), %e (double), %x (uint32_t) */
void say(const char *format, ...);

/* ---- memory: 64 canary bytes before and after each region; next_case() frees all regions */
enum { CANARY = 64 };
/* n bytes at a 16-byte aligned address plus `offset`, filled with a pattern. */
void *region(uint64_t n, uint64_t offset);
/* Returns false and prints a message if a canary around any region was overwritten. */
bool canaries_live(void);

/* ---- random: splitmix64 of the case's seed */
uint64_t random64(void);
int32_t random_below(int32_t n);
/* The sum of four uniform values: mean 0, variance 1, nearly normal. */
float random_gauss(void);

/* ---- comparing */
typedef struct verdict {
    const char *slot, *isa;
    double c;                 /* the slot's bound, in units of eps * scale */
    uint64_t n_cases, n_values;
    double worst;             /* largest difference / bound */
    bool failed;
    char detail[200];         /* describes the current case; set before the case runs */
} verdict;
extern verdict judge;

/* Starts a case with its own seed and fresh memory. `format` describes the case in a failure. */
void next_case(const char *format, ...);
/* Marks the slot as failed. Prints the first failure of a slot. */
void fail(const char *format, ...);
/* |got - want| <= c * eps * scale + tiny. If `want` isn't finite, `got` must be the same infinity or NaN. */
void near(float got, float want, double scale, double tiny, int32_t at);
/* Equal bits, or NaN in both. */
void same(float got, float want, int32_t at);
void same_bytes(const void *got, const void *want, uint64_t n, const char *what);

static inline double magnitude(double x) { return x < 0 ? -x : x; }
static inline bool is_finite(double x) { return x - x == 0; }

/* Returns true when vf_madd rounds once. */
bool madd_is_fused(void);
/* Returns how this isa computes 8-bit dots: "pairs of 16 bits" (x86 without VNNI), "32 bits, unsigned"
 * (VNNI), "32 bits, signed" (ARM), "none" (SIMD128) */
const char *dot_flavour(void);

extern bool check_everything; /* --all */

/* ---- the checks by kind of slot (kernels.def), and --bench */
void check_matmul(const chord_ops *ops, const chord_ops *scalar, int32_t type);
void check_quantize(const chord_ops *ops, const chord_ops *scalar);
void check_norm(const chord_ops *ops, const chord_ops *scalar);
void check_layer_norm(const chord_ops *ops, const chord_ops *scalar);
void check_activate(chord_activate_fn *got, chord_activate_fn *want, bool is_gelu);
void check_softcap(const chord_ops *ops, const chord_ops *scalar);
void check_glu(chord_glu_fn *got, chord_glu_fn *want, bool is_gelu, bool is_oai);
void check_rope(chord_rope_fn *got, chord_rope_fn *want);
void check_add(const chord_ops *ops, const chord_ops *scalar);
void check_scan(const chord_ops *ops, const chord_ops *scalar);
void check_wkv(const chord_ops *ops, const chord_ops *scalar);
void check_conv(const chord_ops *ops, const chord_ops *scalar);
void check_scale(const chord_ops *ops, const chord_ops *scalar);
void check_store(const chord_ops *ops, const chord_ops *scalar);
void check_kv_q8_store(const chord_ops *ops, const chord_ops *scalar);
void check_kv_q8_load(const chord_ops *ops, const chord_ops *scalar);
void check_load(const chord_ops *ops, const chord_ops *scalar);
void check_attend(const chord_ops *ops, const chord_ops *scalar);
void check_attend_join(const chord_ops *ops, const chord_ops *scalar);

/* --bench: times every slot of `ops`, or `slot` alone. */
void bench_all(const chord_ops *ops, const chord_ops *scalar, const char *slot, bool json);
/* --ratios: compares the matmuls over quantised weights with Q4_K's. */
void bench_ratios(const chord_ops *ops, const chord_ops *scalar, const char *slot);
/* Fills four rows in file order that repack accepts. kind: 0 normal scales, 1 random bits, 2 zero scales, 3
 * largest codes and largest finite scales, 4 subnormal scales, 5 scales of one (and offsets of small
 * integers). */
void random_rows(const chord_format *f, void *const rows[4], int32_t n, int32_t kind);

#endif
