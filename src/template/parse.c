/* parse.c: statements, and what both parts of the parser need. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

/* Templates use some 50 words. A bound keeps the table of words small. */
enum { MOST_WORDS = 2048, HASH_SIZE = 4096 };

void chord_parse_fail(chord_parser *p, const char *what)
{
    if (p->status != CHORD_OK) return;
    chord_token const t = p->at.t;
    bool const is_end = t.kind == TOKEN_END || t.kind == TOKEN_DATA;
    if (t.kind == TOKEN_BAD && p->at.lexer.fault)
        p->status = chord_fail(p->error, CHORD_INVALID_ARGUMENT, "chat template, line %u: %s",
                               (uint64_t)t.line, p->at.lexer.fault);
    else
        p->status = chord_fail(p->error, CHORD_INVALID_ARGUMENT, "chat template, line %u: %s before %q",
                               (uint64_t)t.line, what, is_end ? "the end of the text" : t.s,
                               is_end ? 19 : (size_t)t.n);
}

void chord_parse_next(chord_parser *p)
{
    p->at.t = p->at.ahead;
    p->at.ahead = chord_lex(&p->at.lexer);
    if (p->at.t.kind == TOKEN_BAD) chord_parse_fail(p, "");
}

bool chord_parse_is(const chord_parser *p, const char *word)
{
    chord_token const *t = &p->at.t;
    return t->kind == TOKEN_NAME && t->n == chord_strlen(word) && chord_equal(t->s, word, t->n);
}

bool chord_parse_word(chord_parser *p, const char *word)
{
    bool const is = chord_parse_is(p, word);
    if (is) chord_parse_next(p);
    return is;
}

bool chord_parse_take(chord_parser *p, int32_t kind)
{
    bool const is = p->at.t.kind == kind;
    if (is) chord_parse_next(p);
    return is;
}

void chord_parse_expect(chord_parser *p, int32_t kind, const char *what)
{
    if (!chord_parse_take(p, kind)) chord_parse_fail(p, what);
}

bool chord_parse_down(chord_parser *p)
{
    if (p->depth++ == CHORD_TEMPLATE_NESTING) chord_parse_fail(p, "blocks or brackets are nested too deep");
    return p->status == CHORD_OK;
}

/* An array of the program: its room doubles when n elements fill it. */
void *chord_parse_grow(chord_parser *p, void *at, int32_t n, size_t size)
{
    if (n & (n - 1) || (n && n < 16)) return at;
    uint64_t const cap = n ? 2 * (uint64_t)n : 16;
    void *const larger = n < 1 << 24 ? chord_arena_take(p->arena, cap * size, 8) : NULL;
    if (!larger) {
        if (p->status == CHORD_OK)
            p->status = chord_fail(p->error, CHORD_OUT_OF_MEMORY,
                                   "the chat template needs more memory than was given");
        return NULL;
    }
    chord_copy(larger, at, (size_t)n * size);
    return larger;
}

int32_t chord_code_emit(chord_parser *p, int op, int b, int32_t c)
{
    if (p->status != CHORD_OK) return -1;
    chord_instruction *const code = chord_parse_grow(p, p->code, p->n_code, sizeof *code);
    if (!code) return -1;
    p->code = code;
    code[p->n_code] =
        (chord_instruction){ .op = (uint8_t)op, .b = (uint16_t)b, .c = c, .line = p->at.t.line };
    return p->n_code++;
}

void chord_code_land(chord_parser *p, int32_t at)
{
    if (at >= 0 && p->status == CHORD_OK) p->code[at].c = p->n_code - at;
}

/* Lands a list of jumps, each of which names the one before. */
static void land_all(chord_parser *p, int32_t jump)
{
    while (jump >= 0 && p->status == CHORD_OK) {
        int32_t const before = p->code[jump].c;
        chord_code_land(p, jump);
        jump = before;
    }
}

static void jump_back(chord_parser *p, int op, int32_t to)
{
    int32_t const i = chord_code_emit(p, op, 0, 0);
    if (i >= 0) p->code[i].c = to - i;
}

void chord_parse_constant(chord_parser *p, int op)
{
    chord_value *const constants = chord_parse_grow(p, p->constants, p->n_constants, sizeof *constants);
    if (!constants) return;
    p->constants = constants;
    constants[p->n_constants] = p->v;
    chord_code_emit(p, op, 0, p->n_constants++);
}

void chord_parse_literal(chord_parser *p, int kind, int64_t i)
{
    p->v = (chord_value){ .kind = (uint8_t)kind, .i = i };
}

