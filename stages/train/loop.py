"""The training loop: one optimisation step, and the run of all of them.

The contrastive loss compares all pairs of a batch, whatever number of processes and pieces it is cut into. With pieces
(`accumulate`), features of all pieces are computed without a graph first; the loss gives their gradients; each piece is
then run again and its features' gradients are sent back (gradient caching: Gao et al., 2021, arXiv 2101.06983 [S]). For
models without batch normalisation this is the gradient of the whole batch.

References
----------
open_clip 3.3.0, `open_clip.ClipLoss`, `SigLipLoss`; `open_clip_train.train` (temperature clamp at 100) [P].
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from open_clip.loss import ClipLoss, SigLipLoss
from torch import Tensor, nn

from stages.core.errors import InputError
from stages.core.seeds import derive
from stages.train import augment, schedule
from stages.train.data import Batch
from stages.train.models import frozen_statistics
from stages.train.penalty import Penalty

FEATURES = ("image_features", "text_features")
SCALARS = ("logit_scale", "logit_bias")


@dataclass
class Clock:
    """
    Where the time goes.

    Attributes
    ----------
    seconds : dict of str to float
        By part: data, forward, backward, optimiser, probe, checkpoint. On an accelerator, whose work is asynchronous,
        only their sum means anything.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """
        Time a block.

        Yields
        ------
        None
            Within, the time counts for this part.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - start


def contrastive_loss(loss: Literal["clip", "siglip"], accelerator: Accelerator) -> nn.Module:
    """
    Make the loss over the batch of all processes.

    Returns
    -------
    nn.Module
        Each process' value is its share: the mean over processes is the loss of the whole batch.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    if loss == "siglip":
        return SigLipLoss(rank=rank, world_size=world)
    return ClipLoss(local_loss=True, gather_with_grad=True, cache_labels=True, rank=rank, world_size=world)


