"""Models: made, initialised, distributed and saved so that open_clip alone can use them.

The saved folder is an open_clip `local-dir:` with its own vocabulary::

    model, _, preprocess = open_clip.create_model_and_transforms("local-dir:data/emoji/models/0/clip")
    tokenizer = open_clip.get_tokenizer("local-dir:data/emoji/models/0/clip")

`model_config.json` beside it is the bare model configuration, which `open_clip.add_model_config` takes.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import open_clip
import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from stages.core.errors import InputError, missing
from stages.core.weights import UNREADABLE, reason
from stages.train import tokens

CONFIG, WEIGHTS = "model_config.json", "model.safetensors"
DIRECTORY_CONFIG = "open_clip_config.json"


@dataclass(frozen=True)
class Architecture:
    """
    What to build.

    Attributes
    ----------
    config : dict
        open_clip model configuration (`embed_dim`, `vision_cfg`, `text_cfg`, …).
    name : str or None
        The open_clip name or id behind it, where weights may come from; None: a configuration of the profile.
    vocabulary : Tokenizer or None
        A vocabulary of its own; None: the one that open_clip has for the name.
    """

    config: dict[str, Any]
    name: str | None
    vocabulary: Tokenizer | None = None

    @property
    def context(self) -> int:
        """Tokens a text."""
        found = self.config["text_cfg"].get("context_length", 77)
        if not isinstance(found, int) or found < 2:
            raise InputError(f"train.model: text_cfg.context_length: found {found!r}, expected a number of at least 2")
        return found

    def with_vocabulary(self, vocabulary: Tokenizer, folder: str) -> "Architecture":
        """
        Exchange the vocabulary.

        Parameters
        ----------
        vocabulary : Tokenizer
            Its size becomes the size of the token embedding.
        folder : str
            Where the model will be saved: the configuration names it as the tokenizer's place.
        """
        config = deepcopy(self.config)
        config["text_cfg"] |= {"vocab_size": vocabulary.get_vocab_size(), "hf_tokenizer_name": folder}
        config["text_cfg"].pop("tokenizer_kwargs", None)
        return Architecture(config, self.name, vocabulary)


def architecture(model: str | Mapping[str, Any], loss: Literal["clip", "siglip"]) -> Architecture:
    """
    Look up a model.

    Parameters
    ----------
    model : str or mapping
        open_clip name, `hf-hub:` or `local-dir:` id, or a configuration.
    loss : {'clip', 'siglip'}
        The sigmoid loss starts at temperature 1/10 and bias −10 (arXiv 2303.15343, section 3.2), and has a bias at all.

    Raises
    ------
    InputError
        If open_clip does not know the name.
    """
    if isinstance(model, str):
        try:
            config = open_clip.get_model_config(model)
        except (OSError, ValueError, RuntimeError) as error:
            raise missing(f"train.model: {model}: {reason(error)}", "name a folder or a model within reach") from None
        if config is None:
            raise InputError(
                f"train.model: open_clip has no model {model!r}; expected a name of open_clip.list_models() such as "
                "RN50, an id hf-hub:<owner>/<name>, local-dir:<folder>, or a configuration"
            )
    else:
        config = deepcopy(dict(model))
    if loss == "siglip":
        config |= {"init_logit_scale": math.log(10), "init_logit_bias": -10}
    return Architecture(config, model if isinstance(model, str) else None)


def create(shape: Architecture, pretrained: str | None, seed: int, scratch: Path) -> nn.Module:
    """
    Build a model with its initial weights.

    Parameters
    ----------
    pretrained : str or None
        Tag or file of weights for a name; an `hf-hub:` or `local-dir:` id brings its own.
    seed : int
        Of random weights; equal seeds give equal weights.
    scratch : Path
        Folder for the configuration that open_clip reads.

    Returns
    -------
    nn.Module
        open_clip model, float32, on the CPU, in train mode; `visual.preprocess_cfg` says how images are prepared.

    Raises
    ------
    InputError
        If the configuration or the weights do not fit.
    """
    own = shape.name is None or shape.vocabulary is not None
    if own:
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / DIRECTORY_CONFIG).write_text(json.dumps({"model_cfg": shape.config}))
    extra = {key: shape.config[key] for key in ("init_logit_scale", "init_logit_bias") if key in shape.config}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return open_clip.create_model(
                f"local-dir:{scratch}" if own else cast(str, shape.name),
                pretrained=pretrained,
                load_weights=not own,
                output_dict=True,
                **({} if own else extra),
            )
    except UNREADABLE as error:
        if own and isinstance(error, (TypeError, KeyError)):
            raise InputError(f"train.model: not a configuration open_clip understands: {error}") from None
        raise InputError(f"train.model {shape.name!r}, train.pretrained {pretrained!r}: {reason(error)}") from None


def tokenizer(shape: Architecture, scratch: Path) -> Any:
    """
    Load the tokenizer of a model.

    Parameters
    ----------
    scratch : Path
        Folder that gets an own vocabulary, next to the configuration that `create` wrote.

    Returns
    -------
    callable
        Of open_clip: list of str to Tensor, int64, (n, context).

    Raises
    ------
    InputError
        If it can be loaded neither from the package nor from the hub.
    """
    if shape.vocabulary is not None:
        tokens.save(shape.vocabulary, scratch, shape.context)
        return open_clip.get_tokenizer(f"local-dir:{scratch}")
    try:
        if shape.name is None:
            return open_clip.get_tokenizer(f"local-dir:{scratch}")
        return open_clip.get_tokenizer(shape.name)
    except (OSError, ValueError, RuntimeError) as error:
        raise missing(
            f"train.tokenizer: the vocabulary of {shape.name!r} cannot be loaded ({reason(error)})",
            "without a way to the hub use train.tokenizer: corpus",
        ) from None


def save(model: nn.Module, shape: Architecture, vocabulary: Any, folder: Path) -> None:
    """
    Write weights, configuration and vocabulary.

    Parameters
    ----------
    model : nn.Module
        The open_clip model itself, not a wrapper.
    vocabulary : callable
        From `tokenizer`.
    """
    save_file(portable(model.state_dict()), folder / WEIGHTS)
    preprocess = cast(Any, model.visual).preprocess_cfg
    (folder / CONFIG).write_text(json.dumps(shape.config, indent=2) + "\n")
    (folder / DIRECTORY_CONFIG).write_text(
        json.dumps({"model_cfg": shape.config, "preprocess_cfg": preprocess}, indent=2) + "\n"
    )
    if shape.vocabulary is not None:
        tokens.save(shape.vocabulary, folder, shape.context)
    elif hasattr(vocabulary, "save_pretrained"):
        vocabulary.save_pretrained(folder)  # a `local-dir:` must hold the tokenizer that its configuration names


def portable(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """
    Copy weights to the CPU in the plain memory layout, which is what safetensors takes.

    Returns
    -------
    dict of str to Tensor
        Contiguous, none sharing memory with another.
    """
    return {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """
    Split the parameters as open_clip's trainer does [P]: matrices decay; gains, biases, norms and temperature do not.

    Returns
    -------
    list of dict
        For a torch optimiser; frozen parameters are left out.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    spared = ("bn", "ln", "bias", "logit_scale")
    free = [parameter.ndim < 2 or any(word in name for word in spared) for name, parameter in trained]
    return [
        {"params": [p for (_, p), skip in zip(trained, free, strict=True) if skip], "weight_decay": 0.0},
        {"params": [p for (_, p), skip in zip(trained, free, strict=True) if not skip], "weight_decay": weight_decay},
    ]


