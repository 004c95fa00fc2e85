"""What a network learns: how its batches are drawn, what is minimised, and how it is scored."""
from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from ..core import UsageError
from ..nn import build, denoise, fields
from . import augment, look, place, synthesise, translated
from .data import Sample
from .objective import Batch, displacement, terms
from .place import Strength
from .randomness import chance, generator, smooth_noise, uniform, whole
from .recipe import FROM_MAPS, Recipe, architecture
from .source import Source

Scores = dict[str, float]
_RESIDUAL = Strength(6.0, 0.03, 0.06, 0.03, (5.0, 0.2))  # what a linear step leaves to a deformable network
_ANYWHERE = Strength(35.0, 0.12, 0.2, 0.1, (2.0, 0.25))  # what an affine network has to find
_OF_OTHERS = 0.6  # of that, besides what makes two people differ
_VALIDATION_KEY = 0x7A11DA7E
_SYNTHETIC_PAIRS = 8  # that a network is scored on
_NOISE = (0.01, 0.16)  # standard deviation that a denoiser is trained on, of the image's range; drawn by its logarithm
_MISALIGNED = (1.5, 8.0)  # voxels by which patches of the alignment task are apart
_DRAWS = 8  # patches of each pair that a classifier is scored on
_ALIGNED = 0.75  # voxels below which they count as aligned


class Task(ABC):
    """One of the recipe's tasks; random numbers come from generators only, so that a step can be repeated to the bit."""

    augment: float | None = None  # strength of random changes of both images of a pair; None: the recipe's

    def __init__(self, recipe: Recipe, source: Source, device: str = "cpu") -> None:
        self.recipe, self.source, self.device = recipe, source, device

    @abstractmethod
    def loss(self, network: nn.Module, keys: Sequence[tuple[int, int]], chosen: int | None = None) -> dict[str, Tensor]:
        """Parts of the loss, by name, of the samples that keys (step, number) stand for; of the training pair ``chosen``, or of any."""

    @abstractmethod
    def scores(self, network: nn.Module, part: str) -> Scores:
        """How good a network is on ``validation`` or ``test``; ``score`` is what is compared, more is better."""

    # ---------------------------------------------------------------- networks
    def network(self) -> nn.Module:
        """What is trained, new: one network, or several that are trained against each other."""
        return build(architecture(self.recipe, len(self.source.space.shape), self.source.in_channels))

    def kept(self, network: nn.Module) -> nn.Module:
        """The one of them that is scored and written."""
        return network

    # ---------------------------------------------------------------- pairs
    def pair(self, g: Generator, part: str = "train", number: int | None = None) -> tuple[Sample, Sample, Tensor | None, Tensor | None]:
        """Fixed and moving sample, known field, and what counts; synthesised, or pair ``number`` of a part (None: any)."""
        if self.recipe.synthesise:
            made = synthesise.pair(g, *self._drawings(g, part), alike=self.recipe.alike)
            return (Sample(made.fixed, made.fixed_labels), Sample(made.moving, made.moving_labels), made.field, made.counts)
        pairs = self.source.pairs[part]
        chosen = pairs[whole(g, 0, len(pairs) - 1) if number is None else number]  # (fixed, moving)
        if self.source.translator is not None:
            made = translated.pair(g, _to(self.source.store.sample(chosen[0]), self.device), self.source.translator, self.relative)
            return Sample(made.fixed, made.fixed_labels), Sample(made.moving, made.moving_labels), made.field, made.counts
        fixed, moving = (_to(self.source.store.sample(scan), self.device) for scan in chosen)
        if part == "train":
            strength = self.recipe.augment if self.augment is None else self.augment
            fixed, moving = augment.augmented(g, (fixed, moving), strength, self.recipe.channels[0] == "intensity")
        return fixed, moving, None, None

    def count(self, part: str) -> int:
        """Pairs that a part is scored on."""
        if self.recipe.synthesise:
            return _SYNTHETIC_PAIRS if self.source.drawings.get(part) or not FROM_MAPS & set(self.recipe.synthesise) else 0
        return len(self.source.pairs.get(part, ()))

    def count_people(self) -> int:
        """People of the training part, each of them in one pair.

        Raises
        ------
        UsageError : pairs are of two people, whose shares in a gradient cannot be told apart.
        """
        store = self.source.store
        if self.recipe.task != "registration" or self.recipe.synthesise or store is None or store.table.atlas is None:
            raise UsageError("differential privacy needs each person in one pair: give an --atlas (which is not protected)")
        return len(self.source.pairs["train"])

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """Images (*S) to look at, by name; none by default."""
        return {}

    @property
    def relative(self) -> Strength:
        """How far the two images of a synthesised pair are apart."""
        return (_ANYWHERE if self.recipe.network == "affine" else _RESIDUAL).times(self.recipe.apart)

    def _drawings(self, g: Generator, part: str) -> tuple[Tensor, Strength, Tensor | None]:
        """What both images show, how far they are apart, and what the moving image shows if it is of another person."""
        family = self.recipe.synthesise[whole(g, 0, len(self.recipe.synthesise) - 1)]
        if family not in FROM_MAPS:
            return synthesise.FAMILIES[family](g, self.source.space.shape), self.relative, None
        numbers, stripped = self.source.drawings[part], chance(g, 0.5)
        one = whole(g, 0, len(numbers) - 1)
        if family == "maps" or len(numbers) == 1:
            return self._map(numbers[one], stripped), self.relative, None
        two = (one + whole(g, 1, len(numbers) - 1)) % len(numbers)
        return self._map(numbers[one], stripped), self.relative.times(_OF_OTHERS), self._map(numbers[two], stripped)

    def _map(self, number: int, stripped: bool) -> Tensor:
        labels = self.source.store.sample(number).labels.to(self.device).long()
        if not stripped:
            return labels
        names = torch.tensor((0, *self.source.space.structures), device=self.device)
        return labels * ~torch.isin(names, torch.tensor(self.recipe.stripped, device=self.device))[labels]

    def fixed_generator(self, part: str, number: int) -> Generator:
        """The same for each validation."""
        return generator(self.device, self.recipe.seed, _VALIDATION_KEY, len(part), number)

    def training_generator(self, key: int, number: int) -> Generator:
        """Of sample ``number`` of step ``key``."""
        return generator(self.device, self.recipe.seed, key, number)


