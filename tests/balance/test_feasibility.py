"""The largest share that can be kept, and what is violated beyond it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from stages.balance.feasibility import largest_eta, violations
from stages.balance.problem import Problem
from stages.balance.solver import solve
from tests.helpers.problems import random_problem


def test_largest_eta_by_hand() -> None:
    # P(s) = .8 and E_q[s] = ½: all of the other .2, and as much of s
    a = sparse.csr_array([[-0.5], [0.5]])
    assert largest_eta(Problem(np.array([20, 80]), np.ones(2), a, ("s",), np.zeros(1), 0.1, 1.0)) == pytest.approx(0.4)


def test_tolerance_raises_it() -> None:
    # E_q[s] ≤ .6: .2 / .4
    a = sparse.csr_array([[-0.5], [0.5]])
    problem = Problem(np.array([20, 80]), np.ones(2), a, ("s",), np.array([0.1]), 0.1, 1.0)
    assert largest_eta(problem) == pytest.approx(0.5)


def test_without_constraints_everything_is_kept() -> None:
    problem = Problem(np.array([2]), np.ones(1), sparse.csr_array((1, 0)), (), np.zeros(0), 0.1, 1.0)
    assert largest_eta(problem) == 1


def test_only_nothing_meets_a_constant_attribute() -> None:
    problem = Problem(np.array([2]), np.ones(1), sparse.csr_array([[0.5]]), ("s",), np.zeros(1), 0.1, 1.0)
    assert largest_eta(problem) == pytest.approx(0)


@pytest.mark.parametrize("seed", range(20))
def test_it_separates_feasible_from_infeasible(seed: int) -> None:
    problem = replace(random_problem(seed), penalty=1e3)
    largest = largest_eta(problem)
    if 0.02 < largest < 0.98:
        below = replace(problem, eta=largest * 0.999)
        above = replace(problem, eta=largest * 1.01)
        assert below.excess(solve(below).q).max() <= 1e-8
        assert above.excess(solve(above).q).max() > 1e-6


def test_violations_are_named_and_ordered() -> None:
    a = sparse.csr_array([[-0.5, 0.1, 0.0], [0.5, 0.1, 0.02]])
    problem = Problem(np.array([50, 50]), np.ones(2), a, ("s", "t", "r"), np.full(3, 0.03), 0.5, 1.0)
    found = violations(problem, np.array([0.25, 0.75]))
    assert [name for name, *_ in found] == ["s", "t"]
    assert found[0][1:] == pytest.approx((0.25, 0.03))
