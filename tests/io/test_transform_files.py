import pickle
import re

import h5py
import numpy as np
import pytest
import tolerances as tol
from nibabel.eulerangles import euler2mat
from spaces import GRIDS, flip, homogeneous, rotation, smooth_image, waves

from voxalign.core import Compose, Field, Grid, Identity, InputError, InputWarning, SecurityError, resample
from voxalign.io import load, load_transform, save_transform
from voxalign.io.fsl import load_fsl, save_fsl
from voxalign.io.h5 import deflate, stored
from voxalign.io.itk import decode, read_text
from voxalign.io.lta import load_lta, save_lta
from voxalign.transforms import Affine, Displacement, Linear, Rigid, Similarity, Translation, Velocity

RIGID = Rigid.from_params([0.3, -0.2, 0.5, 4, -5, 6], [10.0, 20, -30])
SIMILARITY = Similarity.from_params([0.3, -0.2, 0.5, 4, -5, 6, 0.1], [10.0, 20, -30])
AFFINE = Affine(homogeneous(rotation((9, 12, -20)) @ np.diag([1.1, 0.8, 1.3]), (3.0, -4, 5)), [1.0, 2, 3])
ORIENTATIONS = ["RAS", "LAS", "LPS", "oblique"]


# ---------------------------------------------------------------- families come back as what they were
LINEAR = [RIGID, SIMILARITY, AFFINE, Translation.from_params([1, 2, 3], [0, 0, 0]), Identity(3), Identity(2),
          Rigid.from_params([0.4, 1, 2], [5, 6]), Similarity.from_params([0.4, 1, 2, -0.1], [5, 6])]


@pytest.mark.parametrize("transform", LINEAR)
@pytest.mark.parametrize("suffix", [".h5", ".tfm", ".mat"])
def test_linear_families_round_trip(transform, suffix, tmp_path):
    save_transform(transform, tmp_path / f"t{suffix}")
    loaded = load_transform(tmp_path / f"t{suffix}")
    if isinstance(transform, Identity):
        assert loaded.dim == transform.dim and np.array_equal(loaded(np.ones(transform.dim)), np.ones(transform.dim))
        return
    assert type(loaded) is type(transform)
    assert np.allclose(loaded.matrix, transform.matrix, rtol=0, atol=tol.WORLD_MM)
    assert isinstance(transform, Translation) or np.allclose(loaded.centre, transform.centre, rtol=0, atol=tol.WORLD_MM)


TURNS = [[np.pi, 0, 0], [0, np.pi, 0], [0, 0, np.pi], [np.pi / 2, 0, 0], [-np.pi / 2, 0, 0], [0, np.pi / 2, 0], [2.0, 2.0, -1.0]]


@pytest.mark.parametrize("angles", TURNS)
@pytest.mark.parametrize("family", [Rigid, Similarity])
def test_half_and_quarter_turns_lose_nothing(family, angles, tmp_path):
    transform = family.from_params([*angles, 1, 2, 3, 0.1][: 6 if family is Rigid else 7], [50, -60, 70])
    save_transform(transform, tmp_path / "t.h5")
    corners = np.array([[100.0, 100, 100], [-100, 50, -100]])
    assert np.abs(load_transform(tmp_path / "t.h5")(corners) - transform(corners)).max() < tol.POINT_MM


def test_the_order_of_a_chain_is_kept(tmp_path):
    chain = Compose((Displacement(waves(GRIDS["RAS"]).field), AFFINE, RIGID))
    save_transform(chain, tmp_path / "t.h5")
    assert [type(t) for t in load_transform(tmp_path / "t.h5").transforms] == [Displacement, Affine, Rigid]


def test_velocity_is_stored_as_its_displacement(tmp_path):
    velocity = Velocity(waves(GRIDS["oblique"]).field)
    save_transform(velocity, tmp_path / "t.h5")
    points = GRIDS["oblique"].points()
    assert np.abs(load_transform(tmp_path / "t.h5")(points) - velocity(points)).max() < tol.SAME_PLACE_MM


