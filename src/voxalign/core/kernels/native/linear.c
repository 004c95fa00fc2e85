/* Sums for linear registration: normal equations of any loss with residual and curvature, and joint histograms of many candidates. */
#include "common.h"

/* planes [a, b): with G the central differences of the moved image and X = (z, y, x, 1) (index minus centre), for each plane
   72 numbers: sum c Xk Xl Gi Gj for the 10 pairs k<=l and the 6 pairs i<=j, then sum k Xk Gi (4 x 3). */
API void vx_normal(const float *moved, const float *residual, const float *curvature, Shape s, const double *centre, double *out, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2;
    float *g = malloc((size_t)s.n2 * sizeof(float));
    for (i64 z = a; z < b; z++) {
        double *o = out + z * 72;
        memset(o, 0, 72 * sizeof(double));
        const double X0 = (double)z - centre[0];
        for (i32 y = 0; y < s.n1; y++) {
            const double X1 = (double)y - centre[1];
            const i64 at = z * plane + (i64)y * s.n2;
            const float *restrict J = moved + at, *restrict k = residual + at, *restrict c = curvature + at;
            const float *restrict zm = J - (z > 0 ? plane : 0), *restrict zp = J + (z < s.n0 - 1 ? plane : 0);
            const float *restrict ym = J - (y > 0 ? s.n2 : 0), *restrict yp = J + (y < s.n1 - 1 ? s.n2 : 0);
            const float cx = (float)centre[2];
            g[0] = g[s.n2 - 1] = 0.f;
            for (i32 x = 1; x < s.n2 - 1; x++) g[x] = .5f * (J[x + 1] - J[x - 1]);
            float h[3][6] = {{0}}, r[2][3] = {{0}};           /* moments of order 0, 1, 2 in x */
            for (i32 x = 0; x < s.n2; x++) {
                float X2 = (float)x - cx, g0 = .5f * (zp[x] - zm[x]), g1 = .5f * (yp[x] - ym[x]), g2 = g[x], w = c[x], q = k[x];
                float t0 = w * g0 * g0, t1 = w * g0 * g1, t2 = w * g0 * g2, t3 = w * g1 * g1, t4 = w * g1 * g2, t5 = w * g2 * g2;
                r[0][0] += q * g0; r[0][1] += q * g1; r[0][2] += q * g2;
                r[1][0] += q * g0 * X2; r[1][1] += q * g1 * X2; r[1][2] += q * g2 * X2;
                h[0][0] += t0; h[0][1] += t1; h[0][2] += t2; h[0][3] += t3; h[0][4] += t4; h[0][5] += t5;
                t0 *= X2; t1 *= X2; t2 *= X2; t3 *= X2; t4 *= X2; t5 *= X2;
                h[1][0] += t0; h[1][1] += t1; h[1][2] += t2; h[1][3] += t3; h[1][4] += t4; h[1][5] += t5;
                h[2][0] += t0 * X2; h[2][1] += t1 * X2; h[2][2] += t2 * X2; h[2][3] += t3 * X2; h[2][4] += t4 * X2; h[2][5] += t5 * X2;
            }
            const double X[4] = {X0, X1, 1., 1.};             /* factors of the row; the power of x is in h */
            const int power[4] = {0, 0, 1, 0};
            double *p = o;
            for (int i = 0; i < 4; i++)
                for (int j = i; j < 4; j++, p += 6)
                    for (int q = 0; q < 6; q++) p[q] += X[i] * X[j] * h[power[i] + power[j]][q];
            for (int i = 0; i < 4; i++)
                for (int q = 0; q < 3; q++) o[60 + 3 * i + q] += X[i] * r[power[i]][q];
        }
    }
    free(g);
}

/* value at the positions of up to BLOCK voxels under a map; -1 outside */
#define BLOCK 256
static void read_block(const float *restrict z, const float *restrict y, const float *restrict x, i32 n, const float *restrict moving, Shape s,
                       const double *A, float *restrict out)
{
    const i32 s0 = stride0(s), s1 = stride1(s), s2 = stride2(s);
    const float a00 = (float)A[0], a01 = (float)A[1], a02 = (float)A[2], a03 = (float)A[3];
    const float a10 = (float)A[4], a11 = (float)A[5], a12 = (float)A[6], a13 = (float)A[7];
    const float a20 = (float)A[8], a21 = (float)A[9], a22 = (float)A[10], a23 = (float)A[11];
    const float e0 = s.n0 - .5f, e1 = s.n1 - .5f, e2 = s.n2 - .5f;
    SIMD
    for (i32 k = 0; k < n; k++) {
        float q0 = a00 * z[k] + a01 * y[k] + a02 * x[k] + a03, q1 = a10 * z[k] + a11 * y[k] + a12 * x[k] + a13;
        float q2 = a20 * z[k] + a21 * y[k] + a22 * x[k] + a23, w0, w1, w2;
        i32 i = cell(q0, s.n0, &w0) * (s.n1 * s.n2) + cell(q1, s.n1, &w1) * s.n2;
        i += cell(q2, s.n2, &w2);
        float v = trilinear(moving, i, s0, s1, s2, w0, w1, w2);
        float inside = minf(minf(minf(q0, q1), q2) + .5f, minf(minf(e0 - q0, e1 - q1), e2 - q2));
        out[k] = inside < 0.f ? -1.f : v;
    }
}

/* candidates [a, b): joint histogram (bins x bins) of n fixed voxels (indices z, y, x, and bin numbers) and moving (float bin positions, below 0
   where masked) under each of the 12-number maps of fixed index -> moving index. Moving is read linearly; both neighbours of its bin get a share. */
API void vx_histograms(const float *voxels, const uint8_t *fixed, i64 n, const float *moving, Shape s, const double *maps, i32 bins, float *out,
                       i64 a, i64 b)
{
    float values[BLOCK];
    for (i64 m = a; m < b; m++) {
        float *h = out + m * bins * bins;
        memset(h, 0, (size_t)bins * bins * sizeof(float));
        for (i64 at = 0; at < n; at += BLOCK) {
            const i32 count = (i32)(n - at < BLOCK ? n - at : BLOCK);
            read_block(voxels + at, voxels + n + at, voxels + 2 * n + at, count, moving, s, maps + 12 * m, values);
            for (i32 k = 0; k < count; k++) {
                if (values[k] < 0.f) continue;
                i32 i = mini((i32)values[k], bins - 2);
                float t = minf(values[k] - (float)i, 1.f);
                float *cell = h + fixed[at + k] * bins + i;
                cell[0] += 1.f - t;
                cell[1] += t;
            }
        }
    }
}
