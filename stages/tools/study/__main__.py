"""`study`: run the grid of α × balancing method × replicates, a DVC experiment a point, and compare the points.

    make study                          run what is missing, then write data/<profile>/results/study/
    python -m stages.tools.study --status     list the points: finished or missing
    python -m stages.tools.study --compare    compare what is finished, run nothing
    python -m stages.tools.study --jobs 2     two points at a time

The section `study` of the profile (`stages/profiles/<profile>.yaml`) names the grid. Points run in clones of the last
commit in the work folder, with the same DVC cache: nothing is downloaded, generated or annotated again, and the
working tree stays as it is. A study that was stopped or killed goes on where it was; a point that is finished, as an
experiment or as rows of the committed runs.csv, never runs again unless parameters or code that shape it change. While
points are missing and an earlier study stands, what is finished is kept in `results/study-finished.csv`, until it is
compared.
"""

import argparse
import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from stages.core.atomic import check_owned, written
from stages.core.errors import InputError, run
from stages.core.scratch import VARIABLE, fingerprint, work_folder
from stages.results.committed import ROW, RUNS, read_runs, read_scores
from stages.results.repository import git, show
from stages.results.writing import csv
from stages.tools.compare.__main__ import write
from stages.tools.experiment_clone import Workplace, experiments
from stages.tools.params import Params, load
from stages.tools.study.claims import check_claims, claim_files
from stages.tools.study.grid import Point, overrides, points

PARTIAL = "study-finished.csv"  # points of a study that is not finished, while an earlier one stands
SHAPES_NOTHING = ("check", "plot")  # stages that validate, and that average and draw
SHAPING = ("stages/", "data/pretrained/")  # dependencies in git


def main() -> None:
    """Run the grid of the profile in params.yaml."""
    arguments = options("study", __doc__)
    params = load()
    if params.study is None:
        raise InputError(f"stages/profiles/{params.profile}.yaml: study: missing; write the grid there")
    commit, code = committed_code(params)
    study = params.study
    grid, kept = points(params, study, code), params.folder / "results" / "study"
    check_claims(study, grid)
    if not arguments.status:
        check_owned(kept)
    part = params.folder / "results" / PARTIAL

    def keep(table: pd.DataFrame) -> bool:
        """Keep what is finished beside an earlier study; tell whether all is, or there is none to stand for it."""
        whole = len(grid) == table["run"].nunique() or not (kept / "runs.csv").is_file()
        if len(table) and not whole:
            with written(part) as file:
                file.write_bytes(csv(table.sort_values(["run", "metric"])))  # by points, as they come
        return whole

    outcome = finish(params, commit, grid, kept, arguments, also=part, keep=keep)
    if outcome is None:
        return
    table, _ = outcome

    if len(table) and (arguments.compare or keep(table)):
        write(table, params, kept, parts=study.parts, further=partial(claim_files, study.claims))
        part.unlink(missing_ok=True)  # runs.csv has its points now
    elif len(table):
        print(
            f"{part.as_posix()}: {table['run'].nunique()} of {len(grid)} points; commit it, and nothing of it runs "
            f"again. {kept.as_posix()} stays as it is until all are finished; what there is: "
            "`python -m stages.tools.study --compare`"
        )
    check(outcome, grid)


def options(program: str, description: str | None) -> argparse.Namespace:
    """Read the arguments of a program that finishes points."""
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.tools.{program}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--status", action="store_true", help="list the points, run nothing")
    only.add_argument("--compare", action="store_true", help="compare the finished points, run nothing")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="points at a time (default: 1)")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        raise InputError(f"--jobs {arguments.jobs}: expected 1 or more")
    return arguments


