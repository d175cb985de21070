"""Runs of a sweep in one tidy table, each on the line of its balancing method."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stages.errors import InputError

ALPHA = "contamination.alpha"
METHOD = "balance.method"
SILENT = ("gate.", "plot.", "study.")  # parameters that no score depends on


@dataclass(frozen=True)
class Run:
    """
    One run of the pipeline.

    Attributes
    ----------
    name : str
        Experiment, branch or commit.
    settings : mapping of str to str, float, …
        Its parameters by dotted key, without the seeds.
    values : DataFrame
        metric, seed, value.
    """

    name: str
    settings: Mapping[str, Any]
    values: pd.DataFrame


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """
    Flatten nested parameters.

    Parameters
    ----------
    values : mapping
        Nested.
    prefix : str
        Of the keys.

    Returns
    -------
    dict
        By dotted key; lists become JSON text.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


def lines(runs: Sequence[Run]) -> list[str]:
    """
    Name the line of each run: whatever of its parameters differs between the runs, but α.

    Parameters
    ----------
    runs : sequence of Run
        All runs.

    Returns
    -------
    list of str
        The method first, e.g. ``"m4, equal"``; other parameters with their names. Without balancing its details say
        nothing.
    """

    def said(run: Run) -> dict[str, Any]:
        idle = run.settings.get(METHOD) == "none"
        return {
            k: v
            for k, v in run.settings.items()
            if k != ALPHA and not k.startswith(SILENT) and not (idle and k.startswith("balance.") and k != METHOD)
        }

    active = [said(run) for run in runs]
    keys = sorted({key for settings in active for key in settings})
    # a key that only runs without balancing lack does not differ
    varying = [key for key in keys if len({str(settings[key]) for settings in active if key in settings}) > 1]
    if METHOD in keys and METHOD not in varying:
        varying.append(METHOD)
    varying.sort(key=lambda key: (key != METHOD, key != "balance.target", key))
    plain = (METHOD, "balance.target")
    return [", ".join(str(s[k]) if k in plain else f"{k} {s[k]}" for k in varying if k in s) for s in active]


def tabulate(runs: Sequence[Run]) -> pd.DataFrame:
    """
    Put all runs into one tidy table.

    Parameters
    ----------
    runs : sequence of Run
        In order of age; of runs with equal parameters the last one counts, a seed each.

    Returns
    -------
    DataFrame
        run, alpha, method (the line), seed, metric, value.

    Raises
    ------
    InputError
        If there is no run.
    """
    if not runs:
        raise InputError(
            "compare: no run has results; run a sweep first (`dvc exp run --queue -S …`, `dvc queue start`)"
        )
    parts = [
        one.values.assign(run=one.name, alpha=float(one.settings[ALPHA]), method=line)
        for one, line in zip(runs, lines(runs), strict=True)
    ]
    table = pd.concat(parts, ignore_index=True).drop_duplicates(["alpha", "method", "seed", "metric"], keep="last")
    columns = ["run", "alpha", "method", "seed", "metric", "value"]
    return table.loc[:, columns].sort_values(["metric", "method", "alpha", "seed"], ignore_index=True)


def experiments(shown: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[str, str]], list[str]]:
    """
    List what ``dvc exp show --json`` prints.

    Parameters
    ----------
    shown : sequence of mapping
        Its output.

    Returns
    -------
    tuple of (list of (str, str), list of str)
        Name and commit of commits and finished experiments, oldest first; names of those without results.
    """
    found: list[tuple[str, str, str]] = []
    unfinished = []
    for commit in shown:
        if commit["rev"] != "workspace":
            found.append((_time(commit), commit.get("name") or commit["rev"][:7], commit["rev"]))
        for experiment in commit.get("experiments") or []:
            newest = (experiment.get("revs") or [{}])[0]
            name = experiment.get("name") or str(newest.get("rev", ""))[:7]
            if newest.get("data") and not newest.get("error"):
                found.append((_time(newest), name, newest["rev"]))
            else:
                unfinished.append(name)
    return [(name, revision) for _, name, revision in sorted(found, key=lambda item: item[0])], unfinished


def _time(commit: Mapping[str, Any]) -> str:
    return str((commit.get("data") or {}).get("timestamp") or "")
