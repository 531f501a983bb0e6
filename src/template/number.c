/* number.c: numbers and their texts, as in Python: a text becomes the nearest double, and a double its
 * shortest text that reads back. The host converts between the two, exactly. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/host.h"
#include "value.h"

static void put_whole(vm *r, uint64_t v, bool is_negative)
{
    char s[24];
    int at = 24;
    do {
        s[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (is_negative) s[--at] = '-';
    chord_text_put(r, s + at, (size_t)(24 - at));
}

/* The host writes d.ddde+x, or de+x. */
static void put_float(vm *r, double f)
{
    char s[400], digits[400];
    int32_t n = 0, power = 0, i = 0;
    int32_t const size = chord_host_print(__builtin_fabs(f), -1, s);
    for (; i < size && s[i] != 'e'; i++)
        if (s[i] != '.') digits[n++] = s[i];
    for (int32_t k = i + 2; k < size; k++) power = power * 10 + (s[k] - '0');
    if (s[i + 1] == '-') power = -power;
    if (__builtin_signbit(f)) chord_text_put1(r, '-');
    /* Python's repr writes an exponent below 1e-4 and from 1e16 on. */
    bool const is_power = power > 15 || power < -4;
    int32_t const before = is_power ? 1 : power + 1;
    if (before <= 0) chord_text_put1(r, '0');
    for (i = before < 0 ? before : 0; i < n || i < before; i++) {
        if (i == before) chord_text_put1(r, '.');
        chord_text_put1(r, i < 0 || i >= n ? '0' : digits[i]);
    }
    if (!is_power && n <= before) chord_text_put(r, ".0", 2);
    if (!is_power) return;
    int32_t const large = power < 0 ? -power : power;
    chord_text_put(r, power < 0 ? "e-0" : "e+0", large < 10 ? 3 : 2);
    put_whole(r, (uint64_t)large, false);
}

void chord_number_put(vm *r, val v)
{
    if (is_large(v)) {
        chord_text_put(r, v[1].s, v[1].n);
    } else if (v->kind != FLOAT) {
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
    char s[400];
    if (f != f || __builtin_isinf(f)) {
        chord_number_put(r, of_float(r, f));
        return;
    }
    if (__builtin_signbit(f)) chord_text_put1(r, '-');
    chord_text_put(r, s, (size_t)chord_host_print(__builtin_fabs(f), (int32_t)n, s));
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
    if (is_float) *v = (chord_value){ .kind = FLOAT, .f = chord_host_parse(s, i) };
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
