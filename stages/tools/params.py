"""All parameters of a run: validate them together, print them, or list every key with its type and meaning.

python -m stages.tools.params             every value, validated
python -m stages.tools.params --keys      every key with its type and meaning
python -m stages.tools.params --check F   validate, and write a constant to F: the first stage of the pipeline
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, model_validator

from stages.annotate.settings import Annotate
from stages.balance.settings import Balance, Contamination
from stages.caption.settings import Caption
from stages.core.atomic import written
from stages.core.errors import InputError, run
from stages.core.settings import Count, Merged, NonNegative, Once, Profile, Section, Seed, Share
from stages.corpus.words import GROUPS
from stages.download.settings import Download
from stages.evaluate.settings import Evaluate
from stages.generate.settings import Generate
from stages.plot.settings import Plot
from stages.pretrain.settings import Measures, Tune
from stages.results.formatting import NOT_BALANCED
from stages.results.registry import is_known
from stages.results.repository import tracked
from stages.tools import parameter_help
from stages.tools.gate.keys import check_keys
from stages.train.settings import Train

EMOJI_SETS = ("people", "portraits", "objects")  # that the source emoji brings
PLACE = {"seeds": "the replicate", "profile": "params.yaml"}  # what a point takes from its place, and who states it
REPLICATE = {**PLACE, "contamination.seed": "the replicate"}  # `fixed` may set this one: one draw for all replicates


def _refuse_stated(where: str, values: Mapping[str, Any], stated: Mapping[str, str]) -> None:
    """Refuse settings of a key, of one below it or of the block above it, that something else states."""
    for key in values:
        for other, by in stated.items():
            if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                raise ValueError(f"{where}: found {key}, but {other} is what {by} states; remove it")


def _refuse_unknown(where: str, metrics: Iterable[str]) -> None:
    """Refuse metrics that no run can have."""
    if unknown := [key for key in metrics if not is_known(key)]:
        raise ValueError(
            f"{where}: found {unknown[0]!r}, expected a metric (`python -m stages.tools.metric_help` lists them)"
        )


class Gate(Section):
    """What a change must not make worse (`python -m stages.tools.gate`)."""

    metrics: dict[str, NonNegative] = Field(
        default={}, description="key of details.json: worsening that is let through, in its unit"
    )
    cannot_tell: Literal["fail", "pass"] = Field(
        default="fail", description="what a change does that noise hides: fail, with exit code 3, or pass"
    )
    quality_drop: Share = Field(
        default=0.25, description="share of a quality metric whose loss fails whatever the noise; at chance fails too"
    )


class Part(Section):
    """Lines of a study that ask a question of their own."""

    question: str = Field(default="", description="what is asked, in words")
    alphas: Annotated[list[Share], Field(min_length=1), Once] = Field(description="values of contamination.alpha")
    replicates: Count | None = Field(default=None, description="so many of the seeds, the first ones; null: all")
    lines: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] = Field(
        description="what each line sets on top of `study.fixed`, by dotted key; a name that begins with a method's "
        '("m4, open") has its colour'
    )
    references: Annotated[list[str], Once] = Field(
        default=[], description="lines, of the part or of the grid, that its lines are held against; []: as the grid's"
    )


class Claim(Section):
    """What was published, and which effect of the study answers it."""

    claim: str = Field(description="in words")
    published: str = Field(description="what was found, and where")
    metric: str = Field(description="key of the metric")
    line: str = Field(description="of which line")
    reference: str | None = Field(
        default=None,
        description="line that it is held against; null: the line at the lowest α, against that at `alpha`",
    )
    alpha: Share | Literal["mean"] = Field(default="mean", description="at which α, or on average over all")
    expected: Literal["higher", "lower", "equal", "not higher", "not lower"] = Field(
        description="what was published; of metrics whose ideal is 0 or ½, of the distance from it"
    )
    least: NonNegative = Field(description="smallest effect of interest, in the metric's unit, named before the run")


class Study(Section):
    """The grid of `python -m stages.tools.study`: a DVC experiment a point."""

    seeds: Annotated[list[Seed], Field(min_length=1), Once] = Field(
        description="replicates of every cell, each a model and a draw of rows of its own; methods are paired by them"
    )
    alphas: Annotated[list[Share], Field(min_length=1), Once] = Field(description="values of contamination.alpha")
    methods: Annotated[list[str], Field(min_length=1), Once] = Field(description="values of balance.method")
    fixed: dict[str, Any] = Field(default={}, description="other values of every point, by dotted key")
    parts: dict[str, Part] = Field(default={}, description="lines beside the grid, by part")
    claims: list[Claim] = Field(default=[], description="what was published, to be answered by the study")
    main: Annotated[list[str], Field(max_length=5), Once] = Field(
        default=[],
        description="metrics that are tested, at most five, named before the run; others get intervals alone",
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        names = {NOT_BALANCED if method == "none" else method: method for method in self.methods}
        of: dict[str, str] = dict.fromkeys(names, "the grid")
        for part, settings in self.parts.items():
            if (settings.replicates or 1) > len(self.seeds):
                raise ValueError(
                    f"parts.{part}.replicates: found {settings.replicates}, expected at most {len(self.seeds)}, the "
                    "number of seeds"
                )
            for line, values in settings.lines.items():
                if line in names and values == {"balance.method": names[line]}:
                    continue  # the same line, at more α
                if line in of:
                    raise ValueError(f"parts.{part}.lines: found {line!r}, which {of[line]} has; rename one")
                of[line] = f"parts.{part}"
        named = [(f"parts.{part}.references", one) for part, own in self.parts.items() for one in own.references]
        named += [(f"claims.{i}.line", own.line) for i, own in enumerate(self.claims)]
        named += [(f"claims.{i}.reference", own.reference) for i, own in enumerate(self.claims) if own.reference]
        if unknown := next(((where, one) for where, one in named if one not in of), None):
            raise ValueError(f"{unknown[0]}: found {unknown[1]!r}, expected a line: {', '.join(sorted(of))}")
        return self

    @model_validator(mode="after")
    def _keys_are_its_own(self) -> "Study":
        stated = {"contamination.alpha": "alphas", **REPLICATE}
        _refuse_stated("fixed", self.fixed, {"contamination.alpha": "alphas", **PLACE})
        for part, settings in self.parts.items():
            for line, values in settings.lines.items():
                _refuse_stated(f"parts.{part}.lines.{line}", values, stated)
        _refuse_unknown("main", self.main)
        for place, claim in enumerate(self.claims):
            _refuse_unknown(f"claims.{place}.metric", [claim.metric])
        return self


class Counterweights(Section):
    """Every lever against bias on one table: `python -m stages.tools.counterweights`, a DVC experiment a point."""

    seeds: Annotated[list[Seed], Field(min_length=1), Once] = Field(
        description="replicates of every lever, as of the study"
    )
    fixed: dict[str, Any] = Field(default={}, description="values of every point, by dotted key")
    levers: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] = Field(
        description="what each lever sets on top of `fixed`, by dotted key; its erasers are rows of their own"
    )
    metrics: Annotated[list[str], Field(min_length=1), Once] = Field(
        description="columns of the table; `a/b`: percent of b that a reaches; `seconds`: time of a run"
    )
    bias: str = Field(description="metric of the figure: across")
    quality: str = Field(description="metric of the figure: up")

    @model_validator(mode="after")
    def _keys_are_its_own(self) -> "Counterweights":
        _refuse_stated("fixed", self.fixed, PLACE)
        for lever, values in self.levers.items():
            stated = {"contamination.alpha": "counterweights.fixed, for all levers,", **REPLICATE}
            _refuse_stated(f"levers.{lever}", values, stated)
            for eraser in values.get("evaluate.erase.methods", self.fixed.get("evaluate.erase.methods", [])) or []:
                if (name := f"{lever}+{eraser}") in self.levers:
                    raise ValueError(f"levers: found {name!r}, as the eraser {eraser} of {lever} is called; rename it")
        for where, metrics in (("metrics", self.metrics), ("bias", [self.bias]), ("quality", [self.quality])):
            if long := next((metric for metric in metrics if metric.count("/") > 1), None):
                raise ValueError(f"{where}: found {long!r}, expected a metric, or two of them as a/b")
            parts = [part for metric in metrics if metric != "seconds" for part in metric.split("/")]
            _refuse_unknown(where, parts)
        return self


class Arm(Section):
    """One way to go from round to round."""

    fresh: bool = Field(
        default=False,
        description="true: each round has new real images and captions (another download.seed); false: the same ones",
    )
    set: dict[str, Any] = Field(default={}, description="values on top of `generations.fixed`, by dotted key")


class Generations(Section):
    """The loop over generations of models: `python -m stages.tools.generations`."""

    rounds: Count = Field(description="rounds of each arm; the first has the generator of generate.model")
    alpha: Share = Field(description="contamination.alpha of every round")
    seeds: Annotated[list[Seed], Field(min_length=1), Once] = Field(
        description="replicates of every arm, as of the study"
    )
    arms: Annotated[dict[str, Arm], Field(min_length=1)] = Field(description="what differs, by name")
    fixed: dict[str, Any] = Field(default={}, description="values of every round, by dotted key")
    tune: Tune = Field(description="how the generator of the next round is trained on the mix of this one")
    measures: Measures = Field(description="what is measured of each generator")
    metrics: Annotated[list[str], Field(min_length=1), Once] = Field(
        description="columns of the table, beside those of the generator"
    )
    position: str = Field(description="metric of CLIP in the figure, beside the generator's position")

    @model_validator(mode="after")
    def _keys_are_its_own(self) -> "Generations":
        stated = {
            "contamination.alpha": "generations.alpha", "generate.model": "the round", "generate.revision": "the round",
            **PLACE,
        }  # fmt: skip
        _refuse_stated("fixed", self.fixed, stated)
        for arm, of in self.arms.items():
            fresh = {"download.seed": "the round of an arm that is fresh"} if of.fresh else {}
            _refuse_stated(f"arms.{arm}.set", of.set, {**stated, **REPLICATE, **fresh})
        _refuse_unknown("metrics", self.metrics)
        _refuse_unknown("position", [self.position])
        return self


class Params(Profile):
    """All parameters of one run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    counterweights: Counterweights | None = Field(default=None, description="the levers of `make counterweights`")
    generations: Generations | None = Field(default=None, description="the loop of `make generations`")

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
        if self.contamination.seed and self.contamination.alpha and self.generate.max_alpha < 1:
            raise ValueError(
                f"contamination.seed: found {self.contamination.seed} with generate.max_alpha "
                f"{self.generate.max_alpha:g}: another draw takes images that are not generated; set max_alpha to 1"
            )
        if self.generate.source != "diffusion" and not (self.download.emoji and self.download.emoji.oracle):
            raise ValueError(
                f"generate.source: found {self.generate.source!r}, which needs real drawings of the generator's "
                "world: download.source emoji with download.emoji.oracle true; or set it to diffusion"
            )
        known = (*GROUPS, *self.annotate.columns)
        if other := [name for name in self.balance.attributes if name not in known]:
            raise ValueError(
                f"balance.attributes: found {other[0]}, expected some of those annotated: {', '.join(known)} (others: "
                "annotate.columns)"
            )
        if self.balance.filter.quantile and self.annotate.similarity is None:
            raise ValueError(
                f"balance.filter.quantile: found {self.balance.filter.quantile:g}, but annotate.similarity is not set, "
                "which names the model that compares image and caption"
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


def load(root: Path = Path(), profile: str | None = None) -> Params:
    """
    Read and validate all parameters.

    Parameters
    ----------
    profile : str, optional
        Another profile than the one that params.yaml names.

    Raises
    ------
    InputError
        One line naming file and key, what was found and what is expected.
    """
    merged = Merged(root, profile)
    params = merged.validate(Params)
    if "balance" not in merged.scale:  # its keys have defaults, and DVC would say so after hours of generating only
        raise InputError(
            f"{merged.scale_path}: balance: missing; state the tolerances: balance: {{eps_r: 0.002, eps_d: 0.0002}}"
        )
    if isinstance(params.balance.target, str) and params.balance.target.endswith(".csv"):
        _check_marginals(root / params.balance.target, params.balance.attributes, merged.file(["balance", "target"]))
    return params


def _check_marginals(path: Path, attributes: Sequence[str], named_in: Path) -> None:
    """Refuse a csv of marginals that is not there or lacks a column; what it holds is checked when it is read."""
    if not path.is_file():
        raise InputError(
            f"{named_in}: balance.target: {path}: no such file; expected a csv with a column of groups for each of "
            "balance.attributes"
        )
    from stages.corpus import tables  # a fifth of a second, which no other check needs

    header = tables.columns(path)
    if absent := [name for name in attributes if name not in header]:
        raise InputError(f"{named_in}: balance.target: {path}: no column {absent[0]} (found {tables.shown(header)})")


def main() -> None:
    """Validate, and print every value."""
    parser = argparse.ArgumentParser(prog="python -m stages.tools.params", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--profile", help="another profile than the one params.yaml names")
    parser.add_argument(
        "--keys", action="store_true", help="list every key with its type and meaning instead, as Markdown"
    )
    parser.add_argument("--check", type=Path, metavar="FILE", help="print nothing, and write a constant to FILE")
    arguments = parser.parse_args()
    if arguments.keys:
        print(parameter_help.markdown(Params), end="")
        return
    params = load(profile=arguments.profile)
    check_keys(params.gate.metrics)
    if arguments.check:
        if tracked(arguments.check):
            raise InputError(f"--check {arguments.check}: is a file of the repository; name another file")
        arguments.check.parent.mkdir(parents=True, exist_ok=True)
        with written(arguments.check) as file:
            file.write_text("valid\n")
        return
    print(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")


if __name__ == "__main__":
    run(main)
