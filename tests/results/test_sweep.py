"""What a sweep is said to show, by hand."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from stages.results.details import Estimate
from stages.results.sweep import (
    Own,
    differs,
    head,
    order,
    overview,
    panels,
    sentence,
    sentences,
    standing_out,
    tables,
    with_evidence,
)
from stages.tools.compare.differences import compare, trends

KEY, PLAIN = "portraits.unseen.ab.max", "not balanced"


def study(effects, replicates=3, alphas=(0.0, 0.5, 1.0), contamination=0.1):
    rng = np.random.default_rng(0)
    shared = rng.normal(0.5, 0.1, replicates)
    rows = [
        (f"{method}-{alpha}", alpha, method, seed, KEY, shared[seed] + contamination * alpha + effect + noise)
        for method, effect in {PLAIN: 0.0, **effects}.items()
        for alpha in alphas
        for seed, noise in enumerate(rng.normal(0, 0.002, replicates))
    ]
    return pd.DataFrame(rows, columns=["run", "alpha", "method", "seed", "metric", "value"])


def said(table, primary=()):
    return compare(table, [PLAIN], primary), trends(table, primary)


def row(**more):
    return {"metric": KEY, "difference": -0.1, "lo": -0.15, "hi": -0.05, "p_holm": np.nan, "replicates": 8, **more}


def test_three_replicates_are_said_to_tell_nothing_by_tests():
    text = head(study({"m4": -0.2}), [KEY])
    assert text.startswith("6 runs: 3 α, 2 lines, 3 replicates each. No p of 3 replicates is below 0.25")


def test_eight_replicates_are_tested():
    assert "Tests: sign flips over replicates, Holm over the 1 metric" in head(study({"m4": -0.2}, 8), [KEY])
    assert "nothing is tested" in head(study({"m4": -0.2}, 8), [])


def test_sentences_name_clear_effects_with_their_intervals():
    first, second = sentences(*said(study({"m4": -0.2, "random": 0.0})), [KEY])
    assert first.startswith("Contamination alone, from α = 0 to 1, raises association bias · portraits · unseen by 0.")
    assert second.startswith(
        "Against not balanced (means over α), m4 lowers association bias · portraits · unseen by 0.2"
    )
    assert "random" not in second


def test_nothing_clear_is_said_so():
    assert sentences(*said(study({"m4": 0.0}, contamination=0.0)), [KEY]) == [
        "Contamination alone, from α = 0 to 1, has no effect that is shown."
    ]


def test_tables_hold_effect_interval_and_verdict():
    first, second = tables(*said(study({"m4": -0.2, "random": 0.0}, 8), [KEY]), [KEY])
    assert first.splitlines()[:4] == [
        "### Contamination: change from α = 0 to 1", "", "| metric | not balanced | m4 | random |", "|---|---|---|---|"
    ]  # fmt: skip
    name, m4, random = (cell.strip() for cell in second.splitlines()[4].strip("|").split("|"))
    assert name == "association bias · portraits · unseen ↓"
    assert m4.startswith("−0.") and m4.endswith("] better (p = 0.0078)")
    assert "] not shown (p = " in random


def test_effects_that_differ_by_alpha_are_written_one_by_one():
    table = study({"m4": 0.0}, 8)
    moved = {0.0: -0.3, 0.5: -0.2, 1.0: 0.0}
    table["value"] += [moved[a] if m == "m4" else 0.0 for a, m in zip(table["alpha"], table["method"], strict=True)]
    (_, text) = tables(*said(table), [KEY])
    assert re.search(r"\| −0\.\d+, −0\.\d+, [−+]0\.\d+ at α = 0, 0\.5, 1: better at α = 0 and 0\.5[ ,]", text)


def test_an_effect_at_one_alpha_of_a_tested_metric_needs_the_test_of_the_mean():
    """Six replicates and two metrics: no corrected p is below 2 · 2/2⁶ = .06, whatever the intervals say."""
    table = study({"m4": -0.2}, 6)
    moved = {0.0: -0.3, 0.5: -0.2, 1.0: 0.0}
    table["value"] += [moved[a] if m == "m4" else 0.0 for a, m in zip(table["alpha"], table["method"], strict=True)]
    other = table.assign(metric="portraits.seen.ab.max")
    both = pd.concat([table, other], ignore_index=True)
    for keys, where in (([KEY], "better at"), ([KEY, "portraits.seen.ab.max"], "not shown (p = 0.062)")):
        comparisons, changes = (with_evidence(found, both) for found in said(both, keys))
        cell = tables(comparisons, changes, [KEY])[1].splitlines()[-1]
        assert " at α = 0, 0.5, 1: " in cell and where in cell


def sized(table, n):
    sizes = [table.iloc[:1].assign(metric=f"n.{name}", value=value) for name, value in n.items()]
    return [with_evidence(found, pd.concat([table, *sizes])) for found in said(table)]


def test_the_clearest_effects_open_and_name_their_size():
    text = standing_out(*sized(study({"m4": -0.2, "random": 0.0}), {"portraits": 500}), [KEY])
    lines = text.splitlines()
    assert lines[0] == "One effect stands out:"
    assert lines[2].startswith("1. Against not balanced, m4 lowers association bias · portraits · unseen by 0.2")


def test_a_difference_on_64_images_is_no_effect():
    assert standing_out(*sized(study({"m4": -0.2}), {"portraits": 64, "people": 900}), [KEY]) == (
        "No effect stands out: 64 test images cannot tell one from noise."
    )


def test_a_difference_of_two_replicates_is_no_effect():
    assert standing_out(*sized(study({"m4": -0.2}, 2), {"portraits": 640}), [KEY]) == (
        "No effect stands out: 2 replicates cannot tell one from noise."
    )


def test_images_are_those_of_the_set_or_of_the_smallest_one():
    table = pd.DataFrame({"metric": ["n.people", "n.objects", "n.objects.classes"], "value": [900.0, 400.0, 20.0]})
    effects = pd.DataFrame({"metric": ["people.t2i.r5", "rb.gender", "text.pairwise_association"]})
    assert with_evidence(effects, table)["images"].fillna(-1).tolist() == [900, 400, -1]


@pytest.mark.parametrize(
    ("effects", "contamination", "title"),
    [
        ({"random": 0.0, "m4": -0.2}, 0.1, " rises with contamination; m4 is better than random rows at every α"),
        ({"random": 0.0, "m4": 0.2}, -0.1, " falls with contamination; m4 is worse than random rows at every α"),
        ({"random": -0.2, "m4": -0.2}, 0.0,
         ": with contamination, not shown; m4 is lower than random rows at 2 of 3 α, none shown"),
        ({"m4": -0.2}, 0.1, " rises with contamination; m4 is better than not balanced at every α"),
        ({"sgd": -0.2}, 0.1, " rises with contamination; sgd is better than not balanced at every α"),
    ],
)  # fmt: skip
def test_the_title_of_a_chart_says_what_contamination_and_a_method_do(effects, contamination, title):
    table = study(effects, 8, contamination=contamination)
    references = [name for name in (PLAIN, "random") if name == PLAIN or name in effects]
    found = sentence(KEY, compare(table, references), trends(table))
    assert re.sub(r", 0\.\d+ to 0\.\d+;", ";", re.sub(r" 0\.\d+ to 0\.\d+ ", " ", found)) == f"Association bias{title}"


def test_a_title_names_the_alphas_of_an_effect_and_both_its_sides():
    table = study({"random": 0.0, "m4": 0.0}, 8)
    moved = {0.0: -0.3, 0.5: 0.0, 1.0: 0.3}
    table["value"] += [moved[a] if m == "m4" else 0.0 for a, m in zip(table["alpha"], table["method"], strict=True)]
    said = sentence(KEY, compare(table, ["random"]), trends(table))
    assert said.endswith("; m4 is better than random rows at α = 0, worse than random rows at α = 1")


def test_an_effect_of_the_mean_alone_is_said_to_be_one():
    rows = [row(method="m4", reference="random", alpha=alpha, lo=lo) | {"hi": hi}
            for alpha, lo, hi in (("0", -0.3, 0.1), ("1", -0.3, 0.1), ("mean", -0.15, -0.05))]  # fmt: skip
    assert differs(KEY, pd.DataFrame(rows), "m4", "random") == (
        "m4 is better than random rows on average over α, at no single α"
    )


def test_what_random_rows_do_as_well_does_not_stand_out_for_a_method():
    table = study({"random": -0.2, "m4": -0.2}, contamination=0.0)
    text = standing_out(compare(table, [PLAIN, "random"]), trends(table), [KEY])
    assert text.startswith("One effect stands out:") and "Against not balanced, random lowers" in text
    assert "m4" not in text


def test_the_overview_has_a_row_a_metric_and_a_column_a_question():
    table = study({"random": 0.1, "m4": -0.2}, 8)
    lines = overview(compare(table, [PLAIN, "random"]), trends(table), [KEY]).splitlines()
    assert lines[0] == (
        "| metric | contamination, not balanced, α = 0 to 1 | m4 against random | random against not balanced | "
        "m4 against not balanced |"
    )
    name, moved, choice, fewer, both = (cell.strip() for cell in lines[2].strip("|").split("|"))
    assert name == "association bias · portraits · unseen ↓" and len(lines) == 3
    assert moved.endswith("] worse") and choice.endswith("] better") and fewer.endswith("] worse")
    assert both.startswith(("−0.2", "−0.199")) and both.endswith("] better")


def test_chance_is_that_of_the_run_that_is_marked_or_else_the_mean_of_the_runs():
    table = study({"m4": -0.2})
    null = table.assign(metric="portraits.unseen.ab.null", value=0.02)
    own = Own(0.5, "m4", {KEY: Estimate(0.3), "portraits.unseen.ab.null": Estimate(0.05)})
    levels = []
    for run in (None, own):
        axes = Figure(layout="constrained").add_subplot()
        panels(pd.concat([table, null]), [KEY], own=run)[0].draw(axes)
        assert [text.get_text() for text in axes.texts].count("chance") == 1
        levels += [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    assert levels == [pytest.approx(0.02), 0.05]


def test_variants_of_a_method_come_after_all_methods():
    assert sorted(["m4, proxies on", "other", "m4", "random, η .25", "random", PLAIN], key=order) == [
        PLAIN, "random", "m4", "other", "random, η .25", "m4, proxies on"
    ]  # fmt: skip


def test_without_random_rows_the_overview_asks_less():
    table = study({"m4": -0.2}, 8)
    assert overview(compare(table, [PLAIN]), trends(table), [KEY]).count("against") == 1
