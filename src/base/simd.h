/* simd.h: the vector layer. vf is four floats, vi is 128 bits of integers. The kernels' bodies are written
 * once over these operations and compiled once per isa:
 *
 *   wasm relaxed   -mrelaxed-simd            wasm SIMD128   -msimd128
 *   SSE4.1         x86 with -msse4.1         NEON           aarch64
 *   plain C        CHORD_SIMD_PLAIN: loops over four lanes, for sanitizers and any other machine
 *
 * Every operation is exact, or one IEEE operation per lane, except
 *   vf_madd                         a * b + c with one rounding or two, but always the same on one
 *                                   machine and JavaScript engine
 *   vi_dot8, vi_dot8_16, vi_trunc   defined only on the operands that the list below allows
 * Addresses need no alignment. CHORD_SIMD_I8 is defined if the isa has the two 8-bit dot products. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_SIMD_H
#define CHORD_BASE_SIMD_H
#include <stddef.h>
#include <stdint.h>

#define CHORD_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define CHORD_UNROLL(...) _Pragma("clang loop unroll(full)") for (__VA_ARGS__)
#define CHORD_ROLL(...) _Pragma("clang loop unroll(disable)") for (__VA_ARGS__)
#else
#define CHORD_UNROLL(...) _Pragma("GCC unroll 16") for (__VA_ARGS__)
#define CHORD_ROLL(...) _Pragma("GCC unroll 1") for (__VA_ARGS__)
#endif

/* Makes a value opaque to the compiler. Otherwise clang for wasm
 *   - computes a tile token by token, with all weights of the block live and spilled;
 *   - turns pointers into base + index, so that each load needs an addition;
 *   - propagates constants, which V8 then builds again at every use (three instructions).
 * V8 keeps clang's order and addressing. Measured with Q4_1, 4 tokens, Node 24: 31 -> 42 GMAC/s. clang 19
 * crashes on the asm. */
#if defined(__wasm__) && __clang_major__ >= 20
#define CHORD_PIN(value) __asm__ volatile("" : "+r"(value))
#else
#define CHORD_PIN(value) ((void)0)
#endif

#if defined(CHORD_SIMD_PLAIN)
#include "simd_plain.h"
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>

typedef v128_t vf, vi;

CHORD_INLINE vf vf_load(const void *p) { return wasm_v128_load(p); }
CHORD_INLINE void vf_store(void *p, vf v) { wasm_v128_store(p, v); }
CHORD_INLINE vf vf_all(float x) { return wasm_f32x4_splat(x); }
CHORD_INLINE vf vf_all_at(const void *p) { return wasm_v128_load32_splat(p); }
CHORD_INLINE vf vf_add(vf a, vf b) { return wasm_f32x4_add(a, b); }
CHORD_INLINE vf vf_sub(vf a, vf b) { return wasm_f32x4_sub(a, b); }
CHORD_INLINE vf vf_mul(vf a, vf b) { return wasm_f32x4_mul(a, b); }
CHORD_INLINE vf vf_div(vf a, vf b) { return wasm_f32x4_div(a, b); }
CHORD_INLINE vf vf_sqrt(vf a) { return wasm_f32x4_sqrt(a); }
CHORD_INLINE vf vf_max(vf a, vf b) { return wasm_f32x4_pmax(a, b); }
CHORD_INLINE vi vf_less(vf a, vf b) { return wasm_f32x4_lt(a, b); }
CHORD_INLINE vf vf_of(vi a) { return wasm_f32x4_convert_i32x4(a); }
CHORD_INLINE vi vf_bits(vf a) { return a; }
CHORD_INLINE vf vi_as_f(vi a) { return a; }
CHORD_INLINE float vf_first(vf a) { return wasm_f32x4_extract_lane(a, 0); }
CHORD_INLINE int32_t vi_first(vi a) { return wasm_i32x4_extract_lane(a, 0); }
#define vf_shuffle(a, b, i, j, k, l) wasm_i32x4_shuffle(a, b, i, j, 4 + (k), 4 + (l))

