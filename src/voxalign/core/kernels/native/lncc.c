/* Local normalised cross-correlation in two sweeps: fit (window sums -> the terms of the gradient) and residual (their window sums ->
   residual and curvature). A block of planes is swept row by row, so that the rows a window needs stay in the first cache. */
#include "filter.h"

enum { BLOCK = 4, MOST_ROWS = 33 };                        /* planes a block holds; rows of a window, checked by the caller */

typedef struct { i32 r0, r1, r2; } Radius;
typedef struct { const float *w0, *w1, *w2; } Weights;     /* of a window's planes, rows and voxels: 2 r + 1 each */

/* work memory of one block: rings of 2 r1 + 1 rows for 3 channels and BLOCK planes, and padded lines */
typedef struct { float *ring, *line, *sum[3]; i32 rows, width; } Work;

static Work work_new(Shape s, Radius r)
{
    Work w;
    w.rows = 2 * r.r1 + 1;
    w.width = s.n2 + 2 * r.r2;
    w.ring = malloc(((size_t)BLOCK * 3 * w.rows * s.n2 + (size_t)w.width + 3 * (size_t)s.n2) * sizeof(float));
    w.line = w.ring + (size_t)BLOCK * 3 * w.rows * s.n2;
    for (int c = 0; c < 3; c++) w.sum[c] = w.line + w.width + (size_t)c * s.n2;
    memset(w.line, 0, (size_t)w.width * sizeof(float));       /* the pads stay zero: nothing lies outside */
    return w;
}

INLINE float *ring_row(Work w, Shape s, i32 block, i32 c, i32 y)
{
    return w.ring + (((size_t)block * 3 + c) * w.rows + (size_t)((y + 2 * w.rows) % w.rows)) * s.n2;
}

/* window sums of three channels for row y of one plane of the block, from the ring */
static void window(Work w, Shape s, Radius r, Weights v, i32 block, i32 y)
{
    const float *row[MOST_ROWS];
    const i32 lo = maxi(y - r.r1, 0), hi = mini(y + r.r1, s.n1 - 1);
    for (i32 c = 0; c < 3; c++) {
        for (i32 k = lo; k <= hi; k++) row[k - lo] = ring_row(w, s, block, c, k);
        combine(row, v.w1 + (lo - y + r.r1), hi - lo + 1, s.n2, w.line + r.r2);
        taps(w.line, v.w2, r.r2, s.n2, w.sum[c]);
    }
}

/* weighted sums over planes lo .. hi of row `at` (offset in a plane) of J, J J, J F */
static void add_products(const float *v, const float *F, const float *J, i64 plane, i64 at, i64 lo, i64 hi, i32 n, float *t0, float *t1, float *t2)
{
    F += at; J += at;
    ROW(x, n, T a = 0 * LOAD(J + x); T b = a; T c = a;
        for (i64 z = lo; z <= hi; z++) {
            T j = LOAD(J + z * plane + x), vj = v[z - lo] * j;
            a += vj; b += vj * j; c += vj * LOAD(F + z * plane + x);
        }
        STORE(t0 + x, a); STORE(t1 + x, b); STORE(t2 + x, c););
}

/* the same of three volumes */
static void add_planes(const float *v, const float *p, i64 size, i64 plane, i64 at, i64 lo, i64 hi, i32 n, float *t0, float *t1, float *t2)
{
    p += at;
    ROW(x, n, T a = 0 * LOAD(p + x); T b = a; T c = a;
        for (i64 z = lo; z <= hi; z++) {
            const float *q = p + z * plane + x;
            a += v[z - lo] * LOAD(q); b += v[z - lo] * LOAD(q + size); c += v[z - lo] * LOAD(q + 2 * size);
        }
        STORE(t0 + x, a); STORE(t1 + x, b); STORE(t2 + x, c););
}

/* log x for 0 < x < inf to 1e-6: the exponent, and a polynomial of the rest about 1 (library calls would end the SIMD loop) */
INLINE float log_fast(float x)
{
    union { float f; i32 i; } u = {x};
    i32 e = (u.i - 0x3f3504f3) >> 23;
    u.i -= e << 23;
    float t = u.f - 1.f, z = t * t;
    float p = 7.0376836292e-2f;
    p = p * t - 1.1514610310e-1f; p = p * t + 1.1676998740e-1f; p = p * t - 1.2420140846e-1f; p = p * t + 1.4249322787e-1f;
    p = p * t - 1.6668057665e-1f; p = p * t + 2.0000714765e-1f; p = p * t - 2.4999993993e-1f; p = p * t + 3.3333331174e-1f;
    return t + t * z * p - .5f * z + 0.693147181f * (float)e;
}

/* squared correlation r2 of each window of a row and its terms; returns the sum of the loss: -r2, or with 0 < noise < inf
   (1 + noise) log(1 - r2 / (1 + noise)) */
