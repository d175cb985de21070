"""Verdicts of the gate, by hand; and the edits that once passed."""

import math

import pytest
from scipy import stats

from stages.core.errors import InputError
from stages.results.details import Estimate, fold
from stages.results.noise import Noise
from stages.tools.gate.checks import Side, Verdict, judge, outcome
from stages.tools.gate.documents import headline

KEY, PAIRS = "portraits.unseen.ab.max", "portraits.unseen.pairwise_association"
T = float(stats.t.ppf(0.975, 30))
NOISE = {KEY: Noise(0.02 / T, 30, 0.01 / T, 30)}  # of two and two seeds ± .02, paired ± .01


def side(value, seeds=(0, 1), **more):
    return Side(fold({KEY: value, **more}), seeds)


def one(old, new, tolerance=0.0, noise=NOISE):
    (check,) = judge({KEY: tolerance}, old, new, noise, 0.25)
    return check


@pytest.mark.parametrize(
    ("new", "tolerance", "verdict"),
    [
        (0.112, 0.0, Verdict.FAILED),  # worse by .012, noise .01
        (0.108, 0.0, Verdict.CANNOT_TELL),
        (0.112, 0.005, Verdict.CANNOT_TELL),  # .002 to .022: more than .005 or not
        (0.112, 0.03, Verdict.PASSED),
        (0.116, 0.005, Verdict.FAILED),
        (0.089, 0.0, Verdict.PASSED),  # better by more than noise
        (0.095, 0.0, Verdict.CANNOT_TELL),  # better by less: it may be worse
        (0.0, 0.0, Verdict.PASSED),
    ],
)
def test_the_interval_of_the_change_against_what_is_let_through(new, tolerance, verdict):
    assert one(side(0.1), side(new), tolerance).verdict == verdict


def test_runs_of_other_seeds_are_not_paired():
    assert one(side(0.1), side(0.112)).verdict == Verdict.FAILED
    assert one(side(0.1), side(0.112, seeds=(2, 3))).verdict == Verdict.CANNOT_TELL
    assert one(side(0.1), side(0.13, seeds=(2, 3))).verdict == Verdict.FAILED


def test_more_seeds_tell_smaller_changes():
    four = (0, 1, 2, 3)
    assert one(side(0.1), side(0.108)).verdict == Verdict.CANNOT_TELL
    assert one(side(0.1, four), side(0.108, four)).verdict == Verdict.FAILED


def test_equal_runs_pass_whatever_the_noise():
    check = one(side(0.1), side(0.1), noise={})
    assert check.verdict == Verdict.PASSED and check.reason == "nothing changed, to the last digit"


def test_an_equal_mean_of_other_values_is_no_equal_run():
    check = one(side(0.1, **{f"{KEY}.std": 0.01}), side(0.1, **{f"{KEY}.std": 0.02}))
    assert check.verdict == Verdict.CANNOT_TELL


def test_cannot_tell_says_what_could_be_told_and_what_would_settle_it():
    check = one(side(0.1), side(0.108), 0.001)
    assert "the smallest worsening that could be told is 0.011" in check.reason
    assert "5 seeds on each side (now 2 seeds) would settle it" in check.reason  # (.01 √2 / .007)² = 4.1
    five = (0, 1, 2, 3, 4)
    assert one(side(0.1, five), side(0.108, five), 0.001).verdict == Verdict.FAILED


def test_what_no_affordable_number_of_seeds_settles_is_said():
    assert "more than 50 seeds on each side" in one(side(0.1), side(0.1001), 0.0).reason


def test_without_a_study_nothing_is_told():
    check = one(side(0.1), side(0.2), noise={})
    assert check.verdict == Verdict.CANNOT_TELL and "run `make study`" in check.reason


def test_what_is_missing_after_the_change_fails_and_before_it_cannot_be_told():
    nothing = Side({}, (0, 1))
    assert one(side(0.1), nothing).verdict == Verdict.FAILED
    assert one(nothing, side(0.1)).verdict == Verdict.CANNOT_TELL


