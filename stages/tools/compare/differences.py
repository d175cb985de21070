"""Differences between methods, and between much and little contamination, tested at the level of replicates.

A replicate is a new model and a new draw of rows; methods at one α are paired by it. An effect is stated for each α,
with Student's 95 % interval over the replicates. The row ``mean`` averages each replicate over all α first; its p is
the exact sign-flip permutation test of these replicate means. Only primary metrics are tested: the few that were named
before the run, Holm-corrected among them for each question (a method against a reference; a method from the lowest to
the highest α). With n replicates no p is below 2/2ⁿ, so five cannot reject at 5 %. Where effects differ by α
(``p_differ``, the F test of the two-way layout replicate × α, below 5 %), their mean stands for none of them and is
left out. Of metrics whose ideal is 0 (or ½) differences are those of the distance from it: from +.5 to −.4 is a gain
of .1.

References
----------
Fisher, The Design of Experiments, 1935 (section 21); Holm, Scandinavian Journal of Statistics 1979.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.special import fdtrc, stdtrit

from stages.results.effects import holm
from stages.results.metric_change import folded

LEVEL = 0.95
MOST_EXACT = 16  # replicates whose sign flips are all tried: 65,536
MEAN = "mean"
COLUMNS = (
    "metric", "method", "reference", "alpha", "replicates", "value", "reference_value", "difference", "lo", "hi", "p",
    "p_holm", "p_differ",
)  # fmt: skip
TRENDS = (
    "metric", "method", "alpha_from", "alpha_to", "replicates", "value_from", "value_to", "difference", "lo", "hi", "p",
    "p_holm",
)  # fmt: skip


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return mean and Student's 95 % interval of n ≥ 1 values; its ends are NaN for n = 1."""
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * float(values.std(ddof=1)) / n**0.5
    return mean, mean - half, mean + half


def sign_flip(differences: np.ndarray) -> float:
    """
    Test whether differences are symmetric about 0, by all 2ⁿ changes of their signs; two-sided and exact.

    Parameters
    ----------
    differences : ndarray, (n,)
        One per replicate.

    Returns
    -------
    float
        Share of the sign changes whose mean is at least as far from 0 as the one seen, at least 2/2ⁿ; of more than
        `MOST_EXACT` replicates, that many flips drawn with a fixed seed.
    """
    if len(differences) > MOST_EXACT:
        flips = np.random.default_rng(0).choice((-1.0, 1.0), (2**MOST_EXACT - 1, len(differences)))
        sums = np.append(flips @ differences, differences.sum())
    else:
        sums = np.zeros(1)
        for size in np.abs(differences):
            sums = np.concatenate([sums + size, sums - size])
    seen = abs(float(differences.sum()))
    return float(np.mean(np.abs(sums) >= seen - 1e-9 * float(np.abs(differences).sum())))


def differ(table: np.ndarray) -> float:
    """
    Test whether effects differ between columns: the F test of a two-way layout without interaction.

    Parameters
    ----------
    table : ndarray, (replicates, α)
        Differences.

    Returns
    -------
    float
        p; NaN with fewer than two replicates or α, 1 where nothing differs.
    """
    rows, columns = table.shape
    if rows < 2 or columns < 2:
        return float("nan")
    left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    between = rows * float(np.sum((table.mean(0) - table.mean()) ** 2)) / (columns - 1)
    within = float(np.sum(left**2)) / ((rows - 1) * (columns - 1))
    small = 1e-18 * max(1.0, float(np.max(table**2)))  # rounding
    if within <= small:
        return 1.0 if between <= small else 0.0
    return float(fdtrc(columns - 1, (rows - 1) * (columns - 1), between / within))