CHORD_INLINE vi vi_load(const void *p) { return wasm_v128_load(p); }
CHORD_INLINE void vi_store(void *p, vi v) { wasm_v128_store(p, v); }
CHORD_INLINE void vi_store8(void *p, vi v) { wasm_v128_store64_lane(p, v, 0); }
CHORD_INLINE vi vi_all(int32_t x) { return wasm_i32x4_splat(x); }
CHORD_INLINE vi vi_all_at(const void *p) { return wasm_v128_load32_splat(p); }
CHORD_INLINE vi vi_all64_at(const void *p) { return wasm_v128_load64_splat(p); }
CHORD_INLINE vi vi_load_u16(const void *p) { return wasm_u32x4_load16x4(p); }
CHORD_INLINE vi vi_load_s16(const void *p) { return wasm_i32x4_load16x4(p); }
CHORD_INLINE vi vi_load_4u8(const void *p)
{
    return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)));
}
CHORD_INLINE vi vi_and(vi a, vi b) { return wasm_v128_and(a, b); }
CHORD_INLINE vi vi_or(vi a, vi b) { return wasm_v128_or(a, b); }
CHORD_INLINE vi vi_xor(vi a, vi b) { return wasm_v128_xor(a, b); }
CHORD_INLINE vi vi_pick(vi mask, vi a, vi b) { return wasm_v128_bitselect(a, b, mask); }
CHORD_INLINE vi vi_add(vi a, vi b) { return wasm_i32x4_add(a, b); }
CHORD_INLINE vi vi_sub(vi a, vi b) { return wasm_i32x4_sub(a, b); }
CHORD_INLINE vi vi_max(vi a, vi b) { return wasm_i32x4_max(a, b); }
CHORD_INLINE vi vi_min(vi a, vi b) { return wasm_i32x4_min(a, b); }
CHORD_INLINE vi vi_less(vi a, vi b) { return wasm_i32x4_lt(a, b); }
#define vi_shl(a, n) wasm_i32x4_shl(a, n)
#define vi_shr(a, n) wasm_u32x4_shr(a, n)
#define vi_sar(a, n) wasm_i32x4_shr(a, n)
#define vi_shr16(a, n) wasm_u16x8_shr(a, n)
CHORD_INLINE vi vi_add16(vi a, vi b) { return wasm_i16x8_add(a, b); }
CHORD_INLINE vi vi_pairs16(vi a) { return wasm_i32x4_extadd_pairwise_i16x8(a); }
CHORD_INLINE vi vi_dot16(vi a, vi b) { return wasm_i32x4_dot_i16x8(a, b); }
CHORD_INLINE vi vi_sub8(vi a, vi b) { return wasm_i8x16_sub(a, b); }
CHORD_INLINE vi vi_abs8(vi a) { return wasm_i8x16_abs(a); }
/* Without the pin, clang turns the comparison with a known 0 into a shift, which V8 compiles to five
 * instructions. */
CHORD_INLINE vi vi_negative8(vi a)
{
    vi zero = wasm_i8x16_const_splat(0);
    CHORD_PIN(zero);
    return wasm_i8x16_lt(a, zero);
}
CHORD_INLINE vi vi_low8_s(vi a) { return wasm_i16x8_extend_low_i8x16(a); }
CHORD_INLINE vi vi_high8_s(vi a) { return wasm_i16x8_extend_high_i8x16(a); }
CHORD_INLINE vi vi_load_s8(const void *p) { return wasm_i16x8_load8x8(p); }
CHORD_INLINE vi vi_load_u8(const void *p) { return wasm_u16x8_load8x8(p); }
CHORD_INLINE vi vi_mul(vi a, vi b) { return wasm_i32x4_mul(a, b); }
CHORD_INLINE vi vi_mul16(vi a, vi b) { return wasm_i16x8_mul(a, b); }
CHORD_INLINE vi vi_even16(vi a) { return wasm_i16x8_shuffle(a, a, 0, 0, 2, 2, 4, 4, 6, 6); }
CHORD_INLINE vi vi_odd16(vi a) { return wasm_i16x8_shuffle(a, a, 1, 1, 3, 3, 5, 5, 7, 7); }
CHORD_INLINE vi vi_narrow16(vi a, vi b) { return wasm_u16x8_narrow_i32x4(a, b); }
CHORD_INLINE vi vi_narrow8(vi a, vi b, vi c, vi d)
{
    return wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(a, b), wasm_i16x8_narrow_i32x4(c, d));
}
/* Loads a lane of v (lane 0: sets the others to 0) from a constant table, at the place in at[number]. clang
 * has no offset in an instruction that loads a lane, and adds the table's address in code; or each number's
 * place. */
#if __clang_major__ >= 20
#if defined(__wasm64__)
#define CHORD_PLACE "i64.load16_u"
#else
#define CHORD_PLACE "i32.load16_u"
#endif
#define CHORD_LANE_0(bits, v, table, at, number)                                    \
    __asm__("local.get %1\n\t" CHORD_PLACE " %3:p2align=0\n\tv128.load" #bits      \
            "_zero %2:p2align=0\n\tlocal.set %0"                                    \
            : "=r"(v)                                                               \
            : "r"(at), "i"(table), "i"(2 * (number)))
