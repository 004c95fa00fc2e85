"""``voxalign train``: from a folder or a table of images, or from nothing, to weights."""
from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from ..core import InputError, Transform, UsageError, compose
from ..core.errors import choose
from . import config
from .interrupt import stopping
from .output import claimed

if TYPE_CHECKING:
    from ..train.recipe import Recipe
    from ..train.source import Source
    from ..train.table import Table

RECORD = "training.json"
_FILLED, _LEAST_ACROSS = 0.88, 8  # of a synthesised image's longest side shows something; voxels


@dataclass(frozen=True)
class Training:
    """One training from files to weights.

    Parameters
    ----------
    out : folder for checkpoint, weights and history.
    recipe : all choices.
    data : folder or CSV table; None: everything is synthesised.
    atlas, atlas_labels : an image that is always the fixed one.
    start : weights to start from.
    translator : weights of a translator: pairs are one image and itself, translated and moved.
    tensorboard, profile : whether to write what TensorBoard and trace viewers show.
    overwrite : whether a training that is in the folder is thrown away; else it goes on.
    """

    out: Path
    recipe: Recipe
    data: Path | None = None
    atlas: Path | None = None
    atlas_labels: Path | None = None
    start: Path | None = None
    translator: Path | None = None
    tensorboard: bool = False
    profile: bool = False
    overwrite: bool = False


def recipe_of(flags: Mapping[str, Any] = MappingProxyType({}), assignments: Sequence[str] = (),
              file: str | Path | None = None) -> Recipe:
    """One `Recipe` of a file, ``key=value`` strings and flags, the later ones above.

    Raises
    ------
    UsageError : unknown keys or names, values of a wrong type or out of range.  InputError : no such file.
    """
    from ..train.recipe import Recipe

    hints = get_type_hints(Recipe)
    layers = [config.read(file) if file else {}, dict(map(config.assignment, assignments)),
              {key: value for key, value in flags.items() if value is not None}]
    given = {choose(key, hints, "training key"): value for layer in layers for key, value in layer.items()}
    return Recipe(**{key: typed(key, value, hints[key]) for key, value in given.items()})


def typed(key: str, value: Any, hint: Any) -> Any:
    """``value`` as ``hint`` wants it: a name, a truth, a number that is not negative, or several (``a,b`` or ``8x16``).

    Raises
    ------
    UsageError : it is none.
    """
    if get_origin(hint) is tuple:
        return tuple(typed(key, word, get_args(hint)[0]) for word in _words(value))
    if get_origin(hint) is Literal:
        return choose(str(value), get_args(hint), key)
    if hint is bool:
        if not isinstance(value, bool):
            raise UsageError(f"{key} = {value!r}: expected true or false")
        return value
    return _number(key, value, hint)


def _words(value: Any) -> list[Any]:
    """``a,b`` or ``8x16`` as several; ``none`` as nothing."""
    if value in (None, "none", ""):
        return []
    return list(value) if isinstance(value, (list, tuple)) else [word.strip() for word in re.split(r",|(?<=\d)x(?=\d)", str(value))]


def _number(key: str, value: Any, kind: type) -> int | float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or (kind is int and number != int(number)):
        raise UsageError(f"{key} = {value!r}: expected a {'whole ' if kind is int else ''}number not below 0")
    return kind(number)


def train_files(job: Training, on_step: Callable[[Any], None] | None = None) -> dict[str, Any]:
    """Train, or go on where a training in the folder stopped, and score the best weights on people kept aside.

    Returns
    -------
    What is also written to ``training.json``: steps, scores on validation and test, people by part, seconds, the weights' file. Of several
    processes the first one says it, the others nothing.

    Raises
    ------
    InputError, UsageError : see `train.table`, `train.source`.
    """
    from ..train import processes

    device, began = processes.device(job.recipe.device, job.recipe.threads), time.perf_counter()
    processes.check_precision(job.recipe.precision, device)
    with processes.crew(device) as crew:
        if not crew.leads:
            _train(job, device, crew, None)
            return {}
        with claimed(job.out) as claim, stopping(claim.release):
            if job.overwrite:
                _forget(job.out)
            record = _train(job, device, crew, on_step)
            record["seconds"] = round(time.perf_counter() - began, 1)
            from ..io import write_json

            write_json(job.out / RECORD, record)
            return record


