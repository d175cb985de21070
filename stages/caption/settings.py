"""Settings of `caption`: the captioners and their training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.core.settings import Count, NonNegative, Once, Positive, Profile, Section, Seed
from stages.corpus.schedule import Scheduled


class LanguageModel(Section):
    """A GPT-2 of any size, trained from scratch."""

    width: Count = Field(description="of the hidden states; a multiple of heads")
    layers: Count = Field(description="blocks")
    heads: Count = Field(description="attention heads")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(description="everywhere")

    @model_validator(mode="after")
    def _heads_divide(self) -> "LanguageModel":
        if self.width % self.heads:
            raise ValueError(f"width: found {self.width}, expected a multiple of heads {self.heads}")
        return self


class Fitting(Section):
    """The training of one captioner: AdamW, linear warm-up, linear decay."""

    epochs: Positive = Field(
        description="captions seen, in multiples of all rows of the mix, max_images at most; as CLIP counts"
    )
    batch_size: Count = Field(description="captions a step")
    learning_rate: Positive = Field(description="peak of AdamW's learning rate")
    warmup: Annotated[int, Field(ge=0)] = Field(description="steps until the peak; half of all at most")
    weight_decay: NonNegative = Field(default=0.01, description="of AdamW")


class ClipCap(Section):
    """ClipCap (arXiv 2111.09734): the image embedding becomes a prefix that a language model continues."""

    language_model: str | LanguageModel = Field(description="hub id or folder of a GPT-2, or the size of a new one")
    revision: str | None = Field(default=None, description="hub revision (commit) of the language model")
    tune: bool = Field(description="whether the language model is trained, too; a new one must be")
    mapper: Literal["mlp", "transformer"] = Field(description="from embedding to prefix; published: mlp with tune")
    mapper_layers: Count = Field(default=8, description="blocks of the transformer mapper")
    prefix: Count = Field(description="pseudo-words; published: 10 with mlp, 40 with transformer")
    fitting: Fitting = Field(description="how it is trained")

    @model_validator(mode="after")
    def _new_models_are_tuned(self) -> "ClipCap":
        if not self.tune and isinstance(self.language_model, LanguageModel):
            raise ValueError("tune: found false with a new language model, which knows no word: expected true")
        return self


class TransformerCaptioner(Section):
    """An encoder-decoder over the places of the image's feature map (Vaswani et al. 2017)."""

    width: Count = Field(description="of the hidden states; a multiple of heads")
    layers: Count = Field(description="blocks of the encoder, and of the decoder")
    heads: Count = Field(description="attention heads")
    feedforward: Count = Field(description="hidden units of a block's feed-forward part")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(description="everywhere")
    fitting: Fitting = Field(description="how it is trained")

    @model_validator(mode="after")
    def _heads_divide(self) -> "TransformerCaptioner":
        if self.width % self.heads:
            raise ValueError(f"width: found {self.width}, expected a multiple of heads {self.heads}")
        return self


class Caption(Section):
    """Captioners on top of the trained CLIP image tower, trained on the rows that CLIP was trained on."""

    captioners: Annotated[list[Literal["clipcap", "transformer"]], Once] = Field(
        description="which, in order; none: no captions"
    )
    max_images: Count | None = Field(description="training rows at most, drawn by hash of the key; none: all")
    feature_batch: Count = Field(description="images a forward pass of CLIP")
    min_count: Count = Field(description="words that come less often in the training captions are never said")
    max_tokens: Annotated[int, Field(ge=2)] = Field(description="tokens a caption, end included; longer ones are cut")
    beams: Count = Field(description="beam width of decoding; 1: greedy")
    decode_batch: Count = Field(description="images a batch of decoding")
    checkpoint_steps: Count = Field(description="steps between checkpoints in the work folder, where a kill resumes")
    bfloat16: bool = Field(description="train in bfloat16 autocast")
    evaluation_set: str = Field(default="people", description="evaluation set that is captioned; it needs captions")
    clipcap: ClipCap
    transformer: TransformerCaptioner


class Settings(Profile):
    """What this stage reads of all parameters."""

    seeds: list[Seed]
    train: Scheduled
    caption: Caption
