"""The classical method: initialise, then linear, then deformable, coarse to fine."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core import Field, Grid, Image, InputError, Transform, compose
from ..losses import Loss, loss
from ..transforms import Affine, Rigid, Similarity
from ..transforms.linear import Linear
from . import deformable, discrete, initialise, linear, modality, similarity, symmetric
from .adapted import Adapted
from .descent import RULES
from .device import best_effort, name
from .guide import Guide
from .prepare import Scaled, canonical, common_grid, onto, scale
from .presets import PRESETS, suited
from .result import OnStep, Registration, Step
from .settings import Settings
from .similarity import Term

_COARSE = 32  # voxels across the fixed image at the coarsest linear level
_ACROSS_MASK = 8  # ... and across what its mask leaves of it, at least
_LINEAR_LEVELS = 3
_LINEAR_STEPS = 30
_LINEAR_RADIUS = 2
STEPS = (20, 20, 20, 10)  # of the deformable levels, coarse to fine
WINDOWS = (2, 2, 2, 2, 2, 2, 4, 4)  # radii, likewise
_NARROW = (2,)  # ... of images that look like each other: phantom T1 to T2 .97 mm for 1.03
_EDGE = 0.02  # gradient of a voxel, in parts of the intensity range, above which it counts as an edge
_LINEAR_SHARE = 0.25  # of the work, for progress
_NOISE = 0.1  # that LNCC allows for where much can move
_WIDE = 6  # radius from which on windows about every second voxel are enough: brain Dice .8013 at .446 for .8012 at .445
_ACROSS = ("mi", "nmi", "mind")  # losses across modalities
_STIFFER = 2.0  # smoothness for them (phantom: T1 to T2 1.2 mm for 1.35)
_BENT = similarity.terms(PRESETS["multimodal"]["loss"])  # by a deformation, across modalities
P = TypeVar("P", deformable.Progress, symmetric.Progress)


def register(fixed: Image, moving: Image, settings: Settings | None = None, initial: Transform | None = None,
             on_step: OnStep | None = None, guide: Guide | None = None) -> Registration:
    """Align ``moving`` to ``fixed``.

    Parameters
    ----------
    fixed, moving : images of one dimension; sizes, spacings, orientations and fields of view may all differ. Masks count.
    settings : see `Settings`.
    initial : a known start, fixed mm -> moving mm; it replaces ``settings.initial``. A linear one is improved by the linear
        stages; any other is kept, and what is found is composed with it.
    on_step : called after every step; whatever it raises ends the registration.
    guide : labels, points and regions that take part in a deformable registration.

    Returns
    -------
    Registration, whose transform maps fixed points to moving points in mm.

    Raises
    ------
    InputError : dimensions differ, an image is constant, nothing counts.
    """
    if fixed.dim != moving.dim:
        raise InputError(f"fixed image is {fixed.dim}-D and moving image is {moving.dim}-D: expected two of one dimension")
    settings = settings or Settings()
    looks = suited(fixed, moving)
    both = settings.direction == "symmetric"
    if both and (guide is not None or settings.begin != "zero" or settings.optimiser in RULES):
        raise InputError("direction 'symmetric' was given with labels, points or regions that take part, a discrete beginning or a "
                         "first-order optimiser: expected none of them, or direction 'forward'")

    def align(device: str) -> Registration:
        run = _Run(scale(fixed, device), scale(moving, device), settings, on_step, guide or Guide(), looks)
        transform = run.halfway(initial, canonical((fixed, moving))[0] == 1) if both else run.align(initial)
        return Registration(transform, fixed.grid, moving.grid, tuple(run.history), tuple(run.notes), name(device), run.confidence)

    return best_effort(align, settings.device if guide is None else "cpu")  # what guides is NumPy


@dataclass(eq=False)
class _Run:
    """One registration while it goes on: the two images, and what happened so far."""

    fixed: Scaled
    moving: Scaled
    settings: Settings
    on_step: OnStep | None
    guide: Guide
    looks: tuple[str, str]  # the preset for what the images show, and why
    history: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    confidence: float | None = None
    regular: Callable[[float], deformable.Regularity] = deformable.Regularity.of  # of a smoothness
    _features: dict[str | None, tuple[Scaled, Scaled]] = field(default_factory=dict)

    def align(self, initial: Transform | None) -> Transform:
        """The whole way."""
        known = _as_linear(initial, self.fixed.grid) if initial is not None else None
        if initial is not None and known is None:
            self.notes.append("the initial transform is not linear: it is kept, and only a deformation is added to it")
            found, self.terms = initial, self._choose_terms(initial)
        else:
            found = self._linear(known if known is not None else self._start())
        if self.settings.transform != "deformable":
            return found
        self._look_closer(found)
        if self.settings.begin == "discrete":
            found = compose([self._far(found), found])
        return compose([self._deformable(found), found])

    def halfway(self, initial: Transform | None, swap: bool) -> Transform:
        """The whole way with neither image preferred, begun from the moving one if ``swap``, so that their order does not matter."""
        grid = deformable.working_image(self.fixed, self.settings.spacing).grid
        if swap:
            self.fixed, self.moving = self.moving, self.fixed
        met = self._met(initial.inverse() if swap and initial is not None else initial)
        met = met.swapped() if swap else met
        return compose([met.deformation(grid), met.linear]) if self.settings.transform == "deformable" else met.linear

    def _met(self, initial: Transform | None) -> symmetric.Meeting:
        """Both images, linearly, then deformed until they meet."""
        start = _as_linear(initial, self.fixed.grid) if initial is not None else self._start()
        if start is None:
            raise InputError("direction 'symmetric' was given with an initial transform that is not linear: expected a linear one, "
                             "or direction 'forward'")
        there = self._linear(start)
        other = replace(self, fixed=self.moving, moving=self.fixed, notes=[], _features={})
        poses = symmetric.halves(symmetric.mean_linear(there, other._linear(there.inverse())))
        if self.settings.transform != "deformable":
            return symmetric.Meeting(poses)
        self._look_closer(there)
        grid = common_grid((self.fixed, self.moving), poses, self.settings.spacing)
        channels = [self._halfway_channel(term, grid, poses) for term in self._bending_terms()]
        steps = self._steps_per_level(grid)
        regularity = self.regular(self._smoothness())
        last = self._told(symmetric.optimise(channels, steps, regularity), steps, grid)
        return symmetric.Meeting(poses, tuple(deformable.as_transform(u, last.grid) for u in last.displacements))

    # ---------------------------------------------------------------- linear
    @property
    def _coarse(self) -> float:
        """Voxels (mm) of the coarsest linear level: few across the image, but some across what counts of it."""
        return min(float(self.fixed.grid.extent.max()) / _COARSE, self.fixed.breadth / _ACROSS_MASK)

    def _levels(self, number: int, affine: bool) -> list[linear.Level]:
        """What is compared at a linear level, coarse to fine from 0."""
        spacing = self._coarse / 2**number
        levels = []
        for term in self.terms:
            fixed, moving = (image.at(spacing) for image in self._described(term))
            levels.append(linear.Level(fixed, moving, self._linear_loss(term, fixed.grid, number if affine else None), term.weight))
        return levels

    def _described(self, term: Term) -> tuple[Scaled, Scaled]:
        """What a term compares: the images, or a feature of both, which is computed once."""
        if term.feature not in self._features:
            finest = float(self.fixed.grid.spacing.min()) if self.settings.spacing is None else self.settings.spacing
            self._features[term.feature] = tuple(similarity.described(image, term.feature, finest) for image in (self.fixed, self.moving))
        return self._features[term.feature]

    def _start(self) -> Linear:
        """The first position, by the way asked for."""
        if self.settings.initial != "search":
            return initialise.start(self.fixed, self.moving, {"none": "headers"}.get(self.settings.initial, self.settings.initial))
        start, found = initialise.searched(self.fixed, self.moving, self.settings.transform != "rigid")
        self._step("search", 0, 0, -found.score, 0.05, self.fixed.grid)
        self.confidence = found.confidence
        trusted = found.confidence >= initialise.TRUSTED or initialise.overlap(self.fixed, self.moving) < 0.5
        self.notes += initialise.remarks(found, trusted)
        return start if trusted else initialise.start(self.fixed, self.moving, "headers")

    def _linear(self, start: Linear) -> Linear:
        """Rigid first, then the model asked for."""
        self.terms = self._choose_terms(start)
        model = linear.MODELS["affine" if self.settings.transform == "deformable" else self.settings.transform]
        stages = [(model, k) for k in range(_LINEAR_LEVELS)]
        if type(start) in (Rigid, Similarity) and model is not type(start):
            stages.insert(0, (type(start), 0))
        share = _LINEAR_SHARE if self.settings.transform == "deformable" else 1.0
        for done, (family, number) in enumerate(stages):
            levels = self._levels(number, family is Affine)
            begin = start if isinstance(start, family) else linear.promote(start, family)
            part = share * (0.05 + 0.95 * (done + 1) / len(stages))
            for iteration, (improved, value) in enumerate(linear.optimise(levels, begin, _LINEAR_STEPS, self.settings.optimiser)):
                start = improved
                self._step(family.__name__.lower(), number, iteration, value, part, levels[0].fixed.grid)
        return start

    # ---------------------------------------------------------------- deformable
    def _far(self, start: Transform) -> Transform:
        """A coarse deformation before ``start``, for what moves far."""
        fixed = deformable.working_image(self.fixed, self.settings.spacing)
        return deformable.as_transform(*discrete.start(fixed, onto(self.moving, fixed.grid, start)))

    def _deformable(self, start: Transform) -> Transform:
        """The deformation before ``start`` that brings the images together."""
        fixed = deformable.working_image(self.fixed, self.settings.spacing)
        grid, steps = fixed.grid, self._steps_per_level(fixed.grid)
        channels = [self._channel(term, fixed, start) for term in self._bending_terms()] + self.guide.channels(grid, start, len(steps))
        regularity = self.regular(self._smoothness())
        del self.fixed, self.moving, self._features  # large, and not needed any more
        going = deformable.optimise(channels, steps, regularity, self.guide.constraints(start), self.settings.optimiser)
        last = self._told(going, steps, grid)
        return deformable.as_transform(last.displacement, last.grid)

    def _steps_per_level(self, grid: Grid) -> list[int]:
        """Of a deformation on ``grid``, coarse to fine."""
        return per_level(self.settings.iterations or PRESETS[self.looks[0]].get("iterations", STEPS), len(deformable.levels(grid)))

    def _told(self, steps_done: Iterable[P], steps: Sequence[int], grid: Grid) -> P:
        """The last of the steps of a deformation on ``grid``, all of them reported."""
        work = np.cumsum([n / s**grid.dim for n, s in zip(steps, deformable.levels(grid), strict=True)])
        share = _LINEAR_SHARE if self.history else 0.0
        progress = None
        for progress in steps_done:
            before = work[progress.level - 1] if progress.level else 0.0
            part = (before + (work[progress.level] - before) * (progress.iteration + 1) / steps[progress.level]) / work[-1]
            self._step("deformable", progress.level, progress.iteration, progress.loss, share + (1 - share) * part, progress.grid)
        return progress

    def _channel(self, term: Term, working: Scaled, start: Transform) -> deformable.Channel:
        """What a term compares on the grid of ``working``, the part of the fixed image that is worked on."""
        fixed, moving = self._described(term)
        fixed = onto(fixed, working.grid, None) if term.feature in similarity.FEATURES else working
        return self._compared(term, fixed, onto(moving, working.grid, start))

    def _halfway_channel(self, term: Term, grid: Grid, poses: tuple[Linear, Linear]) -> deformable.Channel:
        """The same on a grid in the middle of the images, laid there by ``poses``."""
        fixed, moving = (onto(image, grid, pose) for image, pose in zip(self._described(term), poses, strict=True))
        return self._compared(term, fixed, moving)

    def _compared(self, term: Term, fixed: Scaled, moving: Scaled) -> deformable.Channel:
        return (Adapted if term.adapted else deformable.Channel)(fixed, moving, self._losses(term, fixed), term.weight)

    def _losses(self, term: Term, fixed: Scaled) -> list[Loss]:
        """One a level, coarse to fine."""
        spacings = deformable.levels(fixed.grid)
        usual = _NARROW if term.adapted else PRESETS[self.looks[0]].get("window", WINDOWS)
        radii = per_level(self.settings.window or usual, len(spacings))
        return [(bending_lncc if term.loss == "lncc" else partial(_loss, term.loss))(fixed.at(s).grid, radius)
                for s, radius in zip(spacings, radii, strict=True)]

    # ---------------------------------------------------------------- choices and reports
    def _choose_terms(self, start: Transform) -> tuple[Term, ...]:
        """The losses asked for, with the one that suits the two images for ``auto``."""
        asked = similarity.terms(self.settings.loss)
        if not any(term.loss == "auto" for term in asked):
            return asked
        chosen = self._choose_loss(start)
        return tuple(replace(term, loss=chosen) if term.loss == "auto" else term for term in asked)

    def _bending_terms(self) -> tuple[Term, ...]:
        """What the deformation minimises: where the choice is ours, more than mutual information, which bends what the other image hardly
        shows."""
        ours = self.settings.loss == "auto" and self.terms == (Term("mi"),)
        return _BENT if ours else self.terms

    def _choose_loss(self, start: Transform) -> str:
        """The loss that suits the two images."""
        look = modality.likeness_anywhere if self.confidence is None else modality.likeness  # a search was done: once is enough
        alike = look(self.fixed, self.moving, start, self._coarse)
        name, kind = ("lncc", "one modality") if alike > modality.ONE else ("mi", "two modalities")
        more = f" (for the deformation {_spelled(_BENT)})" if name == "mi" and self.settings.transform == "deformable" else ""
        self.notes.append(f"loss {name} chosen{more}: the images look like {kind} (likeness {alike:.2f})")
        return name

    def _look_closer(self, start: Transform) -> None:
        """What can be told only when the images lie on each other: whether they are of one modality all the same, and of one body."""
        ours = self.settings.loss == "auto" and self.terms == (Term("lncc"),)
        if ours and modality.two_after_all(self.fixed, self.moving, start, self._coarse / 2):
            self.terms = (Term("mi"),)
            self.notes.append(f"loss {_spelled(_BENT)} for the deformation: looked at closely, the images are of two modalities")
        if one := self._one_body(start):
            self.looks, self.regular = ("follow-up", one), deformable.Regularity.one_body

    def _one_body(self, start: Transform) -> str:
        """What the images show if one body is seen twice: by their likeness, or of two modalities, as people seldom have but one each; else
        nothing."""
        if self.settings.body != "auto":
            return "one body twice" if self.settings.body == "one" else ""
        if any(term.adapted for term in self._bending_terms()):
            return "what is taken for one body"
        told_by_nothing_else = self.terms == (Term("lncc"),) and self.looks[0] in ("default", "brain")
        alike = told_by_nothing_else and modality.likeness(self.fixed, self.moving, start, self._coarse) > modality.SAME
        return "one body twice" if alike else ""

    def _smoothness(self) -> float:
        """The smoothness asked for, or the one that suits what the images show."""
        if self.settings.smoothness is not None:
            return self.settings.smoothness
        name, why = self.looks
        smoothness = float(PRESETS[name].get("smoothness", 1.0))
        if any(term.loss in _ACROSS or term.adapted for term in self.terms):  # less is known of where things belong
            smoothness, why = max(smoothness, _STIFFER), f"{why}, in two modalities"
        self.notes.append(f"smoothness {smoothness:g} chosen (preset {name!r}): the images show {why}")
        return smoothness

    def _linear_loss(self, term: Term, grid: Grid, level: int | None) -> Loss:
        """The loss of an affine level, or of a rigid one (None).

        Where the choice is ours and the modality one, coarse affine levels align edges and the finest small windows: between people that
        agrees better with anatomy than windows throughout (mean Dice of 30 brain labels .648 against .641; mice .845 against .843). One
        body seen twice is another matter: there windows throughout are more exact (a known shift of a slice: .04 against .1 mm).
        """
        if term.adapted:
            return _loss("mi", grid, _LINEAR_RADIUS)
        if self.settings.loss != "auto" or term.loss != "lncc" or level is None:
            return _loss(term.loss, grid, _LINEAR_RADIUS)
        if level < _LINEAR_LEVELS - 1:
            return loss("ngf", edge=_EDGE, spacing=tuple(grid.spacing / grid.spacing.min()))
        return _loss(term.loss, grid, 1)

    def _step(self, stage: str, level: int, iteration: int, value: float, fraction: float, grid: Grid) -> None:
        step = Step(stage, level, iteration, float(value), min(fraction, 1.0), float(grid.spacing.min()))
        self.history.append(step)
        if self.on_step is not None:
            self.on_step(step)


def _spelled(terms: Iterable[Term]) -> str:
    return " + ".join(map(str, terms))


def bending_lncc(grid: Grid, radius: int) -> Loss:
    """LNCC as it is best where much can move: soft windows, which know how well they fit."""
    radii = _isotropic(radius, grid)
    return loss("lncc", radius=radii, window="gaussian", noise=_NOISE, stride=tuple(2 if r >= _WIDE else 1 for r in radii))


def _loss(name: str, grid: Grid, radius: int) -> Loss:
    """The loss with windows as wide in mm along every axis as voxels allow."""
    windows = {"lncc": {"radius": radius}, "ssim": {"radius": radius}, "mind": {"radius": 1, "dilation": 2}}
    settings: dict = {key: _isotropic(r, grid) for key, r in windows.get(name, {}).items()}
    if name == "ngf":
        settings["spacing"] = tuple(grid.spacing / grid.spacing.min())
    return loss(name, **settings)


def _isotropic(radius: int, grid: Grid) -> tuple[int, ...]:
    """``radius`` voxels of the smallest spacing, as voxels along each axis: at least 1, 0 where there is but one voxel."""
    aspect = grid.spacing.min() / grid.spacing
    return tuple(max(round(radius * a), 1) if n > 1 else 0 for a, n in zip(aspect, grid.shape, strict=True))


def _as_linear(transform: Transform, grid: Grid) -> Linear | None:
    """``transform`` as one rigid or affine matrix about the middle of ``grid``; None if it is not linear."""
    parts = transform.parts()
    if parts is None or any(isinstance(part, Field) for part in parts):
        return None
    matrix: NDArray = np.eye(grid.dim + 1)
    for part in parts:
        matrix = part @ matrix
    try:
        return Rigid(matrix, grid.centre)
    except InputError:
        return linear.MODELS["affine"](matrix, grid.centre)


def per_level(iterations: Sequence[int], levels: int) -> list[int]:
    """Entries of each level, coarse to fine: the last one serves all finer ones, and levels that are missing are coarse ones."""
    steps = list(iterations)
    return (steps + steps[-1:] * levels)[:levels] if len(steps) < levels else steps[-levels:]
