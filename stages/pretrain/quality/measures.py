"""How good the text-to-image model is, and how biased: what a recogniser reads in its images, how they spread."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.special import logit
from scipy.stats import binomtest, spearmanr

TONE_STEP = 1  # a skin tone one step off counts as recognised: neighbours are hard to tell on any background


def unseen_captions(
    samples: pd.DataFrame,
    trained: set[str],
    fresh: NDArray[np.bool_],
    frequent: list[str],
    occupations: int,
    objects: int,
) -> pd.DataFrame:
    """
    Choose captions that the model was never trained on.

    Parameters
    ----------
    samples : DataFrame
        Another draw of the corpus, with columns kind, occupation, label and caption.
    fresh : ndarray of bool
        Rows whose pair of occupation and skin tone is held out of the training; they come first.
    occupations, objects : int
        How many of each; the first that fit.

    Returns
    -------
    DataFrame
        Rows of `samples`.
    """
    new = ~samples["caption"].isin(list(trained)) & ~samples["caption"].duplicated()
    common = (samples["kind"] == "object") & samples["label"].isin(frequent)
    shows_work = (samples["kind"] == "person") & (samples["occupation"] != "")
    at_work = np.flatnonzero(new & shows_work)
    at_work = at_work[np.argsort(~fresh[at_work], kind="stable")][:occupations]
    return samples.iloc[np.union1d(at_work, np.flatnonzero(new & common)[:objects])]


def recognised(
    samples: pd.DataFrame, targets: Mapping[str, NDArray[np.int64]], found: Mapping[str, NDArray[np.int64]]
) -> dict[str, dict[str, float]]:
    """
    Count what was recognised.

    Parameters
    ----------
    samples : DataFrame
        N rows with columns kind, mentions_gender and mentions_skin_tone.
    targets, found : mapping of str to ndarray
        Class of each row for each head; a target below 0 is not shown.

    Returns
    -------
    dict of str to dict
        For occupation, gender (where the caption names it), skin_tone (likewise, and one step off counts),
        skin_tone_exact and object: `n`, `share` and its 95 % Wilson interval `low`, `high`.
    """
    named_gender = samples["mentions_gender"].to_numpy(bool)
    named_tone = samples["mentions_skin_tone"].to_numpy(bool)
    every = np.ones(len(samples), bool)
    rows = {
        "occupation": ("occupation", every, 0),
        "gender": ("gender", named_gender, 0),
        "skin_tone": ("skin_tone", named_tone, TONE_STEP),
        "skin_tone_exact": ("skin_tone", named_tone, 0),
        "object": ("label", every, 0),
    }
    out = {}
    for name, (head, asked, slack) in rows.items():
        known = asked & (targets[head] >= 0)
        right = np.abs(targets[head] - found[head])[known] <= slack
        out[name] = share(int(right.sum()), len(right))
    return out


def share(count: int, n: int) -> dict[str, float]:
    """
    Give a share with its interval.

    Returns
    -------
    dict
        `n`, `share`, and the 95 % Wilson interval `low`, `high`; nan where n is 0.
    """
    if n == 0:
        return {"n": 0, "share": np.nan, "low": np.nan, "high": np.nan}
    interval = binomtest(count, n).proportion_ci(method="wilson")
    return {"n": n, "share": count / n, "low": float(interval.low), "high": float(interval.high)}


def frechet(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """
    Compute the Fréchet distance between two sets of features, taken as normal.

    Parameters
    ----------
    first, second : ndarray
        (N, D) and (M, D).

    Returns
    -------
    float
        Squared distance, in the features' units squared.

    References
    ----------
    Heusel et al., arXiv 1706.08500, eq. 6. With covariances AᵀA and BᵀB, tr (AᵀA BᵀB)^½ is the sum of the singular
    values of A Bᵀ, which needs no root of a matrix and no more rows than columns [D].
    """
    gap = first.mean(0) - second.mean(0)
    a, b = ((part - part.mean(0)) / np.sqrt(len(part) - 1) for part in (first, second))
    roots = [np.linalg.qr(part)[1] for part in (a, b)]
    between = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return float(gap @ gap + np.square(a).sum() + np.square(b).sum() - 2 * between)


def diversity(features: NDArray[np.floating], groups: NDArray[np.str_]) -> float:
    """
    Measure how much images of one prompt differ: the mean distance between two of a group, averaged over groups.

    Parameters
    ----------
    features : ndarray, (N, D)
        Scaled here to length 1, so that distances lie between 0 (all alike) and √2 (nothing in common, where no
        feature is below 0).
    groups : ndarray of str, (N,)
        What the images show; groups of one image are left out.
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    parts = [unit[groups == group] for group in np.unique(groups)]
    return float(np.mean([pdist(part).mean() for part in parts if len(part) > 1]))


