"""Captions to images with diffusers' `StableDiffusionPipeline`, batched, each image a function of its own seed.

Where the time goes: a guided step runs the denoiser twice, on the caption and on the negative prompt, so an image costs
steps × (1 + guided share) forwards. Hence few steps of a second-order solver, guidance for a first share of the steps
where that is enough, both passes in one batch, and every distinct caption encoded once.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

from stages.core.errors import InputError, missing
from stages.core.weights import UNREADABLE, reason

SCHEDULERS = {
    "dpmsolver++": DPMSolverMultistepScheduler,
    "ddim": DDIMScheduler,
    "pndm": PNDMScheduler,
    "euler": EulerDiscreteScheduler,
    "unipc": UniPCMultistepScheduler,
}


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
    model: str, revision: str | None, scheduler: str, safety_checker: bool, dtype: torch.dtype, device: torch.device
) -> StableDiffusionPipeline:
    """
    Load a pipeline from a folder or the hub: safetensors only, no code from the model's repository.

    Parameters
    ----------
    revision : str or None
        Hub revision; must be None for a folder.
    scheduler : str
        Key of `SCHEDULERS`.
    safety_checker : bool
        Whether the model's own safety checker blanks images.

    Returns
    -------
    StableDiffusionPipeline
        Ready, with its progress bar off.

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
    optional: dict[str, Any] = {} if safety_checker else {"safety_checker": None, "requires_safety_checker": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            pipeline = StableDiffusionPipeline.from_pretrained(
                model, revision=revision, torch_dtype=dtype, use_safetensors=True, **optional
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
    return pipeline.to(device)


class Sampler:
    """
    Draws images for captions.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline
        From `load_pipeline`.
    """

    def __init__(self, pipeline: StableDiffusionPipeline, settings: Sampling) -> None:
        self.pipeline = pipeline
        self.settings = settings
        self._embeddings: dict[str, torch.Tensor] = {}
        logging.set_verbosity_error()  # over-long captions are counted by `overlong`, not logged one by one

    def overlong(self, captions: Sequence[str]) -> list[int]:
        """Find captions that the text encoder cuts."""
        tokenizer = self.pipeline.tokenizer
        lengths = [len(ids) for ids in tokenizer(list(captions)).input_ids]
        return [i for i, length in enumerate(lengths) if length > tokenizer.model_max_length]

    def images(self, captions: Sequence[str], seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """
        Draw one image a caption; halve the batch as often as memory runs out.

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
        try:
            return self._finite(captions, seeds)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if len(captions) == 1:
                raise InputError(
                    "generate.batch_size: not enough memory for a single image; use a smaller model or resolution"
                ) from None
        half = len(captions) // 2
        warnings.warn(f"out of memory at {len(captions)} images a batch; going on with {half}", stacklevel=2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        first, second = self.images(captions[:half], seeds[:half]), self.images(captions[half:], seeds[half:])
        return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])

    def _finite(self, captions: Sequence[str], seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw; images that overflow in half precision, which would be written as black, are drawn again in float32."""
        images, flagged = self._draw(captions, seeds)
        bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        if len(bad):
            dtype = self.pipeline.dtype
            self._cast(torch.float32)
            try:
                again = self._draw([captions[i] for i in bad.tolist()], [seeds[i] for i in bad.tolist()])
            finally:
                self._cast(dtype)
            images[bad], flagged[bad] = again
            left = bad[~np.isfinite(images[bad]).all(axis=(1, 2, 3))].tolist()
            if len(left):
                raise InputError(
                    f"generate.model: the image of {captions[left[0]]!r} is not finite in float32 either "
                    f"({len(left)} such images); the model diverges: lower guidance, or take another scheduler"
                )
            warnings.warn(f"{len(bad)} images were not finite in {dtype}; drawn again in float32", stacklevel=3)
        return np.round(images * 255).astype(np.uint8), flagged

    def _cast(self, dtype: torch.dtype) -> None:
        self.pipeline.to(dtype=dtype)
        self._embeddings = {}

    @torch.inference_mode()
    def _draw(self, captions: Sequence[str], seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        settings = self.settings
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
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="np",
            callback_on_step_end=callback,
            callback_on_step_end_tensor_inputs=["prompt_embeds"],
        )
        flagged = result.nsfw_content_detected or [False] * len(captions)
        return result.images, np.asarray(flagged, dtype=bool)

    def _encode(self, captions: Sequence[str]) -> None:
        """Encode each distinct caption once; the cache holds the captions of the last few batches."""
        wanted = dict.fromkeys(captions)
        new = [caption for caption in wanted if caption not in self._embeddings]
        if len(self._embeddings) + len(new) > 8192:
            self._embeddings = {caption: self._embeddings[caption] for caption in wanted if caption in self._embeddings}
        if new:
            states, _ = self.pipeline.encode_prompt(new, self.pipeline._execution_device, 1, False)
            self._embeddings.update(zip(new, states, strict=True))


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
