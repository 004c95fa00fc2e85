import numpy as np
import pytest
from pairs import blobs

import voxalign as vx

WAVE = vx.transforms.Displacement.from_array(np.stack([2 * np.sin(blobs().grid.points()[..., 0] / 8)] * 3), blobs().grid)
FIGURES = {
    "before_and_after": (blobs(), blobs((1, 0, 0))), "checkerboard": (blobs(), blobs((1, 0, 0)), WAVE), "outlines": (blobs(), blobs()),
    "difference": (blobs(), blobs((1, 0, 0))), "lattice": (blobs(), blobs(), WAVE), "volume_change": (blobs(), WAVE),
    "deformation": (blobs(), blobs(), WAVE), "expected_error": (blobs(), blobs()), "curves": ([],),
}


def test_every_figure_is_tried():
    assert set(FIGURES) == set(vx.plot.__all__)


@pytest.mark.parametrize("name", FIGURES)
def test_figures(name):
    figure = getattr(vx.plot, name)(*FIGURES[name])
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 10


def test_arrays_will_do():
    assert vx.plot.checkerboard(blobs().array, blobs().array) is not None
