"""Projects of the smoke profile whose corpus is the user's own, and the images in it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stages.core.scratch import VARIABLE
from tests.helpers import programs

ROOT = Path(__file__).resolve().parents[2]
COUNT = 240


@dataclass(frozen=True)
class Drawing:
    """An emoji on white, as the bytes of an image file, with a caption."""

    caption: str
    gender: str
    data: bytes


@dataclass(frozen=True)
class Project:
    """A project folder of the smoke profile with a corpus of its own."""

    folder: Path

    def configure(self, shards: int, **download: Any) -> None:
        science = yaml.safe_load((ROOT / "params.yaml").read_text())
        science |= {"profile": "smoke", "shards": [f"{shard:05d}" for shard in range(shards)]}
        scale = yaml.safe_load((ROOT / "stages/profiles/smoke.yaml").read_text())
        scale["download"] = {"resolution": 32, "seed": 0, **download}
        if evaluation := download.get("evaluation"):
            scale["evaluate"]["sets"] = [*evaluation]
        (self.folder / "stages/profiles").mkdir(parents=True, exist_ok=True)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(science))
        (self.folder / "stages/profiles/smoke.yaml").write_text(yaml.safe_dump(scale))

    def command(self, **variables: str) -> tuple[list[str], dict[str, str]]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(self.folder / "work"), **variables}
        return [sys.executable, "-m", "stages.download"], environment

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        words, environment = self.command(**variables)
        return programs.run(words[-1], folder=self.folder, environment=environment)

    def refused(self, **variables: str) -> str:
        """Run, and return the one line of the refusal."""
        done = self.run(**variables)
        assert done.returncode == 2, done.stderr
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, done.stderr
        assert not (self.folder / "data").exists() or not list((self.folder / "data").rglob("*.*"))
        return lines[0]

    @property
    def data(self) -> Path:
        return self.folder / "data" / "smoke"
