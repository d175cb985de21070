"""The cap on weights: of each row alone, or of the candidates of a key together.

Where a key has several candidate images, one of which may be taken, its rows are its candidates. A row stands for its
part of a uniform draw of a candidate (share p of the data, weights relative to that draw), and the cap holds for the
mean of the weights of the candidates of a kind of key: Σ_i π_i q_i ≤ Q with π_i = p_i / Σ p, which for Q = 1 says that
the probabilities of taking each candidate sum to 1 at most. Candidates that are alike act as one.

In the Newton system of `stages.balance.solver` the rows of a key are coupled by the price of their cap:

    (1 + k_l) dq + k_v Σ_i π_i dq_i = t      ⇒      dq = e (t − t̄) + e t̄ / (1 + k_v E),

with e = 1/(1 + k_l), E = Σ π e and t̄ = Σ π e t / E (Sherman–Morrison, in a form in which nothing cancels).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

Vector = np.ndarray
Matrix = np.ndarray | sparse.csr_array
Response = Callable[[Vector], Vector]


@dataclass(frozen=True)
class Alone:
    """A cap for each row."""

    share: Vector

    @property
    def weight(self) -> Vector:
        """Share of the data under each cap."""
        return self.share

    def level(self, q: Vector) -> Vector:
        """Take what each cap limits."""
        return q

    def spread(self, price: Vector) -> Vector:
        """Give each row the price of its cap."""
        return price

    def start(self, pull: Vector) -> tuple[Vector, Vector]:
        """Find prices l and v > 0 with l − v = pull."""
        return np.maximum(pull, 0) + 0.1, np.maximum(-pull, 0) + 0.1

    def nearest(self, z: Vector, cap: float) -> Vector:
        """Project onto the weights that bounds and caps allow, in the norm of the shares."""
        return np.clip(z, 0.0, cap)

    def eliminate(self, a: Matrix, k_l: Vector, k_v: Vector) -> tuple[np.ndarray, Response, Response]:
        """Eliminate the rows of a Newton system; return E[a dq(a)ᵀ], and the maps from t to p dq and to dq."""
        d = self.share / (1 + k_l + k_v)
        half = a * np.sqrt(d)[:, None]
        return _dense(half.T @ half), lambda t: d * t, lambda t: d / self.share * t


@dataclass(frozen=True)
class Together:
    """
    A cap for the rows of each key.

    Attributes
    ----------
    key : ndarray of int, (N,)
        Which rows share a cap, 0 to G − 1, each at least once.
    """

    share: Vector
    key: np.ndarray

    @property
    def weight(self) -> Vector:
        """Share of the data under each cap, (G,)."""
        return np.bincount(self.key, self.share)

    def level(self, q: Vector) -> Vector:
        """Take what each cap limits, (G,): the mean of the weights of its rows."""
        return np.bincount(self.key, self.share * q) / self.weight

    def spread(self, price: Vector) -> Vector:
        """Give each row the price of its cap."""
        return price[self.key]

    def start(self, pull: Vector) -> tuple[Vector, Vector]:
        """Find prices l and v > 0 with l − v = pull."""
        v = np.full(int(self.key.max()) + 1, 0.1)
        np.maximum.at(v, self.key, 0.1 - pull)
        return pull + v[self.key], v

    def nearest(self, z: Vector, cap: float) -> Vector:
        """Project onto the weights that bounds and caps allow, in the norm of the shares."""
        return np.maximum(z - np.maximum(self.price(z, cap), 0)[self.key], 0)

    def price(self, z: Vector, cap: float) -> Vector:
        """Find the ν of each cap with Σ π max(z − ν, 0) = Q, (G,)."""
        order = np.lexsort((-z, self.key))
        key, p = self.key[order], self.share[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        size = np.diff(first, append=len(key))

        def running(values: Vector) -> Vector:
            total = np.cumsum(values)
            return total - np.repeat(total[first] - values[first], size)

        # that of the largest z alone, as long as all of these lie above it: the highest such
        of_largest = (running(p * z[order]) - cap * np.bincount(self.key, self.share)[key]) / running(p)
        price = np.full(len(first), -np.inf)
        np.maximum.at(price, key, np.where(z[order] > of_largest, of_largest, -np.inf))
        return price

    def settle(self, q: Vector, eta: float, cap: float) -> Vector:
        """Take rounding out of weights: caps that bind bind exactly, and E[q] = η."""
        level, weight = self.level(q), self.weight
        binds = level > cap * (1 - 1e-9)
        rest = weight[~binds] @ level[~binds]
        factor = (eta - cap * weight[binds].sum()) / rest if rest > 0 else 1.0
        return q * np.where(binds, cap / level, factor)[self.key]

    def eliminate(self, a: Matrix, k_l: Vector, k_v: Vector) -> tuple[np.ndarray, Response, Response]:
        """Eliminate the rows of a Newton system; return E[a dq(a)ᵀ], and the maps from t to p dq and to dq."""
        e, weight = 1 / (1 + k_l), np.bincount(self.key, self.share)
        mean = np.bincount(self.key, self.share * e) / weight
        damped = self._damped(k_v, mean)
        rows = np.arange(len(self.key))
        member = sparse.csr_array((np.ones(len(rows)), (self.key, rows)))
        of_key = sparse.csr_array((self.share * e / (weight * mean)[self.key], (self.key, rows)))
        centre = of_key @ a
        apart = (a - member.T @ centre) * np.sqrt(self.share * e)[:, None]
        whole = centre * np.sqrt(weight * mean * damped)[:, None]

        def move(t: Vector) -> Vector:
            middle = of_key @ t
            return e * ((t - middle[self.key]) + (damped * middle)[self.key])

        return _dense(apart.T @ apart) + _dense(whole.T @ whole), lambda t: self.share * move(t), move

    def _damped(self, k_v: Vector, mean: Vector) -> Vector:
        return 1 / (1 + k_v * mean)


class Exhausted(Together):
    """
    Caps that all bind, since E[q] = Q: equations, without a slack or a price to keep ≥ 0.

    The offset μ then has no part of its own: it is a common part of the prices of the caps.
    """

    @property
    def weight(self) -> Vector:
        """Share of the data under each cap that can be slack: none."""
        return np.empty(0)

    def level(self, q: Vector) -> Vector:
        """Take what can be slack: nothing."""
        return np.empty(0)

    def spread(self, price: Vector) -> Vector:
        """Give no row a price."""
        return np.zeros(len(self.share))

    def start(self, pull: Vector) -> tuple[Vector, Vector]:
        """Find prices l > 0 with l − v = pull."""
        return super().start(pull)[0], np.empty(0)

    def _damped(self, k_v: Vector, mean: Vector) -> Vector:
        return np.zeros(len(mean))


def _dense(matrix: Matrix) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
