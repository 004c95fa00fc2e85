"""The gallery of filters and features, from the phantom: python docs/images/gallery.py

Of your own image: voxalign process IN FOLDER --gallery
"""
from io import BytesIO
from pathlib import Path

from PIL import Image as Picture

import voxalign as vx
from voxalign import filters, phantom
from voxalign.report.gallery import galleries
from voxalign.run.process import png


def head() -> vx.Image:
    """A slice of the T1 phantom, noisy and unevenly lit, with no air beyond it."""
    grid = phantom.slice_pair(0).fixed.grid
    labels = phantom.head(grid, 0, height=15.0)
    return filters.reorient(phantom.contrast(labels, "T1", 4, phantom.Appearance(noise=0.05, bias=0.25)), axes="RA")


if __name__ == "__main__":
    for name, figure in galleries(head()).items():
        picture = Picture.open(BytesIO(png(figure))).convert("L").quantize(20)  # few colours: small files
        picture.save(Path(__file__).parent / name, optimize=True)
