"""docs/explore.ipynb runs from top to bottom, in the folder that it stands in."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import tiny_clip
from tests.helpers.recorded_run import FOLDER, ROOT

NOTEBOOK = json.loads((ROOT / "docs" / "explore.ipynb").read_text())
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def project(plotted: Path, tmp_path: Path) -> Path:
    """Return a finished run with a model and a folder docs."""
    root = Path(shutil.copytree(plotted, tmp_path / "project", symlinks=True))
    tiny_clip.save(root / FOLDER / "models" / "0" / "clip")
    (root / "docs").mkdir()
    return root


def test_every_cell_runs_and_shows_something(project):
    shown = "\n".join(f"{cell}\nprint('cell {i} done')" for i, cell in enumerate(CELLS))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{shown}\nprint(len(figure.axes[0].patches), float(chances.sum()))"],
        cwd=project / "docs", env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "text→image R@5 · people" in done.stdout
    bars, total = done.stdout.splitlines()[-1].split()
    assert int(bars) > 2 and float(total) == pytest.approx(1, abs=1e-3)


def test_it_is_kept_without_what_a_run_shows():
    assert len(CELLS) >= 5 and NOTEBOOK["nbformat"] == 4
    assert all(not cell["outputs"] for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code")


def test_the_development_container_makes_the_environment_of_make():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["postCreateCommand"] == "make install"
    assert container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"] == ".venv/bin/python"
