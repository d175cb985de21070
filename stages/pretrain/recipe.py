"""How a model is optimised: the numbers of one run of `stages.pretrain.optimise`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """
    Hyper-parameters of one run.

    Parameters
    ----------
    decay : float
        Last share of the steps, with a rate falling linearly to zero.
    ema : float
        Decay of the moving average at full length; shorter early on, (1 + t) / (10 + t).
    """

    steps: int
    learning_rate: float
    warmup: int
    decay: float
    ema: float
    weight_decay: float = 0.01
    clip: float = 1.0

    def rate(self, step: int) -> float:
        """Give the learning rate of a step."""
        rising = min(1.0, (step + 1) / self.warmup)
        falling = min(1.0, (self.steps - step) / max(1.0, self.steps * self.decay))
        return self.learning_rate * rising * falling
