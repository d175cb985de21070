"""Effects and tests over replicates: by hand, against scipy, and by simulation."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stages.results.effects import holm
from stages.tools.compare.differences import compare, differ, lines, mean_interval, sign_flip, trends

KEY, ZERO = "portraits.unseen.ab.max", "portraits.seen.pairwise_association"
PLAIN = "not balanced"


def table(values, metric=KEY):
    """Tabulate values[method][alpha]: one per replicate."""
    rows = [
        (f"{method}-{alpha}", alpha, method, seed, metric, value)
        for method, of in values.items()
        for alpha, own in of.items()
        for seed, value in enumerate(own)
    ]
    return pd.DataFrame(rows, columns=["run", "alpha", "method", "seed", "metric", "value"])


def row(found, **where):
    for name, value in where.items():
        found = found[found[name] == value]
    (one,) = found.to_dict("records")
    return one


def test_the_interval_is_students():
    d = np.array([0.1, 0.3, 0.2, 0.6])
    expected = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert mean_interval(d) == pytest.approx((0.3, expected.low, expected.high))


def test_one_value_has_no_interval():
    mean, low, high = mean_interval(np.array([0.2]))
    assert mean == 0.2 and np.isnan(low) and np.isnan(high)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_sign_flips_are_counted_as_by_brute_force(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    flipped = [abs(np.dot(signs, d)) >= abs(d.sum()) - 1e-12 for signs in itertools.product((1, -1), repeat=n)]
    assert sign_flip(d) == pytest.approx(np.mean(flipped))


def test_sign_flips_agree_with_scipys_permutation_test():
    d = np.random.default_rng(5).normal(0.5, 1, 7)
    found = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(d) == pytest.approx(found.pvalue)


def test_the_least_p_of_eight_replicates_holds_after_holm_and_that_of_five_does_not():
    assert sign_flip(np.arange(1.0, 9.0)) == 2 / 2**8
    assert holm([2 / 2**8] * 5)[0] < 0.05 < sign_flip(np.arange(1.0, 6.0))


def test_no_difference_at_all_has_p_1():
    assert sign_flip(np.zeros(4)) == 1.0


def test_many_replicates_are_sampled_as_the_exact_test_counts():
    d = np.random.default_rng(0).normal(0.5, 1, 17)
    sums = np.zeros(1)
    for size in d:
        sums = np.concatenate([sums + size, sums - size])
    assert sign_flip(d) == pytest.approx(np.mean(np.abs(sums) >= abs(d.sum()) - 1e-9), abs=0.01)


def test_differing_effects_are_the_f_test_of_a_two_way_layout_by_hand():
    values = np.array([[1.0, 2.0, 6.0], [2.0, 5.0, 5.0]])
    # columns 1.5, 3.5, 5.5; rows 3, 4; residuals ±0, ∓1, ±1: F = (16 / 2) / (4 / 2) = 4 at 2 and 2
    assert differ(values) == pytest.approx(stats.f.sf(4.0, 2, 2))


def test_effects_that_are_equal_at_every_alpha_do_not_differ():
    assert differ(np.array([[0.1, 0.1], [0.3, 0.3]])) == 1.0 and math.isnan(differ(np.array([[1.0, 2.0]])))


def test_an_effect_at_each_alpha_is_the_paired_t_interval():
    a, b = np.array([0.3, 0.5, 0.4]), np.array([0.1, 0.2, 0.3])
    found = row(compare(table({PLAIN: {0.0: a}, "m4": {0.0: b}}), [PLAIN]))
    expected = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert (found["difference"], found["lo"], found["hi"]) == pytest.approx((-0.2, expected.low, expected.high))
    assert (found["value"], found["reference_value"]) == pytest.approx((0.2, 0.4))
    assert found["replicates"] == 3 and math.isnan(found["p"])


def test_the_mean_row_averages_each_replicate_over_alpha_first():
    plain = {0.0: [0.50, 0.60, 0.70, 0.80], 1.0: [0.55, 0.50, 0.75, 0.90]}
    m4 = {0.0: [0.41, 0.49, 0.61, 0.72], 1.0: [0.44, 0.42, 0.64, 0.80]}
    found = compare(table({PLAIN: plain, "m4": m4}), [PLAIN], [KEY])
    d = np.mean([np.subtract(m4[alpha], plain[alpha]) for alpha in (0.0, 1.0)], axis=0)
    mean = row(found, alpha="mean")
    assert (mean["difference"], mean["lo"], mean["hi"]) == pytest.approx(mean_interval(d))
    assert mean["p"] == mean["p_holm"] == sign_flip(d) == 2 / 2**4 and mean["replicates"] == 4
    assert found["alpha"].tolist() == ["0", "1", "mean"]


def test_effects_that_differ_by_alpha_are_not_pooled():
    rng = np.random.default_rng(0)
    plain = {alpha: rng.normal(0.5, 0.01, 8) for alpha in (0.0, 0.5, 1.0)}
    m4 = {
        alpha: plain[alpha] + effect + rng.normal(0, 0.01, 8)
        for alpha, effect in zip(plain, (-0.3, -0.2, 0.0), strict=True)
    }
    found = compare(table({PLAIN: plain, "m4": m4}), [PLAIN], [KEY])
    mean = row(found, alpha="mean")
    assert mean["p_differ"] < 1e-6 and math.isnan(mean["difference"]) and math.isnan(mean["lo"])
    assert mean["p"] == 2 / 2**8  # the test of their mean was named before the run, and stands
    assert row(found, alpha="0")["difference"] == pytest.approx(-0.3, abs=0.02)


def test_differences_of_what_is_best_at_zero_are_those_of_distances():
    found = row(compare(table({PLAIN: {0.0: [0.5, 0.5]}, "m4": {0.0: [-0.4, -0.4]}}, ZERO), [PLAIN]))
    assert found["difference"] == pytest.approx(-0.1) and found["value"] == pytest.approx(-0.4)
    assert row(trends(table({"m4": {0.0: [0.5, 0.5], 1.0: [-0.4, -0.4]}}, ZERO)))["difference"] == pytest.approx(-0.1)


def test_only_primary_metrics_are_tested_and_each_question_is_a_family():
    rng = np.random.default_rng(1)
    values = {name: {alpha: rng.normal(0, 1, 8) for alpha in (0.0, 1.0)} for name in (PLAIN, "random", "m4")}
    both = pd.concat([table(values, KEY), table(values, ZERO), table(values, "rb.gender")])
    found = compare(both, [PLAIN], [KEY, ZERO])
    assert found.loc[found["metric"] == "rb.gender", "p"].isna().all()
    assert found.loc[found["alpha"] != "mean", "p"].isna().all()
    for method in ("random", "m4"):
        own = found[(found["method"] == method) & found["p"].notna()]
        assert len(own) == 2 and own["p_holm"].tolist() == pytest.approx(holm(own["p"].tolist()))


def test_only_common_points_are_paired():
    values = {PLAIN: {0.0: [0.1, 0.2, 0.3], 0.4: [0.1, 0.2, 0.3]}, "m4": {0.4: [0.0, 0.0]}}
    found = compare(table(values), [PLAIN])
    assert found["alpha"].tolist() == ["0.4"] and found["replicates"].tolist() == [2]


def test_each_pair_of_methods_is_compared_once():
    values = {name: {0.0: [0.1, 0.2]} for name in (PLAIN, "random", "m4")}
    found = compare(table(values), [PLAIN, "random"])
    pairs = list(zip(found["method"], found["reference"], strict=True))
    assert sorted(pairs) == [("m4", PLAIN), ("m4", "random"), ("random", PLAIN)]


def test_contamination_is_each_alpha_against_the_lowest_paired_by_replicate():
    values = {0.0: [0.1, 0.3, 0.2], 0.5: [0.2, 0.4, 0.4], 1.0: [0.5, 0.5, 0.5]}
    found = trends(table({"m4": values}), [KEY])
    assert found["alpha_to"].tolist() == [0.5, 1.0] and set(found["alpha_from"]) == {0.0}
    last = row(found, alpha_to=1.0)
    assert (last["difference"], last["lo"], last["hi"]) == pytest.approx(mean_interval(np.array([0.4, 0.2, 0.3])))
    assert last["p"] == 2 / 2**3 and math.isnan(row(found, alpha_to=0.5)["p"])
    assert (last["value_from"], last["value_to"]) == pytest.approx((0.2, 0.5))


def test_one_alpha_has_no_trend():
    assert trends(table({"m4": {0.4: [0.1, 0.2]}})).empty


def test_lines_are_means_and_spreads():
    found = row(lines(table({"m4": {0.4: [0.1, 0.3]}})))
    assert (found["replicates"], found["mean"], found["std"]) == pytest.approx((2, 0.2, math.sqrt(0.02)))


# By simulation, at eight replicates: bounds are wide enough that a seed never decides.


def rejected(effect, noise, runs=2000, n=8):
    rng = np.random.default_rng(11)
    return np.mean([sign_flip(effect + noise(rng, n)) <= 0.05 for _ in range(runs)])


@pytest.mark.parametrize(
    "noise",
    [
        lambda rng, n: rng.normal(0, 1, n),
        lambda rng, n: rng.standard_t(2, n),
        lambda rng, n: rng.choice([-1.0, 1.0], n) * rng.lognormal(0, 2, n),
    ],
    ids=["normal", "heavy tails", "wild scales"],
)
def test_the_size_of_the_test_at_eight_replicates_is_at_most_five_percent(noise):
    """Exact: 12 of 256 sign changes, .047, whatever the symmetric noise."""
    assert stats.binomtest(round(2000 * rejected(0.0, noise)), 2000, 12 / 256).pvalue > 0.001


@pytest.mark.parametrize("effect", [0.8, 1.2, 1.6])
def test_the_power_at_eight_replicates_is_nearly_that_of_the_t_test(effect):
    critical, shift = stats.t.ppf(0.975, 7), effect * math.sqrt(8)
    of_t = stats.nct.sf(critical, 7, shift) + stats.nct.cdf(-critical, 7, shift)
    found = rejected(effect, lambda rng, n: rng.normal(0, 1, n))
    assert of_t - 0.07 < found < of_t + 0.04
    assert effect < 1.6 or found > 0.9


def found_of_five(effects, rng):
    """Tell which of five primary metrics a study of eight replicates at three α finds."""
    own, runs = rng.normal(0, 1, (5, 8)), rng.normal(0, 0.5, (5, 8, 3))  # of a replicate, and of its run at an α
    return np.array(holm([sign_flip(d) for d in effects[:, None] + 0.5 * own + runs.mean(2)])) <= 0.05


def test_of_five_primary_metrics_without_effect_hardly_any_study_finds_one():
    rng = np.random.default_rng(3)
    false = sum(found_of_five(np.zeros(5), rng).any() for _ in range(1000))
    assert stats.binomtest(int(false), 1000, 0.05, alternative="greater").pvalue > 0.001


def test_an_effect_of_twice_the_spread_of_replicates_is_found_among_five():
    rng = np.random.default_rng(4)
    hits = sum(found_of_five(np.array([1.2, 0, 0, 0, 0]), rng)[0] for _ in range(300))
    assert hits / 300 > 0.8  # its least p, corrected, is .039: all eight replicates have to agree


def test_the_interval_over_eight_replicates_covers_the_effect():
    rng = np.random.default_rng(5)
    intervals = [mean_interval(rng.normal(0.4, 1, 8))[1:] for _ in range(2000)]
    covered = sum(low <= 0.4 <= high for low, high in intervals)
    assert stats.binomtest(covered, 2000, 0.95).pvalue > 0.001
