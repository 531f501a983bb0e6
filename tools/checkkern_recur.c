/* checkkern_recur.c: the checks of the slots of recurrent layers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "checkkern.h"

/* kind: 0 bell-shaped, 1 large and subnormal ones too */
static float *row(int32_t n, uint64_t offset, int32_t kind)
{
    float *x = region((uint64_t)n * 4, offset);
    for (int32_t i = 0; i < n; i++) {
        x[i] = random_gauss();
        if (kind && random_below(4) == 0) x[i] *= random_below(2) ? 0x1p-130f : 1e15f;
    }
    return x;
}

void check_conv(const chord_ops *ops, const chord_ops *scalar)
{
    for (int32_t kernel = 1; kernel <= 5; kernel++)
        for (int32_t n = 0; n <= 70; n = n < 9 ? n + 1 : n + 61)
            for (int32_t kind = 0; kind < 4; kind++) {
                next_case("kernel %d, n %d, data %d%s", kernel, n, kind, kind & 1 ? ", bias" : "");
                float *y = row(n, 4, 0), *want = row(n, 0, 0), *w = row(kernel * n, 8, kind / 2),
                      *bias = row(n, 4, 0);
                const float *x[5];
                for (int32_t j = 0; j < kernel; j++) x[j] = row(n, 4 * (uint64_t)(j % 3), kind / 2);
                chord_conv c = { want, x, w, kind & 1 ? bias : NULL, kernel, n };
                scalar->conv(&c);
                c.y = y;
                ops->conv(&c);
                for (int32_t i = 0; i < n; i++) same(y[i], want[i], i);
                canaries_live();
            }
}
