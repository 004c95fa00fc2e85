"""What there is to choose from, in words, without importing any of it.

The names are those of `register.Settings` and `register.PRESETS`; a test holds them equal.
"""
from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

METHODS = {
    "classical": "optimise for this pair: search, rigid, affine, deformable, coarse to fine",
    "learned": "predicted by a trained network (weights) after a linear start",
    "learned+refine": "the same, then optimised for this pair",
    "features": "optimised on what the encoder of a trained network sees",
}
TRANSFORMS = {
    "rigid": "rotation and translation",
    "similarity": "rigid and one scale",
    "affine": "any linear map",
    "deformable": "affine, then a diffeomorphic deformation",
}
LOSSES = {
    "auto": "lncc or mi, chosen by the two images",
    "lncc": "local normalised cross-correlation: same kind of contrast, bias fields",
    "ncc": "normalised cross-correlation: same kind of contrast",
    "mse": "mean squared difference: same scanner, same units",
    "ssim": "structural similarity: same kind of contrast, means and spreads of small windows alike",
    "mi": "mutual information: different kinds of contrast (CT and MR, T1 and T2, PET and MR)",
    "nmi": "normalised mutual information: the same, where the overlap changes much",
    "ngf": "gradient directions: different kinds of contrast that share edges",
    "mind": "self-similarity descriptors: different kinds of contrast, bias fields",
    "cross_entropy": "entropy of intensity classes: same scanner, same units, outliers",
}
INITIAL = {
    "search": "the best of the others and of many rotations",
    "headers": "world coordinates as the files state them",
    "centres": "centres of the two fields of view",
    "moments": "centres and principal axes of the intensities",
    "keypoints": "blobs that look alike in both and agree on one motion: one modality",
    "none": "world coordinates, and no search of any kind",
}
PRESETS = {
    "default": "deformable, at the resolution of the fixed image, as smooth as suits what the images show",
    "fast": "deformable at 2 mm, fewer steps: a first look",
    "accurate": "twice the steps",
    "rigid": "the same body, not deformed",
    "affine": "different size and shear, not deformed",
    "multimodal": "images of different kinds",
    "brain": "brains without skull, between people",
    "follow-up": "one body seen twice, of one modality or two: scans over time, MR and CT of one patient",
    "mouse": "small animals",
    "lung-ct": "CT of the chest, breathing",
    "abdomen": "CT or MR of the trunk",
    "histology-2d": "stained sections",
}
DEVICES = ("auto", "cpu", "cuda")

_LEARNED = "voxalign.register.learned"
_HOME = {"classical": ("voxalign.register", "register"), "learned": (_LEARNED, "learned"), "learned+refine": (_LEARNED, "refined"),
         "features": (_LEARNED, "features")}


def catalogue() -> dict[str, dict[str, str]]:
    """All choices with their descriptions, by the name of the option that takes them."""
    return {"method": METHODS, "preset": PRESETS, "transform": TRANSFORMS, "loss": LOSSES, "initial": INITIAL}


def method_named(name: str) -> Callable:
    """The function ``(fixed, moving, settings, initial, on_step, guide) -> Registration`` of a method; imported here, not before."""
    module, function = _HOME[name]
    return getattr(import_module(module), function)
