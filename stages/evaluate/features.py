"""Unit rows, and the checks that every metric makes of its features."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked(features: ArrayLike, what: str) -> NDArray[np.float64]:
    """
    Return the same rows (float32 stays float32), or refuse those that no metric is defined for.

    Raises
    ------
    ValueError
        If they are no matrix, or hold NaN or infinity.
    """
    array = np.asarray(features)
    if array.ndim != 2:
        raise ValueError(f"{what}: found an array of shape {array.shape}, expected rows of features (n, width)")
    if array.dtype.kind != "f":
        array = array.astype(float)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):  # one cheap pass; rows are looked at only where something may be wrong
            return array
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{what}: {int(bad.sum())} of {len(array)} rows hold NaN or infinity, first row {int(np.argmax(bad))}; "
            "the model has diverged or its weights are damaged"
        )
    return array


def unit(features: ArrayLike, what: str = "features") -> NDArray[np.float64]:
    """
    Divide each row by its L2 norm.

    Raises
    ------
    ValueError
        If a row is zero, NaN or infinite.
    """
    array = checked(features, what)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    if (norms == 0).any():
        raise ValueError(f"{what}: row {int(np.argmax(norms[:, 0] == 0))} is zero and has no direction")
    return array / norms


def mean_direction(features: ArrayLike) -> NDArray[np.float64]:
    """
    Average unit rows to a unit vector: the embedding of a class from several prompts.

    Parameters
    ----------
    features : array_like, (P, D)
        Prompts of one class.
    """
    return unit(unit(features).mean(axis=0, keepdims=True), "mean of prompts")[0]
