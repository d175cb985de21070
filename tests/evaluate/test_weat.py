"""WEAT/iEAT: a hand-computed effect, exact and sampled permutations against SciPy."""

import numpy as np
import pytest
from scipy import stats

from stages.evaluate import weat


def test_association_by_hand():
    a, b = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert weat.association(np.eye(3), a, b).tolist() == [1, -0.5, -0.5]


def test_effect_by_hand():
    # means 2.5 and .5; values 2, 3, 0, 1: standard deviation √(5/3)
    assert weat.effect([2, 3], [0, 1]) == pytest.approx(2 / np.sqrt(5 / 3))


def test_exact_p_by_hand():
    # of 6 assignments only {2, 3} has a sum of 5 or more
    assert weat.p_value([2, 3, 0, 1], [True, True, False, False]) == pytest.approx(1 / 6)


def test_figures_are_reassigned_as_a_whole():
    # of 6 assignments of 4 figures with two pictures each, one reaches the observed difference
    values, one = np.repeat([2, 3, 0, 1], 2), np.repeat([True, True, False, False], 2)
    assert weat.p_value(values, one, cluster=np.repeat(np.arange(4), 2)) == pytest.approx(1 / 6)
    assert weat.p_value(values, one) == pytest.approx(1 / 70)  # as if all eight were independent


def test_p_over_figures_is_uniform_under_no_effect_and_p_over_images_is_not():
    rng, found = np.random.default_rng(0), []
    cluster = np.repeat(np.arange(20), 10)
    one = cluster < 10
    for seed in range(200):
        values = rng.normal(size=20)[cluster] + 0.3 * rng.normal(size=200)
        found.append([weat.p_value(values, one, 200, seed, by) for by in (cluster, None)])
    by_figure, by_image = (np.array(found) < 0.05).mean(axis=0)
    assert by_figure < 0.1
    assert by_image > 0.2


def test_p_agrees_with_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.3, 1, 60), rng.normal(0, 1, 50)
    oracle = stats.permutation_test(
        (x, y), lambda a, b: a.mean() - b.mean(), n_resamples=9999, alternative="greater", rng=1
    )
    values, one = np.concatenate([x, y]), np.arange(110) < 60
    assert weat.p_value(values, one, 9999) == pytest.approx(oracle.pvalue, abs=3 * np.sqrt(0.06 * 0.94 / 9999) * 1.5)


def test_p_of_equal_values_is_one():
    assert weat.p_value([0.1] * 7, np.arange(7) < 3) == 1


def test_undefined_without_spread_or_images():
    assert np.isnan(weat.effect([1, 1], [1, 1]))
    assert np.isnan(weat.effect([], [1, 2]))
    assert np.isnan(weat.p_value([1, 2], [False, False]))
