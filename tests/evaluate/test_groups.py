"""Groups, intersections, means with intervals, gaps: hand-computed cases and fairlearn as the oracle."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame

from stages.evaluate.groups import means, partition


def people():
    return pd.DataFrame(
        {
            "gender": ["woman", "man", "woman", "man", ""],
            "skin_tone": ["lighter", "lighter", "darker", "", "darker"],
            "age": [""] * 5,
        }
    )


def test_partition_single_and_crossed():
    groups = {
        (g.attribute, g.value): g.members.nonzero()[0].tolist() for g in partition(people(), ["gender", "skin_tone"])
    }
    assert groups == {
        ("gender", "man"): [1, 3],
        ("gender", "woman"): [0, 2],
        ("skin_tone", "darker"): [2, 4],
        ("skin_tone", "lighter"): [0, 1],
        ("gender x skin_tone", "man x lighter"): [1],
        ("gender x skin_tone", "woman x darker"): [2],
        ("gender x skin_tone", "woman x lighter"): [0],
    }


def test_attribute_without_values_makes_no_groups():
    assert {g.attribute for g in partition(people(), ["gender", "age", "ethnicity"])} == {"gender"}


def test_depth_limits_the_crossing():
    assert {g.attribute for g in partition(people(), ["gender", "skin_tone"], depth=1)} == {"gender", "skin_tone"}


def test_means_gap_and_worst_by_hand():
    groups = partition(people(), ["gender"])
    figures = means([1, 0, 1, 1, 0], groups, min_n=1, draws=50)
    table = figures.table.set_index("group")
    assert table["value"].to_dict() == pytest.approx({"all": 0.6, "man": 0.5, "woman": 1.0})
    assert table["n"].to_dict() == {"all": 5, "man": 2, "woman": 2}
    row = figures.spread.iloc[0]
    assert (row["attribute"], row["group"]) == ("gender", "man")
    assert (row["gap"], row["worst"]) == pytest.approx((0.5, 0.5))


def test_worst_is_the_highest_where_lower_is_better():
    figures = means([1, 0, 1, 1, 0], partition(people(), ["gender"]), min_n=1, draws=5, higher_is_better=False)
    assert figures.spread.iloc[0]["group"] == "woman"


def test_equal_to_fairlearn():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"gender": rng.choice(["woman", "man"], 400), "age": rng.choice(["a", "b", "c"], 400)})
    hit = rng.integers(0, 2, 400)
    figures = means(hit, partition(table, ["gender", "age"]), min_n=1, draws=5)
    for attribute, columns in {"gender": ["gender"], "age": ["age"], "gender x age": ["gender", "age"]}.items():
        frame = MetricFrame(
            metrics=lambda y_true, y_pred: float(np.mean(y_pred)),
            y_true=hit,
            y_pred=hit,
            sensitive_features=table[columns],
        )
        row = figures.spread.set_index("attribute").loc[attribute]
        assert row["gap"] == pytest.approx(frame.difference(method="between_groups"), abs=1e-12)
        assert row["worst"] == pytest.approx(frame.group_min(), abs=1e-12)


def test_several_queries_an_image_are_weighted_by_query():
    figures = means([2, 0, 1], [], count=[4, 1, 1], draws=5)
    assert figures.table["value"].tolist() == pytest.approx([3 / 6])


def test_small_groups_are_flagged_and_kept_out_of_the_gap():
    table = pd.DataFrame({"gender": ["woman"] * 40 + ["man"] * 40 + ["person"] * 2})
    values = [1.0] * 40 + [0.5] * 40 + [0.0] * 2
    figures = means(values, partition(table, ["gender"]), min_n=30, draws=5)
    small = figures.table.set_index("group")["small"]
    assert small.to_dict() == {"all": False, "man": False, "person": True, "woman": False}
    assert figures.spread.iloc[0][["gap", "group"]].tolist() == [0.5, "man"]


def test_group_of_one_image_has_a_value_and_a_point_interval():
    figures = means([1, 0, 1, 1, 0], partition(people(), ["gender", "skin_tone"]), min_n=1)
    row = figures.table[figures.table["group"] == "woman x darker"].iloc[0]
    assert (row["n"], row["value"], row["lo"], row["hi"]) == (1, 1, 1, 1)


def test_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        row = means(rng.random(150) < 0.3, [], draws=300, seed=trial).table.iloc[0]
        covered += row["lo"] <= 0.3 <= row["hi"]
    assert 180 <= covered <= 199  # binomial(200, .95): 190 ± 3.2 × 3


def test_nan_is_refused():
    with pytest.raises(ValueError, match="1 of 2 values are not finite"):
        means([1, np.nan], [])
