"""Did a metric worsen between two runs, and by more than replicates of one setting lie apart?"""

import math
from dataclasses import dataclass

from stages.results.details import ENDS, Estimate
from stages.results.noise import Noise
from stages.results.registry import entry

IDEALS = {"zero": 0.0, "half": 0.5}  # by the better direction; others have none


def folded(key: str, value: float) -> float:
    """Return what differences are taken of: the distance from the ideal where a metric has one, or the value."""
    ideal = IDEALS.get(entry(key).better)
    return value if ideal is None else abs(value - ideal)


def worsening(key: str, old: float, new: float) -> float:
    """Return how far a metric moved in the worse direction, in its unit; negative: it improved; NaN: none is worse."""
    difference = folded(key, new) - folded(key, old)
    return {"higher": -difference, "none": math.nan}.get(entry(key).better, difference)


@dataclass(frozen=True)
class Change:
    """
    One metric in two runs.

    Attributes
    ----------
    worsening : float
        See `worsening`.
    noise : float
        Half-width of the 95 % interval of the difference between replicates (`stages.results.noise`); NaN: unknown.
    paired : bool
        Whether both runs have the same seeds.
    """

    key: str
    old: Estimate
    new: Estimate
    worsening: float
    noise: float
    paired: bool

    @property
    def unchanged(self) -> bool:
        """Whether all that both state is equal to the last digit: the same models, measured the same way."""
        pairs = [(getattr(self.old, name), getattr(self.new, name)) for name in ("value", *ENDS)]
        return all(old == new for old, new in pairs if not math.isnan(old + new))

    @property
    def verdict(self) -> str:
        """``worse``, ``better``, ``same`` (within noise, or without a direction) or ``unknown`` (no noise known)."""
        if self.unchanged or math.isnan(self.worsening):
            return "same"
        if math.isnan(self.noise):
            return "unknown"
        if abs(self.worsening) <= self.noise:
            return "same"
        return "worse" if self.worsening > 0 else "better"


def change(key: str, old: Estimate, new: Estimate, noise: Noise | None = None, paired: bool = True) -> Change:
    """
    Compare one metric of two runs.

    Parameters
    ----------
    noise : Noise, optional
        Of the metric, from a study; without it no change is told from noise.
    paired : bool
        Whether both runs have the same seeds.
    """
    paired = paired and old.n == new.n
    half = noise.half_width(old.n, new.n, paired) if noise else math.nan
    return Change(key, old, new, worsening(key, old.value, new.value), half, paired)
