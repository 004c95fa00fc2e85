"""Fit the verdict and the map of expected error, and try them on other data: python verdict.py FIT HELD_OUT [--ship] [--picture FILE]

FIT and HELD_OUT are folders of verdict_cases.py. What is chosen (how strongly signals are believed, how probabilities are stretched,
where PASS and FAIL begin) is chosen by leaving out one family of FIT at a time; HELD_OUT is only looked at. With ``--ship`` the files that
come with the package are replaced.
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, minimize

import voxalign
from voxalign.judge.places import CLUES
from voxalign.judge.verdict import against_the_whole

CORNERS = (0.1, 0.3, 0.5, 0.65, 0.8, 0.9, 0.97)  # quantiles of a signal where its line may bend
PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # per unit of log-odds
FAR_OFF = 1.5  # limits: errors that must not pass (3 mm)
SENSITIVITY = 0.98  # for them, wanted while choosing; above the bar of 0.97, which other data must still meet
FALSE_ALARM = 0.01  # good registrations that may be called FAIL
GIVEN = {"handed": ((0.0, 0.12), (0.0, 5.0)), "mirror": ((1.0, 1.3), (0.0, 5.0)), "rival": ((1.0, 1.25), (0.0, 3.0)),
         "stretch": ((0.25, 0.7), (0.0, 5.0)), "uninformative": ((1.9, 2.6), (0.0, 5.0))}
"""Lines that are known and not fitted, as too few cases show them: mirror images, searches that stopped at the second best, bodies that
would have to differ in length by a factor of 1.3 to 2, images that say nothing about each other."""
DAMPING = 3.0  # of the lines of places
HOME = Path(voxalign.__file__).parent / "judge"


@dataclass(frozen=True, eq=False)
class Cases:
    """Rows of a folder: signals (N, S), errors in limits (N,), families; and of their places clues (M, F), errors, row numbers."""

    names: list[str]
    values: NDArray
    error: NDArray
    family: NDArray
    kind: NDArray
    case: NDArray
    clues: NDArray
    place_error: NDArray
    row: NDArray

    @classmethod
    def read(cls, folder: Path) -> Cases:
        rows = [json.loads(line) for line in (folder / "cases.jsonl").open()]
        names = sorted(set(rows[0]["signals"]) - {"expected"})
        error = np.array([np.inf if r["error_mm"] is None else r["error_mm"] / r["limit_mm"] for r in rows])
        values = np.array([[r["signals"][n] for n in names] for r in rows])
        saved = [np.load(folder / "places" / f"{r['case']}.npz") for r in rows]
        row = np.repeat(np.arange(len(rows)), [len(s["error"]) for s in saved])
        places = (np.concatenate([s[key] for s in saved]).astype(float) for key in ("clues", "error"))
        return cls(names, values, error, *(np.array([r[k] for r in rows]) for k in ("family", "kind", "case")), *places, row)

    @property
    def failed(self) -> NDArray[np.bool_]:
        return self.error > 1

    def some(self, keep: NDArray[np.bool_]) -> Cases:
        """Only these rows."""
        here = keep[self.row]
        number = np.cumsum(keep) - 1
        rows = (a[keep] for a in (self.values, self.error, self.family, self.kind, self.case))
        return Cases(self.names, *rows, self.clues[here], self.place_error[here], number[self.row[here]])

    def with_expected(self, made: dict) -> Cases:
        """With one signal more: what the places of each case let one expect."""
        at_places = np.exp(sum_of_lines(made, dict(zip(CLUES, self.clues.T, strict=True))))
        mean = np.bincount(self.row, at_places, len(self.error)) / np.maximum(np.bincount(self.row, minlength=len(self.error)), 1)
        values = np.column_stack([self.values, np.log(np.maximum(mean, 1e-3))])
        return replace(self, names=[*self.names, "expected"], values=values)


def sum_of_lines(made: dict, values: dict[str, NDArray]) -> NDArray:
    """A model at values; lines of what is not given add nothing."""
    return made["bias"] + sum(np.interp(values[n], line["at"], line["adds"]) for n, line in made["lines"].items() if n in values)


# ---------------------------------------------------------------- an additive model of rising lines
def corners(values: NDArray) -> list[NDArray]:
    """Of every signal's line."""
    return [np.unique(np.round(np.quantile(v, CORNERS), 4)) for v in values.T]


def expanded(values: NDArray, at: list[NDArray]) -> NDArray:
    """How far every signal has come along every piece of its line, 0 to 1, (N, pieces)."""
    pieces = [np.clip((v[:, None] - a[:-1]) / np.diff(a), 0, 1) for v, a in zip(values.T, at, strict=True)]
    return np.concatenate(pieces, 1)


