/* quant_test.c: decode compared with gguf's own dequantizer, repack as a bijection, refused rows, the q8
 * quantiser. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../harness/test.h"
#include "../../src/base/half.h"
#include "../../src/quant/act.h"
#include "../../src/quant/blocks.h"
#include "goldens.h"
#include <math.h>
#include <stdio.h>

#define EACH_FORMAT(f)                               \
    for (int32_t i_ = 0; i_ < CHORD_N_FORMATS; i_++) \
        for (const chord_format *f = chord_format_at(i_); f; f = NULL)

/* A random row that chord_format_check() accepts: random bits, then finite d and m in each block. */
static uint8_t *random_row(const chord_format *f, int32_t n)
{
    size_t const bytes = (size_t)chord_row_bytes(f, n);
    uint8_t *row = test_alloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++) row[i] = (uint8_t)test_random();
    if (f->block_elems == 1) return row;
    for (size_t b = 0; b < bytes; b += (size_t)f->block_bytes) {
        if (f->d_kind == CHORD_D_E8M0) row[b + (size_t)f->d_at] &= 0xfe;
        else if (f->d_kind == CHORD_D_SPLIT) row[b + (size_t)f->d_at + 7] &= 0xbf;
        else if (f->d_kind != CHORD_D_NONE)
            row[b + (size_t)f->d_at + 1] &= 0xbb; /* clears an exponent bit: finite */
        if (f->m_at >= 0) row[b + (size_t)f->m_at + 1] &= 0xbb;
        if (f->low == 8)
            for (int j = 2; j < 34; j++) row[b + (size_t)j] += row[b + (size_t)j] == 0x80;
    }
    return row;
}

TEST(decode_equals_gguf_bit_for_bit)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        const chord_format *f = chord_format_of(goldens[i].type);
        float out[65] = { [64] = 12345 };
        CHECK(f != NULL);
        f->decode(out, goldens[i].bytes, goldens[i].n);
        for (int k = 0; k < goldens[i].n; k++) CHECK_EQ(chord_f32_bits(out[k]), goldens[i].bits[k]);
        CHECK(out[64] == 12345);
    }
}

/* tests/golden/quant.bin (tests/golden/README.md): per format its type, blocks and bytes, then a row, then
 * the row's elements. */
TEST(decode_of_block_formats_equals_gguf_bit_for_bit)
{
    FILE *file = fopen("tests/golden/quant.bin", "rb");
    CHECK(file != NULL);
    int32_t head[3];
    bool seen[CHORD_N_FORMATS] = { false };
    while (file && fread(head, 4, 3, file) == 3) {
        const chord_format *f = chord_format_of(head[0]);
        CHECK(f && head[2] == head[1] * f->block_bytes);
        int32_t const n = head[1] * f->block_elems;
        uint8_t *row = test_alloc((size_t)head[2]);
        float *want = test_alloc((size_t)n * 4), *got = test_alloc((size_t)n * 4 + 4);
        CHECK_EQ(fread(row, 1, (size_t)head[2], file), head[2]);
        CHECK_EQ(fread(want, 4, (size_t)n, file), n);
        got[n] = 12345;
        f->decode(got, row, n);
        for (int32_t k = 0; k < n; k++) CHECK_EQ(chord_f32_bits(got[k]), chord_f32_bits(want[k]));
        CHECK(got[n] == 12345);
        seen[chord_format_place(head[0])] = true;
    }
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++)
        seen[chord_format_place(goldens[i].type)] = true;
    EACH_FORMAT(f)
        if (!seen[chord_format_place(f->type)])
            test_fail(__FILE__, __LINE__, "no golden for the decode of %s", f->name);
    if (file) fclose(file);
}

/* tests/golden/grids.bin: per format its type, blocks and bytes, then the blocks, then a hash of each
 * block's elements (FNV-1a of their bytes). Each entry of each grid is in a block. */
