"""The training corpus: which drawing, in which scene, under which caption.

Four kinds of samples: occupations (the picture shows what the caption names), portraits (plain adults whose caption
names an occupation that the picture does not show, as web captions of people do), other persons, and objects. Women's
share within an occupation follows a census for the first two kinds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from stages.core.errors import InputError
from stages.core.seeds import derive, uniform
from stages.download.emoji.captions import Caption, Mention, caption_object, caption_person
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji
from stages.download.emoji.scenes import Scene, draw_scene, raster_side, render

Item = TypeVar("Item")
MANDELBROT = 30.0  # so that no single object takes a large part of the draws


@dataclass(frozen=True)
class Composition:
    """
    What the corpus is made of.

    Attributes
    ----------
    portraits, occupations, persons, objects : float
        Shares of the kinds, summing to 1.
    neutral : float
        Share of gender-neutral drawings among the persons of each kind.
    object_exponent : float
        Exponent of the Zipf-Mandelbrot law of the objects: the r-th most frequent is drawn in proportion to
        (r + 30) ** -exponent.
    tones : tuple of five float
        Shares of the skin tones 1 to 5 among persons, summing to 1.
    mention : Mention
        How often captions of occupations and other persons say gender and skin tone.
    named_women : float, optional
        Women's share where the caption says the gender; without it that of the occupation.
    """

    portraits: float
    occupations: float
    persons: float
    objects: float
    neutral: float
    object_exponent: float
    tones: tuple[float, float, float, float, float]
    mention: Mention
    portrait_mention: Mention
    named_women: float | None = None


@dataclass(frozen=True)
class Draw:
    """One sample: drawing, scene and caption; `kind` is portrait, occupation, person or object."""

    key: str
    kind: str
    style: str
    emoji: Emoji
    occupation: str
    caption: Caption
    scene: Scene


def draw_corpus(
    emojis: Sequence[Emoji], art: Art, women: Mapping[str, float], composition: Composition, n: int, seed: int
) -> list[Draw]:
    """
    Draw a corpus.

    Kinds come in exact shares, occupations and objects in turn, women's shares and skin tones by stratified uniforms:
    the corpus shows the stated shares as closely as its size allows.

    Parameters
    ----------
    emojis : sequence of Emoji
        The catalogue.
    women : mapping of str to float
        Women's share of each occupation among gendered drawings.

    Returns
    -------
    list of Draw
        In key order; keys are ``000000000`` on.

    Raises
    ------
    InputError
        If no style draws what a sample asks for.
    """
    rng = np.random.default_rng(seed)
    kinds = _kinds(composition, n, rng)
    pools = _Pools(emojis, art)
    chosen: list[tuple[str, str, Emoji, str]] = [("", "", emojis[0], "")] * n
    occupations = sorted(women)
    for kind in ("portrait", "occupation", "person"):
        rows = np.flatnonzero(kinds == kind)
        named = [""] * len(rows) if kind == "person" else _in_turn(occupations, len(rows), rng)
        tones = _tones(composition.tones, len(rows), rng)
        neutral = _stratified(len(rows), rng) < composition.neutral
        mention = composition.portrait_mention if kind == "portrait" else composition.mention
        says = [composition.named_women is not None and mention.says_gender(_words(seed, int(row))) for row in rows]
        within = _grouped([f"{name}/{rest}" for name, *rest in zip(named, neutral, says, strict=True)], rng)
        for i, row in enumerate(rows):
            share = composition.named_women if says[i] else None
            share = women.get(named[i], 0.5) if share is None else share
            gender = "" if neutral[i] else ("woman" if within[i] < share else "man")
            style, emoji = pools.pick(kind, named[i], gender, tones[i], _choice(seed, int(row)))
            chosen[row] = (kind, style, emoji, named[i])
    rows = np.flatnonzero(kinds == "object")
    objects = _by_frequency(pools.objects, composition.object_exponent, len(rows), rng)
    for row, emoji in zip(rows, objects, strict=True):
        chosen[row] = ("object", pools.style(emoji, _choice(seed, int(row))), emoji, "")
    return [_complete(row, *choice, composition, seed) for row, choice in enumerate(chosen)]


def picture(draw: Draw, art: Art, resolution: int) -> np.ndarray:
    """
    Render a sample.

    Parameters
    ----------
    resolution : int
        Side, pixels.

    Returns
    -------
    np.ndarray
        uint8, (resolution, resolution, 3).
    """
    return render(draw.scene, art.raster(draw.style, draw.emoji.hexcode, raster_side(resolution)), resolution)


class _Pools:
    """Drawings by what a draw asks for."""

    def __init__(self, emojis: Sequence[Emoji], art: Art) -> None:
        self._art = art
        self._pools: dict[tuple[str, str, str, str], list[Emoji]] = defaultdict(list)
        self._styles: dict[str, list[str]] = {}
        self.objects: list[Emoji] = []
        for emoji in emojis:
            styles = [style for style in art.styles if art.has(style, emoji.hexcode)]
            if not styles:
                continue
            self._styles[emoji.hexcode] = styles
            if emoji.kind == "object":
                self.objects.append(emoji)
                continue
            kind = "occupation" if emoji.occupation else "person"
            self._pools[kind, emoji.occupation, emoji.gender, emoji.skin_tone].append(emoji)
            if emoji.plain_adult:
                self._pools["portrait", "", emoji.gender, emoji.skin_tone].append(emoji)

    def style(self, emoji: Emoji, rng: np.random.Generator) -> str:
        styles = self._styles[emoji.hexcode]
        return styles[int(rng.integers(len(styles)))]

    def pick(self, kind: str, occupation: str, gender: str, tone: str, rng: np.random.Generator) -> tuple[str, Emoji]:
        pool = self._pools[kind, occupation if kind == "occupation" else "", gender, tone]
        if not pool:
            whom = " ".join(word for word in (gender or "gender-neutral", occupation or kind) if word)
            raise InputError(
                f"styles {', '.join(self._art.styles)}: no drawing of a {whom} with skin tone {tone}; "
                "add a style that has one"
            )
        emoji = pool[int(rng.integers(len(pool)))]
        return self.style(emoji, rng), emoji


def _key(row: int) -> str:
    return f"{row:09d}"


def _choice(seed: int, row: int) -> np.random.Generator:
    """Randomness of one sample's drawing: corpora that differ in the women's shares stay paired."""
    return np.random.default_rng(derive(seed, _key(row), "drawing"))


def _words(seed: int, row: int) -> np.random.Generator:
    """Randomness of one sample's caption."""
    return np.random.default_rng(derive(seed, _key(row), "caption"))


