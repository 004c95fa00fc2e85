"""Pairs as they might have been: other places, other looks. Strength 0 changes nothing."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Generator

from . import place
from .data import Sample
from .look import look
from .place import Place, Strength
from .randomness import chance


def augmented(g: Generator, pair: tuple[Sample, Sample], strength: float, has_intensity: bool = True) -> tuple[Sample, Sample]:
    """Both images elsewhere and otherwise; left and right are swapped in both or in none, since labels may name sides."""
    if strength == 0:
        return pair
    shape = tuple(pair[0].image.shape[1:])
    flips = (0,) if chance(g, 0.5) else ()
    moved = [_placed(sample, place.draw(g, shape, Strength().times(strength), flips)) for sample in pair]
    fixed, moving = (_looked(g, sample, strength) if has_intensity else sample for sample in moved)
    return fixed, moving


def alike(g: Generator, samples: Sequence[Sample], strength: float) -> list[Sample]:
    """All at one other place: what moved between them is turned with them."""
    if strength == 0:
        return list(samples)
    where = place.draw(g, tuple(samples[0].image.shape[1:]), Strength().times(strength), (0,) if chance(g, 0.5) else ())
    return [_placed(sample, where) for sample in samples]


def _placed(sample: Sample, where: Place) -> Sample:
    index = where.positions()
    labels = sample.labels if sample.labels is None else place.nearest(sample.labels, index)
    points = sample.points if sample.points is None else where.back(sample.points.T).T
    return Sample(place.read(sample.image, index), labels, points)


def _looked(g: Generator, sample: Sample, strength: float) -> Sample:
    """Only the intensity, which is the first channel, is changed."""
    image = sample.image.clone()
    image[0] = look(g, image[0], strength)
    return Sample(image, sample.labels, sample.points)
