/* program.h: what lex.c, parse.c and expression.c make of a template, and vm.c runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEMPLATE_PROGRAM_H
#define CHORD_TEMPLATE_PROGRAM_H
#include "value.h"

/* Instructions of a stack machine. "pops a b" names the stack's top last. `c` of a jump counts instructions
 * from its own, so code can move. */
enum {
    OP_END,
    OP_TEXT,    /* writes the string constant c */
    OP_PRINT,   /* pops a value and writes it */
    OP_CONST,   /* pushes constant c */
    OP_LOAD,    /* pushes the variable c */
    OP_STORE,   /* pops a value into the variable c of the innermost scope */
    OP_ATTR,    /* pops x, pushes x.name; the name is constant c, b the first of names.def with it, or 0 */
    OP_SETATTR, /* pops value, namespace; sets the namespace's attribute, constant c */
    OP_ITEM,    /* pops x i, pushes x[i] */
    OP_SLICE,   /* pops x begin end step (MISSING where left out) */
    OP_BUILD,   /* pops c values (b == DICT: pairs), pushes a container of kind b */
    OP_UNARY,   /* b: '!' '-' '+' */
    OP_BINARY,  /* b: an operator token */
    OP_CHAIN,   /* a < b < ...: pops a b; if it holds pushes b, else pushes false and jumps */
    OP_CONCAT,  /* pops c values, pushes their texts as one string */
    OP_JUMP,
    OP_JUMP_IF_NOT, /* pops */
    OP_AND,         /* jumps if the top is false, else pops it */
    OP_OR,          /* jumps if the top is true, else pops it */
    OP_CALL,        /* pops callee, b positional values, a pairs of name and value; bits of c: CALL_* */
    OP_FILTER,      /* pops subject, then as OP_CALL; c: the entry of names.def */
    OP_TEST,
    OP_NO_FILTER, /* fails: constant c is none */
    OP_NO_TEST,
    OP_UNPACK,  /* pops a value, pushes its c elements, the first last */
    OP_SCOPE,
    OP_UNSCOPE,
    OP_CAPTURE,
    OP_UNCAPTURE, /* pushes what was written since OP_CAPTURE */
    OP_MACRO,     /* pushes macro b and jumps over its body */
    OP_DEFAULT,   /* jumps if the innermost scope has the variable b */
    OP_RETURN,
    OP_FOR,      /* pops what to loop over; bits of b: FOR_* */
    OP_NEXT,     /* pushes the next element, or jumps to OP_FOR_END */
    OP_FOR_SKIP, /* jumps over the condition if the elements have been selected already */
    OP_FOR_TEST, /* pops the loop's condition; jumps back to OP_NEXT for another element */
    OP_AGAIN,    /* the body's end: back to OP_NEXT */
    OP_FOR_END,  /* jumps over the else part if a body came to its end, as in Jinja2 */
};
enum { CALL_STAR = 1, CALL_STARS = 2 };         /* the last positional value, the last pair, is unpacked */
enum { FOR_LOOP = 1, FOR_TEST = 2, FOR_RECURSIVE = 4 }; /* FOR_LOOP: the body names `loop` */

typedef struct chord_instruction {
    uint8_t op, a;
    uint16_t b;
    int32_t c;
    uint32_t line;
} chord_instruction;

enum { MACRO_VARARGS = 1, MACRO_KWARGS = 2, MACRO_CALLER = 4 };
typedef struct chord_macro {
    chord_value name;
    int32_t first, n;     /* its parameters: chord_template.params[first ..], variables */
    int32_t uses, entry;  /* uses: bits MACRO_*; entry: its first instruction */
} chord_macro;

/* A word of the template: variables are compared by number. */
typedef struct chord_word {
    const char *s;
    uint32_t n;
} chord_word;

/* Words that the machine knows, in this order, before the template's own. */
enum { WORD_LOOP, WORD_CALLER, WORD_VARARGS, WORD_KWARGS, N_OWN_WORDS };

struct chord_template {
    const chord_instruction *code;
    const chord_value *constants;
    const chord_macro *macros;
    const int32_t *params;
    const chord_word *words;
    int32_t n_words;
};

