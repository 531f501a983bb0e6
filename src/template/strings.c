/* strings.c: filters that make strings, and the methods of strings. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "functions.h"

bool chord_string_check(vm *r, val v)
{
    if (v->kind == STRING) return true;
    chord_vm_refuse(r, "a string is needed, not", v);
    return false;
}

val chord_f_string(vm *r, const val *a) { return chord_write_string(r, a[0]); }

/* ---- letters ---------------------------------------------------------------------------------------- */

static bool has_case(uint32_t c) { return chord_char_lower(c) != c || chord_char_upper(c) != c || c == 0xdf; }

/* Does the title filter begin a word behind this character? */
static bool begins_word(uint32_t c)
{
    return chord_char_is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

static val recased(vm *r, val s, int how)
{
    uint32_t const mark = r->out.n;
    uint32_t c, n;
    bool is_first = true;
    for (uint32_t i = 0; i < s->n && r->status == CHORD_OK; i += n) {
        c = chord_char_at(s->s + i, s->s + s->n);
        n = char_bytes(c);
        c = char_code(c);
        bool const up = how == UPPER ||
                        (how == SWAP ? chord_char_lower(c) == c : is_first && how >= CAPITALIZE);
        if (up && c == 0xdf) chord_text_put(r, how == UPPER || how == SWAP ? "SS" : "Ss", 2);
        else chord_char_put(r, up ? chord_char_upper(c) : chord_char_lower(c));
        is_first = how == TITLE_FILTER ? begins_word(c) : how == TITLE_METHOD && !has_case(c);
    }
    return chord_text_take(r, mark);
}

val chord_string_case(vm *r, val s, bool is_upper) { return recased(r, s, is_upper ? UPPER : LOWER); }
val chord_f_case(vm *r, const val *a)
{
    int const how = r->how;
    return recased(r, chord_write_string(r, a[0]), how);
}

/* All letters with a case have this one, and there is one. */
val chord_t_case(vm *r, const val *a)
{
    bool any = false;
    uint32_t c, n;
    bool const is_upper = r->how == UPPER;
    val const s = chord_write_string(r, a[0]);
    for (uint32_t i = 0; i < s->n; i += n) {
        c = chord_char_at(s->s + i, s->s + s->n);
        n = char_bytes(c);
        c = char_code(c);
        if ((is_upper ? chord_char_upper(c) : chord_char_lower(c)) != c) return of_bool(false);
        any |= has_case(c);
    }
    return of_bool(any);
}
static bool is_digit(uint32_t c) { return c - '0' <= 9; }
static bool is_alnum(uint32_t c) { return is_digit(c) || chord_char_is_letter(c); }

val chord_m_is(vm *r, const val *a)
{
    val const s = a[0];
    uint32_t c, n;
    for (uint32_t i = 0; i < s->n; i += n) {
        c = chord_char_at(s->s + i, s->s + s->n);
        n = char_bytes(c);
        c = char_code(c);
        if (!((r->how & DIGITS && is_digit(c)) || (r->how & LETTERS && chord_char_is_letter(c)) ||
              (r->how & BLANKS && chord_char_is_space(c))))
            return &chord_false;
    }
    return of_bool(s->n != 0);
}

/* ---- strip ------------------------------------------------------------------------------------------ */

static bool strips(uint32_t c, val chars)
{
    uint32_t other, n;
    if (chars->kind != STRING) return chord_char_is_space(c);
    for (uint32_t i = 0; i < chars->n; i += n) {
        other = chord_char_at(chars->s + i, chars->s + chars->n);
        n = char_bytes(other);
        if (c == char_code(other)) return true;
    }
    return false;
}

val chord_string_strip(vm *r, val text, val chars, bool left, bool right)
{
    const char *s = text->s, *end = s + text->n;
    while (left && s < end) {
        uint32_t const c = chord_char_at(s, end);
        if (!strips(char_code(c), chars)) break;
        s += char_bytes(c);
    }
    while (right && s < end) {
        const char *begin = end - 1;
        while (begin > s && end - begin < 4 && (*begin & 0xc0) == 0x80) begin--;
        uint32_t const c = chord_char_at(begin, end);
        if (begin + char_bytes(c) != end) begin = end - 1;
        if (!strips(char_code(c), chars)) break;
        end = begin;
    }
    return of_string(r, s, (size_t)(end - s));
}

val chord_f_trim(vm *r, const val *a)
{
    int const how = r->how;
    val const s = chord_write_string(r, a[0]), chars = a[1];
    if (is_given(chars) && !chord_string_check(r, chars)) return NOTHING;
    uint64_t const cost = is_given(chars) ? (uint64_t)s->n * (chars->n + 1) / 64 : s->n / 64;
    if (!chord_vm_spend(r, cost < UINT32_MAX ? (size_t)cost : UINT32_MAX)) return NOTHING;
    return chord_string_strip(r, s, chars, how & LEFT, how & RIGHT);
}

/* ---- search ----------------------------------------------------------------------------------------- */

/* The byte at which `part` is in s, from byte `at` on, or before `at` if it goes back; -1 if it isn't. */
static int64_t search(vm *r, val s, val part, int64_t at, bool is_back)
{
    int64_t const last = (int64_t)s->n - part->n;
    if (is_back && at > last) at = last;
    int64_t i = at;
    for (; is_back ? i >= 0 : i <= last; i += is_back ? -1 : 1) {
        if (part->n && s->s[i] != part->s[0]) continue;
        if (chord_equal(s->s + i, part->s, part->n)) break;
        if (!chord_vm_spend(r, 1 + part->n / 64)) return -1;
    }
    chord_vm_spend(r, (size_t)(i > at ? i - at : at - i) / 64);
    return (is_back ? i >= 0 : i <= last) ? i : -1;
}

/* The part of a[0] between the characters a[2] and a[3]; *before: characters before it. */
static val between(vm *r, const val *a, int64_t *before)
{
    val const part[3] = { a[2], a[3], NOTHING };
    int64_t const n = chord_string_length(a[0]);
    int64_t const i = is_given(a[2]) && is_whole(a[2]) ? a[2]->i : 0;
    *before = i < 0 ? i < -n ? 0 : i + n : i;
    int64_t const k = is_given(a[3]) && is_whole(a[3]) ? a[3]->i : n, end = k < 0 ? k + n : k;
    if (*before > n || *before > (end < 0 ? 0 : end)) return NOTHING;
    return chord_value_slice(r, a[0], part);
}

val chord_m_find(vm *r, const val *a)
{
    bool const is_back = r->how & BACK;
    int64_t before, at = -1;
    if (!chord_string_check(r, a[1])) return NOTHING;
    val s = between(r, a, &before);
    if (s->kind == STRING) at = search(r, s, a[1], is_back ? s->n : 0, is_back);
    if (at < 0) return r->how & MUST ? fail(r, "a string isn't in the other") : of_int(r, -1);
    return of_int(r, before + chord_string_length(of_string(r, s->s, (uint64_t)at)));
}

val chord_m_count(vm *r, const val *a)
{
    int64_t before, count = 0;
    if (!chord_string_check(r, a[1])) return NOTHING;
    val const s = between(r, a, &before);
    if (s->kind != STRING) return of_int(r, 0);
    if (!a[1]->n) return of_int(r, chord_string_length(s) + 1);
    for (int64_t at = 0; (at = search(r, s, a[1], at, false)) >= 0 && chord_vm_spend(r, 1); at += a[1]->n)
        count++;
    return of_int(r, count);
}

static bool has_end(val s, val part, bool at_end)
{
    return part->n <= s->n && chord_equal(at_end ? s->s + s->n - part->n : s->s, part->s, part->n);
}
val chord_m_has_end(vm *r, const val *a)
{
    bool const at_end = r->how == RIGHT;
    if (a[1]->kind != TUPLE) return of_bool(chord_string_check(r, a[1]) && has_end(a[0], a[1], at_end));
    for (uint32_t i = 0; i < a[1]->n; i++)
        if (chord_string_check(r, a[1]->v[i]) && has_end(a[0], a[1]->v[i], at_end)) return &chord_true;
    return &chord_false;
}

val chord_m_without_end(vm *r, const val *a)
{
    bool const at_end = r->how == RIGHT;
    val const s = a[0];
    if (!chord_string_check(r, a[1]) || !has_end(s, a[1], at_end)) return s;
    return of_string(r, at_end ? s->s : s->s + a[1]->n, s->n - a[1]->n);
}

val chord_m_partition(vm *r, const val *a)
{
    bool const is_back = r->how & BACK;
    val const s = a[0];
    uint32_t const first = r->made.n;
    if (!chord_string_check(r, a[1])) return NOTHING;
    if (!a[1]->n) return fail(r, "a separator is empty");
    int64_t const at = search(r, s, a[1], is_back ? s->n : 0, is_back);
    uint32_t const end = at < 0 ? 0 : (uint32_t)at + a[1]->n;
    if (at < 0 && !is_back) chord_list_put(r, s);
    else chord_list_put(r, of_string(r, s->s, at < 0 ? 0 : (uint64_t)at));
    chord_list_put(r, of_string(r, a[1]->s, at < 0 ? 0 : a[1]->n));
    chord_list_put(r, at < 0 && !is_back ? of_string(r, "", 0) : of_string(r, s->s + end, s->n - end));
    return chord_list_take(r, first, TUPLE);
}

/* ---- split, join, replace --------------------------------------------------------------------------- */

/* Words between white space. From the right, the words are found backwards and turned round at the end. */
static val split_blanks(vm *r, val text, int64_t most, bool is_back)
{
    uint32_t const first = r->made.n;
    val rest = chord_string_strip(r, text, &chord_none, !is_back, is_back);
    for (; rest->n && r->status == CHORD_OK; most--) {
        uint32_t at = is_back ? rest->n : 0;
        const char *const s = rest->s;
        while (most && (is_back ? at : rest->n - at)) {
            uint32_t k = at;
            if (is_back)
                while (--k && (s[k] & 0xc0) == 0x80) {}
            uint32_t const c = chord_char_at(s + k, s + rest->n);
            if (chord_char_is_space(char_code(c))) break;
            at = is_back ? k : k + char_bytes(c);
        }
        if (!most) at = is_back ? 0 : rest->n;
        val const left = of_string(r, s, at), right = of_string(r, s + at, rest->n - at);
        chord_vm_spend(r, rest->n / 64);
        chord_list_put(r, is_back ? right : left);
        rest = chord_string_strip(r, is_back ? left : right, &chord_none, !is_back, is_back);
    }
    for (uint32_t i = first, last = r->made.n; is_back && i + 1 < last--; i++) {
        val const one = r->made.v[i];
        r->made.v[i] = r->made.v[last];
        r->made.v[last] = one;
    }
    return chord_list_take(r, first, LIST);
}

val chord_m_split(vm *r, const val *a)
{
    bool const is_back = r->how & BACK;
    val s = a[0];
    val const sep = a[1];
    uint32_t const first = r->made.n;
    if (a[2]->kind != MISSING && !is_whole(a[2])) return chord_vm_refuse(r, "a number is needed, not", a[2]);
    int64_t most = a[2]->kind == MISSING || a[2]->i < 0 ? INT64_MAX : a[2]->i;
    if (!is_given(sep)) return split_blanks(r, s, most, is_back);
    if (!chord_string_check(r, sep)) return NOTHING;
    if (!sep->n) return fail(r, "a separator is empty");
    /* From the right: count first, and go from the left where the cut is the same. */
    if (is_back && most != INT64_MAX) {
        int64_t at = s->n;
        for (; most && (at = search(r, s, sep, at - (at < s->n ? (int64_t)sep->n : 0), true)) >= 0 &&
               r->status == CHORD_OK;
             most--)
            chord_list_put(r, of_int(r, at));
        val const places = chord_list_take(r, first, LIST);
        uint32_t begin = 0;
        for (uint32_t i = places->n; i-- && r->status == CHORD_OK;) {
            chord_list_put(r, of_string(r, s->s + begin, (uint64_t)places->v[i]->i - begin));
            begin = (uint32_t)places->v[i]->i + sep->n;
        }
        chord_list_put(r, of_string(r, s->s + begin, s->n - begin));
        return chord_list_take(r, first, LIST);
    }
    for (int64_t at; most && (at = search(r, s, sep, 0, false)) >= 0 && r->status == CHORD_OK; most--) {
        chord_list_put(r, of_string(r, s->s, (uint64_t)at));
        s = of_string(r, s->s + at + sep->n, s->n - (uint64_t)at - sep->n);
    }
    chord_list_put(r, s);
    return chord_list_take(r, first, LIST);
}

/* A line's end: \n, \r, \r\n, and what Unicode calls one. */
static uint32_t line_end(const char *s, const char *end)
{
    uint32_t const one = chord_char_at(s, end), c = char_code(one);
    if (c == '\r') return s + 1 < end && s[1] == '\n' ? 2 : 1;
    return (c >= '\n' && c <= '\f') || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029
               ? char_bytes(one)
               : 0;
}

static val lines(vm *r, val s, bool keep)
{
    uint32_t const first = r->made.n;
    uint32_t begin = 0, n;
    for (uint32_t i = 0; i < s->n && r->status == CHORD_OK; i += n ? n : 1) {
        n = line_end(s->s + i, s->s + s->n);
        if (!n) continue;
        chord_list_put(r, of_string(r, s->s + begin, i - begin + (keep ? n : 0)));
        begin = i + n;
    }
    if (begin < s->n) chord_list_put(r, of_string(r, s->s + begin, s->n - begin));
    return chord_list_take(r, first, LIST);
}
val chord_m_splitlines(vm *r, const val *a) { return lines(r, a[0], chord_value_truth(a[1])); }

static val join(vm *r, val all, val sep, val path, bool strict)
{
    val const list = chord_value_list(r, all);
    uint32_t const mark = r->out.n;
    for (uint32_t i = 0; i < list->n && r->status == CHORD_OK; i++) {
        if (i) chord_text_put(r, sep->s, sep->n);
        if (!strict || chord_string_check(r, list->v[i]))
            chord_write_text(r, chord_value_path(r, list->v[i], path));
    }
    return chord_text_take(r, mark);
}
val chord_f_join(vm *r, const val *a)
{
    return join(r, a[0], a[1]->kind == MISSING ? of_string(r, "", 0) : chord_write_string(r, a[1]), a[2],
                false);
}
val chord_m_join(vm *r, const val *a) { return join(r, a[1], a[0], NOTHING, true); }

val chord_m_replace(vm *r, const val *a)
{
    val const s = a[0], old = a[1], new = a[2];
    uint32_t const mark = r->out.n;
    uint32_t begin = 0;
    if (!chord_string_check(r, s) || !chord_string_check(r, old) || !chord_string_check(r, new))
        return NOTHING;
    if (a[3]->kind != MISSING && !is_whole(a[3])) return chord_vm_refuse(r, "a number is needed, not", a[3]);
    int64_t most = a[3]->kind != MISSING && a[3]->i >= 0 ? a[3]->i : INT64_MAX;
    for (int64_t at = 0; most && r->status == CHORD_OK; most--) {
        if ((at = search(r, s, old, at, false)) < 0) break;
        chord_text_put(r, s->s + begin, (uint64_t)at - begin);
        chord_text_put(r, new->s, new->n);
        begin = (uint32_t)at + old->n;
        at = begin;
        if (old->n) continue;
        if (at == s->n) break; /* an empty string is before each character and at the end */
        at += char_bytes(chord_char_at(s->s + at, s->s + s->n));
    }
    if (!begin && r->out.n == mark && !(old->n == 0 && most != INT64_MAX))
        return r->status == CHORD_OK ? s : NOTHING;
    chord_text_put(r, s->s + begin, s->n - begin);
    return chord_text_take(r, mark);
}
val chord_f_replace(vm *r, const val *a)
{
    val const args[4] = { chord_write_string(r, a[0]), chord_write_string(r, a[1]),
                          chord_write_string(r, a[2]), is_given(a[3]) ? a[3] : NOTHING };
    return chord_m_replace(r, args);
}

/* ---- layout ----------------------------------------------------------------------------------------- */

val chord_f_indent(vm *r, const val *a)
{
    if (!chord_string_check(r, a[0])) return NOTHING;
    val const s = a[0], width = a[1]->kind == MISSING ? of_int(r, 4) : a[1];
    val const blanks = width->kind == STRING ? width : chord_operate(r, '*', of_string(r, " ", 1), width);
    /* The filter adds a line end first, so that a text with one at its end has an empty last line. */
    val const all = lines(r, s, false);
    bool const has_end = s->n && s->s[s->n - 1] == '\n';
    uint32_t const mark = r->out.n;
    uint32_t const count = all->n + (has_end || !all->n);
    for (uint32_t i = 0; i < count && r->status == CHORD_OK; i++) {
        val const line = i < all->n ? all->v[i] : of_string(r, "", 0);
        if (i) chord_text_put1(r, '\n');
        if (i ? line->n || chord_value_truth(a[3]) : chord_value_truth(a[2]))
            chord_text_put(r, blanks->s, blanks->n);
        chord_text_put(r, line->s, line->n);
    }
    return chord_text_take(r, mark);
}

static val padded(vm *r, val s, val width, val fill, int64_t left_of_two)
{
    if (!is_whole(width)) return chord_vm_refuse(r, "a width can't be", width);
    if (fill->kind == MISSING) fill = of_string(r, " ", 1);
    if (!chord_string_check(r, fill)) return NOTHING;
    int64_t const length = chord_string_length(s), room = width->i > length ? width->i - length : 0;
    int64_t const left = left_of_two == 1 ? room / 2 + (room & width->i & 1) : left_of_two ? room : 0;
    uint32_t const mark = r->out.n;
    chord_text_repeat(r, fill->s, fill->n, left);
    chord_text_put(r, s->s, s->n);
    chord_text_repeat(r, fill->s, fill->n, room - left);
    return chord_text_take(r, mark);
}
val chord_f_center(vm *r, const val *a)
{
    return padded(r, chord_write_string(r, a[0]), a[1]->kind == MISSING ? of_int(r, 80) : a[1], NOTHING, 1);
}
val chord_m_just(vm *r, const val *a) { return padded(r, a[0], a[1], a[2], r->how); }
val chord_m_zfill(vm *r, const val *a)
{
    bool const has_sign = a[0]->n && (a[0]->s[0] == '-' || a[0]->s[0] == '+');
    val const digits = of_string(r, a[0]->s + has_sign, a[0]->n - has_sign);
    if (!is_whole(a[1])) return chord_vm_refuse(r, "a width can't be", a[1]);
    val const width = of_int(r, a[1]->i > INT64_MIN ? a[1]->i - has_sign : a[1]->i);
    return chord_string_join(r, of_string(r, a[0]->s, has_sign),
                             padded(r, digits, width, of_string(r, "0", 1), 2));
}

val chord_f_truncate(vm *r, const val *a)
{
    if (!chord_string_check(r, a[0])) return NOTHING;
    val const s = a[0], end = a[3]->kind == MISSING ? of_string(r, "...", 3) : a[3];
    int64_t const most = a[1]->kind == MISSING ? 255 : a[1]->i, leeway = is_given(a[4]) ? a[4]->i : 5;
    if ((a[1]->kind != MISSING && !is_whole(a[1])) || !chord_string_check(r, end))
        return fail(r, "truncate needs a length and an end");
    int64_t const room = most - chord_string_length(end);
    if (chord_string_length(s) <= most + leeway) return s;
    if (room < 0) return fail(r, "truncate's end is longer than its length");
    val const cut = of_string(r, s->s, chord_string_offset(s, room));
    int64_t const at = chord_value_truth(a[2]) ? -1 : search(r, cut, of_string(r, " ", 1), cut->n, true);
    return chord_string_join(r, at >= 0 ? of_string(r, s->s, (uint64_t)at) : cut, end);
}

val chord_f_wordcount(vm *r, const val *a)
{
    val const s = chord_write_string(r, a[0]);
    int64_t count = 0;
    bool in_word = false;
    uint32_t c, size;
    for (uint32_t i = 0; i < s->n; i += size) {
        c = chord_char_at(s->s + i, s->s + s->n);
        size = char_bytes(c);
        c = char_code(c);
        bool const is = is_alnum(c) || c == '_';
        count += is && !in_word;
        in_word = is;
    }
    return of_int(r, count);
}

val chord_f_escape(vm *r, const val *a)
{
    static const char from[] = "&<>\"'";
    static const char *const to[] = { "&amp;", "&lt;", "&gt;", "&#34;", "&#39;" };
    val const s = chord_write_string(r, a[0]);
    uint32_t const mark = r->out.n;
    for (uint32_t i = 0; i < s->n && r->status == CHORD_OK; i++) {
        int k = 0;
        while (from[k] && from[k] != s->s[i]) k++;
        if (from[k]) chord_text_put(r, to[k], chord_strlen(to[k]));
        else chord_text_put1(r, s->s[i]);
    }
    return chord_text_take(r, mark);
}

val chord_f_urlencode(vm *r, const val *a)
{
    if (a[0]->kind >= LIST) return chord_vm_refuse(r, "urlencode takes a string here, not", a[0]);
    val const s = chord_write_string(r, a[0]);
    uint32_t const mark = r->out.n;
    for (uint32_t i = 0; i < s->n && r->status == CHORD_OK; i++) {
        uint8_t const c = (uint8_t)s->s[i];
        bool const is_safe = is_digit(c) || (c < 0x80 && chord_char_is_letter(c)) || c == '_' || c == '.' ||
                             c == '-' || c == '~' || c == '/';
        char const code[3] = { is_safe ? (char)c : '%', "0123456789ABCDEF"[c >> 4],
                               "0123456789ABCDEF"[c & 15] };
        chord_text_put(r, code, is_safe ? 1 : 3);
    }
    return chord_text_take(r, mark);
}
