"""What a network is, as a value: a few numbers that go into the file of its weights and make the same network again. No torch here."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..core import InputError

_MOST_CHANNELS, _MOST_LEVELS, _MOST = 1024, 8, 15  # a file that asks for more is damaged or means harm


@dataclass(frozen=True)
class Architecture:
    """What all networks have.

    Parameters
    ----------
    dim : 2 or 3.
    in_channels : of each image.
    channels : features of each level, finest first; their number is the depth. Every level has half the resolution of the one before.
    kernel : edge of the convolutions, voxels, odd.
    convolutions : on each level.

    Raises
    ------
    InputError : a value of the wrong kind or out of range.
    """

    dim: int = 3
    in_channels: int = 1
    channels: tuple[int, ...] = (16, 32, 48, 64)
    kernel: int = 3
    convolutions: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.channels, (list, tuple)) or not 1 <= len(self.channels) <= _MOST_LEVELS:
            raise InputError(f"channels {self.channels!r}: expected 1 to {_MOST_LEVELS} numbers, one a level")
        object.__setattr__(self, "channels", tuple(self.channels))
        for n in self.channels:
            whole(n, "channels", 1, _MOST_CHANNELS)
        whole(self.dim, "dim", 2, 3)
        whole(self.in_channels, "in_channels", 1, _MOST_CHANNELS)
        whole(self.convolutions, "convolutions", 1, _MOST)
        if whole(self.kernel, "kernel", 1, _MOST) % 2 == 0:
            raise InputError(f"kernel {self.kernel}: expected an odd number")

    @property
    def levels(self) -> int:
        """How many resolutions."""
        return len(self.channels)


@dataclass(frozen=True)
class UNet(Architecture):
    """Velocity from both images, stacked (VoxelMorph: Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538).

    Parameters
    ----------
    stride : voxels of the images to one of the velocity, 1 or 2.
    antisymmetric : the mean of what the images give one way and, negated, the other way: swapping them inverts the map exactly.
    conditioned : smoothness is an input.
    """

    stride: int = 2
    antisymmetric: bool = False
    conditioned: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self.stride, "stride", 1, 2)


@dataclass(frozen=True)
class Pyramid(Architecture):
    """Velocity by levels, coarse to fine, from features that one encoder finds in either image; always antisymmetric.

    Level k has 1 / 2^(k+1) of the images' resolution. At every level both images' features are warped half the way found so far and
    compared within ``radius``; what is missing is added. (Warping, correlation, refinement as PWC-Net: Sun et al. 2018,
    doi:10.1109/CVPR.2018.00931.)

    Parameters
    ----------
    hidden : features of the decoder at each level.
    radius : voxels, of the local correlation at each level, finest first (the last serves all coarser ones).
    conditioned : smoothness is an input.
    looks : how often each level looks, as ``radius``, each time after warping by what it has found, with the same weights (Teed and
        Deng 2020, arXiv:2003.12039). The coarser ones cost next to nothing. 0 for the finest levels: the velocity stays as coarse as
        the finest that looks.
    """

    convolutions: int = 2
    hidden: int = 32
    radius: tuple[int, ...] = (1, 1, 2)
    conditioned: bool = True
    looks: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self.hidden, "hidden", 1, _MOST_CHANNELS)
        for name, low, high in (("radius", 0, 4), ("looks", 0, _MOST)):
            values = getattr(self, name)
            if not isinstance(values, (list, tuple)) or not values:
                raise InputError(f"{name} {values!r}: expected one number a level")
            object.__setattr__(self, name, tuple(whole(value, name, low, high) for value in values))
        looks = [self.at(level)[1] for level in range(self.levels)]
        if looks[-1] == 0 or 0 in looks[sum(n == 0 for n in looks):]:
            raise InputError(f"looks {self.looks!r}: expected 0 for the finest levels only, and the coarsest to look")

    def at(self, level: int) -> tuple[int, int]:
        """Radius and looks of a level, the finest being 0."""
        return tuple(values[min(level, len(values) - 1)] for values in (self.radius, self.looks))


@dataclass(frozen=True)
class AffineNet(Architecture):
    """An affine map through the centres of learned structures, found in either image alone and fitted by least squares.

    It depends on where things are and not on where the image ends (Moyer et al. 2021, doi:10.1109/TMI.2021.3100590; Hoffmann et al.
    2024, doi:10.1162/imag_a_00197).

    Parameters
    ----------
    structures : how many.
    stride : voxels of the images to one of the finest level, 1 or 2.
    rigid : rotation and translation only.
    """

    structures: int = 32
    stride: int = 2
    rigid: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self.structures, "structures", self.dim + 2, _MOST_CHANNELS)
        whole(self.stride, "stride", 1, 2)


@dataclass(frozen=True)
class Autoencoder(Architecture):
    """An image without its noise (denoising autoencoder with skips, after Zhang et al. 2017, doi:10.1109/TIP.2017.2662206)."""

    channels: tuple[int, ...] = (16, 32, 48)


@dataclass(frozen=True)
class Translator(Autoencoder):
    """An image in the contrast of another kind of image, in the same place: an autoencoder whose two ends differ."""

    channels: tuple[int, ...] = (16, 24)


@dataclass(frozen=True)
class Painter(Pyramid):
    """A pyramid that also paints the registered image, which its deformation has to explain.

    Parameters
    ----------
    brushes : features of each level of the part that paints, finest first.
    """

    brushes: tuple[int, ...] = (16, 24)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "brushes", self.painting.channels)

    @property
    def painting(self) -> Architecture:
        """Of the part that paints."""
        return Architecture(self.dim, self.in_channels, self.brushes, self.kernel)


@dataclass(frozen=True)
class Recurrent(Architecture):
    """Velocity of every frame of a sequence against one fixed image, from the frame and from a memory of the motion.

    Features of all levels, level k having 1 / 2^(k+1) of the images' resolution, are compared around what was found so far; a gated
    recurrent unit on the finest (Ballas et al. 2016, arXiv:1511.06432) turns that into a correction (as RAFT: Teed and Deng 2020,
    arXiv:2003.12039). A second one says, place by place, how far to go from what the frames before foretell to what the frame says: the
    gain of a Kalman filter, learned.

    Parameters
    ----------
    hidden : features of the states.
    radius : of the comparison, voxels of each level.
    looks : corrections a frame.
    rounds : how many times as many a single pair gets.
    """

    channels: tuple[int, ...] = (16, 24)
    hidden: int = 24
    radius: int = 2
    looks: int = 2
    rounds: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self.hidden, "hidden", 1, _MOST_CHANNELS)
        whole(self.radius, "radius", 0, 4)
        whole(self.looks, "looks", 1, _MOST)
        whole(self.rounds, "rounds", 1, _MOST)


@dataclass(frozen=True)
class Critic(Architecture):
    """Whether patches of an image are true or made; of several images, whether they show the same place, by the products of their features.

    Parameters
    ----------
    images : how many are looked at together, all by one encoder.
    """

    channels: tuple[int, ...] = (16, 32)
    images: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self.images, "images", 1, _MOST)


@dataclass(frozen=True)
class Classifier(Architecture):
    """Whether two patches are aligned."""

    channels: tuple[int, ...] = (16, 32, 64)


KINDS = {kind.__name__: kind for kind in (UNet, Pyramid, AffineNet, Autoencoder, Classifier, Translator, Painter, Recurrent,
                                         Critic)}
REGISTRATION = (UNet, Pyramid, AffineNet, Recurrent)


def as_dict(architecture: Architecture) -> dict[str, Any]:
    """For JSON: ``kind`` and the fields."""
    return {"kind": type(architecture).__name__} | {key: list(value) if isinstance(value, tuple) else value
                                                    for key, value in asdict(architecture).items()}


def from_dict(values: Mapping[str, Any]) -> Architecture:
    """`as_dict` undone.

    Raises
    ------
    InputError : an unknown kind or field, or a value out of range.
    """
    if not isinstance(values, Mapping) or not isinstance(values.get("kind"), str) or values["kind"] not in KINDS:
        raise InputError(f"network of kind {values.get('kind') if isinstance(values, Mapping) else values!r}: "
                         f"expected one of {', '.join(KINDS)}; the file was made by another program or a newer voxalign")
    kind = KINDS[values["kind"]]
    unknown = set(values) - {"kind"} - {f.name for f in fields(kind)}
    if unknown:
        raise InputError(f"{kind.__name__} has no {', '.join(sorted(map(str, unknown)))}: the file was made by a newer voxalign")
    for name, value in values.items():
        if isinstance(getattr(kind, name, None), bool) and not isinstance(value, bool):
            raise InputError(f"{kind.__name__}: {name} is {value!r}, expected true or false")
    return kind(**{name: value for name, value in values.items() if name != "kind"})


def whole(value: Any, name: str, low: int, high: int) -> int:
    """A whole number of ``low`` to ``high``.

    Raises
    ------
    InputError
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name} {value!r}: expected a whole number of {low} to {high}")
    return value
