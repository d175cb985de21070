"""Where the user's own files lie: paths that may name environment variables."""

import os
import re
from pathlib import Path

from stages.core.errors import InputError, missing

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")  # of Hugging Face's folders of images


def find_table(place: str, key: str) -> Path:
    """
    Find a table: a file, a folder with one of `METADATA`, or a folder of parquet files, which are one table.

    Raises
    ------
    InputError
        If nothing is there, or no table in the folder.
    """
    path = find(place, key)
    if not path.is_dir():
        return path
    if known := next((path / name for name in METADATA if (path / name).is_file()), None):
        return known
    if any(path.glob("*.parquet")):
        return path
    raise InputError(f"{key}: {path}: a folder without {', '.join(METADATA)} or .parquet files; name a file in it")


def find(place: str, key: str, file: bool = False) -> Path:
    """
    Find a file or folder of the user's.

    Parameters
    ----------
    place : str
        Path; ``$NAME`` and ``${NAME}`` stand for environment variables, relative paths start at the project's folder.

    file : bool
        Whether a folder will not do.

    Raises
    ------
    InputError
        If a variable is not set, or nothing is there.
    """
    path = Path(os.path.expandvars(os.path.expanduser(place)))  # noqa: PTH111 — pathlib expands no variables
    if unset := re.search(r"\$\{?(\w+)", str(path)):
        raise missing(
            f"{key}: {place}: the environment variable {unset[1]} is not set", "set it to the folder of these files"
        )
    try:
        there = path.exists()
    except (OSError, ValueError):  # a name that no file has
        there = False
    if not there:
        raise missing(f"{key}: {path}: no such file or folder", "obtain it, or correct the path in the profile")
    if file and path.is_dir():
        raise InputError(f"{key}: {path}: found a folder, expected a file; name the file in it")
    if not path.is_dir() and not path.is_file():  # a pipe can be read only once
        raise InputError(f"{key}: {path}: found a pipe or a device, expected a file; write it into one")
    return path
