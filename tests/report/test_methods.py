"""What was done, in words for a paper."""
import pytest

from voxalign.report.methods import methods_text


def _record(loss: str, *notes: str, transform: str = "deformable") -> dict:
    return {"voxalign": "1", "notes": notes, "grids": {"fixed": {"spacing_mm": [1, 1, 2]}},
            "configuration": {"method": "classical", "loss": loss, "transform": transform, "initial": "search", "preset": "default",
                              "smoothness": None, "spacing": None}}


@pytest.mark.parametrize("record, words, cited", [
    (_record("auto", "loss lncc chosen: x"), "minimised local normalised cross-correlation [1] from", 2),
    (_record("auto", "loss mi chosen (for the deformation 0.5*mind + 2*lncc(adapted)): x"),
     "The deformation minimised 0.5 times modality-independent neighbourhood descriptors [2] and 2 times local normalised "
     "cross-correlation [3] of each image as the other would look [4]. ", 5),
    (_record("auto", "loss lncc chosen: x", "loss 2*lncc(adapted) for the deformation: y"), "as the other would look [2]. The", 3),
    (_record("mi + 0.5*ncc(canny)", transform="affine"), "minimised mutual information [1] and 0.5 times normalised cross-correlation", 1),
    (_record("auto", transform="rigid"), "minimised a loss chosen automatically from", 0),
])
def test_what_was_compared_is_said_and_cited(record, words, cited):
    text, references = methods_text(record)
    assert words in text and len(references) == cited
