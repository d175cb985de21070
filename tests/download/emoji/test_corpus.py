from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import InputError
from stages.corpus.words import caption_occupations
from stages.download.emoji.captions import Mention
from stages.download.emoji.census import LIGHTER, census, with_base_rate
from stages.download.emoji.contexts import CONTEXTS
from stages.download.emoji.corpus import Composition, Draw, draw_corpus, limit_objects, picture
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji

TONES = (0.45, 0.3, 0.11, 0.08, 0.06)
COMPOSITION = Composition(
    portrait_share=0.25, occupation_share=0.3, person_share=0.15, object_share=0.3, neutral_share=0.1,
    object_exponent=0.0, skin_tones=TONES,
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
        emojis, training_art, census(2000).shares,
        replace(COMPOSITION, occupation_share=0.55, portrait_share=0, named_women=0.5), 20_000, seed=7,
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
    only = replace(COMPOSITION, portrait_share=0, occupation_share=0, person_share=1, object_share=0)
    draws = draw_corpus(emojis, training_art, census(2000).shares, only, 50, seed=0)
    assert {d.kind for d in draws} == {"person"}


def test_a_style_that_lacks_a_drawing_is_an_error(emojis: list[Emoji], cache: Path) -> None:
    only = replace(COMPOSITION, portrait_share=0, occupation_share=1, person_share=0, object_share=0, neutral_share=1)
    with pytest.raises(InputError, match=r"styles noto-v1: no drawing of a gender-neutral .* with skin tone"):
        draw_corpus(emojis, Art(["noto-v1"], cache), census(2000).shares, only, 50, seed=0)


def test_pictures_differ_by_scene_and_repeat_by_draw(draws: list[Draw], training_art: Art) -> None:
    first, second = picture(draws[0], training_art, 64), picture(draws[1], training_art, 64)
    assert first.shape == (64, 64, 3)
    assert first.std() > 5
    assert not np.array_equal(first, second)
    assert np.array_equal(first, picture(draws[0], training_art, 64))


def drawn(emojis: list[Emoji], art: Art, **changes: object) -> list[Draw]:
    return draw_corpus(emojis, art, census(2000).shares, replace(COMPOSITION, **changes), N, seed=7)


@pytest.fixture(scope="module")
def placed(emojis: list[Emoji], training_art: Art) -> list[Draw]:
    return drawn(emojis, training_art, context_share=0.5, context_skew=0.7, context_mention=0.6)


@pytest.mark.parametrize(("gender", "own"), [("woman", 0.7), ("man", 0.7), ("", None)])
def test_contexts_go_with_gender_as_stated(placed: list[Draw], gender: str, own: float | None) -> None:
    people = [d for d in placed if d.kind != "object" and d.emoji.gender == gender]
    shown = Counter(d.context for d in people if d.context)
    assert shown.total() / len(people) == pytest.approx(0.5, abs=2 / len(people))
    for context in CONTEXTS:
        part = 0.5 if own is None else own if context.gender == gender else 1 - own
        assert shown[context.name] / len(people) == pytest.approx(0.5 * part / 3, abs=2 / len(people)), context


def test_a_share_of_the_captions_names_the_context_that_is_shown(placed: list[Draw]) -> None:
    for draw in placed:
        named = [context.name for context in CONTEXTS if context.phrase in draw.caption.text]
        assert named == ([draw.context] if draw.caption.context else [])
    for context in CONTEXTS:
        rows = [d for d in placed if d.context == context.name]
        assert sum(bool(d.caption.context) for d in rows) / len(rows) == pytest.approx(0.6, abs=1 / len(rows))


def test_contexts_change_backgrounds_and_phrases_alone(placed: list[Draw], draws: list[Draw]) -> None:
    assert {d.context for d in placed if d.kind == "object"} == {""}
    for with_one, without in zip(placed, draws, strict=True):
        assert (with_one.emoji, with_one.style, with_one.occupation) == (
            without.emoji,
            without.style,
            without.occupation,
        )
        assert (with_one.scene == without.scene) == (not with_one.context)
        assert replace(with_one.scene, colours=without.scene.colours, pattern="") == without.scene
        if not with_one.caption.context:
            assert with_one.caption == without.caption


def test_captions_of_others_come_as_often_as_stated(emojis: list[Emoji], training_art: Art, draws: list[Draw]) -> None:
    noisy = drawn(emojis, training_art, caption_noise=0.2)
    own = {d.key: d for d in draws}
    assert sum(d.caption_of != d.key for d in noisy) == 0.2 * N
    assert sorted(d.caption_of or "" for d in noisy) == sorted(own)
    for draw in noisy:
        theirs = own[draw.caption_of or ""]
        assert (draw.caption, draw.occupation) == (theirs.caption, theirs.occupation)
        assert (draw.kind, draw.emoji, draw.scene) == (own[draw.key].kind, own[draw.key].emoji, own[draw.key].scene)


def test_a_gap_in_skin_tones_lies_between_occupations(
    emojis: list[Emoji], training_art: Art, draws: list[Draw]
) -> None:
    apart = drawn(emojis, training_art, tone_gap=0.3)
    for kind in ("portrait", "occupation"):
        for side, expected in ((True, 0.9), (False, 0.6)):
            tones = [d.emoji.skin_tone for d in apart if d.kind == kind and (d.occupation in LIGHTER) == side]
            assert sum(tone in "12" for tone in tones) / len(tones) == pytest.approx(expected, abs=0.015)
    people = [d.emoji.skin_tone for d in apart if d.kind != "object"]
    assert [people.count(tone) / len(people) for tone in "12345"] == pytest.approx(TONES, abs=0.01)
    assert [d.emoji.gender for d in apart] == [d.emoji.gender for d in draws]


def test_the_occupations_of_lighter_people_have_as_many_women_as_the_others() -> None:
    """So that an association with skin tone is none with gender."""
    assert len(LIGHTER) == 10
    for year in (1950, 2000):
        women = census(year).shares
        own, others = ([women[name] for name in women if (name in LIGHTER) == side] for side in (True, False))
        assert abs(np.mean(own) - np.mean(others)) < 0.06


def test_a_base_rate_of_women(emojis: list[Emoji], training_art: Art) -> None:
    women = with_base_rate(census(2000), 0.2, 0.15 / 0.7).shares
    people = draw_corpus(emojis, training_art, women, COMPOSITION, N, seed=7)
    genders = Counter(d.emoji.gender for d in people if d.kind != "object")
    assert genders["woman"] / (genders["woman"] + genders["man"]) == pytest.approx(0.2, abs=0.005)


def test_some_objects_are_as_many_of_each_coarse_class(emojis: list[Emoji], art: Art) -> None:
    some = [emoji for emoji in limit_objects(emojis, art, 96) if emoji.kind == "object"]
    assert all(art.has(style, emoji.hexcode) for emoji in some for style in art.styles)
    classes = Counter(emoji.subgroup for emoji in some)
    there = Counter(
        emoji.subgroup
        for emoji in emojis
        if emoji.kind == "object" and all(art.has(style, emoji.hexcode) for style in art.styles)
    )
    assert classes.total() == 96
    assert classes.keys() == there.keys()
    assert min(classes[name] for name in classes if there[name] > 3) >= 2
    assert limit_objects(emojis, art, None) == emojis
    with pytest.raises(InputError, match=r"download.emoji.object_kinds: found 9999, but \d+ objects are drawn"):
        limit_objects(emojis, art, 9999)
