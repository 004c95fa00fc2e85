/* Shared by all kernels. Volumes are (n0, n1, n2) float32 with n2 fastest. Every entry point works on a slab [a, b) of its
   outermost loop, so that threads live in Python; no result depends on how the range was cut. */
#ifndef VOXALIGN_COMMON_H
#define VOXALIGN_COMMON_H
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define API __declspec(dllexport)
#define INLINE static __forceinline
#else
#define API __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#endif

/* loops over a row whose arrays do not overlap */
#if defined(__clang__)
#define SIMD _Pragma("clang loop vectorize(enable)")
#elif defined(__GNUC__)
#define SIMD _Pragma("GCC ivdep")
#else
#define SIMD
#endif

/* ROW(x, n, body): body for every x of a row, eight at a time as type T where the compiler has vectors. The last eight may be done twice,
   so body must not read what it writes. LOAD and STORE work on T. */
#if defined(__GNUC__)
typedef float V8 __attribute__((vector_size(32)));
typedef float U8 __attribute__((vector_size(32), aligned(4), may_alias));
#define LOAD(p) (*(const TU *)(p))
#define STORE(p, v) (*(TU *)(p) = (v))
#define ROW(x, n, ...)                                                                                      \
    do {                                                                                                    \
        if ((n) >= 8) {                                                                                     \
            typedef V8 T; typedef U8 TU;                                                                    \
            for (i32 x = 0; x < (n); x = x + 8 < (n) - 8 ? x + 8 : (x < (n) - 8 ? (n) - 8 : (n))) { __VA_ARGS__ } \
        } else {                                                                                            \
            typedef float T; typedef float TU;                                                              \
            for (i32 x = 0; x < (n); x++) { __VA_ARGS__ }                                                   \
        }                                                                                                   \
    } while (0)
#else
#define LOAD(p) (*(p))
#define STORE(p, v) (*(p) = (v))
#define ROW(x, n, ...) do { typedef float T; for (i32 x = 0; x < (n); x++) { __VA_ARGS__ } } while (0)
#endif

typedef int32_t i32;
typedef int64_t i64;

/* rows: for each row of the last axis the first voxel that is computed and one past the last, or NULL for all of every row */
typedef struct { i32 n0, n1, n2; const i32 *rows; } Shape;
typedef struct { i32 lo, hi; } Span;
typedef struct { i32 r0, r1, r2; } Radius;   /* voxels along each axis */

INLINE float minf(float a, float b) { return a < b ? a : b; }
INLINE float maxf(float a, float b) { return a > b ? a : b; }
INLINE i32 mini(i32 a, i32 b) { return a < b ? a : b; }
INLINE i32 maxi(i32 a, i32 b) { return a > b ? a : b; }

INLINE Span span(Shape s, i64 row)
{
    Span all = {0, s.n2}, some = {s.rows ? s.rows[2 * row] : 0, s.rows ? s.rows[2 * row + 1] : 0};
    return s.rows ? some : all;
}

/* the voxels of two spans and those between them; one with lo >= hi is empty */
INLINE Span both(Span a, Span b)
{
    Span hull = {mini(a.lo, b.lo), maxi(a.hi, b.hi)};
    return a.lo >= a.hi ? b : (b.lo >= b.hi ? a : hull);
}

/* every voxel within r of those computed in rows y - around .. y + around of plane z; lo >= hi if there is none */
INLINE Span reach(Shape s, i64 z, i32 y, i32 around, i32 r)
{
    Span all = {0, s.n2}, some = {s.n2, 0};
    if (!s.rows) return all;
    for (i32 k = maxi(y - around, 0); k <= mini(y + around, s.n1 - 1); k++) some = both(some, span(s, z * s.n1 + k));
    if (some.lo < some.hi) { some.lo = maxi(some.lo - r, 0); some.hi = mini(some.hi + r, s.n2); }
    return some;
}

/* distance in memory to the next voxel along an axis; 0 on an axis of one voxel, so that both neighbours are the same */
INLINE i32 stride0(Shape s) { return s.n0 > 1 ? s.n1 * s.n2 : 0; }
INLINE i32 stride1(Shape s) { return s.n1 > 1 ? s.n2 : 0; }
INLINE i32 stride2(Shape s) { return s.n2 > 1 ? 1 : 0; }

