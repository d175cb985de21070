"""ClipCap: CLIP's image embedding becomes a prefix of pseudo-words, and a language model continues it.

References
----------
Mokady, Hertz, Bermano: ClipCap, CLIP Prefix for Image Captioning, 2021 [P]. Here features are
standardised first, and a caption ends with an end token (published: at the full stop, which ends it here, too).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel
from typing_extensions import override

from stages.caption.captioner import Captioner, Ends, Standardise, decoding_arguments, token_loss
from stages.core.errors import missing
from stages.core.weights import UNREADABLE, reason

MAPPER_HEADS = 8
MAPPER_FEEDFORWARD = 2  # times the width


class TransformerMapper(nn.Module):
    """
    Read the embedding and learned queries by self-attention; the queries' states are the prefix.

    Parameters
    ----------
    features, width : int
        D of the embedding; W of the language model.
    """

    def __init__(self, features: int, width: int, prefix: int, layers: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.embed = nn.Linear(features, prefix * width)
        self.queries = nn.Parameter(torch.randn(prefix, width))
        block = nn.TransformerEncoderLayer(
            width, MAPPER_HEADS, MAPPER_FEEDFORWARD * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map embeddings (B, D) to pseudo-words (B, L, W)."""
        words = self.embed(images).unflatten(1, (self.prefix, -1))
        queries = self.queries.expand(len(images), -1, -1)
        return self.blocks(torch.cat([words, queries], dim=1))[:, self.prefix :]


def mlp_mapper(features: int, width: int, prefix: int) -> nn.Sequential:
    """
    Build the mapper (B, D) to (B, L, W) of a tuned language model: a hidden layer of half the prefix, tanh.

    Parameters
    ----------
    features, width, prefix : int
        D of the embedding; W of the language model; L pseudo-words.
    """
    hidden = width * prefix // 2
    return nn.Sequential(
        nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, width * prefix), nn.Unflatten(1, (prefix, width))
    )


def small_gpt2(vocabulary: int, positions: int, width: int, layers: int, heads: int, dropout: float) -> GPT2LMHeadModel:
    """
    Build a GPT-2 of any size, from scratch.

    Parameters
    ----------
    vocabulary, positions : int
        Tokens known; tokens a text at most, prefix included.
    """
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=positions,
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def pretrained_gpt2(folder: str, revision: str | None) -> GPT2LMHeadModel:
    """
    Load a GPT-2.

    Parameters
    ----------
    folder, revision : str
        Folder or hub id, and the commit on the hub.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        return GPT2LMHeadModel.from_pretrained(folder, revision=revision or "main")
    except UNREADABLE as error:
        raise missing(
            f"caption.clipcap.language_model: {folder}: no GPT-2 there ({reason(error)})",
            "name a folder, or a hub id that this machine can reach",
        ) from None


class ClipCap(Captioner):
    """
    A mapper and a language model.

    Parameters
    ----------
    language_model : GPT2LMHeadModel
        Tuned with the mapper, or frozen.
    mapper : {'mlp', 'transformer'}
        Published: mlp with a tuned language model and prefix 10; transformer with a frozen one and prefix 40.
    prefix, mapper_layers : int
        L pseudo-words; blocks of the transformer mapper.
    tune : bool
        Whether the language model is trained, too.
    """

    reads = "pooled"

    def __init__(
        self,
        language_model: GPT2LMHeadModel,
        scale: Standardise,
        ends: Ends,
        *,
        mapper: Literal["mlp", "transformer"] = "mlp",
        prefix: int = 10,
        mapper_layers: int = 8,
        tune: bool = True,
    ) -> None:
        super().__init__()
        width, features = language_model.config.n_embd, len(scale.mean)
        self.ends = ends
        self.tune = tune
        self.scale = scale
        self.mapper = (
            mlp_mapper(features, width, prefix)
            if mapper == "mlp"
            else TransformerMapper(features, width, prefix, mapper_layers)
        )
        self.language_model = language_model.requires_grad_(tune)

    def train(self, mode: bool = True) -> "ClipCap":
        """Switch dropout; a frozen language model never drops."""
        super().train(mode)
        self.language_model.train(mode and self.tune)
        return self

    @override
    def loss(self, images: Tensor, tokens: Tensor) -> Tensor:
        prefix = self.mapper(self.scale(images))
        words = self.language_model.transformer.wte(tokens[:, :-1])
        hidden = self.language_model.transformer(inputs_embeds=torch.cat([prefix, words], dim=1)).last_hidden_state
        # causal, and padded on the right: no token ever looks at padding, so no mask is needed
        return token_loss(hidden[:, prefix.shape[1] - 1 :], self.language_model.lm_head, tokens, self.ends.end)

    @override
    @torch.no_grad()
    def generate(self, images: Tensor, beams: int, max_tokens: int) -> Tensor:
        prefix = self.mapper(self.scale(images))
        seen = torch.ones(prefix.shape[:2], dtype=torch.long, device=prefix.device)
        arguments = decoding_arguments(self.ends, beams, max_tokens)
        return self.language_model.generate(  # pyright: ignore[reportAttributeAccessIssue]
            inputs_embeds=prefix, attention_mask=seen, **arguments
        )
