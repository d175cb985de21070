"""How values of metrics are written: the digits that make sense, units, intervals; and what a run does to its mix."""

import math
import re
from collections.abc import Mapping

from stages.results.details import Estimate
from stages.results.registry import entry

NOT_BALANCED = "not balanced"


def number(key: str, value: float, signed: bool = False) -> str:
    """Write a value of a metric with the digits of its unit, e.g. ``"41.7 %"``, ``"−0.123"``, ``"1,220"``."""
    unit = entry(key).unit
    sign = "+z" if signed else "z"  # z: what rounds to 0 has no minus; nor a plus, which would say that it is above
    if unit.startswith("%"):
        text = f"{value:{sign}.1f} %"
    elif unit == "count":
        text = f"{value:{sign},.0f}"
    else:
        text = f"{value:{sign}.3f}" if abs(value) < 100 else f"{value:{sign},.1f}"
    return (text if re.search("[1-9]", text) else text.removeprefix("+")).replace("-", "−")


def difference(key: str, value: float, signed: bool = False) -> str:
    """Write a difference of two values, as `number`, but of percentages in points: ``"+1.4 points"``."""
    return number(key, value, signed).replace(" %", " points")


def vanishes(key: str, value: float) -> bool:
    """Tell whether a difference is 0 at the digits that are written; NaN, unknown, is not."""
    return difference(key, value) == difference(key, 0.0)


def interval(key: str, estimate: Estimate) -> str:
    """Write the interval of a metric, e.g. ``"[0.120, 0.310]"``; empty where there is none."""
    if not math.isfinite(estimate.lo + estimate.hi):
        return ""
    ends = [number(key, end).removesuffix(" %") for end in (estimate.lo, estimate.hi)]
    return f"[{ends[0]}, {ends[1]}]"


def spread(key: str, estimate: Estimate) -> str:
    """Write the standard deviation between replicates; empty where there is none."""
    return number(key, estimate.std) if math.isfinite(estimate.std) else ""


def counted(count: int, noun: str) -> str:
    """Write a number of things whose plural takes an s, e.g. ``"1 seed"``, ``"1,220 pairs"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def balancing(method: str, target: object, eta: object = "auto") -> str:
    """
    Name what a run does to its mix.

    Parameters
    ----------
    method, target, eta : str, object
        Of the section ``balance`` of params.yaml.

    Returns
    -------
    str
        The method, or `NOT_BALANCED` where it keeps every row: the method is ``none``, or no attribute has a target
        and η is not stated.
    """
    goals = list(target.values()) if isinstance(target, Mapping) else [target]
    idle = method == "none" or (eta == "auto" and all(goal == "none" for goal in goals))
    return NOT_BALANCED if idle else method
