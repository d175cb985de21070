"""The largest share of the data that can be kept: a linear program over distinct rows.

    maximise   η    over 0 ≤ q ≤ Q, η = E[q],   |E[q a_j]| ≤ ε_j η  for all j

Constraints and objective are homogeneous in (q, η), so the feasible set is a cone cut by q ≤ Q: every smaller η is
feasible too, and this one is the boundary between hard and soft constraints. Solved by HiGHS (dual simplex).
"""

import numpy as np
from scipy import optimize, sparse

from stages.balance.caps import Together
from stages.balance.problem import Problem, Vector

MARGIN = 1e-6  # relative; keeps a problem stated at the boundary on its feasible side


def largest_eta(problem: Problem) -> float:
    """
    Find the largest η in [0, Q] whose constraints can all be met; 0 where only q = 0 meets them.

    Parameters
    ----------
    problem : Problem
        Its own η and V play no role.

    Raises
    ------
    ArithmeticError
        If HiGHS finds no optimum.
    """
    rows, constraints = len(problem.count), len(problem.names)
    if constraints == 0:
        return problem.cap
    weight = problem.share * rows  # about 1, so that the tolerances of the linear program mean what they say
    moments = sparse.csr_array(problem.matrix.T * weight)
    slack = -problem.tolerance[:, None]
    limits, bounds = [sparse.hstack([moments, slack]), sparse.hstack([-moments, slack])], [0.0] * (2 * constraints)
    most = problem.cap
    if isinstance(caps := problem.caps, Together):
        part = caps.share / caps.weight[caps.key]
        limits.append(sparse.csr_array((part, (caps.key, np.arange(rows))), shape=(len(caps.weight), rows + 1)))
        bounds, most = bounds + [problem.cap] * len(caps.weight), None
    result = optimize.linprog(
        np.append(np.zeros(rows), -1.0),
        A_ub=sparse.vstack(limits, format="csr"),
        b_ub=bounds,
        A_eq=sparse.csr_array(np.append(weight, -1.0)[None]),
        b_eq=[0.0],
        bounds=[(0, most)] * rows + [(0, None)],
        method="highs-ds",
    )
    if result.status != 0:
        raise ArithmeticError(f"largest η: the linear program ended with: {result.message}")
    return float(np.clip(result.x[-1] / rows, 0.0, problem.cap))


def violations(problem: Problem, q: Vector, threshold: float = 1e-9) -> list[tuple[str, float, float]]:
    """
    List (name, moment, tolerance) of what weights violate, worst first, in units of the balanced distribution.

    Parameters
    ----------
    threshold : float
        Excess below which a constraint counts as met, in units of the balanced distribution.
    """
    mean = float(problem.share @ q)
    moment = problem.residual(q) / mean
    excess = np.abs(moment) - problem.tolerance
    worst = [j for j in np.argsort(-excess, kind="stable") if excess[j] > threshold]
    return [(problem.names[j], float(moment[j]), float(problem.tolerance[j])) for j in worst]
