"""Which metric is taken on which set; arrays and tables in, metrics and tables out.

Three kinds of set: ``retrieval`` (images with captions and persons), ``persons`` (persons without any cue for the
labels) and ``objects`` (classes, no persons). A set whose column `part` has several values is measured part by part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.corpus import prompts
from stages.corpus.evaluation_sets import ATTRIBUTES
from stages.corpus.kinds import KINDS, Kind
from stages.evaluate import (
    association,
    bootstrap,
    ceiling,
    comparison,
    harm,
    preference,
    published,
    recognition,
    representation,
    retrieval,
    similarity,
    skew,
    transfer,
    weat,
    zero_shot,
)
from stages.evaluate.features import mean_direction, unit
from stages.evaluate.groups import CONTRASTS, CROSS, Group, GroupFigures, contrast, means, partition
from stages.evaluate.scores import Scores
from stages.evaluate.training import Rows

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """
    How to measure.

    Attributes
    ----------
    mode : str
        ``corrected``, or ``as_published``: features of `SetFeatures.as_published`, images not normalised row by row
        where captions retrieve them, sampling loops instead of closed forms.
    compare : bool
        Whether the table of the published definitions beside the corrected ones is made.
    iterations : int
        Draws of the published loops (published: 10,000).
    min_group : int
        Groups with fewer images are flagged, and kept out of gaps.
    templates, person_templates : sequence of str
        Prompts of objects, and of persons and occupations.
    preset : str, optional
        One of `prompts.PRESETS`, for the words of groups.
    """

    mode: Literal["corrected", "as_published"] = "corrected"
    compare: bool = False
    draws: int = 1000
    iterations: int = published.ITERATIONS
    min_group: int = 30
    top_k: int = 100
    seed: int = 0
    templates: Sequence[str] = ("a photo of {}",)
    person_templates: Sequence[str] = ("a photo of {}",)
    preset: str | None = None


@dataclass(frozen=True)
class SetFeatures:
    """
    A set as the model sees it.

    Attributes
    ----------
    name : str
        E.g. ``"people"``; starts the keys of its metrics.
    images : ndarray, (N, D)
        Not normalised, row by row as in the table.
    captions : ndarray, (T, D)
        Not normalised; the captions of the first image, of the second, …; empty where the kind of set needs none.
    as_published : ndarray, (N, D), optional
        Images as the published code encodes them (defects e and f).
    kind : str
        ``retrieval``, ``persons`` or ``objects``; by default, that of the name.
    attributes : tuple of str
        Columns that images are grouped by.
    """

    name: str
    table: pd.DataFrame
    images: NDArray[np.float32]
    captions: NDArray[np.float32]
    as_published: NDArray[np.float32] | None = None
    kind: Kind | None = None
    attributes: tuple[str, ...] = ATTRIBUTES

    @property
    def cluster(self) -> NDArray[np.intp]:
        """Number the clusters of the images, (N,)."""
        return bootstrap.numbered(self.table["cluster"])

    def select(self, rows: NDArray[np.bool_]) -> "SetFeatures":
        """Take some of the images, without captions."""
        old = None if self.as_published is None else self.as_published[rows]
        return SetFeatures(
            self.name,
            self.table.loc[rows].reset_index(drop=True),
            self.images[rows],
            self.captions[:0],
            old,
            self.kind,
            self.attributes,
        )


class Suite:
    """
    All metrics of one model.

    Parameters
    ----------
    encode_text : callable
        Texts → features (T, D), not normalised.
    occupations : DataFrame, optional
        ``occupation, women_corpus, women_generator``: known shares of women.
    trained : Rows, optional
        What the model was trained on, for `transfer`; unknown of a model from elsewhere.
    labels : callable, optional
        Maps the embedded prompts of labels (`stages.evaluate.erase`).
    """

    def __init__(
        self,
        encode_text: Callable[[Sequence[str]], NDArray[np.float32]],
        logit_scale: float,
        occupations: pd.DataFrame | None,
        settings: Options,
        trained: Rows | None = None,
        labels: Callable[[Array], Array] | None = None,
    ) -> None:
        self.encode_text = encode_text
        self.logit_scale = logit_scale
        self.settings = settings
        self.occupations = occupations
        self.trained = trained
        self.labels = labels
        self.scores = Scores()
        self._open: tuple[Array, Array] | None = None

    def run(self, sets: Sequence[SetFeatures]) -> Scores:
        """Measure everything."""
        self.scores.add("logit_scale", self.logit_scale)
        for features in sets:
            self.scores.add(f"n.{features.name}", len(features.table))
            kind = features.kind or KINDS[features.name]
            if kind == "retrieval":
                self._retrieval(features)
                self._recognition(features, features.name)
            elif kind == "persons":
                for part, prefix, chosen in _parts(features):
                    self._persons(chosen, part, prefix)
            else:
                self._objects(features)
        self._text_association()
        return self.scores

    def _prompts(self, texts: Sequence[str]) -> Array:
        return unit(self.encode_text(texts), "prompts")

    def _classes(self, labels: Sequence[str], templates: Sequence[str]) -> Array:
        """Embed labels (L, D): the mean over the templates, normalised."""
        flat = [text for texts in prompts.ensemble(templates, labels) for text in texts]
        embedded = self._prompts(flat)
        if self.labels is not None:
            embedded = unit(self.labels(embedded), "prompts")
        embedded = embedded.reshape(len(labels), len(templates), -1)
        return np.stack([mean_direction(rows) for rows in embedded])

    def _contrast_prompts(self, attribute: str) -> tuple[Array, Array]:
        one, zero = prompts.contrast(attribute, self.settings.person_templates, self.settings.preset)
        embedded = self._prompts([*one, *zero])
        return embedded[: len(one)], embedded[len(one) :]

    def _means(
        self,
        total: NDArray,
        groups: Sequence[Group],
        cluster: NDArray[np.intp],
        count: NDArray | None = None,
        better: bool = True,
    ) -> GroupFigures:
        s = self.settings
        return means(
            total,
            groups,
            count=count,
            higher_is_better=better,
            draws=s.draws,
            seed=s.seed,
            min_n=s.min_group,
            cluster=cluster,
        )

    def _images(self, features: SetFeatures) -> NDArray[np.float32]:
        if self.settings.mode == "corrected":
            return features.images
        if features.as_published is None:
            raise ValueError(f"{features.name}: mode as_published needs the published features")
        return features.as_published

    # Retrieval

    def _retrieval(self, features: SetFeatures) -> None:
        groups = partition(features.table, features.attributes)
        raw = self._images(features)
        images = unit(raw, "images") if self.settings.mode == "corrected" else published.normalised_by_first(raw)
        texts, owner, number = _captions(features)
        self.scores.add(f"n.{features.name}.captions", len(owner))
        ranked = {
            "t2i": retrieval.text_to_image_ranks(texts, images, owner),
            "t2i_shared": retrieval.text_to_image_ranks(texts, images, owner, number, shared=True),
            "i2t": retrieval.image_to_text_ranks(texts, images, owner, number),
        }
        own = {"t2i": owner, "t2i_shared": owner, "i2t": np.arange(len(images))}  # image of each query
        fits = ceiling.fitting(features.table, owner, number)
        for direction, ranks in ranked.items():
            sums, counts = retrieval.per_image(retrieval.reciprocal(ranks), own[direction], len(images))
            self.scores.overall(f"{features.name}.{direction}.mrr", self._means(sums, [], features.cluster, counts))
            for k, hit in retrieval.hits(ranks).items():
                sums, counts = retrieval.per_image(hit, own[direction], len(images))
                figures = self._means(100 * sums, groups if direction != "t2i_shared" else [], features.cluster, counts)
                key = f"{features.name}.{direction}.r{k}"
                self.scores.overall(key, figures)
                self.scores.add(f"{key}.ceiling", 100 * fits.recall(k)[direction].mean())
                if k == 5:
                    self.scores.spread(key, figures)
                self.scores.tabulate("retrieval", figures.table, set=features.name, direction=direction, k=k)
        if self.settings.compare and features.as_published is not None:
            table = comparison.retrieval_table(features.images, features.as_published, texts, owner, _single(groups))
            self.scores.tabulate("published", table, set=features.name, part="")

    # Persons without a cue

    def _persons(self, features: SetFeatures, part: str, prefix: str) -> None:
        self._recognition(features, prefix, part)
        images = unit(self._images(features), "images")
        groups = partition(features.table, features.attributes)
        self._similarity_and_preference(features, images, groups, part, prefix)
        for attribute in CONTRASTS:
            one, zero = contrast(features.table, attribute)
            if one.any() and zero.any():
                infix = "" if attribute == "gender" else f"{attribute}."
                rows = one | zero
                cluster = bootstrap.numbered(features.cluster[rows])
                self._association(features.name, images[rows], one[rows], cluster, attribute, part, f"{prefix}.{infix}")
        for attribute in features.attributes:
            own = [group for group in groups if group.attribute == attribute and group.n >= self.settings.min_group]
            if attribute not in CONTRASTS and len(own) > 1:
                self._group_association(features, images, own, part, f"{prefix}.{attribute}.")
        if (features.table["ethnicity"] != "").any():
            self._harm(features, images, groups, part, prefix)

    def _recognition(self, features: SetFeatures, prefix: str, part: str = "") -> None:
        images = unit(self._images(features), "images")
        for attribute in CONTRASTS:
            one, zero = contrast(features.table, attribute)
            if not (one.any() and zero.any()):
                continue
            known = one | zero
            margin = recognition.margins(images[known], *self._contrast_prompts(attribute))
            truth = one[known]
            right = recognition.correct(margin, truth)
            two = [Group(attribute, CONTRASTS[attribute][g], truth == (g == 0)) for g in (0, 1)]
            cluster = bootstrap.numbered(features.cluster[known])
            figures = self._means(right, two, cluster)
            balanced = right / np.where(truth, truth.mean(), 1 - truth.mean()) / 2
            low, high = bootstrap.interval(bootstrap.means(balanced, self.settings.draws, self.settings.seed, cluster))
            key = f"{prefix}.recognition.{attribute}"
            self.scores.add(key, balanced.mean(), low[0], high[0])
            self.scores.add(f"{key}.auc", recognition.auc(margin, truth))
            self.scores.tabulate("recognition", figures.table.iloc[1:], set=features.name, part=part)

    def _similarity_and_preference(
        self, features: SetFeatures, images: Array, groups: list[Group], part: str, prefix: str
    ) -> None:
        s = self.settings
        single = _single(groups)
        alike = similarity.by_group(images, groups, s.draws, s.seed, s.min_group, features.cluster)
        if s.mode == "as_published":
            looped = published.self_similarity_loop(images, single, s.iterations)
            values = [looped.get((a, g), v) for a, g, v in alike.table[["attribute", "group", "value"]].to_numpy()]
            alike = GroupFigures(alike.table.assign(value=values, lo=np.nan, hi=np.nan), alike.spread)
        else:
            self.scores.add(f"{prefix}.self_similarity", similarity.without_replacement(images))
            self.scores.spread(f"{prefix}.self_similarity", alike)
        self.scores.tabulate("similarity", alike.table, set=features.name, part=part)
        for attribute, marked in preference.MARKED.items():
            own = [group for group in groups if group.attribute == attribute]
            if not own:
                continue
            embedded = self._prompts([preference.PERSON, *marked.values()])
            chosen = preference.unmarked(images, embedded[0], embedded[1:])
            figures = self._means(100 * chosen, groups, features.cluster)
            self.scores.overall(f"{prefix}.preference.{attribute}", figures)
            if s.mode == "as_published":
                looped = published.preference_loop(chosen, own, s.iterations)
                self.scores.add(f"{prefix}.preference.{attribute}.gap.{attribute}", 100 * np.ptp(list(looped.values())))
            else:
                self.scores.spread(f"{prefix}.preference.{attribute}", figures)
            self.scores.tabulate("preference", figures.table, set=features.name, part=part, prompts=attribute)
        if s.compare and features.as_published is not None:
            marked = {
                attribute: self._prompts([preference.PERSON, *values.values()])
                for attribute, values in preference.MARKED.items()
            }
            table = comparison.persons_table(features.images, features.as_published, marked, single, s.iterations)
            self.scores.tabulate("published", table, set=features.name, part=part)

    def _harm(self, features: SetFeatures, images: Array, groups: list[Group], part: str, prefix: str) -> None:
        labels = [label for kind in harm.LABELS.values() for label in kind]
        for kind, found in harm.harms(images, self._classes(labels, self.settings.person_templates)).items():
            figures = self._means(100 * found, groups, features.cluster, better=False)
            self.scores.overall(f"{prefix}.harm.{kind}", figures)
            self.scores.spread(f"{prefix}.harm.{kind}", figures)
            self.scores.tabulate("harm", figures.table, set=features.name, part=part, kind=kind)

    # Association

    def _labels(self) -> tuple[list[str], Array | None, Array | None]:
        """Return label names and the known shares of women in corpus and generator, NaN where unknown."""
        if self.occupations is None:
            return [label for pair in association.LABEL_PAIRS for label in pair], None, None
        table = self.occupations
        corpus, generator = (np.asarray(pd.to_numeric(table[f"women_{of}"]), float) for of in ("corpus", "generator"))
        return [str(name) for name in table["occupation"]], corpus, generator

    def _group_association(
        self, features: SetFeatures, images: Array, groups: list[Group], part: str, prefix: str
    ) -> None:
        """Compare each group of an attribute with all others."""
        rows = np.any([group.members for group in groups], axis=0)
        labels, *_ = self._labels()
        embedded = self._classes(labels, self.settings.person_templates)
        table, summary, null = association.group_association(
            self.logit_scale * np.asarray(images[rows] @ embedded.T, float),
            labels,
            {group.value: group.members[rows] for group in groups},
            self.settings.draws,
            seed=self.settings.seed,
            cluster=bootstrap.numbered(features.cluster[rows]),
        )
        for name, estimate in summary.items():
            self.scores.add(f"{prefix}ab.{name}", *estimate)
        self.scores.add(f"{prefix}ab.null", null)
        attribute = groups[0].attribute
        self.scores.tabulate("group_association", table, set=features.name, part=part, attribute=attribute)

    def _over_prompts(self, key: str, values: Sequence[float]) -> None:
        """Note the lowest and the highest value that one prompt, or pair of prompts, alone gives."""
        if len(values) > 1:
            self.scores.add(f"{key}.prompts.lowest", min(values))
            self.scores.add(f"{key}.prompts.highest", max(values))

    def _association(
        self,
        name: str,
        images: Array,
        s: NDArray[np.bool_],
        cluster: NDArray[np.intp],
        attribute: str,
        part: str,
        prefix: str,
    ) -> None:
        labels, corpus, generator = self._labels()
        embedded = self._classes(labels, self.settings.person_templates)
        logits = self.logit_scale * np.asarray(images @ embedded.T, float)
        draws, seed = self.settings.draws, self.settings.seed
        found = association.label_association(logits, labels, s, draws, seed=seed, cluster=cluster)
        for kind, infix in (("softmax", ""), ("argmax", "argmax.")):
            self.scores.add(f"{prefix}ab.{infix}max", *found.maximum[kind])
            self.scores.add(f"{prefix}ab.{infix}mean", *found.mean[kind])
            self.scores.add(f"{prefix}ab.{infix}null", found.null[kind])
        alone = [
            association.largest(self.logit_scale * np.asarray(images @ self._classes(labels, [one]).T, float), s)
            for one in self.settings.person_templates
        ]
        self._over_prompts(f"{prefix}ab.max", alone)
        table = found.table
        if attribute == "gender" and corpus is not None:
            table = table.assign(women_corpus=corpus, women_generator=generator)
        self.scores.tabulate("association", table, set=name, part=part, attribute=attribute)
        pairs = _stereotypes(labels, generator)
        first, second = ([labels.index(pair[i]) for pair in pairs] for i in (0, 1))
        estimates, mean = association.pair_association(logits[:, first], logits[:, second], s, draws, seed, cluster)
        rows = pd.DataFrame(pairs, columns=pd.Index(["first", "second"]))
        rows["n_1"], rows["n_0"] = int(s.sum()), int((~s).sum())
        rows[["value", "lo", "hi"]] = estimates
        self.scores.tabulate("association_pairs", rows, set=name, part=part, attribute=attribute)
        self.scores.add(f"{prefix}pair_association", *mean)
        self._skew(name, logits, labels, s, cluster, attribute, part, prefix)
        if attribute == "gender":
            self._women(images, embedded, logits, found, s, cluster, prefix)

    def _women(
        self,
        images: Array,
        embedded: Array,
        logits: Array,
        found: association.LabelAssociation,
        s: NDArray[np.bool_],
        cluster: NDArray[np.intp],
        prefix: str,
    ) -> None:
        """Relate the gaps between women and men to the known shares of women."""
        labels, corpus, generator = self._labels()
        draws, seed = self.settings.draws, self.settings.seed
        if corpus is not None and generator is not None:
            pairwise = association.pairwise_association(logits, generator, s, draws, seed, cluster)
            if pairwise is not None:
                self.scores.add(f"{prefix}pairwise_association", *pairwise)
            against = association.against_shares(found.table["gap"], corpus, generator, found.gap_samples)
            for name, estimate in against.items():
                self.scores.add(prefix + SHARE_KEYS[name], *estimate)
            self._transfer(prefix, found.table["gap"].to_numpy(float), found.gap_samples)
            a, b = generator > association.MAJORITY, generator <= association.FEW
        else:
            stereotyped = [{pair[i] for pair in association.LABEL_PAIRS} for i in (0, 1)]
            a, b = (np.array([label in names for label in labels]) for names in stereotyped)
        if a.any() and b.any():
            x = weat.association(images, embedded[a], embedded[b])
            self.scores.add(f"{prefix}weat", weat.effect(x[s], x[~s]))
            self.scores.add(f"{prefix}weat.p", weat.p_value(x, s, seed=seed, cluster=cluster))

    def _transfer(self, prefix: str, gap: Array, samples: Array | None = None) -> None:
        """Relate gaps to the rows that the model was trained on, and place them between corpus and generator."""
        labels, corpus, generator = self._labels()
        if self.trained is None or corpus is None or generator is None:
            return
        if self._open is None:
            self._open = self.trained.open_shares("gender", labels)
        share, n = self._open
        figures = {
            "transfer": transfer.transfer(gap, share, n, samples),
            "position": transfer.position(gap, corpus, generator, n, samples),
            "position.ideal": transfer.position(transfer.smoothed(share, n), corpus, generator, n),
        }
        for name, estimate in figures.items():
            if estimate is not None:
                self.scores.add(f"{prefix}{name}", *estimate)

    def _skew(
        self,
        name: str,
        logits: Array,
        labels: list[str],
        s: NDArray[np.bool_],
        cluster: NDArray[np.intp],
        attribute: str,
        part: str,
        prefix: str,
    ) -> None:
        """Rank the images for each label, a query that names no group."""
        setting = self.settings
        group = np.where(s, 1, 0)
        desired = np.array([1 - s.mean(), s.mean()])
        order = skew.ranking(logits.T, setting.seed)
        counts = skew.top_counts(order, group, 2, setting.top_k)
        samples = skew.resampled_counts(order, group, 2, setting.top_k, setting.draws, setting.seed, cluster)
        figures = {
            "max_skew": (skew.max_skew(counts, desired), skew.max_skew(samples, desired)),
            "bias_at_k": (skew.bias_at_k(counts), skew.bias_at_k(samples)),
        }
        divergence = skew.ndkl(order, group, desired)
        rows = pd.DataFrame({"query": labels, "n": min(setting.top_k, len(s)), "ndkl": divergence})
        for metric, (value, drawn) in figures.items():
            low, high = bootstrap.interval(drawn)
            rows[metric], rows[f"{metric}_lo"], rows[f"{metric}_hi"] = value, low, high
            low, high = bootstrap.interval(drawn.mean(axis=1))
            self.scores.add(f"{prefix}{metric}", float(value.mean()), float(low), float(high))
        self.scores.add(f"{prefix}ndkl", float(divergence.mean()))
        self.scores.tabulate("skew", rows, set=name, part=part, attribute=attribute)

    def _text_association(self) -> None:
        """Relate the prompts of women and men to the occupations; no image enters."""
        labels, corpus, generator = self._labels()
        if corpus is None or generator is None:
            return
        embedded = self._classes(labels, self.settings.person_templates)
        gap = self.logit_scale * association.text_gap(*self._contrast_prompts("gender"), embedded)
        for name, estimate in association.against_shares(gap, corpus, generator).items():
            self.scores.add(f"text.{SHARE_KEYS[name]}", *estimate)
        self._transfer("text.", gap)
        pairwise = association.text_pairwise(gap, generator)
        if pairwise is not None:
            self.scores.add("text.pairwise_association", pairwise)
        table = pd.DataFrame({"label": labels, "gap": gap, "women_corpus": corpus, "women_generator": generator})
        self.scores.tabulate("text_association", table)

    # Objects

    def _objects(self, features: SetFeatures) -> None:
        images = unit(self._images(features), "images")
        labels = sorted(set(features.table["label"]))
        target = np.searchsorted(labels, features.table["label"].to_numpy(str))
        classes = self._classes(labels, self.settings.templates)
        scored = zero_shot.classify(images, classes, target)
        of_label = dict(zip(features.table["label"], features.table["coarse"], strict=True))
        coarse = [str(of_label[label]) for label in labels]
        if all(coarse) and len(set(coarse)) > 1:
            scored["acc1.coarse"] = zero_shot.coarse_hits(images, classes, target, coarse).astype(float)
            self.scores.add(f"{features.name}.acc1.coarse.chance", 100 * ceiling.chance_of_coarse(coarse, target))
        for name in ("acc1", "acc5", "acc1.coarse", "mrr"):
            if name in scored:
                figures = self._means(scored[name] * (1 if name == "mrr" else 100), [], features.cluster)
                self.scores.overall(f"{features.name}.{name}", figures)
        self.scores.add(f"{features.name}.recall", 100 * scored["recall"].sum())
        self.scores.add(f"n.{features.name}.classes", len(labels))
        self.scores.tabulate("zero_shot", zero_shot.by_class(scored["acc1"], target, labels), set=features.name)
        prefix = "" if features.name == "objects" else f"{features.name}."
        s = self.settings
        pairs = {attribute: prompts.contrast(attribute, s.person_templates, s.preset) for attribute in CONTRASTS}
        for name, (ones, zeros) in {**pairs, "gender.bare": prompts.BARE_GENDER}.items():
            one, zero = self._prompts(ones), self._prompts(zeros)
            bias = representation.representation_bias(images, zero, one, s.draws, s.seed, features.cluster)
            self.scores.add(f"{prefix}rb.{name}", *bias.bias)
            self.scores.add(f"{prefix}rb.{name}.share", *bias.share)
            self.scores.add(f"{prefix}rb.{name}.margin", *bias.margin)
            self._over_prompts(f"{prefix}rb.{name}.share", bias.by_pair[:, 0].tolist())
            self._over_prompts(f"{prefix}rb.{name}.margin", (images @ (zero - one).T).mean(axis=0).tolist())
            rows = pd.DataFrame({"first": zeros, "second": ones, "n": bias.n})
            rows[["share", "lo", "hi"]] = bias.by_pair
            self.scores.tabulate("representation", rows, set=features.name, attribute=name.partition(".")[0])


SHARE_KEYS = {
    "correlation": "census_correlation",
    "slope": "census_slope",
    "drift_partial": "drift.partial",
}


def _parts(features: SetFeatures) -> list[tuple[str, str, SetFeatures]]:
    """Split a set by part: name of the part, prefix of its keys, its images."""
    parts = sorted(set(features.table["part"]) - {""}, reverse=True)
    if len(parts) < 2:
        return [("", features.name, features)]
    column = features.table["part"]
    return [(part, f"{features.name}.{part}", features.select((column == part).to_numpy())) for part in parts]


def _captions(features: SetFeatures) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Return caption features, the image of each caption, and a number that equal captions share."""
    lists = [list(captions) for captions in features.table["captions"]]
    texts = [text for captions in lists for text in captions]
    owner = np.repeat(np.arange(len(lists)), [len(captions) for captions in lists])
    number = np.unique(np.asarray(texts, object).astype(str), return_inverse=True)[1]
    return unit(features.captions, "captions"), owner, number


def _single(groups: Sequence[Group]) -> list[Group]:
    return [group for group in groups if CROSS not in group.attribute]


def _stereotypes(labels: Sequence[str], share: Array | None) -> list[tuple[str, str]]:
    """Pair the labels with most women with those with fewest; the published pairs where no share is known."""
    if share is None:
        return list(association.LABEL_PAIRS)
    order = [int(i) for i in np.argsort(share, kind="stable") if np.isfinite(share[i])]
    size = min(len(association.LABEL_PAIRS), len(order) // 2)
    return [(labels[order[-1 - i]], labels[order[i]]) for i in range(size)]
