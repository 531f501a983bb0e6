/* fail.c: complaints about a command that failed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "chord_cli.h"

int cli_fail(const char *text)
{
    cli_complain(text);
    return 1;
}

int cli_fail_with_last(cli *c, chord_status status)
{
    char last[330], text[400];
    chord_last_error(c->loaded.model, last, sizeof last);
    snprintf(text, sizeof text, "%s: %s", chord_status_code(status),
             last[0] ? last : chord_status_text(status));
    return cli_fail(text);
}
