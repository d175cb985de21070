"""Settings of `plot`: what figures and report show."""

from pydantic import Field

from stages.core.settings import Count, Profile, Section, Seed, Share, View


class Plot(Section):
    """Figures and the report."""

    pairs: Count = Field(description="real images shown beside synthetic ones")
    captions: Count = Field(description="held-out images shown with their captions")
    seed: Seed = Field(description="of the hash by which both are drawn")
    study: str = Field(
        default="data/emoji/results/study",
        min_length=1,
        description="a committed study (`make study`); runs of its profile are shown among its points",
    )
    counterweights: str = Field(
        default="data/emoji/results/counterweights",
        min_length=1,
        description="a committed comparison of levers (`make counterweights`), which the report of its profile draws",
    )
    generations: str = Field(
        default="data/emoji/results/generations",
        min_length=1,
        description="a committed loop (`make generations`), which the report of its profile shows",
    )


class Mix(View):
    """The part of the section `contamination` that titles name."""

    alpha: Share


class Balanced(View):
    """The part of the section `balance` that titles name."""

    method: str
    target: object
    eta: object = "auto"


class Trained(View):
    """The part of the section `train` that titles name."""

    loss: str
    epochs: float
    probe: int


class Captioned(View):
    """The part of the section `caption` that says whose captions there are, and of what."""

    captioners: list[str]
    evaluation_set: str = "people"


class Measured(View):
    """The part of the section `evaluate` that figures mark small groups by."""

    min_group: int


class Settings(Profile):
    """What this stage reads of all parameters."""

    seeds: list[Seed]
    shards: list[str]
    contamination: Mix
    balance: Balanced
    train: Trained
    caption: Captioned
    evaluate: Measured
    plot: Plot
