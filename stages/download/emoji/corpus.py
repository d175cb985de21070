"""The training corpus: which drawing, in which scene, under which caption.

Four kinds of samples: occupations (the picture shows what the caption names), portraits (plain adults whose caption
names an occupation that the picture does not show, as web captions of people do), other persons, and objects. Women's
share within an occupation follows a census for the first two kinds. Skin tones may differ between occupations, people
may be shown in contexts that go with their gender, and captions may belong to other images: each as far as is stated,
and each from randomness of its own, so that corpora that differ in one of them stay paired.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from stages.core.errors import InputError
from stages.core.seeds import derive, uniform
from stages.download.emoji.captions import Caption, Mention, caption_object, caption_person
from stages.download.emoji.census import LIGHTER
from stages.download.emoji.contexts import NAMED, draw_context, in_context
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji
from stages.download.emoji.scenes import Scene, draw_scene, raster_side, render

Item = TypeVar("Item")
MANDELBROT = 30.0  # so that no single object takes a large part of the draws


@dataclass(frozen=True)
class Composition:
    """
    What the corpus is made of; fields are named as those of the settings that they come from.

    Attributes
    ----------
    portrait_share, occupation_share, person_share, object_share : float
        Shares of the kinds, summing to 1.
    neutral_share : float
        Share of gender-neutral drawings among the persons of each kind.
    object_exponent : float
        Exponent of the Zipf-Mandelbrot law of the objects: the r-th most frequent is drawn in proportion to
        (r + 30) ** -exponent.
    skin_tones : tuple of five float
        Shares of the skin tones 1 to 5 among persons, summing to 1.
    mention : Mention
        How often captions of occupations and other persons say gender and skin tone.
    named_women : float, optional
        Women's share where the caption says the gender; without it that of the occupation.
    tone_gap : float
        Share of the lighter tones (1 and 2) in the occupations of `census.LIGHTER` minus that in the others.
    context_share, context_skew : float
        As `contexts.shares` takes them.
    context_mention : float
        Share of the captions of people in a context that name it.
    caption_noise : float
        Share of the captions that belong to another image.
    """

    portrait_share: float
    occupation_share: float
    person_share: float
    object_share: float
    neutral_share: float
    object_exponent: float
    skin_tones: tuple[float, float, float, float, float]
    mention: Mention
    portrait_mention: Mention
    named_women: float | None = None
    tone_gap: float = 0.0
    context_share: float = 0.0
    context_skew: float = 0.5
    context_mention: float = 0.0
    caption_noise: float = 0.0

    def tones_of(self, occupation: str) -> tuple[float, ...]:
        """State the shares of the skin tones in an occupation; outside all of them, where it is empty."""
        lighter = sum(self.skin_tones[:2])
        if not (occupation and self.tone_gap):
            return self.skin_tones
        wanted = lighter + self.tone_gap * (0.5 if occupation in LIGHTER else -0.5)
        factors = (*(wanted / lighter,) * 2, *((1 - wanted) / (1 - lighter),) * 3)
        return tuple(factor * tone for factor, tone in zip(factors, self.skin_tones, strict=True))


@dataclass(frozen=True)
class Draw:
    """
    One sample: drawing, scene and caption.

    Attributes
    ----------
    kind : str
        portrait, occupation, person or object.
    context : str
        Name of the context that the picture shows, or empty; None in a corpus without contexts.
    caption_of : str
        Key of the sample that the caption belongs to; None in a corpus without caption noise.
    """

    key: str
    kind: str
    style: str
    emoji: Emoji
    occupation: str
    caption: Caption
    scene: Scene
    context: str | None = None
    caption_of: str | None = None


def draw_corpus(
    emojis: Sequence[Emoji], art: Art, women: Mapping[str, float], composition: Composition, n: int, seed: int
) -> list[Draw]:
    """
    Draw a corpus.

    Kinds come in exact shares, occupations and objects in turn, women's shares and skin tones by stratified uniforms:
    the corpus shows the stated shares as closely as its size allows.

    Parameters
    ----------
    women : mapping of str to float
        Women's share of each occupation among gendered drawings; under an empty name that of other persons (1/2).

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
    occupations = sorted(name for name in women if name)
    for kind in ("portrait", "occupation", "person"):
        rows = np.flatnonzero(kinds == kind)
        named = [""] * len(rows) if kind == "person" else _in_turn(occupations, len(rows), rng)
        tones = [tone_at(composition.skin_tones, u) for u in _stratified(len(rows), rng)]
        if composition.tone_gap:
            level = grouped(named, np.random.default_rng(derive(seed, kind, "tones of occupations")))
            tones = [tone_at(composition.tones_of(name), u) for name, u in zip(named, level, strict=True)]
        neutral = _stratified(len(rows), rng) < composition.neutral_share
        mention = composition.portrait_mention if kind == "portrait" else composition.mention
        says = [composition.named_women is not None and mention.says_gender(_words(seed, int(row))) for row in rows]
        within = grouped([f"{name}/{rest}" for name, *rest in zip(named, neutral, says, strict=True)], rng)
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
    contexts = _contexts(chosen, composition, np.random.default_rng(derive(seed, "", "contexts")))
    draws = [_complete(row, *choice, *contexts[row], composition, seed) for row, choice in enumerate(chosen)]
    return _mislabelled(draws, composition.caption_noise, np.random.default_rng(derive(seed, "", "caption noise")))


