"""The table of published and corrected figures: each defect alone, by hand."""

import numpy as np
import pandas as pd
import pytest

from stages.evaluate import comparison, published
from stages.evaluate.features import unit
from stages.evaluate.groups import partition


def people(n=60):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"gender": np.array(["woman", "man"])[np.arange(n) % 2]})
    images = rng.normal(size=(n, 8)) * rng.uniform(0.2, 5, size=(n, 1)) + 0.5
    return partition(table, ["gender"]), images, images + rng.normal(size=(n, 8))


def test_retrieval_defects_by_hand():
    images, texts = np.array([[1.0, 0.0], [5.0, 5.0]]), np.eye(2)
    train_mode = images[::-1]  # the defect exchanges the two
    table = comparison.retrieval_table(images, train_mode, texts, np.array([0, 1]), []).set_index("metric")
    row = table.loc["t2i.r1"]
    # a: the long feature wins both captions; e: each caption finds the other image, and (½, ½) ties with nothing
    assert row[["corrected", "only_a"]].tolist() == [100, 50]
    assert row["only_ef"] == 0
    assert row["difference"] == row["as_published"] - 100


def test_without_defects_all_columns_are_equal():
    groups, images, _ = people()
    images = unit(images)
    table = comparison.retrieval_table(images, images, images, np.arange(len(images)), groups)
    assert (table["difference"] == 0).all()
    assert (table["corrected"] == 100).all()
    assert table["n"].tolist() == [60, 30, 30] * 3


def test_persons_columns_are_what_they_say():
    groups, images, train_mode = people()
    prompts = {"gender": unit(np.random.default_rng(1).normal(size=(3, 8)))}
    table = comparison.persons_table(images, train_mode, prompts, groups, 50)
    similar = table[table["metric"] == "self_similarity"].set_index("group")
    loops = [published.self_similarity_loop(unit(features), groups, 50) for features in (train_mode, images)]
    assert similar.loc["woman", "as_published"] == loops[0]["gender", "woman"]
    assert similar.loc["woman", "only_d"] == loops[1]["gender", "woman"]
    # the closed forms stand for the limits of the loops
    assert similar["only_d"].to_numpy() == pytest.approx(similar["corrected"].to_numpy(), abs=0.1)
    prefer = table[table["metric"] == "person_preference"].set_index("group")
    assert prefer["only_d"].to_numpy() == pytest.approx(prefer["corrected"].to_numpy())  # equal groups: exact
    assert set(prefer.index) == {"woman", "man"}
