"""The charts of the first screen, from tables by hand and from the committed study."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from stages.plot.study import Study
from stages.plot.study_charts import charts, study_charts
from stages.results.details import Estimate
from stages.results.sweep import Own
from tests.helpers.recorded_run import ROOT
from tests.helpers.small_study import METRICS, NULL, OPPOSITE, OWN, PLACE, R5, RB, SEEN, STRONG, UNSEEN, study

COMMITTED = ROOT / "data" / "emoji" / "results" / "study"


def test_variants_of_a_method_never_displace_a_method():
    one = study()
    more = [one.runs.query("method == 'random'").assign(method=f"random, {i}", value=i) for i in range(4)]
    trade = charts(OWN, Study(pd.concat([one.runs, *more]), one.comparisons, one.trends), pd.DataFrame())[1]
    assert trade.data is not None
    assert trade.data["line"].tolist() == ["not balanced", "random", "m4", "random, 0", "this run"]


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
        (NULL, ("not shown", "not shown"), "by 0 of 3 measures of bias; shown: none"),
        (STRONG, ("better", "better"), "by 3 of 3 measures of bias; shown: better by 3"),
        (OPPOSITE, ("worse", "worse"), "by 0 of 3 measures of bias; shown: worse by 3"),
        (STRONG | {RB: (0.1, 0.05), SEEN: (0.1, 0.3), R5: (-2.0, 0.5)}, ("better", "worse"),
         "by 1 of 3 measures of bias; shown: better by 1 and worse by 1"),
    ],
)  # fmt: skip
def test_titles_say_what_is_shown_at_the_alpha_of_the_run(effects, trade, measures):
    """Random rows lie at 0.555 and 8.155, m4 at 0.655 and 8.255."""
    _, second, third = charts(OWN, study(effects), pd.DataFrame())
    bias, quality = trade
    assert second.title == (
        f"Random rows to m4: pairwise association 0.555 to 0.655, {bias}; text→image R@5 8.2 to 8.3 %, {quality}"
    )
    assert third.title == f"m4 lies nearer to 0 than random rows {measures}"
    assert "α = 0.5" in second.note and "α = 0.5" in third.note


def test_an_alpha_that_the_study_lacks_is_held_against_the_mean_and_says_so():
    _, trade, measures = charts(Own(0.3, "m4", METRICS), study(STRONG), pd.DataFrame())
    assert "mean over α; 2 models each; best: right, and at 0; " in trade.note and trade.note.endswith(
        "; this run: α = 0.3"
    )
    assert measures.note.startswith("mean over α")


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


def levers(alpha=0.5) -> Study:
    """Bias and quality of levers, two replicates each; `balanced` lies on both sides of 0."""
    means = {
        "not balanced": (0.4, 8.0), "random": (0.4, 4.0), "m4": (0.1, 4.0), "erased": (0.05, 8.0), "dull": (0.3, 3.0),
        "balanced": (0.0, 7.0),
    }  # fmt: skip
    rows = [
        (name, alpha, name, seed, key, value + (0.2 * seed - 0.1 if (name, key) == ("balanced", UNSEEN) else 0.0))
        for name, (bias, quality) in means.items()
        for key, value in ((UNSEEN, bias), (R5, quality))
        for seed in (0, 1)
    ]
    none = pd.DataFrame()
    return Study(pd.DataFrame(rows, columns=["run", "alpha", "method", "seed", "metric", "value"]), none, none)


def test_levers_are_drawn_in_place_of_the_methods_and_those_that_none_beats_are_named():
    panel = charts(OWN, study(), pd.DataFrame(), levers())[1]
    assert panel.title == (
        "Best trade-off in the mean of 6 levers: erased; no other has less pairwise association and more text→image R@5"
    )
    assert set(texts(panel)) == {"this run", "not balanced", "random", "m4", "erased", "chance"}
    assert panel.data is not None and panel.data["line"].tolist() == [
        "not balanced", "random", "m4", "balanced", "dull", "erased", "this run"
    ]  # fmt: skip
    values = panel.data.set_index("line")[UNSEEN]
    assert values["balanced"] == pytest.approx(0.1) and values["this run"] == 0.1  # distances from 0
    assert "α = 0.5; 2 models each" in panel.note and "this run: α" not in panel.note
    unnamed = [str(line.get_gid()) for line in drawn(panel).lines if "dull" in str(line.get_gid())]
    assert unnamed == ["mark|dull|dull: text→image R@5 3.0 %, pairwise association 0.300"]


@pytest.mark.parametrize(
    ("value", "ends", "apart"),
    [(-0.2, (-0.3, -0.1), (0.2, 0.1, 0.3)), (0.1, (-0.2, 0.3), (0.1, 0.0, 0.3)), (-0.1, (-0.4, 0.1), (0.1, 0.0, 0.4))],
)
def test_this_run_stands_at_its_distance_too(value, ends, apart):
    metrics = METRICS | {UNSEEN: Estimate(value, *ends)}
    panel = charts(Own(0.5, "m4", metrics), study(), pd.DataFrame(), levers())[1]
    assert panel.data is not None and panel.data.set_index("line").loc["this run", UNSEEN] == pytest.approx(apart[0])
    whiskers = [path.vertices[:, 1] for of in drawn(panel).collections for path in of.get_paths()]
    assert any(sorted(y) == pytest.approx(apart[1:]) for y in whiskers)


def test_levers_at_another_alpha_say_so():
    panel = charts(OWN, study(), pd.DataFrame(), levers(alpha=0.7))[1]
    assert "α = 0.7" in panel.note and panel.note.endswith("; this run: α = 0.5")


def test_levers_without_the_metrics_of_the_run_are_not_drawn():
    other = levers()
    lacking = Study(other.runs.loc[other.runs["metric"] != R5], other.comparisons, other.trends)
    assert "Random rows to m4" in charts(OWN, study(), pd.DataFrame(), lacking)[1].title


def test_no_study_no_charts():
    assert charts(OWN, None, pd.DataFrame()) == []


@pytest.fixture(scope="module")
def committed() -> Study:
    return Study(*(pd.read_csv(COMMITTED / f"{name}.csv") for name in ("runs", "comparisons", "trends")))


def test_the_committed_study_has_at_most_four_lines_a_panel_and_one_axis_a_metric(committed):
    metrics = ["portraits.seen.ab.max", "portraits.unseen.ab.max"]
    panels = study_charts(OWN, committed, metrics)
    assert len(panels) == 2
    drawn_runs = committed.runs.query("metric == @metrics[0]")
    drawn_runs = drawn_runs.loc[drawn_runs["method"].isin(committed.lines()[:4]), :]
    cells = drawn_runs.groupby(["method", "alpha"]).ngroups
    every = []
    for panel in panels:
        axes = Figure(layout="constrained").add_subplot()
        panel.draw(axes)
        every.append(axes)
        assert len([line for line in axes.lines if not str(line.get_label()).startswith("_")]) == 4
        ends = np.concatenate([path.vertices[:, 1] for of in axes.collections for path in of.get_paths()])
        assert len(ends) == 2 * cells > 20 and ends.min() >= 0 and ends.max() <= 1  # within the possible range
    assert every[0].get_ylim() == every[1].get_ylim()
