"""Tables and summary of what changed, and the figure."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stages.balance.figure import heat_map
from stages.balance.moments import Cells, association
from stages.balance.report import Weighting, bias, group_table, origin_table, pair_table, readable, strongest, summary
from tests.helpers.problems import random_cells

SENSITIVE = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]], bool)
LABELS = np.array([[1, 0], [0, 0], [1, 0], [0, 0], [0, 0]], bool)
CELLS = Cells(
    SENSITIVE,
    LABELS,
    np.ones(5),
    np.array([3, 1, 1, 3, 2]),
    (("gender", "woman"), ("gender", "man")),
    ("y_occupation_judge", "y_proxy_baby"),
)
BEFORE = Weighting("before", CELLS.count.astype(float), 1.0)
AFTER = Weighting("realised", np.array([1.0, 1, 1, 1, 2]), 0.5)
SHARES = {"gender": {"woman": 0.5, "man": 0.5}}


def test_pairs_by_hand() -> None:
    table = pair_table(CELLS, [BEFORE, AFTER], "known")
    judge = table[table["label"] == "y_occupation_judge"]
    assert judge["n"].tolist() == [3, 1]
    assert judge["n_label"].tolist() == [4, 4]
    assert judge["before"].tolist() == pytest.approx([0.5, -0.5])
    assert judge["realised"].tolist() == pytest.approx([0, 0])


def test_groups_by_hand() -> None:
    table = group_table(CELLS, {"gender": {"woman": 0.25, "man": 0.75}}, [BEFORE])
    assert table["n"].tolist() == [4, 4]
    assert table["target"].tolist() == pytest.approx([0.2, 0.6])
    assert table["before"].tolist() == pytest.approx([0.4, 0.4])
    summed = bias(table, pair_table(CELLS, [BEFORE], "known"), BEFORE)
    assert summed == pytest.approx({"rb": 0.2, "ab": 0.5, "ab_mean": 0.25, "effective_share": 1.0})


def test_attributes_without_a_target_are_compared_with_equal_shares() -> None:
    cells = random_cells(0)
    table = group_table(cells, {}, [Weighting("before", cells.count.astype(float), 1.0)])
    assert table["balanced"].tolist() == [False] * 4
    assert table["target"][0] == pytest.approx(table["target"][1])


def test_bias_is_that_of_the_balanced_attributes() -> None:
    cells = random_cells(0)
    before = Weighting("before", cells.count.astype(float), 1.0)
    tables = (
        group_table(cells, {"attribute1": {"first": 0.5, "second": 0.5}}, [before]),
        pair_table(cells, [before], "known"),
    )
    size = np.abs(association(cells, cells.count))
    assert bias(*tables, before)["ab"] == pytest.approx(size[2:].max())


def test_shares_and_associations_by_origin_by_hand() -> None:
    """Of 10 rows, 3 are generated, of women who are judges; the others are known not to be."""
    assert origin_table(CELLS, [BEFORE], "known") is None
    made = np.array([[1, 0], [0, 1], [0, 1], [0, 1], [0, 1]], bool)
    groups = (*CELLS.groups, ("synthetic", "true"), ("synthetic", "false"))
    cells = replace(CELLS, sensitive=np.hstack([SENSITIVE, made]), groups=groups)
    nobody = Weighting("realised", np.array([0.0, 1, 1, 1, 2]), 0.5)
    found = origin_table(cells, [BEFORE, nobody], "known")
    assert found is not None
    assert found["synthetic"].tolist() == ["true", "true", "false", "false", "", ""]
    assert found["n"].tolist() == [3, 0, 1, 4, 0, 0]
    assert found["before"].tolist()[:4] == pytest.approx([1, 0, 1 / 7, 4 / 7])
    assert found["before_association"].tolist()[2:4] == pytest.approx([0.25, 0.25])  # a man of 4 is a judge, no woman
    assert found["before_association"].isna().tolist() == [True, True, False, False, True, True]
    assert found["realised"].isna().tolist() == [True, True, False, False, True, True]
    assert found["realised"].tolist()[2:4] == pytest.approx([0.2, 0.4])


def test_strongest_lists_mirrored_groups_once() -> None:
    found = strongest(pair_table(CELLS, [BEFORE, AFTER], "known"), "before")
    assert [(row["label"], row["group"]) for row in found] == [
        ("y_occupation_judge", "woman"),
        ("y_proxy_baby", "woman"),
    ]


def test_summary_is_json_without_nan() -> None:
    cells = random_cells(1)
    empty = Weighting("realised", np.where(cells.sensitive[:, 0], 0.0, 1.0), 0.5)
    before = Weighting("before", cells.count.astype(float), 1.0)
    tables = group_table(cells, {}, [before, empty]), pair_table(cells, [before, empty], "known")
    assert np.isnan(tables[1]["realised"].to_numpy()).any()
    content = summary(*tables, [before, empty], {"alpha": 0.3})
    assert json.loads(json.dumps(content, allow_nan=False))["alpha"] == 0.3
    assert len(content["strongest"]["before"]) == 10


@pytest.mark.parametrize(
    ("column", "words"),
    [("y_occupation_police_officer", "police officer"), ("y_proxy_baby", "proxy: baby"), ("y_kitchen", "kitchen")],
)
def test_readable(column: str, words: str) -> None:
    assert readable(column) == words


def test_figure_has_every_pair_on_one_scale() -> None:
    figure = heat_map(pair_table(CELLS, [BEFORE, AFTER], "known"), "before", "realised", "title")
    panels = [axes for axes in figure.axes if axes.images]
    assert [panel.images[0].get_size() for panel in panels] == [(2, 2), (2, 2)]
    assert panels[0].images[0].get_clim() == panels[1].images[0].get_clim() == (-0.5, 0.5)
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["judge", "proxy: baby"]


def test_figure_of_empty_pairs() -> None:
    nothing = Weighting("before", np.array([0.0, 0, 0, 0, 1]), 1.0)
    figure = heat_map(pair_table(CELLS, [nothing], "known"), "before", "before", "title")
    figure.canvas.draw()
