from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from stages.download.settings import Emoji

BLOCK = yaml.safe_load((Path(__file__).parents[2] / "stages/profiles/smoke.yaml").read_text())["download"]["emoji"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tone_gap": 0.6}, "tone_gap: found 0.6, but skin_tones gives the tones 1 and 2 0.75; expected at most 0.5"),
        ({"generator_skin_tones": [0.9, 0.05, 0.05, 0, 0], "tone_gap": 0.2}, "generator_tone_gap: found 0.2"),
        ({"generator_skin_tones": [1, 1, 0, 0, 0]}, "generator_skin_tones: the shares sum to 2, expected 1"),
        ({"size": 5}, "less than or equal to 4"),
        ({"context_skew": 0.4}, "greater than or equal to 0.5"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Emoji.model_validate(BLOCK | changes)


def test_the_largest_gap_is_allowed() -> None:
    assert Emoji.model_validate(BLOCK | {"tone_gap": 0.5}).tone_gap == 0.5
