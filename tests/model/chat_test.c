/* chat_test.c: the chat templates of chat.c render what the families' own templates render: the golden's
 * texts (tools/make_template_goldens.py --defaults). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "../../src/model/builder.h"
#include "../template/goldens.h"

TEST(a_family_s_default_renders_text_messages_as_the_family_s_template_does)
{
    size_t size;
    const char *at = (const char *)test_read_file("tests/model/chat.golden", &size);
    CHECK(at);
    const char *const end = at + size;
    int n = 0, n_texts = 0;
    for (golden g; golden_next(&at, end, &g); n++) {
        int const mark = test_mark();
        size_t const n_arch = (size_t)(strchr(g.name, ' ') - g.name);
        const char *const source = chord_arch_find(chord_archs, g.name, n_arch)->chat_template;
        chord_template_input const in = { .variables = g.variables, .n_variables = g.n_variables };
        rendering const got = render(source, strlen(source), in, 1 << 20, 1000);
        int const same = g.is_error ? got.status < 0
                                    : got.status == CHORD_DONE && got.n == g.n_text &&
                                          !memcmp(got.text, g.text, got.n);
        if (!same)
            test_fail(__FILE__, __LINE__, "%.*s: want %s\n%.*s\n---- got %d %s\n%.*s", (int)g.n_name, g.name,
                      g.is_error ? "an error" : "", (int)g.n_text, g.text, got.status, got.error.text,
                      (int)got.n, got.text ? got.text : "");
        n_texts += !g.is_error;
        test_release(mark);
    }
    CHECK(n > 100 && n_texts > 100);
}

TEST(a_family_s_default_refuses_contents_that_aren_t_text)
{
    for (const chord_arch *arch = chord_archs; arch->name; arch++) {
        const char *const source = arch->chat_template;
        if (!source) continue;
        rendering const got =
            render_text(source, "{\"messages\": [{\"role\": \"user\", \"content\": [{\"text\": \"a\"}]}]}");
        if (got.status != CHORD_INVALID_ARGUMENT)
            test_fail(__FILE__, __LINE__, "%s: %d %.*s", arch->name, got.status, (int)got.n, got.text);
    }
}