def compare(table: pd.DataFrame, references: Sequence[str], primary: Sequence[str] = ()) -> pd.DataFrame:
    """
    Compare every method with references, paired by α and replicate.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`.
    references : sequence of str
        Methods (lines) of the table; of two references the later one is compared with the earlier one.
    primary : sequence of str
        Metrics that are tested.

    Returns
    -------
    DataFrame
        `COLUMNS`: a row for each α, with the means of both sides, and, where two or more α have the same replicates, a
        row ``mean``; there ``difference`` is NaN where effects differ by α, and ``p`` is of primary metrics.
    """
    rows: list[dict[str, Any]] = []
    for metric, of in table.groupby("metric", sort=False):
        wide = of.pivot(index=["alpha", "seed"], columns="method", values="value")
        for place, reference in enumerate(references):
            for method in wide.columns:
                if method in references[: place + 1] or reference not in wide:
                    continue
                both = wide.loc[:, [method, reference]].dropna()
                if len(both):
                    named = {"metric": metric, "method": method, "reference": reference}
                    rows += [{**named, **row} for row in _effects(str(metric), both, metric in primary)]
    found = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    return _corrected(found, ["method", "reference"])


def _effects(metric: str, both: pd.DataFrame, tested: bool) -> list[dict[str, Any]]:
    """Sum up the two columns of a comparison, by α and seed."""
    apart = both.map(lambda value: folded(metric, value))
    differences = cast(pd.Series, apart.iloc[:, 0] - apart.iloc[:, 1])
    rows: list[dict[str, Any]] = []
    for alpha, own in differences.groupby(level="alpha"):
        difference, low, high = mean_interval(own.to_numpy(float))
        sides = both.loc[own.index, :].to_numpy(float).mean(0)
        rows.append({
            "alpha": f"{alpha:g}", "replicates": len(own), "value": sides[0], "reference_value": sides[1],
            "difference": difference, "lo": low, "hi": high,
        })  # fmt: skip
    by_replicate = differences.unstack("alpha").dropna()
    if len(rows) == 1:
        rows[0]["p"] = sign_flip(by_replicate.to_numpy(float)[:, 0]) if tested else np.nan
    elif len(by_replicate):
        values = by_replicate.to_numpy(float)
        difference, low, high = mean_interval(values.mean(1))
        p_differ = differ(values)
        row: dict[str, Any] = {"alpha": MEAN, "replicates": len(values), "p_differ": p_differ}
        if not p_differ < 1 - LEVEL:
            row |= {"difference": difference, "lo": low, "hi": high}
        rows.append(row | {"p": sign_flip(values.mean(1)) if tested else np.nan})
    return rows


def _corrected(found: pd.DataFrame, question: list[str]) -> pd.DataFrame:
    """Add p_holm: Holm's correction over the metrics of each question."""
    found["p"] = found["p"].astype(float)
    found["p_holm"] = np.nan
    for _, own in found.groupby(question, sort=False):
        found.loc[own.index, "p_holm"] = holm(own["p"].tolist())
    return found


def trends(table: pd.DataFrame, primary: Sequence[str] = ()) -> pd.DataFrame:
    """
    Measure what contamination changes: each α against the lowest one, paired by replicate.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`.
    primary : sequence of str
        Metrics that are tested, at the highest α.

    Returns
    -------
    DataFrame
        `TRENDS`; methods with one α are left out.
    """
    rows: list[dict[str, Any]] = []
    for key, of in table.groupby(["metric", "method"], sort=False):
        metric, method = cast(tuple[str, str], key)
        wide = of.pivot(index="seed", columns="alpha", values="value").sort_index(axis=1)
        low, *higher = wide.columns
        for alpha in higher:
            both = wide[[low, alpha]].dropna()
            if not len(both):
                continue
            apart = both.map(lambda value, metric=metric: folded(metric, value)).to_numpy(float)
            moved = apart[:, 1] - apart[:, 0]
            difference, lower, upper = mean_interval(moved)
            tested = metric in primary and alpha == higher[-1]
            rows.append({
                "metric": metric, "method": method, "alpha_from": low, "alpha_to": alpha, "replicates": len(both),
                "value_from": both[low].mean(), "value_to": both[alpha].mean(), "difference": difference, "lo": lower,
                "hi": upper, "p": sign_flip(moved) if tested else np.nan,
            })  # fmt: skip
    return _corrected(pd.DataFrame(rows, columns=pd.Index(TRENDS)), ["method"])


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation between replicates of each metric, method and α."""
    cells = table.groupby(["metric", "method", "alpha"], sort=False)["value"]
    found = cells.agg(replicates="size", mean="mean", std="std").reset_index()
    return found.sort_values(["metric", "method", "alpha"], kind="stable", ignore_index=True)
