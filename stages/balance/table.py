"""M4 on any table, without a pipeline: a DataFrame in, weights and a report out.

What a column holds decides what it means. Truth values (also ``true`` and ``false`` written as text) make the groups
``true`` and ``false`` of a sensitive column, and one label of a label column; texts, categories and whole numbers make
one group, or one label, of each value; a list puts its row in each of its values. Empty and unknown values
(`stages.corpus.attributes.UNKNOWN`) put it in none: such rows are kept or dropped for their other columns only.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from stages.balance import report
from stages.balance.feasibility import MARGIN, largest_eta, violations
from stages.balance.figure import heat_map, share_bars
from stages.balance.moments import (
    Cells,
    Goal,
    Scope,
    build_problem,
    effective_share,
    shares_of_table,
    target_shares,
    with_intersections,
)
from stages.balance.selection import allot
from stages.balance.solver import UncertifiedError, solve
from stages.core.errors import InputError
from stages.core.seeds import uniform
from stages.corpus import tables
from stages.corpus.attributes import is_unknown, known_value

LISTED = re.compile(r"\[\s*(['\"]).*\1\s*\]", re.DOTALL)  # what pandas writes of a list into a csv file
MOST_VALUES = 1000  # of one column: more are names or numbers, not groups
TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True)
class BalanceReport:
    """
    What balancing changed.

    Attributes
    ----------
    facts : dict
        As `balance.json` of the stage: η, the largest feasible η, the certificate (relative duality gap), constraints
        that are not met, and ``before``, ``solved`` and ``realised`` (by whole rows): rb, ab, ab_mean, effective_share.
    groups : DataFrame
        A row per group: n, target, and its share before, solved and realised.
    associations : DataFrame
        A row per group and label: P(label | group) − P(label | other groups) before, solved and realised.
    unknown : DataFrame
        A row per attribute, and per attribute and label: share of the rows in no group.
    origin : DataFrame or None
        Where `synthetic` is a sensitive column: shares and associations of the others, by what it says.
    """

    facts: dict[str, Any]
    groups: pd.DataFrame
    associations: pd.DataFrame
    unknown: pd.DataFrame
    origin: pd.DataFrame | None = None

    def figure(self) -> Figure:
        """Draw the associations before and after; the shares of the groups, where there are no labels."""
        title = f"{self.facts['rows']} rows, η = {self.facts['eta']:.3g}"
        if not len(self.associations):
            return share_bars(self.groups, "before", "solved", title)
        return heat_map(self.associations, "before", "solved", title)

    def __str__(self) -> str:
        facts = self.facts
        lines = [
            f"{facts['rows']} rows, {facts['distinct_rows']} distinct, {facts['constraints']} constraints; η "
            f"{facts['eta']:.4f} (largest {facts['largest_eta']:.4f}), relative gap "
            f"{facts['certificate']['relative_gap']:.1e} after {facts['certificate']['iterations']} steps",
            "| group | rows | target | before | balanced |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['attribute']}: {row['group']} | {row['n']} | {row['target']:.4f} | {row['before']:.4f} | "
            f"{row['solved']:.4f} |"
            for row in self.groups.to_dict("records")
        ]
        lines += ["| bias | before | balanced | whole rows |", "|---|---|---|---|"]
        for key, name in (("rb", "largest distance from the target"), ("ab", "largest association")):
            lines.append(
                f"| {name} | {facts['before'][key]:.4f} | {facts['solved'][key]:.4f} | {facts['realised'][key]:.4f} |"
            )
        if facts["violated"]:
            worst = facts["violations"][0]
            lines.append(
                f"{facts['violated']} constraints are not met, worst: {worst['constraint']} ({worst['moment']:+.4f})"
            )
        return "\n".join(lines)


def balance_table(
    table: pd.DataFrame,
    sensitive: Sequence[str],
    labels: Sequence[str] = (),
    target: str | pd.DataFrame | Mapping[str, Goal] = "equal",
    *,
    eta: float | str = "auto",
    eps_r: float | None = 0.002,
    eps_d: float | None = 0.0002,
    penalty: float = 100.0,
    scope: Scope = "known",
    intersections: bool = False,
    key: str | None = None,
    seed: int = 0,
) -> tuple[pd.DataFrame, BalanceReport]:
    """
    Find the weights closest to equal ones under which shares and associations are balanced (arXiv 2403.04547).

    Parameters
    ----------
    sensitive : sequence of str
        Columns of sensitive attributes, any number of groups each; what fairlearn calls ``sensitive_features``.
    labels : sequence of str
        Columns that shall be associated with none of them.
    target : str, DataFrame or mapping
        ``equal``; ``observed`` (shares stay, associations go); a table of marginals, as `shares_of_table` reads it; or
        for some columns one of these words or {group: share}.
    eta : float or "auto"
        Share of the rows to keep, the mean weight; ``auto``: the largest at which all constraints can be met.
    eps_r, eps_d : float or None
        Tolerances of shares and associations, each a share of the rows; None: left free.
    penalty : float
        Price of a unit of violation where `eta` is too large for the constraints.
    scope : {"known", "all"}
        Rows among which association is measured: those in some group of the attribute, or all.
    intersections : bool
        Whether every pair of attributes is balanced too, as one attribute.
    key : str, optional
        Column of unique keys, by whose hash whole rows are chosen; the number of the row by default.

    Returns
    -------
    weights : DataFrame, N rows
        In the order and with the index of `table`: ``weight`` in [0, 1], the probability of keeping the row, and
        ``kept``: whether it is among the whole rows that realise the weights.
    report : BalanceReport
        What changed, with the certificate: the objective is within ``relative_gap`` of the optimum.

    Raises
    ------
    InputError
        If a column is missing, holds one group or none, or holds numbers that are no groups; if no weights meet the
        constraints, or a target names other groups than the data.
    """
    check_columns(table, [*sensitive, *labels, *([key] if key else [])])
    if not len(table) or not sensitive:
        raise InputError(
            f"found {len(table)} rows and {len(sensitive)} sensitive columns, expected some of both; "
            "name a table with rows and --sensitive columns"
        )
    every = [*sensitive, *labels]
    if twice := [name for name in every if every.count(name) > 1]:
        raise InputError(f"column {twice[0]}: named twice as an attribute or label; name each column once")
    for name, tolerance in (("eps_r", eps_r), ("eps_d", eps_d)):
        if tolerance is not None and not 0 <= tolerance < np.inf:
            raise InputError(f"{name}: found {tolerance:g}, expected a finite number ≥ 0")
    groups, in_groups = _groups(table, sensitive)
    names, in_labels = _labels(table, labels)
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"label {twice[0]}: found as a column and as a value of another, expected one; rename one")
    bits = np.hstack([in_groups, in_labels])
    packed = np.packbits(bits, axis=1)
    first, inverse, count = np.unique(packed, axis=0, return_index=True, return_inverse=True, return_counts=True)[1:]
    m, inverse = len(groups), inverse.ravel()
    rows = bits[first]
    cells = Cells(rows[:, :m], rows[:, m:], np.ones(len(rows)), count, tuple(groups), tuple(names))
    shares = target_shares(cells, _goals(target, sensitive))
    if intersections:
        cells, shares = with_intersections(cells, shares)
    stated = build_problem(cells, shares, eps_r, eps_d, 1.0, penalty, scope)
    largest = largest_eta(stated)
    if eta == "auto" and largest <= MARGIN:
        worst = ", ".join(name for name, *_ in violations(stated, np.ones(len(count)))[:3])
        raise InputError(
            f"no weights meet the constraints (furthest off: {worst}); raise eps_d or eps_r, leave out rare groups and "
            "labels, or state a number for eta"
        )
    wanted = (1.0 if largest == stated.cap else largest * (1 - MARGIN)) if eta == "auto" else float(eta)
    if not 0 < wanted <= 1:
        raise InputError(f"eta: found {eta}, expected a share in (0, 1], or auto")
    problem = replace(stated, eta=wanted)
    try:
        solution = solve(problem)
    except UncertifiedError as error:
        raise InputError(str(error)) from None
    allotment = allot(problem, solution.q)
    weights = pd.DataFrame({"weight": solution.q[inverse]}, index=table.index)
    weights["kept"] = _kept(inverse, allotment.rows, row_keys(table, key), seed)
    total = allotment.total.astype(float)
    whole = float(total.sum() ** 2 / allotment.squares.sum() / count.sum()) if total.sum() else 0.0
    weightings = [
        report.Weighting("before", count.astype(float), 1.0),
        report.Weighting("solved", count * solution.q, effective_share(count, solution.q)),
        report.Weighting("realised", total if total.sum() else count * solution.q, whole),
    ]
    violated = violations(problem, solution.q)
    facts: dict[str, Any] = {
        "rows": len(table),
        "kept_rows": int(total.sum()),
        "distinct_rows": len(count),
        "constraints": len(problem.names),
        "eta": problem.eta,
        "largest_eta": largest,
        "certificate": {
            "primal": solution.primal,
            "gap": solution.gap,
            "relative_gap": solution.relative_gap,
            "iterations": solution.iterations,
        },
        "violated": len(violated),
        "violations": [dict(zip(("constraint", "moment", "tolerance"), row, strict=True)) for row in violated[:10]],
    }
    of_groups = report.group_table(cells, shares, weightings)
    pairs = report.pair_table(cells, weightings, scope)
    content = report.summary(of_groups, pairs, weightings, facts)
    origin = report.origin_table(cells, weightings, scope)
    return weights, BalanceReport(content, of_groups, pairs, unknown_shares(cells), origin)


def filtered(table: pd.DataFrame, column: str, quantile: float) -> np.ndarray:
    """
    Keep rows as `balance.filter` does: leave out the share that scores lowest, of equal rows the later.

    Parameters
    ----------
    column : str
        Scores, e.g. of a quality model or a CLIP.
    quantile : float
        Share to leave out, in [0, 1).

    Raises
    ------
    InputError
        If a score is no number.
    """
    check_columns(table, [column])
    if not 0 <= quantile < 1:
        raise InputError(f"--quantile: found {quantile:g}, expected a share in [0, 1)")
    scores = np.asarray(pd.to_numeric(table[column], errors="coerce"), float)
    if len(wrong := np.flatnonzero(~np.isfinite(scores))):
        found = table[column].iloc[wrong[0]]
        raise InputError(f"row {wrong[0] + 1}: column {column}: found {found!r}, expected a finite number")
    kept = np.ones(len(table), bool)
    kept[np.lexsort((-np.arange(len(table)), scores))[: int(quantile * len(table))]] = False
    return kept


def left_out(table: pd.DataFrame, sensitive: Sequence[str], labels: Sequence[str], kept: np.ndarray) -> pd.DataFrame:
    """
    Say whom a filter leaves out.

    Parameters
    ----------
    kept : ndarray of bool, (N,)
        Of `filtered`, or of any other filter.

    Returns
    -------
    DataFrame
        A row per group, label, and group with label, and one for all: group, label (empty: any), before, after (rows),
        kept (share of them), share_before, share_after (of all rows), and relative: kept ÷ kept of all; below 1 the
        filter takes more of them than of others, below .8 it breaks the four-fifths rule.
    """
    groups, in_groups = _groups(table, sensitive)
    names, in_labels = _labels(table, labels)
    any_row = np.ones((len(table), 1), bool)
    rows = []
    for group, members in zip(["", *map(": ".join, groups)], np.hstack([any_row, in_groups]).T, strict=True):
        for label, named in zip(["", *names], np.hstack([any_row, in_labels]).T, strict=True):
            both = members & named
            rows.append((group, label, int(both.sum()), int((both & kept).sum())))
    found = pd.DataFrame(rows, columns=pd.Index(["group", "label", "before", "after"]))
    found["kept"] = found["after"] / found["before"].where(found["before"] > 0)
    found["share_before"], found["share_after"] = found["before"] / len(table), found["after"] / max(1, kept.sum())
    return found.assign(relative=found["kept"] / kept.mean())


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """
    Read a csv, tsv, jsonl or parquet file; of parquet, only the columns that are asked for.

    Raises
    ------
    InputError
        If it cannot be read, or a column is missing.
    """
    found = tables.columns(path)
    for name in columns or ():
        if name not in found:
            raise InputError(f"{path}: no column {name} (found: {tables.shown(found)}); name one of them")
    chosen = list(dict.fromkeys(columns or found))
    if path.suffix.lower() == ".parquet":
        try:
            return pq.read_table(path, columns=chosen).to_pandas(ignore_metadata=True)  # an index is a column, too
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: damaged ({' '.join(str(error).split())[:200]}); write it again") from None
    values = [[row.get(name) for name in chosen] for row in tables.rows(path)]
    return pd.DataFrame(values, columns=pd.Index(chosen), dtype=object)


def check_columns(table: pd.DataFrame, names: Iterable[str]) -> None:
    """
    Refuse names that are no columns.

    Raises
    ------
    InputError
        Names the first one.
    """
    for name in names:
        if name not in table:
            raise InputError(f"no column {name} (found: {tables.shown(map(str, table.columns))}); name one of them")


def unknown_shares(cells: Cells) -> pd.DataFrame:
    """Tell which share of the rows is in no group, per attribute and label (empty: all rows): n and unknown."""
    count, rows = cells.count.astype(float), []
    for attribute in cells.attributes:
        nowhere = ~cells.sensitive[:, cells.columns(attribute)].any(axis=1)
        named = [("", np.ones(len(count), bool)), *zip(cells.label_names, cells.labels.T, strict=True)]
        for label, rows_of in named:
            n = count @ rows_of
            rows.append((attribute, label, int(n), float(count @ (rows_of & nowhere) / n) if n else np.nan))
    return pd.DataFrame(rows, columns=pd.Index(["attribute", "label", "n", "unknown"]))


def indicators(column: pd.Series, name: str) -> tuple[list[str], np.ndarray]:
    """
    Turn a column into groups (names sorted, categories in their order; ``true``, ``false``) and who is in which.

    Raises
    ------
    InputError
        If a value is no group: a number with decimals, a structure, a list that was written as text; names the row.
    """
    codes, distinct = _distinct(column)
    listed = [_values(value, name, codes, code) for code, value in enumerate(distinct)]
    found = {value for values in listed for value in values}
    if found and {value.casefold() for value in found} <= TRUTHS.keys():
        listed, found = [[value.casefold() for value in values] for values in listed], set(TRUTHS)
    names = sorted(found)
    if real := _real_number(listed):
        raise InputError(
            f"column {name}: found the number {real}, expected groups; cut it into ranges first (pandas.cut)"
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = [known_value(_whole(value), name) for value in column.dtype.categories]
        names = [value for value in order if value in found]
    if len(names) > MOST_VALUES:
        raise InputError(f"column {name}: {len(names)} distinct values, expected groups ({MOST_VALUES} at the most)")
    place = {value: number for number, value in enumerate(names)}
    members = np.zeros((len(listed) + 1, len(names)), bool)  # the last row: no value
    for code, values in enumerate(listed):
        members[code, [place[value] for value in values]] = True
    return names, members[codes]


def _real_number(listed: Sequence[Sequence[str]]) -> str | None:
    """Find a number with decimals where all texts are numbers: a csv file holds a column of numbers as text."""
    try:
        numbers = {text: float(text) for values in listed for text in values}
    except ValueError:
        return None
    return next((text for text, number in numbers.items() if not number.is_integer()), None)


def _whole(value: Any) -> Any:
    """Take the ".0" off a whole number: gaps in a column make floats of its integers."""
    return int(value) if isinstance(value, (float, np.floating)) and float(value).is_integer() else value


def _distinct(column: pd.Series) -> tuple[np.ndarray, Sequence[Any]]:
    """Number the distinct values, −1 where there is none; lists each stand for themselves."""
    try:
        codes, distinct = pd.factorize(column)
    except TypeError:
        return np.arange(len(column)), column.tolist()
    return codes, list(distinct)


def _values(value: Any, name: str, codes: np.ndarray, code: int) -> list[str]:
    """Read the groups of one distinct value, whose first row errors name."""
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return [text for one in value for text in _values(one, name, codes, code)]
    if isinstance(value, (bool, np.bool_)):
        return [str(bool(value)).lower()]
    if value is pd.NA or value is pd.NaT or is_unknown(value):
        return []
    text, where = known_value(_whole(value), name), f"row {np.flatnonzero(codes == code)[0] + 1}: column {name}"
    if isinstance(value, (dict, bytes)):
        raise InputError(f"{where}: found {text[:60]}, expected a text, or a list of texts")
    if isinstance(value, (float, np.floating)) and not float(value).is_integer():
        raise InputError(f"{where}: found the number {text}, expected groups; cut it into ranges first (pandas.cut)")
    if LISTED.fullmatch(text):
        raise InputError(
            f"{where}: found {text[:60]}, a list that was written as text; write the table as "
            ".parquet or .jsonl, which hold lists"
        )
    return [text]


def _groups(table: pd.DataFrame, sensitive: Sequence[str]) -> tuple[list[tuple[str, str]], np.ndarray]:
    groups, parts = [], []
    for name in sensitive:
        values, members = indicators(pd.Series(table[name]), name)
        if members.any(axis=0).sum() < 2:
            raise InputError(
                f"column {name}: found {', '.join(values) or 'no value'}, expected two groups or more; leave it out"
            )
        groups += [(name, value) for value in values]
        parts.append(members)
    return groups, np.hstack(parts)


def _labels(table: pd.DataFrame, labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    names: list[str] = []
    parts = [np.empty((len(table), 0), bool)]
    for name in labels:
        values, members = indicators(pd.Series(table[name]), name)
        if set(values) <= TRUTHS.keys() or set(values) <= {"0", "1"}:
            chosen = [place for place, value in enumerate(values) if value in ("true", "1")]
            names += [name] * len(chosen)
            members = members[:, chosen]
        else:
            names += [f"{name}: {value}" for value in values]
        parts.append(members)
    return names, np.hstack(parts)


def _goals(target: str | pd.DataFrame | Mapping[str, Goal], sensitive: Sequence[str]) -> dict[str, Goal]:
    if isinstance(target, pd.DataFrame):
        try:
            return {name: goal for name, goal in shares_of_table(target, sensitive).items()}  # noqa: C416 — of a wider type
        except InputError as error:
            raise InputError(f"target: {error}") from None
    if isinstance(target, Mapping):
        if other := [name for name in target if name not in sensitive]:
            raise InputError(f"target: found {other[0]}, expected some of {', '.join(sensitive)}")
        return dict(target)
    if target not in ("equal", "observed"):
        raise InputError(f"target: found {target!r}, expected equal, observed, or a table of marginals")
    return dict.fromkeys(sensitive, "equal" if target == "equal" else "observed")


def row_keys(table: pd.DataFrame, key: str | None) -> list[str]:
    """Name each row by a column, or by its number; refuse rows without a key, and keys that come twice."""
    if key is None:
        return [str(number) for number in range(len(table))]
    keys = pd.Series([known_value(_whole(value), key) for value in table[key]])
    wrong = np.flatnonzero((keys == "") | keys.duplicated())
    if len(wrong):
        found = keys.iloc[wrong[0]]
        raise InputError(
            f"row {wrong[0] + 1}: column {key}: found {found!r} twice or empty, expected unique keys; correct it"
        )
    return keys.tolist()


def _kept(cell: np.ndarray, rows: np.ndarray, keys: Sequence[str], seed: int) -> np.ndarray:
    """Take the first rows of each cell in the order of their hashes: what a smaller share takes, a larger takes too."""
    order = np.lexsort([np.array([uniform(seed, key, "balance") for key in keys]), cell])
    start = np.searchsorted(cell[order], np.arange(len(rows)))
    kept = np.empty(len(cell), bool)
    kept[order] = np.arange(len(cell)) - start[cell[order]] < rows[cell[order]]
    return kept
