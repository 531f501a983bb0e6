/* vm.c: runs a template's program. One instruction at a time, with stacks of its own: a run can stop between
 * any two. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

enum { FRAME_LOOP, FRAME_CAPTURE, FRAME_CALL };

/* ---- stacks and scopes ------------------------------------------------------------------------------ */

static void push(vm *r, val v)
{
    if (r->sp == CHORD_TEMPLATE_STACK) fail(r, "too many values at once");
    else r->stack[r->sp++] = v;
}
static val pop(vm *r) { return r->stack[--r->sp]; }

static chord_frame *enter(vm *r, int kind)
{
    static const chord_frame none;
    chord_frame *const f = &r->frames[r->n_frames];
    if (r->n_frames == CHORD_TEMPLATE_FRAMES) {
        fail(r, "macros, loops or blocks are nested too deep");
        return NULL;
    }
    r->n_frames++;
    *f = none;
    f->kind = (uint8_t)kind;
    f->pc = r->pc;
    f->captured = r->out.n;
    f->scope = r->scope;
    return f;
}

static void open_scope(vm *r, chord_scope *parent)
{
    chord_scope *const s = chord_vm_take(r, 1, sizeof *s);
    if (!s) return;
    *s = (chord_scope){ .parent = parent };
    r->scope = s;
}

static val *find(chord_scope *s, int32_t id)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->at[i].id == id) return &s->at[i].v;
    return NULL;
}

static void store(vm *r, int32_t id, val v)
{
    chord_scope *const s = r->scope;
    val *const old = find(s, id);
    chord_vm_spend(r, s->n / 8);
    if (old) {
        *old = v;
        return;
    }
    if (s->n == s->cap) {
        chord_binding *const at = chord_vm_take(r, 2 * (size_t)s->cap + 4, sizeof *at);
        if (!at) return;
        chord_copy(at, s->at, s->n * sizeof *at);
        s->at = at;
        s->cap = 2 * s->cap + 4;
    }
    s->at[s->n++] = (chord_binding){ id, v };
}

static val load(vm *r, int32_t id)
{
    for (chord_scope *s = r->scope; s; s = s->parent) {
        val const *v = find(s, id);
        if (!chord_vm_spend(r, s->n / 8)) break;
        if (v) return (*v)->kind == MISSING ? &chord_undefined : *v;
    }
    return r->context[id];
}

/* What was written since the frame began, as a string. */
static val captured(vm *r, const chord_frame *f) { return chord_text_take(r, f->captured); }

/* ---- loops ------------------------------------------------------------------------------------------ */

static val element(vm *r, const chord_loop *l, uint32_t i)
{
    return l->range ? of_int(r, l->range[0] + i * l->range[1]) : l->items[i];
}

static void begin_loop(vm *r, val over, int32_t flags, bool is_call)
{
    int32_t depth = 0;
    if (is_call)
        for (uint32_t i = r->n_frames; i--;)
            if (r->frames[i].kind == FRAME_LOOP && r->frames[i].loop->at == r->pc) {
                depth = r->frames[i].loop->depth + 1;
                break;
            }
    bool const is_range = over->kind == RANGE;
    val const items = is_range ? over : chord_value_list(r, over);
    chord_frame *const f = r->status == CHORD_OK ? enter(r, FRAME_LOOP) : NULL;
    chord_loop *const l = f ? chord_vm_take(r, 1, sizeof *l) : NULL;
    if (!l) return;
    *l = (chord_loop){ .items = is_range ? NULL : items->v,
                       .n = is_range ? (uint32_t)over->range[2] : items->n,
                       .i = UINT32_MAX,
                       .flags = (uint8_t)flags,
                       .is_call = is_call,
                       .depth = depth,
                       .at = r->pc,
                       .outer = r->scope };
    l->range = is_range ? over->range : NULL;
    l->changed = NOTHING;
    /* A condition selects elements as the loop goes. It selects all first if the body names `loop`, because
     * loop.last and loop.length count what was selected. */
    if ((flags & FOR_TEST) && (flags & FOR_LOOP)) {
        l->pass = 1;
        l->kept = chord_vm_take(r, l->n, sizeof(val));
    }
    f->loop = l;
}

