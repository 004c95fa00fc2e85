"""What a registration network is trained to make small."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .. import losses
from ..nn import AffinePrediction, Prediction, fields
from .recipe import Recipe

SQUARINGS = 5  # in training; a fiftieth of a voxel off
_PLACES, _TEMPERATURE = 400, 0.1  # of the comparison of features: places a level, and how sharp it is
_NEAR = 0.1  # voxels below which distances to a known map count less
_WINDOWED = ("lncc", "ssim")
_POOLINGS = {4: functional.avg_pool2d, 5: functional.avg_pool3d}


@dataclass(frozen=True, eq=False)
class Batch:
    """Pairs on the common grid.

    Parameters
    ----------
    fixed, moving : (B, C, *S); the first channel is the intensity, if the network sees it.
    fixed_labels, moving_labels : (B, K, *S), 1 where the structure is; None if there are none.
    fixed_points, moving_points : (N, D) in voxels, for each pair; None if there are none.
    field : (B, D, *S), the known map, fixed voxel to moving voxel; None if it is not known.
    counts : (B, *S), 1 where the fixed image shows what the moving one has too; None: everywhere.
    """

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None
    fixed_points: Sequence[Tensor] | None = None
    moving_points: Sequence[Tensor] | None = None
    field: Tensor | None = None
    counts: Tensor | None = None

    def coarser(self, stride: int) -> Batch:
        """Means over ``stride`` voxels each way, the first from the first voxel on; lengths in the new voxels."""
        def mean(values: Tensor | None) -> Tensor | None:
            return None if values is None else _POOLINGS[values.ndim](values, stride, ceil_mode=True)

        def moved(points: Sequence[Tensor] | None) -> Sequence[Tensor] | None:
            return None if points is None else [(p - (stride - 1) / 2) / stride for p in points]

        counts = None if self.counts is None else mean(self.counts[:, None])[:, 0]
        return Batch(mean(self.fixed), mean(self.moving), mean(self.fixed_labels), mean(self.moving_labels), moved(self.fixed_points),
                     moved(self.moving_points), None if self.field is None else mean(self.field) / stride, counts)


def terms(prediction: Prediction | AffinePrediction, batch: Batch, recipe: Recipe, stiffness: float = 1.0,
          spacing: float = 1.0) -> dict[str, Tensor]:
    """Every part of the objective with its weight, by name; their sum is what is minimised.

    Parameters
    ----------
    stiffness : factor of the recipe's smoothness, as the network was told.
    spacing : mm of a voxel; points and known fields are compared in mm.
    """
    if not recipe.image_weight and isinstance(prediction, Prediction):  # labels and known maps say as much on the network's own lattice
        u, found = _at_lattice(prediction, batch, recipe, spacing)
    else:
        u = displacement(prediction)
        found = _fit(u, batch, recipe, spacing)
    for k, level in enumerate(reversed(getattr(prediction, "levels", ()))):  # deep supervision, half as much a level
        for name, value in _at_lattice(level, batch, recipe, spacing)[1].items():
            found[name] = found[name] + value * 0.5 ** (k + 1)
    if isinstance(prediction, Prediction) and recipe.smoothness:
        found["smoothness"] = recipe.smoothness * stiffness * roughness(prediction.velocity, recipe.regulariser)
    if recipe.feature_weight and batch.field is not None:
        found["features"] = recipe.feature_weight * confusion(getattr(prediction, "features", ()), batch)
    if recipe.folding_weight:
        found["folding"] = recipe.folding_weight * folding(u)
    return found


def _at_lattice(prediction: Prediction, batch: Batch, recipe: Recipe, spacing: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Displacement on the lattice of a velocity, in its voxels, and how well it fits the means of what each of them covers."""
    u = fields.integrate(prediction.velocity, SQUARINGS)
    return u, _fit(u, batch.coarser(prediction.stride), recipe, spacing * prediction.stride)


def displacement(prediction: Prediction | AffinePrediction) -> Tensor:
    """Fixed voxel to moving voxel, (B, D, *S), a little less exact than what predicts for good."""
    return prediction.displacement(SQUARINGS) if isinstance(prediction, Prediction) else prediction.displacement()


def _fit(u: Tensor, batch: Batch, recipe: Recipe, spacing: float) -> dict[str, Tensor]:
    found = {}
    if recipe.image_weight:
        found["image"] = recipe.image_weight * similarity(batch, fields.warp(batch.moving, u), recipe)
    if recipe.label_weight and batch.fixed_labels is not None:
        moved = fields.warp(batch.moving_labels, u, "zero")
        found["labels"] = recipe.label_weight * overlap(batch.fixed_labels, moved, batch.counts, recipe.balance)
    if recipe.point_weight and batch.fixed_points is not None:
        pairs = zip(u, batch.fixed_points, batch.moving_points, strict=True)
        found["points"] = recipe.point_weight * spacing**2 * torch.stack([_missed(*pair) for pair in pairs]).mean()
    if recipe.field_weight and batch.field is not None:
        weight = torch.ones_like(u[:, 0]) if batch.counts is None else batch.counts
        wrong = (((u - batch.field) ** 2).sum(1) + _NEAR**2).sqrt() - _NEAR  # not squared: what nothing shows would outweigh all else
        found["field"] = recipe.field_weight * spacing * (wrong * weight).sum() / weight.sum().clamp(min=1)
    return found


