/* Structural similarity, by the sweeps of local correlation, and normalised gradient fields. */
#include "window.h"

/* ---------------------------------------------------------------- SSIM (Wang et al. 2004, doi:10.1109/TIP.2003.819861) */
typedef struct { Images images; const float *moments; float c1, c2, *terms; } Structure;

/* of a row of windows with 1/count n, mean fm and variance fv of the fixed image: similarity s and half its derivative in J, which is
   F p0 - J p1 + p2 in the window; returns the sum of s */
static float structure_row(const float *restrict a0, const float *restrict a1, const float *restrict a2, const float *restrict n,
                           const float *restrict fm, const float *restrict fv, float c1, float c2, i32 count, float *restrict p0,
                           float *restrict p1, float *restrict p2)
{
    float sum = 0.f;
    SIMD for (i32 x = 0; x < count; x++) {
        float jm = a0[x] * n[x], jv = maxf(a1[x] * n[x] - jm * jm, 0.f), cov = a2[x] * n[x] - fm[x] * jm;
        float A1 = 2.f * fm[x] * jm + c1, A2 = 2.f * cov + c2, ib1 = 1.f / (fm[x] * fm[x] + jm * jm + c1), ib2 = 1.f / (fv[x] + jv + c2);
        float l = A1 * ib1, e = A2 * ib2, s = l * e;
        float al = l * ib2, be = s * ib2;
        sum += n[x] > 0.f ? s : 0.f;
        p0[x] = n[x] * al; p1[x] = n[x] * be;
        p2[x] = n[x] * (fm[x] * e * ib1 - jm * s * ib1 + be * jm - al * fm[x]);
    }
    return sum;
}

static float leave_structure(const void *given, Shape s, i32 z, i32 y, Span whole, float *const *sum)
{
    (void)whole;
    const Structure *g = given;
    const i64 at = row_at(s, z, y), size = volume(s);
    const float *m = g->moments + at;
    float *p = g->terms + at;
    return structure_row(sum[0], sum[1], sum[2], m, m + size, m + 2 * size, g->c1, g->c2, s.n2, p, p + size, p + 2 * size);
}

static float leave_structure_residual(const void *given, Shape s, i32 z, i32 y, Span whole, float *const *sum)
{
    (void)whole;
    const Residual *g = given;
    const i64 at = row_at(s, z, y);
    const float *restrict F = g->of.images.F + at, *restrict J = g->of.images.J + at, *restrict a = sum[0], *restrict b = sum[1], *restrict c = sum[2];
    float *restrict k = g->residual + at, *restrict w = g->curvature + at;
    SIMD for (i32 x = 0; x < s.n2; x++) { k[x] = F[x] * a[x] - J[x] * b[x] + c[x]; w[x] = fabsf(a[x]); }
    return 0.f;
}

/* planes [4a, 4b): images (both zero where masked) and 1/count (0 where no window counts), mean and variance of the fixed windows
   (moments, 3 volumes) -> 3 volumes of terms and, for each plane, the sum of similarities */
API void vx_ssim_fit(const float *fixed, const float *moved, const float *moments, Shape s, Radius r, Weights v, float c1, float c2,
                     float *terms, double *value, i64 a, i64 b)
{
    const Structure given = {{fixed, moved}, moments, c1, c2, terms};
    sweep(s, r, v, 3, BLOCK, enter_images, leave_structure, &given, value, a, b);
}

/* planes [4a, 4b): terms -> residual and curvature */
API void vx_ssim_residual(const float *fixed, const float *moved, const float *terms, Shape s, Radius r, Weights v, float *residual,
                          float *curvature, i64 a, i64 b)
{
    const Residual given = {{{fixed, moved}, terms}, residual, curvature};
    sweep(s, r, v, 3, BLOCK, enter_volumes, leave_structure_residual, &given, NULL, a, b);
}

/* ---------------------------------------------------------------- gradients that see nothing beyond a mask
   The difference along an axis is half the step to the next voxel plus half the step from the one before; a step from or to a voxel that
   does not count is 0. */
