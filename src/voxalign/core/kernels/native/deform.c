/* Displacement fields in voxels of their own grid, (3, n0, n1, n2): forces, steps, composition, Jacobian, inverse. Where a shape has rows,
   forces, steps, compose_near and the two of volume leave all other voxels as they were. */
#include "common.h"

/* planes [a, b): Gauss-Newton force of a residual k and curvature c of the moved image, G = its central differences:
   out[0..2] = k G, out[3] = c sum_i w_i G_i^2 + kappa k^2 / c. w_i = (reference spacing / spacing of axis i)^2. */
API void vx_force(const float *moved, const float *residual, const float *curvature, Shape s, const float *w, float kappa, float *out,
                  i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    const float w0 = w[0], w1 = w[1], w2 = w[2];
    float *diff = malloc((size_t)s.n2 * sizeof(float));
    for (i64 z = a; z < b; z++)
        for (i32 y = 0; y < s.n1; y++) {
            const i64 at = z * plane + (i64)y * s.n2;
            const float *restrict J = moved + at, *restrict k = residual + at, *restrict c = curvature + at;
            const float *restrict zm = J - (z > 0 ? plane : 0), *restrict zp = J + (z < s.n0 - 1 ? plane : 0);
            const float *restrict ym = J - (y > 0 ? s.n2 : 0), *restrict yp = J + (y < s.n1 - 1 ? s.n2 : 0);
            float *restrict o0 = out + at, *restrict o1 = o0 + size, *restrict o2 = o1 + size, *restrict o3 = o2 + size;
            const Span p = span(s, z * s.n1 + y);
            diff[0] = diff[s.n2 - 1] = 0.f;
            SIMD for (i32 x = maxi(p.lo, 1); x < mini(p.hi, s.n2 - 1); x++) diff[x] = .5f * (J[x + 1] - J[x - 1]);
            SIMD for (i32 x = p.lo; x < p.hi; x++) {
                float g0 = .5f * (zp[x] - zm[x]), g1 = .5f * (yp[x] - ym[x]), g2 = diff[x], kx = k[x], cx = c[x];
                o0[x] = kx * g0; o1[x] = kx * g1; o2[x] = kx * g2;
                o3[x] = cx * (w0 * g0 * g0 + w1 * g1 * g1 + w2 * g2 * g2) + kappa * kx * kx / maxf(cx, 1e-9f);
            }
        }
    free(diff);
}

/* rows [a, b): update = step w f / (f[3] + lambda), shortened to `longest` voxels; in place allowed */
API void vx_step(const float *force, Shape s, const float *w, float step, float lambda, float longest, float *out, i64 a, i64 b)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2;
    const float w0 = w[0] * step, w1 = w[1] * step, w2 = w[2] * step;
    for (i64 row = a; row < b; row++) {
        const float *f0 = force + row * s.n2, *f1 = f0 + size, *f2 = f1 + size, *f3 = f2 + size;
        float *o0 = out + row * s.n2, *o1 = o0 + size, *o2 = o1 + size;
        const Span p = span(s, row);
        SIMD for (i32 x = p.lo; x < p.hi; x++) {
            float i = 1.f / (f3[x] + lambda), v0 = w0 * f0[x] * i, v1 = w1 * f1[x] * i, v2 = w2 * f2[x] * i;
            float n = sqrtf(v0 * v0 + v1 * v1 + v2 * v2), k = minf(1.f, longest / maxf(n, 1e-12f));
            o0[x] = k * v0; o1[x] = k * v1; o2[x] = k * v2;
        }
    }
}

