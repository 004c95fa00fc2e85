"""Training: steps, validations, checkpoints. The same for every task."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core import InputError, UsageError, VoxalignError
from ..io import write_json
from ..nn import memory, weights
from ..nn.architecture import REGISTRATION
from ..nn.familiar import learn
from ..nn.networks import Pyramid
from ..nn.thin import thinned
from . import checkpoint, privacy
from .checkpoint import State
from .monitor import Board, named, profiled
from .processes import Crew
from .randomness import generator
from .recipe import Recipe
from .schedule import rate_at
from .tasks import Scores, Task

CHECKPOINT, WEIGHTS, HISTORY = "checkpoint.safetensors", "weights.safetensors", "history.json"
_REMEMBERED = 200  # steps whose images say what is familiar
_NOISE_KEY, _PEOPLE_KEY, _INITIAL_KEY = 0x0D0153, 0x0DE0DE, 0x1217


@dataclass(frozen=True)
class Progress:
    """How far a training is, as ``on_step`` receives it.

    Parameters
    ----------
    step : steps done.
    losses : parts of the loss of this step, by name.
    scores : of the last validation.
    fraction : part of all steps.
    """

    step: int
    losses: dict[str, float]
    scores: Scores
    fraction: float
    stage: str = "train"


OnStep = Callable[[Progress], None]


@dataclass(frozen=True)
class Run:
    """Where a training writes and what it is accompanied by.

    Parameters
    ----------
    folder : for checkpoint, weights and history.
    start : weights to start from.
    tensorboard, profile : whether the two are wanted.
    about : what the weights' file shall say beside scores and recipe.
    crew : the processes.
    """

    folder: Path
    start: Path | None = None
    tensorboard: bool = False
    profile: bool = False
    about: dict = field(default_factory=dict)
    crew: Crew = field(default_factory=Crew)


def train(task: Task, network: nn.Module, run: Run, on_step: OnStep | None = None) -> State:
    """Train, from the checkpoint in the folder if there is one.

    Writes ``checkpoint.safetensors`` (everything needed to go on), ``weights.safetensors`` (the averaged weights with the best validation;
    under differential privacy the last ones) and ``history.json``.

    Raises
    ------
    InputError, UsageError : a checkpoint of another training.  VoxalignError : the loss is not finite.
    """
    recipe = task.recipe
    state = _started(task, network, run)
    board = Board(run.folder / "tensorboard" if run.tensorboard and run.crew.leads else None)
    scores: Scores = state.history[-1] if state.history else {}
    try:
        with profiled(run.folder / "profile" if run.profile and run.crew.leads else None, task.device) as profiler:
            while state.step < recipe.steps and not state.course.is_over(recipe.patience):
                losses = _step(task, state, run.crew)
                board.scalars(losses, state.step, "loss")
                board.scalars({"rate": state.optimizer.param_groups[0]["lr"]}, state.step, "step")
                if profiler is not None:
                    profiler.step()
                if state.step % recipe.validate_every == 0 or state.step == recipe.steps:
                    scores = _validated(task, state, run, board, losses)
                if on_step is not None:
                    on_step(Progress(state.step, losses, scores, state.step / recipe.steps))
    finally:
        board.close()
    return state


def fresh(build: Callable[[], nn.Module], recipe: Recipe) -> nn.Module:
    """A new network whose first weights depend on the recipe's seed alone; torch's own randomness is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed + _INITIAL_KEY)
        return build()


def _started(task: Task, network: nn.Module, run: Run) -> State:
    if run.start is not None:
        given = _fitting(weights.load(run.start)[0], task.kept(network))
        try:
            task.kept(network).load_state_dict(given.state_dict())
        except RuntimeError as error:
            raise InputError(f"{run.start.name}: holds another network than the recipe's; expected the same widths and kernel") from error
    network.to(task.device).train()
    state = checkpoint.begin(network, task.recipe)
    path = run.folder / CHECKPOINT
    if path.exists():
        checkpoint.load(path, state, task.recipe)
    return state


def _fitting(given: nn.Module, wanted: nn.Module) -> nn.Module:
    """A pyramid whose decoder has more features than the recipe's, thinned to it; any other network as it is."""
    pyramids = type(given) is type(wanted) is Pyramid
    return thinned(given, wanted.architecture.hidden) if pyramids and given.architecture.hidden > wanted.architecture.hidden else given


# ---------------------------------------------------------------- one step
def _step(task: Task, state: State, crew: Crew) -> dict[str, float]:
    """One step of the optimiser; the parts of its loss."""
    recipe, parameters = task.recipe, list(state.network.parameters())
    state.network.train()
    torch.manual_seed((recipe.seed << 32) + state.step)  # of dropout, if a network has any
    losses = (_private if recipe.is_private else _gradients)(task, state, crew)
    if not all(math.isfinite(value) for value in losses.values()):
        raise VoxalignError(f"the loss of step {state.step} is not finite ({losses}): lower the rate, and look at the images")
    crew.mean([p.grad for p in parameters])
    if recipe.clip and not recipe.is_private:
        nn.utils.clip_grad_norm_(parameters, recipe.clip)
    for group in state.optimizer.param_groups:
        group["lr"] = rate_at(state.step, recipe, state.course)
    with named("step", task.device):
        state.optimizer.step()
    state.step += 1
    _average(state, min(recipe.average, state.step / (10 + state.step)))
    return losses


