"""Results as Markdown: one table a case, one a family, ratios to one of the methods."""
from __future__ import annotations

from statistics import mean

COLUMNS = (("wall s", "wall_s", 1), ("CPU s", "cpu_s", 1), ("peak MB", "peak_mb", 0), ("Dice", "dice", 3),
           ("HD95 mm", "hd95_mm", 2), ("TRE mm", "tre_mm", 2), ("folded %", "folded_percent", 4), ("SD log J", "sd_log_jacobian", 3),
           ("inverse error mm", "inverse_error_mm", 4))
RATIOS = (("wall", "wall_s"), ("CPU", "cpu_s"), ("memory", "peak_mb"))
IDLE = 0.1  # of the wall time: more CPU used by others makes a wall time doubtful


def markdown(results: list[dict], against: str, facts: dict) -> str:
    """Everything."""
    lines = ["# Benchmark", "", ", ".join(f"{k} {v}" for k, v in facts.items()), "",
             f"Ratios are to {against}: below 1 is faster or smaller. `*`: the machine was busy with something else too."]
    families = dict.fromkeys(r["case"].split("_")[0] for r in results)
    for family in families:
        rows = [r for r in results if r["case"].split("_")[0] == family]
        cases = list(dict.fromkeys(r["case"] for r in rows))
        if len(cases) > 1 and _averaged(rows):
            lines += _table(f"{family}, mean of the cases (how many)", _averaged(rows), against)
        for case in cases:
            lines += _table(case, [r for r in rows if r["case"] == case], against)
    return "\n".join(lines) + "\n"


def _averaged(rows: list[dict]) -> list[dict]:
    """One row a method, over the cases that all methods finished."""
    methods = list(dict.fromkeys(r["method"] for r in rows))
    done = {m: {r["case"]: r for r in rows if r["method"] == m and "dice" in r} for m in methods}
    common = set.intersection(*(set(d) for d in done.values())) if done else set()
    return [{"method": f"{m} ({len(common)})", **_mean([done[m][c] for c in sorted(common)])} for m in methods if common]


def _mean(rows: list[dict]) -> dict:
    numbers = {k for r in rows for k, v in r.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    groups = {k for r in rows for k in r.get("dice_by_group", {})}
    average = {k: mean(r[k] for r in rows if r.get(k) is not None) for k in numbers}
    return average | {"dice_by_group": {g: mean(r["dice_by_group"][g] for r in rows) for g in groups}}


def _table(title: str, rows: list[dict], against: str) -> list[str]:
    base = next((r for r in rows if r["method"].split(" ")[0] == against), {})
    columns = [c for c in COLUMNS if any(r.get(c[1]) is not None for r in rows)]
    groups = list(dict.fromkeys(g for r in rows for g in r.get("dice_by_group", {})))
    ratios = [r for r in RATIOS if base.get(r[1])]
    head = ["method", *[c[0] for c in columns], *groups, *[f"{name} ratio" for name, _ in ratios], "note"]
    body = [[r["method"], *[_cell(r, c) for c in columns], *[_number(r.get("dice_by_group", {}).get(g), 3) for g in groups],
             *[_number(r[key] / base[key] if r.get(key) else None, 2) for _, key in ratios], _note(r)]
            for r in sorted(rows, key=lambda r: -(r.get("dice") or -1))]
    return ["", f"## {title}", "", _line(head), _line(["---"] * len(head)), *map(_line, body)]


def _cell(row: dict, column: tuple[str, str, int]) -> str:
    text = _number(row.get(column[1]), column[2])
    return f"{text}*" if column[1] == "wall_s" and row.get("others_cpu_s", 0) > IDLE * row.get("wall_s", 0) else text


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _note(row: dict) -> str:
    if row.get("error"):
        return f"exit {row.get('exit')}: {row['error'][-120:]}".replace("|", "/")
    agreement = row.get("moved_agreement")
    return f"moved image differs from its map (r = {agreement:.3f})" if agreement is not None and agreement < 0.99 else ""


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