/* cell and fraction of a position, clamped to the volume */
INLINE i32 cell(float p, i32 n, float *fraction)
{
    float q = minf(maxf(p, 0.f), (float)(n - 1));
    i32 i = mini((i32)q, maxi(n - 2, 0));
    *fraction = q - (float)i;
    return i;
}

/* value in a cell of eight voxels, the next of each axis s0, s1 and s2 away; s2 is 1 or 0. The two voxels of a row are read at once: reading is
   most of the time */
#if defined(__GNUC__)
typedef float V4 __attribute__((vector_size(16)));
typedef double D2 __attribute__((vector_size(16)));

INLINE V4 two_pairs(const float *f, const float *g, i32 s2)
{
    if (!s2) return (V4){*f, *f, *g, *g};
    double a, b;
    memcpy(&a, f, sizeof a); memcpy(&b, g, sizeof b);
    return (V4)(D2){a, b};
}

INLINE V4 second_pair(V4 v) { return (V4)(D2){((D2)v)[1], ((D2)v)[1]}; }

INLINE float trilinear(const float *f, i32 i, i32 s0, i32 s1, i32 s2, float w0, float w1, float w2)
{
    const V4 before = two_pairs(f + i, f + i + s1, s2), after = two_pairs(f + i + s0, f + i + s0 + s1, s2);
    const V4 plane = before + w0 * (after - before), line = plane + w1 * (second_pair(plane) - plane);
    return line[0] + w2 * (line[1] - line[0]);
}

/* and its derivatives along the three axes */
INLINE float trilinear_slopes(const float *f, i32 i, i32 s0, i32 s1, i32 s2, float w0, float w1, float w2, float *g)
{
    const V4 before = two_pairs(f + i, f + i + s1, s2), rise = two_pairs(f + i + s0, f + i + s0 + s1, s2) - before;
    const V4 plane = before + w0 * rise, across = second_pair(plane) - plane, line = plane + w1 * across;
    const V4 up = rise + w1 * (second_pair(rise) - rise);
    g[0] = up[0] + w2 * (up[1] - up[0]);
    g[1] = across[0] + w2 * (across[1] - across[0]);
    g[2] = line[1] - line[0];
    return line[0] + w2 * g[2];
}
#else
INLINE float trilinear_slopes(const float *f, i32 i, i32 s0, i32 s1, i32 s2, float w0, float w1, float w2, float *g)
{
    const float *p = f + i, *q = p + s1, *r = p + s0, *t = r + s1;
    const float dp = p[s2] - p[0], dq = q[s2] - q[0], dr = r[s2] - r[0], dt = t[s2] - t[0];
    const float P = p[0] + w2 * dp, Q = q[0] + w2 * dq, R = r[0] + w2 * dr, T = t[0] + w2 * dt;
    const float before = P + w1 * (Q - P), after = R + w1 * (T - R), slope = dp + w1 * (dq - dp);
    g[0] = after - before;
    g[1] = (Q - P) + w0 * ((T - R) - (Q - P));
    g[2] = slope + w0 * (dr + w1 * (dt - dr) - slope);
    return before + w0 * g[0];
}

INLINE float trilinear(const float *f, i32 i, i32 s0, i32 s1, i32 s2, float w0, float w1, float w2)
{
    float slopes[3];
    return trilinear_slopes(f, i, s0, s1, s2, w0, w1, w2, slopes);
}
#endif

/* exp(-t) for 0 <= t < 1e6 to 1e-6 of it (library calls, unions and clamped floats would end the SIMD loop) */
INLINE float exp_minus(float t)
{
    float p = -1.44269504f * t, power;
    i32 e = maxi((i32)(p - .5f), -126), bits = (e + 127) << 23;
    float f = (p - (float)e) * .693147181f;
    memcpy(&power, &bits, sizeof power);
    return power * (1.f + f * (1.f + f * (.5f + f * (1.66666667e-1f + f * (4.16666667e-2f + f * (8.33333333e-3f + f * 1.38888889e-3f))))));
}
#endif
