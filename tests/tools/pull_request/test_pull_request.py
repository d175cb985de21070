"""What a pull request would show, in real repositories; the workflows and hooks that show it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.small_project import ROOT, SCORE, Project

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
KEPT = Path("data/emoji/results")
EMOJI = Path("stages/profiles/emoji.yaml")
FLAT = SCORE.replace("[2.0, 1.0]", "[2.0, 2.0]")
NOISE = "metric,cells,sd,df,sd_paired,df_paired\nrb.gender,16,0.01,32,0.01,30\n"


def check(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.tools.pull_request", *arguments],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )


def keep(project: Project, value: float) -> None:
    project.write(str(KEPT / "details.json"), json.dumps({"rb.gender": {"value": value, "n": 2}}))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with committed results of its default profile, and four branches."""
    made = Project(tmp_path_factory.mktemp("pull_request"))
    params = yaml.safe_load((made.folder / "params.yaml").read_text())
    params |= {"profile": "emoji", "gate": {"metrics": {"rb.gender": 0.01}}}
    made.write("params.yaml", yaml.safe_dump(params))
    (made.folder / KEPT / "study").mkdir(parents=True)
    made.write(str(KEPT / "study" / "noise.csv"), NOISE)
    keep(made, 0.2)
    made.do(sys.executable, "-m", "dvc", "repro", "--quiet")
    made.commit("results")
    made.do("git", "branch", "main-line")

    made.do("git", "checkout", "-q", "-b", "notes")
    made.write("NOTES.md", "unrelated\n")
    made.commit("notes")

    made.do("git", "checkout", "-q", "-b", "flat", "main-line")
    made.write("stages/score.py", FLAT)
    made.commit("a rate of 0")

    made.do("git", "checkout", "-q", "-b", "results", "main-line")
    made.write("params.yaml", yaml.safe_dump(params | {"contamination": {"alpha": 0.3}}))
    scale = yaml.safe_load((made.folder / EMOJI).read_text())
    made.write(str(EMOJI), yaml.safe_dump(scale | {"download": scale["download"] | {"resolution": 96}}))
    keep(made, 0.3)
    made.do(sys.executable, "-m", "dvc", "repro", "--quiet")
    made.commit("contaminated")

    made.do("git", "checkout", "-q", "main-line")
    made.write("OTHER.md", "the target went on\n")
    made.commit("meanwhile")
    return made


def started(project: Project) -> int:
    return len((project.work / "started").read_text().splitlines())


def test_a_change_without_effect_passes_and_a_second_time_runs_nothing(project):
    project.do("git", "checkout", "-q", "notes")
    first = check(project, "--against", "main-line")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("## ✓ Gate: passed: none of 1 guarded metrics is worse than is let through\n")
    assert re.search(r"\n`\w{8}` \(notes\) against `\w{8}` \(results\)\n", first.stdout)
    assert "No parameter changes." in first.stdout
    assert "✓ Profile smoke ran on both sides; after the change the loss falls (2.00 to 1.00" in first.stdout
    before, out = started(project), project.work / "out"
    again = check(project, "--against", "main-line", "--out", str(out), "--artifact", "https://example.org/run/1")
    assert (again.returncode, again.stderr) == (0, "") and started(project) == before
    assert (out / "comment.md").read_text() == again.stdout
    assert again.stdout.endswith("Everything: [the whole report](https://example.org/run/1).\n")
    assert json.loads((out / "gate.json").read_text())["verdict"] == "passed"
    assert (out / "gate.xml").read_text().startswith("<?xml")
    assert "## Every metric that differs" in (out / "full.md").read_text()


def test_a_change_that_stops_learning_fails_stale_results_first(project):
    project.do("git", "checkout", "-q", "flat")
    done = check(project, "--against", "main-line")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("> [!CAUTION]\n> **The results are stale**")
    assert "\n\n## ✗ Gate: failed: the results are stale\n" in done.stdout
    assert "evaluate&#64;0 (stages/score.py)" in done.stdout
    assert "✗ Profile smoke ran on both sides; after the change the loss does not fall by 20%" in done.stdout


