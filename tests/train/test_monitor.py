"""Watching a training."""
import json

import pytest
from people import TINY

from voxalign.run.train import Training, train_files
from voxalign.train.recipe import Recipe


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_tensorboard_shows_numbers_pictures_and_weights(data_folder, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_files(Training(tmp_path, Recipe(**(TINY | {"steps": 2, "validate_every": 1})), data_folder, tensorboard=True))
    seen = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Tags()
    assert {"loss/image", "loss/labels", "validation/dice", "step/rate"} <= set(seen["scalars"])
    assert {"fixed", "moving", "moved"} <= set(seen["images"]) and seen["histograms"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("task", "pictures"), [("translate", {"moving", "translated"}), ("adversarial", {"moving", "moved"}),
                                                ("generate", {"moved", "painted"})])
def test_tensorboard_shows_both_players(task, pictures, data_folder, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_files(Training(tmp_path, Recipe(**(TINY | {"task": task, "steps": 2, "validate_every": 1})), data_folder, tensorboard=True))
    seen = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Tags()
    assert {"loss/persuaded", "loss/critic"} <= set(seen["scalars"]) and {"fixed", *pictures} <= set(seen["images"])
    assert {name.partition(".")[0] for name in seen["histograms"]} >= {"kept", "critic"}


def test_a_profile_names_the_parts_of_a_step(data_folder, tmp_path):
    train_files(Training(tmp_path, Recipe(**(TINY | {"steps": 11, "validate_every": 11, "validation": 0.0})), data_folder, profile=True))
    events = json.loads((tmp_path / "profile" / "trace.json").read_text())["traceEvents"]
    assert {"forward", "backward", "step"} <= {event.get("name") for event in events}
    assert "backward" in (tmp_path / "profile" / "table.txt").read_text()