/* rows [a, b): out(x) = d(x) + u(x + d(x)), edge values of u continued; any d */
API void vx_compose(const float *d, const float *u, Shape s, float *out, i64 a, i64 b)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2;
    const i32 s0 = stride0(s), s1 = stride1(s), s2 = stride2(s), p0 = s.n1 * s.n2, p1 = s.n2;
    for (i64 row = a; row < b; row++) {
        const float z = (float)(row / s.n1), y = (float)(row % s.n1);
        const float *restrict d0 = d + row * s.n2, *restrict d1 = d0 + size, *restrict d2 = d1 + size;
        float *restrict o0 = out + row * s.n2, *restrict o1 = o0 + size, *restrict o2 = o1 + size;
        for (i32 x = 0; x < s.n2; x++) {
            float w0, w1, w2;
            i32 i = cell(z + d0[x], s.n0, &w0) * p0 + cell(y + d1[x], s.n1, &w1) * p1;
            i += cell((float)x + d2[x], s.n2, &w2);
            o0[x] = d0[x] + trilinear(u, i, s0, s1, s2, w0, w1, w2);
            o1[x] = d1[x] + trilinear(u + size, i, s0, s1, s2, w0, w1, w2);
            o2[x] = d2[x] + trilinear(u + 2 * size, i, s0, s1, s2, w0, w1, w2);
        }
    }
}

/* u at x + d(x): hat weights along each axis on the voxel x, on m before and on p after it, in nine rows q */
#define HATS(x, m, p) (xl * COLUMN(m) + xc * COLUMN(x) + xh * COLUMN(p))
#define COLUMN(i) (zl * (yl * q[0][i] + yc * q[1][i] + yh * q[2][i]) + zc * (yl * q[3][i] + yc * q[4][i] + yh * q[5][i]) \
                 + zh * (yl * q[6][i] + yc * q[7][i] + yh * q[8][i]))
#define NEAR(x, m, p)                                                                                       \
    do {                                                                                                    \
        const float t0 = d0[x], t1 = d1[x], t2 = d2[x];                                                     \
        const float zh = maxf(t0, 0.f), zl = maxf(-t0, 0.f), zc = 1.f - zh - zl;                            \
        const float yh = maxf(t1, 0.f), yl = maxf(-t1, 0.f), yc = 1.f - yh - yl;                            \
        const float xh = maxf(t2, 0.f), xl = maxf(-t2, 0.f), xc = 1.f - xh - xl;                            \
        o[x] = own[x] + HATS(x, m, p);                                                                      \
    } while (0)

/* the same for |d| < 1 in every component: hat weights on the 27 neighbours, contiguous loads instead of gathers */
API void vx_compose_near(const float *d, const float *u, Shape s, float *out, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    for (i64 row = a; row < b; row++) {
        const i64 z = row / s.n1, y = row % s.n1;
        const Span part = span(s, row);
        if (part.lo >= part.hi) continue;
        const i64 above[3] = {z > 0 ? -plane : 0, 0, z < s.n0 - 1 ? plane : 0}, beside[3] = {y > 0 ? -s.n2 : 0, 0, y < s.n1 - 1 ? s.n2 : 0};
        const float *restrict d0 = d + row * s.n2, *restrict d1 = d0 + size, *restrict d2 = d1 + size;
        for (int c = 0; c < 3; c++) {
            float *restrict o = out + c * size + row * s.n2;
            const float *restrict own = d + c * size + row * s.n2, *restrict q[9];
            for (int k = 0; k < 9; k++) q[k] = u + c * size + row * s.n2 + above[k / 3] + beside[k % 3];
            const i32 last = s.n2 - 1;
            if (part.lo == 0) NEAR(0, 0, mini(1, last));
            SIMD for (i32 x = maxi(part.lo, 1); x < mini(part.hi, last); x++) NEAR(x, x - 1, x + 1);
            if (part.hi == s.n2 && last > 0) NEAR(last, last - 1, last);
        }
    }
}
#undef NEAR
#undef COLUMN
#undef HATS

/* rows [a, b): divergence by differences to the voxel before, nothing across the first faces; also of the voxel after one that s holds,
   for the gradient there */