/* The condition of a loop doesn't know its `loop`: there the name is that of the loop outside. */
static void bind_loop(vm *r, chord_loop *l)
{
    if (!(l->flags & FOR_LOOP)) return;
    chord_value *const loop = chord_value_new(r, LOOP);
    loop->depth = 1;
    loop->loop = l;
    store(r, WORD_LOOP, loop);
}

/* False if there is no element. */
static bool next_element(vm *r)
{
    chord_loop *const l = r->frames[r->n_frames - 1].loop;
    if (l->next == l->n && l->pass == 1) {
        l->items = l->kept;
        l->range = NULL;
        l->n = l->n_kept;
        l->next = 0;
        l->pass = 2;
    }
    if (l->next == l->n) return false;
    /* An iteration begins without the names of the one before. */
    if (l->own && !l->own->is_kept) {
        r->scope = l->own;
        l->own->n = 0;
    } else {
        open_scope(r, l->outer);
        l->own = r->scope;
    }
    val const v = element(r, l, l->next++);
    if (!(l->flags & FOR_TEST) || l->pass == 2) l->i++;
    if (!(l->flags & FOR_TEST)) bind_loop(r, l);
    push(r, v);
    return true;
}

/* True if the body may run with the element. */
static bool select_element(vm *r, bool holds)
{
    chord_loop *const l = r->frames[r->n_frames - 1].loop;
    if (!holds) return false;
    if (l->pass == 1) {
        if (l->kept) l->kept[l->n_kept++] = element(r, l, l->next - 1);
        return false;
    }
    l->i++;
    bind_loop(r, l);
    return true;
}

val chord_loop_attribute(vm *r, const chord_loop *l, val name)
{
    int64_t const i = l->i, n = l->n;
    static const char *const names[] = { "index",  "index0", "revindex", "revindex0", "first",   "last",
                                         "length", "depth",  "depth0",   "previtem",  "nextitem" };
    size_t k = 0;
    while (k < sizeof names / sizeof *names && !chord_value_is(name, names[k])) k++;
    switch (k) {
    case 0: return of_int(r, i + 1);
    case 1: return of_int(r, i);
    case 2: return of_int(r, n - i);
    case 3: return of_int(r, n - i - 1);
    case 4: return of_bool(i == 0);
    case 5: return of_bool(i == n - 1);
    case 6: return of_int(r, n);
    case 7: return of_int(r, l->depth + 1);
    case 8: return of_int(r, l->depth);
    case 9: return i > 0 ? element(r, l, l->i - 1) : &chord_undefined;
    case 10: return i + 1 < n ? element(r, l, l->i + 1) : &chord_undefined;
    default: return NOTHING;
    }
}

/* ---- calls ------------------------------------------------------------------------------------------ */

/* Returns from a macro, or from a loop that was called. */
static void return_call(vm *r)
{
    chord_frame const f = r->frames[--r->n_frames];
    val const text = captured(r, &f);
    r->pc = f.pc;
    r->scope = f.scope;
    push(r, text);
}

