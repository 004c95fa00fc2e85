/* Self-similarity context (MIND-SSC; Heinrich et al. 2013, doi:10.1007/978-3-642-40811-3_24): how much pairs of the voxel's neighbours differ.

   A voxel has a neighbour before and after it along each axis, at a distance, and a channel for each two of them along different axes. A
   channel's distance is the window mean of the squared difference of the two; the descriptor is exp(-(distance - least) / spread), with
   the least of the channels and spread = mean of the channels - least + noise. A neighbour that does not count is replaced by the voxel
   itself, and voxels that do not count add nothing to a window: a mask is as good as a crop. */
#include "window.h"

enum { SIDES = 6, MOST_PAIRS = 12 };                       /* sides: before and after along axis 0, 1, 2 */

static const i32 PAIRS[MOST_PAIRS][2] = {{2, 4}, {2, 5}, {3, 4}, {3, 5}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {0, 4}, {0, 5}, {1, 4}, {1, 5}};

typedef struct {
    const float *image; const uint8_t *mask; Radius distance; i32 pairs;     /* the four pairs of a plane come first */
    float scale, noise, *rows;                                               /* 1 / voxels of a window; memory of SIDES rows */
} Context;

/* the voxels that neighbour those of a row, copied only where they must be replaced; own: the row */
static void sides(const Context *g, Shape s, i32 z, i32 y, const float **side)
{
    const i32 d[3] = {g->distance.r0, g->distance.r1, g->distance.r2}, place[2] = {z, y}, size[2] = {s.n0, s.n1};
    const i64 stride[2] = {(i64)s.n1 * s.n2, s.n2}, at = row_at(s, z, y);
    const float *own = g->image + at;
    for (i32 k = 0; k < SIDES; k++) {
        const i32 axis = k / 2, step = k % 2 ? d[axis] : -d[axis];
        float *row = g->rows + (i64)k * s.n2;
        side[k] = row;
        if (axis == 2) {
            for (i32 x = 0; x < s.n2; x++) row[x] = own[x];
            const i32 from = maxi(-step, 0), to = s.n2 - maxi(step, 0);
            if (to > from) memcpy(row + from, own + from + step, (size_t)(to - from) * sizeof(float));
            if (g->mask) for (i32 x = from; x < to; x++) row[x] = g->mask[at + x + step] ? row[x] : own[x];
        } else {
            const i32 there = place[axis] + step;
            const i64 shift = there >= 0 && there < size[axis] ? step * stride[axis] : 0;
            side[k] = own + shift;
            if (g->mask) {
                for (i32 x = 0; x < s.n2; x++) row[x] = g->mask[at + shift + x] ? own[shift + x] : own[x];
                side[k] = row;
            }
        }
    }
    if (g->mask)
        for (i32 k = 0; k < SIDES; k++)                        /* both sides equal: nothing to add */
            for (i32 x = 0; x < s.n2; x++) g->rows[(i64)k * s.n2 + x] = g->mask[at + x] ? side[k][x] : 0.f;
}

static void enter_differences(const void *given, Shape s, const float *v, i32 lo, i32 hi, i32 y, Span whole, float *const *row)
{
    (void)whole;
    const Context *g = given;
    const float *side[SIDES];
    for (i32 z = lo; z <= hi; z++) {
        const float w = v[z - lo] * g->scale;
        sides(g, s, z, y, side);
        for (i32 c = 0; c < g->pairs; c++) {
            const float *restrict a = side[PAIRS[c][0]], *restrict b = side[PAIRS[c][1]];
            float *restrict o = row[c];
            if (z == lo) { ROW(x, s.n2, T d = LOAD(a + x) - LOAD(b + x); STORE(o + x, w * d * d);); }
            else SIMD for (i32 x = 0; x < s.n2; x++) { float d = a[x] - b[x]; o[x] += w * d * d; }
        }
    }
}

/* least distance of each voxel of a row, and 1 / spread */
static void spread_row(float *const *sum, i32 pairs, float noise, i32 n, float *restrict least, float *restrict inverse)
{
    const float share = 1.f / (float)pairs;
    memcpy(least, sum[0], (size_t)n * sizeof(float));
    memcpy(inverse, sum[0], (size_t)n * sizeof(float));
    for (i32 c = 1; c < pairs; c++) {
        const float *restrict d = sum[c];
        SIMD for (i32 x = 0; x < n; x++) { least[x] = minf(least[x], d[x]); inverse[x] += d[x]; }
    }
    SIMD for (i32 x = 0; x < n; x++) inverse[x] = 1.f / (share * inverse[x] - least[x] + noise);
}

