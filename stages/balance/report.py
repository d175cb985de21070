"""What balancing changed: bias before, as solved, and as realised by whole rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from stages.balance.moments import (
    Cells,
    Goal,
    Scope,
    Shares,
    association,
    population_shares,
    representation,
    target_shares,
)
from stages.balance.problem import Vector
from stages.corpus.attributes import ORIGIN, open_attribute


@dataclass(frozen=True)
class Weighting:
    """
    One way to weigh the distinct rows.

    Attributes
    ----------
    name : str
        ``before``, ``solved`` or ``realised``.
    weight : ndarray, (N,)
        Total weight of each distinct row.
    effective : float
        Effective sample size over the number of rows in the data.
    """

    name: str
    weight: Vector
    effective: float


def group_table(cells: Cells, shares: Shares, weightings: list[Weighting]) -> pd.DataFrame:
    """
    Tabulate the share of each group.

    Parameters
    ----------
    shares : mapping
        Targets of the attributes that are balanced; the others are compared with equal shares.

    Returns
    -------
    DataFrame, m rows
        attribute, group, balanced (whether it has a target), n (rows in the data), target, and the share under each
        weighting.
    """
    others: dict[str, Goal] = {name: "equal" for name in cells.attributes if name not in shares}
    table = pd.DataFrame([{"attribute": attribute, "group": group} for attribute, group in cells.groups])
    table["balanced"] = table["attribute"].isin(list(shares))
    table["n"] = cells.sensitive.T @ cells.count
    table["target"] = population_shares(cells, {**target_shares(cells, others), **shares})
    for weighting in weightings:
        table[weighting.name] = representation(cells, weighting.weight)
    return table


def pair_table(cells: Cells, weightings: list[Weighting], scope: Scope) -> pd.DataFrame:
    """
    Tabulate the association of every group with every label.

    Parameters
    ----------
    cells : Cells
        N distinct rows, m groups, c labels.
    scope : {"known", "all"}
        Rows among which association is measured.

    Returns
    -------
    DataFrame, m · c rows
        attribute, group, label, n (rows with both), n_label (rows with the label, in scope), and the signed
        association under each weighting; NaN where a side is empty.
    """
    count = cells.count[:, None]
    both = cells.sensitive.T @ (cells.labels * count)
    named = cells.scope(scope).T @ (cells.labels * count)
    table = pd.DataFrame(
        {
            "attribute": [attribute for attribute, _ in cells.groups for _ in cells.label_names],
            "group": [group for _, group in cells.groups for _ in cells.label_names],
            "label": list(cells.label_names) * len(cells.groups),
        }
    )
    table["n"], table["n_label"] = both.ravel(), named.ravel()
    for weighting in weightings:
        table[weighting.name] = association(cells, weighting.weight, scope).ravel()
    own = {attribute: set(cells.labels_of(attribute)) for attribute in cells.attributes}
    return table.loc[[r in own[name] for name, _ in cells.groups for r in range(len(cells.label_names))]]


def origin_table(cells: Cells, weightings: list[Weighting], scope: Scope) -> pd.DataFrame | None:
    """
    Tabulate shares and associations apart for images that the corpus says are generated, are not, or says nothing of.

    Returns
    -------
    DataFrame or None
        For each of these and each group of another attribute: synthetic (true, false, or empty), attribute, group, n
        (rows), and under each weighting the share, and the largest association with a label, NaN where there are no
        rows. None where the corpus has no such column.
    """
    if ORIGIN not in cells.attributes:
        return None
    among = {group: cells.sensitive[:, k] for k, (name, group) in enumerate(cells.groups) if name == ORIGIN}
    among[""] = ~np.any(list(among.values()), axis=0)
    others = [k for k, (name, _) in enumerate(cells.groups) if ORIGIN not in name.split("×")]
    parts = []
    for origin, rows in among.items():
        own = [replace(weighting, weight=weighting.weight * rows) for weighting in weightings]
        table = pd.DataFrame([cells.groups[k] for k in others], columns=pd.Index(["attribute", "group"]))
        table.insert(0, ORIGIN, origin)
        table["n"] = (cells.sensitive.T @ (cells.count * rows))[others]
        pairs = dict(list(pair_table(cells, own, scope).groupby(["attribute", "group"])))
        for one in own:
            shares = (
                np.asarray(representation(cells, one.weight))
                if one.weight.any()
                else np.full(len(cells.groups), np.nan)
            )
            table[one.name] = shares[others]
            of = {group: float(part[one.name].abs().max()) for group, part in pairs.items()}
            table[f"{one.name}_association"] = [of.get(cells.groups[k], np.nan) for k in others]
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def bias(groups: pd.DataFrame, pairs: pd.DataFrame, weighting: Weighting) -> dict[str, float]:
    """
    Summarise one weighting.

    Returns
    -------
    dict
        rb: max |π_k − E[s_k]|; ab, ab_mean: maximum and mean |association|, 0 without pairs; ab_open: the
        maximum among captions that leave the attribute open, where they are balanced; effective_share. Over the
        attributes that are balanced, or over all where none is.
    """
    balanced = sorted(set(groups["attribute"][groups["balanced"].to_numpy(bool)]))
    if balanced:
        groups = groups.loc[groups["attribute"].isin(balanced).to_numpy()]
        pairs = pairs.loc[pairs["attribute"].isin(balanced).to_numpy()]
    opened = pairs["label"].map(open_attribute).notna().to_numpy(bool)
    size, of_open = (pairs.loc[rows, weighting.name].abs().dropna() for rows in (~opened, opened))
    return {
        **({"ab_open": float(of_open.max())} if len(of_open) else {}),
        "rb": float((groups["target"] - groups[weighting.name]).abs().max()),
        "ab": float(size.max()) if len(size) else 0.0,
        "ab_mean": float(size.mean()) if len(size) else 0.0,
        "effective_share": weighting.effective,
    }


def strongest(pairs: pd.DataFrame, by: str, number: int = 10) -> list[dict[str, Any]]:
    """
    Name the strongest associations.

    Returns
    -------
    list of dict
        attribute, group, label, n, before, solved, realised. Where the two groups of an attribute mirror each other,
        the stronger of the two stands for both.
    """
    ranked = pairs.dropna(subset=[by]).assign(size=pairs[by].abs()).sort_values("size", ascending=False, kind="stable")
    first = ranked.drop_duplicates(["attribute", "label"]).head(number).drop(columns=["size", "n_label"])
    return [{str(k): v for k, v in row.items() if v == v} for row in first.to_dict("records")]


def summary(
    groups: pd.DataFrame, pairs: pd.DataFrame, weightings: list[Weighting], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Collect everything that ``balance.json`` says: finite numbers, strings, lists and dicts only.

    Parameters
    ----------
    facts : mapping
        What is known besides: α, method, η, gap, …
    """
    names = [weighting.name for weighting in weightings]
    return {
        **facts,
        **{weighting.name: bias(groups, pairs, weighting) for weighting in weightings},
        "groups": {
            f"{row['attribute']}:{row['group']}": {name: float(row[name]) for name in ["n", "target", *names]}
            for row in groups.to_dict("records")
        },
        "strongest": {"before": strongest(pairs, names[0]), "after": strongest(pairs, names[-1])},
    }


def readable(column: str) -> str:
    """Turn a label's column into words, ``police officer``; a proxy keeps its mark, ``proxy: headscarf``."""
    if not column.startswith("y_"):
        return column
    if attribute := open_attribute(column):
        return f"{readable(column.replace(f'open_{attribute}_', ''))}, {attribute.replace('_', ' ')} not said"
    kind, _, name = column.removeprefix("y_").partition("_")
    words = name.replace("_", " ")
    return f"{kind}: {words}" if kind == "proxy" else words or kind