/* Binds the arguments of a macro in a new scope. The named ones are pairs. */
static void call_macro(vm *r, val callee, const val *args, uint32_t n, const val *kw, uint32_t n_kw)
{
    chord_macro const *m = &r->program->macros[callee->n];
    int32_t const *params = m->n ? r->program->params + m->first : NULL;
    if (!enter(r, FRAME_CALL)) return;
    open_scope(r, callee->scope);
    if (r->status != CHORD_OK) return;
    uint32_t const more = r->made.n;
    for (uint32_t i = 0; i < n; i++) {
        if (i < (uint32_t)m->n) store(r, params[i], args[i]);
        else chord_list_put(r, args[i]);
    }
    uint32_t const named = r->made.n;
    /* A parameter hides the name outside even while it has no value. */
    for (uint32_t i = n; i < (uint32_t)m->n; i++) store(r, params[i], NOTHING);
    if (named > more && !(m->uses & MACRO_VARARGS)) fail(r, "a macro gets too many arguments");
    bool has_caller = false;
    for (uint32_t i = 0; i < n_kw; i++) {
        val const name = kw[2 * i];
        int32_t at = 0;
        while (at < m->n && !(r->program->words[params[at]].n == name->n &&
                              chord_equal(r->program->words[params[at]].s, name->s, name->n)))
            at++;
        if (at < m->n) {
            if (r->status == CHORD_OK && (*find(r->scope, params[at]))->kind != MISSING)
                chord_vm_fail(r, "a macro gets an argument twice:", name->s, name->n);
            store(r, params[at], kw[2 * i + 1]);
        } else if (chord_value_is(name, "caller") && (m->uses & MACRO_CALLER)) {
            store(r, WORD_CALLER, kw[2 * i + 1]);
            has_caller = true;
        } else if (m->uses & MACRO_KWARGS) {
            chord_dict_put(r, named, name, kw[2 * i + 1]);
        } else {
            chord_vm_fail(r, "a macro has no parameter", name->s, name->n);
        }
    }
    if (m->uses & MACRO_KWARGS) store(r, WORD_KWARGS, chord_list_take(r, named, DICT));
    if (m->uses & MACRO_VARARGS) store(r, WORD_VARARGS, chord_list_take(r, more, TUPLE));
    if ((m->uses & MACRO_CALLER) && !has_caller) store(r, WORD_CALLER, &chord_undefined);
    r->pc = m->entry;
}

static void call(vm *r, const chord_instruction *in)
{
    uint32_t n_kw = in->a, n = in->b;
    r->sp -= 2 * n_kw + n + 1;
    val const callee = r->stack[r->sp];
    val const *args = r->stack + r->sp + 1, *kw = args + n;
    uint32_t const first = r->made.n;
    if (in->c & CALL_STAR) {
        for (uint32_t i = 0; i + 1 < n; i++) chord_list_put(r, args[i]);
        val const more = chord_value_list(r, args[n - 1]);
        for (uint32_t i = 0; i < more->n; i++) chord_list_put(r, more->v[i]);
        val const all = chord_list_take(r, first, LIST);
        args = all->v;
        n = all->n;
    }
    if (in->c & CALL_STARS) {
        val const more = kw[2 * n_kw - 1];
        if (more->kind != DICT) chord_vm_refuse(r, "named arguments can't come from", more);
        for (uint32_t i = 0; i < 2 * n_kw - 2; i++) chord_list_put(r, kw[i]);
        for (uint32_t i = 0; more->kind == DICT && i < 2 * more->n; i++) chord_list_put(r, more->v[i]);
        val const named = chord_list_take(r, first, LIST);
        kw = named->v;
        n_kw = named->n / 2;
    }
    if (r->status != CHORD_OK) return;
    if (n > 1000) {
        fail(r, "too many arguments");
        return;
    }
    r->kw = kw;
    r->n_kw = n_kw;
    if (callee->kind == MACRO) {
        call_macro(r, callee, args, n, kw, n_kw);
    } else if (callee->kind == LOOP) {
        if (!(callee->loop->flags & FOR_RECURSIVE) || n != 1 || n_kw) {
            fail(r, "a loop is called that isn't recursive");
            return;
        }
        val const over = args[0];
        if (!enter(r, FRAME_CALL)) return;
        r->pc = callee->loop->at;
        r->scope = callee->loop->outer;
        begin_loop(r, over, callee->loop->flags, true);
        r->pc++;
    } else if (callee->kind == FUNCTION || callee->kind == METHOD) {
        /* The callee's place becomes the object's: functions take it before their arguments. */
        bool const is_method = callee->kind == METHOD;
        val *const a = args == r->stack + r->sp + 1 ? r->stack + r->sp : chord_vm_take(r, n + 1, sizeof *a);
        if (!a) return;
        if (a != r->stack + r->sp) chord_copy(a + 1, args, n * sizeof *a);
        a[0] = is_method ? callee->of : NOTHING;
        push(r, chord_names_call(r, is_method ? callee->id : (int32_t)callee->i, a, (int)n + 1));
    } else if (callee->kind == JOINER && !n && !n_kw) {
        push(r, callee->n ? callee->of : of_string(r, "", 0));
        chord_value_edit(callee)->n = 1;
    } else {
        chord_vm_refuse(r, "only functions and macros can be called, not", callee);
    }
}