def _gradients(task: Task, state: State, crew: Crew) -> dict[str, float]:
    """Puts the mean gradient of this process's samples into the parameters."""
    recipe = task.recipe
    state.optimizer.zero_grad(set_to_none=False)
    share, sums = crew.share(recipe.accumulate), {}
    for number in share:
        keys = [(state.step, number * recipe.batch + k) for k in range(recipe.batch)]
        with named("forward", task.device):
            parts = task.loss(state.network, keys)
        with named("backward", task.device):
            (sum(parts.values()) / len(share)).backward()
        for name, value in parts.items():
            sums[name] = sums.get(name, 0) + value.detach() / len(share)
    for p in state.network.parameters():
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    return {name: float(value) for name, value in sums.items()}


def _private(task: Task, state: State, crew: Crew) -> dict[str, float]:
    """The same, with differential privacy: the noisy sum of people's gradients over the number expected."""
    recipe, parameters, losses = task.recipe, list(state.network.parameters()), []
    if crew.size > 1:
        raise UsageError("differential privacy runs in one process: start it without torchrun")
    people = task.count_people()
    rate = min(recipe.batch * recipe.accumulate / people, 1.0)
    chosen = privacy.taking_part(people, rate, generator(task.device, recipe.seed, state.step, _PEOPLE_KEY))

    def of(person: int) -> Callable[[], Tensor]:
        def loss() -> Tensor:
            value = sum(task.loss(state.network, [(state.step, person)], person).values())
            losses.append(value.detach())
            return value
        return loss

    total = privacy.private_sum(parameters, map(of, chosen), recipe.sample_clip)
    noise = generator(task.device, recipe.seed, state.step, _NOISE_KEY)
    for p, value in zip(parameters, privacy.with_noise(total, recipe.noise_multiplier * recipe.sample_clip, noise), strict=True):
        p.grad = value / (rate * people)
    return {"loss": float(sum(losses) / len(losses)) if losses else 0.0}


@torch.no_grad()
def _average(state: State, keep: float) -> None:
    for name, value in state.network.state_dict().items():
        state.average[name].lerp_(value, 1 - keep)


# ---------------------------------------------------------------- validation
def _validated(task: Task, state: State, run: Run, board: Board, losses: dict[str, float]) -> Scores:
    """Score the averaged weights, keep them if they are the best, write the checkpoint."""
    recipe = task.recipe
    scores = scored(task, state, "validation") if run.crew.leads and task.count("validation") else {"score": -sum(losses.values())}
    score = run.crew.agreed(scores["score"])
    state.course = state.course.after(score, state.step, recipe.schedule)
    state.history.append({"step": state.step, "loss": sum(losses.values())} | scores)
    if run.crew.leads:
        if state.course.best_step == state.step or recipe.is_private:  # what is best must not be chosen by looking, under privacy
            keep(task, state, run, scores)
        checkpoint.save(run.folder / CHECKPOINT, state, recipe)
        write_json(run.folder / HISTORY, state.history)
        board.scalars(scores, state.step, "validation")
        board.histograms(state.network, state.step)
        board.images(task.pictures(task.kept(state.network)), state.step)
    return scores


def scored(task: Task, state: State, part: str) -> Scores:
    """Scores of the averaged weights on a part of the data."""
    network = state.network
    now = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(state.average)
    network.eval()
    try:
        return task.scores(task.kept(network), part)
    finally:
        network.load_state_dict(now)
        network.train()


def keep(task: Task, state: State, run: Run, scores: Scores) -> None:
    """Write the averaged weights with what is known of them."""
    now = {name: value.clone() for name, value in state.network.state_dict().items()}
    state.network.load_state_dict(state.average)
    try:
        kept = task.kept(state.network)
        lasting = {name: value for name, value in scores.items() if name != "milliseconds"}  # else two files of the same weights differ
        about = {"recipe": task.recipe.as_dict(), "step": state.step, "validation": _finite(lasting)} | run.about
        if isinstance(kept.architecture, REGISTRATION):
            about["bytes_a_voxel"] = round(memory.bytes_a_voxel(kept.architecture), 1)
        weights.save(run.folder / WEIGHTS, kept, meta=about)
    finally:
        state.network.load_state_dict(now)


def _finite(scores: Scores) -> Scores:
    return {name: round(value, 6) for name, value in scores.items() if math.isfinite(value)}


def remember(task: Task, path: Path) -> None:
    """Add to a file of weights what images its network learned from (`nn.familiar`), if it can tell and they were enough."""
    network, about = weights.load(path, task.device)
    if not isinstance(network, Pyramid) or task.recipe.steps < _REMEMBERED:
        return
    images = (sample.image for step in range(_REMEMBERED) for sample in task.pair(task.training_generator(step, 0))[:2])
    weights.save(path, network, meta=about | {"familiar": learn(network, images).as_dict()})


def scored_file(task: Task, path: Path, part: str) -> Scores:
    """Scores of the weights in a file."""
    network, _ = weights.load(path, task.device)
    return _finite(task.scores(network, part))
