"""Perceived groups from pixels by a pretrained open_clip model and prompts: no training, and no labels.

Radford et al. (ICML 2021, arXiv 2103.00020) name a class by several prompts and take the mean of their embeddings.
Here several phrases stand for a group, and as many everyday motifs for "nobody is shown"; the probability of a group
is the sum over its phrases. Such a model has biases of its own, and names skin tones badly: read its agreement with the
captions, in annotation.json, before relying on it.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from stages.core.ahead import ahead, workers_beside
from stages.core.errors import missing
from stages.core.progress import progress
from stages.core.weights import UNREADABLE, reason, unlogged
from stages.corpus.words import GROUPS

TEMPLATES = ("{}", "a photo of {}", "a picture of {}", "an image of {}")
PHRASES = {
    ("gender", "woman"): ("a woman", "a girl", "a female person"),
    ("gender", "man"): ("a man", "a boy", "a male person"),
    ("skin_tone", "lighter"): ("a person with light skin", "a light-skinned person", "a pale person"),
    ("skin_tone", "darker"): ("a person with dark skin", "a dark-skinned person", "a black person"),
}
NOBODY = ("an animal", "an object", "food", "a landscape", "a building", "a text")


class Recogniser:
    """
    A pretrained model with the prompts of all groups.

    Parameters
    ----------
    model : str
        open_clip name, ``hf-hub:`` or ``local-dir:`` id.
    pretrained : str or None
        For a name: tag or file of its weights.
    device : torch.device, optional
        Where to; an accelerator where there is one.

    Raises
    ------
    InputError
        If the model cannot be loaded.
    """

    def __init__(self, model: str, pretrained: str | None, batch_size: int, device: torch.device | None = None) -> None:
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._batch_size = batch_size
        try:
            with unlogged():
                network, _, preprocess = open_clip.create_model_and_transforms(
                    model, pretrained=pretrained, require_pretrained=True
                )
                tokenize = open_clip.get_tokenizer(model)
        except UNREADABLE as error:
            raise missing(
                f"annotate.zero_shot.model: {model}: cannot be loaded ({reason(error)})",
                "name a model of open_clip and its pretrained weights, or a local-dir: folder or hub id with both",
            ) from None
        self._network = cast(Any, network).to(self._device).eval()
        self._preprocess = cast(Any, preprocess)
        self._prompts = {attribute: self._embed(attribute, tokenize) for attribute in GROUPS}

    @torch.inference_mode()
    def _embed(self, attribute: str, tokenize: Any) -> Tensor:
        """Embed the phrases of an attribute, (phrases, D): the mean over templates, normalised."""
        phrases = [phrase for group in GROUPS[attribute] for phrase in PHRASES[attribute, group]]
        texts = [template.format(phrase) for phrase in (*phrases, *NOBODY) for template in TEMPLATES]
        embedded = normalize(self._network.encode_text(tokenize(texts).to(self._device)), dim=-1)
        return normalize(embedded.reshape(-1, len(TEMPLATES), embedded.shape[-1]).mean(1), dim=-1)

    @torch.inference_mode()
    def probabilities(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """
        Predict the groups: one (N, groups + 1) per attribute, rows summing to 1, "nobody" last.

        Parameters
        ----------
        images : sequence of ndarray, uint8, (height, width, 3)
            N images, asked for batch by batch.
        """
        parts: list[list[NDArray[np.float32]]] = [[np.empty((0, len(g) + 1), np.float32)] for g in GROUPS.values()]
        scale = self._network.logit_scale.exp()

        def prepare(start: int) -> Tensor:
            some = range(start, min(start + self._batch_size, len(images)))
            return torch.stack([self._preprocess(Image.fromarray(images[row])) for row in some])

        starts = range(0, len(images), self._batch_size)
        pictures = ahead(prepare, starts, workers_beside(self._device.type))
        for pixels in progress(pictures, "recognise", len(starts), unit="part", leave=False):
            features = normalize(self._network.encode_image(pixels.to(self._device)), dim=-1)
            for part, (attribute, groups) in zip(parts, GROUPS.items(), strict=True):
                shares = (scale * features @ self._prompts[attribute].T).softmax(-1)
                sizes = [len(PHRASES[attribute, group]) for group in groups]
                pieces = shares.split([*sizes, len(NOBODY)], dim=-1)
                part.append(torch.stack([piece.sum(-1) for piece in pieces], -1).float().cpu().numpy())
        return [np.concatenate(part) for part in parts]
