/* test_main.c: runs the registered tests; see test.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include <math.h>
#include <stdarg.h>

static test_case *first, **last = &first;
static jmp_buf leave;
static const char *skipped;
static uint64_t random_state;
static void *owned[4096];
static int n_owned;

void test_register(test_case *t)
{
    *last = t;
    last = &t->next;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    longjmp(leave, 1);
}

void test_skip(const char *reason)
{
    skipped = reason;
    longjmp(leave, 2);
}

void *test_alloc(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (!p || n_owned == 4096) {
        fprintf(stderr, "test_alloc: no memory\n");
        exit(3);
    }
    return owned[n_owned++] = p;
}

int test_mark(void) { return n_owned; }
void test_release(int mark)
{
    while (n_owned > mark) free(owned[--n_owned]);
}

uint8_t *test_read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    uint8_t *p = test_alloc(*bytes + 1);
    size_t const got = fread(p, 1, *bytes, f);
    fclose(f);
    return got == *bytes ? p : NULL;
}

uint64_t test_random(void) /* splitmix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float test_gauss(void)
{
    double const u = ((double)(test_random() >> 11) + 0.5) * 0x1p-53,
                 v = (double)(test_random() >> 11) * 0x1p-53;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static int wanted(const test_case *t, int argc, char **argv)
{
    if (argc < 2) return 1;
    for (int i = 1; i < argc; i++)
        if (strstr(t->name, argv[i])) return 1;
    return 0;
}

int main(int argc, char **argv)
{
    static int n_passed, n_failed, n_skipped; /* static: a longjmp may lose changes of local variables */
    for (test_case *volatile t = first; t; t = t->next) {
        if (!wanted(t, argc, argv)) continue;
        random_state = 1;
        int const result = setjmp(leave);
        if (result == 0) {
            t->run();
            n_passed++;
        } else if (result == 1) {
            printf("FAIL %s\n", t->name);
            n_failed++;
        } else {
            printf("SKIP %s: %s\n", t->name, skipped);
            n_skipped++;
        }
        test_release(0);
    }
    printf("%d passed, %d failed, %d skipped\n", n_passed, n_failed, n_skipped);
    return n_failed != 0;
}
