"""Tables of results that are kept in git, read strictly: people may have edited, merged or cut them."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from stages.core.errors import InputError
from stages.results import details
from stages.results.registry import entry

Kind = Literal["text", "number", "figure", "whole"]  # figure: a number, or nothing where it is not defined
RUNS: Mapping[str, Kind] = {
    "run": "text", "alpha": "number", "method": "text", "seed": "whole", "metric": "text", "value": "number"
}  # fmt: skip
SCORES: Mapping[str, Kind] = {"metric": "text", "seed": "whole", "value": "number"}
ROW = ("run", "method", "metric", "seed")  # what names a row of runs
_EXPECTED = {
    "text": "a text", "number": "a finite number", "figure": "a finite number, or nothing", "whole": "a whole number"
}  # fmt: skip


def read(path: Path, kinds: Mapping[str, Kind], key: Sequence[str] = (), remedy: str = "correct it") -> pd.DataFrame:
    """
    Read a CSV file of results.

    Parameters
    ----------
    kinds : mapping of str to str
        Columns that are needed, and what their values are; others are numbers where all of their values are.
    key : sequence of str
        Columns that name a row: no two rows have the same values in them.
    remedy : str
        What to do about a file that is not as it was written.

    Raises
    ------
    InputError
        One line: the file, the line in it, what was found, what is expected, what to do.
    """
    return _parsed(_text(path, remedy), path, kinds, key, remedy)


def _parsed(text: str, path: Path | str, kinds: Mapping[str, Kind], key: Sequence[str], remedy: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, skip_blank_lines=False)
    except ValueError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}; {remedy}") from None
    if absent := [name for name in kinds if name not in table]:
        raise InputError(f"{path}: no column {absent[0]} (found {', '.join(map(str, table))}); {remedy}")
    if not text.endswith("\n"):
        raise InputError(f"{path}: line {len(table) + 1}: no end of the line, as of a file that was cut; {remedy}")
    for name, kind in kinds.items():
        table[name] = _converted(path, name, table[name].tolist(), kind, remedy)
    for name in set(table) - set(kinds):
        values = [_value(value, "figure") for value in table[name]]
        if None not in values:
            table[name] = pd.Series(values, table.index, float)
    twice = table.duplicated([*key]).to_numpy(bool) if key else np.zeros(len(table), bool)
    if twice.any():
        place = int(twice.argmax())
        names = ", ".join(f"{name} {table[name].iloc[place]}" for name in key)
        raise InputError(f"{path}: line {place + 2}: comes twice ({names}); {remedy}")
    return table


def read_runs(path: Path, remedy: str = "correct it, or restore it from git") -> pd.DataFrame:
    """Read a table of runs: a value per run, method and metric, each within what its metric can be."""
    table = read(path, RUNS, ROW, remedy).loc[:, [*RUNS]]
    for name, high in (("alpha", 1), ("seed", math.inf)):
        for place, found in enumerate(table[name].tolist()):
            if not 0 <= found <= high:
                expected = "a share" if name == "alpha" else "0 or more"
                raise InputError(f"{path}: line {place + 2}: {name}: found {found}, expected {expected}; {remedy}")
    _check_values(table, path, remedy)
    return table


def read_scores(text: str, where: str) -> pd.DataFrame:
    """Read the content of seeds.csv, as `where` has it: metric, seed and value, each within what its metric can be."""
    remedy = "name another revision, or run it again"
    table = _parsed(text, where, SCORES, ("metric", "seed"), remedy)
    _check_values(table, where, remedy)
    return table


def _check_values(table: pd.DataFrame, path: Path | str, remedy: str) -> None:
    spans = {metric: _span(metric) for metric in table["metric"].unique().tolist()}
    for place, (metric, value) in enumerate(zip(table["metric"].tolist(), table["value"].tolist(), strict=True)):
        low, high = spans[metric]
        if not low <= value <= high:
            said = f"value: found {value:g} for {metric}, expected {entry(metric).range}"
            raise InputError(f"{path}: line {place + 2}: {said}; {remedy}")


def read_details(source: Path | str, where: str = "") -> details.Details:
    """Read details.json, or the text of one that `where` names: `details.read`, each value within what it can be."""
    name, found = where or str(source), details.read(source, where)
    for metric, of in found.items():
        low, high = _span(metric)
        said = ""
        if not low <= of.value <= high:
            said = f"found {of.value:g}, expected {entry(metric).range}"
        elif of.std < 0:
            said = f"std: found {of.std:g}, expected 0 or more"
        elif of.lo > of.hi:
            said = f"found an interval from {of.lo:g} to {of.hi:g}, expected the lower end first"
        if said:
            raise InputError(f"{name}: {metric}: {said}; run the stage that writes it again, or restore it from git")
    return found


def _span(metric: str) -> tuple[float, float]:
    """Return what a metric can be, with some room for rounding."""
    low, high = entry(metric).span
    slack = 1e-6 * (high - low) if math.isfinite(high - low) else 0.0
    return low - slack, high + slack


def _text(path: Path, remedy: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}; {remedy}") from None


def _converted(path: Path | str, name: str, given: Sequence[str], kind: Kind, remedy: str) -> pd.Series:
    """Convert the values of a column, or refuse the first that is of another kind."""
    values = [_value(value, kind) for value in given]
    for place, value in enumerate(values):
        if value is None:
            expected = f"found {given[place]!r}, expected {_EXPECTED[kind]}"
            raise InputError(f"{path}: line {place + 2}: {name}: {expected}; {remedy}")
    return pd.Series(values, dtype={"text": object, "whole": int}.get(kind, float))


def _value(text: str, kind: Kind) -> object:
    """Convert a value; None: it is of another kind."""
    if kind == "text":
        return text or None
    if not text:
        return math.nan if kind == "figure" else None
    try:
        number = int(text) if kind == "whole" else float(text)
        if kind == "whole" and abs(number) >= 2**63:
            return None
        return number if math.isfinite(number) and "_" not in text else None
    except (ValueError, OverflowError):  # no number, or a whole one that no float holds
        return None