static void filter(vm *r, const chord_instruction *in)
{
    r->sp -= 2u * in->a + in->b + 1;
    r->kw = r->stack + r->sp + 1 + in->b;
    r->n_kw = in->a;
    push(r, chord_names_call(r, in->c, r->stack + r->sp, in->b + 1));
}

/* ---- instructions ----------------------------------------------------------------------------------- */

static void unpack(vm *r, int32_t n)
{
    val const all = chord_value_list(r, pop(r));
    if (r->status == CHORD_OK && all->n != (uint32_t)n)
        fail(r, "a value has not as many elements as names take them");
    for (int32_t i = n; i-- && r->status == CHORD_OK;) push(r, all->v[i]);
}

static void build(vm *r, int kind, int32_t n)
{
    uint32_t const first = r->made.n;
    uint32_t const count = (uint32_t)n * (kind == DICT ? 2 : 1);
    r->sp -= count;
    for (uint32_t i = 0; i < count && r->status == CHORD_OK; i++) {
        val const v = r->stack[r->sp + i];
        if (kind != DICT) chord_list_put(r, v);
        else if (i & 1) chord_dict_put(r, first, r->stack[r->sp + i - 1], v);
    }
    push(r, chord_list_take(r, first, kind));
}

static void set_attribute(vm *r, val name)
{
    val const space = pop(r), v = pop(r);
    if (space->kind != NAMESPACE) {
        chord_vm_refuse(r, "only a namespace's attributes can be set, not those of", space);
        return;
    }
    val const old = space->of;
    uint32_t const first = r->made.n;
    for (uint32_t i = 0; i < old->n; i++)
        if (chord_value_equal(r, old->v[2 * i], name)) {
            old->v[2 * i + 1] = v;
            return;
        }
    for (uint32_t i = 0; i < 2 * old->n; i++) chord_list_put(r, old->v[i]);
    chord_dict_put(r, first, name, v);
    chord_value_edit(space)->of = chord_flat(r, chord_list_take(r, first, DICT));
}

static void negate(vm *r, int op)
{
    val v = pop(r);
    if (op == '!') v = of_bool(!chord_value_truth(v));
    else if (v->kind == FLOAT && !v->n) v = op == '-' ? of_float(r, -v->f) : v;
    else if (!is_number(v)) v = chord_vm_refuse(r, "no number to give a sign:", v);
    else if (is_large(v) || (op == '-' && v->i == INT64_MIN))
        v = fail(r, "a whole number doesn't fit 64 bits");
    else v = of_int(r, op == '-' ? -v->i : v->i);
    push(r, v);
}

