/* Reading images at places: pull (places computed from matrices and a displacement field) and sample (places given). */
#include "common.h"

/* where each voxel of a row reads: cell, weights, inside or not */
typedef struct { i32 *at; float *w0, *w1, *w2, *inside; } Row;

static Row row_new(i32 n)
{
    Row r;
    char *p = malloc((size_t)n * 5 * sizeof(float) + 1);
    r.at = (i32 *)p;
    r.w0 = (float *)p + n; r.w1 = r.w0 + n; r.w2 = r.w1 + n; r.inside = r.w2 + n;
    return r;
}

INLINE double between(double p, double last)                  /* fmin and fmax would end the SIMD loop */
{
    const double q = p > 0. ? p : 0.;
    return q < last ? q : last;
}

/* double positions: a float loses 1e-4 voxel on large grids */
INLINE void place(Row r, i32 x, double p0, double p1, double p2, Shape s)
{
    const double q0 = between(p0, s.n0 - 1), q1 = between(p1, s.n1 - 1), q2 = between(p2, s.n2 - 1);
    i32 i0 = mini((i32)q0, maxi(s.n0 - 2, 0)), i1 = mini((i32)q1, maxi(s.n1 - 2, 0)), i2 = mini((i32)q2, maxi(s.n2 - 2, 0));
    r.inside[x] = (p0 >= -0.5) & (p0 <= s.n0 - 0.5) & (p1 >= -0.5) & (p1 <= s.n1 - 0.5) & (p2 >= -0.5) & (p2 <= s.n2 - 0.5) ? 1.f : 0.f;
    r.at[x] = (i0 * s.n1 + i1) * s.n2 + i2;
    r.w0[x] = (float)(q0 - i0); r.w1[x] = (float)(q1 - i1); r.w2[x] = (float)(q2 - i2);
}

enum { LINEAR = 0, NEAREST = 1, LABEL = 2 };

static void read_linear(const float *f, Shape s, Row r, i32 n, float outside, float *out)
{
    const i32 s0 = stride0(s), s1 = stride1(s), s2 = stride2(s);
    for (i32 x = 0; x < n; x++) {
        const float v = trilinear(f, r.at[x], s0, s1, s2, r.w0[x], r.w1[x], r.w2[x]);
        out[x] = r.inside[x] > 0.f ? v : outside;
    }
}

/* halves round up, as floor(p + 0.5) does */
INLINE i32 nearest(Row r, i32 x, i32 s0, i32 s1, i32 s2)
{
    return r.at[x] + (r.w0[x] >= .5f ? s0 : 0) + (r.w1[x] >= .5f ? s1 : 0) + (r.w2[x] >= .5f ? s2 : 0);
}

static void read_nearest_f(const float *f, Shape s, Row r, i32 n, float outside, float *out)
{
    const i32 s0 = stride0(s), s1 = stride1(s), s2 = stride2(s);
    for (i32 x = 0; x < n; x++) out[x] = r.inside[x] > 0.f ? f[nearest(r, x, s0, s1, s2)] : outside;
}

static i32 vote(const i32 *f, i32 at, i32 s0, i32 s1, i32 s2, float w0, float w1, float w2)
{
    const i32 offset[8] = {0, s2, s1, s1 + s2, s0, s0 + s2, s0 + s1, s0 + s1 + s2};
    i32 label[8];
    float sum[8], best = -1.f;
    i32 n = 0, winner = f[at];
    for (i32 k = 1; k < 8; k++)
        if (f[at + offset[k]] != winner) { n = 1; break; }
    if (!n) return winner;                                    /* most cells hold one label */
    n = 0;
    for (i32 k = 0; k < 8; k++) {
        float w = (k & 4 ? w0 : 1 - w0) * (k & 2 ? w1 : 1 - w1) * (k & 1 ? w2 : 1 - w2);
        i32 v = f[at + offset[k]], j = 0;
        while (j < n && label[j] != v) j++;
        if (j == n) { label[n] = v; sum[n++] = 0.f; }
        sum[j] += w;
    }
    for (i32 j = 0; j < n; j++)
        if (sum[j] > best + 1e-6f) { best = sum[j]; winner = label[j]; }
    return winner;
}

