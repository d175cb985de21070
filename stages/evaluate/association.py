"""Association bias of a model: do labels that a picture does not show depend on who is in it?

Images of plain persons (no cue for any label) of two groups, s = 1 and s = 0; l_ir = logit of label r for image i.

* AB_r = E[f_r | s=1] − E[f_r | s=0] with f = softmax over all labels, or argmax; ``max`` and ``mean`` are of |AB_r|
  over the labels. In [0, 1]; 0: no label depends on the group.
* AB of a pair of labels: P(first preferred | s=1) − P(first preferred | s=0), in [−1, 1].
* Pairwise association: the mean of these differences over all pairs (A, B) of a set A (labels with a majority of
  group 1 in the known shares) and a set B (labels with few). +1: every image follows the stereotype of its group.
* Logit gap g_r = E[l_r | s=1] − E[l_r | s=0]. Against known shares p_r of group 1: correlation and slope (gap per unit
  of share). The preference saturates, the gap does not.
* Drift, partial correlation: with corpus shares p and generator shares p′, the correlation of g with p′ − p, both
  without their part along p. Free of the logit scale, but on shares log-odds are bent, so an ideal learner of the
  corpus is not at 0: `stages.evaluate.transfer` has the scale on which ideal learners are known.
* Text-only: the same gaps between two groups of *prompts*, which no image enters.

A constant added to g (a prompt that one group likes as a whole) changes neither correlation, slope nor drift. Noise
pushes the maximum of |AB_r| up; ``null`` is its mean over permutations of s, the level without any bias. Images of one
cluster are resampled and permuted together.

References
----------
Alabdulmohsin et al., ICLR 2024, arXiv 2403.04547 (AB [S], label pairs [P]).
Pairwise association, logit gaps and drift are made for this project's corpus [D].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from stages.corpus.measures import FEW, MAJORITY, pairwise_preference, preference
from stages.evaluate import bootstrap, permutation
from stages.evaluate.features import checked

# First label stereotyped as a woman's, second as a man's [P].
LABEL_PAIRS = (
    ("librarian", "scientist"),
    ("nurse", "doctor"),
    ("housekeeper", "homeowner"),
    ("receptionist", "executive"),
    ("secretary", "manager"),
)

Estimate = tuple[float, float, float]  # value, lower and upper end of the 95 % interval


@dataclass(frozen=True)
class LabelAssociation:
    """
    Association over a full label set.

    Attributes
    ----------
    table : DataFrame
        One row a label: label, n_1, n_0, softmax, softmax_lo, softmax_hi, argmax, argmax_lo, argmax_hi (AB_r), gap,
        gap_lo, gap_hi (logits).
    maximum, mean : dict of str to Estimate
        Of |AB_r|, for ``softmax`` and ``argmax``.
    null : dict of str to float
        Mean of the maximum over permutations of s.
    gap_samples : ndarray, (B, L)
        Resampled logit gaps, for `against_shares`.
    """

    table: pd.DataFrame
    maximum: dict[str, Estimate]
    mean: dict[str, Estimate]
    null: dict[str, float]
    gap_samples: NDArray[np.float64]


def label_association(
    logits: ArrayLike,
    labels: Sequence[str],
    s: ArrayLike,
    draws: int = 1000,
    permutations: int = 100,
    seed: int = 0,
    cluster: ArrayLike | None = None,
) -> LabelAssociation:
    """
    Compare the labels of two groups of images.

    Parameters
    ----------
    logits : array_like, (N, L)
        Logit scale × cosine.
    s : array_like of bool, (N,)
        Group 1 or 0; leave out images in neither.
    permutations : int
        Of s, for the null level.
    cluster : array_like of int, (N,), optional
        Cluster of each image, numbered from 0; each its own by default.

    Raises
    ------
    ValueError
        If a group is empty.
    """
    scores, one = _checked(logits, s)
    best = scores == scores.max(axis=1, keepdims=True)
    figures = {
        "softmax": softmax(scores, axis=1),
        "argmax": best / best.sum(axis=1, keepdims=True),  # a tie is shared
        "gap": scores,
    }
    table = pd.DataFrame({"label": list(labels), "n_1": int(one.sum()), "n_0": int((~one).sum())})
    samples: dict[str, NDArray[np.float64]] = {}
    for name, values in figures.items():
        samples[name] = bootstrap.differences(values, one, draws, seed, cluster)
        low, high = bootstrap.interval(samples[name])
        table[name], table[f"{name}_lo"], table[f"{name}_hi"] = _difference(values, one), low, high
    shuffled = np.array(list(permutation.relabelled(one, cluster, permutations, seed)), float)
    shuffled = shuffled.reshape(permutations, -1)
    weights = shuffled / shuffled.sum(axis=1, keepdims=True) - (1 - shuffled) / (1 - shuffled).sum(
        axis=1, keepdims=True
    )
    return LabelAssociation(
        table=table,
        maximum={
            name: _estimate(np.abs(table[name].to_numpy()).max(), np.abs(samples[name]).max(axis=1))
            for name in ("softmax", "argmax")
        },
        mean={
            name: _estimate(np.abs(table[name].to_numpy()).mean(), np.abs(samples[name]).mean(axis=1))
            for name in ("softmax", "argmax")
        },
        null={name: float(np.abs(weights @ figures[name]).max(axis=1).mean()) for name in ("softmax", "argmax")},
        gap_samples=samples["gap"],
    )


def largest(logits: ArrayLike, s: ArrayLike) -> float:
    """Find the largest |AB_r| over the labels by softmax, without interval: one value of many prompts."""
    scores, one = _checked(logits, s)
    return float(np.abs(_difference(softmax(scores, axis=1), one)).max())


def group_association(
    logits: ArrayLike,
    labels: Sequence[str],
    groups: Mapping[str, NDArray[np.bool_]],
    draws: int = 1000,
    permutations: int = 100,
    seed: int = 0,
    cluster: ArrayLike | None = None,
) -> tuple[pd.DataFrame, dict[str, Estimate], float]:
    """
    Compare the labels of each of several groups with those of all others.

    Parameters
    ----------
    logits : array_like, (N, L)
        Logit scale × cosine.
    groups : mapping of str to ndarray of bool, (N,)
        Two or more; images in none are left out beforehand.
    permutations : int
        Of the members of each group, one group at a time, for the null level.

    Returns
    -------
    table : DataFrame
        A row per group and label: group, label, n_1 (in the group), n_0, softmax, softmax_lo, softmax_hi: AB_r of the
        group against the others.
    summary : dict of str to Estimate
        ``max`` and ``mean`` of |AB_r| over groups and labels.
    null : float
        Largest over the groups of the mean of max |AB_r| when members are permuted: a lower bound of the level without
        any bias.
    """
    parts, drawn, noise = [], [], []
    shares = softmax(np.asarray(logits, float), axis=1)
    for name, members in groups.items():
        found = label_association(logits, labels, members, draws, permutations, seed, cluster)
        part = found.table[["label", "n_1", "n_0", "softmax", "softmax_lo", "softmax_hi"]].copy()
        part.insert(0, "group", name)
        parts.append(part)
        drawn.append(np.abs(bootstrap.differences(shares, members, draws, seed, cluster)))
        noise.append(found.null["softmax"])
    table = pd.concat(parts, ignore_index=True)
    size, samples = table["softmax"].abs(), np.hstack(drawn)
    summary = {
        "max": _estimate(float(size.max()), samples.max(axis=1)),
        "mean": _estimate(float(size.mean()), samples.mean(axis=1)),
    }
    return table, summary, max(noise)


def pair_association(
    first: ArrayLike,
    second: ArrayLike,
    s: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
    cluster: ArrayLike | None = None,
) -> tuple[NDArray[np.float64], Estimate]:
    """
    Compare how often each first label is preferred over its second.

    Parameters
    ----------
    first, second : array_like, (N, P)
        Scores of the labels of P pairs.
    s : array_like of bool, (N,)
        Group 1 or 0.

    Returns
    -------
    tuple
        P(first | s=1) − P(first | s=0) of each pair with lower and upper end, (P, 3), and the mean over the pairs. A
        tie is half a preference.
    """
    preferred, members = _checked(preference(first, second), s)
    value = _difference(preferred, members)
    samples = bootstrap.differences(preferred, members, draws, seed, cluster)
    return np.column_stack([value, *bootstrap.interval(samples)]), _estimate(value.mean(), samples.mean(axis=1))


def pairwise_association(
    scores: ArrayLike,
    share: ArrayLike,
    s: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
    cluster: ArrayLike | None = None,
) -> Estimate | None:
    """
    Average the preference for labels of group 1 over those of group 0 between the groups; None without A or B.

    Parameters
    ----------
    scores : array_like, (N, L)
        Logits or cosines.
    share : array_like, (L,)
        Known share of group 1 in each label; NaN where unknown. A: above one half; B: at most 5 %.
    s : array_like of bool, (N,)
        Group 1 or 0.
    """
    values, one = _checked(scores, s)
    preferred = pairwise_preference(values, share)
    if preferred is None:
        return None
    per_image = preferred[:, None]
    samples = bootstrap.differences(per_image, one, draws, seed, cluster)
    return _estimate(_difference(per_image, one)[0], samples[:, 0])


def against_shares(
    gap: ArrayLike, share: ArrayLike, other: ArrayLike | None = None, samples: ArrayLike | None = None
) -> dict[str, Estimate]:
    """
    Relate per-label gaps to known shares.

    Parameters
    ----------
    share : array_like, (L,)
        Share of group 1 in the corpus; NaN where unknown: the label is left out.
    other : array_like, (L,), optional
        Share of group 1 in what contaminates the corpus (the generator).
    samples : array_like, (B, L), optional
        Resampled gaps, for intervals; without them the ends are NaN.

    Returns
    -------
    dict of str to tuple of float
        ``correlation``, ``slope``; with `other` also ``drift_partial`` (partial correlation with other − share, beside
        share). Figures that are not defined (fewer than three labels, constant shares, collinear columns) are left
        out.
    """
    gaps, p = np.asarray(gap, float), np.asarray(share, float)
    drawn = np.empty((0, len(gaps))) if samples is None else np.asarray(samples, float)
    known = np.isfinite(p)
    result: dict[str, Estimate] = {}
    if known.sum() >= 3 and np.ptp(p[known]) > 0:
        stacked = np.vstack([gaps, drawn])[:, known]
        design = np.column_stack([np.ones(known.sum()), p[known]])
        slope, correlation = _last_coefficient(design, stacked)
        result["correlation"] = _estimate(correlation[0], correlation[1:])
        result["slope"] = _estimate(slope[0], slope[1:])
    if other is not None:
        q = np.asarray(other, float)
        both = known & np.isfinite(q)
        design = np.column_stack([np.ones(both.sum()), p[both], (q - p)[both]])
        if both.sum() >= 4 and np.linalg.matrix_rank(design) == 3:
            _, partial = _last_coefficient(design, np.vstack([gaps, drawn])[:, both])
            result["drift_partial"] = _estimate(partial[0], partial[1:])
    return {name: figure for name, figure in result.items() if np.isfinite(figure[0])}


def text_gap(one: ArrayLike, zero: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """
    Return, per label, the mean cosine with the prompts of group 1 minus that with those of group 0.

    Parameters
    ----------
    one, zero : array_like, (P, D)
        Prompts of the groups, unit rows.
    labels : array_like, (L, D)
        Label embeddings, unit rows.
    """
    difference = checked(one, "prompts").mean(axis=0) - checked(zero, "prompts").mean(axis=0)
    return np.asarray(checked(labels, "labels") @ difference, float)


def text_pairwise(gap: ArrayLike, share: ArrayLike) -> float | None:
    """
    Take the share of label pairs that the prompts order as the shares do, on [−1, 1].

    Parameters
    ----------
    share : array_like, (L,)
        Known shares, as in `pairwise_association`.

    Returns
    -------
    float or None
        1: the prompt of group 1 is relatively nearer to every A than to any B; None where A or B is empty.
    """
    gaps, known = np.asarray(gap, float), np.asarray(share, float)
    a, b = gaps[known > MAJORITY], gaps[known <= FEW]
    return float(np.sign(a[:, None] - b).mean()) if len(a) and len(b) else None


def _checked(values: ArrayLike, s: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rows, members = np.asarray(checked(values, "scores"), float), np.asarray(s, bool)
    if len(rows) != len(members):
        raise ValueError(f"{len(members)} group labels for {len(rows)} images")
    if members.all() or not members.any():
        raise ValueError(f"found {int(members.sum())} of {len(members)} images in group 1, expected both groups")
    return rows, members


def _difference(values: NDArray[np.float64], one: NDArray[np.bool_]) -> NDArray[np.float64]:
    return values[one].mean(axis=0) - values[~one].mean(axis=0)


def _last_coefficient(
    design: NDArray[np.float64], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Regress rows of targets (S, L) on the design: the last column's coefficient and partial correlation."""
    base, last = design[:, :-1], design[:, -1]
    residual = last - base @ np.linalg.lstsq(base, last, rcond=None)[0]
    rest = targets - (base @ np.linalg.lstsq(base, targets.T, rcond=None)[0]).T
    product = rest @ residual
    norms = np.linalg.norm(rest, axis=1) * np.linalg.norm(residual)
    floor = 1e-12 * np.linalg.norm(targets, axis=1) * np.linalg.norm(residual)
    correlation = np.divide(product, norms, out=np.full(len(product), np.nan), where=norms > floor)
    return product / (residual @ residual), correlation


def _estimate(value: float, samples: ArrayLike) -> Estimate:
    low, high = bootstrap.interval(samples)
    return float(value), float(low), float(high)
