"""Networks trained against a critic, which learns meanwhile to tell what is true from what they make.

Both take a step at once: what a network is told passes through a frozen critic, what the critic is told ends at what was made, so that the
sum of both losses gives each its own gradient and the loop need not know that there are two.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import softplus

from ..nn import Critic, Pyramid, build, fields
from ..nn.adversarial import frozen
from . import look, place
from .objective import Batch, displacement, roughness, terms
from .place import Strength
from .randomness import chance, smooth_noise, uniform
from .tasks import Registration, Scores, Task, collate

_EXPLAINED = 10.0  # weight of the mean difference of intensities
_HELD = Strength(20.0, 0.05, 0.1, 0.05, (2.0, 0.25))  # where an image is put to see whether its translation goes along
_ASTRAY = (1.0, 5.0)  # voxels by which true pairs are moved off to be wrong for sure
_HIDDEN = 16  # features of the decoder of the registration inside a translation


class Players(nn.Module):
    """Networks that are trained together.

    Parameters
    ----------
    kept : the one that is wanted.
    critic : what it is trained against.
    others : what helps.
    """

    def __init__(self, kept: nn.Module, critic: nn.Module, **others: nn.Module) -> None:
        super().__init__()
        self.kept, self.critic = kept, critic
        for name, module in others.items():
            self.add_module(name, module)


def persuaded(critic: nn.Module, *images: Tensor) -> Tensor:
    """What a network loses when the critic does not take what it made for true (Goodfellow et al. 2014, arXiv:1406.2661)."""
    with frozen(critic):
        return softplus(-critic(*images)).mean()


def mistaken(critic: nn.Module, true: Sequence[Tensor], *made: Sequence[Tensor]) -> Tensor:
    """What the critic loses when it takes ``true`` for made or any of ``made`` for true; the mean over all it is shown."""
    wrong = [softplus(critic(*(image.detach() for image in images))).mean() for images in made]
    return (softplus(-critic(*true)).mean() + sum(wrong) / len(wrong)) / 2


class Translation(Task):
    """A moving image in the contrast of the fixed one, in its own place.

    The two need not lie exactly on each other: a registration that is trained along explains what is left (RegGAN: Kong et al. 2021,
    arXiv:2110.06465), so that the translation has no reason to. A second term holds it in place: an image that is moved and translated
    must be what it is translated and moved.
    """

    augment = 0.0

    def network(self) -> nn.Module:
        """See `Task.network`."""
        dim, channels, widths = len(self.source.space.shape), self.source.in_channels, self.recipe.widths
        registration = build(Pyramid(dim, channels, widths, hidden=_HIDDEN, conditioned=False))
        return Players(super().network(), build(Critic(dim, channels, widths)), registration=registration)

    def kept(self, network: nn.Module) -> nn.Module:
        """See `Task.kept`."""
        return network.kept

    def loss(self, network: nn.Module, keys: Sequence[tuple[int, int]], chosen: int | None = None) -> dict[str, Tensor]:
        """See `Task.loss`."""
        generators = [self.training_generator(*key) for key in keys]
        fixed, moving = (torch.stack(images) for images in zip(*(self._images(g, chosen) for g in generators), strict=True))
        made = network.kept(moving)
        said = network.registration(fixed, made)
        moved = fields.warp(made, displacement(said))
        recipe = self.recipe
        return {"image": recipe.image_weight * _EXPLAINED * (moved - fixed).abs().mean(),
                "smoothness": recipe.smoothness * roughness(said.velocity, recipe.regulariser),
                "place": recipe.place_weight * _EXPLAINED * _held(generators[0], network.kept, moving, made),
                "persuaded": recipe.critic_weight * persuaded(network.critic, made),
                "critic": mistaken(network.critic, (fixed,), (made,))}

    def _images(self, g: Generator, number: int | None) -> tuple[Tensor, Tensor]:
        fixed, moving, *_ = self.pair(g, "train", number)
        return fixed.image, moving.image

    @torch.no_grad()
    def scores(self, network: nn.Module, part: str) -> Scores:
        """See `Task.scores`: ``correlation`` of fixed and translated image (along the known map if there is one), and before."""
        found = [self._score(network, part, number) for number in range(self.count(part))]
        after, before = (sum(column) / len(found) for column in zip(*found, strict=True))
        return {"score": after, "correlation": after, "correlation_before": before}

    def _score(self, network: nn.Module, part: str, number: int) -> tuple[float, float]:
        fixed, moving, known, _ = self.pair(self.fixed_generator(part, number), part, number)
        images = [network(moving.image[None]), moving.image[None]]
        images = images if known is None else [fields.warp(image, known[None]) for image in images]
        return tuple(correlation(fixed.image, image[0]) for image in images)

    @torch.no_grad()
    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """See `Task.pictures`."""
        if not self.count("validation"):
            return {}
        fixed, moving, *_ = self.pair(self.fixed_generator("validation", 0), "validation", 0)
        return {"fixed": fixed.image[0], "moving": moving.image[0], "translated": network(moving.image[None])[0, 0]}


def _held(g: Generator, translator: nn.Module, images: Tensor, made: Tensor) -> Tensor:
    """How far translations differ when the images lie elsewhere, possibly mirrored; mean difference."""
    shape = tuple(images.shape[2:])
    index = place.draw(g, shape, _HELD, (0,) if chance(g, 0.5) else ()).positions()[None]
    index = index.expand(len(images), *index.shape[1:])
    return (translator(fields.read(images, index)) - fields.read(made, index)).abs().mean()


def correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's, of all values."""
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