def finish(
    params: Params,
    commit: str,
    grid: Sequence[Point],
    kept: Path,
    arguments: argparse.Namespace,
    shared: Mapping[Path, Path] | None = None,
    also: Path | None = None,
    keep: Callable[[pd.DataFrame], object] | None = None,
) -> tuple[pd.DataFrame, list[str]] | None:
    """
    Run the points that are missing, or list them.

    Parameters
    ----------
    kept : Path
        Folder of the committed runs.csv.
    shared : mapping of Path to Path, optional
        As `Workplace` takes it.
    also : Path, optional
        Further runs that are committed.
    keep : callable, optional
        Is given what is finished, after each point.

    Returns
    -------
    tuple of DataFrame and list of str, or None
        The runs that are finished, and the names of points that failed; None where the points were listed.
    """
    folder = work_folder("study")
    environment = surroundings(arguments.jobs)
    committed = _committed_runs([path for path in (kept / "runs.csv", also) if path and path.is_file()], grid)
    known = set(committed["run"])
    if arguments.status:  # only looks, at the clones of a running study too, whatever the number of its jobs
        clones = [path for path in folder.glob(f"{params.profile}-*") if (path / ".git").is_dir()]
        here = {name for root in (Path(), *clones) for name in experiments(root)}
        _print_status(grid, here | known, committed, kept / "runs.csv")
        return None
    with (folder / f"{params.profile}.lock").open("a+") as lock:
        _wait(lock)
        places = [
            Workplace(Path(), folder / f"{params.profile}-{i}", environment, shared) for i in range(arguments.jobs)
        ]
        for place in places:  # a study that was killed may have finished a point without fetching it
            place.collect([point.name for point in grid])
        done = set(experiments(Path())) | known
        missing = [point for point in grid if point.name not in done]
        failed: list[str] = []
        if not arguments.compare and missing:
            print(f"study: {len(missing)} of {len(grid)} points to run; output in {folder}", flush=True)
            runner = Runner(params, commit, places, folder, lock.fileno())
            after = (lambda: keep(collected(grid, params, committed))) if keep else None
            failed = runner.execute(missing, after)
    return collected(grid, params, committed), failed


def _committed_runs(paths: Sequence[Path], grid: Sequence[Point]) -> pd.DataFrame:
    """Read what is committed of finished runs; refuse rows of a point that say another replicate or α than it has."""
    tables = [read_runs(path) for path in paths]
    points = {point.name: point for point in grid}
    for path, table in zip(paths, tables, strict=True):
        for place, (name, alpha, seed) in enumerate(zip(table["run"], table["alpha"], table["seed"], strict=True)):
            point = points.get(name)
            if point and (alpha, seed) != (point.alpha, point.seed):
                raise InputError(
                    f"{path}: line {place + 2}: found α {alpha:g} and seed {seed}, but {name} has {point.alpha:g} and "
                    f"{point.seed}; correct it, or restore it from git"
                )
    if not (filled := [table for table in tables if len(table)]):
        return pd.DataFrame(columns=pd.Index([*RUNS]))
    return pd.concat(filled, ignore_index=True).drop_duplicates([*ROW], ignore_index=True)


def surroundings(jobs: int) -> dict[str, str]:
    """Give the environment of one of several jobs: the same work folder, and its share of the cores."""
    environment = {**os.environ, VARIABLE: str(work_folder("").resolve())}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    return environment


def check(outcome: tuple[pd.DataFrame, list[str]], grid: Sequence[Point], program: str = "study") -> None:
    """Refuse an outcome with points that failed, or without any."""
    table, failed = outcome
    if failed:
        log = work_folder("study") / f"{failed[0]}.log"
        raise InputError(
            f"{program}: {len(failed)} of {len(grid)} points failed: {', '.join(failed)}; see {log}, "
            "then run the same command again"
        )
    if table.empty:
        raise InputError(f"{program}: no point is finished; run `make {program}`")


def _print_status(grid: Sequence[Point], done: Set[str], committed: pd.DataFrame, path: Path) -> None:
    """List the points: finished as code and parameters are now, committed from earlier ones, or missing."""
    earlier = set(zip(committed["alpha"], committed["method"], committed["seed"], strict=True))
    states = [
        "finished"
        if point.name in done
        else "earlier"
        if (point.alpha, point.line, point.seed) in earlier
        else "missing"
        for point in grid
    ]
    for point, state in zip(grid, states, strict=True):
        print(f"{state:8}  {point.name}")
    print(f"{states.count('finished')} of {len(grid)} points finished, with code and parameters as they are")
    if count := states.count("earlier"):
        print(f"{count} more in {path.as_posix()}, made with earlier code or parameters")


def collected(grid: Sequence[Point], params: Params, committed: pd.DataFrame | None = None) -> pd.DataFrame:
    """Put the finished points into one table of runs: experiments, and else what is committed of them."""
    here, parts = experiments(Path()), []
    scores = params.folder / "results" / "tables" / "seeds.csv"
    for point in grid:
        if point.name in here:
            values = read_scores(show(Path(), point.name, scores), f"{point.name}:{scores.as_posix()}")
        elif committed is None:
            continue
        else:
            values = committed.loc[committed["run"] == point.name, ["metric", "seed", "value"]]
        if len(values):
            parts.append(values.assign(run=point.name, alpha=point.alpha, method=point.line))
    if not parts:
        return pd.DataFrame(columns=pd.Index([*RUNS]))
    table = pd.concat(parts, ignore_index=True).loc[:, [*RUNS]]
    return table.sort_values(["metric", "method", "alpha", "seed"], ignore_index=True)


