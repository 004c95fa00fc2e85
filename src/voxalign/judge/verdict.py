"""Did it work? A verdict on a registration without ground truth.

Each signal adds to the log-odds of a failure by a rising broken line of its own; the lines are fitted by ``benchmarks/verdict.py`` to
registrations with known truth, and lie in ``verdict.json``. A sum can be read: what added most is the reason.
"""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import numpy as np

from ..core import Image
from ..register import Registration
from .signals import measure

_TOLD = 0.5  # log-odds that a signal must add to be a reason
_MOST = 5  # reasons


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


@dataclass(frozen=True)
class Model:
    """How signals become a probability.

    Parameters
    ----------
    bias : log-odds of a failure where no signal adds any.
    lines : of each signal, places and log-odds of the corners of its line; beyond the last corners it is level.
    pass_below, fail_above : probabilities between which a verdict is CHECK.
    """

    bias: float
    lines: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]
    pass_below: float
    fail_above: float

    def additions(self, signals: dict[str, float]) -> dict[str, float]:
        """What each signal adds to the log-odds."""
        return {name: float(np.interp(signals[name], *line)) for name, line in self.lines.items()}

    def probability(self, signals: dict[str, float]) -> float:
        """Of a failure, 0 to 1."""
        return float(1 / (1 + np.exp(-(self.bias + sum(self.additions(signals).values())))))

    def status(self, probability: float) -> str:
        """In one word."""
        return "PASS" if probability < self.pass_below else "FAIL" if probability > self.fail_above else "CHECK"


@cache
def shipped() -> Model:
    """The model that comes with the package."""
    values = json.loads(files(__package__).joinpath("verdict.json").read_text(encoding="utf-8"))
    lines = {name: (tuple(line["at"]), tuple(line["adds"])) for name, line in values["lines"].items()}
    return Model(values["bias"], lines, values["pass_below"], values["fail_above"])


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
    model = shipped()
    probability = model.probability(signals)
    additions = model.additions(signals)
    worst = sorted((name for name in additions if additions[name] >= _TOLD), key=lambda name: -additions[name])
    sentences = dict.fromkeys(_sentence(name, signals[name], limit) for name in worst)
    return Verdict(model.status(probability), probability, limit, tuple(sentences)[:_MOST], signals)


def _sentence(name: str, value: float, limit: float) -> str:
    """What a signal means."""
    if name.startswith(("offset", "shift")):
        return f"shifted by {value * limit:.1f} mm, {'places' if name.startswith('offset') else 'the whole image'} would fit better"
    return _SENTENCES[name].format(value=value, part=1 - value, factor=float(np.exp(min(value, 50.0))))


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
    "blank": "{value:.0%} of the fixed body shows nothing to align",
    "uninformative": "the images tell little about each other here",
    "better": "another position close by fits better",
    "rival": "a quite different position fits {value:.2f} times as well",
    "mirror": "a mirror image fits {value:.2f} times as well",
    "wandered": "searches from nearby end elsewhere",
    "unsure_start": "the search was unsure of the first position",
}
