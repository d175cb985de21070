"""Bias against quality: which levers no other beats in both, and the room that their marks take."""

import math
from collections.abc import Sequence

import numpy as np

STEPS = 33  # along a whisker: closer than a short name is long


def front(bias: Sequence[float], quality: Sequence[float]) -> list[int]:
    """
    Find the places of the points that no other beats in both, by rising bias.

    Parameters
    ----------
    bias, quality : sequence of float
        Less, and more, is better.
    """
    order = sorted(range(len(bias)), key=lambda i: (bias[i], -quality[i]))
    found: list[int] = []
    for i in order:
        if not found or quality[i] > quality[found[-1]]:
            found.append(i)
    return found


def cross(x: float, y: float, wide: tuple[float, float], high: tuple[float, float]) -> list[tuple[float, float]]:
    """Walk along the whiskers of a point, from end to end, for names to keep clear of."""
    steps = [(float(at), y) for at in np.linspace(*wide, STEPS)] + [(x, float(at)) for at in np.linspace(*high, STEPS)]
    return [step for step in steps if math.isfinite(sum(step))]