def _train(job: Training, device: str, crew: Any, on_step: Callable[[Any], None] | None) -> dict[str, Any]:
    from .. import nn
    from ..core import kernels
    from ..train import catalogue, loop

    source = source_of(job, device)
    task = catalogue.TASKS[job.recipe.task](job.recipe, source, device)
    network = loop.fresh(task.network, job.recipe)
    kernels.set_threads(job.recipe.threads or None)
    inputs = _synthetic_inputs(job.recipe, source) if job.recipe.synthesise else source.store.inputs
    about = {"inputs": inputs.as_dict(), "people": source.people.get("train", 0), "task": job.recipe.task}
    run = loop.Run(job.out, job.start, job.tensorboard, job.profile, about, crew)
    state = loop.train(task, network, run, on_step)
    if crew.leads and job.recipe.synthesise:
        loop.remember(task, job.out / loop.WEIGHTS)
    record = {"steps": state.step, "best_step": state.course.best_step, "parameters": nn.count(network), "people": source.people,
              "validation": _validation(state, job.recipe), "weights": loop.WEIGHTS, "recipe": job.recipe.as_dict()}
    if crew.leads and task.count("test"):
        record["test"] = loop.scored_file(task, job.out / loop.WEIGHTS, "test")
    return record | _privacy(job.recipe, task, state.step)


def _validation(state: Any, recipe: Recipe) -> dict[str, float]:
    """Of the weights that were kept: those that validated best, or under differential privacy the last."""
    kept = state.step if recipe.is_private else state.course.best_step
    return next((row for row in reversed(state.history) if row["step"] == kept), {})


def _synthetic_inputs(recipe: Recipe, source: Source) -> Any:
    """How images come to a network that learned from synthesised pairs: as large as those were, whatever they show.

    An affine network needs nothing before it but centres.
    """
    from ..nn import Inputs

    filled = round(_FILLED * max(source.space.shape))
    return Inputs(start="centres" if recipe.network == "affine" else "affine", across=max(filled, _LEAST_ACROSS))


def source_of(job: Training, device: str = "cpu") -> Source:
    """What a training learns from; a translator is put on ``device``.

    Raises
    ------
    InputError, UsageError : nothing to learn from.
    """
    from ..train import source, table

    if job.data is None:
        if not job.recipe.synthesise:
            raise UsageError("nothing to train on: give --data, or --synthesise families")
        return source.from_nothing(job.recipe)
    if not job.data.exists():
        raise InputError(f"data {job.data}: no such folder or table")
    read = table.read(job.data, job.atlas, job.atlas_labels)
    found = source.from_table(read, job.recipe, aligned(read, job.recipe))
    return replace(found, translator=_translator(job.translator, device)) if job.translator else found


def _translator(path: Path, device: str) -> Any:
    from ..nn import Translator, weights

    network, _ = weights.load(path, device)
    if not isinstance(network.architecture, Translator):
        raise InputError(f"translator {path.name}: holds a {type(network.architecture).__name__}, expected what --task translate makes")
    return network


def aligned(table: Table, recipe: Recipe) -> dict[int, Transform]:
    """Where each scan lies in the common space, if the engine is to bring them together: linearly to the fixed image of its pair, to
    the atlas, or to the first scan. One registration a scan.
    """
    from ..nn.inputs import BY_ENGINE

    if recipe.start not in BY_ENGINE or recipe.synthesise:
        return {}
    from .. import io
    from ..register import Settings, register
    from ..train.data import centre, shift

    settings = Settings(transform=recipe.start, seed=recipe.seed, device="cpu")
    partner = {moving: fixed for fixed, moving in table.pairs} if table.pairs else dict.fromkeys(range(1, len(table.scans)), 0)
    places = {k: shift(centre(table.scans[k])) for k in set(partner.values())}
    for moving, fixed in partner.items():
        pair = io.load(table.scans[fixed].image), io.load(table.scans[moving].image)
        places[moving] = compose([places[fixed], register(*pair, settings).transform])
    return places


def _privacy(recipe: Recipe, task: Any, steps: int) -> dict[str, Any]:
    """What the training may tell about a person; nothing is said of trainings without privacy."""
    if not recipe.is_private:
        return {}
    from ..train.privacy import epsilon

    people = task.count_people()
    rate = min(recipe.batch * recipe.accumulate / people, 1.0)
    return {"epsilon": epsilon(recipe.noise_multiplier, rate, steps, recipe.delta), "delta": recipe.delta}


def _forget(out: Path) -> None:
    """Remove an earlier training, and nothing else."""
    from ..train import loop

    for name in (loop.CHECKPOINT, loop.WEIGHTS, loop.HISTORY, RECORD):
        (out / name).unlink(missing_ok=True)


def average_files(paths: Sequence[Path], out: Path, overwrite: bool = False) -> dict[str, float]:
    """Write the mean of several sites' weights; each site's share, by file.

    Raises
    ------
    InputError : files that cannot be averaged, or ``out`` exists.
    """
    from ..train.federate import average
    from .output import check_file

    check_file(out, overwrite, paths)
    return average(paths, out)


def with_recipe(job: Training, out: Path, recipe: Recipe) -> Training:
    """The same training with other choices, elsewhere."""
    return replace(job, out=out, recipe=recipe)
