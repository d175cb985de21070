import numpy as np
import pytest

from stages.download.emoji.duplicates import drawn_as, twins
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji


@pytest.fixture(scope="module")
def people(emojis: list[Emoji]) -> list[Emoji]:
    return [emoji for emoji in emojis if emoji.skin_tone == "3"]


@pytest.fixture(scope="module")
def first_noto(people: list[Emoji], art: Art) -> dict[str, tuple[Emoji, ...]]:
    return twins(people, art, "noto-v1")


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("1f46e-1f3fd", "man"),  # police officer
        ("1f575-1f3fd", "man"),  # detective
        ("1f3c3-1f3fd", "man"),  # running
        ("1f937-1f3fd", "woman"),  # shrugging
        ("1f487-1f3fd", "woman"),  # getting a haircut
        ("1f46e-1f3fd-200d-2642", ""),  # a man is a man
    ],
)
def test_as_whom_noto_v1_draws(
    first_noto: dict[str, tuple[Emoji, ...]], by_code: dict[str, Emoji], code: str, seen: str
) -> None:
    assert drawn_as(by_code[code], first_noto) == seen


def test_openmoji_draws_nine_neutral_occupations_as_men(people: list[Emoji], art: Art) -> None:
    alike = twins(people, art, "openmoji")
    assert {e.occupation for e in people if e.occupation and drawn_as(e, alike) == "man"} == {
        "student", "farmer", "cook", "mechanic", "factory worker", "artist", "pilot", "astronaut", "firefighter",
    }  # fmt: skip


def test_one_picture_for_all_genders_is_flagged_but_is_nobody(people: list[Emoji], art: Art) -> None:
    alike = twins(people, art, "noto")
    astronauts = [e for e in people if e.occupation == "astronaut"]
    assert {len(alike[e.hexcode]) for e in astronauts} == {2}
    assert {drawn_as(e, alike) for e in astronauts} == {""}


def test_small_rasters_group_as_large_ones(people: list[Emoji], art: Art) -> None:
    """Sixteen pixels suffice: every pair that is alike at 16 pixels is alike at 64."""
    for style in art.styles:
        for code, others in twins(people, art, style).items():
            large = np.asarray(art.raster(style, code, 64))
            for other in others:
                assert np.array_equal(large, np.asarray(art.raster(style, other.hexcode, 64))), (style, code)
