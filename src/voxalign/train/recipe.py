"""Everything a training depends on besides its data; every name is the same in Python, in configuration files and for ``--set``."""
from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from ..core import UsageError
from ..nn import AffineNet, Architecture, Autoencoder, Classifier, Painter, Pyramid, Recurrent, Translator, UNet

Task = Literal["registration", "denoise", "alignment", "translate", "adversarial", "generate", "sequence"]
NetworkName = Literal["auto", "unet", "pyramid", "affine", "recurrent"]
LossName = Literal["lncc", "ncc", "mse", "ssim", "mi", "nmi", "ngf", "mind", "cross_entropy"]
Regulariser = Literal["gradient", "bending"]
Schedule = Literal["constant", "cosine", "plateau"]
Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Start = Literal["affine", "similarity", "rigid", "headers", "centres"]
Channel = Literal["intensity", "canny", "gabor", "wavelet_energy", "gradient_magnitude", "ngf", "mind"]
Family = Literal["shapes", "head", "body", "maps", "people"]
FROM_MAPS = frozenset({"maps", "people"})  # families that need label maps
MotionName = Literal["breathing", "beating", "drifting", "wandering", "swaying", "halting"]


@dataclass(frozen=True)
class Recipe:
    """Choices of a training.

    Parameters
    ----------
    task : ``registration``; ``denoise`` makes an image without its noise; ``alignment`` says whether two patches are aligned;
        ``translate`` makes of a moving image one of the fixed image's kind; ``adversarial`` is registration whose similarity a critic
        learns; ``generate`` paints the registered image and finds a deformation that explains it; ``sequence`` follows frames.
    network : ``pyramid``, ``unet``, ``affine`` or ``recurrent``, for registration; ``auto`` is the pyramid, which compares features where a
        U-Net has to learn to (after 300 small steps Dice .60, where the U-Net had not begun).
    widths : features of each level of the network, finest first.
    kernel, convolutions : edge of the convolutions, voxels, and how many a level.
    hidden : features of a pyramid's decoder at each level, where most of its parameters are.
    looks : how often each level of a pyramid looks and warps, finest first (0: not at all); the last number serves all coarser ones.
    conditioned : smoothness is an input of the network, chosen when it predicts; training draws it of 1/4 to 4.
    antisymmetric : swapping the images inverts the map exactly (the pyramid always does).
    spacing : mm of the common grid; 0 takes the median of the images.
    shape : voxels of the common grid, 3 (or 2) numbers; empty takes what holds the largest image.
    start : how images are brought together before the network sees them, in training and when it predicts: ``affine``, ``similarity`` or
        ``rigid`` (by the engine), ``headers`` (as the files state it), or ``centres`` (of what they cover).
    channels : what the network sees of an image: its intensity, and features.
    synthesise : families that images are made of instead of read, each as often as it is named: noise shapes, nested shells (head),
        organs in an envelope (body), the label maps of the data (maps), those of two people (people). Empty: the images are the data's.
    apart : how far the two images of a synthesised pair are apart, as a factor: 1 is 6 degrees and up to 5 voxels.
    alike : part of the synthesised pairs whose intensities are a function of each other; those of the others are unrelated.
    stripped : labels of the data that half of the synthesised images lack, such as all around a brain.
    frames, motions : of a synthesised sequence: how many, and how they move.
    critic_weight, place_weight : of what a critic says, and of what holds a translated image in place.
    augment : strength of random changes of place and intensity, 0 to 1.
    loss, window : similarity of intensities, and radius of its windows in voxels.
    image_weight, label_weight, point_weight, field_weight : of the similarity, of the overlap of labels, of the distance of points
        and, in synthesised pairs, of the distance to the known map.
    feature_weight : in synthesised pairs, of how well a place is told from others by the features of a pyramid.
    balance : every structure counts alike, whatever its size; else every voxel does.
    labels_a_step : at most so many structures take part in one pair's loss, drawn anew each time.
    regulariser, smoothness : of the displacement (mean square of its first or second derivatives), and its weight.
    folding_weight : of negative Jacobian determinants.
    batch, accumulate : pairs that are computed together, and how often before a step is made; several processes share the latter.
    steps, rate, schedule, warm_up : how many steps, the learning rate, its course, and steps until it is reached.
    decay, clip, average : weight decay, longest gradient (0: any), and decay of the averaged weights that are validated and kept.
    precision : of the convolutions.
    validate_every, patience : steps between validations, and validations without improvement before training ends (0: never).
    pairs_validated, pairs_tested : at most so many, spread over all.
    validation, test : parts of the people kept aside.
    noise_multiplier, sample_clip, delta : differential privacy, see `privacy`; a multiplier of 0 means none.
    seed, device, threads : of all randomness; where; at most so many threads (0: all).
    """

    task: Task = "registration"
    network: NetworkName = "auto"
    widths: tuple[int, ...] = (16, 24, 32)
    kernel: int = 3
    convolutions: int = 1
    hidden: int = 32
    looks: tuple[int, ...] = (1,)
    conditioned: bool = False
    antisymmetric: bool = False
    spacing: float = 0.0
    shape: tuple[int, ...] = ()
    start: Start = "centres"
    channels: tuple[Channel, ...] = ("intensity",)
    synthesise: tuple[Family, ...] = ()
    apart: float = 1.0
    alike: float = 0.35
    stripped: tuple[int, ...] = ()
    frames: int = 6
    motions: tuple[MotionName, ...] = ("breathing", "drifting", "wandering", "swaying", "halting")
    critic_weight: float = 0.1
    place_weight: float = 1.0
    augment: float = 0.5
    loss: LossName = "lncc"
    window: int = 3
    image_weight: float = 1.0
    label_weight: float = 1.0
    point_weight: float = 0.05
    field_weight: float = 0.0
    feature_weight: float = 0.0
    balance: bool = True
    labels_a_step: int = 8
    regulariser: Regulariser = "gradient"
    smoothness: float = 1.0
    folding_weight: float = 0.0
    batch: int = 1
    accumulate: int = 1
    steps: int = 1000
    rate: float = 1e-3
    schedule: Schedule = "cosine"
    warm_up: int = 20
    decay: float = 0.0
    clip: float = 1.0
    average: float = 0.99
    precision: Precision = "float32"
    validate_every: int = 100
    patience: int = 0
    pairs_validated: int = 16
    pairs_tested: int = 100
    validation: float = 0.15
    test: float = 0.15
    noise_multiplier: float = 0.0
    sample_clip: float = 1.0
    delta: float = 1e-3
    seed: int = 0
    device: Device = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        for name in ("widths", "looks", "shape", "channels", "synthesise", "stripped", "motions"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.validation + self.test >= 1:
            raise UsageError(f"validation={self.validation:g} and test={self.test:g}: expected less than 1 together")
        if not 0 <= self.average < 1 or not 0 < self.delta < 1:
            raise UsageError(f"average={self.average:g}, delta={self.delta:g}: expected 0 <= average < 1 and 0 < delta < 1")
        for name in ("batch", "accumulate", "validate_every", "labels_a_step", "pairs_validated", "pairs_tested", "window", "frames"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}: expected at least 1")
        if not self.motions:
            raise UsageError("motions is empty: expected names such as breathing,drifting")
        if not self.channels:
            raise UsageError("channels is empty: expected names such as intensity,mind")

    def as_dict(self) -> dict[str, Any]:
        """For JSON and YAML."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """`as_dict` undone; fields that a newer version knows are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in known})

    @property
    def is_private(self) -> bool:
        """Whether the gradients get the noise of differential privacy."""
        return self.noise_multiplier > 0


def architecture(recipe: Recipe, dim: int, in_channels: int) -> Architecture:
    """The network that a recipe asks for.

    Raises
    ------
    InputError : sizes out of range.
    """
    common = {"dim": dim, "in_channels": in_channels, "channels": recipe.widths, "kernel": recipe.kernel,
              "convolutions": recipe.convolutions}
    if recipe.task == "denoise":
        return Autoencoder(**common)
    if recipe.task == "alignment":
        return Classifier(**common)
    if recipe.task == "translate":
        return Translator(**common)
    if recipe.task == "generate":
        return Painter(**common, conditioned=False)
    if recipe.network == "recurrent" or recipe.task == "sequence":
        return Recurrent(**common)
    if recipe.network == "affine":
        return AffineNet(**common)
    if recipe.network == "unet":
        return UNet(**common, conditioned=recipe.conditioned, antisymmetric=recipe.antisymmetric)
    return Pyramid(**common, hidden=recipe.hidden, conditioned=recipe.conditioned, looks=recipe.looks)
