/* checkkern_native.c: main(), the clock and the machine's name for native builds. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "checkkern.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

int32_t checkkern_run(char *arguments);

void checkkern_print(const char *text, int32_t n)
{
    fwrite(text, 1, (size_t)n, stdout);
    fflush(stdout);
}

double checkkern_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static const char *machine(void)
{
#if defined(__x86_64__)
    static unsigned words[13];
    for (unsigned i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                         &words[4 * i + 3]))
            return "x86-64";
    return (const char *)words;
#else
    return "this machine";
#endif
}

int main(int argc, char **argv)
{
    char line[1024] = "";
    int is_json = 0;
    for (int i = 1; i < argc; i++) {
        if (strlen(line) + strlen(argv[i]) + 2 > sizeof line) return 2;
        if (i > 1) strcat(line, " ");
        strcat(line, argv[i]);
        is_json |= !strcmp(argv[i], "--json");
    }
    if (!is_json) printf("native, %s, compiler %s\n", machine(), __VERSION__);
    return checkkern_run(line);
}
