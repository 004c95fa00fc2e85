"""``voxalign search``: several trainings, compared. A grid of choices, or a study by optuna that ends hopeless ones early."""
from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import InputError, InputWarning, UsageError
from .train import RECORD, Training, recipe_of, train_files, with_recipe

RESULTS, PLOT = "search.json", "search.png"
_OF_THE_LOSS = frozenset({"loss", "window", "image_weight", "label_weight", "point_weight", "field_weight", "feature_weight", "balance",
                          "regulariser", "smoothness", "folding_weight", "critic_weight", "place_weight"})  # what the loss consists of


@dataclass(frozen=True)
class Axis:
    """One thing to vary.

    Parameters
    ----------
    key : of the recipe.
    values : to choose from; of a range the two ends.
    is_range : anything between the two ends, by the logarithm if both are above 0; only in a study.
    """

    key: str
    values: tuple[Any, ...]
    is_range: bool = False


class Pruned(Exception):
    """A trial that was given up, raised out of its training."""


def axis(text: str) -> Axis:
    """``rate=0.001|0.003``, ``widths=8x16|16x32`` or the range ``rate=0.0001..0.01``.

    Raises
    ------
    UsageError : not of this form, or values that the key cannot have.
    """
    key, separator, values = text.partition("=")
    is_range = ".." in values
    words = [word.strip() for word in values.split(".." if is_range else "|")]
    if not separator or not all(words) or (is_range and len(words) != 2):
        raise UsageError(f"--try {text!r}: expected key=value|value or key=low..high, for example rate=0.001|0.003")
    found = tuple(getattr(recipe_of(assignments=[f"{key}={word}"]), key.strip()) for word in words)
    if is_range and not (isinstance(found[0], (int, float)) and found[0] < found[1]):
        raise UsageError(f"--try {text!r}: expected a range of numbers, the smaller first")
    return Axis(key.strip(), found, is_range)


def search_files(job: Training, axes: Sequence[Axis], trials: int | None = None,
                 on_step: Callable[[Any], None] | None = None) -> dict[str, Any]:
    """Train with every combination of values, or with ``trials`` that optuna proposes; each in a folder of its own within ``job.out``.

    Finished trials that are there already are not repeated. Writes ``search.json`` and ``search.png``.

    Returns
    -------
    ``trials`` (best first): number, choices, score, steps, state (``done`` or ``given up``); and ``best``, the choices of the first.

    Raises
    ------
    UsageError : nothing to vary, a range in a grid, or optuna is missing.
    """
    if not axes:
        raise UsageError("nothing to vary: give --try key=value|value")
    job.out.mkdir(parents=True, exist_ok=True)
    runner = _Trials(job, len(list(grid(axes))) if trials is None else trials, on_step)
    rows = [runner.run(number, choices) for number, choices in enumerate(grid(axes))] if trials is None else _study(runner, axes, trials)
    rows.sort(key=lambda row: -row["score"])
    _check_comparable(rows, axes)
    return _written(job.out, {"trials": rows, "best": rows[0]["choices"]})


def _check_comparable(rows: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> None:
    """Warn where trials that minimise different things are ranked by what they minimise."""
    varied = [a.key for a in axes if a.key in _OF_THE_LOSS]
    if varied and any(row["score"] == -row.get("loss", math.nan) for row in rows):
        warnings.warn(f"trials differ in {', '.join(varied)} and only the loss, made of it, scores them: their order says little; "
                      "give labels or points, which then score them (label_weight=0, point_weight=0: and do nothing else)", InputWarning, 2)


def grid(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Every combination.

    Raises
    ------
    UsageError : a range.
    """
    if any(a.is_range for a in axes):
        raise UsageError("a range has no end of values: give --trials N, or list the values")
    for values in itertools.product(*(a.values for a in axes)):
        yield dict(zip((a.key for a in axes), values, strict=True))


@dataclass
class _Trials:
    """Trainings that differ from one by some choices."""

    job: Training
    count: int
    on_step: Callable[[Any], None] | None

    def run(self, number: int, choices: Mapping[str, Any], report: Callable[[int, float], None] | None = None) -> dict[str, Any]:
        """Train one, unless its folder holds it finished; its row of the comparison."""
        out = self.job.out / f"trial-{number:03d}"
        recipe = recipe_of({**self.job.recipe.as_dict(), **choices})
        record, seen = _finished(out, recipe.as_dict()), {}

        def listen(progress: Any) -> None:
            if "score" in progress.scores and progress.scores.get("step", progress.step) not in seen:
                seen[progress.step] = progress.scores["score"]
                if report is not None and progress.step % recipe.validate_every == 0:
                    report(progress.step, progress.scores["score"])
            if self.on_step is not None:
                self.on_step(progress)

        state = "done"
        try:
            record = record or train_files(with_recipe(self.job, out, recipe), listen)
        except Pruned:
            state, record = "given up", {"steps": max(seen), "validation": {"score": max(seen.values())}}
        row = {"number": number, "choices": {k: list(v) if isinstance(v, tuple) else v for k, v in choices.items()},
               "score": record["validation"].get("score", -math.inf), "steps": record["steps"], "state": state}
        return row | {k: v for k, v in record["validation"].items() if k in ("dice", "tre_mm", "psnr_db", "folded_percent", "loss")}


def _finished(out: Path, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError as error:
        raise InputError(f"{out.name}/{RECORD}: damaged; remove it") from error
    return record if record.get("recipe") == json.loads(json.dumps(recipe)) else None


def _study(runner: _Trials, axes: Sequence[Axis], trials: int) -> list[dict[str, Any]]:
    """Trials that optuna proposes (TPE), those below the median of the others at the same step given up."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError("--trials needs optuna, which is not installed: pip install 'voxalign[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = runner.job.recipe.seed
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed),
                                pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=runner.job.recipe.steps // 4))
    rows = []
    for number in range(trials):
        trial = study.ask()

        def report(step: int, score: float, trial: Any = trial) -> None:
            trial.report(score, step)
            if trial.should_prune():
                raise Pruned

        row = runner.run(number, {a.key: _proposed(trial, a) for a in axes}, report)
        study.tell(trial, row["score"] if row["state"] == "done" else None,
                   None if row["state"] == "done" else optuna.trial.TrialState.PRUNED)
        rows.append(row)
    return rows


def _proposed(trial: Any, a: Axis) -> Any:
    if not a.is_range:
        return a.values[trial.suggest_categorical(a.key, list(range(len(a.values))))]  # numbers of values: tuples are none of its types
    suggest = trial.suggest_int if isinstance(a.values[0], int) else trial.suggest_float
    return suggest(a.key, *a.values, log=a.values[0] > 0)


def _written(out: Path, content: dict[str, Any]) -> dict[str, Any]:
    from .. import io
    from ..report.search import plot_search

    io.write_json(out / RESULTS, content)
    with io.atomic_path(out / PLOT) as partial:
        plot_search(content["trials"], partial)
    return content
