"""The first screen: answers and the table behind them, from tables by hand."""

import numpy as np
import pandas as pd

from stages.plot.answer import answers, comparisons
from stages.plot.study import Study
from stages.results.details import Estimate
from stages.results.sweep import Own
from tests.helpers.small_study import KEYS, METRICS, NULL, OPPOSITE, OWN, R5, RB, SEEN, STRONG, UNSEEN, study

BALANCED = {"before": {"ab": 0.095}, "realised": {"ab": 0.002, "effective_share": 0.32}}


def said(of, own=OWN):
    """Give the verdicts on contamination, balancing, cost and the run, and all sentences below each."""
    found = answers(own, "equal", of, {})
    assert len(found) == 4
    return [one.verdict for one in found], ["\n".join(one.said) for one in found]


def test_strong_results_are_said_with_what_they_stand_on():
    verdicts, texts = said(study(STRONG, STRONG, fewer=NULL))
    assert verdicts[:3] == [
        "Bias less by 3 of 3 measures; text→image R@5 better",
        "Bias less by 3 of 3 measures",
        "Text→image R@5 better by 2.0 points",
    ]
    assert texts[0] == (
        "Pairwise association, unseen portraits: 0.400 to 0.100 from α = 0 to 1, not balanced: mean distance "
        "from 0 changes by −0.300 [−0.400, −0.200], better.\n"
        "Of 3 measures of bias, 3 lower in the mean; 3 shown.\n"
        "Text→image R@5, people: 8.0 % to 10.0 %: +2.0 points [+1.5, +2.5], better."
    )
    assert texts[1] == (
        "Pairwise association, unseen portraits: m4 0.655, random rows 0.555 (α = 0.5): mean distance from "
        "0 changes by −0.300 [−0.400, −0.200], better.\n"
        "Of 3 measures of bias, 3 lower in the mean; 3 shown.\n"
        "At α = 0 and 1: 6 of 6 effects shown."
    )


def test_opposite_results_are_losses_in_the_same_words():
    verdicts, texts = said(study(OPPOSITE, OPPOSITE))
    assert verdicts[:2] == ["Bias more by 3 of 3 measures; text→image R@5 worse", "Bias more by 3 of 3 measures"]
    assert "better" not in texts[0] + texts[1]


def test_null_results_are_not_shown_and_few_models_are_named():
    verdicts, texts = said(study())
    assert verdicts[:3] == ["Not decided by 3 models"] * 3
    assert (
        "Of 3 measures of bias, all equal in the mean; none shown." in texts[1]
        and "none of 6 effects shown" in texts[1]
    )
    assert said(study(replicates=8))[0][:3] == ["No effect is shown", "No effect is shown", "No cost is shown"]


def test_means_that_lie_apart_are_said_though_nothing_is_shown():
    wide = {key: (size, 2 * abs(size)) for key, (size, _) in STRONG.items()}
    verdicts, texts = said(study(wide, wide))
    assert verdicts[:2] == ["Not decided by 3 models"] * 2
    assert "Of 3 measures of bias, 3 lower in the mean; none shown." in texts[1]


def test_measures_that_disagree_stand_on_both_sides():
    verdicts, texts = said(study({R5: (-1.0, 0.2), UNSEEN: (0.1, 0.3), SEEN: (-0.4, 0.1), RB: (0.1, 0.05)}))
    assert verdicts[1] == "Bias less by 1 and more by 1 of 3 measures"
    assert "Of 3 measures of bias, 1 lower and 2 higher in the mean; 2 shown." in texts[1]


def test_what_random_rows_lose_as_well_is_not_the_methods():
    fewer = NULL | {R5: (-3.0, 0.5)}
    verdicts, texts = said(study(NULL, fewer=fewer))
    assert verdicts[2] == "Text→image R@5 worse by 3.0 points, no more is shown than with random rows"
    assert texts[2] == (
        "Text→image R@5 (α = 0.5): not balanced 8.1 %, m4 8.3 %, random 8.2 %.\n"
        "m4 against not balanced: −3.0 points [−4.5, −1.5], worse.\n"
        "Against random rows: 0.0 points [−1.0, +1.0], not shown."
    )
    verdicts, _ = said(study(NULL | {R5: (-2.0, 0.1)}, fewer=fewer))
    assert verdicts[2] == "Text→image R@5 worse by 5.0 points"  # m4 loses more: not by fewer rows alone


def test_two_replicates_show_nothing():
    verdicts, texts = said(study(STRONG, STRONG, replicates=2))
    assert verdicts[:2] == ["Not decided by 2 models"] * 2 and "too few replicates" in texts[0]


