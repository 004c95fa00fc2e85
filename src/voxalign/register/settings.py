"""What a user can choose about a registration; every name is the same in Python, in config files and on the command line."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .device import Device

Model = Literal["rigid", "similarity", "affine", "deformable"]
Start = Literal["search", "headers", "centres", "moments", "keypoints", "none"]
Optimiser = Literal["gauss-newton", "newton", "lbfgs", "gradient-descent", "momentum", "adam"]
LossName = Literal["auto", "lncc", "ncc", "mse", "ssim", "mi", "nmi", "ngf", "mind", "cross_entropy"]


@dataclass(frozen=True)
class Settings:
    """Choices of the classical method.

    Parameters
    ----------
    transform : the most general map that is fitted; the simpler ones come first as its start.
    initial : how the very first position is found: ``search`` tries the plain ones and many rotations; ``keypoints`` matches blobs;
        ``none`` starts with equal world coordinates.
    loss : similarity that is optimised: one of `LossName`, or a weighted sum such as ``mi + 0.3*ngf + 0.5*ncc(canny)``, in which a name in
        parentheses is a feature of both images (`similarity.FEATURES`) or ``adapted``, each as the other would look; ``auto`` chooses by
        the two images (mono- or multimodal) and says which.
    optimiser : of the linear stages; the first-order ones (the last three) drive the deformation too, the others leave it to Gauss-Newton.
    direction : ``forward`` deforms the moving image onto the fixed one; ``symmetric`` both until they meet halfway, in twice the time and
        memory: swapping the images then inverts the map.
    begin : where the deformation begins: at ``zero``, or for what moves far at the best of many whole displacements (``discrete``).
    body : whether the images show ``one`` body twice, whose deformation is smooth and followed to the end, or ``two``, whose shapes are
        not to be had in full; ``auto`` takes them for one if they are nearly alike, or of two modalities.
    smoothness : of the deformation; 1 is usual, 2 is stiffer, 0.5 softer. None takes what suits the two images, and says so.
    spacing : mm of the finest grid worked on; None takes the fixed image's own.
    iterations : at most this many steps a level, coarse to fine (the last entry is used for all finer levels);
        a level ends earlier when it no longer improves. None takes what suits the two images.
    window : radii of the LNCC or SSIM windows of the deformation, voxels, by level as ``iterations``. None takes what suits the two images.
    label_weight, point_weight : how strongly labels and points that are given take part in the deformation; 0: they only score it.
    weights : file of a network, for the methods that use one.
    translate : file of a translator (voxalign train --task translate): the moving image is aligned as it would look as one of the fixed
        image's kind, mostly with ``loss`` lncc or ncc.
    seed : of whatever is random.
    device : where it is computed; ``auto`` takes a GPU if there is one (and torch for it), else the CPU.
    """

    transform: Model = "deformable"
    initial: Start = "search"
    loss: str = "auto"
    optimiser: Optimiser = "gauss-newton"
    direction: Literal["forward", "symmetric"] = "forward"
    begin: Literal["zero", "discrete"] = "zero"
    body: Literal["auto", "one", "two"] = "auto"
    smoothness: float | None = None
    spacing: float | None = None
    iterations: tuple[int, ...] | None = None
    window: tuple[int, ...] | None = None
    label_weight: float = 0.0
    point_weight: float = 0.0
    weights: str | None = None
    translate: str | None = None
    seed: int = 0
    device: Device = "auto"
