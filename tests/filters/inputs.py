"""Images for the tests of filters and features."""
from __future__ import annotations

import numpy as np

from voxalign.core import Grid, Image


def box(spacing, shape, axes=(1, 1, 1)) -> Grid:
    """A grid about the origin whose axes run the ways of ``axes`` (1 or -1)."""
    spacing, shape = np.asarray(spacing, float), np.asarray(shape)
    affine = np.eye(len(shape) + 1)
    affine[:-1, :-1] = np.diag(spacing * np.asarray(axes[:len(shape)]))
    affine[:-1, -1] = -affine[:-1, :-1] @ ((shape - 1) / 2)
    return Grid(tuple(shape), affine)


def blob(grid: Grid, centre=(3.0, -2.0, 4.0), width=7.0) -> Image:
    """A soft blob that is the same in the world whatever the grid."""
    offset = grid.points() - np.asarray(centre)[:grid.dim]
    return Image(100 * np.exp(-(offset**2).sum(-1) / (2 * width**2)), grid)


def noisy(grid: Grid, seed=0, level=5.0) -> Image:
    """The blob with noise."""
    clean = blob(grid)
    return clean.with_data(clean.data + level * np.random.default_rng(seed).standard_normal(clean.data.shape))


def itk(image: Image):
    """Along the axes of the array, in mm."""
    import SimpleITK as sitk

    out = sitk.GetImageFromArray(np.ascontiguousarray(image.array.T))
    out.SetSpacing(image.grid.spacing.tolist())
    return out


def of_itk(image) -> np.ndarray:
    """(*shape)."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(image).T


CUBIC = box((1.0, 1.0, 1.0), (26, 30, 28))
FINE = box((1.0, 1.0, 1.0), (48, 44, 40))
THICK = box((1.0, 1.5, 2.5), (48, 30, 16), (-1, 1, -1))
FLAT = box((0.8, 1.2), (60, 44))
