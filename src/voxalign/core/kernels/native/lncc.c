/* Local normalised cross-correlation in two sweeps: fit (window sums -> the terms of the gradient) and residual (their window sums ->
   residual and curvature). Wide windows need not be about every voxel: thin and spread go to a lattice of every second one, and back. */
#include "window.h"

/* log x for 0 < x < inf to 1e-6: the exponent, and a polynomial of the rest about 1 (library calls and unions would end the SIMD loop) */
INLINE float log_fast(float x)
{
    i32 bits;
    memcpy(&bits, &x, sizeof bits);
    const i32 e = (bits - 0x3f3504f3) >> 23;
    bits -= e << 23;
    float t;
    memcpy(&t, &bits, sizeof t);
    t -= 1.f;
    const float z = t * t;
    float p = 7.0376836292e-2f;
    p = p * t - 1.1514610310e-1f; p = p * t + 1.1676998740e-1f; p = p * t - 1.2420140846e-1f; p = p * t + 1.4249322787e-1f;
    p = p * t - 1.6668057665e-1f; p = p * t + 2.0000714765e-1f; p = p * t - 2.4999993993e-1f; p = p * t + 3.3333331174e-1f;
    return t + t * z * p - .5f * z + 0.693147181f * (float)e;
}

/* squared correlation r2 of each window of a row and its terms; returns the sum of the loss: -r2, or with 0 < noise < inf
   (1 + noise) log(1 - r2 / (1 + noise)) */
INLINE float fit(const float *restrict a0, const float *restrict a1, const float *restrict a2, const float *restrict n, const float *restrict fm,
                 const float *restrict fv, float least, const int noisy, float noise, i32 count, float *restrict p0, float *restrict p1,
                 float *restrict p2)
{
    const float top = 1.f + noise;
    float sum = 0.f;
    SIMD for (i32 x = 0; x < count; x++) {
        float jm = a0[x] * n[x], C = a1[x] - jm * a0[x], A = a2[x] - fm[x] * a0[x];
        float ic = 1.f / (maxf(C, 0.f) + least);
        float al = A * fv[x] * ic, cc = A * al, be = cc * ic;
        if (noisy) {
            float left = top - minf(cc, 1.f), gain = top / left;
            sum += top * log_fast(left / top);
            al *= gain; be *= gain;
        } else sum -= cc;
        p0[x] = al; p1[x] = be; p2[x] = be * jm - al * fm[x];
    }
    return sum;
}

static float fit_row(float *const *sum, const float *n, const float *fm, const float *fv, float least, float noise, i32 count, float *p0,
                     float *p1, float *p2)
{
    if (noise > 0.f) return fit(sum[0], sum[1], sum[2], n, fm, fv, least, 1, noise, count, p0, p1, p2);
    return fit(sum[0], sum[1], sum[2], n, fm, fv, least, 0, 0.f, count, p0, p1, p2);   /* a test inside the loop would end SIMD */
}

static void residual_row(const float *restrict F, const float *restrict J, const float *restrict a0, const float *restrict a1,
                         const float *restrict a2, i32 count, float *restrict k, float *restrict c)
{
    SIMD for (i32 x = 0; x < count; x++) { k[x] = F[x] * a0[x] - J[x] * a1[x] + a2[x]; c[x] = a1[x]; }
}

typedef struct { Summed of; const float *icount, *mean, *ivar; float least, noise, *terms; } Fit;

static float leave_fit(const void *given, Shape s, i32 z, i32 y, Span part, float *const *sum)
{
    const Fit *g = given;
    const i64 at = row_at(s, z, y) + part.lo, size = volume(s);
    float *p = g->terms + at, *const sums[] = {sum[0] + part.lo, sum[1] + part.lo, sum[2] + part.lo};
    return fit_row(sums, g->icount + at, g->mean + at, g->ivar + at, g->least, g->noise, part.hi - part.lo, p, p + size, p + 2 * size);
}

static float leave_residual(const void *given, Shape s, i32 z, i32 y, Span p, float *const *sum)
{
    const Residual *g = given;
    const i64 at = row_at(s, z, y) + p.lo;
    residual_row(g->of.images.F + at, g->of.images.J + at, sum[0] + p.lo, sum[1] + p.lo, sum[2] + p.lo, p.hi - p.lo, g->residual + at, g->curvature + at);
    return 0.f;
}

