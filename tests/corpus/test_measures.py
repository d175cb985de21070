"""Rules of ties, recall and pairs, by hand."""

import numpy as np

from stages.corpus import measures


def test_a_tie_is_half_a_preference():
    assert measures.preference([1, 2, 3], 2).tolist() == [0, 0.5, 1]


def test_recall_counts_the_own_item_among_the_best_in_percent():
    ranks = measures.own_ranks([[0.9, 0.1, 0.0], [0.8, 0.5, 0.1], [0.9, 0.8, 0.7]], [0, 1, 2])
    assert ranks.tolist() == [0, 1, 2]
    assert [round(measures.recall(ranks, k), 3) for k in (1, 2, 3)] == [33.333, 66.667, 100]


def test_ties_count_against_recall():
    ranks = measures.own_ranks(np.zeros((4, 4)), np.arange(4))
    assert (measures.recall(ranks, 3), measures.recall(ranks, 4)) == (0, 100)


def test_pairs_are_of_a_majority_label_and_a_rare_one():
    # shares: A is the first label, B the third; the second (at 30 %) and the last (unknown) pair with none
    found = measures.pairwise_preference([[3, 9, 1, 9], [1, 0, 1, 0], [0, 5, 2, 5]], [0.6, 0.3, 0.05, np.nan])
    assert found is not None and found.tolist() == [1, 0.5, 0]


def test_without_both_kinds_of_label_there_is_no_pair():
    assert measures.pairwise_preference(np.eye(2), [0.5, 0.01]) is None
    assert measures.pairwise_preference(np.eye(2), [0.6, 0.06]) is None
