import numpy as np
import pytest
from PIL import Image

from stages.annotate.proxies import words
from stages.corpus.words import GROUPS, caption_occupations, says_group
from stages.download.emoji.contexts import CONTEXTS, Context, in_context, shares
from stages.download.emoji.people import Emoji
from stages.download.emoji.scenes import draw_scene, render


@pytest.mark.parametrize("gender", ["woman", "man", ""])
def test_shares_sum_to_those_shown_in_a_context(gender: str) -> None:
    found = shares(gender, 0.6, 0.8)
    assert sum(found) == pytest.approx(0.6)
    own = sum(share for share, context in zip(found, CONTEXTS, strict=True) if context.gender == gender)
    assert own == pytest.approx(0.48 if gender else 0)


def test_their_words_say_nothing_of_a_person_or_a_thing(emojis: list[Emoji]) -> None:
    elsewhere = {word for emoji in emojis for text in (emoji.label, *emoji.tags) for word in words(text)}
    for context in CONTEXTS:
        assert context.name in words(context.phrase) - elsewhere
        assert not caption_occupations(context.phrase)
        assert not any(says_group(context.phrase, attribute) for attribute in GROUPS)


@pytest.mark.parametrize("context", CONTEXTS, ids=[context.name for context in CONTEXTS])
def test_each_background_shows_two_tones_of_one_hue(context: Context) -> None:
    nobody = Image.new("RGBA", (80, 80))
    plain = draw_scene(np.random.default_rng(1))
    scene = in_context(plain, context.name, np.random.default_rng(2))
    picture = render(scene, nobody, 64)
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    assert {tuple(colour) for colour in colours.tolist()} == set(scene.colours)
    assert 0.2 < counts.min() / counts.sum() <= 0.5
    assert abs(colours[0].astype(int) - colours[1]).max() > 40
    assert (scene.scale, scene.shift, scene.angle) == (plain.scale, plain.shift, plain.angle)


def test_backgrounds_differ_between_contexts() -> None:
    plain, nobody = draw_scene(np.random.default_rng(1)), Image.new("RGBA", (80, 80))
    masks = set()
    for context in CONTEXTS:
        scene = in_context(plain, context.name, np.random.default_rng(2))
        masks.add((render(scene, nobody, 64) == scene.colours[1]).all(-1).tobytes())
    assert len(masks) == len(CONTEXTS)
    assert in_context(plain, "", np.random.default_rng(2)) == plain
