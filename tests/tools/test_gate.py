"""The gate on real revisions, real DVC output, and by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.errors import InputError
from stages.tools.gate import check, markdown, sides_of_diff

ROOT = Path(__file__).parents[2]
KEY = "portraits.unseen.ab.max"
FILE = "data/smoke/results/metrics.json"


def metrics(value, half=0.02, **more):
    return {KEY: value, f"{KEY}.lo": value - half, f"{KEY}.hi": value + half, "seeds": 1, **more}


def failed(old, new, tolerance=0.0):
    return [one.failed for one in check({KEY: tolerance}, old, new)]


def test_worse_beyond_the_noise_fails():
    assert failed(metrics(0.1), metrics(0.2)) == [True]


def test_worse_within_the_noise_passes():
    assert failed(metrics(0.1), metrics(0.12)) == [False]


def test_worse_beyond_the_noise_but_within_the_tolerance_passes():
    assert failed(metrics(0.1), metrics(0.2), tolerance=0.15) == [False]


def test_better_passes_however_far():
    assert failed(metrics(0.5), metrics(0.0)) == [False]


def test_without_any_noise_every_worsening_fails():
    assert failed({KEY: 0.1}, {KEY: 0.1001}) == [True]


def test_equal_runs_pass():
    assert failed({KEY: 0.1}, {KEY: 0.1}) == [False]


def test_the_spread_of_few_seeds_counts():
    old, new = (metrics(value, half=0.001, **{f"{KEY}.std": 0.03, "seeds": 2}) for value in (0.1, 0.15))
    assert failed(old, new) == [False]
    assert failed(metrics(0.1, half=0.001), metrics(0.15, half=0.001)) == [True]


@pytest.mark.parametrize(
    ("tolerances", "old", "new", "said"),
    [
        ({"nonsense": 0}, {}, {}, "unknown, or no direction"),
        ({"n.people": 0}, {"n.people": 1}, {"n.people": 1}, "unknown, or no direction"),
        ({KEY: 0}, {KEY: 0.1}, {}, "missing in the new metrics"),
        ({KEY: 0}, {}, {KEY: 0.1}, "missing in the old metrics"),
    ],
)
def test_what_cannot_be_judged_is_refused(tolerances, old, new, said):
    with pytest.raises(InputError, match=said):
        check(tolerances, old, new)


def test_markdown_names_what_failed():
    text = markdown(check({KEY: 0.0}, metrics(0.1), metrics(0.2)))
    assert text.startswith("**Gate: failed.** Worse than noise allows: association bias · portraits · unseen.")
    assert f"`{KEY}` | ↓ | 0.100 | 0.200 | +0.100 | ± 0.028 | 0.000 | ✗ worse |" in text


def test_one_seed_leaves_the_noise_of_training_unknown():
    one, two = metrics(0.1), metrics(0.1, **{f"{KEY}.std": 0.03, "seeds": 2})
    said = "what another training would change is unknown"
    assert said in markdown(check({KEY: 0.0}, two, one)) and said not in markdown(check({KEY: 0.0}, two, two))


def test_a_diff_of_other_files_is_refused():
    with pytest.raises(InputError, match="is not in the diff"):
        sides_of_diff({"other.json": {}}, FILE)


def run(folder, *command, ok=True):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert not ok or done.returncode == 0, done.stderr
    return done


@pytest.fixture
def repository(project, tmp_path):
    """Return a repository whose commit has one metrics.json and whose working tree has another."""
    project(profile="smoke", gate={"metrics": {KEY: 0.01}})
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(json.dumps(metrics(0.1)))
    (tmp_path / "dvc.yaml").write_text(f"metrics:\n  - {FILE}\n")
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, sys.executable, "-m", "dvc", "init", "-q")
    run(tmp_path, "git", "add", ".")
    run(tmp_path, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "old")
    (tmp_path / FILE).write_text(json.dumps(metrics(0.2)))
    return tmp_path


def gate(folder, *arguments):
    return run(folder, sys.executable, "-m", "stages.tools.gate", *map(str, arguments), ok=False)


def test_against_a_revision(repository):
    done = gate(repository, "--against", "HEAD")
    assert done.returncode == 1 and "Gate: failed" in done.stdout
    (repository / FILE).write_text(json.dumps(metrics(0.105)))
    done = gate(repository, "--against", "HEAD")
    assert done.returncode == 0 and "Gate: passed" in done.stdout
    run(repository, "git", "checkout", "-q", "--", FILE)
    done = gate(repository, "--against", "HEAD")
    assert "Of 1 metric none worsened" in done.stdout and "+0" not in done.stdout


def test_what_dvc_prints_is_understood(repository):
    diff = run(repository, sys.executable, "-m", "dvc", "metrics", "diff", "--all", "--json")
    (repository / "diff.json").write_text(diff.stdout)
    done = gate(repository, "--diff", "diff.json")
    assert done.returncode == 1
    assert done.stdout == gate(repository, "--against", "HEAD").stdout


def test_two_files(repository):
    (repository / "old.json").write_text(json.dumps(metrics(0.3)))
    assert gate(repository, "old.json", FILE).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "nowhere"], "nowhere: no such revision"),
        (["old.json"], "expected two metrics.json"),
        ([], "see --help"),
        (["missing.json", FILE], "missing.json: No such file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(repository, arguments, said):
    done = gate(repository, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and said in done.stderr


def test_nothing_to_guard_is_refused(project, tmp_path):
    project(profile="smoke", gate={"metrics": {}})
    done = gate(tmp_path, "--against", "HEAD")
    assert done.returncode == 2 and "gate.metrics: empty" in done.stderr
