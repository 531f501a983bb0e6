/* number.c: numbers and their texts, exactly: a text becomes the nearest double, and a double its shortest
 * text that reads back, as in Python. All by whole numbers of up to 4096 bits: floats are rare in templates,
 * and small code counts more than speed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

/* 780 digits decide every double: the number between two doubles has at most 767. With the exponent of the
 * smallest double, their product has 3800 bits. */
enum { WORDS = 128, MOST_DIGITS = 780 };
typedef struct big {
    uint32_t n, w[WORDS];
} big;

static void big_mul(big *b, uint32_t by, uint32_t add)
{
    uint64_t carry = add;
    for (uint32_t i = 0; i < b->n; i++) {
        carry += (uint64_t)b->w[i] * by;
        b->w[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry && b->n < WORDS) b->w[b->n++] = (uint32_t)carry;
}

static void big_pow10(big *b, int32_t k)
{
    for (; k > 0; k--) big_mul(b, 10, 0);
}

static void big_shl(big *b, uint32_t bits)
{
    uint32_t const words = bits / 32;
    if (!b->n) return;
    if (b->n + words > WORDS) words > WORDS ? (b->n = 0) : (b->n = WORDS - words);
    for (uint32_t i = b->n; words && i--;) b->w[i + words] = b->w[i];
    for (uint32_t i = 0; i < words; i++) b->w[i] = 0;
    b->n += words;
    big_mul(b, 1u << bits % 32, 0);
}

static int big_cmp(const big *a, const big *b)
{
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    for (uint32_t i = a->n; i--;)
        if (a->w[i] != b->w[i]) return a->w[i] < b->w[i] ? -1 : 1;
    return 0;
}

/* a += sign * b; the result isn't negative. */
static void big_add(big *a, const big *b, int sign)
{
    int64_t carry = 0;
    for (uint32_t i = 0; i < a->n || i < b->n || carry > 0; i++) {
        if (i == WORDS) break;
        if (i == a->n) a->w[a->n++] = 0;
        carry += (int64_t)a->w[i] + sign * (int64_t)(i < b->n ? b->w[i] : 0);
        a->w[i] = (uint32_t)carry;
        carry >>= 32;
    }
    while (a->n && !a->w[a->n - 1]) a->n--;
}

static void big_set(big *b, uint64_t v)
{
    b->n = v >> 32 ? 2 : v != 0;
    b->w[0] = (uint32_t)v;
    b->w[1] = (uint32_t)(v >> 32);
}

static int32_t big_bits(const big *b)
{
    return b->n ? (int32_t)b->n * 32 - __builtin_clz(b->w[b->n - 1]) : 0;
}

/* num * 2^-x / den is between 2^52 and 2^54, or below for a subnormal number. */
static double quotient(big *num, big *den)
{
    int32_t x = big_bits(num) - big_bits(den) - 53;
    if (x < -1074) x = -1074;
    big_shl(x < 0 ? num : den, (uint32_t)(x < 0 ? -x : x));
    big_shl(den, 54);
    uint64_t q = 0;
    for (int i = 0; i < 55; i++) {
        if (i) big_mul(num, 2, 0);
        q <<= 1;
        if (big_cmp(num, den) < 0) continue;
        big_add(num, den, -1);
        q |= 1;
    }
    if (q >> 53) {
        uint64_t const half = q & 1;
        q >>= 1;
        x++;
        q += half && (num->n || (q & 1));
    } else {
        big_mul(num, 2, 0);
        int const order = big_cmp(num, den);
        q += order > 0 || (!order && (q & 1));
    }
    if (q >> 53) {
        q >>= 1;
        x++;
    }
    if (x > 971) return __builtin_inf();
    uint64_t const bits = q >> 52 ? (q & 0xfffffffffffff) | (uint64_t)(x + 1075) << 52 : q;
    return chord_f64(&bits);
}

double chord_number_parse(const char *s, size_t n)
{
    big num, den;
    int32_t digits = 0, exponent = 0, power = 0;
    bool is_behind = false, is_more = false;
    size_t i = s[0] == '-' || s[0] == '+';
    double const sign = s[0] == '-' ? -1 : 1;
    big_set(&num, 0);
    for (; i < n && (s[i] | 32) != 'e'; i++) {
        if (s[i] == '_') continue;
        if (s[i] == '.') is_behind = true;
        else if (digits < MOST_DIGITS) {
            if (num.n || s[i] != '0') digits++;
            if (num.n) big_mul(&num, 10, (uint32_t)(s[i] - '0'));
            else big_set(&num, (uint64_t)(s[i] - '0'));
            exponent -= is_behind;
        } else {
            is_more |= s[i] != '0';
            exponent += !is_behind;
        }
    }
    if (i < n) {
        bool const is_negative = s[++i] == '-';
        for (i += s[i] == '-' || s[i] == '+'; i < n; i++)
            if (s[i] != '_' && power < 100000000) power = power * 10 + (s[i] - '0');
        if (is_negative) power = -power;
    }
    if (is_more) {
        big_mul(&num, 10, 1);
        exponent--;
        digits++;
    }
    exponent += power;
    if (!num.n || digits + exponent < -330) return 0 * sign;
    if (digits + exponent > 310) return __builtin_inf() * sign;
    big_set(&den, 1);
    big_pow10(exponent < 0 ? &den : &num, exponent < 0 ? -exponent : exponent);
    return quotient(&num, &den) * sign;
}

/* The double as f * 2^e. */
static uint64_t parts(double v, int32_t *e)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &v, 8);
    int32_t const field = (int32_t)(bits >> 52 & 0x7ff);
    *e = field ? field - 1075 : -1074;
    return (bits & 0xfffffffffffff) | (uint64_t)(field != 0) << 52;
}