def limit_objects(emojis: Sequence[Emoji], art: Art, kinds: int | None) -> list[Emoji]:
    """
    Keep some of the objects: those that every artist draws, the most frequent of each coarse class in turn.

    Parameters
    ----------
    art : Art
        Holds all styles that the corpus and its evaluation sets are drawn in.
    kinds : int or None
        How many; None: all, and also those that some artist does not draw.

    Raises
    ------
    InputError
        If there are not as many.
    """
    if kinds is None:
        return list(emojis)
    classes: dict[str, list[Emoji]] = defaultdict(list)
    for emoji in sorted(emojis, key=_rank):
        if emoji.kind == "object" and all(art.has(style, emoji.hexcode) for style in art.styles):
            classes[emoji.subgroup].append(emoji)
    in_turn = sorted((place, _rank(emoji), emoji.hexcode) for of in classes.values() for place, emoji in enumerate(of))
    if kinds > len(in_turn):
        raise InputError(
            f"download.emoji.object_kinds: found {kinds}, but {len(in_turn)} objects are drawn by every one of the "
            f"styles {', '.join(art.styles)}; lower it"
        )
    kept = {hexcode for _, _, hexcode in in_turn[:kinds]}
    return [emoji for emoji in emojis if emoji.kind != "object" or emoji.hexcode in kept]


def picture(draw: Draw, art: Art, resolution: int) -> np.ndarray:
    """Render a sample: uint8, (resolution, resolution, 3)."""
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


def _contexts(
    chosen: Sequence[tuple[str, str, Emoji, str]], composition: Composition, rng: np.random.Generator
) -> list[tuple[str | None, bool]]:
    """Draw the context of each sample, and whether its caption names it: in stated shares within each gender."""
    if not composition.context_share:
        return [(None, False)] * len(chosen)
    found: list[tuple[str | None, bool]] = [("", False)] * len(chosen)
    rows = [row for row, (kind, *_) in enumerate(chosen) if kind != "object"]
    genders = [chosen[row][2].gender for row in rows]
    names = [
        draw_context(gender, composition.context_share, composition.context_skew, u)
        for gender, u in zip(genders, grouped(genders, rng), strict=True)
    ]
    for row, name, u in zip(rows, names, grouped(names, rng), strict=True):
        found[row] = (name, bool(name) and bool(u < composition.context_mention))
    return found


def _mislabelled(draws: list[Draw], share: float, rng: np.random.Generator) -> list[Draw]:
    """Hand the captions of a share of the samples round among these, so that each has that of another."""
    if not share:
        return draws
    draws = [replace(draw, caption_of=draw.key) for draw in draws]
    rows = rng.permutation(len(draws))[: round(share * len(draws))]
    theirs = [draws[row] for row in np.roll(rows, -1)]
    for row, other in zip(rows, theirs, strict=True):
        draws[row] = replace(draws[row], caption=other.caption, occupation=other.occupation, caption_of=other.key)
    return draws


def _complete(
    row: int,
    kind: str,
    style: str,
    emoji: Emoji,
    named: str,
    context: str | None,
    says_context: bool,
    composition: Composition,
    seed: int,
) -> Draw:
    key, words = _key(row), _words(seed, row)
    where = NAMED[context].phrase if context and says_context else ""
    if kind == "object":
        caption = caption_object(emoji, words)
    elif kind == "portrait":
        caption = caption_person(emoji, words, composition.portrait_mention, named, where)
    else:
        caption = caption_person(emoji, words, composition.mention, context=where)
    caption = replace(caption, context=context or "") if where else caption
    scene = draw_scene(np.random.default_rng(derive(seed, key, "scene")))
    scene = in_context(scene, context or "", np.random.default_rng(derive(seed, key, "context")))
    return Draw(key, kind, style, emoji, named, caption, scene, context)


def _kinds(composition: Composition, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n kinds in shares exact to one sample, in random order."""
    names = ("portrait", "occupation", "person", "object")
    shares = (
        composition.portrait_share,
        composition.occupation_share,
        composition.person_share,
        composition.object_share,
    )
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
    ranked = sorted(objects, key=_rank)
    ends = np.cumsum((np.arange(1, len(ranked) + 1) + MANDELBROT) ** -exponent)
    places = np.searchsorted(ends, _stratified(n, rng) * ends[-1], side="right")
    return [ranked[place] for place in places]


def _rank(emoji: Emoji) -> float:
    return uniform(0, emoji.hexcode, "frequency")


def _stratified(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n uniforms, one in each interval [i/n, (i+1)/n), in random order."""
    return rng.permutation((np.arange(n) + rng.random(n)) / max(1, n))


def grouped(names: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """Return uniforms that are stratified within each name."""
    array = np.asarray(names)
    out = np.empty(len(array))
    for name in np.unique(array):
        rows = np.flatnonzero(array == name)
        out[rows] = _stratified(len(rows), rng)
    return out


def tone_at(shares: Sequence[float], u: float) -> str:
    """Name the skin tone at a uniform number."""
    return str(min(4, int(np.searchsorted(np.cumsum(shares), u, side="right"))) + 1)
