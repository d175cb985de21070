"""First and second moments of counted data, and the balancing problem that fixes them.

Representation bias RB = max_k |π_k − E[s_k]|, association bias AB = max_{k,r} |E[y_r | s_k = 1] − E[y_r | s_k = 0]|
(arXiv 2403.04547 [S]): 0 is balanced, 1 the worst. The constraints of M4 fix E[q s_k] and E[q (s_k − π_k) y_r] [S].

Rows in no group of an attribute (nobody is shown, or one cannot tell) need a decision that the paper does not state.
With ``scope="known"`` the association of a group is measured among the rows κ = 1 that show some group of its
attribute, a = (s_k − π_k/E[κ] · κ) y_r: otherwise "occupation" would stay associated with every group only because
pictures of objects name none, and no weights could remove it. ``scope="all"`` is the paper's formula, κ = 1 everywhere.

With E_q[s_k] = π_k and E_q[κ] = ρ, and p = π_k/ρ, both are tied by AB_{k,r} = |E_q[a]| / (ρ p (1 − p)) [D].

Shapes: N distinct rows, m groups over all attributes, c labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from stages.balance.problem import Problem, Vector
from stages.core.errors import InputError
from stages.corpus import tables
from stages.corpus.attributes import known_value, open_attribute

Scope = Literal["known", "all"]
Shares = Mapping[str, Mapping[str, float]]  # attribute: {group: share of the rows in its groups}
Goal = Literal["equal", "observed"] | Mapping[str, float]


@dataclass(frozen=True)
class Cells:
    """
    Distinct rows of the data.

    Attributes
    ----------
    sensitive : ndarray of bool, (N, m)
        s: which groups a row is in; may overlap, may be none.
    labels : ndarray of bool, (N, c)
        y: what a row names.
    utility : ndarray, (N,)
        u ≥ 0, mean 1 over the data.
    count : ndarray of int64, (N,)
        Rows behind each distinct row, > 0.
    groups : tuple of (attribute, group), length m
        Names of the columns of s; those of one attribute are adjacent.
    label_names : tuple of str, length c
        Names of the columns of y.
    """

    sensitive: np.ndarray
    labels: np.ndarray
    utility: Vector
    count: np.ndarray
    groups: tuple[tuple[str, str], ...]
    label_names: tuple[str, ...]

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes, in the order of the columns."""
        return tuple(dict.fromkeys(attribute for attribute, _ in self.groups))

    def columns(self, attribute: str) -> np.ndarray:
        """Find the groups of an attribute."""
        return np.flatnonzero([name == attribute for name, _ in self.groups])

    def labels_of(self, attribute: str) -> np.ndarray:
        """Find the labels an attribute is balanced against: those of all captions, and those that leave it open."""
        parts = (None, *attribute.split("×"))  # an intersection is open where one of its attributes is
        return np.flatnonzero([open_attribute(label) in parts for label in self.label_names])

    def scope(self, scope: Scope) -> np.ndarray:
        """
        Return κ (N, m): where the association of each group is measured.

        Parameters
        ----------
        scope : {"known", "all"}
            Rows that show some group of the attribute, or all rows.
        """
        if scope == "all":
            return np.ones_like(self.sensitive)
        known = {name: self.sensitive[:, self.columns(name)].any(axis=1) for name in self.attributes}
        return np.column_stack([known[attribute] for attribute, _ in self.groups])


def merge(parts: Sequence[Cells]) -> Cells:
    """
    Add up the counts of parts of the data, e.g. shards counted on several machines.

    Parameters
    ----------
    parts : sequence of Cells
        With the same groups and labels.

    Returns
    -------
    Cells
        Distinct rows of the union; utilities as in the parts, so normalise them over the union beforehand.

    Raises
    ------
    ValueError
        If the parts have other columns.
    """
    first = parts[0]
    if any((part.groups, part.label_names) != (first.groups, first.label_names) for part in parts):
        raise ValueError("parts with different groups or labels cannot be added")
    rows = np.vstack([np.column_stack([part.sensitive, part.labels, part.utility]) for part in parts])
    rows, index = np.unique(rows, axis=0, return_inverse=True)
    m, c = len(first.groups), len(first.label_names)
    return replace(
        first,
        sensitive=rows[:, :m] > 0,
        labels=rows[:, m : m + c] > 0,
        utility=rows[:, m + c],
        count=np.bincount(index.ravel(), np.concatenate([part.count for part in parts])).astype(np.int64),
    )


