"""Zero-shot classification: hand-computed cases, scikit-learn as the oracle, ties.

CLIP_benchmark 1.6.2 takes accuracy as the share of images whose class is in `torch.topk`; its own `accuracy` raises a
TypeError under NumPy 2.4, so scikit-learn's `top_k_accuracy_score` stands for it. `test_embed.py` compares its class
embeddings with ours.
"""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from stages.evaluate import zero_shot
from stages.evaluate.features import mean_direction, unit


def test_three_by_three():
    images = np.array([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    scored = zero_shot.classify(images, np.eye(3), [0, 1, 2, 0])
    assert scored["acc1"].tolist() == [1, 0, 1, 1]
    assert scored["recall"].sum() == pytest.approx((1 + 0 + 1) / 3)
    assert "acc5" not in scored


def test_equal_to_scikit_learn():
    rng = np.random.default_rng(0)
    classes, target = unit(rng.normal(size=(20, 12))), rng.integers(0, 20, 300)
    images = unit(classes[target] + 0.8 * rng.normal(size=(300, 12)))
    scores = images @ classes.T
    scored = zero_shot.classify(images, classes, target)
    for name, k in {"acc1": 1, "acc5": 5}.items():
        expected = top_k_accuracy_score(target, scores, k=k, labels=np.arange(20))
        assert scored[name].mean() == pytest.approx(expected, abs=1e-6)
    assert scored["recall"].sum() == pytest.approx(balanced_accuracy_score(target, scores.argmax(1)), abs=1e-6)


def test_class_without_images_is_left_out_of_the_recall():
    scored = zero_shot.classify(np.eye(3)[:2], np.eye(3), [0, 1])
    assert scored["recall"].sum() == pytest.approx(1)


def test_tie_counts_against_the_model():
    assert zero_shot.classify(np.array([[1.0, 1.0]]), np.eye(2), [0])["acc1"].tolist() == [0]


def test_reciprocal_rank_is_that_of_a_loop():
    rng = np.random.default_rng(1)
    images, classes, target = rng.normal(size=(40, 4)), rng.normal(size=(7, 4)), rng.integers(0, 7, 40)
    expected = []
    for image, right in zip(images, target, strict=True):
        order = sorted(range(7), key=lambda place: -float(image @ classes[place]))
        expected.append(1 / (1 + order.index(right)))
    assert zero_shot.classify(images, classes, target)["mrr"] == pytest.approx(expected)


def test_five_classes_have_no_top_five_and_six_do():
    for count in (5, 6):
        assert ("acc5" in zero_shot.classify(np.eye(count), np.eye(count), range(count))) == (count == 6)


def test_sixth_place_is_no_hit_among_five():
    scores = np.array([[6.0, 5, 4, 3, 2, 1]] * 2)
    assert zero_shot.classify(scores, np.eye(6), [4, 5])["acc5"].tolist() == [1, 0]


def test_coarse_class_of_the_nearest_class():
    # classes 0 and 1 are of one kind, 2 of another: right kind by another class, wrong kind, right class, a tie
    images = np.array([[0.1, 0.9, 0.2], [0.3, 0.2, 0.9], [0.0, 0.1, 0.8], [0.2, 0.7, 0.7]])
    found = zero_shot.coarse_hits(images, np.eye(3), [0, 0, 2, 1], ["animal", "animal", "tool"])
    assert found.tolist() == [True, False, True, False]


def test_by_class():
    table = zero_shot.by_class([1, 1, 0], [1, 0, 0], ["cat", "dog"])  # sorted by name
    assert table[["class", "n", "recall"]].to_numpy().tolist() == [["cat", 2, 0.5], ["dog", 1, 1.0]]
    assert table.loc[1, ["lo", "hi"]].tolist() == pytest.approx([1 / (1 + 1.959964**2), 1], abs=1e-6)  # Wilson, 1 of 1


def test_class_embedding_of_two_prompts_ignores_their_lengths():
    embedding = mean_direction(np.array([[5.0, 0.0], [0.0, 0.1]]))
    assert embedding == pytest.approx(np.sqrt([0.5, 0.5]))
