"""The corpus as a generator without artefact would draw it: real drawings, at the shares of the generator's world.

What a caption says is kept. What it leaves open (gender, skin tone, in which context) is drawn anew, by the shares of
the generator's world and not by those of the corpus: what such a generator believes, without how it draws. Artists and
objects stay those of the corpus, and so do the shares of neutral drawings and of people in a context.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stages.core.seeds import derive
from stages.download.emoji.contexts import draw_context, in_context
from stages.download.emoji.corpus import Composition, Draw, grouped, tone_at
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji
from stages.download.emoji.scenes import draw_scene


def repaint(
    draws: Sequence[Draw], emojis: Sequence[Emoji], art: Art, women: Mapping[str, float], world: Composition, seed: int
) -> list[Draw]:
    """
    Draw another picture for each caption of a corpus.

    Parameters
    ----------
    art : Art
        Holds the styles of the corpus.
    women : mapping of str to float
        Women's shares of the generator's world, as `corpus.draw_corpus` takes them.
    world : Composition
        Of the generator's world: its tones, their gap and the skew of its contexts.

    Returns
    -------
    list of Draw
        With keys and captions of the corpus. Gender, skin tone and context follow the caption also where the corpus has
        another image under it. A drawing that no artist made of the other gender stays.
    """
    by_key = {draw.key: draw for draw in draws}
    owners = [by_key[draw.caption_of or draw.key] for draw in draws]
    siblings: dict[tuple[str, str, str], Emoji] = {}
    styles: dict[str, list[str]] = defaultdict(list)
    for emoji in emojis:
        styles[emoji.hexcode] = [style for style in art.styles if art.has(style, emoji.hexcode)]
        if styles[emoji.hexcode]:
            siblings.setdefault((emoji.concept, emoji.gender, emoji.skin_tone), emoji)
    rng = np.random.default_rng(derive(seed, "", "oracle"))
    asked = [(owner.kind, draw.occupation, bool(owner.emoji.gender)) for owner, draw in zip(owners, draws, strict=True)]
    within = grouped([f"{of}/{draw.caption.mentions_gender}" for of, draw in zip(asked, draws, strict=True)], rng)
    level = grouped([f"{of[1]}/{draw.caption.mentions_skin_tone}" for of, draw in zip(asked, draws, strict=True)], rng)
    genders = [_gender(owner, draw, women, u) for owner, draw, u in zip(owners, draws, within, strict=True)]
    moved = [bool(owner.context) and not draw.caption.context for owner, draw in zip(owners, draws, strict=True)]
    place = grouped([f"{gender}/{move}" for gender, move in zip(genders, moved, strict=True)], rng)
    found = []
    for owner, draw, gender, move, u, v in zip(owners, draws, genders, moved, level, place, strict=True):
        emoji, context = owner.emoji, owner.context
        if emoji.kind == "person":
            tone = emoji.skin_tone if draw.caption.mentions_skin_tone else tone_at(world.tones_of(draw.occupation), u)
            emoji = next(
                siblings[emoji.concept, name, tone]
                for name in (gender, emoji.gender)
                if (emoji.concept, name, tone) in siblings
            )
            if move:
                context = draw_context(emoji.gender, 1.0, world.context_skew, v)
        choice = np.random.default_rng(derive(seed, draw.key, "oracle"))
        style = styles[emoji.hexcode][int(choice.integers(len(styles[emoji.hexcode])))]
        scene = in_context(draw_scene(choice), context or "", choice)
        found.append(replace(draw, kind=owner.kind, style=style, emoji=emoji, scene=scene, context=context))
    return found


def _gender(owner: Draw, draw: Draw, women: Mapping[str, float], u: float) -> str:
    if draw.caption.mentions_gender or not owner.emoji.gender:
        return owner.emoji.gender
    return "woman" if u < women.get(draw.occupation, 0.5) else "man"
