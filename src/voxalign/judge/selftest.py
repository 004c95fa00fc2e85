"""The checks of AAPM TG-132 (doi:10.1002/mp.12256) on this installation, with phantoms whose truth is a closed form."""
from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .. import io, metrics
from ..core import Grid, Image, InputWarning, Transform, compose, resample
from ..io.dicom_series import save_series
from ..phantom import ShapeLabel, contrast, rigid, shapes
from ..register import Registration, Settings, register
from ..register.result import OnStep
from .patients import SOLIDS, SPACINGS, Patient, soft_patient, solid_patients

_FILES = (".nii.gz", ".mha", ".nrrd", "DICOM")
_TRANSFORM_FILES = (".h5", ".tfm", ".mat")
_CENTRES = {ShapeLabel.SPHERE: (-45.0, 0.0, 0.0), ShapeLabel.CUBE: (45.0, 0.0, 0.0)}  # mm, see `phantom.shapes`
_OBLIQUE = (1.8, 2.2, 3.0)  # mm, voxels of the scan that goes through files
_RIGID_STEP = 97  # of the body's voxels, every one so many
_SHOWN = {"<": "below", "<=": "at most", ">=": "at least"}


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Parameters
    ----------
    test : row of the table, ``rigid`` for one.
    case : what it was tried on.
    quantity : what was measured.
    found : the values, one or one an axis; every one must keep the limit.
    relation, limit, unit : ours.
    usual : what is usually asked for.
    """

    test: str
    case: str
    quantity: str
    found: tuple[float, ...]
    relation: Literal["<", "<=", ">="]
    limit: float
    unit: str
    usual: str

    @property
    def passed(self) -> bool:
        """Whether all values keep the limit; NaN does not."""
        keeps = {"<": np.less, "<=": np.less_equal, ">=": np.greater_equal}[self.relation]
        return bool(np.all(keeps(self.found, self.limit)))

    @property
    def expected(self) -> str:
        """The limit in words."""
        return f"{_SHOWN[self.relation]} {self.limit:g} {self.unit}".strip()


def checks(on_step: OnStep | None = None) -> Iterator[Check]:
    """Every check, as it is finished.

    Parameters
    ----------
    on_step : passed to the registrations; may raise to stop.
    """
    yield from _transfers()
    for spacing in SPACINGS:
        for modalities, patient in solid_patients(spacing):
            yield _rigid(patient, f"{modalities}, {'x'.join(f'{s:g}' for s in spacing)} mm", on_step)
    for motion in ("b-spline", "sliding", "inflation"):
        yield from _soft(soft_patient(motion), motion, on_step)


# ---------------------------------------------------------------- data transfer
def _transfers() -> Iterator[Check]:
    """What goes through files comes back as it was."""
    labels = shapes(_tilted(_OBLIQUE))
    image = contrast(labels, "CT", 0)
    image = image.with_data(np.rint(image.data).clip(-1024))  # what CT holds
    with tempfile.TemporaryDirectory() as folder:
        for kind in _FILES:
            back = _through(image, Path(folder), kind)
            yield _exact("orientation of axes that differ", kind, sum(a != b for a, b in zip(back.grid.axes, image.grid.axes, strict=True)))
            yield _exact("largest difference of an intensity", kind, _difference(back, image), "HU")
            shifts = back.grid.corners() - image.grid.corners()
            yield _near("corners of the image", kind, np.abs(image.grid.index(shifts + image.grid.origin)))
        yield _near("centres of solids, from an oblique scan", "resampled", _off_centre(labels))
        yield from _transform_transfers(image.grid, Path(folder))


def _transform_transfers(grid: Grid, folder: Path) -> Iterator[Check]:
    given = compose([rigid(10, (1, 2, 3), (-10, 5, -15))])
    for kind in _TRANSFORM_FILES:
        io.save_transform(given, folder / f"transform{kind}")
        back = io.load_transform(folder / f"transform{kind}")
        yield _near("corners along a rigid transform", f"transform {kind}", _voxels(back, given, grid.corners(), grid))


def _through(image: Image, folder: Path, kind: str) -> Image:
    """Written and read."""
    path = folder / f"image{kind}" if kind != "DICOM" else folder / "series"
    if kind == "DICOM":
        path.mkdir()
        save_series(image, path)
    else:
        io.save(image, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        return io.load(path)


def _difference(back: Image, image: Image) -> float:
    """Largest difference of an intensity, at the places where the voxels were."""
    return float(np.abs(resample(back, image.grid, interpolation="nearest").data - image.data).max())


def _off_centre(labels: Image) -> NDArray[np.float64]:
    """How far sphere and cube are from where they belong after resampling to the world's axes, voxels along each axis."""
    upright = resample(labels, Grid((130, 95, 110), np.array([[-2.0, 0, 0, 130], [0, -2, 0, 95], [0, 0, 2, -120], [0, 0, 0, 1]])))
    found = [upright.grid.index(upright.grid.world(np.argwhere(upright.array == label)).mean(0)) for label in _CENTRES]
    return np.abs(np.array(found) - upright.grid.index(list(_CENTRES.values())))


