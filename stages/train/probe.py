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
from torch import Tensor, nn

from stages.corpus import prompts
from stages.train.models import unit

TEMPLATES = ("{}", "a portrait of {}", "a photo of {}")
MAJORITY, FEW = 0.5, 0.05  # of women: pairs of occupations (more than the first, at most the second)


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
        What the probe's images allow of `retrieval_r5` (text to image, share), `representation_bias`,
        `association_max`, `association_mean` (|AB| over occupations), `pairwise_association`; and the `temperature`,
        1 / logit scale.
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
        result["retrieval_r5"] = recall(captions @ pairs.T, 5)
    if probe.neutral:
        women, men = (neutral @ gendered.T).chunk(2, dim=1)
        result["representation_bias"] = abs((men > women).double().mean().item() - 0.5)
    if len(probe.shares) and probe.woman.any() and probe.man.any():
        centres = unit(labels.unflatten(0, (-1, len(TEMPLATES))).mean(dim=1))
        result |= association(scale * (persons @ centres.T).double().numpy(), probe.woman, probe.man, probe.shares)
    return result


def recall(scores: Tensor, k: int) -> float:
    """
    Share of rows whose own column is among the k best; ties count against it.

    Parameters
    ----------
    scores : Tensor, (n, n)
        Row i belongs to column i.

    Returns
    -------
    float
        In [0, 1].
    """
    rank = (scores >= scores.diagonal()[:, None]).sum(dim=1)
    return (rank <= k).double().mean().item()


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
        `association_max` and `association_mean` over labels r of |E[f_r | woman] − E[f_r | man]|, f = softmax; and,
        where known shares allow it, `pairwise_association`, the mean over pairs (A with a majority of women, B with
        few) of P(A preferred | woman) − P(A preferred | man).
    """
    f = np.exp(logits - logits.max(axis=1, keepdims=True))
    f /= f.sum(axis=1, keepdims=True)
    gap = np.abs(f[woman].mean(axis=0) - f[man].mean(axis=0))
    result = {"association_max": float(gap.max()), "association_mean": float(gap.mean())}
    a, b = logits[:, shares > MAJORITY], logits[:, shares <= FEW]
    if a.shape[1] and b.shape[1]:
        preferred = (a[:, :, None] > b[:, None, :]).mean(axis=(1, 2))
        result["pairwise_association"] = float(preferred[woman].mean() - preferred[man].mean())
    return result
