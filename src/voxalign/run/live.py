"""``vx.track``: frames as they come, a transform and a confidence for each."""
from __future__ import annotations

from typing import Any

from .. import io
from ..core import Image, UsageError
from ..register.track import Tracked, Tracker
from .checks import check_image, masked


class Live:
    """A target that is followed; call it with each frame.

    `lost` says whether the target was missing in the last frame. Frames are what `register` takes; arrays (1 mm voxels) that have the shape
    of the first image are taken to lie where it lies.
    """

    def __init__(self, fixed: Any, transform: str | None = None, mask: Any = None, weights: str | None = None) -> None:
        image = io.as_image(fixed)
        check_image(image, "the image to track")
        self.fixed = masked(image, None if mask is None else io.as_image(mask), "mask")
        self._tracker = _by_network(self.fixed, transform, weights) if weights else Tracker(self.fixed, transform)

    @property
    def lost(self) -> bool:
        """Whether the target was not found in the last frame."""
        return self._tracker.lost

    def __call__(self, frame: Any) -> Tracked:
        """Where the target is in ``frame``: see `Tracked`.

        Raises
        ------
        InputError : another dimension than the image that is tracked, several channels.
        """
        if getattr(frame, "shape", None) == self.fixed.grid.shape and type(frame).__module__ == "numpy":
            return self._tracker(self.fixed.with_mask(None).with_data(frame[None]))
        return self._tracker(io.as_image(frame))


def track(fixed: Any, *, transform: str | None = None, mask: Any = None, weights: str | None = None) -> Live:
    """Follow what ``fixed`` shows through frames that come one at a time (an intra-operative sequence, a cine).

    Parameters
    ----------
    fixed : `Image`, path, NumPy array (1 mm voxels), nibabel or SimpleITK image.
    transform : ``in-plane``, ``rigid``, ``similarity`` or ``affine``; None: rigid, in-plane where there are few slices.
    mask : what of it is the target, above 0; on any grid.
    weights : file of a recurrent network (voxalign train --task sequence), which follows deformations instead.

    Raises
    ------
    UsageError : unknown model.  InputError : an image without contrast, weights that cannot be used.
    """
    return Live(fixed, transform, mask, weights)


def _by_network(fixed: Image, transform: str | None, weights: str) -> Any:
    if transform is not None:
        raise UsageError(f"transform {transform!r} with the weights of a network, which deforms: expected one of the two")
    from ..register.device import chosen
    from ..register.recurrent import RecurrentTracker

    return RecurrentTracker(fixed, weights, chosen("auto"))
