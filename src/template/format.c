/* format.c: `%` with a string, format() and strftime_now. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "functions.h"

/* ---- % ---------------------------------------------------------------------------------------------- */

typedef struct spec {
    bool left, zero, plus, blank, other; /* the flags - 0 + space # */
    int64_t width, digits;               /* digits: behind the point, -1 if not given */
} spec;

static int64_t number_at(const char **s, const char *end)
{
    int64_t n = 0;
    for (; *s < end && **s >= '0' && **s <= '9'; (*s)++)
        if (n < INT32_MAX) n = n * 10 + (**s - '0');
    return n;
}

static int64_t width_at(vm *r, const char **s, const char *end)
{
    const char *const begin = *s;
    int64_t const n = number_at(s, end);
    if (n > 1000000) chord_vm_fail(r, "a format's width is too large:", begin, (size_t)(*s - begin));
    return n;
}

static void put_padded(vm *r, val text, spec f, bool is_number)
{
    int64_t const room = f.width - chord_string_length(text);
    bool const zero = f.zero && is_number && !f.left,
               has_sign = zero && text->n && (text->s[0] == '-' || text->s[0] == '+');
    if (has_sign) chord_text_put1(r, text->s[0]);
    if (f.left) chord_text_put(r, text->s, text->n);
    for (int64_t i = 0; i < room && r->status == CHORD_OK; i++) chord_text_put1(r, zero ? '0' : ' ');
    if (!f.left) chord_text_put(r, text->s + has_sign, text->n - has_sign);
}

