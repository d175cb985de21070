"""Muon: the momentum of a hidden layer's matrix, made orthogonal, is its update; AdamW does the rest.

Orthogonal by five Newton–Schulz steps: with X = G / |G|, X ← a X + (b A + c A²) X, A = X Xᵀ, an odd polynomial of the
singular values that takes them all near 1 and leaves the singular vectors. The update of an n × m matrix is scaled by
0.2 √max(n, m), so that its elements are as large as AdamW's and one learning rate and decay fit both.

Hidden are the matrices of numbered layers (`resblocks.0`, `layer1.0`): stem, embeddings, attention pool and projections
have no number. A convolution kernel is the matrix of its flattened filters; packed queries, keys and values are three.

`torch.optim.Muon` takes parameters of two dimensions only and computes in bfloat16; on such a parameter the two agree
but for rounding.

References
----------
Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024 [S]; Liu et al., arXiv 2502.16982, the
scale [S]; torch 2.14, `torch.optim._muon` [P].
"""

from typing import Any

import torch
from torch import Tensor, nn

from stages.train import models

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
PACKED = ("in_proj_weight", "qkv.weight")  # queries, keys and values in one parameter, of torch and of timm


def parameter_groups(model: nn.Module, weight_decay: float, rate: float) -> list[dict[str, Any]]:
    """
    Split the parameters: those of `models.parameter_groups`, then the hidden matrices.

    Parameters
    ----------
    rate : float
        Learning rate of the hidden matrices, in multiples of the others'.

    Returns
    -------
    list of dict
        For `Muon`. Groups of matrices say in `parts` how many matrices a parameter holds.
    """
    parts = {
        parameter: 3 if name.endswith(PACKED) else 1
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and any(word.isdigit() for word in name.split("."))
    }
    free, decaying = models.parameter_groups(model, weight_decay)
    hidden = [parameter for parameter in decaying["params"] if parameter in parts]
    decaying["params"] = [parameter for parameter in decaying["params"] if parameter not in parts]
    matrices = [
        {
            "params": [parameter for parameter in hidden if parts[parameter] == count],
            "weight_decay": weight_decay,
            "parts": count,
            "rate": rate,
        }
        for count in (1, 3)
    ]
    return [free, decaying, *matrices]


def orthogonal(matrices: Tensor) -> Tensor:
    """
    Replace the singular values of each matrix by values near 1.

    Parameters
    ----------
    matrices : Tensor, (k, n, m)
        In float32. Singular values below a hundredth of the matrix's norm are raised, though not all the way.

    Returns
    -------
    Tensor, (k, n, m)
        With singular values in about [0.7, 1.2].
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices  # the smaller of the two Gram matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.AdamW):
    """
    AdamW whose groups with `parts` follow Muon instead.

    Parameters
    ----------
    params : list of dict
        From `parameter_groups`.
    momentum : float
        Decay rate of the mean gradient (Nesterov's) of the matrices.
    """

    def __init__(
        self, params: list[dict[str, Any]], *, lr: float, betas: tuple[float, float], eps: float, momentum: float
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, fused=True)
        self._momentum = momentum
        self._step_supports_amp_scaling = False  # a loss scaler must undo its scale before a momentum is taken

    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step of both."""
        groups = self.param_groups
        try:
            self.param_groups = [group for group in groups if "parts" not in group]
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if "parts" in group:
                self._matrices(group)
        return loss

    @torch.no_grad()
    def _matrices(self, group: dict[str, Any]) -> None:
        rate = float(group["lr"])
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:  # AdamW asks every state that it loads for the number of steps
                state["step"], state["momentum"] = torch.zeros(()), torch.zeros_like(parameter)
            state["step"] += 1
            mean = state["momentum"].lerp_(parameter.grad, 1 - self._momentum)
            update = parameter.grad.lerp(mean, self._momentum).flatten(1).unflatten(0, (group["parts"], -1))
            scale = 0.2 * max(update.shape[-2:]) ** 0.5
            parameter.mul_(1 - rate * group["weight_decay"])
            parameter.add_(orthogonal(update).reshape(parameter.shape), alpha=-rate * scale)
