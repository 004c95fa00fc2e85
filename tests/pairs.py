"""Images for tests of what surrounds a registration: smooth, small, with a known shift."""
from __future__ import annotations

import numpy as np

from voxalign.core import Grid, Image

QUICK = {"transform": "rigid", "initial": "headers", "loss": "mse", "iterations": (5,)}

# centre, radii in mm, change of intensity
_BODY = ((0, 0, 0), (20, 22, 18), 100)
_ORGANS = (_BODY, ((6, 4, 3), (7, 5, 6), 60), ((-7, -6, 2), (5, 6, 7), -50))


def blobs(shift=(0, 0, 0), shape=(28, 30, 26), is_label: bool = False) -> Image:
    """A body with two organs on 2 mm voxels, 2-D or 3-D, shifted in mm; as intensities or as labels 1, 2, 3."""
    dim = len(shape)
    affine = np.diag([2.0] * dim + [1.0])
    affine[:-1, -1] = 1.0 - np.array(shape)
    grid = Grid(shape, affine)
    points = grid.points() - np.asarray(shift, float)[:dim]
    depths = [1 - np.linalg.norm((points - centre[:dim]) / np.array(radii[:dim]), axis=-1) for centre, radii, _ in _ORGANS]
    if is_label:
        return Image(np.max([(depth > 0) * np.uint8(k + 1) for k, depth in enumerate(depths)], 0), grid, is_label=True)
    return Image(sum(organ[2] / (1 + np.exp(-8 * depth)) for organ, depth in zip(_ORGANS, depths, strict=True)), grid)
