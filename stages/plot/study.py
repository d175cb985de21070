"""The committed study of a profile, and what of it a run is held against."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from stages.results import sweep
from stages.results.details import Details
from stages.results.formatting import NOT_BALANCED, counted
from stages.results.headline import headlines
from stages.results.registry import entry, name_and_place
from stages.results.sweep import RANDOM, Own

# What stands for "where does the model lie", the first that most cells of the study have; and for bias beside quality.
PLACES = (
    "portraits.unseen.position", "portraits.seen.position", "text.position", "portraits.unseen.pairwise_association",
    "portraits.seen.pairwise_association", "rb.gender.margin",
)  # fmt: skip
BIASES = ("portraits.unseen.pairwise_association", "portraits.seen.pairwise_association", "rb.gender.margin")
MEASURED = {  # biases that share an axis, and each in plain words
    "{set}.pairwise_association": "of two occupations, one mostly women's and one men's to the generator, how much "
    "more often models choose the first for women than for men: 0 as often, 1 always",
    "{set}.[{attribute}.]ab.max": "the largest difference between women and men in an occupation's probability",
    "[{set}.]rb.{attribute}": "how far the share of neutral images that lean to one gender is from ½",
}
NEAR = 0.1  # a run is held against the setting of the study whose α is nearest to its own, if it is as near as this
FILLED = 0.5  # share of the cells of lines not balanced that have to have a metric


@dataclass(frozen=True)
class Study:
    """Tables of `results/study/`, as `stages.tools.compare` writes them; effects with their number of test images."""

    runs: pd.DataFrame
    comparisons: pd.DataFrame
    trends: pd.DataFrame

    @property
    def size(self) -> str:
        """What it is made of, in words: the settings of its lines, and those of a single α."""
        lines = self.lines()
        drawn = self.runs.loc[self.runs["method"].isin(lines), ["alpha", "method"]].drop_duplicates()
        rest = [name for name in dict.fromkeys(self.runs["method"]) if name not in lines]
        said = f"{counted(len(drawn), 'setting')} ({counted(len(lines), 'method')} at {drawn['alpha'].nunique()} α)"
        more = f"; in its tables alone: {', '.join(rest)}" if rest else ""
        return f"{said}, {self.models} each{more}"

    @property
    def models(self) -> str:
        """How many models each setting has, in words."""
        counts = self.runs.groupby(["alpha", "method"])["seed"].nunique()
        least, most = int(counts.min()), int(counts.max())
        return counted(most, "model") if least == most else f"{least} to {counted(most, 'model')}"

    def lines(self) -> list[str]:
        """Name the methods of more than one α: the best known first, then variants of them, those of most α first."""
        counts = {str(name): int(count) for name, count in self.runs.groupby("method")["alpha"].nunique().items()}

        def place(name: str) -> tuple[int, int, str]:
            return -counts[name] if "," in name else -len(self.runs), sweep.order(name), name

        return sorted((name for name, count in counts.items() if count > 1), key=place)

    def claiming(self, own: Own, metrics: Collection[str]) -> "Study":
        """
        Mark what a page says of metrics: of contamination, of a method, and of what quality costs.

        Returns
        -------
        Study
            With the column claimed in comparisons and trends.
        """
        pair = sweep.held_against(self.comparisons, own.method) or ("", "")
        of, last = self.comparisons, self.trends
        pairs = list(zip(of["method"], of["reference"], strict=True))
        cost = [(pair[0], NOT_BALANCED), (RANDOM, NOT_BALANCED)] if pair[1] == RANDOM else []
        quality, here = quality_of(own.metrics, self), self.stands(own.alpha)
        compared = [
            metric in metrics and (both == pair or (both in cost and metric == quality and text(alpha) == here))
            for metric, both, alpha in zip(of["metric"], pairs, of["alpha"], strict=True)
        ]
        farthest = last["alpha_to"] == last.groupby(["metric", "method"])["alpha_to"].transform("max")
        moved = last["metric"].isin(list(metrics)) & (last["method"] == NOT_BALANCED) & farthest
        comparisons = of.assign(claimed=np.array(compared, bool) & of["difference"].notna())
        trends = last.assign(claimed=moved & last["difference"].notna())
        return replace(self, comparisons=comparisons, trends=trends)

    def near(self, alpha: float) -> float:
        """Return the α of the study that stands for that of a run: the nearest of those compared; else its own."""
        nearest = min(self._compared(), key=lambda one: (abs(one - alpha), one), default=alpha)
        return nearest if abs(nearest - alpha) <= NEAR + 1e-9 else alpha

    def _compared(self) -> set[float]:
        """Return the α at which lines are held against each other; without comparisons, all."""
        alphas = self.comparisons["alpha"] if len(self.comparisons) else self.runs["alpha"]
        return {float(one) for one in alphas.unique() if one != sweep.MEAN}

    def at(self, alpha: float) -> pd.DataFrame:
        """Return the runs at the α that stands for a run's; all of them where there is none."""
        near = self.near(alpha)
        return self.runs.loc[np.isclose(self.runs["alpha"], near), :] if near in self._compared() else self.runs

    def stands(self, alpha: float) -> str:
        """Name the α that `at` and `effect` are of, as comparisons do."""
        alphas = self.at(alpha)["alpha"]
        return text(alphas.iloc[0]) if alphas.nunique() == 1 else sweep.MEAN

    def told(self, alpha: float) -> str:
        """Say of which α `at` and `effect` are."""
        stands = self.stands(alpha)
        return "mean over α" if stands == sweep.MEAN else f"α = {stands}"

    def effect(self, metric: str, method: str, reference: str, alpha: float) -> Mapping[str, Any] | None:
        """Return the row of a comparison at an α, or of the mean over all."""
        return self.row("comparisons", metric=metric, method=method, reference=reference, alpha=self.stands(alpha))

    def mean(self, metric: str, method: str, alpha: float) -> float:
        """Return the mean of a cell at exactly this α; NaN where there is none."""
        found = self.runs.loc[(self.runs["metric"] == metric) & (self.runs["method"] == method), :]
        return float(found.loc[np.isclose(found["alpha"], alpha), "value"].mean())

    def has(self, metric: str) -> bool:
        """Tell whether most cells that are not balanced have a metric, at two or more α."""
        plain = self.runs.loc[self.runs["method"] == NOT_BALANCED, :]
        own = plain.loc[plain["metric"] == metric, "alpha"]
        return own.nunique() > 1 and own.nunique() >= FILLED * plain["alpha"].nunique()

    def last(self, metric: str) -> Mapping[str, Any] | None:
        """Return what the most contamination changes, not balanced."""
        rows = self.trends
        rows = rows.loc[(rows["metric"] == metric) & (rows["method"] == NOT_BALANCED), :].sort_values("alpha_to")
        return cast(Mapping[str, Any], rows.iloc[-1].to_dict()) if len(rows) else None

    def others(self, rows: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
        """Name the α at which lines are compared that rows are not of."""
        here = {text(row["alpha"]) for row in rows.values() if row}
        return [name for alpha in sorted(self._compared()) if (name := text(alpha)) not in here]

    def row(self, table: str, **where: str) -> Mapping[str, Any] | None:
        """Return the first row of a table, ``comparisons`` or ``trends``, with these values."""
        rows: pd.DataFrame = getattr(self, table)
        for name, value in where.items():
            texts = [text(one) for one in rows[name]]
            rows = rows.loc[[text == value for text in texts], :]
        return cast(Mapping[str, Any], rows.iloc[0].to_dict()) if len(rows) else None


def text(value: object) -> str:
    """Write an α, or what stands in its place."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def quality_of(metrics: Details, study: Study | None = None) -> str:
    """Name the first headline metric of quality that the run, and the study, have; empty: none."""
    for kind, keys in headlines(metrics):
        for key in keys:
            if kind == "quality" and (study is None or study.has(key)):
                return key
    return ""


def bias_of(metrics: Details, study: Study | None = None) -> str:
    """Name the metric of bias that stands for the others; empty: none."""
    return next((key for key in BIASES if key in metrics and (study is None or study.has(key))), "")


def biases_of(metrics: Details, study: Study | None = None) -> list[str]:
    """Name the measures of bias that share an axis, which may disagree; by kind, unseen portraits before seen."""
    keys = [key for kind, family in headlines(metrics) if kind == "bias" for key in family]
    keys = [key for key in keys if entry(key).key in MEASURED and (study is None or study.has(key))]
    return sorted(keys, key=lambda key: list(MEASURED).index(entry(key).key))


def place_of(study: Study) -> str:
    """
    Name the metric whose course over α the first chart shows; empty: none.

    A position that fewer models have than another's is not taken: which models have one is no accident.
    """
    there = [key for key in PLACES if study.has(key)]
    if not there:
        return ""
    family = [key for key in there if entry(key).key == entry(there[0]).key]
    models = study.runs.loc[study.runs["method"] == NOT_BALANCED, "metric"].value_counts()
    return max(family, key=lambda key: models[key])


def judged_by(own: Own, study: Study) -> tuple[list[str], str]:
    """Name the measures of bias that the answer is about, and the metric of quality; empty: none."""
    quality = quality_of(own.metrics, study)
    lies = place_of(study)
    keys = biases_of(own.metrics, study)
    if lies and lies not in keys:
        keys = [lies, *keys]
    return keys, quality


def where(key: str) -> str:
    """Say where a metric is measured, e.g. ``"unseen portraits"``; empty for gender, of which all of it is."""
    parts = [part for part in name_and_place(key)[1].split(" · ") if part != "gender"]
    return " ".join(reversed(parts)) if parts[-1:] in (["seen"], ["unseen"]) else ", ".join(parts)
