"""The picture of synthesised pairs: python docs/images/synthesis.py (half a minute)."""
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

from voxalign.train import synthesise
from voxalign.train.place import Strength
from voxalign.train.randomness import generator

HERE = Path(__file__).parent
APART = Strength(3.0, 0.015, 0.03, 0.015, (2.5, 0.2))


def main() -> None:
    """Four pairs a family."""
    figure, panels = plt.subplots(3, 8, figsize=(12, 4.6), facecolor="black")
    for row, (name, draw) in zip(panels, synthesise.FAMILIES.items(), strict=True):
        for number in range(4):
            g = generator("cpu", 1, number)
            made = synthesise.pair(g, draw(g, (80, 96, 80)), APART, alike=0.35)
            for panel, image, what in ((row[2 * number], made.fixed, "fixed"), (row[2 * number + 1], made.moving, "moving")):
                panel.imshow(image[0, :, :, 40].T, cmap="gray", origin="lower", vmin=0, vmax=1)
                panel.set_title(f"{name}, {what}", color="white", fontsize=7)
                panel.axis("off")
    figure.subplots_adjust(0, 0, 1, 0.96, 0.02, 0.08)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=70, facecolor="black")
    Image.open(buffer).convert("L").quantize(48).save(HERE / "synthesis.png", optimize=True)


if __name__ == "__main__":
    main()
