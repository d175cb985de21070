"""The exact M4 solver: an interior-point method over distinct rows that leaves with a certificate.

Statement (M4: arXiv 2403.04547; the dual and all that follows are derived here):

N distinct rows with shares p, E[·] = Σ_i p_i ·_i; constraint vectors a ∈ R^J, utility u, tolerance ε, cap Q, price V:

    minimise   ½ E[(q − η u)²] + V Σ_j ξ_j
    over       0 ≤ q ≤ Q,   E[q] = η,   −(η ε + ξ) ≤ r ≤ η ε + ξ  with  r = E[q a],   ξ ≥ 0.

Optimality:

Name the slack of every inequality x and its price y, both ≥ 0, in five blocks:

    block     rows, bound 0   rows, bound Q   r from above       r from below       ξ from 0
    slack x   q               Q − q           η ε + ξ − r        η ε + ξ + r        ξ
    price y   l               v               α                  β                  γ

With w = α − β and μ the price of E[q] = η, the Lagrangian is stationary iff

    q − η u + aᵀw + μ = l − v  (a row),        α + β + γ = V  (a constraint, so |w| ≤ V),

and such a primal-dual pair has the gap Σ x y (rows weighted by p): it is optimal iff every product x y is 0. Since ξ is
free to grow and V > 0, a strictly interior pair is known at once, whatever the data: q = η, w = 0, α = β = γ = V/3.
Starting there, both lines above hold at every iterate and the gap Σ x y is always an exact bound.

Newton step:

Move towards x y = τ, τ → 0 (Mehrotra, SIAM J. Optim. 2(4), 1992). Linearised, with c = τ − x y and k = y / x:

    every block      dy = c/x − k dx,                                          dx = (dq, −dq, dξ − dr, dξ + dr, dξ)
    a row            (1 + k_l + k_v) dq + aᵀdw + dμ = g,                       g = c_l/q − c_v/(Q − q)
    a constraint     eliminate dξ from dα + dβ + dγ = 0:   dr = (dw − e) / θ,  θ = [(k_α+k_β) k_γ + 4 k_α k_β] / Σk

With D = 1 + k_l + k_v and dr = E[a dq], one symmetric positive definite system of J + 1 unknowns remains:

    [ E[a aᵀ/D] + 1/θ    E[a/D] ] [dw]     [ E[a g/D] + e/θ ]
    [ E[aᵀ/D]            E[1/D] ] [dμ]  =  [ E[g/D]         ]

Its block E[a aᵀ/D] is the Hessian of the dual with the rows strictly between their bounds counted (D ≈ 1) and the rows
at a bound faded out (D → ∞): a smooth version of the semi-smooth Newton matrix. The smoothness is what the method
needs: where η is infeasible and V is large the dual is nearly piecewise linear, and Newton on its kinks crawls from
one to the next (measured: it stalled on 5 % of random problems); these steps number 10 to 45 on all of them.

Where rows share a cap (candidates of a key), v has an entry a cap, and D becomes a block a key: `stages.balance.caps`.

An iteration costs one pass over the N × J matrix. The result is certified from scratch by `Problem.gap`.
"""

from collections.abc import Callable

import numpy as np
from scipy import linalg

from stages.balance.caps import Alone, Exhausted, Matrix, Together
from stages.balance.problem import Problem, Solution, Vector, certified

TOLERANCE = 1e-8  # the largest relative gap that may leave this module
_AIM = 1e-13  # the gap that ends the iteration: the weight of a rare row needs more digits than the objective
_STEPS = 100
_DENSE = 2**26  # N × J up to which BLAS on zeros (0.5 GB) beats a sparse product


class UncertifiedError(ArithmeticError):
    """The certificate was not reached."""


def solve(problem: Problem, tolerance: float = TOLERANCE) -> Solution:
    """
    Solve for the weights.

    Parameters
    ----------
    tolerance : float
        Largest relative duality gap of a result.

    Raises
    ------
    UncertifiedError
        If the relative gap stays above `tolerance`.
    """
    full = problem.eta == problem.cap and problem.key is None
    q, w, offset, steps = _keep_all(problem) if full else _interior_point(problem)
    solution = certified(problem, "m4", q, w, offset, steps)
    if not (gap := solution.relative_gap or 0.0) <= tolerance:
        raise UncertifiedError(
            f"relative duality gap {gap:.1e} after {steps} steps, expected ≤ {tolerance:g}; "
            "raise balance.eps_d or eps_r"
        )
    return solution


def _keep_all(problem: Problem) -> tuple[Vector, Vector, float, int]:
    """η = Q leaves one feasible point, q = Q; the prices that prove it optimal stand in closed form."""
    q = np.full(len(problem.count), problem.cap)
    w = problem.penalty * np.sign(problem.residual(q)) * (problem.excess(q) > 0)
    z = problem.eta * problem.utility - problem.matrix @ w
    return q, w, float(z.min()) - problem.cap, 0


