"""The exact solver against an independent one, by hand, and by its invariants."""

from dataclasses import replace

import numpy as np
import pytest
from empirical_calibration import core as calibration
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from stages.balance.feasibility import largest_eta
from stages.balance.moments import association, build_problem, population_shares, target_shares
from stages.balance.problem import Problem
from stages.balance.solver import UncertifiedError, solve
from tests.helpers.clarabel import clarabel
from tests.helpers.problems import random_cells, random_problem

SEEDS = st.integers(0, 10_000)


def one_attribute(
    count: list[int], eta: float, target: float, tolerance: float = 0.0, penalty: float = 10.0
) -> Problem:
    """Rows without and with s, and the constraint E_q[s] = target."""
    a = sparse.csr_array(np.array([[0.0 - target], [1.0 - target]]))
    return Problem(np.array(count), np.ones(2), a, ("s",), np.array([tolerance]), eta, penalty)


@pytest.mark.parametrize("first", range(0, 220, 10))
def test_agrees_with_clarabel(first: int) -> None:
    for seed in range(first, first + 10):
        problem = random_problem(seed)
        ours = solve(problem)
        q, objective = clarabel(problem)
        assert abs(ours.primal - objective) <= 1e-7 * max(objective, problem.floor), seed
        assert np.abs(ours.q - q).max() <= 1e-4, seed


def test_random_problems_are_feasible_and_infeasible() -> None:
    feasible = [p.eta <= largest_eta(p) for p in map(random_problem, range(60))]
    assert 0.1 < np.mean(feasible) < 0.9


@pytest.mark.parametrize("first", range(1000, 1200, 50))
def test_every_result_is_certified_and_feasible(first: int) -> None:
    for seed in range(first, first + 50):
        problem = random_problem(seed)
        ours = solve(problem)
        assert ours.relative_gap is not None and -1e-12 <= ours.relative_gap <= 1e-8
        assert ours.q.min() >= 0 and ours.q.max() <= 1
        assert problem.share @ ours.q == pytest.approx(problem.eta, abs=1e-12)


def test_dual_is_the_lagrangian_dual() -> None:
    problem = random_problem(7)
    ours = solve(problem)
    assert ours.multiplier is not None and ours.offset is not None
    z = problem.eta * problem.utility - problem.matrix @ ours.multiplier - ours.offset
    conjugate = np.where(z < 0, 0, np.where(z <= 1, z**2 / 2, z - 0.5))
    dual = 0.5 * problem.eta**2 * (problem.share @ problem.utility**2) - problem.share @ conjugate
    dual -= ours.offset * problem.eta + problem.eta * problem.tolerance @ np.abs(ours.multiplier)
    assert ours.dual == pytest.approx(dual, rel=1e-9)


def test_two_rows_by_hand() -> None:
    # E_q[s] = ½ with P(s) = .8 needs .8 q₁ = .2 q₀, and η = .8 q₁ + .2 q₀ = .2: q₁ = .125, q₀ = .5
    assert solve(one_attribute([20, 80], eta=0.2, target=0.5)).q == pytest.approx([0.5, 0.125], abs=1e-9)


def test_two_rows_with_tolerance_by_hand() -> None:
    # the nearest point to q = η lies on the edge of the band: E_q[s] = .6, so .8 q₁ = .6 η
    assert solve(one_attribute([20, 80], 0.2, 0.5, tolerance=0.1)).q == pytest.approx([0.4, 0.15], abs=1e-9)


def test_infeasible_two_rows_keep_the_rare_one_whole() -> None:
    # η = .6 allows q₀ = 1 at most, so .8 q₁ = .4; the violation E_q = (.4 − .2)/.6 − … stays in the objective
    ours = solve(one_attribute([20, 80], eta=0.6, target=0.5))
    assert ours.q == pytest.approx([1, 0.5], abs=1e-9)
    assert ours.primal == pytest.approx(0.5 * (0.2 * 0.4**2 + 0.8 * 0.1**2) + 10 * 0.1, rel=1e-9)