typedef struct { const uint8_t *own, *z[2], *y[2]; } Counts;

/* which voxels of a row, and of the rows before and after it along the first two axes, count; blank is n2 ones followed by n2 zeros */
static Counts counts(const uint8_t *mask, const uint8_t *blank, Shape s, i32 z, i32 y)
{
    const i64 at = row_at(s, z, y), plane = (i64)s.n1 * s.n2;
    const uint8_t *one = blank, *zero = blank + s.n2;
    Counts c = {mask ? mask + at : one, {zero, zero}, {zero, zero}};
    if (z > 0) c.z[0] = mask ? mask + at - plane : one;
    if (z < s.n0 - 1) c.z[1] = mask ? mask + at + plane : one;
    if (y > 0) c.y[0] = mask ? mask + at - s.n2 : one;
    if (y < s.n1 - 1) c.y[1] = mask ? mask + at + s.n2 : one;
    return c;
}

static uint8_t *blank_new(Shape s)
{
    uint8_t *blank = malloc(2 * (size_t)s.n2);
    memset(blank, 1, (size_t)s.n2);
    memset(blank + s.n2, 0, (size_t)s.n2);
    return blank;
}

/* g = h (half the step before + half the step after) along one axis; lo, hi: the rows before and after */
static void difference_row(const float *restrict J, const float *restrict lo, const float *restrict hi, const uint8_t *restrict m,
                           const uint8_t *restrict ml, const uint8_t *restrict mh, float h, i32 n, float *restrict g)
{
    h *= .5f;
    SIMD for (i32 x = 0; x < n; x++) g[x] = h * (float)m[x] * ((float)ml[x] * (J[x] - lo[x]) + (float)mh[x] * (hi[x] - J[x]));
}

/* the same along the row */
static void difference_along(const float *restrict J, const uint8_t *restrict m, float h, i32 n, float *restrict step, float *restrict g)
{
    h *= .5f;
    step[0] = step[n] = 0.f;
    SIMD for (i32 x = 0; x < n - 1; x++) step[x + 1] = h * (float)(m[x] & m[x + 1]) * (J[x + 1] - J[x]);
    SIMD for (i32 x = 0; x < n; x++) g[x] = step[x] + step[x + 1];
}

static void gradient_row(const float *image, Counts c, Shape s, i32 z, i32 y, const float *h, float *step, float *g0, float *g1, float *g2)
{
    const i64 plane = (i64)s.n1 * s.n2;
    const float *J = image + row_at(s, z, y);
    difference_row(J, J - (z > 0 ? plane : 0), J + (z < s.n0 - 1 ? plane : 0), c.own, c.z[0], c.z[1], h[0], s.n2, g0);
    difference_row(J, J - (y > 0 ? s.n2 : 0), J + (y < s.n1 - 1 ? s.n2 : 0), c.own, c.y[0], c.y[1], h[1], s.n2, g1);
    difference_along(J, c.own, h[2], s.n2, step, g2);
}

/* planes [a, b): gradient (3 volumes), h = 1 / spacing of each axis; mask may be NULL */
API void vx_gradient(const float *image, const uint8_t *mask, Shape s, const float *h, float *out, i64 a, i64 b)
{
    uint8_t *blank = blank_new(s);
    float *step = malloc(((size_t)s.n2 + 1) * sizeof(float)), *o = out;
    const i64 size = volume(s);
    for (i32 z = (i32)a; z < b; z++)
        for (i32 y = 0; y < s.n1; y++) {
            const i64 at = row_at(s, z, y);
            gradient_row(image, counts(mask, blank, s, z, y), s, z, y, h, step, o + at, o + at + size, o + at + 2 * size);
        }
    free(step);
    free(blank);
}