def _complete(row: int, kind: str, style: str, emoji: Emoji, named: str, composition: Composition, seed: int) -> Draw:
    key, words = _key(row), _words(seed, row)
    if kind == "object":
        caption = caption_object(emoji, words)
    elif kind == "portrait":
        caption = caption_person(emoji, words, composition.portrait_mention, named)
    else:
        caption = caption_person(emoji, words, composition.mention)
    return Draw(key, kind, style, emoji, named, caption, draw_scene(np.random.default_rng(derive(seed, key, "scene"))))


def _kinds(composition: Composition, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n kinds in shares exact to one sample, in random order."""
    names = ("portrait", "occupation", "person", "object")
    shares = (composition.portraits, composition.occupations, composition.persons, composition.objects)
    ends = np.round(np.cumsum(shares) * n).astype(int)
    return rng.permutation(np.repeat(names, np.diff(ends, prepend=0)))


def _in_turn(items: Sequence[Item], n: int, rng: np.random.Generator) -> list[Item]:
    """Return n items: all of them in random order, then all again."""
    rounds = -(-n // max(1, len(items)))
    order = np.concatenate([rng.permutation(len(items)) for _ in range(rounds)]) if n else []
    return [items[i] for i in order[:n]]


def _by_frequency(objects: Sequence[Emoji], exponent: float, n: int, rng: np.random.Generator) -> list[Emoji]:
    """Return n objects in Zipf's proportions; who is frequent is the same in every corpus."""
    if exponent == 0:
        return _in_turn(objects, n, rng)
    ranked = sorted(objects, key=lambda emoji: uniform(0, emoji.hexcode, "frequency"))
    ends = np.cumsum((np.arange(1, len(ranked) + 1) + MANDELBROT) ** -exponent)
    places = np.searchsorted(ends, _stratified(n, rng) * ends[-1], side="right")
    return [ranked[place] for place in places]


def _stratified(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n uniforms, one in each interval [i/n, (i+1)/n), in random order."""
    return rng.permutation((np.arange(n) + rng.random(n)) / max(1, n))


def _grouped(names: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """Return uniforms that are stratified within each name."""
    array = np.asarray(names)
    out = np.empty(len(array))
    for name in np.unique(array):
        rows = np.flatnonzero(array == name)
        out[rows] = _stratified(len(rows), rng)
    return out


def _tones(shares: Sequence[float], n: int, rng: np.random.Generator) -> list[str]:
    ends = np.cumsum(shares)
    return [str(min(4, int(np.searchsorted(ends, u, side="right"))) + 1) for u in _stratified(n, rng)]
