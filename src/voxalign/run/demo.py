"""``voxalign demo``: a generated pair whose true alignment is known, registered as files are."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import io, phantom
from ..core import Identity, InputError
from ..register.result import OnStep
from .config import configure
from .files import Inputs, Job, Outcome, register_files


def demonstrate(out: Path, seed: int = 0, report: bool = True, overwrite: bool = False,
                on_step: OnStep | None = None) -> dict[str, Any]:
    """Write a pair of head-like images, register them like any other files, and compare with the truth.

    Returns
    -------
    Where everything is, the true error in mm over the head before and after, the Dice of its structures, seconds, warnings.

    Raises
    ------
    InputError : ``out`` holds something else than an earlier demo.
    """
    if out.exists() and not overwrite and (not out.is_dir() or (any(out.iterdir()) and not (out / "truth.h5").exists())):
        raise InputError(f"output {out}: exists and is no earlier demo; give another -o, or --overwrite")
    pair = phantom.head_pair(seed)
    job = Job(write_pair(pair, out), out / "result", configure({"seed": seed}), report=report, overwrite=True)
    outcome = register_files(job, on_step)
    return summary(pair, outcome)


def write_pair(pair: Any, out: Path) -> Inputs:
    """Images, labels and the true transform of a phantom pair as files."""
    out.mkdir(parents=True, exist_ok=True)
    names = ("fixed", "moving", "fixed_labels", "moving_labels")
    for name in names:
        io.save(getattr(pair, name), out / f"{name}.nii.gz")
    io.save_transform(pair.truth, out / "truth.h5")
    return Inputs(**{name: out / f"{name}.nii.gz" for name in names})


def summary(pair: Any, outcome: Outcome) -> dict[str, Any]:
    """What the demo says at its end."""
    found = io.load_transform(outcome.out / "transform.h5")
    head = np.unique(pair.fixed_labels.array[pair.fixed_labels.array > 0])
    scores = outcome.metrics
    return {
        "true_error_mm": {name: _spread(phantom.error_mm(transform, pair.truth, pair.fixed_labels, head))
                          for name, transform in (("before", Identity(3)), ("after", found))},
        "dice": {name: round(scores[name]["dice"], 3) for name in ("before", "after")},
        "folded_percent": scores["folded_percent"],
        "inverse_error_mm": scores["inverse_error_mm"],
        "seconds": outcome.record["seconds"]["total"],
        "images": str(outcome.out.parent),
        "results": str(outcome.out),
        "warnings": outcome.record["warnings"],
    }


def _spread(errors: np.ndarray) -> dict[str, float]:
    values = {"mean": errors.mean(), "percentile_95": np.percentile(errors, 95), "max": errors.max()}
    return {name: round(float(value), 3) for name, value in values.items()}
