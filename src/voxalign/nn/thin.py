"""A pyramid with fewer features in its decoder, made of one with more."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..core import InputError
from .networks import Pyramid


@torch.no_grad()
def thinned(network: Pyramid, hidden: int) -> Pyramid:
    """The ``hidden`` features of each level's decoder that weigh most, and nothing of the others (Li et al. 2017, arXiv:1608.08710).

    Worse than the network it was made of until it is trained on, and then far better than one that starts from nothing.

    Raises
    ------
    InputError : not fewer features than there are, or a decoder of several convolutions or with smoothness as an input.
    """
    known = network.architecture
    if not 0 < hidden < known.hidden or known.convolutions != 1 or known.conditioned:
        raise InputError(f"a pyramid of {known.hidden} hidden features cannot be thinned to {hidden}: expected fewer, one convolution a "
                         "level and no smoothness as input")
    made, weights = Pyramid(replace(known, hidden=hidden)), {name: value.clone() for name, value in network.state_dict().items()}
    for number in range(known.levels):
        _thin(weights, number, hidden)
    made.load_state_dict(weights)
    return made


def _thin(weights: dict[str, Tensor], number: int, hidden: int) -> None:
    """One level, and what the finer one takes of it."""
    mix, block, head, finer = (f"levels.{number}.mix", f"levels.{number}.block.layers.0", f"levels.{number}.head.weight",
                               f"levels.{number - 1}.mix.weight")
    mixed = _heaviest(_size(weights[f"{mix}.weight"], 0) * _size(weights[f"{block}.weight"], 1), hidden)
    above = weights[finer][:, -weights[head].shape[1]:] if number else None
    said = _size(weights[head], 1) / weights[head].norm() + (0 if above is None else _size(above, 1) / above.norm())
    made = _heaviest(_size(weights[f"{block}.weight"], 0) * said, hidden)
    for name in (f"{mix}.weight", f"{mix}.bias"):
        weights[name] = weights[name][mixed]
    weights[f"{block}.weight"], weights[f"{block}.bias"] = weights[f"{block}.weight"][made][:, mixed], weights[f"{block}.bias"][made]
    weights[head] = weights[head][:, made]
    if above is not None:
        weights[finer] = torch.cat([weights[finer][:, :-above.shape[1]], above[:, made]], 1)


def _size(values: Tensor, axis: int) -> Tensor:
    """Of the weights of each feature along an axis."""
    return values.movedim(axis, 0).flatten(1).norm(dim=1)


def _heaviest(sizes: Tensor, count: int) -> Tensor:
    return sizes.topk(count).indices.sort().values
