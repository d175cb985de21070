"""What git knows: the state of the repository, and files of other revisions."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from stages.core.errors import InputError


def git(root: Path, *arguments: str) -> str | None:
    """Return what git prints; None if it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except OSError:
        return None
    try:
        return done.stdout.decode() if done.returncode == 0 else None
    except UnicodeDecodeError:
        raise InputError(f"{arguments[-1]}: not UTF-8 text; save it as UTF-8, or name another revision") from None


def tracked(path: Path) -> bool:
    """Say whether a file is one of a repository."""
    return path.is_file() and bool(git(path.resolve().parent, "ls-files", "--", path.resolve().name))


def show(root: Path, revision: str, path: Path) -> str:
    """
    Read a file of a revision.

    Parameters
    ----------
    revision : str
        Commit, branch, tag, or name of a DVC experiment.

    Raises
    ------
    InputError
        If there is no such revision, or no such file in it.
    """
    commit = git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None and not set(revision) & set("*?[\\"):  # the name of a DVC experiment is no revision of git
        commit = git(root, "for-each-ref", "--count=1", "--format=%(objectname)", f"refs/exps/*/*/{revision}")
    if not commit:
        raise InputError(f"{revision}: no such revision or experiment here; fetch it, or correct the name")
    content = git(root, "show", f"{commit.strip()}:./{path.as_posix()}")
    if content is None:
        raise InputError(f"{path} is not in revision {revision}; run `dvc repro` there and commit the results")
    return content


def mapping(root: Path, revision: str, path: Path) -> dict[str, Any]:
    """
    Read a YAML file of a revision.

    Raises
    ------
    InputError
        See `show`; or if it is not YAML of keys and values.
    """
    name = f"{revision}:{path.as_posix()}"
    try:
        found = yaml.safe_load(show(root, revision, path)) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not YAML ({' '.join(str(error).split())[:200]}); name another revision") from None
    if not isinstance(found, dict):
        raise InputError(f"{name}: found {type(found).__name__}, expected keys and values; name another revision")
    return found