/* planes [4a, 4b): fixed, moved (both zero where masked), 1/count, mean and 1/(sum of squares about the mean) of the fixed windows ->
   alpha, beta, gamma (terms, 3 volumes) and, for each plane, the sum of the loss (see fit_row). least: added to sums of squares. */
API void vx_lncc_fit(const float *fixed, const float *moved, const float *icount, const float *mean, const float *ivar, Shape s, Radius r,
                     Weights v, float least, float noise, float *terms, double *value, i64 a, i64 b)
{
    const Fit given = {{{fixed, moved}, NULL}, icount, mean, ivar, least, noise, terms};
    sweep(s, r, v, 3, BLOCK, enter_images, leave_fit, &given, value, a, b);
}

/* planes [4a, 4b): residual k = half the gradient of the summed squared correlation in the moved image, curvature = its Gauss-Newton weight */
API void vx_lncc_residual(const float *fixed, const float *moved, const float *terms, Shape s, Radius r, Weights v, float *residual,
                          float *curvature, i64 a, i64 b)
{
    const Residual given = {{{fixed, moved}, terms}, residual, curvature};
    sweep(s, r, v, 3, BLOCK, enter_volumes, leave_residual, &given, NULL, a, b);
}

/* the same for windows of a lattice whose sums of J, J J and J F are given (3 volumes) */
API void vx_lncc_fit_sums(const float *sums, const float *icount, const float *mean, const float *ivar, Shape s, Radius r, Weights v,
                          float least, float noise, float *terms, double *value, i64 a, i64 b)
{
    const Fit given = {{{NULL, NULL}, sums}, icount, mean, ivar, least, noise, terms};
    sweep(s, r, v, 3, BLOCK, enter_volumes, leave_fit, &given, value, a, b);
}

/* ---------------------------------------------------------------- every second voxel of the axes with a stride of 2, every one of those with 1 */
typedef Radius Stride;

/* the planes, or rows, before, at and after place i of a lattice, with their weights; returns how many there are */
INLINE i32 tent(i32 i, i32 stride, i32 n, i32 *at, float *weight)
{
    i32 k = 0;
    for (i32 d = 1 - stride; d < stride; d++) {
        const i32 j = i * stride + d;
        if (j < 0 || j >= n) continue;
        at[k] = j;
        weight[k++] = d ? .5f : 1.f;
    }
    return k;
}

/* what windows of a lattice, r wide, look at in row y of its plane z */
static Span needed(Shape lattice, Radius r, i32 z, i32 y)
{
    Span some = {lattice.n2, 0};
    for (i32 k = maxi(z - r.r0, 0); k <= mini(z + r.r0, lattice.n0 - 1); k++) some = both(some, reach(lattice, k, y, r.r1, r.r2));
    return some;
}

