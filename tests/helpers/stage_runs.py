"""A finished smoke run, and stages started on copies of it: in processes of their own, forked with all imports done.

A fork starts at once, so that a random moment of its time lies in the work of the stage, not in its imports.
"""

import hashlib
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from accelerate.state import AcceleratorState

from stages.core.errors import run
from tests.helpers.clone import Clone

DATA = Path("data") / "smoke"
STAGES = {
    "check": ("stages.tools.params", ["--check", str(DATA / "valid.txt")], ["valid.txt"]),
    "download": (
        "stages.download",
        [],
        ["real", "oracle", "samples.parquet", "occupations.csv", "eval", "download.json"],
    ),
    "generate": ("stages.generate", ["--shard", "00000"], ["synthetic/00000.tar"]),
    "generate the other": ("stages.generate", ["--shard", "00001"], ["synthetic/00001.tar"]),
    "annotate": ("stages.annotate", [], ["attributes.parquet", "annotation.json"]),
    "balance": ("stages.balance", [], ["selection.parquet", "balance"]),
    "train": ("stages.train", ["--seed", "0"], ["models/0"]),
    "caption": ("stages.caption", ["--seed", "0"], ["captions/0"]),
    "evaluate": ("stages.evaluate", ["--seed", "0"], ["scores/0"]),
    "plot": ("stages.plot", [], ["results/metrics.json", "results/tables", "results/figures"]),
}


@dataclass
class Started:
    """A stage at work."""

    process: BaseProcess
    log: Path

    def end(self) -> tuple[int, str]:
        """Wait; return the exit code and what it said on stderr."""
        self.process.join()
        code = self.process.exitcode
        assert code is not None
        return code, self.log.read_text(errors="replace")

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the stage, if it has not ended."""
        if self.process.exitcode is None and self.process.pid is not None:
            os.kill(self.process.pid, number)
        self.process.join()

    def orphans(self, seconds: float = 10) -> list[int]:
        """Return what is left of its session after a while."""
        end = time.monotonic() + seconds
        while (left := self._session()) and time.monotonic() < end:
            time.sleep(0.05)
        return left

    def _session(self) -> list[int]:
        left = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if int(session) == self.process.pid and state != "Z":
                left.append(int(folder.name))
        return left


@dataclass
class Run:
    """A folder with what all stages have written."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    logs: Path | None = None  # not on the disk that a test fills

    @property
    def data(self) -> Path:
        return self.folder / DATA

    @property
    def work(self) -> Path:
        return self.folder / ".work"

    def copy(self, folder: Path, logs: Path | None = None) -> "Run":
        """Copy everything but what no stage changes: that is linked."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("params.yaml", "dvc.lock", "stages", ".dvc"):
            if (source := self.folder / name).is_dir():
                shutil.copytree(source, folder / name)
            elif source.exists():
                shutil.copy(source, folder / name)
        shutil.copytree(self.data, folder / DATA)
        (folder / ".work").mkdir()
        (folder / ".work" / "packages").symlink_to((self.work / "packages").resolve())
        (folder / "data" / "pretrained").symlink_to((self.folder / "data" / "pretrained").resolve())
        (folder / ".git").symlink_to((self.folder / ".git").resolve())
        return Run(folder, self.seconds, logs)

    def digests(self, stage: str) -> dict[str, str]:
        """Return the hash of each file that a stage writes."""
        found = {}
        for name in STAGES[stage][2]:
            place = self.data / name
            for path in sorted(place.rglob("*")) if place.is_dir() else [place] * place.exists():
                if path.is_file():
                    found[path.relative_to(self.data).as_posix()] = hashlib.blake2b(path.read_bytes()).hexdigest()
        return found

    def clear(self, stage: str) -> None:
        """Remove the outputs of a stage, as DVC does before it runs one."""
        for name in STAGES[stage][2]:
            place = self.data / name
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)

    def partial(self) -> list[str]:
        """Name what a stage has left half-written."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob(".*.partial"))

    def start(self, stage: str, log: str = "log") -> Started:
        module, arguments, _ = STAGES[stage]
        entry: Callable[[], None] = importlib.import_module(f"{module}.__main__" if stage != "check" else module).main
        path = (self.logs or self.folder.parent) / f"{self.folder.name}-{stage}-{log}.txt"

        def child() -> None:
            os.setsid()
            said = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(said, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
            warnings.resetwarnings()
            warnings.simplefilter("ignore")
            os.chdir(self.folder)
            os.environ |= {"COUNTERWEIGHT_WORK": str(self.work), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
            for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
                os.environ.pop(name, None)
            sys.argv = [module, *arguments]
            AcceleratorState._reset_state(reset_partial_state=True)
            torch.set_num_threads(1)
            run(entry)

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        return Started(process, path)


def finish(folder: Path, packages: Path) -> Run:
    """Make the finished run: every stage in turn; the time of each is kept."""
    clone = Clone(folder / "clone", packages)
    made = Run(clone.folder)
    for stage in STAGES:
        begun = time.monotonic()
        code, said = made.start(stage).end()
        assert code == 0, said
        made.seconds[stage] = time.monotonic() - begun
    return made