def test_a_test_that_was_named_decides_and_its_p_is_said():
    """Of eight replicates; where the test of the mean over α does not reject, no interval at one α counts."""
    one = study(STRONG, STRONG, replicates=8)
    means = one.comparisons["alpha"] == "mean"
    one.comparisons["p_mean"] = [0.016 if not of else np.nan for of in means]
    assert (said(one)[0][1], "p of the mean over α = 0.016, better" in said(one)[1][1]) == (
        "Bias less by 3 of 3 measures", True,
    )  # fmt: skip
    one.comparisons["p_mean"] = [0.062 if not of else np.nan for of in means]
    verdicts, texts = said(one)
    assert verdicts[1] == "No effect is shown" and "p of the mean over α = 0.062, not shown" in texts[1]


def test_the_table_has_every_comparison_of_the_page_and_no_other():
    half = {key: (size, abs(size) / 2) for key, (size, _) in STRONG.items()}
    table = comparisons(study(half, half).claiming(OWN, KEYS))
    assert len(table) == 22 and comparisons(study(half, half)).empty
    row = table.query(
        "metric == 'pairwise association · portraits · unseen' and α == '0.5' and what == 'm4 beside random'"
    )
    assert row[["from", "to", "change"]].to_numpy().tolist() == [["0.555", "0.655", "−0.300 [−0.450, −0.150]"]]
    cost = table["what"].isin(["random beside not balanced", "m4 beside not balanced"])
    assert set(table.loc[~cost, "verdict"]) == {"better"}
    assert set(table.query("what == 'contamination, not balanced'")["α"]) == {"0 to 1"}


def test_the_study_beside_the_run_names_its_alpha_where_it_is_another():
    last = answers(Own(0.6, "m4", METRICS), "equal", study(), BALANCED)[-1]
    assert last.said[2].endswith("; chance 0.000; study, α = 0.5: not balanced 0.455, m4 0.655.")


def test_effects_that_differ_by_alpha_have_no_mean():
    one = study(STRONG)
    one.comparisons.loc[one.comparisons["alpha"] == "mean", ["difference", "lo", "hi"]] = float("nan")
    found = answers(Own(0.3, "m4", METRICS), "equal", one, {})
    assert found[1].said[0] == "Pairwise association, unseen portraits (mean over α): differs with α."
    assert (
        found[1].verdict.startswith("Not decided") and found[1].said[-1] == "At α = 0, 0.5 and 1: 9 of 9 effects shown."
    )


def test_a_run_of_another_method_is_held_against_random_by_that_method():
    one = study(STRONG)
    for table in (one.runs, one.comparisons):
        table["method"] = table["method"].replace("m4", "reweighing")
    questions = [of.question for of in answers(Own(0.5, "reweighing", METRICS), "equal", one, {})]
    assert questions[1:3] == [
        "What does balancing by reweighing undo, beside as many random rows?", "What does reweighing cost?"
    ]  # fmt: skip


def test_the_run_is_said_by_quality_and_bias_with_what_they_are_held_against():
    """Not balanced at α = 0.5: R@5 8.055, unseen 0.455."""
    (last,) = answers(OWN, "equal", study(), BALANCED)[3:]
    assert (last.question, last.verdict) == ("And this run?", "Text→image R@5 4.1 %, pairwise association +0.100")
    assert last.said == [
        "50 % generated images, balanced by m4 towards equal shares.",
        "Text→image R@5, people: 4.1 % [3.3, 5.0]; chance 0.4 %; ceiling, by what captions say: 83.2 %; study: not "
        "balanced 8.1 %, m4 8.3 %.",
        "Pairwise association, unseen portraits: 0.100; chance 0.000; study: not balanced 0.455, m4 0.655.",
        "Largest association in its data: 9.5 points, after balancing 0.2, with an effective 32 % of the rows.",
    ]


def test_without_a_study_the_run_stands_alone():
    (one,) = answers(OWN, "equal", None, {})
    assert one.question == "And this run?" and "study" not in " ".join(one.said)
    (one,) = answers(Own(0.3, "not balanced", {"n.people": Estimate(3)}), "none", None, BALANCED)
    assert one.verdict == "Nothing of the headline is measured"
    assert one.said == ["30 % generated images, not balanced."]


def test_what_else_contamination_changes_is_said_beside():
    """Self-similarity is no measure of bias, but drawn on the page."""
    one, key = study(replicates=8), "portraits.seen.self_similarity"
    row = one.trends.iloc[0].to_dict() | {
        "metric": key,
        "value_from": 0.7,
        "value_to": 0.2,
        "difference": -0.5,
        "lo": -0.55,
        "hi": -0.45,
    }
    more = Study(one.runs, one.comparisons, pd.concat([one.trends, pd.DataFrame([row])], ignore_index=True))
    first = answers(OWN, "equal", more.claiming(OWN, [*KEYS, key]), {})[0]
    assert first.said[-1] == "Beside these, shown: Self-similarity, seen portraits: 0.700 to 0.200, lower."
    assert first.verdict == "No effect is shown"
