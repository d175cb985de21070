"""How large the check is: the papers' sizes on an accelerator, or tiny ones that a CPU takes a minute for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Training:
    """
    A model whose training is timed.

    Attributes
    ----------
    model : str or mapping
        open_clip name or configuration.
    batch : int
        Pairs per step.
    """

    name: str
    model: str | Mapping[str, Any]
    loss: Literal["clip", "siglip"]
    batch: int


@dataclass(frozen=True)
class Sizes:
    """
    The sizes of one kind of check.

    Attributes
    ----------
    same_steps : int
        Training steps that are compared between devices.
    diffusion : str or None
        Folder of the text-to-image model that is timed; None: Stable Diffusion v1.5's architecture, random weights.
    resolution : int
        Of its images, pixels.
    compiled : bool
        Whether denoiser and decoder are compiled.
    batches : tuple of int
        Images per batch whose speed and memory are measured.
    library : tuple of int
        Images per batch of the library's own calls.
    pndm, dpmsolver : int
        Solver steps.
    warm, timed : int
        Training steps before the clock starts, and while it runs.
    jpeg : tuple of int
        Width and height of the stored photographs, pixels.
    shards, rows : int
        Tars, and samples in each.
    faces : int
        Images of the evaluation set; FairFace's validation part has 10,954.
    clip : str or mapping
        The model that is evaluated.
    bert : mapping
        Changes of BERT-base's configuration.
    reader_epochs : int
        Passes of LIC's reader, of the published 5.
    """

    same_steps: int
    diffusion: str | None
    resolution: int
    compiled: bool
    batches: tuple[int, ...]
    library: tuple[int, ...]
    pndm: int
    dpmsolver: int
    models: tuple[Training, ...]
    warm: int
    timed: int
    jpeg: tuple[int, int]
    shards: int
    rows: int
    workers: int
    faces: int
    clip: str | Mapping[str, Any]
    bert: Mapping[str, int]
    reader_epochs: int


TINY_CLIP: Mapping[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}

SIZES = {
    "full": Sizes(
        same_steps=10,
        diffusion=None,
        resolution=512,
        compiled=True,
        batches=(1, 32),
        library=(32,),
        pndm=50,
        dpmsolver=20,
        models=(Training("RN50", "RN50", "clip", 512), Training("ViT-B-16-SigLIP", "ViT-B-16-SigLIP", "siglip", 512)),
        warm=4,
        timed=8,
        jpeg=(512, 384),
        shards=16,
        rows=1024,
        workers=16,
        faces=10_954,
        clip="RN50",
        bert={},
        reader_epochs=1,
    ),
    "tiny": Sizes(
        same_steps=4,
        diffusion="data/pretrained/emoji-sd",
        resolution=64,
        compiled=False,
        batches=(1, 2),
        library=(2,),
        pndm=4,
        dpmsolver=2,
        models=(
            Training("tiny ResNet", TINY_CLIP, "clip", 8),
            Training("tiny ResNet, sigmoid", TINY_CLIP, "siglip", 8),
        ),
        warm=2,
        timed=2,
        jpeg=(64, 48),
        shards=2,
        rows=24,
        workers=2,
        faces=120,
        clip=TINY_CLIP,
        bert={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64},
        reader_epochs=1,
    ),
}
