"""Which effects are shown, and how they are said."""

import numpy as np
import pytest

from stages.results.effects import evidence, holm, is_shown, moved, verdict, written

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


def test_the_p_of_an_effect_is_its_own_or_that_of_its_mean_over_alpha():
    one = {"replicates": 8, "p_holm": 0.0123, "p_mean": np.nan}
    assert evidence(row(**one)) == "p = 0.012"
    assert evidence(row(**one | {"p_holm": np.nan, "p_mean": 0.016})) == "p of the mean over α = 0.016"
    assert evidence(row(**one | {"p_holm": np.nan})) == "" == evidence(row(**one | {"replicates": 4}))


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
