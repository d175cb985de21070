"""Does dvc.lock hold what code and parameters say? For a hook before a push, with or without the data.

    python -m stages.tools.check_lock

Asks `dvc status`. Data that is not here (a fresh clone) does not matter; a stage whose code, parameters or command
changed since dvc.lock was written, or whose result was edited by hand, does. Exit code 0: it does, 1: it does not.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core.errors import InputError, run

ABSENT = ("deleted", "not in cache")


def stale(status: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """
    List, by stage, what changed since dvc.lock was written: dependencies, outputs, parameters or ``command``.

    Parameters
    ----------
    status : mapping
        What ``dvc status --json`` prints: changes by stage.
    """
    found = {}
    absent = {path for path, state in _paths(status) if state in ABSENT}
    absent |= {str(folder) for path in absent for folder in PurePosixPath(path).parents}  # what is left says nothing
    for stage, changes in status.items():
        names: list[str] = []
        for change in changes:
            if isinstance(change, str):
                names.append(change.removeprefix("changed "))
                continue
            for paths in change.values():
                for path, state in paths.items():
                    keys = list(state) if isinstance(state, Mapping) else []
                    if keys or path not in absent:
                        names += [f"{path}: {key}" for key in keys] or [path]
        if names:
            found[stage] = names
    return found


def outdated(root: Path) -> dict[str, list[str]]:
    """Ask DVC what changed in a repository since its dvc.lock was written, by stage; without the lock all did."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise InputError(f"dvc status: {reason[0]}")
    return stale(json.loads(done.stdout))


def _paths(status: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, Any]]:
    """Read the state of each dependency and output."""
    for change in (change for changes in status.values() for change in changes if not isinstance(change, str)):
        for paths in change.values():
            yield from ((path, state) for path, state in paths.items() if isinstance(state, str))


def main() -> None:
    """Check dvc.lock."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.check_lock",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    changed = outdated(Path())
    for stage, names in changed.items():
        print(f"{stage}: {', '.join(names)}")
    if changed:
        print("dvc.lock is not up to date: run `dvc repro`, then commit dvc.lock and the results")
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
