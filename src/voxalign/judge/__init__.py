"""Judging: scores of a result as values, without pictures."""
from .evaluate import deformation_scores, evaluate, landmark_scores, matched, overlap_scores

__all__ = ["deformation_scores", "evaluate", "landmark_scores", "matched", "overlap_scores"]
