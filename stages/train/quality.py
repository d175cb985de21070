"""The filter before training: pairs whose image and text are least alike under a given model are dropped.

References
----------
Alabdulmohsin et al., ICLR 2024, arXiv 2403.04547: a quality filter on image-text similarity offsets the cost of
balancing [P, abstract]; which model and threshold the paper used is not known here [?].
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from stages.train.models import unit


@torch.no_grad()
def similarity(
    model: nn.Module,
    preprocess: Callable[[Image.Image], Tensor],
    images: Sequence[NDArray[np.uint8] | None],
    tokens: Tensor,
) -> NDArray[np.float32]:
    """
    Compare images and texts, pair by pair.

    Parameters
    ----------
    preprocess : callable
        Of that model: PIL image to tensor.
    images : sequence of ndarray, uint8, (height, width, 3), or None
        None: unreadable.
    tokens : Tensor, (n, context)
        Of the texts.

    Returns
    -------
    ndarray, float32, (n,)
        Cosine; −1 for an unreadable image.
    """
    device = next(model.parameters()).device
    encode = cast(Any, model)
    readable = np.array([image is not None for image in images])
    result = np.full(len(images), -1, np.float32)
    if readable.any():
        pixels = torch.stack([preprocess(Image.fromarray(image)) for image in images if image is not None])
        pictures = unit(encode.encode_image(pixels.to(device)))
        texts = unit(encode.encode_text(tokens[torch.from_numpy(readable)].to(device)))
        result[readable] = (pictures * texts).sum(dim=1).float().cpu().numpy()
    return result


def keep(similarities: NDArray[np.float32], quantile: float) -> NDArray[np.bool_]:
    """
    Decide which pairs stay.

    Parameters
    ----------
    similarities : ndarray, (n,)
        Cosines.
    quantile : float
        Share to drop, in [0, 1).

    Returns
    -------
    ndarray of bool, (n,)
        False for the floor(quantile · n) least similar pairs; among equal ones the later row goes first.
    """
    order = np.lexsort((-np.arange(len(similarities)), similarities))
    kept = np.ones(len(similarities), bool)
    kept[order[: int(quantile * len(similarities))]] = False
    return kept
