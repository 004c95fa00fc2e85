"""Judging: scores of a result as values, without pictures."""
from .evaluate import deformation_scores, evaluate, landmark_scores, matched, overlap_scores
from .uncertainty import Uncertainty, uncertainty
from .verdict import Verdict, judge

__all__ = ["Uncertainty", "Verdict", "deformation_scores", "evaluate", "judge", "landmark_scores", "matched", "overlap_scores",
           "uncertainty"]