class Registration(Task):
    """Velocity (or matrix) from two images."""

    def loss(self, network: nn.Module, keys: Sequence[tuple[int, int]], chosen: int | None = None) -> dict[str, Tensor]:
        """See `Task.loss`."""
        generators = [self.training_generator(*key) for key in keys]
        batch = collate([self._batch(g, *self.pair(g, "train", chosen)) for g in generators])
        stiffness = 4 ** uniform(self.training_generator(keys[0][0], 1 << 30), -1, 1) if self.recipe.conditioned else None
        with _precision(self.recipe, self.device):
            prediction = network(batch.fixed, batch.moving, stiffness)
        return terms(prediction, batch, self.recipe, stiffness or 1.0, self.source.space.spacing)

    def _batch(self, g: Generator, fixed: Sample, moving: Sample, known: Tensor | None, counts: Tensor | None) -> Batch:
        """One pair with some of its structures: the same number of voxels need not mean the same attention."""
        labels = (None, None)
        if fixed.labels is not None and moving.labels is not None and self.recipe.label_weight:
            chosen = choose_labels(g, fixed.labels, self.recipe.labels_a_step, self.recipe.balance)
            labels = tuple(one_hot(sample.labels, chosen)[None] for sample in (fixed, moving))
        points = [None if s.points is None else [s.points] for s in (fixed, moving)]
        return Batch(fixed.image[None], moving.image[None], *labels, *points, None if known is None else known[None],
                     None if counts is None else counts[None])

    @torch.no_grad()
    def scores(self, network: nn.Module, part: str) -> Scores:
        """See `Task.scores`: ``dice`` (if there are labels), ``loss``, ``folded_percent``, ``tre_mm`` (with points), ``error_mm`` (with
        known maps), each with its value before as ``..._before``; ``milliseconds`` of one prediction.
        """
        found: list[Scores] = [self._score(network, part, number) for number in range(self.count(part))]
        names = sorted({name for one in found for name in one})
        mean = {name: float(torch.tensor([one[name] for one in found if name in one]).nanmean()) for name in names}
        best = mean.get("dice", -mean.get("tre_mm", mean.get("error_mm", mean["loss"])))
        return {"score": best} | mean

    @torch.no_grad()
    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """The first validation pair before and after."""
        if not self.count("validation"):
            return {}
        fixed, moving, *_ = self.pair(self.fixed_generator("validation", 0), "validation", 0)
        prediction = network(fixed.image[None], moving.image[None])
        moved = fields.warp(moving.image[None], prediction.displacement())[0]
        return {"fixed": fixed.image[0], "moving": moving.image[0], "moved": moved[0]}

    def _score(self, network: nn.Module, part: str, number: int) -> Scores:
        g = self.fixed_generator(part, number)
        fixed, moving, known, counts = self.pair(g, part, number)
        batch = collate([self._batch(g, fixed, moving, known, counts)])
        start = time.perf_counter()
        with _precision(self.recipe, self.device):
            prediction = network(batch.fixed, batch.moving)
        u = displacement(prediction)
        if self.device != "cpu":
            torch.cuda.synchronize()
        taken, spacing = 1000 * (time.perf_counter() - start), self.source.space.spacing
        found = {"loss": float(sum(terms(prediction, batch, self.recipe, 1.0, spacing).values())), "milliseconds": taken,
                 "folded_percent": folded_percent(u[0])}
        still = torch.zeros_like(u)
        for name, where in (("_before", still), ("", u)):
            found |= {f"{key}{name}": value for key, value in _truths(where[0], fixed, moving, known, counts, spacing).items()}
        return found


