"""Weights of candidates, of which a key takes one at most: against an independent solver, by hand, by invariants."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse

from stages.balance.caps import Together
from stages.balance.feasibility import largest_eta
from stages.balance.problem import Problem
from stages.balance.solver import solve
from tests.helpers.clarabel import clarabel, parts
from tests.helpers.problems import random_problem


def with_keys(seed: int) -> Problem:
    """A random problem whose rows are the candidates of keys: 1 to 4 a key, up to η at the cap."""
    problem, rng = random_problem(seed), np.random.default_rng(seed)
    rows = len(problem.count)
    key = np.repeat(np.arange(rows), rng.integers(1, 5, rows))[:rows]
    eta = {0: 1.0, 1: 0.9999}.get(seed % 5, problem.eta)
    return replace(problem, key=np.unique(rng.permutation(key) if seed % 2 else key, return_inverse=True)[1], eta=eta)


@pytest.mark.parametrize("first", range(0, 120, 10))
def test_agrees_with_clarabel(first: int) -> None:
    for seed in range(first, first + 10):
        problem = with_keys(seed)
        ours = solve(problem)
        q, objective = clarabel(problem)
        assert abs(ours.primal - objective) <= 1e-6 * max(objective, problem.floor), seed
        assert np.abs(ours.q - q).max() <= 1e-3, seed


@pytest.mark.parametrize("first", range(200, 300, 25))
def test_every_result_is_certified_and_takes_one_candidate_a_key(first: int) -> None:
    for seed in range(first, first + 25):
        problem = with_keys(seed)
        ours = solve(problem)
        assert ours.relative_gap is not None and -1e-9 <= ours.relative_gap <= 1e-8
        assert ours.q.min() >= 0 and (parts(problem) @ ours.q).max() <= 1 + 1e-12
        assert problem.share @ ours.q == pytest.approx(problem.eta, abs=1e-12)


def test_the_caps_bind_and_let_single_candidates_exceed_one() -> None:
    weights = [solve(with_keys(seed)) for seed in range(20)]
    assert max(solution.q.max() for solution in weights) > 1.5
    assert any(np.isclose(parts(with_keys(seed)) @ weights[seed].q, 1).mean() > 0.1 for seed in range(20))


def test_keys_of_one_candidate_are_rows() -> None:
    for seed in range(300, 320):
        problem = random_problem(seed)
        alone, together = solve(problem), solve(replace(problem, key=np.arange(len(problem.count))))
        assert together.q == pytest.approx(alone.q, abs=1e-6)
        assert together.primal == pytest.approx(alone.primal, abs=1e-9 * max(alone.primal, problem.floor))


def test_candidates_that_are_alike_act_as_one() -> None:
    for seed in range(320, 335):
        problem = random_problem(seed)
        rows = np.repeat(np.arange(len(problem.count)), 3)
        split = Problem(
            problem.count[rows] / 3, problem.utility[rows], sparse.csr_array(problem.matrix.toarray()[rows]),
            problem.names, problem.tolerance, problem.eta, problem.penalty, key=rows,
        )  # fmt: skip
        assert solve(split).q == pytest.approx(solve(problem).q[rows], abs=1e-6)
        assert largest_eta(split) == pytest.approx(largest_eta(problem), abs=1e-7)


def one_kind(eta: float) -> Problem:
    """Every key has four candidates, one of which shows s; half of the data shall show it."""
    a = sparse.csr_array(np.array([[0.5], [-0.5]]))
    return Problem(np.array([25, 75]), np.ones(2), a, ("s",), np.zeros(1), eta, 10.0, key=np.zeros(2, int))


def test_one_key_by_hand() -> None:
    # ¼ q₁ = ¾ q₀ = ½ η
    assert solve(one_kind(0.5)).q == pytest.approx([1, 1 / 3], abs=1e-9)
    assert solve(one_kind(1.0)).q == pytest.approx([2, 2 / 3], abs=1e-9)


def test_a_choice_between_candidates_costs_no_rows() -> None:
    assert largest_eta(one_kind(0.5)) == pytest.approx(1)
    assert largest_eta(replace(one_kind(0.5), key=None)) == pytest.approx(0.5)


def test_the_largest_eta_is_that_of_clarabel() -> None:
    for seed in range(400, 430):
        problem = with_keys(seed)
        q = cp.Variable(len(problem.count), nonneg=True)
        moment, eta = sparse.csr_array(problem.matrix.T * problem.share) @ q, problem.share @ q
        band = problem.tolerance * eta
        limits = [moment <= band, -moment <= band, parts(problem) @ q <= 1]
        statement = cp.Problem(cp.Maximize(eta), limits)
        statement.solve(solver=cp.CLARABEL)
        assert isinstance(statement.value, float)
        assert largest_eta(problem) == pytest.approx(statement.value, abs=1e-5), seed


def test_the_projection_is_that_of_clarabel() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        key = np.sort(np.append(np.arange(4), rng.integers(0, 4, 8)))
        share, z = rng.dirichlet(np.ones(12)), rng.normal(0.5, 1.5, 12)
        found = Together(share, key).nearest(z, 1.0)
        q = cp.Variable(12, nonneg=True)
        total = np.bincount(key, share)
        limits = [sparse.csr_array((share / total[key], (key, np.arange(12)))) @ q <= 1]
        cp.Problem(cp.Minimize(cp.sum(cp.multiply(share, cp.square(q - z)))), limits).solve(solver=cp.CLARABEL)
        assert found == pytest.approx(q.value, abs=1e-4)
