"""Permutations over clusters: what swaps with what."""

import numpy as np

from stages.evaluate.permutation import relabelled


def test_figures_of_one_group_swap_it_as_a_whole():
    one, cluster = np.array([1, 1, 0, 0, 0, 0], bool), np.array([0, 0, 1, 1, 2, 2])
    drawn = np.array(list(relabelled(one, cluster, 300, 0)))
    assert (drawn[:, ::2] == drawn[:, 1::2]).all()
    assert (drawn.sum(axis=1) == 2).all()
    assert {tuple(row) for row in drawn[:, ::2].tolist()} == {
        (True, False, False),
        (False, True, False),
        (False, False, True),
    }


def test_images_of_a_figure_in_both_groups_swap_inside_it():
    one, cluster = np.array([1, 0, 0, 1, 1, 0], bool), np.array([0, 1, 0, 1, 0, 1])
    drawn = np.array(list(relabelled(one, cluster, 300, 0)))
    assert (drawn[:, cluster == 0].sum(axis=1) == 2).all()
    assert (drawn[:, cluster == 1].sum(axis=1) == 1).all()
    assert len({tuple(row) for row in drawn.tolist()}) == 9


def test_single_images_are_permuted():
    one = np.arange(10) < 3
    drawn = np.array(list(relabelled(one, None, 200, 0)))
    assert (drawn.sum(axis=1) == 3).all()
    assert (drawn.any(axis=0)).all()
