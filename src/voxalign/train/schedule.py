"""The learning rate over the steps."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .recipe import Recipe

_LEAST = 0.01  # of the rate, at the end of the cosine
_PLATEAU_AFTER = 3  # validations without improvement after which the rate is halved
_HALF = 0.5


@dataclass(frozen=True)
class Course:
    """What the past validations say.

    Parameters
    ----------
    best : highest score, and the step it was reached at.
    bad : validations since the last improvement.
    factor : of the rate, by the plateau schedule.
    """

    best: float = -math.inf
    best_step: int = -1
    bad: int = 0
    factor: float = 1.0

    def after(self, score: float, step: int, schedule: str) -> Course:
        """With one validation more."""
        if score > self.best:
            return replace(self, best=score, best_step=step, bad=0)
        worse = replace(self, bad=self.bad + 1)
        halve = schedule == "plateau" and worse.bad % _PLATEAU_AFTER == 0
        return replace(worse, factor=self.factor * _HALF) if halve else worse

    def is_over(self, patience: int) -> bool:
        """Whether training has gone on for long enough without improvement."""
        return 0 < patience <= self.bad


def rate_at(step: int, recipe: Recipe, course: Course) -> float:
    """The learning rate of a step, counted from 0: a linear rise over ``warm_up`` steps, then the schedule."""
    if step < recipe.warm_up:
        return recipe.rate * (step + 1) / recipe.warm_up
    if recipe.schedule == "cosine":
        done = (step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1)
        return recipe.rate * (_LEAST + (1 - _LEAST) * (1 + math.cos(math.pi * min(done, 1))) / 2)
    return recipe.rate * (course.factor if recipe.schedule == "plateau" else 1.0)
