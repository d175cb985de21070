"""Git-ignored folder for work that must survive a kill: checkpoints, half-written shards, fetched packages.

DVC wipes the outputs of a killed stage, and runs `--temp` and `--queue` experiments in other folders; so the work
folder lies outside the outputs and, where ``COUNTERWEIGHT_WORK`` is set, at one absolute path for all of them.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

VARIABLE = "COUNTERWEIGHT_WORK"


def fingerprint(shape: Mapping[str, Any]) -> str:
    """
    Hash everything that shapes a piece of work.

    Parameters
    ----------
    shape : mapping
        JSON values; floats as written by ``repr``.

    Returns
    -------
    str
        16 hex digits.
    """
    text = json.dumps(shape, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def digest(files: Iterable[Path]) -> str:
    """
    Hash the content of files.

    Returns
    -------
    str
        16 hex digits.
    """
    state = hashlib.blake2b(digest_size=8)
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                state.update(chunk)
    return state.hexdigest()


def work_folder(purpose: str, shape: Mapping[str, Any] | None = None) -> Path:
    """
    Return the folder of one piece of work, made if missing.

    Parameters
    ----------
    purpose : str
        First level, e.g. ``"train"``.
    shape : mapping, optional
        Everything that shapes the work: another shape gets another folder, so stale work is never resumed.
    """
    root = Path(os.environ.get(VARIABLE) or ".work").resolve() / purpose
    folder = root / fingerprint(shape) if shape is not None else root
    folder.mkdir(parents=True, exist_ok=True)
    return folder
