import pytest

from voxalign.core import InputError, ResourceError, SecurityError, UsageError, VoxalignError
from voxalign.core.errors import choose

CODES = [(VoxalignError, 1), (UsageError, 2), (InputError, 3), (ResourceError, 5), (SecurityError, 6)]


@pytest.mark.parametrize("error, code", CODES)
def test_every_error_carries_its_exit_code(error, code):
    assert issubclass(error, VoxalignError) and error.exit_code == code


def test_choose_suggests():
    assert choose("ncc", ["ncc", "mi"], "loss") == "ncc"
    with pytest.raises(UsageError, match="unknown loss 'nccc': did you mean 'ncc'"):
        choose("nccc", ["ncc", "mi"], "loss")
    with pytest.raises(UsageError, match="choose one of ncc, mi"):
        choose("xyz", ["ncc", "mi"], "loss")
