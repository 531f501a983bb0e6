/* Hostile templates and variables end with an error that names the line, within their bounds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "goldens.h"
#include <time.h>

enum { MEMORY = 16 << 20 };

static rendering run(const char *source, size_t n, const char *variables, uint64_t steps)
{
    chord_template_input const in = { .variables = variables, .n_variables = strlen(variables) };
    return render(source, n, in, MEMORY, steps);
}

/* Fails with this status and names the line. */
static void check_ends(const char *source, const char *variables, chord_status status, const char *line)
{
    rendering const r = run(source, strlen(source), variables, 10000);
    if (r.status != status || !strstr(r.error.text, line))
        test_fail(__FILE__, __LINE__, "%.60s: %d %s, want %d with %s", source, r.status, r.error.text, status,
                  line);
}

/* `unit` n times, then `end`. */
static char *repeated(const char *begin, const char *unit, size_t n, const char *end, size_t *bytes)
{
    size_t const size = strlen(unit), lead = strlen(begin), tail = strlen(end);
    char *const s = test_alloc(lead + size * n + tail + 1);
    memcpy(s, begin, lead);
    for (size_t i = 0; i < n; i++) memcpy(s + lead + i * size, unit, size);
    memcpy(s + lead + n * size, end, tail + 1);
    *bytes = lead + n * size + tail;
    return s;
}

TEST(a_range_of_a_billion_is_refused)
{
    check_ends("a\n{% for i in range(1000000000) %}{% endfor %}", "{}", CHORD_INVALID_ARGUMENT,
               "line 2: a range");
}

TEST(nested_loops_end)
{
    const char *const source =
        "{% for i in range(99999) %}\n{% for j in range(999) %}{% for k in range(999) %}"
        "{% if k %}{% endif %}{% endfor %}{% endfor %}{% endfor %}";
    rendering const r = run(source, strlen(source), "{}", 10000);
    CHECK(r.status == CHORD_INVALID_ARGUMENT || r.status == CHORD_OUT_OF_MEMORY);
    CHECK_TEXT(r.error.text, "chat template, line 2: ");
}

TEST(a_long_loop_spends_the_steps)
{
    size_t n;
    char *const source = repeated("{% for i in range(99999) %}\n", "{% if 1 < 2 %}{% endif %}", 200,
                                  "{% endfor %}", &n);
    CHECK_TEXT(run(source, n, "{}", 10000).error.text,
               "chat template, line 2: the template takes too many steps");
}

TEST(a_long_product_of_a_string_ends_at_the_memory)
{
    check_ends("{{ 'x' * 10 ** 9 }}", "{}", CHORD_OUT_OF_MEMORY,
               "line 1: the template's values need more memory");
    check_ends("\n{{ [1] * 10 ** 9 }}", "{}", CHORD_OUT_OF_MEMORY, "line 2: ");
    check_ends("\n{{ '' * 10 ** 18 }}{{ [] * 10 ** 18 }}{{ 'a'.ljust(10 ** 18) }}", "{}", CHORD_OUT_OF_MEMORY,
               "line 2: ");
}

TEST(a_whole_number_beyond_64_bits_has_its_text_and_no_arithmetic)
{
    static const char *const uses[] = { "w + 1",  "1 - w", "w * 2", "w / 2", "w // 2",  "w % 2",
                                        "w ** 2", "-w",    "w|abs", "w|int", "'%d' % w" };
    static const char *const variables[] = { "{\"w\": 18446744073709551615}",
                                             "{\"w\": -9223372036854775809}" };
    for (size_t i = 0; i < 2 * sizeof uses / sizeof *uses; i++) {
        char source[60];
        snprintf(source, sizeof source, "\n{{ %s }}", uses[i / 2]);
        check_ends(source, variables[i % 2], CHORD_INVALID_ARGUMENT,
                   "line 2: a whole number doesn't fit 64 bits");
    }
}