def test_low_price_leaves_the_violation() -> None:
    # min ½E(q − η)² + V|r| with V so small that moving is not worth it: q = η − w a, w = V
    ours = solve(one_attribute([50, 50], eta=0.5, target=0.25, penalty=0.01))
    # a − E[a] = ∓½, so q = ½ ± ½ · .01
    assert ours.q == pytest.approx([0.505, 0.495], abs=1e-9)
    assert ours.multiplier == pytest.approx([0.01], rel=1e-9)


def test_one_row() -> None:
    problem = Problem(np.array([7]), np.ones(1), sparse.csr_array([[0.3]]), ("s",), np.zeros(1), 0.4, 5.0)
    assert solve(problem).q == pytest.approx([0.4])


def test_no_constraints_returns_the_utility() -> None:
    problem = Problem(np.array([1, 3]), np.array([2.5, 0.5]), sparse.csr_array((2, 0)), (), np.zeros(0), 0.3, 5.0)
    assert solve(problem).q == pytest.approx([0.75, 0.15], abs=1e-7)


def test_utility_above_the_cap_is_clipped_and_the_rest_shifted() -> None:
    problem = Problem(np.array([1, 3]), np.array([3.4, 0.2]), sparse.csr_array((2, 0)), (), np.zeros(0), 0.5, 5.0)
    assert solve(problem).q == pytest.approx([1, 1 / 3], abs=1e-6)


def test_keeping_everything_is_exact() -> None:
    problem = replace(random_problem(3), eta=1.0)
    ours = solve(problem)
    assert np.all(ours.q == 1)
    assert ours.relative_gap == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("case", ["all rows equal", "empty", "constant", "collinear", "one group only", "every label"])
def test_degenerate_data(case: str) -> None:
    cells = random_cells(5, labels=4)
    sensitive, labels = cells.sensitive.copy(), cells.labels.copy()
    if case == "all rows equal":
        sensitive[:], labels[:] = sensitive[0], labels[0]
    elif case == "empty":
        sensitive[:, :2] = False
    elif case == "constant":
        sensitive[:, 0], sensitive[:, 1] = True, False
    elif case == "collinear":
        sensitive[:, 2:], labels[:, 1] = sensitive[:, :2], labels[:, 0]
    elif case == "one group only":
        labels[:, 0] &= sensitive[:, 0]
    else:
        labels[:, 0] = True
    cells = replace(cells, sensitive=sensitive, labels=labels)
    shares = target_shares(cells, {"attribute0": "equal", "attribute1": "equal"})
    for tolerance in (0.0, 0.01):
        for eta in (0.2, 0.9):
            problem = build_problem(cells, shares, tolerance, tolerance, eta, 100.0)
            _, objective = clarabel(problem)
            assert solve(problem).primal == pytest.approx(objective, rel=1e-6, abs=1e-9)


def test_label_of_one_group_only_is_dropped_at_zero_tolerance() -> None:
    cells = random_cells(5, labels=3)
    labels = cells.labels.copy()
    labels[:, 0] &= cells.sensitive[:, 0]
    cells = replace(cells, labels=labels)
    problem = build_problem(cells, target_shares(cells, {"attribute0": "observed"}), 0.0, 0.0, 0.2, 100.0)
    assert solve(problem).q[labels[:, 0]] == pytest.approx(0, abs=1e-6)


def test_unreachable_certificate_is_an_error() -> None:
    with pytest.raises(UncertifiedError, match="relative duality gap"):
        solve(random_problem(1), tolerance=-1.0)