@pytest.mark.parametrize("key", ["nonsense", "n.people"])
def test_a_metric_without_a_direction_is_refused(key):
    with pytest.raises(InputError, match="unknown, or no direction"):
        judge({key: 0.0}, Side({key: Estimate(1)}, (0,)), Side({key: Estimate(1)}, (0,)), {}, 0.25)


def test_all_of_it_fails_if_one_fails_and_passes_if_all_pass():
    passed, failed, unknown = one(side(0.1), side(0.05)), one(side(0.1), side(0.3)), one(side(0.1), side(0.105))
    assert outcome([passed, failed, unknown]) == Verdict.FAILED
    assert outcome([passed, unknown]) == Verdict.CANNOT_TELL
    assert outcome([passed]) == Verdict.PASSED
    assert outcome([]) == Verdict.CANNOT_TELL
    assert outcome([passed], stale=["train"]) == outcome([passed], learns=False) == Verdict.FAILED


# The reference run as it is, its noise, and edits of it: what the gate said before, and what it says now.

REFERENCE = {
    "n.people": 1220, "n.objects.classes": 816, "people.t2i.r5": 7.1, "people.i2t.r5": 7.0, "objects.acc1": 3.25,
    "people.recognition.gender": 0.62, "rb.gender": 0.04, "portraits.unseen.pairwise_association": 0.55,
    "portraits.unseen.ab.max": 0.11,
}  # fmt: skip
STUDY = {
    "people.t2i.r5": Noise(0.56, 32, 0.54, 30), "people.i2t.r5": Noise(0.76, 32, 0.76, 30),
    "objects.acc1": Noise(0.40, 32, 0.41, 30), "people.recognition.gender": Noise(0.073, 32, 0.043, 30),
    "rb.gender": Noise(0.048, 32, 0.048, 30), "portraits.unseen.pairwise_association": Noise(0.156, 32, 0.103, 30),
    "portraits.unseen.ab.max": Noise(0.051, 32, 0.046, 30),
}  # fmt: skip
GUARDED = {
    "rb.gender": 0.1, "portraits.unseen.ab.max": 0.1, "portraits.unseen.pairwise_association": 0.25,
    "people.t2i.r5": 1.5, "objects.acc1": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "before", "now", "deciding"),
    [
        ({}, "passed", "passed", None),
        ({"objects.acc1": 0.0}, "passed", "failed", "objects.acc1"),
        ({"objects.acc1": 0.12}, "passed", "failed", "objects.acc1"),  # chance: 100 / 816
        ({"people.t2i.r5": 3.55}, "passed", "failed", "people.t2i.r5"),
        ({"people.i2t.r5": 3.5}, "not guarded", "failed", "people.i2t.r5"),
        ({"people.recognition.gender": 0.49}, "not guarded", "failed", "people.recognition.gender"),
        ({"rb.gender": 0.15}, "passed", "cannot tell", "rb.gender"),
        ({"rb.gender": 0.30}, "failed", "failed", "rb.gender"),
        ({PAIRS: 0.65}, "passed", "cannot tell", PAIRS),
        ({PAIRS: 0.56}, "passed", "passed", None),
        ({PAIRS: -0.5}, "passed", "passed", None),
        ({"people.t2i.r5": 6.9}, "passed", "passed", None),
        ({"people.t2i.r5": 6.0}, "passed", "cannot tell", "people.t2i.r5"),
        ({"people.t2i.r5": 6.0, "people.t2i.r5.std": 5.0}, "passed", "cannot tell", "people.t2i.r5"),  # wilder
        ({"people.t2i.r5": 4.5, "people.t2i.r5.std": 9.0}, "passed", "failed", "people.t2i.r5"),  # wilder
        ({"portraits.unseen.ab.max": None}, "refused", "failed", "portraits.unseen.ab.max"),
    ],
)  # fmt: skip
def test_edits_of_the_reference_run(edit, before, now, deciding):
    changed = {key: value for key, value in (REFERENCE | edit).items() if value is not None}
    checks = judge(GUARDED, Side(fold(REFERENCE), (0, 1)), Side(fold(changed), (0, 1)), STUDY, 0.25)
    assert outcome(checks) == now
    assert [check.key for check in checks if check.verdict != Verdict.PASSED] == ([deciding] if deciding else [])


