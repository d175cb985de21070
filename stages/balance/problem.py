"""The balancing problem over distinct rows, and what a method returns for it.

Shapes: N distinct rows (s, y, u), J constraints. Rows that agree in (s, y, u) share one weight q, so a data set of
billions of rows is a problem of N rows with counts, and nothing below ever sees a raw row.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from stages.balance.caps import Alone, Together

Vector = np.ndarray


@dataclass(frozen=True)
class Problem:
    """
    Multi-Modal Moment Matching over distinct rows (arXiv 2403.04547; statement in `stages.balance.solver`).

    Attributes
    ----------
    count : ndarray, (N,)
        Rows of the data behind each distinct row, > 0.
    utility : ndarray, (N,)
        u ≥ 0, mean 1 over the data.
    matrix : csr_array, (N, J)
        Constraint vectors a; the weighted data shall have E[q a_j] near 0.
    tolerance : ndarray, (J,)
        ε ≥ 0, in units of the balanced distribution: |E[q a_j]| ≤ η ε_j.
    eta : float
        η, the mean of q: the share of the data that is kept, in (0, cap].
    penalty : float
        V > 0, price of a unit of violation; also the largest size of a multiplier.
    cap : float
        Q, the largest q; 1 makes q the probability of keeping a row.
    key : ndarray of int, (N,), optional
        Which rows share a cap, as candidates of a key do (`stages.balance.caps`); by default each has its own.
    """

    count: Vector
    utility: Vector
    matrix: sparse.csr_array
    names: tuple[str, ...]
    tolerance: Vector
    eta: float
    penalty: float
    cap: float = 1.0
    key: np.ndarray | None = None

    def __post_init__(self) -> None:
        rows, constraints = len(self.count), len(self.names)
        shapes = (self.matrix.shape, self.utility.shape, self.tolerance.shape)
        if rows == 0 or shapes != ((rows, constraints), (rows,), (constraints,)):
            raise ValueError(f"{rows} counts, {constraints} names, but shapes {shapes} of matrix, utility, tolerance")
        if not 0 < self.eta <= self.cap:
            raise ValueError(f"eta: found {self.eta:g}, expected a mean weight in (0, {self.cap:g}]")
        if not (self.penalty > 0 and np.all(self.count > 0) and np.all(self.utility >= 0)):
            raise ValueError("expected penalty > 0, counts > 0 and utilities ≥ 0")
        if not (np.all(self.tolerance >= 0) and np.all(np.isfinite(self.tolerance))):
            raise ValueError("tolerance: expected finite numbers ≥ 0; leave a constraint out instead of ε = ∞")

    @property
    def share(self) -> Vector:
        """Share of the data behind each distinct row, (N,), sums to 1."""
        return self.count / self.count.sum()

    @property
    def caps(self) -> Alone | Together:
        """What the cap limits."""
        return Alone(self.share) if self.key is None else Together(self.share, self.key)

    @property
    def floor(self) -> float:
        """Objective of weights that miss η u by 1 % of η: relative gaps of smaller objectives are taken against it."""
        return 0.5 * (0.01 * self.eta) ** 2

    def residual(self, q: Vector) -> Vector:
        """Return the moments E[q a_j] of the weighted data (J,); ÷ η they are those of the balanced distribution."""
        return self.matrix.T @ (self.share * q)

    def excess(self, q: Vector) -> Vector:
        """Return how far each constraint is violated, the optimal slack ξ: max(|E[q a_j]| − η ε_j, 0)."""
        return np.maximum(np.abs(self.residual(q)) - self.eta * self.tolerance, 0.0)

    def objective(self, q: Vector) -> float:
        """
        Return ½ E[(q − η u)²] + V Σ_j ξ_j with the smallest slack ξ that q admits.

        Parameters
        ----------
        q : ndarray, (N,)
            Weights with 0 ≤ q ≤ Q and E[q] = η.
        """
        distance = 0.5 * float(self.share @ (q - self.eta * self.utility) ** 2)
        return distance + self.penalty * float(self.excess(q).sum())

    def gap(self, q: Vector, multiplier: Vector, offset: float) -> float:
        """
        Certify: primal objective of q minus dual objective of (w, μ), as a sum of terms that are each ≥ 0.

        With z = η u − aᵀw − μ, c the nearest to z in [0, Q] (or under shared caps), ξ the excess, and E[q] = η:
        gap = E[½(q − c)² + (q − c)(c − z)] + Σ_j (V ξ_j + η ε_j |w_j| − w_j E[q a_j]). Written so, nothing cancels.

        Parameters
        ----------
        q : ndarray, (N,)
            Weights with 0 ≤ q ≤ Q and E[q] = η.
        multiplier : ndarray, (J,)
            w in [−V, V].

        Returns
        -------
        float
            The objective of q exceeds the optimum by no more than this; infinite if q or w breaks its own bounds.
        """
        room = 0 if self.key is None else 1e-12  # a mean rounds, a row's own weight does not
        feasible = q.min() >= 0 and self.caps.level(q).max() <= self.cap + room
        feasible &= abs(float(self.share @ q) - self.eta) <= 1e-12
        if not (feasible and np.all(np.abs(multiplier) <= self.penalty * (1 + 1e-12))):
            return float("inf")
        z = self.eta * self.utility - self.matrix @ multiplier - offset
        nearest = self.caps.nearest(z, self.cap)
        rows = self.share @ (0.5 * (q - nearest) ** 2 + (q - nearest) * (nearest - z))
        prices = self.penalty * self.excess(q) + self.eta * self.tolerance * np.abs(multiplier)
        return float(rows + np.sum(prices - multiplier * self.residual(q)))


@dataclass(frozen=True)
class Solution:
    """
    Weights of the distinct rows, with the certificate where the method has one.

    Attributes
    ----------
    q : ndarray, (N,)
        Weights.
    primal : float
        `Problem.objective` of q.
    gap : float or None
        Duality gap: primal ≤ optimum + gap (`Problem.gap`). None for methods without multipliers.
    relative_gap : float or None
        Gap over the primal objective, or over `Problem.floor` if that is larger.
    multiplier : ndarray, (J,), or None
        w, the price of each constraint, in [−V, V].
    offset : float or None
        μ, the price of E[q] = η.
    iterations : int
        Newton steps, or batches of the stochastic update; 0 for closed forms.
    """

    method: str
    q: Vector
    primal: float
    gap: float | None = None
    relative_gap: float | None = None
    multiplier: Vector | None = None
    offset: float | None = None
    iterations: int = 0

    @property
    def dual(self) -> float | None:
        """Value of the dual: a lower bound on the objective of every feasible q."""
        return None if self.gap is None else self.primal - self.gap


def certified(problem: Problem, method: str, q: Vector, multiplier: Vector, offset: float, iterations: int) -> Solution:
    """
    Attach objective and certificate to weights with multipliers; the gap is computed from scratch, from (q, w, μ).

    Parameters
    ----------
    multiplier : ndarray, (J,)
        w.
    """
    primal, gap = problem.objective(q), problem.gap(q, multiplier, offset)
    return Solution(method, q, primal, gap, gap / max(primal, problem.floor), multiplier, offset, iterations)
