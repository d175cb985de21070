"""Prompts: articles, templates, and pairs of words."""

import pytest

from stages.corpus.prompts import CONTRAST_WORDS, contrast, ensemble, fill


@pytest.mark.parametrize(
    ("label", "filled"),
    [("artist", "a photo of an artist"), ("judge", "a photo of a judge"), ("glass", "a photo of a glass"),
     ("grapes", "a photo of grapes"), ("bus", "a photo of a bus")],
)  # fmt: skip
def test_labels_take_their_article_and_plurals_none(label, filled):
    assert fill("a photo of {}", label) == filled


def test_the_bare_label_is_left_bare():
    assert fill("{label}, drawn", "artist") == "artist, drawn"


def test_every_label_meets_every_template():
    assert ensemble(["{}", "{label}"], ["cook", "artist"]) == [["a cook", "cook"], ["an artist", "artist"]]


@pytest.mark.parametrize("attribute", CONTRAST_WORDS)
def test_both_groups_have_the_same_prompts_but_for_the_word(attribute):
    one, zero = contrast(attribute, ["{}", "a photo of {}"])
    assert len(one) == len(zero) == 2 * len(CONTRAST_WORDS[attribute])
    for (word, other), first, second in zip(CONTRAST_WORDS[attribute], one[::2], zero[::2], strict=True):
        assert first == fill("{}", word) and second == fill("{}", other)
