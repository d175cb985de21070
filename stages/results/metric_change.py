"""Did a metric worsen between two runs, and by more than its noise?

Two noises count: that of the test images (the bootstrap interval of each run) and that of training (the spread between
seeds). With half-widths h of the intervals, standard deviations s over S seeds, and Student's t at 95 %:

    noise² = h_old² + h_new² + t² (s_old²/S_old + s_new²/S_new),   t with S_old + S_new − 2 degrees of freedom

Runs on the same test images are correlated, which this leaves out: it errs on the side of saying nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from stages.results.details import Estimate
from stages.results.registry import entry

LEVEL = 0.95


@dataclass(frozen=True)
class Change:
    """
    One metric in two runs.

    Attributes
    ----------
    worsening : float
        How far it moved in the worse direction, in its unit; negative: it improved; NaN where none is worse or known.
    noise : float
        Half-width of the 95 % interval of the difference, ≥ 0; 0 where neither run states any noise.
    seeds : int
        Fewest of a run; with one, nothing is known of the noise of training, and `noise` is that of the images alone.
    """

    key: str
    old: float
    new: float
    worsening: float
    noise: float
    seeds: int

    @property
    def verdict(self) -> str:
        """``worse``, ``better``, or ``same``: within noise, or of a metric without a direction."""
        if math.isnan(self.worsening) or abs(self.worsening) <= max(self.noise, 1e-12):
            return "same"
        return "worse" if self.worsening > 0 else "better"


def change(key: str, old: Mapping[str, Estimate], new: Mapping[str, Estimate]) -> Change:
    """
    Compare one metric of two runs.

    Raises
    ------
    KeyError
        If a run lacks the metric.
    """
    one, two = old[key], new[key]
    worsening = {
        "higher": one.value - two.value,
        "lower": two.value - one.value,
        "zero": abs(two.value) - abs(one.value),
        "half": abs(two.value - 0.5) - abs(one.value - 0.5),
        "none": math.nan,
    }[entry(key).better]
    t = float(stats.t.ppf(0.5 + LEVEL / 2, max(1, one.n + two.n - 2)))
    spread = [t * (of.std if math.isfinite(of.std) else 0.0) / math.sqrt(of.n) for of in (one, two)]
    noise = math.hypot(one.half_width, two.half_width, *spread)
    return Change(key, one.value, two.value, worsening, noise, min(one.n, two.n))
