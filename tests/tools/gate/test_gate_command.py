"""The command: on real revisions, on two files, and on input that cannot be judged."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stages.core.errors import run as main_of
from stages.tools.gate.__main__ import main

ROOT = Path(__file__).parents[3]
KEY = "portraits.unseen.ab.max"
FILE = "data/smoke/results/details.json"
NOISE = f"metric,cells,sd,df,sd_paired,df_paired\n{KEY},16,0.01,32,0.01,30\n"
STAGE = """
import json, sys, pathlib, yaml
value = yaml.safe_load(open("params.yaml"))["contamination"]["alpha"]
path = pathlib.Path("data/smoke/results/details.json"); path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps({"portraits.unseen.ab.max": 0.1 + value}))
"""


def run(folder, *command, ok=True):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)
    assert not ok or done.returncode == 0, done.stderr
    return done


def gate(folder, *arguments):
    return run(folder, sys.executable, "-m", "stages.tools.gate", *arguments, ok=False)


def set_alpha(folder, alpha):
    path = folder / "params.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"  alpha: {alpha}" if line.strip().startswith("alpha:") else line for line in lines))


@pytest.fixture
def repository(project, tmp_path):
    """Return a repository whose committed results are those of its dvc.lock, at α = 0."""
    project(profile="smoke", contamination={"alpha": 0.0}, gate={"metrics": {KEY: 0.01}})
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text(
        f"stages:\n  plot:\n    cmd: {sys.executable} stage.py\n    params: [contamination]\n"
        f"    metrics:\n      - {FILE}:\n          cache: false\n"
    )
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).parent.joinpath("study").mkdir()
    (tmp_path / FILE).with_name("study").joinpath("noise.csv").write_text(NOISE)
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, sys.executable, "-m", "dvc", "init", "-q")
    run(tmp_path, sys.executable, "-m", "dvc", "repro", "-q")
    run(tmp_path, "git", "add", ".")
    run(tmp_path, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "old")
    return tmp_path


def test_files_of_the_repository_are_not_lost_to_outcomes(repository):
    before = (repository / "params.yaml").read_bytes()
    for option in ("--json", "--junit"):
        done = gate(repository, FILE, FILE, option, "params.yaml")
        assert done.returncode == 2 and "params.yaml: is a file of the repository" in done.stderr
    done = run(repository, sys.executable, "-m", "stages.tools.params", "--check", "params.yaml", ok=False)
    assert done.returncode == 2 and (repository / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("params.yaml", b"a: [", "HEAD:params.yaml: not YAML"),
        ("params.yaml", b"- a\n", "HEAD:params.yaml: found list"),
        ("params.yaml", b"seeds: [a, {b: 1}]\n", "HEAD:params.yaml: seeds: found 'a'"),
        (FILE, b'{"\xe9": 1}', "not UTF-8 text"),
    ],
)
def test_a_revision_that_cannot_be_read_is_no_verdict(repository, name, content, said):
    path = repository / name
    kept = path.read_bytes()
    path.write_bytes(content)
    run(repository, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "damaged")
    path.write_bytes(kept)
    done = gate(repository, "--against", "HEAD")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr


def test_the_exit_code_is_the_verdict(repository):
    repro = (sys.executable, "-m", "dvc", "repro", "-q")
    done = gate(repository, "--against", "HEAD")
    assert done.returncode == 0 and "✓ Gate: passed" in done.stdout
    set_alpha(repository, 0.02)
    done = gate(repository, "--against", "HEAD")
    assert done.returncode == 1 and done.stdout.startswith("> [!CAUTION]\n> **The results are stale**")
    run(repository, *repro)
    done = gate(repository, "--against", "HEAD", "--json", "gate.json", "--junit", "gate.xml")
    assert done.returncode == 3 and "? Gate: cannot tell" in done.stdout, done.stderr
    assert json.loads((repository / "gate.json").read_text())["verdict"] == "cannot tell"
    assert ET.parse(repository / "gate.xml").getroot().get("failures") == "1"
    params = (repository / "params.yaml").read_text()
    (repository / "params.yaml").write_text(params.replace("gate:", "gate:\n  cannot_tell: pass"))
    assert gate(repository, "--against", "HEAD").returncode == 0
    (repository / FILE).with_name("study").joinpath("noise.csv").write_text(NOISE.replace("0.01", "9.9"))
    set_alpha(repository, 0.5)
    run(repository, *repro)
    done = gate(repository, "--against", "HEAD")  # by the noise before the change, which widened it
    assert done.returncode == 1 and "✗ Gate: failed: association bias" in done.stdout


def test_two_files_are_runs_with_the_seeds_of_the_parameters(repository):
    (repository / "old.json").write_text(json.dumps({KEY: 0.3}))
    assert gate(repository, "old.json", FILE).returncode == 0
    assert gate(repository, FILE, "old.json").returncode == 1


@pytest.fixture
def judged(project, tmp_path, monkeypatch, capsys):
    """Return the command on two files in a folder without history: exit code, output and errors."""
    project(profile="smoke", gate={"metrics": {KEY: 0.01}})
    (tmp_path / "good.json").write_text(json.dumps({KEY: 0.1}))
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["gate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main_of(main)
        return ended.value.code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f'{{"{KEY}": NaN}}', "found NaN, expected a finite number"),
        (f'{{"{KEY}": -Infinity}}', "found -Infinity"),
        (f'{{"{KEY}": 0.1, "{KEY}.lo": NaN, "{KEY}.hi": 1}}', f"{KEY}.lo: found NaN"),
        (f'{{"{KEY}": 0.1, "{KEY}.std": Infinity}}', f"{KEY}.std: found Infinity"),
        (f'{{"{KEY}": 0.1, "{KEY}.lo": 0}}', f"{KEY}.lo: found without {KEY}.hi"),
        (f'{{"{KEY}": null}}', "found null"),
        (f'{{"{KEY}": "0.1"}}', 'found "0.1"'),
        (f'{{"{KEY}": [0.1]}}', "found [0.1]"),
        (f'{{"{KEY}": 0.1, "other": NaN}}', "other: found NaN"),
        ("[0.1]", "found list"),
        ("{", "not readable JSON"),
        ("é".encode("latin-1"), "not readable JSON"),
    ],
)
def test_what_is_no_number_cannot_be_judged_on_either_side(judged, side, content, said):
    Path("bad.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, error = judged(*(("bad.json", "good.json") if side == "old" else ("good.json", "bad.json")))
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error and "bad.json" in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "nowhere"], "nowhere: no such revision"),
        (["old.json"], "expected two details.json"),
        (["old.json", "good.json", "good.json"], "expected two details.json"),
        (["good.json", "good.json", "--against", "HEAD"], "expected two details.json"),
        ([], "see --help"),
        (["missing.json", "good.json"], "missing.json: No such file"),
        (["good.json", "good.json", "--json", "./good.json"], "good.json: is read, or written for something else too"),
        (["good.json", "good.json", "--json", "a", "--junit", "a"], "a: is read, or written for something else too"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(judged, arguments, said):
    code, out, error = judged(*arguments)
    assert (code, out, error.count("\n")) == (2, "", 1) and said in error


def test_nothing_to_guard_is_refused(judged, project):
    project(profile="smoke", gate={"metrics": {}})
    code, _, error = judged("good.json", "good.json")
    assert code == 2 and "gate.metrics: empty" in error