def test_stale_results_fail_first_whatever_the_metrics_say():
    same = Side(fold(REFERENCE), (0, 1))
    checks = judge(GUARDED, same, same, STUDY, 0.25)
    assert outcome(checks) == Verdict.PASSED
    assert headline(checks, {"train@0": ["params.yaml: train"]}) == "✗ Gate: failed: the results are stale"


def test_chance_levels_come_from_the_run():
    same = Side(fold(REFERENCE), (0, 1))
    levels = {check.key: check.chance for check in judge(GUARDED, same, same, STUDY, 0.25)}
    assert levels["objects.acc1"] == pytest.approx(100 / 816)
    assert levels["people.t2i.r5"] == pytest.approx(500 / 1220)
    assert math.isnan(levels["rb.gender"])


def test_the_share_of_quality_that_may_be_lost_is_a_parameter():
    old, new = (Side(fold(REFERENCE | {"people.t2i.r5": value}), (0, 1)) for value in (7.1, 5.5))
    verdicts = [judge({"people.t2i.r5": 3.0}, old, new, STUDY, drop)[0].verdict for drop in (0.2, 0.25)]
    assert verdicts == [Verdict.FAILED, Verdict.PASSED]


def test_at_chance_is_a_collapse_with_or_without_a_value_before():
    level = 500 / 1220
    for value, verdict in ((level, Verdict.FAILED), (2 * level, Verdict.CANNOT_TELL)):
        new = Side(fold(REFERENCE | {"people.t2i.r5": value}), (0, 1))
        before = Side(fold({key: old for key, old in REFERENCE.items() if key != "people.t2i.r5"}), (0, 1))
        (check,) = judge({"people.t2i.r5": 100.0}, before, new, STUDY, 0.25)
        assert check.verdict == verdict
        assert ("at or below chance" in check.reason) == (verdict == Verdict.FAILED)


def test_a_study_without_replicates_of_a_metric_tells_nothing_of_it():
    check = one(side(0.1), side(0.3), noise={KEY: Noise(math.nan, 0, math.nan, 0)})
    assert check.verdict == Verdict.CANNOT_TELL and "no study says how far its replicates lie apart" in check.reason


def test_exactly_what_is_let_through_passes():
    still = {KEY: Noise(0.0, 30, 0.0, 30), "people.t2i.r5": Noise(0.0, 30, 0.0, 30)}
    assert one(side(0.5), side(0.75), 0.25, still).verdict == Verdict.PASSED
    old, new = (Side(fold(REFERENCE | {"people.t2i.r5": value}), (0, 1)) for value in (8.0, 6.0))
    assert judge({"people.t2i.r5": 2.0}, old, new, still, 0.25)[0].verdict == Verdict.PASSED  # a quarter, no more


def test_a_collapse_is_one_of_small_figures_too_and_says_how_deep():
    old, new = (Side(fold(REFERENCE | {"people.t2i.r5": value}), (0, 1)) for value in (0.9, 0.45))
    (check,) = judge({"people.t2i.r5": 3.0}, old, new, STUDY, 0.25)
    assert check.verdict == Verdict.FAILED and check.reason == "it fell by 50%, more than 25%"


def test_quality_that_nothing_guards_is_judged_where_both_sides_have_it_and_something_was_known():
    more = {"people.t2i.r5": 0.1, "n.people": 1220}
    assert [check.key for check in judge({KEY: 0.0}, side(0.1), side(0.1, **more), NOISE, 0.25)] == [KEY]
    assert [check.key for check in judge({KEY: 0.0}, side(0.1, **more), side(0.1), NOISE, 0.25)] == [KEY]
    nothing = Side(fold(REFERENCE | {"objects.acc1": 100 / 816}), (0, 1))  # as good as chance before and after
    assert judge({}, nothing, nothing, STUDY, 0.25) == []