void chord_parse_string(chord_parser *p, const char *s, size_t n)
{
    p->v = (chord_value){ .kind = STRING, .n = (uint32_t)n, .s = s };
}

void chord_parse_name(chord_parser *p)
{
    chord_parse_string(p, p->at.t.s, p->at.t.n);
    chord_parse_expect(p, TOKEN_NAME, "a name is missing");
}

int32_t chord_parse_variable(chord_parser *p)
{
    chord_parse_name(p);
    return chord_word_id(p);
}

int32_t chord_word_id(chord_parser *p)
{
    const chord_value *const name = &p->v;
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < name->n; i++) hash = (hash ^ (uint8_t)name->s[i]) * 16777619u;
    for (;; hash++) {
        uint16_t *const slot = &p->hash[hash % HASH_SIZE];
        chord_word const *w = &p->words[*slot - 1];
        if (*slot && (w->n != name->n || !chord_equal(w->s, name->s, name->n))) continue;
        if (!*slot) {
            if (p->n_words == MOST_WORDS) {
                chord_parse_fail(p, "too many different names");
                return 0;
            }
            p->words[p->n_words] = (chord_word){ name->s, name->n };
            *slot = (uint16_t)++p->n_words;
        }
        if (*slot <= N_OWN_WORDS) p->uses |= 1 << (*slot - 1);
        return *slot - 1;
    }
}

/* ---- parts of statements ---------------------------------------------------------------------------- */

static void statements(chord_parser *p, const char *end, const char *end2, const char *end3);

static void body(chord_parser *p, const char *end, const char *end2)
{
    chord_parse_expect(p, TOKEN_CLOSE, "a tag isn't closed");
    statements(p, end, end2, NULL);
}
static void body_alone(chord_parser *p, const char *end)
{
    body(p, end, NULL);
    chord_parse_word(p, end);
}

/* Goes to the token of `kind`, or the word, that isn't in brackets; false at the end of the tag. */
static bool skip_to(chord_parser *p, int32_t kind, const char *word)
{
    for (int32_t open = 0; p->status == CHORD_OK; chord_parse_next(p)) {
        int32_t const k = p->at.t.kind;
        if (!open && (k == kind || (word && chord_parse_is(p, word)))) return true;
        if (k == TOKEN_CLOSE || k == TOKEN_END || (!open && k == '|' && kind == '=')) return false;
        open += (k == '(' || k == '[' || k == '{') - (k == ')' || k == ']' || k == '}');
    }
    return false;
}

static void target(chord_parser *p);

static void target_unit(chord_parser *p)
{
    if (chord_parse_take(p, '(')) {
        target(p);
        chord_parse_expect(p, ')', "a bracket isn't closed");
        return;
    }
    int32_t const uses = p->uses, id = chord_parse_variable(p);
    p->uses = uses;
    if (chord_parse_take(p, '.')) {
        chord_code_emit(p, OP_LOAD, 0, id);
        chord_parse_name(p);
        chord_parse_constant(p, OP_SETATTR);
    } else {
        chord_code_emit(p, OP_STORE, 0, id);
    }
}

/* Stores the top of the stack in names. */
static void target(chord_parser *p)
{
    if (!chord_parse_down(p)) return;
    int32_t const unpack = chord_code_emit(p, OP_UNPACK, 0, 0);
    int32_t n = 0;
    bool is_tuple = false;
    do {
        if (n && p->at.t.kind != TOKEN_NAME && p->at.t.kind != '(') break;
        if (n && chord_parse_is(p, "in")) break;
        target_unit(p);
        n++;
        is_tuple |= p->at.t.kind == ',';
    } while (chord_parse_take(p, ',') && p->status == CHORD_OK);
    p->depth--;
    if (p->status != CHORD_OK) return;
    if (is_tuple) {
        p->code[unpack].c = n;
        return;
    }
    p->n_code--;
    for (int32_t i = unpack; i < p->n_code; i++) p->code[i] = p->code[i + 1];
}

static void target_at(chord_parser *p, const chord_place *place)
{
    chord_place const now = p->at;
    p->at = *place;
    target(p);
    p->at = now;
}

/* What a function or a captured block hides from what is in it. */
typedef struct outside {
    int32_t loop, breaks, scopes, uses;
} outside;
static outside leave(chord_parser *p)
{
    outside const o = { p->loop, p->breaks, p->scopes, p->uses };
    p->loop = p->breaks = -1;
    p->scopes = 0;
    return o;
}
static void come_back(chord_parser *p, outside o)
{
    p->loop = o.loop;
    p->breaks = o.breaks;
    p->scopes = o.scopes;
    p->uses |= o.uses;
}

