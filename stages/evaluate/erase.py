"""Counterweights after training: affine maps of features that take an attribute out of them.

All are fitted on training rows and prompts, never on evaluation images, and change no weight of the model:

- ``projection``: label prompts are made orthogonal to the direction between the prompts of the two groups.
- ``calibrated``: label prompts by P₀ (I + λ/|S| Σ (z_i − z_j)(z_i − z_j)ᵀ)⁻¹, P₀ the projection off the group prompts,
  S the pairs of prompts that name a label and one group or the other (Chuang et al. 2023, arXiv 2302.00070 [S]).
- ``prune``: the dimensions that tell most about the group are dropped from images and texts: largest mutual information
  over training images (CLIP-clip, Wang et al. 2021 [S]).
- ``leace``: the smallest change of images after which no linear classifier of the group beats chance on the training
  rows (Belrose et al. 2023 [S], library `concept-erasure`).

Shapes: N training images, P prompts, D dimensions.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_selection import mutual_info_classif

from stages.evaluate.features import mean_direction, unit

with warnings.catch_warnings():  # it compiles functions by torch.jit when imported, which torch deprecates
    warnings.simplefilter("ignore", FutureWarning)
    from concept_erasure import LeaceEraser

Array = NDArray[np.float64]
CALIBRATION = 1000.0  # λ of the published code [S]
PRUNED = 0.2  # share of the dimensions that is dropped; published: 100 of 512 [S]


@dataclass(frozen=True)
class Affine:
    """x ↦ matrix x + shift: (D, D) and (D,)."""

    matrix: Array
    shift: Array

    def __call__(self, features: NDArray[np.floating]) -> Array:
        """Map rows of features (N, D)."""
        return np.asarray(features, float) @ self.matrix.T + self.shift


@dataclass(frozen=True)
class Eraser:
    """Maps of images, of all texts, and of label prompts on top of that; none where a kind stays as it is."""

    images: Affine | None = None
    texts: Affine | None = None
    labels: Affine | None = None

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Name the arrays for a safetensors file: ``images.matrix``, ``images.shift``, …"""
        parts = {"images": self.images, "texts": self.texts, "labels": self.labels}
        return {
            f"{name}.{field}": np.ascontiguousarray(getattr(part, field), np.float32)
            for name, part in parts.items()
            if part is not None
            for field in ("matrix", "shift")
        }


@dataclass(frozen=True)
class Evidence:
    """
    What erasers are fitted on.

    Attributes
    ----------
    images : ndarray, (N, D)
        Unit features of training images that show a group.
    first : ndarray of bool, (N,)
        Whether it is the first group.
    ones, zeros : ndarray, (P, D)
        Unit features of the prompts of the first and of the second group, pair by pair.
    label_ones, label_zeros : ndarray, (Q, D)
        The same for prompts that name a label and the group.
    """

    images: Array
    first: NDArray[np.bool_]
    ones: Array
    zeros: Array
    label_ones: Array
    label_zeros: Array


def _projection(evidence: Evidence, seed: int) -> Eraser:
    direction = unit((mean_direction(evidence.ones) - mean_direction(evidence.zeros))[None], "direction")
    return Eraser(labels=_linear(np.eye(direction.shape[1]) - direction.T @ direction))


def _calibrated(evidence: Evidence, seed: int) -> Eraser:
    spurious = np.vstack([evidence.ones, evidence.zeros])
    width = spurious.shape[1]
    off = np.eye(width) - np.linalg.pinv(spurious) @ spurious
    apart = evidence.label_ones - evidence.label_zeros
    return Eraser(labels=_linear(off @ np.linalg.inv(np.eye(width) + CALIBRATION * apart.T @ apart / len(apart))))


def _prune(evidence: Evidence, seed: int) -> Eraser:
    told = mutual_info_classif(evidence.images, evidence.first, random_state=seed)
    kept = np.ones(len(told))
    kept[np.argsort(-told, kind="stable")[: round(PRUNED * len(told))]] = 0.0
    return Eraser(images=_linear(np.diag(kept)), texts=_linear(np.diag(kept)))


def _leace(evidence: Evidence, seed: int) -> Eraser:
    x = torch.from_numpy(np.asarray(evidence.images, float))
    found = LeaceEraser.fit(x, torch.from_numpy(evidence.first.astype(float)), shrinkage=False)
    matrix = np.eye(x.shape[1]) - (found.proj_left @ found.proj_right).numpy()
    center = np.zeros(x.shape[1]) if found.bias is None else found.bias.numpy()
    return Eraser(images=Affine(matrix, center - matrix @ center))


def _linear(matrix: Array) -> Affine:
    return Affine(matrix, np.zeros(len(matrix)))


ERASERS: dict[str, Callable[[Evidence, int], Eraser]] = {
    "projection": _projection,
    "calibrated": _calibrated,
    "prune": _prune,
    "leace": _leace,
}


def fit(name: str, evidence: Evidence, seed: int = 0) -> Eraser:
    """Fit an eraser by its name in `ERASERS`."""
    return ERASERS[name](evidence, seed)
