"""Results appear whole or not at all: written beside their place, then put there.

`replaced` and `merged` yield an empty folder to write into, `written` a file's other name. An error on the way leaves
everything as it was; what a killed process left beside its result is removed by the next one that writes it. `owned` is
`replaced` for a folder that the user names: it never removes what it has not written.
"""

import fcntl
import glob
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.core.errors import InputError

MANIFEST = ".written"  # in a folder of the user's choice: the files that are ours
ASIDE = "-old"


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """
    Replace a folder by what is written.

    Parameters
    ----------
    folder : Path
        It and its parents need not exist.
    """
    with beside(folder) as staging:
        yield staging
        _put(staging, folder, staging.with_name(staging.name.replace(".partial", f"{ASIDE}.partial")))


@contextmanager
def owned(folder: Path) -> Iterator[Path]:
    """
    Replace a folder that the user named, unless it holds anything that was not written by this very way.

    Raises
    ------
    InputError
        See `check_owned`.
    """
    check_owned(folder)
    with replaced(folder.resolve()) as staging:
        yield staging
        (staging / MANIFEST).write_text("".join(f"{name}\n" for name in sorted(_leaves(staging))))
        check_owned(folder)  # again: the work in between may have taken hours


def check_owned(folder: Path) -> None:
    """
    Check, before the work, that `owned` may replace a folder.

    Raises
    ------
    InputError
        If it is a file, the working folder or one above it, or holds anything that is not listed in its manifest.
    """
    remedy = "name a new folder, or an empty one"
    if not os.path.lexists(folder):
        above = next(path for path in folder.absolute().parents if path.exists())
        if not above.is_dir():
            raise InputError(f"--out {folder}: found a file, {above}, in its path, expected folders; {remedy}")
        return
    if not folder.is_dir():
        raise InputError(f"--out {folder}: found a file, expected a folder; {remedy}")
    if Path.cwd().is_relative_to(folder.resolve()):
        raise InputError(f"--out {folder}: found the working folder or one above it; {remedy}")
    manifest = folder / MANIFEST
    ours = {MANIFEST, *(manifest.read_text().splitlines() if manifest.is_file() else ())}
    if (other := next((name for name in _leaves(folder) if name not in ours), None)) is not None:
        raise InputError(f"--out {folder}: holds {other}, which no earlier run wrote and which would be lost; {remedy}")


@contextmanager
def merged(folder: Path) -> Iterator[Path]:
    """
    Replace only those files and folders of a folder that are written; what others keep there stays.

    Parameters
    ----------
    folder : Path
        It and its parents need not exist.
    """
    with beside(folder) as staging:
        yield staging
        folder.mkdir(exist_ok=True)
        for new in sorted(staging.iterdir()):
            _put(new, folder / new.name, staging / ASIDE)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """
    Replace one file.

    Parameters
    ----------
    path : Path
        It need not exist, its folder must.

    Raises
    ------
    InputError
        See `check_file`.
    """
    check_file(path)
    staging = _staging(path)
    try:
        yield staging
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


def check_file(path: Path) -> None:
    """
    Check that `written` may replace a path: a device that is replaced is gone for every program of the machine.

    Raises
    ------
    InputError
        If it is a folder, a device, a pipe or a socket.
    """
    if path.exists() and not path.is_file():
        found = "a folder" if path.is_dir() else "a device, a pipe or a socket"
        raise InputError(f"{path}: found {found}, expected a file or nothing; name another file")


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that lasts as long as the work; what killed processes left in its place is removed."""
    staging = _staging(folder)
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _staging(path: Path) -> Path:
    """Name what is written in place of a path; remove what killed processes of this machine left beside it."""
    prefix = f".{path.name}.{socket.gethostname()}."  # a process number says nothing about other machines
    staging = path.with_name(f"{prefix}{os.getpid()}.partial")
    for left in path.parent.glob(f"{glob.escape(prefix)}*.partial"):
        if left == staging or not _alive(left.name.removeprefix(prefix)):
            _remove(left)
    return staging


def _put(new: Path, place: Path, aside: Path) -> None:
    """Give what is complete its name; where two processes write the same, the last one counts."""
    beside = os.open(place.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(beside, fcntl.LOCK_EX)
        if os.path.lexists(place) and (new.is_dir() or place.is_dir()):
            place.rename(aside)
        new.replace(place)
        _remove(aside)
    finally:
        os.close(beside)


def _leaves(folder: Path) -> Iterator[str]:
    """Name everything but folders that hold something."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir()):
            yield path.relative_to(folder).as_posix()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _alive(name: str) -> bool:
    try:
        os.kill(int(re.split(r"\D", name, maxsplit=1)[0]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
