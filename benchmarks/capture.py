"""From how far away an alignment is found: python capture.py IMAGES --out capture.json [--cells half ...] [--count 200]

Every case is one body in two images at about 2 mm whose relative position is known: turned by an angle about a random axis, shifted by up
to 100 mm, on voxels of another lattice, with other noise and shading; in some cells in another contrast, with half of the field of view
cut away on a random side, or with headers that lie. voxalign's rigid registration starts from nothing. A success is a mean error below
2 mm (one voxel for the mouse) over the part of the body that both images show.
"""
from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from voxalign import load
from voxalign.core import Grid, Image, Transform, resample
from voxalign.phantom import contrast, head_anatomy, paint
from voxalign.register import Settings, register
from voxalign.register.prepare import foreground, scale
from voxalign.transforms import Rigid

SPACING = 2.0


@dataclass(frozen=True, eq=False)
class Body:
    """What is imaged: two contrasts of it, finely sampled, in one place.

    Parameters
    ----------
    first, second : of the fixed and of the moving image.
    inside : voxels of the body.
    whole : the images show all of the body with air around it; otherwise it goes on beyond them.
    """

    first: Image
    second: Image
    inside: np.ndarray
    whole: bool = True


@dataclass(frozen=True)
class Cell:
    """One kind of case: which body, how far it is turned (degrees), which image lacks half, how the headers lie."""

    body: str
    angles: tuple[float, float]
    contrast: str = "same"
    half: str = ""
    headers: str = "good"


@dataclass(frozen=True, eq=False)
class Case:
    fixed: Image
    moving: Image
    truth: Transform
    points: np.ndarray  # of the body, fixed mm, seen in both images


# ---------------------------------------------------------------- bodies
def body(name: str, images: Path) -> Body:
    """By name; real ones are skull-stripped brains, a head with its skull, CT of an abdomen and of a lung, and a mouse's brain."""
    if name.startswith("phantom"):
        _, first, second, seed = name.split("-")
        return _phantom(first, second, int(seed))
    return _real(images / FILES[name], name in ("brain", "mouse", "mni"))


FILES = {"brain": "brain/subject-a/t1.nii.gz", "mni": "brain/mni152/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
         "abdomen": "abdomen/example_ct.nii.gz", "lung": "lung/baseline.mha", "mouse": "mouse/animal-1/mr.nii.gz"}


@cache
def _real(path: Path, whole: bool) -> Body:
    image = load(path)
    sigma = [0.4 * _step(image) / s for s in image.grid.spacing]
    smooth = image.with_data(ndimage.gaussian_filter(np.maximum(image.array, -1000), sigma))
    return Body(smooth, smooth, foreground(scale(smooth)), whole)


@cache
def _phantom(first: str, second: str, seed: int) -> Body:
    grid = Grid((112, 136, 120), np.array([[1.7, 0, 0, -95], [0, 1.7, 0, -110], [0, 0, 1.7, -115], [0, 0, 0, 1.0]]))
    labels = paint(head_anatomy(np.random.default_rng(seed)), grid)
    pictures = [contrast(labels, kind, np.random.default_rng((seed, k))) for k, kind in enumerate((first, second))]
    return Body(*pictures, labels.array > 0)


def _step(image: Image) -> float:
    """Voxel of the cases: 2 mm, or two of the image's own where the body is tiny."""
    return SPACING if image.grid.extent.max() > 60 else float(2 * image.grid.spacing.max())


# ---------------------------------------------------------------- cases
def make(cell: Cell, number: int, images: Path) -> Case:
    """The same case for the same number, always."""
    rng = np.random.default_rng((number, *cell.__repr__().encode()))
    name = cell.body if not cell.body.startswith("phantom") else f"{cell.body}-{number % 4}"
    it = body(name, images)
    step, small = _step(it.first), _step(it.first) / SPACING
    inside = it.first.grid.world(np.argwhere(it.inside)[::97])
    middle = (inside.min(0) + inside.max(0)) / 2
    truth = _motion(rng, cell, middle, small)
    views = [_view(rng, it, inside, np.eye(3), step), _view(rng, it, inside, truth.matrix[:3, :3], step)]
    if cell.half:
        which = {"fixed": 0, "moving": 1}.get(cell.half, int(rng.integers(2)))
        views[which] = _halved(rng, views[which], inside)
    change = CONTRASTS[cell.contrast](rng)
    fixed = _scan(rng, it.first, views[0], lambda v: v)
    moving = _scan(rng, it.second, views[1], change)
    seen = inside[views[0].contains(inside) & views[1].contains(inside)]
    moving = Image(moving.data, Grid(moving.grid.shape, truth.matrix @ moving.grid.affine))
    return Case(fixed, moving, truth, seen)


def _motion(rng: np.random.Generator, cell: Cell, middle: np.ndarray, small: float) -> Rigid:
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.radians(rng.uniform(*cell.angles))).as_matrix()
    if cell.headers == "swapped":  # a header that names the axes wrongly: right angles, no mirror
        turn = Rotation.create_group("O").as_matrix()[rng.integers(1, 24)] @ turn
    shift = rng.normal(size=3)
    shift *= rng.uniform(0, 100 * small) / np.linalg.norm(shift) if cell.headers != "far" else 2000 * small / np.linalg.norm(shift)
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = middle + shift - turn @ middle
    return Rigid(matrix, middle)


