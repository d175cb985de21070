"""Judging one metric between two runs: passed, failed, or cannot tell.

The noise of a change is the spread between replicates of the committed study (`stages.results.noise`), never that of
the runs themselves. With the worsening w, the half-width h of its 95 % interval, and t, the worsening let through:

    failed        w − h > t: the interval leaves out whatever is let through
    passed        w + h ≤ t: it leaves out any worsening by more than that; or nothing changed, to the last digit
    cannot tell   neither, or no study says what the noise is

Failed whatever the noise: a metric that is missing; a quality at or below chance, or that falls by more than a share.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from stages.core.settings import NonNegative, Share
from stages.results.details import Details, Estimate
from stages.results.formatting import counted, difference, number
from stages.results.headline import headlines
from stages.results.metric_change import Change, change
from stages.results.noise import Noise
from stages.results.registry import chance, entry
from stages.tools.gate.keys import check_keys

MANY = 50  # replicates a side that nobody trains for a check


class Verdict(StrEnum):
    """Of a metric, or of all."""

    PASSED = "passed"
    FAILED = "failed"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Side:
    """Metrics of a run, and its seeds."""

    metrics: Details
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Check:
    """
    One metric at the gate, or beside it.

    Attributes
    ----------
    verdict : Verdict, optional
        None of a metric that is not guarded.
    change : Change, optional
        None where a side lacks the metric.
    tolerance : float
        Worsening that is let through; NaN of a metric that is guarded only against collapse.
    chance : float
        What a model that knows nothing would give; NaN: not known.
    reason : str
        Why, in one sentence without a full stop.
    """

    key: str
    verdict: Verdict | None
    reason: str = ""
    change: Change | None = None
    tolerance: float = math.nan
    chance: float = math.nan


def judge(
    tolerances: Mapping[str, NonNegative], old: Side, new: Side, noise: Mapping[str, Noise], drop: Share
) -> list[Check]:
    """
    Judge the guarded metrics, in the order of the tolerances, then every headline quality that collapsed.

    Parameters
    ----------
    tolerances : mapping of str to float
        Key of the metric: worsening that is let through.
    drop : float
        Share of a quality metric whose loss always fails.

    Raises
    ------
    InputError
        If a guarded metric is unknown or has no better direction.
    """
    check_keys(tolerances)
    found = [_guarded(key, tolerance, old, new, noise.get(key), drop) for key, tolerance in tolerances.items()]
    for key in _quality(old.metrics.keys() & new.metrics.keys()):
        was_known = not old.metrics[key].value <= chance(key, old.metrics)  # what knew nothing cannot collapse
        if key not in tolerances and was_known and (reason := _collapse(key, old.metrics[key], new, drop)):
            found.append(replace(watched(key, old, new, noise), verdict=Verdict.FAILED, reason=reason))
    return found


def watched(key: str, old: Side, new: Side, noise: Mapping[str, Noise]) -> Check:
    """Compare a metric that both sides have and that nothing guards."""
    return Check(key, None, change=_moved(key, old, new, noise.get(key)), chance=chance(key, new.metrics))


def outcome(checks: Sequence[Check], stale: Collection[str] = (), learns: bool = True) -> Verdict:
    """
    Sum up: failed if one is, cannot tell if one cannot be told or nothing was compared, else passed.

    Parameters
    ----------
    stale : collection of str
        Stages whose results are not those of code and parameters; any fails.
    learns : bool
        Whether a trial run of the change learns; if not, it fails.
    """
    verdicts = {check.verdict for check in checks} or {Verdict.CANNOT_TELL}
    if stale or not learns or Verdict.FAILED in verdicts:
        return Verdict.FAILED
    return Verdict.CANNOT_TELL if Verdict.CANNOT_TELL in verdicts else Verdict.PASSED


def _quality(keys: Collection[str]) -> list[str]:
    return [key for kind, family in headlines(list(keys)) for key in family if kind == "quality"]


def _moved(key: str, old: Side, new: Side, noise: Noise | None) -> Change:
    before, after = (replace(side.metrics[key], n=len(side.seeds)) for side in (old, new))
    return change(key, before, after, noise, paired=set(old.seeds) == set(new.seeds))


def _guarded(key: str, tolerance: float, old: Side, new: Side, noise: Noise | None, drop: float) -> Check:
    if key not in new.metrics:
        return Check(key, Verdict.FAILED, "it is missing after the change", tolerance=tolerance)
    level = chance(key, new.metrics)
    before = old.metrics.get(key)
    if before is None:
        if reason := _collapse(key, None, new, drop):
            return Check(key, Verdict.FAILED, reason, tolerance=tolerance, chance=level)
        reason = "it is missing before the change; run the pipeline there, too"
        return Check(key, Verdict.CANNOT_TELL, reason, tolerance=tolerance, chance=level)
    moved = _moved(key, old, new, noise)
    verdict, reason = _verdict(moved, tolerance, noise)
    if collapsed := _collapse(key, before, new, drop):
        verdict, reason = Verdict.FAILED, collapsed
    return Check(key, verdict, reason, moved, tolerance, level)


def _collapse(key: str, old: Estimate | None, new: Side, drop: float) -> str:
    """Say what fails whatever the noise; empty where nothing does."""
    if entry(key).better != "higher":
        return ""
    value, level = new.metrics[key].value, chance(key, new.metrics)
    if value <= level:
        return f"{number(key, value)} is at or below chance ({number(key, level)})"
    if old is not None and old.value > 0 and value < (1 - drop) * old.value:
        return f"it fell by {1 - value / old.value:.0%}, more than {drop:.0%}"
    return ""


def _verdict(moved: Change, tolerance: float, noise: Noise | None) -> tuple[Verdict, str]:
    key, worse, half = moved.key, moved.worsening, moved.noise
    if moved.unchanged:
        return Verdict.PASSED, "nothing changed, to the last digit"
    if noise is None or math.isnan(half):
        return Verdict.CANNOT_TELL, "no study says how far its replicates lie apart; run `make study`"
    allowed = difference(key, tolerance)
    if worse - half > tolerance:
        return Verdict.FAILED, f"worse by more than the {allowed} that are let through, and than noise allows"
    if worse + half <= tolerance:
        return Verdict.PASSED, f"not worse by more than the {allowed} that are let through"
    smallest = f"the smallest worsening that could be told is {difference(key, tolerance + half)}"
    return Verdict.CANNOT_TELL, f"{smallest}; {_settles(moved, tolerance, noise)}"


def _settles(moved: Change, tolerance: float, noise: Noise) -> str:
    """Say what would settle it, if the change is what it seems to be."""
    needed = noise.replicates(abs(moved.worsening - tolerance), moved.paired)
    seeds = counted(moved.new.n, "seed")
    if needed is None or needed > MANY:
        return f"more than {MANY} seeds on each side (now {seeds}), or a larger tolerance, would settle it"
    return f"{counted(needed, 'seed')} on each side (now {seeds}) would settle it"
