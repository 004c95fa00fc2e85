"""Where a training's pairs come from: scans of people, divided into parts, or nothing at all."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from .. import io
from ..core import Image, InputError, Transform, UsageError, compose
from ..nn import Inputs
from ..nn.inputs import INTENSITY
from ..transforms import Affine
from .data import Space, Store, centre, shift, survey
from .recipe import FROM_MAPS, Recipe
from .table import PARTS, Table, pairs_of, sequences_of, some, split

_SHAPE = (96, 96, 96)  # of images made from nothing, unless the recipe says otherwise


@dataclass(frozen=True, eq=False)
class Source:
    """Where pairs come from.

    Parameters
    ----------
    store : of scans; None if everything is synthesised from nothing.
    pairs : (fixed, moving) numbers of scans, by part.
    drawings : numbers of scans with labels, by part, for the family ``maps``.
    people : how many, by part.
    sequences : numbers of scans of one person in the order of the table, by part.
    translator : network that shows an image in the contrast of another kind: pairs are one image and itself, translated and moved.
    """

    space: Space
    store: Store | None = None
    pairs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    drawings: dict[str, list[int]] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    translator: nn.Module | None = None

    @property
    def in_channels(self) -> int:
        """Channels of each image; features have several."""
        if self.store is None or self.store.inputs.channels == (INTENSITY,):
            return 1
        return len(self.store.sample(next(f for pairs in self.pairs.values() for f, _ in pairs)).image)


def from_nothing(recipe: Recipe) -> Source:
    """A grid for synthesised images.

    Raises
    ------
    UsageError : a family that needs label maps, or channels other than the intensity.
    """
    if FROM_MAPS & set(recipe.synthesise):
        raise UsageError(f"synthesise={','.join(sorted(FROM_MAPS & set(recipe.synthesise)))} needs label maps: give them with --data")
    _check_synthesis(recipe)
    return Source(Space(recipe.shape or _SHAPE, recipe.spacing or 1.0))


def from_table(table: Table, recipe: Recipe, places: Mapping[int, Transform] | None = None) -> Source:
    """Look at all scans, and divide their people; ``places`` as for `Store`.

    Raises
    ------
    InputError : no pairs, or nothing to learn from.
    """
    space = survey(table, recipe.spacing, recipe.shape)
    people = [scan.person for k, scan in enumerate(table.scans) if k != table.atlas]
    parts = split(people, recipe.validation, recipe.test, recipe.seed, 2 if _needs_two(table, recipe) else 1)
    if recipe.synthesise:
        _check_synthesis(recipe)
        drawings = {part: [k for k, s in enumerate(table.scans) if s.labels and parts.get(s.person) == part] for part in PARTS}
        if FROM_MAPS & set(recipe.synthesise) and not drawings["train"]:
            raise InputError("synthesise=maps or people: the data hold no label maps; expected labels/ or a column 'labels'")
        return Source(space, Store(table, space, places=by_structures(table, recipe.stripped)), {}, drawings, _counted(parts))
    if any(scan.image is None for scan in table.scans):
        raise InputError("some rows have no image: expected images, or synthesise=maps to make them from the label maps")
    pairs = {part: pairs_of(table, parts, part) for part in PARTS}
    sequences = {part: sequences_of(table, parts, part) for part in PARTS}
    if not (sequences if recipe.task == "sequence" else pairs)["train"]:
        raise InputError("nobody to train on: expected at least two people's images in the training part, or pairs (or, for "
                         "task=sequence, several images) of one")
    for part, most in (("validation", recipe.pairs_validated), ("test", recipe.pairs_tested)):
        pairs[part] = some(pairs[part], most)
    places = by_headers(table) if recipe.start == "headers" else places
    store = Store(table, space, Inputs(space.spacing, recipe.channels, recipe.start), places)
    return Source(space, store, pairs, {}, _counted(parts), sequences)


def by_headers(table: Table) -> dict[int, Transform]:
    """Every scan where its file says it is; the middle is that of the fixed image, of the atlas, or of the first scan."""
    if table.pairs is None:
        middle = shift(centre(table.scans[0]))
        return dict.fromkeys(range(len(table.scans)), middle)
    middles = {fixed: shift(centre(table.scans[fixed])) for fixed in {f for f, _ in table.pairs}}
    return middles | {moving: middles[fixed] for fixed, moving in table.pairs}


def by_structures(table: Table, left_out: Sequence[int] = ()) -> dict[int, Transform]:
    """Label maps laid on the first of them, affinely, by the centres of the structures that all of them have but those ``left_out``.

    The middle of the common space is the middle of what these structures cover in the first map.
    """
    numbers = [k for k, scan in enumerate(table.scans) if scan.labels]
    if not numbers:
        return {}
    first = io.load(table.scans[numbers[0]].labels, is_label=True)
    found = {k: _centres(io.load(table.scans[k].labels, is_label=True), left_out) for k in numbers}
    common = sorted(set.intersection(*map(set, found.values())))
    if len(common) <= first.dim + 1:
        return {}
    held = np.argwhere(np.isin(first.array, common))
    middle = shift(first.grid.world((held.min(0) + held.max(0)) / 2))
    points = {k: np.array([centres[name] for name in common]) for k, centres in found.items()}
    return {k: compose([middle, _fitted(points[numbers[0]], other)]) for k, other in points.items()}


def _centres(labels: Image, left_out: Sequence[int]) -> dict[int, NDArray[np.float64]]:
    """Of each structure, mm."""
    data = labels.array.astype(np.int64)
    names = [int(name) for name in np.unique(data) if name and name not in left_out]
    return dict(zip(names, labels.grid.world(np.array(ndimage.center_of_mass(data > 0, data, names))), strict=True))


def _fitted(points: NDArray, others: NDArray) -> Affine:
    """The affine map nearest to taking points (N, D) to others."""
    solution = np.linalg.lstsq(np.c_[points, np.ones(len(points))], others, rcond=None)[0]
    matrix = np.eye(points.shape[1] + 1)
    matrix[:-1] = solution.T
    return Affine(matrix)


def _needs_two(table: Table, recipe: Recipe) -> bool:
    """Whether people are paired with each other."""
    return not (table.pairs or recipe.synthesise or recipe.task == "sequence")


def _counted(parts: dict[str, str]) -> dict[str, int]:
    return {part: sum(p == part for p in parts.values()) for part in PARTS}


def _check_synthesis(recipe: Recipe) -> None:
    if recipe.channels != (INTENSITY,):
        raise UsageError(f"channels={','.join(recipe.channels)} of synthesised images: expected intensity alone")

