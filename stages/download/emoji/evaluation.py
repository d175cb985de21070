"""The evaluation sets: `people` (retrieval), `portraits` (association) and `objects` (zero-shot, representation).

`people` and `objects` are drawn by an artist whose style is never trained on; `portraits` has that artist's drawings as
part ``unseen`` and fresh scenes of the training styles as part ``seen``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.core.seeds import derive
from stages.download.emoji.captions import Mention, caption_object, caption_person
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji
from stages.download.emoji.scenes import Scene, draw_scene

MENTIONS = (Mention(1, 1), Mention(1, 1), Mention(1, 0), Mention(0, 1), Mention(0, 0))  # of the five captions


@dataclass(frozen=True)
class Item:
    """One evaluation image: drawing, scene, part of the set and five reference captions."""

    key: str
    part: str
    style: str
    emoji: Emoji
    captions: tuple[str, ...]
    scene: Scene


def people(emojis: Sequence[Emoji], art: Art, style: str, n: int, seed: int) -> list[Item]:
    """
    Show the persons of the held-out style, each once.

    Parameters
    ----------
    n : int
        Images at the most: a random part where the style has more.
    seed : int
        Seed of choice, scenes and captions.

    Returns
    -------
    list of Item
        Of the five captions three say the gender (of a gendered person) and three the skin tone, see `MENTIONS`.
    """
    drawings = [(style, e) for e in emojis if e.kind == "person" and art.has(style, e.hexcode)]
    return _items("people", "unseen", _choose(drawings, n, seed, "people"), seed)


def portraits(emojis: Sequence[Emoji], art: Art, style: str, n: int, seed: int) -> list[Item]:
    """
    Show plain women and men without any sign of an occupation, as many of each: part ``unseen``, then ``seen``.

    Parameters
    ----------
    art : Art
        Holds the held-out style and the training styles.
    style : str
        The held-out style; every other style of `art` is a training style.
    n : int
        Images a part; a drawing comes again, in another scene, where there are fewer drawings.
    seed : int
        Seed of choice, scenes and captions.
    """
    items: list[Item] = []
    for part in ("unseen", "seen"):
        styles = [name for name in art.styles if (name == style) == (part == "unseen")]
        halves = []
        for gender, half in (("woman", (n + 1) // 2), ("man", n // 2)):
            drawings = [
                (name, e)
                for name in styles
                for e in emojis
                if e.plain_adult and e.gender == gender and art.has(name, e.hexcode)
            ]
            while half > 0:
                halves += _choose(drawings, half, seed, f"portraits {part} {gender} {half}")
                half -= len(drawings)
        items += _items("portraits", part, halves, seed)
    return items


def objects(emojis: Sequence[Emoji], art: Art, style: str, n: int, seed: int, scenes: int = 1) -> list[Item]:
    """
    Show the neutral objects of the held-out style.

    Parameters
    ----------
    art : Art
        Holds the held-out style and the training styles.
    seed : int
        Seed of choice, scenes and captions.

    Returns
    -------
    list of Item
        Only objects that a training style draws too; the class of each is its CLDR name.
    """
    trained = [name for name in art.styles if name != style]
    drawings = [
        (style, e)
        for e in emojis
        if e.kind == "object" and art.has(style, e.hexcode) and any(art.has(name, e.hexcode) for name in trained)
    ]
    return _items("objects", "unseen", _choose(drawings, n, seed, "objects") * scenes, seed)


def _choose(drawings: list[tuple[str, Emoji]], n: int, seed: int, purpose: str) -> list[tuple[str, Emoji]]:
    order = np.random.default_rng(derive(seed, purpose, "choice")).permutation(len(drawings))
    return [drawings[i] for i in sorted(order[:n])]


def _items(name: str, part: str, drawings: Sequence[tuple[str, Emoji]], seed: int) -> list[Item]:
    items = []
    for index, (style, emoji) in enumerate(drawings):
        key = f"{name}_{part}_{index:06d}"
        words = np.random.default_rng(derive(seed, key, "caption"))
        items.append(
            Item(
                key=key,
                part=part,
                style=style,
                emoji=emoji,
                captions=_five(emoji, words),
                scene=draw_scene(np.random.default_rng(derive(seed, key, "scene"))),
            )
        )
    return items


def _five(emoji: Emoji, rng: np.random.Generator) -> tuple[str, ...]:
    """Compose five captions; one that came already is composed again, as long as that may help."""
    captions: list[str] = []
    for mention in MENTIONS:
        for _ in range(20):
            caption = caption_object(emoji, rng) if emoji.kind == "object" else caption_person(emoji, rng, mention)
            if caption.text not in captions:
                captions.append(caption.text)
                break
        else:
            captions.append(captions[-1])
    return tuple(captions)
