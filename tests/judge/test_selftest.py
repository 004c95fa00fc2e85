from dataclasses import replace

import numpy as np
import pytest
import tolerances as tol

from voxalign.core import Grid, Identity
from voxalign.judge import patients, selftest
from voxalign.judge.patients import MIDDLE, SHIFT, SOLIDS, soft_patient, solid_patients
from voxalign.judge.selftest import Check, checks
from voxalign.register import Registration

CHECK = Check("rigid", "CT", "error", (0.1, 0.2), "<", 0.25, "voxels", "below 0.5 voxel")


@pytest.fixture
def coarse(monkeypatch):
    """Phantoms of 8 mm voxels."""
    monkeypatch.setattr(patients, "SPACINGS", ((8.0, 8.0, 8.0),))


def test_a_check_passes_if_all_values_keep_the_limit():
    assert CHECK.passed and CHECK.expected == "below 0.25 voxels"
    assert not replace(CHECK, found=(0.1, 0.25)).passed and not replace(CHECK, found=(float("nan"),)).passed
    assert replace(CHECK, relation=">=", found=(0.25,)).passed and replace(CHECK, relation="<=", limit=0, found=(0,)).passed


@pytest.fixture
def small(monkeypatch):
    """Files of 4 mm voxels."""
    monkeypatch.setattr(selftest, "_OBLIQUE", (3.6, 4.0, 4.4))


def test_data_goes_through_files_unchanged(small):
    found = list(selftest._transfers())
    assert {check.case for check in found} >= {".nii.gz", ".mha", ".nrrd", "DICOM", "transform .h5"}
    assert all(check.passed for check in found), [check for check in found if not check.passed]


def test_a_file_that_comes_back_otherwise_is_noticed(small, monkeypatch):
    load = selftest.io.load

    def mirrored(path):
        image = load(path)
        return replace(image, data=image.data[:, ::-1])

    monkeypatch.setattr(selftest.io, "load", mirrored)
    failed = [check for check in selftest._transfers() if not check.passed]
    assert {check.quantity for check in failed} == {"largest difference of an intensity"}


def test_solid_patients_are_moved_as_the_truth_says():
    found = dict(solid_patients((8.0, 8.0, 8.0)))
    assert list(found) == ["CT and CT", "CT and T1", "CT and PET", "T1 and PET"]
    assert np.allclose(found["CT and CT"].truth(np.array([MIDDLE])), np.array([MIDDLE]) + SHIFT)
    for patient in found.values():
        for solid in SOLIDS[:2]:
            there, here = (grid.world(np.argwhere(labels.array == solid)).mean(0) for labels, grid in
                           ((patient.labels[1], patient.moving.grid), (patient.labels[0], patient.fixed.grid)))
            assert np.linalg.norm(patient.truth(here[None])[0] - there) < tol.PHANTOM_VOXEL * 8


def test_soft_patients_are_closed_forms(coarse):
    for motion, furthest in (("b-spline", 14), ("sliding", 5), ("inflation", 8)):
        patient = soft_patient(motion)
        points = patient.body
        moved = np.linalg.norm(patient.truth(points) - points, axis=-1)
        assert 2 < moved.max() < furthest + tol.EXACT_MM
    beside = np.abs(soft_patient("sliding").body[:, 0] - MIDDLE[0])
    assert beside.min() > 16  # two voxels on either side of the interface are left out


def test_the_truth_passes_and_nothing_done_fails(coarse, monkeypatch):
    """The checks themselves: of a registration that is right, and of one that did nothing."""
    patient = soft_patient("b-spline")
    for transform, passes in ((patient.truth, True), (Identity(3), False)):
        found = Registration(transform, patient.fixed.grid, patient.moving.grid)
        way = iter((found, Registration(found.inverse, found.moving_grid, found.fixed_grid)))
        monkeypatch.setattr(selftest, "register", lambda *_, way=way, **__: next(way))
        done = {(check.test, check.quantity): check.passed for check in selftest._soft(patient, "b-spline", None)
                if check.test in ("deformable", "Jacobian", "consistency")}
        assert done["deformable", "voxels within 2 mm"] is passes and done["deformable", "largest error"] is passes
        assert all(ok for (test, _), ok in done.items() if test != "deformable")


def test_a_turn_that_is_not_found_fails(monkeypatch):
    patient = dict(solid_patients((8.0, 8.0, 8.0)))["CT and T1"]
    for transform, passes in ((patient.truth, True), (Identity(3), False)):
        found = Registration(transform, patient.fixed.grid, patient.moving.grid)
        monkeypatch.setattr(selftest, "register", lambda *_, found=found, **__: found)
        assert selftest._rigid(patient, "CT and T1", None).passed is passes


def test_errors_count_in_voxels_along_each_axis():
    grid = Grid((4, 4, 4), np.diag([-2.0, 4, 1, 1]))
    shifted = patients.rigid(0, (0, 0, 1), (2, 2, 2))
    assert np.allclose(selftest._voxels(shifted, Identity(3), np.zeros((1, 3)), grid), [[1, 0.5, 2]])


@pytest.mark.slow
def test_this_installation():
    assert [check for check in checks() if not check.passed] == []
