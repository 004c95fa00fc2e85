"""Smooth random functions of the world: the individuality of an anatomy, folds, texture, bias."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

_NODES = 32  # along each axis of a lattice; the function repeats beyond them


@dataclass(frozen=True, eq=False)
class Noise:
    """A random function of the world with zero mean and about unit variance; it repeats beyond its lattice.

    Parameters
    ----------
    data : (C, n, n, n) float32, values at the nodes.
    pitch : distance between nodes, mm.
    """

    data: NDArray[np.float32]
    pitch: float

    def __call__(self, points: NDArray) -> NDArray[np.float32]:
        """Values at world points, (3, ...) mm -> (C, ...); linear between nodes."""
        index = points * np.float32(1 / self.pitch)
        return np.stack([ndimage.map_coordinates(c, index, np.float32, 1, "grid-wrap", prefilter=False) for c in self.data])

    def along(self, axes: Sequence[NDArray]) -> NDArray[np.float32]:
        """Values where three lists of world coordinates cross, -> (C, n0, n1, n2); smooth (cubic B-spline) and fast."""
        first, second, third = (_bspline(axis / self.pitch, self.data.shape[1]) for axis in axes)
        out = second @ (self.data @ third.T)
        return (first @ out.reshape(*out.shape[:2], -1)).reshape(len(out), len(first), *out.shape[2:])


def _bspline(index: NDArray, nodes: int) -> NDArray[np.float32]:
    """Weights of periodic cubic B-splines at fractional indices, (N, nodes)."""
    low = np.floor(index).astype(int)
    t = index - low
    weights = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    matrix = np.zeros((len(index), nodes), np.float32)
    for offset, weight in enumerate(weights):
        np.add.at(matrix, (np.arange(len(index)), (low + offset - 1) % nodes), weight)
    return matrix


def smooth_noise(rng: np.random.Generator, size: float, channels: int = 1) -> Noise:
    """Random blobs of about ``size`` mm."""
    pitch = size / 3
    return Noise(np.stack([_shaped(rng, lambda k: np.exp(-((k * size / 5) ** 2)), pitch) for _ in range(channels)]), pitch)


def stripes(rng: np.random.Generator, wavelength: float, nodes: int = 72, rounds: int = 8) -> Noise:
    """A labyrinth of winding sheets ``wavelength`` mm apart; a section of it looks like a cortex from outside.

    Values rise evenly from 0 on the sheets to 1 midway between them. Noise of one wavelength is sharpened and filtered
    in turn, which lets neighbouring ripples join into long ones, as reaction and diffusion do (Turing,
    doi:10.1098/rstb.1952.0012).
    """
    pitch = wavelength / 7
    gain = _ring(wavelength, pitch, nodes)
    ripples = _shaped(rng, lambda k: gain, pitch, nodes)
    for _ in range(rounds):
        ripples = fft.irfftn(fft.rfftn(np.tanh(2.5 * ripples)) * gain, ripples.shape)
        ripples *= np.float32(1 / max(ripples.std(), 1e-6))
    steps = np.quantile(ripples, np.linspace(0, 1, 65))
    return Noise(np.interp(ripples, steps, np.linspace(1, 0, 65)).astype(np.float32)[None], pitch)


def _ring(wavelength: float, pitch: float, nodes: int) -> NDArray[np.float32]:
    """Gain that passes one wavelength."""
    return np.exp(-(((_frequency(pitch, nodes) * wavelength / (2 * np.pi) - 1) / 0.15) ** 2) / 2)


def _shaped(rng: np.random.Generator, gain: Callable[[NDArray], NDArray], pitch: float, nodes: int = _NODES) -> NDArray[np.float32]:
    """White noise on a periodic lattice, shaped by ``gain`` of the angular frequency in rad/mm; unit variance."""
    spectrum = fft.rfftn(rng.standard_normal((nodes,) * 3, dtype=np.float32))
    spectrum[0, 0, 0] = 0
    out = fft.irfftn(spectrum * gain(_frequency(pitch, nodes)), (nodes,) * 3)
    return (out / out.std()).astype(np.float32)


def _frequency(pitch: float, nodes: int) -> NDArray[np.float32]:
    """Angular frequency of each coefficient of a real FFT, rad/mm."""
    full, half = (2 * np.pi * f.astype(np.float32) for f in (fft.fftfreq(nodes, pitch), fft.rfftfreq(nodes, pitch)))
    return np.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half**2)