TEST(a_wide_format_is_refused)
{
    static const char *const uses[] = { "\n{{ '%1000000000d' % 5 }}", "\n{{ '%-1000000000s'|format('a') }}",
                                        "\n{{ '{:>1000000000}'.format(1) }}" };
    for (int i = 0; i < 3; i++)
        check_ends(uses[i], "{}", CHORD_INVALID_ARGUMENT,
                   "line 2: a format's width is too large: '1000000000'");
    check_ends("\n{{ '%9999999999999999999999d' % 5 }}", "{}", CHORD_INVALID_ARGUMENT,
               "line 2: a format's width is too large: '9999999999999999999999'");
    CHECK_EQ(render_text("{{ '%1000000d' % 5 }}{{ '{:>1000000}'.format(1) }}", "{}").n, 2000000);
    const char *const digits = "{{ '%.1000000000s' % 'abc' }} {{ ('%.1100000s' % ('a' * 1200000))|length }}";
    CHECK_TEXT(run(digits, strlen(digits), "{}", 1000).text, "abc 1100000");
}

TEST(replacing_over_and_over_ends_at_the_memory)
{
    check_ends(
        "{% set ns = namespace(s='aa') %}\n{% for i in range(40) %}{% set ns.s = ns.s.replace('a', 'aa') %}{% endfor %}",
        "{}", CHORD_OUT_OF_MEMORY, "line 2: ");
    check_ends(
        "{% set ns = namespace(s='aa') %}\n{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{}", CHORD_OUT_OF_MEMORY, "line 2: ");
}

TEST(values_inside_each_other_end_at_the_depth)
{
    check_ends(
        "{% set ns = namespace(v=[]) %}\n{% for i in range(1000) %}{% set ns.v = [ns.v] %}{% endfor %}", "{}",
        CHORD_INVALID_ARGUMENT, "line 2: values are nested too deep");
    check_ends(
        "{% set ns = namespace(v=[]) %}\n{% for i in range(1000) %}{% set ns.v = {'a': ns.v} %}{% endfor %}",
        "{}", CHORD_INVALID_ARGUMENT, "line 2: values are nested too deep");
    size_t n;
    char *const deep = repeated("{\"a\":", "[", 200, "", &n);
    check_ends("x", deep, CHORD_INVALID_ARGUMENT, "line 1: the variables are nested too deep");
}

TEST(a_value_that_holds_itself_many_times_spends_the_steps)
{
    const char *const make =
        "{% set ns = namespace(v=[1, 2]) %}{% for i in range(60) %}{% set ns.v = [ns.v, ns.v] %}{% endfor %}";
    static const char *const uses[] = { "\n{{ ns.v }}", "\n{{ ns.v|tojson }}",
                                        "\n{{ [ns.v, 1] == [ns.v + [], 2] }}" };
    for (int i = 0; i < 3; i++) {
        char source[400];
        snprintf(source, sizeof source, "%s%s", make, uses[i]);
        rendering const r = run(source, strlen(source), "{}", 10000);
        CHECK(r.status == CHORD_INVALID_ARGUMENT || r.status == CHORD_OUT_OF_MEMORY);
        CHECK_TEXT(r.error.text, "line 2: ");
    }
}

TEST(a_namespace_that_holds_itself_has_no_text)
{
    check_ends("{% set ns = namespace() %}{% set ns.a = ns %}\n{{ ns }}", "{}", CHORD_INVALID_ARGUMENT,
               "line 2: no text for");
    check_ends("{% set ns = namespace() %}{% set ns.a = [ns] %}\n{{ ns.a|tojson }}", "{}",
               CHORD_INVALID_ARGUMENT, "line 2: ");
    CHECK_EQ(render_text("{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a == ns.a }}", "{}").status,
             CHORD_DONE);
}