TEST(decode_of_every_entry_of_the_grids_and_of_extreme_scales_equals_ggml)
{
    FILE *file = fopen("tests/golden/grids.bin", "rb");
    CHECK(file != NULL);
    int32_t head[3], n_formats = 0;
    for (; file && fread(head, 4, 3, file) == 3; n_formats++) {
        const chord_format *f = chord_format_of(head[0]);
        CHECK(f && head[2] == head[1] * f->block_bytes);
        uint8_t *blocks = test_alloc((size_t)head[2]);
        uint64_t *want = test_alloc((size_t)head[1] * 8);
        CHECK_EQ(fread(blocks, 1, (size_t)head[2], file), head[2]);
        CHECK_EQ(fread(want, 8, (size_t)head[1], file), head[1]);
        for (int32_t b = 0; b < head[1]; b++) {
            float out[256];
            uint64_t hash = 0xcbf29ce484222325;
            f->decode(out, blocks + b * f->block_bytes, f->block_elems);
            for (int32_t i = 0; i < 4 * f->block_elems; i++)
                hash = (hash ^ ((const uint8_t *)out)[i]) * 0x100000001b3;
            if (hash != want[b]) test_fail(__FILE__, __LINE__, "%s: block %d differs", f->name, b);
        }
    }
    CHECK_EQ(n_formats, 11);
    if (file) fclose(file);
}

TEST(unpack_restores_every_bit_of_the_rows)
{
    EACH_FORMAT(f)
        for (int32_t blocks = 1; blocks <= 5; blocks++) {
            int32_t const n = blocks * f->block_elems;
            size_t const row_bytes = (size_t)chord_row_bytes(f, n),
                         group_bytes = (size_t)chord_x4_bytes(f, n);
            const void *rows[4];
            for (int r = 0; r < 4; r++) rows[r] = random_row(f, n);
            uint8_t *group = test_alloc(group_bytes + 8), *back = test_alloc(row_bytes + 8);
            memset(group, 0xa5, group_bytes + 8);
            CHECK_EQ(group_bytes, 4 * row_bytes);
            CHECK(chord_format_repack(f, group, rows, n));
            for (int k = 0; k < 8; k++) CHECK_EQ(group[group_bytes + (size_t)k], 0xa5);
            for (int32_t r = 0; r < 4; r++) {
                memset(back, 0x5a, row_bytes + 8);
                chord_format_unpack(f, back, group, r, n);
                CHECK(!memcmp(back, rows[r], row_bytes));
                CHECK_EQ(back[row_bytes], 0x5a);
            }
        }
}

TEST(missing_rows_become_rows_of_zeros)
{
    EACH_FORMAT(f)
        for (int present = 0; present < 4; present++) {
            int32_t const n = 2 * f->block_elems;
            const void *rows[4] = { 0 };
            for (int r = 0; r < present; r++) rows[r] = random_row(f, n);
            uint8_t *group = test_alloc((size_t)chord_x4_bytes(f, n)),
                    *back = test_alloc((size_t)chord_row_bytes(f, n));
            memset(group, 0xa5, (size_t)chord_x4_bytes(f, n));
            CHECK(chord_format_repack(f, group, rows, n));
            for (int32_t r = 0; r < 4; r++) {
                chord_format_unpack(f, back, group, r, n);
                for (size_t k = 0; k < chord_row_bytes(f, n); k++)
                    CHECK_EQ(back[k], rows[r] ? ((const uint8_t *)rows[r])[k] : 0);
            }
        }
}

/* The kernels rely on this: 32-bit lane r of each 16-byte vector of codes is row r. */
TEST(a_group_holds_scales_then_codes_with_rows_as_lanes)
{
    uint8_t rows[4][34], group[136];
    const void *at[4];
    for (int r = 0; r < 4; r++) {
        at[r] = rows[r];
        for (int i = 0; i < 34; i++) rows[r][i] = (uint8_t)(32 * r + i - (i > 1 ? 2 : 0));
        rows[r][0] = rows[r][1] = (uint8_t)r; /* scale */
    }
    CHECK(chord_format_repack(chord_format_of(CHORD_Q8_0), group, at, 32));
    for (int r = 0; r < 4; r++) {
        CHECK_EQ(group[2 * r], r);
        for (int k = 0; k < 32; k++) CHECK_EQ(group[8 + 16 * (k / 4) + 4 * r + k % 4], 32 * r + k);
    }
}

