"""The cards of the headline: each value with its interval, chance level, ceiling and baseline.

Where a metric has ends, they stand on a bar between these: 0 and 1, −1 and 1, 0 and 100 %, or 0 and the ceiling. Of one
without (a cosine, a slope, points of a score) a bar would show no more than the numbers beside it. Where all but the
ceiling would lie in the first quarter, the bar ends there.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from stages.plot.study import Study
from stages.results import formatting, registry
from stages.results.details import Details, Estimate
from stages.results.formatting import NOT_BALANCED
from stages.results.headline import headlines
from stages.results.registry import PERCENT, SHARE, SIGNED

ENDED = (PERCENT, SHARE, SIGNED, (0, 0.5))  # spans whose ends a model can be at


def cards(metrics: Details, study: Study | None = None, alpha: float = math.nan) -> list[dict[str, Any]]:
    """
    Sum up the figures that a run is judged by, a card per metric.

    Parameters
    ----------
    study : Study, optional
        Its mean without balancing at the α that stands for this one is the baseline.

    Returns
    -------
    list of dict
        kind, name, meaning, wish, lines; a line has key, place, value, interval, spread, bounds (words), and those of
        `scale`.
    """
    return [
        {
            "kind": kind,
            "name": registry.name_and_place(keys[0])[0],
            "meaning": registry.entry(keys[0]).meaning,
            "wish": registry.entry(keys[0]).wish,
            "lines": [_line(key, metrics, study, alpha) for key in keys],
        }
        for kind, keys in headlines(metrics)
    ]


def _line(key: str, metrics: Details, study: Study | None, alpha: float) -> dict[str, Any]:
    level, best = registry.chance(key, metrics), ceiling(key, metrics)
    baseline = study.mean(key, NOT_BALANCED, study.near(alpha)) if study else math.nan
    bounds = {"chance": level, _best(key): best, NOT_BALANCED: baseline}
    said = [f"{name} {formatting.number(key, value)}" for name, value in bounds.items() if math.isfinite(value)]
    if study and not (study.runs["metric"] == key).any():
        said.append(f"{NOT_BALANCED}: not measured in the study")
    return {
        "key": key,
        "place": registry.name_and_place(key)[1],
        "value": formatting.number(key, metrics[key].value),
        "interval": formatting.interval(key, metrics[key]),
        "spread": formatting.spread(key, metrics[key]),
        "bounds": said,
        **scale(key, metrics[key], level, best, baseline),
    }


def ceiling(key: str, metrics: Details) -> float:
    """
    Tell what a model that knows all, or learns its rows exactly, would reach; NaN: unknown.

    As the run states it, as the registry does, or the end of the span.
    """
    if stated := metrics.get(f"{key}.ceiling") or metrics.get(f"{key}.ideal"):
        return stated.value
    known = registry.entry(key)
    if number := re.match(r"-?[\d.]+(?=:)", known.best):
        return float(number[0])
    if known.better == "higher" and not known.best and known.span in ((0, 100), (0, 1)):
        return float(known.span[1])
    return math.nan


def _best(key: str) -> str:
    """Name what `ceiling` tells: where nothing is better the higher, an ideal learner has it, and it is no limit."""
    return "ceiling" if registry.entry(key).better == "higher" else "ideal learner"


def scale(key: str, one: Estimate, chance: float, best: float, baseline: float) -> dict[str, Any]:
    """
    Place a value and what it is held against on a bar.

    Returns
    -------
    dict
        marks: places in percent of the width, of ``value``, and where known ``chance``, ``ceiling``, ``baseline`` and
        ``zero``; range: start and width of the interval, or None; ends: what the bar's ends stand for; said: all of
        it in words. Empty, without ends, where a bar would have none.
    """
    left, right = registry.entry(key).span
    if (left, right) not in ENDED:
        return {"marks": {}, "range": None, "ends": (), "said": ""}
    limited = registry.entry(key).better == "higher" and math.isfinite(best) and best < right
    right = best if limited else right
    points = {"chance": chance, "ceiling": best, "baseline": baseline, "value": one.value}
    near = _cut(left, right, [chance, baseline, one.value, one.lo, one.hi])
    if near < right:
        limited, right = False, near
        points.pop("ceiling")
    if left < 0:
        points = {"zero": 0.0, **points}

    def at(value: float) -> float:
        return 100 * (min(max(value, left), right) - left) / (right - left)

    marks = {name: at(value) for name, value in points.items() if math.isfinite(value)}
    ends = (at(one.lo), at(one.hi)) if math.isfinite(one.lo + one.hi) else None
    names = {"chance": "chance", "ceiling": _best(key), "baseline": NOT_BALANCED}
    said = [f"{formatting.number(key, one.value)} {formatting.interval(key, one)}".rstrip()]
    said += [f"{words} {formatting.number(key, points[name])}" for name, words in names.items() if name in marks]
    if "ceiling" in names and math.isfinite(best) and best > right:
        said.append(f"{names['ceiling']} {formatting.number(key, best)}, beyond the bar")
    outer = (formatting.number(key, left), f"{'ceiling ' if limited else ''}{formatting.number(key, right)}")
    said.append(f"bar from {outer[0]} to {outer[1]}")
    inner = (ends[0], ends[1] - ends[0]) if ends else None
    return {"marks": marks, "range": inner, "ends": outer, "said": ", ".join(said)}


def _cut(left: float, right: float, seen: Sequence[float]) -> float:
    """End a bar from 0 sooner, at a round number, where all that it marks would lie in its first quarter."""
    most = max(value for value in seen if math.isfinite(value))
    if left or not 0 < most < right / 4:
        return right
    step = 10.0 ** math.floor(math.log10(most))
    return min(step * next(round_ for round_ in (1.5, 2, 3, 4, 5, 8, 10, 15) if step * round_ >= 1.1 * most), right)
