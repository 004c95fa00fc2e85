"""Networks as methods: what is predicted in voxels must be right in mm, on every kind of grid."""
import numpy as np
import pytest
import torch
from spaces import GRIDS, smooth_image
from tolerances import INVERSE_SVF_VOXELS, LEARNED_STORAGE_MM, LEARNED_VELOCITY_MM

import voxalign as vx
from voxalign import nn, phantom
from voxalign.core import Grid, Image, InputError, SecurityError, UsageError
from voxalign.nn import weights
from voxalign.register import learned
from voxalign.transforms import Affine, Velocity

MOTION = phantom.Motion(6.0, (0, 0, 1), (5.0, -4.0, 0.0), 9.0, 45.0)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def saved(path, architecture, start="headers", size=0.5, **inputs):
    """Random weights, those of the head of this ``size``, so that things move."""
    torch.manual_seed(0)
    module = nn.build(architecture)
    for name, value in module.named_parameters():
        if "head" in name:
            torch.nn.init.normal_(value, std=size)
    weights.save(path, module, meta={"inputs": nn.Inputs(start=start, **inputs).as_dict()})
    return str(path)


# ---------------------------------------------------------------- from voxels to mm
@pytest.mark.parametrize("stride", [1, 2])
def test_a_velocity_in_voxels_is_the_flow_in_mm(grid, stride):
    def flow(points):
        return np.stack([2 * np.sin(points[..., (k + 1) % grid.dim] / 25 + k) for k in range(grid.dim)], -1)

    lattice = learned.lattice_of(grid, stride)
    voxels = np.moveaxis(flow(lattice.points()) @ np.linalg.inv(grid.affine[:-1, :-1]).T, -1, 0) / stride
    found = learned.velocity(voxels, grid, stride)
    points = grid.points().reshape(-1, grid.dim)
    x = points.copy()
    for _ in range(200):
        x += flow(x) / 200
    inside = grid.crop([2] * grid.dim, np.array(grid.shape) - 2).contains(x) & grid.contains(points)
    assert inside.any() and np.abs(found(points) - x)[inside].max() < LEARNED_VELOCITY_MM
    assert np.abs(found.inverse()(found(points)) - points)[inside].max() < LEARNED_VELOCITY_MM


def test_a_velocity_fades_and_tears_nothing():
    grid = Grid((10, 12), np.eye(3))
    found = learned.velocity(np.full((2, 5, 6), 1.5, np.float32), grid, 2)
    line = np.stack([np.linspace(-60, 80, 1401), np.full(1401, 6.0)], -1)
    moved = found(line)
    assert np.linalg.norm(np.diff(moved - line, axis=0), axis=1).max() < 0.1 and (np.diff(moved[:, 0]) > 0).all()
    assert np.allclose(moved[[0, -1]], line[[0, -1]]) and np.allclose(found([[5.0, 6.0]]), [[8.0, 9.0]], atol=LEARNED_VELOCITY_MM)


def test_a_matrix_in_voxels_is_the_map_in_mm(grid):
    moved = np.array(grid.shape) / 3 + 1.0
    matrix = np.eye(grid.dim + 1)
    matrix[:-1, -1] = moved
    assert np.allclose(learned.affine(matrix, grid)(grid.world(np.zeros(grid.dim))), grid.world(moved))


# ---------------------------------------------------------------- how images are stored does not matter
def stored(image, order, flips):
    """The same image in the world with other axes in the array."""
    array, affine = image.array.transpose(order), image.grid.affine.copy()
    affine[:, :-1] = affine[:, list(order)]
    for axis, flip in enumerate(flips):
        if flip:
            affine[:, -1] += affine[:, axis] * (array.shape[axis] - 1)
            affine[:, axis] *= -1
            array = np.flip(array, axis)
    return Image(np.ascontiguousarray(array), Grid(array.shape, affine))


@pytest.mark.parametrize("architecture", [nn.Pyramid(3, channels=(4, 6), hidden=6), nn.UNet(3, channels=(4, 6)),
                                          nn.AffineNet(3, channels=(4, 6), structures=8)], ids=lambda a: type(a).__name__)
