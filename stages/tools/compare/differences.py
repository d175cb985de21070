"""Differences between methods, and between much and little contamination, paired by seed.

Runs at one α and seed share initial weights and, mixes being nested, most images: their difference has far less noise
than either. Of the differences: the mean with Student's 95 % interval, and the Wilcoxon signed-rank test,
Holm-corrected within a family: the metrics that the question hangs on, and all others. Pairs of one seed at several α
are not independent, which neither knows: a guide, not a proof; the interval over the seeds' means (``seed_lo``,
``seed_hi``) does without that assumption, and is wide with few seeds. Fewer than six pairs cannot be significant at
5 % (2 · ½⁶ = .03, 2 · ½⁵ = .06), so they are not tested.

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
COLUMNS = (
    "metric", "method", "reference", "pairs", "seeds", "alphas", "difference", "lo", "hi", "seed_lo", "seed_hi", "p",
    "everywhere",
)  # fmt: skip


def holm(p: Sequence[float]) -> list[float]:
    """
    Correct p-values of many tests, Holm's step-down way.

    Parameters
    ----------
    p : sequence of float
        Uncorrected; NaN: not tested, does not count.
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


def compare(table: pd.DataFrame, references: Sequence[str], main: Sequence[str] = ()) -> pd.DataFrame:
    """
    Compare every method with references, paired by α and seed.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`.
    references : sequence of str
        Methods (lines) of the table; of two references the later one is compared with the earlier one.
    main : sequence of str
        Metrics that are a family of tests of their own.

    Returns
    -------
    DataFrame
        metric, method, reference, pairs, seeds, alphas, difference (mean of method − reference), lo, hi, seed_lo,
        seed_hi (from the seeds' means), p (NaN with fewer than `FEWEST` pairs), p_holm, tests (of its family),
        everywhere (1: the mean difference has one sign at every α).
    """
    rows = []
    for metric, of in table.groupby("metric", sort=False):
        wide = of.pivot(index=["alpha", "seed"], columns="method", values="value")
        for place, reference in enumerate(references):
            for method in wide.columns:
                if method in references[: place + 1] or reference not in wide:
                    continue
                both = (wide[method] - wide[reference]).dropna()
                if len(both):
                    rows.append({"metric": metric, "method": method, "reference": reference, **_difference(both)})
    found = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    tests, corrected = np.zeros(len(found), int), np.full(len(found), np.nan)
    of_main = found["metric"].isin(main).to_numpy(bool)
    for family in (of_main, ~of_main):
        p = found.loc[family, "p"]
        tests[family], corrected[family] = int(p.notna().sum()), holm(p.tolist())
    place = list(found).index("p") + 1
    found.insert(place, "p_holm", corrected)
    found.insert(place + 1, "tests", tests)
    return found


def _difference(both: pd.Series) -> dict[str, float]:
    """Sum up the differences of pairs, by α and seed."""
    d = both.to_numpy(float)
    by_seed = both.groupby(level="seed").mean().to_numpy(float)
    difference, low, high = mean_interval(d)
    tested = len(d) >= FEWEST
    return {
        "pairs": len(d),
        "seeds": len(by_seed),
        "alphas": both.index.get_level_values("alpha").nunique(),
        "difference": difference,
        "lo": low,
        "hi": high,
        "seed_lo": mean_interval(by_seed)[1],
        "seed_hi": mean_interval(by_seed)[2],
        "p": (float(cast(Any, stats.wilcoxon(d)).pvalue) if d.any() else 1.0) if tested else float("nan"),
        "everywhere": int(len(set(np.sign(both.groupby(level="alpha").mean()))) == 1),
    }


def trends(table: pd.DataFrame) -> pd.DataFrame:
    """
    Measure what contamination changes: each metric's slope on α, with an intercept a seed.

    All α count, and what a seed adds to all of its runs is taken away. With two α this is the mean of the seeds'
    differences, with the interval of the paired t test.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`.

    Returns
    -------
    DataFrame
        metric, method, alpha_from, alpha_to, seeds, runs, difference (slope × (alpha_to − alpha_from)), lo, hi
        (Student's 95 %, runs − seeds − 1 degrees of freedom; NaN with none); methods with one α are left out.
    """
    rows = []
    for key, of in table.groupby(["metric", "method"], sort=False):
        metric, method = cast(tuple[str, str], key)
        seeds = of.groupby("seed")
        x = (of["alpha"] - seeds["alpha"].transform("mean")).to_numpy(float)
        y = (of["value"] - seeds["value"].transform("mean")).to_numpy(float)
        if not x.any():
            continue
        low, high = of["alpha"].min(), of["alpha"].max()
        slope, freedom = float(x @ y / (x @ x)), len(of) - seeds.ngroups - 1
        half = float("nan")
        if freedom > 0:
            error = float(np.sum((y - slope * x) ** 2) / freedom / (x @ x)) ** 0.5
            half = float(stats.t.ppf(0.5 + LEVEL / 2, freedom)) * error
        span = [(high - low) * value for value in (slope, slope - half, slope + half)]
        rows.append((metric, method, low, high, seeds.ngroups, len(of), *span))
    names = ["metric", "method", "alpha_from", "alpha_to", "seeds", "runs", "difference", "lo", "hi"]
    return pd.DataFrame(rows, columns=pd.Index(names))
