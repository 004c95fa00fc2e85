/* Weighted sums in windows of 2 r + 1 voxels along each axis, cut at the edges, of several channels at once. A block of planes is swept row by row,
   so that the rows a window needs stay in the first caches; what the channels are and what becomes of their sums is given as functions. */
#ifndef VOXALIGN_WINDOW_H
#define VOXALIGN_WINDOW_H
#include "filter.h"

enum { BLOCK = 4, MOST_ROWS = 33, MOST_CHANNELS = 12 };    /* planes a block holds; rows of a window, checked by the caller */

typedef struct { const float *w0, *w1, *w2; } Weights;     /* of a window's planes, rows and voxels: 2 r + 1 each */

/* work memory of one block: rings of 2 r1 + 1 rows for each channel and plane, and padded lines */
typedef struct { float *ring, *line, *sum[MOST_CHANNELS]; i32 rows, channels; } Work;

static Work work_new(Shape s, Radius r, i32 channels, i32 block)
{
    Work w;
    w.rows = 2 * r.r1 + 1;
    w.channels = channels;
    const size_t ring = (size_t)block * channels * w.rows * s.n2, width = (size_t)s.n2 + 2 * r.r2;
    w.ring = malloc((ring + width + channels * (size_t)s.n2) * sizeof(float));
    w.line = w.ring + ring;
    for (i32 c = 0; c < channels; c++) w.sum[c] = w.line + width + (size_t)c * s.n2;
    memset(w.line, 0, width * sizeof(float));                 /* the pads stay zero: nothing lies outside */
    return w;
}

INLINE float *ring_row(Work w, Shape s, i32 plane, i32 c, i32 y)
{
    return w.ring + (((size_t)plane * w.channels + c) * w.rows + (size_t)((y + 2 * w.rows) % w.rows)) * s.n2;
}

/* window sums of all channels for the voxels p of row y of one plane of the block, from the ring */
static void window(Work w, Shape s, Radius r, Weights v, i32 plane, i32 y, Span p)
{
    const i32 from = maxi(p.lo - r.r2, 0), to = mini(p.hi + r.r2, s.n2);
    const float *row[MOST_ROWS];
    const i32 lo = maxi(y - r.r1, 0), hi = mini(y + r.r1, s.n1 - 1);
    for (i32 c = 0; c < w.channels; c++) {
        for (i32 k = lo; k <= hi; k++) row[k - lo] = ring_row(w, s, plane, c, k) + from;
        combine(row, v.w1 + (lo - y + r.r1), hi - lo + 1, to - from, w.line + r.r2 + from);
        taps(w.line + p.lo, v.w2, r.r2, p.hi - p.lo, w.sum[c] + p.lo);
    }
}

/* voxels p of row y of every channel, summed over planes lo .. hi with the weights v */
typedef void (*Enter)(const void *given, Shape s, const float *v, i32 lo, i32 hi, i32 y, Span p, float *const *row);
/* what the window sums of the voxels p of row y of plane z are for; its answer is summed for each plane */
typedef float (*Leave)(const void *given, Shape s, i32 z, i32 y, Span p, float *const *sum);

/* planes [a block, b block), and of them what s does not leave out */
static void sweep(Shape s, Radius r, Weights v, i32 channels, i32 block, Enter enter, Leave leave, const void *given, double *value, i64 a, i64 b)
{
    Work w = work_new(s, r, channels, block);
    float *row[MOST_CHANNELS];
    for (i32 z0 = (i32)a * block; z0 < (i32)b * block && z0 < s.n0; z0 += block) {
        const i32 depth = mini(block, s.n0 - z0);
        double total[BLOCK] = {0};
        for (i32 y = 0; y < s.n1 + r.r1; y++) {
            for (i32 k = 0; k < depth && y < s.n1; k++) {
                const Span p = reach(s, z0 + k, y, r.r1, r.r2);
                if (p.lo >= p.hi) continue;
                for (i32 c = 0; c < channels; c++) row[c] = ring_row(w, s, k, c, y);
                const i32 lo = maxi(z0 + k - r.r0, 0), hi = mini(z0 + k + r.r0, s.n0 - 1);
                enter(given, s, v.w0 + (lo - z0 - k + r.r0), lo, hi, y, p, row);
            }
            for (i32 k = 0; k < depth && y >= r.r1; k++) {
                const Span p = span(s, (i64)(z0 + k) * s.n1 + y - r.r1);
                if (p.lo >= p.hi) continue;
                window(w, s, r, v, k, y - r.r1, p);
                total[k] += leave(given, s, z0 + k, y - r.r1, p, w.sum);
            }
        }
        for (i32 k = 0; k < depth && value; k++) value[z0 + k] = total[k];
    }
    free(w.ring);
}

INLINE i64 row_at(Shape s, i64 z, i64 y) { return (z * s.n1 + y) * s.n2; }
INLINE i64 volume(Shape s) { return (i64)s.n0 * s.n1 * s.n2; }

/* two images; the channels J, J J, J F of their windows. First member of whatever is given */
typedef struct { const float *F, *J; } Images;

static void enter_images(const void *given, Shape s, const float *v, i32 lo, i32 hi, i32 y, Span p, float *const *row)
{
    const Images *g = given;
    const i64 plane = (i64)s.n1 * s.n2;
    const float *F = g->F + (i64)y * s.n2 + p.lo, *J = g->J + (i64)y * s.n2 + p.lo;
    float *r0 = row[0] + p.lo, *r1 = row[1] + p.lo, *r2 = row[2] + p.lo;
    ROW(x, p.hi - p.lo, T a = 0 * LOAD(J + x); T b = a; T c = a;
        for (i64 z = lo; z <= hi; z++) {
            T j = LOAD(J + z * plane + x), vj = v[z - lo] * j;
            a += vj; b += vj * j; c += vj * LOAD(F + z * plane + x);
        }
        STORE(r0 + x, a); STORE(r1 + x, b); STORE(r2 + x, c););
}

/* three volumes whose window sums are wanted. First member of whatever is given */
typedef struct { Images images; const float *volumes; } Summed;

static void enter_volumes(const void *given, Shape s, const float *v, i32 lo, i32 hi, i32 y, Span part, float *const *row)
{
    const i64 plane = (i64)s.n1 * s.n2, size = volume(s);
    const float *p = ((const Summed *)given)->volumes + (i64)y * s.n2 + part.lo;
    float *r0 = row[0] + part.lo, *r1 = row[1] + part.lo, *r2 = row[2] + part.lo;
    ROW(x, part.hi - part.lo, T a = 0 * LOAD(p + x); T b = a; T c = a;
        for (i64 z = lo; z <= hi; z++) {
            const float *q = p + z * plane + x;
            a += v[z - lo] * LOAD(q); b += v[z - lo] * LOAD(q + size); c += v[z - lo] * LOAD(q + 2 * size);
        }
        STORE(r0 + x, a); STORE(r1 + x, b); STORE(r2 + x, c););
}

/* what window sums of three volumes of terms are for, with the images */
typedef struct { Summed of; float *residual, *curvature; } Residual;
#endif