static void read_i32(const i32 *f, Shape s, Row r, i32 n, int mode, i32 outside, i32 *out)
{
    const i32 s0 = stride0(s), s1 = stride1(s), s2 = stride2(s);
    for (i32 x = 0; x < n; x++) {
        if (r.inside[x] <= 0.f) out[x] = outside;
        else if (mode == NEAREST) out[x] = f[nearest(r, x, s0, s1, s2)];
        else out[x] = vote(f, r.at[x], s0, s1, s2, r.w0[x], r.w1[x], r.w2[x]);
    }
}

static void read_row(const void *data, int is_int, i32 channels, Shape s, Row r, i32 n, int mode, double outside, void *out, i64 out_stride)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2;
    for (i32 c = 0; c < channels; c++) {
        if (is_int) read_i32((const i32 *)data + c * size, s, r, n, mode, (i32)outside, (i32 *)out + c * out_stride);
        else if (mode == LINEAR) read_linear((const float *)data + c * size, s, r, n, (float)outside, (float *)out + c * out_stride);
        else read_nearest_f((const float *)data + c * size, s, r, n, (float)outside, (float *)out + c * out_stride);
    }
}

/* rows [a, b) of the output (n0*n1 of them). first: 12 numbers, output index -> index of field (or of the data, where field is NULL);
   after, linear: index of field -> index of data, and data index per unit of displacement. */
API void vx_pull(const void *data, int is_int, i32 channels, Shape s, const float *field, Shape fs, const double *first, const double *after,
                 const double *linear, int mode, double outside, void *out, Shape o, i64 a, i64 b)
{
    Row r = row_new(o.n2), q = row_new(field ? o.n2 : 0);
    float *u = malloc((size_t)(field ? 3 * o.n2 : 1) * sizeof(float));
    const i64 size = (i64)o.n0 * o.n1 * o.n2;
    for (i64 row = a; row < b; row++) {
        double z = (double)(row / o.n1), y = (double)(row % o.n1), p[3];
        for (int k = 0; k < 3; k++) p[k] = first[4 * k] * z + first[4 * k + 1] * y + first[4 * k + 3];
        if (!field) {
            SIMD for (i32 x = 0; x < o.n2; x++) place(r, x, p[0] + first[2] * x, p[1] + first[6] * x, p[2] + first[10] * x, s);
        } else {
            SIMD for (i32 x = 0; x < o.n2; x++) place(q, x, p[0] + first[2] * x, p[1] + first[6] * x, p[2] + first[10] * x, fs);
            read_row(field, 0, 3, fs, q, o.n2, LINEAR, 0., u, o.n2);
            SIMD for (i32 x = 0; x < o.n2; x++) {
                double i0 = p[0] + first[2] * x, i1 = p[1] + first[6] * x, i2 = p[2] + first[10] * x, t[3];
                double u0 = u[x], u1 = u[o.n2 + x], u2 = u[2 * o.n2 + x];
                for (int k = 0; k < 3; k++)
                    t[k] = after[4 * k] * i0 + after[4 * k + 1] * i1 + after[4 * k + 2] * i2 + after[4 * k + 3]
                         + linear[3 * k] * u0 + linear[3 * k + 1] * u1 + linear[3 * k + 2] * u2;
                place(r, x, t[0], t[1], t[2], s);
            }
        }
        read_row(data, is_int, channels, s, r, o.n2, mode, outside, (float *)out + row * o.n2, size);  /* both types have 4 bytes */
    }
    free(r.at); free(q.at); free(u);
}