def given(cases: Cases) -> NDArray:
    """Log-odds that are known beforehand, (N,)."""
    return sum(np.interp(cases.values[:, cases.names.index(name)], *line) for name, line in GIVEN.items())


def fit_logistic(x: NDArray, failed: NDArray, known: NDArray, penalty: float) -> tuple[float, NDArray]:
    """Bias and what each piece adds to what is ``known``, none of them negative."""
    def loss(w: NDArray) -> tuple[float, NDArray]:
        odds = known + w[0] + x @ w[1:]
        p = 1 / (1 + np.exp(-odds))
        value = np.mean(np.logaddexp(0, odds) - failed * odds) + penalty * w[1:].sum() + 0.02 * penalty * (w[1:] ** 2).sum()
        slope = np.append(np.mean(p - failed), x.T @ (p - failed) / len(x) + penalty + 0.04 * penalty * w[1:])
        return float(value), slope

    begin = np.append(-2.0, np.full(x.shape[1], 0.1))
    w = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=[(None, None)] + [(0, None)] * x.shape[1], options={"maxiter": 3000}).x
    return float(w[0]), w[1:]


def left_out(cases: Cases) -> dict[float, NDArray]:
    """Log-odds of every case by models that have not seen its family, by penalty."""
    odds = {penalty: np.zeros(len(cases.error)) for penalty in PENALTIES}
    for family in np.unique(cases.family):
        here = cases.family == family
        places = fit_places(cases.some(~here))
        others, mine = (cases.some(rows).with_expected(places) for rows in (~here, here))
        at = corners(others.values)
        for penalty in PENALTIES:
            bias, adds = fit_logistic(expanded(others.values, at), others.failed, given(others), penalty)
            odds[penalty][here] = given(mine) + bias + expanded(mine.values, at) @ adds
    return odds


def log_loss(odds: NDArray, failed: NDArray) -> float:
    return float(np.mean(np.logaddexp(0, odds) - failed * odds))


def stretched(odds: NDArray, failed: NDArray) -> tuple[float, float]:
    """Shift and factor that make odds of unseen families right."""
    return tuple(minimize(lambda s: log_loss(s[0] + s[1] * odds, failed), (0.0, 1.0), method="Nelder-Mead").x)


def lines_of(names: list[str], at: list[NDArray], pieces: NDArray, least: float) -> dict:
    """What the pieces add up to, without lines that never add as much as ``least``."""
    ends = np.cumsum([len(a) - 1 for a in at])
    lines = {name: {"at": a.tolist(), "adds": np.round(np.append(0, np.cumsum(piece)), 3).tolist()}
             for name, a, piece in zip(names, at, np.split(pieces, ends[:-1]), strict=True)}
    return {name: line for name, line in lines.items() if line["adds"][-1] > least}


def added(line: dict | None, known: tuple, factor: float) -> dict:
    """A fitted line, if there is one, and ``factor`` times a known one."""
    line = line or {"at": known[0], "adds": (0.0, 0.0)}
    at = np.union1d(line["at"], known[0])
    return {"at": at.tolist(), "adds": np.round(np.interp(at, line["at"], line["adds"]) + factor * np.interp(at, *known), 3).tolist()}


def model(cases: Cases) -> dict:
    """The model as it is shipped."""
    tried = left_out(cases)
    penalty = min(tried, key=lambda p: log_loss(tried[p], cases.failed))
    shift, factor = stretched(tried[penalty], cases.failed)
    odds = shift + factor * tried[penalty]
    print({p: f"loss {log_loss(o, cases.failed):.4f} AUC {auc(o, cases.failed):.4f}" for p, o in tried.items()})
    print(f"penalty {penalty:g}, factor {factor:.2f}, shift {shift:.2f}; families left out: AUC {auc(odds, cases.failed):.4f}")
    whole = cases.with_expected(fit_places(cases))
    at = corners(whole.values)
    bias, adds = fit_logistic(expanded(whole.values, at), whole.failed, given(whole), penalty)
    lines = lines_of(whole.names, at, factor * adds, 0.05)
    lines |= {name: added(lines.get(name), line, factor) for name, line in GIVEN.items()}
    p = 1 / (1 + np.exp(-odds))
    good, bad = np.sort(p[~cases.failed]), np.sort(p[cases.error > FAR_OFF])
    low = float(np.clip(bad[int((1 - SENSITIVITY) * len(bad))], 0.05, 0.5))
    high = float(np.clip(good[int((1 - FALSE_ALARM) * len(good))], 0.6, 0.95))
    return {"bias": round(shift + factor * bias, 3), "pass_below": round(low, 3), "fail_above": round(high, 3), "lines": lines}


