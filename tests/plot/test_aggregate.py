"""Means over seeds against values computed by hand."""

import math
import statistics

import numpy as np
import pandas as pd
import pytest

from stages.plot.aggregate import by_seed, data_metrics, estimates, groups, pool, summarise
from stages.results.details import Estimate, fold, text

METRICS = {
    0: fold({"a": 1.0, "a.lo": 0.0, "a.hi": 2.0, "b": 5.0}),
    1: fold({"a": 3.0, "a.lo": 1.0, "a.hi": 6.0, "b": 5.0, "c": 7.0}),
}


def row(key, metrics=METRICS):
    return summarise(metrics).set_index("key").loc[key]


def test_mean_and_spread_between_seeds():
    assert row("a")["mean"] == 2 and row("a")["std"] == statistics.stdev([1, 3])


def test_interval_is_the_mean_of_the_seeds_ends():
    assert (row("a")["lo"], row("a")["hi"]) == (0.5, 4)


def test_equal_seeds_have_no_spread():
    assert row("b")["std"] == 0


def test_no_interval_where_no_seed_has_one():
    assert math.isnan(row("b")["lo"])


def test_a_key_of_one_seed_says_so():
    assert row("c")["seeds"] == 1 and row("c")["mean"] == 7 and math.isnan(row("c")["std"])


def test_one_seed_has_no_spread():
    assert math.isnan(row("a", {0: METRICS[0]})["std"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="seed 1: a is not finite"):
        summarise({0: fold({"a": 1.0}), 1: fold({"a": value})})


def test_no_seed_is_refused():
    with pytest.raises(ValueError, match="no seed"):
        summarise({})


def test_details_are_sorted_and_hold_what_is_known():
    found = estimates(summarise(METRICS), {"rb.before": 0.2})
    assert list(found) == ["a", "b", "c", "data.rb.before"]
    assert found["a"] == Estimate(2.0, 0.5, 4.0, math.sqrt(2), 2)
    assert (found["c"].value, found["c"].n, found["data.rb.before"].n) == (7, 1, 1)
    assert text(found).splitlines()[1:-1] == [
        '  "a": {"value": 2.0, "lo": 0.5, "hi": 4.0, "std": 1.4142135623730951, "n": 2},',
        '  "b": {"value": 5.0, "std": 0.0, "n": 2},',
        '  "c": {"value": 7.0, "n": 1},',
        '  "data.rb.before": {"value": 0.2, "n": 1}',
    ]


def test_by_seed_has_every_value_and_no_end():
    table = by_seed(METRICS)
    assert table.to_dict("list") == {
        "metric": ["a", "a", "b", "b", "c"], "seed": [0, 1, 0, 1, 1], "value": [1.0, 3.0, 5.0, 5.0, 7.0],
    }  # fmt: skip


def test_pool_joins_rows_by_name_not_by_place():
    first = pd.DataFrame({"label": ["x", "y"], "n_1": [10, 20], "gap": [1.0, 2.0]})
    second = pd.DataFrame({"label": ["y", "x"], "n_1": [20, 10], "gap": [4.0, 3.0]})
    pooled = pool({0: first, 1: second}, ["label"])
    assert pooled.to_dict("list") == {"label": ["x", "y"], "n_1": [10, 20], "gap": [2.0, 3.0]}
    assert pooled["n_1"].dtype.kind == "i"


def test_pool_keeps_rows_whose_name_is_empty():
    table = pd.DataFrame({"part": [np.nan, "seen"], "value": [1.0, 2.0]})
    assert pool({0: table}, ["part"])["part"].tolist() == ["", "seen"]


def by_group(value, small=False):
    rows = {"set": "people", "direction": "t2i", "k": 5, "attribute": ["", "gender"], "group": ["all", "woman"]}
    return pd.DataFrame(rows | {"n": [9, 4], "value": value, "lo": 0.0, "hi": 1.0, "small": small})


def test_groups_name_the_figure_and_average_it():
    table = groups({"retrieval": {0: by_group([1.0, 2.0]), 1: by_group([3.0, 6.0])}})
    assert table["metric"].tolist() == ["retrieval.t2i.5"] * 2
    assert table["value"].tolist() == [2, 4]
    assert table["std"].tolist() == [statistics.stdev([1, 3]), statistics.stdev([2, 6])]
    assert table["n"].tolist() == [9, 4]
    assert table[["set", "part", "attribute", "group"]].iloc[1].tolist() == ["people", "", "gender", "woman"]


def test_groups_flag_small_ones():
    assert groups({"retrieval": {0: by_group([1.0, 2.0], [False, True])}})["small"].tolist() == [0, 1]


def test_groups_leave_out_other_tables():
    other = pd.DataFrame({"label": ["judge"], "gap": [0.1]})
    assert groups({"association": {0: other}}).empty
    assert len(groups({"association": {0: other}, "retrieval": {0: by_group([1.0, 2.0])}})) == 2


def test_data_metrics_are_named_before_and_after():
    balance = {"eta": 0.9, "method": "m4", "balanced": True, "before": {"rb": 0.2}, "realised": {"rb": 0.01}}
    assert data_metrics(balance | {"groups": {"x": 1}}) == {"eta": 0.9, "rb.before": 0.2, "rb.realised": 0.01}
