"""Which rows are trained on when: phases over the mix or over its balanced selection."""

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