API void vx_divergence(const float *u, Shape s, float *out, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    for (i64 row = a; row < b; row++) {
        const float *restrict u0 = u + row * s.n2, *restrict u1 = u0 + size, *restrict u2 = u1 + size;
        const float *restrict z = row >= s.n1 ? u0 - plane : u0, *restrict y = row % s.n1 ? u1 - s.n2 : u1;
        float *restrict o = out + row * s.n2;
        Span p = span(s, row);
        if (row >= s.n1) p = both(p, span(s, row - s.n1));
        if (row % s.n1) p = both(p, span(s, row - 1));
        p.hi = mini(p.hi + 1, s.n2);
        if (p.lo == 0 && p.hi > 0) o[0] = (u0[0] - z[0]) + (u1[0] - y[0]);
        SIMD for (i32 x = maxi(p.lo, 1); x < p.hi; x++) o[x] = (u0[x] - z[x]) + (u1[x] - y[x]) + (u2[x] - u2[x - 1]);
    }
}

/* rows [a, b): u += amount w grad d by differences to the voxel after; nothing across the last faces */
API void vx_add_gradient(const float *d, Shape s, const float *w, float amount, float *u, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    const float w0 = amount * w[0], w1 = amount * w[1], w2 = amount * w[2];
    for (i64 row = a; row < b; row++) {
        const float *restrict c = d + row * s.n2, *restrict z = row / s.n1 < s.n0 - 1 ? c + plane : c;
        const float *restrict y = row % s.n1 < s.n1 - 1 ? c + s.n2 : c;
        float *restrict u0 = u + row * s.n2, *restrict u1 = u0 + size, *restrict u2 = u1 + size;
        const Span p = span(s, row);
        SIMD for (i32 x = p.lo; x < mini(p.hi, s.n2 - 1); x++) {
            u0[x] += w0 * (z[x] - c[x]);
            u1[x] += w1 * (y[x] - c[x]);
            u2[x] += w2 * (c[x + 1] - c[x]);
        }
        if (p.hi < s.n2 || p.lo >= p.hi) continue;
        u0[s.n2 - 1] += w0 * (z[s.n2 - 1] - c[s.n2 - 1]);
        u1[s.n2 - 1] += w1 * (y[s.n2 - 1] - c[s.n2 - 1]);
    }
}

/* rows [a, b): det(I + du/dx), central differences, one-sided at the ends */
API void vx_jacobian(const float *u, Shape s, float *out, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    for (i64 row = a; row < b; row++) {
        const i64 z = row / s.n1, y = row % s.n1;
        const i64 zm = z > 0 ? plane : 0, zp = z < s.n0 - 1 ? plane : 0, ym = y > 0 ? s.n2 : 0, yp = y < s.n1 - 1 ? s.n2 : 0;
        const float kz = zm + zp ? 1.f / (float)((zm + zp) / plane) : 0.f, ky = ym + yp ? 1.f / (float)((ym + yp) / s.n2) : 0.f;
        const float *restrict f = u + row * s.n2, *restrict g = f + size, *restrict h = g + size;
        float *restrict o = out + row * s.n2;
        SIMD for (i32 x = 0; x < s.n2; x++) {
            const i32 l = maxi(x - 1, 0), r = mini(x + 1, s.n2 - 1);
            const float kx = r > l ? 1.f / (float)(r - l) : 0.f;
            float fz = 1 + kz * (f[x + zp] - f[x - zm]), fy = ky * (f[x + yp] - f[x - ym]), fx = kx * (f[r] - f[l]);
            float gz = kz * (g[x + zp] - g[x - zm]), gy = 1 + ky * (g[x + yp] - g[x - ym]), gx = kx * (g[r] - g[l]);
            float hz = kz * (h[x + zp] - h[x - zm]), hy = ky * (h[x + yp] - h[x - ym]), hx = 1 + kx * (h[r] - h[l]);
            o[x] = fz * (gy * hx - gx * hy) - fy * (gz * hx - gx * hz) + fx * (gz * hy - gy * hz);
        }
    }
}

