"""The bootstrap: draws of the right size, SciPy as the oracle, seeds, empty groups."""

import numpy as np
import pytest
from scipy import stats

from stages.evaluate import bootstrap


def test_every_draw_holds_n_images():
    counts = np.concatenate(list(bootstrap.resamples(7, 50, 0)))
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()


def test_blocks_are_bounded_and_complete(monkeypatch):
    monkeypatch.setattr(bootstrap, "BLOCK", 30)
    blocks = list(bootstrap.resamples(7, 50, 0))
    assert max(len(block) for block in blocks) == 4
    assert sum(len(block) for block in blocks) == 50


def test_equal_seeds_give_equal_draws():
    values = np.random.default_rng(0).normal(size=30)
    one, two, other = (bootstrap.ratios(values, np.ones(30), 20, seed) for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_interval_agrees_with_scipy():
    values = np.random.default_rng(0).exponential(size=200)
    low, high = bootstrap.interval(bootstrap.ratios(values, np.ones(200), 20_000, 1))
    oracle = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=2).confidence_interval
    assert (low[0], high[0]) == pytest.approx((oracle.low, oracle.high), abs=0.01)


def test_ratio_resamples_numerator_and_denominator_together():
    weights = np.array([1.0, 2.0, 4.0])
    samples = bootstrap.ratios(3 * weights, weights, 100, 0)
    assert samples == pytest.approx(np.full((100, 1), 3.0))


def test_means_are_ratios_with_a_count_of_one():
    values = np.random.default_rng(0).normal(size=(30, 2))
    assert bootstrap.means(values, 50, 3) == pytest.approx(bootstrap.ratios(values, np.ones((30, 2)), 50, 3))


def test_draw_without_an_image_of_the_group_is_nan():
    samples = bootstrap.ratios([1.0, 0.0, 0.0], [1.0, 0.0, 0.0], 200, 0)
    assert np.isnan(samples).any()
    low, high = bootstrap.interval(samples)
    assert (low[0], high[0]) == (1, 1)


def test_interval_of_nothing_is_nan():
    low, high = bootstrap.interval(np.full((10, 2), np.nan))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_no_images_leave_every_ratio_undefined():
    samples = bootstrap.ratios(np.empty((0, 3)), np.empty((0, 3)), 5, seed=0)
    assert samples.shape == (5, 3)
    assert np.isnan(samples).all()