class Denoising(Task):
    """A clean image from one with Rician noise."""

    def loss(self, network: nn.Module, keys: Sequence[tuple[int, int]], chosen: int | None = None) -> dict[str, Tensor]:
        """See `Task.loss`: the part of the noise's power that is left, so that faint noise counts as much as strong."""
        clean, noisy = self._batch([self.training_generator(*key) for key in keys], "train", [chosen] * len(keys))
        with _precision(self.recipe, self.device):
            found = network(noisy)
        axes = tuple(range(1, clean.ndim))
        return {"error": (((found - clean) ** 2).mean(axes) / ((noisy - clean) ** 2).mean(axes)).mean()}

    def _batch(self, generators: Sequence[Generator], part: str, numbers: Sequence[int | None]) -> tuple[Tensor, Tensor]:
        clean = [self._clean(g, part, n) for g, n in zip(generators, numbers, strict=True)]
        pairs = [_measured(image, torch.stack([look.rician(g, channel, sigma) for channel in image]))
                 for g, image in zip(generators, clean, strict=True) for sigma in [math.exp(uniform(g, *map(math.log, _NOISE)))]]
        return torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])

    def _clean(self, g: Generator, part: str, number: int | None) -> Tensor:
        """An image (1, *S) without noise; one of the data is taken for it as it is."""
        return synthesise.clean(g, self._drawings(g, part)[0])[None] if self.recipe.synthesise else self.pair(g, part, number)[0].image

    @torch.no_grad()
    def scores(self, network: nn.Module, part: str) -> Scores:
        """See `Task.scores`: ``psnr_db`` and what it was before."""
        pairs = [self._batch([self.fixed_generator(part, n)], part, [n]) for n in range(self.count(part))]
        after = sum(psnr_db(clean, network(noisy)) for clean, noisy in pairs) / len(pairs)
        return {"score": after, "psnr_db": after, "psnr_db_before": sum(psnr_db(*pair) for pair in pairs) / len(pairs)}


