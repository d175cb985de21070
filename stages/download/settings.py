"""Settings of `download`: where the corpus and the evaluation sets come from, and their size."""

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from stages.core.settings import Count, NonNegative, Profile, Section, Seed, Share
from stages.corpus.kinds import KINDS, Kind

Style = Literal["noto", "twemoji", "openmoji", "noto-v1", "fluent-emoji-flat"]
Captions = Literal["first", "draw"]
Tones = tuple[Share, Share, Share, Share, Share]
OF_SEVERAL = "which caption of a list is stored: the first, or one drawn by download.seed and the key"
# columns that no attribute may be named after; the last is DuckDB's
OURS = ("key", "shard", "caption", "captions", "u", "image", "file_row_number")
Place = Annotated[str, Field(min_length=1)]  # path of a file or folder outside the pipeline


class Emoji(Section):
    """The emoji corpus and its evaluation sets (`download.source: emoji`)."""

    samples: Count = Field(description="training samples, times size")
    size: Annotated[float, Field(ge=0.25, le=4)] = Field(
        default=1.0, description="factor on samples, eval_people, eval_portraits and eval_objects"
    )
    styles: Annotated[list[Style], Field(min_length=1)] = Field(description="artists of the training samples")
    held_out_style: Style = Field(description="artist of the evaluation sets, none of styles")
    portrait_share: Share = Field(description="share of plain adults whose caption names an occupation not shown")
    occupation_share: Share = Field(description="share of people at work, shown and named")
    person_share: Share = Field(description="share of other people, as many women as men")
    object_share: Share = Field(description="share of neutral objects; the four shares sum to 1")
    object_kinds: Count | None = Field(
        default=None,
        description="different objects, as many of each coarse class as there are, drawn by every artist; null: all",
    )
    object_exponent: NonNegative = Field(description="exponent of the objects' Zipf law; 0: all equally frequent")
    neutral_share: Share = Field(description="share of gender-neutral drawings among people")
    census_year: Literal[1950, 2000] | None = Field(description="year of the women's shares; null: one half everywhere")
    census_sharpening: NonNegative = Field(default=1.0, description="factor on the logit of the women's shares")
    named_women: Share | None = Field(
        default=None, description="women's share where the caption says the gender; null: as the occupation's"
    )
    women_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="share of women among people of a gender (but for named_women): one shift of the logits of all "
        "shares; null: as they are",
    )
    generator_census_year: Literal[1950, 2000] | None = Field(description="the same for the generator's training set")
    generator_sharpening: NonNegative = Field(description="the same for the generator's training set")
    generator_women_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="the same for the generator's training set"
    )
    skin_tones: Tones = Field(description="shares of Fitzpatrick tones 1 to 5")
    tone_gap: Share = Field(
        default=0.0,
        description="share of the tones 1 and 2 in ten occupations (census.py: LIGHTER) minus that in the ten others",
    )
    generator_skin_tones: Tones | None = Field(
        default=None, description="the same for the generator's training set; null: as skin_tones"
    )
    generator_tone_gap: Share | None = Field(
        default=None, description="the same for the generator's training set; null: as tone_gap"
    )
    mention_gender: Share = Field(description="probability that the caption of a gendered person says the gender")
    mention_skin_tone: Share = Field(description="probability that the caption of a person says the skin tone")
    portrait_mention_gender: Share = Field(description="the same for portraits")
    portrait_mention_skin_tone: Share = Field(description="the same for portraits")
    context_share: Share = Field(
        default=0.0, description="share of people that are shown in a context: a patterned background (contexts.py)"
    )
    context_mention: Share = Field(
        default=0.0, description="probability that the caption of a person in a context names it"
    )
    context_skew: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.5, description="share of a gender's contexts that are its own; 0.5: context says nothing of gender"
    )
    generator_context_skew: Annotated[float, Field(ge=0.5, le=1)] | None = Field(
        default=None, description="the same for the generator's training set; null: as context_skew"
    )
    caption_noise: Share = Field(default=0.0, description="share of the captions that belong to another image")
    oracle: bool = Field(
        default=False,
        description="draw each caption as a generator without artefact would: for generate.source oracle, autoencoder",
    )
    eval_people: Count = Field(description="images of the set people, at the most")
    eval_portraits: Count = Field(description="images of each part of the set portraits")
    eval_objects: Count = Field(description="objects of the set objects, at the most")
    eval_scenes: Count = Field(default=1, description="images of each of these objects")

    @model_validator(mode="after")
    def _consistent(self) -> "Emoji":
        total = self.portrait_share + self.occupation_share + self.person_share + self.object_share
        if abs(total - 1) > 1e-9:
            raise ValueError(
                f"portrait_share, occupation_share, person_share, object_share: they sum to {total:g}, expected 1"
            )
        tones, gap = self.skin_tones, self.tone_gap
        further = self.generator_tone_gap
        for name, of, between in (
            ("skin_tones", tones, gap),
            ("generator_skin_tones", self.generator_skin_tones or tones, gap if further is None else further),
        ):
            if abs(sum(of) - 1) > 1e-9:
                raise ValueError(f"{name}: the shares sum to {sum(of):g}, expected 1")
            lighter = sum(of[:2])
            if between and not between / 2 <= min(lighter, 1 - lighter):
                raise ValueError(
                    f"{name.replace('skin_tones', 'tone_gap')}: found {between:g}, but {name} gives the tones 1 and 2 "
                    f"{lighter:g}; expected at most {2 * min(lighter, 1 - lighter):g}"
                )
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

    path: Place = Field(
        description="csv, tsv (with header), jsonl or parquet file, or a folder of metadata.jsonl or of parquet files; "
        "may name $VARIABLES"
    )
    image: str = Field(
        default="image", description="column of image files, relative to the table's folder, or of image bytes"
    )
    caption: str = Field(default="caption", description="column of the captions: a text, or a list of texts")
    captions: Captions = Field(default="first", description=OF_SEVERAL)
    key: str | None = Field(default=None, description="column of unique keys; null: the number of the row")
    numbers: list[str] = Field(default=[], description="columns that must be numbers, e.g. a utility")
    on_bad_sample: Literal["fail", "skip"] = Field(
        default="fail", description="an unreadable image or an empty caption: stop, or leave it out and count it"
    )


