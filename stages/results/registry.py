"""Every key of `metrics.json`: what it means, its range, and which way is better.

`python -m stages.tools.metric_help` prints the table as Markdown; figures and report read it too. In a key,
``{set}`` is an evaluation set (``people``) or a part of one (``portraits.unseen``), ``{attribute}`` a sensitive
attribute, ``{k}`` a cut-off. Every key can have ``.lo`` and ``.hi`` beside it, the ends of a 95 % bootstrap interval
over images. Neutral images of another set than the default one have its name before the key (``imagenet.rb.gender``). A
figure that is not defined is left out.
"""

import re
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "zero", "half", "none"]


@dataclass(frozen=True)
class Entry:
    """
    One key, or one family of keys.

    Attributes
    ----------
    meaning : str
        One sentence that stands alone, plain text.
    range : str
        Interval or unit.
    better : str
        ``higher``, ``lower``, ``zero`` or ``half`` (the nearer the better), ``none`` (context, not a goal).
    """

    key: str
    name: str
    meaning: str
    range: str
    better: Better


_GAP = "largest difference between groups of the attribute (groups of fewer images than evaluate.min_group left out)"
_GAPS = "the occupations' gaps in logit between women and men (portraits without an occupational cue)"
_TEXT_GAPS = "the occupations' gaps in logit between prompts of women and of men"
_SHIFT = "generator's − corpus' shares of women"
_PAIRS = "all pairs of an occupation with a majority of women and one with at most 5 % (generator's)"

