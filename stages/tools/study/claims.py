"""Claims: what was published, what the study finds, and whether that reproduces it.

An effect that is shown (`stages.results.effects.SHOWN`) the way it was published reproduces a claim, one the other way
is its opposite. One that is not shown is *not seen* where its whole interval lies within the smallest effect of
interest, which was named before the run; else the study *cannot tell*, and the effect that it would find four times in
five is stated.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd
from scipy.special import stdtrit

from stages.core.errors import InputError
from stages.results.committed import RUNS
from stages.results.effects import is_shown, is_tested, written
from stages.results.formatting import difference, number
from stages.results.registry import label
from stages.tools.compare.__main__ import effects
from stages.tools.params import Claim, Study
from stages.tools.study.grid import Point

LEVEL, POWER = 0.95, 0.8
LOWEST = "the lowest α"  # what a line is held against that no other line is
COLUMNS = (
    "claim", "published", "metric", "line", "reference", "alpha", "reference_value", "value", "difference", "lo", "hi",
    "replicates", "p_holm", "detectable", "expected", "least", "verdict",
)  # fmt: skip


def answered(claims: Sequence[Claim], comparisons: pd.DataFrame, trends: pd.DataFrame) -> pd.DataFrame:
    """
    Answer claims by the effects of a study.

    Parameters
    ----------
    comparisons, trends : DataFrame
        From `stages.tools.compare.differences`, with their numbers of images.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a claim; one whose effect is not there is ``not run``.
    """
    rows = []
    for claim in claims:
        row = _effect(claim, comparisons, trends)
        found = claim.model_dump() | {"reference": claim.reference or LOWEST}
        if row is None or not math.isfinite(row["difference"]):
            said = "not run" if row is None else "cannot tell: differs with α"
            rows.append(found | {"verdict": said})
        else:
            known = {name: row.get(name) for name in ("difference", "lo", "hi", "replicates", "p_holm")}
            values = {"value": row["value"], "reference_value": row["reference_value"], "detectable": detectable(row)}
            rows.append(found | known | values | {"verdict": verdict(claim, row)})
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def check_claims(study: Study, grid: Sequence[Point]) -> None:
    """Refuse claims that no run of the study can answer: lines that are not held against each other, or not there."""
    if not study.claims:
        return
    metric = study.claims[0].metric  # of no matter which: all are compared alike
    rows = [(point.name, point.alpha, point.line, point.seed, metric, 0.0) for point in grid]
    comparisons, changes = effects(pd.DataFrame(rows, columns=pd.Index([*RUNS])), [metric], study.parts)
    for place, claim in enumerate(study.claims):
        if _effect(claim.model_copy(update={"metric": metric}), comparisons, changes) is None:
            against = claim.reference or "itself at the lowest α"
            at = "on average over α" if claim.alpha == "mean" else f"at α = {claim.alpha:g}"
            raise InputError(
                f"study.claims.{place}: {claim.line!r} is not held against {against!r} {at}; name two lines of one "
                "part or of the grid, the one that others are held against as `reference`, and an α that both have"
            )


def _effect(claim: Claim, comparisons: pd.DataFrame, trends: pd.DataFrame) -> Mapping[str, Any] | None:
    table = trends if claim.reference is None else comparisons
    rows = table.loc[(table["metric"] == claim.metric) & (table["method"] == claim.line), :]
    if claim.reference is None:
        rows = rows.rename(columns={"value_from": "reference_value", "value_to": "value"})
        ends = rows["alpha_to"]
        rows = rows.loc[ends == (ends.max() if claim.alpha == "mean" else claim.alpha), :]
    else:
        at = "mean" if claim.alpha == "mean" else f"{claim.alpha:g}"
        rows = rows.loc[(rows["reference"] == claim.reference) & (rows["alpha"].astype(str) == at), :]
    return cast(Mapping[str, Any], rows.iloc[0].to_dict()) if len(rows) else None


def verdict(claim: Claim, row: Mapping[str, Any]) -> str:
    """Judge a claim by its effect."""
    above, below = row["hi"] <= claim.least, -claim.least <= row["lo"]  # nothing of interest on that side
    within = above and below
    if claim.expected in ("equal", "not higher", "not lower"):
        if {"equal": within, "not higher": above, "not lower": below}[claim.expected]:
            return "reproduced"
        side = {"equal": 0, "not higher": 1, "not lower": -1}[claim.expected]
        beyond = min(abs(row["lo"]), abs(row["hi"])) > claim.least and row["difference"] * side >= 0
        return "opposite" if is_shown(row) and beyond else "cannot tell"
    if is_shown(row):
        return "reproduced" if (row["difference"] > 0) == (claim.expected == "higher") else "opposite"
    return "not seen" if within else "cannot tell"


def detectable(row: Mapping[str, Any]) -> float:
    """Return the effect that as many replicates find four times in five, at the 5 % level, by Student's t."""
    free = row["replicates"] - 1
    if free < 1:
        return math.nan
    two_sided, power = float(stdtrit(free, 0.5 + LEVEL / 2)), float(stdtrit(free, POWER))
    return (row["hi"] - row["lo"]) / 2 / two_sided * (two_sided + power)


def markdown(table: pd.DataFrame) -> str:
    """Write `answered` for reading."""
    lines = ["| claim | published | here | verdict |", "|---|---|---|---|"]
    for row in cast(list[dict[str, Any]], table.to_dict("records")):
        said = row["verdict"]
        row |= {name: " ".join(str(row[name]).replace("|", r"\|").split()) for name in ("claim", "published")}
        if row["difference"] != row["difference"]:
            lines.append(f"| {row['claim']} | {row['published']} | – | {said} |")
            continue
        key = row["metric"]
        ends = [number(key, row[name]) for name in ("reference_value", "value") if row[name] == row[name]]
        at = "" if row["alpha"] == "mean" else f", α = {row['alpha']:g}"
        where = f"{row['line']} against {row['reference']}{at}"
        if row["reference"] == LOWEST:
            where = f"{row['line']} from {LOWEST} to {at.removeprefix(', ') or 'the highest'}"
        p = f", p = {row['p_holm']:.2g}" if is_tested(row) else ""
        here = f"{label(key)}; {where}: {' to '.join(reversed(ends) if len(ends) < 2 else ends)}{': ' * bool(ends)}"
        here += f"{written(row)}, n = {int(row['replicates'])}{p}"
        if said == "cannot tell":
            found = math.isfinite(row["detectable"])
            said += f"; {difference(key, row['detectable'])} or more would be found" if found else "; of one replicate"
        lines.append(f"| {row['claim']} | {row['published']} | {here} | {said} |")
    return "\n".join(lines) + "\n"
