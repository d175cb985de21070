"""Captions to images with diffusers' `StableDiffusionPipeline`, batched, each image a function of its own seed.

Where the time goes: a guided step runs the denoiser twice, on the caption and on the negative prompt, so an image costs
steps × (1 + guided share) forwards. Hence few steps of a second-order solver, guidance for a first share of the steps
where that is enough, both passes in one batch, and every distinct caption encoded once.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UniPCMultistepScheduler,
)
from diffusers.utils import logging
from torch import Tensor
from transformers.utils import logging as text_logging

from stages.core.errors import InputError, missing
from stages.core.memory import used_up
from stages.core.weights import UNREADABLE, reason

SCHEDULERS = {
    "dpmsolver++": DPMSolverMultistepScheduler,
    "ddim": DDIMScheduler,
    "pndm": PNDMScheduler,
    "euler": EulerDiscreteScheduler,
    "unipc": UniPCMultistepScheduler,
}
DECODED = 8  # images decoded at once on an accelerator: more gain nothing, and need memory that the denoiser could use


@dataclass(frozen=True)
class Sampling:
    """
    How images are drawn; see `stages.generate.settings.Generate` for the meaning and units.

    Parameters
    ----------
    guidance : float
        Classifier-free guidance scale; no guidance at 1 or less.
    guidance_stop : float
        Share of the steps that are guided, from the first on.
    negative_prompt : str
        What the guided steps steer away from.
    resolution : int
        Side of the images, pixels.
    """

    steps: int
    guidance: float
    guidance_stop: float
    negative_prompt: str
    resolution: int


def load_pipeline(
    model: str,
    revision: str | None,
    scheduler: str,
    safety_checker: bool,
    dtype: torch.dtype,
    device: torch.device,
    compiled: bool = False,
) -> StableDiffusionPipeline:
    """
    Load a pipeline from a folder or the hub: safetensors only, no code from the model's repository.

    Parameters
    ----------
    revision : str or None
        Hub revision; must be None for a folder.
    safety_checker : bool
        Whether the model's own safety checker blanks images.
    compiled : bool
        Whether denoiser and decoder are compiled when they are first called.

    Raises
    ------
    InputError
        If the model is missing, is not in this format, holds pickled weights only, or lacks a wanted safety checker.
    """
    folder = Path(model)
    if folder.is_dir() and revision:
        raise InputError(
            f"generate.revision: found {revision!r} for the folder {model}; a revision is for hub ids only"
        )
    if not folder.is_dir() and (folder.is_absolute() or model.startswith((".", "data/"))):
        raise missing(f"generate.model: {model}: no such folder", "name a folder or a hub id")
    logging.disable_progress_bar()  # of loading, which takes seconds
    text_logging.disable_progress_bar()
    optional: dict[str, Any] = {} if safety_checker else {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            model, revision=revision, dtype=dtype, use_safetensors=True, **optional
        )
    except UNREADABLE as error:
        detail = reason(error)
        raise missing(
            f"generate.model: {model}: cannot be loaded ({detail})",
            "expected a StableDiffusionPipeline in safetensors, as a folder or as a hub id that this machine can reach",
        ) from None
    if safety_checker and pipeline.safety_checker is None:
        raise InputError(f"generate.safety_checker: true, but {model} has none; set it to false")
    solver: Any = SCHEDULERS[scheduler]
    pipeline.scheduler = solver.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return quicken(pipeline.to(device), compiled)


def quicken(pipeline: StableDiffusionPipeline, compiled: bool) -> StableDiffusionPipeline:
    """
    Prepare a pipeline for speed, in place; its images change by rounding alone.

    Parameters
    ----------
    compiled : bool
        Whether the denoiser is compiled when it is first called, which takes a minute or two for each size of batch.
    """
    if pipeline.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    elif "ATEN_CPU_CAPABILITY" in os.environ:
        torch.backends.cuda.enable_flash_sdp(False)  # its bfloat16 fails where this hides a processor's matrix units
    if compiled:
        from torch._dynamo import config as dynamo  # seconds to import, and of use on accelerators alone
        from torch._inductor import config as inductor

        dynamo.suppress_errors = True  # a machine that lacks what compiling needs draws without
        inductor.conv_1x1_as_mm = True
        # the layout of the matrix units: alone it gains nothing, since group normalisation changes it back
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.unet.compile(dynamic=False)
    return pipeline


def as_pixels(decoded: Tensor) -> Tensor:
    """Turn what an autoencoder decodes, in [-1, 1], into uint8."""
    return (decoded * 0.5 + 0.5).clamp(0, 1).float().mul(255).round().to(torch.uint8)


class Sampler:
    """
    Draws images for captions.

    Parameters
    ----------
    fixed : int
        Images of every batch: a smaller one is filled up, since a compiled denoiser is compiled for one size; 0: any.
    """

    def __init__(self, pipeline: StableDiffusionPipeline, settings: Sampling, fixed: int = 0) -> None:
        self.pipeline = pipeline
        self.settings = settings
        self._embeddings: dict[str, torch.Tensor] = {}
        self._fixed = fixed > 0
        self._largest = fixed or sys.maxsize  # images that may fit in a batch
        logging.set_verbosity_error()  # over-long captions are counted by `overlong`, not logged one by one

    def overlong(self, captions: Sequence[str]) -> list[int]:
        """Find captions that the text encoder cuts."""
        tokenizer = self.pipeline.tokenizer
        lengths = [len(ids) for ids in tokenizer(list(captions)).input_ids]
        return [i for i, length in enumerate(lengths) if length > tokenizer.model_max_length]

    def images(self, captions: Sequence[str], seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """
        Draw one image per caption; halve the batch where memory runs out, and keep to that size from then on.

        Parameters
        ----------
        captions : sequence of str
            N prompts; an empty one draws an unconditional image, one too long for the text encoder is cut.
        seeds : sequence of int
            N seeds of the initial noise: an image depends on its caption and seed, not on its batch.

        Returns
        -------
        tuple of (np.ndarray, np.ndarray)
            uint8, (N, resolution, resolution, 3), and bool, (N,): blanked by the safety checker.

        Raises
        ------
        InputError
            If memory does not suffice for one image, or an image is not finite in float32 either.
        """
        images, flagged, finite = self._fitting(captions, seeds)
        bad = np.flatnonzero(~finite)
        if len(bad):  # overflowed in half precision, and would be written as black
            dtype = self.pipeline.dtype
            self._cast(torch.float32)
            _restore(self.pipeline)
            try:
                some = bad.tolist()
                images[bad], flagged[bad], finite[bad] = self._fitting(
                    [captions[i] for i in some], [seeds[i] for i in some]
                )
            finally:
                self._cast(dtype)
            left = bad[~finite[bad]].tolist()
            if left:
                raise InputError(
                    f"generate.model: the image of {captions[left[0]]!r} is not finite in float32 either "
                    f"({len(left)} such images); the model diverges: lower guidance, or take another scheduler"
                )
            warnings.warn(f"{len(bad)} images were not finite in {dtype}; drawn again in float32", stacklevel=2)
        return images, flagged

    def _fitting(self, captions: Sequence[str], seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw in batches that fit into memory; images, which the checker flags, and which are finite."""
        parts = []
        start = 0
        while start < len(captions):
            left = len(captions) - start
            size = self._largest if self._fixed else min(left, self._largest)
            rows = [min(row, len(captions) - 1) for row in range(start, start + size)]
            try:
                drawn = self._draw([captions[row] for row in rows], [seeds[row] for row in rows])
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not used_up(error):
                    raise
                if size == 1:
                    raise InputError(
                        "generate.batch_size: not enough memory for a single image; use a smaller model or resolution"
                    ) from None
                self._largest = size // 2
                warnings.warn(f"out of memory at {size} images a batch; going on with {self._largest}", stacklevel=2)
            else:
                parts.append([of[:left] for of in drawn])
                start += size
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # here, where no traceback holds the tensors any more
        images, flagged, finite = (np.concatenate([part[i] for part in parts]) for i in range(3))
        return images, flagged, finite

    def _cast(self, dtype: torch.dtype) -> None:
        self.pipeline.to(dtype=dtype)
        self._embeddings = {}

    @torch.inference_mode()
    def _draw(self, captions: Sequence[str], seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        settings, device = self.settings, self.pipeline.device
        guided = settings.guidance > 1 and settings.guidance_stop > 0
        self._encode([*captions, *([settings.negative_prompt] if guided else [])])
        prompt = torch.stack([self._embeddings[caption] for caption in captions])
        negative = None
        if guided:
            negative = self._embeddings[settings.negative_prompt].expand(len(captions), -1, -1)

        def drop_guidance(pipeline: Any, step: int, _time: int, tensors: dict[str, torch.Tensor]) -> dict:
            steps = len(pipeline.scheduler.timesteps)  # PNDM takes one more than it is asked for
            if guided and step + 1 == round(steps * settings.guidance_stop):  # no negative half in the steps left
                pipeline._guidance_scale = 0.0
                tensors["prompt_embeds"] = tensors["prompt_embeds"].chunk(2)[1]
            return tensors

        callback: Any = drop_guidance
        result: Any = self.pipeline(
            prompt_embeds=prompt,
            negative_prompt_embeds=negative,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance if guided else 0.0,
            height=settings.resolution,
            width=settings.resolution,
            latents=self.noise(seeds),
            output_type="latent",
            callback_on_step_end=callback,
            callback_on_step_end_tensor_inputs=["prompt_embeds"],
        )
        latents = result.images
        parts = [self._decode(part) for part in latents.split(len(latents) if device.type == "cpu" else DECODED)]
        images, flagged, finite = (torch.cat([part[i] for part in parts]).cpu().numpy() for i in range(3))
        return images, flagged, finite

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """Draw the initial noise in float32, whatever the precision: in another one torch may draw other numbers."""
        pipeline: Any = self.pipeline
        side = self.settings.resolution // pipeline.vae_scale_factor
        shape = (1, pipeline.unet.config.in_channels, side, side)
        drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.cat(drawn).to(pipeline.device, pipeline.unet.dtype)

    def _decode(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decode as the pipeline does, to uint8 (n, height, width, 3) on the device; black what the checker flags."""
        pipeline: Any = self.pipeline
        decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
        finite = torch.isfinite(decoded).all(dim=(1, 2, 3))
        decoded, found = pipeline.run_safety_checker(decoded, decoded.device, decoded.dtype)
        flagged = torch.tensor(found or [False] * len(latents), device=decoded.device)
        pixels = as_pixels(decoded)
        return pixels.masked_fill(flagged[:, None, None, None], 0).permute(0, 2, 3, 1), flagged, finite

    def _encode(self, captions: Sequence[str]) -> None:
        """Encode each distinct caption once; the cache holds the captions of the last few batches."""
        wanted = dict.fromkeys(captions)
        new = [caption for caption in wanted if caption not in self._embeddings]
        if len(self._embeddings) + len(new) > 8192:
            self._embeddings = {caption: self._embeddings[caption] for caption in wanted if caption in self._embeddings}
        if new:
            states, _ = self.pipeline.encode_prompt(new, self.pipeline._execution_device, 1, False)
            self._embeddings.update(zip(new, states, strict=True))


def _restore(pipeline: StableDiffusionPipeline) -> None:
    """Read the weights of a pipeline in float32 again: a cast alone leaves them rounded to half precision."""
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module) and (source := cast(Any, part).config._name_or_path):
            exact = cast(Any, type(part)).from_pretrained(source, torch_dtype=torch.float32, use_safetensors=True)
            part.load_state_dict(exact.state_dict())
