"""Settings of `evaluate`: what is measured, and how."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.core.settings import Count, Once, Positive, Profile, Section, Seed, View
from stages.corpus.schedule import Scheduled
from stages.corpus.words import GROUPS, Attribute

SET_NAME = r"[A-Za-z0-9_-]+"
EvaluationSet = Annotated[str, Field(pattern=rf"^{SET_NAME}$")]


class Leakage(Section):
    """LIC: what captions with masked attribute words give away (Hirota et al. 2022)."""

    attributes: Annotated[list[Attribute], Once] = Field(description="read from captions; none: no LIC")
    seeds: Annotated[list[Seed], Field(min_length=1), Once] = Field(
        description="splits and first weights; published: 0, 12, 456, 789, 100, 200, 300, 400, 500, 1234"
    )
    classifier: Literal["lstm", "bert", "bert_frozen"] = Field(description="reader: from scratch, or pretrained")
    folder: str = Field(default="bert-base-uncased", description="folder or hub id of the BERT reader")
    embedding: Count = Field(default=100, description="LSTM: width of a word")
    hidden: Count = Field(default=256, description="units a direction of the LSTM; of the head on BERT")
    layers: Count = Field(default=2, description="LSTM: layers")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="LSTM: on words and before the output"
    )
    learning_rate: Positive = Field(default=5e-5, description="of Adam; published for a tuned BERT: 1e-5")
    epochs: Count = Field(default=20, description="passes; published for a tuned BERT: 5")
    batch_size: Count = Field(default=64, description="captions a step")
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.1, description="captions held out of each value")
    masked: dict[Attribute, list[str]] = Field(default={}, description="words masked beside the published lists")


class Erase(Section):
    """What is taken out of the features after training, and measured beside the model as it is."""

    methods: Annotated[list[Literal["projection", "calibrated", "prune", "leace"]], Once] = Field(
        default=[], description="erasers, each fitted on training rows; none: the model as it is, alone"
    )
    attribute: Attribute = Field(default="gender", description="what is erased")
    rows: Annotated[int, Field(ge=100)] = Field(
        default=4000, description="training images that they are fitted on, at the most, drawn by hash"
    )

    @model_validator(mode="after")
    def _two_groups(self) -> "Erase":
        if self.attribute not in GROUPS:
            raise ValueError(f"attribute: found {self.attribute}, expected one annotated: {', '.join(GROUPS)}")
        return self


class Evaluate(Section):
    """What is measured, and how."""

    mode: Literal["corrected", "as_published"] = Field(description="exact metrics, or the published code's defects")
    sets: Annotated[list[EvaluationSet], Field(min_length=1), Once] = Field(
        description="evaluation sets: those of the source emoji, or some of download.evaluation"
    )
    compare_published: bool = Field(description="also table the published definitions beside the corrected ones")
    iterations: Count = Field(default=10_000, description="draws of the published sampling loops")
    batch_size: Count = Field(description="images a forward pass")
    draws: Count = Field(description="bootstrap samples behind each interval")
    min_group: Count = Field(description="images below which a group is flagged and left out of gaps")
    top_k: Count = Field(description="depth of MaxSkew@k and Bias@k")
    templates: Annotated[list[str], Field(min_length=1)] = Field(
        description='prompts of objects: "{}" is the label with its article, "{label}" the bare label'
    )
    person_templates: Annotated[list[str], Field(min_length=1)] = Field(
        description="prompts of persons and occupations, in the same form"
    )
    prompts: Literal["clip_fairface", "webli"] | None = Field(
        default=None,
        description="published prompts of persons, in place of person_templates and of our words of groups",
    )
    meteor: bool = Field(default=False, description="captions: also METEOR 1.5, which needs Java")
    erase: Erase = Field(default=Erase(), description="counterweights after training")
    leakage: Leakage = Field(description="LIC of the generated captions")
    seed: Seed = Field(default=0, description="seed of bootstrap, permutations and broken ties")

    @model_validator(mode="after")
    def _consistent(self) -> "Evaluate":
        for name in ("templates", "person_templates"):
            for template in getattr(self, name):
                if (
                    "{" in (rest := template.replace("{}", "").replace("{label}", ""))
                    or "}" in rest
                    or rest == template
                ):
                    raise ValueError(
                        f"{name}: found {template!r}, expected one {{}} or {{label}} in it, and no other braces"
                    )
        return self


class Captioned(View):
    """The part of the section `caption` that says whose captions there are, and of what."""

    captioners: list[str]
    evaluation_set: str = "people"


class Settings(Profile):
    """What this stage reads of all parameters."""

    seeds: list[Seed]
    train: Scheduled
    caption: Captioned
    evaluate: Evaluate