def probability(cases: Cases, made: dict) -> NDArray:
    return 1 / (1 + np.exp(-sum_of_lines(made, dict(zip(cases.names, cases.values.T, strict=True)))))


def failing(cases: Cases, made: dict) -> NDArray[np.bool_]:
    """Which are called FAIL."""
    values = dict(zip(cases.names, cases.values.T, strict=True))
    additions = {n: np.interp(values[n], line["at"], line["adds"]) for n, line in made["lines"].items()}
    return (probability(cases, made) > made["fail_above"]) & against_the_whole(additions, values)


# ---------------------------------------------------------------- how good it is
def auc(score: NDArray, failed: NDArray) -> float:
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    for value in np.unique(score):
        same = score == value
        ranks[same] = ranks[same].mean()
    n = failed.sum()
    return float((ranks[failed].sum() - n * (n + 1) / 2) / (n * (~failed).sum()))


def calibration_error(p: NDArray, failed: NDArray, bins: int = 10) -> float:
    which = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs(p[which == b].sum() - failed[which == b].sum()) for b in range(bins)) / len(p))


def measures(p: NDArray, error: NDArray, made: dict) -> dict[str, float]:
    flagged, far = p >= made["pass_below"], error > FAR_OFF
    best = best_sensitivity(p, error)
    return {"auc": auc(p, error > 1), "sensitivity_3mm": float(flagged[far].mean()), "specificity": float(1 - flagged[error <= 1].mean()),
            "specificity_not_far": float(1 - flagged[~far].mean()), "sensitivity_at_93": best,
            "calibration_error": calibration_error(p, error > 1),
            "failed_called_pass": float((p < made["pass_below"])[error > 1].mean())}


def best_sensitivity(p: NDArray, error: NDArray) -> float:
    """For errors over 3 mm, where 93 % of those below are let through."""
    return float((p[error > FAR_OFF] > np.quantile(p[error <= FAR_OFF], 0.93)).mean())


def interval(p: NDArray, error: NDArray, made: dict, case: NDArray, times: int = 1000) -> dict[str, list[float]]:
    """2.5 and 97.5 percentiles of `measures` over bootstrap samples of the cases (a registration and its spoiled twin go together)."""
    rng, groups = np.random.default_rng(0), {}
    for row, name in enumerate(case):
        groups.setdefault(name.rstrip("s"), []).append(row)
    groups = list(groups.values())
    found = []
    for _ in range(times):
        rows = np.concatenate([groups[k] for k in rng.integers(len(groups), size=len(groups))])
        found.append(list(measures(p[rows], error[rows], made).values()))
    low, high = np.percentile(found, (2.5, 97.5), axis=0)
    return {name: [round(float(a), 4), round(float(b), 4)] for name, a, b in zip(measures(p, error, made), low, high, strict=True)}


# ---------------------------------------------------------------- the map of expected error
def fit_places(cases: Cases) -> dict:
    """Rising lines of the clues whose sum is the logarithm of the error in limits."""
    known = np.isfinite(cases.place_error)
    x, y = cases.clues[known], np.log(np.clip(cases.place_error[known], 0.03, 30))
    at = corners(x)
    pieces = expanded(x, at)
    design = np.hstack([np.ones((len(x), 1)), pieces])
    damp = np.hstack([np.zeros((pieces.shape[1], 1)), np.eye(pieces.shape[1]) * DAMPING])
    bounds = (np.append(-np.inf, np.zeros(pieces.shape[1])), np.full(pieces.shape[1] + 1, np.inf))
    w = lsq_linear(np.vstack([design, damp]), np.append(y, np.zeros(len(damp))), bounds).x
    return {"bias": round(float(w[0]), 3), "lines": lines_of(list(CLUES), at, w[1:], 0.02)}


def fit_map(cases: Cases, p: NDArray, made: dict) -> dict:
    """The same, helped by the verdict on the whole: of cases that have not failed altogether."""
    known = np.isfinite(cases.place_error)
    clues, odds = dict(zip(CLUES, cases.clues[known].T, strict=True)), np.log(p / (1 - p))[cases.row[known]]
    left = np.log(np.clip(cases.place_error[known], 0.03, 30)) - sum_of_lines(made, clues)
    at = corners(odds[:, None])
    pieces = np.hstack([np.ones((len(odds), 1)), expanded(odds[:, None], at)])
    w = lsq_linear(pieces, left, (np.append(-np.inf, np.zeros(pieces.shape[1] - 1)), np.full(pieces.shape[1], np.inf))).x
    ratio = left - pieces[:, 1:] @ w[1:]
    constants = {"mean_over_median": float(np.mean(np.exp(ratio))), "bound_over_median": float(np.exp(np.quantile(ratio, 0.9)))}
    lines = made["lines"] | lines_of(["log_odds"], at, w[1:], 0.0)
    return {"bias": made["bias"], **{key: round(value, 3) for key, value in constants.items()}, "lines": lines}


