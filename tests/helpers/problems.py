"""Random balancing problems of every kind, and the cells behind them."""

import numpy as np
from scipy import sparse

from stages.balance.moments import Cells
from stages.balance.problem import Problem


def random_cells(seed: int, rows: int = 2000, attributes: int = 2, labels: int = 6, single: bool = False) -> Cells:
    """Rows in one of two groups of each attribute or in none, with labels that go with the groups."""
    rng = np.random.default_rng(seed)
    shown = rng.random((rows, attributes)) < 0.7
    first = rng.random((rows, attributes)) < rng.uniform(0.2, 0.8, attributes)
    sensitive = np.stack([shown & first, shown & ~first], axis=2).reshape(rows, -1)
    pull = rng.normal(0, 1, (2 * attributes, labels))
    score = sensitive @ pull + rng.uniform(-3, -1, labels) + rng.logistic(size=(rows, labels))
    named = score > 0
    if single:
        named &= score == score.max(axis=1, keepdims=True)
    distinct, count = np.unique(np.hstack([sensitive, named]), axis=0, return_counts=True)
    groups = [(f"attribute{i}", group) for i in range(attributes) for group in ("first", "second")]
    names = tuple(f"y_label_{i}" for i in range(labels))
    split = 2 * attributes
    return Cells(distinct[:, :split], distinct[:, split:], np.ones(len(count)), count, tuple(groups), names)


def random_problem(seed: int) -> Problem:
    """m ≤ 4 overlapping attributes, c ≤ 30 labels; ε, η and V from loose to infeasible, utilities in half of them."""
    rng = np.random.default_rng(seed)
    m, c, n = rng.integers(1, 5), rng.integers(1, 31), int(rng.integers(20, 500))
    share = rng.uniform(0.05, 0.9, m)
    s = rng.random((n, m)) < share
    base = np.log(1 / rng.uniform(0.005, 0.5, c) - 1)
    y = rng.random((n, c)) < 1 / (1 + np.exp(base - (s - share) @ rng.normal(0, 1.5, (m, c))))
    rows, count = np.unique(np.hstack([s, y]), axis=0, return_counts=True)
    s, y = rows[:, :m].astype(float), rows[:, m:].astype(float)
    p = count / count.sum()
    u = rng.uniform(0, 2, len(p)) if rng.random() < 0.5 else np.ones(len(p))
    observed, kind = p @ s, rng.integers(3)
    target = (observed, np.full(m, 0.5), rng.uniform(0.05, 0.9, m))[kind]
    contrast = s - target
    a = np.hstack([(contrast[:, :, None] * y[:, None, :]).reshape(len(p), -1), contrast])
    tolerance = np.repeat(rng.choice([0, 1e-3, 1e-2], 2), [m * c, m])
    eta, penalty = rng.choice([0.1, 0.3, 0.5, 0.7, 0.9, 0.99]), rng.choice([0.1, 1, 10, 100, 1000])
    names = tuple(f"constraint{j}" for j in range(a.shape[1]))
    return Problem(count, u / (p @ u), sparse.csr_array(a), names, tolerance, float(eta), float(penalty))
