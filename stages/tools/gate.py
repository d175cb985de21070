"""Fails where a change makes a metric worse than noise allows: the check of a pull request.

    python -m stages.tools.gate --against origin/main           results in the working tree against those of a revision
    python -m stages.tools.gate old.json new.json               two details.json
    dvc metrics diff --all --json origin/main > diff.json
    python -m stages.tools.gate --diff diff.json                what DVC says

`gate.metrics` in params.yaml names the metrics and the worsening that each is let through. One fails where it worsens
by more than that *and* by more than its noise (`stages.results.metric_change`: test images and seeds). Prints a
Markdown table; exit code 0: passed, 1: failed, 2: cannot be judged.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import InputError, run
from stages.results.details import Details, Estimate, read
from stages.results.formatting import counted, difference, number, vanishes
from stages.results.metric_change import Change, change
from stages.results.registry import entry, label
from stages.results.repository import show
from stages.tools.params import load


@dataclass(frozen=True)
class Check:
    """
    One metric at the gate.

    Attributes
    ----------
    change : Change
        Old and new value, worsening, noise.
    tolerance : float
        Worsening that is let through, in the metric's unit.
    """

    change: Change
    tolerance: float

    @property
    def failed(self) -> bool:
        """Whether the metric worsened by more than tolerance and noise each allow."""
        return self.change.worsening > max(self.change.noise, self.tolerance, 1e-12)


def check(tolerances: Mapping[str, float], old: Details, new: Details) -> list[Check]:
    """
    Judge metrics.

    Parameters
    ----------
    tolerances : mapping of str to float
        Key of the metric: worsening that is let through.

    Returns
    -------
    list of Check
        In the order of the tolerances.

    Raises
    ------
    InputError
        If a metric is unknown, has no better direction, or is missing on one side.
    """
    check_keys(tolerances)
    checks = []
    for key, tolerance in tolerances.items():
        for side, metrics in (("old", old), ("new", new)):
            if key not in metrics:
                raise InputError(
                    f"gate: {key} is missing in the {side} metrics ({len(metrics)} keys); run the pipeline on both "
                    "sides with the same profile, or remove it from gate.metrics"
                )
        checks.append(Check(change(key, old, new), tolerance))
    return checks


def check_keys(keys: Iterable[str]) -> None:
    """
    Refuse metrics that cannot be judged.

    Parameters
    ----------
    keys : iterable of str
        Of `gate.metrics`.

    Raises
    ------
    InputError
        If one is in no catalogue, or has no better direction.
    """
    for key in keys:
        if entry(key).better == "none":
            raise InputError(
                f"params.yaml: gate.metrics: {key}: unknown, or no direction of it is worse; expected a key of "
                "`python -m stages.tools.metric_help` with a better direction"
            )


def markdown(checks: Sequence[Check]) -> str:
    """Write the outcome as Markdown."""
    failed = [one for one in checks if one.failed]
    verdict = (
        f"**Gate: failed.** Worse than noise allows: {', '.join(label(one.change.key) for one in failed)}."
        if failed
        else f"**Gate: passed.** Of {counted(len(checks), 'metric')} none worsened by more than noise and tolerance."
    )
    if any(one.change.seeds == 1 for one in checks):
        verdict += " One seed: the noise is that of the test images, what another training would change is unknown."
    rows = [
        "| metric | better | before | after | change | noise (95 %) | let through | |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for one in checks:
        key, moved = one.change.key, one.change
        said = (
            "✗ worse" if one.failed else {"better": "✓ better", "worse": "within tolerance", "same": "–"}[moved.verdict]
        )
        cells = [
            f"{label(key)} `{key}`",
            entry(key).arrow,
            number(key, moved.old),
            number(key, moved.new),
            difference(key, moved.new - moved.old, signed=not vanishes(key, moved.new - moved.old)),
            f"± {difference(key, moved.noise)}",
            difference(key, one.tolerance),
            said,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([verdict, "", *rows])


def sides_of_diff(diff: Mapping[str, Any], path: str) -> tuple[Details, Details]:
    """
    Take both sides from what ``dvc metrics diff --all --json`` prints.

    Parameters
    ----------
    diff : mapping
        By path of the metrics file, then key: old, new.

    Raises
    ------
    InputError
        If the file is not in the diff.
    """
    if path not in diff:
        raise InputError(
            f"gate: {path} is not in the diff (found: {', '.join(diff) or 'nothing'}); make it by "
            "`dvc metrics diff --all --json REVISION`"
        )
    sides: tuple[Details, Details] = ({}, {})
    for key, values in diff[path].items():
        for side, name in zip(sides, ("old", "new"), strict=True):
            if values.get(name) is not None:
                side[key] = Estimate(values[name])
    return sides


def main() -> None:
    """Judge the metrics that params.yaml names."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.gate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="METRICS", help="two details.json: old and new")
    parser.add_argument("--against", metavar="REVISION", help="git revision that holds the old results")
    parser.add_argument("--diff", type=Path, metavar="FILE", help="output of `dvc metrics diff --all --json`")
    arguments = parser.parse_args()
    params = load()
    if not params.gate.metrics:
        raise InputError("params.yaml: gate.metrics: empty, so nothing is guarded; name at least one metric")
    path = params.folder / "results" / "details.json"
    if [bool(arguments.files), bool(arguments.against), bool(arguments.diff)].count(True) != 1:
        raise InputError("gate: expected two details.json, or --against REVISION, or --diff FILE; see --help")
    if arguments.diff:
        old, new = sides_of_diff(_read(arguments.diff), path.with_name("metrics.json").as_posix())
    elif arguments.against:
        old, new = read(show(Path(), arguments.against, path), f"{arguments.against}:{path}"), read(path)
    elif len(arguments.files) == 2:
        old, new = (read(file) for file in arguments.files)
    else:
        raise InputError(f"gate: found {len(arguments.files)} file, expected two details.json: old and new")
    checks = check(params.gate.metrics, old, new)
    print(markdown(checks))
    if any(one.failed for one in checks):
        raise SystemExit(1)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; correct the name") from None
    except ValueError as error:
        raise InputError(f"{path}: not readable JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}, expected keys and values")
    return content


if __name__ == "__main__":
    run(main)
