"""Did it work? A verdict on a registration without ground truth.

Each signal adds to the log-odds of a failure by a rising broken line of its own; the lines are fitted by ``benchmarks/verdict.py`` to
registrations with known truth, and lie in ``verdict.json``. A sum can be read: what added most is the reason.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core import Image
from ..register import Registration
from .lines import Lines, shipped
from .signals import measure

_TOLD = 0.5  # log-odds that a signal must add to be a reason
_MOST = 5  # reasons
_WHOLE = 0.4  # log-odds that signals of the whole body must add before anything FAILs, or
_NOTHING = 2.0  # so little do the images say about each other: no more than e^-2 nats a voxel (good pairs 1.9 at most, noise 1.7 and more)
_ASTRAY = 2.5  # or so many limits does it move when it goes on (1.7 from an MR rightly laid on a PET of coarse voxels)
_PLACES = ("expected", "offset", "drift", "shift", "missed", "misfit", "chance", "pull")  # signals of places, by how their names begin
_NEVER = {"folded": 0.002, "mirrored": 0.5}  # above these nothing passes, however small its error may be: no body does this


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a registration.

    Parameters
    ----------
    status : ``PASS``, ``CHECK`` or ``FAIL``.
    probability : that the mean error over the foreground exceeds ``limit_mm``, 0 to 1.
    limit_mm : the error that matters for images of this size, mm.
    reasons : sentences, the weightiest first; empty when nothing stands out.
    signals : the numbers the verdict was made of, by name.
    """

    status: str
    probability: float
    limit_mm: float
    reasons: tuple[str, ...] = ()
    signals: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the status is ``FAIL``."""
        return self.status == "FAIL"

    def summary(self) -> dict[str, object]:
        """For people: ``verdict`` in a sentence, and its ``reason``s."""
        said = f"{self.status}: mean error over {self.limit_mm:.2g} mm with probability {self.probability:.2f}"
        return {"verdict": said, "reason": list(self.reasons)}


def judge(registration: Registration, fixed: Image, moving: Image) -> Verdict:
    """The verdict on a registration of two images.

    Parameters
    ----------
    registration : by any method; of its transform and, if there is one, the confidence of its search.
    fixed, moving : the images, with the masks that it knew.

    Raises
    ------
    InputError : an image is constant, or nothing counts.
    """
    limit, signals = measure(registration, fixed, moving)
    model = shipped("verdict")
    probability = float(1 / (1 + np.exp(-model(signals))))
    broken = [_sentence(name, signals[name], limit) for name, most in _NEVER.items() if signals[name] > most]
    additions = model.additions(signals)
    reasons = tuple(dict.fromkeys([*broken, *_reasons(additions, signals, limit)]))
    against = bool(broken) or bool(against_the_whole(additions, signals))
    return Verdict(_status(probability, model, bool(broken), against), probability, limit, reasons[:_MOST], signals)


def against_the_whole(additions: dict[str, Any], signals: dict[str, Any]) -> Any:
    """Whether more speaks against it than small windows: two contrasts may share little in any window and lie right all the same."""
    whole = sum(value for name, value in additions.items() if not name.startswith(_PLACES))
    return (whole > _WHOLE) | (signals["uninformative"] > _NOTHING) | (signals["pull"] > _ASTRAY)


def _status(probability: float, model: Lines, broken: bool, against: bool) -> str:
    """In one word."""
    if probability < model.constants["pass_below"]:
        return "CHECK" if broken else "PASS"
    return "FAIL" if probability > model.constants["fail_above"] and against else "CHECK"


def _reasons(additions: dict[str, float], signals: dict[str, float], limit: float) -> tuple[str, ...]:
    """What added most, in words."""
    worst = sorted((name for name in additions if additions[name] >= _TOLD), key=lambda name: -additions[name])
    return tuple(dict.fromkeys(_sentence(name, signals[name], limit) for name in worst))


def _sentence(name: str, value: float, limit: float) -> str:
    """What a signal means."""
    if name.startswith(("offset", "drift", "shift")):
        return f"shifted by {value * limit:.1f} mm, {'the whole image' if name.startswith('shift') else 'places'} would fit better"
    if name == "pull":
        return f"a registration that goes on from here moves things by {value * limit:.1f} mm"
    return _SENTENCES[name].format(value=value, part=1 - value, factor=float(np.exp(min(value, 50.0))),
                                   error=limit * float(np.exp(min(value, 50.0))))


_SENTENCES = {
    "stretch": "the affine scales by {factor:.2f}",
    "mirrored": "the map turns the body inside out",
    "bent": "the deformation moves things by {value:.0%} of the body's size",
    "rough": "neighbouring volumes change very differently (standard deviation of log Jacobian {value:.2f})",
    "extreme": "somewhere volumes change {factor:.1f}-fold",
    "folded": "{value:.1%} of the body is folded",
    "outside": "fields of view overlap by {part:.0%} of the fixed body",
    "mismatch": "the outlines overlap by only {part:.0%}",
    "size": "the two bodies differ in size {factor:.1f}-fold",
    "missed_near": "in {value:.0%} of places a small shift fits better",
    "missed_middle": "in {value:.0%} of places a moderate shift fits better",
    "missed_far": "in {value:.0%} of places a large shift fits better",
    "misfit_near": "fine structures agree little (similarity {part:.2f})",
    "misfit_middle": "structures agree little (similarity {part:.2f})",
    "misfit_far": "coarse structures agree little (similarity {part:.2f})",
    "chance_near": "similarity of fine structures is little better than chance",
    "chance_middle": "similarity is little better than chance",
    "chance_far": "similarity of coarse structures is little better than chance",
    "blank": "{value:.0%} of the fixed body shows nothing to align",
    "uninformative": "the images tell little about each other here",
    "better": "another position close by fits better",
    "rival": "a quite different position fits {value:.2f} times as well",
    "mirror": "a mirror image fits {value:.2f} times as well",
    "handed": "left and right differ as in a mirror image (correlation {value:.2f})",
    "wandered": "searches from nearby end elsewhere",
    "expected": "place by place, an error of {error:.1f} mm is to be expected",
    "unsure_start": "the search was unsure of the first position",
}
