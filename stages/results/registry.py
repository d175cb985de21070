"""Every metric, once: what it is called and means, its unit and range, which way is better, what knowing nothing gives.

Adding a metric is one entry here and one function that measures it. In a key, ``{set}`` is an evaluation set
(``people``), a part of one (``portraits.unseen``), ``text`` (prompts of women and of men instead of images) or
``probe`` (a few images, measured again and again during training); ``{attribute}`` a sensitive attribute; ``{k}`` a
cut-off; ``{when}`` the data before balancing, as solved, or as realised by whole rows. What stands in brackets may be
missing: ``rb.gender`` is of the default set of neutral images, ``imagenet.rb.gender`` of another one;
``portraits.ab.max`` compares women and men, ``portraits.skin_tone.ab.max`` skin tones. A figure that is not defined is
left out.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from stages.results.details import Estimate
from stages.results.writing import capital

Better = Literal["higher", "lower", "zero", "half", "none"]
Kind = Literal["quality", "bias"]

ARROWS = {"higher": "↑", "lower": "↓", "zero": "→ 0", "half": "→ ½", "none": ""}
WISHES = {
    "higher": "higher is better",
    "lower": "lower is better",
    "zero": "nearer to 0 is better",
    "half": "nearer to ½ is better",
    "none": "context, not a goal",
}


@dataclass(frozen=True)
class Level:
    """
    A chance level that another metric of the run states.

    Attributes
    ----------
    key : str
        Of that metric; fields as in the entry's own key.
    share : bool
        Whether the level is 100 k out of as many (k = 1 where the entry has none); else it is the metric's value.
    """

    key: str
    share: bool = False


@dataclass(frozen=True)
class Entry:
    """
    One key, or one family of keys.

    Attributes
    ----------
    meaning : str
        What is counted or compared; one phrase that stands alone, plain text.
    unit : str
        For axes and tables; what starts with ``%`` is written in percent, ``count`` without decimals.
    span : tuple of float
        Smallest and largest value.
    better : str
        ``higher``, ``lower``, ``zero`` or ``half`` (the nearer the better), ``none`` (context, not a goal).
    chance : float, str, Level, optional
        What a model that knows nothing gives: a number, words where no number is known, or where the run states it.
    best : str
        What a model that knows all gives, where that is not the better end of the span.
    headline : str
        ``quality`` or ``bias`` where runs are judged by it: of ``{k}`` the top 5, of ``{attribute}`` gender.
    worst : str
        ``lowest`` or ``highest``, where it is measured by group as well: adds ``.gap.{attribute}`` (largest difference
        between groups) and ``.worst.{attribute}`` (of the group with the lowest or highest).
    prompts : bool
        Whether its range over prompts is stated: adds ``.prompts.lowest`` and ``.prompts.highest``.
    table : tuple of str
        What the figure by group is called in tables/groups.csv (and, after ``published.``, in published.csv).
    """

    key: str
    name: str
    meaning: str
    unit: str
    span: tuple[float, float]
    better: Better
    chance: float | str | Level | None = None
    best: str = ""
    headline: Kind | None = None
    worst: Literal["", "lowest", "highest"] = ""
    table: tuple[str, ...] = ()
    prompts: bool = False

    @property
    def range(self) -> str:
        """The span in words, e.g. ``0–100 %``."""
        low, high = self.span
        if math.isinf(low) and math.isinf(high):
            return self.unit
        percent = " %" if self.unit.startswith("%") else ""
        return (f"≥ {low:g}" if math.isinf(high) else f"{low:g}–{high:g}{percent}").replace("-", "−")

    @property
    def arrow(self) -> str:
        """Which way is better, as a sign."""
        return ARROWS[self.better]

    @property
    def wish(self) -> str:
        """Which way is better, in words; and what a model that learns its rows exactly has, where that is another."""
        ideal = f"; {self.best}" if self.best and self.better in ("zero", "half") else ""
        return f"{WISHES[self.better]}{ideal}"


ALL = (-math.inf, math.inf)
COUNT = (0, math.inf)
PERCENT = (0, 100)
SHARE = (0, 1)
SIGNED = (-1, 1)
_AMONG = Level("n.{set}", share=True)
_CLASSES = Level("n.{set}.classes", share=True)
_GAPS = "the occupations' gaps in logit between women and men (portraits without an occupational cue)"
_SHIFT = "generator's − corpus' shares of women"
_PAIRS = "all pairs of an occupation with a majority of women and one with at most 5 % (generator's)"


# fmt: off
def _association(infix: str, name: str, of: str, unit: str) -> tuple[Entry, ...]:
    """Describe association bias by one way to decide for a label."""
    key = f"{{set}}.[{{attribute}}.]ab.{infix}"
    return (
        Entry(
            f"{key}max", f"association bias{name}",
            f"largest |difference in {of}|, women − men (of other attributes: a group − the others)",
            unit, SHARE, "lower", Level(f"{key}null"), headline=None if infix else "bias", prompts=not infix
        ),
        Entry(
            f"{key}mean", f"mean association bias{name}",
            f"mean over occupations of |difference in {of}|, women − men", unit, SHARE, "lower"
        ),
        Entry(
            f"{key}null", f"association bias of noise{name}",
            f"mean of the largest |difference in {of}| when the groups are permuted", unit, SHARE, "none"
        ),
    )


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Quality": (
        Entry(
            "{set}.t2i.r{k}", "text→image R@{k}",
            "captions whose own image is in the top k",
            "% of captions", PERCENT, "higher", _AMONG, "below 100 where a caption fits several images",
            headline="quality", worst="lowest", table=("retrieval.t2i.{k}", "published.t2i.r{k}")
        ),
        Entry(
            "{set}.t2i.r{k}.ceiling", "ceiling of text→image R@{k}",
            "R@k of a model that knows all that captions say and ranks the images that they fit at random",
            "% of captions", PERCENT, "none"
        ),
        Entry(
            "{set}.t2i.mrr", "text→image MRR", "mean over captions of 1 / rank of the own image",
            "reciprocal rank", SHARE, "higher"
        ),
        Entry(
            "{set}.t2i_shared.r{k}", "text→image R@{k}, shared captions",
            "captions with any image that carries them in the top k",
            "% of captions", PERCENT, "higher", "100 k ÷ `n.{set}`, more where images share captions",
            "below 100 where a caption fits other images", table=("retrieval.t2i_shared.{k}",)
        ),
        Entry(
            "{set}.t2i_shared.r{k}.ceiling", "ceiling of text→image R@{k}, shared captions",
            "R@k of a model that knows all that captions say and ranks the images that they fit at random",
            "% of captions", PERCENT, "none"
        ),
        Entry(
            "{set}.t2i_shared.mrr", "text→image MRR, shared captions",
            "mean over captions of 1 / rank of the best image that carries it", "reciprocal rank", SHARE, "higher"
        ),
        Entry(
            "{set}.i2t.r{k}", "image→text R@{k}",
            "images with one of their captions in the top k",
            "% of images", PERCENT, "higher", _AMONG, "below 100 where other captions fit, too", headline="quality",
            worst="lowest", table=("retrieval.i2t.{k}",)
        ),
        Entry(
            "{set}.i2t.r{k}.ceiling", "ceiling of image→text R@{k}",
            "R@k of a model that knows all that captions say and ranks those that fit an image at random",
            "% of images", PERCENT, "none"
        ),
        Entry(
            "{set}.i2t.mrr", "image→text MRR", "mean over images of 1 / rank of the best own caption",
            "reciprocal rank", SHARE, "higher"
        ),
        Entry(
            "{set}.acc1", "zero-shot top-1",
            "images whose class is the nearest prompt",
            "% of images", PERCENT, "higher", _CLASSES, headline="quality"
        ),
        Entry(
            "{set}.acc5", "zero-shot top-5",
            "images whose class is among the five nearest prompts",
            "% of images", PERCENT, "higher", "500 ÷ `n.{set}.classes`"
        ),
        Entry(
            "{set}.mrr", "zero-shot MRR", "mean over images of 1 / rank of the right class",
            "reciprocal rank", SHARE, "higher"
        ),
        Entry(
            "{set}.acc1.coarse", "zero-shot top-1, coarse classes",
            "images whose nearest class lies in the right coarse class",
            "% of images", PERCENT, "higher", Level("{set}.acc1.coarse.chance"), headline="quality"
        ),
        Entry(
            "{set}.acc1.coarse.chance", "chance of a coarse class",
            "images whose coarse class a class drawn at random lies in", "% of images", PERCENT, "none"
        ),
        Entry(
            "{set}.recall", "zero-shot mean recall",
            "mean of the classes' recall", "% of images", PERCENT, "higher", _CLASSES
        ),
        Entry(
            "{set}.recognition.{attribute}", "recognition",
            "balanced accuracy of women (darker) against men (lighter skin) by prompts",
            "share of images", SHARE, "higher", 0.5, headline="quality", table=("recognition",)
        ),
        Entry(
            "{set}.recognition.{attribute}.auc", "recognition AUC",
            "area under the ROC curve of women (darker) against men (lighter skin) by prompts",
            "area", SHARE, "higher", 0.5
        ),
    ),
    "Bias of the model": (
        Entry(
            "[{set}.]rb.{attribute}.margin", "representation bias, margin",
            "mean difference of neutral images' cosines to prompts of men (lighter) and of women (darker skin)",
            "cosine", (-2, 2), "zero", 0.0, headline="bias", prompts=True
        ),
        Entry(
            "[{set}.]rb.{attribute}", "representation bias",
            "|share − ½| of neutral images that prefer the prompts of men (lighter skin)",
            "|share − ½|", (0, 0.5), "lower", headline="bias"
        ),
        Entry(
            "[{set}.]rb.{attribute}.share", "preference of neutral images",
            "share of neutral images that prefer the prompts of men (lighter skin)",
            "share of images", SHARE, "half", prompts=True
        ),
        Entry(
            "[{set}.]rb.gender.bare.margin", "representation bias by bare labels, margin",
            'mean difference of neutral images\' cosines to "male" and to "female"', "cosine", (-2, 2), "zero", 0.0
        ),
        Entry(
            "[{set}.]rb.gender.bare", "representation bias by bare labels",
            '|share − ½| of neutral images that prefer "male" to "female"', "|share − ½|", (0, 0.5), "lower"
        ),
        Entry(
            "[{set}.]rb.gender.bare.share", "preference of neutral images by bare labels",
            'share of neutral images that prefer "male" to "female"', "share of images", SHARE, "half"
        ),
        *_association("", "", "an occupation's probability", "|difference of probability|"),
        *_association(
            "argmax.", ", best label", "the share of images that an occupation fits best", "|difference of shares|"
        ),
        Entry(
            "{set}.[{attribute}.]pair_association", "association of label pairs",
            "P(first preferred | woman) − P(… | man), mean over pairs of a women's and a men's occupation",
            "difference of preference", SIGNED, "zero", 0.0
        ),
        Entry(
            "{set}.pairwise_association", "pairwise association",
            f"P(first preferred | woman) − P(… | man), mean over {_PAIRS}; of text: by the gaps of the prompts",
            "difference of preference", SIGNED, "zero", 0.0, headline="bias"
        ),
        Entry(
            "{set}.census_correlation", "correlation with the census",
            f"correlation of {_GAPS} with the corpus' shares of women",
            "correlation", SIGNED, "zero", 0.0, headline="bias"
        ),
        Entry(
            "{set}.census_slope", "slope on the census",
            f"slope of {_GAPS} on the corpus' shares of women", "logits", ALL, "zero", 0.0
        ),
        Entry(
            "{set}.transfer", "transfer",
            f"slope of {_GAPS} on the log-odds of women in the run's training rows; 0 takes nothing over, 1 mirrors, "
            "above 1 exaggerates",
            "logits per logit", ALL, "zero", 0.0, "1: an ideal learner", headline="bias"
        ),
        Entry(
            "{set}.position", "position between corpus and generator",
            f"where {_GAPS} lie between the log-odds of the corpus (0) and of the generator (1)",
            "0 corpus, 1 generator", ALL, "zero", headline="bias"
        ),
        Entry(
            "{set}.position.ideal", "position of an ideal learner",
            "position of a model that knows the run's training rows and nothing else",
            "0 corpus, 1 generator", ALL, "none"
        ),
        Entry(
            "{set}.drift", "drift towards the generator",
            f"coefficient of {_SHIFT} beside the corpus' shares in a fit of {_GAPS}; in earlier studies only",
            "logits", ALL, "zero", 0.0, headline="bias"
        ),
        Entry(
            "{set}.drift.partial", "drift, partial correlation",
            f"partial correlation of {_GAPS} with {_SHIFT}, free of the logit scale",
            "correlation", SIGNED, "zero", 0.0
        ),
        Entry(
            "{set}.weat", "iEAT effect size",
            "women's occupations nearer to images of women", "standard deviations", (-2, 2), "zero", 0.0
        ),
        Entry(
            "{set}.weat.p", "iEAT p",
            "one-sided permutation p of the iEAT effect size", "probability", SHARE, "none", 0.5
        ),
        Entry(
            "{set}.[{attribute}.]max_skew", "MaxSkew@k",
            "over queries of occupations: max over groups of ln(share shown / share)", "log ratio", COUNT, "lower"
        ),
        Entry(
            "{set}.[{attribute}.]ndkl", "NDKL",
            "divergence of shares shown from shares, over all depths", "nats", COUNT, "lower"
        ),
        Entry(
            "{set}.[{attribute}.]bias_at_k", "Bias@k",
            "men − women (lighter − darker) ÷ both, among the top k", "difference of shares", SIGNED, "zero", 0.0
        ),
        Entry(
            "{set}.self_similarity", "self-similarity",
            "mean cosine of distinct images",
            "cosine", SIGNED, "none", worst="highest", table=("similarity", "published.self_similarity")
        ),
        Entry(
            "{set}.preference.{marked}", "person preference[, {marked} marked]",
            'images nearest to "a photo of a person" among prompts that mark the attribute',
            "% of images", PERCENT, "none", "100 ÷ (1 + values of the attribute)", worst="lowest",
            table=("preference.{marked}", "published.person_preference")
        ),
        Entry(
            "{set}.harm.{kind}", "harm class",
            "faces called an animal (non_human) or a criminal (crime)",
            "% of images", PERCENT, "lower", "19.0 (non_human) and 14.3 (crime): their labels among all",
            worst="highest", table=("harm.{kind}",)
        ),
    ),
    "Captions": (
        Entry("captions.{captioner}.bleu_4", "BLEU-4", "4-grams shared with the references", "score", SHARE, "higher"),
        Entry(
            "captions.{captioner}.rouge_l", "ROUGE-L",
            "longest common subsequence with a reference", "score", SHARE, "higher"
        ),
        Entry(
            "captions.{captioner}.cider", "CIDEr",
            "weighted n-grams shared with the references",
            "score", (0, 10), "higher", Level("captions.majority.cider"), headline="quality"
        ),
        Entry(
            "captions.{captioner}.meteor", "METEOR",
            "aligned words and synonyms; where Java is there", "score", SHARE, "higher"
        ),
        Entry(
            "captions.{captioner}.clip_score", "CLIPScore",
            "fit to the image by the run's own CLIP", "2.5 cosine", (0, 2.5), "higher"
        ),
        Entry(
            "captions.{captioner}.distinct_{k}", "distinct-{k}",
            "different k-grams over all k-grams", "share of k-grams", SHARE, "none"
        ),
        Entry(
            "captions.{captioner}.unique", "unique captions",
            "different captions over all captions", "share of captions", SHARE, "none"
        ),
        Entry("captions.{captioner}.length", "caption length", "mean words per caption", "words", COUNT, "none"),
        Entry(
            "captions.{captioner}.gender_error", "gender error",
            "captions naming the wrong gender, of those that name exactly one",
            "share of captions", SHARE, "lower", 0.5, headline="bias", table=("captions.{captioner}.gender_error",)
        ),
        Entry(
            "captions.{captioner}.gender_error_{gender}", "gender error",
            "captions of images of one gender that name the other, of those that name exactly one",
            "share of captions", SHARE, "lower", 0.5
        ),
        Entry(
            "captions.{captioner}.gender_named", "gender named",
            "captions that name exactly one gender", "share of captions", SHARE, "none"
        ),
        Entry(
            "captions.{captioner}.gender_ratio", "gender ratio",
            "captions naming a woman, over a man", "ratio", COUNT, "none"
        ),
        Entry(
            "captions.{captioner}.lic.{attribute}", "LIC",
            "what captions give away of the attribute beyond human ones, its words masked",
            "points", (-100, 100), "lower", 0.0, headline="bias"
        ),
        Entry(
            "captions.{captioner}.lic_m.{attribute}", "LIC_M",
            "what generated captions give away of the attribute, its words masked", "points", PERCENT, "none"
        ),
        Entry(
            "captions.{captioner}.lic_d.{attribute}", "LIC_D",
            "what human captions give away of the attribute, its words masked", "points", PERCENT, "none"
        ),
        Entry(
            "captions.{captioner}.amplification.a_to_t.{attribute}", "bias amplification A→T",
            "how much captions exaggerate the training data's occupations of a group, given the group; mean over pairs",
            "difference of probability", SIGNED, "zero", 0.0
        ),
        Entry(
            "captions.{captioner}.amplification.t_to_a.{attribute}", "bias amplification T→A",
            "how much captions that name one group exaggerate the training data's groups of an occupation, "
            "given the occupation; mean over pairs",
            "difference of probability", SIGNED, "zero", 0.0
        ),
    ),
    "Data and balancing": (
        Entry(
            "data.rb.{when}", "representation bias of the data",
            "largest |share of a group − its target|", "|difference of shares|", SHARE, "lower"
        ),
        Entry(
            "data.ab.{when}", "association bias of the data",
            "largest |difference of a label's share| between groups", "|difference of shares|", SHARE, "lower"
        ),
        Entry(
            "data.ab_mean.{when}", "mean association bias of the data",
            "mean over groups and labels of |difference of a label's share|",
            "|difference of shares|", SHARE, "lower"
        ),
        Entry(
            "data.effective_share.{when}", "effective sample",
            "effective sample size over the rows of the mix", "share of rows", SHARE, "higher"
        ),
        Entry("data.alpha", "α", "share of generated images, as set", "share of images", SHARE, "none"),
        Entry("data.draw", "draw", "which rows are generated, and which are kept", "count", COUNT, "none"),
        Entry("data.rows", "rows of the mix", "images with their captions after the filter", "count", COUNT, "none"),
        Entry(
            "data.left_out_rows", "rows left out", "rows that the filter takes out before balancing",
            "count", COUNT, "none"
        ),
        Entry(
            "data.synthetic_rows", "generated images of the mix",
            "rows whose image is generated", "count", COUNT, "none"
        ),
        Entry(
            "data.distinct_rows", "kinds of rows",
            "rows that agree in groups, labels and utility share a weight", "count", COUNT, "none"
        ),
        Entry(
            "data.constraints", "constraints of balancing",
            "moments that the weights have to meet", "count", COUNT, "none"
        ),
        Entry("data.eta", "η", "share of the rows to keep: mean weight", "share of rows", SHARE, "none"),
        Entry(
            "data.largest_eta", "largest feasible η",
            "largest share to keep that meets all constraints", "share of rows", SHARE, "none"
        ),
        Entry("data.rows_taken", "rows taken", "rows of the mix that are trained on", "count", COUNT, "none"),
        Entry(
            "data.rows_an_epoch", "rows per epoch",
            "rows that are trained on, with their copies", "count", COUNT, "none"
        ),
        Entry("data.violated", "constraints not met, as solved", "by the weights", "count", COUNT, "none"),
        Entry(
            "data.violated_realised", "constraints not met, after balancing",
            "by whole rows", "count", COUNT, "none"
        ),
    ),
    "Erasers": tuple(
        Entry(
            f"leftover.{{attribute}}.{{set}}.{key}", f"group read from erased features, {name}",
            f"balanced accuracy of a {name} classifier of the group, trained on erased features of training images",
            "share of images", SHARE, "half", 0.5
        )
        for key, name in (("linear", "linear"), ("nonlinear", "non-linear"))
    ),
    "Context": (
        Entry("n.{set}", "images", "images of the set", "count", COUNT, "none"),
        Entry("n.{set}.captions", "captions", "captions of the set", "count", COUNT, "none"),
        Entry("n.{set}.classes", "classes", "classes of the set", "count", COUNT, "none"),
        Entry("logit_scale", "logit scale", "factor that the model learned for its cosines", "factor", COUNT, "none"),
        Entry("loss", "loss", "contrastive loss of training", "nats", COUNT, "none"),
        Entry("temperature", "temperature", "1 / logit scale", "cosine", COUNT, "none"),
    ),
}
# fmt: on

_FIELDS = {
    "captioner": r"\w+",
    "gender": r"woman|man",
    "set": r"(?!captions\.|data\.|n\.)[a-z0-9_]+(?:\.(?:unseen|seen|train|val|test))?",
    "attribute": r"[a-z][a-z0-9_]*",  # gender, skin_tone, age, ethnicity, and what users group their sets by
    "marked": r"gender|age|ethnicity",
    "kind": r"non_human|crime",
    "k": r"\d+",
    "when": r"before|solved|realised",
}
_SAID = {
    "when": {"before": "before balancing", "solved": "as solved", "realised": "after balancing"},
    "set": {"text": "text alone"},
}


def derived(entry: Entry) -> tuple[Entry, ...]:
    """Derive gap, ratio and worst group of a metric that is measured by group, and its range over prompts."""
    if entry.prompts:
        return tuple(
            replace(
                entry,
                key=f"{entry.key}.prompts.{end}",
                name=f"{entry.name}, {end} over prompts",
                meaning=f"the {end} that one prompt, or pair of prompts, alone gives: {entry.meaning}",
                headline=None,
                prompts=False,
                better="none",
            )
            for end in ("lowest", "highest")
        )
    if not entry.worst:
        return ()
    low, high = entry.span
    ratio = Entry(
        f"{entry.key}.ratio.{{attribute}}",
        f"ratio in {entry.name}",
        f"quotient of the lowest and the highest {_bare(entry.name)} of the groups of at least evaluate.min_group "
        "images; the four-fifths rule asks for .8",
        "ratio",
        SHARE,
        "higher",
        best="1: parity",
    )
    return (
        *([ratio] if low >= 0 else []),
        Entry(
            f"{entry.key}.gap.{{attribute}}",
            f"gap in {entry.name}",
            f"largest difference in {_bare(entry.name)} between groups of the attribute of at least evaluate.min_group "
            "images",
            entry.unit,
            (0, high - low),
            "lower",
        ),
        Entry(
            f"{entry.key}.worst.{{attribute}}",
            f"{entry.worst} {entry.name}",
            f"{_bare(entry.name)} of the group with the {entry.worst}",
            entry.unit,
            entry.span,
            "higher" if entry.worst == "lowest" else "lower",
        ),
    )


def _bare(name: str) -> str:
    return re.sub(r"\[.*?\]", "", name).replace("{k}", "k")


CATALOGUE = tuple(one for section in SECTIONS.values() for entry in section for one in (entry, *derived(entry)))


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.findall(r"\[\{(\w+)\}\.\]|\{(\w+)\}|([^\[{]+)", template)
    body = "".join(
        rf"(?:(?P<{maybe}>{_FIELDS[maybe]})\.)?"
        if maybe
        else rf"(?P<{field}>{_FIELDS[field]})"
        if field
        else re.escape(t)
        for maybe, field, t in parts
    )
    return re.compile(body)


_KEYS = [(_pattern(entry.key), entry) for entry in CATALOGUE]
_TABLES = [(_pattern(name), entry) for entry in CATALOGUE for name in entry.table]


def _find(key: str, patterns: Iterable[tuple[re.Pattern[str], Entry]]) -> tuple[Entry, dict[str, str]] | None:
    """Find the entry of a key, and what stands for its fields."""
    for pattern, entry in patterns:
        if match := pattern.fullmatch(key):
            return entry, {name: value for name, value in match.groupdict().items() if value}
    return None


def describe(key: str) -> Entry:
    """
    Look a key up, e.g. ``"people.t2i.r5.gap.gender"``.

    Raises
    ------
    KeyError
        If it is of no metric.
    """
    found = _find(key, _KEYS)
    if found is None:
        raise KeyError(f"{key}: not in the registry of metrics")
    return found[0]


def look_up(key: str) -> tuple[Entry, dict[str, str]]:
    """Find the entry of a key, and what stands for its fields; an unknown key gets an entry that knows it alone."""
    return _find(key, _KEYS) or (Entry(key, key, "", "", ALL, "none"), {})


def is_known(key: str) -> bool:
    """Tell whether a key is that of a metric of the registry."""
    return _find(key, _KEYS) is not None


def entry(key: str) -> Entry:
    """Find the entry of a key, known or unknown."""
    return look_up(key)[0]


def chance(key: str, details: Mapping[str, Estimate]) -> float:
    """Tell what a model that knows nothing would give in this run; NaN where no number is known."""
    known, fields = look_up(key)
    level = known.chance
    if not isinstance(level, Level):
        return float(level) if isinstance(level, int | float) else math.nan
    stated = re.sub(r"\[\{(\w+)\}\.\]", lambda m: f"{fields[m[1]]}." if m[1] in fields else "", level.key)
    stated = details.get(stated.format(**fields))
    if stated is None:
        return math.nan
    return min(100.0, 100 * int(fields.get("k", 1)) / stated.value) if level.share else stated.value


def label(key: str) -> str:
    """Name a metric for people, e.g. ``"association bias · portraits · unseen"``; an unknown key stays as it is."""
    return " · ".join(part for part in name_and_place(key) if part)


def name_and_place(key: str) -> tuple[str, str]:
    """Name a metric, and apart where it is measured, e.g. ``("association bias", "portraits · unseen")``."""
    known, fields = look_up(key)
    return _named(known, fields)


def _named(known: Entry, fields: Mapping[str, str]) -> tuple[str, str]:
    left = dict(fields)
    name = re.sub(r"\[([^]]*\{(\w+)\}[^]]*)\]", lambda m: m[1] if m[2] in left else "", known.name)
    for field in re.findall(r"\{(\w+)\}", name):
        name = name.replace(f"{{{field}}}", left.pop(field, ""))
    said = [_SAID.get(field, {}).get(value, value) for field, value in left.items()]
    return name, " · ".join(value.replace(".", " · ").replace("_", " ") for value in said)


def figure(metric: str) -> tuple[str, str]:
    """Name a figure by group of tables/groups.csv (``"retrieval.t2i.5"``), and its unit for an axis."""
    found = _find(metric, _TABLES)
    name = " · ".join(filter(None, _named(*found))) if found else metric.replace("_", " ").replace(".", " · ")
    return capital(name), found[0].unit if found else ""


def curve(metric: str) -> tuple[str, Entry]:
    """Name a curve of training (``"probe.t2i.r5"``), and describe its metric."""
    name = name_and_place(metric)[0] if _find(metric, _KEYS) else metric.rsplit("/", 1)[-1].replace("_", " ")
    return capital(name), entry(metric)


def place(key: str) -> int:
    """Tell where in the registry a key stands; unknown ones come last."""
    found = _find(key, _KEYS)
    return CATALOGUE.index(found[0]) if found else len(CATALOGUE)
