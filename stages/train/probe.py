"""How the model learns and unlearns bias: a few numbers of a fixed small set of images, again and again.

Not the evaluation, which measures finished models on all images with intervals: the same quantities on a hundred images
of each set, cheap enough to be taken every few steps.

References
----------
Alabdulmohsin et al., ICLR 2024, arXiv 2403.04547: representation and association bias [S]; pairwise association [D].
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor, nn

from stages.corpus import measures, prompts
from stages.train.models import unit

TEMPLATES = ("{}", "a portrait of {}", "a photo of {}")


@dataclass(frozen=True)
class Probe:
    """
    Images and texts, prepared once.

    Attributes
    ----------
    pictures : Tensor, (n, 3, height, width)
        Pairs of `captions` first, then persons, then neutral images; any of the three may be missing.
    woman, man : ndarray of bool, (persons,)
        Groups of the persons.
    texts : Tensor, (t, context)
        Tokens of the captions, of the prompts of women and of men (one row a prompt, pair by pair), and of each label
        in each of `TEMPLATES`.
    shares : ndarray, (labels,)
        Known shares of women of the labels; NaN where unknown.
    """

    pictures: Tensor
    pairs: int
    persons: int
    neutral: int
    woman: NDArray[np.bool_]
    man: NDArray[np.bool_]
    texts: Tensor
    shares: NDArray[np.float64]


def prepare(
    pictures: Mapping[str, Tensor],
    captions: Sequence[str],
    gender: Sequence[str],
    shares: Mapping[str, float],
    tokenize: Callable[[list[str]], Tensor],
) -> Probe:
    """
    Collect the probe.

    Parameters
    ----------
    pictures : mapping of str to Tensor, (n, 3, height, width)
        `pairs`, `persons`, `neutral`: images as the model reads them.
    gender : sequence of str
        ``"woman"``, ``"man"`` or empty, one a person.
    shares : mapping of str to float
        Occupations, the labels of association, with their known shares of women; NaN where unknown.
    """
    groups = np.array(gender, dtype=str)
    women, men = prompts.contrast("gender", TEMPLATES)
    labels = [text for texts in prompts.ensemble(TEMPLATES, list(shares)) for text in texts]
    return Probe(
        pictures=torch.cat([pictures[name] for name in ("pairs", "persons", "neutral")]),
        pairs=len(pictures["pairs"]),
        persons=len(pictures["persons"]),
        neutral=len(pictures["neutral"]),
        woman=groups == "woman",
        man=groups == "man",
        texts=tokenize([*captions, *women, *men, *labels]),
        shares=np.array(list(shares.values()), float),
    )


@torch.no_grad()
def measure(model: nn.Module, probe: Probe, batch_size: int = 128) -> dict[str, float]:
    """
    Measure a model in evaluation mode; its mode and its running moments stay as they were.

    Returns
    -------
    dict of str to float
        What the probe's images allow of `probe.t2i.r5` (percent), `probe.rb.gender`, `probe.ab.max`, `probe.ab.mean`
        and `probe.pairwise_association`, defined as for finished models; and the `temperature`, 1 / logit scale.
    """
    training = model.training
    model.eval()
    try:
        device = next(model.parameters()).device
        encode = cast(Any, model)
        parts = [encode.encode_image(part.to(device)) for part in probe.pictures.split(batch_size)]
        images = unit(torch.cat(parts).float()).cpu()
        texts = unit(torch.cat([encode.encode_text(p.to(device)) for p in probe.texts.split(batch_size)]).float()).cpu()
        scale = float(encode.logit_scale.exp())
    finally:
        model.train(training)
    pairs, persons, neutral = images.split([probe.pairs, probe.persons, probe.neutral])
    of_labels = len(TEMPLATES) * len(probe.shares)
    captions, gendered, labels = texts.split([probe.pairs, len(texts) - probe.pairs - of_labels, of_labels])
    result = {"temperature": 1 / scale}
    if probe.pairs:
        result["probe.t2i.r5"] = measures.recall(measures.own_ranks(captions @ pairs.T, np.arange(probe.pairs)), 5)
    if probe.neutral:
        women, men = (neutral @ gendered.T).chunk(2, dim=1)
        result["probe.rb.gender"] = abs(float(measures.preference(men, women).mean()) - 0.5)
    if len(probe.shares) and probe.woman.any() and probe.man.any():
        centres = unit(labels.unflatten(0, (-1, len(TEMPLATES))).mean(dim=1))
        result |= association(scale * (persons @ centres.T).double().numpy(), probe.woman, probe.man, probe.shares)
    return result


def association(
    logits: NDArray[np.float64], woman: NDArray[np.bool_], man: NDArray[np.bool_], shares: NDArray[np.float64]
) -> dict[str, float]:
    """
    Measure how labels that a picture does not show depend on the gender of who is in it.

    Parameters
    ----------
    logits : ndarray, (persons, labels)
        Of images without any cue for the labels.
    woman, man : ndarray of bool, (persons,)
        Groups; neither empty.
    shares : ndarray, (labels,)
        Known shares of women; NaN where unknown.

    Returns
    -------
    dict of str to float
        `probe.ab.max` and `probe.ab.mean` over labels r of |E[f_r | woman] − E[f_r | man]|, f = softmax; and, where
        known shares allow it, `probe.pairwise_association`, the mean over pairs (A with a majority of women, B with
        few) of P(A preferred | woman) − P(A preferred | man).
    """
    f = softmax(logits, axis=1)
    gap = np.abs(f[woman].mean(axis=0) - f[man].mean(axis=0))
    result = {"probe.ab.max": float(gap.max()), "probe.ab.mean": float(gap.mean())}
    preferred = measures.pairwise_preference(logits, shares)
    if preferred is not None:
        result["probe.pairwise_association"] = float(preferred[woman].mean() - preferred[man].mean())
    return result
