"""Pipelines: named steps in a readable file, checked whole before anything is computed.

    inputs:  {fixed: image, moving: image}
    steps:
      even:    {do: correct_bias, image: fixed}
      aligned: {do: register, fixed: even, transform: rigid}
      moved:   {do: apply, image: moving, transform: aligned, onto: fixed}
    results: [aligned, moved]

What a step needs (``image: fixed``) names an input or an earlier step; everything else in it is a setting.
"""
from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from .. import io
from ..core import InputError, InputWarning, Points, Transform, UsageError
from ..core.errors import choose
from ..io.atomic import plain
from ..register.result import OnStep
from ..register.result import Step as Progress
from . import config
from .api import Clock, Result, collected
from .checks import check_image
from .operations import STEPS, Judged, Scores
from .stage import Stage, Value, kind_of, needs

KINDS = ("image", "labels", "points", "transform")
"""What an input may be."""

_KEYS = ("about", "inputs", "optional", "steps", "results")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Pipeline:
    """Steps from inputs to results.

    Parameters
    ----------
    inputs, optional : name -> kind, one of `KINDS`; steps that need an optional input that is not given are left out.
    steps : in the order they are done.
    results : what is wanted; by default every value that no other step takes.
    about : what it is for.

    Raises
    ------
    UsageError : names that do not exist, come twice or are of another kind than a step needs.
    """

    inputs: Mapping[str, str]
    steps: tuple[Stage, ...]
    optional: Mapping[str, str] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    about: str = ""

    def __post_init__(self) -> None:
        kinds: dict[str, str] = {}
        for name, kind in [*self.inputs.items(), *self.optional.items()]:
            _check_new(name, kinds)
            kinds[name] = choose(str(kind), KINDS, f"kind of input {name}")
        for stage in self.steps:
            _check_new(stage.name, kinds)
            _check_fits(stage, kinds)
            kinds[stage.name] = stage.makes
        if not self.steps:
            raise UsageError("pipeline without steps: expected at least one, such as 'aligned: {do: register}'")
        for name in self.results:
            choose(name, [stage.name for stage in self.steps], "result")
        taken = {name for stage in self.steps for name in stage.takes.values()}
        object.__setattr__(self, "results", self.results or tuple(stage.name for stage in self.steps if stage.name not in taken))

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Pipeline:
        """The pipeline that a file describes; errors as of `Pipeline` and `Stage`."""
        for key in content:
            choose(str(key), _KEYS, "key of a pipeline")
        parts = {key: _mapping(content.get(key), key) for key in ("inputs", "optional", "steps")}
        results = content.get("results") or ()
        if isinstance(results, str) or not isinstance(results, Sequence):
            raise UsageError(f"results is {results!r}: expected names of steps, such as [moved, scores]")
        steps = tuple(_stage(str(name), _mapping(given, f"step {name}")) for name, given in parts["steps"].items())
        return cls(parts["inputs"] or {"fixed": "image", "moving": "image"}, steps, parts["optional"], tuple(map(str, results)),
                   " ".join(str(content.get("about") or "").split()))

    def as_dict(self) -> dict[str, Any]:
        """What `of` takes, in the types that YAML and JSON have."""
        steps = {stage.name: {"do": stage.do, **plain(dict(stage.given))} for stage in self.steps}
        return {"about": self.about, "inputs": dict(self.inputs), "optional": dict(self.optional), "steps": steps,
                "results": list(self.results)}

    def with_settings(self, assignments: Iterable[str]) -> Pipeline:
        """The same with some settings changed, each as ``STEP.KEY=VALUE``.

        Raises
        ------
        UsageError : not of that form, or as of `Stage`.
        """
        content = self.as_dict()
        for text in assignments:
            path, value = config.assignment(text)
            name, dot, key = path.partition(".")
            if not dot:
                raise UsageError(f"--set {text!r}: expected STEP.KEY=VALUE, for example {self.steps[0].name}.seed=1")
            content["steps"][choose(name, content["steps"], "step")][key] = value
        return Pipeline.of(content)

    def __call__(self, *, keep: bool = False, on_step: OnStep | None = None, **inputs: Any) -> Finished:
        """Run all steps.

        Parameters
        ----------
        keep : whether the values between are returned too; else they are forgotten as soon as no step takes them any more.
        on_step : called with the progress; may raise to stop.
        inputs : by name; whatever `vx.register` takes, `Points`, transforms, or files of all of these.

        Raises
        ------
        UsageError : an input is missing or unknown.  Errors of the steps name the step.
        """
        self.check_inputs(inputs)
        with collected() as messages:
            given = {name: as_kind(thing, self.kind(name), name) for name, thing in inputs.items() if thing is not None}
            finished = self.run(given, keep, on_step)
        for message in messages:
            warnings.warn(message, InputWarning, stacklevel=2)
        return replace(finished, warnings=tuple(messages))

    def check_inputs(self, names: Iterable[str]) -> None:
        """Refuse inputs that are missing or unknown (UsageError)."""
        names = list(names)
        for name in names:
            choose(name, [*self.inputs, *self.optional], "input")
        missing = [f"{name} ({kind})" for name, kind in self.inputs.items() if name not in names]
        if missing:
            raise UsageError(f"the pipeline needs {', '.join(missing)}; give it as -f, -m or --input NAME=FILE")

    def kind(self, name: str) -> str:
        """What an input is."""
        return {**self.inputs, **self.optional}[name]

    def run(self, given: Mapping[str, Value], keep: bool = False, on_step: OnStep | None = None) -> Finished:
        """The same as calling it, with inputs that are values already."""
        made, notes, failed, clock = _Given(given), [], [], Clock()
        doable = [stage for stage in self.steps if self._can(stage, given)]
        notes += [f"step {stage.name} left out: it needs an input that was not given" for stage in self.steps if stage not in doable]
        for number, stage in enumerate(doable):
            made[stage.name], said = _result(stage(made, **_listening(stage, number, len(doable), on_step)))
            failed += [stage.name] if isinstance(made[stage.name], Judged) and made[stage.name].verdict.failed else []
            notes += [f"{stage.name}: {note}" for note in said]
            clock.mark(stage.name)
            made = made if keep else self._still_needed(made, doable[number + 1:])
        wanted = [stage.name for stage in doable if keep or stage.name in self.results]
        return Finished({name: made[name] for name in wanted}, tuple(notes), seconds=clock.seconds, failed=tuple(failed))

    def _can(self, stage: Stage, values: Mapping[str, Value]) -> bool:
        """Whether everything it cannot do without was given, or is made by a step that can be done."""
        needed = [name for key, name in stage.takes.items() if needs(stage.do)[key].default is inspect.Parameter.empty]
        makers = {other.name: other for other in self.steps}
        return all(name in values or (name in makers and self._can(makers[name], values)) for name in needed)

    def _still_needed(self, made: Mapping[str, Value], after: Sequence[Stage]) -> _Given:
        names = {name for stage in after for name in stage.takes.values()} | set(self.results)
        return _Given({name: value for name, value in made.items() if name in names})


