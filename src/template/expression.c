/* expression.c: expressions, straight to instructions. The code of `a if b else c` is turned round when `if`
 * is met; jumps are relative, so code can move. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/host.h"
#include "program.h"

static void unary(chord_parser *p, bool with_filters);

/* ---- literals --------------------------------------------------------------------------------------- */

static uint32_t hex(const char *s, uint32_t n, uint32_t radix, uint32_t *used)
{
    uint32_t code = 0, i = 0;
    for (; i < n; i++) {
        uint32_t const c = (uint8_t)s[i],
                       d = c - '0' <= 9 ? c - '0' : ((c | 32) - 'a' <= 5 ? (c | 32) - 'a' + 10 : 99);
        if (d >= radix) break;
        code = code * radix + d;
    }
    *used = i;
    return code;
}

static uint32_t put_utf8(char *d, uint32_t c)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) c = 0xfffd;
    uint32_t const n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (uint32_t i = n; --i; c >>= 6) d[i] = (char)(0x80 | (c & 0x3f));
    d[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xf0) | c);
    return n;
}

/* Writes the string of a literal; no escape is shorter than its character. Returns its bytes. */
static uint32_t unescape(chord_parser *p, const char *s, uint32_t n, char *d)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    uint32_t at = 0, used;
    for (uint32_t i = 0; i < n; i++) {
        if (s[i] != '\\' || i + 1 == n) {
            d[at++] = s[i];
            continue;
        }
        char const c = s[++i];
        int k = 0;
        while (from[k] && from[k] != c) k++;
        uint32_t const digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        if (from[k]) {
            d[at++] = to[k];
        } else if (digits) {
            uint32_t const left = n - i - 1, code = hex(s + i + 1, left < digits ? left : digits, 16, &used);
            if (used < digits) chord_parse_fail(p, "a string has an unfinished escape");
            at += put_utf8(d + at, code);
            i += used;
        } else if (c >= '0' && c <= '7') {
            at += put_utf8(d + at, hex(s + i, n - i < 3 ? n - i : 3, 8, &used));
            i += used - 1;
        } else if (c != '\n') { /* any other backslash stays */
            d[at++] = '\\';
            d[at++] = c;
        }
    }
    return at;
}

/* Strings side by side are one. */
static void string_literal(chord_parser *p)
{
    chord_place const begin = p->at;
    uint32_t total = 0, n = 0;
    bool is_plain = true;
    do {
        total += p->at.t.n;
        for (uint32_t i = 0; i < p->at.t.n; i++) is_plain &= p->at.t.s[i] != '\\';
        n++;
        chord_parse_next(p);
    } while (p->at.t.kind == TOKEN_STRING);
    if (n == 1 && is_plain) {
        chord_parse_string(p, begin.t.s, begin.t.n);
        chord_parse_constant(p, OP_CONST);
        return;
    }
    char *const d = chord_arena_take(p->arena, total, 1);
    if (!d) {
        p->status = CHORD_OUT_OF_MEMORY;
        return;
    }
    uint32_t at = 0;
    p->at = begin;
    for (; p->at.t.kind == TOKEN_STRING; chord_parse_next(p)) at += unescape(p, p->at.t.s, p->at.t.n, d + at);
    chord_parse_string(p, d, at);
    chord_parse_constant(p, OP_CONST);
}

static void push(chord_parser *p, int kind, int64_t i)
{
    chord_parse_literal(p, kind, i);
    chord_parse_constant(p, OP_CONST);
}

/* Pushes the number at the current token. */
static void number_literal(chord_parser *p)
{
    chord_token const t = p->at.t;
    uint64_t whole = 0;
    uint32_t i = 0, radix = 10;
    chord_parse_next(p);
    if (t.kind == TOKEN_FLOAT) {
        chord_parse_literal(p, FLOAT, 0);
        /* Digits may have low lines between them, which the host doesn't know. */
        char *const digits = chord_arena_take(p->arena, t.n, 1);
        uint32_t n = 0;
        if (!digits) {
            p->status = CHORD_OUT_OF_MEMORY;
            return;
        }
        for (; i < t.n; i++)
            if (t.s[i] != '_') digits[n++] = t.s[i];
        p->v.f = chord_host_parse(digits, n);
        chord_parse_constant(p, OP_CONST);
        return;
    }
    if (t.n > 2 && t.s[1] > '9' && t.s[1] != '_') {
        radix = (t.s[1] | 32) == 'x' ? 16 : (t.s[1] | 32) == 'o' ? 8 : 2;
        i = 2;
    }
    for (uint32_t used; i < t.n; i++) {
        if (t.s[i] == '_') continue;
        uint32_t const d = hex(t.s + i, 1, radix, &used);
        if (!used) chord_parse_fail(p, "a number has a wrong digit");
        if (!chord_mul(whole, radix, &whole) || !chord_add(whole, d, &whole) || whole > INT64_MAX) {
            chord_parse_fail(p, "a whole number doesn't fit 64 bits");
            break;
        }
    }
    push(p, INT, (int64_t)whole);
}

