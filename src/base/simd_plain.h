/* simd_plain.h: simd.h's operations as loops over the lanes. Only simd.h includes it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_SIMD_PLAIN_H
#define CHORD_BASE_SIMD_PLAIN_H
#define CHORD_SIMD_I8

/* The functions aren't inlined: a sanitized build of the unrolled bodies would take a minute and a half. */
#define PLAIN static __attribute__((noinline, unused))

typedef struct vf { float f[4]; } vf;
typedef union vi { int32_t i[4]; int16_t h[8]; uint16_t u[8]; int8_t b[16]; } vi;

#define EACH for (int l = 0; l < 4; l++)
#define PLAIN_F(name, args, value) PLAIN vf name args { vf r; EACH r.f[l] = (value); return r; }
#define PLAIN_I(name, args, value) PLAIN vi name args { vi r; EACH r.i[l] = (int32_t)(value); return r; }
#define U(a) ((uint32_t)(a))

PLAIN vf vf_load(const void *p) { vf r; __builtin_memcpy(&r, p, 16); return r; }
PLAIN void vf_store(void *p, vf v) { __builtin_memcpy(p, &v, 16); }
PLAIN vi vi_load(const void *p) { vi r; __builtin_memcpy(&r, p, 16); return r; }
PLAIN void vi_store(void *p, vi v) { __builtin_memcpy(p, &v, 16); }
PLAIN void vi_store8(void *p, vi v) { __builtin_memcpy(p, &v, 8); }
PLAIN vi vf_bits(vf a) { vi r; __builtin_memcpy(&r, &a, 16); return r; }
PLAIN vf vi_as_f(vi a) { vf r; __builtin_memcpy(&r, &a, 16); return r; }
PLAIN float vf_first(vf a) { return a.f[0]; }
PLAIN int32_t vi_first(vi a) { return a.i[0]; }
PLAIN_F(vf_all, (float x), x)
PLAIN_I(vi_all, (int32_t x), x)
PLAIN vi vi_all_at(const void *p) { int32_t x; __builtin_memcpy(&x, p, 4); return vi_all(x); }
PLAIN vf vf_all_at(const void *p) { return vi_as_f(vi_all_at(p)); }
PLAIN vi vi_all64_at(const void *p)
{
    vi v;
    __builtin_memcpy(&v, p, 8);
    __builtin_memcpy((uint8_t *)&v + 8, p, 8);
    return v;
}
PLAIN_F(vf_add, (vf a, vf b), a.f[l] + b.f[l])
PLAIN_F(vf_sub, (vf a, vf b), a.f[l] - b.f[l])
PLAIN_F(vf_mul, (vf a, vf b), a.f[l] * b.f[l])
PLAIN_F(vf_div, (vf a, vf b), a.f[l] / b.f[l])
PLAIN_F(vf_sqrt, (vf a), __builtin_sqrtf(a.f[l]))
PLAIN_F(vf_madd, (vf a, vf b, vf c), a.f[l] * b.f[l] + c.f[l])
PLAIN_F(vf_max, (vf a, vf b), a.f[l] < b.f[l] ? b.f[l] : a.f[l])
PLAIN_I(vf_less, (vf a, vf b), -(a.f[l] < b.f[l]))
PLAIN_F(vf_of, (vi a), (float)a.i[l])
PLAIN vf vf_shuffle(vf a, vf b, int i, int j, int k, int l)
{
    return (vf){ { a.f[i], a.f[j], b.f[k], b.f[l] } };
}
PLAIN vi vi_load_u16(const void *p)
{
    uint16_t h[4];
    __builtin_memcpy(h, p, 8);
    vi r;
    EACH r.i[l] = h[l];
    return r;
}
PLAIN vi vi_load_s16(const void *p)
{
    int16_t h[4];
    __builtin_memcpy(h, p, 8);
    vi r;
    EACH r.i[l] = h[l];
    return r;
}
PLAIN_I(vi_load_4u8, (const void *p), ((const uint8_t *)p)[l])
PLAIN_I(vi_and, (vi a, vi b), a.i[l] & b.i[l])
PLAIN_I(vi_or, (vi a, vi b), a.i[l] | b.i[l])
PLAIN_I(vi_xor, (vi a, vi b), a.i[l] ^ b.i[l])
PLAIN_I(vi_pick, (vi m, vi a, vi b), (a.i[l] & m.i[l]) | (b.i[l] & ~m.i[l]))
PLAIN_I(vi_add, (vi a, vi b), U(a.i[l]) + U(b.i[l]))
PLAIN_I(vi_sub, (vi a, vi b), U(a.i[l]) - U(b.i[l]))
PLAIN_I(vi_max, (vi a, vi b), a.i[l] < b.i[l] ? b.i[l] : a.i[l])
PLAIN_I(vi_min, (vi a, vi b), a.i[l] < b.i[l] ? a.i[l] : b.i[l])
PLAIN_I(vi_less, (vi a, vi b), -(a.i[l] < b.i[l]))
PLAIN_I(vi_shl, (vi a, int n), U(a.i[l]) << n)
PLAIN_I(vi_shr, (vi a, int n), U(a.i[l]) >> n)
PLAIN_I(vi_sar, (vi a, int n), a.i[l] >> n)
PLAIN_I(vi_trunc, (vf a), a.f[l])