# ---------------------------------------------------------------- packed fields
def test_field_is_cut_to_where_it_is_and_still_ends_at_zero(tmp_path, rng):
    grid = GRIDS["oblique"]
    data = np.zeros((3, *grid.shape), np.float32)
    data[:, 5:9, 4:11, 3:6] = rng.normal(size=(3, 4, 7, 3))
    whole = Displacement.from_array(data, grid)
    save_transform(whole, tmp_path / "t.h5")
    cut = load_transform(tmp_path / "t.h5")
    assert cut.field.grid.shape == (6, 9, 5)
    points = grid.world(rng.uniform(-1, 1, (3000, 3)) * grid.shape)
    assert np.abs(cut(points) - whole(points)).max() < tol.SAME_PLACE_MM


def test_resampling_through_the_file_is_resampling_with_what_it_stores(tmp_path, rng):
    grid = GRIDS["LAS"]
    image = smooth_image(grid, rng)
    transform = Displacement(stored(waves(grid).field))
    save_transform(transform, tmp_path / "t.h5")
    assert np.array_equal(resample(image, grid, load_transform(tmp_path / "t.h5")).data, resample(image, grid, transform).data)


def test_a_field_of_nothing_is_small(tmp_path):
    grid = GRIDS["RAS"]
    save_transform(Displacement.from_array(np.zeros((3, *grid.shape)), grid), tmp_path / "t.h5")
    assert load_transform(tmp_path / "t.h5")(grid.points()) == pytest.approx(grid.points())
    assert (tmp_path / "t.h5").stat().st_size < 20_000


def test_rounding_is_finer_on_small_voxels():
    grid = Grid((12, 12, 12), np.diag([0.15, 0.15, 0.15, 1]))
    field = waves(grid, 0.3, 1.0).field
    assert np.abs(stored(field).data - field.data).max() < 0.0006 * 0.15


@pytest.mark.parametrize("row", [np.zeros(50_000, np.uint8), np.random.default_rng(0).integers(0, 256, 50_000, np.uint8),
                                 np.random.default_rng(0).integers(0, 16, 50_000, np.uint8), np.array([7], np.uint8)])
def test_pieces_make_one_ordinary_stream(row):
    import zlib

    planes = np.stack([row, row[::-1]])
    assert zlib.decompress(deflate(planes)) == planes.tobytes()


def test_not_finite_fields_are_not_written(tmp_path):
    data = np.zeros((3, 5, 5, 5), np.float32)
    data[0, 2, 2, 2] = np.nan
    with pytest.raises(InputError, match="NaN"):
        save_transform(Displacement.from_array(data, Grid((5, 5, 5), np.eye(4))), tmp_path / "t.h5")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- displacement images
@pytest.mark.parametrize("space", ["RAS", "oblique", "2-D"])
def test_displacement_image_round_trip(space, tmp_path):
    displacement = Displacement(waves(GRIDS[space]).field)
    save_transform(displacement, tmp_path / "warp.nii.gz")
    loaded = load_transform(tmp_path / "warp.nii.gz")
    assert np.array_equal(loaded.field.data, displacement.field.data)
    assert loaded.field.grid.is_close(displacement.field.grid)


def test_undefined_vectors_become_zero_with_a_warning(tmp_path):
    grid = GRIDS["LPS"]
    data = np.array(waves(grid).field.data)
    data[:, 3, 4, 5] = 3.4e38
    save_transform(Displacement.from_array(data, grid), tmp_path / "warp.nii")
    with pytest.warns(InputWarning, match=f"1 of {grid.size} voxels"):
        loaded = load_transform(tmp_path / "warp.nii")
    assert not loaded.field.data[:, 3, 4, 5].any()
    data[:, 3, 4, 5] = 0
    assert np.array_equal(loaded.field.data, data)


def test_linear_maps_need_a_grid_to_become_an_image(tmp_path):
    with pytest.raises(InputError, match="grid"):
        save_transform(RIGID, tmp_path / "warp.nii.gz")
    with pytest.raises(InputError, match="2-D"):
        save_transform(RIGID, tmp_path / "warp.nii.gz", GRIDS["2-D"])


def test_an_ordinary_image_is_no_displacement(tmp_path, rng):
    from voxalign.io import save

    save(smooth_image(GRIDS["RAS"], rng), tmp_path / "image.nii.gz")
    with pytest.raises(InputError, match="intent"):
        load_transform(tmp_path / "image.nii.gz")


