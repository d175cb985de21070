from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages.core.errors import InputError
from stages.core.settings import load
from stages.corpus.words import GROUPS, PHRASES, caption_group, says_group
from stages.generate.__main__ import ask
from stages.generate.prompts import balanced
from stages.generate.settings import Settings

EQUAL = {"gender": "equal", "skin_tone": "equal"}
CAPTIONS = ("a pilot", "an artist at work", "here is a person with a hat")
DRAWS = 4000


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"gender": "equal"}, {"woman": 0.5, "man": 0.5}),
        ({"gender": {"woman": 0.2, "man": 0.8}}, {"woman": 0.2, "man": 0.8}),
        ({"gender": {"woman": 1.0, "man": 0.0}}, {"woman": 1.0, "man": 0.0}),
        ({"skin_tone": {"lighter": 0.7, "darker": 0.3}}, {"lighter": 0.7, "darker": 0.3}),
    ],
)
@pytest.mark.parametrize("caption", CAPTIONS)
def test_prompts_reach_the_target_in_expectation_whatever_the_label(caption, shares, expected) -> None:
    ((attribute, _),) = shares.items()
    said = Counter(caption_group(balanced(caption, shares, 3, f"{i}").text, attribute) for i in range(DRAWS))
    assert said.keys() == {group for group, share in expected.items() if share}
    for group, share in expected.items():
        assert abs(said[group] / DRAWS - share) <= 4 * np.sqrt(share * (1 - share) / DRAWS)


def test_attributes_are_drawn_independently() -> None:
    drawn = [tuple(balanced("a pilot", EQUAL, 0, f"{i}").drawn.values()) for i in range(DRAWS)]
    counts = Counter(drawn)
    assert len(counts) == 4
    assert all(abs(count / DRAWS - 0.25) < 4 * np.sqrt(0.25 * 0.75 / DRAWS) for count in counts.values())


def test_a_draw_depends_on_seed_and_key_alone() -> None:
    first = [balanced("a pilot", EQUAL, 0, f"{i}").text for i in range(50)]
    assert first == [balanced("a pilot", EQUAL, 0, f"{i}").text for i in range(50)]
    assert first != [balanced("a pilot", EQUAL, 1, f"{i}").text for i in range(50)]
    assert len(set(first)) == 4


@pytest.mark.parametrize(
    "caption", ["a woman pilot", "a red apple", "she is a pilot", "somebody with a hat", "", "a man"]
)
def test_captions_that_say_a_group_or_name_nobody_stay(caption) -> None:
    assert balanced(caption, {"gender": "equal"}, 0, "k").text == caption


def test_what_was_drawn_is_what_the_prompt_says() -> None:
    for i in range(40):
        prompt = balanced("a male judge, smiling", EQUAL, 0, f"{i}")
        assert prompt.drawn.keys() == {"skin_tone"}
        assert caption_group(prompt.text, "skin_tone") == prompt.drawn["skin_tone"]
        assert caption_group(prompt.text, "gender") == "man"


def test_phrases_are_words_of_their_group_and_of_no_other() -> None:
    for (attribute, group), phrase in PHRASES.items():
        assert caption_group(f"a {phrase} pilot", attribute) == group
        assert not any(says_group(f"a {phrase} pilot", other) for other in GROUPS if other != attribute)


def asked(root, captions=None, **changes):
    path = root / "stages" / "profiles" / "smoke.yaml"
    values = yaml.safe_load(path.read_text())
    values["generate"] |= changes
    path.write_text(yaml.safe_dump(values))
    return ask(captions or {"a": "a pilot", "b": "an apple"}, load(Settings, root).generate)


def test_as_they_are_prompts_are_the_captions(project) -> None:
    found = asked(project(profile="smoke"))
    assert {key: (prompt.text, prompt.drawn) for key, prompt in found.items()} == {
        "a": ("a pilot", {}),
        "b": ("an apple", {}),
    }


def test_candidates_stand_side_by_side_and_draw_words_of_their_own(project) -> None:
    captions = {f"{i}": "a pilot" for i in range(30)}
    found = asked(project(profile="smoke"), captions, prompts="balanced", candidates=3)
    assert [*found][:4] == ["0", "0-c1", "0-c2", "1"]
    alone = asked(project(profile="smoke"), captions, prompts="balanced", candidates=1)
    assert {key: found[key] for key in alone} == alone
    assert any(found[f"{i}"].drawn != found[f"{i}-c1"].drawn for i in range(30))


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (
            {"gender": {"woman": 0.5}},
            "prompt_shares.gender: found woman 0.5, expected shares of woman, man that sum to 1",
        ),
        ({"gender": {"woman": 0.5, "man": 0.6}}, "prompt_shares.gender: found man 0.6, woman 0.5, expected shares"),
        ({"hair": "equal"}, "prompt_shares"),
    ],
)
def test_other_shares_are_refused(project, shares, message) -> None:
    with pytest.raises(InputError, match=message):
        asked(project(profile="smoke"), prompt_shares=shares)


def test_the_documented_phrases_are_those_drawn() -> None:
    text = (Path(__file__).parents[2] / "docs" / "counterweights.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.count("|") == 4]
    found = {(row[0].replace(" ", "_"), row[1]): row[2] for row in rows}
    assert {pair: found.get(pair) for pair in PHRASES} == PHRASES