def similarity(batch: Batch, moved: Tensor, recipe: Recipe) -> Tensor:
    """The recipe's loss of the intensities, mean over pairs; of features the mean squared difference."""
    if recipe.channels[0] != "intensity":
        weight = 1 if batch.counts is None else batch.counts[:, None]
        return ((batch.fixed - moved) ** 2 * weight).mean()
    settings = {"radius": recipe.window} if recipe.loss in _WINDOWED else {}
    loss = losses.loss(recipe.loss, **settings)
    masks = [None] * len(moved) if batch.counts is None else [c > 0.5 for c in batch.counts]
    return torch.stack([loss(f[0], m[0], mask) for f, m, mask in zip(batch.fixed, moved, masks, strict=True)]).mean()


def overlap(fixed: Tensor, moved: Tensor, counts: Tensor | None = None, balance: bool = True) -> Tensor:
    """1 - soft Dice of (B, K, *S): the mean over structures if balanced, of all voxels together if not.

    sum (f - m)^2 / sum (f^2 + m^2), per structure or over all of them; structures that a pair lacks do not count.
    """
    axes = tuple(range(2, fixed.ndim))
    weight = 1 if counts is None else counts[:, None]
    wrong, sizes = ((fixed - moved) ** 2 * weight).sum(axes), ((fixed**2 + moved**2) * weight).sum(axes)
    if not balance:
        return (wrong.sum(1) / sizes.sum(1).clamp(min=1e-6)).mean()
    held = (sizes > 0).float()
    return ((wrong / sizes.clamp(min=1e-6) * held).sum(1) / held.sum(1).clamp(min=1)).mean()


def roughness(velocity: Tensor, kind: str = "gradient") -> Tensor:
    """Mean square of the first (``gradient``) or second (``bending``) differences of (B, D, *S), summed over all directions."""
    axes = range(2, velocity.ndim)
    first = [torch.diff(velocity, dim=axis) for axis in axes if velocity.shape[axis] > 1]
    if kind == "gradient":
        return sum((d**2).sum(1).mean() for d in first)
    second = [torch.diff(d, dim=axis) for d in first for axis in axes if d.shape[axis] > 1]
    return sum((d**2).sum(1).mean() for d in second)


def folding(u: Tensor) -> Tensor:
    """Mean of the negative part of the Jacobian determinant of x + u(x), (B, D, *S) in voxels."""
    from ..core import kernels

    return torch.stack([(-kernels.jacobian_determinant(one)).clamp(min=0).mean() for one in u])[:, None].mean()


def confusion(features: Sequence[Tensor], batch: Batch) -> Tensor:
    """How badly the features (2B, C, *lattice) of a place tell it from other places in the other image, mean over levels and both ways.

    InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) over a few hundred places of a regular lattice.
    """
    found = [torch.zeros((), device=batch.fixed.device)]
    for number, level in enumerate(features):
        coarse, pairs = batch.coarser(2 << number), len(level) // 2
        step = max(round((level[0, 0].numel() / _PLACES) ** (1 / (level.ndim - 2))), 1)
        some = tuple(slice(step // 2, n, step) for n in coarse.counts.shape[1:])
        for one, other, field, counts in zip(level[:pairs], level[pairs:], coarse.field, coarse.counts, strict=True):
            index = (field + fields.lattice(field.shape[1:], field))[(slice(None), *some)]
            there = fields.read(other[None], index[None])[0].flatten(1)
            here, held = fields.cut(one[None], field.shape[1:])[(0, slice(None), *some)].flatten(1), counts[some].flatten() > 0.5
            if held.sum() < 2:
                continue
            logits = here[:, held].T @ functional.normalize(there[:, held], dim=0) / _TEMPERATURE
            truth = torch.arange(len(logits), device=logits.device)
            found.append((functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)) / 2)
    return sum(found) / max(len(found) - 1, 1)


def _missed(u: Tensor, fixed: Tensor, moving: Tensor) -> Tensor:
    """Mean squared distance, voxels, of where fixed points (N, D) go from where they belong."""
    index = fixed.T.reshape(fixed.shape[1], -1, *(1,) * (u.ndim - 2))
    went = fixed + fields.read(u[None], index[None])[0].reshape(len(u), -1).T
    return ((went - moving) ** 2).sum(1).mean()