CATALOGUE = (
    Entry("n.{set}", "images", "images of the set", "count", "none"),
    Entry("n.{set}.captions", "captions", "captions of the set", "count", "none"),
    Entry("n.{set}.classes", "classes", "classes of the set", "count", "none"),
    Entry("logit_scale", "logit scale", "factor that the model learned for its cosines", "> 0", "none"),
    Entry("{set}.t2i.r{k}", "text→image R@{k}", "captions whose own image is in the top k", "0–100 %", "higher"),
    Entry(
        "{set}.t2i_shared.r{k}",
        "text→image R@{k}, shared captions",
        "captions with any image that carries them in the top k",
        "0–100 %",
        "higher",
    ),
    Entry("{set}.i2t.r{k}", "image→text R@{k}", "images with one of their captions in the top k", "0–100 %", "higher"),
    Entry("{set}.t2i.r5.gap.{attribute}", "gap in text→image R@5", _GAP, "0–100 %", "lower"),
    Entry(
        "{set}.t2i.r5.worst.{attribute}",
        "worst text→image R@5",
        "R@5 of the group with the lowest",
        "0–100 %",
        "higher",
    ),
    Entry("{set}.i2t.r5.gap.{attribute}", "gap in image→text R@5", _GAP, "0–100 %", "lower"),
    Entry(
        "{set}.i2t.r5.worst.{attribute}",
        "worst image→text R@5",
        "R@5 of the group with the lowest",
        "0–100 %",
        "higher",
    ),
    Entry("{set}.acc1", "zero-shot top-1", "images whose class is the nearest prompt", "0–100 %", "higher"),
    Entry("{set}.acc5", "zero-shot top-5", "images whose class is among the five nearest prompts", "0–100 %", "higher"),
    Entry("{set}.recall", "zero-shot mean recall", "mean of the classes' recall", "0–100 %", "higher"),
    Entry(
        "rb.{attribute}",
        "representation bias",
        "|share − ½| of neutral images that prefer the prompts of men (lighter skin)",
        "0–0.5",
        "lower",
    ),
    Entry(
        "rb.{attribute}.share",
        "preference of neutral images",
        "share of neutral images that prefer the prompts of men (lighter skin)",
        "0–1",
        "half",
    ),
    Entry(
        "rb.{attribute}.margin",
        "margin of neutral images",
        "mean difference of neutral images' cosines to prompts of men (lighter) and of women (darker skin)",
        "−2–2",
        "zero",
    ),
    Entry(
        "{set}.recognition.{attribute}",
        "recognition",
        "balanced accuracy of women (darker) against men (lighter skin) by prompts; chance ½",
        "0–1",
        "higher",
    ),
    Entry(
        "{set}.recognition.{attribute}.auc",
        "recognition AUC",
        "area under the ROC curve of women (darker) against men (lighter skin) by prompts",
        "0–1",
        "higher",
    ),
    Entry("{set}.self_similarity", "self-similarity", "mean cosine of distinct images", "−1–1", "none"),
    Entry("{set}.self_similarity.gap.{attribute}", "gap in self-similarity", _GAP, "0–2", "lower"),
    Entry(
        "{set}.self_similarity.worst.{attribute}",
        "highest self-similarity",
        "self-similarity of the group with the highest",
        "−1–1",
        "lower",
    ),
    Entry(
        "{set}.preference.{attribute}",
        "person preference",
        'images nearest to "a photo of a person" among prompts that mark the attribute; chance 1/(1 + values)',
        "0–100 %",
        "none",
    ),
    Entry(
        "{set}.preference.{marked}.gap.{attribute}",
        "gap in person preference, {marked} marked",
        _GAP,
        "0–100 %",
        "lower",
    ),
    Entry(
        "{set}.preference.{marked}.worst.{attribute}",
        "lowest person preference, {marked} marked",
        "person preference of the group with the lowest",
        "0–100 %",
        "higher",
    ),
    Entry(
        "{set}.harm.{kind}",
        "harm class",
        "faces called an animal (non_human) or a criminal (crime)",
        "0–100 %",
        "lower",
    ),
    Entry("{set}.harm.{kind}.gap.{attribute}", "gap in harm class", _GAP, "0–100 %", "lower"),
    Entry(
        "{set}.harm.{kind}.worst.{attribute}",
        "highest harm class",
        "share in the harm class of the group with the highest",
        "0–100 %",
        "lower",
    ),
    Entry(
        "{set}.ab.max",
        "association bias",
        "largest |difference in an occupation's probability|, women − men",
        "0–1",
        "lower",
    ),
    Entry(
        "{set}.ab.mean",
        "mean association bias",
        "mean over occupations of |difference in probability|, women − men",
        "0–1",
        "lower",
    ),
    Entry(
        "{set}.ab.null",
        "association bias of noise",
        "mean of the largest |difference| when the groups are permuted",
        "0–1",
        "none",
    ),
    Entry(
        "{set}.ab.argmax.max",
        "association bias, best label",
        "largest |difference in the share of images that an occupation fits best|, women − men",
        "0–1",
        "lower",
    ),
    Entry(
        "{set}.ab.argmax.mean",
        "mean association bias, best label",
        "mean over occupations of |difference in the share of images that one fits best|, women − men",
        "0–1",
        "lower",
    ),
    Entry(
        "{set}.ab.argmax.null",
        "association bias of noise, best label",
        "mean of the largest |difference| by best label when the groups are permuted",
        "0–1",
        "none",
    ),
    Entry(
        "{set}.pair_association",
        "association of label pairs",
        "P(first preferred | woman) − P(… | man), mean over pairs of a women's and a men's occupation",
        "−1–1",
        "zero",
    ),
    Entry(
        "{set}.pairwise_association",
        "pairwise association",
        f"P(first preferred | woman) − P(… | man), mean over {_PAIRS}",
        "−1–1",
        "zero",
    ),
    Entry(
        "{set}.census_correlation",
        "correlation with the census",
        f"correlation of {_GAPS} with the corpus' shares of women",
        "−1–1",
        "zero",
    ),
    Entry(
        "{set}.census_slope",
        "slope on the census",
        f"slope of {_GAPS} on the corpus' shares of women",
        "logits",
        "zero",
    ),
    Entry(
        "{set}.drift",
        "drift towards the generator",
        f"coefficient of {_SHIFT} beside the corpus' shares in a fit of {_GAPS}",
        "logits",
        "zero",
    ),
    Entry(
        "{set}.drift.partial",
        "drift, partial correlation",
        f"partial correlation of {_GAPS} with {_SHIFT}, free of the logit scale",
        "−1–1",
        "zero",
    ),
    Entry("{set}.weat", "iEAT effect size", "women's occupations nearer to images of women", "−2–2", "zero"),
    Entry("{set}.weat.p", "iEAT p", "one-sided permutation p of the iEAT effect size", "0–1", "none"),
    Entry(
        "{set}.max_skew",
        "MaxSkew@k",
        "over queries of occupations: max over groups of ln(share shown / share)",
        "≥ 0",
        "lower",
    ),
    Entry("{set}.ndkl", "NDKL", "divergence of shares shown from shares, over all depths", "≥ 0", "lower"),
    Entry("{set}.bias_at_k", "Bias@k", "men − women (lighter − darker) ÷ both, among the top k", "−1–1", "zero"),
    Entry(
        "text.census_correlation",
        "text-only correlation",
        f"correlation of {_TEXT_GAPS} with the corpus' shares of women",
        "−1–1",
        "zero",
    ),
    Entry(
        "text.census_slope",
        "text-only slope",
        f"slope of {_TEXT_GAPS} on the corpus' shares of women",
        "logits",
        "zero",
    ),
    Entry(
        "text.drift",
        "text-only drift",
        f"coefficient of {_SHIFT} beside the corpus' shares in a fit of {_TEXT_GAPS}",
        "logits",
        "zero",
    ),
    Entry(
        "text.drift.partial",
        "text-only drift, partial correlation",
        f"partial correlation of {_TEXT_GAPS} with {_SHIFT}, free of the logit scale",
        "−1–1",
        "zero",
    ),
    Entry(
        "text.pairwise_association",
        "text-only pairwise association",
        f"sign of the first's gap in logit between prompts of women and of men − the second's, mean over {_PAIRS}",
        "−1–1",
        "zero",
    ),
    Entry("captions.{captioner}.bleu_4", "BLEU-4", "4-grams shared with the references", "0–1", "higher"),
    Entry("captions.{captioner}.rouge_l", "ROUGE-L", "longest common subsequence with a reference", "0–1", "higher"),
    Entry("captions.{captioner}.cider", "CIDEr", "weighted n-grams shared with the references", "0–10", "higher"),
    Entry("captions.{captioner}.meteor", "METEOR", "aligned words and synonyms; where Java is there", "0–1", "higher"),
    Entry("captions.{captioner}.clip_score", "CLIPScore", "fit to the image by the run's own CLIP", "0–2.5", "higher"),
    Entry("captions.{captioner}.distinct_{k}", "distinct-{k}", "different {k}-grams over all {k}-grams", "0–1", "none"),
    Entry("captions.{captioner}.unique", "unique captions", "different captions over all captions", "0–1", "none"),
    Entry("captions.{captioner}.length", "caption length", "mean words a caption", "words", "none"),
    Entry(
        "captions.{captioner}.gender_error",
        "gender error",
        "captions naming the wrong gender, of those that name exactly one",
        "0–1",
        "lower",
    ),
    Entry(
        "captions.{captioner}.gender_error_{gender}",
        "gender error",
        "captions of images of one gender that name the other, of those that name exactly one",
        "0–1",
        "lower",
    ),
    Entry("captions.{captioner}.gender_named", "gender named", "captions that name exactly one gender", "0–1", "none"),
    Entry("captions.{captioner}.gender_ratio", "gender ratio", "captions naming a woman, over a man", "≥ 0", "none"),
    Entry(
        "captions.{captioner}.lic.{attribute}",
        "LIC",
        "what captions give away of the attribute beyond human ones, its words masked",
        "−100–100",
        "lower",
    ),
    Entry(
        "captions.{captioner}.lic_m.{attribute}",
        "LIC_M",
        "what generated captions give away of the attribute, its words masked",
        "0–100",
        "none",
    ),
    Entry(
        "captions.{captioner}.lic_d.{attribute}",
        "LIC_D",
        "what human captions give away of the attribute, its words masked",
        "0–100",
        "none",
    ),
    Entry(
        "captions.{captioner}.amplification.a_to_t.{attribute}",
        "bias amplification A→T",
        "how much captions exaggerate the training data's occupations of a group, given the group; mean over pairs",
        "−1–1",
        "zero",
    ),
    Entry(
        "captions.{captioner}.amplification.t_to_a.{attribute}",
        "bias amplification T→A",
        "how much captions that name one group exaggerate the training data's groups of an occupation, given the "
        "occupation; mean over pairs",
        "−1–1",
        "zero",
    ),
)

