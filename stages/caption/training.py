"""The training of one captioner, step by step: it can stop after any step and go on to the same weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.caption.captioner import Captioner


@dataclass(frozen=True)
class Optimisation:
    """
    AdamW with a linear warm-up and a linear decay to 0.

    Attributes
    ----------
    steps, warmup : int
        In all; until the full learning rate.
    seed : int
        Of dropout: each step has its own stream, so that a resumed step drops the same units.
    bfloat16 : bool
        Whether the forward pass runs in bfloat16 where that is safe (autocast).
    """

    steps: int
    warmup: int
    learning_rate: float
    weight_decay: float
    seed: int
    bfloat16: bool = False

    def rate(self, step: int) -> float:
        """Return the learning rate, above 0, of a step, from 0."""
        warmup = min(self.warmup, self.steps // 2)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (self.steps - step) / max(self.steps - warmup, 1)


class Trainer:
    """A captioner in training."""

    def __init__(self, captioner: Captioner, optimisation: Optimisation) -> None:
        self.captioner = captioner
        self.optimisation = optimisation
        self.done = 0
        self._parameters = [parameter for parameter in captioner.parameters() if parameter.requires_grad]
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=optimisation.learning_rate, weight_decay=optimisation.weight_decay, fused=True
        )

    def step(self, images: Tensor, tokens: Tensor) -> float:
        """Take one step."""
        device = self._parameters[0].device
        for group in self._optimiser.param_groups:
            group["lr"] = self.optimisation.rate(self.done)
        self.captioner.train()
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # dropout has no generator argument
            torch.manual_seed(self.optimisation.seed * 1_000_003 + self.done)
            with torch.autocast(device.type, torch.bfloat16, enabled=self.optimisation.bfloat16):
                loss = self.captioner.loss(images, tokens)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.done += 1
        return loss.item()

    def state_dict(self) -> dict:
        """Return what a resume needs: steps, weights, moments of the optimiser."""
        return {
            "done": self.done,
            "captioner": self.captioner.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state."""
        self.captioner.load_state_dict(state["captioner"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.done = int(state["done"])
