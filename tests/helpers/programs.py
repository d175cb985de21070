"""Programs of `stages`, run as `python -m` runs them, in forks of one process that has everything imported.

A test of what a program refuses or writes need not wait for torch again. The fork gets the arguments, the folder, and
the environment that a new process would get; what libraries read while they are imported (numbers of threads) is that
of the server. What a launcher starts, what is killed, and the pipeline end to end run in processes of their own.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# The others are light, and bring duckdb, which complains on stderr where it is frozen.
IMPORTED = ("annotate", "caption", "evaluate", "generate", "plot", "pretrain.quality", "train")


def run(module: str, *arguments: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; ``environment`` is all of it, as of `subprocess.run`."""
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    with tempfile.TemporaryDirectory() as place:
        said = [Path(place, name) for name in ("out", "err")]
        order = {"argv": [module, *arguments], "folder": str(folder), "environment": dict(environment)}
        server.stdin.write(json.dumps(order | {"said": [str(path) for path in said]}) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "the server of programs has ended"
        out, error = (path.read_text(errors="replace") for path in said)
    return subprocess.CompletedProcess(order["argv"], int(answer), out, error)


@functools.cache
def _server() -> subprocess.Popen[str]:
    command, here = [sys.executable, "-m", "tests.helpers.programs"], os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)  # its input ends, and with it the server
    return process


def _serve() -> dict[str, Any] | None:
    """Fork for each order; return the order in the fork, None in the server when there are no more."""
    for name in IMPORTED:
        importlib.import_module(f"stages.{name}.__main__")
    gc.freeze()  # what lives in all forks is no garbage in any
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        if not (child := os.fork()):
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
    return None


def _become(order: Mapping[str, Any]) -> None:
    """Make this process the one that was asked for."""
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    for number, name in enumerate([os.devnull, *order["said"]]):
        file = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0)
    sys.path[:1] = [order["folder"], *filter(None, order["environment"].get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = order["argv"]
    warnings.filterwarnings("ignore", message=".* found in sys.modules", category=RuntimeWarning)


if __name__ == "__main__" and (asked := _serve()) is not None:
    _become(asked)
    runpy.run_module(asked["argv"][0], run_name="__main__", alter_sys=True)
