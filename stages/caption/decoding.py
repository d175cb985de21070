"""Images to captions, batch by batch."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from stages.caption.captioner import Captioner
from stages.caption.vocabulary import Vocabulary


def caption(
    captioner: Captioner,
    vocabulary: Vocabulary,
    features: NDArray[np.floating],
    *,
    beams: int,
    max_tokens: int,
    batch_size: int,
    device: torch.device,
) -> Iterator[str]:
    """
    Caption images.

    Parameters
    ----------
    batch_size : int
        Images a batch; captions do not depend on it (but for ties within rounding).

    Yields
    ------
    str
        One caption an image, in order.
    """
    captioner.eval()
    for start in range(0, len(features), batch_size):
        images = torch.from_numpy(np.asarray(features[start : start + batch_size])).to(device)
        yield from vocabulary.decode(captioner.generate(images, beams, max_tokens).tolist())