#define CHORD_LANE(bits, v, table, at, number, lane)                                          \
    __asm__("local.get %1\n\t" CHORD_PLACE " %4:p2align=0\n\tlocal.get %2\n\tv128.load" #bits \
            "_lane %3:p2align=0, " #lane "\n\tlocal.set %0"                                   \
            : "=r"(v)                                                                         \
            : "r"(at), "r"(v), "i"(table), "i"(2 * (number)))
#else
#define CHORD_LANE_0(bits, v, table, at, number) \
    (v = wasm_v128_load##bits##_zero((const uint8_t *)(table) + (at)[number]))
#define CHORD_LANE(bits, v, table, at, number, lane) \
    (v = wasm_v128_load##bits##_lane((const uint8_t *)(table) + (at)[number], v, lane))
#endif
CHORD_INLINE vi vi_load_8_8(const void *table, const uint16_t *at, int i, int j)
{
    vi v;
    CHORD_LANE_0(64, v, table, at, i);
    CHORD_LANE(64, v, table, at, j, 1);
    return v;
}
CHORD_INLINE vi vi_load_4_4_4_4(const void *table, const uint16_t *at, int i, int j, int k, int l)
{
    vi v;
    CHORD_LANE_0(32, v, table, at, i);
    CHORD_LANE(32, v, table, at, j, 1);
    CHORD_LANE(32, v, table, at, k, 2);
    CHORD_LANE(32, v, table, at, l, 3);
    return v;
}
CHORD_INLINE vi vi_add8(vi a, vi b) { return wasm_i8x16_add(a, b); }
CHORD_INLINE vi vi_less8(vi a, vi b) { return wasm_i8x16_lt(a, b); }
CHORD_INLINE vi vi_equal8(vi a, vi b) { return wasm_i8x16_eq(a, b); }
CHORD_INLINE vi vi_zip32_low(vi a, vi b) { return wasm_i32x4_shuffle(a, b, 0, 4, 1, 5); }
CHORD_INLINE vi vi_zip32_high(vi a, vi b) { return wasm_i32x4_shuffle(a, b, 2, 6, 3, 7); }
#if defined(__wasm_relaxed_simd__)
#define CHORD_SIMD_I8
CHORD_INLINE vf vf_madd(vf a, vf b, vf c) { return wasm_f32x4_relaxed_madd(a, b, c); }
CHORD_INLINE vi vi_trunc(vf a) { return wasm_i32x4_relaxed_trunc_f32x4(a); }
#ifdef CHORD_DOT_KIND /* checkkern: the result that ARM computes, on any machine */
CHORD_INLINE vi vi_dot8(vi a, vi b, vi sum)
{
    vi const low = vi_pairs16(wasm_i16x8_extmul_low_i8x16(a, b));
    vi const high = vi_pairs16(wasm_i16x8_extmul_high_i8x16(a, b));
    return vi_add(sum, vi_add(wasm_i32x4_shuffle(low, high, 0, 2, 4, 6),
                              wasm_i32x4_shuffle(low, high, 1, 3, 5, 7)));
}
#else
CHORD_INLINE vi vi_dot8(vi a, vi b, vi sum) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(a, b, sum); }
#endif
CHORD_INLINE vi vi_dot8_16(vi a, vi b) { return wasm_i16x8_relaxed_dot_i8x16_i7x16(a, b); }
CHORD_INLINE vi vi_lookup(vi table, vi index) { return wasm_i8x16_relaxed_swizzle(table, index); }
#else
CHORD_INLINE vi vi_lookup(vi table, vi index) { return wasm_i8x16_swizzle(table, index); }
CHORD_INLINE vf vf_madd(vf a, vf b, vf c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); }
CHORD_INLINE vi vi_trunc(vf a) { return wasm_i32x4_trunc_sat_f32x4(a); }
#endif

#elif defined(__SSE4_1__)
#include <smmintrin.h>
#define CHORD_SIMD_I8

typedef __m128 vf;
typedef __m128i vi;

