"""The first position: from headers, centres or moments, or by a search over rotations that needs no tuning."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core import Image, InputError, arrays
from ..features import match
from ..transforms import Rigid, Similarity
from ..transforms.linear import Linear
from .prepare import Scaled, foreground
from .search import Found, search

_ROTATIONS = {2: 72, 3: 600}  # 5 degrees apart in 2-D, about 25 in 3-D
TRUSTED = 0.3  # confidence below which headers that overlap are believed rather than the search
_UNCERTAIN = 0.8  # confidence below which the user is told
_ROUGH = 64  # voxels across images of which only the middle is wanted
_BLOB = 80  # the smallest keypoints are the fixed image's longest side over this
OF_GRIDS = ("headers", "centres")  # whatever the images show
PLAIN = (*OF_GRIDS, "moments")


def start(fixed: Scaled | Image, moving: Scaled | Image, name: str) -> Rigid:
    """One of the `PLAIN` starts, or that of keypoints, by name; those `OF_GRIDS` take images as they are."""
    if name == "keypoints":
        return keypoints(fixed, moving)
    if name in OF_GRIDS:
        return {"headers": headers, "centres": centres}[name](fixed, moving)
    return moments(*(image.at(float(image.grid.extent.max()) / _ROUGH) for image in (fixed, moving)))


def searched(fixed: Scaled, moving: Scaled, sizes: bool) -> tuple[Linear, Found]:
    """The best of all positions, and what is to be said about it; a `Similarity` where ``sizes`` may differ and do, by much."""
    rough = [image.at(float(image.grid.extent.max()) / _ROUGH) for image in (fixed, moving)]
    plain = np.stack([start(*rough, name).matrix for name in PLAIN])
    found = search(fixed, moving, plain, rotations(fixed.grid.dim), sizes)
    rigid = abs(abs(np.linalg.det(found.matrix)) - 1) < 1e-3
    return (Rigid if rigid else Similarity).from_matrix(found.matrix, centre_of_mass(rough[0])), found


def overlap(fixed: Scaled, moving: Scaled) -> float:
    """The part of the fixed foreground that lies inside the moving image by the headers, 0 to 1."""
    rough = fixed.at(float(fixed.grid.extent.max()) / 32)
    points = rough.grid.world(np.argwhere(arrays.as_numpy(foreground(rough))))
    return float(moving.grid.contains(points).mean()) if len(points) else 0.0


def remarks(found: Found, trusted: bool = True) -> list[str]:
    """What a user should know about it; ``trusted``: the position found is the one used, not that of the headers."""
    notes = []
    if not trusted:
        notes.append(f"the start is uncertain (confidence {found.confidence:.2f}): no position fits much better than others, and that of "
                     "the headers is used; look at the result, or give an initial transform")
    elif found.confidence < _UNCERTAIN:
        notes.append(f"the start is uncertain (confidence {found.confidence:.2f}): another position fits nearly as well; "
                     "look at the result, or give an initial transform")
    if found.mirrored:
        notes.append("one image looks like a mirror image of the other: if a header is wrong about left and right, no rotation mends it")
    return notes


def headers(fixed: Scaled, moving: Scaled) -> Rigid:
    """Equal world coordinates are the same place."""
    return Rigid.identity(fixed.grid.dim, fixed.grid.centre)


def centres(fixed: Scaled, moving: Scaled) -> Rigid:
    """The middles of the two grids are the same place."""
    return _through(np.eye(fixed.grid.dim), fixed.grid.centre, moving.grid.centre)


def moments(fixed: Scaled, moving: Scaled) -> Rigid:
    """The centres of mass of the two foregrounds are the same place."""
    return _through(np.eye(fixed.grid.dim), centre_of_mass(fixed), centre_of_mass(moving))


def keypoints(fixed: Scaled, moving: Scaled) -> Rigid:
    """The motion that most blobs that look alike agree on, found on coarse images; see `features.match`.

    Raises
    ------
    InputError : no motion that blobs agree on.
    """
    size = float(fixed.grid.extent.max()) / _BLOB
    images = [Image(arrays.as_numpy(level.data), level.grid, None if level.mask is None else arrays.as_numpy(level.mask))
              for level in (image.at(size) for image in (fixed, moving))]
    try:
        found = match(*images, scales=(size, 4 * size), tolerance=2 * size)
    except InputError as error:
        raise InputError(f"initial keypoints: {error}; try initial=search") from error
    return Rigid.from_matrix(found.matrix, centre_of_mass(fixed.at(2 * size)))


def centre_of_mass(level: Scaled) -> NDArray[np.float64]:
    """World mm of the middle of the foreground; of the grid, if there is no foreground."""
    index = np.argwhere(arrays.as_numpy(foreground(level)))
    return level.grid.world(index.mean(0)) if len(index) else level.grid.centre


def rotations(dim: int) -> NDArray[np.float64]:
    """Rotation matrices spread evenly over all of them, (M, D, D); spirals of Alexa 2022 (doi:10.1109/CVPR52688.2022.00811)."""
    n = _ROTATIONS[dim]
    i = np.arange(n) + 0.5
    if dim == 2:
        c, s = np.cos(2 * np.pi * i / n), np.sin(2 * np.pi * i / n)
        return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], 1)
    t, d = i / n, 2 * np.pi * i
    r, q = np.sqrt(t), np.sqrt(1 - t)
    alpha, beta = d / np.sqrt(2), d / 1.533751168755204288118041
    x, y, z, w = r * np.sin(alpha), r * np.cos(alpha), q * np.sin(beta), q * np.cos(beta)
    return np.stack([np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
                     np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
                     np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1)], 1)


def _through(rotation: NDArray, at: NDArray, to: NDArray) -> Rigid:
    """Turn about ``at``, which goes to ``to``."""
    matrix = np.eye(len(at) + 1)
    matrix[:-1, :-1] = rotation
    matrix[:-1, -1] = to - rotation @ at
    return Rigid(matrix, at)