def _view(rng: np.random.Generator, it: Body, inside: np.ndarray, turn: np.ndarray, step: float) -> Grid:
    """What a scanner sees, a box in the body's own space: upright in the world after ``turn`` with random margins around the whole
    body; of a body that goes on, nearly all that is there, tilted a little."""
    if it.whole:
        axes, margin = turn.T, (2 * step, 12 * step)
    else:
        axes = it.first.grid.direction @ Rotation.from_rotvec(rng.uniform(-0.12, 0.12, 3)).as_matrix()
        margin = (-6 * step, -1 * step)
    along = inside @ axes
    low, high = along.min(0) - rng.uniform(*margin, 3), along.max(0) + rng.uniform(*margin, 3)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes * step, axes @ low
    return Grid(tuple(np.ceil((high - low) / step).astype(int)), affine)


def _halved(rng: np.random.Generator, view: Grid, inside: np.ndarray) -> Grid:
    """Half of the body's box along one axis of the image is not seen."""
    index = view.index(inside)
    axis, start, stop = int(rng.integers(3)), [0, 0, 0], list(view.shape)
    cut = round(float(index[:, axis].min() + index[:, axis].max()) / 2)
    if rng.integers(2):
        start[axis] = cut
    else:
        stop[axis] = cut
    return view.crop(start, stop)


def _scan(rng: np.random.Generator, image: Image, view: Grid, change: Callable) -> Image:
    """The image on that grid: another contrast, slow shading of +-20 %, noise of 3 %."""
    air = float(image.array.min())
    data = resample(image, view, outside=air).array - air
    top = float(np.percentile(data[data > 0], 99.5))
    data = change(np.clip(data / top, 0, 1.2))
    slow = ndimage.zoom(rng.uniform(0.8, 1.2, (4, 4, 4)), np.array(view.shape) / 4, order=1)
    noise = rng.normal(0, 0.03, view.shape)
    return Image(np.abs(data * slow + noise).astype(np.float32) * 1000, view)


def _same(rng: np.random.Generator) -> Callable:
    return lambda v: v ** rng.uniform(0.7, 1.4)


def _inverted(rng: np.random.Generator) -> Callable:
    """Bright becomes dark within the body."""
    return lambda v: np.where(v > 0.15, 1.25 - v, v * 7.3)


def _other(rng: np.random.Generator) -> Callable:
    """Any map of the intensities, most of them neither rising nor falling; air stays dark."""
    knots, values = np.array([0, 0.12, 0.3, 0.5, 0.65, 0.8, 1.0, 1.2]), np.append(0, rng.uniform(0.1, 1, 7))
    return lambda v: np.interp(v, knots, values)


CONTRASTS = {"same": _same, "inverted": _inverted, "other": _other}

NEAR, FAR = (0.0, 90.0), (90.0, 180.0)
CELLS = {
    **{f"{b} {n}": Cell(b, a) for b in ("brain", "mni", "abdomen", "lung", "mouse") for n, a in (("to 90", NEAR), ("to 180", FAR))},
    **{f"other contrast {n}": Cell("brain", a, "other") for n, a in (("to 90", NEAR), ("to 180", FAR))},
    **{f"inverted contrast {n}": Cell("brain", a, "inverted") for n, a in (("to 90", NEAR), ("to 180", FAR))},
    **{f"phantom {m} {n}": Cell(f"phantom-{m}", a) for m in ("T1-T2", "T1-CT") for n, a in (("to 90", NEAR), ("to 180", FAR))},
    **{f"half {n}": Cell("brain", a, half="either") for n, a in (("to 90", NEAR), ("to 180", FAR))},
    **{f"half mni {n}": Cell("mni", a, half="either") for n, a in (("to 90", NEAR), ("to 180", FAR))},
    **{f"half other contrast {n}": Cell("brain", a, "other", "either") for n, a in (("to 90", NEAR), ("to 180", FAR))},
    "swapped axes": Cell("brain", (0, 20), headers="swapped"),
    "origins 2 m apart": Cell("brain", (0, 180), headers="far"),
}


# ---------------------------------------------------------------- trials
def trial(case: Case) -> dict:
    """One registration from nothing, judged."""
    began = time.process_time()
    result = register(case.fixed, case.moving, Settings(transform="rigid"))
    seconds = time.process_time() - began
    limit = float(case.fixed.grid.spacing.max())
    error = float(np.linalg.norm(result.transform(case.points) - case.truth(case.points), axis=1).mean())
    return {"error": error, "success": error < limit, "pose": error < 5 * limit, "cpu": seconds,
            "confidence": getattr(result, "start_confidence", None)}


def summary(name: str, rows: list[dict]) -> str:
    n = len(rows)
    good = sum(r["success"] for r in rows)
    pose = sum(r["pose"] for r in rows)
    median = np.median([r["error"] for r in rows])
    return f"| {name} | {n} | {100 * good / n:.1f} | {100 * pose / n:.1f} | {median:.2f} | {np.mean([r['cpu'] for r in rows]):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path, help="JSON; what it already holds is not done again")
    parser.add_argument("--cells", nargs="*", default=[""], help="parts of the names of cells")
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args()
    found = json.loads(given.out.read_text()) if given.out and given.out.exists() else {}
    print("| cell | n | success % | right pose % | median error mm | CPU s |\n|---|---|---|---|---|---|")
    for name in [n for n in CELLS if any(part in n for part in given.cells)]:
        rows = found.setdefault(name, [])
        for number in range(len(rows), given.count):
            rows.append(trial(make(CELLS[name], number, given.images)))
            if given.out:
                given.out.write_text(json.dumps(found))
        print(summary(name, rows), flush=True)


if __name__ == "__main__":
    main()
