/* test.h: the C test harness. The name of a test is a sentence. A file of tests needs no main() and no list.
 *
 *   #include "../harness/test.h"
 *   TEST(gguf_rejects_tensor_past_end_of_file)
 *   {
 *       CHECK(status == CHORD_INVALID_GGUF);
 *       CHECK_EQ(n, 3);
 *       CHECK_TEXT(error.text, "tensor 'x'");   // contains
 *       CHECK_NEAR(a, b, 1e-6);
 *       if (!file) SKIP("no default model here: run `make model`");
 *   }
 *
 * One binary per room: build/.../test_<room> [filter ...] runs the tests whose names contain a filter
 * (without filters: all). It prints failures with file:line, and `N passed, N failed, N skipped` at the end.
 * A failed check ends its test (longjmp); the next test runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHORD_TEST_H
#define CHORD_TEST_H
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
    const char *name, *file;
    void (*run)(void);
    struct test_case *next;
} test_case;
void test_register(test_case *t);
void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));
void test_skip(const char *reason) __attribute__((noreturn));
/* Returns a file's contents in test_alloc() memory; NULL when the file can't be read. */
uint8_t *test_read_file(const char *path, size_t *bytes);
/* Allocates memory, 64-byte aligned, that is freed after the running test. */
void *test_alloc(size_t bytes);
/* test_release() frees the memory allocated since test_mark(), for long loops. */
int test_mark(void);
void test_release(int mark);
/* Random numbers. Every test starts from the same state. */
uint64_t test_random(void);
float test_gauss(void);

#define TEST(test_name)                                                      \
    static void test_name(void);                                             \
    __attribute__((constructor)) static void test_register_##test_name(void) \
    {                                                                        \
        static test_case t = { #test_name, __FILE__, test_name, 0 };         \
        test_register(&t);                                                   \
    }                                                                        \
    static void test_name(void)

#define CHECK(condition)                                                   \
    do {                                                                   \
        if (!(condition)) test_fail(__FILE__, __LINE__, "%s", #condition); \
    } while (0)
#define CHECK_EQ(got, want)                                                                           \
    do {                                                                                              \
        long long const got_ = (long long)(got), want_ = (long long)(want);                           \
        if (got_ != want_) test_fail(__FILE__, __LINE__, "%s is %lld, want %lld", #got, got_, want_); \
    } while (0)
#define CHECK_NEAR(got, want, bound)                                                                       \
    do {                                                                                                   \
        double const got_ = (got), want_ = (want), bound_ = (bound);                                       \
        if (!(got_ - want_ <= bound_ && want_ - got_ <= bound_))                                           \
            test_fail(__FILE__, __LINE__, "%s is %.9g, want %.9g within %.3g", #got, got_, want_, bound_); \
    } while (0)
#define CHECK_TEXT(got, part)                                                                             \
    do {                                                                                                  \
        const char *const got_ = (got);                                                                   \
        if (!strstr(got_, (part)))                                                                        \
            test_fail(__FILE__, __LINE__, "%s is \"%s\", want it to contain \"%s\"", #got, got_, (part)); \
    } while (0)
#define SKIP(reason) test_skip(reason)

#endif
