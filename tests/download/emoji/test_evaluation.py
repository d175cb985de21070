from collections import Counter

import pytest

from stages.corpus.words import caption_group
from stages.download.emoji import evaluation
from stages.download.emoji.evaluation import Item
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji

HELD_OUT = "fluent-emoji-flat"


@pytest.fixture(scope="module")
def people(emojis: list[Emoji], art: Art) -> list[Item]:
    return evaluation.people(emojis, art, HELD_OUT, 10_000, seed=0)


def test_people_are_each_person_of_the_unseen_artist_once(people: list[Item]) -> None:
    assert len(people) == 1220
    assert len({item.emoji.hexcode for item in people}) == len(people)
    assert {item.style for item in people} == {HELD_OUT}


def test_five_distinct_captions_of_which_three_say_each_attribute(people: list[Item]) -> None:
    for item in people:
        assert len(set(item.captions)) == 5
        said = [caption_group(caption, "gender") for caption in item.captions]
        assert Counter(said)[item.emoji.gender] == (3 if item.emoji.gender else 5), item.captions
        assert sum(caption_group(caption, "skin_tone") != "" for caption in item.captions) == 3


def test_a_smaller_set_is_a_part(emojis: list[Emoji], art: Art, people: list[Item]) -> None:
    few = evaluation.people(emojis, art, HELD_OUT, 40, seed=0)
    assert len(few) == 40
    assert {item.emoji.hexcode for item in few} <= {item.emoji.hexcode for item in people}


@pytest.mark.parametrize("n", [16, 201, 510])
def test_portraits_have_as_many_women_as_men_in_both_parts(emojis: list[Emoji], art: Art, n: int) -> None:
    items = evaluation.portraits(emojis, art, HELD_OUT, n, seed=0)
    assert Counter((item.part, item.emoji.gender) for item in items) == {
        (part, gender): half
        for part in ("unseen", "seen")
        for gender, half in (("woman", (n + 1) // 2), ("man", n // 2))
    }
    assert all((item.style == HELD_OUT) == (item.part == "unseen") for item in items)
    assert all(item.emoji.plain_adult for item in items)
    assert len({item.key for item in items}) == len(items)
    assert len({(item.style, item.emoji.hexcode, item.scene) for item in items}) == len(items)


def test_seen_portraits_come_from_every_training_style(emojis: list[Emoji], art: Art) -> None:
    items = evaluation.portraits(emojis, art, HELD_OUT, 510, seed=0)
    assert {item.style for item in items if item.part == "seen"} == {"noto", "twemoji", "openmoji", "noto-v1"}


def test_objects_have_one_image_a_name_that_training_knows(emojis: list[Emoji], art: Art, training_art: Art) -> None:
    items = evaluation.objects(emojis, art, HELD_OUT, 10_000, seed=0)
    assert len(items) == len({item.emoji.label for item in items}) > 700
    for item in items:
        assert any(training_art.has(style, item.emoji.hexcode) for style in training_art.styles)
        assert all(item.emoji.label.lower() in caption for caption in item.captions)


def test_sets_depend_on_the_seed_alone(emojis: list[Emoji], art: Art) -> None:
    first, again, other = (evaluation.portraits(emojis, art, HELD_OUT, 20, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
