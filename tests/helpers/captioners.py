"""Captioners of a few thousand weights, and batches for them."""

import torch
from torch import Tensor

from stages.caption.captioner import Captioner, Ends, Standardise
from stages.caption.clipcap import ClipCap, small_gpt2
from stages.caption.transformer import TransformerCaptioner

ENDS = Ends(pad=0, start=2, end=3, never=(0, 1, 2))
WORDS, WIDTH, PLACES, MAX_TOKENS = 12, 8, 4, 6
KINDS = ("mlp", "mapper", "frozen", "transformer")


def make_captioner(kind: str, seed: int = 0) -> Captioner:
    scale = Standardise(torch.linspace(-1, 1, WIDTH), torch.linspace(0.5, 2, WIDTH))
    torch.manual_seed(seed)
    if kind == "transformer":
        captioner: Captioner = TransformerCaptioner(
            scale, ENDS, vocabulary=WORDS, places=PLACES, max_tokens=MAX_TOKENS, width=16, layers=1, heads=2,
            feedforward=16, dropout=0.1,
        )  # fmt: skip
    else:
        captioner = ClipCap(
            small_gpt2(WORDS, 3 + MAX_TOKENS, width=16, layers=1, heads=2, dropout=0.1), scale, ENDS, prefix=3,
            mapper="transformer" if kind == "mapper" else "mlp", mapper_layers=1, tune=kind != "frozen",
        )  # fmt: skip
    return captioner.eval()


def make_batch(kind: str, count: int = 5, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, PLACES, WIDTH) if kind == "transformer" else (count, WIDTH)
    tokens = torch.randint(4, WORDS, (count, MAX_TOKENS), generator=generator)
    for row, length in enumerate(torch.randint(1, MAX_TOKENS, (count,), generator=generator).tolist()):
        tokens[row, length] = ENDS.end
        tokens[row, length + 1 :] = ENDS.pad
    return torch.randn(shape, generator=generator), tokens
