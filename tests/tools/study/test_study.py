"""A study on a small pipeline of its own, through real `dvc exp run`: killed, continued, left alone when finished."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from stages.tools.experiment_clone import experiments
from tests.helpers.small_project import PLOT, RESULTS, SCORE, Project

STUDY = {"seeds": [0, 1], "alphas": [0.0, 0.6], "methods": ["none", "m4"], "fixed": {"balance.target": "equal"}}
ALL = [f"{method} {alpha} {seed}" for seed in (0, 1) for method in ("none", "m4") for alpha in ("0", "0.6")]


class Studied(Project):
    """A project with a study."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.set_study(STUDY)
        self.commit("study")

    @property
    def started(self) -> list[str]:
        path = self.work / "started"
        return path.read_text().splitlines() if path.exists() else []

    def study(self, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "stages.tools.study", *arguments], cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def finish(self, *arguments: str) -> tuple[int, str, str]:
        running = self.study(*arguments)
        said, error = running.communicate(timeout=300)
        return running.returncode, said, error

    def slow(self, point: str) -> subprocess.Popen:
        """Start a study whose stage of one point waits for the file `go`, and wait until it is there."""
        running = self.study(SLOW=point)
        for _ in range(3000):
            if point in self.started:
                return running
            assert running.poll() is None, running.communicate()
            time.sleep(0.1)
        raise AssertionError(f"{point} never started: {self.started}")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    """Return a project whose study was killed with all its processes in the second replicate of the second cell."""
    made = Studied(tmp_path_factory.mktemp("study"))
    running = made.slow("none 0.6 1")
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert made.started == ALL[:6]
    code, said, error = made.finish()
    assert code == 0, error
    assert "3 of 8 points to run" in said
    return made


def test_a_killed_study_goes_on_where_it_was(project):
    assert project.started == [*ALL[:6], ALL[5], *ALL[6:]]  # what was interrupted starts again, nothing else


def test_the_points_are_compared(project):
    runs = pd.read_csv(project.folder / RESULTS / "study" / "runs.csv")
    found = runs.pivot_table(index=["method", "alpha"], columns="seed", values="value")
    assert len(runs) == 8
    assert found.loc[("m4", 0.6)].tolist() == pytest.approx([0.11, 0.12])
    assert found.loc[("not balanced", 0.0)].tolist() == pytest.approx([0.2, 0.21])
    said = (project.folder / RESULTS / "study" / "findings.md").read_text()
    assert "representation bias · gender ↓ | −0.150 [−0.150, −0.150] not shown, too few replicates |" in said


def test_the_working_tree_stays_as_it_is(project):
    assert project.do("git", "status", "--porcelain").split() == ["??", "data/"]
    assert [path.name for path in (project.folder / "data" / "smoke").iterdir()] == ["results"]
    assert not (project.folder / "dvc.lock").exists()


def test_finished_points_never_run_again_whatever_is_committed(project):
    before = project.started
    project.write("NOTES.md", "unrelated\n")
    project.write("plot.py", PLOT + "\n# drawn otherwise\n")
    project.commit("results and notes")
    code, said, _ = project.finish()
    assert code == 0 and "to run" not in said
    assert project.started == before


FINISHED = "8 of 8 points finished, with code and parameters as they are"


def test_status_lists_the_points(project):
    code, said, _ = project.finish("--status")
    assert code == 0 and said.splitlines()[-1] == FINISHED
    runs = project.folder / RESULTS / "study" / "runs.csv"
    name, ref = next(iter(experiments(project.folder).items()))
    project.do("git", "update-ref", "-d", ref)
    runs.rename(runs.with_suffix(".kept"))
    _, said, _ = project.finish("--status")  # finds it in the clone, and fetches nothing: a study may be at work
    assert said.splitlines()[-1] == FINISHED and name not in experiments(project.folder)
    runs.with_suffix(".kept").rename(runs)
    project.write("stages/score.py", SCORE + "\n# measured otherwise\n")
    project.commit("another measure")
    _, said, _ = project.finish("--status")
    assert said.splitlines()[-2:] == [
        "0 of 8 points finished, with code and parameters as they are",
        f"8 more in {RESULTS}/study/runs.csv, made with earlier code or parameters",
    ]
    assert said.startswith("earlier   study-smoke-a0-none-s0-")
    project.do("git", "revert", "--no-edit", "HEAD")
    _, said, _ = project.finish("--status")
    assert said.splitlines()[-1] == FINISHED


