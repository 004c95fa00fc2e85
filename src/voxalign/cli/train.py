"""``voxalign train``."""
from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from . import options
from .output import Progress, say_json, say_table

_DESCRIPTION = """Train a network on a folder (images/, labels/, points/) or a table (CSV), or on images made from nothing. The folder gets
weights.safetensors (the best; for register --method learned --weights), checkpoint.safetensors (training goes on from there, to the bit,
when the command is given again), history.json and training.json (scores on people kept aside)."""


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("train", help="train a network on your images, or on made ones", description=_DESCRIPTION)
    parser.add_argument("-d", "--data", type=Path, metavar="PATH", help="folder, or CSV table of images or of pairs")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="folder for the results (a FILE with --average)")
    parser.add_argument("--atlas", type=Path, metavar="FILE", help="image that is always the fixed one")
    parser.add_argument("--atlas-labels", type=Path, metavar="FILE", help="its label map")
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to start from")
    parser.add_argument("--translator", type=Path, metavar="FILE", help="weights: pairs are one image and itself, translated and moved")
    parser.add_argument("--average", type=Path, nargs="+", metavar="FILE", help="do not train: average the weights of several sites")
    choices(parser)
    parser.add_argument("--tensorboard", action="store_true", help="write scalars, images and histograms for TensorBoard")
    parser.add_argument("--profile", action="store_true", help="write where the time of the first steps goes")
    options.overwrite(parser)
    options.common(parser)
    parser.set_defaults(run=run)


def choices(parser: argparse.ArgumentParser) -> None:
    """What makes a recipe."""
    parser.add_argument("--task", metavar="NAME", help="registration, denoise, alignment, translate, adversarial, generate, sequence")
    parser.add_argument("--synthesise", metavar="NAMES", help="make images: shapes, head, body, maps (of the data); several with commas")
    parser.add_argument("--channels", metavar="NAMES", help="what the network sees: intensity, canny, gabor, mind, ...")
    parser.add_argument("--steps", type=int, metavar="N", help="of the optimiser")
    parser.add_argument("--seed", type=int, metavar="N", help="of whatever is random")
    parser.add_argument("--device", metavar="NAME", help="auto, cpu, cuda")
    parser.add_argument("--threads", type=int, metavar="N", help="at most so many; 0 takes all cores")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML: lines such as 'rate: 0.001'")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of docs/reference/training.md; repeatable")


class Diary(Progress):
    """On a terminal one line; off one, where the output of a long training is read later, a line for each validation."""

    def __init__(self) -> None:
        super().__init__()
        self._began, self._said = False, None

    def __call__(self, step: Any) -> None:
        """Show a step."""
        if not self._began:
            self._began, self._before = True, step.fraction * (1 - 1 / step.step)
        super().__call__(step)
        fresh = step.scores is not self._said and "step" not in step.scores  # those of an earlier run name their step
        if fresh and step.scores and not self._on:
            self._said, steps = step.scores, round(step.step / step.fraction)
            print(f"step {step.step} of {steps}: {_scored(step)}, {self._left(step.fraction)} left", file=sys.stderr, flush=True)


def _scored(step: Any) -> str:
    """The loss of a step, and what tells how good the network is, with what it was before if that is known."""
    def said(name: str) -> str:
        before = step.scores.get(f"{name}_before")
        return f"{name} {step.scores[name]:.4g}" + ("" if before is None else f" (before {before:.4g})")

    told = [name for name in step.scores if f"{name}_before" in step.scores] or ["score"]
    return ", ".join([f"loss {sum(step.losses.values()):.4g}", *map(said, told)])


def run(arguments: argparse.Namespace) -> int:
    """Train, and print scores and where the weights are."""
    from ..run.resources import limit_threads

    limit_threads(arguments.threads or 0)
    from ..run.train import Training, average_files, train_files

    if arguments.average:
        shares = average_files(arguments.average, arguments.out, arguments.overwrite)
        content = {"shares": shares, "weights": str(arguments.out)}
    else:
        job = Training(arguments.out, recipe(arguments), arguments.data, arguments.atlas, arguments.atlas_labels, arguments.start,
                       arguments.translator, arguments.tensorboard, arguments.profile, arguments.overwrite)
        with closing(Diary()) as progress:
            content = train_files(job, progress)
        if not content:  # said by another process
            return 0
        content = content if arguments.json else _for_people(content, arguments.out)
    say_json(content) if arguments.json else say_table(content)
    return 0


def _for_people(record: dict[str, Any], out: Path) -> dict[str, Any]:
    """What a training records, without what was given, and with the way to the weights."""
    return {k: v for k, v in record.items() if k != "recipe" and v != {}} | {"weights": out / record["weights"]}


def recipe(arguments: argparse.Namespace) -> object:
    """The recipe of the shared options."""
    from ..run.train import recipe_of

    names = ("task", "synthesise", "channels", "steps", "seed", "device", "threads")
    return recipe_of({name: getattr(arguments, name) for name in names}, arguments.set, arguments.config)
