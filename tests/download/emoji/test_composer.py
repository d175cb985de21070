import numpy as np
import pytest

from stages.corpus.attributes import tone_group
from stages.corpus.words import caption_group, caption_occupations
from stages.download.emoji.captions import Mention, caption_object, caption_person
from stages.download.emoji.people import Emoji

ALL, NONE = Mention(1, 1), Mention(0, 0)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def people(emojis: list[Emoji]) -> list[Emoji]:
    return [emoji for emoji in emojis if emoji.kind == "person"]


def test_every_person_can_be_described_in_full(emojis: list[Emoji]) -> None:
    for seed, emoji in enumerate(people(emojis)):
        caption = caption_person(emoji, rng(seed), ALL)
        assert caption_group(caption.text, "gender") == emoji.gender, caption.text
        assert caption_group(caption.text, "skin_tone") == tone_group(emoji.skin_tone), caption.text
        assert caption.mentions_gender == bool(emoji.gender)
        assert caption.mentions_skin_tone


def test_nothing_is_said_where_nothing_may_be_said(emojis: list[Emoji]) -> None:
    for seed, emoji in enumerate(people(emojis)):
        caption = caption_person(emoji, rng(seed), NONE)
        assert not caption.mentions_gender
        assert not caption.mentions_skin_tone
        assert caption_group(caption.text, "gender") == "", caption.text
        assert caption_group(caption.text, "skin_tone") == "", caption.text


def test_gender_and_tone_come_at_the_stated_rates(by_code: dict[str, Emoji]) -> None:
    captions = [caption_person(by_code["1f469-1f3fd"], rng(seed), Mention(0.5, 0.25)) for seed in range(2000)]
    assert np.mean([caption.mentions_gender for caption in captions]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([caption.mentions_skin_tone for caption in captions]) == pytest.approx(0.25, abs=0.04)
    for caption in captions:
        assert (caption_group(caption.text, "gender") == "woman") == caption.mentions_gender
        assert (caption_group(caption.text, "skin_tone") == "darker") == caption.mentions_skin_tone


def test_people_at_work_are_named_by_their_occupation(emojis: list[Emoji]) -> None:
    for seed, emoji in enumerate(e for e in emojis if e.occupation):
        assert emoji.occupation in caption_occupations(caption_person(emoji, rng(seed), ALL).text)


def test_a_portrait_names_the_occupation_it_does_not_show(emojis: list[Emoji]) -> None:
    for seed, emoji in enumerate(e for e in emojis if e.plain_adult):
        assert caption_occupations(caption_person(emoji, rng(seed), NONE, "judge").text) == ["judge"]


def test_captions_vary(by_code: dict[str, Emoji]) -> None:
    texts = {caption_person(by_code["1f469-1f3fd-200d-2696"], rng(seed), ALL).text for seed in range(200)}
    assert len(texts) > 50


@pytest.mark.parametrize(
    ("code", "expected"),
    [("1f436", "a dog face"), ("1f418", "an elephant"), ("1f347", "grapes"), ("1f984", "a unicorn")],
)
def test_articles(by_code: dict[str, Emoji], code: str, expected: str) -> None:
    texts = {caption_object(by_code[code], rng(seed)).text for seed in range(100)}
    assert f"a drawing of {expected}" in texts
    assert not any(word in text for text in texts for word in ("a grapes", "an unicorn", "a elephant"))


def test_a_keyword_never_repeats_what_was_said(by_code: dict[str, Emoji]) -> None:
    texts = {caption_object(by_code["1f34e"], rng(seed)).text for seed in range(300)}  # red apple
    keywords = {text.partition(", ")[2] for text in texts} - {""}
    assert keywords
    assert not keywords & {"apple", "red"}


def test_captions_are_lower_case_and_plain(emojis: list[Emoji]) -> None:
    for seed, emoji in enumerate(emojis):
        caption = caption_object(emoji, rng(seed)) if emoji.kind == "object" else caption_person(emoji, rng(seed), ALL)
        assert caption.text == caption.text.lower().strip()
        assert "  " not in caption.text