def test_what_is_committed_of_a_study_needs_no_experiment(project, tmp_path):
    project.commit("the study")
    project.do("git", "clone", "--quiet", project.folder, tmp_path / "clone")
    kept = tmp_path / "clone" / RESULTS / "study"
    before = (kept / "comparisons.csv").read_bytes(), (kept / "runs.csv").read_bytes()
    (kept / "comparisons.csv").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "stages.tools.study"], cwd=tmp_path / "clone", capture_output=True, text=True,
        env=project.environment | {"COUNTERWEIGHT_WORK": str(tmp_path / "work")},
    )  # fmt: skip
    assert done.returncode == 0 and "to run" not in done.stdout, done.stderr
    assert ((kept / "comparisons.csv").read_bytes(), (kept / "runs.csv").read_bytes()) == before


def test_committed_runs_that_were_edited_are_refused_before_any_work(project, tmp_path):
    project.do("git", "clone", "--quiet", project.folder, tmp_path / "clone")
    runs = tmp_path / "clone" / RESULTS / "study" / "runs.csv"
    whole = runs.read_text()
    name, alpha, line, seed, *more = whole.splitlines()[1].split(",")

    def refusal(content: str) -> str:
        runs.write_text(content)
        done = subprocess.run(
            [sys.executable, "-m", "stages.tools.study", "--status"], cwd=tmp_path / "clone", capture_output=True,
            text=True, env=project.environment | {"COUNTERWEIGHT_WORK": str(tmp_path / "work")},
        )  # fmt: skip
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    head, _, *rest = whole.splitlines(keepends=True)
    assert "restore it from git" in refusal(whole[: len(whole) // 2])
    other = ",".join([name, alpha, line, "7", *more]) + "\n"
    assert f"line 2: found α {alpha} and seed 7, but {name} has {alpha} and {seed}" in refusal(
        "".join([head, other, *rest])
    )


def test_what_is_not_committed_is_refused(project):
    project.write("stages/score.py", SCORE + "\n# in work\n")
    try:
        code, _, error = project.finish()
    finally:
        project.do("git", "checkout", "--quiet", "stages/score.py")
    assert code == 2 and error.splitlines() == [
        "error: study: stages/score.py is not as in the last commit, from which points start; commit it"
    ]


def test_a_point_that_outlives_its_study_is_waited_for_and_counted(project):
    project.set_study(STUDY | {"alphas": [0.0, 0.6, 1.0], "methods": ["none"]})
    project.commit("one more point")
    running = project.slow("none 1 1")
    os.kill(running.pid, signal.SIGKILL)  # the study alone: DVC and the stage go on
    running.communicate()
    second = project.study("--jobs", "2")
    assert second.stdout is not None and "waiting for its end" in second.stdout.readline()
    (project.work / "go").touch()
    said, error = second.communicate(timeout=300)
    (project.work / "go").unlink()
    assert second.returncode == 0, error
    assert "to run" not in said and project.started[-2:] == ["none 1 0", "none 1 1"]


def test_a_point_that_fails_is_named_and_the_others_run(project):
    project.set_study(STUDY | {"alphas": [0.2, 0.4], "methods": ["none"]})
    project.write("stages/score.py", SCORE.replace("value =", "assert p['contamination']['alpha'] != 0.2\nvalue ="))
    project.commit("a measure that fails at .2")
    code, said, error = project.finish("--jobs", "2")
    assert code == 2 and "2 of 4 points failed: study-smoke-a0.2-none-s" in error
    assert "study-finished.csv: 2 of 4 points; commit it" in said
    assert len(pd.read_csv(project.folder / RESULTS / "study" / "runs.csv")) == 6  # the study before stands
    log = error.split("see ")[1].split(".log")[0] + ".log"
    assert "AssertionError" in Path(log).read_text()


def test_what_is_finished_of_a_study_can_be_committed_and_compared(project, tmp_path):
    """After the test above: 2 of 4 points, beside the tables of an earlier study."""
    project.commit("half a study")
    project.do("git", "clone", "--quiet", project.folder, tmp_path / "clone")
    environment = project.environment | {"COUNTERWEIGHT_WORK": str(tmp_path / "work")}

    def finish(option: str) -> str:
        command = [sys.executable, "-m", "stages.tools.study", option]
        done = subprocess.run(command, cwd=tmp_path / "clone", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    part = tmp_path / "clone" / RESULTS / "study-finished.csv"
    points = part.read_bytes()
    assert "\n2 of 4 points finished" in finish("--status")
    assert "2 runs: 1 α" in finish("--compare")
    assert len(pd.read_csv(tmp_path / "clone" / RESULTS / "study" / "runs.csv")) == 2
    assert not part.exists() and "2 runs: 1 α" in finish("--compare")
    part.write_bytes(points)  # as after a further point: both files have these
    assert "2 runs: 1 α" in finish("--compare")
