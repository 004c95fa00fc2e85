"""What is reported about a result, with the unit in the name; nothing here is optimised."""
from .consistency import inverse_error_mm
from .deformation import deformation_summary, jacobian_determinant, nondiffeomorphic_volume_mm3
from .landmarks import tre_mm
from .overlap import dice_by_label, jaccard_by_label, volume_similarity_by_label
from .surface import hd95_mm, mean_surface_distance_mm, surface_distances_mm

__all__ = ["deformation_summary", "dice_by_label", "hd95_mm", "inverse_error_mm", "jaccard_by_label", "jacobian_determinant",
           "mean_surface_distance_mm", "nondiffeomorphic_volume_mm3", "surface_distances_mm", "tre_mm",
           "volume_similarity_by_label"]