typedef struct { Context context; float *out, *least, *inverse; } Describe;

static float leave_description(const void *given, Shape s, i32 z, i32 y, Span whole, float *const *sum)
{
    (void)whole;
    const Describe *g = given;
    const i64 at = row_at(s, z, y), size = volume(s);
    const uint8_t *mask = g->context.mask ? g->context.mask + at : NULL;
    const float *restrict least = g->least, *restrict inverse = g->inverse;
    spread_row(sum, g->context.pairs, g->context.noise, s.n2, g->least, g->inverse);
    for (i32 c = 0; c < g->context.pairs; c++) {
        const float *restrict d = sum[c];
        float *restrict o = g->out + c * size + at;
        SIMD for (i32 x = 0; x < s.n2; x++) o[x] = exp_minus((d[x] - least[x]) * inverse[x]);
        if (mask) for (i32 x = 0; x < s.n2; x++) o[x] = mask[x] ? o[x] : 0.f;
    }
    return 0.f;
}

/* planes [a, b): descriptors (pairs volumes); mask may be NULL */
API void vx_mind(const float *image, const uint8_t *mask, Shape s, Radius r, Weights v, Radius distance, i32 pairs, float scale, float noise,
                 float *out, i64 a, i64 b)
{
    float *rows = malloc((SIDES + 2) * (size_t)s.n2 * sizeof(float));
    const Describe given = {{image, mask, distance, pairs, scale, noise, rows}, out, rows + SIDES * s.n2, rows + (SIDES + 1) * s.n2};
    sweep(s, r, v, pairs, 1, enter_differences, leave_description, &given, NULL, a, b);
    free(rows);
}

/* ---------------------------------------------------------------- squared difference of descriptors and its derivative */
typedef struct { Context context; const float *fixed; float *terms, *least, *inverse, *shared, *total; int32_t *which; } Compare;

/* minus half the derivative of the summed squared difference in each channel's distance */
static float leave_comparison(const void *given, Shape s, i32 z, i32 y, Span whole, float *const *sum)
{
    (void)whole;
    const Compare *g = given;
    const i64 at = row_at(s, z, y), size = volume(s);
    const i32 pairs = g->context.pairs, n = s.n2;
    const uint8_t *mask = g->context.mask ? g->context.mask + at : NULL;
    const float share = 1.f / (float)pairs, *least = g->least, *inverse = g->inverse;
    float *restrict shared = g->shared, *restrict total = g->total;
    int32_t *restrict which = g->which;
    float value = 0.f;
    spread_row(sum, pairs, g->context.noise, n, g->least, g->inverse);
    for (i32 x = 0; x < n; x++) {
        shared[x] = total[x] = 0.f;
        which[x] = pairs;
        if (mask && !mask[x]) g->inverse[x] = 0.f;            /* marks what does not count */
    }
    for (i32 c = 0; c < pairs; c++) {
        const float *restrict d = sum[c], *restrict f = g->fixed + c * size + at;
        float *restrict h = g->terms + c * size + at;
        SIMD for (i32 x = 0; x < n; x++) {
            float t = (d[x] - least[x]) * inverse[x], m = inverse[x] > 0.f ? exp_minus(t) : 0.f, left = f[x] - m, q = share * left * m;
            value += share * left * left;
            h[x] = -q * inverse[x];
            shared[x] += share * q * t * inverse[x];
            which[x] = d[x] <= least[x] && which[x] == pairs ? c : which[x];
        }
    }
    for (i32 c = 0; c < pairs; c++) {
        float *restrict h = g->terms + c * size + at;
        SIMD for (i32 x = 0; x < n; x++) { h[x] += shared[x]; total[x] += h[x]; }
    }
    for (i32 c = 0; c < pairs; c++) {
        float *restrict h = g->terms + c * size + at;
        SIMD for (i32 x = 0; x < n; x++) h[x] -= which[x] == c ? total[x] : 0.f;
    }
    return value;
}

/* planes [a, b): fixed descriptors, moved image -> terms (pairs volumes), and for each plane the sum over voxels of the mean over
   channels of the squared difference */
API void vx_mind_fit(const float *fixed, const float *moved, const uint8_t *mask, Shape s, Radius r, Weights v, Radius distance, i32 pairs,
                     float scale, float noise, float *terms, double *value, i64 a, i64 b)
{
    const size_t n = (size_t)s.n2;
    float *rows = malloc((SIDES + 4) * n * sizeof(float));
    int32_t *which = malloc(n * sizeof(int32_t));
    const Compare given = {{moved, mask, distance, pairs, scale, noise, rows}, fixed, terms, rows + SIDES * n, rows + (SIDES + 1) * n,
                           rows + (SIDES + 2) * n, rows + (SIDES + 3) * n, which};
    sweep(s, r, v, pairs, 1, enter_differences, leave_comparison, &given, value, a, b);
    free(which);
    free(rows);
}