TEST(macros_without_end_are_refused)
{
    check_ends("{% macro f() %}\n{{ f() }}{% endmacro %}{{ f() }}", "{}", CHORD_INVALID_ARGUMENT,
               "line 2: macros, loops or blocks");
    check_ends("{% macro f() %}{% for i in [1] %}\n{{ 1 + f()|length }}{% endfor %}{% endmacro %}{{ f() }}",
               "{}", CHORD_INVALID_ARGUMENT, "nested too deep");
}

TEST(filters_inside_filters_are_refused)
{
    check_ends("{{ [[[[[[[[1]]]]]]]]|map('map', 'map', 'map', 'map', 'map', 'upper')|list }}", "{}",
               CHORD_INVALID_ARGUMENT, "line 1: filters are nested too deep");
}

TEST(brackets_and_blocks_inside_each_other_end_at_the_depth)
{
    size_t n;
    static const char *const units[] = { "(", "[", "{1:", "-", "not (", "a[", "a(", "a|f(", "1 if 2 else " };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        char *const s = repeated("\n{{ ", units[i], 80000, "1", &n);
        CHECK_TEXT(run(s, n, "{}", 1000).error.text, "line 2: blocks or brackets are nested too deep");
    }
    char *const blocks = repeated("", "{% if 1 %}", 20000, "", &n);
    CHECK_TEXT(run(blocks, n, "{}", 1000).error.text, "line 1: blocks or brackets are nested too deep");
    char *const targets = repeated("{% for ", "(", 20000, "a in b %}", &n);
    CHECK_EQ(run(targets, n, "{}", 1000).status, CHORD_INVALID_ARGUMENT);
}

TEST(long_templates_take_linear_time)
{
    static const char *const units[] = { " ",     "\n",    "{",       "{ ",        "{%- if 1 %} {% endif %}",
                                         "{# #}", "a\n  ", "{{ a }}", "{% raw %}", "{{ 1 if 1 else 2 }}" };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n;
        char *const s = repeated("", units[i], 150000 / strlen(units[i]), "{% if 1 %}x{% endif %}", &n);
        clock_t const begin = clock();
        rendering const r = run(s, n, "{}", 1000);
        CHECK(r.status == CHORD_DONE || r.status == CHORD_INVALID_ARGUMENT);
        CHECK(clock() - begin < 2 * CLOCKS_PER_SEC); /* 0.1 s; a square would take minutes */
    }
}

TEST(output_ends_at_its_bound)
{
    const char *const source = "a\n{% for i in range(100) %}0123456789{% endfor %}";
    chord_template_input in = { .variables = "{}", .n_variables = 2, .max_output = 1001 };
    rendering r = render(source, strlen(source), in, MEMORY, 100);
    CHECK_EQ(r.status, CHORD_OUT_OF_MEMORY);
    CHECK_TEXT(r.error.text, "line 2: the template writes more than it may");
    in.max_output = 1002;
    r = render(source, strlen(source), in, MEMORY, 100);
    CHECK_EQ(r.status, CHORD_DONE);
    CHECK_EQ(r.n, 1002);
}

TEST(steps_end_at_their_bound)
{
    const char *const source = "{% for i in range(100) %}\n{% endfor %}";
    chord_template_input in = { .variables = "{}", .n_variables = 2, .max_steps = 100 };
    CHECK_TEXT(render(source, strlen(source), in, MEMORY, 10).error.text,
               "chat template, line 2: the template takes too many steps");
    in.max_steps = 2000;
    CHECK_EQ(render(source, strlen(source), in, MEMORY, 10).status, CHORD_DONE);
}