/* planes [a, b): squared gradient of an image of several channels, their mean; h = 1 / spacing of each axis; mask may be NULL */
API void vx_squared_gradient(const float *image, i32 channels, const uint8_t *mask, Shape s, const float *h, float *out, i64 a, i64 b)
{
    uint8_t *blank = blank_new(s);
    float *restrict g = malloc((4 * (size_t)s.n2 + 1) * sizeof(float)), *restrict g1 = g + s.n2, *restrict g2 = g1 + s.n2, *step = g2 + s.n2;
    const i64 size = volume(s);
    const float share = 1.f / (float)channels;
    for (i32 z = (i32)a; z < b; z++)
        for (i32 y = 0; y < s.n1; y++) {
            float *restrict o = out + row_at(s, z, y);
            const Counts c = counts(mask, blank, s, z, y);
            for (i32 x = 0; x < s.n2; x++) o[x] = 0.f;
            for (i32 k = 0; k < channels; k++) {
                gradient_row(image + k * size, c, s, z, y, h, step, g, g1, g2);
                SIMD for (i32 x = 0; x < s.n2; x++) o[x] += share * (g[x] * g[x] + g1[x] * g1[x] + g2[x] * g2[x]);
            }
        }
    free(g);
    free(blank);
}

/* ---------------------------------------------------------------- NGF (Haber and Modersitzki 2006, doi:10.1007/11866763_89)
   With n = normalised gradient of the fixed image, g that of the moved one and D = |g|^2 + e^2, a voxel's similarity is (n g)^2 / D. */
static float field_row(const float *restrict n0, const float *restrict n1, const float *restrict n2, const float *restrict g0,
                       const float *restrict g1, const float *restrict g2, const float *h, float e2, i32 n, float *restrict v0,
                       float *restrict v1, float *restrict v2, float *restrict w)
{
    const float h0 = h[0], h1 = h[1], h2 = h[2];
    float sum = 0.f;
    SIMD for (i32 x = 0; x < n; x++) {
        float r = n0[x] * g0[x] + n1[x] * g1[x] + n2[x] * g2[x], i = 1.f / (g0[x] * g0[x] + g1[x] * g1[x] + g2[x] * g2[x] + e2);
        float a = r * i, b = a * a;
        sum += a * r;
        v0[x] = h0 * (a * n0[x] - b * g0[x]); v1[x] = h1 * (a * n1[x] - b * g1[x]); v2[x] = h2 * (a * n2[x] - b * g2[x]);
        w[x] = b;
    }
    return sum;
}

/* planes [a, b): terms (4 volumes: half the derivative in each difference, and the weight of the gradient) and the summed similarity */
API void vx_ngf_fit(const float *fixed, const float *moved, const uint8_t *mask, Shape s, const float *h, float e2, float *terms,
                    double *value, i64 a, i64 b)
{
    uint8_t *blank = blank_new(s);
    float *g = malloc((4 * (size_t)s.n2 + 1) * sizeof(float)), *g1 = g + s.n2, *g2 = g1 + s.n2, *step = g2 + s.n2;
    const i64 size = volume(s);
    for (i32 z = (i32)a; z < b; z++) {
        double total = 0;
        for (i32 y = 0; y < s.n1; y++) {
            const float *n = fixed + row_at(s, z, y);
            float *v = terms + row_at(s, z, y);
            gradient_row(moved, counts(mask, blank, s, z, y), s, z, y, h, step, g, g1, g2);
            total += field_row(n, n + size, n + 2 * size, g, g1, g2, h, e2, s.n2, v, v + size, v + 2 * size, v + 3 * size);
        }
        value[z] = total;
    }
    free(g);
    free(blank);
}

/* the adjoint of difference_row, added: v, lo, hi are the rows of half derivatives, w those of weights, q = 1 / spacing^2 */
static void adjoint_row(const float *restrict v, const float *restrict lo, const float *restrict hi, const float *restrict w,
                        const float *restrict wl, const float *restrict wh, const uint8_t *restrict m, const uint8_t *restrict ml,
                        const uint8_t *restrict mh, float q, i32 n, float *restrict k, float *restrict c)
{
    SIMD for (i32 x = 0; x < n; x++) {
        float before = .5f * (float)(m[x] & ml[x]), after = .5f * (float)(m[x] & mh[x]);
        k[x] += before * (lo[x] + v[x]) - after * (v[x] + hi[x]);
        c[x] += q * (before * wl[x] + after * wh[x] + ((float)m[x] - before - after) * w[x]);
    }
}

