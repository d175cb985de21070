"""One path from any picture to a stored square: real and synthetic images must differ in content only.

Published mixes had white borders around real images alone (arXiv 2404.03242, the authors' settings): a model can learn
that. Here both kinds are cropped to the centre square, resized by one filter and encoded by
`stages.corpus.shards.encode_png`.
"""

import numpy as np
from PIL import Image


def square(image: np.ndarray, side: int) -> np.ndarray:
    """
    Crop the centre square and resize it.

    Parameters
    ----------
    image : np.ndarray
        uint8, (height, width, 3).
    side : int
        Side of the result, pixels.

    Returns
    -------
    np.ndarray
        uint8, (side, side, 3); the same pixels where nothing is to be done.
    """
    height, width = image.shape[:2]
    if height == width == side:
        return image
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    cropped = Image.fromarray(image[top : top + edge, left : left + edge])
    return np.asarray(cropped.resize((side, side), Image.Resampling.LANCZOS))
