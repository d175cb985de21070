"""Whether dvc.lock is up to date: by hand on what `dvc status` prints, and on real repositories."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.tools.check_lock import stale
from tests.helpers.small_project import SCORE, Project


def test_what_changed_is_listed_by_stage():
    status = {
        "a": [
            {"changed deps": {"stages/x.py": "modified", "data": "deleted"}},
            {"changed outs": {"o": "not in cache"}},
        ],
        "b": [{"changed deps": {"params.yaml": {"k.a": "modified", "k.b": "new"}}}, "changed command"],
        "c": [{"changed deps": {"data": "deleted"}}],
    }
    assert stale(status) == {"a": ["stages/x.py"], "b": ["params.yaml: k.a", "params.yaml: k.b", "command"]}


def test_a_folder_that_lacks_an_output_is_not_compared():
    """A checkout without the data leaves empty folders, and a machine that made one shard has one."""
    status = {
        "make@0": [{"changed outs": {"data/real/0.tar": "not in cache"}}],
        "use": [{"changed deps": {"data/real": "modified", "data/reality": "modified"}}],
    }
    assert stale(status) == {"use": ["data/reality"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("lock"))
    made.do(sys.executable, "-m", "dvc", "repro", "--quiet")
    made.commit("results")
    return made


def lock(project: Project, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.tools.check_lock"]
    return subprocess.run(
        command, cwd=folder or project.folder, env=project.environment, capture_output=True, text=True
    )


def test_a_fresh_lock_passes_with_and_without_data(project, tmp_path):
    assert lock(project).returncode == 0
    project.do("git", "clone", "--quiet", project.folder, tmp_path / "clone")
    assert lock(project, tmp_path / "clone").returncode == 0


@pytest.mark.parametrize("change", ["code", "parameter", "result"])
def test_a_stale_lock_is_named(project, change):
    if change == "code":
        project.write("stages/score.py", SCORE + "\n# otherwise\n")
        said = "evaluate@0: stages/score.py"
    elif change == "parameter":
        params = yaml.safe_load((project.folder / "params.yaml").read_text())
        project.write("params.yaml", yaml.safe_dump(params | {"contamination": {"alpha": 0.5}}))
        said = "evaluate@0: params.yaml: contamination"
    else:
        project.write("data/smoke/results/metrics.json", "{}")
        said = "plot: data/smoke/results/metrics.json"
    try:
        done = lock(project)
    finally:
        project.do("git", "checkout", "--quiet", ".")
    assert done.returncode == 1
    assert said in done.stdout and "run `dvc repro`" in done.stdout.splitlines()[-1]