class GlobalBatchNorm(nn.BatchNorm2d):
    """
    Batch normalisation over the images of all processes, on any device.

    torch's `SyncBatchNorm` runs on accelerators only. Equal to one process that has all images; the gradient flows
    through the sums of the other processes.
    """

    def forward(self, input: Tensor) -> Tensor:
        """
        Normalise.

        Parameters
        ----------
        input : Tensor, (n, channels, height, width)
            This process's part; all parts have one size.

        Returns
        -------
        Tensor, (n, channels, height, width)
            Normalised by the moments of all parts, or in eval mode by the running ones.
        """
        if not self.training:
            return super().forward(input)
        x = input.float()
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = differentiable.all_reduce(x.sum(dim=(0, 2, 3))) / count
        centred = x - mean.view(1, -1, 1, 1)
        variance = differentiable.all_reduce(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            rate = self.momentum or 0.0
            cast(Tensor, self.running_mean).lerp_(mean, rate)
            cast(Tensor, self.running_var).lerp_(variance * count / (count - 1), rate)
            cast(Tensor, self.num_batches_tracked).add_(1)
        gain = (self.weight * (variance + self.eps).rsqrt()).view(1, -1, 1, 1)
        return (centred * gain + self.bias.view(1, -1, 1, 1)).to(input.dtype)


def synchronise_batchnorm(model: nn.Module) -> None:
    """
    Let every batch normalisation see the images of all processes.

    Parameters
    ----------
    model : nn.Module
        Changed in place; weights, buffers and their names stay.
    """
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """
    Keep the running moments of batch normalisation unchanged: a forward pass that will be repeated counts once.

    Parameters
    ----------
    model : nn.Module
        In train mode; normalises by the batch as before.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    held = [(module.running_mean, module.running_var, module.num_batches_tracked) for module in norms]
    copies = [tuple(cast(Tensor, tensor).clone() for tensor in tensors) for tensors in held]
    try:
        yield
    finally:
        for tensors, values in zip(held, copies, strict=True):
            for tensor, value in zip(tensors, values, strict=True):
                cast(Tensor, tensor).copy_(value)


def unit(features: Tensor) -> Tensor:
    """
    Divide rows by their norm.

    Parameters
    ----------
    features : Tensor, (n, d)
        Rows.

    Returns
    -------
    Tensor, (n, d)
        Unit rows.
    """
    return functional.normalize(features, dim=-1)
