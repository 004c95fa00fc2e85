"""A network that follows the frames of a sequence, trained on sequences."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from . import augment, motion, synthesise
from .objective import Batch, displacement, terms
from .randomness import uniform, whole
from .tasks import Scores, Task, collate

_FIXED_NOISE = (0.0, 0.05)
Frames = list[Batch]  # one batch for each frame, all of the same fixed images


class Sequences(Task):
    """Every frame's deformation against the fixed image, causal.

    Sequences are made (the map to every frame is known), or they are the images of one person in the order of the table, of which the
    first is the fixed one.
    """

    def loss(self, network: nn.Module, keys: Sequence[tuple[int, int]], chosen: int | None = None) -> dict[str, Tensor]:
        """See `Task.loss`: the mean over frames."""
        made = [self.sequence(self.training_generator(*key), "train", chosen) for key in keys]
        frames = [collate(list(parts)) for parts in zip(*made, strict=True)]
        said = network.follow(frames[0].fixed, [batch.moving for batch in frames])
        spacing = self.source.space.spacing
        parts = [terms(prediction, batch, self.recipe, 1.0, spacing) for prediction, batch in zip(said, frames, strict=True)]
        return {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}

    def sequence(self, g: Generator, part: str, number: int | None = None) -> Frames:
        """The frames of one sequence; of the data, ``frames`` that follow each other."""
        return self._made(g, part) if self.recipe.synthesise else self._read(g, part, number)

    def _made(self, g: Generator, part: str) -> Frames:
        fixed = synthesise.painted(g, self._drawings(g, part)[0])[None]
        kind = self.recipe.motions[whole(g, 0, len(self.recipe.motions) - 1)]
        made = motion.sequence(g, fixed, kind, self.recipe.frames, motion.varied)
        noisy = motion.rician(g, fixed[0], uniform(g, *_FIXED_NOISE))[None, None]
        return [Batch(noisy, frame[None], field=field[None]) for frame, field in zip(made.frames, made.displacement, strict=True)]

    def _read(self, g: Generator, part: str, number: int | None) -> Frames:
        sequences = self.source.sequences[part]
        scans = sequences[whole(g, 0, len(sequences) - 1) if number is None else number]
        begin = whole(g, 1, max(len(scans) - self.recipe.frames, 1)) if part == "train" else 1
        store = self.source.store
        fixed, *frames = (store.sample(scan) for scan in (scans[0], *scans[begin:begin + self.recipe.frames]))
        if part == "train":
            fixed, *frames = augment.alike(g, (fixed, *frames), self.recipe.augment)
        return [Batch(*(sample.image[None].to(self.device) for sample in (fixed, frame))) for frame in frames]

    def count(self, part: str) -> int:
        """See `Task.count`."""
        return super().count(part) if self.recipe.synthesise else len(self.source.sequences.get(part, ()))

    @torch.no_grad()
    def scores(self, network: nn.Module, part: str) -> Scores:
        """See `Task.scores`: ``error_mm`` of the frames with known maps, the same without memory, and before; else the ``loss``."""
        found = [self._score(network, part, number) for number in range(self.count(part))]
        mean = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
        return {"score": -mean.get("error_mm", mean["loss"])} | mean

    def _score(self, network: nn.Module, part: str, number: int) -> Scores:
        frames, spacing = self.sequence(self.fixed_generator(part, number), part, number), self.source.space.spacing
        moving = [batch.moving for batch in frames]
        said = list(network.follow(frames[0].fixed, moving))
        pairs = list(zip(said, frames, strict=True))
        loss = sum(float(sum(terms(prediction, batch, self.recipe, 1.0, spacing).values())) for prediction, batch in pairs) / len(pairs)
        if frames[0].field is None:
            return {"loss": loss}
        true = torch.cat([batch.field for batch in frames])
        alone = [next(network.follow(frames[0].fixed, [frame])) for frame in moving]
        return {"loss": loss, "error_mm": spacing * _missed(_joined(said), true), "error_mm_without_memory":
                spacing * _missed(_joined(alone), true), "error_mm_before": spacing * _missed(torch.zeros_like(true), true)}


def _joined(said: Sequence) -> Tensor:
    return torch.cat([displacement(prediction) for prediction in said])


def _missed(u: Tensor, true: Tensor) -> float:
    """Mean distance, voxels."""
    return float((u - true).norm(dim=1).mean())
