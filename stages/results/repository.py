"""What git knows: the state of the repository, and files of other revisions."""

import subprocess
from pathlib import Path

from stages.core.errors import InputError


def git(root: Path, *arguments: str) -> str | None:
    """Return what git prints; None if it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


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
