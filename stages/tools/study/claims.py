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
from stages.results.sweep import MEAN
from stages.results.writing import csv
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
        `COLUMNS`, a row a claim; one whose effect is not there is ``not run``. One whose effect differs with α is
        answered at each α, in a row each, with the p of their mean.
    """
    rows = []
    for claim in claims:
        each = _effects(claim, comparisons, trends)
        found = claim.model_dump() | {"reference": claim.reference or LOWEST}
        if not each:
            rows.append(found | {"verdict": "not run"})
        for row in each:
            at = claim.alpha if len(each) == 1 else float(row["alpha"])
            known = {name: row[name] for name in ("difference", "lo", "hi", "replicates", "value", "reference_value")}
            values = {"p_holm": row["p_holm"] if len(each) == 1 else row.get("p_mean"), "detectable": detectable(row)}
            rows.append(found | known | values | {"alpha": at, "verdict": verdict(claim, row)})
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def claim_files(claims: Sequence[Claim], comparisons: pd.DataFrame, trends: pd.DataFrame) -> dict[str, bytes]:
    """Make the files that answer claims, by name; without claims none."""
    answers = answered(claims, comparisons, trends)
    return {"claims.csv": csv(answers), "claims.md": markdown(answers).encode()} if len(answers) else {}


def check_claims(study: Study, grid: Sequence[Point]) -> None:
    """Refuse claims that no run of the study can answer: lines that are not held against each other, or not there."""
    if not study.claims:
        return
    metric = study.claims[0].metric  # of no matter which: all are compared alike
    rows = [(point.name, point.alpha, point.line, point.seed, metric, 0.0) for point in grid]
    comparisons, changes = effects(pd.DataFrame(rows, columns=pd.Index([*RUNS])), [metric], study.parts)
    for place, claim in enumerate(study.claims):
        if not _effects(claim.model_copy(update={"metric": metric}), comparisons, changes):
            against = claim.reference or "itself at the lowest α"
            at = "on average over α" if claim.alpha == MEAN else f"at α = {claim.alpha:g}"
            raise InputError(
                f"study.claims.{place}: {claim.line!r} is not held against {against!r} {at}; name two lines of one "
                "part or of the grid, the one that others are held against as `reference`, and an α that both have"
            )


def _effects(claim: Claim, comparisons: pd.DataFrame, trends: pd.DataFrame) -> list[dict[str, Any]]:
    """Find the effect that answers a claim; where it differs with α, that at each α; empty: none was run."""
    table = trends if claim.reference is None else comparisons
    rows = table.loc[(table["metric"] == claim.metric) & (table["method"] == claim.line), :]
    if claim.reference is None:
        rows = rows.rename(columns={"value_from": "reference_value", "value_to": "value"})
        ends = rows["alpha_to"]
        rows = rows.loc[ends == (ends.max() if claim.alpha == MEAN else claim.alpha), :]
    else:
        rows = rows.loc[rows["reference"] == claim.reference, :]
        alphas = rows["alpha"].astype(str)
        whole = rows.loc[alphas == (MEAN if claim.alpha == MEAN else f"{claim.alpha:g}"), :]
        differs = claim.alpha == MEAN and len(whole) and not math.isfinite(whole["difference"].iloc[0])
        rows = rows.loc[alphas != MEAN, :] if differs else whole
    return cast(list[dict[str, Any]], rows.to_dict("records"))


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
    """Write `answered` for reading, a row a claim."""
    lines = ["| claim | published | here | verdict |", "|---|---|---|---|"]
    for key, own in table.groupby(["claim", "published"], sort=False):
        claim, published = cast(tuple[str, str], key)
        rows = cast(list[dict[str, Any]], own.to_dict("records"))
        here = [_here(row, place == 0) for place, row in enumerate(rows)]
        words = dict.fromkeys(str(row["verdict"]) for row in rows)
        said = [_said(word, [row for row in rows if row["verdict"] == word], len(rows)) for word in words]
        cells = [_cell(claim), _cell(published), "; ".join(here), "; ".join(said)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def _here(row: Mapping[str, Any], first: bool) -> str:
    """Write the effect of a row of `answered`; the first of a claim says of what it is."""
    if row["difference"] != row["difference"]:
        return "–"
    key, at = row["metric"], "" if row["alpha"] == MEAN else f"α = {row['alpha']:g}"
    where = f"{row['line']} against {row['reference']}{', ' * bool(at)}{at}"
    if row["reference"] == LOWEST:
        where = f"{row['line']} from {LOWEST} to {at or 'the highest'}"
    ends = [number(key, row[name]) for name in ("reference_value", "value") if row[name] == row[name]]
    p = f", p = {row['p_holm']:.2g}" if first and is_tested(row) else ""
    size = f"{' to '.join(ends)}{': ' * bool(ends)}{written(row)}, n = {int(row['replicates'])}{p}"
    return f"{label(key)}; {where}: {size}" if first else f"{at}: {size}"


def _said(verdict: str, rows: Sequence[Mapping[str, Any]], of: int) -> str:
    """Write a verdict of so many rows of a claim: at which α, and, where it cannot tell, what would have been found."""
    at = ""
    if of > 1:
        alphas = " and ".join(f"{row['alpha']:g}" for row in rows)
        at = " at every α" if len(rows) == of else f" at α = {alphas}"
    if verdict != "cannot tell":
        return f"{verdict}{at}"
    if not all(math.isfinite(row["detectable"]) for row in rows):
        return f"{verdict}{at} (one replicate)"
    sizes = " and ".join(difference(row["metric"], row["detectable"]) for row in rows)
    return f"{verdict}{at} ({sizes} or more would be found)"
