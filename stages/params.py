"""Typed parameters of every stage: `params.yaml` (the science) and `stages/profiles/<profile>.yaml` (the scale).

Every stage loads and validates *all* of them before it does anything, so a typing error costs a second, not a night.
One class a stage, one field a key, each with its meaning and unit; unknown keys are refused. A number that YAML reads
as a string (``1e-4``, and the ``1e-05`` that ``dvc exp run -S`` writes) is understood as the number.

``python -m stages.params`` validates and prints the whole set; ``--profile`` does so for another profile, ``--keys``
lists every key with its type and meaning.
"""

import argparse
import csv
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.errors import InputError, run
from stages.groups import GROUPS

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Goal = Literal["none", "equal", "observed"]
MarginalsFile = Annotated[str, Field(pattern=r"\.csv$")]
Style = Literal["noto", "twemoji", "openmoji", "noto-v1", "fluent-emoji-flat"]
Place = Annotated[str, Field(min_length=1)]  # path of a file or folder outside the pipeline
Attribute = Literal["gender", "skin_tone", "age", "ethnicity"]
EvaluationSet = Literal[
    "people", "phase", "coco_gender", "coco", "portraits", "fairface", "utkface", "miap", "objects", "imagenet"
]
EMOJI_SETS = ("people", "portraits", "objects")  # that the source emoji brings


