/* simd_plain.h: simd.h's operations as loops over four lanes. Included by simd.h alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_BASE_SIMD_PLAIN_H
#define CHORD_BASE_SIMD_PLAIN_H
#define CHORD_SIMD_I8

typedef struct vf { float f[4]; } vf;
typedef struct vi { int32_t i[4]; } vi;

#define EACH for (int l = 0; l < 4; l++)
#define PLAIN_F(name, args, value) CHORD_INLINE vf name args { vf r; EACH r.f[l] = (value); return r; }
#define PLAIN_I(name, args, value) CHORD_INLINE vi name args { vi r; EACH r.i[l] = (int32_t)(value); return r; }
#define U(a) ((uint32_t)(a))

CHORD_INLINE vf vf_load(const void *p) { vf r; __builtin_memcpy(&r, p, 16); return r; }
CHORD_INLINE void vf_store(void *p, vf v) { __builtin_memcpy(p, &v, 16); }
CHORD_INLINE vi vi_load(const void *p) { vi r; __builtin_memcpy(&r, p, 16); return r; }
CHORD_INLINE void vi_store(void *p, vi v) { __builtin_memcpy(p, &v, 16); }
CHORD_INLINE void vi_store8(void *p, vi v) { __builtin_memcpy(p, &v, 8); }
CHORD_INLINE vi vf_bits(vf a) { vi r; __builtin_memcpy(&r, &a, 16); return r; }
CHORD_INLINE vf vi_as_f(vi a) { vf r; __builtin_memcpy(&r, &a, 16); return r; }
CHORD_INLINE float vf_first(vf a) { return a.f[0]; }
CHORD_INLINE int32_t vi_first(vi a) { return a.i[0]; }
PLAIN_F(vf_all, (float x), x)
PLAIN_I(vi_all, (int32_t x), x)
CHORD_INLINE vi vi_all_at(const void *p) { int32_t x; __builtin_memcpy(&x, p, 4); return vi_all(x); }
CHORD_INLINE vf vf_all_at(const void *p) { return vi_as_f(vi_all_at(p)); }
PLAIN_F(vf_add, (vf a, vf b), a.f[l] + b.f[l])
PLAIN_F(vf_sub, (vf a, vf b), a.f[l] - b.f[l])
PLAIN_F(vf_mul, (vf a, vf b), a.f[l] * b.f[l])
PLAIN_F(vf_div, (vf a, vf b), a.f[l] / b.f[l])
PLAIN_F(vf_sqrt, (vf a), __builtin_sqrtf(a.f[l]))
PLAIN_F(vf_madd, (vf a, vf b, vf c), a.f[l] * b.f[l] + c.f[l])
PLAIN_F(vf_max, (vf a, vf b), a.f[l] < b.f[l] ? b.f[l] : a.f[l])
PLAIN_I(vf_less, (vf a, vf b), -(a.f[l] < b.f[l]))
PLAIN_F(vf_of, (vi a), (float)a.i[l])
CHORD_INLINE vf vf_shuffle(vf a, vf b, int i, int j, int k, int l)
{
    return (vf){ { a.f[i], a.f[j], b.f[k], b.f[l] } };
}
CHORD_INLINE vi vi_load_u16(const void *p) { uint16_t h[4]; __builtin_memcpy(h, p, 8); vi r; EACH r.i[l] = h[l]; return r; }
CHORD_INLINE vi vi_load_s16(const void *p) { int16_t h[4]; __builtin_memcpy(h, p, 8); vi r; EACH r.i[l] = h[l]; return r; }
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

/* narrower lanes, by copying */
#define PLAIN_8(name, type, n, args, value)                                                         \
    CHORD_INLINE vi name args { type x[n], r[n]; __builtin_memcpy(x, &a, 16); for (int l = 0; l < n; l++) r[l] = (type)(value); \
                          vi v; __builtin_memcpy(&v, r, 16); return v; }
PLAIN_8(vi_shr16, uint16_t, 8, (vi a, int n), x[l] >> n)
PLAIN_8(vi_abs8, int8_t, 16, (vi a), x[l] < 0 ? -x[l] : x[l])
PLAIN_8(vi_negative8, int8_t, 16, (vi a), -(x[l] < 0))
CHORD_INLINE int32_t plain_i16(vi a, int l) { int16_t x[8]; __builtin_memcpy(x, &a, 16); return x[l]; }
CHORD_INLINE int32_t plain_i8(vi a, int l) { int8_t x[16]; __builtin_memcpy(x, &a, 16); return x[l]; }
CHORD_INLINE vi vi_sub8(vi a, vi b)
{
    int8_t r[16];
    for (int l = 0; l < 16; l++) r[l] = (int8_t)(plain_i8(a, l) - plain_i8(b, l));
    return vi_load(r);
}
PLAIN_I(vi_pairs16, (vi a), plain_i16(a, 2 * l) + plain_i16(a, 2 * l + 1))
#define PLAIN_16(name, args, value)                                                                 \
    CHORD_INLINE vi name args { int16_t r[8]; for (int l = 0; l < 8; l++) r[l] = (int16_t)(value); vi v; __builtin_memcpy(&v, r, 16); return v; }
PLAIN_16(vi_add16, (vi a, vi b), plain_i16(a, l) + plain_i16(b, l))
PLAIN_16(vi_dot8_16, (vi a, vi b), plain_i8(a, 2 * l) * plain_i8(b, 2 * l) + plain_i8(a, 2 * l + 1) * plain_i8(b, 2 * l + 1))
PLAIN_I(vi_dot16, (vi a, vi b), plain_i16(a, 2 * l) * plain_i16(b, 2 * l) + plain_i16(a, 2 * l + 1) * plain_i16(b, 2 * l + 1))
PLAIN_16(vi_low8_s, (vi a), plain_i8(a, l))
PLAIN_16(vi_high8_s, (vi a), plain_i8(a, l + 8))
PLAIN_I(vi_dot8, (vi a, vi b, vi sum), sum.i[l] + vi_pairs16(vi_dot8_16(a, b)).i[l])
PLAIN_16(vi_narrow16, (vi a, vi b), l < 4 ? a.i[l] : b.i[l - 4])
CHORD_INLINE vi vi_narrow8(vi a, vi b, vi c, vi d)
{
    int8_t r[16];
    EACH {
        r[l] = (int8_t)a.i[l], r[l + 4] = (int8_t)b.i[l];
        r[l + 8] = (int8_t)c.i[l], r[l + 12] = (int8_t)d.i[l];
    }
    return vi_load(r);
}

#undef EACH
#undef U
#endif