def shares_of_table(table: pd.DataFrame, attributes: Sequence[str]) -> dict[str, dict[str, float]]:
    """
    Take the marginals of another table, e.g. of a census: shares per attribute sum to 1; empty values are left out.

    Parameters
    ----------
    table : DataFrame
        A column of group names for each attribute; rows weigh as a column ``count`` says, 1 each without it.

    Raises
    ------
    InputError
        If a column is missing or holds no group, or a count is no number.
    """
    if near := [name for name in map(str, table) if name != "count" and name.strip().casefold() == "count"]:
        raise InputError(f"column {near[0]!r}: found, expected count, in small letters; rename it")
    weight = _counts(pd.Series(table["count"])) if "count" in table else pd.Series(1.0, table.index)
    marginals = {}
    for attribute in attributes:
        if attribute not in table:
            raise InputError(f"no column {attribute} (found: {tables.shown(map(str, table.columns))}); add it")
        groups = table[attribute].map(partial(known_value, name=attribute))
        total = weight.groupby(groups).sum().drop("", errors="ignore")
        if not total.sum() > 0:
            raise InputError(f"column {attribute}: no group with a count above 0; fill in groups and counts")
        marginals[attribute] = {str(group): float(share) for group, share in (total / total.sum()).items()}
    return marginals


def _counts(column: pd.Series) -> pd.Series:
    counts = pd.Series(pd.to_numeric(column, errors="coerce"), column.index, float)
    wrong = np.flatnonzero(~(counts >= 0) | np.isinf(counts))
    if len(wrong):
        found = column.iloc[wrong[0]]
        raise InputError(f"row {wrong[0] + 1}: column count: found {found!r}, expected a finite number ≥ 0; correct it")
    return counts


def target_shares(cells: Cells, target: Mapping[str, Goal]) -> dict[str, Mapping[str, float]]:
    """
    Resolve what is wanted of each attribute to shares of its groups, which sum to 1.

    Parameters
    ----------
    target : mapping
        Attribute to ``equal``, ``observed`` (keep the shares, balance the associations only), or {group: share}.

    Raises
    ------
    InputError
        If the groups of a target are not those of the data, or its shares do not sum to 1.
    """
    observed = representation(cells, cells.count)
    shares: dict[str, Mapping[str, float]] = {}
    for attribute, goal in target.items():
        columns = cells.columns(attribute)
        names = [cells.groups[k][1] for k in columns]
        if isinstance(goal, Mapping):
            if sorted(names) != sorted(goal):
                raise InputError(
                    f"target: {attribute}: found {', '.join(goal)}, expected the groups {', '.join(names)}"
                )
            if abs(sum(goal.values()) - 1) > 1e-6:
                raise InputError(f"target: {attribute}: the shares sum to {sum(goal.values()):g}, expected 1")
            shares[attribute] = {name: goal[name] for name in names}
        elif goal == "equal" or not observed[columns].sum() > 0:
            shares[attribute] = dict.fromkeys(names, 1 / len(names))
        else:
            shares[attribute] = dict(zip(names, observed[columns] / observed[columns].sum(), strict=True))
    return shares


def with_intersections(cells: Cells, shares: Shares) -> tuple[Cells, dict[str, Mapping[str, float]]]:
    """
    Add every pair of targeted attributes as an attribute of its own, whose groups are pairs of groups.

    Parameters
    ----------
    shares : mapping
        Targets; pairs of two targeted attributes get the products of their shares.
    """
    targets = dict(shares)
    groups, columns = list(cells.groups), [cells.sensitive]
    for first, second in combinations([name for name in cells.attributes if name in shares], 2):
        name, products = f"{first}×{second}", {}
        for i in cells.columns(first):
            for j in cells.columns(second):
                one, other = cells.groups[i][1], cells.groups[j][1]
                groups.append((name, f"{one}×{other}"))
                columns.append(cells.sensitive[:, [i]] & cells.sensitive[:, [j]])
                products[f"{one}×{other}"] = shares[first][one] * shares[second][other]
        targets[name] = products
    return replace(cells, sensitive=np.hstack(columns), groups=tuple(groups)), targets


