"""Figures of several seeds become one: the mean, its spread between seeds, and its interval over test images.

Two kinds of noise stay apart. ``std`` is the sample standard deviation between seeds: what another training run would
move. ``lo`` and ``hi`` are the means of the seeds' 95 % bootstrap ends: what another draw of test images would move.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from stages.corpus.words import GROUPS
from stages.results.details import Details, Estimate
from stages.results.registry import figure

GROUP_COLUMNS = ("attribute", "group", "n", "value")
TEXT = ("set", "part", "attribute", "group")  # where all are empty, pandas reads numbers
WEIGHTINGS = ("before", "solved", "realised")
MEASURED = ("n", "value", "lo", "hi", "small")


def summarise(scores: Mapping[int, Details]) -> pd.DataFrame:
    """
    Summarise each metric over the seeds.

    Returns
    -------
    DataFrame
        One row per key, sorted: key, mean, std (NaN with one seed), lo, hi (NaN where there is no interval), seeds (how
        many define it).

    Raises
    ------
    ValueError
        If a value is not finite, or there is no seed.
    """
    if not scores:
        raise ValueError("no seed to summarise")
    if bad := [(seed, key) for seed, of in scores.items() for key, one in of.items() if not np.isfinite(one.value)]:
        raise ValueError(f"seed {bad[0][0]}: {bad[0][1]} is not finite")
    parts = {
        part: pd.DataFrame({seed: {key: getattr(one, part) for key, one in of.items()} for seed, of in scores.items()})
        for part in ("value", "lo", "hi")
    }
    summary = pd.DataFrame(
        {
            "mean": parts["value"].mean(axis=1),
            "std": parts["value"].std(axis=1, ddof=1),
            "lo": parts["lo"].mean(axis=1),
            "hi": parts["hi"].mean(axis=1),
            "seeds": parts["value"].notna().sum(axis=1),
        }
    )
    return summary.sort_index().rename_axis("key").reset_index()


def estimates(summary: pd.DataFrame, data: Mapping[str, float]) -> Details:
    """
    Put a summary and the figures of the data, which no seed changes, into one mapping.

    Parameters
    ----------
    summary : DataFrame
        From `summarise`.
    data : mapping of str to float
        Their keys get the prefix ``data.``.
    """
    rows = summary[["key", "mean", "lo", "hi", "std", "seeds"]].itertuples(index=False)
    found = {str(key): Estimate(float(mean), lo, hi, std, int(seeds)) for key, mean, lo, hi, std, seeds in rows}
    return dict(sorted((found | {f"data.{key}": Estimate(float(value)) for key, value in data.items()}).items()))


def data_metrics(balance: Mapping[str, Any]) -> dict[str, float]:
    """
    Take the figures of the data from what `balance` says.

    Parameters
    ----------
    balance : mapping
        Content of balance.json: blocks ``before``, ``solved``, ``realised`` with ``rb``, ``ab``, …; other numbers.

    Returns
    -------
    dict of str to float
        ``rb.before``, ``ab.realised``, …, and every other number at the top, e.g. ``eta``; finite.
    """
    found: dict[str, float] = {}
    for key, value in balance.items():
        if key in WEIGHTINGS:
            found |= {f"{name}.{key}": number for name, number in value.items() if _is_number(number)}
        elif _is_number(value):
            found[key] = value
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def by_seed(scores: Mapping[int, Details]) -> pd.DataFrame:
    """Tabulate each metric of each seed (metric, seed, value; sorted), for tests that pair runs by seed."""
    rows = [(key, seed, one.value) for seed, of in scores.items() for key, one in of.items()]
    return pd.DataFrame(sorted(rows), columns=pd.Index(["metric", "seed", "value"]))


def pool(tables: Mapping[int, pd.DataFrame], keys: Sequence[str], spread: str = "") -> pd.DataFrame:
    """
    Average the numeric columns of one table over the seeds.

    Parameters
    ----------
    tables : mapping of int to DataFrame
        By seed; rows in any order.
    keys : sequence of str
        Columns that name a row; missing values in them are the empty string.
    spread : str
        Column whose standard deviation between seeds becomes the column ``std``; none by default.

    Returns
    -------
    DataFrame
        One row a name, in the order of the first seed: keys, then the means; counts (``n``, ``n_…``) stay whole.
    """
    joined = pd.concat(tables.values(), ignore_index=True)
    joined[list(keys)] = joined[list(keys)].fillna("")
    numbers = [name for name in joined if name not in keys and pd.api.types.is_numeric_dtype(joined[name])]
    rows = joined.groupby(list(keys), sort=False)
    pooled = cast(pd.DataFrame, rows[numbers].mean())
    if spread:
        pooled["std"] = rows[spread].std(ddof=1)
    for name in numbers:
        if name == "n" or str(name).startswith("n_"):
            pooled[name] = pooled[name].round().astype(int)
    return pooled.reset_index()


def _with_attribute(table: pd.DataFrame) -> pd.DataFrame:
    """Add the column attribute where the names of the groups say it."""
    if "group" not in table or "attribute" in table:
        return table
    of = {group: attribute for attribute, names in GROUPS.items() for group in names}
    return table.assign(attribute=[of.get(group, "") for group in table["group"]])


def _places(rows: pd.DataFrame) -> list[list[str]]:
    empty = pd.Series("", index=rows.index)
    return [pd.Series(rows.get(name, empty)).astype(str).tolist() for name in ("set", "part")]


def _titled(metric: str, *where: str) -> str:
    return " · ".join(filter(None, (figure(metric)[0], *where)))


def groups(tables: Mapping[str, Mapping[int, pd.DataFrame]]) -> pd.DataFrame:
    """
    Collect every figure by group into one table.

    Parameters
    ----------
    tables : mapping of str to mapping of int to DataFrame
        By name of the table, then seed. Tables without the columns group, n and value are left out; attribute is added
        where the group says it. Columns beside these and lo, hi, small that hold no decimals say what the figure is.

    Returns
    -------
    DataFrame
        metric (name of the table and what else names the figure: ``retrieval.t2i.5``), set, part, attribute, group
        (``all``: without an attribute), n, value, std, lo, hi, small (1: fewer images than the stated size), figure
        (metric, set and part in words).
    """
    parts = []
    for name, of_seed in tables.items():
        of_seed = {seed: _with_attribute(table) for seed, table in of_seed.items()}
        first = next(iter(of_seed.values()))
        if not set(GROUP_COLUMNS) <= set(first.columns):
            continue
        floats = set(first.select_dtypes("float").columns)
        keys = [
            column for column in first.columns if column not in MEASURED and (column in TEXT or column not in floats)
        ]
        flagged = {s: t.assign(small=t.get("small", False)).astype({"small": float}) for s, t in of_seed.items()}
        rows = pool(flagged, keys, spread="value")
        variants = [column for column in keys if column not in TEXT]
        metric = [".".join([name, *(str(v) for v in row if v != "")]) for row in rows[variants].to_numpy()]
        parts.append(
            pd.DataFrame(
                {
                    "metric": metric,
                    "set": rows.get("set", ""),
                    "part": rows.get("part", ""),
                    "attribute": rows["attribute"],
                    "group": rows["group"],
                    "n": rows["n"],
                    "value": rows["value"],
                    "std": rows["std"],
                    "lo": rows.get("lo", np.nan),
                    "hi": rows.get("hi", np.nan),
                    "small": rows["small"].round().astype(int),
                    "figure": [_titled(name, *where) for name, *where in zip(metric, *_places(rows), strict=True)],
                }
            )
        )
    columns = ["metric", "set", "part", "attribute", "group", "n", "value", "std", "lo", "hi", "small", "figure"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index(columns))
