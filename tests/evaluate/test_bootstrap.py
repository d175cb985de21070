"""The bootstrap: draws of the right size, SciPy as the oracle, seeds, empty groups, coverage on clustered images."""

import numpy as np
import pytest
from scipy import stats

from stages.evaluate import bootstrap


@pytest.mark.parametrize(("clusters", "taken"), [(2, 1), (7, 4), (34, 31), (1000, 997)])
def test_every_draw_holds_so_many_clusters_that_intervals_are_as_wide_as_students(clusters, taken):
    counts = np.concatenate(list(bootstrap.resamples(clusters, 50, 0)))
    assert counts.shape == (50, clusters)
    assert (counts.sum(axis=1) == taken).all()


def test_strata_keep_their_weight_in_every_draw():
    strata = np.array([0, 0, 0, 1, 1, 2])
    counts = np.concatenate(list(bootstrap.resamples(6, 50, 0, strata)))
    assert counts[:, strata == 0].sum(axis=1) == pytest.approx(3)
    assert counts[:, strata == 1].sum(axis=1) == pytest.approx(2)
    assert (counts[:, strata == 2] == 0).all()  # one cluster has no variance


def test_the_interval_of_a_mean_is_students_over_the_clusters_means():
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(34), 5)
    values = rng.normal(size=34)[cluster] + 0.1 * rng.normal(size=170)
    low, high = bootstrap.interval(bootstrap.means(values, 20_000, 0, cluster))
    means = values.reshape(34, 5).mean(axis=1)
    expected = stats.t.interval(0.95, 33, means.mean(), stats.sem(means))
    assert high[0] - low[0] == pytest.approx(expected[1] - expected[0], rel=0.03)


def test_one_cluster_has_no_interval():
    low, high = bootstrap.interval(bootstrap.means(np.arange(5.0), 50, 0, np.zeros(5, int)))
    assert np.isnan([low[0], high[0]]).all()


def coverage(by_figure, figures=34, images=15, trials=500):
    """Share of intervals that hold the true difference between women's and men's figures."""
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(figures), images)
    woman = cluster < figures // 2
    found = []
    for trial in range(trials):
        values = 0.3 * woman + rng.normal(size=figures)[cluster] + rng.normal(size=len(cluster))
        samples = bootstrap.differences(values, woman, 300, trial, cluster if by_figure else None)
        low, high = bootstrap.interval(samples)
        found.append(low[0] <= 0.3 <= high[0])
    return float(np.mean(found))


def test_intervals_over_figures_cover_and_intervals_over_images_do_not():
    assert 0.93 <= coverage(by_figure=True) <= 0.975
    assert coverage(by_figure=False) < 0.6


def test_figures_of_both_groups_stay_paired():
    rng = np.random.default_rng(0)
    cluster, darker = np.repeat(np.arange(40), 4), np.tile([True, True, False, False], 40)
    values = 10 * rng.normal(size=40)[cluster] + 0.2 * darker + 0.1 * rng.normal(size=160)
    low, high = bootstrap.interval(bootstrap.differences(values, darker, 500, 0, cluster))
    assert 0.1 < low[0] < 0.2 < high[0] < 0.3  # the figures' own differences cancel


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
    assert (low[0], high[0]) == pytest.approx(
        (oracle.low, oracle.high), abs=0.01
    )  # 197 of 200 drawn: wider by less than 1 %


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