TEST(any_smaller_memory_is_an_error_and_no_crash)
{
    const char *const source =
        "{% macro f(a) %}<{{ a|upper }}>{% endmacro %}{% for m in l if m %}{{ f(m) ~ loop.index }}{{ {'a': m}|tojson }}{% endfor %}";
    const char *const variables = "{\"l\": [\"a\\n\", \"bc\", {\"k\": [1, 2.5]}]}";
    chord_template_input const in = { .variables = variables, .n_variables = strlen(variables) };
    size_t least = 0;
    for (size_t bytes = 0; !least && bytes < 1 << 20; bytes += bytes < 80000 || bytes > 120000 ? 997 : 31) {
        int const mark = test_mark();
        rendering const r = render(source, strlen(source), in, bytes, 50);
        if (r.status == CHORD_DONE) least = bytes;
        else CHECK_EQ(r.status, CHORD_OUT_OF_MEMORY);
        test_release(mark);
    }
    CHECK(least > 50000 && least < 300000);
    for (size_t bytes = 0; bytes < 60000; bytes += 501) {
        chord_arena arena = { test_alloc(bytes), 0, bytes };
        chord_template *t;
        chord_error error = { 0 };
        chord_status const status = chord_template_compile(source, strlen(source), &arena, &t, &error);
        CHECK(status == CHORD_OK ? t != NULL : status == CHORD_OUT_OF_MEMORY && error.length > 0);
        test_release(0);
    }
}

TEST(a_run_that_failed_stays_failed)
{
    rendering const r = render_text("a\n\n{{ raise_exception('no\\n\\x1b[31m way') }}", "{}");
    CHECK_EQ(r.status, CHORD_INVALID_ARGUMENT);
    CHECK(!strcmp(r.error.text, "chat template, line 3: no  [31m way"));
    CHECK_EQ(chord_template_step(r.run, 100), CHORD_INVALID_ARGUMENT);
    size_t n;
    CHECK(!strncmp(chord_template_raised(r.run, &n), "no\n\x1b[31m way", n) && n == 12);
}

TEST(an_error_names_what_is_wrong)
{
    static const char *const cases[][2] = {
        { "\n\n{{ nothing.x }}", "chat template, line 3: an undefined value is used: 'nothing'" },
        { "\n{{ [1][5].role }}", "line 2: an undefined value is used" },
        { "\n{{ messages[0].role }}", "line 2: an undefined value is used: 'messages'" },
        { "{{ 1 + 'a' }}", "line 1: an operator doesn't take 'a string'" },
        { "{% if 1 %}\n{{ x|nope }}{% endif %}", "line 2: there is no filter 'nope'" },
        { "\n{{ x is nope }}", "line 2: there is no test 'nope'" },
        { "\n{% foo %}", "line 2: a tag is unknown: before 'foo'" },
        { "\n{% if 1 %}\n", "line 2: a block isn't closed before 'the end of the text'" },
        { "\n{{ 1 +\n }}", "line 3: an expression is missing before '}}'" },
        { "\n{{ 'a }}", "line 2: a string has no end" },
        { "{{ 5() }}", "line 1: only functions and macros can be called, not 'an integer'" },
        { "{{ [1].append(2) }}", "line 1: an undefined value is used: 'append'" },
        { "{{ 9223372036854775807 + 1 }}", "line 1: a whole number doesn't fit 64 bits" },
        { "{{ 9223372036854775808 }}", "line 1: a whole number doesn't fit 64 bits" },
        { "{% for a, b in [[1]] %}{% endfor %}", "line 1: a value has not as many elements" },
        { "{{ 'a'.split(limit=1) }}", "line 1: no such argument: 'limit'" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_TEXT(render_text(cases[i][0], "{}").error.text, cases[i][1]);
}

TEST(a_text_that_is_added_to_costs_its_length)
{
    /* 20,000 pieces of 100 bytes: copies at each step would take 20 GB. */
    const char *const source =
        "{% set ns = namespace(s='') %}{% for i in range(20000) %}{% set ns.s = ns.s ~ p %}{% endfor %}{{ ns.s|length }}";
    char variables[200];
    snprintf(variables, sizeof variables, "{\"p\": \"%0100d\"}", 7);
    rendering const r = run(source, strlen(source), variables, 10000);
    CHECK_EQ(r.status, CHORD_DONE);
    CHECK(r.n == 7 && !memcmp(r.text, "2000000", 7));
}