/* planes [a, b) of the lattice: sums of J, J J and J F with weights 1/2, 1, 1/2 (3 volumes), where windows of radius r look */
API void vx_lncc_thin(const float *fixed, const float *moved, Shape s, Stride t, Shape lattice, Radius r, float *out, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = volume(lattice);
    float *line = calloc(3 * ((size_t)s.n2 + 2), sizeof(float)), *const A = line + 1, *const B = A + s.n2 + 2, *const C = B + s.n2 + 2;
    for (i32 z = (i32)a; z < (i32)b; z++) {
        i32 planes[3], rows[3];
        float wz[3], wy[3];
        const i32 nz = tent(z, t.r0, s.n0, planes, wz);
        for (i32 y = 0; y < lattice.n1; y++) {
            const Span p = needed(lattice, r, z, y);
            if (p.lo >= p.hi) continue;
            const i32 ny = tent(y, t.r1, s.n1, rows, wy), lo = maxi(p.lo * t.r2 - 1, 0), hi = mini(p.hi * t.r2, s.n2);
            const float *F[9], *J[9];
            float w[9];
            for (i32 k = 0; k < nz * ny; k++) {
                const i64 at = planes[k / ny] * plane + (i64)rows[k % ny] * s.n2 + lo;
                F[k] = fixed + at; J[k] = moved + at; w[k] = wz[k / ny] * wy[k % ny];
            }
            ROW(x, hi - lo, T i = 0 * LOAD(J[0] + x); T j = i; T l = i;
                for (i32 k = 0; k < nz * ny; k++) {
                    T m = LOAD(J[k] + x), wm = w[k] * m;
                    i += wm; j += wm * m; l += wm * LOAD(F[k] + x);
                }
                STORE(A + lo + x, i); STORE(B + lo + x, j); STORE(C + lo + x, l););
            float *restrict o = out + row_at(lattice, z, y), *restrict q = o + size, *restrict u = q + size;
            if (t.r2 == 1) SIMD for (i32 x = p.lo; x < p.hi; x++) { o[x] = A[x]; q[x] = B[x]; u[x] = C[x]; }
            else {
                if (hi == s.n2) A[hi] = B[hi] = C[hi] = 0.f;
                SIMD for (i32 x = p.lo; x < p.hi; x++) {
                    o[x] = A[2 * x] + .5f * (A[2 * x - 1] + A[2 * x + 1]);
                    q[x] = B[2 * x] + .5f * (B[2 * x - 1] + B[2 * x + 1]);
                    u[x] = C[2 * x] + .5f * (C[2 * x - 1] + C[2 * x + 1]);
                }
            }
        }
    }
    free(line);
}

/* the places of a lattice on either side of voxel i of an axis, with their weights; returns how many there are */
INLINE i32 beside(i32 i, i32 stride, i32 n, i32 *at, float *weight)
{
    at[0] = i / stride; at[1] = at[0] + 1;
    const i32 between = i % stride;
    weight[0] = weight[1] = between ? .5f : 1.f;
    return between && at[1] < n ? 2 : 1;
}

/* planes [a, b) of the images: residual and curvature from the window sums of the lattice's terms (3 volumes), times scale */
API void vx_lncc_spread(const float *fixed, const float *moved, const float *sums, Shape lattice, Stride t, float scale, Shape s, float *residual,
                        float *curvature, i64 a, i64 b)
{
    const i64 size = volume(lattice);
    const size_t width = (size_t)lattice.n2 + 1;
    float *line = malloc((width + 3 * (size_t)s.n2 + 3) * sizeof(float)), *row[3];
    for (i32 c = 0; c < 3; c++) row[c] = line + width + c * ((size_t)s.n2 + 1);
    for (i32 z = (i32)a; z < (i32)b; z++) {
        i32 planes[2], rows[2];
        float wz[2], wy[2];
        const i32 nz = beside(z, t.r0, lattice.n0, planes, wz);
        for (i32 y = 0; y < s.n1; y++) {
            const Span p = span(s, (i64)z * s.n1 + y);
            if (p.lo >= p.hi) continue;
            const i32 ny = beside(y, t.r1, lattice.n1, rows, wy), lo = p.lo / t.r2, hi = mini((p.hi - 1) / t.r2 + 2, lattice.n2);
            for (i32 c = 0; c < 3; c++) {
                const float *from[4];
                float w[4];
                for (i32 k = 0; k < nz * ny; k++) {
                    from[k] = sums + c * size + row_at(lattice, planes[k / ny], rows[k % ny]) + lo;
                    w[k] = scale * wz[k / ny] * wy[k % ny];
                }
                combine(from, w, nz * ny, hi - lo, line + lo);
                line[hi] = 0.f;
                float *restrict to = row[c];
                if (t.r2 == 1) memcpy(to + p.lo, line + p.lo, (size_t)(p.hi - p.lo) * sizeof(float));
                else SIMD for (i32 x = lo; x <= (p.hi - 1) / 2; x++) { to[2 * x] = line[x]; to[2 * x + 1] = .5f * (line[x] + line[x + 1]); }
            }
            const i64 at = row_at(s, z, y) + p.lo;
            residual_row(fixed + at, moved + at, row[0] + p.lo, row[1] + p.lo, row[2] + p.lo, p.hi - p.lo, residual + at, curvature + at);
        }
    }
    free(line);
}