def test_storage_does_not_matter(tmp_path, rng, architecture):
    file = saved(tmp_path / "net.safetensors", architecture, "centres")
    fixed, moving = smooth_image(GRIDS["oblique"], rng), smooth_image(GRIDS["LPS"], rng)
    one = vx.register(fixed, moving, method="learned", weights=file)
    other = vx.register(stored(fixed, (2, 0, 1), (0, 1, 1)), stored(moving, (1, 2, 0), (1, 0, 0)), method="learned", weights=file)
    points = fixed.grid.points()
    assert np.abs(one.transform(points) - points).max() > 1.0
    assert np.abs(one.transform(points) - other.transform(points)).max() < LEARNED_STORAGE_MM


def test_swapped_images_get_the_inverse(tmp_path, rng):
    file = saved(tmp_path / "net.safetensors", nn.Pyramid(2, channels=(4, 6), hidden=6))
    fixed, moving = smooth_image(GRIDS["2-D"], rng), smooth_image(GRIDS["2-D"], rng)
    there, back = (vx.register(*pair, method="learned", weights=file).transform for pair in ((fixed, moving), (moving, fixed)))
    points = fixed.grid.points()[3:-3, 3:-3]
    assert np.abs(there.inverse()(points) - back(points)).max() < LEARNED_STORAGE_MM


# ---------------------------------------------------------------- a network that knows something
@pytest.fixture(scope="module")
def pair():
    return phantom.slice_pair(5, 5.0, motion=MOTION)