/* ---- primaries -------------------------------------------------------------------------------------- */

static bool name_literal(chord_parser *p)
{
    static const char *const names[] = { "true", "True", "false", "False", "none", "None" };
    for (int i = 0; i < 6; i++)
        if (chord_parse_word(p, names[i])) {
            push(p, i < 4 ? BOOL : NONE, i < 2);
            return true;
        }
    return false;
}

static void elements(chord_parser *p, int kind, int close)
{
    int32_t n = 0;
    while (!chord_parse_take(p, close) && p->status == CHORD_OK) {
        if (n++) {
            chord_parse_expect(p, ',', "a comma is missing");
            if (chord_parse_take(p, close)) {
                n--;
                break;
            }
        }
        chord_parse_expression(p, true);
        if (kind == DICT) {
            chord_parse_expect(p, ':', "a mapping's key needs a colon");
            chord_parse_expression(p, true);
        }
    }
    chord_code_emit(p, OP_BUILD, kind, n);
}

static void primary(chord_parser *p)
{
    switch (p->at.t.kind) {
    case TOKEN_NAME:
        if (name_literal(p)) return;
        chord_code_emit(p, OP_LOAD, 0, chord_parse_variable(p));
        return;
    case TOKEN_STRING: string_literal(p); return;
    case TOKEN_INT:
    case TOKEN_FLOAT: number_literal(p); return;
    case '(':
        chord_parse_next(p);
        if (chord_parse_take(p, ')')) {
            chord_code_emit(p, OP_BUILD, TUPLE, 0);
            return;
        }
        chord_parse_tuple(p, true);
        chord_parse_expect(p, ')', "a bracket isn't closed");
        return;
    case '[':
        chord_parse_next(p);
        elements(p, LIST, ']');
        return;
    case '{':
        chord_parse_next(p);
        elements(p, DICT, '}');
        return;
    default: chord_parse_fail(p, "an expression is missing");
    }
}

/* The arguments of a call, behind the open bracket. Returns the instruction, which isn't emitted yet. */
static chord_instruction arguments(chord_parser *p)
{
    chord_instruction call = { .op = OP_CALL };
    uint32_t n = 0;
    while (!chord_parse_take(p, ')') && p->status == CHORD_OK) {
        if (n++) {
            chord_parse_expect(p, ',', "a comma is missing");
            if (chord_parse_take(p, ')')) break;
        }
        bool const is_named = p->at.t.kind == TOKEN_NAME && p->at.ahead.kind == '=';
        bool const stars = chord_parse_take(p, TOKEN_POW), star = !stars && chord_parse_take(p, '*');
        if (call.c & CALL_STARS || (call.c & CALL_STAR && !is_named && !stars) ||
            (call.a && !is_named && !stars) || n > 200)
            chord_parse_fail(p, "arguments are in an order that isn't supported");
        if (is_named) {
            chord_parse_name(p);
            chord_parse_constant(p, OP_CONST);
            chord_parse_next(p);
        } else if (stars) {
            push(p, NONE, 0);
        }
        chord_parse_expression(p, true);
        call.a += is_named || stars;
        call.b += !is_named && !stars;
        call.c |= (stars ? CALL_STARS : 0) | (star ? CALL_STAR : 0);
    }
    return call;
}

static void emit_call(chord_parser *p, chord_instruction call, int op, int32_t c)
{
    int32_t const i = chord_code_emit(p, op, call.b, c);
    if (i >= 0) p->code[i].a = call.a;
    if (op != OP_CALL && call.c) chord_parse_fail(p, "a filter's arguments can't be unpacked");
}

static void subscript(chord_parser *p)
{
    int32_t n = 0;
    bool is_slice = false;
    do {
        if (n++ && p->at.t.kind == ']') {
            n--;
            break;
        }
        if (p->at.t.kind != ':') chord_parse_expression(p, true);
        else push(p, MISSING, 0);
        int parts = 1;
        for (; chord_parse_take(p, ':') && parts < 4; parts++) {
            is_slice = true;
            if (p->at.t.kind == ':' || p->at.t.kind == ']' || p->at.t.kind == ',') push(p, MISSING, 0);
            else chord_parse_expression(p, true);
        }
        for (; is_slice && parts < 3; parts++) push(p, MISSING, 0);
    } while (chord_parse_take(p, ',') && p->status == CHORD_OK);
    chord_parse_expect(p, ']', "a bracket isn't closed");
    if (is_slice && n > 1) chord_parse_fail(p, "several slices at once");
    if (n > 1) chord_code_emit(p, OP_BUILD, TUPLE, n);
    chord_code_emit(p, is_slice ? OP_SLICE : OP_ITEM, 0, 0);
}