CHORD_INLINE vf vf_load(const void *p) { return _mm_loadu_ps(p); }
CHORD_INLINE void vf_store(void *p, vf v) { _mm_storeu_ps(p, v); }
CHORD_INLINE vf vf_all(float x) { return _mm_set1_ps(x); }
CHORD_INLINE vi vi_all(int32_t x) { return _mm_set1_epi32(x); }
CHORD_INLINE vi vi_all_at(const void *p) { int32_t x; __builtin_memcpy(&x, p, 4); return _mm_set1_epi32(x); }
CHORD_INLINE vf vf_all_at(const void *p) { return _mm_castsi128_ps(vi_all_at(p)); }
CHORD_INLINE vi vi_all64_at(const void *p) { return _mm_castpd_si128(_mm_loaddup_pd(p)); }
CHORD_INLINE vf vf_add(vf a, vf b) { return _mm_add_ps(a, b); }
CHORD_INLINE vf vf_sub(vf a, vf b) { return _mm_sub_ps(a, b); }
CHORD_INLINE vf vf_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
CHORD_INLINE vf vf_div(vf a, vf b) { return _mm_div_ps(a, b); }
CHORD_INLINE vf vf_sqrt(vf a) { return _mm_sqrt_ps(a); }
/* _mm_max_ps returns its second operand if one is NaN. */
CHORD_INLINE vf vf_max(vf a, vf b) { return _mm_max_ps(b, a); }
CHORD_INLINE vi vf_less(vf a, vf b) { return _mm_castps_si128(_mm_cmplt_ps(a, b)); }
CHORD_INLINE vf vf_of(vi a) { return _mm_cvtepi32_ps(a); }
CHORD_INLINE vi vf_bits(vf a) { return _mm_castps_si128(a); }
CHORD_INLINE vf vi_as_f(vi a) { return _mm_castsi128_ps(a); }
CHORD_INLINE float vf_first(vf a) { return _mm_cvtss_f32(a); }
CHORD_INLINE int32_t vi_first(vi a) { return _mm_cvtsi128_si32(a); }
#define vf_shuffle(a, b, i, j, k, l) _mm_shuffle_ps(a, b, _MM_SHUFFLE(l, k, j, i))
CHORD_INLINE vf vf_madd(vf a, vf b, vf c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }

