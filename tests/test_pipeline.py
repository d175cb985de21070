"""The smoke profile end to end, through real `dvc repro`, in git repositories of its own."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.clone import ROOT, Clone

FIRST = {"download", "generate@00000", "generate@00001", "annotate"}
AFTER_ALPHA = {"balance", "train@0", "caption@0", "evaluate@0", "plot"}
COMMITTED = yaml.safe_load((ROOT / "params.yaml").read_text())["contamination"]["alpha"]  # of a pull request's trial


def flat(values: dict, prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


@pytest.fixture(scope="module")
def packages() -> Path:
    return Path(os.environ.get("COUNTERWEIGHT_WORK") or ROOT / ".work") / "packages"


@pytest.fixture(scope="module")
def clone(module_folder: Path, packages: Path) -> Clone:
    made = Clone(module_folder / "clone", packages)
    assert made.executed("repro") == FIRST | AFTER_ALPHA
    made.commit("first run")
    return made


def test_a_fresh_clone_gives_results(clone: Clone) -> None:
    numbers = flat(clone.metrics)
    assert len(numbers) > 20
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in numbers.values())
    assert (clone.results.parent / "report.html").stat().st_size > 10_000
    assert list((clone.results / "figures").glob("*.png"))
    assert clone.do("git", "status", "--short") == ""


def test_nothing_changed_nothing_runs(clone: Clone) -> None:
    assert clone.executed("repro") == set()


def test_alpha_reruns_balance_and_what_follows_and_going_back_runs_only_the_plots(clone: Clone) -> None:
    before = clone.metrics
    assert clone.executed("exp", "run", "--set-param", f"contamination.alpha={COMMITTED}") == AFTER_ALPHA
    changed = json.loads(clone.do("dvc", "metrics", "diff", "--json"))["data/smoke/results/metrics.json"]
    # one that is defined on one side only, on 64 rows, has no difference
    assert any(values.get("diff") for values in changed.values()) and len(changed) <= 25
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
    assert "2 runs: 2 α" in said and "Gate: " in said.replace("**", "") and "report: data/smoke/report.html" in said
    assert (clone.results / "compare" / "study.png").stat().st_size > 10_000
    assert clone.do("git", "status", "--short") == "" and clone.metrics == before


@pytest.mark.parametrize(
    ("section", "key", "change"), [("balance", "target", "observed"), ("contamination", "seed", 1)]
)
def test_target_and_draw_rerun_balance_and_what_follows(clone: Clone, section: str, key: str, change: object) -> None:
    values = yaml.safe_load((clone.folder / "params.yaml").read_text())
    assert values[section][key] != change
    values[section][key] = change
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(values))
    assert clone.executed("repro", "balance") == {"balance"}
    stale = clone._run(["bash", "-c", "dvc status || true"], clone.folder)
    assert not re.search(r"^(download|generate|annotate)", stale, re.MULTILINE)
    clone.do("git", "checkout", "--quiet", "params.yaml", "dvc.lock")
    clone.do("dvc", "checkout", "--quiet")


def test_another_machine_gets_the_same_data_and_metrics(clone: Clone, tmp_path: Path, packages: Path) -> None:
    other = Clone(tmp_path / "clone", packages)
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
    command = [sys.executable, "-m", "stages.tools.pull_request", "--against", "HEAD~1"]
    done = subprocess.run(command, cwd=clone.folder, env=clone.environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1) and "No parameter changes." in done.stdout, done.stderr
    failed = re.findall(r": failed: (.*)", done.stdout)  # so small a model may be at chance: nothing else can fail
    assert all("is at or below chance" in reason for reason in failed[1:]) and bool(failed) == bool(done.returncode)


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
    assert re.findall(r"Running stage '([^']+)'", done.stdout) == ["check"]
