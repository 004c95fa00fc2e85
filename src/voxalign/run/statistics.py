"""Where populations differ: a linear model at every voxel, corrected for all voxels by permutation."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import io
from ..core import Identity, Image, InputError, UsageError
from ..core.smoothing import smooth
from ..register.prepare import foreground, scale
from ..register.result import OnStep
from .api import collected
from .interrupt import stopping
from .output import RECORD, REPORT, check_folder, claimed
from .study import Begun, read_table, tell, write_table

OUTPUTS = ("t.nii.gz", "p.nii.gz", "effect.nii.gz", "tests.tsv", REPORT, RECORD)


_SURE = 0.05
_LEAST = 1.0  # percent that colours reach to at least, so that nothing looks like something


@dataclass(frozen=True, eq=False)
class Test:
    """The effect of one column on many values.

    Parameters
    ----------
    effect : (V,) change of the value for one unit of the column, the others held.
    t : (V,) Student's t.
    p : (V,) that some of the values shows so large a t, of either sign, by chance: corrected for all of them.
    """

    effect: NDArray[np.float64]
    t: NDArray[np.float64]
    p: NDArray[np.float64]


def permutation_test(values: NDArray, effect: NDArray, others: NDArray | None = None, permutations: int = 1000, seed: int = 0) -> Test:
    """Two-sided test of a column in a linear model, with the largest t of every permutation as the measure.

    Parameters
    ----------
    values : (N, V) of N people.
    effect : (N,) a group as 0 and 1, a genotype as 0, 1 and 2, an age.
    others : (N, Q) columns that are accounted for, without the constant.

    Residuals of the model without the effect are permuted (Freedman and Lane 1983, doi:10.1080/07350015.1983.10509354; Winkler et al. 2014,
    doi:10.1016/j.neuroimage.2014.01.060).

    Raises
    ------
    InputError : the effect is constant or follows from the others, too few people.
    """
    values = np.asarray(values, np.float64)
    count = len(values)
    basis = _basis(others, count)
    freedom = count - basis.shape[1] - 1
    column = effect - basis @ (basis.T @ effect)
    if freedom < 1:
        raise InputError(f"{count} people for {basis.shape[1] + 1} columns: expected more people than columns")
    if column @ column < 1e-12 * max(float(effect @ effect), 1e-30) or np.ptp(effect) == 0:
        raise InputError("the effect is the same for all people, or follows from the other columns: there is nothing to test")
    residuals = values - basis @ (basis.T @ values)
    squares = np.square(residuals).sum(0)
    t = _t(column @ residuals, squares, float(column @ column), freedom)
    rng, beyond = np.random.default_rng(seed), np.ones(len(t))
    ordered = np.sort(np.abs(t))
    larger = np.zeros(len(t) + 1)
    for _ in range(permutations - 1):
        shuffled = residuals[rng.permutation(count)]
        left = squares - np.square(basis.T @ shuffled).sum(0)
        largest = float(np.abs(_t(column @ shuffled, left, float(column @ column), freedom)).max())
        larger[: np.searchsorted(ordered, largest * (1 + 1e-9), "right")] += 1  # all t that are not above it
    beyond[np.argsort(np.abs(t), kind="stable")] = (1 + larger[:-1]) / permutations
    return Test(column @ residuals / float(column @ column), t, beyond)


def _t(covariance: NDArray, squares: NDArray, column: float, freedom: int) -> NDArray[np.float64]:
    explained = covariance**2 / column
    return covariance / np.sqrt(column) / np.sqrt(np.maximum(squares - explained, 1e-12 * squares + 1e-300) / freedom)


def _basis(others: NDArray | None, count: int) -> NDArray[np.float64]:
    """Orthonormal columns of the constant and the others, (N, Q + 1)."""
    columns = np.ones((count, 1)) if others is None else np.concatenate([np.ones((count, 1)), np.asarray(others, np.float64)], 1)
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, singular > 1e-9 * singular[0]]


@dataclass(frozen=True)
class PopulationJob:
    """What is compared.

    Parameters
    ----------
    template : folder of ``voxalign template``.
    table : a row for each image, in their order; a column ``image`` (base name), if there is one, is checked.
    effect : column that is tested: numbers, or two names (the second in alphabetical order against the first).
    others : columns that are accounted for.
    labels : label map on the template, for means by region.
    smooth : mm, of the maps.
    """

    template: Path
    table: Path
    out: Path
    effect: str
    others: tuple[str, ...] = ()
    labels: Path | None = None
    smooth: float | None = None
    permutations: int = 1000
    seed: int = 0
    overwrite: bool = False


def population_files(job: PopulationJob, on_step: OnStep | None = None) -> dict[str, Any]:
    """Test where the logarithm of volume goes with a column; write maps of t, corrected p and effect (percent for one unit), and a page.

    Raises
    ------
    InputError : no template there, a table that does not match, columns that are not numbers.  UsageError : bad numbers.
    """
    if job.permutations < 20:
        raise UsageError(f"{job.permutations} permutations: expected at least 20; 1000 tell p = 0.05 well")
    if not (job.template / RECORD).exists():
        raise InputError(f"{job.template}: holds no {RECORD}: expected a folder made by voxalign template")
    files = {"table": job.table} | ({"labels": job.labels} if job.labels else {})
    check_folder(job.out, job.overwrite, files.values(), OUTPUTS)
    with collected() as messages, claimed(job.out) as claim, stopping(claim.release):
        begun = Begun.with_files(files)
        rows = _rows(job)
        mean = io.load(job.template / "template.nii.gz")
        body = foreground(scale(mean))
        values = np.stack([_values(job, number, mean, body, on_step, len(rows)) for number in range(1, len(rows) + 1)])
        effect, meaning = _column(rows, job.effect)
        others = np.stack([_column(rows, name)[0] for name in job.others], 1) if job.others else None
        found = permutation_test(values, effect, others, job.permutations, job.seed)
        _maps(found, mean, body, claim.staging)
        tests = _by_region(job, rows, mean, effect, others) if job.labels else []
        write_table(claim.staging / "tests.tsv", ("label", "effect_percent", "t", "p"), tests)
        summary = {"people": len(rows), "effect": meaning, "smallest_p": float(found.p.min()),
                   "voxels_below_05": int((found.p < _SURE).sum()), "voxels": int(body.sum())}
        io.write_text(claim.staging / REPORT, _page(mean, _on(mean, body, _percent(found)), tests, summary))
        io.write_json(claim.staging / RECORD, begun.record(_choices(job), [], messages) | summary)
        claim.publish()
    return {"out": str(job.out)} | summary


# -------------------------------------------------------------------- inside
def _rows(job: PopulationJob) -> list[dict[str, str]]:
    rows = read_table(job.table, (job.effect, *job.others))
    inputs = [value["name"] for name, value in io_json(job.template / RECORD)["inputs"].items() if name.startswith("image_")]
    if len(rows) != len(inputs):
        raise InputError(f"{job.table}: holds {len(rows)} rows, the template is of {len(inputs)} images: expected a row for each, in order")
    if "image" in rows[0] and [Path(row["image"]).name for row in rows] != inputs:
        raise InputError(f"{job.table}: its column image is not in the order of the template: expected {', '.join(inputs[:3])} ...")
    return rows


def io_json(path: Path) -> dict[str, Any]:
    """The content of a record."""
    import json

    return json.loads(path.read_text(encoding="utf-8"))


def _column(rows: Sequence[dict[str, str]], name: str) -> tuple[NDArray[np.float64], str]:
    """A column as numbers, and what they mean."""
    given = [row[name] for row in rows]
    try:
        return np.array([float(value) for value in given]), f"one unit of {name}"
    except ValueError:
        kinds = sorted(set(given))
    if len(kinds) != 2:
        raise InputError(f"column {name}: holds {', '.join(kinds[:4])}; expected numbers (a genotype as 0, 1, 2) or two names")
    return np.array([float(kinds.index(value)) for value in given]), f"{kinds[1]} against {kinds[0]}"


def _values(job: PopulationJob, number: int, mean: Image, body: NDArray, on_step: OnStep | None, count: int) -> NDArray[np.float32]:
    tell(on_step, "maps", 0.5 * number / count)
    volume = io.load(job.template / "jacobians" / f"{number:04d}.nii.gz")
    sigma = 2 * float(mean.grid.spacing.min()) if job.smooth is None else job.smooth
    return (smooth(volume.data, mean.grid, sigma, body) if sigma else volume.data)[0][body]


def _maps(found: Test, mean: Image, body: NDArray, folder: Path) -> None:
    for name, values, outside in (("t", found.t, 0.0), ("p", found.p, 1.0), ("effect", _percent(found), 0.0)):
        io.save(_on(mean, body, values, outside), folder / f"{name}.nii.gz")


def _on(mean: Image, body: NDArray, values: NDArray, outside: float = 0.0) -> Image:
    """Values of the body's voxels as an image on the template."""
    data = np.full(mean.grid.shape, outside, np.float32)
    data[body] = values
    return Image(data, mean.grid)