class Adversarial(Registration):
    """Registration whose similarity is learned along: a critic tells fixed and moved patches from aligned ones (Fan et al. 2019,
    doi:10.1016/j.media.2019.101545).

    What is aligned is known of synthesised and of translated pairs. Of others it is the fixed image with another look of its own, which
    serves images of one kind only.
    """

    def network(self) -> nn.Module:
        """See `Task.network`."""
        critic = Critic(len(self.source.space.shape), self.source.in_channels, self.recipe.widths[:1], images=2)
        return Players(super().network(), build(critic))

    def kept(self, network: nn.Module) -> nn.Module:
        """See `Task.kept`."""
        return network.kept

    def loss(self, network: nn.Module, keys: Sequence[tuple[int, int]], chosen: int | None = None) -> dict[str, Tensor]:
        """See `Task.loss`."""
        generators = [self.training_generator(*key) for key in keys]
        batch = collate([self._batch(g, *self.pair(g, "train", chosen)) for g in generators])
        true = torch.stack([_aligned(g, *images) for g, *images in zip(generators, batch.fixed, batch.moving, _each(batch), strict=True)])
        prediction = network.kept(batch.fixed, batch.moving)
        moved = fields.warp(batch.moving, displacement(prediction))
        plain = replace(self.recipe, image_weight=0.0, label_weight=0.0, point_weight=0.0, field_weight=0.0)
        made = self.made(network.kept, batch, moved)
        wrong = torch.stack([_astray(g, image) for g, image in zip(generators, true, strict=True)])
        found = terms(prediction, batch, plain, 1.0, self.source.space.spacing)
        found["persuaded"] = self.recipe.critic_weight * persuaded(network.critic, batch.fixed, made)
        found["critic"] = mistaken(network.critic, (batch.fixed, true), (batch.fixed, made), (batch.fixed, wrong))
        return found | self.explained(made, moved)

    def made(self, network: nn.Module, batch: Batch, moved: Tensor) -> Tensor:
        """What the critic is shown beside the fixed image."""
        return moved

    def explained(self, made: Tensor, moved: Tensor) -> dict[str, Tensor]:
        """What is lost when the moved image is not what was made."""
        return {}


class Generation(Adversarial):
    """The registered image itself is painted from both images, and has to convince the critic; a deformation of the moving image has to
    explain it, which holds it to the anatomy that is there.
    """

    def made(self, network: nn.Module, batch: Batch, moved: Tensor) -> Tensor:
        """See `Adversarial.made`."""
        return network.paint(batch.fixed, batch.moving)

    def explained(self, made: Tensor, moved: Tensor) -> dict[str, Tensor]:
        """See `Adversarial.explained`."""
        return {"image": self.recipe.image_weight * _EXPLAINED * (made - moved).abs().mean()}

    @torch.no_grad()
    def scores(self, network: nn.Module, part: str) -> Scores:
        """See `Registration.scores`; ``explained`` is the correlation of painted and moved image."""
        found = super().scores(network, part)
        shown = [self._shown(network, part, number) for number in range(self.count(part))]
        return found | {"explained": sum(correlation(*images) for images in shown) / len(shown)}

    @torch.no_grad()
    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """See `Task.pictures`."""
        found = super().pictures(network)
        return found and found | {"painted": self._shown(network, "validation", 0)[0][0]}

    def _shown(self, network: nn.Module, part: str, number: int) -> tuple[Tensor, Tensor]:
        """Painted and moved image (C, *S) of a pair."""
        fixed, moving, *_ = self.pair(self.fixed_generator(part, number), part, number)
        fixed, moving = fixed.image[None], moving.image[None]
        return network.paint(fixed, moving)[0], fields.warp(moving, network(fixed, moving).displacement())[0]


def _each(batch: Batch) -> Sequence[Tensor | None]:
    return [None] * len(batch.fixed) if batch.field is None else batch.field


def _aligned(g: Generator, fixed: Tensor, moving: Tensor, known: Tensor | None) -> Tensor:
    """What lies on the fixed image (C, *S): the moving one along the known map, or the fixed one as another scan might show it."""
    if known is not None:
        return fields.warp(moving[None], known[None])[0]
    return torch.stack([look.look(g, channel) for channel in fixed])


def _astray(g: Generator, image: Tensor) -> Tensor:
    """An image (C, *S) bent by some voxels."""
    shape = tuple(image.shape[1:])
    offset = smooth_noise(g, shape, 0.5 * max(shape), len(shape))
    return fields.warp(image[None], (offset * (uniform(g, *_ASTRAY) / offset.norm(dim=0).mean()))[None])[0]