/* points [a, b) of (count, 3) positions; out is (channels, count) */
API void vx_sample(const void *data, int is_int, i32 channels, Shape s, const double *points, i64 count, int mode, double outside, void *out,
                   i64 a, i64 b)
{
    enum { N = 256 };
    Row r = row_new(N);
    for (i64 p = a; p < b; p += N) {
        i32 n = (i32)(b - p < N ? b - p : N);
        for (i32 x = 0; x < n; x++) place(r, x, points[3 * (p + x)], points[3 * (p + x) + 1], points[3 * (p + x) + 2], s);
        read_row(data, is_int, channels, s, r, n, mode, outside, (float *)out + p, count);
    }
    free(r.at);
}

/* where the voxels of a row that starts at z, y, x read after a displacement u (three components, size apart), in floats */
static void near(Row r, Shape s, float z, float y, float x0, const float *restrict u, i64 size, i32 n)
{
    const i32 p0 = s.n1 * s.n2, p1 = s.n2;
    const float *restrict u0 = u, *restrict u1 = u + size, *restrict u2 = u1 + size;
    i32 *restrict at = r.at;
    float *restrict w0 = r.w0, *restrict w1 = r.w1, *restrict w2 = r.w2;
    SIMD for (i32 x = 0; x < n; x++) {
        at[x] = cell(z + u0[x], s.n0, w0 + x) * p0 + cell(y + u1[x], s.n1, w1 + x) * p1;
        at[x] += cell(x0 + (float)x + u2[x], s.n2, w2 + x);
    }
}

/* rows [a, b): out(x) = image(x + u(x)), u in voxels, edge values continued; what o leaves out stays as it was */
API void vx_warp(const float *image, Shape s, const float *u, float *out, Shape o, i64 a, i64 b)
{
    const i64 size = (i64)o.n0 * o.n1 * o.n2;
    Row r = row_new(o.n2);
    for (i32 x = 0; x < o.n2; x++) r.inside[x] = 1.f;
    for (i64 row = a; row < b; row++) {
        const Span p = span(o, row);
        if (p.lo >= p.hi) continue;
        near(r, s, (float)(row / o.n1), (float)(row % o.n1), (float)p.lo, u + row * o.n2 + p.lo, size, p.hi - p.lo);
        read_linear(image, s, r, p.hi - p.lo, 0.f, out + row * o.n2 + p.lo);
    }
    free(r.at);
}

/* the same for features side by side, (n0, n1, n2, C), written as (C, *o) */
API void vx_warp_features(const float *image, i32 channels, Shape s, const float *u, float *out, Shape o, i64 a, i64 b)
{
    const i64 size = (i64)o.n0 * o.n1 * o.n2, c = channels;
    const i64 s0 = stride0(s) * c, s1 = stride1(s) * c, s2 = stride2(s) * c;
    float *read = malloc((size_t)(o.n2 * c + 1) * sizeof(float));
    for (i64 row = a; row < b; row++) {
        const float z = (float)(row / o.n1), y = (float)(row % o.n1);
        const float *restrict u0 = u + row * o.n2, *restrict u1 = u0 + size, *restrict u2 = u1 + size;
        const Span p = span(o, row);
        for (i32 x = p.lo; x < p.hi; x++) {
            float w0, w1, w2;
            i64 i = (i64)cell(z + u0[x], s.n0, &w0) * s.n1;
            i = (i + cell(y + u1[x], s.n1, &w1)) * s.n2;
            const float *restrict f = image + (i + cell((float)x + u2[x], s.n2, &w2)) * c;
            const float v0 = 1.f - w0, v1 = 1.f - w1, v2 = 1.f - w2, h = v1 * v2, j = v1 * w2, k = w1 * v2, l = w1 * w2;
            float *restrict t = read + x * c;
            SIMD for (i64 n = 0; n < c; n++)
                t[n] = v0 * (h * f[n] + j * f[n + s2] + k * f[n + s1] + l * f[n + s1 + s2])
                     + w0 * (h * f[n + s0] + j * f[n + s0 + s2] + k * f[n + s0 + s1] + l * f[n + s0 + s1 + s2]);
        }
        for (i64 n = 0; n < c; n++)
            for (i32 x = p.lo; x < p.hi; x++) out[n * size + row * o.n2 + x] = read[x * c + n];
    }
    free(read);
}
