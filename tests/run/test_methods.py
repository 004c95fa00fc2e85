from typing import get_args

from voxalign.register import PRESETS, settings
from voxalign.run import methods


def test_names_are_those_of_the_settings():
    assert set(methods.TRANSFORMS) == set(get_args(settings.Model))
    assert set(methods.LOSSES) == set(get_args(settings.LossName))
    assert set(methods.INITIAL) == set(get_args(settings.Start))
    assert set(methods.PRESETS) == set(PRESETS)


def test_every_method_is_there():
    for name in methods.METHODS:
        assert callable(methods.method_named(name))
