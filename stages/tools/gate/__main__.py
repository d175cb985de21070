"""Fails where a change makes a metric worse than noise allows: the check of a pull request.

    python -m stages.tools.gate --against origin/main    results in the working tree against those of a revision
    python -m stages.tools.gate old.json new.json        two details.json, of runs with the seeds of params.yaml

`gate.metrics` in params.yaml names the metrics and the worsening that each is let through; the noise comes from the
committed study (`stages.tools.gate.checks`). Prints Markdown; exit code 0: passed, 1: failed, 2: cannot be judged (bad
input), 3: cannot tell, where `gate.cannot_tell` says that this fails.
"""

import argparse
from pathlib import Path

from stages.core.errors import InputError, run
from stages.results import committed, noise
from stages.results.noise import Noise
from stages.results.repository import mapping, show, tracked
from stages.tools.check_lock import outdated
from stages.tools.gate import documents
from stages.tools.gate.checks import Side, Verdict, judge, outcome
from stages.tools.params import Gate, load

CANNOT_TELL = 3


def main() -> None:
    """Judge the metrics that params.yaml names."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.gate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="METRICS", help="two details.json: old and new")
    parser.add_argument("--against", metavar="REVISION", help="git revision that holds the old results")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcome there, too")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the outcome there, too, as JUnit XML")
    arguments = parser.parse_args()
    params = load()
    if not params.gate.metrics:
        raise InputError("params.yaml: gate.metrics: empty, so nothing is guarded; name at least one metric")
    if bool(arguments.files) == bool(arguments.against) or len(arguments.files) not in (0, 2):
        raise InputError("gate: expected two details.json, old and new, or --against REVISION; see --help")
    taken = [file.resolve() for file in (*arguments.files, params.folder / "results" / "details.json")]
    for path in filter(None, (arguments.json, arguments.junit)):
        if path.resolve() in taken:
            raise InputError(f"{path}: is read, or written for something else too; name another file")
        if tracked(path):
            raise InputError(f"{path}: is a file of the repository, which would be lost; name another file")
        taken.append(path.resolve())
    if arguments.files:
        old, new = (Side(committed.read_details(file), tuple(params.seeds)) for file in arguments.files)
        stale, spread = {}, noise.read(params.folder / "results" / "study" / "noise.csv")
    else:
        old = of_revision(Path(), arguments.against, params.folder)
        new = Side(committed.read_details(params.folder / "results" / "details.json"), tuple(params.seeds))
        stale, spread = outdated(Path()), noise_before(Path(), arguments.against, params.folder)
    checks = judge(params.gate.metrics, old, new, spread, params.gate.quality_drop)
    lenient = params.gate.cannot_tell == "pass"
    if arguments.json:
        arguments.json.write_text(documents.as_json(checks, stale))
    if arguments.junit:
        arguments.junit.write_text(documents.junit(checks, stale, lenient))
    print(documents.markdown(checks, stale), end="")
    if code := exit_code(outcome(checks, stale.keys()), params.gate):
        raise SystemExit(code)


def exit_code(verdict: Verdict, gate: Gate) -> int:
    """Return the exit code of a verdict."""
    if verdict == Verdict.CANNOT_TELL:
        return CANNOT_TELL if gate.cannot_tell == "fail" else 0
    return int(verdict == Verdict.FAILED)


def of_revision(root: Path, revision: str, folder: Path) -> Side:
    """
    Read the results of a revision.

    Raises
    ------
    InputError
        If there is no such revision, it has no results, or they are not metrics.
    """
    path = folder / "results" / "details.json"
    found = committed.read_details(show(root, revision, path), f"{revision}:{path.as_posix()}")
    seeds = mapping(root, revision, Path("params.yaml")).get("seeds")
    if not isinstance(seeds, list) or not seeds:
        return Side(found, (0,))
    if wrong := [seed for seed in seeds if type(seed) is not int]:
        raise InputError(f"{revision}:params.yaml: seeds: found {wrong[0]!r}, expected whole numbers; name another one")
    return Side(found, tuple(seeds))


def noise_before(root: Path, revision: str, folder: Path) -> dict[str, Noise]:
    """Read the noise as it was before a change, which cannot widen what it is judged by; else as it is after it."""
    path = folder / "results" / "study" / "noise.csv"
    try:
        return noise.parse(show(root, revision, path).encode(), f"{revision}:{path.as_posix()}")
    except InputError:
        return noise.read(root / path)


if __name__ == "__main__":
    run(main)
