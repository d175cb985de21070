"""Runs of a sweep in one tidy table, each on the line of its balancing method."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stages.core.errors import InputError
from stages.results.formatting import NOT_BALANCED, balancing

ALPHA = "contamination.alpha"
METHOD = "balance.method"
TARGET = "balance.target"
ETA = "balance.eta"
DRAW = "contamination.seed"
SILENT = ("counterweights.", "gate.", "plot.", "study.", "download.emoji.oracle")  # no score depends on them alone


@dataclass(frozen=True)
class Run:
    """
    One run of the pipeline.

    Attributes
    ----------
    settings : mapping of str to str, float, …
        Its parameters by dotted key, without seeds and draw: these tell replicates apart, not lines.
    """

    name: str
    settings: Mapping[str, Any]
    values: pd.DataFrame


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """
    Flatten nested parameters.

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


def settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Take the settings of a run from its parameters."""
    return {key: value for key, value in flatten(params).items() if key not in ("seeds", "profile", DRAW)}


def lines(runs: Sequence[Run]) -> list[str]:
    """
    Name the line of each run: whatever of its parameters differs between the runs, but α.

    Returns
    -------
    list of str
        The method first, e.g. ``"m4, equal"``; other parameters with their names where they are not what most runs
        have, e.g. ``"m4, proxies on"``. What balances nothing is ``"not balanced"``, whatever its method or target.
    """

    def applies(key: str, run: Run) -> bool:
        idle = _method(run) == NOT_BALANCED and key.startswith("balance.") and key != METHOD
        return key in run.settings and not idle

    every = {key for run in runs for key in run.settings if key != ALPHA and not key.startswith(SILENT)}
    values = {key: Counter(str(run.settings[key]) for run in runs if applies(key, run)) for key in every}
    varying = [key for key, of in values.items() if len(of) > 1 or key == METHOD]
    varying.sort(key=lambda key: (key != METHOD, key != TARGET, key))

    def said(key: str, run: Run) -> bool:
        usual = (
            2 * values[key][str(run.settings[key])] > values[key].total()
        )  # what most runs share goes without saying
        return key in (METHOD, TARGET) or not usual

    def name(key: str, run: Run) -> str:
        value = run.settings[key]
        if key in (METHOD, TARGET):
            return _method(run) if key == METHOD else str(value)
        switched = {True: "on", False: "off"}[value] if isinstance(value, bool) else value
        return f"{key.removeprefix('balance.')} {switched}"

    return [", ".join(name(k, run) for k in varying if applies(k, run) and said(k, run)) for run in runs]


def _method(run: Run) -> str:
    goals = {key: value for key, value in run.settings.items() if key == TARGET or key.startswith(f"{TARGET}.")}
    return balancing(str(run.settings.get(METHOD)), goals or None, run.settings.get(ETA, "auto"))


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