CHORD_INLINE vi vi_load(const void *p) { return _mm_loadu_si128(p); }
CHORD_INLINE void vi_store(void *p, vi v) { _mm_storeu_si128(p, v); }
CHORD_INLINE void vi_store8(void *p, vi v) { _mm_storel_epi64(p, v); }
CHORD_INLINE vi vi_load_u16(const void *p) { return _mm_cvtepu16_epi32(_mm_loadl_epi64(p)); }
CHORD_INLINE vi vi_load_s16(const void *p) { return _mm_cvtepi16_epi32(_mm_loadl_epi64(p)); }
CHORD_INLINE vi vi_load_4u8(const void *p)
{
    int32_t x;
    __builtin_memcpy(&x, p, 4);
    return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(x));
}
CHORD_INLINE vi vi_and(vi a, vi b) { return _mm_and_si128(a, b); }
CHORD_INLINE vi vi_or(vi a, vi b) { return _mm_or_si128(a, b); }
CHORD_INLINE vi vi_xor(vi a, vi b) { return _mm_xor_si128(a, b); }
CHORD_INLINE vi vi_pick(vi mask, vi a, vi b) { return _mm_blendv_epi8(b, a, mask); }
CHORD_INLINE vi vi_add(vi a, vi b) { return _mm_add_epi32(a, b); }
CHORD_INLINE vi vi_sub(vi a, vi b) { return _mm_sub_epi32(a, b); }
CHORD_INLINE vi vi_max(vi a, vi b) { return _mm_max_epi32(a, b); }
CHORD_INLINE vi vi_min(vi a, vi b) { return _mm_min_epi32(a, b); }
CHORD_INLINE vi vi_less(vi a, vi b) { return _mm_cmplt_epi32(a, b); }
#define vi_shl(a, n) _mm_slli_epi32(a, n)
#define vi_shr(a, n) _mm_srli_epi32(a, n)
#define vi_sar(a, n) _mm_srai_epi32(a, n)
#define vi_shr16(a, n) _mm_srli_epi16(a, n)
CHORD_INLINE vi vi_add16(vi a, vi b) { return _mm_add_epi16(a, b); }
CHORD_INLINE vi vi_pairs16(vi a) { return _mm_madd_epi16(a, _mm_set1_epi16(1)); }
CHORD_INLINE vi vi_dot16(vi a, vi b) { return _mm_madd_epi16(a, b); }
CHORD_INLINE vi vi_low8_s(vi a) { return _mm_cvtepi8_epi16(a); }
CHORD_INLINE vi vi_high8_s(vi a) { return _mm_cvtepi8_epi16(_mm_srli_si128(a, 8)); }
CHORD_INLINE vi vi_sub8(vi a, vi b) { return _mm_sub_epi8(a, b); }
CHORD_INLINE vi vi_abs8(vi a) { return _mm_abs_epi8(a); }
CHORD_INLINE vi vi_negative8(vi a) { return _mm_cmplt_epi8(a, _mm_setzero_si128()); }
CHORD_INLINE vi vi_load_s8(const void *p) { return _mm_cvtepi8_epi16(_mm_loadl_epi64(p)); }
CHORD_INLINE vi vi_load_u8(const void *p) { return _mm_cvtepu8_epi16(_mm_loadl_epi64(p)); }
CHORD_INLINE vi vi_mul(vi a, vi b) { return _mm_mullo_epi32(a, b); }
CHORD_INLINE vi vi_mul16(vi a, vi b) { return _mm_mullo_epi16(a, b); }
CHORD_INLINE vi vi_even16(vi a) { return _mm_shufflehi_epi16(_mm_shufflelo_epi16(a, 0xa0), 0xa0); }
CHORD_INLINE vi vi_odd16(vi a) { return _mm_shufflehi_epi16(_mm_shufflelo_epi16(a, 0xf5), 0xf5); }
CHORD_INLINE vi vi_lookup(vi table, vi index) { return _mm_shuffle_epi8(table, index); }
CHORD_INLINE vi vi_narrow16(vi a, vi b) { return _mm_packus_epi32(a, b); }
CHORD_INLINE vi vi_narrow8(vi a, vi b, vi c, vi d)
{
    return _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
}
CHORD_INLINE vi vi_trunc(vf a) { return _mm_cvttps_epi32(a); }
CHORD_INLINE vi vi_load_8_8(const void *table, const uint16_t *at, int i, int j)
{
    const uint8_t *const t = table;
    return _mm_unpacklo_epi64(_mm_loadl_epi64((const void *)(t + at[i])),
                              _mm_loadl_epi64((const void *)(t + at[j])));
}
CHORD_INLINE vi vi_load_4_4_4_4(const void *table, const uint16_t *at, int i, int j, int k, int l)
{
    const uint8_t *const t = table;
    int32_t a, b, c, d;
    __builtin_memcpy(&a, t + at[i], 4);
    __builtin_memcpy(&b, t + at[j], 4);
    __builtin_memcpy(&c, t + at[k], 4);
    __builtin_memcpy(&d, t + at[l], 4);
    return _mm_setr_epi32(a, b, c, d);
}
CHORD_INLINE vi vi_add8(vi a, vi b) { return _mm_add_epi8(a, b); }
CHORD_INLINE vi vi_less8(vi a, vi b) { return _mm_cmplt_epi8(a, b); }
CHORD_INLINE vi vi_equal8(vi a, vi b) { return _mm_cmpeq_epi8(a, b); }
CHORD_INLINE vi vi_zip32_low(vi a, vi b) { return _mm_unpacklo_epi32(a, b); }
CHORD_INLINE vi vi_zip32_high(vi a, vi b) { return _mm_unpackhi_epi32(a, b); }
CHORD_INLINE vi vi_dot8_16(vi a, vi b) { return _mm_maddubs_epi16(b, a); }
CHORD_INLINE vi vi_dot8(vi a, vi b, vi sum) { return _mm_add_epi32(sum, vi_pairs16(vi_dot8_16(a, b))); }

#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#define CHORD_SIMD_I8

typedef float32x4_t vf;
typedef int32x4_t vi;

