"""Two contrasts compared as one."""
import numpy as np
import pytest

from voxalign.core import Grid
from voxalign.losses import LNCC
from voxalign.register.adapted import Adapted, Regression
from voxalign.register.deformable import Channel, begun
from voxalign.register.prepare import Scaled

GRID = Grid((40, 36, 30), np.eye(4))


@pytest.fixture(scope="module")
def shown():
    """Structures, and the same as another modality shows them: neither darker nor brighter throughout."""
    waves = (np.sin(a * x + a) for x, a in zip(np.indices(GRID.shape), (0.5, 0.4, 0.6), strict=True))
    one = np.clip(sum(waves) / 4 + 0.6, 0, 1.4)
    return one.astype(np.float32), (1 - (one - 0.5) ** 2 * 3).clip(0.1).astype(np.float32)


def test_a_regression_is_the_mean_at_each_value(shown):
    one, other = (image.ravel() for image in shown)
    found = Regression.of(one, other)
    seen = found(Scaled(shown[0], GRID))
    assert np.abs(seen.data - shown[1])[shown[0] < 0.98].mean() < 0.02  # values above 1 share the last bin
    assert found.share > 0.9


def test_what_says_nothing_explains_nothing_and_shows_the_mean(shown):
    noise = np.random.default_rng(1).random(shown[0].size).astype(np.float32)
    found = Regression.of(noise, shown[0].ravel())
    assert found.share < 0.05
    assert np.abs(found.mean - shown[0].mean()).max() < 0.05


def test_both_directions_are_compared_where_the_images_lie_now(shown):
    losses = [LNCC(radius=2)]
    fixed, moving = (Scaled(image, GRID) for image in shown)
    channels = Adapted(fixed, moving, losses, 2.0).seen(begun(fixed))
    assert [type(c) for c in channels] == [Channel, Channel] and all(1 < c.weight <= 2 for c in channels)
    plain = LNCC(radius=2).bind(fixed.data).terms(moving.data).value
    assert LNCC(radius=2).bind(channels[0].fixed.data).terms(channels[0].moving.data).value < 0.6 * plain
    assert channels[0].weight > 1.2 * channels[1].weight  # two values of the first look the same in the second
    shift = begun(fixed)
    shift[0] = 3
    lain, shifted = Adapted(fixed, moving, losses).seen(begun(fixed)), Adapted(fixed, moving, losses).seen(shift)
    assert sum(c.weight for c in shifted) < 0.8 * sum(c.weight for c in lain)


def test_without_anything_in_common_the_images_are_compared_as_they_are():
    dark = Scaled(np.zeros(GRID.shape, np.float32), GRID)
    channel = Adapted(dark, dark, [LNCC()])
    assert channel.seen(begun(dark)) == [channel]


def test_masks_stay(shown):
    rest = np.ones(GRID.shape, bool)
    rest[:10] = False
    there, back = Adapted(Scaled(shown[0], GRID, rest), Scaled(shown[1], GRID), [LNCC()]).seen(begun(Scaled(shown[0], GRID)))
    assert (there.fixed.mask == rest).all() and (back.fixed.mask == rest).all() and back.moving.mask is None


def test_tensors_are_the_same(shown):
    torch = pytest.importorskip("torch")
    want = Adapted(*(Scaled(image, GRID) for image in shown), [LNCC()]).seen(begun(Scaled(shown[0], GRID)))
    tensors = [Scaled(torch.tensor(image), GRID) for image in shown]
    for mine, theirs in zip(want, Adapted(*tensors, [LNCC()]).seen(begun(tensors[0])), strict=True):
        assert mine.weight == pytest.approx(theirs.weight, rel=1e-4)
        for a, b in ((mine.fixed, theirs.fixed), (mine.moving, theirs.moving)):
            assert np.allclose(a.data, b.data.numpy(), atol=1e-4)
