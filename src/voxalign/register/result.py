"""What every method returns."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from ..core import Grid, Image, InputError, Points, Transform, resample


@dataclass(frozen=True)
class Step:
    """One step of an optimisation, as ``on_step`` receives it and as the history keeps it.

    Parameters
    ----------
    stage : ``search``, ``rigid``, ``affine``, ``deformable`` ...
    level, iteration : counted from 0 within the stage and within the level.
    loss : value of what is minimised (comparable only within one level).
    fraction : part of the whole registration that is done, 0 to 1, estimated.
    spacing : mm, of the level's grid.
    """

    stage: str
    level: int
    iteration: int
    loss: float
    fraction: float
    spacing: float


OnStep = Callable[[Step], None]  # may raise to stop the registration (KeyboardInterrupt, say)


@dataclass(frozen=True)
class Registration:
    """A finished registration.

    Parameters
    ----------
    transform : fixed points (mm) -> moving points (mm).
    fixed_grid, moving_grid : of the two images as given.
    history : every step taken.
    notes : what was chosen or noticed on the way, one sentence each (the loss chosen by ``auto``, for one).
    device : where it was computed: ``cpu``, or the name of the GPU.
    start_confidence : 0 to 1, how probable it is that the search found the right first position; None if there was no search.
    """

    transform: Transform
    fixed_grid: Grid
    moving_grid: Grid
    history: tuple[Step, ...] = ()
    notes: tuple[str, ...] = field(default=())
    device: str = "cpu"
    start_confidence: float | None = None

    @cached_property
    def inverse(self) -> Transform:
        """Moving points (mm) -> fixed points (mm); computed at the first use."""
        return self.transform.inverse()

    def apply(self, moving: Image | Points, interpolation: str | None = None) -> Image | Points:
        """Bring what belongs to one image to the other.

        An image or label map of the moving space is pulled back onto the fixed grid. Points of the **fixed** space
        are pushed to the moving space (the direction of `transform`; use ``inverse`` for moving points).
        """
        if isinstance(moving, Points):
            return Points(self.transform(moving.coordinates), moving.names)
        if isinstance(moving, Image):
            return resample(moving, self.fixed_grid, self.transform, interpolation)
        raise InputError(f"cannot apply a transform to {type(moving).__name__}: expected Image or Points")