# ---------------------------------------------------------------- other programs' matrices
@pytest.mark.parametrize("moving", ["RAS", "LAS", "oblique"])
@pytest.mark.parametrize("fixed", ["LPS", "left-handed"])
def test_fsl_and_freesurfer_round_trip(fixed, moving, tmp_path):
    fixed, moving = GRIDS[fixed], GRIDS[moving]
    save_fsl(AFFINE, tmp_path / "t.mat", fixed, moving)
    save_lta(AFFINE, tmp_path / "t.lta", fixed, moving)
    assert np.abs(load_fsl(tmp_path / "t.mat", fixed, moving).matrix - AFFINE.matrix).max() < tol.TEXT_MATRIX
    assert np.abs(load_lta(tmp_path / "t.lta").matrix - AFFINE.matrix).max() < tol.TEXT_MATRIX


def test_afni_round_trip(tmp_path):
    save_transform(AFFINE, tmp_path / "t.aff12.1D")
    assert np.abs(load_transform(tmp_path / "t.aff12.1D").matrix - AFFINE.matrix).max() < tol.TEXT_MATRIX


def test_chains_of_matrices_are_multiplied_where_one_matrix_is_held(tmp_path):
    for name in ("t.mat", "t.1D"):
        save_transform(Compose((AFFINE, RIGID)), tmp_path / name)
        assert np.abs(load_transform(tmp_path / name).matrix - RIGID.matrix @ AFFINE.matrix).max() < tol.TEXT_MATRIX
    with pytest.raises(InputError, match="not linear"):
        save_transform(Displacement(waves(GRIDS["RAS"]).field), tmp_path / "t.mat")


# ---------------------------------------------------------------- golden files
@pytest.fixture
def golden(data):
    return data / "transforms" / "nitransforms" / "tests" / "data"


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_one_map_in_four_formats(golden, orientation):
    expected = homogeneous(rotation_of_golden(), (4.0, 2.0, -1.0))
    itk, afni = (load_transform(golden / f"affine-{orientation}.{kind}") for kind in ("itk.tfm", "afni"))
    assert np.abs(itk.matrix - expected).max() < tol.GOLDEN
    assert np.array_equal(itk.matrix, afni.matrix)
    lta = load_transform(golden / f"affine-{orientation}.fs.lta")  # these files hold the map as their source says it: inverted
    assert np.abs(lta.inverse().matrix - expected).max() < tol.GOLDEN


def rotation_of_golden() -> np.ndarray:
    return euler2mat(x=0.9, y=0.001, z=0.001)


@pytest.mark.parametrize("orientation", ORIENTATIONS[:3])
def test_golden_fsl(golden, orientation):
    grid = load(golden.parents[1] / "history" / "someones_anatomy.nii.gz").grid
    signs = np.array([1 if a == b else -1 for a, b in zip(orientation, "RAS", strict=True)])
    start = np.where(signs < 0, np.array(grid.shape) - 1, 0)
    turned = Grid(grid.shape, homogeneous(grid.affine[:3, :3] * signs, tuple(grid.world(start))))
    loaded = load_fsl(golden / f"affine-{orientation}.fsl", turned, turned)
    assert np.abs(loaded.matrix - homogeneous(rotation_of_golden(), (4.0, 2.0, -1.0))).max() < tol.SAME_PLACE_MM


@pytest.mark.parametrize("pair", ["fsnative_to-bold", "scanner_to-bold", "fsnative_to-scanner", "scanner_to-fsnative"])
def test_freesurfer_and_itk_agree_as_lta_convert_says(golden, pair):
    files = [f for f in (golden / "regressions").glob(f"from-{pair}_mode-image*") if f.suffix != ".fsl"]
    first, *others = [load_transform(f).matrix for f in files]
    assert others and all(np.abs(first - other).max() < tol.GOLDEN for other in others)


def test_voxel_and_world_lta_agree(golden):
    for first, second in (("bold-to-t1w.lta", "bold-to-t1w.v2v.lta"), ("affine-RAS.fs.lta", "affine-RAS.fs.v2v.lta")):
        assert np.abs(load_transform(golden / first).matrix - load_transform(golden / second).matrix).max() < tol.GOLDEN


