"""What the exact solver is compared with, in one interface: a problem in, a solution out.

``none`` keeps every row. ``random`` keeps the same share η of every kind of row: the control for having less data.
``reweighing`` makes s and y independent (Kamiran & Calders, Knowl. Inf. Syst. 33, 2012, section 4.2 [S]).
``m4_sgd`` is the stochastic update of arXiv 2403.04547 [S/D], whose exact counterpart is `stages.balance.solver`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy import optimize

from stages.balance.moments import Cells, Scope
from stages.balance.problem import Problem, Solution, Vector, certified
from stages.balance.settings import Sgd
from stages.balance.solver import solve

Method = Literal["none", "random", "reweighing", "m4_sgd", "m4"]


def weigh(
    method: Method, problem: Problem, cells: Cells, attributes: Sequence[str], scope: Scope, sgd: Sgd, seed: int
) -> Solution:
    """
    Weigh the distinct rows.

    Parameters
    ----------
    attributes : sequence of str
        Those that are balanced; `reweighing` needs them.
    scope : {"known", "all"}
        Rows among which `reweighing` makes s and y independent.
    """
    if method == "none":
        return keep_all(problem)
    if method == "random":
        return keep_alike(problem)
    if method == "reweighing":
        return reweigh(problem, cells, attributes, scope)
    if method == "m4_sgd":
        return solve_stochastically(problem, sgd, seed)
    return solve(problem)


def keep_all(problem: Problem) -> Solution:
    """Keep every row, q = Q: no balancing; its objective is that of η = Q."""
    q = np.full(len(problem.count), problem.cap)
    return Solution("none", q, replace(problem, eta=problem.cap).objective(q))


def keep_alike(problem: Problem) -> Solution:
    """Keep the share η of every distinct row."""
    q = np.full(len(problem.count), problem.eta)
    return Solution("random", q, problem.objective(q))


def reweigh(problem: Problem, cells: Cells, attributes: Sequence[str], scope: Scope) -> Solution:
    """
    Weigh by P(s) P(y) / P(s, y), scaled to mean η; over-represented pairs get less than η, others may repeat (q > 1).

    Parameters
    ----------
    cells : Cells
        The same rows; s are the groups of `attributes`, y all labels, and each distinct vector is a class.
    attributes : sequence of str
        Those that become independent of the labels.
    scope : {"known", "all"}
        Whether the probabilities are those among rows that show some group of the same attributes, or among all rows.
    """
    columns = np.concatenate([np.empty(0, int), *(cells.columns(name) for name in attributes)])
    shown = _classes(cells.scope(scope)[:, columns])
    s = _classes(np.column_stack([shown, cells.sensitive[:, columns]]))
    y = _classes(np.column_stack([shown, cells.labels]))
    joint, p = _classes(np.column_stack([s, y])), problem.share
    of_shown, of_s, of_y, of_joint = (np.bincount(index, p)[index] for index in (shown, s, y, joint))
    weight = of_s * of_y / (of_shown * of_joint)
    q = problem.eta * weight / (p @ weight)
    return Solution("reweighing", q, problem.objective(q))


def _classes(rows: np.ndarray) -> np.ndarray:
    """Number the distinct rows of a matrix, (N,)."""
    return np.unique(rows, axis=0, return_inverse=True)[1].ravel() if rows.shape[1] else np.zeros(len(rows), int)


def solve_stochastically(problem: Problem, sgd: Sgd, seed: int = 0) -> Solution:
    """
    Run the paper's update over rows in random order.

    For a batch with means ⟨·⟩, step t and τ = τ0/√t: q = clip(η u − aᵀ(v⁺ − v⁻) − μ, 0, Q);
    v± ← clip(v± + τ(±⟨q a⟩ − η ε), 0, V); μ ← μ + τ(⟨q⟩ − η). The multipliers are the mean of the last share of the
    updates, which loses most of their noise (Ruppert 1988; Polyak, Juditsky 1992) [D: the paper states no average]. μ
    is then replaced by the one at which E[q] = η: the weights are feasible, and their objective can be compared.

    Parameters
    ----------
    problem : Problem
        N distinct rows; rows are drawn as often as their counts say.
    sgd : Sgd
        Passes, rows per update (the paper: 1), τ0, and the share that is averaged (the paper: none).

    Returns
    -------
    Solution
        With the gap that its multipliers certify.
    """
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(len(problem.count), dtype=np.int32), problem.count)
    bound, eta = problem.eta * problem.tolerance, problem.eta
    above, below, offset, step = np.zeros_like(bound), np.zeros_like(bound), 0.0, 0
    steps = sgd.passes * -(-len(rows) // sgd.batch_size)
    first = min(int((1 - sgd.average) * steps), steps - 1)  # the last update at the least
    total = np.zeros_like(bound)
    for _ in range(sgd.passes):
        order = rng.permutation(rows)
        for start in range(0, len(order), sgd.batch_size):
            step += 1
            pick = order[start : start + sgd.batch_size]
            a = problem.matrix[pick]
            q = np.clip(eta * problem.utility[pick] - a @ (above - below) - offset, 0.0, problem.cap)
            moment, tau = a.T @ q / len(pick), sgd.rate / np.sqrt(step)
            above = np.clip(above + tau * (moment - bound), 0.0, problem.penalty)
            below = np.clip(below - tau * (moment + bound), 0.0, problem.penalty)
            offset += tau * (float(q.mean()) - eta)
            if step > first:
                total += above - below
    w = total / (steps - first)
    z = eta * problem.utility - problem.matrix @ w
    offset = _offset(problem, z)
    return certified(problem, "m4_sgd", np.clip(z - offset, 0.0, problem.cap), w, offset, step)


def _offset(problem: Problem, z: Vector) -> float:
    """Solve E[clip(z − μ, 0, Q)] = η for μ."""

    def excess(offset: float) -> float:
        return float(problem.share @ np.clip(z - offset, 0.0, problem.cap)) - problem.eta

    low, high = float(z.min()) - problem.cap, float(z.max())
    return low if excess(low) <= 0 else optimize.root_scalar(excess, bracket=(low, high), xtol=1e-15).root
