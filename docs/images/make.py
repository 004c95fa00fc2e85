"""Make the pictures of the documentation from the phantom: python docs/images/make.py (a minute)."""
from io import BytesIO
from pathlib import Path

from PIL import Image

import voxalign as vx
from voxalign import phantom, report

HERE = Path(__file__).parent


def small(figure, name: str) -> None:
    """Save a figure with few colours and pixels."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=66, facecolor="black")
    Image.open(buffer).convert("RGB").quantize(64, kmeans=2).save(HERE / name, optimize=True)


if __name__ == "__main__":
    pair = phantom.head_pair(0)
    result = vx.register(pair.fixed, pair.moving)
    scene = report.Scene(pair.fixed, pair.moving, result.transform)
    small(report.before_and_after(scene), "before_after.png")
    small(report.deformation(scene), "deformation.png")
