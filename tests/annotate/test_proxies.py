import math
from collections.abc import Sequence

import pytest

from stages.annotate import proxies

CAPTIONS = ["a beard"] * 30 + ["a hat"] * 10 + ["a hat"] * 30 + ["a scarf"] * 10
GENDER = ["man"] * 40 + ["woman"] * 40


def find(captions: Sequence[str], groups: dict[str, list[str]], count: int, minimum: int, parts: int = 1) -> list[str]:
    tally = proxies.Tally()
    for part in range(parts):
        tally.add(captions[part::parts], {name: values[part::parts] for name, values in groups.items()})
    return tally.strongest(count, minimum)


def test_words_are_lower_case_and_keep_hyphens() -> None:
    assert proxies.words("A bow-tie, THE hat.") == {"a", "bow-tie", "the", "hat"}


def test_the_strongest_word_comes_first() -> None:
    """beard 30/40 against 0/40: z = .75 / sqrt(.375 · .625 · 2/40) = 6.93; hat 10/40 against 30/40: z = −4.47."""
    assert find(CAPTIONS, {"gender": GENDER}, count=9, minimum=1) == ["beard", "hat"]
    assert math.isclose(0.75 / math.sqrt(0.375 * 0.625 * 2 / 40), 6.928, rel_tol=1e-4)


def test_count_and_minimum_limit_the_words() -> None:
    assert find(CAPTIONS, {"gender": GENDER}, count=1, minimum=1) == ["beard"]
    assert find(CAPTIONS, {"gender": GENDER}, count=9, minimum=31) == ["hat"]


def test_a_word_spread_evenly_is_none() -> None:
    assert find(["a hat", "a dog"] * 40, {"gender": ["man", "man", "woman", "woman"] * 20}, 9, 1) == []


@pytest.mark.parametrize("word", ["woman", "her", "judge", "nurse", "person", "the", "guards"])
def test_words_that_name_a_group_or_an_occupation_are_no_proxies(word: str) -> None:
    captions = [f"{word} here"] * 40 + ["elsewhere"] * 40
    found = find(captions, {"gender": ["woman"] * 40 + ["man"] * 40}, 9, 1)
    assert word not in found


def test_an_attribute_without_both_groups_gives_none() -> None:
    assert find(["a hat"] * 20, {"gender": ["man"] * 20, "skin_tone": [""] * 20}, 9, 1) == []


@pytest.mark.parametrize("parts", [2, 7, 80])
def test_parts_add_up(parts: int) -> None:
    assert find(CAPTIONS, {"gender": GENDER}, 9, 1, parts) == ["beard", "hat"]
