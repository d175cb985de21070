"""The smoke profile end to end, through real `dvc repro`, in git repositories of its own."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SHARDS = ["00000", "00001"]
FIRST = {"download", "generate@00000", "generate@00001", "annotate"}
AFTER_ALPHA = {"balance", "train@0", "caption@0", "evaluate@0", "plot"}


class Clone:
    """A git repository with the files of this checkout, set to the smoke profile."""

    def __init__(self, folder: Path, packages: Path) -> None:
        self.folder = folder
        listed = self._run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
        for name in sorted(set(filter(None, listed.split("\0")))):
            if (ROOT / name).is_file() and not re.match(r"data/[^/]+/results/|dvc\.lock$", name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        values = yaml.safe_load((folder / "params.yaml").read_text())
        values |= {"profile": "smoke", "seeds": [0], "shards": SHARDS, "contamination": {"alpha": 0.3}}
        (folder / "params.yaml").write_text(yaml.safe_dump(values))
        self.environment = os.environ | {
            "COUNTERWEIGHT_WORK": str(folder / ".work"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HF_HUB_OFFLINE": "1",
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.org",
        }
        if packages.is_dir():  # downloads are verified by hash each time; fetching them twice tests nothing more
            shutil.copytree(packages, folder / ".work" / "packages")
        self.do("git", "init", "--quiet", "--initial-branch=main")
        self.commit("start")

    def _run(self, words: list[str], folder: Path) -> str:
        environment = getattr(self, "environment", None)
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def do(self, *words: str) -> str:
        return self._run(list(words), self.folder)

    def commit(self, message: str) -> None:
        self.do("git", "add", "--all")
        self.do("git", "commit", "--quiet", "--message", message)

    def executed(self, *words: str) -> set[str]:
        """Run a dvc command; return the names of the stages whose command ran."""
        return set(re.findall(r"Running stage '([^']+)'", self.do("dvc", *words)))

    @property
    def results(self) -> Path:
        return self.folder / "data" / "smoke" / "results"

    @property
    def metrics(self) -> dict:
        return json.loads((self.results / "metrics.json").read_text())

    def hashes(self, *stages: str) -> dict[str, list[tuple[str, str]]]:
        """Return path and hash of each output, by stage."""
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return {
            name: [(out["path"], out["md5"]) for out in entry["outs"]]
            for name, entry in lock.items()
            if name.split("@")[0] in stages
        }


def flat(values: dict, prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


@pytest.fixture(scope="module")
def packages() -> Path:
    return Path(os.environ.get("COUNTERWEIGHT_WORK") or ROOT / ".work") / "packages"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Clone:
    made = Clone(tmp_path_factory.mktemp("first") / "clone", packages)
    assert made.executed("repro") == FIRST | AFTER_ALPHA
    made.commit("first run")
    return made


def test_a_fresh_clone_gives_results(clone: Clone) -> None:
    numbers = flat(clone.metrics)
    assert len(numbers) > 20
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in numbers.values())
    assert (clone.results / "report.html").stat().st_size > 10_000
    assert list((clone.results / "figures").glob("*.png"))
    assert clone.do("git", "status", "--short") == ""


def test_the_time_of_each_stage_is_noted_and_reported(clone: Clone) -> None:
    said = clone.do("python", "-c", "from stages import times; print(*times.read())")
    assert set(said.split()) == FIRST | AFTER_ALPHA
    times = re.findall(r"<li>([\w@]+) <b>(\d+) s</b></li>", (clone.results / "report.html").read_text())
    assert {stage for stage, _ in times} == (FIRST | AFTER_ALPHA) - {"plot"}


def test_nothing_changed_nothing_runs(clone: Clone) -> None:
    assert clone.executed("repro") == set()


def test_alpha_reruns_balance_and_what_follows_and_going_back_runs_only_the_plots(clone: Clone) -> None:
    before = clone.metrics
    assert clone.executed("exp", "run", "--set-param", "contamination.alpha=0.6") == AFTER_ALPHA
    changed = json.loads(clone.do("dvc", "metrics", "diff", "--json"))["data/smoke/results/metrics.json"]
    assert any(values["diff"] for values in changed.values())
    assert "contamination.alpha" in clone.do("dvc", "params", "diff", "--md")
    assert clone.do("dvc", "plots", "diff", "--json").strip()
    clone.do("git", "checkout", "--quiet", "params.yaml", "dvc.lock")
    assert clone.executed("repro") <= {"plot"}
    assert clone.metrics == before


def test_the_quick_tour_of_the_readme_runs_as_written(clone: Clone) -> None:
    marked = r"a test runs these commands -->\n```sh\n(.*?)```"
    (tour,) = re.findall(marked, (ROOT / "README.md").read_text(), re.DOTALL)
    before = clone.metrics
    said = clone.do("bash", "-euo", "pipefail", "-c", tour)
    assert re.search(r"contamination.alpha +0.0 +0.6", said)
    assert "2 runs: 2 α" in said and "**Gate: " in said and "report: data/smoke/results/report.html" in said
    assert (clone.results / "compare" / "study.png").stat().st_size > 10_000
    assert clone.do("git", "status", "--short") == "" and clone.metrics == before


def test_the_balancing_target_reruns_balance_and_what_follows(clone: Clone) -> None:
    values = yaml.safe_load((clone.folder / "params.yaml").read_text())
    values["balance"]["target"] = "none" if values["balance"]["target"] == "equal" else "equal"
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(values))
    assert clone.executed("repro", "balance") == {"balance"}
    stale = clone._run(["bash", "-c", "dvc status || true"], clone.folder)
    assert not re.search(r"^(download|generate|annotate)", stale, re.MULTILINE)
    clone.do("git", "checkout", "--quiet", "params.yaml", "dvc.lock")
    clone.do("dvc", "checkout", "--quiet")


def test_another_machine_gets_the_same_data_and_metrics(
    clone: Clone, tmp_path_factory: pytest.TempPathFactory, packages: Path
) -> None:
    other = Clone(tmp_path_factory.mktemp("second") / "clone", packages)
    assert other.executed("repro") == FIRST | AFTER_ALPHA
    stages = ("download", "generate", "annotate", "balance")
    assert other.hashes(*stages) == clone.hashes(*stages)
    assert len(other.hashes(*stages)) == 5
    assert other.metrics == clone.metrics


def test_a_model_without_captions_is_trained_evaluated_and_reported(clone: Clone) -> None:
    none = "stages/profiles/smoke.yaml:caption.captioners=[]"
    assert clone.executed("exp", "run", "--set-param", none) == {"caption@0", "evaluate@0", "plot"}
    assert not [key for key in flat(clone.metrics) if key.startswith("captions.")]
    clone.do("git", "checkout", "--quiet", ".")
    clone.do("dvc", "checkout", "--quiet")


def test_a_pull_request_gets_its_markdown(clone: Clone) -> None:
    (clone.folder / "NOTES.md").write_text("unrelated\n")
    clone.commit("notes")
    said = clone.do("python", "-m", "stages.pull_request", "--against", "HEAD~1")
    assert "No parameter changes." in said and "**Gate: passed.**" in said


def test_bad_parameters_stop_before_any_work(clone: Clone) -> None:
    text = (clone.folder / "params.yaml").read_text()
    (clone.folder / "params.yaml").write_text(text.replace("alpha: 0.3", "alpha: 1.5"))
    try:
        done = subprocess.run(
            ["dvc", "repro"], cwd=clone.folder, env=clone.environment, capture_output=True, text=True, check=False
        )
    finally:
        (clone.folder / "params.yaml").write_text(text)
    assert done.returncode != 0
    assert "error: params.yaml: contamination.alpha: found 1.5" in done.stderr
    assert re.findall(r"Running stage '([^']+)'", done.stdout) == ["balance"]