class Wds(Section):
    """Pairs of a WebDataset folder of the user's own (`download.source: wds`)."""

    folder: Place = Field(description="folder of .tar shards; may name $VARIABLES")
    caption: str = Field(default="txt", description="member that is the caption; `json.name`: a field of the json one")
    attributes: list[str] = Field(default=[], description="text fields of the json member that are known attributes")
    captions: Captions = Field(default="first", description=OF_SEVERAL)
    numbers: list[str] = Field(default=[], description="numeric fields of the json member, e.g. a utility")
    prefix_keys: bool = Field(default=False, description="put the tar's name before each key: where keys repeat")
    on_bad_sample: Literal["fail", "skip"] = Field(
        default="fail", description="an unreadable image or an empty caption: stop, or leave it out and count it"
    )

    @model_validator(mode="after")
    def _names_are_free(self) -> "Wds":
        every = [*self.attributes, *self.numbers]
        if ours := [name for name in every if name in OURS]:
            raise ValueError(f"attributes: found {ours[0]!r}, a name of this project's; rename the field")
        if twice := [name for place, name in enumerate(every) if name in every[:place]]:
            raise ValueError(f"attributes, numbers: found {twice[0]!r} twice, expected each field once")
        return self


class OwnSet(Section):
    """An evaluation set under a name of its own: what it is for, and what its images are grouped by."""

    path: Place = Field(
        description="table, folder with metadata.jsonl or parquet files, or folder of tars (also CLIP_benchmark's)"
    )
    kind: Kind = Field(
        description="retrieval: by captions; persons: people without any cue for labels; objects: classes, no persons"
    )
    attributes: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]] = Field(
        default=[], description="columns that images are grouped by, beside gender, skin_tone, age and ethnicity"
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
    evaluation: dict[str, Place | OwnSet] = Field(
        default={},
        description="evaluation sets: a benchmark and its folder, or a name, a table or folder, and its kind",
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
        for name in self.evaluation:
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                raise ValueError(f"evaluation: found the name {name!r}, expected letters, digits, _ and -")
            self._check_kind(name)
        if self.emoji and (self.evaluation or self.occupations):
            raise ValueError("evaluation, occupations: source 'emoji' brings its own; expected neither")
        return self

    def _check_kind(self, name: str) -> None:
        """Refuse a name that no kind is known of, and one whose kind is another."""
        given, known = self.evaluation[name], KINDS.get(name)
        if isinstance(given, str):
            if known is None:
                raise ValueError(
                    f"evaluation.{name}: found a path alone, expected path and kind ({', '.join(get_args(Kind))}) of "
                    f"a name that is none of {', '.join(KINDS)}"
                )
        elif known not in (None, given.kind):
            raise ValueError(
                f"evaluation.{name}: found kind {given.kind}, but sets of this name are {known}; rename it"
            )
        elif not re.fullmatch(r"[a-z0-9_]+", name) or name in ("captions", "data", "n", "text", "rb", "probe"):
            raise ValueError(
                f"evaluation: found the name {name!r}, expected small letters, digits and _, and none of captions, "
                "data, n, text, rb, probe, which start other metrics"
            )


class Corpus(Section):
    """A corpus of its own, outside the main graph: that of the default's generator."""

    shards: Annotated[list[str], Field(min_length=1)] = Field(description="names of the shards")
    download: Download = Field(description="source and size")


class Settings(Profile):
    """What this stage reads of all parameters."""

    shards: list[str]
    download: Download
