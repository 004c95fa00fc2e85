"""Registration by a network: predicted in one pass, predicted and refined, or optimised on learned features.

The networks see both images on one grid (`nn.Inputs`); what they say is in voxels of it and leaves as a transform in mm.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Identity, Image, InputError, Transform, UsageError, compose, kernels
from ..core.sample import pull
from ..losses import loss
from ..nn import AffineNet, Classifier, Inputs, Pyramid
from ..nn.architecture import REGISTRATION
from ..nn.inputs import BY_ENGINE
from ..transforms import Affine, Velocity
from . import deformable, initialise
from .device import best_effort, name
from .guide import Guide
from .prepare import Scaled, onto, scale
from .register import STEPS, bending_lncc, per_level, register
from .result import OnStep, Registration, Step
from .settings import Settings
from .zoo import shipped

if TYPE_CHECKING:
    from torch import nn

    from ..nn import AffinePrediction, Prediction
    from ..nn.familiar import Familiar

_LINEAR_SHARE = 0.8  # of the work, for progress; of a refinement the prediction is about a tenth
_FADE = 12  # voxels beyond the images at most, over which a velocity fades
_FEATURES = 6  # combinations of learned features that the engine aligns
_FEATURE_RADIUS = 2  # of the windows in which they are compared, voxels
_FEATURE_LEVELS = 2  # levels of the encoder that they are made of, finest first


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained network and how it wants its images.

    Parameters
    ----------
    module : on its device, ready to predict.
    name : for notes: the architecture and the beginning of the hash of the weights.
    bytes_a_voxel : of memory that a prediction takes.
    familiar : what images it learned from, if its file says so.
    """

    module: nn.Module
    inputs: Inputs
    name: str
    bytes_a_voxel: float
    familiar: Familiar | None = None


def learned(fixed: Image, moving: Image, settings: Settings | None = None, initial: Transform | None = None,
            on_step: OnStep | None = None, guide: Guide | None = None) -> Registration:
    """Bring the images together as the network expects them, and let it predict the rest in one pass.

    Parameters and errors are those of `register`; labels and points of a ``guide`` take no part (see `refined`).

    Raises
    ------
    UsageError : no weights, no torch, or a smoothness that the network cannot take.  InputError : weights that do not fit the images.
    """
    settings = settings or Settings()
    return best_effort(lambda device: _predicted(_Pair(fixed, moving, settings, on_step), initial, device), settings.device)


def refined(fixed: Image, moving: Image, settings: Settings | None = None, initial: Transform | None = None,
            on_step: OnStep | None = None, guide: Guide | None = None) -> Registration:
    """`learned`, then the engine's deformable steps on this pair, started at the prediction (instance optimisation).

    Parameters and errors are those of `register`; a smoothness is the engine's, and the network's if it takes one.
    """
    settings = settings or Settings()
    first = best_effort(lambda device: _predicted(_Pair(fixed, moving, settings, _part(on_step, 0.0, 0.3), True), initial, device),
                        settings.device)
    second = register(fixed, moving, settings, first.transform, _part(on_step, 0.3, 1.0), guide)
    notes = first.notes + tuple(note for note in second.notes if not note.startswith("the initial transform"))
    return replace(second, history=first.history + second.history, notes=notes, start_confidence=first.start_confidence)


def features(fixed: Image, moving: Image, settings: Settings | None = None, initial: Transform | None = None,
             on_step: OnStep | None = None, guide: Guide | None = None) -> Registration:
    """The engine's deformable steps on what the network's encoder sees, instead of on intensities.

    Features of both images on their common grid become a few channels (the principal ones), compared in small windows. Parameters
    and errors are those of `register`.
    """
    settings = settings or Settings()

    def align(device: str) -> Registration:
        pair = _Pair(fixed, moving, settings, on_step)
        network, start = pair.opened(device, (Pyramid,)), pair.linear(initial, Inputs())
        if settings.transform != "deformable":
            return start
        return pair.optimised(start, *_feature_channels(network, fixed, moving, start.transform), guide or Guide())

    return best_effort(align, settings.device)


