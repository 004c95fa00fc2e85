"""Registrations with known error, good ones and failures of every kind: python verdict_cases.py fit OUT [--count 600] [--first 0]
                                                                       python verdict_cases.py held-out OUT --images IMAGES

Case number n is the same whenever it is made. A case is registered by voxalign and judged; of many, a spoiled transform is judged as
well. OUT/cases.jsonl gets a line for each: family, kind, error in mm (mean over the fixed body, or over centres of structures between
people; null where there is nothing that belongs together), limit, signals; OUT/places/N.npz clues and errors of some voxels. Run again it
goes on where it stopped. `fit` uses phantoms of heads, brains, legs and slices only, `held-out` phantoms of chests and real images only:
brains, mice, hippocampi, a lung, an abdomen, a spine, 2-D slices.
"""
from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from capture import CONTRASTS
from scipy import ndimage
from scipy.spatial.transform import Rotation

from voxalign import load
from voxalign.core import Grid, Image, Transform, compose, kernels, resample
from voxalign.judge.places import clues, look
from voxalign.judge.signals import measure
from voxalign.judge.views import View
from voxalign.phantom import BRAIN, body_texture, contrast, failures, smooth_deformation
from voxalign.phantom.anatomy import evaluate_all
from voxalign.phantom.head import head_anatomy
from voxalign.phantom.limb import limb_anatomy
from voxalign.phantom.thorax import thorax_anatomy
from voxalign.register import Registration, Settings, register
from voxalign.register.prepare import foreground, scale
from voxalign.transforms import Affine, Rigid

FAMILIES = {"fit": ("head", "brain", "limb", "slice"),
            "held-out": ("thorax", "real-brain", "mouse", "hippocampus", "lung", "abdomen", "spine", "real-slice")}
KINDS = {"plain": 0.36, "rigid": 0.07, "affine": 0.07, "headers": 0.10, "half": 0.06, "mirrored": 0.05, "other": 0.08, "noise": 0.05,
         "soft": 0.04, "blotched": 0.04, "poor": 0.04, "person": 0.04}
SPOILED = 0.5  # of the cases
VOXELS = {2: (5_000, 20_000), 3: (9_000, 28_000), "large": (28_000, 50_000)}  # of the fixed body; large: whose limit is 2 mm
PLACES = 120
FINE = 300_000  # voxels of a body in memory
SMALL = {"head": 0.9, "limb": 0.9, "brain": 0.4, "thorax": 1.0, "lung": 1.0, "abdomen": 1.0, "spine": 1.0}
"""How often bodies are made as small as animals, so that the limit is two voxels: at 2 mm, images small enough for hundreds of cases
would show large bodies with voxels of five limits, which nobody registers to two millimetres."""
SMALL_RADIUS = 10.0  # mm
_REAL = {"real-brain": ("brain/subject-a/t1.nii.gz", "brain/subject-b/t1.nii.gz",
                        "brain/mni152/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"),
         "lung": ("lung/baseline.mha", "lung/followup.mha"), "abdomen": ("abdomen/example_ct.nii.gz", "abdomen/example_mr_sm.nii.gz"),
         "spine": ("spine/t2/t2.nii.gz", "spine/t1/t1w.nii.gz"),
         "mouse": tuple(f"mouse/animal-{k}/mr.nii.gz" for k in range(1, 7)),
         "real-slice": ("slices2d/brain/r16slice.nii.gz", "slices2d/brain/r64slice.nii.gz")}
_SAME_MIRRORED = (("real-brain", 2),)  # made symmetric: a mirrored header of it is no mistake that anybody could see
_WHOLE = ("head", "brain", "slice", "real-brain", "mouse", "real-slice")  # the images show all of it, and air around it