static void attribute(chord_parser *p)
{
    if (p->at.t.kind == TOKEN_INT) {
        number_literal(p);
        chord_code_emit(p, OP_ITEM, 0, 0);
        return;
    }
    chord_parse_name(p);
    p->v.id = chord_names_find(p->v.s, p->v.n, ~(uint32_t)(IS_FILTER | IS_TEST | IS_GLOBAL)) == 0;
    chord_parse_constant(p, OP_ATTR);
}

/* A call of what stands before the parenthesis. */
static void call(chord_parser *p)
{
    chord_instruction const given = arguments(p);
    emit_call(p, given, OP_CALL, given.c);
}

static void postfix(chord_parser *p)
{
    while (p->status == CHORD_OK) {
        if (chord_parse_take(p, '.')) attribute(p);
        else if (chord_parse_take(p, '[')) subscript(p);
        else if (chord_parse_take(p, '(')) call(p);
        else return;
    }
}

/* ---- filters and tests ------------------------------------------------------------------------------ */

/* The name of a filter or test may have points. */
static chord_value dotted_name(chord_parser *p)
{
    chord_parse_name(p);
    chord_value name = p->v;
    while (chord_parse_take(p, '.')) {
        chord_parse_name(p);
        name.n = (uint32_t)(p->v.s + p->v.n - name.s);
    }
    return name;
}

static void emit_named(chord_parser *p, chord_value name, chord_instruction call, int op, uint32_t kind)
{
    int32_t const id = chord_names_find(name.s, name.n, kind);
    p->v = name;
    if (id) emit_call(p, call, op, id);
    else chord_parse_constant(p, op == OP_TEST ? OP_NO_TEST : OP_NO_FILTER);
}

static void filter(chord_parser *p)
{
    chord_instruction call = { .op = OP_FILTER };
    chord_value const name = dotted_name(p);
    if (chord_parse_take(p, '(')) call = arguments(p);
    emit_named(p, name, call, OP_FILTER, IS_FILTER);
}

void chord_parse_filters(chord_parser *p, bool open)
{
    if (open) filter(p);
    while (chord_parse_take(p, '|') && p->status == CHORD_OK) filter(p);
}

static void test(chord_parser *p)
{
    chord_instruction call = { .op = OP_TEST };
    bool const is_not = chord_parse_word(p, "not");
    chord_value const name = dotted_name(p);
    int32_t const k = p->at.t.kind;
    if (chord_parse_take(p, '(')) {
        call = arguments(p);
    } else if ((k == TOKEN_NAME && !chord_parse_is(p, "else") && !chord_parse_is(p, "or") &&
                !chord_parse_is(p, "and")) ||
               k == TOKEN_STRING || k == TOKEN_INT || k == TOKEN_FLOAT || k == '[' || k == '{') {
        if (chord_parse_is(p, "is")) chord_parse_fail(p, "tests can't be chained with `is`");
        primary(p);
        postfix(p);
        call.b = 1;
    }
    emit_named(p, name, call, OP_TEST, IS_TEST);
    if (is_not) chord_code_emit(p, OP_UNARY, '!', 0);
}

static void unary(chord_parser *p, bool with_filters)
{
    int32_t const sign = p->at.t.kind;
    if (!chord_parse_down(p)) return;
    if (sign == '-' || sign == '+') {
        chord_parse_next(p);
        unary(p, false);
        chord_code_emit(p, OP_UNARY, sign, 0);
    } else {
        primary(p);
    }
    postfix(p);
    while (with_filters && p->status == CHORD_OK) {
        if (chord_parse_take(p, '|')) filter(p);
        else if (chord_parse_word(p, "is")) test(p);
        else if (chord_parse_take(p, '(')) call(p);
        else break;
    }
    p->depth--;
}

/* ---- operators -------------------------------------------------------------------------------------- */

static int strength(int32_t kind)
{
    switch (kind) {
    case '+':
    case '-': return 1;
    case '~': return 2;
    case '*':
    case '/':
    case '%':
    case TOKEN_FLOORDIV: return 3;
    case TOKEN_POW: return 4; /* groups from the left, as in Jinja2 */
    default: return 0;
    }
}