@pytest.fixture(scope="module")
def trained(pair, tmp_path_factory):
    """A small pyramid that has seen this one pair, roughly aligned, many times."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    inputs, start = nn.Inputs(), vx.register(pair.fixed, pair.moving, transform="affine").transform
    grid = inputs.grid(pair.fixed)
    fixed, moving = (torch.from_numpy(inputs.array(*seen))[None] for seen in ((pair.fixed, grid), (pair.moving, grid, start)))
    module = nn.build(nn.Pyramid(2, channels=(8, 12, 16), hidden=12, conditioned=True))
    optimiser = torch.optim.Adam(module.parameters(), 4e-3)
    for _ in range(90):
        optimiser.zero_grad()
        said = module(fixed, moving)
        everything = [(nn.warp(moving, level.displacement()) - fixed).square().mean() for level in (*said.levels, said)]
        (100 * sum(everything) + 0.1 * sum(said.velocity.diff(dim=k).square().mean() for k in (2, 3))).backward()
        optimiser.step()
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    weights.save(path, module, meta={"inputs": inputs.as_dict()})
    return str(path)


def error(pair, **choices):
    result = vx.register(pair.fixed, pair.moving, **choices)
    return float(phantom.error_mm(result.transform, pair.truth, pair.fixed_labels).mean()), result


def test_what_it_learned_arrives_in_the_world(pair, trained):
    affine, _ = error(pair, transform="affine")
    found, result = error(pair, method="learned", weights=trained)
    assert found < 0.75 * affine
    assert result.metrics["folded_percent"] == 0 and result.metrics["inverse_error_mm"] < 5.0 * INVERSE_SVF_VOXELS
    assert "predicted by Pyramid" in result.registration.notes[-1]
    assert isinstance(result.transform.transforms[0], Velocity) and isinstance(result.transform.transforms[1], Affine)


def test_refinement_goes_on_from_there(pair, trained):
    """From a good prediction (of a network that has learned this pair by heart) the engine ends better than from an affine start."""
    classical, _ = error(pair)
    found, result = error(pair, method="learned+refine", weights=trained)
    assert found < 0.9 * classical
    assert {step.stage for step in result.registration.history} >= {"affine", "predict", "deformable"}


def test_a_prediction_that_makes_things_worse_is_not_used(pair, tmp_path):
    file = saved(tmp_path / "net.safetensors", nn.Pyramid(2, channels=(8, 12, 16), hidden=12), start="affine", size=50.0)
    result = vx.register(pair.fixed, pair.moving, method="learned", weights=file)
    plain = vx.register(pair.fixed, pair.moving, transform="affine")
    assert any("was not used" in note for note in result.registration.notes), result.registration.notes
    points = pair.fixed.grid.points()
    assert np.abs(result.transform(points) - plain.transform(points)).max() < LEARNED_STORAGE_MM


def test_features_deform(tmp_path):
    """Even what an untrained encoder sees is enough to bring edges together."""
    finer = phantom.slice_pair(5, 3.0, motion=MOTION)
    file = saved(tmp_path / "net.safetensors", nn.Pyramid(2, channels=(8, 12, 16), hidden=4))
    affine, _ = error(finer, transform="affine")
    found, result = error(finer, method="features", weights=file)
    assert found < 0.8 * affine and "learned features" in result.registration.notes[-1]


def test_progress_rises_to_the_end(pair, trained):
    for method in ("learned", "learned+refine", "features"):
        fractions = []
        vx.register(pair.fixed, pair.moving, method=method, weights=trained, on_step=lambda step, to=fractions: to.append(step.fraction))
        assert fractions == sorted(fractions) and fractions[-1] > 0.8 and fractions[0] < 0.5


def test_without_deformation_the_network_is_not_asked(pair, trained):
    result = vx.register(pair.fixed, pair.moving, method="learned", weights=trained, transform="rigid")
    assert np.allclose(result.transform(np.zeros((1, 2))),
                       vx.register(pair.fixed, pair.moving, transform="rigid").transform(np.zeros((1, 2))))
    assert "not used" in result.registration.notes[-1]


def test_smoothness_reaches_the_network(pair, trained, tmp_path):
    module, meta = weights.load(trained)
    for name, value in module.named_parameters():
        if "scale" in name:
            torch.nn.init.normal_(value, std=0.3)
    weights.save(tmp_path / "net.safetensors", module, meta=meta)
    points = pair.fixed.grid.points()
    soft, stiff = (vx.register(pair.fixed, pair.moving, method="learned", weights=str(tmp_path / "net.safetensors"), smoothness=s)
                   .transform(points) for s in (0.2, 5))
    assert np.abs(soft - stiff).max() > 0.01


# ---------------------------------------------------------------- files, and what cannot be
def test_files(pair, trained, tmp_path):
    from voxalign.cli.main import main

    vx.save(pair.fixed, tmp_path / "fixed.nii.gz")
    vx.save(pair.moving, tmp_path / "moving.nii.gz")
    files = ["-f", str(tmp_path / "fixed.nii.gz"), "-m", str(tmp_path / "moving.nii.gz")]
    main(["register", *files, "-o", str(tmp_path / "out"), "--method", "learned", "--weights", trained, "--no-report"])
    record = (tmp_path / "out" / "run.json").read_text()
    assert '"weights"' in record and trained not in record  # the name and the hash, not the folder
    main(["apply", "-t", str(tmp_path / "out" / "transform.h5"), "-i", str(tmp_path / "moving.nii.gz"),
          "-r", str(tmp_path / "fixed.nii.gz"), "-o", str(tmp_path / "again.nii.gz")])
    assert np.array_equal(vx.load(tmp_path / "again.nii.gz").data, vx.load(tmp_path / "out" / "moved.nii.gz").data)


@pytest.mark.parametrize("method", ["learned", "learned+refine", "features"])
def test_no_weights(pair, method):
    with pytest.raises(UsageError, match="--weights"):
        vx.register(pair.fixed, pair.moving, method=method)


def test_weights_that_do_not_fit(pair, tmp_path):
    for architecture, method, words in ((nn.Pyramid(3, channels=(4,)), "learned", "3-D"), (nn.UNet(2, channels=(4,)), "features", "UNet"),
                                        (nn.Autoencoder(2, channels=(4,)), "learned", "Autoencoder"),
                                        (nn.UNet(2, in_channels=3, channels=(4,)), "learned", "3 channels")):
        file = saved(tmp_path / "net.safetensors", architecture)
        with pytest.raises(InputError, match=words):
            vx.register(pair.fixed, pair.moving, method=method, weights=file)


def test_smoothness_that_the_network_cannot_take(pair, tmp_path):
    file = saved(tmp_path / "net.safetensors", nn.UNet(2, channels=(4,)))
    with pytest.raises(UsageError, match="smoothness"):
        vx.register(pair.fixed, pair.moving, method="learned", weights=file, smoothness=2)
    vx.register(pair.fixed, pair.moving, method="learned+refine", weights=file, smoothness=2, iterations=(1,))


def test_other_files(pair, tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        vx.register(pair.fixed, pair.moving, method="learned", weights=str(tmp_path / "none"))
    torch.save({}, tmp_path / "net.pt")
    with pytest.raises(SecurityError):
        vx.register(pair.fixed, pair.moving, method="learned", weights=str(tmp_path / "net.pt"))


def test_without_torch(pair, trained, monkeypatch):
    monkeypatch.setattr(learned, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install"):
        vx.register(pair.fixed, pair.moving, method="learned", weights=trained)