@dataclass(frozen=True, eq=False)
class Body:
    """Contrasts of one body on one fine grid, the voxels that belong to it, and centres of its structures, mm by name."""

    images: tuple[Image, ...]
    inside: np.ndarray
    whole: bool
    landmarks: dict[int, np.ndarray] = field(default_factory=dict)

    @cached_property
    def points(self) -> np.ndarray:
        """Some of its points, mm."""
        index = np.argwhere(self.inside)
        return self.images[0].grid.world(index[:: max(len(index) // 3000, 1)])

    def scaled(self, factor: float) -> Body:
        """The same of another size."""
        if factor == 1:
            return self
        matrix = np.diag([factor] * self.images[0].dim + [1.0])
        images = tuple(Image(i.data, Grid(i.grid.shape, matrix @ i.grid.affine)) for i in self.images)
        return replace(self, images=images, landmarks={n: factor * p for n, p in self.landmarks.items()})

    @cached_property
    def radius(self) -> float:
        """Of a ball or disc as large, mm."""
        volume, dim = float(self.inside.sum()) * self.images[0].grid.voxel_volume, self.images[0].dim
        return (volume * 3 / (4 * np.pi)) ** (1 / 3) if dim == 3 else (volume / np.pi) ** 0.5


@dataclass(frozen=True, eq=False)
class Case:
    """Two images, the known map between them (None: there is none), and points where it is known with where they belong, mm."""

    fixed: Image
    moving: Image
    points: np.ndarray
    belong: np.ndarray | None
    settings: Settings


# ---------------------------------------------------------------- bodies
@lru_cache(maxsize=24)
def body(family: str, number: int, images: Path, store: Path) -> Body:
    """The ``number``-th of a family."""
    if family in _REAL or family == "hippocampus":
        return _real(family, number, images)
    path = store / f"{family}-{number}.npz"
    if not path.exists():
        store.mkdir(parents=True, exist_ok=True)
        _paint(family, number, path)
    with np.load(path) as saved:
        grid = Grid(saved["labels"].shape, saved["affine"])
        labels = saved["labels"]
        return Body(tuple(Image(a.astype(np.float32), grid) for a in saved["images"]), labels > 0, family in _WHOLE, _centres(labels, grid))


def _paint(family: str, number: int, path: Path) -> None:
    rng = np.random.default_rng(number)
    anatomy = {"limb": limb_anatomy, "thorax": thorax_anatomy}.get(family, head_anatomy)(rng)
    grid = _box(*{"limb": ((180, 180, 320), 2.6), "thorax": ((390, 270, 300), 3.2), "slice": ((190, 230), 0.8)}.get(
        family, ((190, 230, 200), 2.4)))
    height = 15.0 + 20 * rng.uniform(-1, 1) if family == "slice" else 0.0
    names, texture = evaluate_all((anatomy, body_texture(number)), grid, None, height)
    labels = Image(names, grid, is_label=True)
    kinds = {"thorax": ("CT", "CT", "T1", "T2", "PET"), "limb": ("T1", "T2", "CT")}.get(family, ("T1", "T2", "FLAIR", "CT", "PET"))
    pictures = [contrast(labels, kind, rng, None, texture).array for kind in kinds]
    if family == "brain":
        inside = ndimage.binary_closing(np.isin(names, BRAIN), iterations=2)
        names, pictures = np.where(inside, names, 0), [np.where(inside, p - p.min(), 0) for p in pictures]
    np.savez_compressed(path, labels=names, affine=grid.affine, images=np.stack(pictures).astype(np.float16))


def _box(extent: tuple, spacing: float) -> Grid:
    affine = np.diag([spacing] * len(extent) + [1.0])
    affine[:-1, -1] = -np.array(extent) / 2 + ((0, 5, -15) if extent[0] == 190 else (0, 0, 0))[: len(extent)]
    return Grid(tuple(round(e / spacing) for e in extent), affine)


def _centres(labels: np.ndarray, grid: Grid, least: int = 60) -> dict[int, np.ndarray]:
    names = [n for n, count in zip(*np.unique(labels, return_counts=True), strict=True) if n and count >= least]
    return {int(n): grid.world(c) for n, c in zip(names, ndimage.center_of_mass(labels > 0, labels, names), strict=True)}


def _real(family: str, number: int, images: Path) -> Body:
    if family == "hippocampus":
        path = sorted((images / "hippocampus/images").glob("*.nii.gz"))[number]
        labels = images / "hippocampus/labels" / path.name
    else:
        path = images / _REAL[family][number]
        labels = path.parent / "labels.nii.gz"
    image = load(path)
    data = np.maximum(image.array, -1000) if image.array.min() < -500 else image.array
    image = _finer_than_needed(Image(data, image.grid))
    inside = foreground(scale(image))
    landmarks = {}
    if labels.exists() and labels != path and family in ("mouse", "hippocampus", "real-brain"):
        named = load(labels, is_label=True)
        landmarks = _centres(named.array, named.grid)
    return Body((image,), inside, family in _WHOLE, landmarks)


def _finer_than_needed(image: Image) -> Image:
    """The image with voxels so large that the body has some hundred thousand, as far as it has more."""
    inside = foreground(scale(image))
    spacing = (inside.sum() * image.grid.voxel_volume / FINE) ** (1 / image.dim)
    if (image.grid.spacing > 0.7 * spacing).any():
        return image
    smooth = image.with_data(ndimage.gaussian_filter(image.array, 0.4 * spacing / image.grid.spacing))
    return resample(smooth, image.grid.with_spacing(spacing))


COUNTS = {"head": 5, "brain": 4, "limb": 4, "slice": 8, "thorax": 5, "hippocampus": 60, **{k: len(v) for k, v in _REAL.items()}}


# ---------------------------------------------------------------- cases
def make(split: str, number: int, images: Path, store: Path) -> tuple[str, str, Case]:
    """Family, kind and the case itself."""
    rng = np.random.default_rng((number, len(split)))
    family = str(rng.choice(FAMILIES[split]))
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    kind = "plain" if kind == "person" and family in ("slice", "lung", "abdomen", "spine", "real-slice", "limb") else kind
    which = int(rng.integers(COUNTS[family]))
    kind = "plain" if kind == "mirrored" and (family, which) in _SAME_MIRRORED else kind
    mine = body(family, which, images, store)
    small = SMALL_RADIUS / mine.radius if rng.random() < SMALL.get(family, 0.0) else 1.0
    mine = mine.scaled(small)
    its, belong_of = mine, None
    if kind == "person":
        its = body(family, (which + 1 + int(rng.integers(COUNTS[family] - 1))) % COUNTS[family], images, store).scaled(small)
        kind = kind if len(set(mine.landmarks) & set(its.landmarks)) > 1 else "plain"
        its = its if kind == "person" else mine
    if kind == "other":
        others = [f for f in FAMILIES[split] if f != family and (f in ("slice", "real-slice")) == (mine.images[0].dim == 2)
                  and {f, family} not in ({"head", "brain"},)]
        if others:
            choice = str(rng.choice(others))
            its = body(choice, int(rng.integers(COUNTS[choice])), images, store).scaled(1.0 if rng.random() < 0.3 else small)
        kind = "other" if others else "noise"
    first = int(rng.integers(len(mine.images))) if rng.random() < 0.5 else 0
    second = first if rng.random() < 0.6 else int(rng.integers(len(mine.images)))
    step = _step(rng, mine)
    fixed_grid = _view(rng, mine, mine.points, step, 0.0)
    truth = _motion(rng, kind, its, fixed_grid)
    moving_grid = _view(rng, its, truth(its.points), step * (its.radius / mine.radius if kind == "other" else 1.0), 0.25)
    poor = rng.uniform(3, 8) if kind == "poor" else 1.0
    change = CONTRASTS[str(rng.choice(list(CONTRASTS), p=(0.6, 0.15, 0.25)))](rng) if len(mine.images) == 1 else CONTRASTS["same"](rng)
    fixed = _scan(rng, mine.images[first], fixed_grid, None, (CONTRASTS["same"](rng), 1.0))
    moving = _scan(rng, its.images[second % len(its.images)], moving_grid, truth.inverse(), (change, poor))
    if kind == "person":
        common = sorted(set(mine.landmarks) & set(its.landmarks))
        points = np.array([mine.landmarks[n] for n in common])
        belong_of = truth(np.array([its.landmarks[n] for n in common]))
    else:
        points = mine.points[fixed.grid.contains(mine.points)]
        belong_of = None if kind in ("other", "noise") else truth(points)
    fixed, moving = _spoil_images(rng, kind, fixed, moving)
    return family, kind, Case(fixed, moving, points, belong_of, _settings(rng, kind))


def _step(rng: np.random.Generator, it: Body) -> float:
    """Voxel of the case, mm: the body gets some ten thousand of them, as far as its image has them."""
    low, high = VOXELS["large" if it.images[0].dim == 3 and it.radius > 40 else it.images[0].dim]
    volume = float(it.inside.sum()) * it.images[0].grid.voxel_volume
    wanted = (volume / np.exp(rng.uniform(np.log(low), np.log(high)))) ** (1 / it.images[0].dim)
    return float(max(wanted, it.images[0].grid.spacing.min()))


def _motion(rng: np.random.Generator, kind: str, it: Body, grid: Grid) -> Transform:
    """A turn and a shift, and a deformation before it; large for those that begin at the headers."""
    dim, size = grid.dim, it.radius / 80.0
    middle = (it.points.min(0) + it.points.max(0)) / 2
    if kind == "headers":
        angle, shift = rng.uniform(15, 180), rng.uniform(0, 0.8) * it.radius
    elif rng.random() < 0.3:
        angle, shift = rng.uniform(0, 180), rng.uniform(0, 60) * size
    else:
        angle, shift = rng.uniform(0, 25), rng.uniform(0, 25) * size
    axis = rng.normal(size=3) if dim == 3 else np.array([0, 0, 1.0])
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.radians(angle)).as_matrix()[:dim, :dim]
    direction = rng.normal(size=dim)
    matrix = np.eye(dim + 1)
    matrix[:dim, :dim] = turn
    matrix[:dim, dim] = middle + shift * direction / np.linalg.norm(direction) - turn @ middle
    whole: Transform = Rigid(matrix, middle)
    if kind == "affine" or rng.random() < 0.15:
        stretch = np.eye(dim + 1)
        stretch[:dim, :dim] += rng.uniform(-0.08, 0.08, (dim, dim))
        stretch[:dim, dim] = middle - stretch[:dim, :dim] @ middle
        whole = compose([Affine(stretch, middle), whole])
    amplitude = {"rigid": 0.0, "affine": rng.uniform(0, 3), "person": 0.0, "other": 0.0}.get(kind, rng.uniform(0, 6)) * size
    if amplitude < 0.2 * size:
        return whole
    return compose([smooth_deformation(grid, rng, amplitude, rng.uniform(30, 70) * size), whole])


def _view(rng: np.random.Generator, it: Body, points: np.ndarray, step: float, tilt: float) -> Grid:
    """A box around where the body is, tilted a little, with air around a whole body; voxels may be unequal."""
    dim = points.shape[1]
    axes = Rotation.from_rotvec(rng.uniform(-tilt, tilt, 3) * ((1, 1, 1) if dim == 3 else (0, 0, 1))).as_matrix()[:dim, :dim]
    margin = (1 * step, 8 * step) if it.whole else (-3 * step, 1 * step)
    along = points @ axes
    low, high = along.min(0) - rng.uniform(*margin, dim), along.max(0) + rng.uniform(*margin, dim)
    spacing = step * np.exp(rng.uniform(-0.3, 0.3, dim) * (tilt > 0))
    affine = np.eye(dim + 1)
    affine[:dim, :dim], affine[:dim, dim] = axes * spacing, axes @ low
    return Grid(tuple(np.maximum(np.ceil((high - low) / spacing), 12).astype(int)), affine)


def _scan(rng: np.random.Generator, image: Image, grid: Grid, place: Transform | None, looks: tuple[Callable, float]) -> Image:
    """The image on that grid, sampled finely first, in another contrast, shaded and with noise; ``looks``: contrast, poorness."""
    air = float(np.percentile(image.array, 0.1))
    sigma = 0.4 * float(grid.spacing.mean()) / image.grid.spacing
    smooth = image.with_data(ndimage.gaussian_filter(image.array, np.where(sigma > 0.3, sigma, 0)))
    data = np.maximum(resample(smooth, grid, place, outside=air).array - air, 0)
    top = max(float(np.percentile(data[data > 0], 99.5)), 1e-6) if (data > 0).any() else 1.0
    data = looks[0](np.clip(data / top, 0, 1.2))
    slow = ndimage.zoom(rng.uniform(1 - 0.2, 1 + 0.2, (4,) * grid.dim), np.array(grid.shape) / 4, order=1)
    noise = rng.normal(0, rng.uniform(0.005, 0.04) * looks[1], grid.shape)
    return Image(np.abs(data * slow + noise).astype(np.float32) * 1000, grid)


def _spoil_images(rng: np.random.Generator, kind: str, fixed: Image, moving: Image) -> tuple[Image, Image]:
    if kind == "noise":
        return fixed, failures.nothing(moving, rng, float(rng.choice([0.0, 2.0, 5.0])) * float(moving.grid.spacing.mean()))
    if kind == "mirrored":
        return fixed, failures.mirror_image(moving, int(rng.integers(fixed.dim)))
    if kind == "blotched":
        at = moving.grid.world(rng.uniform(0.3, 0.7, moving.dim) * moving.grid.shape)
        return fixed, failures.blotched(moving, at, rng.uniform(0.08, 0.3) * float(moving.grid.extent.min()), rng.uniform(0, 1.2))
    if kind == "half":
        which = int(rng.integers(2))
        image = (fixed, moving)[which]
        cut = failures.half(image, foreground(scale(image)), int(rng.integers(image.dim)), bool(rng.integers(2)))
        return (cut, moving) if which == 0 else (fixed, cut)
    return fixed, moving


def _settings(rng: np.random.Generator, kind: str) -> Settings:
    chosen = Settings(transform={"rigid": "rigid", "affine": "affine"}.get(kind, "deformable" if rng.random() < 0.85 else "affine"))
    if kind == "headers":
        return replace(chosen, initial="headers")
    if kind == "soft":
        return replace(chosen, smoothness=float(rng.uniform(0.02, 0.3)), iterations=(60,), transform="deformable")
    return replace(chosen, smoothness=float(np.exp(rng.uniform(-1, 1)))) if rng.random() < 0.4 else chosen


# ---------------------------------------------------------------- spoiled transforms
def spoil(rng: np.random.Generator, found: Registration, fixed: Image) -> tuple[str, Registration]:
    """The same registration with a mistake of any size, and the mistake's name."""
    body_points = fixed.grid.world(np.argwhere(foreground(scale(fixed))))
    middle, radius = body_points.mean(0), float(np.linalg.norm(body_points.std(0)))
    size, dim = radius / 80.0, fixed.dim
    name = str(rng.choice(["left over", "shifted", "bent", "folded", "inflated"], p=(0.3, 0.25, 0.2, 0.15, 0.1)))
    direction = rng.normal(size=dim)
    direction /= np.linalg.norm(direction)
    transform = found.transform
    if name == "left over":
        degrees = float(np.exp(rng.uniform(np.log(4), np.log(120))))
        wrong = failures.left_over(transform, middle, degrees, np.zeros(dim), rng.normal(size=3))
    elif name == "shifted":
        wrong = failures.left_over(transform, middle, 0.0, direction * np.exp(rng.uniform(np.log(3), np.log(60))) * size)
    elif name == "bent":
        amplitude = float(np.exp(rng.uniform(np.log(4), np.log(40))))
        wrong = failures.bent(transform, fixed.grid, rng, amplitude * size, rng.uniform(20, 60) * size)
    elif name == "folded":
        wrong = failures.folded(transform, fixed.grid, rng, rng.uniform(1.1, 4), rng.uniform(3, 12))
    else:
        wrong = failures.inflated(transform, middle, np.exp(rng.uniform(-0.5, 0.5, dim)))
    return name, replace(found, transform=wrong, start_confidence=None)


# ---------------------------------------------------------------- rows
def rows(split: str, number: int, images: Path, out: Path) -> list[dict]:
    """What is found about a case: one row, or two."""
    kernels.set_threads(1)
    warnings.simplefilter("ignore")
    family, kind, case = make(split, number, images, out / "bodies")
    found = register(case.fixed, case.moving, replace(case.settings, device="cpu"))
    done = [_row(f"{number}", family, kind, case, found, out)]
    rng = np.random.default_rng((number, 7))
    if rng.random() < SPOILED and case.belong is not None:
        name, wrong = spoil(rng, found, case.fixed)
        done.append(_row(f"{number}s", family, name, case, wrong, out))
    return done


def _row(name: str, family: str, kind: str, case: Case, found: Registration, out: Path) -> dict:
    limit, signals = measure(found, case.fixed, case.moving)
    error = None if case.belong is None else float(np.linalg.norm(found.transform(case.points) - case.belong, axis=1).mean())
    _keep_places(out / "places" / f"{name}.npz", case, found, limit)
    return {"case": name, "family": family, "kind": kind, "error_mm": error, "limit_mm": limit, "signals": signals}


def _keep_places(path: Path, case: Case, found: Registration, limit: float) -> None:
    """Clues at some places of the body, and the errors there in limits; NaN where they are not known."""
    view = View.of((scale(case.fixed), scale(case.moving)), found.transform, limit)
    dense = case.belong is not None and len(case.points) > 500
    points = case.points if dense else view.points(PLACES)
    index = np.rint(view.grid.index(points)).astype(int)
    inside = ((index >= 0) & (index < view.grid.shape)).all(1)
    some = np.flatnonzero(inside)[:: max(1, int(inside.sum()) // PLACES)]
    values = clues(look(view), found.transform, limit, index[some]).T
    error = np.linalg.norm(found.transform(points[some]) - case.belong[some], axis=1) / limit if dense else np.full(len(some), np.nan)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, clues=values.astype(np.float16), error=error.astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("split", choices=FAMILIES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=Path, default=Path())
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = arguments.out / "cases.jsonl"
    done = {json.loads(line)["case"].rstrip("s") for line in lines.open()} if lines.exists() else set()
    todo = [n for n in range(arguments.first, arguments.first + arguments.count) if str(n) not in done]
    with ProcessPoolExecutor(arguments.workers) as pool, lines.open("a") as file:
        for number, future in [(n, pool.submit(rows, arguments.split, n, arguments.images, arguments.out)) for n in todo]:
            try:
                found = future.result()
            except Exception as error:
                print(number, type(error).__name__, error, flush=True)
                continue
            file.writelines(json.dumps(row) + "\n" for row in found)
            file.flush()
            print(*(f"{r['case']} {r['family']} {r['kind']} {r['error_mm'] if r['error_mm'] is None else round(r['error_mm'], 2)};"
                    for r in found), flush=True)


if __name__ == "__main__":
    main()
