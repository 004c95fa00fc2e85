"""What was done, in words for a paper, with the sources to cite."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core import UsageError
from ..register.similarity import Term, terms

_LOSSES = {
    "lncc": ("local normalised cross-correlation", "avants"), "ncc": ("normalised cross-correlation", None),
    "mse": ("mean squared differences", None), "ssim": ("structural similarity", "wang"), "mi": ("mutual information", "mattes"),
    "nmi": ("normalised mutual information", "studholme"), "ngf": ("normalised gradient fields", "haber"),
    "mind": ("modality-independent neighbourhood descriptors", "heinrich"), "cross_entropy": ("cross-entropy of intensity classes", None),
}
_REFERENCES = {
    "vercauteren": "Vercauteren T et al. Diffeomorphic demons. NeuroImage 2009. doi:10.1016/j.neuroimage.2008.10.040",
    "avants": "Avants BB et al. Symmetric diffeomorphic image registration with cross-correlation. Medical Image Analysis 2008. "
              "doi:10.1016/j.media.2007.06.004",
    "mattes": "Mattes D et al. PET-CT image registration in the chest using free-form deformations. IEEE TMI 2003. "
              "doi:10.1109/TMI.2003.809072",
    "studholme": "Studholme C et al. An overlap invariant entropy measure of 3D medical image alignment. Pattern Recognition 1999. "
                 "doi:10.1016/S0031-3203(98)00091-0",
    "wang": "Wang Z et al. Image quality assessment: from error visibility to structural similarity. IEEE TIP 2004. "
            "doi:10.1109/TIP.2003.819861",
    "haber": "Haber E, Modersitzki J. Intensity gradient based registration and fusion of multi-modal images. MICCAI 2006. "
             "doi:10.1007/11866763_89",
    "heinrich": "Heinrich MP et al. Towards realtime multimodal fusion for image-guided interventions using self-similarities. "
                "MICCAI 2013. doi:10.1007/978-3-642-40811-3_24",
    "roche": "Roche A et al. The correlation ratio as a new similarity measure for multimodal image registration. MICCAI 1998. "
             "doi:10.1007/BFb0056301",
}
_MODELS = {
    "rigid": "by a rigid transform (rotation and translation)",
    "similarity": "by a similarity transform (rotation, translation and one scale)",
    "affine": "by a rigid, then an affine transform",
    "deformable": "by rigid and affine transforms, then by a diffeomorphic deformation",
}
_STARTS = {"search": "found by a search over rotations and shifts", "headers": "taken from the image headers",
           "centres": "given by the centres of the fields of view", "moments": "given by centres and principal axes of the intensities",
           "keypoints": "found by matching keypoints", "none": "given by equal world coordinates"}
_OPTIMISERS = {"gauss-newton": "Gauss-Newton", "newton": "Newton", "lbfgs": "L-BFGS", "adam": "Adam"}


def methods_text(record: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A paragraph and its references, of a run's record (the content of ``run.json``)."""
    chosen = record["configuration"]
    if chosen["method"] != "classical":
        return f"The moving image was registered to the fixed image with voxalign {record['voxalign']}, method {chosen['method']}.", []
    deformable = chosen["transform"] == "deformable"
    first, last = _losses(chosen["loss"], record["notes"])
    compared = [*first, *(last if deformable else ())]
    sources = [source for term in compared for source in (_LOSSES[term.loss][1], "roche" if term.adapted else None) if source]
    keys = list(dict.fromkeys([*sources, *(["vercauteren"] if deformable else [])]))
    cited = {key: k for k, key in enumerate(keys, 1)}
    start = _STARTS.get(chosen["initial"], "a given transform")
    said = [f"The moving image was registered to the fixed image {_MODELS[chosen['transform']]} with voxalign {record['voxalign']}"
            f" (preset {chosen['preset']}).",
            f"The first position was {start}. Alignment then minimised {_sum(first, cited)} from coarse to fine by"
            f" {_optimiser(chosen)} steps on grids down to {_finest(record)} mm."]
    if deformable:
        said.append(f"{_then(first, last, cited)}The deformation is a composition of small smooth steps, each shorter than a voxel, which "
                    f"keeps it invertible{_mark(cited, 'vercauteren')}; smoothness {_smoothness(chosen['smoothness'], record['notes'])}.")
    return " ".join(said), [_REFERENCES[key] for key in keys]


def _mark(cited: Mapping[str, int], key: str | None) -> str:
    return f" [{cited[key]}]" if key in cited else ""


def _optimiser(chosen: Mapping[str, Any]) -> str:
    name = chosen.get("optimiser", "gauss-newton")
    return _OPTIMISERS.get(name, name)


def _losses(chosen: str, notes: Sequence[str]) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """What the linear stages compared and what the deformation did, as the notes say where it was chosen automatically."""
    linear = re.sub(r"\bauto\b", _said(r"^loss (\w+) chosen", notes), chosen)
    bending = linear
    if chosen == "auto":
        for said in (r"^loss .*\(for the deformation (.+?)\):", r"^loss (.+) for the deformation:"):  # the second is said later
            bending = _said(said, notes, bending)
    try:
        return terms(linear), terms(bending)
    except UsageError:  # notes that do not say it
        return (), ()


def _sum(compared: Sequence[Term], cited: Mapping[str, int]) -> str:
    parts = [_term(term, cited) for term in compared] or ["a loss chosen automatically"]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)


def _term(term: Term, cited: Mapping[str, int]) -> str:
    name, source = _LOSSES[term.loss]
    weight = "" if term.weight == 1 else f"{term.weight:g} times "
    of = f" of {term.feature} images" if term.feature else ""
    of = f" of each image as the other would look{_mark(cited, 'roche')}" if term.adapted else of
    return f"{weight}{name}{_mark(cited, source)}{of}"


def _then(first: Sequence[Term], last: Sequence[Term], cited: Mapping[str, int]) -> str:
    return "" if last == first else f"The deformation minimised {_sum(last, cited)}. "


def _smoothness(chosen: float | None, notes: Sequence[str]) -> str:
    return f"{chosen:g}" if chosen is not None else _said(r"^smoothness ([\d.]+)", notes)


def _said(pattern: str, notes: Sequence[str], otherwise: str = "chosen automatically") -> str:
    """What the notes of a run say was chosen."""
    return next((found[1] for found in (re.match(pattern, note) for note in notes) if found), otherwise)


def _finest(record: Mapping[str, Any]) -> str:
    spacing = record["configuration"]["spacing"] or min(record["grids"]["fixed"]["spacing_mm"])
    return f"{spacing:.3g}"
