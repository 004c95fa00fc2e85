/* Joint histogram with a cubic B-spline window on the moved image (Mattes et al. 2003, doi:10.1109/TMI.2003.809072) and its use per voxel. */
#include "common.h"

/* bin and fraction of a moved intensity in [0, 1]; bins 1 .. nb-3 are reachable, so that all four neighbours exist */
INLINE i32 parzen(float v, i32 nb, float *t)
{
    float p = 1.f + minf(maxf(v, 0.f), 1.f) * (float)(nb - 3);
    i32 i = mini((i32)p, nb - 3);
    *t = p - (float)i;
    return i;
}

/* planes [a, b): one histogram (nb x nb float64) a plane, fixed bins in rows; bin 255 is masked */
API void vx_joint(const uint8_t *fixed, const float *moved, Shape s, i32 nb, double *out, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2;
    float *h = malloc((size_t)nb * nb * sizeof(float));       /* one plane in float32, sums in float64: float32 alone saturates */
    for (i64 z = a; z < b; z++) {
        memset(h, 0, (size_t)nb * nb * sizeof(float));
        for (i64 x = z * plane; x < (z + 1) * plane; x++) {
            if (fixed[x] == 255) continue;
            float t;
            float *o = h + fixed[x] * nb + parzen(moved[x], nb, &t) - 1;
            float u = 1.f - t, t2 = t * t, u2 = u * u;
            o[0] += u2 * u * (1.f / 6); o[1] += 2.f / 3 - t2 + .5f * t2 * t; o[2] += 2.f / 3 - u2 + .5f * u2 * u; o[3] += t2 * t * (1.f / 6);
        }
        for (i32 k = 0; k < nb * nb; k++) out[z * nb * nb + k] = h[k];
    }
    free(h);
}

/* planes [a, b): residual = derivative of sum_bins table * histogram in each moved intensity */
API void vx_lookup(const uint8_t *fixed, const float *moved, Shape s, i32 nb, const float *table, float *residual, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2;
    for (i64 x = a * plane; x < b * plane; x++) {
        if (fixed[x] == 255 || moved[x] <= 0.f || moved[x] >= 1.f) { residual[x] = 0.f; continue; }
        float t;
        const float *l = table + fixed[x] * nb + parzen(moved[x], nb, &t) - 1;
        float u = 1.f - t;
        residual[x] = (float)(nb - 3) * (-.5f * u * u * l[0] + (1.5f * t * t - 2.f * t) * l[1] + (2.f * u - 1.5f * u * u) * l[2] + .5f * t * t * l[3]);
    }
}