def population_shares(cells: Cells, shares: Shares) -> Vector:
    """
    Turn shares among the groups into shares of the whole data: the groups of an attribute keep their total.

    Parameters
    ----------
    shares : mapping
        Attribute to {group: share}; attributes without a target keep what is observed.

    Returns
    -------
    ndarray, (m,)
        π. For ``equal`` shares: π_k = Σ_k E[s_k] / groups.
    """
    target = representation(cells, cells.count)
    for attribute, wanted in shares.items():
        columns = cells.columns(attribute)
        target[columns] = target[columns].sum() * np.array([wanted[cells.groups[k][1]] for k in columns])
    return target


def build_problem(
    cells: Cells,
    shares: Shares,
    eps_r: float | None,
    eps_d: float | None,
    eta: float,
    penalty: float,
    scope: Scope = "known",
) -> Problem:
    """
    State the problem: a constraint per group (``gender:woman``) and per pair (``gender:woman ~ occupation_judge``).

    Parameters
    ----------
    shares : mapping
        Attribute to {group: share}: the attributes that are balanced, and towards what.
    eps_r : float or None
        ε of E_q[s_k] = π_k; None leaves representation free.
    eps_d : float or None
        ε of E_q[(s_k − π_k κ/E[κ]) y_r] = 0; None leaves association free.
    eta : float
        Share of the data to keep, in (0, 1].
    scope : {"known", "all"}
        Rows among which association is measured.
    """
    target = population_shares(cells, shares)
    kappa = cells.scope(scope)
    within = target / np.maximum(kappa.T @ (cells.count / cells.count.sum()), np.finfo(float).tiny)
    blocks, names, tolerance = [], [], []
    balanced = [k for k, (attribute, _) in enumerate(cells.groups) if attribute in shares]
    labels = sparse.csr_array(cells.labels.astype(float))
    for k in balanced if eps_d is not None else []:
        contrast = cells.sensitive[:, k] - within[k] * kappa[:, k]
        own = cells.labels_of(cells.groups[k][0])
        blocks.append(sparse.diags_array(contrast) @ labels[:, own])
        names += [f"{':'.join(cells.groups[k])} ~ {cells.label_names[r]}" for r in own]
        tolerance += [eps_d] * len(own)
    for k in balanced if eps_r is not None else []:
        blocks.append(sparse.csr_array((cells.sensitive[:, k] - target[k])[:, None]))
        names.append(":".join(cells.groups[k]))
        tolerance.append(eps_r)
    matrix = sparse.hstack(blocks, format="csr") if blocks else sparse.csr_array((len(cells.count), 0))
    return Problem(
        cells.count, cells.utility, sparse.csr_array(matrix), tuple(names), np.array(tolerance, float), eta, penalty
    )


def representation(cells: Cells, weight: Vector) -> Vector:
    """
    Return E[s_k] under the weights; RB is its largest distance to the target.

    Parameters
    ----------
    weight : ndarray, (N,)
        Total weight of each, e.g. its count, count · q, or copies.
    """
    return cells.sensitive.T @ (weight / weight.sum())


def association(cells: Cells, weight: Vector, scope: Scope = "known") -> np.ndarray:
    """
    Measure the association of each group with each label.

    Parameters
    ----------
    scope : {"known", "all"}
        Rows among which association is measured.

    Returns
    -------
    ndarray, (m, c)
        E[y_r | s_k = 1] − E[y_r | s_k = 0] under the weights, signed, in [−1, 1]; NaN where a side has no rows.
        AB is the largest absolute value.
    """
    inside = cells.sensitive * weight[:, None]
    outside = (cells.scope(scope) & ~cells.sensitive) * weight[:, None]
    labels = sparse.csr_array(cells.labels.astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = [(labels.T @ side).T / side.sum(axis=0)[:, None] for side in (inside, outside)]
    return rates[0] - rates[1]


def effective_share(count: np.ndarray, q: Vector) -> float:
    """
    Return Kish's effective sample size ÷ the data's: (Σ q)² / (Σ q² · rows), in (0, 1].

    Parameters
    ----------
    q : ndarray, (N,)
        Weight of each of them.
    """
    return float((count @ q) ** 2 / (count @ q**2) / count.sum())