def _interior_point(problem: Problem) -> tuple[Vector, Vector, float, int]:
    """Follow the central path; return q, w, μ and the number of steps."""
    p, eta = problem.share, problem.eta
    n, j = len(problem.count), len(problem.names)
    a = problem.matrix.toarray() if n * j <= _DENSE else problem.matrix
    q, pull = np.full(n, eta), eta * (1 - problem.utility)
    r, xi = problem.residual(q), problem.excess(q) + 0.01
    band = eta * problem.tolerance + xi
    caps = problem.caps
    if isinstance(caps, Together) and eta == problem.cap:
        caps = Exhausted(caps.share, caps.key)
    x = np.concatenate([q, problem.cap - caps.level(q), band - r, band + r, xi])
    y = np.concatenate([*caps.start(pull), np.full(3 * j, problem.penalty / 3)])
    weight = np.concatenate([p, caps.weight, np.ones(3 * j)])
    centre = np.concatenate([np.ones(len(x) - 3 * j), np.full(3 * j, 1 / n)])  # a constraint weighs as much as a row
    price, step = np.zeros(j + 1), 0  # (w, μ)
    best = (np.inf, x, price)
    while (gap := weight @ (x * y)) > _AIM * max(_primal(problem, x), problem.floor) and step < _STEPS:
        step += 1
        if problem.key is not None:  # rounding ends it earlier than rows alone: the best so far counts
            small = TOLERANCE * max(_primal(problem, best[1]), problem.floor)
            if gap > 0.9 * best[0] and best[0] < 0.1 * small:
                break
            best = min(best, (gap, x, price), key=lambda kept: kept[0])
        try:
            direction = _newton(caps, a, x, y)
        except linalg.LinAlgError:
            break  # rounding has the last word; whether it came early, the certificate decides
        dx, dy, _ = direction(-x * y)
        reach = _reach(x, y, dx, dy)
        left = weight @ ((x + reach * dx) * (y + reach * dy)) / gap
        tau = left**3 * gap / (weight @ centre)
        dx, dy, d_price = direction(tau * centre - x * y - dx * dy)
        reach = 0.99 * _reach(x, y, dx, dy)
        x, y, price = x + reach * dx, y + reach * dy, price + reach * d_price
    if problem.key is not None and best[0] < weight @ (x * y):
        _, x, price = best
    most = problem.cap if problem.key is None else None
    q, w = np.clip(x[:n], 0, most), np.clip(price[:j], -problem.penalty, problem.penalty)
    w[np.abs(w) < eta * problem.tolerance - np.abs(problem.residual(q))] = 0  # well inside its band: no price
    if isinstance(problem.caps, Together):
        q = problem.caps.settle(q, eta, problem.cap)
    if isinstance(caps, Exhausted):
        return q, w, float(caps.price(eta * problem.utility - problem.matrix @ w, problem.cap).min()), step
    return q, w, float(price[j]), step


def _primal(problem: Problem, x: Vector) -> float:
    n, j = len(problem.count), len(problem.names)
    distance = 0.5 * problem.share @ (x[:n] - problem.eta * problem.utility) ** 2
    return distance + problem.penalty * x[len(x) - j :].sum()


def _reach(x: Vector, y: Vector, dx: Vector, dy: Vector) -> float:
    """Find the longest step in [0, 1] that keeps slacks and prices ≥ 0."""
    return 1 / max(1.0, float((-dx / x).max()), float((-dy / y).max()))


def _newton(
    caps: Alone | Together, a: Matrix, x: Vector, y: Vector
) -> Callable[[Vector], tuple[Vector, Vector, Vector]]:
    """Factor the Newton system at (x, y); return the map from c to the step (dx, dy, (dw, dμ))."""
    p, bounded = caps.share, len(caps.share) + len(caps.weight)
    j = (len(x) - bounded) // 3
    blocks = np.cumsum([len(p), len(caps.weight), j, j])
    k_l, k_v, k_above, k_below, k_xi = np.split(y / x, blocks)
    k_sum = k_above + k_below + k_xi
    flat = k_sum / ((k_above + k_below) * k_xi + 4 * k_above * k_below)  # 1/θ
    skew = (k_above - k_below) / k_sum
    system = np.empty((j + 1, j + 1))
    gram, weigh, move = caps.eliminate(a, k_l, k_v)
    binding = isinstance(caps, Exhausted)  # then nothing is left of μ
    d = np.zeros(len(p)) if binding else weigh(np.ones(len(p)))
    system[:j, :j] = gram + np.diag(flat)
    system[j, :j] = system[:j, j] = a.T @ d
    system[j, j] = 1.0 if binding else d.sum()
    unit = 1 / np.sqrt(np.diag(system))
    scaled = system * unit * unit[:, None]
    factor = linalg.cho_factor(scaled + 1e-12 * np.eye(j + 1))  # collinear constraints make the system singular

    def direction(c: Vector) -> tuple[Vector, Vector, Vector]:
        c_l, c_v, c_above, c_below, c_xi = np.split(c / x, blocks)
        g, c_sum = c_l - caps.spread(c_v), c_above + c_below + c_xi
        e = c_above - c_below - skew * c_sum
        right = unit * np.append(a.T @ weigh(g) + flat * e, d @ g)
        step = linalg.cho_solve(factor, right)
        step += linalg.cho_solve(factor, right - scaled @ step)  # refines what the 1e-15 and rounding cost
        step = unit * step
        dq = move(g - a @ step[:j] - step[j])
        dr = a.T @ (p * dq)
        dxi = c_sum / k_sum + skew * dr
        dx = np.concatenate([dq, -caps.level(dq), dxi - dr, dxi + dr, dxi])
        return dx, (c - y * dx) / x, step

    return direction
