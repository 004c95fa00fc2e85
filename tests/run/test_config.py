import pytest
import yaml

from voxalign.core import InputError, SecurityError, UsageError
from voxalign.register import PRESETS, Settings
from voxalign.run.config import KEYS, Configuration, configure


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path
    return write


def test_nothing_given_is_the_default():
    assert configure() == Configuration(Settings())


def test_precedence(file):
    path = file("preset: fast\nspacing: 3\nsmoothness: 3\nwindow: 3\n")
    preset = configure({"preset": "fast"}).settings
    assert preset == Settings(**PRESETS["fast"])
    made = configure({"window": 5}, ["smoothness=4", "window=4"], path)
    assert made.preset == "fast"
    assert made.settings == Settings(**PRESETS["fast"] | {"spacing": 3.0, "smoothness": 4.0, "window": (5,)})


def test_a_preset_given_by_flag_replaces_that_of_the_file_but_not_its_values(file):
    made = configure({"preset": "rigid"}, file=file("preset: fast\nloss: ncc\n"))
    assert (made.preset, made.settings.transform, made.settings.loss) == ("rigid", "rigid", "ncc")


def test_as_dict_makes_the_same_configuration_again(file):
    made = configure({"loss": "mi", "iterations": (9, 5), "threads": 2})
    assert configure(made.as_dict()) == made
    assert configure(file=file(yaml.safe_dump({k: list(v) if isinstance(v, tuple) else v for k, v in made.as_dict().items()}))) == made


@pytest.mark.parametrize("text, value", [("30x20x10", (30, 20, 10)), ("30,20", (30, 20)), ("7", (7,)), ("[4, 2]", (4, 2))])
def test_lists_of_numbers(text, value):
    assert configure(assignments=[f"iterations={text}"]).settings.iterations == value


@pytest.mark.parametrize("text", ["1.5", "15e-1"])
def test_numbers_that_yaml_takes_for_words(text):
    assert configure(assignments=[f"spacing={text}"]).settings.spacing == 1.5


@pytest.mark.parametrize("text", ["null", "none", ""])
def test_no_spacing(text):
    assert configure(assignments=["spacing=2", f"spacing={text}"]).settings.spacing is None


def test_initial_is_a_name_or_a_file(tmp_path):
    path = tmp_path / "start.tfm"
    path.write_text("")
    made = configure({"initial": str(path)})
    assert made.initial_file == str(path) and made.settings.initial == "search"
    assert configure(assignments=["initial=no"]).settings.initial == "none"
    with pytest.raises(InputError, match="no such file"):
        configure({"initial": "nowhere.h5"})
    with pytest.raises(UsageError, match="'moments'"):
        configure({"initial": "moment"})


@pytest.mark.parametrize("flags, words", [
    ({"los": "ncc"}, "unknown configuration key 'los': did you mean 'loss'"),
    ({"loss": "lnc"}, "did you mean 'lncc'"),
    ({"preset": "quick"}, "choose one of"),
    ({"method": "classic"}, "'classical'"),
    ({"device": "vulkan"}, "choose one of auto, cpu, cuda"),
    ({"window": 2.5}, "window = '2.5': expected a whole number"),
    ({"window": 0}, "above 0"),
    ({"spacing": -1}, "above 0"),
    ({"seed": -1}, "not below 0"),
    ({"smoothness": "soft"}, "expected a number"),
    ({"smoothness": float("nan")}, "expected a number"),
    ({"window": True}, "expected a whole number"),
    ({"iterations": ""}, "empty"),
])
def test_refused(flags, words):
    with pytest.raises(UsageError, match=words) as caught:
        configure(flags)
    assert "\n" not in str(caught.value)


def test_set_needs_an_equals_sign():
    with pytest.raises(UsageError, match="key=value"):
        configure(assignments=["loss"])


@pytest.mark.parametrize("text, error", [
    ("loss: [lncc", UsageError), ("- loss", UsageError), ("lossy: 1", UsageError),
    ("loss: !!python/object/apply:os.getcwd []", SecurityError),
])
def test_files_refused(file, text, error):
    with pytest.raises(error) as caught:
        configure(file=file(text))
    assert "\n" not in str(caught.value)


def test_an_empty_file_changes_nothing(file):
    assert configure(file=file("# nothing\n")) == configure()


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        configure(file=tmp_path / "none.yaml")


def test_keys_are_those_of_the_settings():
    assert {"transform", "loss", "seed", "method", "threads"} <= set(KEYS)