static float fit_row(const float *restrict a0, const float *restrict a1, const float *restrict a2, const float *restrict n, const float *restrict fm,
                     const float *restrict fv, float least, float noise, i32 count, float *restrict p0, float *restrict p1, float *restrict p2)
{
    const float top = 1.f + noise;
    float sum = 0.f;
    SIMD for (i32 x = 0; x < count; x++) {
        float jm = a0[x] * n[x], C = a1[x] - jm * a0[x], A = a2[x] - fm[x] * a0[x];
        float ic = 1.f / maxf(C, least);
        ic = C > least ? ic : 0.f;
        float al = A * fv[x] * ic, cc = A * al, be = cc * ic;
        if (noise > 0.f) {
            float left = top - minf(cc, 1.f), gain = top / left;
            sum += top * log_fast(left / top);
            al *= gain; be *= gain;
        } else sum -= cc;
        p0[x] = al; p1[x] = be; p2[x] = be * jm - al * fm[x];
    }
    return sum;
}

static void residual_row(const float *restrict F, const float *restrict J, const float *restrict a0, const float *restrict a1,
                         const float *restrict a2, i32 count, float *restrict k, float *restrict c)
{
    SIMD for (i32 x = 0; x < count; x++) { k[x] = F[x] * a0[x] - J[x] * a1[x] + a2[x]; c[x] = a1[x]; }
}

/* planes [4a, 4b): fixed, moved (both zero where masked), 1/count, mean and 1/(sum of squares about the mean) of the fixed windows ->
   alpha, beta, gamma (terms, 3 volumes) and, for each plane, the sum of the loss (see fit_row). least: smallest sum of squares. */
API void vx_lncc_fit(const float *fixed, const float *moved, const float *icount, const float *mean, const float *ivar, Shape s, Radius r,
                     Weights v, float least, float noise, float *terms, double *value, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    Work w = work_new(s, r);
    for (i64 z0 = a * BLOCK; z0 < b * BLOCK && z0 < s.n0; z0 += BLOCK) {
        i32 depth = mini(BLOCK, (i32)(s.n0 - z0));
        double total[BLOCK] = {0};
        for (i32 y = 0; y < s.n1 + r.r1; y++) {
            for (i32 k = 0; k < depth && y < s.n1; k++) {
                i64 z = z0 + k, lo = z > r.r0 ? z - r.r0 : 0, hi = z + r.r0 < s.n0 ? z + r.r0 : s.n0 - 1;
                add_products(v.w0 + (lo - z + r.r0), fixed, moved, plane, (i64)y * s.n2, lo, hi, s.n2, ring_row(w, s, k, 0, y), ring_row(w, s, k, 1, y), ring_row(w, s, k, 2, y));
            }
            i32 yo = y - r.r1;
            if (yo < 0) continue;
            for (i32 k = 0; k < depth; k++) {
                i64 at = (z0 + k) * plane + (i64)yo * s.n2;
                window(w, s, r, v, k, yo);
                total[k] += fit_row(w.sum[0], w.sum[1], w.sum[2], icount + at, mean + at, ivar + at, least, noise, s.n2, terms + at, terms + at + size,
                                    terms + at + 2 * size);
            }
        }
        for (i32 k = 0; k < depth; k++) value[z0 + k] = total[k];
    }
    free(w.ring);
}

/* planes [4a, 4b): residual k = half the gradient of the summed squared correlation in the moved image, curvature = its Gauss-Newton weight */
API void vx_lncc_residual(const float *fixed, const float *moved, const float *terms, Shape s, Radius r, Weights v, float *residual,
                          float *curvature, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    Work w = work_new(s, r);
    for (i64 z0 = a * BLOCK; z0 < b * BLOCK && z0 < s.n0; z0 += BLOCK) {
        i32 depth = mini(BLOCK, (i32)(s.n0 - z0));
        for (i32 y = 0; y < s.n1 + r.r1; y++) {
            for (i32 k = 0; k < depth && y < s.n1; k++) {
                i64 z = z0 + k, lo = z > r.r0 ? z - r.r0 : 0, hi = z + r.r0 < s.n0 ? z + r.r0 : s.n0 - 1;
                add_planes(v.w0 + (lo - z + r.r0), terms, size, plane, (i64)y * s.n2, lo, hi, s.n2, ring_row(w, s, k, 0, y), ring_row(w, s, k, 1, y), ring_row(w, s, k, 2, y));
            }
            i32 yo = y - r.r1;
            if (yo < 0) continue;
            for (i32 k = 0; k < depth; k++) {
                i64 at = (z0 + k) * plane + (i64)yo * s.n2;
                window(w, s, r, v, k, yo);
                residual_row(fixed + at, moved + at, w.sum[0], w.sum[1], w.sum[2], s.n2, residual + at, curvature + at);
            }
        }
    }
    free(w.ring);
}