def test_certificate_rejects_weights_out_of_bounds() -> None:
    problem = one_attribute([20, 80], eta=0.2, target=0.5)
    assert problem.gap(np.array([1.0, 0.0]), np.zeros(1), 0.0) < np.inf
    assert problem.gap(np.array([1.2, -0.05]), np.zeros(1), 0.0) == np.inf
    assert problem.gap(np.array([0.5, 0.125]), np.array([11.0]), 0.0) == np.inf
    assert problem.gap(np.array([0.5, 0.2]), np.zeros(1), 0.0) == np.inf


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_order_of_rows_does_not_matter(seed: int) -> None:
    problem = random_problem(seed)
    order = np.random.default_rng(seed).permutation(len(problem.count))
    moved = replace(problem, count=problem.count[order], utility=problem.utility[order], matrix=problem.matrix[order])
    assert solve(moved).q == pytest.approx(solve(problem).q[order], abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_splitting_a_distinct_row_does_not_matter(seed: int) -> None:
    problem = random_problem(seed)
    counts = problem.count * 2
    index = np.arange(len(counts)).repeat(2)
    part = np.column_stack([counts - problem.count // 2, problem.count // 2]).ravel()
    index, part = index[part > 0], part[part > 0]
    split = replace(problem, count=part, utility=problem.utility[index], matrix=problem.matrix[index])
    assert solve(split).q == pytest.approx(solve(problem).q[index], abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_price_beyond_the_multipliers_changes_nothing(seed: int) -> None:
    problem = random_problem(seed)
    feasible = replace(problem, eta=0.5 * largest_eta(problem) + 1e-3, penalty=1e3)
    ours = solve(feasible)
    if feasible.eta > 2e-3 and ours.multiplier is not None and np.abs(ours.multiplier).max() < 500:
        assert feasible.excess(ours.q).max() <= 1e-9
        assert solve(replace(feasible, penalty=2e3)).q == pytest.approx(ours.q, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_loose_tolerance_returns_the_clipped_utility(seed: int) -> None:
    problem = random_problem(seed)
    loose = replace(problem, tolerance=np.full(len(problem.names), 10.0), eta=0.5)
    if problem.utility.max() <= 2:  # then η u ≤ 1 has mean η
        assert solve(loose).q == pytest.approx(0.5 * problem.utility, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_larger_tolerance_never_costs_more(seed: int) -> None:
    problem = random_problem(seed)
    wider = replace(problem, tolerance=problem.tolerance + 0.01)
    assert solve(wider).primal <= solve(problem).primal * (1 + 1e-8) + 1e-12


@pytest.mark.parametrize("seed", range(8))
def test_zero_tolerance_is_empirical_calibration(seed: int) -> None:
    """Without tolerance and utilities M4 is quadratic calibration of a to 0 (Wang et al., 2019)."""
    cells = random_cells(seed, rows=400, attributes=1, labels=3)
    problem = build_problem(cells, target_shares(cells, {"attribute0": "equal"}), 0.0, 0.0, 1.0, 1e4)
    problem = replace(problem, eta=0.8 * largest_eta(problem))
    rows = problem.matrix.toarray()[np.arange(len(cells.count)).repeat(cells.count)]
    independent = rows[:, [0, 1, 2, 6, 7]]  # the second group's pairs mirror the first's
    weights, success = calibration.calibrate(
        independent,
        np.zeros((1, 5)),
        objective=calibration.Objective.QUADRATIC,
        max_weight=1 / (problem.eta * len(rows)),
    )
    assert success
    ours = solve(problem).q.repeat(cells.count)
    assert ours == pytest.approx(weights * problem.eta * len(rows), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_association_is_the_moment_over_the_variance(seed: int) -> None:
    """AB = |E_q[(s − π κ/ρ) y]| / (ρ p (1 − p)) where E_q[s] = π: the identity of the module docstring of moments."""
    cells = random_cells(seed)
    shares = target_shares(cells, {"attribute0": "equal", "attribute1": {"first": 0.3, "second": 0.7}})
    problem = build_problem(cells, shares, 0.0, 0.004, 1.0, 1e4)
    problem = replace(problem, eta=0.9 * largest_eta(problem))
    q = solve(problem).q
    target, known = population_shares(cells, shares), cells.scope("known").T @ problem.share
    within = target / known
    moment = problem.residual(q)[: 4 * 6].reshape(4, 6) / problem.eta
    predicted = np.abs(moment) / (known * within * (1 - within))[:, None]
    measured = np.abs(association(cells, cells.count * q))
    assert predicted == pytest.approx(measured, abs=1e-7)
    assert measured.max() > 1e-3
