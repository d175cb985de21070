"""Directional bias amplification: do predictions exaggerate the associations of the training data, and which way?

For attribute a and task t (here: the gender and the occupation that a caption names), y_at = sign(P(a, t) − P(a) P(t))
on the training data says whether they go together. A → T: Δ_at = P(t̂ | a) − P(t | a), what is predicted of the task
given the true attribute. T → A: Δ_at = P(â | t) − P(a | t). The amplification is the mean of y_at Δ_at: 0 where
predictions keep the test data's shares, above 0 where they exaggerate the training data's association, below 0 where
they mute it.

References
----------
Wang, Russakovsky: Directional Bias Amplification, ICML 2021, equations 1 to 3 [P]. Pairs that are exactly independent
in training count 0 here, as negative associations there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from stages.core.errors import InputError
from stages.corpus.attributes import tone_group
from stages.corpus.words import GROUPS, OCCUPATIONS, caption_group, caption_occupations
from stages.evaluate import bootstrap
from stages.evaluate.training import Rows

TIE = 1e-12  # |P(a, t) − P(a) P(t)| up to this is independence: shares of counts, in double precision


@dataclass(frozen=True)
class Amplification:
    """
    Bias amplification in both directions.

    Attributes
    ----------
    a_to_t, t_to_a : float
        Means over the defined pairs; NaN where there is none.
    a_to_t_interval, t_to_a_interval : tuple of float
        95 % bootstrap over clusters of test images; y is held fixed.
    pairs : DataFrame
        One row a pair: attribute, task, sign (y), n_attribute, n_task (test images), a_to_t, t_to_a (y·Δ; NaN where the
        condition has no test image), each with the ends of its 95 % interval (`_lo`, `_hi`).
    """

    a_to_t: float
    t_to_a: float
    a_to_t_interval: tuple[float, float]
    t_to_a_interval: tuple[float, float]
    pairs: pd.DataFrame


def directional(
    train_attributes: ArrayLike,
    train_tasks: ArrayLike,
    attributes: ArrayLike,
    tasks: ArrayLike,
    predicted_attributes: ArrayLike,
    predicted_tasks: ArrayLike,
    *,
    names: tuple[Sequence[str], Sequence[str]] | None = None,
    weights: ArrayLike | None = None,
    draws: int = 1000,
    seed: int = 0,
    cluster: ArrayLike | None = None,
) -> Amplification:
    """
    Measure directional bias amplification: means, intervals, and a row per pair.

    Parameters
    ----------
    train_attributes, train_tasks : array_like of bool, (M, A), (M, T)
        What the training data say of each sample.
    attributes, tasks : array_like of bool, (N, A), (N, T)
        Truth of the test images.
    predicted_attributes, predicted_tasks : array_like of bool, (N, A), (N, T)
        What the captioner says of them.
    names : tuple of sequences of str, optional
        Names of the A attributes and T tasks; their positions by default.
    weights : array_like, (M,), optional
        How often each training sample counts (`copies`); 1 by default.
    cluster : array_like of int, (N,), optional
        Cluster of each test image, numbered from 0; each its own by default.

    Raises
    ------
    InputError
        If shapes do not fit, or there are no training samples.
    """
    a_train, t_train, a, t, a_hat, t_hat = (
        np.asarray(values, float)
        for values in (train_attributes, train_tasks, attributes, tasks, predicted_attributes, predicted_tasks)
    )
    shapes = [values.shape for values in (a_train, t_train, a, t, a_hat, t_hat)]
    fits = all(len(shape) == 2 for shape in shapes) and (
        shapes[0][0] == shapes[1][0] and len({shape[0] for shape in shapes[2:]}) == 1
        and shapes[0][1] == shapes[2][1] == shapes[4][1] and shapes[1][1] == shapes[3][1] == shapes[5][1]
    )  # fmt: skip
    if not fits:
        raise InputError(
            f"amplification: found shapes {shapes}, expected (M, A), (M, T), (N, A), (N, T), (N, A), (N, T)"
        )
    sign = _association(a_train, t_train, np.ones(len(a_train)) if weights is None else np.asarray(weights, float))

    both, named_t, named_a = _pairs(a, t), _pairs(a, t_hat), _pairs(a_hat, t)
    of_a = np.repeat(a, t.shape[1], axis=1)  # (N, A·T): the condition of pair (a, t)
    of_t = np.tile(t, (1, a.shape[1]))
    draws_a = sign.ravel() * bootstrap.ratios(named_t - both, of_a, draws, seed, cluster)
    draws_t = sign.ravel() * bootstrap.ratios(named_a - both, of_t, draws, seed, cluster)
    a_to_t = sign.ravel() * _ratio((named_t - both).sum(axis=0), of_a.sum(axis=0))
    t_to_a = sign.ravel() * _ratio((named_a - both).sum(axis=0), of_t.sum(axis=0))

    a_names, t_names = names or (range(a.shape[1]), range(t.shape[1]))
    pairs = pd.DataFrame(
        {
            "attribute": np.repeat(np.array(list(a_names)), t.shape[1]),
            "task": np.tile(np.array(list(t_names)), a.shape[1]),
            "sign": sign.ravel().astype(int),
            "n_attribute": of_a.sum(axis=0).astype(int),
            "n_task": of_t.sum(axis=0).astype(int),
        }
    )
    for name, values, samples in (("a_to_t", a_to_t, draws_a), ("t_to_a", t_to_a, draws_t)):
        pairs[name] = values
        pairs[f"{name}_lo"], pairs[f"{name}_hi"] = bootstrap.interval(samples)
    low_a, high_a = bootstrap.interval(_mean(draws_a))
    low_t, high_t = bootstrap.interval(_mean(draws_t))
    return Amplification(
        float(_mean(a_to_t[None])[0]),
        float(_mean(t_to_a[None])[0]),
        (float(low_a), float(high_a)),
        (float(low_t), float(high_t)),
        pairs,
    )


def of_captions(
    said: Mapping[str, str],
    table: pd.DataFrame,
    attribute: str,
    reference: Rows,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Amplification:
    """
    Measure what captions exaggerate of the association of an attribute with the occupations.

    Images in no group of the attribute are left out, in training, too: else every group of persons would go together
    with every occupation, as objects have none. T → A also leaves out images whose caption names no group or both: a
    caption, unlike a classifier, may leave the attribute open. An image shows the occupation that the set notes, and
    those that its reference captions name.

    Parameters
    ----------
    said : mapping, key → caption
        One caption an image of the set.
    table : DataFrame
        Rows of the set: key, captions, gender, skin_tone, occupation.
    attribute : {'gender', 'skin_tone'}
        A of the pairs; the T are the occupations. The reference must know it.
    reference : Rows
        Training data before contamination and balancing (`training.unbalanced`): one sign for all runs, since on what
        balancing leaves the sign is that of rounding errors.

    Returns
    -------
    Amplification
        NaN for a direction without images.
    """
    names = GROUPS[attribute]
    group = [tone_group(value) if attribute == "skin_tone" else value for value in table[attribute]]
    table = table.loc[[value in names for value in group]]
    truth = _indicator([[value] for value in group if value in names], names)
    shown = _indicator(
        [
            {noted, *(name for caption in captions for name in caption_occupations(caption))}
            for noted, captions in zip(table["occupation"], table["captions"], strict=True)
        ],
        OCCUPATIONS,
    )
    captions = [said[key] for key in table["key"]]
    told = _indicator([[caption_group(caption, attribute)] for caption in captions], names)
    tasks = _indicator([caption_occupations(caption) for caption in captions], OCCUPATIONS)
    one = told.any(axis=1)
    person = reference.groups[attribute].any(axis=1)
    training = (reference.groups[attribute][person], reference.occupations[person])
    settings: dict[str, Any] = {
        "names": (names, OCCUPATIONS), "weights": reference.weights[person], "draws": draws, "seed": seed,
    }  # fmt: skip
    cluster = bootstrap.numbered(table["cluster"])
    forth = directional(*training, truth, shown, told, tasks, **settings, cluster=cluster)
    back = directional(
        *training, truth[one], shown[one], told[one], tasks[one], **settings, cluster=bootstrap.numbered(cluster[one])
    )
    of_back = ["n_task", "t_to_a", "t_to_a_lo", "t_to_a_hi"]
    pairs = forth.pairs.assign(**{name: back.pairs[name] for name in of_back})
    return Amplification(forth.a_to_t, back.t_to_a, forth.a_to_t_interval, back.t_to_a_interval, pairs)


def _indicator(found: Sequence[Iterable[str]], names: Sequence[str]) -> NDArray[np.bool_]:
    """Say which of the names each row holds, (N, names)."""
    rows = [set(row) for row in found]
    return np.array([[name in row for name in names] for row in rows], bool).reshape(len(rows), len(names))


def _association(a: NDArray[np.float64], t: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sign(P(a, t) − P(a) P(t)), (A, T)."""
    total = weights.sum()
    if not total > 0:
        raise InputError("amplification: found no training samples, expected some: they say what is associated")
    weighted = a * (weights / total)[:, None]
    excess = weighted.T @ t - np.outer(weighted.sum(axis=0), (weights / total) @ t)
    return np.where(np.abs(excess) <= TIE, 0.0, np.sign(excess))


def _pairs(a: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1[a and t] of each sample, (N, A·T), attribute by attribute."""
    return (a[:, :, None] * t[:, None, :]).reshape(len(a), a.shape[1] * t.shape[1])


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the defined pairs of each row; NaN where there is none."""
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(float))
