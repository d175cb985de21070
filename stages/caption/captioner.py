"""What every captioner is: a module that learns captions from CLIP's features and says them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Ends:
    """
    Token ids with a meaning of their own.

    Attributes
    ----------
    pad, start, end : int
        Filler; what an encoder-decoder starts from; what ends a caption.
    stops : tuple of int
        Tokens that end a caption and belong to it, e.g. a full stop.
    never : tuple of int
        Tokens that no caption may hold.
    """

    pad: int
    start: int
    end: int
    stops: tuple[int, ...] = ()
    never: tuple[int, ...] = ()


class Captioner(nn.Module, ABC):
    """
    Image features in, caption tokens out.

    Shapes: B images, P places of the image, D its width; T tokens a caption, the last one `Ends.end`, then `Ends.pad`.

    Attributes
    ----------
    reads : {'pooled', 'spatial'}
        Which features: (B, D), CLIP's image embedding, or (B, P, D), the last map before it is pooled.
    """

    reads: Literal["pooled", "spatial"]

    @abstractmethod
    def loss(self, images: Tensor, tokens: Tensor) -> Tensor:
        """
        Return the mean cross-entropy of the captions' tokens, end included, padding not: nats per token.

        Parameters
        ----------
        images : Tensor
            Features as `reads` says.
        tokens : Tensor, (B, T), int64
            Captions.
        """

    @abstractmethod
    def generate(self, images: Tensor, beams: int, max_tokens: int) -> Tensor:
        """
        Caption images, greedily (one beam) or by beam search, with cached keys and values: int64, padded.

        Parameters
        ----------
        images : Tensor
            Features as `reads` says.
        max_tokens : int
            Tokens at most; one at least is said before the end.
        """


class Standardise(nn.Module):
    """
    Bring features to mean 0 and variance 1 of the training images, so that the first steps already tell images apart.

    Parameters
    ----------
    mean, std : Tensor, (D,)
        Over the training images; an affine map that the next linear layer could learn by itself.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float().clamp_min(1e-6))

    def forward(self, features: Tensor) -> Tensor:
        """Standardise, in float32."""
        return (features.float() - self.mean) / self.std


def decoding_arguments(ends: Ends, beams: int, max_tokens: int) -> dict:
    """Say how transformers' `generate` decodes here."""
    closing = [ends.end, *ends.stops]
    return {
        "max_new_tokens": max_tokens,
        "do_sample": False,
        "num_beams": beams,
        "use_cache": True,
        "eos_token_id": closing,
        "pad_token_id": ends.pad,
        "suppress_tokens": [*ends.never] or None,
        "begin_suppress_tokens": closing,
    }


def token_loss(states: Tensor, head: nn.Module, tokens: Tensor, end: int) -> Tensor:
    """
    Average the cross-entropy over the tokens of captions, up to the end token: nats per token.

    Parameters
    ----------
    states : Tensor, (B, T, W)
        The language model's, before token t is seen.
    head : nn.Module
        States to logits; called for the tokens that count, only.
    end : int
        The end token; it counts, what follows is padding (for GPT-2 the same token) and does not.
    """
    ended = (tokens == end).cumsum(dim=1)
    counts = (ended == 0) | ((ended == 1) & (tokens == end))
    return nn.functional.cross_entropy(head(states[counts]).float(), tokens[counts])


def count_parameters(module: nn.Module) -> int:
    """Count trained parameters."""
    return sum(torch.numel(parameter) for parameter in module.parameters() if parameter.requires_grad)
