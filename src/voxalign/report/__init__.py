"""Pictures and pages of results."""
from . import plot
from .case import Case, case_page
from .cohort import Entry, cohort
from .plots import before_and_after, deformation, overlay_uri, write_pictures
from .scene import Scene
from .view import view_page

__all__ = ["Case", "Entry", "Scene", "before_and_after", "case_page", "cohort", "deformation", "overlay_uri", "plot", "view_page",
           "write_pictures"]
