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

/* candidates [a, b): joint histogram (bins x bins) of fixed (bin numbers, 255 where masked) and moving (float bin positions, below 0 where
   masked) under each of the 12-number maps of fixed index -> moving index. Moving is read linearly; both neighbours of its bin get a share. */
API void vx_histograms(const uint8_t *fixed, Shape f, const float *moving, Shape s, const double *maps, i32 bins, float *out, i64 a, i64 b)
{
    const i32 s0 = stride0(s), s1 = stride1(s), s2 = stride2(s);
    for (i64 m = a; m < b; m++) {
        const double *A = maps + 12 * m;
        float *h = out + m * bins * bins;
        memset(h, 0, (size_t)bins * bins * sizeof(float));
        for (i32 z = 0; z < f.n0; z++)
            for (i32 y = 0; y < f.n1; y++) {
                const uint8_t *row = fixed + ((i64)z * f.n1 + y) * f.n2;
                const double p0 = A[0] * z + A[1] * y + A[3], p1 = A[4] * z + A[5] * y + A[7], p2 = A[8] * z + A[9] * y + A[11];
                for (i32 x = 0; x < f.n2; x++) {
                    if (row[x] == 255) continue;
                    float q0 = (float)(p0 + A[2] * x), q1 = (float)(p1 + A[6] * x), q2 = (float)(p2 + A[10] * x), w0, w1, w2;
                    if (q0 < -.5f || q1 < -.5f || q2 < -.5f || q0 > s.n0 - .5f || q1 > s.n1 - .5f || q2 > s.n2 - .5f) continue;
                    i32 i = cell(q0, s.n0, &w0) * s.n1 * s.n2 + cell(q1, s.n1, &w1) * s.n2;
                    i += cell(q2, s.n2, &w2);
                    float v = trilinear(moving, i, s0, s1, s2, w0, w1, w2);
                    if (v < 0.f) continue;
                    i32 k = mini((i32)v, bins - 2);
                    float t = minf(v - (float)k, 1.f);
                    h[row[x] * bins + k] += 1.f - t;
                    h[row[x] * bins + k + 1] += t;
                }
            }
    }
}
