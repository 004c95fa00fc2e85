"""``vx.register``: any two images in, one result out."""
from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import io
from ..core import Image, InputWarning, Points, Transform, kernels, resample
from ..judge import Uncertainty, Verdict, deformation_scores, judge, uncertainty
from ..nn.translate import translate
from ..register import Guide, Registration, Settings
from ..register.result import OnStep, Step
from .checks import check_image, check_pair, labelled, masked
from .config import Configuration, configure
from .methods import method_named
from .resources import within_memory

if TYPE_CHECKING:
    from ..judge.explain import Explanation


@dataclass(frozen=True)
class Result:
    """A registration with the images it was made of.

    Parameters
    ----------
    registration : what the method returned.
    fixed, moving : the two images.
    configuration : all choices.
    warnings : what was odd about the inputs, one sentence each.
    seconds : by stage.
    masked : the two images with their masks, as the method saw them, where that is not how they were given.
    """

    registration: Registration
    fixed: Image
    moving: Image
    configuration: Configuration
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    masked: tuple[Image, Image] | None = None

    @property
    def transform(self) -> Transform:
        """Fixed points (mm) -> moving points (mm)."""
        return self.registration.transform

    @property
    def inverse(self) -> Transform:
        """Moving points (mm) -> fixed points (mm)."""
        return self.registration.inverse

    @cached_property
    def moved(self) -> Image:
        """The moving image on the fixed grid."""
        return resample(self.moving, self.fixed.grid, self.transform)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """``folded_percent``, ``sd_log_jacobian`` and ``inverse_error_mm`` of the transform over the fixed image."""
        return deformation_scores(self.registration, self.fixed)

    @cached_property
    def verdict(self) -> Verdict:
        """Whether it worked, judged without ground truth."""
        return judge(self.registration, *(self.masked or (self.fixed, self.moving)))

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """How far off it may be in every place, and what it stands on; see ``expected_error`` and ``evidence``."""
        return uncertainty(self.registration, self.verdict, *(self.masked or (self.fixed, self.moving)))

    @property
    def expected_error(self) -> Image:
        """The error to be expected in every place of the fixed body, mm, on a coarse grid; meant for results that are not FAIL."""
        return self.uncertainty.expected

    @property
    def evidence(self) -> Image:
        """0 to 1: how clearly the images say where a place belongs; low where smoothness alone decides."""
        return self.uncertainty.evidence

    def warned(self, messages: Iterable[str]) -> Result:
        """The same with these warnings; what has been worked out of it stays so."""
        other = replace(self, warnings=tuple(messages))
        vars(other).update({name: value for name, value in vars(self).items() if name not in vars(other)})  # the cached properties
        return other

    def apply(self, moving: Any, interpolation: str | None = None) -> Image | Points:
        """Bring images or labels of the moving space onto the fixed grid; push fixed `Points` to the moving space.

        Takes what `register` takes. ``interpolation`` is ``linear``, ``nearest``, ``cubic`` or ``label``; by default labels, and what
        looks like labels, are not blended.
        """
        if isinstance(moving, Points):
            return self.registration.apply(moving)
        image = labelled(io.as_image(moving), interpolation, "the image to apply the transform to")
        return self.registration.apply(image, interpolation)

    def explain(self, trials: int = 4) -> Explanation:
        """How far answers to the same question lie apart, and what made a network move what it moved most.

        Takes as long as ``trials`` registrations; see `judge.explain.Explanation`.
        """
        from .explain import explain

        return explain(self, trials)

    def report(self, path: str | Path, explanation: Explanation | None = None) -> Path:
        """Write the report, one HTML file that needs no network, with what `explain` said if that is given; the path written."""
        from .page import write_report

        return write_report(self, path, explanation)

    def __repr__(self) -> str:
        settings, grid = self.configuration.settings, self.fixed.grid
        lines = [f"Result({settings.transform}, {self.configuration.method}, {sum(self.seconds.values()):.1f} s)",
                 f"  fixed   {grid!r}", f"  moving  {self.moving.grid!r}"]
        lines += [f"  note    {note}" for note in self.registration.notes]
        lines += [f"  warning {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from html import escape

        from ..report import overlay_uri

        return f'<img src="{overlay_uri(self.fixed, self.moved)}" alt="fixed and moved"><pre>{escape(repr(self))}</pre>'


def register(fixed: Any, moving: Any, *, initial: str | Path | Transform | None = None, fixed_mask: Any = None,
             moving_mask: Any = None, settings: Settings | None = None, on_step: OnStep | None = None, guide: Guide | None = None,
             **choices: Any) -> Result:
    """Align ``moving`` to ``fixed``.

    Parameters
    ----------
    fixed, moving : `Image`, path, NumPy array (1 mm voxels), nibabel or SimpleITK image.
    initial : how to find the first position (``search``, ``headers``, ``centres``, ``moments``, ``none``), or a transform or
        its file to start from.
    fixed_mask, moving_mask : images whose voxels above 0 count, on any grid.
    settings : choices to start from instead of the defaults.
    on_step : called with every `Step`; may raise to stop.
    guide : labels, points and regions that take part in the deformation.
    choices : ``preset``, ``method``, ``transform``, ``loss`` and any other field of `Settings` or `Configuration`.

    Raises
    ------
    UsageError : unknown names or values out of range.  InputError : images that cannot be used.
    """
    configuration = configure(choices | {"initial": None if isinstance(initial, Transform) else initial}, base=settings)
    with collected() as messages:
        images, masks = (io.as_image(fixed), io.as_image(moving)), (_mask(fixed_mask), _mask(moving_mask))
        pair = prepare(images, masks, configuration)
        configuration = affordable(pair, configuration)
        start = initial if isinstance(initial, Transform) else start_of(configuration, pair.fixed.dim)
    for message in messages:
        warnings.warn(message, InputWarning, stacklevel=2)
    return align(pair, configuration, start, on_step, guide=guide).warned(messages)


@dataclass(frozen=True)
class Pair:
    """Two images that were looked at and can be registered.

    Parameters
    ----------
    fixed, moving : as given.
    masked : the same two with their masks: what the method sees.
    """

    fixed: Image
    moving: Image
    masked: tuple[Image, Image]


def prepare(images: tuple[Image, Image], masks: tuple[Image | None, Image | None], configuration: Configuration,
            names: tuple[str, str] = ("fixed", "moving")) -> Pair:
    """A `Pair` of two images (fixed, moving), after looking at everything that would make a registration fail or be odd.

    Raises
    ------
    InputError : see `checks`; messages call the images by ``names``.
    """
    for image, name in zip(images, names, strict=True):
        check_image(image, name)
    check_pair(*images, "file" if configuration.initial_file else configuration.settings.initial)
    both = (masked(image, mask, f"{name} mask") for image, mask, name in zip(images, masks, names, strict=True))
    return Pair(*images, tuple(both))


def affordable(pair: Pair, configuration: Configuration) -> Configuration:
    """The configuration with a working resolution that fits into memory; says what it changes.

    Raises
    ------
    ResourceError : even on a coarse grid it does not fit.
    """
    settings = within_memory(*pair.masked, configuration.settings, configuration.max_memory, configuration.method)
    return replace(configuration, settings=settings)


def align(pair: Pair, configuration: Configuration, initial: Transform | None = None, on_step: OnStep | None = None,
          clock: Clock | None = None, guide: Guide | None = None) -> Result:
    """Run the configured method on a checked pair; its stages are charged to ``clock``."""
    clock = clock or Clock()
    kernels.set_threads(configuration.threads or None)
    method = method_named(configuration.method)
    registration = method(*_as_seen(pair, configuration.settings), configuration.settings, initial, clock.listening(on_step), guide)
    clock.mark("finish")
    return Result(registration, pair.fixed, pair.moving, configuration, seconds=clock.seconds, masked=pair.masked)


def _as_seen(pair: Pair, settings: Settings) -> tuple[Image, Image]:
    """The two images that a method aligns."""
    fixed, moving = pair.masked
    return (fixed, translate(moving, weights=settings.translate)) if settings.translate else (fixed, moving)


def start_of(configuration: Configuration, dim: int) -> Transform | None:
    """The transform to start from, if a file was named."""
    return io.load_transform(configuration.initial_file, dim) if configuration.initial_file else None


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect what is said about inputs (each sentence once) instead of printing it; the list fills as things are said."""
    messages: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        show = warnings.showwarning

        def keep(message: Any, category: type[Warning], *rest: Any) -> None:
            if not issubclass(category, InputWarning):
                show(message, category, *rest)
            elif str(message) not in messages:
                messages.append(str(message))

        warnings.showwarning = keep
        yield messages


class Clock:
    """Seconds by stage: each `mark` names what the time since the last one was spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        """Charge the time since the last mark to ``stage``."""
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self._last, 3)
        self._last = now

    def listening(self, on_step: OnStep | None) -> OnStep:
        """An ``on_step`` that charges every step to its stage and passes it on."""
        def listen(step: Step) -> None:
            self.mark(step.stage)
            if on_step:
                on_step(step)
        return listen


def _mask(mask: Any) -> Image | None:
    return None if mask is None else io.as_image(mask)