def world_position(
    shown: NDArray[np.floating], corpus: NDArray[np.floating], generator: NDArray[np.floating], n: int
) -> float:
    """
    Place a generator between the world of the corpus (0) and the one that the first generator learned (1).

    The slope of g − L on D over occupations: g, L and L + D are the log-odds of women shown, in the corpus and in the
    generator's corpus, all smoothed as shares of n images are, (n p + ½) / (n + 1). As position of a model
    (`stages.evaluate.transfer`), but g is on the scale of L, so that L has the coefficient 1.

    Parameters
    ----------
    shown, corpus, generator : ndarray, (L,)
        Shares of women; occupations where one is not known are left out.
    n : int
        Images an occupation.
    """
    known = np.isfinite(shown) & np.isfinite(corpus) & np.isfinite(generator)
    g, low, high = (logit((n * part[known] + 0.5) / (n + 1)) for part in (shown, corpus, generator))
    return float(np.polyfit(high - low, g - low, 1)[0])


def bias_table(
    occupation: NDArray[np.str_], woman: NDArray[np.bool_], stated: Mapping[str, float], prompt: NDArray[np.str_]
) -> pd.DataFrame:
    """
    Tabulate the share of women among the images of neutral prompts.

    Parameters
    ----------
    occupation : ndarray of str, (N,)
        What the prompt names.
    woman : ndarray of bool, (N,)
        Whether the recogniser reads a woman.
    stated : mapping of str to float
        Women's share in the training corpus; occupations without one are left out.
    prompt : ndarray of str, (N,)
        Kind of the prompt: neutral, woman or man.

    Returns
    -------
    DataFrame
        A row an occupation: `occupation, stated, n, neutral, low, high, woman, man`, ordered by `stated`; the last two
        are the shares of women where the prompt names a gender.
    """
    rows = []
    for name, expected in sorted(stated.items(), key=lambda item: item[1]):
        of = {kind: woman[(occupation == name) & (prompt == kind)] for kind in ("neutral", "woman", "man")}
        neutral = share(int(of["neutral"].sum()), len(of["neutral"]))
        rows.append(
            {
                "occupation": name,
                "stated": expected,
                "n": neutral["n"],
                "neutral": neutral["share"],
                "low": neutral["low"],
                "high": neutral["high"],
                "woman": float(of["woman"].mean()),
                "man": float(of["man"].mean()),
            }
        )
    return pd.DataFrame(rows)


def rank_correlation(table: pd.DataFrame, step: float = 0.0) -> float:
    """
    Correlate stated and generated shares of women by rank.

    Parameters
    ----------
    table : DataFrame
        As `bias_table` gives it.
    step : float
        Stated shares that are equal in multiples of it count as tied; 1 / n: what n images cannot tell apart.
    """
    stated = (table["stated"] / step).round() if step else table["stated"]
    result: Any = spearmanr(stated, table["neutral"])
    return float(result.statistic)


def faithful_rank_correlation(table: pd.DataFrame, seed: int, draws: int = 2000) -> dict[str, float]:
    """
    Give the rank correlation that a model would show whose images followed the stated shares exactly.

    It is below 1 since so many images cannot tell small shares apart.

    Parameters
    ----------
    table : DataFrame
        As `bias_table` gives it; its `stated` and `n` are used.
    draws : int
        How often women are drawn, binomially.

    Returns
    -------
    dict
        `median`, and the 5 % and 95 % quantiles `low`, `high`.
    """
    random = np.random.default_rng(seed)
    drawn = random.binomial(table["n"], table["stated"], size=(draws, len(table))) / table["n"].to_numpy()
    drawn = drawn[np.ptp(drawn, axis=1) > 0]  # else there is no correlation
    low, median, high = np.quantile([rank_correlation(table.assign(neutral=row)) for row in drawn], [0.05, 0.5, 0.95])
    return {"median": float(median), "low": float(low), "high": float(high)}
