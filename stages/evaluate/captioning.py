"""What a captioner says of the evaluation set: quality, gender error, leakage, bias amplification."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from stages.corpus.attributes import tone_group
from stages.corpus.words import GROUPS
from stages.evaluate import amplification, bootstrap, caption_quality, leakage
from stages.evaluate.scores import Scores
from stages.evaluate.settings import Leakage
from stages.evaluate.training import Rows

Texts = Callable[[Sequence[str]], NDArray[np.floating]]


def measure(
    captions: Mapping[str, Mapping[str, str]],
    table: pd.DataFrame,
    images: NDArray[np.floating],
    texts: Texts,
    trained: Rows,
    reference: Rows,
    settings: Leakage,
    draws: int,
    meteor: bool = False,
    device: str | torch.device = "cpu",
) -> Scores:
    """
    Measure captioners on one evaluation set.

    Parameters
    ----------
    captions : mapping, captioner → key → caption
        One caption an image of the set.
    table : DataFrame
        Rows of the set: key, cluster, captions, gender, skin_tone, occupation.
    images : (N, D) array
        Features of the images, in the table's order.
    trained : Rows
        What the captioners were trained on: its most frequent caption is the baseline.
    reference : Rows
        Training data before contamination and balancing: amplification is of its associations.

    Returns
    -------
    Scores
        Keys ``captions.<captioner>.…``; the tables `captions` (quality and gender error), `leakage` (a row a seed) and
        `amplification` (a row a group and occupation).

    Raises
    ------
    InputError
        If a captioner left an image out, or a caption is empty.
    """
    scores = Scores()
    keys = table["key"].tolist()
    references = dict(zip(keys, table["captions"].map(list), strict=True))
    gender = dict(zip(keys, table["gender"], strict=True))
    cluster = dict(zip(keys, table["cluster"], strict=True))
    baseline = caption_quality.score(dict.fromkeys(keys, trained.majority()), references)
    scores.add("captions.majority.cider", baseline["cider"])
    for captioner, said in captions.items():
        prefix = f"captions.{captioner}"
        for name, value in caption_quality.score(said, references, meteor=meteor).items():
            scores.add(f"{prefix}.{name}", value)
        alike = caption_quality.clip_score(images, texts([said[key] for key in keys]))
        low, high = bootstrap.interval(bootstrap.means(alike, draws, 0, bootstrap.numbered(table["cluster"])))
        scores.add(f"{prefix}.clip_score", alike.mean().item(), low.item(), high.item())
        error = leakage.gender_named(said, gender, draws=draws, cluster=cluster)
        for name, value in error.metrics().items():
            scores.add(f"{prefix}.{name}", value)
        scores.tabulate("captions", error.error, captioner=captioner, metric="gender_error")
        for attribute in filter(reference.knows, GROUPS):
            found = amplification.of_captions(said, table, attribute, reference, draws=draws)
            scores.add(f"{prefix}.amplification.a_to_t.{attribute}", found.a_to_t, *found.a_to_t_interval)
            scores.add(f"{prefix}.amplification.t_to_a.{attribute}", found.t_to_a, *found.t_to_a_interval)
            rows = found.pairs.rename(columns={"attribute": "group", "task": "occupation", "n_attribute": "n_group"})
            rows = rows.rename(columns={"n_task": "n_occupation"})
            scores.tabulate("amplification", rows, captioner=captioner, attribute=attribute)
    scores.update(leaked(captions, table, settings, draws, device))
    return scores


def leaked(
    captions: Mapping[str, Mapping[str, str]],
    table: pd.DataFrame,
    settings: Leakage,
    draws: int,
    device: str | torch.device = "cpu",
) -> Scores:
    """
    Measure what captioners give away: LIC_M, LIC_D and LIC per captioner and attribute; the table `leakage`.

    Parameters
    ----------
    captions : mapping, captioner → key → caption
        One caption an image of the set.
    table : DataFrame
        Rows of the set: key, cluster, captions, gender, skin_tone.
    settings : Leakage
        Reader, seeds and attributes of LIC.

    Raises
    ------
    InputError
        See `leakage.lic`.
    """
    scores, reader = Scores(), _reader(settings)
    keys = table["key"].tolist()
    references = dict(zip(keys, table["captions"].map(list), strict=True))
    values = {"gender": table["gender"], "skin_tone": table["skin_tone"].map(tone_group)}
    for captioner, said in captions.items():
        for attribute in settings.attributes:
            found = leakage.lic(
                said,
                references,
                dict(zip(keys, values[attribute], strict=True)),
                masked=leakage.ATTRIBUTE_WORDS[attribute] | set(settings.masked.get(attribute, [])),
                classifier=reader,
                seeds=settings.seeds,
                test_share=settings.test_share,
                draws=draws,
                device=device,
                cluster=dict(zip(keys, table["cluster"], strict=True)),
            )
            for name, *figures in found.summary[["value", "lo", "hi"]].itertuples():
                scores.add(f"captions.{captioner}.{name}.{attribute}", *figures)
            scores.tabulate("leakage", found.seeds, captioner=captioner, attribute=attribute)
    return scores


def _reader(settings: Leakage) -> leakage.Classifier:
    """Make LIC's reader: its fields are parameters of the same names, but for `kind`."""
    names = {field.name for field in fields(leakage.Classifier)} - {"kind"}
    return leakage.Classifier(kind=settings.classifier, **settings.model_dump(include=names))
