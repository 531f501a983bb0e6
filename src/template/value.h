/* value.h: the values of a template, and the machine that owns them.
 *
 * A value has 16 bytes and is passed by its address: passing the bytes themselves doubles the code in wasm.
 * Strings and containers never change once made, so a part of a string points into it, and copies share.
 * Memory is taken from the run's arena and never given back: values from the arena's end, all other from its
 * begin, so that a text stays the last and can grow in place.
 *
 * A failure is kept: functions return MISSING then, and vm.c looks at `status` after each instruction. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEMPLATE_VALUE_H
#define CHORD_TEMPLATE_VALUE_H
#include "../base/arena.h"
#include "../base/mem.h"
#include "template.h"

enum {
    MISSING, /* no value: an argument left out */
    UNDEFINED, /* s, n: its name */
    NONE,
    BOOL, /* i */
    INT,
    FLOAT, /* n is 1 if it is whole and beyond 64 bits: the next value is its text */
    STRING, /* s, n bytes, UTF-8 */
    LIST,   /* v, n elements */
    TUPLE,
    DICT,      /* v, n pairs: key, value, key, value, ... in order of insertion */
    KEYS,      /* of: a dict */
    VALUES,
    ITEMS,
    RANGE,     /* range: begin, step, length */
    GENERATOR, /* of: a list; n is 1 once it was read */
    NAMESPACE, /* of: a dict, which is replaced */
    LOOP,      /* loop */
    MACRO,     /* n: the macro; scope: where it was made */
    FUNCTION,  /* i: entry of names.def */
    METHOD,    /* id: entry of names.def; of: its object */
    CYCLER,    /* of: a tuple; n: the place in it */
    JOINER,    /* of: the separator; n is 1 once it was used */
};

typedef struct chord_value {
    uint8_t kind, depth; /* depth: of containers inside each other */
    uint16_t id;         /* a constant string's first entry in names.def; METHOD */
    uint32_t n;
    union {
        int64_t i;
        double f;
        const char *s;
        const struct chord_value **v, *of;
        const int64_t *range;
        struct chord_loop *loop;
        struct chord_scope *scope;
    };
} chord_value;
typedef const chord_value *val;

extern const chord_value chord_nothing, chord_undefined, chord_none, chord_false, chord_true;
#define NOTHING (&chord_nothing)

/* Containers inside each other; JSON of tools has about ten. The writer's and the reader's stacks have this
 * size. */
#define CHORD_TEMPLATE_DEPTH 100

typedef struct chord_binding {
    int32_t id;
    val v;
} chord_binding;
typedef struct chord_scope {
    struct chord_scope *parent;
    uint32_t n, cap;
    bool is_kept; /* a macro has it */
    chord_binding *at;
} chord_scope;

typedef struct chord_loop {
    val *items, *kept; /* kept: selected by the condition */
    uint32_t n, i, n_kept, next; /* i: index of the current element; next: of the next one to look at */
    uint8_t flags, pass;
    bool any, is_call;
    int32_t depth, at; /* at: OP_FOR */
    const int64_t *range; /* elements that are counted, not kept; NULL for items */
    val changed;
    chord_scope *outer, *own; /* own: of the iteration */
} chord_loop;

/* Texts and lists grow at the end of one of each: where a part begins is its mark, and taking the part makes
 * a value of it. So parts are inside each other, and no function needs memory for one. */
typedef struct chord_text {
    char *s;
    uint32_t n, cap;
} chord_text;
typedef struct chord_list {
    val *v;
    uint32_t n, cap;
} chord_list;

typedef struct chord_frame {
    uint8_t kind;
    int32_t pc;
    uint32_t captured; /* the output's bytes before */
    chord_scope *scope;
    chord_loop *loop;
} chord_frame;

/* Values at once: an expression's and those of its callers. Frames: Python allows some 300 macros inside
 * each other. */
enum { CHORD_TEMPLATE_STACK = 4096, CHORD_TEMPLATE_FRAMES = 512 };

