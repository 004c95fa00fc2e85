/* Local normalised cross-correlation in two sweeps: fit (window sums -> the terms of the gradient) and residual (their window sums ->
   residual and curvature). */
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

typedef struct { Images images; const float *icount, *mean, *ivar; float least, noise, *terms; } Fit;

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
    residual_row(g->images.F + at, g->images.J + at, sum[0] + p.lo, sum[1] + p.lo, sum[2] + p.lo, p.hi - p.lo, g->residual + at, g->curvature + at);
    return 0.f;
}

/* planes [4a, 4b): fixed, moved (both zero where masked), 1/count, mean and 1/(sum of squares about the mean) of the fixed windows ->
   alpha, beta, gamma (terms, 3 volumes) and, for each plane, the sum of the loss (see fit_row). least: added to sums of squares. */
API void vx_lncc_fit(const float *fixed, const float *moved, const float *icount, const float *mean, const float *ivar, Shape s, Radius r,
                     Weights v, float least, float noise, float *terms, double *value, i64 a, i64 b)
{
    const Fit given = {{fixed, moved}, icount, mean, ivar, least, noise, terms};
    sweep(s, r, v, 3, BLOCK, enter_images, leave_fit, &given, value, a, b);
}

/* planes [4a, 4b): residual k = half the gradient of the summed squared correlation in the moved image, curvature = its Gauss-Newton weight */
API void vx_lncc_residual(const float *fixed, const float *moved, const float *terms, Shape s, Radius r, Weights v, float *residual,
                          float *curvature, i64 a, i64 b)
{
    const Residual given = {{fixed, moved}, terms, residual, curvature};
    sweep(s, r, v, 3, BLOCK, enter_terms, leave_residual, &given, NULL, a, b);
}
