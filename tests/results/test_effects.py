"""Which effects are shown, and how they are said."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from stages.results.effects import corrected, evidence, holm, is_shown, moved, student, verdict, written
from stages.tools.compare.differences import mean_interval

LOWER, ZERO, HIGHER = "portraits.unseen.ab.max", "portraits.seen.pairwise_association", "people.t2i.r5"
CONTEXT = "portraits.seen.self_similarity"


def row(**more):
    return {"metric": LOWER, "difference": -0.1, "lo": -0.15, "hi": -0.05, "p_holm": np.nan, "replicates": 8, **more}


def test_verdicts_need_interval_and_test():
    assert verdict(row()) == "better" and verdict(row(difference=0.1, lo=0.05, hi=0.15)) == "worse"
    assert verdict(row(hi=0.05)) == "not shown" and verdict(row(p_holm=0.2)) == "not shown"
    assert verdict(row(p_holm=0.03)) == "better"
    assert verdict(row(p_holm=1.0, replicates=3)) == "better"  # three cannot be tested: the interval alone
    # at a single α the interval alone would do, but the test of the mean over α has not rejected
    assert verdict(row(p_mean=0.06)) == "not shown" and verdict(row(p_mean=0.04)) == "better"
    assert verdict(row(p_mean=np.nan)) == "better" == verdict(row(p_mean=0.06, replicates=4))
    assert verdict(row(difference=0.0, lo=0.0, hi=0.0)) == "equal"
    assert verdict(row(metric=CONTEXT)) == "lower"
    assert verdict(row(lo=np.nan, hi=np.nan)) == "not shown"
    assert verdict(row(replicates=2)) == "not shown, too few replicates"
    assert verdict(row(images=64)) == "not shown, too few images" and verdict(row(images=640)) == "better"


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_is_not_tested():
    assert holm([0.01, np.nan, 0.04])[0] == 0.02 and np.isnan(holm([0.01, np.nan])[1])


def test_holm_never_exceeds_one():
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_p_of_an_interval_is_that_of_the_t_test(n):
    values = np.random.default_rng(n).normal(0.1, 0.1, n)
    difference, lo, hi = mean_interval(values)
    stated = row(difference=difference, lo=lo, hi=hi, replicates=n)
    assert student(stated) == pytest.approx(ttest_1samp(values, 0).pvalue, rel=1e-9)


def test_without_an_interval_there_is_no_p():
    assert np.isnan(student(row(lo=np.nan, hi=np.nan))) and np.isnan(student(row(replicates=1)))
    assert student(row(lo=-0.1, hi=-0.1)) == 0 and student(row(difference=0.0, lo=0.0, hi=0.0)) == 1


def test_claims_of_several_tables_are_corrected_together():
    rows = [row(), row(difference=-0.06, lo=-0.11, hi=-0.01), row(difference=np.nan, lo=np.nan, hi=np.nan)]
    (first, second), claims = corrected([pd.DataFrame(rows), pd.DataFrame(rows[:1])], [[True, True, True], [False]])
    p = [student(one) for one in rows[:2]]
    assert claims == 2 and first["p_claims"].tolist()[:2] == pytest.approx([2 * p[0], p[1]])
    assert np.isnan(first["p_claims"].iloc[2]) and np.isnan(second["p_claims"].iloc[0])


def test_what_correction_takes_away_is_said_to_be_that():
    assert verdict(row(p_claims=0.2)) == "not shown after correction" and not is_shown(row(p_claims=0.2))
    assert verdict(row(p_claims=0.02)) == "better" == verdict(row(p_claims=np.nan))
    assert verdict(row(hi=0.05, p_claims=0.2)) == "not shown"
    assert verdict(row(replicates=2, p_claims=0.2)) == "not shown, too few replicates"
    assert [evidence(row(p_claims=p)) for p in (np.nan, 0.0001, 0.0123)] == ["", "p < 0.001", "p = 0.012"]


def test_an_effect_that_is_not_seen_in_what_is_written_is_not_shown():
    tiny = row(difference=-0.0001, lo=-0.0002, hi=-0.00005)
    assert not is_shown(tiny) and written(tiny, size=True) == "0.000 [0.000, 0.000]" and verdict(tiny) == "equal"


@pytest.mark.parametrize(
    ("metric", "up", "said"),
    [
        (LOWER, 1, "raises it by 0.100 [0.050, 0.150] (worse)"),
        (LOWER, -1, "lowers it by 0.100 [0.050, 0.150] (better)"),
        (HIGHER, 1, "raises it by 3.0 points [2.0, 4.0] (better)"),
        (HIGHER, -1, "lowers it by 3.0 points [2.0, 4.0] (worse)"),
        (ZERO, 1, "takes it farther from 0 by 0.100 [0.050, 0.150]"),
        (ZERO, -1, "brings it nearer to 0 by 0.100 [0.050, 0.150]"), (CONTEXT, 1, "raises it by 0.100 [0.050, 0.150]"),
    ],
)  # fmt: skip
def test_a_loss_is_not_worded_as_a_gain(metric, up, said):
    size, half = (3.0, 1.0) if metric == HIGHER else (0.1, 0.05)
    ends = {"lo": up * size - half, "hi": up * size + half}
    assert moved(row(metric=metric, difference=up * size, **ends), "it") == said