def of_map(cases: Cases, p: NDArray, made: dict, pass_below: float) -> dict[str, float]:
    """How many errors stay below the bound, and whether the expected error knows the larger ones."""
    known = np.isfinite(cases.place_error)
    odds = np.log(p / (1 - p))[cases.row[known]]
    typical = np.exp(sum_of_lines(made, dict(zip(CLUES, cases.clues[known].T, strict=True)) | {"log_odds": odds}))
    error, covered = cases.place_error[known], cases.place_error[known] <= typical * made["bound_over_median"]
    ranks = typical.argsort().argsort(), error.argsort().argsort()
    each = np.array([covered[cases.row[known] == row].mean() for row in np.unique(cases.row[known])])
    passed = (p < pass_below)[cases.row[known]]
    return {"places": len(error), "bound_covers": float(covered.mean()), "bound_covers_of_passed": float(covered[passed].mean()),
            "cases_covered_70_percent": float((each > 0.7).mean()), "rank_correlation": float(np.corrcoef(*ranks)[0, 1])}


# ---------------------------------------------------------------- all of it
def picture(path: Path, parts: dict[str, tuple[NDArray, NDArray]]) -> None:
    """Reliability diagrams: probability told against share that failed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(parts), figsize=(4.2 * len(parts), 5.2), height_ratios=(3, 1), sharex=True, squeeze=False)
    for column, (title, (p, failed)) in enumerate(parts.items()):
        which = np.minimum((p * 10).astype(int), 9)
        bins = [b for b in range(10) if (which == b).sum() >= 3]
        share, n = np.array([failed[which == b].mean() for b in bins]), np.array([(which == b).sum() for b in bins])
        told = [p[which == b].mean() for b in bins]
        axes[0, column].plot([0, 1], [0, 1], color="0.7", lw=1)
        axes[0, column].errorbar(told, share, 1.96 * np.sqrt(share * (1 - share) / n), fmt="o-", color="#0072b2", capsize=2, ms=4)
        axes[0, column].set(title=title, ylabel="share that failed", xlim=(0, 1), ylim=(-0.02, 1.02))
        axes[1, column].hist(p, 10, range=(0, 1), color="#0072b2")
        axes[1, column].set(xlabel="probability told", ylabel="cases", yscale="log")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def table(cases: Cases, p: NDArray, made: dict, by: Callable[[Cases], NDArray]) -> None:
    for name in np.unique(by(cases)):
        rows = by(cases) == name
        error, passed = cases.error[rows], p[rows] < made["pass_below"]
        shares = {"good": error <= 1, "failed": error > 1, "far": error > FAR_OFF}
        told = "  ".join(f"of {word} {passed[some].mean():5.0%}" for word, some in shares.items() if some.any())
        print(f"  {name:12} n {len(error):4d}  failed {np.mean(error > 1):4.0%}  passed: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fit", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    seen = Cases.read(arguments.fit)
    places, made = fit_places(seen), model(seen)
    print(json.dumps({n: line["adds"][-1] for n, line in made["lines"].items()}), made["bias"], made["pass_below"], made["fail_above"])
    results, shown, the_map = {}, {}, {}
    for title, folder in (("fit", arguments.fit), ("held out", arguments.held_out)):
        cases = Cases.read(folder).with_expected(places)
        p = probability(cases, made)
        kept = p < made["fail_above"]
        the_map = the_map or fit_map(cases.some(kept), p[kept], places)
        results[title] = {"cases": len(p), "failed": int(cases.failed.sum())} | measures(p, cases.error, made) | of_map(
            cases.some(kept), p[kept], the_map, made["pass_below"])
        fails = failing(cases, made)
        results[title] |= {"false_fail": float(fails[~cases.failed].mean()), "far_called_fail": float(fails[cases.error > FAR_OFF].mean())}
        shown[f"families {'used to fit' if title == 'fit' else 'held out'}"] = p, cases.failed
    results["intervals"] = interval(p, cases.error, made, cases.case)
    table(cases, p, made, lambda c: c.family)
    table(cases, p, made, lambda c: c.kind)
    if arguments.picture:
        picture(arguments.picture, shown)
    print(json.dumps(results, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    if arguments.ship:
        (HOME / "verdict.json").write_text(json.dumps(made, indent=1) + "\n")
        (HOME / "uncertainty.json").write_text(json.dumps(the_map, indent=1) + "\n")


if __name__ == "__main__":
    main()