class Section(BaseModel):
    """A block of keys: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Contamination(Section):
    """The first knob: how much of the training set is generated (arXiv 2404.03242)."""

    alpha: Share = Field(description="share of samples whose image is replaced by a generated one, in [0, 1]")


class Balance(Section):
    """The second knob: which moments of the mix are balanced, and how (arXiv 2403.04547)."""

    method: Literal["none", "random", "reweighing", "m4_sgd", "m4"] = Field(description="how rows are weighted")
    target: Goal | MarginalsFile | dict[Attribute, Goal | dict[str, Share]] = Field(
        description="`none`, `equal`, `observed` (associations only), the path of a csv with marginals, or for some "
        "attributes one of these words or {group: share}"
    )
    attributes: Annotated[list[Attribute], Field(min_length=1)] = Field(description="sensitive attributes to report")
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
    utility: str | None = Field(default=None, description="column of samples.parquet with numbers ≥ 0: what to favour")
    utility_bins: Annotated[int, Field(ge=0)] = Field(default=32, description="bins of the utility; 0: exact values")
    compensate: Literal["none", "repeat"] = Field(
        default="none", description="whether the rows taken repeat until an epoch is as long as before"
    )
    sgd_passes: Count = Field(default=1, description="passes of m4_sgd over the rows")
    seed: Seed = Field(default=0, description="seed of m4_sgd's order of rows")

    @model_validator(mode="after")
    def _targets_are_attributes(self) -> "Balance":
        if other := [name for name in self.attributes if name not in GROUPS]:
            raise ValueError(f"attributes: found {other[0]}, expected some of those annotated: {', '.join(GROUPS)}")
        goals = self.target if isinstance(self.target, dict) else {}
        if unwanted := sorted(set(goals) - set(self.attributes)):
            raise ValueError(
                f"target: found {unwanted[0]}, expected one of balance.attributes ({', '.join(self.attributes)})"
            )
        for attribute, goal in goals.items():
            if not isinstance(goal, dict):
                continue
            if sorted(goal) != sorted(GROUPS[attribute]):
                raise ValueError(
                    f"target.{attribute}: found {', '.join(goal) or 'no group'}, expected the groups "
                    f"{', '.join(GROUPS[attribute])}"
                )
            if abs(sum(goal.values()) - 1) > 1e-6:
                raise ValueError(f"target.{attribute}: the shares sum to {sum(goal.values()):g}, expected 1")
        return self


class Phase(Section):
    """One phase of the training schedule."""

    data: Literal["mixed", "balanced"] = Field(description="the rows seen: the mix at α, or its balanced selection")
    share: Annotated[float, Field(gt=0, le=1)] = Field(description="share of the optimisation steps, in (0, 1]")


class Emoji(Section):
    """The emoji corpus and its evaluation sets (`download.source: emoji`)."""

    samples: Count = Field(description="training samples")
    styles: Annotated[list[Style], Field(min_length=1)] = Field(description="artists of the training samples")
    held_out_style: Style = Field(description="artist of the evaluation sets, none of styles")
    portrait_share: Share = Field(description="share of plain adults whose caption names an occupation not shown")
    occupation_share: Share = Field(description="share of people at work, shown and named")
    person_share: Share = Field(description="share of other people, as many women as men")
    object_share: Share = Field(description="share of neutral objects; the four shares sum to 1")
    object_exponent: NonNegative = Field(description="exponent of the objects' Zipf law; 0: all equally frequent")
    neutral_share: Share = Field(description="share of gender-neutral drawings among people")
    census_year: Literal[1950, 2000] | None = Field(description="year of the women's shares; null: one half everywhere")
    census_sharpening: NonNegative = Field(default=1.0, description="factor on the logit of the women's shares")
    named_women: Share | None = Field(
        default=None, description="women's share where the caption says the gender; null: as the occupation's"
    )
    generator_census_year: Literal[1950, 2000] | None = Field(description="the same for the generator's training set")
    generator_sharpening: NonNegative = Field(description="the same for the generator's training set")
    skin_tones: tuple[Share, Share, Share, Share, Share] = Field(description="shares of Fitzpatrick tones 1 to 5")
    mention_gender: Share = Field(description="probability that the caption of a gendered person says the gender")
    mention_skin_tone: Share = Field(description="probability that the caption of a person says the skin tone")
    portrait_mention_gender: Share = Field(description="the same for portraits")
    portrait_mention_skin_tone: Share = Field(description="the same for portraits")
    eval_people: Count = Field(description="images of the set people, at the most")
    eval_portraits: Count = Field(description="images of each part of the set portraits")
    eval_objects: Count = Field(description="images of the set objects, at the most")

    @model_validator(mode="after")
    def _consistent(self) -> "Emoji":
        total = self.portrait_share + self.occupation_share + self.person_share + self.object_share
        if abs(total - 1) > 1e-9:
            raise ValueError(
                f"portrait_share, occupation_share, person_share, object_share: they sum to {total:g}, expected 1"
            )
        if abs(sum(self.skin_tones) - 1) > 1e-9:
            raise ValueError(f"skin_tones: the shares sum to {sum(self.skin_tones):g}, expected 1")
        if len(set(self.styles)) < len(self.styles) or self.held_out_style in self.styles:
            raise ValueError("styles: a style comes twice, or is held_out_style; expected each of them once")
        return self


class CC3M(Section):
    """Pairs of a url list, fetched by img2dataset (`download.source: cc3m`)."""

    list: Place = Field(description="tsv without header: caption, url (Train-GCC-training.tsv); may name $VARIABLES")
    distributor: Literal["multiprocessing", "pyspark", "ray"] = Field(
        default="multiprocessing", description="what img2dataset spreads the shards with; the latter two once installed"
    )
    processes: Count = Field(description="processes that fetch; each takes a shard at a time")
    threads: Count = Field(description="connections a process")
    timeout: Count = Field(default=10, description="seconds until a url counts as failed")
    retries: Annotated[int, Field(ge=0)] = Field(default=2, description="further attempts at a url that failed")
    shard_retries: Annotated[int, Field(ge=0)] = Field(default=1, description="further attempts at a whole shard")
    min_side: Count = Field(default=32, description="pixels; smaller images are placeholders, and count as lost")


class Table(Section):
    """Pairs of a table of the user's own (`download.source: table`); further columns are known attributes."""

    path: Place = Field(description="csv, tsv (with header) or parquet file; may name $VARIABLES")
    image: str = Field(default="image", description="column of the image files, relative to the table's folder")
    caption: str = Field(default="caption", description="column of the captions")
    key: str | None = Field(default=None, description="column of unique keys; null: the number of the row")
    on_bad_sample: Literal["fail", "skip"] = Field(
        default="fail", description="an unreadable image or an empty caption: stop, or leave it out and count it"
    )


class Wds(Section):
    """Pairs of a WebDataset folder of the user's own (`download.source: wds`)."""

    folder: Place = Field(description="folder of .tar shards; may name $VARIABLES")
    caption: str = Field(default="txt", description="member that is the caption; `json.name`: a field of the json one")
    attributes: list[str] = Field(default=[], description="text fields of the json member that are known attributes")
    numbers: list[str] = Field(default=[], description="numeric fields of the json member, e.g. a utility")
    prefix_keys: bool = Field(default=False, description="put the tar's name before each key: where keys repeat")
    on_bad_sample: Literal["fail", "skip"] = Field(
        default="fail", description="an unreadable image or an empty caption: stop, or leave it out and count it"
    )


