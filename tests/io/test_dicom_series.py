import numpy as np
import pytest
from spaces import GRIDS

from voxalign import io
from voxalign.core import Image, InputError, resample
from voxalign.io.dicom_series import save_series


@pytest.mark.parametrize("name", [name for name in GRIDS if name not in ("2-D", "sheared")])
@pytest.mark.filterwarnings("ignore::voxalign.core.InputWarning")
def test_what_is_written_is_read(name, rng, tmp_path):
    grid = GRIDS[name]
    image = Image(rng.integers(-1000, 3000, grid.shape).astype(np.float32), grid)
    save_series(image, tmp_path)
    back = io.load(tmp_path)
    assert np.array_equal(resample(back, grid, interpolation="nearest").data, image.data)
    assert len(list(tmp_path.glob("*.dcm"))) == grid.shape[2]


def test_refused(tmp_path):
    for grid in (GRIDS["2-D"], GRIDS["sheared"]):
        with pytest.raises(InputError, match="right angles"):
            save_series(Image(np.zeros(grid.shape), grid), tmp_path)
    with pytest.raises(InputError, match="CT holds"):
        save_series(Image(np.full(GRIDS["RAS"].shape, -2000.0), GRIDS["RAS"]), tmp_path)