def _tilted(spacing: tuple[float, ...]) -> Grid:
    """An oblique scan, LPS."""
    shape = np.round(np.array([310.0, 240.0, 290.0]) / spacing).astype(int)
    turn = rigid(12, (1, -0.5, 0.3), (0, 0, 0)).matrix
    affine = turn @ np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = np.array([0, 0, -10.0]) - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(tuple(shape), affine)


# ---------------------------------------------------------------- registration
def _rigid(patient: Patient, case: str, on_step: OnStep | None) -> Check:
    found = register(patient.fixed, patient.moving, Settings(transform="rigid"), on_step=on_step)
    errors = _voxels(found.transform, patient.truth, patient.body[::_RIGID_STEP], patient.fixed.grid)
    return Check("rigid", case, "largest error in the body along x, y, z", _rounded(errors.max(0)), "<", 0.25, "voxels", "below 0.5 voxel")


def _soft(patient: Patient, motion: str, on_step: OnStep | None) -> Iterator[Check]:
    """What a deformable registration of the textured patient is worth."""
    there, back = (register(*pair, Settings(), on_step=on_step) for pair in
                   ((patient.fixed, patient.moving), (patient.moving, patient.fixed)))
    errors = metrics.tre_mm(there.transform, patient.body, patient.truth(patient.body))
    yield Check("deformable", motion, "voxels within 2 mm", _rounded([100 * (errors < 2).mean()]), ">=", 99, "%", "95 %")
    yield Check("deformable", motion, "largest error", _rounded([errors.max()]), "<", 5, "mm", "below 5 mm")
    yield from _by_region(patient, there, motion)
    yield from _plausible(patient, there, motion)
    yield from _consistent(patient, (there, back), motion)


def _by_region(patient: Patient, found: Registration, motion: str) -> Iterator[Check]:
    """Landmarks, outlines and overlap of each solid."""
    largest = float(patient.fixed.grid.spacing.max())
    moved = found.apply(patient.labels[1])
    outlines = metrics.mean_surface_distance_mm(patient.labels[0], moved, SOLIDS)
    overlaps = metrics.dice_by_label(patient.labels[0], moved, SOLIDS)
    for solid in SOLIDS:
        points, name = patient.points((solid,)), solid.name.lower()
        errors = metrics.tre_mm(found.transform, points, patient.truth(points))
        limit = "<=", largest, "mm", "largest voxel, 2-3 mm"
        yield Check("landmarks", f"{motion}, {name}", "mean error (TRE)", _rounded([errors.mean()]), *limit)
        yield Check("contours", f"{motion}, {name}", "mean distance (MDA)", _rounded([outlines[solid]]), *limit)
        yield Check("overlap", f"{motion}, {name}", "Dice", _rounded([overlaps[solid]]), ">=", 0.9, "", "0.80-0.90")


def _plausible(patient: Patient, found: Registration, motion: str) -> Iterator[Check]:
    folds = metrics.deformation_statistics(found.transform, patient.fixed.grid)
    yield Check("Jacobian", motion, "voxels with a determinant of 0 or less", _rounded([folds["folded_percent"]]), "<=", 0, "%", "none")
    yield Check("Jacobian", motion, "volume inside out", _rounded([folds["nondiffeomorphic_mm3"]]), "<=", 0, "mm3", "none")


def _consistent(patient: Patient, both: tuple[Registration, Registration], motion: str) -> Iterator[Check]:
    """A to B to A: by the inverse, and by a registration of its own the other way round."""
    voxel = float(patient.fixed.grid.spacing.max())
    ways = both[0].inverse, both[1].transform
    inverse, other = (metrics.cycle_error_mm((both[0].transform, way), patient.body) / voxel for way in ways)
    yield Check("consistency", motion, "there and back by the inverse, largest", _rounded([inverse.max()]), "<", 0.5, "voxels", "2-3 mm")
    yield Check("consistency", motion, "registered both ways, mean", _rounded([other.mean()]), "<", 0.5, "voxels", "2-3 mm")
    yield Check("consistency", motion, "registered both ways, largest", _rounded([other.max() * voxel]), "<", 3, "mm", "2-3 mm")


# ---------------------------------------------------------------- words and numbers
def _voxels(found: Transform, truth: Transform, points: NDArray, grid: Grid) -> NDArray[np.float64]:
    """Error along each axis of a grid, (N, D) voxels."""
    return np.abs((found(points) - truth(points)) @ np.linalg.inv(grid.affine[:-1, :-1]).T)


def _exact(quantity: str, case: str, found: float, unit: str = "") -> Check:
    return Check("data transfer", case, quantity, (float(found),), "<=", 0, unit, "exact")


def _near(quantity: str, case: str, errors: NDArray) -> Check:
    return Check("data transfer", case, quantity, _rounded(errors.max(0)), "<", 0.1, "voxels", "below 0.5 voxel")


def _rounded(values: NDArray | list) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values)
