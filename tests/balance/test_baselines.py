"""The baselines: what each leaves and removes."""

from dataclasses import replace

import numpy as np
import pytest

from stages.balance.baselines import solve_stochastically, weigh
from stages.balance.feasibility import largest_eta
from stages.balance.moments import Cells, association, build_problem, representation, target_shares
from stages.balance.problem import Problem, Solution
from stages.balance.settings import Sgd
from stages.balance.solver import solve
from tests.helpers.problems import random_cells, random_problem

ATTRIBUTES = ("attribute0", "attribute1")


@pytest.fixture(scope="module")
def cells() -> Cells:
    return random_cells(2, rows=1000, labels=5, single=True)


@pytest.fixture(scope="module")
def problem(cells: Cells) -> Problem:
    stated = build_problem(cells, target_shares(cells, dict.fromkeys(ATTRIBUTES, "equal")), 0.0, 0.0, 1.0, 1.0)
    return replace(stated, eta=0.9 * largest_eta(stated))


def weighed(method, problem: Problem, cells: Cells) -> Solution:
    return weigh(method, problem, cells, ATTRIBUTES, "known", Sgd(), seed=0)


def test_none_keeps_every_row(problem: Problem, cells: Cells) -> None:
    assert np.all(weighed("none", problem, cells).q == 1)


@pytest.mark.parametrize("method", ["random", "reweighing", "m4_sgd", "m4"])
def test_all_others_keep_the_same_share(method: str, problem: Problem, cells: Cells) -> None:
    assert problem.share @ weighed(method, problem, cells).q == pytest.approx(problem.eta, abs=1e-9)


def test_random_leaves_the_bias_where_it_was(problem: Problem, cells: Cells) -> None:
    weight = cells.count * weighed("random", problem, cells).q
    assert association(cells, weight) == pytest.approx(association(cells, cells.count))
    assert representation(cells, weight) == pytest.approx(representation(cells, cells.count))


def test_reweighing_by_hand() -> None:
    # 6 of 8 women and 2 of 8 men are named judge: P(s) P(y) / P(s, y) = (½ ½) / (6/16) = 2/3, or (½ ½) / (2/16) = 2
    sensitive = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    labels = np.array([[1], [0], [1], [0]], bool)
    groups = (("gender", "woman"), ("gender", "man"))
    cells = Cells(sensitive, labels, np.ones(4), np.array([6, 2, 2, 6]), groups, ("judge",))
    problem = build_problem(cells, target_shares(cells, {"gender": "equal"}), 0.0, 0.0, 0.5, 1.0)
    q = weigh("reweighing", problem, cells, ["gender"], "known", Sgd(), 0).q
    assert q == pytest.approx(0.5 * np.array([2 / 3, 2, 2, 2 / 3]))


def test_reweighing_removes_association_and_leaves_representation(cells: Cells, problem: Problem) -> None:
    single = [k for k, (attribute, _) in enumerate(cells.groups) if attribute == "attribute0"]
    q = weigh("reweighing", problem, cells, ["attribute0"], "known", Sgd(), 0).q
    assert association(cells, cells.count * q)[single] == pytest.approx(np.zeros((2, 5)), abs=1e-12)
    assert representation(cells, cells.count * q)[single] == pytest.approx(representation(cells, cells.count)[single])


def test_reweighing_without_attributes_is_random(problem: Problem, cells: Cells) -> None:
    q = weigh("reweighing", problem, cells, [], "known", Sgd(), 0).q
    assert q == pytest.approx(np.full(len(q), problem.eta))


@pytest.mark.parametrize("seed", range(5))
def test_stochastic_update_brackets_the_optimum(seed: int) -> None:
    problem = replace(random_problem(seed), penalty=1.0)
    exact, stochastic = solve(problem), solve_stochastically(problem, Sgd(passes=3), seed)
    assert stochastic.dual is not None
    assert stochastic.dual <= exact.primal * (1 + 1e-8)
    assert stochastic.primal >= exact.primal * (1 - 1e-8)


def test_stochastic_update_approaches_the_optimum(problem: Problem) -> None:
    optimum = solve(problem).primal
    short, long = (solve_stochastically(problem, Sgd(passes=passes, batch_size=8)).primal for passes in (1, 20))
    assert optimum <= long < short
    assert long < 2 * optimum


def test_stochastic_update_depends_on_its_seed_only(problem: Problem) -> None:
    first, again, other = (solve_stochastically(problem, Sgd(), seed).q for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
