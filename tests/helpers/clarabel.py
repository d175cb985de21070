"""The weights of a problem by an independent solver: cvxpy and Clarabel."""

import cvxpy as cp
import numpy as np
from scipy import sparse

from stages.balance.problem import Problem


def parts(problem: Problem) -> sparse.csr_array:
    """Rows: keys; what each candidate's weight adds to the probability that its key is taken."""
    assert problem.key is not None
    total = np.bincount(problem.key, problem.share)
    return sparse.csr_array((problem.share / total[problem.key], (problem.key, np.arange(len(problem.count)))))


def clarabel(problem: Problem) -> tuple[np.ndarray, float]:
    """Solve the statement itself, constraints and slacks written out."""
    p = problem.share
    q, xi = cp.Variable(len(p)), cp.Variable(len(problem.names), nonneg=True)
    moment = sparse.csr_array(problem.matrix.T * p) @ q
    band = problem.eta * problem.tolerance + xi
    distance = cp.sum(cp.multiply(p, cp.square(q - problem.eta * problem.utility))) / 2
    limit = q <= problem.cap if problem.key is None else parts(problem) @ q <= problem.cap
    limits = [moment <= band, -moment <= band, p @ q == problem.eta, q >= 0, limit]
    statement = cp.Problem(cp.Minimize(distance + problem.penalty * cp.sum(xi)), limits)
    statement.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    assert q.value is not None and isinstance(statement.value, float)
    return q.value, statement.value
