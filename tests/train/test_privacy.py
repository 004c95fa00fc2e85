"""What the weights may tell about a person."""
import math

import pytest
import torch
from tolerances import EPSILON

from voxalign.train import privacy
from voxalign.train.randomness import generator


@pytest.mark.parametrize("noise, rate, steps, delta, theirs", [
    (1.1, 256 / 60000, 14062, 1e-5, 2.5969811785948815),
    (1.0, 0.01, 1000, 1e-5, 2.1077530754515745),
    (2.0, 0.1, 500, 1e-3, 4.554446382413807),
    (0.8, 0.05, 100, 1e-4, 5.62653554444428),
    (4.0, 1.0, 50, 1e-5, 9.337861628831664),
])
def test_epsilon_is_that_of_an_independent_accountant(noise, rate, steps, delta, theirs):
    """Google's dp-accounting 0.6.0, RdpAccountant with the same whole orders."""
    assert privacy.epsilon(noise, rate, steps, delta) == pytest.approx(theirs, rel=EPSILON)


def test_more_steps_or_less_noise_cost_more():
    base = privacy.epsilon(1.0, 0.1, 100, 1e-3)
    assert privacy.epsilon(1.0, 0.1, 200, 1e-3) > base > privacy.epsilon(1.5, 0.1, 100, 1e-3)
    assert privacy.epsilon(1.0, 0.1, 0, 1e-3) == 0 and privacy.epsilon(0, 0.1, 1, 1e-3) == math.inf


def test_no_sample_moves_the_sum_by_more_than_the_clip():
    w = torch.nn.Parameter(torch.ones(3))
    values = [torch.tensor([100.0, 0, 0]), torch.tensor([0.0, 0.1, 0])]
    total = privacy.private_sum([w], [lambda v=v: (w * v).sum() for v in values], 0.5)[0]
    assert torch.allclose(total, torch.tensor([0.5, 0.1, 0]))


def test_the_clip_is_of_all_layers_together_and_layers_may_be_unused():
    one, two, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    total = privacy.private_sum([one, two, unused], [lambda: 30 * one.sum() + 40 * two.sum()], 1.0)
    assert float(torch.cat(total).norm()) == pytest.approx(1) and not total[2].any()


def test_the_noise_has_the_scale_that_the_accountant_was_told():
    noise = privacy.with_noise([torch.zeros(40, 500)], 0.7, generator("cpu", 1))[0]
    assert float(noise.std()) == pytest.approx(0.7, rel=0.02) and abs(float(noise.mean())) < 0.02


def test_people_take_part_by_themselves():
    counts = [len(privacy.taking_part(50, 0.2, generator("cpu", k))) for k in range(200)]
    assert sum(counts) / 200 == pytest.approx(10, abs=0.7) and len(set(counts)) > 5  # not a fixed number


def test_a_private_training_says_its_epsilon_and_differs_by_its_noise(train, task, data_folder):
    from voxalign import UsageError

    with pytest.raises(UsageError, match="atlas"):
        train(noise_multiplier=1.0)