class Alignment(Task):
    """Whether two patches show the same place; every other one is moved away."""

    def loss(self, network: nn.Module, keys: Sequence[tuple[int, int]], chosen: int | None = None) -> dict[str, Tensor]:
        """See `Task.loss`: cross-entropy."""
        made = [self._patches(self.training_generator(*key), "train", chosen) for key in keys]
        with _precision(self.recipe, self.device):
            logits = network(torch.stack([m[0] for m in made]), torch.stack([m[1] for m in made])).float()
        truth = torch.tensor([m[2] for m in made], device=logits.device)
        return {"entropy": nn.functional.binary_cross_entropy_with_logits(logits, truth)}

    def _patches(self, g: Generator, part: str, number: int | None) -> tuple[Tensor, Tensor, float]:
        """Two images of one body and whether they are aligned: the moving one is brought back by the known map, then moved off or not."""
        fixed, moving, known, _ = self.pair(g, part, number)
        moving = fixed if known is None else moving  # of two people nobody knows the map; one person is shown twice
        shape = tuple(fixed.image.shape[1:])
        aligned = uniform(g) < 0.5
        offset = smooth_noise(g, shape, 0.5 * max(shape), len(shape))
        offset = offset / offset.norm(dim=0).mean() * (uniform(g, 0, _ALIGNED) if aligned else uniform(g, *_MISALIGNED))
        u = offset if known is None else known + offset
        moved = place.read(moving.image, u + fields.lattice(shape, u))
        if known is None:
            moved = torch.stack([look.look(g, channel) for channel in moved])
        return fixed.image, moved, float(aligned)

    @torch.no_grad()
    def scores(self, network: nn.Module, part: str) -> Scores:
        """See `Task.scores`: ``accuracy`` and ``auc`` over several draws of each pair."""
        right, said = [], {True: [], False: []}
        for number in range(_DRAWS * self.count(part)):
            fixed, moved, truth = self._patches(self.fixed_generator(part, number), part, number // _DRAWS)
            logit = float(network(fixed[None], moved[None]))
            right.append(float((logit > 0) == bool(truth)))
            said[bool(truth)].append(logit)
        accuracy, auc = sum(right) / len(right), area(said[True], said[False])
        return {"score": accuracy if math.isnan(auc) else auc, "accuracy": accuracy, "auc": auc}


def area(those: Sequence[float], others: Sequence[float]) -> float:
    """Under the ROC curve: how probable it is that one of ``those`` is above one of the ``others``; NaN if either are missing."""
    wins = [(a > b) + 0.5 * (a == b) for a in those for b in others]
    return sum(wins) / len(wins) if wins else math.nan


TASKS: dict[str, type[Task]] = {"registration": Registration, "denoise": Denoising, "alignment": Alignment}


# ---------------------------------------------------------------- batches
def collate(parts: Sequence[Batch]) -> Batch:
    """Several batches as one; structures that a pair lacks are empty in it."""
    if len(parts) == 1:
        return parts[0]

    def joined(name: str) -> Tensor | list[Tensor] | None:
        values = [getattr(part, name) for part in parts]
        if any(value is None for value in values):
            return None
        if isinstance(values[0], list):
            return [item for value in values for item in value]
        most = max(value.shape[1] for value in values)
        return torch.cat([value if value.shape[1] == most else _filled(value, most) for value in values])

    return Batch(**{name: joined(name) for name in Batch.__dataclass_fields__})


def _filled(labels: Tensor, most: int) -> Tensor:
    return torch.cat([labels, labels.new_zeros(len(labels), most - labels.shape[1], *labels.shape[2:])], 1)


def choose_labels(g: Generator, labels: Tensor, most: int, balance: bool) -> Tensor:
    """Some of the structures of a label map: any alike if balanced, else by their size."""
    counts = torch.bincount(labels.long().flatten())[1:].float()
    present = (counts > 0).nonzero().flatten()
    if len(present) <= most:
        return present + 1
    weight = torch.ones_like(counts[present]) if balance else counts[present]
    return present[torch.multinomial(weight, most, generator=g)].sort().values + 1


def one_hot(labels: Tensor, chosen: Tensor) -> Tensor:
    """(K, *S) float, 1 where a label map (*S) has each of the chosen."""
    return (labels[None] == chosen.to(labels.dtype).reshape(-1, *(1,) * labels.ndim)).float()


# ---------------------------------------------------------------- scores
def folded_percent(u: Tensor) -> float:
    """Voxels of (D, *S) where x + u(x) turns space inside out, %."""
    from ..core import kernels

    return 100 * float((kernels.jacobian_determinant(u) <= 0).float().mean())


def dice_by_structure(fixed: Tensor, moving: Tensor, u: Tensor) -> dict[int, float]:
    """Of label maps (*S) after moving along u (D, *S), nearest voxel; structures that either image has."""
    index = u + fields.lattice(fixed.shape, u)
    moved = place.nearest(moving, index)
    sizes = [torch.bincount(m.long().flatten(), minlength=int(max(fixed.max(), moved.max())) + 1) for m in (fixed, moved)]
    both = torch.bincount(fixed[fixed == moved].long(), minlength=len(sizes[0]))
    return {k: float(2 * both[k] / (sizes[0][k] + sizes[1][k])) for k in range(1, len(both)) if sizes[0][k] + sizes[1][k] > 0}


def _measured(clean: Tensor, noisy: Tensor) -> tuple[Tensor, Tensor]:
    """Both (C, *S) as the network is shown the noisy one: in units of its noise, as far as that can be seen."""
    scales = [denoise.scale(channel.cpu().numpy()) for channel in noisy]
    low, step = (torch.tensor(values, device=noisy.device).reshape(-1, *(1,) * (noisy.ndim - 1)) for values in zip(*scales, strict=True))
    return (clean - low) / step, (noisy - low) / step


def psnr_db(clean: Tensor, other: Tensor) -> float:
    """Peak signal to noise, of the range of what is clean."""
    peak = clean.amax() - clean.amin()
    return float(-10 * torch.log10((((clean - other) / peak) ** 2).mean().clamp(min=1e-12)))


def _truths(u: Tensor, fixed: Sample, moving: Sample, known: Tensor | None, counts: Tensor | None, spacing: float) -> Scores:
    found = {}
    if fixed.labels is not None and moving.labels is not None:
        dice = list(dice_by_structure(fixed.labels, moving.labels, u).values())
        found["dice"] = sum(dice) / max(len(dice), 1)
    if fixed.points is not None and moving.points is not None:
        index = fixed.points.T.reshape(len(u), -1, *(1,) * (u.ndim - 2))
        went = fixed.points + place.read(u, index).reshape(len(u), -1).T
        found["tre_mm"] = float((went - moving.points).norm(dim=1).mean()) * spacing
    if known is not None:
        found["error_mm"] = float(((u - known).norm(dim=0) * counts).sum() / counts.sum().clamp(min=1)) * spacing
    return found


def _to(sample: Sample, device: str) -> Sample:
    return Sample(*(None if t is None else t.to(device) for t in (sample.image, sample.labels, sample.points)))


def _precision(recipe: Recipe, device: str) -> torch.autocast:
    return torch.autocast(device, torch.bfloat16, enabled=recipe.precision == "bfloat16")