typedef struct { float v[3], g[3][3]; } Local;

INLINE Local local(const float *u, Shape s, const float *p)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2;
    const i32 s0 = stride0(s), s1 = stride1(s), s2 = stride2(s);
    float w0, w1, w2;
    i32 i = cell(p[0], s.n0, &w0) * s.n1 * s.n2 + cell(p[1], s.n1, &w1) * s.n2;
    i += cell(p[2], s.n2, &w2);
    Local o;
    for (int c = 0; c < 3; c++) o.v[c] = trilinear_slopes(u + c * size, i, s0, s1, s2, w0, w1, w2, o.g[c]);
    return o;
}

/* rows [a, b): v with v(y) + u(y + v(y)) = 0 by damped Newton steps, each row started at its left neighbour's answer;
   residual: largest |remaining error| of each row, voxels */
API void vx_invert(const float *u, Shape s, float tolerance, i32 steps, float *v, float *residual, i64 a, i64 b)
{
    const i64 size = (i64)s.n0 * s.n1 * s.n2;
    for (i64 row = a; row < b; row++) {
        const float home[2] = {(float)(row / s.n1), (float)(row % s.n1)};
        float start[3], worst = 0.f;
        for (int c = 0; c < 3; c++) start[c] = -u[c * size + row * s.n2];
        for (i32 x = 0; x < s.n2; x++) {
            const float y[3] = {home[0], home[1], (float)x};
            float best[3] = {0, 0, 0}, error = 1e30f, p[3], scale = 1.f;
            for (int c = 0; c < 3; c++) p[c] = y[c] + start[c];
            for (i32 k = 0; k < steps; k++) {
                Local q = local(u, s, p);
                float r[3], e;
                for (int c = 0; c < 3; c++) r[c] = p[c] + q.v[c] - y[c];
                e = sqrtf(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
                if (e < error) { error = e; scale = 1.f; for (int c = 0; c < 3; c++) best[c] = p[c] - y[c]; }
                else scale = maxf(.5f * scale, .1f);
                if (e < tolerance) break;
                float m00 = 1 + q.g[0][0], m01 = q.g[0][1], m02 = q.g[0][2], m10 = q.g[1][0], m11 = 1 + q.g[1][1], m12 = q.g[1][2];
                float m20 = q.g[2][0], m21 = q.g[2][1], m22 = 1 + q.g[2][2];
                float i0 = m11 * m22 - m12 * m21, i1 = m12 * m20 - m10 * m22, i2 = m10 * m21 - m11 * m20;
                float det = m00 * i0 + m01 * i1 + m02 * i2, t[3];
                if (det > .02f) {
                    float d = 1.f / det;
                    t[0] = d * (i0 * r[0] + (m02 * m21 - m01 * m22) * r[1] + (m01 * m12 - m02 * m11) * r[2]);
                    t[1] = d * (i1 * r[0] + (m00 * m22 - m02 * m20) * r[1] + (m02 * m10 - m00 * m12) * r[2]);
                    t[2] = d * (i2 * r[0] + (m01 * m20 - m00 * m21) * r[1] + (m00 * m11 - m01 * m10) * r[2]);
                } else { t[0] = .5f * r[0]; t[1] = .5f * r[1]; t[2] = .5f * r[2]; }
                float n = sqrtf(t[0] * t[0] + t[1] * t[1] + t[2] * t[2]), g = scale * minf(1.f, maxf(1.f, e) / maxf(n, 1e-12f));
                for (int c = 0; c < 3; c++) p[c] -= g * t[c];
            }
            for (int c = 0; c < 3; c++) { v[c * size + row * s.n2 + x] = best[c]; start[c] = best[c]; }
            if (error > worst) worst = error;
        }
        residual[row] = worst;
    }
}
