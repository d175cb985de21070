"""From weights to rows: floors and ceilings, order, repetition, and what survives of the moments."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from stages.balance.feasibility import largest_eta
from stages.balance.moments import build_problem, target_shares
from stages.balance.problem import Problem
from stages.balance.selection import allot, leave_room
from stages.balance.solver import solve
from tests.helpers.problems import random_cells


def plain(count: list[int]) -> Problem:
    n = len(count)
    return Problem(np.array(count), np.ones(n), sparse.csr_array((n, 0)), (), np.zeros(0), 0.5, 1.0)


def balanced(seed: int, tolerance: float, rows: int = 3000) -> tuple[Problem, np.ndarray]:
    """State the problem at its largest η with half a row of room, as the stage does; return it with the weights."""
    cells = random_cells(seed, rows, labels=8, single=True)
    shares = target_shares(cells, {"attribute0": "equal", "attribute1": "equal"})
    stated = build_problem(cells, shares, tolerance, tolerance, 1.0, 100.0)
    roomy = leave_room(replace(stated, eta=largest_eta(stated)))
    eta = largest_eta(roomy) * (1 - 1e-6)
    return replace(stated, eta=eta), solve(replace(roomy, eta=eta)).q


def test_running_totals_are_rounded() -> None:
    assert allot(plain([10, 10, 10, 10]), np.full(4, 0.25)).rows.tolist() == [3, 2, 3, 2]


def test_whole_cells_are_taken_whole() -> None:
    assert allot(plain([4, 5, 6]), np.array([1.0, 0.0, 1.0])).rows.tolist() == [4, 0, 6]


def test_cells_of_one_row_keep_their_share() -> None:
    assert allot(plain([1] * 1000), np.full(1000, 0.3)).rows.sum() == 300


def test_weights_above_one_repeat_rows() -> None:
    found = allot(plain([4, 10]), np.array([2.5, 0.2]))
    assert (found.rows.tolist(), found.copies.tolist(), found.extra.tolist()) == ([4, 2], [2, 1], [2, 0])
    assert found.total.tolist() == [10, 2]
    assert found.squares.tolist() == [2 * 4 + 2 * 9, 2]


def test_repeating_restores_the_size_in_the_same_proportions() -> None:
    found = allot(plain([10, 10]), np.array([1.0, 0.25]), "repeat")
    assert found.total.tolist() == [16, 4]
    assert found.rows.tolist() == [10, 3]
    assert (found.copies.tolist(), found.extra.tolist()) == ([1, 1], [6, 1])


def test_repeating_everything_changes_nothing() -> None:
    found = allot(plain([3, 4]), np.ones(2), "repeat")
    assert found.total.tolist() == [3, 4]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(0, 1000))
def test_each_cell_gives_floor_or_ceiling_and_each_run_its_expectation(count: list[int], seed: int) -> None:
    q = np.random.default_rng(seed).random(len(count))
    rows = allot(plain(count), q).rows
    expected = np.array(count) * q
    assert np.all((rows >= np.floor(expected)) & (rows <= np.ceil(expected)))
    assert np.abs(np.cumsum(rows - expected)).max() <= 0.5 + 1e-9


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(0, 1000))
def test_larger_weights_select_what_smaller_ones_do_up_to_a_row(count: list[int], seed: int) -> None:
    q = np.random.default_rng(seed).random(len(count))
    assert np.all(allot(plain(count), q).rows >= allot(plain(count), 0.9 * q).rows - 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(0, 1000))
def test_an_epoch_with_repetition_is_as_long_as_before(count: list[int], seed: int) -> None:
    q = np.random.default_rng(seed).uniform(0.1, 1, len(count))
    found = allot(plain(count), q, "repeat")
    assert found.total.sum() == sum(count) or found.rows.sum() == 0
    assert np.all(found.rows <= np.array(count))
    assert np.all((found.rows > 0) == (found.total > 0))
    assert np.all(found.extra < np.maximum(found.rows, 1))


@pytest.mark.parametrize("compensate", ["none", "repeat"])
@pytest.mark.parametrize("tolerance", [0.003, 0.001])
@pytest.mark.parametrize("seed", range(4))
def test_whole_rows_keep_the_tolerances_that_weights_keep(seed: int, tolerance: float, compensate) -> None:
    problem, q = balanced(seed, tolerance)
    total = allot(problem, q, compensate).total
    moment = problem.matrix.T @ total / total.sum()
    assert np.abs(moment).max() <= tolerance + 1e-8
    assert total.sum() / (problem.count.sum() * (problem.eta if compensate == "none" else 1)) == pytest.approx(
        1, abs=0.01
    )


@pytest.mark.parametrize("seed", range(4))
def test_rounding_alone_moves_a_moment_by_a_few_rows_at_most(seed: int) -> None:
    problem, q = balanced(seed, 0.003)
    loose = replace(problem, tolerance=np.ones(len(problem.names)))
    rows = allot(loose, q).rows
    miss = problem.matrix.T @ (rows - problem.count * q)
    assert np.abs(miss).max() < 4


def excess(problem: Problem, expected: np.ndarray, total: np.ndarray) -> float:
    """Add up the squares of how far the moments that the weights keep exceed their tolerances."""
    over = [np.abs(problem.matrix.T @ rows) / rows.sum() - problem.tolerance for rows in (expected, total)]
    return float((np.maximum(np.where(over[0] <= 1e-9, over[1] - 1e-9, 0.0), 0.0) ** 2).sum())


@pytest.mark.parametrize("seed", range(6))
def test_no_swap_of_two_rows_would_bring_what_was_allotted_nearer_to_the_tolerances(seed: int) -> None:
    problem, q = balanced(seed, 0.01, rows=100)  # so few that whole rows cannot keep them all
    expected, total = problem.count * q, allot(problem, q).rows
    rounded = np.diff(np.floor(np.cumsum(expected) + 0.5).astype(int), prepend=0)
    reached = excess(problem, expected, total)
    assert reached < excess(problem, expected, rounded) and total.sum() == rounded.sum()
    more = np.flatnonzero(total < np.minimum(np.floor(expected + 1 + 1e-9), problem.count))
    less = np.flatnonzero(total > np.ceil(expected - 1 - 1e-9))
    swapped = [total + np.eye(len(q), dtype=int)[i] - np.eye(len(q), dtype=int)[j] for i in more for j in less]
    assert min(excess(problem, expected, other) for other in swapped) >= reached - 1e-12


def test_constraints_that_weights_break_are_left_alone() -> None:
    cells = random_cells(1, single=True)
    problem = build_problem(cells, target_shares(cells, {"attribute0": "equal"}), 0.0, 0.0, 0.5, 100.0)
    free = Problem(cells.count, cells.utility, sparse.csr_array((len(cells.count), 0)), (), np.zeros(0), 0.5, 1.0)
    q = np.full(len(cells.count), 0.5)
    assert allot(problem, q).rows.tolist() == allot(free, q).rows.tolist()


def test_room_is_half_a_row() -> None:
    problem = replace(balanced(0, 0.003)[0], eta=0.25)
    assert leave_room(problem).tolerance == pytest.approx(0.003 - 0.5 / 750)