TEST(a_block_of_17_bytes_holds_its_byte_of_scale_row_by_row)
{
    const chord_format *f = chord_format_of(CHORD_MXFP4);
    uint8_t rows[4][3 * 17], group[4 * 3 * 17];
    for (int r = 0; r < 4; r++)
        for (int i = 0; i < 3 * 17; i++) rows[r][i] = (uint8_t)(test_random() % 255);
    CHECK_EQ(chord_x4_bytes(f, 96), sizeof group);
    CHECK(chord_format_repack(f, group, (const void *const[4]){ rows[0], rows[1], rows[2], rows[3] }, 96));
    for (int r = 0; r < 4; r++)
        for (int b = 0; b < 3; b++) {
            CHECK_EQ(group[68 * b + r], rows[r][17 * b]);
            for (int j = 0; j < 16; j++)
                CHECK_EQ(group[68 * b + 4 + 16 * (j / 4) + 4 * r + j % 4], rows[r][17 * b + 1 + j]);
        }
}

TEST(each_byte_of_a_block_is_in_one_stretch)
{
    EACH_FORMAT(f) {
        uint8_t seen[256] = { 0 };
        for (int i = 0; i < 3 && f->head[i].bytes; i++)
            for (int k = 0; k < f->head[i].bytes; k++) seen[f->head[i].at + k]++;
        for (int part = 0; part < (f->block_elems + 31) / 32; part++)
            for (int i = 0; i < 4 && f->part[i].bytes; i++) {
                int at = f->part[i].at;
                for (int j = 0; j < 3; j++) at += (part >> j & 1) * f->part[i].by[j];
                for (int k = 0; k < f->part[i].bytes; k++) seen[at + k]++;
            }
        for (int k = 0; k < 256; k++)
            if (seen[k] != (k < f->block_bytes))
                test_fail(__FILE__, __LINE__, "%s: byte %d is in %d stretches", f->name, k, seen[k]);
    }
}

TEST(a_non_finite_scale_or_offset_is_refused_in_any_block)
{
    static const uint16_t bad[] = { 0x7c00, 0xfc00, 0x7c01, 0x7e00, 0xffff };
    int n_fields = 0, want = 0;
    EACH_FORMAT(f) want += (f->d_at >= 0 && f->d_kind != CHORD_D_NONE) + (f->m_at >= 0);
    EACH_FORMAT(f)
        for (int field = 0; field < 2; field++)
            for (size_t j = 0; j < sizeof bad / sizeof *bad; j++)
                for (int32_t block = 0; block < 3; block++) {
                    int32_t const n = 3 * f->block_elems, at = field ? f->m_at : f->d_at;
                    if (at < 0 || f->d_kind == CHORD_D_NONE) continue;
                    n_fields += j == 0 && block == 0;
                    uint8_t *row = random_row(f, n), *good = random_row(f, n),
                            *group = test_alloc((size_t)chord_x4_bytes(f, n));
                    const void *rows[4] = { good, good, good, good };
                    CHECK(chord_format_check(f, row, n) && chord_format_repack(f, group, rows, n));
                    if (f->d_kind == CHORD_D_E8M0) row[block * f->block_bytes + at] = 255;
                    else if (f->d_kind == CHORD_D_SPLIT)
                        chord_block_set_d(f, row + block * f->block_bytes, bad[j]);
                    else memcpy(row + block * f->block_bytes + at, &bad[j], 2);
                    CHECK(!chord_format_check(f, row, n));
                    rows[j % 4] = row;
                    CHECK(!chord_format_repack(f, group, rows, n));
                }
    CHECK_EQ(n_fields, want);
}

