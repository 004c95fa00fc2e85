from dataclasses import dataclass

from voxalign.report.evaluation import evaluation_page, evaluation_png

PNG = b"\x89PNG"
ROWS = [("a", "dice", "1 liver", 0.5, 0.8), ("b", "dice", "1 liver", 0.4, None), ("a", "hd95_mm", "1 liver", 9.0, 3.0),
        ("a", "mean_surface_distance_mm", "1 liver", 3.0, 1.0), ("b", "dice", "1 liver", 0.45, 0.9), ("a", "tre_mm", "lung", 9.0, 1.0),
        ("a", "dice", "", 0.5, 0.8), ("b", "dice", "", 0.4, 0.9), ("a", "jacobian_min", "", None, 0.5)]


@dataclass
class Case:
    name: str
    error: str | None = None
    warnings: tuple[str, ...] = ()


def test_pictures_of_regions_of_whole_cases_and_of_nothing():
    pictures = [evaluation_png(rows) for rows in (ROWS, ROWS[6:], [])]
    assert all(picture.startswith(PNG) for picture in pictures) and len({len(picture) for picture in pictures}) == 3


def test_page():
    cases = [Case("a", warnings=("odd <header>",)), Case("b"), Case("<c>", "c.nii: no such file")]
    page = evaluation_page(cases, ROWS, evaluation_png(ROWS))
    for words in ("3 cases", "Mean over the cases", "0.85", "odd &lt;header&gt;", "&lt;c&gt;", "c.nii: no such file", "1 liver",
                  "Jacobian, smallest"):
        assert words in page
