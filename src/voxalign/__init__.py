"""voxalign: two images of a body into one space."""
__version__ = "0.1.0"