/* Steele and White's and Dragon4's free-format digits of v > 0: the fewest that read back. Returns their
 * number; the value is 0.d1d2d3... * 10^*point. */
static int32_t shortest(double v, char *digits, int32_t *point)
{
    big r, s, low, high, sum;
    int32_t e, n = 0, k;
    uint64_t const f = parts(v, &e);
    bool const is_even = !(f & 1), is_edge = f == 1ull << 52 && e > -1074;
    big_set(&r, f);
    big_set(&s, 1);
    big_set(&low, 1);
    /* r / s is v, low / s half the way down to the next double; all doubled, twice if the ways differ. */
    if (e > 0) {
        big_shl(&r, (uint32_t)e);
        big_shl(&low, (uint32_t)e);
    } else {
        big_shl(&s, (uint32_t)-e);
    }
    big_shl(&r, 1u + is_edge);
    big_shl(&s, 1u + is_edge);
    high = low;
    big_shl(&high, is_edge);
    /* A floor of the decimal exponent; the loop below corrects it upwards. */
    int32_t const bits = e + 64 - __builtin_clzll(f) - 1;
    k = bits * 1233 / 4096 - (bits < 0);
    big_pow10(&s, k);
    if (k < 0) {
        big_pow10(&r, -k);
        big_pow10(&low, -k);
        big_pow10(&high, -k);
    }
    for (;; k++) {
        sum = r;
        big_add(&sum, &high, 1);
        int const order = big_cmp(&sum, &s);
        if (order < 0 || (!order && !is_even)) break;
        big_mul(&s, 10, 0);
    }
    *point = k;
    for (;;) {
        char d = '0';
        big_mul(&r, 10, 0);
        big_mul(&low, 10, 0);
        big_mul(&high, 10, 0);
        for (; big_cmp(&r, &s) >= 0; d++) big_add(&r, &s, -1);
        sum = r;
        big_add(&sum, &high, 1);
        int const down = big_cmp(&r, &low), up = big_cmp(&sum, &s);
        bool const may_down = down < 0 || (!down && is_even), may_up = up > 0 || (!up && is_even);
        if (may_down || may_up) {
            big_mul(&r, 2, 0);
            int const order = big_cmp(&r, &s); /* of two texts as near as each other, the even one */
            digits[n++] = (char)(d + (may_up && (!may_down || order > 0 || (!order && (d & 1)))));
            return n;
        }
        digits[n++] = d;
    }
}

