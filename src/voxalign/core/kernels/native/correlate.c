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

/* row by row, with zeros around each: what of `other` lies dz, dy away */
static void compare_row(const float *one, const float *other, i32 channels, Shape s, i64 row, i32 dz, i32 dy, i32 r2, float *room, float *o)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2;
    padded(other, channels, s, (i32)(row / s.n1) + dz, (i32)(row % s.n1) + dy, r2, room);
    compare_within(r2, one + row * s.n2, size, room, s.n2 + 2 * r2, channels, s.n2, o + row * s.n2);
}

static void clear(float *o, i64 size, i32 w, i64 from, i64 to)
{
    for (i32 k = 0; k < w && from < to; k++) memset(o + k * size + from, 0, (size_t)(to - from) * sizeof(float));
}

/* rows [a, b) of one plane, out[k](x) for the offsets k of one dz, dy: all rows as one long one, which reads from one into the next; what
   comes of that is set to 0. The very first and last values have nothing before and after them. */
static void compare_rows(const float *one, const float *other, i32 channels, Shape s, i64 a, i64 b, i32 dz, i32 dy, i32 r2, float *room,
                         float *o)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2, rows = (i64)s.n0 * s.n1, there = (i64)dz * s.n1 + dy, plane = a / s.n1 * s.n1;
    const i32 w = 2 * r2 + 1, z = (i32)(a / s.n1) + dz, n = s.n2;
    i64 lo = plane + maxi((i32)(a - plane), -dy), hi = plane + mini((i32)(b - plane), s.n1 - dy);
    if (z < 0 || z >= s.n0 || lo >= hi) { clear(o, size, w, a * n, b * n); return; }
    clear(o, size, w, a * n, lo * n);
    clear(o, size, w, hi * n, b * n);
    for (; lo < hi && (lo + there) * n < r2; lo++) compare_row(one, other, channels, s, lo, dz, dy, r2, room, o);
    for (; lo < hi && (rows - hi - there) * n < r2; hi--) compare_row(one, other, channels, s, hi - 1, dz, dy, r2, room, o);
    if (lo >= hi) return;
    compare_within(r2, one + lo * n, size, other + (lo + there) * n - r2, size, channels, (i32)(hi - lo) * n, o + lo * n);
    for (i64 row = lo; row < hi; row++)
        for (i32 k = 0; k < r2; k++)
            for (i32 x = 0; x < mini(r2 - k, n); x++) o[k * size + row * n + x] = o[(2 * r2 - k) * size + (row + 1) * n - 1 - x] = 0.f;
}

/* rows [a, b): out[k](x) = sum over channels of one(x) other(x + o_k) */
API void vx_correlation(const float *one, const float *other, i32 channels, Shape s, Radius r, float *out, i64 a, i64 b)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2;
    float *room = calloc((size_t)(channels * (s.n2 + 2 * r.r2)), sizeof(float));
    for (i64 first = a, next; first < b; first = next) {
        float *o = out;
        next = (first / s.n1 + 1) * s.n1 < b ? (first / s.n1 + 1) * s.n1 : b;
        for (i32 dz = -r.r0; dz <= r.r0; dz++)
            for (i32 dy = -r.r1; dy <= r.r1; dy++, o += (2 * r.r2 + 1) * size)
                compare_rows(one, other, channels, s, first, next, dz, dy, r.r2, room, o);
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