@dataclass(frozen=True)
class Finished:
    """What a pipeline came to.

    Parameters
    ----------
    values : by the name of the step.
    notes : what was chosen on the way.
    warnings : what was odd about the inputs.
    seconds : by step.
    failed : names of the steps whose verdict is FAIL, among the results or not.
    """

    values: dict[str, Value]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    failed: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Value:
        return self.values[choose(name, self.values, "result")]

    @property
    def scores(self) -> dict[str, Scores]:
        """All numbers, by the name of the step."""
        return {name: value for name, value in self.values.items() if isinstance(value, Scores)}


class _Given(dict):
    """Values by name; None for an optional one that is not there."""

    def __missing__(self, name: str) -> None:
        return None


# -------------------------------------------------------------------- files and names
def pipeline(source: str | Path | Mapping[str, Any]) -> Pipeline:
    """A pipeline by the name of a ready one, from a YAML file, or from a mapping with the same keys.

    Raises
    ------
    UsageError : an unknown name, or as of `Pipeline`.  InputError : no such file.  SecurityError : the file asks for Python objects.
    """
    if isinstance(source, Mapping):
        return Pipeline.of(source)
    if str(source) in ready():
        with resources.as_file(_HOME / f"{source}.yaml") as path:
            return Pipeline.of(config.read(path))
    if Path(source).is_file() or Path(source).suffix:
        return Pipeline.of(config.read(source))
    choose(str(source), ready(), "pipeline")
    raise AssertionError