class Download(Section):
    """Corpus and evaluation sets: source and size."""

    source: Literal["emoji", "cc3m", "wds", "table"] = Field(description="where the corpus comes from")
    resolution: Count = Field(description="side of the square images, pixels")
    seed: Seed = Field(description="seed of the corpus draws and of the fixed uniform number of each sample")
    emoji: Emoji | None = Field(default=None, description="the emoji corpus, where it is the source")
    cc3m: CC3M | None = Field(default=None, description="the url list, where it is the source")
    table: Table | None = Field(default=None, description="the user's table, where it is the source")
    wds: Wds | None = Field(default=None, description="the user's WebDataset folder, where it is the source")
    evaluation: dict[str, Place] = Field(
        default={}, description="evaluation sets: name of a benchmark and its folder, or a name and the user's table"
    )
    occupations: Place | None = Field(
        default=None, description="csv of known shares of women: occupation, women_corpus, women_generator"
    )

    @model_validator(mode="after")
    def _source_is_described(self) -> "Download":
        for name in ("emoji", "cc3m", "table", "wds"):
            if (self.source == name) != (getattr(self, name) is not None):
                there = "set" if getattr(self, name) else "not set"
                raise ValueError(
                    f"source: found {self.source!r} and the block {name} {there}; it belongs to source {name!r}, and "
                    "to that one only"
                )
        if self.emoji and (self.evaluation or self.occupations):
            raise ValueError("evaluation, occupations: source 'emoji' brings its own; expected neither")
        return self


class Corpus(Section):
    """A corpus of its own, outside the main graph: that of the default's generator."""

    shards: Annotated[list[str], Field(min_length=1)] = Field(description="names of the shards")
    download: Download = Field(description="source and size")


class Generate(Section):
    """One synthetic image a caption, by a latent diffusion model in the Stable Diffusion format."""

    model: str = Field(description="folder or hub id of a StableDiffusionPipeline")
    revision: str | None = Field(default=None, description="hub revision (commit) of the model; none for a folder")
    scheduler: Literal["dpmsolver++", "ddim", "pndm", "euler", "unipc"] = Field(description="diffusion solver")
    steps: Count = Field(description="solver steps an image")
    guidance: NonNegative = Field(description="classifier-free guidance scale; 1 or less: no guidance")
    guidance_stop: Share = Field(default=1.0, description="share of the steps that are guided, from the first on")
    negative_prompt: str = Field(default="", description="prompt to steer away from")
    safety_checker: bool = Field(description="blank images that the model's safety checker flags (published: off)")
    resolution: Count = Field(description="side of the generated images before the resize to download.resolution")
    batch_size: Count = Field(description="prompts a batch; halved when memory runs out")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(description="precision of the denoiser")
    max_alpha: Share = Field(description="images are made for samples with u below this: the largest α that can run")
    seed: Seed = Field(description="seed of the initial noise; one derived seed a key")


class ZeroShot(Section):
    """A pretrained open_clip model that recognises groups by prompts."""

    model: str = Field(description="open_clip name, `hf-hub:` id, or `local-dir:` and a folder")
    pretrained: str | None = Field(default=None, description="for a name: tag or file of its weights")
    batch_size: Count = Field(default=256, description="images a forward pass")


