#ifndef VOXALIGN_FILTER_H
#define VOXALIGN_FILTER_H
#include "common.h"

/* out[x] = sum_k w[k] line[x + k], k = 0 .. 2r; r is a constant in every case, so that the taps stay in registers */
INLINE void taps_n(const float *line, const float *w, const i32 r, i32 n, float *out)
{
    ROW(x, n, T s = w[0] * LOAD(line + x); for (i32 k = 1; k < 2 * r + 1; k++) s += w[k] * LOAD(line + x + k); STORE(out + x, s););
}

static void taps(const float *line, const float *w, i32 r, i32 n, float *out)
{
    switch (r) {
    case 0: taps_n(line, w, 0, n, out); break;
    case 1: taps_n(line, w, 1, n, out); break;
    case 2: taps_n(line, w, 2, n, out); break;
    case 3: taps_n(line, w, 3, n, out); break;
    case 4: taps_n(line, w, 4, n, out); break;
    case 5: taps_n(line, w, 5, n, out); break;
    default: taps_n(line, w, r, n, out);
    }
}

/* out[x] = sum_k w[k] rows[k][x] over `count` rows; as above */
INLINE void combine_n(const float *const *rows, const float *w, const i32 count, i32 n, float *out)
{
    ROW(x, n, T s = w[0] * LOAD(rows[0] + x); for (i32 k = 1; k < count; k++) s += w[k] * LOAD(rows[k] + x); STORE(out + x, s););
}

static void combine(const float *const *rows, const float *w, i32 count, i32 n, float *out)
{
    switch (count) {
    case 1: combine_n(rows, w, 1, n, out); break;
    case 3: combine_n(rows, w, 3, n, out); break;
    case 5: combine_n(rows, w, 5, n, out); break;
    case 7: combine_n(rows, w, 7, n, out); break;
    case 9: combine_n(rows, w, 9, n, out); break;
    default: combine_n(rows, w, count, n, out);
    }
}
#endif
