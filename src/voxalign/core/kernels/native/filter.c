/* Separable filters with row buffers: planes are combined first, then a ring of rows, then neighbours in the row, so that each
   voxel is read from memory about once. Sums are taken in one fixed order. */
#include "common.h"
#include "filter.h"

/* planes [a, b) of each channel; weights w0, w1, w2 of 2r+1 taps; edge values continued (edge 1) or zero outside (edge 0) */
API void vx_filter(const float *in, i32 channels, Shape s, const float *w0, i32 r0, const float *w1, i32 r1, const float *w2, i32 r2,
                   int edge, float *out, i64 a, i64 b)
{
    const i64 plane = (i64)s.n1 * s.n2, size = plane * s.n0;
    const i32 rows = 2 * r1 + 1, width = s.n2 + 2 * r2;
    float *ring = malloc((size_t)rows * s.n2 * sizeof(float)), *line = malloc((size_t)width * sizeof(float));
    for (i32 c = 0; c < channels; c++)
        for (i64 z = a; z < b; z++) {
            const float *from = in + c * size;
            for (i32 y = -r1; y < s.n1 + r1; y++) {          /* y: the row that enters the ring; y - r1: the row that is finished */
                float *restrict t = ring + (i64)((y + rows) % rows) * s.n2;
                i32 yy = y < 0 ? 0 : (y >= s.n1 ? s.n1 - 1 : y);
                memset(t, 0, (size_t)s.n2 * sizeof(float));
                if (edge || yy == y)
                    for (i32 k = -r0; k <= r0; k++) {
                        i64 zz = z + k;
                        if (zz < 0 || zz >= s.n0) {
                            if (!edge) continue;
                            zz = zz < 0 ? 0 : s.n0 - 1;
                        }
                        const float *restrict f = from + zz * plane + (i64)yy * s.n2;
                        const float w = w0[k + r0];
                        for (i32 x = 0; x < s.n2; x++) t[x] += w * f[x];
                    }
                if (y < r1) continue;
                float *restrict m = line + r2;
                memset(m, 0, (size_t)s.n2 * sizeof(float));
                for (i32 k = 0; k < rows; k++) {
                    const float *restrict f = ring + (i64)((y - 2 * r1 + k + rows) % rows) * s.n2;
                    const float w = w1[k];
                    for (i32 x = 0; x < s.n2; x++) m[x] += w * f[x];
                }
                for (i32 k = 0; k < r2; k++) {
                    line[k] = edge ? m[0] : 0.f;
                    line[r2 + s.n2 + k] = edge ? m[s.n2 - 1] : 0.f;
                }
                taps(line, w2, r2, s.n2, out + c * size + z * plane + (i64)(y - r1) * s.n2);
            }
        }
    free(ring); free(line);
}
