/* Local normalised cross-correlation in two sweeps: fit (window sums -> the terms of the gradient) and residual (their window sums ->
   residual and curvature). A block of planes is swept row by row, so that the rows a window needs stay in the first cache. */
#include "filter.h"

enum { BLOCK = 4 };

typedef struct { i32 r0, r1, r2; } Radius;

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
static void window(Work w, Shape s, Radius r, i32 block, i32 y)
{
    for (i32 c = 0; c < 3; c++) {
        float *restrict m = w.line + r.r2;
        i32 lo = maxi(y - r.r1, 0), hi = mini(y + r.r1, s.n1 - 1);
        const float *restrict f = ring_row(w, s, block, c, lo);
        for (i32 x = 0; x < s.n2; x++) m[x] = f[x];
        for (i32 k = lo + 1; k <= hi; k++) {
            const float *restrict g = ring_row(w, s, block, c, k);
            for (i32 x = 0; x < s.n2; x++) m[x] += g[x];
        }
        sums(w.line, r.r2, s.n2, w.sum[c]);
    }
}

/* planes [4a, 4b): fixed, moved (both zero where masked), 1/count, mean and 1/(sum of squares about the mean) of the fixed windows ->
   alpha, beta, gamma (terms, 3 volumes) and, for each plane, the sum of squared correlations. floor: least sum of squares. */
API void vx_lncc_fit(const float *fixed, const float *moved, const float *icount, const float *mean, const float *ivar, Shape s, Radius r,
                     float floor_, float *terms, double *value, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    Work w = work_new(s, r);
    for (i64 z0 = a * BLOCK; z0 < b * BLOCK && z0 < s.n0; z0 += BLOCK) {
        i32 depth = mini(BLOCK, (i32)(s.n0 - z0));
        double total[BLOCK] = {0};
        for (i32 y = 0; y < s.n1 + r.r1; y++) {
            for (i32 k = 0; k < depth && y < s.n1; k++) {
                float *restrict t0 = ring_row(w, s, k, 0, y), *restrict t1 = ring_row(w, s, k, 1, y), *restrict t2 = ring_row(w, s, k, 2, y);
                i64 lo = z0 + k - r.r0 > 0 ? z0 + k - r.r0 : 0, hi = z0 + k + r.r0 < s.n0 - 1 ? z0 + k + r.r0 : s.n0 - 1;
                for (i32 x = 0; x < s.n2; x++) t0[x] = t1[x] = t2[x] = 0.f;
                for (i64 z = lo; z <= hi; z++) {
                    const float *restrict F = fixed + z * plane + (i64)y * s.n2, *restrict J = moved + z * plane + (i64)y * s.n2;
                    for (i32 x = 0; x < s.n2; x++) { float j = J[x]; t0[x] += j; t1[x] += j * j; t2[x] += j * F[x]; }
                }
            }
            i32 yo = y - r.r1;
            if (yo < 0) continue;
            for (i32 k = 0; k < depth; k++) {
                i64 at = (z0 + k) * plane + (i64)yo * s.n2;
                window(w, s, r, k, yo);
                const float *restrict a0 = w.sum[0], *restrict a1 = w.sum[1], *restrict a2 = w.sum[2];
                const float *restrict n = icount + at, *restrict fm = mean + at, *restrict fv = ivar + at;
                float *restrict p0 = terms + at, *restrict p1 = p0 + size, *restrict p2 = p1 + size;
                float sum = 0.f;
                for (i32 x = 0; x < s.n2; x++) {
                    float jm = a0[x] * n[x], C = a1[x] - jm * a0[x], A = a2[x] - fm[x] * a0[x];
                    float ic = C > floor_ ? 1.f / maxf(C, floor_) : 0.f;
                    float al = A * fv[x] * ic, cc = A * al, be = cc * ic;
                    sum += cc;
                    p0[x] = al; p1[x] = be; p2[x] = be * jm - al * fm[x];
                }
                total[k] += sum;
            }
        }
        for (i32 k = 0; k < depth; k++) value[z0 + k] = total[k];
    }
    free(w.ring);
}

/* planes [4a, 4b): residual k = half the gradient of the summed squared correlation in the moved image, curvature = its Gauss-Newton weight */
API void vx_lncc_residual(const float *fixed, const float *moved, const float *terms, Shape s, Radius r, float *residual, float *curvature,
                          i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    Work w = work_new(s, r);
    for (i64 z0 = a * BLOCK; z0 < b * BLOCK && z0 < s.n0; z0 += BLOCK) {
        i32 depth = mini(BLOCK, (i32)(s.n0 - z0));
        for (i32 y = 0; y < s.n1 + r.r1; y++) {
            for (i32 k = 0; k < depth && y < s.n1; k++) {
                float *restrict t0 = ring_row(w, s, k, 0, y), *restrict t1 = ring_row(w, s, k, 1, y), *restrict t2 = ring_row(w, s, k, 2, y);
                i64 lo = z0 + k - r.r0 > 0 ? z0 + k - r.r0 : 0, hi = z0 + k + r.r0 < s.n0 - 1 ? z0 + k + r.r0 : s.n0 - 1;
                for (i32 x = 0; x < s.n2; x++) t0[x] = t1[x] = t2[x] = 0.f;
                for (i64 z = lo; z <= hi; z++) {
                    const float *restrict p = terms + z * plane + (i64)y * s.n2, *restrict q = p + size, *restrict g = q + size;
                    for (i32 x = 0; x < s.n2; x++) { t0[x] += p[x]; t1[x] += q[x]; t2[x] += g[x]; }
                }
            }
            i32 yo = y - r.r1;
            if (yo < 0) continue;
            for (i32 k = 0; k < depth; k++) {
                i64 at = (z0 + k) * plane + (i64)yo * s.n2;
                window(w, s, r, k, yo);
                const float *restrict a0 = w.sum[0], *restrict a1 = w.sum[1], *restrict a2 = w.sum[2];
                const float *restrict F = fixed + at, *restrict J = moved + at;
                float *restrict k_ = residual + at, *restrict c = curvature + at;
                for (i32 x = 0; x < s.n2; x++) { k_[x] = F[x] * a0[x] - J[x] * a1[x] + a2[x]; c[x] = a1[x]; }
            }
        }
    }
    free(w.ring);
}
