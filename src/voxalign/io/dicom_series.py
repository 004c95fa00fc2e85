"""A CT series written as DICOM: what phantoms are handed over as. It has the tags a reader needs, and no patient."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ..core import Grid, Image, InputError

_LPS = np.array([-1.0, -1.0, 1.0])
_LOWEST, _HIGHEST = -1024, 64511  # Hounsfield units that 16 bits hold


def save_series(image: Image, folder: Path) -> None:
    """Write a 3-D image of one channel as one file a slice, in whole Hounsfield units, into an existing folder.

    Raises
    ------
    InputError : not 3-D, sheared, or values that 16 bits do not hold.
    """
    if image.dim != 3 or image.is_label or not image.grid.is_orthogonal:
        raise InputError("a DICOM series holds a 3-D image with axes at right angles: resample it first")
    values = np.rint(image.array)
    if values.min() < _LOWEST or values.max() > _HIGHEST:
        raise InputError(f"values of {values.min():g} to {values.max():g}: CT holds {_LOWEST} to {_HIGHEST}")
    series = generate_uid()
    for k in range(image.grid.shape[2]):
        _slice(image.grid, values[..., k], k, series).save_as(folder / f"{k:04}.dcm", enforce_file_format=True)


def _slice(grid: Grid, values: np.ndarray, k: int, series: str) -> Dataset:
    """One plane: columns run along the first axis of the array, rows along the second."""
    data, direction = Dataset(), grid.direction * _LPS[:, None]
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SeriesInstanceUID = data.StudyInstanceUID = data.FrameOfReferenceUID = series
    data.Modality, data.InstanceNumber, data.PatientName, data.PatientID = "CT", k + 1, "", ""
    data.ImagePositionPatient = [f"{v:.10g}" for v in grid.world((0, 0, k)) * _LPS]
    data.ImageOrientationPatient = [f"{v:.12g}"[:16] for v in (*direction[:, 0], *direction[:, 1])]
    data.PixelSpacing = [f"{grid.spacing[1]:.10g}", f"{grid.spacing[0]:.10g}"]
    data.SliceThickness = f"{grid.spacing[2]:.10g}"
    data.Columns, data.Rows = grid.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.RescaleSlope, data.RescaleIntercept = 1, _LOWEST
    data.PixelData = np.ascontiguousarray((values.T - _LOWEST).astype("<u2")).tobytes()
    return data
