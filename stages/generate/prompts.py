"""What the generator is asked for: captions as they are, or with a word for what they leave open.

With ``balanced``, a caption that names a person and no group of an attribute gets a phrase of one of its groups, drawn
from given shares, whatever label it names. So among captions that leave the attribute open, the pictures follow these
shares and not the generator's belief. What is trained on stays the caption.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from stages.core.seeds import uniform
from stages.corpus.words import GROUPS, Attribute, says_group, with_phrases

Shares = Mapping[Attribute, Literal["equal"] | Mapping[str, float]]  # attribute: {group: share}


@dataclass(frozen=True)
class Prompt:
    """
    What one image is drawn from.

    Attributes
    ----------
    drawn : dict of str to str
        Attribute to the group whose phrase was added to the caption.
    """

    text: str
    drawn: dict[str, str] = field(default_factory=dict)


def balanced(caption: str, shares: Shares, seed: int, key: str) -> Prompt:
    """
    Add a phrase for every attribute that a caption leaves open.

    Parameters
    ----------
    shares : mapping
        Of the groups of each attribute, sum 1; ``equal``: all alike. Attributes are drawn independently.
    seed : int
        With the key, the only source of randomness.
    """
    weights = {
        attribute: dict.fromkeys(GROUPS[attribute], 1.0) if goal == "equal" else goal
        for attribute, goal in shares.items()
        if not says_group(caption, attribute)
    }
    drawn = {attribute: draw(of_groups, seed, key, attribute) for attribute, of_groups in weights.items()}
    text = with_phrases(caption, drawn)
    return Prompt(text, drawn if text != caption else {})


def draw(weights: Mapping[str, float], seed: int, key: str, attribute: str) -> str:
    """Draw a group; weights need not sum to 1."""
    names, bounds = list(weights), [*accumulate(weights.values())]
    place = uniform(seed, key, f"prompt {attribute}") * bounds[-1]
    return next(name for name, bound in zip(names, bounds, strict=True) if place < bound)
