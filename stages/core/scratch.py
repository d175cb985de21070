"""Git-ignored folder for work that must survive a kill: checkpoints, half-written shards, fetched packages.

DVC wipes the outputs of a killed stage, and runs `--temp` and `--queue` experiments in other folders; so the work
folder lies outside the outputs and, where ``COUNTERWEIGHT_WORK`` is set, at one absolute path for all of them.
"""

import fcntl
import hashlib
import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.core.atomic import beside, written
from stages.core.errors import missing

VARIABLE = "COUNTERWEIGHT_WORK"


def fingerprint(shape: Mapping[str, Any]) -> str:
    """
    Hash everything that shapes a piece of work to 16 hex digits.

    Parameters
    ----------
    shape : mapping
        JSON values; floats as written by ``repr``.
    """
    text = json.dumps(shape, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def digest(files: Iterable[Path]) -> str:
    """Hash the content of files to 16 hex digits."""
    state = hashlib.blake2b(digest_size=8)
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                state.update(chunk)
    return state.hexdigest()


def contents(files: Iterable[Path]) -> list[str]:
    """
    Hash the content of each of many large files, on all cores; a file that has not changed is not read again.

    A time of change alone would tell a checkout on another machine from the files that work was begun with.

    Raises
    ------
    InputError
        If one is missing.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_content, files))


def _content(path: Path) -> str:
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise missing(f"{path}: no such file", "run the stage that writes it (`dvc repro`)") from None
    stamp = {name: getattr(stat, f"st_{name}") for name in ("dev", "ino", "size", "mtime_ns", "ctime_ns")}
    known = work_folder("contents") / fingerprint(stamp)
    if known.is_file():
        return known.read_text()
    found = digest([path])
    with written(known) as file:
        file.write_text(found)
    return found


@contextmanager
def alone(purpose: str, shape: Mapping[str, Any]) -> Iterator[None]:
    """Let one process at a time do a piece of work, others wait; the lock ends with the process, however it ends."""
    with (work_folder("locks") / f"{purpose}-{fingerprint(shape)}").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            print(f"{purpose}: another process is at this very work; waiting until it has ended", file=sys.stderr)
            fcntl.lockf(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def spilled(purpose: str) -> Iterator[Path]:
    """Yield an empty folder for what need not survive the process; those of killed ones are removed first."""
    with beside(work_folder(purpose) / "spill") as folder:
        yield folder


def end_with_parent() -> None:
    """End this process of a pool when its parent does: one that is killed tells nobody, and the pool would wait on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def work_folder(purpose: str, shape: Mapping[str, Any] | None = None) -> Path:
    """
    Return the folder of one piece of work, made if missing.

    Parameters
    ----------
    shape : mapping, optional
        Everything that shapes the work: another shape gets another folder, so stale work is never resumed.
    """
    root = Path(os.environ.get(VARIABLE) or ".work").resolve() / purpose
    folder = root / fingerprint(shape) if shape is not None else root
    folder.mkdir(parents=True, exist_ok=True)
    return folder