static void run_one(vm *r)
{
    const chord_instruction *const in = &r->program->code[r->pc];
    const chord_value *const constants = r->program->constants;
    int32_t const jump = r->pc + in->c;
    r->line = in->line;
    switch (in->op) {
    case OP_END: r->status = CHORD_DONE; return;
    case OP_TEXT: chord_text_put(r, constants[in->c].s, constants[in->c].n); break;
    case OP_PRINT: chord_write_text(r, pop(r)); break;
    case OP_CONST: push(r, &constants[in->c]); break;
    case OP_LOAD: push(r, load(r, in->c)); break;
    case OP_STORE: store(r, in->c, pop(r)); break;
    case OP_ATTR: push(r, chord_value_attribute(r, pop(r), &constants[in->c])); break;
    case OP_SETATTR: set_attribute(r, &constants[in->c]); break;
    case OP_ITEM: {
        val const key = pop(r);
        push(r, chord_value_item(r, pop(r), key));
        break;
    }
    case OP_SLICE:
        r->sp -= 4;
        push(r, chord_value_slice(r, r->stack[r->sp], r->stack + r->sp + 1));
        break;
    case OP_BUILD: build(r, in->b, in->c); break;
    case OP_UNARY: negate(r, in->b); break;
    case OP_BINARY: {
        val const b = pop(r), a = pop(r);
        push(r, chord_operate(r, in->b, a, b));
        break;
    }
    case OP_CHAIN: {
        val const b = pop(r), a = pop(r), holds = chord_operate(r, in->b, a, b);
        push(r, chord_value_truth(holds) ? b : holds);
        if (!chord_value_truth(holds)) r->pc = jump - 1;
        break;
    }
    case OP_CONCAT: {
        val const b = chord_write_string(r, pop(r)), a = chord_write_string(r, pop(r));
        push(r, chord_string_join(r, a, b));
        break;
    }
    case OP_JUMP: r->pc = jump - 1; break;
    case OP_JUMP_IF_NOT:
        if (!chord_value_truth(pop(r))) r->pc = jump - 1;
        break;
    case OP_AND:
    case OP_OR:
        if (chord_value_truth(r->stack[r->sp - 1]) == (in->op == OP_OR)) r->pc = jump - 1;
        else r->sp--;
        break;
    case OP_CALL:
        r->pc++; /* where the callee returns to */
        call(r, in);
        return;
    case OP_FILTER:
    case OP_TEST: filter(r, in); break;
    case OP_NO_FILTER:
    case OP_NO_TEST:
        chord_vm_fail(r, in->op == OP_NO_TEST ? "there is no test" : "there is no filter", constants[in->c].s,
                      constants[in->c].n);
        break;
    case OP_UNPACK: unpack(r, in->c); break;
    case OP_SCOPE: open_scope(r, r->scope); break;
    case OP_UNSCOPE: r->scope = r->scope->parent; break;
    case OP_CAPTURE: enter(r, FRAME_CAPTURE); break;
    case OP_UNCAPTURE: push(r, captured(r, &r->frames[--r->n_frames])); break;
    case OP_MACRO: {
        chord_value *const macro = chord_value_new(r, MACRO);
        macro->n = in->b;
        macro->scope = r->scope;
        for (chord_scope *s = r->scope; s && !s->is_kept; s = s->parent) s->is_kept = true;
        push(r, macro);
        r->pc = jump - 1;
        break;
    }
    case OP_DEFAULT:
        if ((*find(r->scope, in->b))->kind != MISSING) r->pc = jump - 1;
        break;
    case OP_RETURN: return_call(r); return;
    case OP_FOR: begin_loop(r, pop(r), in->b, false); break;
    case OP_NEXT:
        if (!next_element(r)) r->pc = jump - 1;
        break;
    case OP_AGAIN:
        r->frames[r->n_frames - 1].loop->any = true;
        r->pc = jump - 1;
        break;
    case OP_FOR_SKIP:
        if (r->frames[r->n_frames - 1].loop->pass == 2) {
            bind_loop(r, r->frames[r->n_frames - 1].loop);
            r->pc = jump - 1;
        }
        break;
    case OP_FOR_TEST:
        if (!select_element(r, chord_value_truth(pop(r)))) r->pc = jump - 1;
        break;
    default: { /* OP_FOR_END */
        chord_frame const f = r->frames[--r->n_frames];
        r->scope = f.scope;
        if (f.loop->is_call) {
            return_call(r);
            return;
        }
        if (f.loop->any) r->pc = jump - 1;
    }
    }
    r->pc++;
}