def test_committed_results_that_are_worse_fail(project):
    project.do("git", "checkout", "-q", "results")
    done = check(project, "--against", "main-line")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("## ✗ Gate: failed: representation bias · gender\n")
    assert "| `contamination.alpha` | 0.0 | 0.3 |" in done.stdout
    assert "| `download.resolution` | 64 | 96 |" in done.stdout
    assert re.search(r"\| 0\.200 \| 0\.300 \| ▆█ \| \+0\.100 \| ± 0\.020 \| 0\.010 \| ✗ failed \|", done.stdout)


def test_the_working_tree_stays_as_it_is(project):
    project.do("git", "checkout", "-q", "notes")
    project.write("draft.txt", "not committed\n")
    check(project, "--against", "main-line")
    assert project.do("git", "status", "--porcelain") == "?? draft.txt\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--against", "nowhere"], "error: nowhere: no such revision"), (["--profile", "tiny"], "found 'tiny'")],
)
def test_bad_input_is_one_line(project, arguments, said):
    done = check(project, *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_follow_githubs_schema(path):
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_a_broken_workflow_would_be_noticed(tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text((ROOT / ".github" / "workflows" / "review.yml").read_text().replace("runs-on:", "run-on:"))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(broken)]
    assert subprocess.run(command, capture_output=True).returncode == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_make_targets_that_exist(path):
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    steps = [step for job in jobs for step in job.get("steps", [])]
    called = re.findall(r"\bmake ([\w-]+)", "\n".join(step.get("run", "") for step in steps))
    targets = re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text())
    used = [job["uses"] for job in jobs if "uses" in job]
    assert (called or used) and set(called) <= set(targets)
    assert all((ROOT / name).is_file() for name in used)


@pytest.mark.parametrize(
    ("verdict", "handed"),
    [("passed", "verdict=passed\n"), ("cannot tell", "verdict=cannot tell\n"), ("passed\\nevil=1", ""), (None, "")],
)
def test_the_verdict_that_a_workflow_hands_on_is_one_of_three(tmp_path, verdict, handed):
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "review.yml").read_text())
    (step,) = (step for step in workflow["jobs"]["results"]["steps"] if step.get("id") == "verdict")
    (tmp_path / ".work" / "review").mkdir(parents=True)
    if verdict:
        text = f'{{\n  "verdict": "{verdict}",\n  "stale": {{}}\n}}\n'
        (tmp_path / ".work" / "review" / "gate.json").write_text(text)
    (tmp_path / "output").touch()
    environment = {**os.environ, "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary"}
    subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "output").read_text() == handed


HOOKS = {
    hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
}


@pytest.fixture
def hooked(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.do("cp", ROOT / ".pre-commit-config.yaml", ROOT / "pyproject.toml", made.folder)
    for script in ("plot.py", "stages/score.py"):
        (made.folder / script).unlink()
    made.write("stages/sums.py", '"""Sums."""\n\nTOTAL: int = 1 + 1\n')
    made.do("git", "add", "--all")
    return made


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        ("ruff", '"""Sums."""\n\nimport os\n'),
        ("ruff-format", '"""Sums."""\n\nTOTAL=1+1\n'),
        ("pyright", '"""Sums."""\n\nTOTAL: str = 1 + 1\n'),
    ],
)
def test_hooks_pass_good_code_and_stop_bad_code(hooked, hook, text):
    command = [sys.executable, "-m", "pre_commit", "run", hook, "--all-files"]
    path = f"{Path(sys.executable).parent}:{hooked.environment['PATH']}"
    environment = hooked.environment | {"PATH": path, "PRE_COMMIT_HOME": str(hooked.work)}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=hooked.folder, env=environment, capture_output=True, text=True)

    good = run()
    assert good.returncode == 0, good.stdout
    hooked.write("stages/sums.py", text)
    bad = run()
    assert bad.returncode == 1 and "stages/sums.py" in bad.stdout


def test_the_hook_before_a_push_is_the_check_of_the_lock():
    assert HOOKS["dvc-lock"]["entry"] == "python -m stages.tools.check_lock" and HOOKS["dvc-lock"]["stages"] == [
        "pre-push"
    ]
