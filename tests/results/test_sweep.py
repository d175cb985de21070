"""What a sweep is said to show, by hand."""

import numpy as np
import pandas as pd

from stages.results.sweep import head, sentence, sentences, standing_out, tables, verdict, with_images
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
    assert second.startswith("Against not balanced, m4 lowers association bias · portraits · unseen by 0.2")
    assert "random" not in second


def test_nothing_clear_is_said_so():
    assert sentences(*said(study({"m4": 0.0}, contamination=0.0)), [KEY]) == [
        "Contamination alone, from α = 0 to 1, changes nothing clearly."
    ]


def test_tables_hold_effect_interval_and_verdict():
    first, second = tables(*said(study({"m4": -0.2, "random": 0.0}, 8), [KEY]), [KEY])
    assert first.splitlines()[:4] == [
        "### Contamination: change from α = 0 to 1", "", "| metric | not balanced | m4 | random |", "|---|---|---|---|"
    ]  # fmt: skip
    name, m4, random = (cell.strip() for cell in second.splitlines()[4].strip("|").split("|"))
    assert name == "association bias · portraits · unseen ↓"
    assert m4.startswith("−0.") and m4.endswith("] better (p = 0.0078)")
    assert "] not clear (p = " in random


def test_effects_that_differ_by_alpha_are_written_one_by_one():
    table = study({"m4": 0.0}, 8)
    moved = {0.0: -0.3, 0.5: -0.2, 1.0: 0.0}
    table["value"] += [moved[a] if m == "m4" else 0.0 for a, m in zip(table["alpha"], table["method"], strict=True)]
    (_, text) = tables(*said(table), [KEY])
    assert "| differs by α: −0." in text and " at 0, −0." in text and " at 0.5, " in text


def test_verdicts_need_interval_and_test():
    assert verdict(row()) == "better" and verdict(row(difference=0.1, lo=0.05, hi=0.15)) == "worse"
    assert verdict(row(hi=0.05)) == "not clear" and verdict(row(p_holm=0.2)) == "not clear"
    assert verdict(row(p_holm=0.03)) == "better"
    assert verdict(row(p_holm=1.0, replicates=3)) == "better"  # three cannot be tested: the interval alone
    assert verdict(row(difference=0.0, lo=0.0, hi=0.0)) == "equal"
    assert verdict(row(metric="portraits.seen.self_similarity")) == "lower"
    assert verdict(row(lo=np.nan, hi=np.nan)) == "not clear"
    assert verdict(row(replicates=2)) == "not clear, too few replicates"
    assert verdict(row(images=64)) == "not clear, too few images" and verdict(row(images=640)) == "better"


def sized(table, n):
    sizes = [table.iloc[:1].assign(metric=f"n.{name}", value=value) for name, value in n.items()]
    return [with_images(found, pd.concat([table, *sizes])) for found in said(table)]


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
    assert with_images(effects, table)["images"].fillna(-1).tolist() == [900, 400, -1]


def test_the_title_of_a_chart_says_what_contamination_and_m4_do():
    comparisons, changes = said(study({"m4": -0.2}, contamination=0.1))
    title = sentence(KEY, comparisons, changes)
    assert title.startswith("Association bias rises with contamination, 0.") and title.endswith("; m4 lowers it")
    comparisons, changes = said(study({"m4": 0.0}, contamination=0.0))
    assert sentence(KEY, comparisons, changes) == (
        "Contamination does not clearly change association bias, nor does m4"
    )
