"""Space: grids, images, points, transforms, and the sampling that joins them."""
from .errors import InputError, InputWarning, ResourceError, SecurityError, UsageError, VoxalignError
from .grid import Grid
from .image import Image
from .points import Points
from .sample import displacement, resample, sample
from .transform import Compose, Field, Identity, Transform, compose

__all__ = ["Compose", "Field", "Grid", "Identity", "Image", "InputError", "InputWarning", "Points", "ResourceError", "SecurityError",
           "Transform", "UsageError", "VoxalignError", "compose", "displacement", "resample", "sample"]