def _percent(found: Test) -> NDArray[np.float64]:
    """The effect on the logarithm of volume as percent of volume."""
    return 100 * np.expm1(found.effect)


def _page(mean: Image, effect: Image, tests: list[list[Any]], summary: dict[str, Any]) -> str:
    from ..report.draw import jpeg
    from ..report.page import Section, facts, note, render, strip, table
    from ..report.plots import changes
    from ..report.scene import Scene

    meaning = summary["effect"]
    figure = changes(Scene(mean, mean, Identity(mean.dim)), effect, "percent; orange is larger, purple smaller", _LEAST)
    where = strip(jpeg(figure), "Effect on the local volume over the outlines of the template",
                  f"Local volume, {meaning}, whether or not by chance.")
    rows = [(label, f"{one:+.2f}", f"{t:.2f}", f"{p:.3g}") for label, one, t, p in tests]
    regions = [Section("Regions", table(("label", "effect, %", "t", "corrected p"), rows))] if tests else []
    numbers = facts({"people": summary["people"], "effect": meaning, "smallest corrected p": f"{summary['smallest_p']:.3g}",
                     f"voxels with p below {_SURE:g}": f"{summary['voxels_below_05']} of {summary['voxels']}"})
    sections = [Section("Where", where), *regions,
                Section("Numbers", numbers, note("p is corrected for all voxels (regions: for all regions) by permutation, two-sided."))]
    return render("Where groups differ", sections, f"{summary['people']} people")


def _by_region(job: PopulationJob, rows: Sequence[dict[str, str]], mean: Image, effect: NDArray, others: NDArray | None) -> list[list[Any]]:
    """A test of the mean of every label, corrected for all labels."""
    labels = io.load(job.labels, is_label=True)
    if not labels.grid.is_close(mean.grid):
        raise InputError(f"labels {job.labels}: are on {labels.grid}, the template on {mean.grid}; expected one grid (voxalign apply)")
    names = [int(label) for label in np.unique(labels.array) if label]
    volumes = [io.load(job.template / "jacobians" / f"{number:04d}.nii.gz").array for number in range(1, len(rows) + 1)]
    means = np.array([[np.log(np.exp(volume[labels.array == label]).mean()) for label in names] for volume in volumes])
    found = permutation_test(means, effect, others, job.permutations, job.seed)
    return [[label, *map(float, row)] for label, *row in zip(names, 100 * np.expm1(found.effect), found.t, found.p, strict=True)]


def _choices(job: PopulationJob) -> dict[str, Any]:
    return {"effect": job.effect, "others": list(job.others), "smooth": job.smooth, "permutations": job.permutations, "seed": job.seed}