CHORD_INLINE vi vi_load(const void *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
CHORD_INLINE void vi_store(void *p, vi v) { vst1q_u8(p, vreinterpretq_u8_s32(v)); }
CHORD_INLINE void vi_store8(void *p, vi v) { vst1_u8(p, vget_low_u8(vreinterpretq_u8_s32(v))); }
CHORD_INLINE vf vi_as_f(vi a) { return vreinterpretq_f32_s32(a); }
CHORD_INLINE vi vf_bits(vf a) { return vreinterpretq_s32_f32(a); }
CHORD_INLINE vf vf_load(const void *p) { return vi_as_f(vi_load(p)); }
CHORD_INLINE void vf_store(void *p, vf v) { vi_store(p, vf_bits(v)); }
CHORD_INLINE vf vf_all(float x) { return vdupq_n_f32(x); }
CHORD_INLINE vi vi_all(int32_t x) { return vdupq_n_s32(x); }
CHORD_INLINE vi vi_all_at(const void *p) { int32_t x; __builtin_memcpy(&x, p, 4); return vdupq_n_s32(x); }
CHORD_INLINE vf vf_all_at(const void *p) { return vi_as_f(vi_all_at(p)); }
CHORD_INLINE vi vi_all64_at(const void *p)
{
    return vreinterpretq_s32_u8(vcombine_u8(vld1_u8(p), vld1_u8(p)));
}
CHORD_INLINE vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
CHORD_INLINE vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
CHORD_INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
CHORD_INLINE vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
CHORD_INLINE vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
CHORD_INLINE vf vf_madd(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
CHORD_INLINE vi vf_less(vf a, vf b) { return vreinterpretq_s32_u32(vcltq_f32(a, b)); }
CHORD_INLINE vf vf_max(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), b, a); }
CHORD_INLINE vf vf_of(vi a) { return vcvtq_f32_s32(a); }
CHORD_INLINE float vf_first(vf a) { return vgetq_lane_f32(a, 0); }
CHORD_INLINE int32_t vi_first(vi a) { return vgetq_lane_s32(a, 0); }
#define vf_shuffle(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, 4 + (k), 4 + (l))

