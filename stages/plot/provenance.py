"""Where a report comes from: commit, parameters, versions, hashes of what the stages wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.results.repository import git

PACKAGES = (
    "torch", "open_clip_torch", "diffusers", "transformers", "accelerate", "numpy", "scipy", "pandas", "pyarrow",
    "duckdb", "scikit-learn", "webdataset", "resvg-py", "pillow", "matplotlib", "dvc", "dvclive",
)  # fmt: skip
WRITTEN = ("**/dvc.lock", "data/*/results/**")  # by every run, so no sign of a change that shapes it


@dataclass(frozen=True)
class Commit:
    """
    State of the repository.

    Attributes
    ----------
    name : str
        Short hash of HEAD; empty without a repository or a commit.
    changed : tuple of str
        Tracked files that differ from it, but for what a run itself writes.
    """

    name: str
    changed: tuple[str, ...]


def commit(root: Path) -> Commit:
    """
    Read the state of the repository.

    Returns
    -------
    Commit
        Empty where there is no repository.
    """
    name = git(root, "rev-parse", "--short=12", "HEAD")
    if name is None:
        return Commit("", ())
    rest = [".", *(f":(exclude,glob){path}" for path in WRITTEN)]
    changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", *rest) or ""
    return Commit(name.strip(), tuple(sorted(line[3:] for line in changed.splitlines())))


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Look up installed versions."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def outputs(lock: Mapping[str, Any], leave_out: str) -> list[dict[str, Any]]:
    """
    List what the stages wrote.

    Parameters
    ----------
    lock : mapping
        Content of dvc.lock; empty where there is none.
    leave_out : str
        Stage that is running now, and others of its name with a matrix.

    Returns
    -------
    list of dict
        stage, path, md5 (with ``.dir`` for a folder), size (bytes), in the order of the file.
    """
    rows = []
    for stage, entry in (lock.get("stages") or {}).items():
        if stage.split("@")[0] == leave_out:
            continue
        rows += [
            {"stage": stage, "path": out["path"], "md5": out.get("md5", ""), "size": out.get("size", 0)}
            for out in entry.get("outs", [])
        ]
    return rows
