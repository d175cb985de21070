"""Settings of `balance`: the sections `contamination` and `balance`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.core.settings import Count, NonNegative, Once, Positive, Profile, Section, Seed, Share
from stages.corpus.words import GROUPS

Goal = Literal["none", "equal", "observed"]
MarginalsFile = Annotated[str, Field(pattern=r"\.csv$")]


class Contamination(Section):
    """The first knob: how much of the training set is generated (arXiv 2404.03242)."""

    alpha: Share = Field(description="share of samples whose image is replaced by a generated one, in [0, 1]")
    seed: Seed = Field(
        default=0,
        description="the draw: which samples are synthetic, and which rows of a kind are kept; above 0 it needs "
        "generate.max_alpha 1",
    )


class Filter(Section):
    """What is left out of the mix before it is balanced."""

    quantile: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="share of the rows, those whose image and caption are least alike (annotate.similarity)",
    )
    blanked: Literal["leave_out", "keep"] = Field(
        default="leave_out", description="samples whose generated image the safety checker blanked, whatever alpha"
    )


class Sgd(Section):
    """
    The stochastic update of m4_sgd.

    As published: one example per update (batch_size 1), one pass, and no average that the paper mentions; its rate is
    not known. The defaults are the best of a grid over batch size, rate and average on the default corpus (8,400 rows,
    target equal, one pass): largest association left .017, of .074 unbalanced, against .048 at rate 1 without average,
    and .026 at the best setting found as published (batch_size 1, rate 1 to 3). The exact solver leaves .002.
    """

    passes: Count = Field(default=1, description="passes over the rows")
    batch_size: Count = Field(default=16, description="rows per update")
    rate: Positive = Field(default=10.0, description="tau_0 of the step size tau_0 / sqrt(t)")
    average: Share = Field(
        default=0.9, description="share of the updates, the last ones, whose multipliers are averaged"
    )


class Balance(Section):
    """The second knob: which moments of the mix are balanced, and how (arXiv 2403.04547)."""

    method: Literal["none", "random", "reweighing", "m4_sgd", "m4"] = Field(description="how rows are weighted")
    target: Goal | MarginalsFile | dict[str, Goal | dict[str, Share]] = Field(
        description="`none`, `equal`, `observed` (associations only), the path of a csv with marginals, or for some "
        "attributes one of these words or {group: share}"
    )
    attributes: Annotated[list[str], Field(min_length=1), Once] = Field(
        description="sensitive attributes to report: gender, skin_tone and those of annotate.columns"
    )
    intersections: bool = Field(default=False, description="balance every pair of attributes too, as one attribute")
    scope: Literal["known", "all"] = Field(
        default="known", description="rows association is balanced among: those that show a group, or all (the paper)"
    )
    eta: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = Field(
        default="auto", description="share of the rows to keep, in (0, 1], or `auto`: the largest feasible"
    )
    eps_r: NonNegative | None = Field(
        default=0.002, description="tolerance of |E[s] − target|, a share of the rows; null: representation is free"
    )
    eps_d: NonNegative | None = Field(
        default=0.0002, description="tolerance of |E[(s − target) y]|, a share of the rows; null: association is free"
    )
    v: Positive = Field(default=100.0, description="price of a unit of violation where eta is not feasible")
    proxies: bool = Field(default=False, description="whether words that go with an attribute are labels too")
    open: bool = Field(
        default=False,
        description="balance each label, too, among the captions that name it and leave the attribute open",
    )
    utility: str | None = Field(default=None, description="column of samples.parquet with numbers ≥ 0: what to favour")
    utility_bins: Annotated[int, Field(ge=0)] = Field(default=32, description="bins of the utility; 0: exact values")
    compensate: Literal["none", "repeat"] = Field(
        default="none", description="whether the rows taken repeat until an epoch is as long as before"
    )
    filter: Filter = Field(default=Filter(), description="what is left out before balancing")
    sgd: Sgd = Field(default=Sgd(), description="how m4_sgd updates")
    seed: Seed = Field(default=0, description="seed of m4_sgd's order of rows")

    @model_validator(mode="after")
    def _targets_are_attributes(self) -> "Balance":
        goals = self.target if isinstance(self.target, dict) else {}
        if unwanted := sorted(set(goals) - set(self.attributes)):
            raise ValueError(
                f"target: found {unwanted[0]}, expected one of balance.attributes ({', '.join(self.attributes)})"
            )
        for attribute, goal in goals.items():
            if not isinstance(goal, dict):
                continue
            if attribute in GROUPS and sorted(goal) != sorted(GROUPS[attribute]):
                raise ValueError(
                    f"target.{attribute}: found {', '.join(goal) or 'no group'}, expected the groups "
                    f"{', '.join(GROUPS[attribute])}"
                )
            if abs(sum(goal.values()) - 1) > 1e-6:
                raise ValueError(f"target.{attribute}: the shares sum to {sum(goal.values()):g}, expected 1")
        return self


class Settings(Profile):
    """What this stage reads of all parameters."""

    contamination: Contamination
    balance: Balance