typedef struct { Context context; const float *terms; float *out; } Spread;

static void enter_comparison(const void *given, Shape s, const float *v, i32 lo, i32 hi, i32 y, Span whole, float *const *row)
{
    (void)whole;
    const Spread *g = given;
    const i64 plane = (i64)s.n1 * s.n2, size = volume(s);
    for (i32 c = 0; c < g->context.pairs; c++) {
        const float *p = g->terms + c * size + (i64)y * s.n2;
        float *o = row[c];
        ROW(x, s.n2, T t = 0 * LOAD(p + x); for (i64 z = lo; z <= hi; z++) t += v[z - lo] * LOAD(p + z * plane + x); STORE(o + x, t););
    }
}

/* derivative in each of the six sides of a voxel */
static float leave_sides(const void *given, Shape s, i32 z, i32 y, Span whole, float *const *sum)
{
    (void)whole;
    const Spread *g = given;
    const i64 at = row_at(s, z, y), size = volume(s);
    const float *side[SIDES], scale = 2.f * g->context.scale;
    sides(&g->context, s, z, y, side);
    for (i32 k = 0; k < SIDES; k++) memset(g->out + k * size + at, 0, (size_t)s.n2 * sizeof(float));
    for (i32 c = 0; c < g->context.pairs; c++) {
        const float *restrict a = side[PAIRS[c][0]], *restrict b = side[PAIRS[c][1]], *restrict t = sum[c];
        float *restrict o = g->out + PAIRS[c][0] * size + at, *restrict p = g->out + PAIRS[c][1] * size + at;
        SIMD for (i32 x = 0; x < s.n2; x++) {
            float k = scale * t[x] * (a[x] - b[x]);
            o[x] += k; p[x] -= k;
        }
    }
    return 0.f;
}

/* planes [a, b): terms -> 6 volumes: what each side of a voxel gets */
API void vx_mind_sides(const float *moved, const uint8_t *mask, const float *terms, Shape s, Radius r, Weights v, Radius distance, i32 pairs,
                       float scale, float *out, i64 a, i64 b)
{
    float *rows = malloc(SIDES * (size_t)s.n2 * sizeof(float));
    const Spread given = {{moved, mask, distance, pairs, scale, 0.f, rows}, terms, out};
    sweep(s, r, v, pairs, 1, enter_comparison, leave_sides, &given, NULL, a, b);
    free(rows);
}

/* planes [a, b): every voxel gathers what it gets as a side of others, or in place of a side of its own; sides first..5 */
API void vx_mind_residual(const float *parts, const uint8_t *mask, Shape s, Radius distance, i32 first, float *residual, i64 a, i64 b)
{
    const i64 size = volume(s);
    const i32 d[3] = {distance.r0, distance.r1, distance.r2}, n[3] = {s.n0, s.n1, s.n2};
    const i64 stride[3] = {(i64)s.n1 * s.n2, s.n2, 1};
    for (i32 z = (i32)a; z < b; z++)
        for (i32 y = 0; y < s.n1; y++) {
            const i64 at = row_at(s, z, y);
            float *restrict k = residual + at;
            memset(k, 0, (size_t)s.n2 * sizeof(float));
            for (i32 side = first; side < SIDES; side++) {
                const i32 axis = side / 2, step = side % 2 ? d[axis] : -d[axis], here[2] = {z, y};
                const float *restrict p = parts + side * size + at;
                for (i32 back = 0; back < 2; back++) {         /* the voxel whose side this is; the side of this voxel */
                    const i32 move = back ? step : -step;
                    const i64 shift = move * stride[axis];
                    const int inside = axis == 2 || (here[axis] + move >= 0 && here[axis] + move < n[axis]);
                    const i32 from = axis == 2 ? mini(maxi(-move, 0), s.n2) : 0, to = axis == 2 ? maxi(s.n2 - maxi(move, 0), from) : s.n2;
                    if (!back && inside) {
                        const float *restrict there = p + shift;
                        SIMD for (i32 x = from; x < to; x++) k[x] += there[x];
                    }
                    if (back)
                        for (i32 x = 0; x < s.n2; x++)
                            if (!inside || x < from || x >= to || (mask && !mask[at + shift + x])) k[x] += p[x];
                }
            }
            if (mask) for (i32 x = 0; x < s.n2; x++) if (!mask[at + x]) k[x] = 0.f;
        }
}
