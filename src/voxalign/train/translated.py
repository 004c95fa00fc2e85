"""Pairs of two kinds of image from images of one kind: translated by a trained network, and moved; the map between them is known."""
from __future__ import annotations

import torch
from torch import Generator, nn

from ..nn import fields
from . import place
from .data import Sample
from .place import Strength
from .synthesise import Synthetic, inside


@torch.no_grad()
def pair(g: Generator, sample: Sample, translator: nn.Module, relative: Strength) -> Synthetic:
    """A scan as it is (fixed), and as ``translator`` shows it, placed by ``relative`` off it (moving)."""
    shape = tuple(sample.image.shape[1:])
    where = place.draw(g, shape, relative)
    lattice = fields.lattice(shape, sample.image)
    there = where.back(lattice)  # moving voxel -> fixed voxel
    moving = place.read(translator(sample.image[None])[0], there)
    labels = None if sample.labels is None else place.nearest(sample.labels, there)
    field = where.positions() - lattice
    return Synthetic(sample.image, moving, sample.labels, labels, field, inside(field, shape).float())