/* Captures what the block up to `end` writes, as the top of the stack. */
static void captured(chord_parser *p, const char *end)
{
    chord_code_emit(p, OP_CAPTURE, 0, 0);
    chord_code_emit(p, OP_SCOPE, 0, 0);
    outside const o = leave(p);
    body_alone(p, end);
    come_back(p, o);
    chord_code_emit(p, OP_UNSCOPE, 0, 0);
    chord_code_emit(p, OP_UNCAPTURE, 0, 0);
}

/* Filters stand before the block that they filter, and their code behind it. */
static void captured_and_filtered(chord_parser *p, const char *end, bool open)
{
    chord_place const filters = p->at;
    int32_t const n_code = p->n_code, n_constants = p->n_constants;
    chord_parse_filters(p, open);
    if (p->status != CHORD_OK) return;
    p->n_code = n_code;
    p->n_constants = n_constants;
    captured(p, end);
    chord_place const now = p->at;
    p->at = filters;
    chord_parse_filters(p, open);
    p->at = now;
}

/* ---- statements ------------------------------------------------------------------------------------- */

static void parse_set(chord_parser *p)
{
    chord_place const names = p->at;
    bool const is_plain = skip_to(p, '=', NULL);
    if (is_plain) {
        chord_parse_next(p);
        chord_parse_tuple(p, true);
    } else {
        captured_and_filtered(p, "endset", false);
    }
    target_at(p, &names);
}

static void parse_if(chord_parser *p)
{
    int32_t ends = -1, jump;
    bool is_last = false;
    do {
        chord_parse_tuple(p, false);
        jump = chord_code_emit(p, OP_JUMP_IF_NOT, 0, 0);
        chord_parse_expect(p, TOKEN_CLOSE, "a tag isn't closed");
        statements(p, "elif", "else", "endif");
        is_last = chord_parse_word(p, "endif");
        if (!is_last) {
            ends = chord_code_emit(p, OP_JUMP, 0, ends);
            chord_code_land(p, jump);
            jump = -1;
        }
    } while (chord_parse_word(p, "elif") && p->status == CHORD_OK);
    if (!is_last) {
        chord_parse_word(p, "else");
        body_alone(p, "endif");
    }
    chord_code_land(p, jump);
    land_all(p, ends);
}

static void scoped(chord_parser *p, const char *end)
{
    p->scopes++;
    body_alone(p, end);
    p->scopes--;
    chord_code_emit(p, OP_UNSCOPE, 0, 0);
}

static void parse_for(chord_parser *p)
{
    chord_place const names = p->at;
    if (!skip_to(p, 0, "in")) chord_parse_fail(p, "`in` is missing");
    chord_parse_next(p);
    chord_parse_tuple(p, false);
    int32_t const begin = chord_code_emit(p, OP_FOR, 0, 0), next = chord_code_emit(p, OP_NEXT, 0, 0);
    int32_t flags = 0;
    target_at(p, &names);
    if (chord_parse_word(p, "if")) {
        int32_t const skip = chord_code_emit(p, OP_FOR_SKIP, 0, 0);
        chord_parse_expression(p, true);
        jump_back(p, OP_FOR_TEST, next);
        chord_code_land(p, skip);
        flags |= FOR_TEST;
    }
    if (chord_parse_word(p, "recursive")) flags |= FOR_RECURSIVE;

    outside const o = leave(p);
    p->loop = next;
    p->uses = 0;
    body(p, "endfor", "else");
    if (p->uses & 1 << WORD_LOOP) flags |= FOR_LOOP;
    jump_back(p, OP_AGAIN, next);
    chord_code_land(p, next);
    land_all(p, p->breaks);
    come_back(p, o);

    int32_t const end = chord_code_emit(p, OP_FOR_END, 0, 0);
    if (chord_parse_word(p, "else")) {
        chord_code_emit(p, OP_SCOPE, 0, 0);
        scoped(p, "endfor");
    } else {
        chord_parse_word(p, "endfor");
    }
    chord_code_land(p, end);
    if (p->status == CHORD_OK) p->code[begin].b = (uint16_t)flags;
}

static void parse_leave_loop(chord_parser *p, bool is_break)
{
    if (p->loop < 0) chord_parse_fail(p, "no loop is there to leave");
    for (int32_t i = 0; i < p->scopes; i++) chord_code_emit(p, OP_UNSCOPE, 0, 0);
    if (is_break) p->breaks = chord_code_emit(p, OP_JUMP, 0, p->breaks);
    else jump_back(p, OP_JUMP, p->loop);
}

