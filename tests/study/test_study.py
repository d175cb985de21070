"""A study on a small pipeline of its own, through real `dvc exp run`: killed, continued, left alone when finished."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
RESULTS = Path("data/smoke/results")
SCORE = """
import json, os, pathlib, sys, time, yaml
work, seed = pathlib.Path(os.environ["COUNTERWEIGHT_WORK"]), int(sys.argv[1])
p = yaml.safe_load(open("params.yaml"))
point = f"{p['balance']['method']} {p['contamination']['alpha']:g} {seed}"
with (work / "started").open("a") as log:
    log.write(point + "\\n")
if os.environ.get("SLOW") == point:
    time.sleep(float(os.environ["SECONDS"]))
value = 0.2 + 0.1 * p["contamination"]["alpha"] - (0.15 if p["balance"]["method"] == "m4" else 0) + 0.01 * seed
folder = pathlib.Path(f"data/smoke/scores/{seed}"); folder.mkdir(parents=True, exist_ok=True)
(folder / "metrics.json").write_text(json.dumps({"rb.gender": value}))
"""
PLOT = """
import json, pathlib, yaml
folder = pathlib.Path("data/smoke/results/tables"); folder.mkdir(parents=True, exist_ok=True)
seeds = yaml.safe_load(open("params.yaml"))["seeds"]
values = [json.loads(pathlib.Path(f"data/smoke/scores/{s}/metrics.json").read_text())["rb.gender"] for s in seeds]
rows = [f"rb.gender,{s},{v}" for s, v in zip(seeds, values)]
(folder / "seeds.csv").write_text("\\n".join(["metric,seed,value", *rows]) + "\\n")
"""
STUDY = {"seeds": [0, 1], "alphas": [0.0, 0.6], "methods": ["none", "m4"], "fixed": {"balance.target": "equal"}}
ALL = [f"{method} {alpha} {seed}" for method in ("none", "m4") for alpha in ("0", "0.6") for seed in (0, 1)]


class Project:
    """A repository with the project's parameters and a pipeline of two stages."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work = folder / "project", folder / "work"
        self.work.mkdir(parents=True)
        self.environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "COUNTERWEIGHT_WORK": str(self.work), "DVC_NO_ANALYTICS": "1",
        }  # fmt: skip
        (self.folder / "stages").mkdir(parents=True)
        self.do("cp", "-r", ROOT / "stages" / "profiles", self.folder / "stages")
        params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"profile": "smoke", "seeds": [0, 1]}
        self.write("params.yaml", yaml.safe_dump(params))
        self.set_study(STUDY)
        self.write("stages/score.py", SCORE)
        self.write("plot.py", PLOT)
        self.write(".gitignore", "/data/*/*\n!/data/*/results\n")
        scores = "data/smoke/scores"
        evaluate = {
            "matrix": {"seed": "${seeds}"}, "cmd": f"{sys.executable} stages/score.py ${{item.seed}}",
            "deps": ["stages/score.py"], "params": ["contamination", "balance"], "outs": [f"{scores}/${{item.seed}}"],
        }  # fmt: skip
        tables = {f"{RESULTS}/tables": {"cache": False}}
        plot = {"cmd": f"{sys.executable} plot.py", "deps": [scores], "params": ["seeds"], "outs": [tables]}
        self.write("dvc.yaml", yaml.safe_dump({"stages": {"evaluate": evaluate, "plot": plot}}))
        self.do("git", "init", "-q")
        for key, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
            self.do("git", "config", key, value)
        self.do(sys.executable, "-m", "dvc", "init", "-q")
        self.commit("start")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def set_study(self, values: dict) -> None:
        path = self.folder / "stages" / "profiles" / "smoke.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"study": values}))

    def do(self, *command: object) -> str:
        done = subprocess.run(
            [*map(str, command)], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.do("git", "add", "--all")
        self.do("git", "commit", "--quiet", "--allow-empty", "--message", message)

    @property
    def started(self) -> list[str]:
        path = self.work / "started"
        return path.read_text().splitlines() if path.exists() else []

    def study(self, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "stages.study", *arguments], cwd=self.folder, env=self.environment | environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def finish(self, *arguments: str) -> tuple[int, str, str]:
        running = self.study(*arguments)
        said, error = running.communicate(timeout=300)
        return running.returncode, said, error

    def slow(self, point: str, seconds: float) -> subprocess.Popen:
        """Start a study whose stage of one point and seed takes long, and wait until it is there."""
        running = self.study(SLOW=point, SECONDS=str(seconds))
        for _ in range(3000):
            if point in self.started:
                return running
            assert running.poll() is None, running.communicate()
            time.sleep(0.1)
        raise AssertionError(f"{point} never started: {self.started}")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project whose study was killed with all its processes in the second seed of the third point."""
    made = Project(tmp_path_factory.mktemp("study"))
    running = made.slow("m4 0 1", 600)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert made.started == ALL[:6]
    code, said, error = made.finish()
    assert code == 0, error
    assert "2 of 4 points to run" in said
    return made


def test_a_killed_study_goes_on_where_it_was(project):
    assert project.started == [*ALL[:6], ALL[5], *ALL[6:]]  # what was interrupted starts again, nothing else


def test_the_points_are_compared(project):
    runs = pd.read_csv(project.folder / RESULTS / "study" / "runs.csv")
    found = runs.pivot_table(index=["method", "alpha"], columns="seed", values="value")
    assert len(runs) == 8
    assert found.loc[("m4", 0.6)].tolist() == pytest.approx([0.11, 0.12])
    assert found.loc[("none", 0.0)].tolist() == pytest.approx([0.2, 0.21])
    said = (project.folder / RESULTS / "study" / "findings.md").read_text()
    assert "m4 lowers it by 0.150 [0.150, 0.150] against none at every α" in said


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


def test_status_lists_the_points(project):
    code, said, _ = project.finish("--status")
    assert code == 0 and said.splitlines()[-1] == "4 of 4 points finished"
    project.write("stages/score.py", SCORE + "\n# measured otherwise\n")
    project.commit("another measure")
    _, said, _ = project.finish("--status")
    assert said.splitlines()[-1] == "0 of 4 points finished"
    project.do("git", "revert", "--no-edit", "HEAD")
    _, said, _ = project.finish("--status")
    assert said.splitlines()[-1] == "4 of 4 points finished"


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
    running = project.slow("none 1 1", 6)
    os.kill(running.pid, signal.SIGKILL)  # the study alone: DVC and the stage go on
    running.communicate()
    code, said, error = project.finish("--jobs", "2")
    assert code == 0, error
    assert "waiting for its end" in said and "to run" not in said
    assert project.started[-2:] == ["none 1 0", "none 1 1"]


def test_a_point_that_fails_is_named_and_the_others_run(project):
    project.set_study(STUDY | {"alphas": [0.2, 0.4], "methods": ["none"]})
    project.write("stages/score.py", SCORE.replace("value =", "assert p['contamination']['alpha'] != 0.2\nvalue ="))
    project.commit("a measure that fails at .2")
    code, said, error = project.finish("--jobs", "2")
    assert code == 2 and "1 of 2 points failed: study-smoke-a0.2-none-" in error
    assert "1 runs: 1 α" in said
    log = error.split("see ")[1].split(".log")[0] + ".log"
    assert "AssertionError" in Path(log).read_text()