/* One instruction is not cut, so it has a bound of its own: some 200 ms, or a copy of 64 MB. */
#define ONE_INSTRUCTION 4000000

chord_status chord_template_step(chord_template_run *r, uint64_t steps)
{
    uint64_t const stop = r->budget > steps ? r->budget - steps : 0;
    while (r->status == CHORD_OK && chord_vm_spend(r, 1)) {
        r->floor = r->budget > ONE_INSTRUCTION ? r->budget - ONE_INSTRUCTION : 0;
        run_one(r);
        if (r->status == CHORD_OK) r->floor = 0;
        if (r->out.n > r->max_output) chord_vm_refuse_memory(r, "the template writes more than it may");
        if (r->status == CHORD_OK && r->budget <= stop && stop) return CHORD_MORE;
    }
    return r->status;
}

/* ---- begin ------------------------------------------------------------------------------------------ */

/* The variables and the global functions that the program names. */
static void bind_context(vm *r, val variables)
{
    chord_template const *t = r->program;
    r->context = chord_vm_take(r, (size_t)t->n_words, sizeof(val));
    for (int32_t i = 0; r->context && i < t->n_words; i++) {
        val const name = of_string(r, t->words[i].s, t->words[i].n);
        val v = chord_dict_get(r, variables, name);
        int32_t const id = v->kind == MISSING ? chord_names_find(name->s, name->n, IS_GLOBAL) : 0;
        if (id) {
            chord_value *const function = chord_value_new(r, FUNCTION);
            function->i = id;
            v = function;
        }
        if (v->kind == MISSING) {
            chord_value *const undefined = chord_value_new(r, UNDEFINED);
            undefined->n = name->n;
            undefined->s = name->s;
            v = undefined;
        }
        r->context[i] = v;
    }
}

chord_status chord_template_begin(const chord_template *t, const chord_template_input *in, chord_arena *arena,
                                  chord_template_run **out, chord_error *error)
{
    vm *const r = chord_arena_take(arena, sizeof *r, 8);
    *out = NULL;
    if (!r)
        return chord_fail(error, CHORD_OUT_OF_MEMORY, "the chat template needs more memory than was given");
    *r = (vm){ .program = t, .arena = *arena, .error = error, .raised = NOTHING, .line = 1, .now = in->now };
    arena->used = arena->cap;
    r->arena.cap &= ~(uint64_t)7; /* values begin at the end */
    chord_template_time *const now = &r->now; /* strftime_now counts from them */
    if (now->year < 1 || now->year > 9999) now->year = 1970;
    if (now->month < 1 || now->month > 12) now->month = 1;
    if (now->day < 1 || now->day > 31) now->day = 1;
    if (now->hour < 0 || now->hour > 23) now->hour = 0;
    r->budget = in->max_steps ? in->max_steps : 50000000;
    r->max_output = in->max_output && in->max_output < UINT32_MAX ? (uint32_t)in->max_output : UINT32_MAX;
    r->stack = chord_vm_take(r, CHORD_TEMPLATE_STACK, sizeof *r->stack);
    r->frames = chord_vm_take(r, CHORD_TEMPLATE_FRAMES, sizeof *r->frames);
    open_scope(r, NULL);
    val variables = r->status == CHORD_OK ? chord_json_read(r, in->variables, in->n_variables) : NOTHING;
    if (in->merge_system) variables = chord_messages_merge(r, variables);
    if (variables->kind != DICT) fail(r, "the variables aren't a JSON object");
    bind_context(r, variables);
    if (r->status != CHORD_OK) return r->status;
    *out = r;
    return CHORD_OK;
}

const char *chord_template_text(const chord_template_run *r, size_t *n)
{
    *n = (size_t)r->out.n;
    return r->out.n ? r->out.s : "";
}

const char *chord_template_raised(const chord_template_run *r, size_t *n)
{
    *n = r->raised->n;
    return r->raised->kind == STRING ? r->raised->s : NULL;
}
