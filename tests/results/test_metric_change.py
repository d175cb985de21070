"""Changes between two runs, by hand."""

import math

import pytest
from scipy import stats

from stages.results.details import fold
from stages.results.metric_change import change


@pytest.mark.parametrize(
    ("key", "old", "new", "worsening"),
    [
        ("people.t2i.r5", 40, 38, 2),  # higher is better
        ("rb.gender", 0.1, 0.3, 0.2),  # lower is better
        ("portraits.unseen.pairwise_association", 0.2, -0.3, 0.1),  # nearer to 0 is better
        ("portraits.unseen.pairwise_association", -0.4, 0.1, -0.3),
        ("rb.gender.share", 0.6, 0.3, 0.1),  # nearer to ½ is better
    ],
)
def test_worsening_follows_the_better_direction(key, old, new, worsening):
    assert change(key, fold({key: old}), fold({key: new})).worsening == pytest.approx(worsening)


def test_a_metric_without_a_direction_never_worsens():
    found = change("n.people", fold({"n.people": 5}), fold({"n.people": 1}))
    assert math.isnan(found.worsening) and found.verdict == "same"


def test_noise_of_test_images_is_both_half_widths():
    key = "rb.gender"
    old = {key: 0.1, f"{key}.lo": 0.07, f"{key}.hi": 0.13}
    new = {key: 0.2, f"{key}.lo": 0.16, f"{key}.hi": 0.24}
    assert change(key, fold(old), fold(new)).noise == pytest.approx(0.05)  # 3-4-5


def test_noise_of_training_is_students_t_of_the_seeds():
    key = "rb.gender"
    run = {key: 0.1, f"{key}.std": 0.03}
    expected = stats.t.ppf(0.975, 4) * math.sqrt(2 * 0.03**2 / 3)
    assert change(key, fold(run, 3), fold(run, 3)).noise == pytest.approx(expected)


@pytest.mark.parametrize(("new", "verdict"), [(0.14, "same"), (0.16, "worse"), (0.06, "same"), (0.04, "better")])
def test_verdict_needs_more_than_noise(new, verdict):
    key = "rb.gender"
    old = {key: 0.1, f"{key}.lo": 0.05, f"{key}.hi": 0.15}
    assert change(key, fold(old), fold({key: new})).verdict == verdict


def test_equal_runs_are_the_same():
    assert change("rb.gender", fold({"rb.gender": 0.1}), fold({"rb.gender": 0.1})).verdict == "same"


def test_figures_of_the_data_have_a_direction():
    key = "data.ab.realised"
    assert change(key, fold({key: 0.1}), fold({key: 0.2})).verdict == "worse"


def test_an_unknown_metric_never_worsens():
    assert math.isnan(change("nonsense", fold({"nonsense": 1}), fold({"nonsense": 2})).worsening)


def test_a_missing_metric_is_an_error():
    with pytest.raises(KeyError):
        change("rb.gender", fold({"rb.gender": 1}), fold({}))
