"""What `stages` sets for its own programs, and leaves alone where it is imported."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAY = "import gc, os; print(gc.get_threshold()[0], os.environ['OMP_WAIT_POLICY'])"


def said(*words: str, folder: Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", **variables}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_program_rarely_looks_for_garbage_and_an_import_changes_nothing_of_that(tmp_path: Path) -> None:
    usual = said("-c", "import gc; print(gc.get_threshold()[0])", folder=tmp_path)
    assert said("-c", f"import stages; {SAY}", folder=tmp_path) == f"{usual} PASSIVE"
    (tmp_path / "other.py").write_text(f"import stages\n{SAY}\n")
    assert said("-m", "other", folder=tmp_path) == f"{usual} PASSIVE"
    package = tmp_path / "stages"  # with a program that says what it finds
    package.mkdir()
    (package / "__init__.py").write_text((ROOT / "stages" / "__init__.py").read_text())
    (package / "tell.py").write_text(SAY)
    assert said("-m", "stages.tell", folder=tmp_path) == "100000 PASSIVE"
    assert said("-m", "stages.tell", folder=tmp_path, OMP_WAIT_POLICY="ACTIVE") == "100000 ACTIVE"
