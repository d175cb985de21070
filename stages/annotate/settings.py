"""Settings of `annotate`: where sensitive attributes and labels come from."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.core.settings import Count, Once, Profile, Section, Seed, View
from stages.corpus.words import GROUPS


class ZeroShot(Section):
    """A pretrained open_clip model that recognises groups by prompts."""

    model: str = Field(description="open_clip name, `hf-hub:` id, or `local-dir:` and a folder")
    pretrained: str | None = Field(default=None, description="for a name: tag or file of its weights")
    batch_size: Count = Field(default=256, description="images a forward pass")


class Similarity(Section):
    """A pretrained open_clip model that says how alike image and caption are (`balance.filter.quantile`)."""

    model: str = Field(
        description="open_clip name, `hf-hub:` id, or `local-dir:` and a folder such as a trained model's"
    )
    pretrained: str | None = Field(default=None, description="for a name: tag or file of its weights")
    batch_size: Count = Field(default=256, description="pairs a forward pass")


class Annotate(Section):
    """Sensitive attributes s and labels y of real and synthetic images."""

    source: Literal["metadata", "caption", "zero_shot", "faces"] = Field(
        description="metadata: what is known of real images, a classifier for synthetic ones; caption: words, for "
        "both; zero_shot: a pretrained model on the images, for both; faces: perceived gender of faces in photographs"
    )
    zero_shot: ZeroShot | None = Field(
        default=None, description="the pretrained model; beside source caption, its agreement with it is reported"
    )
    similarity: Similarity | None = Field(
        default=None, description="the model that scores how alike image and caption are; none: not scored"
    )
    columns: Annotated[list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]], Once] = Field(
        default=[],
        description="columns of samples.parquet that are attributes too, each value a group: of real images; generated "
        "ones are in none, but of `synthetic` (which of the corpus's own images are generated) in true",
    )
    threshold: Annotated[float, Field(gt=0.5, lt=1)] = Field(description="probability below which a group is unsure")
    epochs: Annotated[int, Field(ge=2)] = Field(description="passes of the classifier over the real images")
    held_out: Annotated[float, Field(gt=0, lt=1)] = Field(description="share of real images that measure its accuracy")
    max_images: Count = Field(default=20_000, description="real images that it sees at the most, drawn by hash")
    proxies: Annotated[int, Field(ge=0)] = Field(description="words at the most that become proxies (y_proxy_*)")
    proxy_captions: Count = Field(description="captions that must hold a proxy")
    seed: Seed = Field(description="seed of the classifier and of its held-out images")

    @model_validator(mode="after")
    def _model_is_named(self) -> "Annotate":
        if self.source == "zero_shot" and self.zero_shot is None:
            raise ValueError("source: found zero_shot, but the block zero_shot, which names its model, is not set")
        if taken := [name for name in self.columns if name in GROUPS]:
            raise ValueError(f"columns: found {taken[0]}, which annotate.source decides; expected others")
        if self.source == "metadata" and self.zero_shot is not None:
            raise ValueError("zero_shot: found a model beside source metadata; expected none, or another source")
        return self


class Generate(View):
    """The part of the section `generate` that says whether it is known what generated images show."""

    source: str


class Settings(Profile):
    """What this stage reads of all parameters."""

    shards: list[str]
    generate: Generate
    annotate: Annotate
