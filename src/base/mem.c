/* SPDX-License-Identifier: Apache-2.0 */
#include "mem.h"

int chord_equal(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;
    for (size_t i = 0; i < n; i++)
        if (p[i] != q[i]) return 0;
    return 1;
}

size_t chord_strlen(const char *s)
{
    size_t n = 0;
    while (s[n]) n++;
    return n;
}
