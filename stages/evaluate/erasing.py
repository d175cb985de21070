"""Every metric again with an attribute erased: on the same features, so it costs no training and no second encoding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.corpus import prompts
from stages.evaluate.association import LABEL_PAIRS
from stages.evaluate.erase import Affine, Eraser, Evidence, fit
from stages.evaluate.features import unit
from stages.evaluate.groups import contrast
from stages.evaluate.leftover import leftover
from stages.evaluate.scores import Scores
from stages.evaluate.settings import Evaluate
from stages.evaluate.suite import Options, SetFeatures, Suite
from stages.evaluate.training import Rows

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """What `Suite` measures a model on; see there."""

    sets: Sequence[SetFeatures]
    texts: Callable[[Sequence[str]], Features]
    logit_scale: float
    occupations: pd.DataFrame | None
    trained: Rows | None
    options: Options


def measure(
    scores: Scores, of: Measured, train: NDArray[np.float64], first: NDArray[np.bool_], evaluate: Evaluate
) -> None:
    """
    Fit every eraser of `evaluate.erase`, and measure the model with it.

    Parameters
    ----------
    scores : Scores
        Gets the table ``erased`` (eraser, metric, value, lo, hi; eraser ``none`` is the model as it is) and the arrays
        ``erasers/<name>``.
    train : ndarray, (N, D)
        Unit features of training images; `first` tells which show the first group.
    """
    attribute, options = evaluate.erase.attribute, replace(of.options, mode="corrected", compare=False)
    evidence = _evidence(of, train, first, attribute)
    erasers = {"none": Eraser()} | {name: fit(name, evidence, evaluate.seed) for name in evaluate.erase.methods}
    for name, eraser in erasers.items():
        sets = [_mapped(part, eraser) for part in of.sets]
        found = Suite(
            lambda words, map_=eraser.texts: _apply(map_, of.texts(words)),
            of.logit_scale,
            of.occupations,
            options,
            of.trained,
            eraser.labels,
        ).run(sets)
        held_out = {part.name: shown for part in sets if (shown := _shown(part, attribute)) is not None}
        for key, value in leftover(_apply(eraser.images, train), first, held_out, evaluate.seed).items():
            found.add(f"leftover.{attribute}.{key}", value)
        scores.tabulate("erased", found.estimates(), eraser=name)
        if name != "none":
            scores.arrays[f"erasers/{name}"] = eraser.state()


def _evidence(of: Measured, train: NDArray[np.float64], first: NDArray[np.bool_], attribute: str) -> Evidence:
    labels = [label for pair in LABEL_PAIRS for label in pair]
    if of.occupations is not None:
        labels = [str(name) for name in of.occupations["occupation"]]
    templates, words = of.options.person_templates, prompts.CONTRAST_WORDS[attribute]
    named = [
        [prompts.fill(template, f"{pair[i]} {label}") for template in templates for label in labels for pair in words]
        for i in (0, 1)
    ]
    texts = (*prompts.contrast(attribute, templates), *named)
    return Evidence(train, first, *(unit(of.texts(part), "prompts") for part in texts))


def _apply(map_: Affine | None, features: NDArray[np.floating]) -> Features:
    return np.asarray(features if map_ is None else map_(unit(features)), np.float32)


def _mapped(part: SetFeatures, eraser: Eraser) -> SetFeatures:
    captions = _apply(eraser.texts, part.captions) if len(part.captions) else part.captions
    return replace(part, images=_apply(eraser.images, part.images), captions=captions, as_published=None)


def _shown(part: SetFeatures, attribute: str) -> tuple[Features, NDArray[np.bool_]] | None:
    """Images that show one group of the attribute, and whether it is the first; None where a group is missing."""
    one, zero = contrast(part.table, attribute)
    known = one | zero
    return (part.images[known], one[known]) if one.any() and zero.any() else None
