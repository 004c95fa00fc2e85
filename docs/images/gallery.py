"""The gallery of filters and features, from the phantom: python docs/images/gallery.py (half a minute). Of your own image: give its path
and a folder for the pictures."""
import sys
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image as Picture

import voxalign as vx
from voxalign import features, filters, phantom

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent


def head() -> vx.Image:
    """A slice of the T1 phantom, noisy and unevenly lit, with no air beyond it."""
    grid = phantom.slice_pair(0).fixed.grid
    labels = phantom.head(grid, 0, height=15.0)
    return filters.reorient(phantom.contrast(labels, "T1", 4, phantom.Appearance(noise=0.05, bias=0.25)), axes="RA")


def middle(image: vx.Image) -> vx.Image:
    """An axial slice of a volume, as it is of a slice."""
    image = filters.reorient(image, axes="RAS"[:image.dim])
    if image.dim == 2:
        return image
    affine = np.delete(np.delete(image.grid.affine, 2, 0), 2, 1)
    return vx.Image(image.array[:, :, image.grid.shape[2] // 2], vx.Grid(image.grid.shape[:2], affine))


def filtered(image: vx.Image) -> dict[str, vx.Image]:
    """What the filters make of it."""
    middle, pair = vx.Points([image.grid.centre]), filters.otsu(image)
    return {
        "image": image, "gaussian sigma=1.5": filters.gaussian(image, sigma=1.5), "median radius=1.5": filters.median(image, radius=1.5),
        "bilateral": filters.bilateral(image), "non_local_means": filters.non_local_means(image, rician=True),
        "wavelet": filters.wavelet(image), "equalise": filters.equalise(image), "clahe": filters.clahe(image),
        "stretch": filters.stretch(image, low=2, high=96), "gamma gamma=0.5": filters.gamma(image, gamma=0.5),
        "sharpen": filters.sharpen(image, sigma=1.5), "correct_bias": filters.correct_bias(image, spacing=2.0),
        "otsu": pair, "multi_otsu classes=4": filters.multi_otsu(filters.gaussian(image), classes=4),
        "region_growing": filters.region_growing(filters.gaussian(image), seeds=middle, tolerance=float(np.ptp(image.array)) / 9),
        "connected_components": filters.connected_components(pair, least=30.0), "opening radius=3": filters.opening(pair, radius=3.0),
        "closing radius=3": filters.closing(pair, radius=3.0), "body_mask": filters.body_mask(image),
        "brain_mask": filters.brain_mask(image)}


def described(image: vx.Image) -> dict[str, vx.Image]:
    """What the features make of it; of several channels one."""
    waves, details = features.gabor(image, wavelength=8, orientations=4), features.wavelet_energy(image)
    slopes, alike = features.ngf(image, sigma=1.5), features.mind(image)
    return {
        "canny sigma=1": features.canny(image), "canny sigma=2.5": features.canny(image, sigma=2.5),
        "gradient_magnitude": features.gradient_magnitude(image), "ngf, to the right": slopes.with_data(slopes.data[0]),
        "ngf, to the front": slopes.with_data(slopes.data[1]),
        **{f"gabor {45 * k} degrees": waves.with_data(waves.data[k]) for k in range(4)}, "mind, one of 4": alike.with_data(alike.data[0]),
        **{f"wavelet_energy {k}": details.with_data(details.data[k - 1]) for k in (1, 2, 3)}}


def draw(tiles: dict[str, vx.Image], path: Path, points: vx.Points | None = None) -> None:
    """All of them side by side, in few colours."""
    columns = 5
    rows = -(-len(tiles) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2 * columns, 2.5 * rows), facecolor="black")
    for place, (name, image) in zip(axes.flat, tiles.items(), strict=False):
        low, high = (0, max(int(image.data.max()), 1)) if image.is_label else np.percentile(image.array, (1, 99.7))
        place.imshow(image.array.T, origin="lower", cmap="gray", vmin=low, vmax=high, aspect=image.grid.spacing[1] / image.grid.spacing[0])
        place.set_title(name, color="white", fontsize=9)
    for place in axes.flat:
        place.axis("off")
    figure.tight_layout(pad=0.4)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=76, facecolor="black")
    plt.close(figure)
    Picture.open(buffer).convert("L").quantize(20).save(path, optimize=True)


if __name__ == "__main__":
    image, folder = (middle(vx.load(sys.argv[1])), Path(sys.argv[2])) if len(sys.argv) == 3 else (head(), HERE)
    draw(filtered(image), folder / "filters.png")
    draw(described(image), folder / "features.png")
