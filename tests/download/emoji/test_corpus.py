from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import InputError
from stages.corpus.attributes import caption_occupations
from stages.download.emoji.captions import Mention
from stages.download.emoji.census import census
from stages.download.emoji.corpus import Composition, Draw, draw_corpus, picture
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji

TONES = (0.45, 0.3, 0.11, 0.08, 0.06)
COMPOSITION = Composition(
    portraits=0.25, occupations=0.3, persons=0.15, objects=0.3, neutral=0.1, object_exponent=0.0, tones=TONES,
    mention=Mention(0.5, 0.35), portrait_mention=Mention(0, 0),
)  # fmt: skip
N = 4000


@pytest.fixture(scope="module")
def draws(emojis: list[Emoji], training_art: Art) -> list[Draw]:
    return draw_corpus(emojis, training_art, census(2000).shares, COMPOSITION, N, seed=7)


def test_kinds_come_in_exact_shares(draws: list[Draw]) -> None:
    assert Counter(d.kind for d in draws) == {"portrait": 1000, "occupation": 1200, "person": 600, "object": 1200}


def test_keys_are_sorted_and_unique(draws: list[Draw]) -> None:
    keys = [d.key for d in draws]
    assert keys == sorted(set(keys))
    assert not any("." in key for key in keys)


@pytest.mark.parametrize("kind", ["portrait", "occupation"])
def test_occupations_have_the_women_of_the_census(draws: list[Draw], kind: str) -> None:
    shares = census(2000).shares
    for occupation in shares:
        genders = [d.emoji.gender for d in draws if d.kind == kind and d.occupation == occupation and d.emoji.gender]
        expected = shares[occupation]
        assert len(genders) > 30
        assert genders.count("woman") / len(genders) == pytest.approx(expected, abs=1 / len(genders)), occupation


def test_captions_that_say_the_gender_can_say_both_equally_often(emojis: list[Emoji], training_art: Art) -> None:
    """The others keep the census."""
    both = draw_corpus(
        emojis, training_art, census(2000).shares, replace(COMPOSITION, occupations=0.55, portraits=0, named_women=0.5),
        20_000, seed=7,
    )  # fmt: skip
    shares = census(2000).shares
    for occupation in shares:
        for says, expected in ((True, 0.5), (False, shares[occupation])):
            genders = [
                d.emoji.gender
                for d in both
                if (d.occupation, d.caption.mentions_gender) == (occupation, says) and d.emoji.gender
            ]
            assert len(genders) > 150
            assert genders.count("woman") / len(genders) == pytest.approx(expected, abs=1 / len(genders)), occupation


def test_tones_come_in_the_stated_shares(draws: list[Draw]) -> None:
    tones = Counter(d.emoji.skin_tone for d in draws if d.kind != "object")
    assert [tones[tone] / 2800 for tone in "12345"] == pytest.approx(TONES, abs=0.003)


def test_the_held_out_style_is_never_drawn(draws: list[Draw]) -> None:
    assert {d.style for d in draws} == {"noto", "twemoji", "openmoji", "noto-v1"}


def test_portraits_name_what_they_do_not_show(draws: list[Draw]) -> None:
    for draw in draws:
        if draw.kind == "portrait":
            assert draw.emoji.plain_adult
            assert caption_occupations(draw.caption.text) == [draw.occupation]


def test_people_at_work_show_what_is_named(draws: list[Draw]) -> None:
    assert all(d.emoji.occupation == d.occupation for d in draws if d.kind == "occupation")


def test_objects_come_by_zipf_and_the_frequent_ones_are_the_same_in_every_corpus(
    emojis: list[Emoji], training_art: Art
) -> None:
    composition = replace(COMPOSITION, object_exponent=1.0)
    counts = []
    for seed in (1, 2):
        drawn = draw_corpus(emojis, training_art, census(2000).shares, composition, 8000, seed)
        counts.append(Counter(d.emoji.hexcode for d in drawn if d.kind == "object"))
    first, second = (count.most_common(1)[0] for count in counts)
    assert first[0] == second[0]
    kinds = sum(
        1
        for emoji in emojis
        if emoji.kind == "object" and any(training_art.has(s, emoji.hexcode) for s in training_art.styles)
    )
    law = 1 / (np.arange(1, kinds + 1) + 30)
    assert first[1] == pytest.approx(2400 * law[0] / law.sum(), abs=1)
    ranked = [number for _, number in counts[0].most_common(200)]
    assert sum(ranked) == pytest.approx(2400 * law[:200].sum() / law.sum(), rel=0.1)


def test_objects_come_in_turn(draws: list[Draw]) -> None:
    times = Counter(d.emoji.hexcode for d in draws if d.kind == "object")
    assert max(times.values()) - min(times.values()) <= 1


def test_equal_arguments_give_equal_draws(emojis: list[Emoji], training_art: Art, draws: list[Draw]) -> None:
    assert draw_corpus(emojis, training_art, census(2000).shares, COMPOSITION, N, seed=7) == draws
    assert draw_corpus(emojis, training_art, census(2000).shares, COMPOSITION, N, seed=8) != draws


def test_the_women_share_changes_genders_only(emojis: list[Emoji], training_art: Art, draws: list[Draw]) -> None:
    """Corpora that differ in the census are paired: same kinds, occupations, tones and scenes."""
    other = draw_corpus(emojis, training_art, census(1950).shares, COMPOSITION, N, seed=7)
    for name in ("kind", "occupation", "scene"):
        assert [getattr(d, name) for d in other] == [getattr(d, name) for d in draws]
    assert [d.emoji.skin_tone for d in other] == [d.emoji.skin_tone for d in draws]
    changed = [(a, b) for a, b in zip(other, draws, strict=True) if a.emoji.gender != b.emoji.gender]
    assert changed
    assert {(a.emoji.gender, b.emoji.gender) for a, b in changed if a.occupation == "judge"} == {("man", "woman")}


def test_a_corpus_without_a_kind(emojis: list[Emoji], training_art: Art) -> None:
    only = replace(COMPOSITION, portraits=0, occupations=0, persons=1, objects=0)
    draws = draw_corpus(emojis, training_art, census(2000).shares, only, 50, seed=0)
    assert {d.kind for d in draws} == {"person"}


def test_a_style_that_lacks_a_drawing_is_an_error(emojis: list[Emoji], cache: Path) -> None:
    only = replace(COMPOSITION, portraits=0, occupations=1, persons=0, objects=0, neutral=1)
    with pytest.raises(InputError, match=r"styles noto-v1: no drawing of a gender-neutral .* with skin tone"):
        draw_corpus(emojis, Art(["noto-v1"], cache), census(2000).shares, only, 50, seed=0)


def test_pictures_differ_by_scene_and_repeat_by_draw(draws: list[Draw], training_art: Art) -> None:
    first, second = picture(draws[0], training_art, 64), picture(draws[1], training_art, 64)
    assert first.shape == (64, 64, 3)
    assert first.std() > 5
    assert not np.array_equal(first, second)
    assert np.array_equal(first, picture(draws[0], training_art, 64))
