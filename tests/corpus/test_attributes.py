"""Values and columns of attributes."""

import pytest

from stages.corpus import attributes
from stages.corpus.attributes import tone_group


@pytest.mark.parametrize(
    ("tone", "group"),
    [("1", "lighter"), ("2", "lighter"), ("3", "darker"), ("5", "darker"), ("", ""), ("darker", "darker")],
)
def test_fitzpatrick_four_and_above_are_darker(tone: str, group: str) -> None:
    assert tone_group(tone) == group


def test_column_names() -> None:
    assert attributes.sensitive_columns() == [
        "s_gender_woman", "s_gender_man", "s_skin_tone_lighter", "s_skin_tone_darker",
    ]  # fmt: skip
    assert attributes.occupation_column("police officer") == "y_occupation_police_officer"
    assert attributes.proxy_column("Bow-tie") == "y_proxy_bow_tie"
