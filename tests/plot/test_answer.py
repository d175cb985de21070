"""The first screen: sentences and charts, from tables by hand and from the committed study."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from stages.plot.answer import Study, bias_of, charts, place_of, quality_of, sentences, study_charts
from stages.results.details import Estimate
from stages.results.sweep import Own
from tests.helpers.recorded_run import ROOT

COMMITTED = ROOT / "data" / "emoji" / "results" / "study"
R5, PAIRS, IDEAL = "people.t2i.r5", "portraits.seen.pairwise_association", "portraits.seen.position"
METRICS = {
    R5: Estimate(4.1, 3.3, 5.0), f"{R5}.ceiling": Estimate(83.2), "n.people": Estimate(1220),
    PAIRS: Estimate(0.05, -0.02, 0.12),
}  # fmt: skip
OWN = Own(0.5, "m4", METRICS)


def study(**more: float) -> Study:
    """Two methods at three α with two replicates each; what `more` names has its value everywhere, 0.1 per α."""
    means = {R5: {"not balanced": 8.0, "m4": 5.0}, PAIRS: {"not balanced": 0.6, "m4": 0.1}}
    means |= {key.replace("_of_", "."): {"not balanced": value, "m4": value} for key, value in more.items()}
    runs = pd.DataFrame(
        [
            (f"{method}{alpha}", alpha, method, seed, metric, value + 0.1 * alpha + 0.01 * seed)
            for metric, of in means.items()
            for method, value in of.items()
            for alpha in (0.0, 0.5, 1.0)
            for seed in (0, 1)
        ],
        columns=["run", "alpha", "method", "seed", "metric", "value"],
    )
    rows = [(R5, "m4", "not balanced", "mean", 3, -3.0, -4.0, -2.0, np.nan)]
    rows += [(R5, "m4", "random", "mean", 3, 0.2, -0.8, 1.1, np.nan)]
    names = ["metric", "method", "reference", "alpha", "replicates", "difference", "lo", "hi", "p_holm"]
    trends = pd.DataFrame(
        [(PAIRS, "not balanced", 0.0, 1.0, 3, 0.6, 0.7, 0.1, 0.05, 0.15, np.nan)],
        columns=[
            "metric", "method", "alpha_from", "alpha_to", "replicates", "value_from", "value_to", "difference", "lo",
            "hi", "p_holm",
        ],
    )  # fmt: skip
    return Study(runs, pd.DataFrame(rows, columns=names), trends)


def test_three_sentences_answer():
    first, second, third = sentences(OWN, "equal", study(), {})
    assert first == (
        "This run trains on 50 % generated images, balanced by m4 towards equal shares. Its text→image R@5 on people "
        "(captions whose own image is in the top 5) is **4.1 %** [3.3, 5.0]; chance gives 0.4 %, the captions allow at "
        "most 83.2 %, without balancing the study has 8.1 %."
    )
    assert second.endswith("is at **+0.050** [−0.020, 0.120]; the study at the same α has +0.655 without balancing.")
    assert third == (
        "In the study, contamination alone, α = 0 to 1, takes the pairwise association (portraits, seen) from 0.600 to "
        "0.700; m4 changes text→image R@5 by **−3.0 points [−4.0, −2.0]** against not balanced, and by +0.2 points "
        "[−0.8, +1.1] against as many rows drawn at random: the price is that of fewer different rows."
    )


def test_without_a_study_the_data_is_the_third():
    said = sentences(OWN, "equal", None, {"before": {"ab": 0.095}, "realised": {"ab": 0.002, "effective_share": 0.32}})
    assert "study" not in " ".join(said) and len(said) == 3
    assert said[2] == (
        "Balancing takes the largest association in its data from 9.5 to **0.2 points**, and keeps an effective 32 % "
        "of the rows."
    )


def test_what_is_not_measured_is_not_said():
    assert sentences(Own(0.3, "not balanced", {}), "none", None, {}) == [
        "This run trains on 30 % generated images, not balanced."
    ]


def test_an_alpha_that_the_study_lacks_has_no_baseline():
    said = sentences(Own(0.4, "m4", METRICS), "equal", study(), {})
    assert "without balancing the study" not in said[0] and "the study at the same α" not in said[1]


def test_position_comes_first_where_the_study_has_it():
    assert place_of(study()) == PAIRS
    assert place_of(study(portraits_of_seen_of_position=0.2)) == IDEAL
    thin = study(portraits_of_seen_of_position=0.2)
    rows = (thin.runs["metric"] == IDEAL) & (thin.runs["alpha"] > 0)
    assert place_of(Study(thin.runs.loc[~rows, :], thin.comparisons, thin.trends)) == PAIRS  # at one α only
    assert quality_of(METRICS, study()) == R5 and bias_of(METRICS, study()) == PAIRS


def texts(panel) -> list[str]:
    axes = Figure(layout="constrained").add_subplot()
    panel.draw(axes)
    return [text.get_text() for text in axes.texts]


def test_both_charts_mark_this_run_and_name_the_lines():
    place, trade = charts(OWN, study(), pd.DataFrame())
    assert set(texts(place)) == {"this run", "not balanced", "m4", "chance"}
    assert set(texts(trade)) == {"this run", "not balanced", "m4", "chance"}
    assert trade.title == "m4 takes pairwise association from 0.655 to 0.155, and text→image R@5 from 8.1 % to 5.1 %"
    assert trade.data is not None
    assert trade.data.loc[trade.data["line"] == "this run", [R5, PAIRS]].to_numpy().tolist() == [[4.1, 0.05]]


def test_the_ideal_learner_is_drawn_beside_positions():
    of = study(portraits_of_seen_of_position=0.2)
    ideal = of.runs[of.runs["metric"] == IDEAL].assign(metric=f"{IDEAL}.ideal", value=0.5)
    both = Study(pd.concat([of.runs, ideal]), of.comparisons, of.trends)
    assert "ideal learner" in texts(charts(OWN, both, pd.DataFrame())[0])


def test_erasers_are_levers_beside_the_methods():
    erased = pd.DataFrame(
        [(name, key, value) for name in ("none", "leace") for key, value in ((R5, 4.0), (PAIRS, 0.01))],
        columns=["eraser", "metric", "value"],
    )
    assert "leace" in texts(charts(OWN, study(), erased)[1]) and "none" not in texts(charts(OWN, study(), erased)[1])


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
