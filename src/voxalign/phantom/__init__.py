"""Generated anatomy with known truth: heads, chests, legs and solids, their images, motions, sequences and pairs."""
from .anatomy import evaluate, head, lesion, limb, paint, shapes, thorax
from .contrast import APPEARANCES, MODALITIES, Appearance, body_texture, contrast, tissue
from .deformation import Inflation, Sliding, flow, rigid, smooth_deformation
from .head import head_anatomy
from .labels import BRAIN, HeadLabel, LimbLabel, ShapeLabel, ThoraxLabel
from .layers import Anatomy
from .limb import limb_anatomy
from .motion import Bend, beating, breathing
from .pair import Motion, Pair, Scan, error_mm, head_pair, image_pair, limb_pair, slice_pair, thorax_pair
from .planted import follow_up_pair, limb_change_pair, shafts, tumour_pair, with_lesion
from .sequence import Frame, sequence
from .thorax import thorax_anatomy

__all__ = ["APPEARANCES", "BRAIN", "MODALITIES", "Anatomy", "Appearance", "Bend", "Frame", "HeadLabel", "Inflation", "LimbLabel", "Motion",
           "Pair", "Scan", "ShapeLabel", "Sliding", "ThoraxLabel", "beating", "body_texture", "breathing", "contrast", "error_mm",
           "evaluate", "flow", "follow_up_pair", "head", "head_anatomy", "head_pair", "image_pair", "lesion", "limb", "limb_anatomy",
           "limb_change_pair", "limb_pair", "paint", "rigid", "sequence", "shafts", "shapes", "slice_pair", "smooth_deformation", "thorax",
           "thorax_anatomy", "thorax_pair", "tissue", "tumour_pair", "with_lesion"]