static void put_whole(vm *r, uint64_t v, bool is_negative)
{
    char s[24];
    int at = 24;
    do {
        s[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (is_negative) s[--at] = '-';
    chord_text_put(r, s + at, (uint64_t)(24 - at));
}

static void put_float(vm *r, double f)
{
    char s[48], digits[20];
    int32_t point, n, at = 0;
    if (f == 0) {
        n = point = 1;
        digits[0] = '0';
    } else {
        n = shortest(__builtin_fabs(f), digits, &point);
    }
    if (__builtin_signbit(f)) s[at++] = '-';
    /* Python's repr writes an exponent below 1e-4 and from 1e16 on. */
    bool const is_power = point > 16 || point < -3;
    int32_t const before = is_power ? 1 : point;
    if (before <= 0) s[at++] = '0';
    for (int32_t i = before < 0 ? before : 0; i < n || i < before; i++) {
        if (i == before) s[at++] = '.';
        s[at++] = i < 0 || i >= n ? '0' : digits[i];
    }
    if (!is_power && n <= before) {
        s[at++] = '.';
        s[at++] = '0';
    }
    chord_text_put(r, s, (uint64_t)at);
    if (!is_power) return;
    int32_t const power = point - 1, size = power < 0 ? -power : power;
    chord_text_put(r, power < 0 ? "e-0" : "e+0", size < 10 ? 3 : 2);
    put_whole(r, (uint64_t)size, false);
}

void chord_number_put(vm *r, val v)
{
    if (v->kind != FLOAT) {
        put_whole(r, v->i < 0 ? 0 - (uint64_t)v->i : (uint64_t)v->i, v->i < 0);
    } else if (v->f != v->f) {
        chord_text_put(r, "nan", 3);
    } else if (__builtin_isinf(v->f)) {
        chord_text_put(r, v->f < 0 ? "-inf" : "inf", v->f < 0 ? 4 : 3);
    } else {
        put_float(r, v->f);
    }
}

void chord_number_put_fixed(vm *r, double f, uint32_t n)
{
    big v, unit;
    int32_t e;
    char digits[400];
    if (f != f || __builtin_isinf(f)) {
        chord_number_put(r, of_float(r, f));
        return;
    }
    big_set(&v, parts(f, &e));
    big_set(&unit, 1);
    big_pow10(&v, (int32_t)n);
    big_shl(e < 0 ? &unit : &v, (uint32_t)(e < 0 ? -e : e));
    /* The digits of v / unit, rounded to even: from the highest power of ten down. */
    int32_t top = 0, at = 0;
    for (; big_cmp(&v, &unit) >= 0 || top <= (int32_t)n; top++) big_mul(&unit, 10, 0);
    for (int32_t i = 0; i < top; i++) {
        char d = '0';
        big_mul(&v, 10, 0);
        for (; big_cmp(&v, &unit) >= 0; d++) big_add(&v, &unit, -1);
        digits[at++] = d;
    }
    big_mul(&v, 2, 0);
    int const order = big_cmp(&v, &unit);
    if (order > 0 || (!order && (digits[at - 1] & 1))) {
        int32_t i = at;
        while (i && digits[i - 1] == '9') digits[--i] = '0';
        if (i) digits[i - 1]++;
        else {
            chord_move(digits + 1, digits, (size_t)at);
            digits[0] = '1';
            at++;
        }
    }
    if (__builtin_signbit(f)) chord_text_put1(r, '-');
    chord_text_put(r, digits, (uint64_t)(at - (int32_t)n));
    if (!n) return;
    chord_text_put1(r, '.');
    chord_text_put(r, digits + at - n, n);
}

size_t chord_number_scan(const char *s, size_t n, chord_value *v)
{
    size_t i = n && (s[0] == '-' || s[0] == '+'), begin = i;
    bool is_float = false;
    uint64_t whole = 0;
    bool fits = true;
    for (; i < n && s[i] >= '0' && s[i] <= '9'; i++)
        fits = fits && chord_mul(whole, 10, &whole) && chord_add(whole, (uint64_t)(s[i] - '0'), &whole);
    bool const any = i > begin;
    if (i < n && s[i] == '.') {
        size_t const point = i++;
        while (i < n && s[i] >= '0' && s[i] <= '9') i++;
        if (!any && i == point + 1) return 0;
        is_float = true;
    } else if (!any) {
        return 0;
    }
    if (i < n && (s[i] | 32) == 'e') {
        size_t j = i + 1;
        j += j < n && (s[j] == '-' || s[j] == '+');
        if (j < n && s[j] >= '0' && s[j] <= '9') {
            while (j < n && s[j] >= '0' && s[j] <= '9') j++;
            i = j;
            is_float = true;
        }
    }
    bool const is_negative = s[0] == '-';
    if (is_float) *v = (chord_value){ .kind = FLOAT, .f = chord_number_parse(s, i) };
    else if (!fits || whole > (uint64_t)INT64_MAX + is_negative) *v = (chord_value){ .kind = MISSING };
    else *v = (chord_value){ .kind = INT, .i = (int64_t)(is_negative ? 0 - whole : whole) };
    return i;
}

/* |f| is below 2^63 */
int64_t chord_number_floor(double f)
{
    int64_t const i = (int64_t)f;
    return i - (f < (double)i);
}