static val number_text(vm *r, val v, char kind, spec f)
{
    uint32_t const mark = r->out.n;
    double const size = is_number(v) ? as_float(v) : 0;
    if (!is_number(v)) return chord_vm_refuse(r, "a number is needed, not", v);
    if (f.plus && size >= 0) chord_text_put1(r, '+');
    else if (f.blank && size >= 0) chord_text_put1(r, ' ');
    if (kind == 'f' || kind == 'F') {
        if (f.digits > 30) return fail(r, "a number with more than 30 digits behind the point");
        chord_number_put_fixed(r, size, f.digits < 0 ? 6 : (uint32_t)f.digits);
        return chord_text_take(r, mark);
    }
    if (v->kind == FLOAT && !(__builtin_fabs(v->f) < 9.2e18))
        return fail(r, "a whole number doesn't fit 64 bits");
    int64_t const whole = v->kind == FLOAT ? (int64_t)v->f : v->i;
    if (kind != 'x' && kind != 'X' && kind != 'o') {
        chord_number_put(r, of_int(r, whole));
        return chord_text_take(r, mark);
    }
    if (v->kind == FLOAT) return chord_vm_refuse(r, "a whole number is needed, not", v);
    uint64_t left = whole < 0 ? 0 - (uint64_t)whole : (uint64_t)whole;
    uint64_t const radix = kind == 'o' ? 8 : 16;
    char digits[24];
    uint32_t at = 24;
    do {
        digits[--at] = (kind == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[left % radix];
        left /= radix;
    } while (left);
    if (whole < 0) chord_text_put1(r, '-');
    chord_text_put(r, digits + at, 24 - at);
    return chord_text_take(r, mark);
}

static val converted(vm *r, val v, char kind, spec f)
{
    uint32_t const mark = r->out.n;
    switch (kind) {
    case 's':
    case 'r':
        if (kind == 's') chord_write_text(r, v);
        else chord_write(r, v, &chord_python);
        v = chord_text_take(r, mark);
        return f.digits >= 0 && v->kind == STRING ? of_string(r, v->s, chord_string_offset(v, f.digits)) : v;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
    case 'f':
    case 'F': return number_text(r, v, kind, f);
    case 'c':
        if (v->kind == STRING && chord_string_length(v) == 1) return v;
        if (!is_whole(v) || v->i < 0 || v->i > 0x10ffff)
            return chord_vm_refuse(r, "a character is needed, not", v);
        chord_char_put(r, (uint32_t)v->i);
        return chord_text_take(r, mark);
    default: return chord_vm_fail(r, "a format isn't known:", &kind, 1);
    }
}

val chord_format_percent(vm *r, val format, val args)
{
    uint32_t const mark = r->out.n;
    const char *s = format->s, *const end = s + format->n;
    uint32_t used = 0;
    bool by_name = false;
    while (s < end && r->status == CHORD_OK) {
        const char *run = s;
        while (s < end && *s != '%') s++;
        chord_text_put(r, run, (size_t)(s - run));
        if (s++ == end) break;
        spec f = { .digits = -1 };
        val v = args;
        bool is_named = s < end && *s == '(';
        if (is_named) {
            run = ++s;
            while (s < end && *s != ')') s++;
            val const name = of_string(r, run, (size_t)(s - run));
            v = args->kind == DICT ? chord_dict_get(r, args, name) : NOTHING;
            if (v->kind == MISSING) return chord_vm_fail(r, "a format's value is missing:", name->s, name->n);
            by_name = true;
            s += s < end;
        }
        for (; s < end && (*s == '-' || *s == '0' || *s == '+' || *s == ' ' || *s == '#'); s++) {
            f.left |= *s == '-';
            f.zero |= *s == '0';
            f.plus |= *s == '+';
            f.blank |= *s == ' ';
        }
        f.width = width_at(r, &s, end);
        if (s < end && *s == '.') {
            s++;
            f.digits = number_at(&s, end);
        }
        if (s == end) return fail(r, "a format isn't finished");
        char const kind = *s++;
        if (kind == '%') {
            chord_text_put1(r, '%');
            continue;
        }
        if (!is_named && args->kind == TUPLE) {
            if (used == args->n) return fail(r, "a format has too few values");
            v = args->v[used];
        } else if (!is_named && used) {
            return fail(r, "a format has too few values");
        }
        used += !is_named;
        val const text = converted(r, v, kind, f);
        if (text->kind == STRING) put_padded(r, text, f, kind != 's' && kind != 'r' && kind != 'c');
    }
    if (args->kind == TUPLE
            ? used != args->n
            : !used && !by_name && args->kind != DICT && args->kind != LIST && args->kind != UNDEFINED)
        return fail(r, "a format doesn't use all values");
    return chord_text_take(r, mark);
}

val chord_f_format(vm *r, const val *a)
{
    int const n = r->n;
    uint32_t const first = r->made.n;
    bool const by_name = r->n_kw != 0;
    if (by_name && n > 1) return fail(r, "format takes either values or names");
    for (uint32_t i = 0; i < r->n_kw; i++) chord_dict_put(r, first, r->kw[2 * i], r->kw[2 * i + 1]);
    for (int i = 1; i < n; i++) chord_list_put(r, a[i]);
    return chord_format_percent(r, chord_write_string(r, a[0]),
                                chord_list_take(r, first, by_name ? DICT : TUPLE));
}

/* '{} {0} {name} {x.y[0]}'.format(...), without format specifications but widths of numbers and `.2f`. */
static val field(vm *r, val path, const val *a, int n, uint32_t *next)
{
    uint32_t at = 0;
    val v = NOTHING;
    chord_value index;
    while (at < path->n && path->s[at] != '.' && path->s[at] != '[') at++;
    val const first = of_string(r, path->s, at);
    if (!at) v = *next + 1 < (uint32_t)n ? a[1 + (*next)++] : v;
    else if (chord_number_scan(path->s, at, &index) == at && index.kind == INT && index.i >= 0)
        v = index.i + 1 < n ? a[1 + index.i] : v;
    else
        for (uint32_t i = 0; i < r->n_kw; i++)
            if (chord_value_equal(r, r->kw[2 * i], first)) v = r->kw[2 * i + 1];
    if (v->kind == MISSING) return chord_vm_fail(r, "a format's value is missing:", path->s, path->n);
    while (at < path->n && r->status == CHORD_OK) {
        bool const is_item = path->s[at++] == '[';
        uint32_t const begin = at;
        while (at < path->n && path->s[at] != '.' && path->s[at] != '[' && path->s[at] != ']') at++;
        val key = of_string(r, path->s + begin, at - begin);
        if (is_item && chord_number_scan(key->s, key->n, &index) == key->n && key->n)
            key = of_int(r, index.i);
        v = is_item ? chord_value_item(r, v, key) : chord_value_attribute(r, v, key);
        at += is_item;
    }
    return v;
}

/* What stands behind a field's name, and its bracket: `!r`, `:` with fill 0, width, digits and type. */
static void put_field(vm *r, val v, const char **at, const char *end)
{
    const char *s = *at;
    char kind = 's';
    spec f = { .digits = -1 };
    if (s + 1 < end && *s == '!') {
        kind = s[1];
        s += 2;
    }
    if (s + 1 < end && *s == ':' && *++s != '}') {
        f.left = !is_number(v);
        for (; s < end && (*s == '<' || *s == '>' || *s == '0'); s++) {
            f.zero |= *s == '0';
            if (*s != '0') f.left = *s == '<';
        }
        f.width = width_at(r, &s, end);
        if (s < end && *s == '.') {
            s++;
            f.digits = number_at(&s, end);
        }
        char const type = s < end && *s != '}' ? *s++ : 0;
        if (v->kind == BOOL) v = of_int(r, v->i); /* a boolean with a format is its number */
        bool const is_wrong = v->kind == STRING ? type && type != 's'
                                                : type == 's' || (type == 'd' && !is_whole(v));
        if (is_wrong || (v->kind != STRING && !is_number(v) && kind == 's'))
            chord_vm_refuse(r, "a format doesn't take", v);
        if (type) kind = type;
    }
    if (s == end || *s != '}') {
        fail(r, "a format isn't known or isn't finished");
        return;
    }
    *at = s + 1;
    val const text = converted(r, v, kind, f);
    if (text->kind == STRING) put_padded(r, text, f, is_number(v));
}

val chord_m_format(vm *r, const val *a)
{
    int const n = r->n;
    uint32_t const mark = r->out.n;
    const char *s = a[0]->s, *const end = s + a[0]->n;
    uint32_t next = 0;
    while (s < end && r->status == CHORD_OK) {
        char const c = *s++;
        if ((c == '{' || c == '}') && s < end && *s == c) {
            s++;
        } else if (c == '}') {
            return fail(r, "a format has a single }");
        } else if (c == '{') {
            const char *const begin = s;
            while (s < end && *s != '}' && *s != ':' && *s != '!') s++;
            put_field(r, field(r, of_string(r, begin, (size_t)(s - begin)), a, n, &next), &s, end);
            continue;
        }
        chord_text_put1(r, c);
    }
    return chord_text_take(r, mark);
}

/* ---- strftime --------------------------------------------------------------------------------------- */

static int32_t day_of_year(const chord_template_time *t)
{
    static const uint16_t before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    bool const is_leap = (t->year % 4 == 0 && t->year % 100 != 0) || t->year % 400 == 0;
    return before[(uint32_t)(t->month - 1) % 12] + t->day + (is_leap && t->month > 2);
}

/* 0 is Monday. */
static int32_t weekday(const chord_template_time *t)
{
    int32_t const y = t->year - 1;
    return (int32_t)(((int64_t)y * 365 + y / 4 - y / 100 + y / 400 + day_of_year(t) + 6) % 7);
}

static void put_name(vm *r, const char *names, int32_t i, bool is_short)
{
    while (i--)
        while (*names++ != ' ') {}
    size_t n = 0;
    while (names[n] != ' ') n++;
    chord_text_put(r, names, is_short ? 3 : n);
}

static const char days[] = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday ";
static const char months[] =
    "January February March April May June July August September October November December ";

/* A number of at least `width` digits, filled with `fill`; `fill` '-' fills with nothing. */
static void put_number(vm *r, int32_t v, int width, char fill)
{
    int32_t unit = 1;
    for (int i = 1; i < width; i++) unit *= 10;
    for (; unit > v && unit > 1 && fill != '-'; unit /= 10) chord_text_put1(r, fill);
    chord_number_put(r, of_int(r, v));
}

/* The week of the year, if weeks begin `first` days after Monday. */
static int32_t week(const chord_template_time *t, int32_t first)
{
    return (day_of_year(t) - 1 + 7 - (weekday(t) + 7 - first) % 7) / 7;
}

/* ISO 8601: the week belongs to the year of its Thursday. */
static void iso_week(const chord_template_time *t, int32_t *year, int32_t *number)
{
    int32_t const thursday = day_of_year(t) - weekday(t) + 3;
    chord_template_time const end = { .year = t->year, .month = 12, .day = 31 },
                              before = { .year = t->year - 1, .month = 12, .day = 31 };
    int32_t const length = day_of_year(&end);
    *year = t->year + (thursday > length) - (thursday < 1);
    int32_t const day = thursday < 1        ? thursday + day_of_year(&before)
                        : thursday > length ? thursday - length
                                            : thursday;
    *number = (day - 1) / 7 + 1;
}

static void put_time(vm *r, const char *s, const char *end)
{
    const chord_template_time *const t = &r->now;
    int32_t const day = weekday(t), hour = t->hour % 12 ? t->hour % 12 : 12;
    int32_t year, number;
    iso_week(t, &year, &number);
    /* The letters of numbers; for each its value, and where it is in `widths`: those of 0 have blanks. */
    static const char letters[] = "YyCmdeHkIlMSjUWGVuw", widths[] = "1222202020223222211";
    int32_t const values[] = { t->year,   t->year % 100, t->year / 100,  t->month,     t->day,
                               t->day,    t->hour,       t->hour,        hour,         hour,
                               t->minute, t->second,     day_of_year(t), week(t, 6),   week(t, 0),
                               year,      number,        day + 1,        (day + 1) % 7 };
    /* Formats that stand for others; none of these stands for a third. */
    static const char more[] = "D%m/%d/%y\0F%Y-%m-%d\0R%H:%M\0T%H:%M:%S\0X%H:%M:%S\0x%m/%d/%y\0"
                               "c%a %b %e %H:%M:%S %Y\0r%I:%M:%S %p\0n\n\0t\t\0%%\0f000000\0Z\0z\0";
    for (; s < end && r->status == CHORD_OK; s++) {
        if (*s != '%' || s + 1 == end) {
            chord_text_put1(r, *s);
            continue;
        }
        char const *const begin = s++;
        char fill = *s == '-' || *s == '_' || *s == '0' ? *s++ : 0;
        if (fill == '_') fill = ' ';
        char const c = s < end ? *s : 0;
        int k = 0;
        while (letters[k] && letters[k] != c) k++;
        if (letters[k]) {
            int const width = widths[k] == '0' ? 2 : widths[k] - '0';
            put_number(r, values[k], width, fill ? fill : widths[k] == '0' ? ' ' : '0');
        } else if (c == 'a' || c == 'A') {
            put_name(r, days, day, c == 'a');
        } else if (c == 'b' || c == 'h' || c == 'B') {
            put_name(r, months, (int32_t)((uint32_t)(t->month - 1) % 12), c != 'B');
        } else if (c == 'p' || c == 'P') {
            bool const is_am = t->hour < 12;
            chord_text_put(r, c == 'p' ? is_am ? "AM" : "PM" : is_am ? "am" : "pm", 2);
        } else {
            const char *other = more;
            while (*other && *other != c) other += chord_strlen(other) + 1;
            if (!*other) chord_text_put(r, begin, (size_t)(s - begin) + (s < end));
            else if (other[1] != '%' || !other[2]) chord_text_put(r, other + 1, chord_strlen(other + 1));
            else put_time(r, other + 1, other + 1 + chord_strlen(other + 1));
        }
    }
}

val chord_g_strftime_now(vm *r, const val *a)
{
    uint32_t const mark = r->out.n;
    if (chord_string_check(r, a[1])) put_time(r, a[1]->s, a[1]->s + a[1]->n);
    return chord_text_take(r, mark);
}
