"""Random places: an affine map and a diffeomorphism, with its inverse, in voxels of the common grid."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..nn import Prediction, fields
from .randomness import smooth_noise, uniform, uniforms

_SQUARINGS, _STRIDE = 5, 2


@dataclass(frozen=True)
class Strength:
    """How far a random place may be from the identity.

    Parameters
    ----------
    degrees : rotation about each axis.
    shift : part of the edge.
    scale : of the logarithm of each axis's factor.
    shear : off the diagonal.
    elastic : greatest standard deviation of the velocity, voxels, and size of the regions that move together, part of the edge.
    """

    degrees: float = 10.0
    shift: float = 0.03
    scale: float = 0.1
    shear: float = 0.05
    elastic: tuple[float, float] = (2.0, 0.25)

    def times(self, factor: float) -> Strength:
        """As much of everything."""
        return Strength(self.degrees * factor, self.shift * factor, self.scale * factor, self.shear * factor,
                        (self.elastic[0] * factor, self.elastic[1]))


@dataclass(frozen=True, eq=False)
class Place:
    """x -> A (x + u(x)): first a deformation, then an affine map.

    Parameters
    ----------
    matrix : (D+1, D+1) of the affine map, index to index.
    flow : the deformation, for every second voxel.
    """

    matrix: Tensor
    flow: Prediction

    def positions(self, index: Tensor | None = None) -> Tensor:
        """Where indices (D, ...) go; by default those of all voxels."""
        u = self.flow.displacement(_SQUARINGS)[0]
        index, u = (fields.lattice(self.flow.shape, u), u) if index is None else (index, _at(u, index))
        return _mapped(self.matrix, index + u)

    def back(self, index: Tensor) -> Tensor:
        """What goes to indices (D, ...)."""
        index = _mapped(torch.linalg.inv(self.matrix), index)
        return index + _at(self.flow.inverse().displacement(_SQUARINGS)[0], index)


def draw(g: Generator, shape: Sequence[int], strength: Strength, flips: Sequence[int] = ()) -> Place:
    """A random place about the middle of the grid; the axes ``flips`` are mirrored."""
    deviation, size = uniform(g, 0, strength.elastic[0]), strength.elastic[1] * uniform(g, 0.5, 1.5) * max(shape)
    lattice = [-(-n // _STRIDE) for n in shape]
    velocity = deviation / _STRIDE * smooth_noise(g, lattice, size / _STRIDE, len(shape))
    return Place(_affine(g, shape, strength, flips), Prediction(velocity[None], tuple(shape), _STRIDE))


def _affine(g: Generator, shape: Sequence[int], strength: Strength, flips: Sequence[int]) -> Tensor:
    dim = len(shape)
    linear = torch.eye(dim, device=g.device)
    for i in range(dim):
        for j in range(i + 1, dim):
            linear = linear @ _rotation(dim, i, j, math.radians(uniform(g, -strength.degrees, strength.degrees)), g.device)
    shear = torch.triu(uniforms(g, (dim, dim), -strength.shear, strength.shear), 1)
    linear = linear @ (torch.eye(dim, device=g.device) + shear) @ torch.diag(uniforms(g, dim, -strength.scale, strength.scale).exp())
    for axis in flips:
        linear[:, axis] *= -1
    size = torch.tensor(shape, dtype=torch.float32, device=g.device)
    middle, shift = (size - 1) / 2, uniforms(g, dim, -strength.shift, strength.shift) * size
    matrix = torch.eye(dim + 1, device=g.device)
    matrix[:-1, :-1], matrix[:-1, -1] = linear, middle + shift - linear @ middle
    return matrix


def _rotation(dim: int, i: int, j: int, angle: float, device: torch.device) -> Tensor:
    matrix = torch.eye(dim, device=device)
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[i, j], matrix[j, i] = -math.sin(angle), math.sin(angle)
    return matrix


def read(values: Tensor, index: Tensor) -> Tensor:
    """``values`` (C, *S) at indices (D, *T), linear, 0 outside: (C, *T)."""
    return fields.read(values[None], index[None], "zero")[0]


def nearest(labels: Tensor, index: Tensor) -> Tensor:
    """Whole numbers (*S) at the voxels nearest to indices (D, *T); 0 outside."""
    at = [i.round().long() for i in index]
    inside = torch.stack([(i >= 0) & (i < n) for i, n in zip(at, labels.shape, strict=True)]).all(0)
    return labels[tuple(i.clamp(0, n - 1) for i, n in zip(at, labels.shape, strict=True))] * inside


def _at(field: Tensor, index: Tensor) -> Tensor:
    flat = index.reshape(len(index), -1, *(1,) * (field.ndim - 2))
    return fields.read(field[None], flat[None])[0].reshape(index.shape)


def _mapped(matrix: Tensor, index: Tensor) -> Tensor:
    return torch.einsum("ij,j...->i...", matrix[:-1, :-1], index) + matrix[:-1, -1].reshape(-1, *(1,) * (index.ndim - 1))