class Runner:
    """
    Runs points, each in the next free clone.

    Parameters
    ----------
    lock : int
        File descriptor that each run holds open.
    """

    def __init__(self, params: Params, commit: str, places: Sequence[Workplace], folder: Path, lock: int) -> None:
        self.params, self.commit, self.places, self.folder, self.lock = params, commit, places, folder, lock
        self.scale_path = f"stages/profiles/{params.profile}.yaml"
        self.science = yaml.safe_load(Path("params.yaml").read_text())
        self.scale = yaml.safe_load(Path(self.scale_path).read_text())
        self.fetching = threading.Lock()

    def execute(self, missing: Sequence[Point], after: Callable[[], object] | None = None) -> list[str]:
        """Run points; return the names of those that failed."""
        todo: queue.SimpleQueue[Point] = queue.SimpleQueue()
        for point in missing:
            todo.put(point)
        failed: list[str] = []
        started, count = time.monotonic(), 0

        def work(place: Workplace) -> None:
            nonlocal count
            while True:
                try:
                    point = todo.get_nowait()
                except queue.Empty:
                    return
                begun = time.monotonic()
                finished = self._run(place, point)
                with self.fetching:
                    count += 1
                    if not finished:
                        failed.append(point.name)
                    spent = time.monotonic() - started
                    left = spent / count * (len(missing) - count) / 60
                    said = f"{time.monotonic() - begun:.0f} s" if finished else "failed"
                    print(f"[{count}/{len(missing)}] {point.name}: {said}; about {left:.0f} min left", flush=True)
                    if after:
                        after()

        for place in self.places[: len(missing)]:
            place.prepare(self.commit)
        threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in self.places[: len(missing)]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return failed

    def _run(self, place: Workplace, point: Point) -> bool:
        """Run one point, and fetch it; one thread at a time writes to the repository."""
        sets = overrides(point.settings, self.science, self.scale, self.scale_path)
        begun = time.monotonic()
        finished = place.run(point.name, self.commit, sets, self.folder / f"{point.name}.log", keep=[self.lock])
        if finished:
            (self.folder / f"{point.name}.seconds").write_text(f"{time.monotonic() - begun:.1f}\n")
        with self.fetching:
            place.collect([point.name])
        return finished


def committed_code(params: Params) -> tuple[str, str]:
    """Return the last commit, and a hash of the code in it that makes scores."""
    commit = git(Path(), "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None or (git(Path(), "rev-parse", "--show-prefix") or "").strip():
        raise InputError("study: found no git repository with a commit here; run in the project's folder")
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    shaping = {name: entry for name, entry in stages.items() if name not in SHAPES_NOTHING}
    paths = sorted({dep for entry in shaping.values() for dep in entry["deps"] if dep.startswith(SHAPING)})
    files = ["dvc.yaml", "params.yaml", f"stages/profiles/{params.profile}.yaml", *paths]
    hashes = committed(files)
    commands: dict[str, Any] = {name: entry["cmd"] for name, entry in shaping.items()}
    return commit.strip(), fingerprint({"hashes": [hashes[path] for path in paths], "commands": commands})


def committed(paths: Sequence[str], program: str = "study") -> dict[str, str]:
    """
    Hash files and folders as the last commit has them.

    Raises
    ------
    InputError
        If the working tree has one otherwise: what runs would not be what its name says.
    """
    if changed := git(Path(), "status", "--porcelain", "--", *paths):
        raise InputError(
            f"{program}: {changed.splitlines()[0][3:]} is not as in the last commit, from which points start; commit it"
        )
    hashes = git(Path(), "rev-parse", *(f"HEAD:{path}" for path in paths))
    if hashes is None:
        raise InputError(f"{program}: needs a file that is not in git (of {', '.join(paths)}); commit it")
    return dict(zip(paths, hashes.split(), strict=True))


def _wait(lock: Any) -> None:
    """Take the lock; wait where another study, or the last point of a killed one, is at work."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("study: another one, or the last point of a killed one, is at work; waiting for its end", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


if __name__ == "__main__":
    run(main)
