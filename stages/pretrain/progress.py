"""A training with its progress bar."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from stages.pretrain.optimise import fit, place
from stages.pretrain.recipe import Recipe


def fitted(
    model: torch.nn.Module, loss: Callable[[int], torch.Tensor], recipe: Recipe, checkpoint: Path, name: str
) -> dict[str, torch.Tensor]:
    """Train; only the first of several processes comes back, to write the result."""
    rank, _ = place()
    with tqdm(total=recipe.steps, desc=name, unit="step", mininterval=5, disable=rank > 0) as bar:
        smooth = 0.0

        def report(step: int, value: float) -> None:
            nonlocal smooth
            smooth = value if not smooth else 0.99 * smooth + 0.01 * value
            bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
            bar.update(step - bar.n)

        weights = fit(model, loss, recipe, checkpoint, report)
    if rank > 0:
        sys.exit(0)
    return weights
