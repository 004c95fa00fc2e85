import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from pairs import blobs
from spaces import homogeneous, rotation
from tolerances import CARRIED_VOLUME

from voxalign import io
from voxalign.core import Grid, Identity, Image, InputError, InputWarning, Points, SecurityError, UsageError
from voxalign.filters import gaussian
from voxalign.metrics import dice_by_label
from voxalign.phantom import failures
from voxalign.run.api import register
from voxalign.run.operations import STEPS, Picture, Scores
from voxalign.run.pipeline import Finished, Pipeline, pipeline, ready
from voxalign.run.pipeline_files import PipelineJob, run_pipeline
from voxalign.run.pipeline_schema import catalogue, schema
from voxalign.transforms import Affine

ALIGN = {"inputs": {"fixed": "image", "moving": "image"}, "optional": {"drawn": "labels"},
         "steps": {"even": {"do": "gaussian", "image": "fixed", "sigma": 1.5},
                   "aligned": {"do": "register", "fixed": "even", "transform": "rigid", "initial": "headers"},
                   "moved": {"do": "apply", "image": "moving", "transform": "aligned", "onto": "fixed"},
                   "carried": {"do": "apply", "image": "drawn", "transform": "aligned", "onto": "fixed"},
                   "scores": {"do": "scores", "transform": "aligned"}},
         "results": ["aligned", "moved", "carried", "scores"]}
SHIFT = (2.0, -3.0, 4.0)


@pytest.fixture(scope="module")
def images() -> dict[str, Image]:
    return {"fixed": blobs(), "moving": blobs(SHIFT)}


@pytest.fixture(scope="module")
def files(images, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    for name, image in images.items():
        io.save(image, folder / f"{name}.nii.gz")
    return {name: folder / f"{name}.nii.gz" for name in images}


def changed(**steps) -> dict:
    return ALIGN | {"steps": ALIGN["steps"] | steps}


# ---------------------------------------------------------------- what it does
def test_steps_are_done_in_order(images):
    done = pipeline(ALIGN)(**images)
    assert isinstance(done, Finished) and set(done.values) == {"aligned", "moved", "scores"}
    assert np.abs(done["aligned"](np.zeros(3)) - SHIFT).max() < 0.3
    assert np.corrcoef(done["moved"].array.ravel(), images["fixed"].array.ravel())[0, 1] > 0.99
    assert done.scores["scores"]["folded_percent"] == 0 and done.seconds.keys() == {"even", "aligned", "moved", "scores"}


def test_values_between_are_kept_on_demand(images):
    done = pipeline(ALIGN)(keep=True, **images)
    assert np.array_equal(done["even"].data, gaussian(images["fixed"], sigma=1.5).data)
    with pytest.raises(UsageError, match="did you mean 'even'"):
        pipeline(ALIGN)(keep=True, **images)["evn"]


def test_steps_whose_optional_input_is_missing_are_left_out(images):
    drawn = Image((images["moving"].data > images["moving"].data.mean()).astype(np.uint8), images["moving"].grid, is_label=True)
    assert "carried" in pipeline(ALIGN)(**images, drawn=drawn).values
    done = pipeline(ALIGN)(**images)
    assert "carried" not in done.values and any("carried left out" in note for note in done.notes)


def test_what_is_wanted_by_default_is_what_nobody_takes():
    content = {key: value for key, value in ALIGN.items() if key != "results"}
    assert Pipeline.of(content).results == ("moved", "carried", "scores")


def test_progress_rises_and_may_stop(images):
    seen = []
    pipeline(ALIGN)(**images, on_step=seen.append)
    fractions = [step.fraction for step in seen]
    assert fractions == sorted(fractions) and {step.stage for step in seen} >= {"even", "aligned"}

    def stop(step):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        pipeline(ALIGN)(**images, on_step=stop)


def test_settings_can_be_changed_by_name():
    new = pipeline(ALIGN).with_settings(["aligned.transform=affine", "even.sigma=2"])
    assert [stage.settings for stage in new.steps[:2]] == [{"sigma": 2.0}, {"transform": "affine", "initial": "headers"}]
    for wrong, says in (("aligned.transfrm=affine", "transform"), ("alined.transform=affine", "aligned"), ("seed=1", "STEP.KEY")):
        with pytest.raises(UsageError, match=says):
            new.with_settings([wrong])


# ---------------------------------------------------------------- from files to files
def test_the_pipeline_that_was_run_gives_the_same_bits_again(files, tmp_path):
    first = run_pipeline(PipelineJob(pipeline(ALIGN), files, tmp_path / "a", keep=True))
    again = run_pipeline(PipelineJob(pipeline(tmp_path / "a" / "pipeline.yaml"), files, tmp_path / "b", keep=True))
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in "ab"]
    assert records[0]["outputs"] == records[1]["outputs"] and set(records[0]["outputs"]) == {
        "aligned.h5", "even.nii.gz", "moved.nii.gz", "pipeline.yaml", "scores.json"}
    assert first["scores"] == again["scores"] == json.loads((tmp_path / "a" / "scores.json").read_text())
    assert str(files["fixed"].parent) not in json.dumps(records)


