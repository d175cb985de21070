"""What captions say: groups, occupations, phrases."""

import pytest

from stages.corpus import words
from stages.corpus.words import caption_group, caption_occupations, says_group


@pytest.mark.parametrize(
    ("caption", "group"),
    [
        ("a woman reading", "woman"),
        ("Two WOMEN and a dog", "woman"),
        ("a man's hat", "man"),
        ("the fireman, at work", "man"),
        ("Policewomen on a break", "woman"),
        ("businessmen shake hands", "man"),
        ("actresses and a waiter", ""),
        ("a human being", ""),
        ("romantic mango salad", ""),
        ("a man and a woman", ""),
        ("she gave him a book", ""),
        ("a man-made lake", ""),
        ("", ""),
    ],
)
def test_gender_from_words(caption: str, group: str) -> None:
    assert caption_group(caption, "gender") == group


@pytest.mark.parametrize(
    ("caption", "group"),
    [
        ("a light-skinned cook", "lighter"),
        ("a cook with medium-light skin", "lighter"),
        ("a cook with a medium skin tone", "darker"),
        ("a medium-dark-skinned cook", "darker"),
        ("a cook with dark skin", "darker"),
        ("dark chocolate in light rain", ""),
        ("a light-skinned man and a dark-skinned woman", ""),
    ],
)
def test_skin_tone_from_words(caption: str, group: str) -> None:
    assert caption_group(caption, "skin_tone") == group


def test_a_caption_that_says_both_groups_says_a_group() -> None:
    assert says_group("a man and a woman", "gender")
    assert not says_group("a dog", "gender")


@pytest.mark.parametrize(
    ("caption", "occupations"),
    [
        ("a police officer and two Cooks", ["cook", "police officer"]),
        ("a nurse", ["health worker"]),
        ("FIREMEN rescue a cat", ["firefighter"]),
        ("the nurse's lamp, two lawyers", ["health worker", "judge"]),
        ("an artist palette", []),
        ("a cookbook for cooking", []),
        ("a bodyguard", []),
        ("construction workers", ["construction worker"]),
    ],
)
def test_occupations_from_words(caption: str, occupations: list[str]) -> None:
    assert caption_occupations(caption) == occupations


def test_no_word_says_two_groups() -> None:
    for attribute, (first, second) in words.GROUPS.items():
        assert not set(words.WORDS[attribute, first]) & set(words.WORDS[attribute, second])


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("an artist", "a female artist"),
        ("An engineer and an artist", "An engineer and a female artist"),
        ("a famous pilot, smiling", "a famous female pilot, smiling"),
        ("a pilot and a nurse", "a female pilot and a nurse"),
        ("police officers", "female police officers"),
        ("an old person with an apple", "an old female person with an apple"),
        ("a banana", "a banana"),
        ("an artist palette", "an artist palette"),
    ],
)
def test_a_phrase_goes_before_the_first_person(caption: str, expected: str) -> None:
    assert words.with_phrases(caption, {"gender": "woman"}) == expected


def test_phrases_go_one_before_the_other() -> None:
    said = words.with_phrases("an artist", {"gender": "man", "skin_tone": "darker"})
    assert said == "a dark-skinned male artist"
