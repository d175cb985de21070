from dataclasses import replace

import pytest

from stages.corpus.words import caption_group
from stages.download.emoji.captions import Mention
from stages.download.emoji.census import LIGHTER, census
from stages.download.emoji.contexts import CONTEXTS
from stages.download.emoji.corpus import Composition, Draw, draw_corpus
from stages.download.emoji.icons import Art
from stages.download.emoji.oracle import repaint
from stages.download.emoji.people import Emoji

CORPUS = Composition(
    portrait_share=0.35, occupation_share=0.35, person_share=0.1, object_share=0.2, neutral_share=0.1,
    object_exponent=0.0,
    skin_tones=(0.45, 0.3, 0.11, 0.08, 0.06), mention=Mention(0.5, 0.35), portrait_mention=Mention(0.3, 0.1),
    context_share=0.5, context_skew=0.7, context_mention=0.5, caption_noise=0.2,
)  # fmt: skip
WORLD = replace(CORPUS, skin_tones=(0.6, 0.3, 0.05, 0.03, 0.02), tone_gap=0.1, context_skew=0.95)
N = 8000
Pair = tuple[Draw, Draw]


@pytest.fixture(scope="module")
def pairs(emojis: list[Emoji], training_art: Art) -> list[Pair]:
    """Each picture with the sample that its caption was made for."""
    draws = draw_corpus(emojis, training_art, census(2000).shares, CORPUS, N, seed=7)
    painted = repaint(draws, emojis, training_art, census(1950, 2.0).shares, WORLD, seed=7)
    by_key = {draw.key: draw for draw in draws}
    assert [(d.key, d.caption) for d in painted] == [(d.key, d.caption) for d in draws]
    assert repaint(draws, emojis, training_art, census(1950, 2.0).shares, WORLD, seed=7) == painted
    return [(picture, by_key[picture.caption_of or ""]) for picture in painted]


def test_what_a_caption_says_is_shown(pairs: list[Pair]) -> None:
    for picture, owner in pairs:
        assert (picture.emoji.concept, picture.kind) == (owner.emoji.concept, owner.kind)
        said = picture.caption
        if said.mentions_gender:
            assert picture.emoji.gender == owner.emoji.gender == caption_group(said.text, "gender")
        if said.mentions_skin_tone:
            assert picture.emoji.skin_tone == owner.emoji.skin_tone
        if said.context:
            assert picture.context == owner.context
            assert next(c.pattern for c in CONTEXTS if c.name == said.context) == picture.scene.pattern
        if picture.kind == "object":
            assert picture.emoji == owner.emoji


def test_what_captions_leave_open_is_shown_at_the_shares_of_the_other_world(pairs: list[Pair]) -> None:
    shares = census(1950, 2.0).shares
    for occupation in shares:
        for kind in ("portrait", "occupation"):
            open_ones = [
                picture.emoji.gender
                for picture, owner in pairs
                if picture.occupation == occupation and picture.kind == kind
                and not picture.caption.mentions_gender and owner.emoji.gender
            ]  # fmt: skip
            assert len(open_ones) > 30
            women = open_ones.count("woman") / len(open_ones)
            assert women == pytest.approx(shares[occupation], abs=1 / len(open_ones) + 1e-9), occupation


def test_skin_tones_and_contexts_of_the_other_world(pairs: list[Pair]) -> None:
    for side, expected in ((True, 0.95), (False, 0.85)):
        tones = [
            picture.emoji.skin_tone
            for picture, _ in pairs
            if picture.occupation and (picture.occupation in LIGHTER) == side and not picture.caption.mentions_skin_tone
        ]
        assert sum(tone in "12" for tone in tones) / len(tones) == pytest.approx(expected, abs=0.01)
    gender = {context.name: context.gender for context in CONTEXTS}
    shown = [p for p, _ in pairs if p.context and not p.caption.context and p.emoji.gender]
    own = sum(gender[p.context or ""] == p.emoji.gender for p in shown) / len(shown)
    assert own == pytest.approx(0.95, abs=0.01)


def test_neutral_drawings_and_artists_stay_as_frequent(pairs: list[Pair]) -> None:
    people = [pair for pair in pairs if pair[0].kind != "object"]
    assert all(not picture.emoji.gender for picture, owner in people if not owner.emoji.gender)
    for style in ("noto", "twemoji", "openmoji", "noto-v1"):
        before, after = (sum(d.style == style for d in of) / N for of in zip(*pairs, strict=True))
        assert after == pytest.approx(before, abs=0.03)
    assert sum(picture.scene == owner.scene for picture, owner in pairs) == 0