# ---------------------------------------------------------------- networks
def opened(path: str | None, dim: int, device: str, kinds: tuple[type, ...] = REGISTRATION) -> Learned:
    """The network in a file of weights, without a name the one that comes with voxalign; the last few stay in memory.

    Raises
    ------
    UsageError : no file was named and none comes with voxalign, or torch is missing.
    InputError : the file cannot be used for images of ``dim`` dimensions.
    SecurityError : it is a pickle.
    """
    if path is None and Pyramid not in kinds:
        raise UsageError("this needs the weights of a network, and voxalign brings none of this kind: name a file with --weights "
                         "(weights=...), such as voxalign train makes")
    path = str(shipped(dim)) if path is None else path
    if not find_spec("torch"):
        raise UsageError("this method needs torch, which is not installed: pip install 'voxalign[torch]', or use method classical")
    try:
        stamp = Path(path).stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{Path(path).name}: cannot read the weights ({error.strerror})") from error
    network = _loaded(str(path), stamp, device.removeprefix("torch:"))
    architecture = network.module.architecture
    if not isinstance(architecture, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        hint = "; it is used by voxalign process" if not isinstance(architecture, (*REGISTRATION, Classifier)) else ""
        raise InputError(f"{Path(path).name}: holds a {type(architecture).__name__}, expected a {expected} for this method{hint}")
    if architecture.dim != dim:
        raise InputError(f"{Path(path).name}: a network for {architecture.dim}-D images, and the images are {dim}-D")
    return network


@lru_cache(maxsize=4)
def _loaded(path: str, stamp: int, device: str) -> Learned:
    from ..nn import memory, weights

    module, meta = weights.load(path, device)
    from ..nn.familiar import Familiar

    short = weights.digest(module.state_dict())[:12]
    familiar = Familiar.from_dict(meta["familiar"]) if "familiar" in meta else None
    told = meta.get("bytes_a_voxel")
    takes = float(told) if isinstance(told, (int, float)) and told > 0 else memory.bytes_a_voxel(module.architecture)
    return Learned(module, Inputs.from_dict(meta.get("inputs")), f"{type(module.architecture).__name__} {short}", takes, familiar)


# ---------------------------------------------------------------- one pair
@dataclass(frozen=True, eq=False)
class _Pair:
    """Two images to bring together, and how."""

    fixed: Image
    moving: Image
    settings: Settings
    on_step: OnStep | None
    lenient: bool = False  # a smoothness that the network cannot take is for somebody else

    def opened(self, device: str, kinds: tuple[type, ...] = REGISTRATION) -> Learned:
        """The network asked for."""
        if self.fixed.dim != self.moving.dim:
            raise InputError(f"fixed image is {self.fixed.dim}-D and moving image is {self.moving.dim}-D: expected two of one dimension")
        return opened(self.settings.weights, self.fixed.dim, device, kinds)

    def linear(self, initial: Transform | None, inputs: Inputs) -> Registration:
        """How the images lie before the network sees them: as given, by the rule or by the linear model that it was trained for."""
        if self.settings.transform != "deformable":
            return register(self.fixed, self.moving, self.settings, initial, self.on_step)
        if inputs.start in initialise.PLAIN:
            start = initial or self._plain(inputs.start)
            return Registration(start, self.fixed.grid, self.moving.grid)
        settings = replace(self.settings, transform=inputs.start)
        return register(self.fixed, self.moving, settings, initial, _part(self.on_step, 0.0, _LINEAR_SHARE))

    def _plain(self, rule: str) -> Transform:
        rule = self.settings.initial if self.settings.initial in initialise.PLAIN else rule
        plain = rule in initialise.OF_GRIDS
        return initialise.start(*(image if plain else scale(image) for image in (self.fixed, self.moving)), rule)

    def ended(self, start: Registration, transform: Transform, note: str, device: str, step: Step) -> Registration:
        """A result that goes on from ``start``."""
        if self.on_step is not None:
            self.on_step(step)
        return replace(start, transform=transform, notes=(*start.notes, note), device=name(device), history=(*start.history, step))

    def optimised(self, start: Registration, grid: Grid, channels: list, guide: Guide) -> Registration:
        """The engine's deformable steps on ``channels`` (fixed, moving, weight) on ``grid``, linearly aligned."""
        count = len(deformable.levels(grid))
        windows = bending_lncc(grid, _FEATURE_RADIUS)
        weighed = [deformable.Channel(one, other, [windows] * count, share) for one, other, share in channels]
        steps = per_level(self.settings.iterations or STEPS, count)
        regularity = deformable.Regularity.of(self.settings.smoothness or 1.0)
        everything = [*weighed, *guide.channels(grid, start.transform, count)]
        history, progress = list(start.history), None
        begun = _LINEAR_SHARE if history else 0.0
        for progress in deformable.optimise(everything, steps, regularity, guide.constraints(start.transform)):
            done = (progress.level + (progress.iteration + 1) / steps[progress.level]) / count
            history.append(Step("deformable", progress.level, progress.iteration, float(progress.loss),
                                begun + (1 - begun) * min(done, 1.0), float(progress.grid.spacing.min())))
            if self.on_step is not None:
                self.on_step(history[-1])
        found = compose([deformable.as_transform(progress.displacement, progress.grid), start.transform])
        return replace(start, transform=found, history=tuple(history), notes=(*start.notes, f"{len(channels)} learned features aligned"))


def _predicted(pair: _Pair, initial: Transform | None, device: str) -> Registration:
    """What the network says, after the linear step."""
    network = pair.opened(device)
    start = pair.linear(initial, network.inputs)
    if pair.settings.transform != "deformable" and not isinstance(network.module.architecture, AffineNet):
        return replace(start, notes=(*start.notes, f"the network {network.name} was not used: it deforms, and transform is "
                                                   f"{pair.settings.transform}"))
    grid = network.inputs.grid(pair.fixed)
    arrays = seen(network, pair.fixed, grid), seen(network, pair.moving, grid, start.transform)
    transform, strange = _said(network, pair, grid, arrays, start.transform)
    start = replace(start, notes=(*start.notes, *strange))
    step = Step("predict", 0, 0, 0.0, 1.0, float(grid.spacing.min()))
    if transform is None:
        return pair.ended(start, start.transform, f"what {network.name} predicted was not used: the images agree less with it than "
                                                  "without", device, step)
    return pair.ended(start, transform, f"predicted by {network.name} at {grid.spacing.min():.3g} mm", device, step)


def _strange(network: Learned, said: Prediction | AffinePrediction) -> tuple[str, ...]:
    """A warning for each image that is unlike those that the network learned from."""
    if network.familiar is None:
        return ()
    from ..nn.familiar import description

    found = [network.familiar.strangeness(description([level[k] for level in said.features])) for k in (0, 1)]
    return tuple(f"the {name} image is unlike what {network.name} learned from ({value:.1f} times as far off as 995 of 1000 of those)"
                 for name, value in zip(("fixed", "moving"), found, strict=True) if value > 1)


def _said(network: Learned, pair: _Pair, grid: Grid, arrays: tuple[NDArray, NDArray],
          start: Transform) -> tuple[Transform | None, tuple[str, ...]]:
    """The network's answer, before ``start``, as a transform in mm (None if it makes things worse), and warnings."""
    from ..nn.predict import predict

    smoothness = pair.settings.smoothness
    if pair.lenient and not getattr(network.module.architecture, "conditioned", False):
        smoothness = None
    said = predict(network.module, *arrays, smoothness)
    if isinstance(network.module.architecture, AffineNet):
        return compose([affine(said.matrix[0].double().cpu().numpy(), grid), start]), ()
    strange = _strange(network, said)
    if network.inputs.start in BY_ENGINE and not _agrees_more(*arrays, said.displacement()[0].cpu().numpy()):
        return None, strange
    return compose([velocity(said.velocity[0].cpu().numpy(), grid, said.stride), start]), strange


def _agrees_more(fixed: NDArray, moving: NDArray, u: NDArray) -> bool:
    """Whether the first channels share more information after moving along u (D, *S), voxels, than before."""
    shared = loss("mi")
    moved = kernels.warp(moving[0], np.ascontiguousarray(u, np.float32))
    return bool(shared(fixed[0], moved) < shared(fixed[0], moving[0]))


def seen(network: Learned, image: Image, grid: Grid, transform: Transform | None = None) -> NDArray[np.float32]:
    """The channels of an image as the network wants them, (C, *grid.shape).

    Raises
    ------
    InputError : not as many as the network takes.
    """
    array = network.inputs.array(image, grid, transform)
    if len(array) != network.module.architecture.in_channels:
        raise InputError(f"the network {network.name} takes {network.module.architecture.in_channels} channels, and "
                         f"{', '.join(network.inputs.channels)} make {len(array)}: its file is damaged")
    return array


# ---------------------------------------------------------------- from voxels to mm
def velocity(voxels: NDArray, grid: Grid, stride: int = 1) -> Velocity:
    """A network's velocity (D, *ceil(grid.shape / stride)), in voxels of its own lattice, as a map in mm.

    Beyond the images it goes on, fading to nothing, so that no point of space is torn from its neighbour.
    """
    lattice = lattice_of(grid, stride)
    width = int(min(np.ceil(2 * np.abs(voxels).max(initial=0)) + 1, _FADE))
    wide = np.pad(voxels, [(0, 0)] + [(width, width)] * grid.dim, mode="edge") * _faded(lattice.shape, width)
    lattice = lattice.crop([-width] * grid.dim, np.array(lattice.shape) + width)
    return Velocity.from_array(np.tensordot(lattice.affine[:-1, :-1], wide, 1), lattice)


def lattice_of(grid: Grid, stride: int) -> Grid:
    """Every ``stride`` voxels of ``grid`` as one, from the first on."""
    matrix = np.diag([float(stride)] * grid.dim + [1.0])
    matrix[:-1, -1] = (stride - 1) / 2
    return Grid(tuple(-(-n // stride) for n in grid.shape), grid.affine @ matrix)


def affine(matrix: NDArray, grid: Grid) -> Affine:
    """A map of indices of ``grid`` to indices of ``grid``, (D+1, D+1), as a map in mm."""
    return Affine(grid.affine @ matrix @ grid.inverse_affine, grid.centre)


def _faded(shape: tuple[int, ...], width: int) -> NDArray[np.float32]:
    """1 on a lattice, falling to 0 over ``width`` voxels around it."""
    fade = np.ones(1, np.float32)
    for n in shape:
        ramp = np.arange(width, dtype=np.float32) / width
        fade = np.multiply.outer(fade, np.concatenate([ramp, np.ones(n, np.float32), ramp[::-1]]))
    return fade[0]


# ---------------------------------------------------------------- learned features
def _feature_channels(network: Learned, fixed: Image, moving: Image, start: Transform) -> tuple[Grid, list]:
    """The common grid, and both images' principal combinations of features on it with their shares of the variance."""
    grid = network.inputs.grid(fixed)
    described = [_described(network, seen(network, image, grid, along)) for image, along in ((fixed, None), (moving, start))]
    counted = onto(Scaled(np.ones(moving.grid.shape, np.float32), moving.grid, moving.mask), grid, start).mask
    axes, shares = _principal(np.concatenate([d.reshape(len(d), -1) for d in described], 1))
    one, other = (np.tensordot(axes, d, 1).astype(np.float32) for d in described)
    return grid, [(Scaled(a, grid), Scaled(b, grid, counted), share) for a, b, share in zip(one, other, shares, strict=True)]


def _described(network: Learned, array: NDArray) -> NDArray[np.float32]:
    """Features of the encoder's finest levels at every voxel, (C, *S)."""
    import torch

    with torch.inference_mode():
        levels = network.module.features(torch.from_numpy(array)[None].to(next(network.module.parameters()).device))
    grid = Grid(array.shape[1:], np.eye(array.ndim))
    arrays = [level[0].float().cpu().numpy() for level in levels[:_FEATURE_LEVELS]]
    return np.concatenate([_on(a, grid, 2 << number) for number, a in enumerate(arrays)])


def _on(values: NDArray, grid: Grid, stride: int) -> NDArray[np.float32]:
    """Features of every ``stride`` voxels of ``grid`` at all its voxels; beyond the outermost centres they go on."""
    wide = np.pad(values, [(0, 0)] + [(1, 1)] * grid.dim, mode="edge")
    lattice = lattice_of(grid, stride).crop([-1] * grid.dim, np.array(values.shape[1:]) + 1)
    return pull(wide, lattice, grid, Identity(grid.dim))


def _principal(values: NDArray) -> tuple[NDArray[np.float32], list[float]]:
    """The directions in which (C, N) vary most, (K, C), and their shares of the variance that they hold together."""
    some = values[:, :: max(values.shape[1] // 100_000, 1)].astype(np.float64)
    variances, axes = np.linalg.eigh(np.cov(some))
    kept = np.argsort(variances)[::-1][:_FEATURES]
    return axes[:, kept].T.astype(np.float32), (variances[kept] / variances[kept].sum()).tolist()


def _part(on_step: OnStep | None, low: float, high: float) -> OnStep | None:
    """An ``on_step`` for a stage that is the part ``low`` to ``high`` of the whole."""
    def passed(step: Step) -> None:
        on_step(replace(step, fraction=low + (high - low) * step.fraction))

    return passed if on_step is not None else None

