"""Trainings compared in a picture."""
from matplotlib.figure import Figure

from voxalign.report.search import _places, plot_search


def test_numbers_stand_where_they_are_and_other_values_side_by_side():
    axes = Figure().subplots()
    assert _places(axes, [0.01, 0.0002]) == [0.01, 0.0002] and axes.get_xscale() == "log"
    axes = Figure().subplots()
    assert _places(axes, [0.5, 0.7]) == [0.5, 0.7] and axes.get_xscale() == "linear"
    axes = Figure().subplots()
    assert _places(axes, [[8, 8], [4, 8], [8, 8]]) == [1, 0, 1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4x8", "8x8"]


def test_it_is_drawn(tmp_path):
    rows = [{"choices": {"rate": 0.001, "loss": "lncc"}, "score": 0.5, "state": "done"},
            {"choices": {"rate": 0.1, "loss": "mi"}, "score": 0.4, "state": "pruned"}]
    plot_search(rows, tmp_path / "search.png")
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
