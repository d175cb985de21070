"""`study`: run the grid of α × balancing method × seeds, a DVC experiment a point, and compare the points.

    make study                          run what is missing, then write data/<profile>/results/study/
    python -m stages.tools.study --status     list the points: finished or missing
    python -m stages.tools.study --compare    compare what is finished, run nothing
    python -m stages.tools.study --jobs 2     two points at a time

The section `study` of the profile (`stages/profiles/<profile>.yaml`) names the grid. Points run in clones of the last
commit in the work folder, with the same DVC cache: nothing is downloaded, generated or annotated again, and the
working tree stays as it is. A study that was stopped or killed goes on where it was; a point that is finished never
runs again, whatever is committed, unless parameters or code that shape it change.
"""

import argparse
import fcntl
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from stages.core.errors import InputError, run
from stages.core.scratch import VARIABLE, fingerprint, work_folder
from stages.results.repository import git
from stages.tools.experiment_clone import Workplace, experiments
from stages.tools.params import Params, load
from stages.tools.study.grid import Point, overrides, points

PRESENTATION = "plot"  # the stage that only averages and draws
SHAPING = ("stages/", "data/pretrained/")  # dependencies in git


def main() -> None:
    """Run the grid of the profile in params.yaml."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--status", action="store_true", help="list the points, run nothing")
    only.add_argument("--compare", action="store_true", help="compare the finished points, run nothing")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="points at a time (default: 1)")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        raise InputError(f"--jobs {arguments.jobs}: expected 1 or more")
    params = load()
    if params.study is None:
        raise InputError(f"stages/profiles/{params.profile}.yaml: study: missing; write the grid there")
    commit, code = _committed(params)
    grid = points(params, params.study, code)
    folder = work_folder("study")
    environment = {**os.environ, VARIABLE: str(work_folder("").resolve())}
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    environment.setdefault("OMP_NUM_THREADS", str(threads))
    if arguments.status:  # only looks, at the clones of a running study too, whatever the number of its jobs
        clones = [path for path in folder.glob(f"{params.profile}-*") if (path / ".git").is_dir()]
        done = {name for root in (Path(), *clones) for name in experiments(root)}
        print("\n".join(f"{'finished' if p.name in done else 'missing '}  {p.name}" for p in grid))
        print(f"{sum(point.name in done for point in grid)} of {len(grid)} points finished")
        return
    with (folder / f"{params.profile}.lock").open("a+") as lock:
        _wait(lock)
        places = [Workplace(Path(), folder / f"{params.profile}-{i}", environment) for i in range(arguments.jobs)]
        for place in places:  # a study that was killed may have finished a point without fetching it
            place.collect([point.name for point in grid])
        done = set(experiments(Path()))
        missing = [point for point in grid if point.name not in done]
        failed: list[str] = []
        if not arguments.compare and missing:
            print(f"study: {len(missing)} of {len(grid)} points to run; output in {folder}", flush=True)
            failed = Runner(params, commit, places, folder, lock.fileno()).execute(missing)
    done = set(experiments(Path()))
    if finished := [point.name for point in grid if point.name in done]:
        kept = params.folder / "results" / "study"
        subprocess.run(
            [sys.executable, "-m", "stages.tools.compare", "--out", str(kept), "--revs", *finished], check=True
        )
    if failed:
        raise InputError(
            f"study: {len(failed)} of {len(grid)} points failed: {', '.join(failed)}; see {folder / failed[0]}.log, "
            "then run the same command again"
        )
    if not finished:
        raise InputError("study: no point is finished; run `make study`")


class Runner:
    """
    Runs points, each in the next free clone.

    Parameters
    ----------
    folder : Path
        For the logs.
    lock : int
        File descriptor that each run holds open.
    """

    def __init__(self, params: Params, commit: str, places: Sequence[Workplace], folder: Path, lock: int) -> None:
        self.params, self.commit, self.places, self.folder, self.lock = params, commit, places, folder, lock
        self.scale_path = f"stages/profiles/{params.profile}.yaml"
        self.science = yaml.safe_load(Path("params.yaml").read_text())
        self.scale = yaml.safe_load(Path(self.scale_path).read_text())
        self.fetching = threading.Lock()

    def execute(self, missing: Sequence[Point]) -> list[str]:
        """Run points."""
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
        finished = place.run(point.name, self.commit, sets, self.folder / f"{point.name}.log", keep=[self.lock])
        with self.fetching:
            place.collect([point.name])
        return finished


def _committed(params: Params) -> tuple[str, str]:
    """Return the last commit, and a hash of the code in it that makes scores."""
    commit = git(Path(), "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None or (git(Path(), "rev-parse", "--show-prefix") or "").strip():
        raise InputError("study: found no git repository with a commit here; run in the project's folder")
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    shaping = {name: entry for name, entry in stages.items() if name != PRESENTATION}
    paths = sorted({dep for entry in shaping.values() for dep in entry["deps"] if dep.startswith(SHAPING)})
    files = ["dvc.yaml", "params.yaml", f"stages/profiles/{params.profile}.yaml", *paths]
    if changed := git(Path(), "status", "--porcelain", "--", *files):
        raise InputError(
            f"study: {changed.splitlines()[0][3:]} is not as in the last commit, from which points start; commit it"
        )
    hashes = git(Path(), "rev-parse", *(f"HEAD:{path}" for path in paths))
    if hashes is None:
        raise InputError(f"study: dvc.yaml names a dependency that is not in git (of {', '.join(paths)}); commit it")
    commands: dict[str, Any] = {name: entry["cmd"] for name, entry in shaping.items()}
    return commit.strip(), fingerprint({"hashes": hashes.split(), "commands": commands})


def _wait(lock: Any) -> None:
    """Take the lock; wait where another study, or the last point of a killed one, is at work."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("study: another one, or the last point of a killed one, is at work; waiting for its end", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


if __name__ == "__main__":
    run(main)
