"""The loop end to end on the smoke profile: two rounds, killed while the generator is trained, then equal."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.helpers.clone import ROOT, Clone

ONE = {"none": {"set": {"balance.method": "none"}}}
RESULTS = "data/smoke/results/generations"


@pytest.fixture(scope="module")
def clone(module_folder: Path) -> Clone:
    packages = Path(os.environ.get("COUNTERWEIGHT_WORK") or ROOT / ".work") / "packages"
    made = Clone(module_folder / "clone", packages)
    profile = made.folder / "stages" / "profiles" / "smoke.yaml"
    values = yaml.safe_load(profile.read_text())
    values["generations"]["arms"] = ONE
    profile.write_text(yaml.safe_dump(values))
    made.commit("one arm")
    return made


def start(clone: Clone) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stages.tools.generations"], cwd=clone.folder, env=clone.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(clone: Clone) -> str:
    running = start(clone)
    said, error = running.communicate(timeout=900)
    assert running.returncode == 0, error
    return said


def content(clone: Clone) -> dict[str, bytes]:
    made = clone.folder / ".work" / "generations" / "models"
    files = [*(clone.folder / RESULTS).glob("*.csv"), *made.rglob("*.safetensors")]
    return {path.name + path.parent.name: path.read_bytes() for path in files}


def test_two_rounds_killed_while_the_generator_is_trained_end_as_without_the_kill(clone: Clone) -> None:
    running, work = start(clone), clone.folder / ".work"
    while not [*(work / "tune").glob("*")] and running.poll() is None:
        time.sleep(0.02)
    assert running.poll() is None, running.communicate()
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert not [*(work / "generations" / "models").glob("*/model_index.json")]
    said = finish(clone)
    killed = content(clone)
    table = pd.read_csv(clone.folder / RESULTS / "table.csv")
    assert set(zip(table["arm"], table["round"], strict=True)) == {("none", 0), ("none", 1)}
    assert {"generator.position", "generator.women.off_start", "portraits.seen.transfer"} <= set(table["metric"])
    assert (clone.folder / RESULTS / "sheet.png").stat().st_size > 1000 and "| none | 1 |" in said

    stamps = [path.stat().st_mtime_ns for path in (work / "generations" / "models").rglob("*.safetensors")]
    finish(clone)
    assert stamps == [path.stat().st_mtime_ns for path in (work / "generations" / "models").rglob("*.safetensors")]

    for made in (work / "generations" / "models", work / "tune", clone.folder / RESULTS):
        shutil.rmtree(made, ignore_errors=True)  # the generator again, from its start; the rounds with it stay
    assert "train the generator of none, round 1" in finish(clone)
    assert content(clone) == killed