/* ---- tokens ----------------------------------------------------------------------------------------- */

enum {
    TOKEN_END = 256,
    TOKEN_DATA,
    TOKEN_OPEN,       /* {% */
    TOKEN_CLOSE,      /* %} */
    TOKEN_OPEN_VALUE, /* {{ */
    TOKEN_CLOSE_VALUE,
    TOKEN_NAME,
    TOKEN_STRING, /* text is between the quotes, undecoded */
    TOKEN_INT,
    TOKEN_FLOAT,
    TOKEN_POW, /* operators of one character are that character */
    TOKEN_FLOORDIV,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_LE,
    TOKEN_GE,
    TOKEN_IN, /* made by the parser */
    TOKEN_NOT_IN,
    TOKEN_BAD,
};
typedef struct chord_token {
    int32_t kind;
    const char *s;
    uint32_t n, line;
} chord_token;

/* A copy of a lexer is a place to come back to. */
typedef struct chord_lexer {
    const char *s, *end;
    uint32_t line, depth; /* open brackets */
    uint8_t state, line_starts;
    const char *fault;
} chord_lexer;

chord_token chord_lex(chord_lexer *l);

/* ---- parser ----------------------------------------------------------------------------------------- */

/* Blocks and brackets inside each other; a level takes some 300 bytes of C stack. */
#define CHORD_TEMPLATE_NESTING 64

/* A place in the source to come back to: code doesn't have the source's order. */
typedef struct chord_place {
    chord_lexer lexer;
    chord_token t, ahead;
} chord_place;

typedef struct chord_parser {
    chord_place at;
    chord_arena *arena;
    chord_error *error;
    chord_status status;
    chord_value v; /* the literal or name that was read last */
    int32_t depth, uses;    /* uses: of the machine's own words, bits 1 << WORD_* */
    int32_t loop,
        breaks; /* where `continue` goes, -1 outside a loop; the last `break`, which names the one before */
    int32_t scopes; /* open since the loop's or the macro's begin */
    chord_instruction *code;
    chord_value *constants;
    chord_macro *macros;
    int32_t *params;
    chord_word *words;
    uint16_t *hash;
    int32_t n_code, n_constants, n_macros, n_params, n_words;
} chord_parser;

void chord_parse_fail(chord_parser *p, const char *what);
void chord_parse_next(chord_parser *p);
/* Is the current token the name `word`? _word also goes past it, _take past a token of the kind. */
bool chord_parse_is(const chord_parser *p, const char *word);
bool chord_parse_word(chord_parser *p, const char *word);
bool chord_parse_take(chord_parser *p, int32_t kind);
void chord_parse_expect(chord_parser *p, int32_t kind, const char *what);
/* One level of nesting more; the caller takes it back by depth--. */
bool chord_parse_down(chord_parser *p);
int32_t chord_code_emit(chord_parser *p, int op, int b, int32_t c);
/* The jump at `at` goes to the next instruction. */
void chord_code_land(chord_parser *p, int32_t at);
/* p->v becomes a value of the kind, with whole number i; the string; the name at the current token. */
void chord_parse_literal(chord_parser *p, int kind, int64_t i);
void chord_parse_string(chord_parser *p, const char *s, size_t n);
void chord_parse_name(chord_parser *p);
/* Emits an instruction whose c is the constant p->v. */
void chord_parse_constant(chord_parser *p, int op);
/* The number of the variable p->v. */
int32_t chord_word_id(chord_parser *p);
int32_t chord_parse_variable(chord_parser *p); /* the name at the current token */
void *chord_parse_grow(chord_parser *p, void *at, int32_t n, size_t size);
/* An expression; `if` is false where `a if b` may not be. */
void chord_parse_expression(chord_parser *p, bool with_if);
/* One expression, or several with commas: a tuple. */
void chord_parse_tuple(chord_parser *p, bool with_if);
/* | filter | filter ...; `open` if the first has no bar. */
void chord_parse_filters(chord_parser *p, bool open);

#endif