static void parameters(chord_parser *p, chord_macro *m)
{
    bool has_default = false;
    m->first = p->n_params;
    while (!chord_parse_take(p, ')') && p->status == CHORD_OK) {
        if (m->n++) chord_parse_expect(p, ',', "a comma is missing");
        int32_t const id = chord_parse_variable(p);
        int32_t *const params = chord_parse_grow(p, p->params, p->n_params, sizeof *params);
        if (!params) return;
        p->params = params;
        params[p->n_params++] = id;
        if (chord_parse_take(p, '=')) {
            int32_t const skip = chord_code_emit(p, OP_DEFAULT, id, 0);
            chord_parse_expression(p, true);
            chord_code_emit(p, OP_STORE, 0, id);
            chord_code_land(p, skip);
            has_default = true;
        } else if (has_default) {
            chord_parse_fail(p, "a parameter without a default stands behind one with");
        }
    }
}

/* The value of a macro named p->v. Its parameters are at `signature` (NULL: none), its body is behind the
 * tag. */
static void function(chord_parser *p, const chord_place *signature, const char *end)
{
    chord_macro m = { .name = p->v };
    int32_t const index = p->n_macros;
    chord_macro *const macros = chord_parse_grow(p, p->macros, index, sizeof *macros);
    if (!macros) return;
    p->macros = macros;
    p->n_macros++;
    int32_t const over = chord_code_emit(p, OP_MACRO, index, 0);
    if (index > 65535) chord_parse_fail(p, "too many macros");
    outside const o = leave(p);
    m.entry = p->n_code;
    p->uses = 0;
    chord_place const now = p->at;
    if (signature) {
        p->at = *signature;
        parameters(p, &m);
        if (p->status == CHORD_OK) p->at = now;
    }
    body_alone(p, end);
    m.uses = (p->uses & 1 << WORD_VARARGS ? MACRO_VARARGS : 0) |
             (p->uses & 1 << WORD_KWARGS ? MACRO_KWARGS : 0) |
             (p->uses & 1 << WORD_CALLER ? MACRO_CALLER : 0);
    p->uses = 0;
    come_back(p, o);
    chord_code_emit(p, OP_RETURN, 0, 0);
    chord_code_land(p, over);
    if (p->status == CHORD_OK) p->macros[index] = m;
}

static void parse_macro(chord_parser *p)
{
    chord_parse_name(p);
    chord_value const name = p->v;
    chord_parse_expect(p, '(', "a macro's parameters are missing");
    chord_place const signature = p->at;
    if (!skip_to(p, ')', NULL)) chord_parse_fail(p, "a bracket isn't closed");
    chord_parse_next(p);
    p->v = name;
    function(p, &signature, "endmacro");
    p->v = name;
    chord_code_emit(p, OP_STORE, 0, chord_word_id(p));
}

static void parse_call(chord_parser *p)
{
    bool const has_signature = chord_parse_take(p, '(');
    chord_place const signature = p->at;
    if (has_signature) {
        if (!skip_to(p, ')', NULL)) chord_parse_fail(p, "a bracket isn't closed");
        chord_parse_next(p);
    }
    chord_parse_expression(p, true);
    if (p->status != CHORD_OK) return;
    chord_instruction call = p->code[p->n_code - 1];
    if (call.op != OP_CALL || call.c & CALL_STARS) {
        chord_parse_fail(p, "a call block needs a call");
        return;
    }
    p->n_code--;
    chord_parse_string(p, "caller", 6);
    chord_parse_constant(p, OP_CONST);
    function(p, has_signature ? &signature : NULL, "endcall");
    int32_t const i = chord_code_emit(p, OP_CALL, call.b, call.c);
    if (i >= 0) p->code[i].a = (uint8_t)(call.a + 1);
    chord_code_emit(p, OP_PRINT, 0, 0);
}

static void parse_with(chord_parser *p)
{
    int32_t ids[32], n = 0;
    while (p->at.t.kind != TOKEN_CLOSE && p->status == CHORD_OK) {
        if (n) chord_parse_expect(p, ',', "a comma is missing");
        if (n == 32) chord_parse_fail(p, "too many names");
        else ids[n++] = chord_parse_variable(p);
        chord_parse_expect(p, '=', "a value is missing");
        chord_parse_expression(p, true);
    }
    chord_code_emit(p, OP_SCOPE, 0, 0);
    while (n) chord_code_emit(p, OP_STORE, 0, ids[--n]);
    scoped(p, "endwith");
}

