"""Differences between methods, and between much and little contamination, paired by seed.

Runs at one α and seed share initial weights and, mixes being nested, most images: their difference has far less noise
than either. Of the differences: the mean with Student's 95 % interval, and the Wilcoxon signed-rank test,
Holm-corrected over everything that is tested. Pairs of one seed at several α are not independent, which neither knows:
a guide, not a proof. Fewer than six pairs cannot be significant at 5 % (2 · ½⁶ = .03, 2 · ½⁵ = .06), so they are not
tested.

References
----------
Wilcoxon, Biometrics Bulletin 1945; Holm, Scandinavian Journal of Statistics 1979.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy import stats

FEWEST = 6  # pairs that are tested
LEVEL = 0.95


def holm(p: Sequence[float]) -> list[float]:
    """
    Correct p-values of many tests, Holm's step-down way.

    Parameters
    ----------
    p : sequence of float
        Uncorrected; NaN: not tested, does not count.

    Returns
    -------
    list of float
        Corrected, in the same order.
    """
    values = np.asarray(p, float)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    corrected = np.full(len(values), np.nan)
    stepped = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected.tolist()


def mean_interval(differences: np.ndarray) -> tuple[float, float, float]:
    """
    Take the mean and Student's 95 % interval.

    Parameters
    ----------
    differences : ndarray, (n,)
        Values; n ≥ 1.

    Returns
    -------
    tuple of float
        Mean, lower and upper end; the ends are NaN for n = 1.
    """
    mean, n = float(differences.mean()), len(differences)
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1)) * float(differences.std(ddof=1)) / n**0.5
    return mean, mean - half, mean + half


def compare(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """
    Compare every method with a reference, paired by α and seed.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`.
    reference : str
        A method (line) of the table.

    Returns
    -------
    DataFrame
        metric, method, reference, pairs, seeds, alphas, difference (mean of method − reference), lo, hi, p (NaN with
        fewer than `FEWEST` pairs), p_holm, everywhere (1: the mean difference has one sign at every α).
    """
    rows = []
    for metric, of in table.groupby("metric", sort=False):
        wide = of.pivot(index=["alpha", "seed"], columns="method", values="value")
        for method in wide.columns:
            if method == reference or reference not in wide:
                continue
            both = (wide[method] - wide[reference]).dropna()
            if both.empty:
                continue
            d = both.to_numpy(float)
            signs = set(np.sign(both.groupby(level="alpha").mean()))
            tested = len(d) >= FEWEST
            p = (float(cast(Any, stats.wilcoxon(d)).pvalue) if d.any() else 1.0) if tested else float("nan")
            difference, low, high = mean_interval(d)
            rows.append(
                {
                    "metric": metric,
                    "method": method,
                    "reference": reference,
                    "pairs": len(d),
                    "seeds": both.index.get_level_values("seed").nunique(),
                    "alphas": both.index.get_level_values("alpha").nunique(),
                    "difference": difference,
                    "lo": low,
                    "hi": high,
                    "p": p,
                    "everywhere": int(len(signs) == 1),
                }
            )
    found = pd.DataFrame(rows)
    if len(found):
        found.insert(found.columns.get_loc("p") + 1, "p_holm", holm(found["p"].tolist()))  # type: ignore[operator]
    return found


def trends(table: pd.DataFrame) -> pd.DataFrame:
    """
    Measure what contamination changes: the highest α against the lowest, paired by seed.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`.

    Returns
    -------
    DataFrame
        metric, method, alpha_from, alpha_to, seeds, difference (mean), lo, hi; methods with one α are left out.
    """
    rows = []
    for key, of in table.groupby(["metric", "method"], sort=False):
        metric, method = cast(tuple[str, str], key)
        wide = of.pivot(index="seed", columns="alpha", values="value").dropna(axis=1, how="all")
        low, high = min(wide.columns), max(wide.columns)
        d = (wide[high] - wide[low]).dropna().to_numpy(float)
        if low < high and len(d):
            mean, lo, hi = mean_interval(d)
            rows.append((metric, method, low, high, len(d), mean, lo, hi))
    return pd.DataFrame(
        rows, columns=pd.Index(["metric", "method", "alpha_from", "alpha_to", "seeds", "difference", "lo", "hi"])
    )
