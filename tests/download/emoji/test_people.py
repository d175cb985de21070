from collections import Counter
from pathlib import Path

import pytest

from stages.corpus.words import OCCUPATIONS
from stages.download.emoji.icons import Art
from stages.download.emoji.packages import METADATA, read_json
from stages.download.emoji.people import Emoji, parse


@pytest.mark.parametrize(
    ("code", "gender", "tone", "age", "occupation"),
    [
        ("1f469-1f3fd-200d-2695", "woman", "3", "", "health worker"),
        ("1f468-1f3fb-200d-1f680", "man", "1", "", "astronaut"),
        ("1f9d1-1f3ff-200d-1f373", "", "5", "", "cook"),
        ("1f46e-1f3fe", "", "4", "", "police officer"),
        ("1f575-1f3fc-200d-2640", "woman", "2", "", "detective"),
        ("1f475-1f3fb", "woman", "1", "older", ""),
        ("1f466-1f3fc", "man", "2", "child", ""),
        ("1f476-1f3ff", "", "5", "baby", ""),
        ("1f57a-1f3fd", "man", "3", "", ""),
    ],
)
def test_attributes_from_code_points(
    by_code: dict[str, Emoji], code: str, gender: str, tone: str, age: str, occupation: str
) -> None:
    emoji = by_code[code]
    assert (emoji.kind, emoji.gender, emoji.skin_tone, emoji.age) == ("person", gender, tone, age)
    assert emoji.occupation == occupation


def test_occupations_are_a_full_factorial(emojis: list[Emoji]) -> None:
    cells = Counter((e.occupation, e.gender, e.skin_tone) for e in emojis if e.occupation)
    assert len(cells) == 300
    assert set(cells.values()) == {1}
    assert {occupation for occupation, _, _ in cells} == set(OCCUPATIONS)


def test_coverage_of_the_styles(emojis: list[Emoji], art: Art) -> None:
    """The table of corpus facts: 300 occupation pictures in four styles, 220 in noto-v1."""
    drawn = {style: sum(bool(e.occupation) and art.has(style, e.hexcode) for e in emojis) for style in art.styles}
    assert drawn == {"noto": 300, "twemoji": 300, "openmoji": 300, "fluent-emoji-flat": 300, "noto-v1": 220}


def test_mirror_images_groups_and_yellow_people_are_left_out(by_code: dict[str, Emoji]) -> None:
    assert "1f3c3-1f3fb" in by_code
    assert "1f3c3-1f3fb-200d-27a1" not in by_code
    assert "1f46f-1f3fb" not in by_code  # people with bunny ears
    assert "1f468" not in by_code


def test_a_concept_joins_man_woman_and_person(by_code: dict[str, Emoji]) -> None:
    codes = ("1f64d-1f3fb", "1f64d-1f3fb-200d-2642", "1f64d-1f3fb-200d-2640")
    assert {by_code[code].concept for code in codes} == {"1f64d"}
    assert {by_code[code].concept for code in ("1f934-1f3fb", "1f478-1f3fb", "1fac5-1f3fb")} == {"1fac5"}


def test_keywords_say_no_gender(emojis: list[Emoji], by_code: dict[str, Emoji]) -> None:
    words = {tag for emoji in emojis for tag in emoji.tags}
    assert not words & {"man", "woman", "girl", "boy", "king", "queen", "grandma", "dad", "mrs."}
    assert "hardhat" in by_code["1f477-1f3fb"].tags  # beside a stray "man"
    assert by_code["1f477-1f3fb"].tags == by_code["1f477-1f3fb-200d-2640"].tags


def test_objects_are_neutral(by_code: dict[str, Emoji]) -> None:
    assert by_code["1f436"].kind == "object"
    assert "1f452" not in by_code  # woman's hat
    assert "1f550" not in by_code  # one o'clock


def test_portraits_are_plain_adults(by_code: dict[str, Emoji]) -> None:
    assert by_code["1f469-1f3fb"].plain_adult
    assert by_code["1f475-1f3fb"].plain_adult
    for code in ("1f467-1f3fb", "1f476-1f3fb", "1f9d4-1f3fb", "1f469-1f3fb-200d-2695", "1f478-1f3fb", "1f436"):
        assert not by_code[code].plain_adult, code


def test_the_metadata_gender_field_is_not_needed(cache: Path, emojis: list[Emoji]) -> None:
    records = [dict(record) for record in read_json(cache / METADATA.archive, "package/en/data.json")]
    for record in records:
        record.pop("gender", None)
    groups = read_json(cache / METADATA.archive, "package/meta/groups.json")
    assert parse(records, groups["groups"], groups["subgroups"]) == emojis