def ready() -> list[str]:
    """Names of the pipelines that come with voxalign."""
    return sorted(path.name.removesuffix(".yaml") for path in _HOME.iterdir() if path.name.endswith(".yaml"))


_HOME = resources.files("voxalign.run") / "pipelines"


# -------------------------------------------------------------------- checks and conversions
def _mapping(value: Any, what: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise UsageError(f"{what} is {value!r}: expected lines such as 'key: value'")
    return {str(key): item for key, item in (value or {}).items()}


def _stage(name: str, given: dict[str, Any]) -> Stage:
    if "do" not in given:
        raise UsageError(f"step {name} does nothing: expected 'do: ' and one of the operations; see voxalign run --list")
    return Stage(name, str(given.pop("do")), given)


def _check_new(name: str, kinds: Mapping[str, str]) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(f"name {name!r}: expected letters, digits and _, beginning with a letter (it becomes the name of a file)")
    if name in kinds:
        raise UsageError(f"name {name!r} is given twice, expected another for each input and step")


def _check_fits(stage: Stage, kinds: Mapping[str, str]) -> None:
    """Refuse a stage that takes what is not there, or is of another kind."""
    for key, name in stage.takes.items():
        wanted = kind_of(needs(stage.do)[key].annotation)
        choose(name, kinds, f"value that step {stage.name} takes as {key}")
        found = "image" if kinds[name] == "labels" else kinds[name]
        if found != wanted:
            raise UsageError(f"step {stage.name} ({stage.do}): {key} is {name}, which is {found}; expected {wanted}")


def _result(value: Value | Result) -> tuple[Value, tuple[str, ...]]:
    """The value of a step, and what a registration noted."""
    return (value.transform, value.registration.notes) if isinstance(value, Result) else (value, ())


def _listening(stage: Stage, number: int, count: int, on_step: OnStep | None) -> dict[str, OnStep]:
    """``on_step`` for operations that have one, counted over the whole pipeline."""
    if on_step is None:
        return {}
    on_step(Progress(stage.name, 0, 0, 0.0, number / count, 0.0))
    if "on_step" not in inspect.signature(STEPS[stage.do]).parameters:
        return {}

    def listen(step: Progress) -> None:
        on_step(Progress(stage.name, step.level, step.iteration, step.loss, (number + step.fraction) / count, step.spacing))
    return {"on_step": listen}


def as_kind(thing: Any, kind: str, what: str) -> Value:
    """An input, or the file of one, as a value that can be used.

    Raises
    ------
    InputError : it is something else, or an image with nothing in it.
    """
    if kind in ("points", "transform"):
        load, wanted = {"points": (io.load_points, Points), "transform": (io.load_transform, Transform)}[kind]
        value: Any = load(thing) if isinstance(thing, (str, Path)) else thing
        if not isinstance(value, wanted):
            raise InputError(f"{what}: {type(thing).__name__} was given, expected {kind} or a file of it")
        return value
    image = io.as_image(thing, is_label=kind == "labels")
    if kind == "image":
        check_image(image, what)
    elif not image.data.any():
        raise InputError(f"{what}: every label is 0, expected an outline of something; is it the right file?")
    return image
