"""Effects: differences between lines of a study, with their intervals; which are shown, and how they are said.

A row is one of `comparisons` or `trends` (`stages.tools.compare.differences`): metric, difference, lo, hi, replicates,
p_holm, and where known the number of test images. Of metrics whose ideal is 0 or ½ a difference is one of the distance
from it. `SHOWN` says when an effect counts as shown, wherever it is written: tables, findings, report.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.results.formatting import difference, vanishes
from stages.results.registry import entry

Row = Mapping[str, Any]

FEWEST_REPLICATES, FEWEST_IMAGES = 3, 200  # with fewer, an interval over replicates is no evidence of an effect
FEWEST = 6  # replicates that can tell anything at 5 % in a sign-flip test: 2 · ½⁶ = .03
LEVEL = 0.05
NOT_SHOWN = "not shown"
SHOWN = (
    "its 95 % interval over replicates leaves out 0, it stands on three replicates and 200 test images or more, and of "
    "a main metric, with the six replicates that a test needs, its Holm-corrected p is at most .05 (at one of several "
    "α: that of the mean over them)"
)


def holm(p: Sequence[float]) -> list[float]:
    """Correct p-values of many tests, Holm's step-down way; NaN: not tested, does not count."""
    values = np.asarray(p, float)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    corrected = np.full(len(values), np.nan)
    stepped = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected.tolist()


def is_shown(row: Row) -> bool:
    """Tell whether an effect is seen in what is written, its interval leaves out 0, and its tests, if any, agree."""
    p = [row["p_holm"], row.get("p_mean", math.nan)] if row["replicates"] >= FEWEST else []
    not_rejected = any(one > LEVEL for one in p)  # NaN: not tested
    return leaves_out_0(row) and not too_few(row) and not not_rejected


def leaves_out_0(row: Row) -> bool:
    """Tell whether an interval leaves out 0, and the difference is seen in what is written."""
    return (row["lo"] > 0 or row["hi"] < 0) and not vanishes(row["metric"], row["difference"])


def too_few(row: Row) -> str:
    """Say what there are too few of to call a difference an effect; empty: nothing."""
    if row.get("replicates", FEWEST_REPLICATES) < FEWEST_REPLICATES:
        return "replicates"
    return "images" if row.get("images", math.nan) < FEWEST_IMAGES else ""


def is_tested(row: Row) -> bool:
    """Tell whether a row has a p that could reject."""
    return row["p_holm"] == row["p_holm"] and row["replicates"] >= FEWEST


def verdict(row: Row) -> str:
    """Judge an effect: ``better``, ``worse``, ``higher``, ``lower`` (none is better), ``equal``, ``not shown``, why."""
    if not is_shown(row):
        ends = [row["difference"], row["lo"], row["hi"]]
        if all(vanishes(row["metric"], value) for value in ends if value == value):
            return "equal"
        if leaves_out_0(row) and (few := too_few(row)):
            return f"{NOT_SHOWN}, too few {few}"
        return NOT_SHOWN
    better = entry(row["metric"]).better
    if better == "none":
        return "higher" if row["difference"] > 0 else "lower"
    return "better" if (row["difference"] > 0) == (better == "higher") else "worse"


def lessens(row: Row) -> bool | None:
    """Tell whether a difference, shown or not, is one to the better; None: neither is, or it is none."""
    better = entry(row["metric"]).better
    if better == "none" or not math.isfinite(row["difference"]) or vanishes(row["metric"], row["difference"]):
        return None
    return (row["difference"] > 0) == (better == "higher")


def written(row: Row, size: bool = False) -> str:
    """Write a difference with its interval, e.g. ``"−3.2 points [−4.2, −2.2]"``, or its size alone."""
    key, low, high = row["metric"], row["lo"], row["hi"]
    text = difference(key, abs(row["difference"]) if size else row["difference"], signed=not size)
    if low != low:
        return text
    ends = sorted((abs(low), abs(high))) if size else (low, high)
    low, high = (difference(key, end, not size).removesuffix(" points") for end in ends)
    return f"{text} [{low}, {high}]"


def evidence(row: Row) -> str:
    """Write the corrected p of an effect, or that of its mean over α, e.g. ``"p = 0.012"``; empty: it has none."""
    if is_tested(row):
        return f"p = {row['p_holm']:.2g}"
    p = row.get("p_mean", math.nan)
    return f"p of the mean over α = {p:.2g}" if row["replicates"] >= FEWEST and p == p else ""


def moved(row: Row, name: str) -> str:
    """Say what a difference does to what has a name, and whether that is better, e.g. ``"lowers R@5 by … (worse)"``."""
    up, better = row["difference"] > 0, entry(row["metric"]).better
    if better in ("zero", "half"):
        ideal = "0" if better == "zero" else "½"
        said = f"takes {name} farther from {ideal}" if up else f"brings {name} nearer to {ideal}"
        return f"{said} by {written(row, size=True)}"
    judged = f" ({verdict(row)})" if better != "none" else ""
    return f"{'raises' if up else 'lowers'} {name} by {written(row, size=True)}{judged}"
