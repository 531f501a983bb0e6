/* Compares what templates render with what Jinja2 renders; see tools/make_template_goldens.py. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "goldens.h"

static chord_template_input const plain;

/* Is the case what the golden says? Prints the difference if it isn't. */
static int holds(const golden *g, chord_template_input in, size_t bytes, uint64_t steps)
{
    in.variables = g->variables;
    in.n_variables = g->n_variables;
    rendering const got = render(g->template, g->n_template, in, bytes, steps);
    int same;
    if (g->is_error) {
        same = got.status < 0 && got.error.length > 0;
    } else if (g->is_raised) {
        size_t n = 0;
        const char *const raised = got.run ? chord_template_raised(got.run, &n) : NULL;
        same = got.status == CHORD_INVALID_ARGUMENT && raised && n == g->n_text &&
               !memcmp(raised, g->text, n);
    } else {
        same = got.status == CHORD_DONE && got.n == g->n_text && !memcmp(got.text, g->text, got.n);
    }
    if (same) return 1;
    fprintf(stderr, "---- case %.*s\n%.*s\n---- want%s\n%.*s\n---- got %d %s\n%.*s\n", (int)g->n_name,
            g->name, (int)g->n_template, g->template,
            g->is_error    ? " an error"
            : g->is_raised ? " it raised"
                           : "",
            (int)g->n_text, g->text, got.status, got.error.text, (int)got.n, got.text ? got.text : "");
    return 0;
}

/* Returns the number of cases. */
static int check_file(const char *name, chord_template_input in, size_t bytes, uint64_t steps)
{
    size_t size;
    const char *at = (const char *)test_read_file(name, &size);
    CHECK(at);
    const char *const end = at + size;
    int n = 0, wrong = 0;
    for (golden g; golden_next(&at, end, &g); n++) {
        int const mark = test_mark();
        wrong += !holds(&g, in, bytes, steps);
        test_release(mark);
    }
    CHECK_EQ(wrong, 0);
    return n;
}

TEST(a_snippet_renders_as_jinja2_renders_it)
{
    CHECK(check_file("tests/template/snippets.golden", plain, 1 << 22, 1000) > 300);
}

TEST(a_snippet_in_steps_of_one_renders_the_same)
{
    CHECK(check_file("tests/template/snippets.golden", plain, 1 << 22, 1) > 300);
}

/* And the templates of model families, for developers who have them:
 *   python3 tools/make_template_goldens.py --requests DIR build/families.golden
 *   python3 tools/make_template_goldens.py --merged DIR build/families-merged.golden
 *   build/test/template chat merged */
static void check_families(const char *name, chord_template_input in)
{
    FILE *f = fopen(name, "rb");
    if (!f) return;
    fclose(f);
    CHECK(check_file(name, in, 1 << 22, 10000) > 0);
}

TEST(a_chat_format_renders_as_jinja2_renders_it)
{
    CHECK(check_file("tests/template/chats.golden", plain, 1 << 22, 100) > 70);
    check_families("build/families.golden", plain);
}

TEST(a_merged_system_message_renders_as_jinja2_renders_the_merged_messages)
{
    chord_template_input const in = { .merge_system = true };
    CHECK(check_file("tests/template/merged.golden", in, 1 << 22, 100) > 70);
    check_families("build/families-merged.golden", in);
}
