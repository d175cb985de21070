"""One resumable training loop: AdamW, warm-up, constant rate, linear decay, a moving average of the weights.

Every random number of step t is derived from (seed, t), so a killed run that goes on from its checkpoint computes what
an uninterrupted one computes. Before the decay begins the rate does not depend on the number of steps: a run may be
lengthened.

Under `torchrun` or `accelerate launch` each process takes its share of every batch and the gradients are averaged, so
their number counts as part of the seed: one and two processes train on the same images in the same order, with other
noise.
"""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from stages.core.atomic import written
from stages.pretrain.recipe import Recipe

DEVICE = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")


def fit(
    model: nn.Module,
    loss: Callable[[int], torch.Tensor],
    recipe: Recipe,
    checkpoint: Path,
    report: Callable[[int, float], None],
    save_every: float = 120.0,
) -> dict[str, torch.Tensor]:
    """
    Train to the end, from the checkpoint where there is one.

    Parameters
    ----------
    model : Module
        Those of its parameters that require a gradient are trained, averaged and returned.
    loss : callable
        Step number to scalar loss, of this process's share of the batch.
    checkpoint : Path
        File of the trainer's state, replaced atomically by the first process.
    report : callable
        Called after every step with the step's number and its loss.

    Raises
    ------
    FloatingPointError
        If the loss is not finite.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    live = [*trained.values()]
    optimiser = torch.optim.AdamW(
        live,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        betas=(0.9, 0.99),
        fused=DEVICE.type == "cuda",
    )
    average = [parameter.detach().clone() for parameter in live]
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=DEVICE)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average, step = state["average"], state["step"]

    def save() -> None:
        with written(checkpoint) as file:
            torch.save(
                {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "average": average, "step": step},
                file,
            )

    model.train()
    rank, processes = place()
    saved = time.monotonic()
    while step < recipe.steps:
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(step)
        found = loss(step)
        value = found.item()  # once per step: the program waits for the GPU here
        if not math.isfinite(value):
            raise FloatingPointError(f"step {step}: the loss is {value}")
        optimiser.zero_grad(set_to_none=True)
        found.backward()
        if processes > 1:
            _average([parameter.grad for parameter in live if parameter.grad is not None], processes)
        nn.utils.clip_grad_norm_(live, recipe.clip)
        optimiser.step()
        step += 1
        decay = min(recipe.ema, (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [parameter.detach() for parameter in live], 1 - decay)
        report(step, value)
        if rank == 0 and (time.monotonic() - saved > save_every or step == recipe.steps):
            save()
            saved = time.monotonic()
    return dict(zip(trained, average, strict=True))


def place() -> tuple[int, int]:
    """
    Say which process this is, of how many.

    Returns
    -------
    tuple of (int, int)
        Number from 0, and count; (0, 1) without a launcher.
    """
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def _average(tensors: list[torch.Tensor], processes: int) -> None:
    """Replace tensors by their means over the processes, in one message."""
    flat = parameters_to_vector(tensors)
    distributed.all_reduce(flat)
    vector_to_parameters(flat.div_(processes), tensors)


def generator(seed: int, step: int) -> torch.Generator:
    """Make this process's random generator of one step."""
    rank, processes = place()
    return _generator(seed, step * processes + rank)


def _generator(seed: int, step: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def batch(count: int, size: int, seed: int, step: int) -> torch.Tensor:
    """
    Choose this process's rows of one step: epoch by epoch, each a seeded permutation.

    Parameters
    ----------
    size : int
        Rows a step over all processes, at most `count`.

    Returns
    -------
    Tensor
        int64, (size / processes,).
    """
    rank, processes = place()
    an_epoch = count // size
    epoch, number = divmod(step, an_epoch)
    order = torch.randperm(count, generator=_generator(seed, -1 - epoch))
    return order[number * size : (number + 1) * size][rank::processes]
