"""Features of images and texts from any open_clip model: once, in eval mode, batched, on any device and process.

A model is a folder that `train` wrote (an open_clip `local-dir:`: `open_clip_config.json`, `model.safetensors`, and
`tokenizer.json` where it has a vocabulary of its own) or any open_clip name with a pretrained tag or checkpoint file.
Features are returned as the model gives
them; metrics normalise them row by row (`features.unit`), and the published code did not.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from stages.core.ahead import ahead, workers_beside
from stages.core.weights import UNREADABLE, reason, unlogged

CONFIG, WEIGHTS, TOKENIZER = "open_clip_config.json", "model.safetensors", "tokenizer.json"
REMOTE = ("hf-hub:", "local-dir:")  # how open_clip is told of a model that brings its weights


@dataclass(frozen=True)
class Encoder:
    """
    A CLIP model with what it needs.

    Attributes
    ----------
    model : nn.Module
        open_clip model in eval mode, float32.
    preprocess : callable
        PIL image → tensor (3, H, W).
    tokenize : callable
        List of texts → tensor of token ids (T, context).
    fingerprint : str
        Hash of weights, configuration and vocabulary.
    """

    model: nn.Module
    preprocess: Callable[[Image.Image], torch.Tensor]
    tokenize: Callable[[list[str]], torch.Tensor]
    device: torch.device
    fingerprint: str

    @property
    def logit_scale(self) -> float:
        """Factor on the cosine before the softmax."""
        return float(cast(torch.Tensor, self.model.logit_scale).exp().item())


def load_encoder(model: str, pretrained: str | None = None, device: str | torch.device = "cpu") -> Encoder:
    """
    Load a model for evaluation.

    Parameters
    ----------
    model : str
        Folder of a trained model, or an open_clip name (``"RN50"``, ``"hf-hub:…"``, ``"local-dir:…"``).
    pretrained : str, optional
        For a name: tag or checkpoint file; without it the weights are random, the same each time.

    Raises
    ------
    ValueError
        One line: what cannot be loaded, and what is expected; the caller knows the name.
    """
    folder = Path(model)
    if folder.is_dir():
        if pretrained is not None:
            raise ValueError(f"a folder has its own weights; leave out the pretrained value {pretrained!r}")
        return _load_folder(folder, torch.device(device))
    check_name(model)
    try:
        with torch.random.fork_rng(devices=[]), unlogged():
            torch.manual_seed(0)
            net, _, preprocess = open_clip.create_model_and_transforms(
                model, pretrained=pretrained, device=device, require_pretrained=model.startswith(REMOTE)
            )
            tokenizer = open_clip.get_tokenizer(model)
    except UNREADABLE as error:
        if pretrained is not None:
            raise ValueError(
                f"weights {pretrained!r} cannot be loaded: {reason(error)}; name a tag, or a file of weights"
            ) from None
        raise ValueError(
            f"cannot be loaded: {reason(error)}; check the name and the network; it has to hold weights"
        ) from None
    return _encoder(net, preprocess, tokenizer, torch.device(device), model)


def check_name(model: str) -> None:
    """
    Refuse what is neither a folder nor a name that open_clip knows.

    Raises
    ------
    ValueError
        One line; the caller knows the name.
    """
    known = model.startswith(REMOTE) or model.replace("/", "-") in open_clip.list_models()
    if not model or not (known or Path(model).is_dir()):
        raise ValueError(
            "neither the folder of a trained model nor a model that open_clip knows (`open_clip.list_models()`, "
            "hf-hub:owner/name, local-dir:folder)"
        )


def _load_folder(folder: Path, device: torch.device) -> Encoder:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"no {name}; expected the folder of a trained model ({CONFIG}, {WEIGHTS})")
    try:
        with unlogged():
            net, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
            tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    except UNREADABLE as error:
        raise ValueError(f"{WEIGHTS} and {CONFIG} cannot be loaded: {reason(error)}") from None
    described = [path.read_text() for path in (folder / CONFIG, folder / TOKENIZER) if path.is_file()]
    return _encoder(net, preprocess, tokenizer, device, "\0".join(described))


def _encoder(net: nn.Module, preprocess: Any, tokenizer: Any, device: torch.device, description: str) -> Encoder:
    digest = hashlib.blake2b(description.encode(), digest_size=16)
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return Encoder(net.eval(), preprocess, tokenizer, device, digest.hexdigest())


@torch.inference_mode()
def image_features(
    encoder: Encoder,
    images: Sequence[NDArray[np.uint8]],
    batch_size: int = 64,
    as_published: bool = False,
    progress: Callable[[Iterable[torch.Tensor]], Iterable[torch.Tensor]] = iter,
) -> NDArray[np.float32]:
    """
    Encode images: (N, D), not normalised.

    Parameters
    ----------
    images : sequence of ndarray, (height, width, 3), uint8
        Asked for batch by batch: one that reads them then, such as `Pictures`, holds no more than that.
    batch_size : int
        Images a batch; the features do not depend on it.
    as_published : bool
        Whether batch normalisation uses the statistics of each image, what a model left in train mode does at batch 1,
        under autocast to float16 (defects e and f of `published.py`).
    progress : callable
        Wraps the iteration over batches.
    """
    encode = cast(Callable[[torch.Tensor], torch.Tensor], encoder.model.encode_image)

    def prepare(start: int) -> torch.Tensor:
        some = range(start, min(start + batch_size, len(images)))
        return torch.stack([encoder.preprocess(Image.fromarray(images[row])) for row in some])

    starts = range(0, len(images), batch_size)
    parts = []
    with per_image_statistics(encoder.model, as_published), half_precision(encoder.device, as_published):
        for pixels in progress(ahead(prepare, starts, workers_beside(encoder.device.type))):
            parts.append(encode(pixels.to(encoder.device)).float().cpu().numpy())  # noqa: PERF401
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


@torch.inference_mode()
def text_features(
    encoder: Encoder, texts: Sequence[str], batch_size: int = 256, as_published: bool = False
) -> NDArray[np.float32]:
    """
    Encode texts, equal ones once: (T, D), not normalised.

    Parameters
    ----------
    as_published : bool
        Whether under autocast to float16 (defect f of `published.py`).
    """
    encode = cast(Callable[[torch.Tensor], torch.Tensor], encoder.model.encode_text)
    distinct, inverse = np.unique(np.asarray(texts, object).astype(str), return_inverse=True)
    with half_precision(encoder.device, as_published):
        parts = [
            encode(encoder.tokenize(batch).to(encoder.device)).float().cpu().numpy()
            for batch in _batches(distinct.tolist(), batch_size)
        ]
    return np.concatenate(parts)[inverse]


def half_precision(device: torch.device, active: bool) -> torch.autocast:
    """Return the context in which matrix products and convolutions are computed in float16."""
    return torch.autocast(device.type, torch.float16, enabled=active)


@contextmanager
def per_image_statistics(model: nn.Module, active: bool = True) -> Iterator[None]:
    """
    Let every batch normalisation use each image's own mean and variance, whatever the batch size.

    A `BatchNorm2d` in train mode that sees one image normalises each channel by that image's statistics, which is
    instance normalisation with the same weights; so the published features of a whole batch cost one forward pass.
    Running statistics stay as they are, and are back in use when the context ends.

    Yields
    ------
    None
        Within, the forward pass is the published one.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)] if active else []

    def forward_of(layer: nn.BatchNorm2d) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: F.instance_norm(x, weight=layer.weight, bias=layer.bias, use_input_stats=True, eps=layer.eps)

    for layer in layers:
        layer.forward = forward_of(layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
