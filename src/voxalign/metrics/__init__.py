"""What is reported about a result, with the unit in the name; nothing here is optimised."""
from .consistency import cycle_error_mm, inverse_error_mm
from .deformation import deformation_statistics, deformation_summary, jacobian_determinant, nondiffeomorphic_volume_mm3
from .landmarks import by_region, tre_mm
from .overlap import dice_by_label, jaccard_by_label, overlap_by_label, volume_similarity_by_label
from .similarity import mutual_information_nats, ncc, ssim
from .surface import hd95_mm, mean_surface_distance_mm, surface_distances_mm, surface_summary_mm

__all__ = ["by_region", "cycle_error_mm", "deformation_statistics", "deformation_summary", "dice_by_label", "hd95_mm", "inverse_error_mm",
           "jaccard_by_label", "jacobian_determinant", "mean_surface_distance_mm", "mutual_information_nats", "ncc",
           "nondiffeomorphic_volume_mm3", "overlap_by_label", "ssim", "surface_distances_mm", "surface_summary_mm", "tre_mm",
           "volume_similarity_by_label"]
