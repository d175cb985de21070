"""What a sweep is said to show, by hand."""

import numpy as np
import pandas as pd

from stages.results.sweep import head, sentences, tables, verdict
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