class Annotate(Section):
    """Sensitive attributes s and labels y of real and synthetic images."""

    source: Literal["metadata", "caption", "zero_shot"] = Field(
        description="metadata: what is known of real images, a classifier for synthetic ones; caption: words, for "
        "both; zero_shot: a pretrained model on the images, for both"
    )
    zero_shot: ZeroShot | None = Field(
        default=None, description="the pretrained model; beside source caption, its agreement with it is reported"
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
        if self.source == "metadata" and self.zero_shot is not None:
            raise ValueError("zero_shot: found a model beside source metadata; expected none, or another source")
        return self


class Augmentation(Section):
    """Random changes of the training images, as in open_clip (`open_clip.transform.AugmentationCfg`)."""

    scale: tuple[Share, Share] = Field(default=(0.9, 1.0), description="share of the area that a random crop keeps")
    ratio: tuple[Positive, Positive] = Field(default=(3 / 4, 4 / 3), description="width / height of a random crop")
    color_jitter: tuple[NonNegative, NonNegative, NonNegative, Annotated[float, Field(ge=0, le=0.5)]] = Field(
        default=(0.0, 0.0, 0.0, 0.0), description="strengths of brightness, contrast, saturation and hue"
    )
    color_jitter_prob: Share = Field(default=0.0, description="probability of the colour jitter")
    gray_scale_prob: Share = Field(default=0.0, description="probability of losing all colour")

    @model_validator(mode="after")
    def _ordered(self) -> "Augmentation":
        for name in ("scale", "ratio"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name}: found [{low:g}, {high:g}], expected 0 < low <= high")
        return self


class Quality(Section):
    """The filter before training: pairs whose image and text are least alike under a given model are dropped."""

    model: str = Field(
        description="open_clip name, `hf-hub:` id, or `local-dir:` and a folder such as a trained model's"
    )
    pretrained: str | None = Field(default=None, description="for a name: tag or file of its weights")
    quantile: Annotated[float, Field(ge=0, lt=1)] = Field(description="share of the pairs that is dropped, in [0, 1)")


class Train(Section):
    """CLIP training: the science of params.yaml and the scale of the profile in one section."""

    loss: Literal["clip", "siglip"] = Field(description="contrastive loss: softmax over the batch, or pairwise sigmoid")
    schedule: Annotated[list[Phase], Field(min_length=1)] = Field(description="phases; their shares sum to 1")
    quality: Quality | None = Field(default=None, description="quality filter of both data; none by default")
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
    epochs: Positive = Field(description="images seen, in multiples of the rows of the mix, whatever the schedule")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="pairs that one loss compares: all processes together")
    accumulate: Count = Field(default=1, description="pieces a batch is cut into to save memory; same loss, one step")
    learning_rate: Positive = Field(description="peak of the cosine schedule")
    warmup: Annotated[int, Field(ge=0)] = Field(description="optimisation steps of linear warm-up")
    betas: tuple[Share, Share] = Field(description="AdamW's decay rates of the moments")
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

    epochs: Positive = Field(description="passes over the captioner's rows; a part of one is allowed")
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

    captioners: list[Literal["clipcap", "transformer"]] = Field(description="which, in order; none: no captions")
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

    @model_validator(mode="after")
    def _once(self) -> "Caption":
        if len(set(self.captioners)) < len(self.captioners):
            raise ValueError(f"captioners: found {self.captioners}, expected each once")
        return self


class Leakage(Section):
    """LIC: what captions with masked attribute words give away (Hirota et al. 2022)."""

    attributes: list[Attribute] = Field(description="read from captions; none: no LIC")
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
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


