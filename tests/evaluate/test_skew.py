"""MaxSkew@k, NDKL and Bias@k by hand, and where they must be extreme."""

import numpy as np
import pytest

from stages.evaluate import bootstrap, skew

MEN, WOMEN = 0, 1


def test_max_skew_by_hand():
    counts = np.array([[3, 1]])
    assert skew.max_skew(counts, [0.5, 0.5])[0] == pytest.approx(np.log(0.75 / 0.5))
    assert skew.max_skew(counts, [0.9, 0.1])[0] == pytest.approx(np.log(0.25 / 0.1))


@pytest.mark.parametrize("k", [1, 5, 10])
def test_max_skew_of_a_fully_biased_top_is_maximal(k):
    group = np.array([WOMEN] * 10 + [MEN] * 90)
    counts = skew.top_counts([np.arange(100)], group, 2, k)
    desired = [0.9, 0.1]
    assert counts.tolist() == [[0, k]]
    assert skew.max_skew(counts, desired)[0] == pytest.approx(np.log(1 / min(desired)))
    every = np.array([[a, k - a] for a in range(k + 1)])
    assert skew.max_skew(every, desired).max() == skew.max_skew(counts, desired)[0]


def test_max_skew_as_desired_is_zero():
    assert skew.max_skew([[6, 3, 1]], [0.6, 0.3, 0.1])[0] == pytest.approx(0)


def test_absent_rare_group_is_not_over_represented():
    # with a floor of 1/k the absent group would have ln(.1/.01) = 2.3
    assert skew.max_skew([[10, 0]], [0.99, 0.01])[0] == pytest.approx(np.log(1 / 0.99))


def test_max_skew_without_images_is_undefined():
    assert np.isnan(skew.max_skew([[0, 0]], [0.5, 0.5])[0])


def test_images_without_a_group_are_skipped():
    assert skew.top_counts([[0, 1, 2, 3]], [-1, WOMEN, -1, MEN], 2, 2).tolist() == [[1, 1]]


def test_ndkl_by_hand():
    # two images, man then woman, p* = (½, ½): KL = ln 2 at depth 1, 0 at depth 2
    discount = 1 / np.log2([2, 3])
    expected = np.log(2) * discount[0] / discount.sum()
    assert skew.ndkl([[0, 1]], [MEN, WOMEN], [0.5, 0.5])[0] == pytest.approx(expected)


def test_ndkl_of_one_group_only_is_the_divergence_of_the_point():
    assert skew.ndkl([[0, 1, 2]], [MEN] * 3, [0.25, 0.75])[0] == pytest.approx(np.log(4))


def test_ndkl_prefers_alternation():
    group = np.array([MEN, WOMEN] * 10)
    alternating, sorted_ = np.arange(20), np.argsort(group, kind="stable")
    one, two = skew.ndkl([alternating, sorted_], group, [0.5, 0.5])
    assert 0 < one < two


def test_bias_at_k_by_hand():
    assert skew.bias_at_k([[3, 1], [0, 4], [0, 0], [2, 2]]).tolist() == [0.5, -1, 0, 0]


def test_ranking_is_by_score():
    assert skew.ranking([[0.1, 0.9, 0.5]]).tolist() == [[1, 2, 0]]


def test_ties_do_not_follow_the_order_of_the_table():
    group = np.array([MEN] * 500 + [WOMEN] * 500)
    counts = skew.top_counts(skew.ranking(np.zeros((1, 1000)), seed=0), group, 2, 100)
    assert 30 < counts[0, MEN] < 70


def test_desired_shares_are_checked():
    with pytest.raises(ValueError, match="positive numbers that sum to 1"):
        skew.max_skew([[1, 1]], [0.5, 0.6])


def test_depth_is_checked():
    with pytest.raises(ValueError, match="expected 1 or more"):
        skew.top_counts([[0]], [0], 1, 0)


def test_resampled_top_holds_k_images_and_is_centred():
    group = np.random.default_rng(0).integers(0, 2, 400)
    order = skew.ranking(np.random.default_rng(1).normal(size=(3, 400)))
    counts = skew.resampled_counts(order, group, 2, 50, draws=400, seed=0)
    assert (counts.sum(axis=2) == 50).all()
    expected = np.array([np.bincount(group[row[:50]], minlength=2) for row in order])
    assert np.abs(counts.mean(axis=0) - expected).max() < 3.5


def test_resampled_counts_agree_with_a_literal_resample():
    group, order = np.array([MEN, WOMEN, MEN, WOMEN]), np.array([[2, 1, 0, 3]])
    counts = skew.resampled_counts(order, group, 2, 3, draws=5, seed=4)
    from stages.evaluate.bootstrap import resamples

    for draw, times in enumerate(np.concatenate(list(resamples(4, 5, 4))).astype(int)):
        top = np.repeat(order[0], times[order[0]])[:3]
        assert counts[draw, 0].tolist() == np.bincount(group[top], minlength=2).tolist()


def test_resampled_clusters_fill_the_top_though_it_may_lie_deep(monkeypatch):
    """Ten clusters that follow each other in the ranking: where the first three are not drawn, the top comes after."""
    cluster = np.repeat(np.arange(10), 100)
    counts = skew.resampled_counts([np.arange(1000)], cluster % 2, 2, 5, draws=300, seed=0, cluster=cluster)
    assert (counts.sum(axis=2) == 5).all()
    monkeypatch.setattr(bootstrap, "BLOCK", 10 * 7)  # draws in 43 blocks
    again = skew.resampled_counts([np.arange(1000)], cluster % 2, 2, 5, draws=300, seed=0, cluster=cluster)
    assert (again.sum(axis=2) == 5).all()


def test_a_ranking_without_groups_has_no_divergence():
    assert np.isnan(skew.ndkl([[0, 1]], [-1, -1], [0.5, 0.5])).tolist() == [True]


def test_max_skew_of_draws_is_that_of_each():
    draws = np.array([[[3, 1], [0, 2]], [[1, 1], [0, 0]]])
    found = skew.max_skew(draws, [0.5, 0.5])
    assert found == pytest.approx(np.array([[np.log(1.5), np.log(2)], [0, np.nan]]), nan_ok=True)


def test_one_image_in_the_top_is_a_side():
    assert skew.bias_at_k([[1, 0], [0, 1]]).tolist() == [1, -1]


def test_a_desired_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match="positive numbers that sum to 1"):
        skew.max_skew([[1, 1]], [1.0, 0.0])
