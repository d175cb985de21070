"""What is trained on, and how fast, at each optimisation step: functions of the step, so a resume needs nothing else.

A schedule is a list of phases (data, share of the steps). Each of the data (the mix, its balanced selection) is one
endless stream of batches; a phase goes on where the last phase on the same data stopped, so the rows seen in an epoch
are exact whatever the order of the phases.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """
    One phase in steps.

    Attributes
    ----------
    data : str
        ``"mixed"`` or ``"balanced"``.
    start, stop : int
        First step, and the step after the last.
    offset : int
        Batches of the data's stream that earlier phases have used.
    """

    data: str
    start: int
    stop: int
    offset: int


def total_steps(rows: int, epochs: float, batch_size: int) -> int:
    """
    Count the optimisation steps of a run.

    Parameters
    ----------
    rows : int
        Rows of the mix. Not of the balanced selection: every schedule and every target costs the same.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, math.ceil(rows * epochs / batch_size))


def spans(phases: Sequence[tuple[str, float]], steps: int) -> list[Span]:
    """
    Turn shares into steps.

    Parameters
    ----------
    phases : sequence of (str, float)
        Data and share of each phase; the shares sum to 1.

    Returns
    -------
    list of Span
        In order, without gaps; a phase whose share rounds to no step is left out.
    """
    result: list[Span] = []
    used: dict[str, int] = {}
    start, share = 0, 0.0
    for data, part in phases:
        share += part
        stop = min(steps, round(share * steps))
        if stop > start:
            result.append(Span(data, start, stop, used.get(data, 0)))
            used[data] = used.get(data, 0) + stop - start
            start = stop
    return result


def place(plan: Sequence[Span], step: int) -> tuple[str, int]:
    """
    Find the batch of a step.

    Parameters
    ----------
    plan : sequence of Span
        From `spans`.
    step : int
        From 0.

    Returns
    -------
    tuple of (str, int)
        Data, and the index of the batch in its stream.

    Raises
    ------
    IndexError
        If the step lies outside the plan.
    """
    for span in plan:
        if span.start <= step < span.stop:
            return span.data, span.offset + step - span.start
    raise IndexError(f"step {step} lies outside the schedule")


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """
    Compute the learning rate: linear warm-up, then a half cosine to 0, as in `open_clip_train.scheduler` [P].

    Parameters
    ----------
    step, steps : int
        This step, from 0; steps in all.
    warmup : int
        Steps of the warm-up; it is cut to the run's length where it is longer.

    Returns
    -------
    float
        Above 0.
    """
    warmup = min(warmup, steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def milestones(steps: int, share: float) -> frozenset[int]:
    """
    List the steps after which something periodic is due.

    Parameters
    ----------
    share : float
        Period as a share of the steps, in (0, 1].

    Returns
    -------
    frozenset of int
        Counts of finished steps, the last one included.
    """
    count = max(1, round(1 / share))
    return frozenset(max(1, round(steps * i / count)) for i in range(1, count + 1))
