"""What is trained on, and how fast, at each optimisation step: functions of the step, so a resume needs nothing else.

A schedule is a list of phases (data, share of the steps). Each of the data (the mix, its balanced selection) is one
endless stream of batches; a phase goes on where the last phase on the same data stopped, so the rows seen in an epoch
are exact whatever the order of the phases.
"""

import math
from collections.abc import Sequence

from stages.corpus.schedule import Span


def total_steps(rows: int, epochs: float, batch_size: int) -> int:
    """
    Count the optimisation steps of a run.

    Parameters
    ----------
    rows : int
        All rows of the mix, the filtered ones too. Not those of the balanced selection: every schedule, target and
        filter takes as many steps, and captioners count the same way.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, math.ceil(rows * epochs / batch_size))


def place(plan: Sequence[Span], step: int) -> tuple[str, int]:
    """
    Find the batch of a step.

    Parameters
    ----------
    plan : sequence of Span
        From `stages.corpus.schedule.spans`.
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
