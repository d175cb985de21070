"""Which rows are trained on when: phases over the mix or over its balanced selection.

Each of the data is one endless stream of batches; a phase goes on where the last phase on the same data stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from stages.core.settings import Section, View


class Phase(Section):
    """One phase of the training schedule."""

    data: Literal["mixed", "balanced"] = Field(description="the rows seen: the mix at α, or its balanced selection")
    share: Annotated[float, Field(gt=0, le=1)] = Field(description="share of the optimisation steps, in (0, 1]")


class Scheduled(View):
    """The part of the section `train` that says which rows are trained on."""

    schedule: Annotated[list[Phase], Field(min_length=1)]


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


def spans(phases: Sequence[tuple[str, float]], steps: int) -> list[Span]:
    """
    Turn shares into steps, in order, without gaps; a phase whose share rounds to no step is left out.

    Parameters
    ----------
    phases : sequence of (str, float)
        Data and share of each phase; the shares sum to 1.
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