@dataclass
class Trainer:
    """
    Takes optimisation steps.

    Attributes
    ----------
    model : nn.Module
        As `accelerator.prepare` returns it.
    loss : nn.Module
        From `contrastive_loss`.
    accumulate : int
        Pieces a batch is cut into.
    penalty : Penalty, optional
        Added to the loss.
    loss_sum, loss_count : Tensor, int
        Since the last point of the curves.
    """

    accelerator: Accelerator
    model: nn.Module
    optimizer: Any
    loss: nn.Module
    seed: int
    accumulate: int
    clip_norm: float | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    penalty: Penalty | None = None
    clock: Clock = field(default_factory=Clock)
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))
    loss_count: int = 0

    @property
    def bare(self) -> nn.Module:
        """The open_clip model without wrappers."""
        return self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=True)

    def step(self, step: int, batch: Batch, rate: float) -> Tensor:
        """
        Take one step.

        Parameters
        ----------
        step : int
            From 0.

        Returns
        -------
        Tensor, ()
            This process's share of the loss before the step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("rate", 1.0)  # of Muon's matrices, in multiples
        self._seed_dropout(step, 0)
        device = self.accelerator.device
        with self.clock("data"):
            images = augment.normalise(batch.images.to(device, non_blocking=True), self.mean, self.std)
            images = images.contiguous(memory_format=torch.channels_last)
            tokens = batch.tokens.to(device, non_blocking=True)
            if self.penalty is not None:  # its labels follow the captions through the text tower
                tokens = torch.cat([tokens, self.penalty.labels.to(device, non_blocking=True)])
        with self.clock("optimiser"):
            self.optimizer.zero_grad()
        if self.accumulate == 1:
            loss = self._whole(images, tokens, batch.rows)
        else:
            loss = self._pieces(step, images, tokens, batch.rows)
        with self.clock("optimiser"):
            if self.clip_norm is not None:
                self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
            with torch.no_grad():
                cast(Tensor, self.bare.logit_scale).clamp_(0, math.log(100))
        return loss

    def _loss(self, out: Mapping[str, Tensor], rows: NDArray[np.int64]) -> Tensor:
        if self.penalty is None:
            return self.loss(**out)
        images, (captions, labels) = out["image_features"], out["text_features"].tensor_split([len(rows)])
        association = self.penalty(images, labels, out["logit_scale"], rows)
        return self.loss(**{**out, "text_features": captions}) + association

    def _whole(self, images: Tensor, tokens: Tensor, rows: NDArray[np.int64]) -> Tensor:
        with self.clock("forward"):
            loss = self._loss(self.model(images, tokens), rows)
        with self.clock("backward"):
            self.accelerator.backward(loss)
        return loss.detach()

    def _seed_dropout(self, step: int, piece: int) -> None:
        # dropout takes its randomness from the global generator: a pure function of step, process and piece
        torch.manual_seed(derive(self.seed, f"{step}:{self.accelerator.process_index}:{piece}", "dropout"))

    def _pieces(self, step: int, images: Tensor, tokens: Tensor, rows: NDArray[np.int64]) -> Tensor:
        cuts = [len(rows) // self.accumulate * i for i in range(1, self.accumulate)]  # labels go with the last piece
        parts = list(zip(images.tensor_split(cuts), tokens.tensor_split(cuts), strict=True))
        with self.clock("forward"), torch.no_grad(), frozen_statistics(self.bare):
            outputs = []
            for i, part in enumerate(parts):
                self._seed_dropout(step, i)
                outputs.append(self.model(*part))
        leaves = {name: torch.cat([out[name] for out in outputs]).requires_grad_() for name in FEATURES}
        leaves |= {name: outputs[0][name].clone().requires_grad_() for name in SCALARS if name in outputs[0]}
        with self.clock("backward"):
            loss = self._loss(leaves, rows)
            names = list(leaves)
            gradients = dict(zip(names, torch.autograd.grad(loss, [leaves[name] for name in names]), strict=True))
        sent_back = [gradients[name].tensor_split(cuts) for name in FEATURES]
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                self._seed_dropout(step, i)
                with self.clock("forward"):
                    out = self.model(*part)
                    sent = sum((out[name] * sent_back[k][i]).sum() for k, name in enumerate(FEATURES))
                    # temperature and bias belong to no piece: their whole gradient goes with the last one
                    sent = sent + sum(out[name] * gradients[name] * float(last) for name in SCALARS if name in out)
                with self.clock("backward"):
                    self.accelerator.backward(sent)
        return loss.detach()


def train(
    trainer: Trainer,
    batches: Iterable[Batch],
    *,
    first: int,
    steps: int,
    peak: float,
    warmup: int,
    log: frozenset[int],
    keep: frozenset[int],
    on_log: Callable[[int, float], None],
    on_keep: Callable[[int], None],
    on_step: Callable[[Batch], None],
) -> None:
    """
    Take all steps.

    Parameters
    ----------
    trainer : Trainer
        Model and optimiser, changed in place.
    batches : iterable of Batch
        Of the steps `first` to `steps` − 1.
    first, steps : int
        Steps done before, and in all.
    log, keep : frozenset of int
        Numbers of finished steps after which `on_log` and `on_keep` are called.
    on_log : callable
        Gets the finished steps and the loss: the mean over processes of the mean since the last call.
    on_step : callable
        Gets each batch after its step.

    Raises
    ------
    InputError
        If the loss is not finite.
    """
    reduce = trainer.accelerator.reduce
    iterator = iter(batches)
    trainer.model.train()
    for step in range(first, steps):
        with trainer.clock("data"):
            batch = next(iterator)
        loss = trainer.step(step, batch, schedule.learning_rate(step, steps, peak, warmup))
        trainer.loss_sum, trainer.loss_count = trainer.loss_sum.to(loss.device) + loss, trainer.loss_count + 1
        on_step(batch)
        done = step + 1
        # asking an accelerator for a number waits for it: not at every step
        ask = loss.device.type == "cpu" or done % 50 == 0 or done in log | keep
        if ask and not bool(torch.isfinite(trainer.loss_sum)):
            raise InputError(
                f"train: the loss is {loss.item():g} by step {done} of {steps}: training has diverged; lower "
                "train.learning_rate, raise train.warmup, or set train.clip_norm; the last checkpoint stays"
            )
        if done in log:
            on_log(done, float(cast(Tensor, reduce(trainer.loss_sum, "mean"))) / trainer.loss_count)
            trainer.loss_sum, trainer.loss_count = torch.zeros_like(loss), 0
        if done in keep:
            trainer.loss_sum = cast(Tensor, reduce(trainer.loss_sum, "mean"))
            on_keep(done)
