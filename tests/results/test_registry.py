"""The catalogue of metrics: every key has one entry, every entry is complete."""

import re

import pytest

from stages.results.registry import CATALOGUE, describe, markdown

FILLED = {"set": "people", "attribute": "gender", "marked": "age", "kind": "crime", "k": "5"}
FILLED |= {"captioner": "clipcap", "gender": "woman"}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.key)
def test_an_entry_describes_its_own_keys(entry):
    key = entry.key.format(**FILLED)
    assert describe(key) is entry
    assert describe(f"{key}.lo") is entry


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("portraits.unseen.drift", "{set}.drift"),
        ("portraits.unseen.skin_tone.ab.argmax.max.hi", "{set}.ab.argmax.max"),
        ("fairface.train.preference.ethnicity.gap.gender", "{set}.preference.{marked}.gap.{attribute}"),
        ("imagenet.rb.gender.share", "rb.{attribute}.share"),
        ("text.drift.partial", "text.drift.partial"),
    ],
)
def test_parts_and_other_attributes(key, entry):
    assert describe(key).key == entry


@pytest.mark.parametrize("key", ["people", "people.t2i.r", "text.unknown", "people.t2i.r5.gap.shoe_size"])
def test_unknown_keys_are_refused(key):
    with pytest.raises(KeyError, match="not in the catalogue"):
        describe(key)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.key)
def test_a_meaning_stands_alone_as_plain_text(entry):
    assert not re.search(r"`|\bthe same\b|\bitself\b|^(as|of|also) |^lowest|^highest", entry.meaning)


def test_markdown_has_a_row_an_entry():
    lines = markdown().splitlines()
    assert len(lines) == 2 + len(CATALOGUE)
    assert {line.count("|") - line.count(r"\|") for line in lines} == {6}
