"""Self-similarity: closed forms against brute force, the loop, and the exact bootstrap."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from stages.evaluate import bootstrap, similarity
from stages.evaluate.features import unit
from stages.evaluate.groups import Group, partition


def features(n=40, width=8, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(n, width)) + 1)


def test_three_vectors_by_hand():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    # cosines: 0, .6, .8
    assert similarity.without_replacement(rows) == pytest.approx(1.4 / 3)
    assert similarity.with_replacement(rows) == pytest.approx((3 + 2 * 1.4) / 9)


def test_without_replacement_is_the_mean_over_distinct_pairs():
    rows = features()
    brute = np.mean([rows[i] @ rows[j] for i, j in combinations(range(len(rows)), 2)])
    assert similarity.without_replacement(rows) == pytest.approx(brute, abs=1e-12)


def test_with_replacement_is_the_mean_over_all_ordered_pairs():
    rows = features()
    assert similarity.with_replacement(rows) == pytest.approx((rows @ rows.T).mean(), abs=1e-12)


def test_one_image_has_no_pair():
    assert np.isnan(similarity.without_replacement(features(1)))
    assert similarity.with_replacement(features(1)) == pytest.approx(1)


def test_empty_group_is_undefined():
    empty = np.empty((0, 4))
    assert np.isnan(similarity.with_replacement(empty))
    assert np.isnan(similarity.without_replacement(empty))


def test_equal_images_are_fully_similar():
    assert similarity.without_replacement(np.tile([[0.6, 0.8]], (5, 1))) == pytest.approx(1)


def test_table_is_relative_to_the_mean_of_the_attribute():
    rows = features(60)
    groups = partition(pd.DataFrame({"gender": ["woman"] * 20 + ["man"] * 40}), ["gender"])
    table = similarity.by_group(rows, groups, draws=20, min_n=30).table.set_index("group")
    assert table["relative"].mean() == pytest.approx(100)
    assert table["small"].to_dict() == {"man": False, "woman": True}
    assert table.loc["woman", "value"] == pytest.approx(similarity.without_replacement(rows[:20]))
    assert (table["lo"] < table["value"]).all()
    assert (table["value"] < table["hi"]).all()


def test_first_order_interval_agrees_with_the_exact_bootstrap():
    rows = features(400, 16)
    group = Group("all", "all", np.ones(400, bool))
    row = similarity.by_group(rows, [group], draws=4000).table.iloc[0]
    counts = np.concatenate(list(bootstrap.resamples(400, 4000, 9)))
    exact = ((counts @ rows / counts.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
    exact -= (1 - exact) / 399  # the bias of ‖m*‖² as an estimate of the mean over distinct pairs …
    exact -= (1 - row["value"]) / 400  # … and that of resampling, which repeats images
    low, high = bootstrap.interval(exact)
    width = high - low
    assert row["hi"] - row["lo"] == pytest.approx(float(width), rel=0.06)
    assert row["lo"] == pytest.approx(float(low), abs=0.06 * float(width))


def test_two_images_are_one_pair():
    rows = np.array([[1.0, 0.0], [0.6, 0.8]])
    assert similarity.without_replacement(rows) == pytest.approx(0.6)


def test_a_group_of_two_has_a_value_and_one_of_one_has_none():
    rows = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    members = {"two": [True, True, False], "one": [False, False, True], "none": [False] * 3}
    groups = [Group("a", name, np.array(of)) for name, of in members.items()]
    table = similarity.by_group(rows, groups, draws=50).table.set_index("group")
    assert table["value"].to_dict() == pytest.approx({"two": 0.6, "one": np.nan, "none": np.nan}, nan_ok=True)
    assert table["published"].to_dict() == pytest.approx({"two": 0.8, "one": 1.0, "none": np.nan}, nan_ok=True)
    assert table["lo"].notna().to_dict() == {"two": True, "one": False, "none": False}


def test_a_group_of_exactly_thirty_is_large_enough_and_the_most_alike_is_the_worst():
    alike = unit(np.random.default_rng(0).normal(size=(30, 8)) + 5)
    groups = partition(pd.DataFrame({"gender": ["woman"] * 30 + ["man"] * 40}), ["gender"])
    found = similarity.by_group(np.concatenate([alike, features()]), groups, draws=50)
    assert not found.table["small"].any() and found.spread["group"].tolist() == ["woman"]


def test_an_interval_is_longer_on_the_side_where_images_stand_out():
    """38 images alike and two opposite ones: draws with more of them are far less alike."""
    rows = np.repeat([[1.0, 0.0], [-1.0, 0.0]], [38, 2], axis=0)
    row = similarity.by_group(rows, [Group("all", "all", np.ones(40, bool))], draws=2000).table.iloc[0]
    assert row["value"] - row["lo"] > 1.3 * (row["hi"] - row["value"]) > 0


def test_sums_of_groups_are_those_of_their_rows_over_blocks(monkeypatch):
    monkeypatch.setattr(similarity, "BLOCK", 7)
    rows, members = features(), np.arange(40) % 3 == 0
    sums = similarity.group_sums(rows, [Group("a", "b", members), Group("a", "c", ~members)])
    assert sums == pytest.approx(np.array([rows[members].sum(axis=0), rows[~members].sum(axis=0)]))
