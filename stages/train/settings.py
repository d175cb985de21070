"""Settings of `train`: model, loss, schedule and recipe of CLIP."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from stages.core.settings import Count, NonNegative, Positive, Profile, Section, Seed, Share
from stages.corpus.schedule import Phase
from stages.corpus.words import GROUPS, Attribute

Beta = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class Augmentation(Section):
    """Random changes of the training images, as in open_clip (`open_clip.transform.AugmentationCfg`)."""

    scale: tuple[Share, Share] = Field(default=(0.9, 1.0), description="share of the area that a random crop keeps")
    ratio: tuple[Positive, Positive] = Field(default=(3 / 4, 4 / 3), description="width / height of a random crop")
    color_jitter: tuple[NonNegative, NonNegative, NonNegative, Annotated[float, Field(ge=0, le=0.5)]] = Field(
        default=(0.0, 0.0, 0.0, 0.0), description="strengths of brightness, contrast, saturation and hue"
    )
    color_jitter_prob: Share = Field(default=0.0, description="probability of the colour jitter")
    gray_scale_prob: Share = Field(default=0.0, description="probability of losing all colour")
    mix_style: Share = Field(
        default=0.0, description="probability of taking on, in part, the colours' mean and spread of another image"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "Augmentation":
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name}: found [{low:g}, {high:g}], expected 0 < low <= high")
        return self


class Muon(Section):
    """Of the hidden layers' matrices under `optimizer: muon`; the other parameters keep AdamW's settings."""

    rate: Positive = Field(default=1.0, description="their learning rate, in multiples of learning_rate")
    momentum: Beta = Field(default=0.95, description="decay rate of their mean gradient")


class Penalty(Section):
    """What is added to the loss, so that labels do not go with who is shown; see `stages.train.penalty`."""

    of: Literal["association"] = Field(default="association", description="what it prices")
    weight: NonNegative = Field(default=0.0, description="price of a squared logit between groups; 0: no penalty")
    attributes: Annotated[list[Attribute], Field(min_length=1)] = Field(
        default=["gender", "skin_tone"], description="attributes whose groups are compared"
    )

    @model_validator(mode="after")
    def _known(self) -> "Penalty":
        if other := [name for name in self.attributes if name not in GROUPS]:
            raise ValueError(f"attributes: found {other[0]}, expected some of those annotated: {', '.join(GROUPS)}")
        return self


class Train(Section):
    """CLIP training: the science of params.yaml and the scale of the profile in one section."""

    loss: Literal["clip", "siglip"] = Field(description="contrastive loss: softmax over the batch, or pairwise sigmoid")
    schedule: Annotated[list[Phase], Field(min_length=1)] = Field(description="phases; their shares sum to 1")
    penalty: Penalty = Field(default=Penalty(), description="what is added to the loss")
    model: str | dict[str, Any] = Field(
        description="open_clip name, `hf-hub:`/`local-dir:` id, or an open_clip JSON configuration (embed_dim, …)"
    )
    pretrained: str | None = Field(default=None, description="initial weights of a name: tag or file; none: random")
    tokenizer: Literal["model", "corpus"] = Field(
        description="the model's own vocabulary, or one learned from the captions"
    )
    vocabulary: Annotated[int, Field(ge=300)] = Field(
        default=4096, description="tokens of `tokenizer: corpus`, at most"
    )
    epochs: Positive = Field(
        description="images seen, in multiples of all rows of the mix, whatever the schedule, balancing and filter"
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(description="pairs that one loss compares: all processes together")
    accumulate: Count = Field(default=1, description="pieces a batch is cut into to save memory; same loss, one step")
    optimizer: Literal["adamw", "muon"] = Field(
        default="adamw", description="AdamW, or Muon for the matrices of hidden layers beside it"
    )
    muon: Muon = Field(default=Muon(), description="Muon's own settings")
    learning_rate: Positive = Field(description="peak of the cosine schedule")
    warmup: Annotated[int, Field(ge=0)] = Field(description="optimisation steps of linear warm-up")
    betas: tuple[Beta, Beta] = Field(description="AdamW's decay rates of the moments")
    epsilon: Positive = Field(description="AdamW's epsilon")
    weight_decay: NonNegative = Field(description="AdamW's decay of matrices; gains, biases and norms have none")
    clip_norm: Positive | None = Field(default=None, description="largest norm of the gradient; none: not clipped")
    precision: Literal["float32", "float16", "bfloat16"] = Field(description="of the forward pass (autocast)")
    activation_checkpointing: bool = Field(default=False, description="recompute activations: less memory, slower")
    sync_batchnorm: bool = Field(default=True, description="batch normalisation over all processes' images")
    augmentation: Augmentation = Field(default=Augmentation(), description="random changes of the images")
    workers: Annotated[int, Field(ge=0)] = Field(
        description="processes that read images, a training process; 0: itself"
    )
    threads: Annotated[int, Field(ge=0)] = Field(
        description="CPU threads a process; 0: one a core; part of the result's bits"
    )
    memory: NonNegative = Field(
        description="GB a process may use to hold decoded images; the others are read each time"
    )
    on_bad_sample: Literal["fail", "skip"] = Field(
        description="unreadable images: stop, or take the next and count them"
    )
    log_every: Annotated[float, Field(gt=0, le=1)] = Field(
        description="share of the steps between two points of the curves"
    )
    probe: Annotated[int, Field(ge=0)] = Field(
        description="images of each evaluation set behind the curves; 0: loss only"
    )
    checkpoint_every: Annotated[float, Field(gt=0, le=1)] = Field(description="share of the steps between checkpoints")
    checkpoints: Count = Field(default=2, description="checkpoints kept while training")

    @model_validator(mode="after")
    def _consistent(self) -> "Train":
        total = sum(phase.share for phase in self.schedule)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"schedule: the shares of the phases sum to {total:g}, expected 1")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate: found {self.accumulate}, expected a divisor of batch_size {self.batch_size}")
        if isinstance(self.model, dict):
            if absent := {"embed_dim", "vision_cfg", "text_cfg"} - self.model.keys():
                raise ValueError(f"model: {min(absent)} is missing; expected an open_clip configuration or a name")
            if self.pretrained is not None:
                raise ValueError("pretrained: only a named model has weights; a configuration starts at random")
        if self.pretrained is not None and self.tokenizer == "corpus":
            raise ValueError("tokenizer: found corpus, but pretrained weights know only their own: expected model")
        return self


class Settings(Profile):
    """What this stage reads of all parameters."""

    seeds: list[Seed]
    train: Train
