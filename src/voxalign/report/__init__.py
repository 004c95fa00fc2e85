"""Pictures of a result."""
from .plots import before_and_after, deformation, overlay_uri, write_pictures

__all__ = ["before_and_after", "deformation", "overlay_uri", "write_pictures"]
