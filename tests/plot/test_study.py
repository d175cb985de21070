"""The committed study as a run sees it: what of it is chosen, counted and corrected."""

import math

import pandas as pd
import pytest

from stages.plot.study import Study, bias_of, biases_of, place_of, quality_of
from tests.helpers.recorded_run import ROOT
from tests.helpers.small_study import KEYS, METRICS, OWN, PLACE, R5, RB, SEEN, STRONG, UNSEEN, study

COMMITTED = ROOT / "data" / "emoji" / "results" / "study"


def test_what_the_page_compares_is_marked():
    one = study(STRONG, STRONG).claiming(OWN, KEYS)
    of = one.comparisons
    plain = (of["method"] == "random") | ((of["method"] == "m4") & (of["reference"] == "not balanced"))
    costs = plain & (of["metric"] == R5) & (of["alpha"] == "0.5")
    assert (of["claimed"] == (costs | ~plain)).all() and of["claimed"].sum() + one.trends["claimed"].sum() == 22


def test_settings_are_counted_as_drawn():
    one = study()
    more = one.runs.loc[(one.runs["method"] == "m4") & (one.runs["alpha"] == 0.5), :].assign(method="m4, proxies on")
    both = Study(pd.concat([one.runs, more]), one.comparisons, one.trends)
    assert both.size == "9 settings (3 methods at 3 α), 2 models each; in its tables alone: m4, proxies on"


def test_variants_of_few_alphas_come_after_those_of_many():
    one = study()
    plain, m4 = (one.runs.loc[one.runs["method"] == name, :] for name in ("not balanced", "m4"))
    more = [plain.loc[plain["alpha"] > 0, :].assign(method="not balanced, oracle"), m4.assign(method="m4, open")]
    lines = Study(pd.concat([one.runs, *more]), one.comparisons, one.trends).lines()
    assert lines == ["not balanced", "random", "m4", "m4, open", "not balanced, oracle"]


def test_position_comes_first_where_the_study_has_it():
    assert place_of(study()) == UNSEEN
    assert place_of(study(portraits_of_seen_of_position=0.2)) == PLACE
    thin = study(portraits_of_seen_of_position=0.2)
    rows = (thin.runs["metric"] == PLACE) & (thin.runs["alpha"] > 0)
    assert place_of(Study(thin.runs.loc[~rows, :], thin.comparisons, thin.trends)) == UNSEEN  # at one α only
    assert quality_of(METRICS, study()) == R5 and bias_of(METRICS, study()) == UNSEEN
    assert biases_of(METRICS, study()) == [UNSEEN, SEEN, RB]


def test_a_position_that_fewer_models_have_is_not_the_one_that_is_shown():
    one = study(portraits_of_seen_of_position=0.2, portraits_of_unseen_of_position=0.2)
    assert place_of(one) == "portraits.unseen.position"
    last = (one.runs["metric"] == "portraits.unseen.position") & (one.runs["alpha"] == 1) & (one.runs["seed"] == 1)
    assert place_of(Study(one.runs.loc[~last, :], one.comparisons, one.trends)) == PLACE


@pytest.mark.parametrize(
    ("alpha", "stands", "near"), [(0.5, "0.5", 0.5), (0.6, "0.5", 0.5), (0.61, "mean", 0.61), (0.05, "0", 0.0)]
)
def test_a_run_is_held_against_the_nearest_alpha_of_the_study(alpha, stands, near):
    one = study()
    more = one.runs.loc[(one.runs["method"] == "not balanced") & (one.runs["alpha"] == 0.5), :].assign(alpha=0.61)
    both = Study(pd.concat([one.runs, more]), one.comparisons, one.trends)  # at .61 nothing is compared
    assert (both.stands(alpha), both.near(alpha)) == (stands, near)
    assert both.told(alpha) == ("mean over α" if stands == "mean" else f"α = {stands}")


def test_a_mean_of_no_cell_is_unknown():
    committed = Study(*(pd.read_csv(COMMITTED / f"{name}.csv") for name in ("runs", "comparisons", "trends")))
    assert math.isnan(committed.mean(R5, "not balanced", 0.45))
    cell = committed.runs.query("metric == @R5 and method == 'm4' and alpha == 0.5")["value"]
    assert committed.mean(R5, "m4", 0.5) == pytest.approx(cell.sum() / 8)
