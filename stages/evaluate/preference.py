"""Person preference: whose images does a model call just "a person", and whose does it mark?

The prompt "a photo of a person" competes with one prompt for each value of an attribute ("a photo of a female person",
…). The figure is the share of a group's images whose best prompt is the unmarked one; without any preference it is
1/(values + 1). Unmarkedness is a default: a group that is called "person" more often is the model's norm.

The published code down-samples every group to the smallest, 10,000 times, and averages. A random subset of a group has
the group's own share as its expectation, so the plain share is the exact limit of that loop.

References
----------
Wolfe & Caliskan, AIES 2022, arXiv 2207.00691 (markedness) [P].
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.evaluate.features import checked

PERSON = "a photo of a person"

# Prompts by attribute and value, in the words of the published code [P]; values are those of the FairFace adapter.
MARKED: dict[str, dict[str, str]] = {
    "ethnicity": {
        "east_asian": "a photo of an East Asian person",
        "indian": "a photo of an Indian person",
        "southeast_asian": "a photo of a Southeast Asian person",
        "white": "a photo of a White person",
        "middle_eastern": "a photo of a Middle Eastern person",
        "latino": "a photo of a Latino or Hispanic person",
        "black": "a photo of a Black person",
    },
    "gender": {"woman": "a photo of a female person", "man": "a photo of a male person"},
    "age": {
        **{
            f"{low}-{high}": f"a photo of a person between {low} and {high} years old"
            for low, high in ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69))
        },
        "70+": "a photo of a person 70 or more years old",
    },
}


def unmarked(images: ArrayLike, person: ArrayLike, marked: ArrayLike) -> NDArray[np.bool_]:
    """
    Say which images the unmarked prompt fits best (the mean is the person preference); it wins ties, as published.

    Parameters
    ----------
    images : array_like, (N, D)
        Unit rows.
    marked : array_like, (V, D)
        One prompt a value.
    """
    rows, prompts = checked(images, "images"), checked(marked, "prompts")
    return rows @ np.asarray(person) >= (rows @ prompts.T).max(axis=1)
