"""The page that AAPM TG-132 (doi:10.1002/mp.12256) asks to be on file, from the request to the signatures.

It names nobody: identities come from the user's request alone, never from image files.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from ..judge.verdict import Verdict
from . import page, plots
from .draw import jpeg
from .evaluation import QUANTITIES
from .methods import methods_text
from .page import Section
from .scene import Scene

_TO_FILL = "____________________"
_ASKED = {"request": "request", "patient": "patient", "purpose": "purpose of the registration", "region": "region of interest",
          "accuracy_mm": "accuracy needed, mm", "priority": "what must agree first", "requested_by": "requested by", "comments": "comments"}
_LEVELS = (("0", "whole scan aligned", "anatomy within 1 mm everywhere"), ("1", "locally aligned", "the region of interest within 1 mm"),
           ("2", "usable, with risk of deformation", "within 2 mm; contours may have to be corrected"),
           ("3", "for diagnosis only", "agrees too little for transfer of contours or dose"), ("4", "unacceptable", "do not use"))
_USUAL = {"dice": "0.80-0.90, or what observers agree on", "mean_surface_distance_mm": "largest voxel, 2-3 mm",
          "tre_mm": "largest voxel, 2-3 mm", "tre_max_mm": "largest voxel, 2-3 mm", "folded_percent": "none", "jacobian_min": "above 0",
          "nondiffeomorphic_mm3": "none", "inverse_error_max_mm": "half a voxel", "cycle_error_max_mm": "2-3 mm"}
_LIMITS = (
    "This software is not a medical device. The page is an aid to the person who signs it, and decides nothing.",
    "The verdict is estimated without knowing the truth. PASS does not say that the region of interest is aligned: look at it.",
    "Numbers of labels and landmarks hold where these are, and are no better than the hands that drew them.",
    "Similarity of intensities says little about alignment, and nothing where tissue has no contrast.",
    "A deformation says nothing reliable where anatomy appears or vanishes (a resection, a filled bladder, a tumour that shrank).",
    "Points or labels that took part in a registration fit it by construction: their error (fiducial error) is not the error at a target.",
)


@dataclass(frozen=True)
class Clinical:
    """What a page is made of.

    Parameters
    ----------
    request : the user's words, by the names of ``run.clinical.REQUEST``.
    sources : what each file is, its base name and sha256.
    scores : see `judge.evaluate.assess`.
    record : ``run.json`` of the run that made the transform; None if it is not known.
    verdict : None where it could not be judged.
    guided : those of ``labels`` and ``points`` that took part in the registration.
    names : of labels, by number.
    """

    request: Mapping[str, str]
    sources: Sequence[tuple[str, str, str]]
    scores: Mapping[str, Any]
    record: Mapping[str, Any] | None
    verdict: Verdict | None
    guided: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)


def clinical_page(content: Clinical, scene: Scene) -> str:
    """The page as HTML; ``scene`` is of the same images."""
    sections = [Section("Request", *_request(content)), Section("Images", *_images(content, scene)),
                Section("Method", *_method(content, scene)), Section("Numbers", *_numbers(content)),
                Section("Pictures", *_pictures(scene)), Section("Uncertainty", *_uncertainty(content)),
                Section("Assessment", *_assessment(content)), Section("Limits", page.listing(_LIMITS))]
    return page.render("Image registration: record for review", sections, "after AAPM TG-132; not a medical device")


def _request(content: Clinical) -> list[Markup]:
    return [page.facts({words: content.request.get(key, _TO_FILL) for key, words in _ASKED.items()})]


def _images(content: Clinical, scene: Scene) -> list[Markup]:
    grids = [(name, "x".join(map(str, image.grid.shape)), "x".join(f"{s:.3g}" for s in image.grid.spacing), image.grid.axes)
             for name, image in (("fixed", scene.fixed), ("moving", scene.moving))]
    return [page.table(("image", "voxels", "spacing, mm", "axes"), grids), page.table(("what", "file", "sha256"), content.sources)]


def _method(content: Clinical, scene: Scene) -> list[Markup]:
    said = [page.facts({"direction of the transform": "fixed points to moving points; the moving image is resampled on the fixed grid",
                        "kind": "deformable" if scene.deforms else "linear", "translation of the middle, mm": _shift(scene),
                        "rotation, degrees": _turn(scene), "volume change of the linear part": float(np.linalg.det(scene.affine))})]
    if content.record is None:
        return [*said, page.prose(f"No record of the run that made the transform lies beside it. Program, version, settings: {_TO_FILL}")]
    text, references = methods_text(content.record)
    return [*said, page.prose(text), *([page.listing(references)] if references else []), page.listing(content.record.get("notes", [])),
            page.details("Settings", page.facts(content.record["configuration"]))]


def _shift(scene: Scene) -> tuple[float, ...]:
    centre = scene.fixed.grid.centre
    return tuple((scene.affine[:-1, :-1] @ centre + scene.affine[:-1, -1] - centre).round(2).tolist())


def _turn(scene: Scene) -> float:
    """Angle of the rotation nearest to the linear part."""
    left, _, right = np.linalg.svd(scene.affine[:-1, :-1])
    dim = scene.fixed.dim
    return float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - (dim - 2)) / 2, -1, 1))))


def _numbers(content: Clinical) -> list[Markup]:
    before, after = content.scores.get("before", {}), content.scores.get("after", {})
    whole = {key: value for key, value in (after | content.scores).items() if not isinstance(value, Mapping)}
    rows = [(_called(key, content), before.get(key), value, _USUAL.get(key)) for key, value in whole.items()]
    said = [page.table(("", "before", "after", "usual limit"), rows)]
    for key, values in after.items():
        if isinstance(values, Mapping):
            name, kind = key.rsplit("_by_", 1)
            listed = [(content.names.get(region, str(region)), before.get(key, {}).get(region), value) for region, value in values.items()]
            said.append(page.details(f"{QUANTITIES.get(name, name)} by {kind}", page.table((kind, "before", "after"), listed)))
    return [*said, *(page.note(f"The {kind} took part in the registration: their agreement is a fit, not its accuracy.")
                     for kind in content.guided)]


def _called(key: str, content: Clinical) -> str:
    """Errors of points that were fitted are called what they are."""
    name = QUANTITIES.get(key, key)
    return name.replace("landmark error", "fiducial error (fitted)") if "points" in content.guided else name


def _pictures(scene: Scene) -> list[Markup]:
    said = [page.note("Planes through the middle of the fixed image, the patient's right on the left of axial and coronal pictures."),
            page.strip(jpeg(plots.greys(scene, scene.fixed_shades)), "the fixed image", "Fixed."),
            page.strip(jpeg(plots.greys(scene, scene.after)), "the moving image after registration", "Moving, after."),
            page.strip(jpeg(plots.checkerboards(scene)), "checkerboard after registration", "Squares of fixed and moving in turn, after."),
            page.strip(jpeg(plots.outlines(scene, scene.before)), "outlines of fixed over moving, before", "Outlines of fixed, before."),
            page.strip(jpeg(plots.outlines(scene, scene.after)), "outlines of fixed over moving, after", "Outlines of fixed, after.")]
    if not scene.deforms:
        return [*said, page.note("The transform is linear: there is no deformation to show.")]
    return [*said, page.strip(jpeg(plots.lattices(scene)), "the deformation as a lattice",
                              f"A lattice of {plots.lattice_step(scene):g} mm that went along."),
            page.strip(jpeg(plots.volume_changes(scene)), "local change of volume", "Change of volume (Jacobian): 1 is twice, -1 is half."),
            page.strip(jpeg(plots.motions(scene)), "length of the deformation", "How far points move.")]


def _uncertainty(content: Clinical) -> list[Markup]:
    verdict = content.verdict
    if verdict is None:
        return [page.badge("NOT JUDGED", "The images do not allow an estimate.")]
    said = f"Estimated probability of a mean error above {verdict.limit_mm:g} mm in the body: {100 * verdict.probability:.0f} %."
    return [page.badge(verdict.status, said), page.listing(verdict.reasons) if verdict.reasons else page.prose("Nothing stands out.")]


def _assessment(content: Clinical) -> list[Markup]:
    levels = [(f"☐ {level}", name, meaning) for level, name, meaning in _LEVELS]
    signed = [(who, content.request.get(key, _TO_FILL), _TO_FILL, _TO_FILL) for who, key in
              (("performed by", "performed_by"), ("reviewed by (physicist)", "reviewed_by"), ("accepted by (physician)", ""))]
    return [page.prose("Chosen by the person who signs, for the region and the purpose above:"),
            page.table(("level", "", "meaning"), levels),
            page.facts({"how it was looked at": "☐ overlay  ☐ checkerboard  ☐ outlines  ☐ deformation", "restrictions of use": _TO_FILL}),
            page.table(("", "name", "date", "signature"), signed)]