def test_lists_are_no_transform_but_can_be_read(golden):
    with pytest.raises(InputError, match=r"hmc-itk\.tfm.*8 transforms"):
        load_transform(golden / "hmc-itk.tfm")
    entries = read_text(golden / "hmc-itk.tfm")
    assert len(entries) == 8 and all(isinstance(decode([entry]), Linear) for entry in entries)


def test_composites_of_ants_and_slicer(golden, data):
    for path in (golden / "affine-antsComposite.h5",
                 golden.parents[1] / "history" / "ds-005_sub-01_from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.h5"):
        assert isinstance(load_transform(path, 3), Affine)
    slicer = load_transform(data / "transforms" / "slicer" / "BSplineLinearCompositeTransform.h5")
    import SimpleITK as sitk

    theirs = sitk.ReadTransform(str(data / "transforms" / "slicer" / "BSplineLinearCompositeTransform.h5"))
    points = np.random.default_rng(0).uniform(-80, 80, (100, 3))
    expected = np.array([theirs.TransformPoint((flip(3) @ p).tolist()) for p in points]) @ flip(3)
    assert np.abs(slicer(points) - expected).max() < tol.WORLD_MM


def test_bulk_of_an_old_spline(data):
    transform = load_transform(data / "transforms" / "slicer" / "Bspline-f-m.tfm")
    spline, bulk = (decode([entry]) for entry in read_text(data / "transforms" / "slicer" / "Bspline-f-m.tfm"))
    points = np.random.default_rng(0).uniform(-60, 60, (100, 3))
    assert np.abs(transform(points) - (bulk(points) + spline(points) - points)).max() < tol.WORLD_MM


@pytest.mark.parametrize("name", ["t2/warp_template2anat", "mt/warp_template2mt", "mt/warp_t22mt1"])
def test_real_warps_are_what_itk_says(data, name):
    import SimpleITK as sitk

    path = data / "spine" / f"{name}.nii.gz"
    with pytest.warns(InputWarning, match="undefined"):
        loaded = load_transform(path)
    image = sitk.ReadImage(str(path))
    index = np.random.default_rng(0).integers(0, loaded.field.grid.shape, (100, 3))
    for i in index:
        vector = np.array(image.GetPixel(i.tolist()))
        if np.abs(vector).max() < 1e6:
            place = np.array(image.TransformIndexToPhysicalPoint(i.tolist()))
            assert np.abs(loaded(flip(3) @ place) - flip(3) @ (place + vector)).max() < tol.SAME_PLACE_MM


def test_grid_transform_of_slicer(data):
    import SimpleITK as sitk

    path = data / "transforms" / "slicer" / "deform2x2x2_ras.nrrd"
    theirs = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    points = np.random.default_rng(0).uniform(-70, 70, (50, 3))
    expected = np.array([theirs.TransformPoint((flip(3) @ p).tolist()) for p in points]) @ flip(3)
    with pytest.warns(InputWarning, match="1 bytes after"):
        loaded = load_transform(path)
    assert np.abs(loaded(points) - expected).max() < tol.SAME_PLACE_MM


