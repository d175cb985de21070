"""Moments by hand, targets, and the constraints that they state."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stages.balance.feasibility import largest_eta
from stages.balance.moments import (
    Cells,
    association,
    build_problem,
    effective_share,
    merge,
    population_shares,
    representation,
    shares_of_table,
    target_shares,
    with_intersections,
)
from stages.balance.solver import solve
from stages.core.errors import InputError
from tests.helpers.problems import random_cells

# rows: 4 women of whom 3 are named judge, 4 men of whom 1 is, 2 pictures of objects
SENSITIVE = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]], bool)
LABELS = np.array([[1], [0], [1], [0], [0]], bool)
COUNT = np.array([3, 1, 1, 3, 2])
GROUPS = (("gender", "woman"), ("gender", "man"))


@pytest.fixture
def judges() -> Cells:
    return Cells(SENSITIVE, LABELS, np.ones(5), COUNT, GROUPS, ("judge",))


def test_representation_by_hand(judges: Cells) -> None:
    assert representation(judges, judges.count) == pytest.approx([0.4, 0.4])


def test_association_among_rows_that_show_a_group(judges: Cells) -> None:
    assert association(judges, judges.count) == pytest.approx(np.array([[0.5], [-0.5]]))


def test_association_among_all_rows_counts_objects_as_outside(judges: Cells) -> None:
    # P(judge | woman) = 3/4 against 1/6 of the others; P(judge | man) = 1/4 against 3/6
    assert association(judges, judges.count, "all") == pytest.approx(np.array([[3 / 4 - 1 / 6], [1 / 4 - 1 / 2]]))


def test_association_without_the_other_side_is_nan(judges: Cells) -> None:
    assert np.isnan(association(judges, np.array([1.0, 1, 0, 0, 1]))).all()


def test_association_under_weights(judges: Cells) -> None:
    assert association(judges, judges.count / np.array([3, 1, 1, 3, 1])) == pytest.approx(np.zeros((2, 1)))


def test_equal_target_shares_the_total_of_the_groups(judges: Cells) -> None:
    moved = replace(judges, count=np.array([5, 1, 1, 1, 2]))
    assert representation(moved, moved.count) == pytest.approx([0.6, 0.2])
    assert population_shares(moved, target_shares(moved, {"gender": "equal"})) == pytest.approx([0.4, 0.4])


def test_explicit_target_is_a_share_of_the_total_of_the_groups(judges: Cells) -> None:
    shares = target_shares(judges, {"gender": {"man": 0.75, "woman": 0.25}})
    assert population_shares(judges, shares) == pytest.approx([0.2, 0.6])


def test_observed_target_keeps_the_shares(judges: Cells) -> None:
    moved = replace(judges, count=np.array([5, 1, 1, 1, 2]))
    assert population_shares(moved, target_shares(moved, {"gender": "observed"})) == pytest.approx([0.6, 0.2])
    nobody = replace(judges, sensitive=np.zeros_like(judges.sensitive))
    assert target_shares(nobody, {"gender": "observed"})["gender"] == {"woman": 0.5, "man": 0.5}


@pytest.mark.parametrize(
    ("goal", "message"),
    [({"woman": 0.5, "men": 0.5}, "expected the groups woman, man"), ({"woman": 0.5, "man": 0.6}, "sum to 1.1")],
)
def test_target_that_does_not_fit(judges: Cells, goal: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        target_shares(judges, {"gender": goal})


def test_marginals_of_a_census() -> None:
    table = pd.DataFrame(
        {"gender": ["woman", "man", "woman", ""], "age": list("abcd"), "count": ["10", "60", "30", "9"]}
    )
    assert shares_of_table(table, ["gender"]) == {"gender": {"man": 0.6, "woman": 0.4}}


def test_marginals_without_counts_weigh_rows_alike() -> None:
    assert shares_of_table(pd.DataFrame({"gender": ["woman", "man", "man", "man"]}), ["gender"]) == {
        "gender": {"man": 0.75, "woman": 0.25}
    }


def test_marginals_may_be_shares_and_hold_a_group_of_nobody() -> None:
    table = pd.DataFrame({"gender": ["woman", "man", "other"], "count": ["0.1", "0.3", "0"]})
    assert shares_of_table(table, ["gender"])["gender"] == pytest.approx({"man": 0.75, "woman": 0.25, "other": 0})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sex": ["woman"]}, "no column gender"),
        ({"gender": [""]}, "no group with a count above 0"),
        ({"gender": ["nan", " "]}, "no group with a count above 0"),
        ({"gender": ["woman", "man"], "count": ["3", "many"]}, "row 2: column count: found 'many', expected a finite"),
        ({"gender": ["woman", "man"], "count": ["-3", "1"]}, "row 1: column count: found '-3', expected a finite num"),
        ({"gender": ["woman"], "count": ["inf"]}, "row 1: column count: found 'inf', expected a finite number ≥ 0"),
        ({"gender": ["woman"], "count": [""]}, "row 1: column count: found '', expected a finite number ≥ 0"),
    ],
)
def test_marginals_that_are_missing(table: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        shares_of_table(pd.DataFrame(table), ["gender"])


def test_constraints_are_the_moments(judges: Cells) -> None:
    problem = build_problem(judges, target_shares(judges, {"gender": "equal"}), 0.02, 0.01, 0.5, 10.0)
    assert problem.names == ("gender:woman ~ judge", "gender:man ~ judge", "gender:woman", "gender:man")
    assert problem.tolerance == pytest.approx([0.01, 0.01, 0.02, 0.02])
    # E[(s − ½κ) y]: 3 · ½ − 1 · ½ over 10 rows; both groups have their target
    assert problem.residual(np.ones(5)) == pytest.approx([0.1, -0.1, 0, 0])


def test_constraints_over_all_rows_are_the_papers(judges: Cells) -> None:
    problem = build_problem(judges, target_shares(judges, {"gender": "equal"}), None, 0.01, 0.5, 10.0, scope="all")
    assert problem.residual(np.ones(5)) == pytest.approx([(3 * 0.6 - 1 * 0.4) / 10, (1 * 0.6 - 3 * 0.4) / 10])


def test_untargeted_attributes_are_free() -> None:
    cells = random_cells(0)
    problem = build_problem(cells, target_shares(cells, {"attribute1": "equal"}), 0.0, None, 0.5, 10.0)
    assert problem.names == ("attribute1:first", "attribute1:second")


def test_no_target_no_constraints() -> None:
    cells = random_cells(0)
    assert build_problem(cells, {}, 0.0, 0.0, 0.5, 10.0).matrix.shape == (len(cells.count), 0)


def test_intersections_are_pairs_of_groups_with_products_of_shares() -> None:
    cells = random_cells(0)
    shares = target_shares(cells, {"attribute0": "equal", "attribute1": {"first": 0.2, "second": 0.8}})
    crossed, targets = with_intersections(cells, shares)
    assert crossed.groups[4:] == tuple(
        ("attribute0×attribute1", pair) for pair in ("first×first", "first×second", "second×first", "second×second")
    )
    assert np.array_equal(crossed.sensitive[:, 5], cells.sensitive[:, 0] & cells.sensitive[:, 3])
    assert list(targets["attribute0×attribute1"].values()) == pytest.approx([0.1, 0.4, 0.1, 0.4])


def test_counts_of_parts_add_up() -> None:
    whole = random_cells(3)
    half = whole.count // 2
    parts = [replace(whole, count=half + 1), replace(whole, count=whole.count - half)]
    order = np.random.default_rng(0).permutation(len(whole.count))
    parts[1] = replace(
        whole,
        sensitive=whole.sensitive[order],
        labels=whole.labels[order],
        utility=whole.utility[order],
        count=parts[1].count[order],
    )
    together = merge(parts)
    assert len(together.count) == len(whole.count)
    assert together.count.sum() == whole.count.sum() + len(whole.count)
    assert association(together, together.count) == pytest.approx(association(whole, whole.count + 1.0))
    assert together.utility @ together.count == pytest.approx(whole.utility @ (whole.count + 1.0))


def test_parts_with_other_labels_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="different"):
        merge([random_cells(0, labels=2), random_cells(0, labels=3)])


def test_effective_share() -> None:
    assert effective_share(np.array([2, 3]), np.array([0.4, 0.4])) == pytest.approx(1)
    assert effective_share(np.array([5, 5]), np.array([1.0, 0.0])) == pytest.approx(0.5)


def test_attributes_of_any_number_of_groups_reach_their_targets_and_so_do_their_intersections() -> None:
    rng, n = np.random.default_rng(0), 4000
    age, gender = rng.choice(4, n, p=[0.5, 0.25, 0.15, 0.1]), rng.choice(3, n, p=[0.45, 0.35, 0.2])  # last: unknown
    named = rng.random((n, 3)) < np.array([[0.1, 0.3, 0.5], [0.3, 0.2, 0.2], [0.5, 0.1, 0.1], [0.2, 0.2, 0.2]])[age]
    rows = np.hstack([age[:, None] == range(3), gender[:, None] == range(2), named])
    distinct, count = np.unique(rows, axis=0, return_counts=True)
    groups = (("age", "child"), ("age", "adult"), ("age", "senior"), ("gender", "woman"), ("gender", "man"))
    cells = Cells(distinct[:, :5], distinct[:, 5:], np.ones(len(count)), count, groups, ("y_a", "y_b", "y_c"))
    wanted = {"child": 0.2, "adult": 0.5, "senior": 0.3}
    cells, shares = with_intersections(cells, target_shares(cells, {"age": wanted, "gender": "equal"}))
    assert len(cells.groups) == 5 + 6 and sum(shares["age×gender"].values()) == pytest.approx(1)
    problem = build_problem(cells, shares, 1e-6, 1e-6, 1.0, 100.0)
    q = solve(replace(problem, eta=0.9 * largest_eta(problem))).q
    found = dict(zip(cells.groups, representation(cells, cells.count * q), strict=True))
    for attribute, of in shares.items():
        total = sum(found[attribute, group] for group in of)
        assert {group: found[attribute, group] / total for group in of} == pytest.approx(of, abs=1e-4)
    assert np.abs(association(cells, cells.count * q)).max() < 1e-3