struct chord_template_run {
    const struct chord_template *program;
    chord_arena arena; /* the rest of the caller's */
    chord_error *error;
    chord_status status;
    int32_t pc;
    uint32_t line, sp, n_frames;
    uint64_t budget;
    uint64_t floor; /* the budget must stay above it until the next instruction */
    uint32_t max_output;
    val *stack, *context; /* context: the value of each word outside all scopes */
    chord_frame *frames;
    chord_scope *scope;
    chord_text out; /* the template's, and behind it texts that aren't taken yet */
    chord_list made; /* elements of lists that aren't taken yet */
    chord_template_time now;
    const val *kw; /* pairs of name and value, for functions that take any */
    int32_t n, how;  /* of the function that is called: values at `a`, and names.def's column */
    uint32_t n_kw, n_inside; /* n_inside: filters that call a filter, inside each other */
    val raised;
    chord_value spare; /* a value for which there is no memory */
};
typedef chord_template_run vm;

/* ---- machine (machine.c) ---------------------------------------------------------------------------- */

/* Keeps the first failure, and returns MISSING. `name` is quoted behind the text; it may be NULL. */
val chord_vm_fail(vm *r, const char *what, const char *name, size_t n);
val fail(vm *r, const char *what);
/* Fails with what's wrong with v: undefined by its name, others by their kind. */
val chord_vm_refuse(vm *r, const char *what, val v);
/* n elements of `bytes` each, zeroed by nobody. */
void *chord_vm_take(vm *r, size_t n, uint32_t bytes);
void chord_vm_refuse_memory(vm *r, const char *what);
/* Whether `times` times n bytes fit into the arena. What is too large fails before it is written. */
bool chord_vm_has_room(vm *r, uint64_t n, int64_t times);
/* False when the steps of the rendering are spent. */
bool chord_vm_spend(vm *r, size_t n);
void chord_text_put(vm *r, const char *s, size_t n);
void chord_text_put1(vm *r, char c);
void chord_text_repeat(vm *r, const char *s, size_t n, int64_t times);
/* What was put since r->out.n was `mark`, as a string. */
val chord_text_take(vm *r, uint32_t mark);
/* The string a, then b. If a is the arena's last, it grows in place: then a is what it was, and the result
 * begins with the same bytes. So a text that a template adds to costs its length, not its square. */
val chord_string_join(vm *r, val a, val b);
void chord_list_put(vm *r, val v);
/* What was put since r->made.n was `mark`: a LIST, TUPLE, DICT, or GENERATOR of a list. */
val chord_list_take(vm *r, uint32_t mark, int kind);
/* The same of strings, as one string. */
val chord_list_join(vm *r, uint32_t mark);
val chord_pair_new(vm *r, val key, val v);
val chord_list_new(vm *r, int kind, val *v, uint32_t n, uint8_t depth);
/* Sets a key of the dict whose pairs begin at `mark`. */
void chord_dict_put(vm *r, uint32_t mark, val key, val v);

/* ---- values (value.c) ------------------------------------------------------------------------------- */

/* A new value of the kind, otherwise zero. Its memory is never NULL. */
chord_value *chord_value_new(vm *r, int kind);
val of_int(vm *r, int64_t i);
val of_float(vm *r, double f);
val of_string(vm *r, const char *s, size_t n);
static inline val of_bool(bool b) { return b ? &chord_true : &chord_false; }
static inline bool is_whole(val v) { return v->kind == INT || v->kind == BOOL; }
static inline bool is_number(val v) { return v->kind == FLOAT || is_whole(v); }
static inline bool is_large(val v) { return v->kind == FLOAT && v->n; }
static inline double as_float(val v) { return v->kind == FLOAT ? v->f : (double)v->i; }
static inline bool is_given(val v) { return v->kind != MISSING && v->kind != NONE; }
bool chord_value_is(val v, const char *word); /* the string `word` */
bool chord_value_truth(val v);
bool chord_value_equal(vm *r, val a, val b);
/* Sets *order to -1, 0, 1; fails for values without an order. */
int chord_value_compare(vm *r, val a, val b);
bool chord_value_in(vm *r, val x, val in);
/* The number of elements or characters; -1 where Python's len fails. */
int64_t chord_value_length(val v);
/* All elements as one LIST, as a loop over v has them. Fails if v has no elements. */
val chord_value_list(vm *r, val v);
val chord_value_attribute(vm *r, val v, val name);
val chord_value_item(vm *r, val v, val key);
val chord_value_slice(vm *r, val v, const val *part);
val chord_range_new(vm *r, int64_t begin, int64_t step, int64_t n);
/* A namespace could hold itself, so its dict has no depth. */
val chord_flat(vm *r, val d);
val chord_dict_get(vm *r, val d, val key); /* MISSING if it isn't there */
/* A value of another. */
val chord_value_of(vm *r, int kind, val of);
/* The value for a change: a generator, namespace, cycler or joiner. */
static inline chord_value *chord_value_edit(val v) { return (chord_value *)(uintptr_t)v; }

