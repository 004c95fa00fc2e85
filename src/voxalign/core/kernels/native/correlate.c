/* Features of one image compared with those around the same place in another: (C, n0, n1, n2) each. Offsets within r are counted with
   the last axis fastest, K = (2 r0 + 1)(2 r1 + 1)(2 r2 + 1) of them. Beyond the faces everything is 0. */
#include "common.h"

/* rows y of plane z of every channel, with r2 zeros before and after; 0 if there is no such row */
static int padded(const float *values, i32 channels, Shape s, i32 z, i32 y, i32 r2, float *out)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2, width = s.n2 + 2 * r2;
    if (z < 0 || z >= s.n0 || y < 0 || y >= s.n1) return 0;
    for (i32 c = 0; c < channels; c++) memcpy(out + c * width + r2, values + c * size + ((i64)z * s.n1 + y) * s.n2, (size_t)s.n2 * sizeof(float));
    return 1;
}

/* a row of w outputs, o + k size each: sums over channels of here(x) near(x + k); w is known where this is inlined */
INLINE void compare(const float *here, i64 size, const float *near, i64 width, i32 channels, i32 n, i32 w, float *o)
{
    ROW(x, n, T sum[9];
        for (i32 k = 0; k < w; k++) sum[k] = (T){0};
        for (i32 c = 0; c < channels; c++) {
            const T h = LOAD(here + c * size + x);
            for (i32 k = 0; k < w; k++) sum[k] += h * LOAD(near + c * width + x + k);
        }
        for (i32 k = 0; k < w; k++) STORE(o + k * size + x, sum[k]););
}

static void compare_within(i32 r, const float *here, i64 size, const float *near, i64 width, i32 channels, i32 n, float *o)
{
    switch (r) {
    case 0: compare(here, size, near, width, channels, n, 1, o); break;
    case 1: compare(here, size, near, width, channels, n, 3, o); break;
    case 2: compare(here, size, near, width, channels, n, 5, o); break;
    case 3: compare(here, size, near, width, channels, n, 7, o); break;
    case 4: compare(here, size, near, width, channels, n, 9, o); break;
    default: for (i32 k = 0; k <= 2 * r; k++) compare(here, size, near + k, width, channels, n, 1, o + k * size);
    }
}

/* rows [a, b): out[k](x) = sum over channels of one(x) other(x + o_k) */
API void vx_correlation(const float *one, const float *other, i32 channels, Shape s, Radius r, float *out, i64 a, i64 b)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2, width = s.n2 + 2 * r.r2;
    float *room = calloc((size_t)(channels * width), sizeof(float));
    for (i64 row = a; row < b; row++) {
        float *o = out + row * s.n2;
        for (i32 dz = -r.r0; dz <= r.r0; dz++)
            for (i32 dy = -r.r1; dy <= r.r1; dy++, o += (2 * r.r2 + 1) * size) {
                const i32 z = (i32)(row / s.n1) + dz, y = (i32)(row % s.n1) + dy;
                const i64 first = ((i64)z * s.n1 + y) * s.n2 - r.r2;
                if (z < 0 || z >= s.n0 || y < 0 || y >= s.n1) {
                    for (i32 k = 0; k <= 2 * r.r2; k++) memset(o + k * size, 0, (size_t)s.n2 * sizeof(float));
                } else if (first >= 0 && first + width <= size) {    /* reads into the rows before and after, and leaves none of that */
                    compare_within(r.r2, one + row * s.n2, size, other + first, size, channels, s.n2, o);
                    for (i32 k = 0; k < r.r2; k++) {
                        const size_t beyond = (size_t)mini(r.r2 - k, s.n2);
                        memset(o + k * size, 0, beyond * sizeof(float));
                        memset(o + (2 * r.r2 - k) * size + s.n2 - beyond, 0, beyond * sizeof(float));
                    }
                } else {
                    padded(other, channels, s, z, y, r.r2, room);
                    compare_within(r.r2, one + row * s.n2, size, room, width, channels, s.n2, o);
                }
            }
    }
    free(room);
}

/* rows [a, b): out(x) = sum over k of weights[k](x) values(x + o_k), for every channel; mirrored: of weights[-k](x + o_k) values(x + o_k) */
API void vx_neighbours(const float *weights, const float *values, i32 channels, Shape s, Radius r, i32 mirrored, float *out, i64 a, i64 b)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2, width = s.n2 + 2 * r.r2, last = (2 * r.r0 + 1) * (2 * r.r1 + 1) * (2 * r.r2 + 1) - 1;
    float *near = calloc((size_t)((channels + 1) * width), sizeof(float)), *shares = near + channels * width;
    for (i64 row = a; row < b; row++) {
        i64 k = 0;
        for (i32 c = 0; c < channels; c++) memset(out + c * size + row * s.n2, 0, (size_t)s.n2 * sizeof(float));
        for (i32 dz = -r.r0; dz <= r.r0; dz++)
            for (i32 dy = -r.r1; dy <= r.r1; dy++) {
                const i32 z = (i32)(row / s.n1) + dz, y = (i32)(row % s.n1) + dy;
                if (!padded(values, channels, s, z, y, r.r2, near)) { k += 2 * r.r2 + 1; continue; }
                for (i32 dx = 0; dx <= 2 * r.r2; dx++, k++) {
                    const float *w = weights + k * size + row * s.n2;
                    if (mirrored) { padded(weights + (last - k) * size, 1, s, z, y, r.r2, shares); w = shares + dx; }
                    for (i32 c = 0; c < channels; c++) {
                        float *restrict o = out + c * size + row * s.n2;
                        const float *restrict v = near + c * width + dx;
                        SIMD for (i32 x = 0; x < s.n2; x++) o[x] += w[x] * v[x];
                    }
                }
            }
    }
    free(near);
}
