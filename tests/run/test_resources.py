"""What a registration will take is known before, and a limit is kept."""
import numpy as np
import pytest

from voxalign.core import Grid, Image, InputWarning, ResourceError
from voxalign.register import Settings
from voxalign.register.presets import PRESETS
from voxalign.run.api import register
from voxalign.run.resources import memory_forecast, within_memory


def _ball(n: int, spacing: float = 1.0) -> Image:
    """A ball of half the width of its box."""
    at = np.indices((n, n, n)) - (n - 1) / 2
    data = np.clip(n / 4 - np.sqrt((at**2).sum(0)), 0, 3) + 0.02 * np.sin(at).sum(0)
    return Image(data[None].astype(np.float32), Grid((n, n, n), np.diag([spacing] * 3 + [1])))


def test_more_voxels_and_a_finer_grid_take_more():
    small, large = _ball(64), _ball(96)
    deformable = Settings(transform="deformable")
    assert memory_forecast(small, small, deformable) < memory_forecast(large, large, deformable)
    assert memory_forecast(large, large, Settings(spacing=2.0)) < memory_forecast(large, large, deformable)
    assert memory_forecast(large, large, Settings(transform="affine")) < memory_forecast(large, large, deformable)
    assert memory_forecast(large, large, Settings(loss="mind")) > memory_forecast(large, large, Settings(loss="mi"))


def test_only_the_part_with_the_body_counts():
    ball, full = _ball(96), _ball(96)
    full = Image(np.indices((96, 96, 96)).sum(0)[None].astype(np.float32), full.grid)
    assert memory_forecast(ball, ball, Settings()) < 0.95 * memory_forecast(full, full, Settings())


def test_what_auto_will_compare_is_foreseen():
    ball = _ball(64)
    other = Image((ball.data > 1) * (4 - ball.data) + (ball.data <= 1) * ball.data * 0.2, ball.grid)
    one, two = (memory_forecast(ball, moving, Settings()) for moving in (ball, other.with_data(other.data.astype(np.float32))))
    assert one == memory_forecast(ball, ball, Settings(loss="lncc"))
    assert two == memory_forecast(ball, other, Settings(loss=PRESETS["multimodal"]["loss"]))


def test_a_limit_makes_the_working_grid_coarser_and_says_so():
    ball = _ball(96)
    need = memory_forecast(ball, ball, Settings())
    assert within_memory(ball, ball, Settings(), 1.01 * need / 1e9) == Settings()
    with pytest.warns(InputWarning, match="may be used: the deformation is worked out on voxels of"):
        kept = within_memory(ball, ball, Settings(), 0.98 * need / 1e9)
    assert 1 < kept.spacing < 2 and memory_forecast(ball, ball, kept) <= 0.98 * need


def test_two_images_that_move_take_more():
    ball = _ball(160)
    one, both = (memory_forecast(ball, ball, Settings(direction=way, loss="mind")) for way in ("forward", "symmetric"))
    assert both > 1.2 * one


def test_what_cannot_fit_is_refused():
    ball = _ball(64)
    with pytest.raises(ResourceError, match="may be used: crop or resample"):
        within_memory(ball, ball, Settings(), 0.1)


def test_the_registration_keeps_to_it():
    ball = _ball(96, 0.5)
    most = 0.97 * memory_forecast(ball, ball, Settings()) / 1e9
    with pytest.warns(InputWarning, match="worked out on voxels"):
        result = register(ball, ball, max_memory=most, initial="headers", loss="mse", iterations=1)
    assert result.configuration.settings.spacing > 0.5
    assert min(step.spacing for step in result.registration.history if step.stage == "deformable") > 0.5


# ---------------------------------------------------------------- networks
@pytest.fixture
def weights(tmp_path):
    """Of a pyramid that sees everything at 1 mm."""
    torch = pytest.importorskip("torch")
    from voxalign import nn
    from voxalign.nn import weights

    torch.manual_seed(0)
    weights.save(tmp_path / "net.safetensors", nn.build(nn.Pyramid(3, channels=(8, 8), hidden=8, radius=(1,))),
                 meta={"inputs": nn.Inputs(1.0, start="headers").as_dict()})
    return str(tmp_path / "net.safetensors")


def test_a_network_takes_what_its_own_grid_asks_for(weights):
    near, far = _ball(32), _ball(32, 3.0)  # as many voxels; the network sees the latter on 96 x 96 x 96
    settings = Settings(weights=weights, device="cpu")
    assert memory_forecast(far, far, settings) == pytest.approx(memory_forecast(near, near, settings), rel=0.01)
    assert memory_forecast(far, far, settings, "learned") > memory_forecast(near, near, settings, "learned") + 50e6
    assert memory_forecast(near, near, settings, "learned+refine") >= memory_forecast(near, near, settings, "learned")
    rigid = Settings(weights=weights, device="cpu", transform="rigid")  # the network takes no part
    assert memory_forecast(near, near, rigid, "learned") == memory_forecast(near, near, rigid)


def test_a_prediction_that_does_not_fit_is_refused_before_it_begins(weights):
    ball = _ball(64)
    need = memory_forecast(ball, ball, Settings(weights=weights, device="cpu"), "learned")
    with pytest.raises(ResourceError, match="would be needed"):
        register(ball, ball, method="learned", weights=weights, device="cpu", max_memory=0.9 * need / 1e9)
    assert register(ball, ball, method="learned", weights=weights, device="cpu", max_memory=1.1 * need / 1e9)
