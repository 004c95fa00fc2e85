"""The report of one registration: verdict first, then what to look at, numbers, methods and provenance."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from ..core import Image
from ..judge.explain import Explanation
from ..judge.verdict import Verdict
from ..register import Registration
from . import page, plots, viewer
from .draw import jpeg
from .methods import methods_text
from .page import Section
from .scene import Scene
from .view import explore

_EXPECTED, _EVIDENCE, _SPREAD = "expected error", "evidence", "spread of answers"


@dataclass(frozen=True, eq=False)
class Case:
    """What a report is made of.

    Parameters
    ----------
    registration : what the method returned.
    fixed, moving : the images.
    record : the content of ``run.json``.
    metrics : the content of ``metrics.json``.
    verdict : None where it was not judged.
    expected_error, evidence : images of mm, and of where the images determine the alignment; None where there are none.
    explanation : what asking again said, if it was.
    """

    registration: Registration
    fixed: Image
    moving: Image
    record: Mapping[str, Any]
    metrics: Mapping[str, Any]
    verdict: Verdict | None = None
    expected_error: Image | None = None
    evidence: Image | None = None
    explanation: Explanation | None = None


def case_page(case: Case, scene: Scene) -> str:
    """The report as HTML; ``scene`` is of the same images."""
    names = {key: value["name"] for key, value in case.record["inputs"].items()}
    sections = [Section("Verdict", *_verdict(case)), Section("Look", *_stills(case, scene)), Section("Explore", _explore(case, scene)),
                Section("Numbers", *_numbers(case, scene)), Section("Optimisation", *_optimisation(case)),
                Section("Methods", *_methods(case)), Section("Provenance", *_provenance(case))]
    title = f"{names.get('moving', 'moving')} brought to {names.get('fixed', 'fixed')}"
    subtitle = f"Image registration, {case.record['configuration']['transform']}, {case.record['started'].replace('T', ' ')[:16]} UTC"
    return page.render(title, sections, subtitle, viewer.scripts())


# -------------------------------------------------------------------- verdict
def _verdict(case: Case) -> list[Markup]:
    verdict = case.verdict
    if verdict is None:
        said = [page.badge("NOT JUDGED", "Look at the pictures below before you use the result.")]
    else:
        said = [page.badge(verdict.status, f"The probability that the mean error exceeds {verdict.limit_mm:g} mm is {_chance(verdict)}."),
                page.listing(verdict.reasons) if verdict.reasons else page.prose("Nothing stands out.")]
    warnings = case.record["warnings"]
    return [*said, *([page.heading("Warnings about the inputs"), page.listing(warnings)] if warnings else [])]


def _chance(verdict: Verdict) -> str:
    """In percent; no model is surer than 1 in 100."""
    if 0.01 <= verdict.probability <= 0.99:
        return f"{100 * verdict.probability:.0f} %"
    return "below 1 %" if verdict.probability < 0.5 else "above 99 %"


# -------------------------------------------------------------------- pictures
def _stills(case: Case, scene: Scene) -> list[Markup]:
    said = [page.note("Planes through the middle of the fixed image, the patient's right on the left of axial and coronal pictures. "
                      "\"Before\": as the image headers place them. \"After\": along the transform."),
            page.heading("The images"),
            _still(plots.greys(scene, scene.fixed_shades), "the fixed image", "Fixed."),
            _still(plots.greys(scene, scene.before), "the moving image before registration", "Moving, before."),
            _still(plots.greys(scene, scene.after), "the moving image after registration", "Moving, after."),
            page.heading("Do the edges agree?"),
            _still(plots.outlines(scene, scene.before), "outlines of fixed over moving, before",
                       "Outlines of fixed over moving, before."),
            _still(plots.outlines(scene, scene.after), "outlines of fixed over moving, after",
                       "The same, after: lines should lie on edges."),
            _still(plots.checkerboards(scene), "checkerboard of fixed and moving after registration",
                       "Squares of fixed and moving in turn, after: structures should go on across the borders of the squares.")]
    return [*said, *_difference(scene), *_deformation(scene), *_maps(case, scene), *_explained(case, scene)]


def _still(figure: Figure, alt: str, caption: str) -> Markup:
    return page.strip(jpeg(figure), alt, caption, figure.get_size_inches()[0] > 6)


def _difference(scene: Scene) -> list[Markup]:
    if not scene.alike:
        return [page.note("No difference is shown: bright is not bright in both images.")]
    return [page.heading("What differs"),
            _still(plots.differences(scene, scene.before), "difference before registration", "Before."),
            _still(plots.differences(scene, scene.after), "difference after registration", "After: what is left.")]


def _deformation(scene: Scene) -> list[Markup]:
    if not scene.deforms:
        return [page.note("The transform is affine: there is no deformation to show.")]
    return [page.heading("The deformation"), page.note("Without its affine part."),
            _still(plots.lattices(scene), "lattice of the moving space on the moved image",
                       f"A lattice of {plots.lattice_step(scene):g} mm that went along: it should be smooth."),
            _still(plots.volume_changes(scene), "local change of volume", "Change of volume (Jacobian): 1 is twice, -1 is half."),
            _still(plots.motions(scene), "length of the deformation", "How far points move.")]


def _maps(case: Case, scene: Scene) -> list[Markup]:
    if case.verdict and case.verdict.status == "FAIL":
        return [page.note("No map of the expected error is shown: the registration failed, and its error has no bound.")]
    said = []
    if case.expected_error is not None:
        said += [page.heading("How far off may it be?"),
                 _still(plots.maps(scene, case.expected_error, "expected error, mm"), "map of the expected error",
                            "Expected error, estimated without ground truth. Grey: not estimated.")]
    if case.evidence is not None:
        said += [page.heading("Why should I trust it?"),
                 _still(plots.maps(scene, case.evidence, "dark: little evidence; bright: much"), "map of the evidence",
                            "Where the images determine the alignment. In dark regions it is carried over from their surroundings.")]
    return said


def _explained(case: Case, scene: Scene) -> list[Markup]:
    told = case.explanation
    if told is None:
        return []
    said = [page.heading("Would it say so again?"),
            _still(plots.maps(scene, told.spread, "spread of the answers, mm"), "map of how far answers lie apart",
                   f"How far {told.trials} answers lie apart: of the images as they are, mirrored, and deformed by known maps.")]
    if told.shares is None:
        return said
    place, near = ", ".join(f"{value:.0f}" for value in told.point), scene.at(told.point)
    return [*said, page.heading("What moved the point that moved most?"),
            *(_still(plots.changes(near, share, "mm: orange moved it on, purple held it back"), f"what in the {name} image moved the point",
                     f"In the {name} image, by integrated gradients of the network; planes through the point ({place}) mm.")
              for name, share in zip(("fixed", "moving"), told.shares, strict=True))]


def _explore(case: Case, scene: Scene) -> Markup:
    maps = ((_EXPECTED, case.expected_error, "mm"), (_EVIDENCE, case.evidence, "of 1"),
            (_SPREAD, case.explanation and case.explanation.spread, "mm"))
    return explore(scene, ("fixed", "moving, after", "moving, before"), [item for item in maps if item[1] is not None])


# -------------------------------------------------------------------- numbers
_NAMES = {
    "dice": "Dice, mean over labels", "hd95_mm": "HD95, mean over labels, mm", "tre_mm": "target registration error, mean, mm",
    "tre_max_mm": "target registration error, largest, mm", "folded_percent": "folded volume, %", "sd_log_jacobian": "SD of log Jacobian",
    "inverse_error_mm": "error of going there and back, mean, mm", "inverse_error_max_mm": "error of going there and back, largest, mm",
}


def _named(key: str) -> str:
    """A score as people call it."""
    return _NAMES.get(key) or key.replace("_", " ").removesuffix(" mm") + (", mm" if key.endswith("_mm") else "")


def _numbers(case: Case, scene: Scene) -> list[Markup]:
    before, after = (case.metrics.get(time) or {} for time in ("before", "after"))
    plain = [key for key, value in (before | after).items() if not isinstance(value, Mapping)]
    measured = [(_named(key), before.get(key), after.get(key)) for key in plain]
    said = [page.table(("", "before", "after"), measured)] if plain else []
    single = {key: value for key, value in case.metrics.items() if isinstance(value, (int, float, type(None)))}
    rows = [(_named(key), value) for key, value in single.items()]
    said.append(page.table(("", "value"), [*rows, *_affine(case, scene)], "The transform"))
    if not plain:
        said.append(page.note("Without labels or landmarks there is no measured error; the numbers above say what the transform does to "
                              "space, not whether it is right."))
    by_label = {key: value for key, value in after.items() if isinstance(value, Mapping)}
    return [*said, *([page.details("By label", _by_label(before, by_label))] if by_label else [])]


def _by_label(before: Mapping[str, Any], after: Mapping[str, Mapping]) -> Markup:
    names = [_named(key.removesuffix("_by_label")).replace(", mean over labels", "") for key in after]
    columns = ["label", *(f"{name}, {time}" for name in names for time in ("before", "after"))]
    rows = [(str(label), *(side.get(label) for key in after for side in (before.get(key, {}), after[key])))
            for label in next(iter(after.values()))]
    return page.table(columns, rows)


def _affine(case: Case, scene: Scene) -> list[tuple[str, Any]]:
    """Rotation, scales and shift of the affine part, in words a physician uses."""
    matrix, dim = scene.affine, case.fixed.dim
    left, scales, right = np.linalg.svd(matrix[:dim, :dim])
    cosine = (np.trace(left @ right) - (dim - 2)) / 2
    centre = case.fixed.grid.centre
    shift = matrix[:dim, :dim] @ centre + matrix[:dim, dim] - centre
    axes = ", ".join(("right", "anterior", "superior")[:dim])
    return [("rotation, degrees", float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))),
            ("scales along the principal axes", tuple(map(float, scales))),
            (f"shift of the centre ({axes}), mm", tuple(map(float, shift)))]


# -------------------------------------------------------------------- how it was done
def _optimisation(case: Case) -> list[Markup]:
    history = case.registration.history
    if not history:
        return [page.prose("This method does not optimise.")]
    said = "Losses of different levels cannot be compared; in each level the curve should fall and flatten."
    return [_still(plots.curves(history), "loss over the steps", said)]


def _methods(case: Case) -> list[Markup]:
    text, references = methods_text(case.record)
    numbered = [f"[{k}] {reference}" for k, reference in enumerate(references, 1)]
    notes = case.record["notes"]
    return [page.prose(text), *([page.listing(numbered)] if numbered else []),
            *([page.heading("Chosen and noticed on the way"), page.listing(notes)] if notes else [])]


def _provenance(case: Case) -> list[Markup]:
    record = case.record
    sources = [(key.replace("_", " "), value["name"], value["sha256"]) for key, value in record["inputs"].items()]
    grids = [(name, grid["shape"], grid["spacing_mm"], grid["axes"]) for name, grid in record["grids"].items()]
    direction = "fixed points to moving points, mm, RAS; images are pulled back along it (transform.h5: ITK, LPS)"
    return [page.facts({"voxalign": record["voxalign"], "started": record["started"], "seconds": record["seconds"]["total"],
                        "device": record["device"], "direction of the transform": direction}),
            *([page.table(("input", "file", "sha256"), sources)] if sources else []),
            page.table(("grid", "voxels", "spacing, mm", "axes"), grids),
            *([page.details("Files", page.table(("file", "sha256"), record["outputs"].items()))] if record["outputs"] else []),
            page.details("Choices", page.facts(record["configuration"])),
            page.details("Seconds by stage", page.facts(record["seconds"])),
            page.details("Versions", page.facts({"python": record["python"], "platform": record["platform"]} | record["packages"]))]