/* planes [a, b): terms -> residual and curvature */
API void vx_ngf_residual(const float *terms, const uint8_t *mask, Shape s, const float *h, float *residual, float *curvature, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = volume(s);
    const size_t width = (size_t)s.n2 + 2;
    uint8_t *blank = blank_new(s), *m = calloc(width, 1);
    float *v = calloc(2 * width, sizeof(float)), *w = v + width;         /* padded copies of a row, zero outside */
    for (i32 z = (i32)a; z < b; z++)
        for (i32 y = 0; y < s.n1; y++) {
            const i64 at = row_at(s, z, y), dz0 = z > 0 ? plane : 0, dz1 = z < s.n0 - 1 ? plane : 0;
            const i64 dy0 = y > 0 ? s.n2 : 0, dy1 = y < s.n1 - 1 ? s.n2 : 0;
            const Counts is = counts(mask, blank, s, z, y);
            const float *t = terms + at, *u = t + size, *b3 = t + 3 * size;
            float *k = residual + at, *c = curvature + at;
            memset(k, 0, (size_t)s.n2 * sizeof(float));
            memset(c, 0, (size_t)s.n2 * sizeof(float));
            adjoint_row(t, t - dz0, t + dz1, b3, b3 - dz0, b3 + dz1, is.own, is.z[0], is.z[1], h[0] * h[0], s.n2, k, c);
            adjoint_row(u, u - dy0, u + dy1, b3, b3 - dy0, b3 + dy1, is.own, is.y[0], is.y[1], h[1] * h[1], s.n2, k, c);
            memcpy(v + 1, t + 2 * size, (size_t)s.n2 * sizeof(float));
            memcpy(w + 1, b3, (size_t)s.n2 * sizeof(float));
            memcpy(m + 1, is.own, (size_t)s.n2);
            adjoint_row(v + 1, v, v + 2, w + 1, w, w + 2, m + 1, m, m + 2, h[2] * h[2], s.n2, k, c);
        }
    free(v);
    free(m);
    free(blank);
}

/* ---------------------------------------------------------------- soft classes
   voxels [a, b): mean and variance of the centre of the class of a value v, and log of the sum of exp(-(v - centre)^2 / (2 s^2)); there are
   `bins` classes from 0 to 1, and s is half the distance of their centres */
API void vx_soft_classes(const float *values, i64 size, i32 bins, float *out, i64 a, i64 b)
{
    const float wide = (float)(bins - 1), step = 1.f / wide;
    float *restrict mean = out, *restrict variance = out + size, *restrict logarithm = out + 2 * size;
    float sum[256];
    for (i64 at = a; at < b; at += 256) {
        const i32 n = (i32)(b - at < 256 ? b - at : 256);
        const float *restrict v = values + at;
        float *restrict m = mean + at, *restrict q = variance + at, *restrict l = logarithm + at;
        for (i32 x = 0; x < n; x++) sum[x] = m[x] = q[x] = 0.f;
        for (i32 k = 0; k < bins; k++)
            SIMD for (i32 x = 0; x < n; x++) {                 /* against the nearest class, so that one term is 1 */
                float p = v[x] * wide, near = (float)(i32)(minf(maxf(p, 0.f), wide) + .5f), d = (float)k - p, e = near - p;
                float w = exp_minus(maxf(2.f * (d * d - e * e), 0.f)), c = (float)k - near;
                sum[x] += w; m[x] += w * c; q[x] += w * c * c;
            }
        for (i32 x = 0; x < n; x++) {
            float p = v[x] * wide, near = (float)(i32)(minf(maxf(p, 0.f), wide) + .5f), e = near - p, i = 1.f / sum[x];
            m[x] *= i;
            q[x] = step * step * maxf(q[x] * i - m[x] * m[x], 0.f);
            l[x] = logf(sum[x]) - 2.f * e * e;
            m[x] = step * (near + m[x]);
        }
    }
}
