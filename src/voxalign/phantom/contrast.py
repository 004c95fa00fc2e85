"""What a scanner makes of a label map: T1, T2, FLAIR, CT and PET."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core import Grid, Image
from ..core.errors import choose
from .anatomy import Seed, evaluate
from .labels import HeadLabel, LimbLabel, ShapeLabel, ThoraxLabel
from .noise import smooth_noise

MODALITIES = ("T1", "T2", "FLAIR", "CT", "PET")

_TISSUES = {  # T1, T2, FLAIR (white matter in T1 = 1000), CT (Hounsfield units), PET (cortex = 1000)
    "air": (10, 10, 10, -1000, 5),
    "skin": (480, 260, 300, 20, 90),
    "fat": (1250, 620, 700, -95, 40),
    "muscle": (520, 210, 300, 52, 130),
    "bone": (70, 50, 50, 1150, 60),
    "marrow": (820, 420, 420, 330, 110),
    "cartilage": (430, 520, 450, 110, 80),
    "fluid": (180, 1150, 120, 8, 30),
    "eye": (210, 1080, 140, 10, 40),
    "lens": (420, 260, 350, 70, 40),
    "white": (1000, 380, 500, 29, 330),
    "grey": (640, 560, 670, 38, 1000),
    "thalamus": (800, 480, 590, 36, 950),
    "caudate": (680, 500, 620, 38, 1050),
    "putamen": (720, 480, 600, 38, 1080),
    "pallidum": (870, 400, 540, 40, 650),
    "hippocampus": (660, 580, 690, 36, 720),
    "stem": (900, 430, 540, 32, 480),
    "cerebellum": (660, 560, 640, 38, 850),
    "lesion": (430, 900, 1050, 22, 1700),
    "lung": (70, 60, 60, -830, 60),
    "blood": (300, 240, 200, 130, 170),
    "heart": (560, 330, 380, 75, 1100),
    "liver": (720, 260, 380, 62, 330),
    "spleen": (520, 480, 470, 52, 270),
    "gut": (330, 800, 350, 20, 150),
    "body": (600, 500, 500, 30, 200),
    "insert": (900, 800, 800, 120, 900),
}

_TISSUE_OF = {  # words of a label's name -> tissue; the first that fits
    "BACKGROUND": "air", "LESION": "lesion", "CEREBELLUM_WHITE": "white", "CEREBELLUM": "cerebellum", "WHITE": "white",
    "CORTEX": "grey", "VENTRICLE": "fluid", "CSF": "fluid", "THALAMUS": "thalamus", "CAUDATE": "caudate", "PUTAMEN": "putamen",
    "PALLIDUM": "pallidum", "HIPPOCAMPUS": "hippocampus", "AMYGDALA": "hippocampus", "BRAINSTEM": "stem", "CORD": "stem",
    "SCALP": "skin", "SKIN": "skin", "SKULL": "bone", "DIPLOE": "marrow", "EYE": "eye", "LENS": "lens", "MUSCLE": "muscle",
    "FAT": "fat", "MEDIASTINUM": "fat", "AIR": "air", "DISC": "cartilage", "CARTILAGE": "cartilage", "MARROW": "marrow",
    "VERTEBRA": "bone", "RIB": "bone", "STERNUM": "bone", "SCAPULA": "bone", "CLAVICLE": "bone",
    "FEMUR": "bone", "TIBIA_MARROW": "marrow", "TIBIALIS": "muscle",
    "TIBIA": "bone", "FIBULA": "bone", "PATELLA": "bone", "LUNG": "lung", "VESSEL": "blood", "BLOOD": "blood", "AORTA": "blood",
    "MYOCARDIUM": "heart", "LIVER": "liver", "STOMACH": "gut", "SPLEEN": "spleen", "BODY": "body", "SPHERE": "insert",
    "CUBE": "insert", "CONE": "insert",
}


@dataclass(frozen=True)
class Appearance:
    """How far an image is from its ideal.

    Parameters
    ----------
    noise : standard deviation as a part of the modality's range (Rician in MR, Gaussian in CT; PET: of the counts).
    bias : strength of the slow multiplicative shading of MR, about its standard deviation.
    texture : variation within a tissue as a part of its value (in CT of 100 HU).
    blur_mm : width at half height of the scanner's point spread; at least a voxel's.
    """

    noise: float = 0.025
    bias: float = 0.15
    texture: float = 0.04
    blur_mm: float = 0.0


APPEARANCES = {"T1": Appearance(), "T2": Appearance(), "FLAIR": Appearance(noise=0.035),
               "CT": Appearance(noise=0.006, bias=0.0, texture=0.02), "PET": Appearance(noise=0.08, bias=0.0, blur_mm=6.0)}
"""What is usual for each modality."""


def contrast(labels: Image, modality: str = "T1", seed: Seed = 0, appearance: Appearance | None = None,
             texture: NDArray | None = None) -> Image:
    """An image of a phantom's labels.

    Parameters
    ----------
    labels : of this package (their numbers say the tissue).
    modality : one of `MODALITIES`.
    appearance : by default the modality's usual one, see `APPEARANCES`.
    texture : (*grid.shape) with unit variance, variation within tissues that is part of the body, see
        `body_texture`; by default one of this image alone.

    Returns
    -------
    Image, float32: MR in arbitrary units (white matter in T1 about 1000), CT in Hounsfield units, PET relative
    (cortex about 1000).
    """
    modality = choose(modality, MODALITIES, "modality")
    appearance = APPEARANCES[modality] if appearance is None else appearance
    rng = np.random.default_rng(seed)
    if texture is None:
        texture = evaluate(body_texture(rng), labels.grid)
    ideal = _ideal(labels.array, modality, appearance.texture * texture)
    ideal = _blurred(ideal, labels.grid, appearance.blur_mm)
    scan = {"CT": _ct, "PET": _pet}.get(modality, _mr)
    return Image(scan(ideal, labels.grid, appearance, rng), labels.grid)


def body_texture(seed: Seed = 0) -> Callable[[NDArray], NDArray[np.float32]]:
    """Fine variation that moves with a body: its points, (N, 3) mm -> (N,) with unit variance; see `anatomy.evaluate`."""
    noise = smooth_noise(np.random.default_rng(seed), 7.0)
    return lambda points: noise(np.ascontiguousarray(points.T, np.float32))[0]


# -------------------------------------------------------------------- scanners
def _mr(ideal: NDArray, grid: Grid, appearance: Appearance, rng: np.random.Generator) -> NDArray[np.float32]:
    """Shaded by the coil; magnitude of a signal with noise in both parts."""
    real = ideal * _shading(grid, appearance.bias, rng)
    level = np.float32(1000 * appearance.noise)
    real += level * rng.standard_normal(grid.shape, np.float32)
    return np.hypot(real, level * rng.standard_normal(grid.shape, np.float32))


def _ct(ideal: NDArray, grid: Grid, appearance: Appearance, rng: np.random.Generator) -> NDArray[np.float32]:
    grain = ndimage.gaussian_filter(rng.standard_normal(grid.shape, np.float32), 0.6)
    return ideal + np.float32(1000 * appearance.noise) * grain / grain.std()


def _pet(ideal: NDArray, grid: Grid, appearance: Appearance, rng: np.random.Generator) -> NDArray[np.float32]:
    """Counts, smoothed a little as reconstructions are."""
    counts = 1 / max(appearance.noise, 1e-3) ** 2  # of a voxel of grey matter
    drawn = rng.poisson(np.maximum(ideal, 0) * (counts / 1000)) * (1000 / counts)
    return _blurred(drawn.astype(np.float32), grid, 0.5 * appearance.blur_mm)


def _shading(grid: Grid, strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Slow variation of about one over the field of view."""
    axes = [np.linspace(0, 1, n) for n in grid.shape] + [np.zeros(1)] * (3 - grid.dim)
    slow = smooth_noise(rng, 0.9).along(axes)[0].reshape(grid.shape)
    return np.exp(np.float32(strength) * (slow - slow.mean()))


# -------------------------------------------------------------------- tissues
def _ideal(labels: NDArray, modality: str, variation: NDArray) -> NDArray[np.float32]:
    mean = _table(modality)[labels]
    return mean + 100 * variation * (mean > -900) if modality == "CT" else mean * (1 + variation)


def _blurred(ideal: NDArray, grid: Grid, width_mm: float) -> NDArray[np.float32]:
    """By a Gaussian of that width at half height, a voxel's at least: that is where partial volume comes from."""
    return ndimage.gaussian_filter(ideal, np.maximum(width_mm / grid.spacing, 1.0) / 2.355, mode="nearest", truncate=2.5)


def _table(modality: str) -> NDArray[np.float32]:
    """Mean of each label number."""
    column = MODALITIES.index(modality)
    table = np.zeros(256, np.float32)
    for family in (HeadLabel, ThoraxLabel, LimbLabel, ShapeLabel):
        for label in family:
            table[label] = _TISSUES[tissue(label)][column]
    return table


def tissue(label: IntEnum) -> str:
    """What a structure is made of."""
    return next((made for word, made in _TISSUE_OF.items() if word in label.name), "muscle")