#define PLAIN_H(name, args, value) \
    PLAIN vi name args { vi r; for (int l = 0; l < 8; l++) r.h[l] = (int16_t)(value); return r; }
#define PLAIN_B(name, args, value) \
    PLAIN vi name args { vi r; for (int l = 0; l < 16; l++) r.b[l] = (int8_t)(value); return r; }
PLAIN_H(vi_shr16, (vi a, int n), a.u[l] >> n)
PLAIN_H(vi_add16, (vi a, vi b), a.h[l] + b.h[l])
PLAIN_H(vi_low8_s, (vi a), a.b[l])
PLAIN_H(vi_high8_s, (vi a), a.b[l + 8])
PLAIN_H(vi_narrow16, (vi a, vi b), l < 4 ? a.i[l] : b.i[l - 4])
PLAIN_H(vi_dot8_16, (vi a, vi b), a.b[2 * l] * b.b[2 * l] + a.b[2 * l + 1] * b.b[2 * l + 1])
PLAIN_B(vi_abs8, (vi a), a.b[l] < 0 ? -a.b[l] : a.b[l])
PLAIN_B(vi_negative8, (vi a), -(a.b[l] < 0))
PLAIN_B(vi_equal8, (vi a, vi b), -(a.b[l] == b.b[l]))
PLAIN_B(vi_less8, (vi a, vi b), -(a.b[l] < b.b[l]))
PLAIN_B(vi_add8, (vi a, vi b), a.b[l] + b.b[l])
PLAIN_I(vi_zip32_low, (vi a, vi b), (l & 1 ? b : a).i[l / 2])
PLAIN_I(vi_zip32_high, (vi a, vi b), (l & 1 ? b : a).i[2 + l / 2])
PLAIN_B(vi_load_8_8, (const void *table, const uint16_t *at, int i, int j),
        ((const uint8_t *)table)[at[l < 8 ? i : j] + l % 8])
PLAIN_B(vi_load_4_4_4_4, (const void *table, const uint16_t *at, int i, int j, int k, int m),
        ((const uint8_t *)table)[at[l < 4 ? i : l < 8 ? j : l < 12 ? k : m] + l % 4])
PLAIN_B(vi_sub8, (vi a, vi b), a.b[l] - b.b[l])
PLAIN_B(vi_narrow8, (vi a, vi b, vi c, vi d), (l < 4 ? a : l < 8 ? b : l < 12 ? c : d).i[l % 4])
PLAIN_H(vi_mul16, (vi a, vi b), a.h[l] * b.h[l])
PLAIN_H(vi_even16, (vi a), a.h[l & ~1])
PLAIN_H(vi_odd16, (vi a), a.h[l | 1])
PLAIN_H(vi_load_s8, (const void *p), ((const int8_t *)p)[l])
PLAIN_H(vi_load_u8, (const void *p), ((const uint8_t *)p)[l])
PLAIN_B(vi_lookup, (vi table, vi index), index.b[l] < 0 ? 0 : table.b[index.b[l] & 15])
PLAIN_I(vi_mul, (vi a, vi b), U(a.i[l]) * U(b.i[l]))
PLAIN_I(vi_pairs16, (vi a), a.h[2 * l] + a.h[2 * l + 1])
PLAIN_I(vi_dot16, (vi a, vi b), a.h[2 * l] * b.h[2 * l] + a.h[2 * l + 1] * b.h[2 * l + 1])
PLAIN vi vi_dot8(vi a, vi b, vi sum) { return vi_add(sum, vi_pairs16(vi_dot8_16(a, b))); }

#undef EACH
#undef U
#endif