static void statement(chord_parser *p)
{
    if (chord_parse_word(p, "set")) parse_set(p);
    else if (chord_parse_word(p, "if")) parse_if(p);
    else if (chord_parse_word(p, "for")) parse_for(p);
    else if (chord_parse_word(p, "break")) parse_leave_loop(p, true);
    else if (chord_parse_word(p, "continue")) parse_leave_loop(p, false);
    else if (chord_parse_word(p, "macro")) parse_macro(p);
    else if (chord_parse_word(p, "call")) parse_call(p);
    else if (chord_parse_word(p, "with")) parse_with(p);
    else if (chord_parse_word(p, "generation")) {
        outside const o = leave(p);
        chord_code_emit(p, OP_SCOPE, 0, 0);
        scoped(p, "endgeneration");
        come_back(p, o);
    } else if (chord_parse_word(p, "filter")) {
        captured_and_filtered(p, "endfilter", true);
        chord_code_emit(p, OP_PRINT, 0, 0);
    } else {
        chord_parse_fail(p, "a tag is unknown:");
    }
}

/* Up to one of the words, which becomes the current token; without words up to the end. */
static void statements(chord_parser *p, const char *end, const char *end2, const char *end3)
{
    if (!chord_parse_down(p)) return;
    while (p->status == CHORD_OK) {
        chord_token const t = p->at.t;
        if (t.kind == TOKEN_END) {
            if (end) chord_parse_fail(p, "a block isn't closed");
            break;
        }
        chord_parse_next(p);
        if (t.kind == TOKEN_DATA) {
            chord_parse_string(p, t.s, t.n);
            if (t.n) chord_parse_constant(p, OP_TEXT);
        } else if (t.kind == TOKEN_OPEN_VALUE) {
            chord_parse_tuple(p, true);
            chord_code_emit(p, OP_PRINT, 0, 0);
            chord_parse_expect(p, TOKEN_CLOSE_VALUE, "a tag isn't closed");
        } else {
            if ((end && chord_parse_is(p, end)) || (end2 && chord_parse_is(p, end2)) ||
                (end3 && chord_parse_is(p, end3)))
                break;
            statement(p);
            chord_parse_expect(p, TOKEN_CLOSE, "a tag isn't closed");
        }
    }
    p->depth--;
}

/* ---- compile ---------------------------------------------------------------------------------------- */

/* Line ends become \n, and one at the end of the source goes, as in Jinja2. */
static bool clean_lines(chord_arena *arena, const char **source, size_t *n)
{
    size_t returns = 0, used = 0;
    const char *s = *source;
    for (size_t i = 0; i < *n; i++) returns += s[i] == '\r';
    if (returns) {
        char *const d = chord_arena_take(arena, *n, 1);
        if (!d) return false;
        for (size_t i = 0; i < *n; i++) {
            if (s[i] == '\n' && i && s[i - 1] == '\r') continue;
            d[used++] = s[i] == '\r' ? '\n' : s[i];
        }
        *source = d;
        *n = used;
    }
    *n -= *n && (*source)[*n - 1] == '\n';
    return true;
}

chord_status chord_template_compile(const char *source, size_t n, chord_arena *arena, chord_template **out,
                                    chord_error *error)
{
    static const char *const own[N_OWN_WORDS] = { "loop", "caller", "varargs", "kwargs" };
    *out = NULL;
    if (n > CHORD_TEMPLATE_MAX_SOURCE)
        return chord_fail(error, CHORD_INVALID_ARGUMENT, "a chat template of %u bytes is too long",
                          (uint64_t)n);
    chord_parser p = { .arena = arena, .error = error, .loop = -1, .breaks = -1 };
    chord_template *const t = chord_arena_take(arena, sizeof *t, 8);
    p.words = chord_arena_take(arena, MOST_WORDS * sizeof(chord_word), 8);
    p.hash = chord_arena_take(arena, HASH_SIZE * sizeof *p.hash, 8);
    if (!t || !p.words || !p.hash || !clean_lines(arena, &source, &n))
        return chord_fail(error, CHORD_OUT_OF_MEMORY, "the chat template needs more memory than was given");
    chord_zero(p.hash, HASH_SIZE * sizeof *p.hash);
    for (int i = 0; i < N_OWN_WORDS; i++) {
        chord_parse_string(&p, own[i], chord_strlen(own[i]));
        chord_word_id(&p);
    }
    p.uses = 0;
    p.at.lexer = (chord_lexer){ .s = source, .end = source + n, .line = 1, .line_starts = true };
    chord_parse_next(&p);
    chord_parse_next(&p);
    statements(&p, NULL, NULL, NULL);
    chord_code_emit(&p, OP_END, 0, 0);
    if (p.status != CHORD_OK) return p.status;
    *t = (chord_template){ p.code, p.constants, p.macros, p.params, p.words, p.n_words };
    *out = t;
    return CHORD_OK;
}