CHORD_INLINE vi vi_load_u16(const void *p)
{
    uint16x4_t v;
    __builtin_memcpy(&v, p, 8);
    return vreinterpretq_s32_u32(vmovl_u16(v));
}
CHORD_INLINE vi vi_load_s16(const void *p) { int16x4_t v; __builtin_memcpy(&v, p, 8); return vmovl_s16(v); }
CHORD_INLINE vi vi_load_4u8(const void *p)
{
    uint32_t x;
    __builtin_memcpy(&x, p, 4);
    uint16x8_t const v = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(x)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(v)));
}
CHORD_INLINE vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
CHORD_INLINE vi vi_or(vi a, vi b) { return vorrq_s32(a, b); }
CHORD_INLINE vi vi_xor(vi a, vi b) { return veorq_s32(a, b); }
CHORD_INLINE vi vi_pick(vi mask, vi a, vi b) { return vbslq_s32(vreinterpretq_u32_s32(mask), a, b); }
CHORD_INLINE vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
CHORD_INLINE vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
CHORD_INLINE vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
CHORD_INLINE vi vi_min(vi a, vi b) { return vminq_s32(a, b); }
CHORD_INLINE vi vi_less(vi a, vi b) { return vreinterpretq_s32_u32(vcltq_s32(a, b)); }
#define vi_shl(a, n) vshlq_n_s32(a, n)
#define vi_shr(a, n) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), n))
#define vi_sar(a, n) vshrq_n_s32(a, n)
#define vi_shr16(a, n) vreinterpretq_s32_u16(vshrq_n_u16(vreinterpretq_u16_s32(a), n))
CHORD_INLINE vi vi_add16(vi a, vi b)
{
    return vreinterpretq_s32_s16(vaddq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}
CHORD_INLINE vi vi_pairs16(vi a) { return vpaddlq_s16(vreinterpretq_s16_s32(a)); }
CHORD_INLINE vi vi_dot16(vi a, vi b)
{
    int16x8_t const x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
}
CHORD_INLINE vi vi_low8_s(vi a)
{
    return vreinterpretq_s32_s16(vmovl_s8(vget_low_s8(vreinterpretq_s8_s32(a))));
}
CHORD_INLINE vi vi_high8_s(vi a) { return vreinterpretq_s32_s16(vmovl_high_s8(vreinterpretq_s8_s32(a))); }
CHORD_INLINE vi vi_sub8(vi a, vi b)
{
    return vreinterpretq_s32_s8(vsubq_s8(vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)));
}
CHORD_INLINE vi vi_abs8(vi a) { return vreinterpretq_s32_s8(vabsq_s8(vreinterpretq_s8_s32(a))); }
CHORD_INLINE vi vi_negative8(vi a) { return vreinterpretq_s32_s8(vshrq_n_s8(vreinterpretq_s8_s32(a), 7)); }
CHORD_INLINE vi vi_load_s8(const void *p) { return vreinterpretq_s32_s16(vmovl_s8(vld1_s8(p))); }
CHORD_INLINE vi vi_load_u8(const void *p) { return vreinterpretq_s32_u16(vmovl_u8(vld1_u8(p))); }
CHORD_INLINE vi vi_mul(vi a, vi b) { return vmulq_s32(a, b); }
CHORD_INLINE vi vi_mul16(vi a, vi b)
{
    return vreinterpretq_s32_s16(vmulq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}
CHORD_INLINE vi vi_even16(vi a)
{
    return vreinterpretq_s32_s16(vtrn1q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(a)));
}
CHORD_INLINE vi vi_odd16(vi a)
{
    return vreinterpretq_s32_s16(vtrn2q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(a)));
}
CHORD_INLINE vi vi_lookup(vi table, vi index)
{
    return vreinterpretq_s32_u8(vqtbl1q_u8(vreinterpretq_u8_s32(table), vreinterpretq_u8_s32(index)));
}
CHORD_INLINE vi vi_narrow16(vi a, vi b)
{
    return vreinterpretq_s32_u16(vcombine_u16(vqmovun_s32(a), vqmovun_s32(b)));
}
CHORD_INLINE vi vi_narrow8(vi a, vi b, vi c, vi d)
{
    int16x8_t const ab = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
    int16x8_t const cd = vcombine_s16(vqmovn_s32(c), vqmovn_s32(d));
    return vreinterpretq_s32_s8(vcombine_s8(vqmovn_s16(ab), vqmovn_s16(cd)));
}
CHORD_INLINE vi vi_trunc(vf a) { return vcvtq_s32_f32(a); }
CHORD_INLINE vi vi_load_8_8(const void *table, const uint16_t *at, int i, int j)
{
    const uint8_t *const t = table;
    return vreinterpretq_s32_u8(vcombine_u8(vld1_u8(t + at[i]), vld1_u8(t + at[j])));
}
CHORD_INLINE vi vi_load_4_4_4_4(const void *table, const uint16_t *at, int i, int j, int k, int l)
{
    const uint8_t *const t = table;
    int32_t a[4];
    __builtin_memcpy(a, t + at[i], 4);
    __builtin_memcpy(a + 1, t + at[j], 4);
    __builtin_memcpy(a + 2, t + at[k], 4);
    __builtin_memcpy(a + 3, t + at[l], 4);
    return vld1q_s32(a);
}
CHORD_INLINE vi vi_add8(vi a, vi b)
{
    return vreinterpretq_s32_s8(vaddq_s8(vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)));
}
CHORD_INLINE vi vi_less8(vi a, vi b)
{
    return vreinterpretq_s32_u8(vcltq_s8(vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)));
}
CHORD_INLINE vi vi_equal8(vi a, vi b)
{
    return vreinterpretq_s32_u8(vceqq_u8(vreinterpretq_u8_s32(a), vreinterpretq_u8_s32(b)));
}
CHORD_INLINE vi vi_zip32_low(vi a, vi b) { return vzip1q_s32(a, b); }
CHORD_INLINE vi vi_zip32_high(vi a, vi b) { return vzip2q_s32(a, b); }
CHORD_INLINE vi vi_dot8_16(vi a, vi b)
{
    int8x16_t const x = vreinterpretq_s8_s32(a), y = vreinterpretq_s8_s32(b);
    return vreinterpretq_s32_s16(vpaddq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(y)), vmull_high_s8(x, y)));
}
CHORD_INLINE vi vi_dot8(vi a, vi b, vi sum)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
#else
    return vpadalq_s16(sum, vreinterpretq_s16_s32(vi_dot8_16(a, b)));
#endif
}
#else
#error "no 128-bit vectors here: define CHORD_SIMD_PLAIN"
#endif

/* The operations that need an explanation:
 *   vf_max(a, b)         a < b ? b : a: a NaN in b is ignored
 *   vf_shuffle(a, b, i, j, k, l)  a[i] a[j] b[k] b[l]
 *   vi_load_u16/_s16     four 16-bit values -> 32 bits
 *   vi_load_4u8          four bytes -> 32 bits
 *   vi_load_s8/_u8       eight bytes -> 16 bits
 *   vi_mul, vi_mul16     the low half of each product
 *   vi_even16, vi_odd16  16-bit lanes 0 0 2 2 4 4 6 6, or 1 1 3 3 5 5 7 7
 *   vi_lookup(t, i)      byte i of t for each byte i in 0..15, 0 where i is negative
 *   vi_pick(m, a, b)     a where m is all ones, b where m is zero
 *   vi_pairs16(a)        32-bit sums of two neighbouring 16-bit lanes
 *   vi_dot16(a, b)       32-bit sums of two neighbouring products of 16-bit lanes
 *   vi_low8_s, vi_high8_s   the low or high eight signed bytes -> 16 bits
 *   vi_trunc(a)          rounds towards zero; |a| < 2^31
 *   vi_dot8_16(a, b)     16-bit sums of two neighbouring products of signed bytes, b in 0..127
 *   vi_dot8(a, b, sum)   sum + 32-bit sums of four neighbouring products; the same operands
 *   vi_narrow8, _narrow16   saturate; callers' values fit
 *   vi_load_8_8(t, at, i, j), vi_load_4_4_4_4   eight or four bytes of a constant table from at[i], at[j] ..
 *                        on. `at` is pinned: the compiler doesn't see that memory is read
 *   vi_less8(a, b)       all ones where a signed byte of a is less
 *   vi_zip32_low, _high  lanes of the low or high half of a and of b in turn: a0 b0 a1 b1 */