# ---------------------------------------------------------------- what is refused
HEAD = "#Insight Transform File V1.0\n#Transform 0\n"
REFUSED = {
    "unknown.tfm": HEAD + "Transform: ThinPlateSplineKernelTransform_double_3_3\nParameters: 1 2 3\nFixedParameters: 1 2 3\n",
    "nan.tfm": HEAD + "Transform: TranslationTransform_double_3_3\nParameters: 1 nan 3\nFixedParameters:\n",
    "words.tfm": HEAD + "Transform: TranslationTransform_double_3_3\nParameters: one two three\nFixedParameters:\n",
    "short.tfm": HEAD + "Transform: AffineTransform_double_3_3\nParameters: 1 0 0\nFixedParameters: 0 0 0\n",
    "singular.tfm": HEAD + "Transform: AffineTransform_double_2_2\nParameters: 1 0 0 0 0 0\nFixedParameters: 0 0\n",
    "order.tfm": HEAD + "Transform: BSplineTransform_double_3_3_2\nParameters: 1 0 0\nFixedParameters: 0 0 0\n",
    "grid.tfm": HEAD + "Transform: DisplacementFieldTransform_double_2_2\nParameters: 0 0\nFixedParameters: 9 9 0 0 1 1 1 0 0 1\n",
    "infinite.tfm": HEAD + "Transform: DisplacementFieldTransform_double_2_2\nParameters: 0 1e300\nFixedParameters: 1 1 0 0 1 1 1 0 0 1\n",
    "nothing.tfm": "#Insight Transform File V1.0\n",
    "garbage.tfm": "#Insight Transform File V1.0\nfoo bar\n",
    "empty.tfm": "",
    "other.tfm": "hello",
    "fsl.mat": "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    "short.1D": "1 2 3\n",
    "words.1D": "a b c\n",
    "damaged.lta": "type = 1\nnxforms = 1\n1 4 4\n1 0 0 0\n",
    "type.lta": "type = 14\nnxforms = 1\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_name_of_the_file(name, tmp_path):
    (tmp_path / name).write_text(REFUSED[name])
    with pytest.raises(InputError, match=re.escape(name)) as caught:
        load_transform(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [pickle.dumps({"matrix": 1}), b"PK\x03\x04archive"])
def test_pickles_are_refused(content, tmp_path):
    (tmp_path / "t.h5").write_bytes(content)
    with pytest.raises(SecurityError, match="pickle"):
        load_transform(tmp_path / "t.h5")


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(InputError, match="missing"):
        load_transform(tmp_path / "t.h5")
    save_transform(AFFINE, tmp_path / "t.h5")
    save_transform(AFFINE, tmp_path / "t.mat")
    for name, keep in (("t.h5", 1500), ("t.mat", 100), ("t.mat", 30)):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / f"cut-{name}").write_bytes(whole[:keep])
        with pytest.raises(InputError, match="cut-"):
            load_transform(tmp_path / f"cut-{name}")


def test_hdf5_that_points_elsewhere_is_refused(tmp_path):
    save_transform(AFFINE, tmp_path / "secret.h5")
    for name, link in (("external.h5", h5py.ExternalLink("secret.h5", "/TransformGroup")), ("soft.h5", h5py.SoftLink("/elsewhere"))):
        with h5py.File(tmp_path / name, "w") as file:
            file["TransformGroup"] = link
        with pytest.raises((SecurityError, InputError)):
            load_transform(tmp_path / name)


def test_hdf5_bombs_are_refused(tmp_path):
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        group = file.create_group("TransformGroup/0")
        group["TransformType"] = ["DisplacementFieldTransform_float_3_3"]
        group.create_dataset("TransformParameters", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")
        group["TransformFixedParameters"] = np.zeros(18)
    with pytest.raises(SecurityError, match="unpack"):
        load_transform(tmp_path / "bomb.h5")


def test_another_dimension_is_refused(tmp_path):
    save_transform(AFFINE, tmp_path / "t.tfm")
    with pytest.raises(InputError, match="expected a 2-D one"):
        load_transform(tmp_path / "t.tfm", dim=2)


@pytest.mark.parametrize("name", ["t.xyz", "t", "t.lta"])
def test_unknown_suffixes_are_not_guessed(name, tmp_path):
    with pytest.raises(InputError, match=re.escape(name)):
        save_transform(AFFINE, tmp_path / name)


def test_the_field_of_a_grid_is_kept_in_voxel_order(tmp_path):
    grid = Grid((2, 3, 4), np.diag([-1.0, 1, 1, 1]))
    data = np.arange(72, dtype=np.float32).reshape(3, 2, 3, 4)
    save_transform(Displacement(Field(data, grid)), tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5") as file:
        numbers = file["TransformGroup/0/TransformParameters"][()].reshape(4, 3, 2, 3)
        assert numbers[3, 2, 1].tolist() == [-data[0, 1, 2, 3], -data[1, 1, 2, 3], data[2, 1, 2, 3]]
        assert file["TransformGroup/0/TranformParameters"].shape == (72,)  # the spelling of ITK 4
