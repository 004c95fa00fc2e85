"""One step of a pipeline: an operation with what it takes, checked when it is made."""
from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..core import Image, Points, Transform, UsageError, VoxalignError
from ..core.errors import choose
from . import config
from .api import Result
from .methods import INITIAL
from .operations import STEPS, Judged, Picture, Scores
from .process import as_value, kinds_of, settings_of

Value = Image | Points | Transform | Scores | Picture

_KIND: dict[Any, str] = {Image: "image", Points: "points", Transform: "transform", Result: "transform", Scores: "scores",
                         Judged: "scores", Picture: "picture"}
_UNSET = ("on_step",)


@dataclass(frozen=True)
class Stage:
    """One step of a pipeline.

    Parameters
    ----------
    name : of its value.
    do : the operation, in `STEPS`.
    given : all other keys, as written.

    Raises
    ------
    UsageError : unknown operation or key, a setting of the wrong kind or missing.
    """

    name: str
    do: str
    given: Mapping[str, Any]

    def __post_init__(self) -> None:
        known = [*needs(choose(self.do, STEPS, f"operation of step {self.name}")), *settings(self.do)]
        for key in self.given:
            choose(key, known, f"key of step {self.name} ({self.do})")
        missing = [key for key, setting in settings(self.do).items() if setting.default is setting.empty and key not in self.given]
        if missing:
            raise UsageError(f"step {self.name} ({self.do}) needs {', '.join(f'{key}: ...' for key in missing)}; see voxalign run --list")
        assert self.settings is not None

    @property
    def makes(self) -> str:
        """The kind of its value."""
        return makes(self.do)

    @cached_property
    def takes(self) -> dict[str, str]:
        """The value that each of its parameters takes; one that is left out takes the value of its own name, unless it is optional."""
        return {key: str(self.given.get(key, key)) for key, need in needs(self.do).items()
                if key in self.given or need.default is need.empty}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Keywords of the operation in its own types."""
        known = settings(self.do)
        return {key: _setting(key, value, known[key], f"step {self.name}: {key}") for key, value in self.given.items() if key in known}

    def __call__(self, values: Mapping[str, Value | None], **more: Any) -> Value | Result:
        """The value, made of those of the pipeline; errors as of the operation, with the name of the step before them."""
        try:
            return STEPS[self.do](**{key: values[name] for key, name in self.takes.items()}, **self.settings, **more)
        except VoxalignError as error:
            raise type(error)(f"step {self.name} ({self.do}): {error}") from error


# -------------------------------------------------------------------- what operations take and make
def makes(name: str) -> str:
    """The kind of value an operation makes."""
    return _KIND[typing.get_type_hints(STEPS[name])["return"]]


def needs(name: str) -> dict[str, inspect.Parameter]:
    """The values an operation takes: its positional parameters, and settings that are images or points themselves."""
    function = STEPS[name]
    hints = typing.get_type_hints(function)
    return {key: parameter.replace(annotation=hints[key]) for key, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD or kind_of(hints[key])}


def settings(name: str) -> dict[str, inspect.Parameter]:
    """The settings an operation takes."""
    function = STEPS[name]
    known = {key: setting for key, setting in settings_of(function).items() if key not in _UNSET and not kind_of(setting.annotation)}
    free = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())  # keys of the configuration
    return known | ({key: inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=config.HINTS[key])
                     for key in config.KEYS} if free else {})


def kind_of(hint: Any) -> str | None:
    """The kind of value a parameter takes; None for settings."""
    return next((_KIND[kind] for kind in kinds_of(hint) if kind in _KIND), None)


def _setting(key: str, value: Any, known: inspect.Parameter, what: str) -> Any:
    if config.HINTS.get(key) is not known.annotation:
        return as_value(value, known.annotation, what)
    if key == "initial":
        return choose(str(value), INITIAL, "initial (a transform is given as 'start: NAME')")
    return config.checked(key, value)