/* Sum of the lanes in a fixed order: (0 + 2) + (1 + 3). vf_sum_each sums four vectors at once. */
CHORD_INLINE float vf_sum(vf a)
{
    a = vf_add(a, vf_shuffle(a, a, 2, 3, 0, 1));
    return vf_first(vf_add(a, vf_shuffle(a, a, 1, 0, 3, 2)));
}
CHORD_INLINE vf vf_sum_each(vf a, vf b, vf c, vf d)
{
    vf const ab = vf_add(vf_shuffle(a, b, 0, 1, 0, 1), vf_shuffle(a, b, 2, 3, 2, 3)); /* a02 a13 b02 b13 */
    vf const cd = vf_add(vf_shuffle(c, d, 0, 1, 0, 1), vf_shuffle(c, d, 2, 3, 2, 3));
    return vf_add(vf_shuffle(ab, cd, 0, 2, 0, 2), vf_shuffle(ab, cd, 1, 3, 1, 3));
}

/* Converts four f16 to f32, exact for every finite value. The mask cuts the sign, which the widening
 * extended, back to one bit. The factor 2^112 re-biases the exponent and normalises subnormals.
 * vf_load_f16_by is for loops that keep both constants in registers, over values that are seldom subnormal:
 * a processor takes 20 to 150 cycles to multiply a subnormal float. */
#define F16_MASK ((int32_t)0x8fffe000)
#define F16_FACTOR 0x1p112f
CHORD_INLINE vf vf_load_f16_by(const void *p, vi mask, vf factor)
{
    return vf_mul(vi_as_f(vi_and(vi_shl(vi_load_s16(p), 13), mask)), factor);
}
/* Converts four f16, sign-extended to 32 bits, without subnormal floats: the scales of a block of 256 mostly
 * are subnormal f16. Let f be 2^(e - 15) (1 + m / 1024) for each exponent e and mantissa m. The value is f
 * for e > 0. For e = 0 it is 2 f - 2^-14, which is less than f, and not less for e > 0. */
CHORD_INLINE vf vf_of_f16_finite(vi h)
{
    vf const f = vi_as_f(vi_add(vi_and(vi_shl(h, 13), vi_all(0x0fffe000)), vi_all(112 << 23)));
    vi const least = vi_min(vf_bits(f), vf_bits(vf_sub(vf_add(f, f), vf_all(0x1p-14f))));
    return vi_as_f(vi_or(least, vi_and(h, vi_all(INT32_MIN))));
}
CHORD_INLINE vf vf_load_f16_finite(const void *p) { return vf_of_f16_finite(vi_load_s16(p)); }
/* Also keeps inf and NaN: their product is 65536 or more, and the function sets all exponent bits of it. */
CHORD_INLINE vf vf_load_f16(const void *p)
{
    vi const bits = vf_bits(vf_load_f16_by(p, vi_all(F16_MASK), vf_all(F16_FACTOR)));
    vi const top = vf_less(vf_all(65535.0f), vi_as_f(vi_and(bits, vi_all(0x7fffffff))));
    return vi_as_f(vi_or(bits, vi_and(top, vi_all(0x7f800000))));
}
/* Four bytes e as 2 ^ (e - 128). The second term is the larger one for e = 0 and 1, whose floats are
 * subnormal. */
CHORD_INLINE vf vf_load_e8m0(const void *p)
{
    vi const e = vi_load_4u8(p);
    return vi_as_f(vi_max(vi_shl(vi_sub(e, vi_all(1)), 23), vi_shl(vi_add(e, vi_all(1)), 21)));
}
CHORD_INLINE vf vf_load_bf16(const void *p) { return vi_as_f(vi_shl(vi_load_u16(p), 16)); }

#endif
