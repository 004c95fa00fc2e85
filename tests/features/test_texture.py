import numpy as np
import pytest
from filters.inputs import CUBIC, FINE, FLAT, THICK, noisy
from skimage import filters as skimage_filters
from tolerances import FILTER_OTHER_PROGRAM

from voxalign import features
from voxalign.core import Image, UsageError
from voxalign.features.texture import directions, gabor_sigma


@pytest.mark.parametrize("number", [0, 1, 2])
def test_2d_equals_scikit_image(number):
    image = Image.from_array(noisy(FLAT).array)
    found = features.gabor(image, wavelength=8.0, orientations=3).data[number]
    centred = image.array.astype(float) - image.array.mean(dtype=float)
    way = directions(3, 2)[number]  # its angle runs from the second axis to the first
    real, imaginary = skimage_filters.gabor(centred, 1 / 8, theta=np.arctan2(way[0], way[1]), n_stds=4)
    assert np.abs(found - np.hypot(real, imaginary)).max() < FILTER_OTHER_PROGRAM * np.hypot(real, imaginary).max()


@pytest.mark.parametrize("grid", [FINE, THICK, FLAT], ids=["fine", "thick", "2-D"])
def test_a_wave_answers_in_its_own_direction(grid):
    for number, way in enumerate(directions(6, grid.dim)):
        wave = Image(50 + 10 * np.sin(2 * np.pi / 12 * (grid.points() @ way)), grid)
        answer = features.gabor(wave, wavelength=12.0).data[(slice(None), *(n // 2 for n in grid.shape))]
        assert answer.argmax() == number and answer[number] == pytest.approx(5.0, rel=0.05)  # half the amplitude: half of a sine runs back
    weak = features.gabor(wave, wavelength=6.0).data[(slice(None), *(n // 2 for n in grid.shape))]
    assert weak.max() == pytest.approx(5 * np.exp(-2 * (np.pi * gabor_sigma(6.0) * (1 / 6 - 1 / 12)) ** 2), rel=0.05)


@pytest.mark.parametrize("count", [3, 6, 12])
def test_directions_are_spread_evenly(count):
    for dim, least in ((2, 180 / count), (3, 100 / np.sqrt(count))):
        ways = directions(count, dim)
        assert np.linalg.norm(ways, axis=1) == pytest.approx(np.ones(count))
        cosine = np.abs(ways @ ways.T)[~np.eye(count, dtype=bool)]
        assert np.degrees(np.arccos(cosine.max())) > 0.75 * least


def test_wavelet_energy_separates_scales():
    rng = np.random.default_rng(0)
    fine = Image.from_array(rng.standard_normal((64, 64)))
    coarse = Image.from_array(np.kron(rng.standard_normal((16, 16)), np.ones((4, 4))))
    energies = [features.wavelet_energy(image).data.mean((1, 2)) for image in (fine, coarse)]
    assert energies[0].argmax() == 0 and energies[1].argmax() == 2
    assert features.wavelet_energy(noisy(CUBIC), levels=2).channels == 2


def test_wavelet_energy_is_that_of_the_image():
    image = Image.from_array(np.random.default_rng(1).standard_normal((64, 48)))
    squares = (features.wavelet_energy(image, levels=4).data.astype(float) ** 2).sum(0).mean()
    assert squares == pytest.approx(float(image.array.var()), rel=0.05)


def test_misuse():
    with pytest.raises(UsageError, match="did you mean 'haar'"):
        features.wavelet_energy(noisy(FLAT), name="harr")
    with pytest.raises(UsageError, match="wavelength"):
        features.gabor(noisy(FLAT), wavelength=1.0)
