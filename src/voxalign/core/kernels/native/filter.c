/* Separable filters with row buffers: planes are combined first, then a ring of rows, then neighbours in the row, so that each
   voxel is read from memory about once. Sums are taken in one fixed order. */
#include "common.h"
#include "filter.h"

enum { MOST = 129 };                                          /* taps of one axis; checked by the caller */

/* planes [a, b) of each channel; weights w0, w1, w2 of 2r+1 taps; edge values continued (edge 1) or zero outside (edge 0). What s
   leaves out stays as it was */
API void vx_filter(const float *in, i32 channels, Shape s, const float *w0, i32 r0, const float *w1, i32 r1, const float *w2, i32 r2,
                   int edge, float *out, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    const i32 rows = 2 * r1 + 1, width = s.n2 + 2 * r2;
    float *ring = malloc(((size_t)rows * s.n2 + (size_t)width + (size_t)s.n2) * sizeof(float)), *line = ring + (size_t)rows * s.n2;
    float *zero = line + width;
    const float *from[MOST];
    memset(zero, 0, (size_t)s.n2 * sizeof(float));
    for (i32 c = 0; c < channels; c++)
        for (i64 z = a; z < b; z++)
            for (i32 y = -r1; y < s.n1 + r1; y++) {          /* y: the row that enters the ring; y - r1: the row that is finished */
                const i32 yy = mini(maxi(y, 0), s.n1 - 1);
                const Span in_reach = reach(s, z, y, r1, r2);
                for (i32 k = -r0; k <= r0; k++) {
                    const i64 zz = z + k < 0 ? 0 : (z + k >= s.n0 ? s.n0 - 1 : z + k);
                    from[k + r0] = (edge || (zz == z + k && yy == y) ? in + c * size + zz * plane + (i64)yy * s.n2 : zero) + in_reach.lo;
                }
                if (in_reach.lo < in_reach.hi)
                    combine(from, w0, 2 * r0 + 1, in_reach.hi - in_reach.lo, ring + (i64)((y + rows) % rows) * s.n2 + in_reach.lo);
                if (y < r1) continue;
                const Span p = span(s, z * s.n1 + y - r1);
                if (p.lo >= p.hi) continue;
                const Span q = reach(s, z, y - r1, 0, r2);
                for (i32 k = 0; k < rows; k++) from[k] = ring + (i64)((y - 2 * r1 + k + rows) % rows) * s.n2 + q.lo;
                combine(from, w1, rows, q.hi - q.lo, line + r2 + q.lo);
                for (i32 k = 0; k < r2; k++) {
                    line[k] = edge ? line[r2] : 0.f;
                    line[r2 + s.n2 + k] = edge ? line[r2 + s.n2 - 1] : 0.f;
                }
                taps(line + p.lo, w2, r2, p.hi - p.lo, out + c * size + z * plane + (i64)(y - r1) * s.n2 + p.lo);
            }
    free(ring);
}
