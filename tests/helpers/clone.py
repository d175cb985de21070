"""A git repository of its own with the files of this checkout, in which `dvc repro` runs the smoke profile."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SHARDS = ["00000", "00001"]
OUTPUTS = r"data/[^/]+/results/(?!(study|counterweights|generations)/)|dvc\.lock$"  # not those that plot reads


class Clone:
    """A git repository with the files of this checkout, set to the smoke profile."""

    def __init__(self, folder: Path, packages: Path) -> None:
        self.folder = folder
        listed = self._run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
        for name in sorted(set(filter(None, listed.split("\0")))):
            if (ROOT / name).is_file() and not re.match(
                r"data/[^/]+/results/(?!(study|counterweights|generations)/)|dvc\.lock$", name
            ):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        values = yaml.safe_load((folder / "params.yaml").read_text())
        values |= {"profile": "smoke", "seeds": [0], "shards": SHARDS}
        values["contamination"]["alpha"] = 0.3
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

    @classmethod
    def of(cls, folder: Path, environment: dict[str, str]) -> "Clone":
        """A clone that git made already, with a work folder of its own."""
        clone = object.__new__(cls)
        clone.folder = folder
        clone.environment = environment | {"COUNTERWEIGHT_WORK": str(folder.with_name(f"{folder.name}-work"))}
        return clone

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
        """Run a dvc command; return the names of the stages whose command ran, but `check`, which any change reruns."""
        return set(re.findall(r"Running stage '([^']+)'", self.do("dvc", *words))) - {"check"}

    @property
    def results(self) -> Path:
        return self.folder / "data" / "smoke" / "results"

    @property
    def metrics(self) -> dict:
        return json.loads((self.results / "details.json").read_text())

    def hashes(self, *stages: str) -> dict[str, list[tuple[str, str]]]:
        """Return path and hash of each output, by stage."""
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return {
            name: [(out["path"], out["md5"]) for out in entry["outs"]]
            for name, entry in lock.items()
            if name.split("@")[0] in stages
        }