class Evaluate(Section):
    """What is measured, and how."""

    mode: Literal["corrected", "as_published"] = Field(description="exact metrics, or the published code's defects")
    sets: Annotated[list[EvaluationSet], Field(min_length=1)] = Field(
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
    meteor: bool = Field(default=False, description="captions: also METEOR 1.5, which needs Java")
    leakage: Leakage = Field(description="LIC of the generated captions")
    seed: Seed = Field(default=0, description="seed of bootstrap, permutations and broken ties")


class Plot(Section):
    """Figures and the report."""

    pairs: Count = Field(description="real images shown beside synthetic ones")
    captions: Count = Field(description="held-out images shown with their captions")
    seed: Seed = Field(description="of the hash by which both are drawn")


class Gate(Section):
    """What a change must not make worse (`python -m stages.gate`)."""

    metrics: dict[str, NonNegative] = Field(
        default={}, description="key of metrics.json: worsening that is let through, in its unit, beside the noise"
    )


class Study(Section):
    """The grid of `python -m stages.study`: a DVC experiment a point."""

    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(description="of every point; methods are paired by them")
    alphas: Annotated[list[Share], Field(min_length=1)] = Field(description="values of contamination.alpha")
    methods: Annotated[list[str], Field(min_length=1)] = Field(description="values of balance.method")
    fixed: dict[str, Any] = Field(default={}, description="other values of every point, by dotted key")
    further: list[dict[str, Any]] = Field(
        default=[], description="points beside the grid: values by dotted key, on top of `fixed`"
    )
    main: list[str] = Field(default=[], description="metrics that the question hangs on; tested as a family of its own")


class Params(Section):
    """All parameters of one run."""

    profile: str = Field(description="name of a file in stages/profiles/: the scale of the run")
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(description="one model is trained a seed")
    shards: Annotated[list[str], Field(min_length=1)] = Field(description='names of the shards: "00000", "00001", …')
    contamination: Contamination
    balance: Balance
    download: Download
    generate: Generate
    annotate: Annotate
    train: Train
    caption: Caption
    evaluate: Evaluate
    plot: Plot
    gate: Gate = Field(default=Gate(), description="what a change must not make worse")
    study: Study | None = Field(default=None, description="the grid of `make study`")

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        expected = [f"{index:05d}" for index in range(len(self.shards))]
        if self.shards != expected:
            raise ValueError(f"shards: found {self.shards}, expected {expected}: consecutive five-digit names")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: found {self.seeds}, expected each seed once")
        if self.contamination.alpha > self.generate.max_alpha:
            raise ValueError(
                f"contamination.alpha: found {self.contamination.alpha:g}, above generate.max_alpha "
                f"{self.generate.max_alpha:g}; lower alpha, or raise max_alpha (which generates more images)"
            )
        sets = EMOJI_SETS if self.download.emoji else tuple(self.download.evaluation)  # none: only data is made
        if sets and (other := [name for name in self.evaluate.sets if name not in sets]):
            named = "the sets of source emoji" if self.download.emoji else "those of download.evaluation"
            raise ValueError(f"evaluate.sets: found {other[0]!r}, expected some of {', '.join(sets)}: {named}")
        if sets and self.caption.captioners and self.caption.evaluation_set not in sets:
            raise ValueError(
                f"caption.evaluation_set: found {self.caption.evaluation_set!r}, expected one of {', '.join(sets)}"
            )
        return self

    def check_seed(self, seed: int) -> None:
        """
        Refuse a seed that is not among `seeds`.

        Parameters
        ----------
        seed : int
            Of a command line.

        Raises
        ------
        InputError
            If it is none of them.
        """
        if seed not in self.seeds:
            raise InputError(
                f"--seed: found {seed}, expected one of {', '.join(map(str, self.seeds))} (params.yaml: seeds)"
            )

    @property
    def folder(self) -> Path:
        """`data/<profile>`: everything a run writes."""
        return Path("data") / self.profile


def load(root: Path = Path(), profile: str | None = None) -> Params:
    """
    Read and validate all parameters.

    Parameters
    ----------
    root : Path
        The project's folder.
    profile : str, optional
        Another profile than the one that params.yaml names.

    Returns
    -------
    Params
        Frozen.

    Raises
    ------
    InputError
        One line naming file and key, what was found and what is expected.
    """
    science_path = root / "params.yaml"
    science = _read(science_path)
    name = profile or science.get("profile")
    known = sorted(path.stem for path in (root / "stages" / "profiles").glob("*.yaml"))
    if name not in known:
        raise InputError(f"{science_path}: profile: found {name!r}, expected one of {', '.join(known)}")
    scale_path = root / "stages" / "profiles" / f"{name}.yaml"
    scale = _read(scale_path)
    merged: dict[str, Any] = {**science, "profile": name}
    for section, values in scale.items():
        ours, theirs = science.get(section, {}), values or {}
        if not isinstance(ours, dict) or not isinstance(theirs, dict):
            raise InputError(f"{scale_path}: {section}: found {values!r}, expected keys and values")
        if twice := sorted(ours.keys() & theirs.keys()):
            raise InputError(f"{scale_path}: {section}.{twice[0]}: also set in {science_path}; keep one of the two")
        merged[section] = {**ours, **theirs}

    def file(location: list[str]) -> Path:
        section, field = [*location, "", ""][:2]
        in_scale = section in scale and (section not in science or field in (scale[section] or {}))
        return scale_path if in_scale else science_path

    try:
        params = Params.model_validate(merged)
    except ValidationError as error:
        location, text = mistake(error)
        raise InputError(f"{file(location)}: {text}") from None
    if isinstance(params.balance.target, str) and params.balance.target.endswith(".csv"):
        _check_marginals(root / params.balance.target, params.balance.attributes, file(["balance", "target"]))
    return params


SectionType = TypeVar("SectionType", bound=Section)


def load_section(path: Path, name: str, section: type[SectionType]) -> SectionType:
    """
    Read and validate one section of a parameter file of its own, outside the main graph.

    Parameters
    ----------
    path : Path
        The YAML file.
    name : str
        The section's key.
    section : type
        Its class.

    Returns
    -------
    Section
        Frozen.

    Raises
    ------
    InputError
        One line naming file and key, what was found and what is expected.
    """
    values = _read(path)
    if name not in values:
        raise InputError(f"{path}: {name}: missing")
    try:
        return section.model_validate(values[name])
    except ValidationError as error:
        raise InputError(f"{path}: {name}.{mistake(error, section)[1]}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(), _Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run in the project's folder") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise InputError(
            f"{path}: {f'line {mark.line + 1}: ' if mark else ''}{error.problem or error.context}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: found {type(values).__name__}, expected keys and values")
    return values


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice in a block, of which YAML would keep the last and say nothing."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in lines:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value}: set in line {lines[key.value]} already; keep one of the two",
                    problem_mark=key.start_mark,
                )
            if isinstance(key, yaml.ScalarNode):
                lines[key.value] = line
        return node


