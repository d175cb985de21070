"""Ceilings of recall: counted by hand, and reached by a model that knows what captions say."""

import numpy as np
import pandas as pd
import pytest

from stages.evaluate import ceiling, retrieval


def table(rows):
    columns = pd.Index(["label", "gender", "skin_tone", "captions"])
    return pd.DataFrame(rows, columns=columns).assign(key=lambda found: found.index.astype(str))


def numbered(found):
    texts = [text for captions in found["captions"] for text in captions]
    owner = np.repeat(np.arange(len(found)), [len(captions) for captions in found["captions"]])
    return owner, np.unique(texts, return_inverse=True)[1]


COOKS = table(
    [
        ("cook", "woman", "1", ["a female cook", "a cook", "a cook with light skin"]),
        ("cook", "woman", "5", ["a woman cook", "somebody cooking"]),
        ("cook", "man", "1", ["a cook", "a man cook with light skin"]),
        ("pilot", "man", "1", ["a man pilot"]),
    ]
)


def test_captions_fit_the_images_that_agree_with_all_they_say():
    found = ceiling.fitting(COOKS, *numbered(COOKS))
    # women cooks; cooks; light cooks | women cooks; cooks | cooks; light men cooks | men pilots
    assert found.images.tolist() == [2, 3, 2, 2, 3, 3, 1, 1]
    assert found.carriers.tolist() == [1, 2, 1, 1, 1, 2, 1, 1]
    # distinct captions that fit: both of women, both open ones, and by tone
    assert found.captions.tolist() == [5, 4, 4, 1]
    assert found.own.tolist() == [3, 2, 2, 1]


def test_recall_at_the_ceiling_by_hand():
    found = ceiling.fitting(COOKS, *numbered(COOKS))
    assert found.recall(1)["t2i"].mean() == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 2 + 1 / 3 + 1 / 3 + 1 + 1) / 8)
    assert found.recall(1)["t2i_shared"][[0, 1]].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert found.recall(1)["i2t"].tolist() == pytest.approx([3 / 5, 2 / 4, 2 / 4, 1])
    assert found.recall(2)["i2t"].tolist() == pytest.approx([1 - 1 / 10, 1 - 1 / 6, 1 - 1 / 6, 1])
    assert all((values == 1).all() for values in found.recall(10).values())


def test_without_labels_only_equal_captions_fit():
    found = ceiling.fitting(COOKS.assign(label=""), *numbered(COOKS))
    assert found.images.tolist() == [1, 2, 1, 1, 1, 2, 1, 1]
    assert found.captions.tolist() == found.own.tolist()


def test_a_model_that_knows_what_captions_say_reaches_the_ceiling():
    genders, tones, labels = ("woman", "man"), ("1", "5"), ("cook", "pilot", "judge")
    tone_words = {"1": "light", "5": "dark"}
    rows = []
    for label in labels:
        for gender in genders:
            for tone in tones:
                captions = [f"a {gender} {label}", f"a {label} with {tone_words[tone]} skin", f"a {label}"]
                rows.append((label, gender, tone, captions))
    found = table(rows)
    owner, number = numbered(found)
    values = [*labels, *genders, *tones]
    images = np.array([[name in row[:3] for name in values] for row in rows], float)
    says = {"light": "1", "dark": "5"}
    texts = [text for captions in found["captions"] for text in captions]
    meant = np.array(
        [[any(says.get(word, word) == name for word in text.split()) for name in values] for text in texts]
    )
    expected, rng = ceiling.fitting(found, owner, number).recall(1), np.random.default_rng(0)
    hits = []
    for _ in range(300):  # what captions leave open is ranked by chance
        noise = 1e-3 * rng.normal(size=(len(texts), len(rows)))
        scores = meant @ images.T + noise
        hits.append(scores.argmax(axis=1) == owner)
    assert np.mean(hits) == pytest.approx(expected["t2i"].mean(), abs=0.02)


def test_chance_of_coarse_classes_is_that_of_drawing_a_class():
    assert ceiling.chance_of_coarse(["a", "a", "b", "c"], np.array([0, 1, 2, 2])) == pytest.approx((2 * 2 + 1 + 1) / 16)


def test_mean_reciprocal_rank_by_hand():
    assert retrieval.reciprocal(np.array([0, 1, 3])).tolist() == [1, 1 / 2, 1 / 4]
