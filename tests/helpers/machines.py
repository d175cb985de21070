"""A small project on several machines: clones of one repository, a corpus of drawn shapes, one DVC remote."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from tests.helpers.clone import ROOT, SHARDS, Clone
from tests.helpers.shapes import COLOURS, SHAPES, TINY, draw

ROWS = 24
CLUSTER = Path("stages") / "cluster"


def wait(what: str, condition: Callable[[], object], seconds: float = 300) -> None:
    """Wait until something is true, and fail by its name where it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


class Machines:
    """
    A project whose corpus is downloaded, committed and pushed.

    Attributes
    ----------
    first : Clone
        The machine that downloaded, and the folder that tasks are started from.
    """

    def __init__(self, folder: Path, url: str = "", secrets: Mapping[str, str] | None = None, **remote: str) -> None:
        """Take the remote's address, its settings, and those that git does not get; by default it is a folder."""
        self.folder = folder
        self.first = Clone(folder / "first", folder / "no packages")
        self._configure()
        self.first.do("dvc", "remote", "add", "--default", "shared", url or str(folder / "remote"))
        for option, settings in (("--project", remote), ("--local", secrets or {})):
            for name, value in settings.items():
                self.first.do("dvc", "remote", "modify", option, "shared", name, value)
        assert self.first.executed("repro", "download") == {"download"}
        self.first.do("dvc", "push", "--quiet", "--run-cache")
        self.first.commit("the corpus")

    def _configure(self) -> None:
        """Draw 12 pictures per shard, in parts of two; and a model that trains for a few seconds."""
        rng = np.random.default_rng(0)
        (self.first.folder / "pairs").mkdir()
        rows = []
        for row in range(ROWS):
            colour, shape = COLOURS[row % len(COLOURS)], SHAPES[row // len(COLOURS)]
            Image.fromarray(draw(colour, shape, rng)).save(self.first.folder / f"pairs/{row}.png")
            rows.append((f"{row}.png", f"a {('woman', 'man')[row % 2]} and a {colour} {shape}"))
        table = pd.DataFrame(rows, columns=["image", "caption"])
        table.to_csv(self.first.folder / "pairs/table.csv", index=False)
        science = self.first.folder / "params.yaml"
        values = yaml.safe_load(science.read_text())
        values["seeds"] = [0, 1]
        values["balance"] = {"method": "none", "target": "none", "attributes": ["gender"]}
        science.write_text(yaml.safe_dump(values))
        scale = self.first.folder / "stages/profiles/smoke.yaml"
        values = yaml.safe_load(scale.read_text())
        values["download"] = {"source": "table", "resolution": 32, "seed": 0, "table": {"path": "pairs/table.csv"}}
        values["generate"] |= {"batch_size": 2, "steps": 2}
        values["annotate"]["source"] = "caption"
        values["train"] |= {"model": TINY, "vocabulary": 400, "epochs": 40, "batch_size": 8, "probe": 0}
        values["train"] |= {"checkpoint_every": 0.05, "log_every": 0.1}
        scale.write_text(yaml.safe_dump(values))

    def clone(self, name: str) -> Clone:
        """Another machine: it has what git has, and the remote."""
        subprocess.run(["git", "clone", "--quiet", str(self.first.folder), str(self.folder / name)], check=True)
        return Clone.of(self.folder / name, self.first.environment)

    def start(self, *words: str | Path, project: Path | None = None, **variables: str) -> subprocess.Popen[str]:
        """Start a script of stages/cluster in a process group of its own."""
        return subprocess.Popen(
            ["bash", *map(str, words)],
            cwd=project or self.first.folder,
            env=self.first.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str | Path, project: Path | None = None, **variables: str) -> str:
        """Run a script of stages/cluster to its end; return what it said."""
        process = self.start(*words, project=project, **variables)
        said, _ = process.communicate()
        assert process.returncode == 0, said[-4000:]
        return said


def ran(said: str) -> list[str]:
    """Return the stages whose command ran, not those that were restored."""
    return re.findall(r"Running stage '([^']+)'", said)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it started, as a machine that is taken away does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def tars(clone: Clone) -> dict[str, bytes]:
    """Return the synthetic shards' bytes by name."""
    return {shard: (clone.folder / f"data/smoke/synthetic/{shard}.tar").read_bytes() for shard in SHARDS}


def weights(clone: Clone, seed: int = 0) -> bytes:
    """Return the bytes of a trained model."""
    return (clone.folder / f"data/smoke/models/{seed}/clip/model.safetensors").read_bytes()


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback device that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def missing_commands(*commands: str) -> str:
    """Name the commands that this machine lacks."""
    return ", ".join(command for command in commands if shutil.which(command) is None)


__all__ = [
    "CLUSTER",
    "ROOT",
    "SHARDS",
    "Clone",
    "Machines",
    "free_ports",
    "kill",
    "missing_commands",
    "ran",
    "tars",
    "wait",
    "weights",
]