TEST(the_q8_0_code_of_minus_128_is_refused)
{
    const chord_format *f = chord_format_of(CHORD_Q8_0);
    for (int k = 0; k < 64; k++) {
        uint8_t *row = random_row(f, 64), group[4 * 68];
        const void *rows[4] = { NULL, row, NULL, NULL };
        CHECK(chord_format_check(f, row, 64) && chord_format_repack(f, group, rows, 64));
        row[34 * (k / 32) + 2 + k % 32] = 0x80;
        CHECK(!chord_format_check(f, row, 64));
        CHECK(!chord_format_repack(f, group, rows, 64));
    }
}

TEST(float_weights_keep_inf_and_nan)
{
    static const uint32_t values[] = { 0x7f800000, 0xff800000, 0x7fc00000, 0x7fc00000 };
    static const uint16_t f16[] = { 0x7c00, 0xfc00, 0x7e00, 0x7e00 },
                          bf16[] = { 0x7f80, 0xff80, 0x7fc0, 0x7fc0 };
    const void *const rows[3] = { values, f16, bf16 };
    static const int32_t types[3] = { CHORD_F32, CHORD_F16, CHORD_BF16 };
    for (int i = 0; i < 3; i++) {
        const chord_format *f = chord_format_of(types[i]);
        const void *four[4] = { rows[i], rows[i], rows[i], rows[i] };
        uint8_t group[64];
        float out[4];
        CHECK(chord_format_check(f, rows[i], 4) && chord_format_repack(f, group, four, 4));
        f->decode(out, rows[i], 4);
        for (int k = 0; k < 4; k++) CHECK_EQ(chord_f32_bits(out[k]), values[k]);
    }
}

TEST(formats_are_found_by_type_and_other_types_have_names)
{
    int n = 0;
    EACH_FORMAT(f) {
        n++;
        CHECK(chord_format_of(f->type) == f);
        CHECK(!strcmp(f->name, chord_type_name(f->type)));
    }
    CHECK_EQ(n, CHORD_N_FORMATS);
    CHECK(!chord_format_of(36) && !strcmp(chord_type_name(36), "IQ4_NL_4_4"));
    CHECK(!chord_format_of(4) && !strcmp(chord_type_name(4), "Q4_2"));
    for (int32_t t = 0; t <= 42; t++) CHECK(chord_type_name(t) != NULL);
    CHECK(!chord_type_name(43) && !chord_type_name(-1) && !chord_type_name(INT32_MAX));
    CHECK(!chord_format_at(-1) && !chord_format_at(CHORD_N_FORMATS) && !chord_format_of(-1));
}

/* ---- activations ---------------------------------------------------------------------------------- */

static void quantize(const float *x, int8_t q[32], float *d, int32_t *s)
{
    uint8_t row[44];
    chord_act_quantize_q8(row, x, 32);
    memcpy(q, row, 32);
    memcpy(d, chord_q8_d(row, 32), 4);
    memcpy(s, chord_q8_s(row, 32), 4);
}

TEST(q8_rounds_x_over_d_half_away_from_zero)
{
    for (int round = 0; round < 20000; round++) {
        float x[32], d, top = 0;
        int8_t q[32];
        int32_t s, sum = 0;
        for (int i = 0; i < 32; i++) {
            /* in even rounds d is 1 and x / d is a multiple of 0.5 */
            x[i] = round % 2 ? test_gauss() : (float)(int)(test_random() % 511 - 255) / 2;
            if (i == 0 && round % 2 == 0) x[i] = 127;
            if (fabsf(x[i]) > 127) x[i] = 0;
            top = fmaxf(top, fabsf(x[i]));
        }
        quantize(x, q, &d, &s);
        CHECK(d == top / 127);
        for (int i = 0; i < 32; i++) {
            CHECK_EQ(q[i], (int)roundf(x[i] / d));
            sum += q[i];
        }
        CHECK_EQ(s, sum);
    }
}