/* ---- characters and numbers (character.c, number.c) ------------------------------------------------- */

/* The character at s: its code, and its bytes shifted left by 24. */
uint32_t chord_char_at(const char *s, const char *end);
static inline uint32_t char_code(uint32_t c) { return c & 0xffffff; }
static inline uint32_t char_bytes(uint32_t c) { return c >> 24; }
void chord_char_put(vm *r, uint32_t code);
bool chord_char_is_space(uint32_t code);
/* The other case of a letter, or the letter. */
uint32_t chord_char_upper(uint32_t code);
uint32_t chord_char_lower(uint32_t code);
bool chord_char_is_letter(uint32_t code);
int64_t chord_string_length(val s);
/* Bytes before character i (which may be the end). */
uint32_t chord_string_offset(val s, int64_t i);

/* Returns the bytes that s begins with as a number (JSON's or Python's digits), 0 if none; sets *v. A whole
 * number that doesn't fit 64 bits leaves *v MISSING. */
size_t chord_number_scan(const char *s, size_t n, chord_value *v);
void chord_number_put(vm *r, val v); /* as Python's repr */
/* At most 30 digits behind the point. */
void chord_number_put_fixed(vm *r, double f, uint32_t digits);
int64_t chord_number_floor(double f);

/* ---- texts of values (write.c, json.c) -------------------------------------------------------------- */

typedef struct chord_writing {
    bool is_json, ascii, sort;
    val item, colon, indent; /* separators, and the indentation of a level: NULL: no lines */
} chord_writing;
extern const chord_writing chord_python;
/* How the value looks inside a container: Python's repr, or JSON. */
void chord_write(vm *r, val v, const chord_writing *how);
/* As print does. A string is itself. */
void chord_write_text(vm *r, val v);
val chord_write_string(vm *r, val v);
val chord_json_read(vm *r, const char *s, size_t n);
/* The variables without a system message: it is merged into the user's message (merge.c). */
val chord_messages_merge(vm *r, val variables);

/* ---- functions (names.def) -------------------------------------------------------------------------- */

enum {
    IS_FILTER = 1,
    IS_TEST = 2,
    IS_GLOBAL = 4,
    OF_STRING = 8,
    OF_DICT = 16,
    OF_LIST = 32,
    OF_TUPLE = 64,
    OF_LOOP = 128,
    OF_CYCLER = 256,
};
/* a[0] is the subject or the method's object (MISSING for a global function); a[1 .. r->n - 1] are arguments
 * in the order of the parameters, MISSING where left out. r->how is the entry's. */
typedef val chord_function(vm *r, const val *a);
/* The first entry with this name and one of these kinds; 0 is none. */
int32_t chord_names_find(const char *s, size_t n, uint32_t kinds);
bool chord_names_is_safe(int32_t id);
/* Calls entry `id` with subject and positional values; r->kw has the named ones. */
val chord_names_call(vm *r, int32_t id, const val *a, int n);
/* x.a.b[0] for a filter's argument `attribute`. */
val chord_value_path(vm *r, val v, val path);
/* The string in upper or lower case; the key by which filters compare. */
val chord_string_case(vm *r, val s, bool is_upper);
/* Fails unless v is a string. */
bool chord_string_check(vm *r, val v);
val chord_string_strip(vm *r, val s, val chars, bool left, bool right);
val chord_format_percent(vm *r, val format, val args);
val chord_operate(vm *r, int op, val a, val b);
val chord_loop_attribute(vm *r, const chord_loop *l, val name);

#endif
