"""Results appear whole or not at all: written beside their place, then put there.

`replaced` and `merged` yield an empty folder to write into, `written` a file's other name. An error on the way leaves
everything as it was; what a killed process left beside a folder is removed by the next one that writes it.
"""

import glob
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """
    Replace a folder by what is written.

    Parameters
    ----------
    folder : Path
        It and its parents need not exist.
    """
    with _beside(folder) as staging:
        yield staging
        shutil.rmtree(folder, ignore_errors=True)
        staging.replace(folder)


@contextmanager
def merged(folder: Path) -> Iterator[Path]:
    """
    Replace only those files and folders of a folder that are written; what others keep there stays.

    Parameters
    ----------
    folder : Path
        It and its parents need not exist.
    """
    with _beside(folder) as staging:
        yield staging
        folder.mkdir(exist_ok=True)
        for new in sorted(staging.iterdir()):
            if (old := folder / new.name).is_dir():
                shutil.rmtree(old)
            new.replace(folder / new.name)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """
    Replace one file.

    Parameters
    ----------
    path : Path
        It need not exist, its folder must.
    """
    staging = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield staging
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    prefix = f".{folder.name}.{socket.gethostname()}."  # a process number says nothing about other machines
    staging = folder.with_name(f"{prefix}{os.getpid()}.partial")
    for left in folder.parent.glob(f"{glob.escape(prefix)}*.partial"):
        if left == staging or not _alive(left.name.removeprefix(prefix).removesuffix(".partial")):
            shutil.rmtree(left, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
