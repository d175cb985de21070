"""From weights to rows: systematic sampling in cells.

A cell of n rows with weight q gives the floor or the ceiling of n q of them. Which of the two is decided by walking
through the cells in their (lexicographic) order and rounding the running total, so that rounding errors of
neighbours cancel: the number of rows in any run of consecutive cells misses its expectation by less than 1, where
independent (Bernoulli) draws would miss it by √n. Where that still breaks a tolerance that the weights themselves
keep, as it does with a few thousand rows, cells exchange single rows until none is broken (measured: always
possible once the weights leave half a row of room).

Inside a cell the rows come in a fixed hash order and the first ones are taken: what a smaller q selects, a larger q
selects too, up to the row that rounding moves.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from stages.balance.problem import Problem, Vector

Compensation = Literal["none", "repeat"]
_MOVES = 1000
_CANDIDATES = 48


@dataclass(frozen=True)
class Allotment:
    """
    Copies of the rows of each cell: the first `rows` rows get `copies` each, the first `extra` of them one more.

    Attributes
    ----------
    rows : ndarray of int64, (N,)
        Rows taken, at most the cell's.
    copies : ndarray of int64, (N,)
        Copies of each of them; at least 1 where rows are taken.
    extra : ndarray of int64, (N,)
        How many get one more, below `rows`.
    """

    rows: np.ndarray
    copies: np.ndarray
    extra: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Rows of each cell in an epoch, copies counted, (N,)."""
        return self.rows * self.copies + self.extra

    @property
    def squares(self) -> np.ndarray:
        """Σ copies² over the rows of each cell, (N,): what an effective sample size needs."""
        return (self.rows - self.extra) * self.copies**2 + self.extra * (self.copies + 1) ** 2


def leave_room(problem: Problem) -> Problem:
    """
    Tighten the tolerances to max(ε − ½/(η n), 0), so that whole rows can keep what fractional weights keep.

    Parameters
    ----------
    problem : Problem
        N cells; its η tells how many rows will be taken.
    """
    half = 0.5 / (problem.eta * problem.count.sum())
    return replace(problem, tolerance=np.maximum(problem.tolerance - half, 0.0))


def allot(problem: Problem, q: Vector, compensate: Compensation = "none") -> Allotment:
    """
    Decide how many rows of each cell are taken, and how often.

    Parameters
    ----------
    problem : Problem
        N cells in a fixed order in which neighbours are alike.
    q : ndarray, (N,)
        Weight of their rows, ≥ 0; above 1 rows are taken more than once.
    compensate : {"none", "repeat"}
        Whether the rows taken are repeated until there are as many as before, in the same proportions.
    """
    expected = problem.count * q
    if problem.key is not None:  # of the candidates of a key one at most
        keys = np.rint(np.bincount(problem.key, problem.count))[problem.key]
        total = _repair(problem, expected, _round(expected), keys)
        return Allotment(total, np.minimum(total, 1), np.zeros_like(total))
    total = _repair(problem, expected, _round(expected), np.maximum(problem.count, np.floor(expected)))
    rows = np.minimum(total, problem.count)
    if compensate == "repeat" and total.sum() > 0:
        stretched = expected * (problem.count.sum() / expected.sum())
        total = _repair(problem, stretched, _round(stretched), np.full(len(stretched), np.inf))
        rows = np.clip(rows, total > 0, total)
    copies = total // np.maximum(rows, 1)
    return Allotment(rows, copies, total - rows * copies)


def _round(expected: Vector) -> np.ndarray:
    """Round to integers such that every running total is rounded to the nearest."""
    running = np.floor(np.cumsum(expected) + 0.5).astype(np.int64)
    return np.diff(running, prepend=0)


def _repair(problem: Problem, expected: Vector, total: np.ndarray, most: Vector) -> np.ndarray:
    """Swap a row of one cell for one of another, the best first, while a moment exceeds an ε that q keeps."""
    if not (problem.names and total.sum() > 0):
        return total
    a, total = problem.matrix, total.copy()
    met = np.abs(a.T @ expected) / expected.sum() <= problem.tolerance + 1e-9
    allowed = np.where(met, problem.tolerance + 1e-9, np.inf)
    lowest, highest = np.ceil(expected - 1 - 1e-9), np.minimum(np.floor(expected + 1 + 1e-9), most)
    for _ in range(_MOVES):
        sums, size = a.T @ total, total.sum()
        over = np.maximum(np.abs(sums / size) - allowed, 0.0)
        if not over.any():
            break
        slope = a @ (over * np.sign(sums))
        up = np.argsort(np.where(total < highest, slope, np.inf), kind="stable")[:_CANDIDATES]
        down = np.argsort(np.where(total > lowest, -slope, np.inf), kind="stable")[:_CANDIDATES]
        up, down = up[total[up] < highest[up]], down[total[down] > lowest[down]]
        more, less = np.repeat(up, len(down)), np.tile(down, len(up))
        if problem.key is not None:
            more, less = _within_keys(problem.key, most, total, more, less, (slope, highest, lowest))
        if not len(more):
            break
        rows, place = np.unique(np.concatenate([more, less]), return_inverse=True)
        dense, place = a[rows].toarray(), place.reshape(2, -1)
        swaps = dense[place[0]] - dense[place[1]]
        loss = (np.maximum(np.abs((sums + swaps) / size) - allowed, 0.0) ** 2).sum(axis=1)
        if loss.min() >= (over**2).sum():
            break
        total[more[loss.argmin()]] += 1
        total[less[loss.argmin()]] -= 1
    return total


def _within_keys(
    key: np.ndarray, most: Vector, total: np.ndarray, more: np.ndarray, less: np.ndarray, of: tuple[Vector, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Leave out swaps that give a kind of key more candidates than keys; add the best swaps inside of a kind."""
    slope, highest, lowest = of
    room = (np.bincount(key, total)[key] < most)[more] | (key[more] == key[less])
    first = np.flatnonzero(np.diff(key, prepend=-1))
    pairs = [
        (i, j) for start, stop in zip(first, np.append(first[1:], len(key)), strict=True)
        for i in range(start, stop) for j in range(start, stop) if i != j
    ]  # fmt: skip
    if pairs:
        one, other = np.array(pairs).T
        able = (total[one] < highest[one]) & (total[other] > lowest[other])
        one, other = one[able], other[able]
        best = np.argsort(slope[one] - slope[other], kind="stable")[: _CANDIDATES**2]
        return np.concatenate([more[room], one[best]]), np.concatenate([less[room], other[best]])
    return more[room], less[room]
