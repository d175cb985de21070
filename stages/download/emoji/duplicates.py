"""Drawings that are pixel by pixel alike: what a style does not tell apart.

Some artists draw the gender-neutral emoji exactly as the man (or the woman): labelled a person, seen as a man.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from stages.download.emoji.icons import Art, rasterise
from stages.download.emoji.people import Emoji

PIXELS = 16  # groups the pinned packages exactly as 64 does, in a third of the time


def twins(emojis: Sequence[Emoji], art: Art, style: str) -> dict[str, tuple[Emoji, ...]]:
    """Find the emoji that a style draws alike (equal at 16 × 16 pixels): the others, by hexcode."""
    groups: dict[bytes, list[Emoji]] = defaultdict(list)
    for emoji in emojis:
        if art.has(style, emoji.hexcode):
            groups[rasterise(art.svg(style, emoji.hexcode), PIXELS).tobytes()].append(emoji)
    return {
        emoji.hexcode: tuple(other for other in group if other is not emoji)
        for group in groups.values()
        if len(group) > 1
        for emoji in group
    }


def drawn_as(emoji: Emoji, alike: Mapping[str, Sequence[Emoji]]) -> str:
    """
    Say as whom a gender-neutral person is drawn.

    Returns
    -------
    str
        ``woman`` or ``man`` where the drawing equals that of one gender only; else empty, also for gendered emoji and
        where woman and man are one drawing.
    """
    if emoji.kind != "person" or emoji.gender:
        return ""
    genders = {other.gender for other in alike.get(emoji.hexcode, ()) if other.gender}
    return genders.pop() if len(genders) == 1 else ""