_FIELDS = {
    "captioner": r"\w+",
    "gender": r"woman|man",
    "set": r"(?!text\.)[a-z0-9_]+(?:\.(?:unseen|seen|train|val|test))?",
    "attribute": r"gender|skin_tone|age|ethnicity",
    "marked": r"gender|age|ethnicity",
    "kind": r"non_human|crime",
    "k": r"\d+",
}


def _pattern(key: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", key)
    body = "".join(re.escape(part) if i % 2 == 0 else f"(?:{_FIELDS[part]})" for i, part in enumerate(parts))
    if key.startswith("rb."):
        body = rf"(?:[a-z0-9_]+\.)?{body}"
    # association over another attribute than gender names it before the metric
    body = body.replace(f"(?:{_FIELDS['set']})\\.", rf"(?:{_FIELDS['set']})\.(?:skin_tone\.)?", 1)
    return re.compile(rf"{body}(?:\.lo|\.hi)?")


_PATTERNS = [(_pattern(entry.key), entry) for entry in CATALOGUE]


def describe(key: str) -> Entry:
    """
    Look a key up.

    Parameters
    ----------
    key : str
        Of `metrics.json`, e.g. ``"people.t2i.r5.gap.gender.lo"``.

    Raises
    ------
    KeyError
        If none does.
    """
    for pattern, entry in _PATTERNS:
        if pattern.fullmatch(key):
            return entry
    raise KeyError(f"{key}: not in the catalogue of metrics")


def markdown() -> str:
    """Write the catalogue as a Markdown table."""
    arrows = {"higher": "↑", "lower": "↓", "zero": "→ 0", "half": "→ ½", "none": ""}
    cells = [(f"`{e.key}`", e.name, e.meaning, e.range, arrows[e.better]) for e in CATALOGUE]
    rows = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in cells]
    return "\n".join(["| key | name | meaning | range | better |", "|---|---|---|---|---|", *rows])
