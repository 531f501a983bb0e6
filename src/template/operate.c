/* operate.c: binary operators, as in Python. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/host.h"
#include "program.h"

static val overflow(vm *r) { return fail(r, "a whole number doesn't fit 64 bits"); }

static bool multiply(int64_t a, int64_t b, int64_t *out)
{
    uint64_t const x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
    uint64_t size;
    bool const is_negative = (a < 0) != (b < 0);
    if (!chord_mul(x, y, &size) || size > (uint64_t)INT64_MAX + is_negative) return false;
    *out = (int64_t)(is_negative ? 0 - size : size);
    return true;
}

/* x mod y for x >= 0, y > 0, exactly: each difference is a double. */
static double modulo(double x, double y)
{
    while (x >= y) {
        double t = y;
        while (t <= x / 2) t *= 2;
        x -= t;
    }
    return x;
}

static val float_divide(vm *r, int op, double a, double b)
{
    if (b == 0) return fail(r, "a division by zero");
    if (op == '/') return of_float(r, a / b);
    double const size = b < 0 ? -b : b;
    double rest = a - a == 0 ? modulo(a < 0 ? -a : a, size) : __builtin_nan("");
    if (b - b != 0 && a - a == 0) rest = a < 0 ? -a : a;
    if (a < 0) rest = -rest;
    if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
    if (rest == 0) rest = __builtin_copysign(0.0, b);
    if (op == '%') return of_float(r, rest);
    double const whole = (a - rest) / b;
    double const near = __builtin_fabs(whole) < 4503599627370496.0
                            ? (double)(int64_t)(whole + (whole < 0 ? -0.5 : 0.5))
                            : whole;
    return of_float(r, near == 0 ? __builtin_copysign(0.0, a / b) : near);
}

static val int_divide(vm *r, int op, int64_t a, int64_t b)
{
    if (op == '/') return float_divide(r, op, (double)a, (double)b);
    if (!b) return fail(r, "a division by zero");
    if (b == -1) return op == '%' ? of_int(r, 0) : a == INT64_MIN ? overflow(r) : of_int(r, -a);
    int64_t const rest = a % b, is_off = rest != 0 && (rest < 0) != (b < 0);
    return of_int(r, op == '%' ? rest + (is_off ? b : 0) : a / b - is_off);
}

static val power(vm *r, val a, val b)
{
    if (is_whole(a) && is_whole(b) && b->i >= 0) {
        int64_t result = 1, base = a->i;
        for (int64_t e = b->i; e;) {
            if ((e & 1) && !multiply(result, base, &result)) return overflow(r);
            e >>= 1;
            if (e && !multiply(base, base, &base)) return overflow(r);
        }
        return of_int(r, result);
    }
    double const x = as_float(a), y = as_float(b);
    if (x == 0 && y < 0) return fail(r, "a division by zero");
    if (x < 0 && __builtin_fabs(y) < 9e15 && y != (double)chord_number_floor(y))
        return fail(r, "a power isn't a real number");
    return of_float(r, chord_host_pow(x, y));
}

static val arithmetic(vm *r, int op, val a, val b)
{
    bool const is_float = a->kind == FLOAT || b->kind == FLOAT;
    int64_t i;
    if (is_large(a) || is_large(b)) return overflow(r);
    if (op == TOKEN_POW) return power(r, a, b);
    if (op == '/' || op == '%' || op == TOKEN_FLOORDIV)
        return is_float ? float_divide(r, op, as_float(a), as_float(b)) : int_divide(r, op, a->i, b->i);
    if (is_float) {
        double const x = as_float(a), y = as_float(b);
        return of_float(r, op == '+' ? x + y : op == '-' ? x - y : x * y);
    }
    bool const fits = op == '+'   ? !__builtin_add_overflow(a->i, b->i, &i)
                      : op == '-' ? !__builtin_sub_overflow(a->i, b->i, &i)
                                  : multiply(a->i, b->i, &i);
    return fits ? of_int(r, i) : overflow(r);
}

static val repeat(vm *r, val v, int64_t times)
{
    uint32_t const first = r->made.n;
    uint32_t const mark = r->out.n;
    if (v->kind == STRING) {
        chord_text_repeat(r, v->s, v->n, times);
        return chord_text_take(r, mark);
    }
    if (!chord_vm_has_room(r, v->n * (uint64_t)sizeof(val), times)) return NOTHING;
    for (int64_t i = 0; i < times && v->n && chord_vm_spend(r, 1); i++)
        for (uint32_t k = 0; k < v->n; k++) chord_list_put(r, v->v[k]);
    return chord_list_take(r, first, v->kind);
}

static val joined(vm *r, val a, val b)
{
    if (a->kind == STRING) return chord_string_join(r, a, b);
    uint32_t const first = r->made.n;
    for (uint32_t i = 0; i < a->n; i++) chord_list_put(r, a->v[i]);
    for (uint32_t i = 0; i < b->n; i++) chord_list_put(r, b->v[i]);
    return chord_list_take(r, first, a->kind);
}

static val compare(vm *r, int op, val a, val b)
{
    int const order = chord_value_compare(r, a, b);
    switch (order == 2 ? 0 : op) { /* nothing holds of NaN */
    case '<': return of_bool(order < 0);
    case '>': return of_bool(order > 0);
    case TOKEN_LE: return of_bool(order <= 0);
    case TOKEN_GE: return of_bool(order >= 0);
    default: return of_bool(false);
    }
}

val chord_operate(vm *r, int op, val a, val b)
{
    bool const is_sequence = a->kind == STRING || a->kind == LIST || a->kind == TUPLE;
    switch (op) {
    case TOKEN_EQ: return of_bool(chord_value_equal(r, a, b));
    case TOKEN_NE: return of_bool(!chord_value_equal(r, a, b));
    case TOKEN_IN: return of_bool(chord_value_in(r, a, b));
    case TOKEN_NOT_IN: return of_bool(!chord_value_in(r, a, b));
    case '<':
    case '>':
    case TOKEN_LE:
    case TOKEN_GE: return compare(r, op, a, b);
    default: break;
    }
    if (op == '%' && a->kind == STRING) return chord_format_percent(r, a, b);
    if (a->kind == UNDEFINED || b->kind == UNDEFINED)
        return chord_vm_refuse(r, "", a->kind == UNDEFINED ? a : b);
    if (is_number(a) && is_number(b)) return arithmetic(r, op, a, b);
    if (op == '+' && is_sequence && a->kind == b->kind) return joined(r, a, b);
    if (op == '*' && is_sequence && is_whole(b)) return repeat(r, a, b->i);
    if (op == '*' && (b->kind == STRING || b->kind == LIST || b->kind == TUPLE) && is_whole(a))
        return repeat(r, b, a->i);
    return chord_vm_refuse(r, "an operator doesn't take",
                           is_number(a) || (is_sequence && a->kind != b->kind) ? b : a);
}
