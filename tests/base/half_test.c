/* half_test.c: f16 and bf16 for all 65,536 codes, compared with other arithmetic (ldexp). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/base/half.h"
#include "../harness/test.h"
#include <math.h>

/* Returns the value of h by the definition of IEEE 754 binary16. */
static double value_of(uint16_t h)
{
    int const exponent = (h >> 10) & 31, fraction = h & 1023;
    double const sign = h & 0x8000 ? -1 : 1;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

TEST(every_f16_widens_to_its_value)
{
    for (uint32_t h = 0; h < 65536; h++) {
        double const want = value_of((uint16_t)h);
        float const got = chord_f16_f32((uint16_t)h);
        if (isnan(want)) {
            CHECK(isnan(got));
            continue;
        }
        CHECK((double)got == want && !!signbit(got) == (h >> 15));
    }
}

TEST(every_finite_f16_survives_a_round_trip)
{
    for (uint32_t h = 0; h < 65536; h++) {
        if ((h & 0x7c00) == 0x7c00) continue;
        CHECK_EQ(chord_f32_f16(chord_f16_f32((uint16_t)h)), h);
    }
}

TEST(f16_rounds_to_nearest_and_ties_to_even)
{
    for (uint32_t h = 0; h < 0x7bff; h++) { /* between every two neighbouring positive values */
        double const low = value_of((uint16_t)h), high = value_of((uint16_t)(h + 1));
        float const middle = (float)((low + high) / 2); /* one bit more than f16 has: exact in f32 */
        uint32_t const even = h & 1 ? h + 1 : h;
        CHECK_EQ(chord_f32_f16(middle), even);
        CHECK_EQ(chord_f32_f16(nextafterf(middle, 0)), h);
        CHECK_EQ(chord_f32_f16(nextafterf(middle, INFINITY)), h + 1);
        CHECK_EQ(chord_f32_f16(-middle), even | 0x8000);
    }
}

TEST(f16_saturates_instead_of_becoming_infinite)
{
    static const float large[] = { 65504, 65519.996f, 65520, 65536, 1e30f, INFINITY };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        CHECK_EQ(chord_f32_f16(large[i]), 0x7bff);
        CHECK_EQ(chord_f32_f16(-large[i]), 0xfbff);
    }
    CHECK(isnan(chord_f16_f32(chord_f32_f16(NAN))));
    CHECK(isnan(chord_f16_f32(chord_f32_f16(-NAN))));
    CHECK_EQ(chord_f32_f16(0x1p-26f), 0);
    CHECK_EQ(chord_f32_f16(-0.0f), 0x8000);
    CHECK_EQ(chord_f32_f16(0x1p-149f), 0);
}

TEST(every_bf16_is_the_upper_half_of_an_f32)
{
    for (uint32_t h = 0; h < 65536; h++) CHECK_EQ(chord_f32_bits(chord_bf16_f32((uint16_t)h)), h << 16);
}
