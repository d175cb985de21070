"""Checkpoints: complete or absent, the last k kept.

A checkpoint is a folder `step-<n>`: weights in safetensors, the trainer's state (optimiser, loss scaler, points of the
curves) beside them. It is written under another name, flushed to the disk and renamed, so that a kill at any moment
leaves either the checkpoint or none of it.
"""

import os
import pickle
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stages.core.errors import InputError

WEIGHTS, TRAINER, PREFIX = "model.safetensors", "trainer.pt", "step-"
DAMAGED = (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError, SafetensorError)


def save(folder: Path, step: int, weights: Mapping[str, Tensor], trainer: Mapping[str, Any], keep: int) -> Path:
    """
    Write a checkpoint, then drop the oldest ones.

    Parameters
    ----------
    trainer : mapping
        Tensors, numbers, strings, lists and dictionaries.

    Raises
    ------
    InputError
        If the disk is full; nothing half-written stays.
    """
    target, partial = folder / f"{PREFIX}{step:09d}", folder / f".partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        save_file(dict(weights), partial / WEIGHTS)
        torch.save(dict(trainer), partial / TRAINER)
        for path in (partial / WEIGHTS, partial / TRAINER, partial):
            _flush(path)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        _flush(folder)
    except Exception as error:  # safetensors and torch.save wrap the OSError of a full disk in errors of their own
        shutil.rmtree(partial, ignore_errors=True)
        free = shutil.disk_usage(folder).free / 1e6
        raise InputError(
            f"{folder}: the checkpoint at step {step} cannot be written ({error}; {free:.0f} MB free); make room or "
            "set COUNTERWEIGHT_WORK to another disk, and run again: it goes on from the last checkpoint"
        ) from None
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def load(folder: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """
    Read the last checkpoint that can be read; a damaged one is named and left out.

    Returns
    -------
    tuple of (int, dict, dict) or None
        Steps finished, weights, trainer's state; None where there is none.
    """
    for last in reversed(_all(folder)):
        try:
            trainer = torch.load(last / TRAINER, map_location="cpu", weights_only=True)
            return int(last.name.removeprefix(PREFIX)), load_file(last / WEIGHTS), trainer
        except DAMAGED:
            print(f"{last}: not a readable checkpoint; going on from the one before", file=sys.stderr)
    return None


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{PREFIX}*") if path.is_dir())


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
