"""R@k: hand-computed cases, CLIP_benchmark as the oracle, ties, shared captions, several captions an image."""

import numpy as np
import pytest
import torch
from clip_benchmark.metrics.zeroshot_retrieval import recall_at_k

from stages.evaluate import retrieval
from stages.evaluate.features import unit


def random_features(rng, captions=5, n=60, width=16):
    images = unit(rng.normal(size=(n, width)))
    owner = np.repeat(np.arange(n), captions)
    texts = unit(images[owner] + 0.7 * rng.normal(size=(n * captions, width)))
    return texts, images, owner


def test_three_by_three_text_to_image():
    images = np.eye(3)
    texts = np.array([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.3, 0.4, 0.2]])
    # caption 0: own image first; caption 1 (own: image 1): second; caption 2 (own: image 2): third
    ranks = retrieval.text_to_image_ranks(texts, images, [0, 1, 2])
    assert ranks.tolist() == [0, 1, 2]
    hits = retrieval.hits(ranks, (1, 2, 3))
    assert [hits[k].mean() for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_three_by_three_image_to_text():
    texts = np.eye(3)
    images = np.array([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.3, 0.4, 0.2]])
    assert retrieval.image_to_text_ranks(texts, images, [0, 1, 2]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("captions", [1, 5])
@pytest.mark.parametrize("k", [1, 5, 10])
def test_equal_to_clip_benchmark(captions, k):
    texts, images, owner = random_features(np.random.default_rng(captions), captions)
    scores = torch.from_numpy(texts @ images.T)
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(len(owner)), torch.from_numpy(owner)] = True
    expected_images = (recall_at_k(scores, positive, k) > 0).double().mean().item()
    expected_texts = (recall_at_k(scores.T, positive.T, k) > 0).double().mean().item()
    to_image = retrieval.hits(retrieval.text_to_image_ranks(texts, images, owner), (k,))[k].mean()
    to_text = retrieval.hits(retrieval.image_to_text_ranks(texts, images, owner), (k,))[k].mean()
    assert to_image == pytest.approx(expected_images, abs=1e-6)
    assert to_text == pytest.approx(expected_texts, abs=1e-6)


def test_blocks_do_not_change_ranks(monkeypatch):
    texts, images, owner = random_features(np.random.default_rng(0))
    whole = retrieval.text_to_image_ranks(texts, images, owner), retrieval.image_to_text_ranks(texts, images, owner)
    monkeypatch.setattr(retrieval, "BLOCK", 7)
    parts = retrieval.text_to_image_ranks(texts, images, owner), retrieval.image_to_text_ranks(texts, images, owner)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_ties_count_against_the_model():
    images = np.ones((4, 2))  # a collapsed model
    texts = np.ones((4, 2))
    assert retrieval.text_to_image_ranks(texts, images, range(4)).tolist() == [3, 3, 3, 3]
    assert retrieval.image_to_text_ranks(texts, images, range(4)).tolist() == [3, 3, 3, 3]


def test_caption_shared_by_two_images_hits_its_own_image_only():
    images = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    texts = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # images 0 and 1 carry the same caption
    own = retrieval.text_to_image_ranks(texts, images, [0, 1, 2])
    shared = retrieval.text_to_image_ranks(texts, images, [0, 1, 2], caption=[7, 7, 8], shared=True)
    assert own.tolist() == [0, 1, 0]
    assert shared.tolist() == [0, 0, 0]


def test_shared_caption_is_one_candidate_and_right_for_both_images():
    images = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    texts = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert retrieval.image_to_text_ranks(texts, images, [0, 1, 2], caption=[7, 7, 8]).tolist() == [0, 0, 0]
    # counted twice, the equal caption of the other image would tie with the right one
    assert retrieval.image_to_text_ranks(texts, images, [0, 1, 2]).tolist() == [1, 1, 0]


def test_shared_without_repeats_is_the_plain_rank():
    texts, images, owner = random_features(np.random.default_rng(3))
    plain = retrieval.text_to_image_ranks(texts, images, owner)
    shared = retrieval.text_to_image_ranks(texts, images, owner, caption=np.arange(len(owner)), shared=True)
    assert np.array_equal(plain, shared)


def test_order_of_images_is_irrelevant():
    rng = np.random.default_rng(4)
    texts, images, owner = random_features(rng)
    order = rng.permutation(len(images))
    moved = retrieval.text_to_image_ranks(texts, images[order], np.argsort(order)[owner])
    assert np.array_equal(retrieval.text_to_image_ranks(texts, images, owner), moved)


def test_per_image_sums_captions():
    sums, counts = retrieval.per_image([1, 0, 1, 1], [0, 0, 2, 2], 3)
    assert sums.tolist() == [1, 0, 2]
    assert counts.tolist() == [2, 0, 2]


def test_nan_features_are_refused():
    images = np.eye(3)
    images[1, 2] = np.nan
    with pytest.raises(ValueError, match="images: 1 of 3 rows hold NaN or infinity, first row 1"):
        retrieval.text_to_image_ranks(np.eye(3), images, [0, 1, 2])


def test_image_without_caption_is_refused():
    with pytest.raises(ValueError, match=r"image 2 .* has no caption"):
        retrieval.image_to_text_ranks(np.eye(3)[:2], np.eye(3), [0, 1])


def test_owner_out_of_range_is_refused():
    with pytest.raises(ValueError, match="owners lie in 0…3, expected 0…2"):
        retrieval.text_to_image_ranks(np.eye(3), np.eye(3), [0, 1, 3])


def test_owner_below_zero_or_not_one_for_each_caption_is_refused():
    with pytest.raises(ValueError, match="owners lie in -1…1, expected 0…2"):
        retrieval.text_to_image_ranks(np.eye(3), np.eye(3), [0, 1, -1])
    with pytest.raises(ValueError, match="2 owners for 3 captions"):
        retrieval.text_to_image_ranks(np.eye(3), np.eye(3), [0, 1])


def test_the_first_of_several_images_without_captions_is_named():
    with pytest.raises(ValueError, match=r"image 1 \(of 2\) has no caption"):
        retrieval.image_to_text_ranks(np.eye(3)[:1], np.eye(3), [0])


def test_shared_captions_need_to_be_told_apart():
    with pytest.raises(ValueError, match="shared captions need `caption`"):
        retrieval.text_to_image_ranks(np.eye(3), np.eye(3), [0, 1, 2], shared=True)


def test_of_several_right_images_the_best_counts():
    images = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])  # 0 and 2 are right; scores 1, .6, 0
    ranks = retrieval.text_to_image_ranks([[1.0, 0.0]] * 2, images, [0, 2], caption=[3, 3], shared=True)
    assert ranks.tolist() == [0, 0]


def test_reciprocal_ranks_and_the_published_k():
    assert retrieval.reciprocal(np.array([0, 1, 3])).tolist() == [1, 0.5, 0.25]
    found = retrieval.hits(np.array([0, 4, 9, 10]))
    assert {k: of.tolist() for k, of in found.items()} == {
        1: [True, False, False, False], 5: [True, True, False, False], 10: [True, True, True, False]
    }  # fmt: skip


def test_a_block_holds_no_more_scores_than_said(monkeypatch):
    monkeypatch.setattr(retrieval, "BLOCK", 10)
    assert retrieval._blocks(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert retrieval._blocks(2, 100) == [slice(0, 1), slice(1, 2)]  # a row at least
    assert retrieval._blocks(2, 0) == [slice(0, 2)]
