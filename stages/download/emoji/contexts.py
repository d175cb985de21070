"""Contexts: where a person is said to be, and the background that shows it; both go with gender as far as is stated.

Places are neutral ones, and none is among the names and keywords of the drawings: what a word or a background says of
a gender is what `Composition.context_skew` put there.
"""

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from stages.download.emoji.scenes import Pattern, Scene


@dataclass(frozen=True)
class Context:
    """A place: the phrase of the caption, whose it is more often, and pattern and hue (in turns) of its background."""

    name: str
    phrase: str
    gender: str
    pattern: Pattern
    hue: float


CONTEXTS = (
    Context("lakeside", "at the lakeside", "woman", "rows", 0.55),
    Context("orchard", "in the orchard", "woman", "dots", 0.3),
    Context("bazaar", "at the bazaar", "woman", "checks", 0.05),
    Context("harbour", "at the harbour", "man", "columns", 0.65),
    Context("arcade", "in the arcade", "man", "frame", 0.8),
    Context("quarry", "at the quarry", "man", "slant", 0.13),
)
NAMED = {context.name: context for context in CONTEXTS}


def shares(gender: str, share: float, skew: float) -> list[float]:
    """
    State how often a person of a gender is shown in each of `CONTEXTS`.

    Parameters
    ----------
    gender : str
        ``woman``, ``man``, or empty: as often in a woman's context as in a man's.
    share : float
        Share of people that are shown in some context.
    skew : float
        Of these, share in a context of their own gender: 0.5 is no association.
    """
    own = [0.5 if not gender else skew if context.gender == gender else 1 - skew for context in CONTEXTS]
    return [
        share * part / sum(other.gender == c.gender for other in CONTEXTS)
        for part, c in zip(own, CONTEXTS, strict=True)
    ]


def draw_context(gender: str, share: float, skew: float, u: float) -> str:
    """Name the context at a uniform number; empty where there is none."""
    place = int(np.searchsorted(np.cumsum(shares(gender, share, skew)), u, side="right"))
    return CONTEXTS[place].name if place < len(CONTEXTS) else ""


def in_context(scene: Scene, name: str, rng: np.random.Generator) -> Scene:
    """Give a scene the background of a context: its pattern in two tones of its hue; none: the scene as it is."""
    if not name:
        return scene
    context = NAMED[name]
    hue = (context.hue + rng.uniform(-0.03, 0.03)) % 1
    saturation = rng.uniform(0.35, 0.75)
    dark, light = (
        colorsys.hsv_to_rgb(hue, saturation, value) for value in (rng.uniform(0.5, 0.65), rng.uniform(0.85, 1))
    )
    first, second = ((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in (light, dark))
    return replace(scene, colours=(first, second), pattern=context.pattern)