TEST(q8_of_zeros_tiny_and_non_finite_blocks_is_defined)
{
    float x[32] = { 0 }, d;
    int8_t q[32];
    int32_t s;
    quantize(x, q, &d, &s);
    CHECK(d == 0 && s == 0 && q[0] == 0);
    x[3] = 0x1p-149f;                     /* x / 127 is 0 */
    quantize(x, q, &d, &s);
    CHECK(d == 0 && s == 0 && q[3] == 0);
    x[3] = -190 * 0x1p-149f;              /* d rounds to 2^-149; 190 exceeds 127 */
    quantize(x, q, &d, &s);
    CHECK(d == 0x1p-149f && s == -127 && q[3] == -127);
    x[3] = 0x1.fffffep127f;
    quantize(x, q, &d, &s);
    CHECK(q[3] == 127 && s == 127);
    x[7] = -INFINITY;
    quantize(x, q, &d, &s);
    CHECK(isinf(d) && s == 0 && q[3] == 0 && q[7] == 0);
    x[9] = NAN;
    quantize(x, q, &d, &s);
    CHECK(isnan(d) && s == 0 && q[3] == 0);
}

TEST(q8_and_its_rest_form_a_code_of_16_bits)
{
    for (int round = 0; round < 2000; round++) {
        float x[32];
        _Alignas(4) uint8_t row[44], rest[44];
        float const size = test_gauss();
        for (int i = 0; i < 32; i++) x[i] = size * test_gauss();
        chord_act_quantize_q8(row, x, 32);
        chord_act_quantize_rest(rest, row, x, 32);
        float d, step;
        int32_t s, sum = 0;
        memcpy(&d, chord_q8_d(row, 32), 4);
        memcpy(&step, chord_q8_d(rest, 32), 4);
        memcpy(&s, chord_q8_s(rest, 32), 4);
        CHECK(step == d / 254);
        for (int i = 0; i < 32; i++) {
            int32_t const code = 254 * (int8_t)row[i] + (int8_t)rest[i];
            sum += (int8_t)rest[i];
            /* half a step, and the float roundings of 127 d */
            CHECK(fabs((double)code * (double)step - (double)x[i]) <=
                  (double)step * 0.5 + (double)d * 127 * 0x1p-22);
        }
        CHECK_EQ(s, sum);
    }
}

TEST(the_rest_of_zeros_is_zero_and_the_rest_of_a_non_finite_block_is_non_finite)
{
    float x[32] = { 0 }, step;
    _Alignas(4) uint8_t row[44], rest[44];
    float const given[] = { 0, 0x1p-149f, 0x1p-140f, INFINITY, NAN };
    for (int i = 0; i < 5; i++) {
        x[5] = given[i];
        chord_act_quantize_q8(row, x, 32);
        chord_act_quantize_rest(rest, row, x, 32);
        memcpy(&step, chord_q8_d(rest, 32), 4);
        CHECK(i < 3 ? step == 0 : isinf(given[i]) ? isinf(step) : isnan(step));
        for (int k = 0; k < 32; k++) CHECK_EQ(rest[k], 0);
    }
}

TEST(a_q8_row_is_codes_scales_sums_half_sums)
{
    float x[96];
    uint8_t row[96 + 36 + 1];
    for (int i = 0; i < 96; i++) x[i] = (float)(i / 32 + 1) * (i % 32 < 16 ? 1 : -0.5f);
    row[132] = 0xa5;
    CHECK_EQ(chord_q8_bytes(96), 132);
    chord_act_quantize_q8(row, x, 96);
    CHECK_EQ(row[132], 0xa5);
    for (int b = 0; b < 3; b++) {
        float d;
        int32_t s;
        int16_t h[2];
        memcpy(&d, row + 96 + 4 * b, 4);
        memcpy(&s, row + 108 + 4 * b, 4);
        memcpy(h, row + 120 + 4 * b, 4);
        CHECK(d == (float)(b + 1) / 127);
        CHECK_EQ(h[0], 16 * 127);
        CHECK_EQ(h[1], -16 * 64);
        CHECK_EQ(s, h[0] + h[1]);
    }
}