def test_pictures_are_results(files, tmp_path):
    content = changed(picture={"do": "picture", "transform": "aligned"}) | {"results": ["picture"]}
    run_pipeline(PipelineJob(pipeline(content), files, tmp_path / "out"))
    assert (tmp_path / "out" / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_one_file_given_twice_is_said(files, tmp_path):
    job = PipelineJob(pipeline(ALIGN), files | {"moving": files["fixed"]}, tmp_path / "out")
    assert run_pipeline(job)["warnings"] == ["fixed and moving are the same file, fixed.nii.gz"]


def test_nothing_is_left_of_what_failed(files, tmp_path):
    bad = pipeline(changed(moved={"do": "crop", "image": "moving", "low": [900, 900, 900], "high": [901, 901, 901]}))
    with pytest.raises(InputError, match=r"step moved \(crop\): crop: no voxel lies in the box"):
        run_pipeline(PipelineJob(bad, files, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_results_are_not_overwritten_and_inputs_never(files, tmp_path):
    job = PipelineJob(pipeline(ALIGN), files, tmp_path)
    run_pipeline(job)
    with pytest.raises(InputError, match="already holds"):
        run_pipeline(job)
    (tmp_path / "in").mkdir()
    io.save(blobs(), tmp_path / "in" / "moved.nii.gz")
    with pytest.raises(InputError, match="also an input"):
        run_pipeline(PipelineJob(pipeline(ALIGN), files | {"moving": tmp_path / "in" / "moved.nii.gz"}, tmp_path / "in", overwrite=True))


def test_a_verdict_is_a_step(images):
    judging = {"steps": {"aligned": {"do": "register", "transform": "rigid", "initial": "headers"},
                         "verdict": {"do": "verdict", "transform": "aligned"}}}
    done, same = pipeline(judging)(**images), register(**images, transform="rigid", initial="headers")
    assert done["verdict"]["status"] == same.verdict.status in ("PASS", "CHECK") and not done.failed
    assert abs(done["verdict"]["probability"] - same.verdict.probability) < 1e-6
    hidden = judging | {"results": ["aligned"]}
    noise = failures.nothing(images["fixed"], np.random.default_rng(0))
    failed = pipeline(hidden)(fixed=images["fixed"], moving=noise)
    assert failed.failed == ("verdict",) and set(failed.values) == {"aligned"}  # told although it is not among the results


# ---------------------------------------------------------------- what is refused, before anything is computed
@pytest.mark.parametrize(("content", "says"), [
    (changed(even={"do": "gausian", "image": "fixed"}), "did you mean 'gaussian'"),
    (changed(even={"do": "gaussian", "image": "fixed", "sigm": 1}), "did you mean 'sigma'"),
    (changed(even={"do": "gaussian", "image": "fixd"}), "did you mean 'fixed'"),
    (changed(even={"do": "gaussian", "image": "fixed", "sigma": "wide"}), "step even: sigma"),
    (changed(even={"do": "gaussian", "image": "moved"}), "unknown value that step even takes as image"),
    (changed(aligned={"do": "register", "fixed": "even", "transform": "afine"}), "did you mean 'affine'"),
    (changed(aligned={"do": "register", "fixed": "even", "initial": "../../x.h5"}), "unknown initial"),
    (changed(aligned={"do": "gaussian", "image": "fixed"}), "transform is aligned, which is image; expected transform"),
    (changed(even={"image": "fixed"}), "does nothing"), (changed(even={"do": "threshold", "imag": "fixed"}), "'image'"),
    (changed(even="gaussian"), "key: value"), (changed(fixed={"do": "gaussian", "image": "fixed"}), "given twice"),
    ({"steps": {}}, "without steps"), ({**ALIGN, "step": {}}, "did you mean 'steps'"), ({**ALIGN, "results": "moved"}, "names of steps"),
    ({**ALIGN, "results": ["movd"]}, "did you mean 'moved'"), ({**ALIGN, "inputs": {"fixed": "imge"}}, "did you mean 'image'"),
    (changed(**{"../up": {"do": "gaussian", "image": "fixed"}}), "becomes the name of a file"),
    (changed(select={"do": "select", "labels": "drawn"}), "needs only: ..."), ({**ALIGN, "steps": ["register"]}, "key: value")])
def test_what_is_wrong_is_said(content, says):
    with pytest.raises(UsageError, match=says):
        pipeline(content)


@pytest.mark.parametrize(("text", "error", "says"), [
    ("steps: {a: {do: register}, a: {do: register}}", UsageError, "'a' is given twice"),
    ("steps: !!python/object/apply:os.system [ls]", SecurityError, "tag"), ("steps: [", UsageError, "not YAML"),
    ("- a", UsageError, "list"), ("steps: &a {b: *a}", UsageError, "step b")])
def test_files_that_are_no_pipelines(text, error, says, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(error, match=says):
        pipeline(path)


def test_names_that_are_no_pipelines(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'lesion-follow-up'"):
        pipeline("lesion-folow-up")
    with pytest.raises(InputError, match="cannot read"):
        pipeline(tmp_path / "none.yaml")


def test_inputs_are_checked(images):
    run = pipeline(ALIGN)
    with pytest.raises(UsageError, match="needs moving"):
        run(fixed=images["fixed"])
    with pytest.raises(UsageError, match="did you mean 'drawn'"):
        run(**images, drwn=1)
    flat = images["fixed"].with_data(np.ones(images["fixed"].grid.shape))
    with pytest.raises(InputError, match="moving: every voxel is 1"):
        run(fixed=images["fixed"], moving=flat)
    with pytest.raises(InputError, match="moving: no voxel is usable"):
        run(fixed=images["fixed"], moving=flat.with_data(np.full(flat.grid.shape, np.nan)))
    with pytest.raises(InputError, match="channels"):
        run(fixed=images["fixed"], moving=Image(np.zeros((3, *flat.grid.shape)), flat.grid))
    with pytest.raises(InputError, match="drawn: every label is 0"):
        run(**images, drawn=Image(np.zeros(flat.grid.shape, np.uint8), flat.grid, is_label=True))
    with pytest.raises(InputError, match="points: Image was given"):
        pipeline({"inputs": {"points": "points", "map": "transform"}, "steps": {"there": {"do": "push", "transform": "map"}}})(
            points=images["fixed"], map=images["fixed"])


def test_label_maps_given_as_images_are_said(images):
    drawn = images["moving"].with_data((images["moving"].data > 0.5 * images["moving"].data.max()).astype(np.uint8))
    with pytest.warns(InputWarning, match="looks like a label map"):
        pipeline({"steps": {"even": {"do": "gaussian", "image": "moving"}, "other": {"do": "gaussian", "image": "fixed"}}})(
            fixed=images["fixed"], moving=drawn)


# ---------------------------------------------------------------- what there is
def test_the_schema_says_what_the_program_says():
    check = jsonschema.Draft202012Validator(schema())
    jsonschema.Draft202012Validator.check_schema(schema())
    for content in (ALIGN, *(pipeline(name).as_dict() for name in ready())):
        assert check.is_valid(content)
    for wrong in ({"do": "gausian"}, {"do": "gaussian", "sigm": 1}, {"do": "gaussian", "sigma": "wide"},
                  {"do": "register", "transform": "afine"}, {"do": "register", "loss": "mi + 0.3*ngff"},
                  {"do": "register", "loss": "ncc(cany)"}, {"do": "register", "loss": {"mi": 1, "ngff": 0.3}},
                  {"do": "select", "labels": "drawn"}, {"image": "fixed"}):
        assert not check.is_valid(changed(even=wrong))
    for loss in ("lncc", "mi + 0.3*ngf + 0.5*ncc(canny)", ".5 ncc( gabor )+auto", {"mi": 1, "ncc(canny)": 0.3, "ngf": 2}):
        assert check.is_valid(changed(aligned={"do": "register", "loss": loss})), loss
    for wrong in ({**ALIGN, "step": {}}, {"inputs": {"fixed": "imge"}, "steps": ALIGN["steps"]}):
        assert not check.is_valid(wrong)


def test_every_operation_says_what_it_takes_and_makes():
    known = catalogue()
    assert set(known["operations"]) == set(STEPS) and set(known["pipelines"]) == set(ready()) != set()
    assert known["operations"]["apply"] == {"needs": "image: image transform: transform onto: image", "settings": "interpolation=None",
                                            "makes": "image", "does": STEPS["apply"].__doc__.partition("\n")[0]}
    assert "fixed_mask: image?" in known["operations"]["register"]["needs"]
    assert "like: image" in known["operations"]["match_histogram"]["needs"]
    assert all(about["about"] for about in known["pipelines"].values())


@pytest.mark.parametrize("name", ready())
def test_ready_pipelines_survive_being_written(name):
    given = pipeline(name)
    assert Pipeline.of(yaml.safe_load(yaml.safe_dump(given.as_dict(), sort_keys=False))) == given


# ---------------------------------------------------------------- operations
def test_points_and_pictures_are_values(images):
    run = pipeline({"inputs": {"fixed": "image", "moving": "image", "there": "points", "map": "transform"}, "steps": {
        "back": {"do": "invert", "transform": "map"}, "none": {"do": "join", "first": "map", "second": "back"},
        "same": {"do": "push", "points": "there", "transform": "none"}, "seen": {"do": "picture", "transform": "none"}}})
    from voxalign.transforms import Rigid

    points = Points([[1.0, 2, 3]], ("a",))
    done = run(**images, there=points, map=Rigid.from_params([0.1, 0.2, 0, 1, 2, 3], np.zeros(3)))
    assert np.allclose(done["same"].coordinates, points.coordinates) and done["same"].names == ("a",)
    assert isinstance(done["seen"], Picture)


def test_shapes_are_compared():
    def ball(centre, radius):
        inside = ((np.indices((40, 40, 40)).T - centre) ** 2).sum(-1).T < radius**2
        return Image.from_array(inside.astype(np.uint8), is_label=True)

    found = STEPS["shape_agreement"](ball((22, 20, 20), 10), ball((20, 20, 20), 10))
    assert isinstance(found, Scores) and np.isclose(found["1"]["centroid_mm"], 2) and found["1"]["volume_percent"] == 0
    assert found["1"]["hd95_mm"] <= 2 and STEPS["volumes"](ball((20, 20, 20), 10))["1"] == pytest.approx(4.19, rel=0.02)
    with pytest.raises(InputError, match="none of the labels 7"):
        STEPS["select"](ball((20, 20, 20), 10), only=(7,))
    with pytest.raises(InputError, match="empty or lies outside"):
        STEPS["around"](ball((20, 20, 20), 10), ball((20, 20, 20), 0))


def ellipsoids(grid: Grid, places: np.ndarray | None = None) -> Image:
    """Two labels side by side, 1 and 2, as points of the world (``places`` instead of the grid's own) say."""
    points = grid.points() if places is None else places
    solids = ((-7, 0, 1), (8, 11, 7)), ((6, 1, 0), (6, 9, 10))  # centres and radii
    depth = [1 - np.linalg.norm((points - centre) / radii, axis=-1) for centre, radii in solids]
    return Image(np.where(np.max(depth, 0) > 0, 1 + np.argmax(depth, 0), 0).astype(np.uint8), grid, is_label=True)


def test_labels_carried_to_another_grid_keep_their_volume():
    transform = Affine(homogeneous(rotation((8, -12, 20)) @ np.diag([1.1, 0.95, 1.05]), (0.7, -0.4, 0.2)), np.zeros(3))
    labels = ellipsoids(Grid((31, 31, 31), homogeneous(2.0 * np.eye(3), (-30.3, -29.6, -30.1))))
    onto = Image(np.zeros((40, 40, 18), np.float32), Grid((40, 40, 18), homogeneous(np.diag([1.5, 1.5, 3.0]), (-29.4, -30.0, -25.0))))
    carried, cut = STEPS["carry"](labels, transform, onto), STEPS["apply"](labels, transform, onto)
    there = ellipsoids(onto.grid, transform(onto.grid.points()))
    shrunk = np.linalg.det(transform.matrix[:3, :3])
    for name in (1, 2):
        expected = (labels.array == name).sum() * labels.grid.voxel_volume / shrunk
        assert abs((carried.array == name).sum() * onto.grid.voxel_volume / expected - 1) < CARRIED_VOLUME
        assert dice_by_label(carried, there)[name] > dice_by_label(cut, there)[name]
    assert carried.is_label and carried.data.dtype == np.uint8


def test_labels_that_cannot_be_carried_are_said():
    grid = Grid((20, 20), np.eye(3))
    labels = Image(np.zeros(grid.shape, np.int16), grid, is_label=True)
    labels.array[3:9, 3:9], labels.array[15, 15] = -5, 300
    coarse = Image(np.zeros((5, 5), np.float32), Grid((5, 5), np.diag([4.0, 4.0, 1.0])))
    with pytest.warns(InputWarning, match=r"label 300 has no voxel"):
        found = STEPS["carry"](labels, Identity(2), coarse)
    assert set(np.unique(found.array)) == {-5, 0}
    with pytest.raises(InputError, match=r"carry.*label map"):
        STEPS["carry"](coarse, Identity(2), coarse)


def test_a_fixed_image_is_blurred_as_the_moved_one_will_be():
    def sheet(grid: Grid) -> Image:
        """Bright for about 1 mm along x, as a scanner with these voxels shows it."""
        width = np.sqrt(1 + grid.spacing[0] ** 2 / (8 * np.log(2)))
        return Image(np.exp(-0.5 * (grid.points()[..., 0] / width) ** 2), grid)

    def breadth(image: Image) -> float:
        x, weight = image.grid.points()[..., 0], image.array
        return np.sqrt((weight * x**2).sum() / weight.sum())

    fixed = sheet(Grid((41, 12, 12), homogeneous(1.0 * np.eye(3), (-20, -6, -6))))
    broad = []
    for start in np.arange(0, 1, 0.125):  # wherever the voxels happen to lie
        moving = sheet(Grid((31, 10, 10), homogeneous(1.5 * np.eye(3), (-22.5 + 1.5 * start, -7, -7))))
        broad.append(breadth(STEPS["apply"](moving, Identity(3), fixed)))
    evened = breadth(STEPS["blur_like"](fixed, moving))
    assert abs(evened / np.mean(broad) - 1) < 0.03 and evened > 1.1 * breadth(fixed)


def test_two_bones_and_what_is_between():
    from voxalign.phantom import rigid

    bones = np.zeros((20, 20, 40), np.uint8)
    bones[8:12, 8:12, :15], bones[8:12, 8:12, 25:] = 1, 2
    bones = Image.from_array(bones, is_label=True)
    still, turned = rigid(0), rigid(10, (1, 0, 0), centre=(10, 10, 20))
    bent = STEPS["articulate"](still, turned, bones, of_first=(1,), of_second=(2,))
    for motion, name in ((still, 1), (turned, 2)):
        inside = bones.grid.world(np.argwhere(bones.array == name))
        assert np.abs(bent(inside) - motion(inside)).max() < 1e-5
    assert STEPS["joint_angle"](bones, bent, first=(1,), second=(2,))["angle_degrees"] == pytest.approx(10, abs=1e-3)
    assert STEPS["joint_angle_of"](still, turned, bones)["angle_degrees"] == pytest.approx(10, abs=1e-6)
