#ifndef VOXALIGN_FILTER_H
#define VOXALIGN_FILTER_H
#include "common.h"

/* out[x] = sum_k w[k] line[x + k]; the number of taps is a constant in every case, so that the loop over x is SIMD */
INLINE void taps_n(const float *restrict line, const float *restrict w, const i32 r, i32 n, float *restrict out)
{
    for (i32 x = 0; x < n; x++) {
        float s = 0.f;
        for (i32 k = 0; k < 2 * r + 1; k++) s += w[k] * line[x + k];
        out[x] = s;
    }
}

INLINE void taps(const float *line, const float *w, i32 r, i32 n, float *out)
{
    switch (r) {
    case 0: taps_n(line, w, 0, n, out); break;
    case 1: taps_n(line, w, 1, n, out); break;
    case 2: taps_n(line, w, 2, n, out); break;
    case 3: taps_n(line, w, 3, n, out); break;
    case 4: taps_n(line, w, 4, n, out); break;
    case 5: taps_n(line, w, 5, n, out); break;
    default:
        for (i32 x = 0; x < n; x++) out[x] = w[0] * line[x];
        for (i32 k = 1; k < 2 * r + 1; k++)
            for (i32 x = 0; x < n; x++) out[x] += w[k] * line[x + k];
    }
}

/* the same with all weights 1 */
INLINE void sums_n(const float *restrict line, const i32 r, i32 n, float *restrict out)
{
    for (i32 x = 0; x < n; x++) {
        float s = line[x];
        for (i32 k = 1; k < 2 * r + 1; k++) s += line[x + k];
        out[x] = s;
    }
}

INLINE void sums(const float *line, i32 r, i32 n, float *out)
{
    switch (r) {
    case 0: sums_n(line, 0, n, out); break;
    case 1: sums_n(line, 1, n, out); break;
    case 2: sums_n(line, 2, n, out); break;
    case 3: sums_n(line, 3, n, out); break;
    case 4: sums_n(line, 4, n, out); break;
    default:
        for (i32 x = 0; x < n; x++) out[x] = line[x];
        for (i32 k = 1; k < 2 * r + 1; k++)
            for (i32 x = 0; x < n; x++) out[x] += line[x + k];
    }
}
#endif