static void arithmetic(chord_parser *p, int least)
{
    unary(p, true);
    for (int32_t op; strength(op = p->at.t.kind) >= least && p->status == CHORD_OK;) {
        chord_parse_next(p);
        arithmetic(p, strength(op) + 1);
        if (op == '~') chord_code_emit(p, OP_CONCAT, 0, 2);
        else chord_code_emit(p, OP_BINARY, op, 0);
    }
}

/* Returns the comparison at the current token and goes past it, or 0. */
static int32_t comparison(chord_parser *p)
{
    int32_t const kind = p->at.t.kind;
    if (kind == '<' || kind == '>' || (kind >= TOKEN_EQ && kind <= TOKEN_GE)) {
        chord_parse_next(p);
        return kind;
    }
    if (chord_parse_word(p, "in")) return TOKEN_IN;
    chord_token const ahead = p->at.ahead;
    if (!chord_parse_is(p, "not") || ahead.kind != TOKEN_NAME || ahead.n != 2 ||
        !chord_equal(ahead.s, "in", 2))
        return 0;
    chord_parse_next(p);
    chord_parse_next(p);
    return TOKEN_NOT_IN;
}

static void comparisons(chord_parser *p)
{
    int32_t chain = -1; /* the last OP_CHAIN, which names the one before until all land */
    arithmetic(p, 1);
    int32_t op = comparison(p);
    while (op && p->status == CHORD_OK) {
        arithmetic(p, 1);
        int32_t const next = comparison(p);
        int32_t const i = chord_code_emit(p, next ? OP_CHAIN : OP_BINARY, op, chain);
        if (next) chain = i;
        op = next;
    }
    while (chain >= 0 && p->status == CHORD_OK) {
        int32_t const before = p->code[chain].c;
        chord_code_land(p, chain);
        chain = before;
    }
}

static void negation(chord_parser *p)
{
    bool is_not = false, any = false;
    for (; chord_parse_word(p, "not"); any = true) is_not = !is_not;
    comparisons(p);
    if (any && !is_not) chord_code_emit(p, OP_UNARY, '!', 0); /* two make a boolean */
    if (any) chord_code_emit(p, OP_UNARY, '!', 0);
}

static void conjunction(chord_parser *p)
{
    negation(p);
    while (chord_parse_word(p, "and")) {
        int32_t const jump = chord_code_emit(p, OP_AND, 0, 0);
        negation(p);
        chord_code_land(p, jump);
    }
}

static void disjunction(chord_parser *p)
{
    conjunction(p);
    while (chord_parse_word(p, "or")) {
        int32_t const jump = chord_code_emit(p, OP_OR, 0, 0);
        conjunction(p);
        chord_code_land(p, jump);
    }
}

static void turn(chord_instruction *code, int32_t begin, int32_t end)
{
    for (end--; begin < end; begin++, end--) {
        chord_instruction const one = code[begin];
        code[begin] = code[end];
        code[end] = one;
    }
}

/* The code [begin, middle) is the value, [middle, n_code) the condition, which must come first. */
static void condition(chord_parser *p, int32_t begin, int32_t middle)
{
    int32_t const jump = chord_code_emit(p, OP_JUMP_IF_NOT, 0, 0), end = p->n_code;
    if (jump < 0) return;
    turn(p->code, begin, middle);
    turn(p->code, middle, end);
    turn(p->code, begin, end);
    int32_t const over = chord_code_emit(p, OP_JUMP, 0, 0);
    chord_code_land(p, begin + (end - middle) - 1);
    if (chord_parse_word(p, "else")) chord_parse_expression(p, true);
    else push(p, UNDEFINED, 0);
    chord_code_land(p, over);
}

void chord_parse_expression(chord_parser *p, bool with_if)
{
    if (!chord_parse_down(p)) return;
    int32_t const begin = p->n_code;
    disjunction(p);
    while (with_if && chord_parse_word(p, "if")) {
        int32_t const middle = p->n_code;
        disjunction(p);
        condition(p, begin, middle);
    }
    p->depth--;
}

static bool ends_tuple(const chord_parser *p)
{
    int32_t const k = p->at.t.kind;
    return k == TOKEN_CLOSE || k == TOKEN_CLOSE_VALUE || k == ')' || k == '=' ||
           chord_parse_is(p, "recursive");
}

void chord_parse_tuple(chord_parser *p, bool with_if)
{
    int32_t n = 1;
    bool is_tuple = false;
    chord_parse_expression(p, with_if);
    while (chord_parse_take(p, ',') && p->status == CHORD_OK) {
        is_tuple = true;
        if (ends_tuple(p)) break;
        chord_parse_expression(p, with_if);
        n++;
    }
    if (is_tuple) chord_code_emit(p, OP_BUILD, TUPLE, n);
}
