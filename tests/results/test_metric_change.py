"""Changes between two runs, by hand."""

import math

import pytest
from scipy import stats

from stages.results.details import Estimate
from stages.results.metric_change import Change, change, folded, worsening
from stages.results.noise import Noise

KEY = "rb.gender"
NOISE = Noise(0.02, 30, 0.01, 28)


@pytest.mark.parametrize(
    ("key", "old", "new", "expected"),
    [
        ("people.t2i.r5", 40, 38, 2),  # higher is better
        ("rb.gender", 0.1, 0.3, 0.2),  # lower is better
        ("portraits.unseen.pairwise_association", 0.2, -0.3, 0.1),  # nearer to 0 is better
        ("portraits.unseen.pairwise_association", 0.5, -0.4, -0.1),
        ("rb.gender.share", 0.6, 0.3, 0.1),  # nearer to ½ is better
        ("data.ab.realised", 0.1, 0.2, 0.1),
    ],
)
def test_worsening_follows_the_better_direction(key, old, new, expected):
    assert worsening(key, old, new) == pytest.approx(expected)


@pytest.mark.parametrize("key", ["n.people", "nonsense"])
def test_what_has_no_direction_never_worsens(key):
    found = change(key, Estimate(5.0), Estimate(1.0), NOISE)
    assert math.isnan(found.worsening) and found.verdict == "same"


def test_an_overshoot_past_zero_counts_by_its_distance():
    assert folded("portraits.seen.pairwise_association", -0.4) == 0.4
    assert folded("rb.gender.share", 0.3) == pytest.approx(0.2)
    assert folded("rb.gender", -0.4) == -0.4


def test_the_noise_is_that_of_the_study_whatever_the_runs_say_of_theirs():
    wild = Estimate(0.2, 0.0, 0.9, 0.5, 2)
    found = change(KEY, Estimate(0.1, 0.09, 0.11, 0.0, 2), wild, NOISE, paired=False)
    assert found.noise == pytest.approx(stats.t.ppf(0.975, 30) * 0.02) and found.verdict == "worse"


def test_runs_of_the_same_seeds_are_paired():
    assert change(KEY, Estimate(0.1, n=2), Estimate(0.2, n=2), NOISE).noise == pytest.approx(
        stats.t.ppf(0.975, 28) * 0.01
    )
    assert not change(KEY, Estimate(0.1, n=2), Estimate(0.2, n=3), NOISE, paired=True).paired


@pytest.mark.parametrize(("new", "verdict"), [(0.14, "same"), (0.16, "worse"), (0.06, "same"), (0.04, "better")])
def test_verdict_needs_more_than_noise(new, verdict):
    noise = Noise(0.05 / stats.t.ppf(0.975, 30) / math.sqrt(2), 30, math.nan, 0)
    assert change(KEY, Estimate(0.1), Estimate(new), noise).verdict == verdict


def test_a_change_as_large_as_the_noise_is_within_it():
    for worsened in (0.25, -0.25):
        assert Change(KEY, Estimate(0.5), Estimate(0.75), worsened, 0.25, True).verdict == "same"


def test_without_a_study_a_change_is_not_told_from_noise():
    assert change(KEY, Estimate(0.1), Estimate(0.4)).verdict == "unknown"


def test_equal_runs_are_the_same_with_or_without_a_study():
    known = Estimate(0.1, 0.05, 0.15, 0.01, 2)
    assert change(KEY, known, known).verdict == "same" and change(KEY, known, known).unchanged


def test_an_equal_mean_of_other_values_is_a_change():
    assert not change(KEY, Estimate(0.1, std=0.01), Estimate(0.1, std=0.02)).unchanged
    assert change(KEY, Estimate(0.1), Estimate(0.1, std=0.02)).unchanged  # one side states less
