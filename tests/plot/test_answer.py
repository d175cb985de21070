"""The first screen: sentences and charts, from tables by hand and from the committed study."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from stages.plot.answer import Study, bias_of, biases_of, charts, place_of, quality_of, sentences, study_charts
from stages.results.details import Estimate
from stages.results.sweep import Own
from tests.helpers.recorded_run import ROOT

COMMITTED = ROOT / "data" / "emoji" / "results" / "study"
R5, SEEN, UNSEEN = "people.t2i.r5", "portraits.seen.pairwise_association", "portraits.unseen.pairwise_association"
RB, PLACE = "rb.gender", "portraits.seen.position"
KEYS = (R5, UNSEEN, SEEN, RB)
METRICS = {
    R5: Estimate(4.1, 3.3, 5.0), f"{R5}.ceiling": Estimate(83.2), "n.people": Estimate(1220),
    UNSEEN: Estimate(0.1), SEEN: Estimate(0.05, -0.02, 0.12), RB: Estimate(0.2, 0.1, 0.3),
}  # fmt: skip
OWN = Own(0.5, "m4", METRICS)
MEANS = {R5: 8.0, UNSEEN: 0.4, SEEN: 0.6, RB: 0.2}
NULL = dict.fromkeys(KEYS, (0.0, 1.0))
STRONG = {R5: (2.0, 0.5), UNSEEN: (-0.3, 0.1), SEEN: (-0.5, 0.1), RB: (-0.1, 0.02)}  # better, all of it
OPPOSITE = {key: (-size, half) for key, (size, half) in STRONG.items()}


def study(effects=NULL, contamination=NULL, fewer=NULL, replicates=3, **more: float) -> Study:
    """
    Three lines at three α with two replicates; tables of what is said of m4 against random and not balanced rows.

    Parameters
    ----------
    effects, contamination, fewer : mapping of str to (float, float)
        Difference and half of its interval: m4 − random rows, the highest − the lowest α, random rows − not balanced.
    more : float
        A further metric (``_of_`` for a dot) with its value everywhere, 0.1 more per α.
    """
    means = MEANS | {key.replace("_of_", "."): value for key, value in more.items()}
    runs = pd.DataFrame(
        [
            (f"{method}{alpha}", alpha, method, seed, metric, value + place * 0.1 + 0.1 * alpha + 0.01 * seed)
            for metric, value in means.items()
            for place, method in enumerate(("not balanced", "random", "m4"))
            for alpha in (0.0, 0.5, 1.0)
            for seed in (0, 1)
        ],
        columns=["run", "alpha", "method", "seed", "metric", "value"],
    )
    pairs = {("m4", "random"): effects, ("random", "not balanced"): fewer}
    pairs["m4", "not balanced"] = {key: (fewer[key][0] + of[0], fewer[key][1] + of[1]) for key, of in effects.items()}
    rows = [
        (key, method, reference, alpha, replicates, size, size - half, size + half, np.nan)
        for (method, reference), of in pairs.items()
        for key, (size, half) in of.items()
        for alpha in ("0", "0.5", "1", "mean")
    ]
    names = ["metric", "method", "reference", "alpha", "replicates", "difference", "lo", "hi", "p_holm"]
    ends = [
        (
            key,
            "not balanced",
            0.0,
            1.0,
            replicates,
            MEANS[key],
            MEANS[key] + size,
            size,
            size - half,
            size + half,
            np.nan,
        )
        for key, (size, half) in contamination.items()
    ]
    trends = ["metric", "method", "alpha_from", "alpha_to", "replicates", "value_from", "value_to", *names[5:]]
    return Study(runs, pd.DataFrame(rows, columns=names), pd.DataFrame(ends, columns=trends))


def test_the_first_sentence_is_the_run_by_every_measure():
    first, *_ = sentences(OWN, "equal", study(), {})
    assert first == (
        "**This run** trains on 50 % generated images, balanced by m4 towards equal shares. **Quality:** text→image "
        "R@5 (captions whose own image is in the top 5) on people 4.1 % [3.3, 5.0], chance 0.4 %, at most 83.2 % by "
        "what captions say. **Bias,** 0 for none: "
        "pairwise association (unseen portraits +0.100, seen portraits +0.050 [−0.020, 0.120]), representation bias "
        "0.200 [0.100, 0.300]."
    )


def test_strong_results_are_said_with_their_intervals():
    _, _, second, third = sentences(OWN, "equal", study(STRONG, STRONG), {})
    assert second == (
        "**Generated images alone** (not balanced, α = 0 to 1, 3 replicates) – **better:** pairwise "
        "association (unseen portraits −0.300 [−0.400, −0.200], seen portraits −0.500 [−0.600, −0.400]), "
        "representation bias −0.100 [−0.120, −0.080], text→image R@5 (people +2.0 points [+1.5, +2.5])."
    )
    assert third.startswith(
        "**Balancing by m4** against as many random rows (α = 0.5, 3 replicates) – **better:** pairwise association"
    )
    assert "worse" not in third.split(". ")[0] and "not shown" not in third.split(". ")[0]


def test_opposite_results_are_losses_in_the_same_words():
    _, _, second, third = sentences(OWN, "equal", study(OPPOSITE, OPPOSITE), {})
    for said in (second, third.split(" Text→image R@5 against")[0]):
        assert "**worse:** pairwise association (unseen portraits +0.300 [+0.200, +0.400]" in said
        assert "text→image R@5 (people −2.0 points [−2.5, −1.5])" in said
        assert "better" not in said and "not shown" not in said


def test_null_results_are_not_shown_and_quality_keeps_its_interval():
    _, _, second, third = sentences(OWN, "equal", study(), {})
    for said in (second, third):
        assert (
            "– **not shown:** pairwise association (unseen portraits, seen portraits), representation bias, "
            "text→image R@5 (people +0.0 points [−1.0, +1.0])." in said
        )
        assert "better" not in said and "**worse" not in said


def test_measures_that_disagree_stand_on_both_sides():
    mixed = {R5: (-1.0, 0.2), UNSEEN: (0.1, 0.3), SEEN: (-0.4, 0.1), RB: (0.1, 0.05)}
    third = sentences(OWN, "equal", study(mixed), {})[3]
    assert (
        "**better:** pairwise association (seen portraits −0.400 [−0.500, −0.300]); **worse:** representation" in third
    )
    assert "**not shown:** pairwise association (unseen portraits)." in third


def test_what_random_rows_lose_as_well_is_not_the_methods():
    fewer = NULL | {R5: (-3.0, 0.5)}
    third = sentences(OWN, "equal", study(NULL, fewer=fewer), {})[3]
    assert third.endswith(
        "Text→image R@5 against not balanced: m4 **−3.0 points [−4.5, −1.5], worse**; random rows −3.0 points "
        "[−3.5, −2.5], worse; between the two no difference is shown."
    )
    third = sentences(OWN, "equal", study(NULL | {R5: (-2.0, 0.1)}, fewer=fewer), {})[3]
    assert third.endswith("random rows −3.0 points [−3.5, −2.5], worse.")  # m4 loses more: not by fewer rows alone


def test_two_replicates_show_nothing():
    _, _, second, third = sentences(OWN, "equal", study(STRONG, STRONG, replicates=2), {})
    assert "**better" not in second + third and "**not shown, too few replicates:**" in second


def claiming(of):
    return of.claiming(OWN, KEYS)


def test_a_benefit_has_its_p_and_what_correction_takes_is_no_verdict():
    """Intervals of half their effect, three replicates: t = 2 × 4.303. 4 metrics at 3 α and on average, 4 trends, 2."""
    half = {key: (size, abs(size) / 2) for key, (size, _) in STRONG.items()}
    one = claiming(study(half, half))
    assert one.claims == 22
    _, _, second, third = sentences(OWN, "equal", one, {})
    assert "**better" not in second + third and "**worse" not in second + third
    assert (
        "– **not shown after correction:** pairwise association (unseen portraits −0.300 [−0.450, −0.150] p = " in third
    )
    assert "p = " in second and charts(OWN, one, pd.DataFrame())[2].title.endswith("is not shown to differ by 3")
    assert "**better:** pairwise" in sentences(OWN, "equal", study(half, half), {})[3]  # each by itself


def test_what_outlasts_correction_is_a_verdict():
    one = claiming(study(STRONG, STRONG, replicates=8))
    third = sentences(OWN, "equal", one, {})[3]
    assert (
        "(α = 0.5, 8 replicates) – **better:** pairwise association (unseen portraits −0.300 [−0.400, −0.200] p"
        in third
    )


def test_what_is_not_claimed_is_not_corrected():
    one = claiming(study(STRONG, STRONG))
    of = one.comparisons
    plain = (of["method"] == "random") | ((of["method"] == "m4") & (of["reference"] == "not balanced"))
    costs = plain & (of["metric"] == R5) & (of["alpha"] == "0.5")
    assert of.loc[plain & ~costs, "p_claims"].isna().all() and of.loc[costs | ~plain, "p_claims"].notna().all()


def test_the_other_alphas_are_told_with_their_sizes():
    one = study(STRONG)
    rows = (one.comparisons["alpha"] == "1") & (one.comparisons["method"] == "m4")
    one.comparisons.loc[rows, ["difference", "lo", "hi"]] = [0.01, -0.5, 0.5]
    third = sentences(OWN, "equal", one, {})[3]
    assert "**At α = 0 and 1:** pairwise association (unseen portraits −0.300, +0.010, seen portraits −0.500" in third
    assert (
        "shown there: pairwise association (unseen portraits better at 0, seen" in third and "better at 1" not in third
    )
    assert "nothing is shown there" in sentences(OWN, "equal", study(), {})[3]


def test_the_study_is_introduced_and_what_lies_above_it_is_said():
    """Not balanced at α = 0.5: R@5 8.055, unseen 0.455, seen 0.655, representation bias 0.255."""
    said = sentences(OWN, "equal", study(), {})[1]
    assert said == (
        "**The study** has this run's profile, so its corpus and model; 2 models per setting (this run: "
        "1): not balanced (all rows), random (as many rows, drawn at random), m4 (weights solved to meet the target"
        "); α = 0, 0.5, 1. **Above not balanced there** is this run in no headline metric."
    )
    metrics = METRICS | {R5: Estimate(9.0, 8.5, 9.5), RB: Estimate(0.3, 0.2, 0.4)}
    said = sentences(Own(0.5, "m4", metrics), "equal", study(), {})[1]
    assert said.endswith(
        "**Above not balanced there at α = 0.5** is this run in quality by text→image R@5 (people 9.0 % [8.5, 9.5] "
        "against 8.1 %, outside); in bias (more of it) by representation bias 0.300 [0.200, 0.400] against 0.255."
    )


def test_settings_are_counted_as_drawn():
    one = study()
    more = one.runs.loc[(one.runs["method"] == "m4") & (one.runs["alpha"] == 0.5), :].assign(method="m4, proxies on")
    both = Study(pd.concat([one.runs, more]), one.comparisons, one.trends)
    assert both.size == "9 settings (3 methods at 3 α), 2 models each; in its tables alone: m4, proxies on"


def test_variants_of_a_method_never_displace_a_method():
    one = study()
    more = [one.runs.query("method == 'random'").assign(method=f"random, {i}", value=i) for i in range(4)]
    trade = charts(OWN, Study(pd.concat([one.runs, *more]), one.comparisons, one.trends), pd.DataFrame())[1]
    assert trade.data is not None
    assert trade.data["line"].tolist() == ["not balanced", "random", "m4", "random, 0", "this run"]


def test_effects_that_differ_by_alpha_have_no_mean():
    one = study(STRONG)
    one.comparisons.loc[one.comparisons["alpha"] == "mean", ["difference", "lo", "hi"]] = np.nan
    third = sentences(Own(0.4, "m4", METRICS), "equal", one, {})[3]
    assert "(mean over α, 3 replicates) – **differs with α:** pairwise association" in third
    assert "**better" not in third and "unseen portraits better at 0 better at 0.5 better at 1" in third


def test_a_run_of_another_method_is_held_against_random_by_that_method():
    one = study(STRONG)
    for table in (one.runs, one.comparisons):
        table["method"] = table["method"].replace("m4", "reweighing")
    said = sentences(Own(0.5, "reweighing", METRICS), "equal", one, {})
    assert said[3].startswith("**Balancing by reweighing** against as many random rows")


def test_without_a_study_the_data_is_the_second():
    said = sentences(OWN, "equal", None, {"before": {"ab": 0.095}, "realised": {"ab": 0.002, "effective_share": 0.32}})
    assert "study" not in " ".join(said) and len(said) == 2
    assert said[1] == (
        "Balancing takes the largest association in its data from 9.5 to **0.2 points**, and keeps an effective 32 % "
        "of the rows."
    )


def test_what_is_not_measured_is_not_said():
    assert sentences(Own(0.3, "not balanced", {}), "none", None, {}) == [
        "**This run** trains on 30 % generated images, not balanced."
    ]


def test_position_comes_first_where_the_study_has_it():
    assert place_of(study()) == UNSEEN
    assert place_of(study(portraits_of_seen_of_position=0.2)) == PLACE
    thin = study(portraits_of_seen_of_position=0.2)
    rows = (thin.runs["metric"] == PLACE) & (thin.runs["alpha"] > 0)
    assert place_of(Study(thin.runs.loc[~rows, :], thin.comparisons, thin.trends)) == UNSEEN  # at one α only
    assert quality_of(METRICS, study()) == R5 and bias_of(METRICS, study()) == UNSEEN
    assert biases_of(METRICS, study()) == [UNSEEN, SEEN, RB]


def drawn(panel):
    axes = Figure(figsize=(panel.width, panel.height), layout="constrained").add_subplot()
    panel.draw(axes)
    return axes


def texts(panel) -> list[str]:
    return [text.get_text() for text in drawn(panel).texts]


def test_all_charts_mark_this_run_and_name_the_lines():
    lies, trade, measures = charts(OWN, study(), pd.DataFrame())
    assert set(texts(lies)) == {"this run", "not balanced", "random", "m4", "chance"}
    assert set(texts(trade)) == {"this run", "not balanced", "random", "m4", "chance"}
    assert [text.get_text() for text in drawn(measures).get_legend().get_texts()] == [
        "not balanced", "random", "m4", "this run"
    ]  # fmt: skip
    assert trade.data is not None and measures.data is not None
    assert trade.data.loc[trade.data["line"] == "this run", [R5, UNSEEN]].to_numpy().tolist() == [[4.1, 0.1]]
    assert measures.data.query("line == 'm4'")["value"].tolist() == pytest.approx([0.655, 0.855, 0.455])


@pytest.mark.parametrize(
    ("effects", "trade", "measures"),
    [
        (NULL, "no difference in pairwise association shown, no difference in text→image R@5 shown",
         "not shown to differ by 3"),
        (STRONG, "pairwise association better by 0.300, text→image R@5 better by 2.0 points", "better by 3"),
        (OPPOSITE, "pairwise association worse by 0.300, text→image R@5 worse by 2.0 points", "worse by 3"),
        (STRONG | {RB: (0.1, 0.05), SEEN: (0.1, 0.3), R5: (-2.0, 0.5)},
         "pairwise association better by 0.300, text→image R@5 worse by 2.0 points",
         "better by 1, worse by 1, not shown to differ by 1"),
    ],
)  # fmt: skip
def test_titles_say_what_is_shown_at_the_alpha_of_the_run(effects, trade, measures):
    _, second, third = charts(OWN, study(effects), pd.DataFrame())
    assert second.title == f"m4 beside random rows: {trade}"
    assert third.title == f"By 3 measures of bias, m4 beside random rows is {measures}"
    assert "α = 0.5" in second.note and "α = 0.5" in third.note


def test_an_alpha_that_the_study_lacks_is_held_against_the_mean_and_says_so():
    own = Own(0.4, "m4", METRICS)
    _, trade, measures = charts(own, study(STRONG), pd.DataFrame())
    assert "mean over α; best: right, and at 0; " in trade.note and trade.note.endswith("; this run: α = 0.4")
    assert measures.note.startswith("mean over α")
    assert "(mean over α, 3 replicates)" in sentences(own, "equal", study(STRONG), {})[3]


def test_names_of_points_do_not_meet():
    axes = drawn(charts(OWN, study(STRONG), pd.DataFrame())[1])
    axes.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not [(i, j) for i, one in enumerate(boxes) for j in range(i) if one.overlaps(boxes[j])]


def test_the_ideal_learner_is_drawn_beside_positions():
    of = study(portraits_of_seen_of_position=0.2)
    ideal = of.runs[of.runs["metric"] == PLACE].assign(metric=f"{PLACE}.ideal", value=0.5)
    both = Study(pd.concat([of.runs, ideal]), of.comparisons, of.trends)
    assert "ideal learner" in texts(charts(OWN, both, pd.DataFrame())[0])


def test_erasers_are_levers_beside_the_methods():
    erased = pd.DataFrame(
        [(name, key, value) for name, bias in (("none", 0.0), ("prune", -0.2), ("leace", 0.01))
         for key, value in ((R5, 4.0), (UNSEEN, bias))],
        columns=["eraser", "metric", "value"],
    )  # fmt: skip
    said = texts(charts(OWN, study(), erased)[1])
    assert "leace" in said and "none" not in said and "prune" not in said  # the one that leaves the least


def test_no_study_no_charts():
    assert charts(OWN, None, pd.DataFrame()) == []


@pytest.fixture(scope="module")
def committed() -> Study:
    return Study(*(pd.read_csv(COMMITTED / f"{name}.csv") for name in ("runs", "comparisons", "trends")))


def test_the_committed_study_has_at_most_four_lines_a_panel_and_one_axis_a_metric(committed):
    metrics = ["portraits.seen.ab.max", "portraits.unseen.ab.max"]
    panels = study_charts(OWN, committed, metrics)
    assert len(panels) == 2
    drawn = []
    for panel in panels:
        axes = Figure(layout="constrained").add_subplot()
        panel.draw(axes)
        drawn.append(axes)
        assert len([line for line in axes.lines if not str(line.get_label()).startswith("_")]) == 4
        bands = np.concatenate([of.get_paths()[0].vertices[:, 1] for of in axes.collections[:4]])
        assert bands.min() >= 0 and bands.max() <= 1  # within the possible range
    assert drawn[0].get_ylim() == drawn[1].get_ylim()


def test_a_mean_of_no_cell_is_unknown(committed):
    assert math.isnan(committed.mean(R5, "not balanced", 0.45))
    cell = committed.runs.query("metric == @R5 and method == 'm4' and alpha == 0.6")["value"]
    assert committed.mean(R5, "m4", 0.6) == pytest.approx(cell.sum() / 3)