def mistake(error: ValidationError, model: type[BaseModel] = Params) -> tuple[list[str], str]:
    """
    Say the first mistake in one line.

    Parameters
    ----------
    error : ValidationError
        Of the model. Its own validators say ``"key: what is wrong"``.
    model : type
        What was validated.

    Returns
    -------
    tuple of (list of str, str)
        Where, part by part; and the line: dotted key, what was found, what is expected.
    """
    errors = error.errors()
    first = errors[0]
    location = [str(part) for part in first["loc"]]
    if first["type"] == "value_error":
        keys, _, said = first["msg"].removeprefix("Value error, ").partition(": ")
        outer = [_describe(location, model)[0]] if location else []
        return [*location, *keys.split(",")[0].split(".")], f"{'.'.join([*outer, keys])}: {said}"
    if first["type"] == "extra_forbidden":
        return location, _unknown(location, model)
    key, description = _describe(location, model)
    expected = f" ({description})" if description else ""
    if first["type"] != "missing":
        message = str(first["msg"])
        return location, f"{key}: found {_short(first['input'])}: {message[0].lower()}{message[1:]}{expected}"
    missing = f"{key}: missing{expected}"
    for other in errors:  # a misspelt key is missing under its right name
        if other["type"] == "extra_forbidden" and other["loc"][:-1] == first["loc"][:-1]:
            misspelt = [str(part) for part in other["loc"]]
            return misspelt, f"{_unknown(misspelt, model)}; {missing}"
    return location, missing


def _unknown(location: list[str], model: type[BaseModel]) -> str:
    known = ", ".join(_section(location, model).model_fields)
    return f"{'.'.join(location)}: unknown key; remove it or correct its spelling (known: {known})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _section(location: list[str], model: type[BaseModel]) -> type[BaseModel]:
    """Find the class whose field the last part of a location is, as far as it can be followed."""
    for part in location[:-1]:
        found = model.model_fields.get(part)
        if found is None:
            break
        candidates = [found.annotation, *get_args(found.annotation)]
        inner = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if inner is None:
            break
        model = inner
    return model


def _describe(location: list[str], model: type[BaseModel]) -> tuple[str, str]:
    """Return the dotted key (without pydantic's names of union members) and the field's description."""
    for depth in range(len(location), 0, -1):
        field = _section(location[:depth], model).model_fields.get(location[depth - 1])
        if field is not None:
            index = [part for part in location[depth:] if part.isdigit()]
            return ".".join(location[:depth] + index[:1]), field.description or ""
    return ".".join(location), ""


def _check_marginals(path: Path, attributes: list[Attribute], named_in: Path) -> None:
    """Refuse a csv of marginals that is not there or lacks a column; what it holds is checked when it is read."""
    try:
        with path.open(newline="") as file:
            header = next(csv.reader(file), [])
    except OSError as error:
        raise InputError(
            f"{named_in}: balance.target: {path}: {(error.strerror or 'unreadable').lower()}; expected a csv with a "
            "column of groups for each of balance.attributes"
        ) from None
    if absent := [name for name in attributes if name not in header]:
        raise InputError(
            f"{named_in}: balance.target: {path}: no column {absent[0]} (found {', '.join(header) or 'none'})"
        )


def main() -> None:
    """Validate, and print every value."""
    from stages import gate, keys  # these run for this program alone, and for no stage

    parser = argparse.ArgumentParser(prog="python -m stages.params", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--profile", help="another profile than the one params.yaml names")
    parser.add_argument("--keys", action="store_true", help="list every key with its type and meaning instead")
    arguments = parser.parse_args()
    if arguments.keys:
        print(keys.listing(Params))
        return
    params = load(profile=arguments.profile)
    gate.check_keys(params.gate.metrics)
    print(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")


if __name__ == "__main__":
    run(main)
