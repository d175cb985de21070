"""How alike image and caption are under a pretrained model: what `balance.filter.quantile` filters by.

It is scored here, of real and synthetic images, so that the filter comes before balancing: filtered afterwards, what is
trained on would no longer be balanced. A model that scores has biases of its own; `balance/filter.csv` says whom it
takes out.

References
----------
Alabdulmohsin et al., ICLR 2024, arXiv 2403.04547: a quality filter on image-text similarity offsets the cost of
balancing [P, abstract]; which model and threshold the paper used is not known here [?].
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, cast

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import normalize

from stages.annotate.settings import Similarity
from stages.core.errors import missing
from stages.core.weights import UNREADABLE, reason, unlogged


class Judge:
    """
    A pretrained model that compares images and captions.

    Raises
    ------
    InputError
        If the model cannot be loaded.
    """

    def __init__(self, settings: Similarity) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._batch_size = settings.batch_size
        try:
            with unlogged():
                network, _, preprocess = open_clip.create_model_and_transforms(
                    settings.model, pretrained=settings.pretrained, require_pretrained=True
                )
                self._tokenize = cast(Any, open_clip.get_tokenizer(settings.model))
        except UNREADABLE as error:
            raise missing(
                f"annotate.similarity.model: {settings.model}: cannot be loaded ({reason(error)})",
                "name a model of open_clip and its pretrained weights, or a local-dir: folder or hub id with both",
            ) from None
        self._network = cast(Any, network).to(self._device).eval()
        self._preprocess = cast(Any, preprocess)

    @torch.inference_mode()
    def similarity(self, images: Iterable[NDArray[np.uint8]], captions: Sequence[str]) -> NDArray[np.float32]:
        """
        Return the cosine of each image with its caption.

        Parameters
        ----------
        images : iterable of ndarray, uint8, (height, width, 3)
            N images; one batch is held at a time.
        """
        parts, waiting = [np.empty(0, np.float32)], zip(images, captions, strict=True)
        while pairs := list(islice(waiting, self._batch_size)):
            pixels = torch.stack([self._preprocess(Image.fromarray(image)) for image, _ in pairs]).to(self._device)
            tokens = self._tokenize([caption for _, caption in pairs]).to(self._device)
            pictures = normalize(self._network.encode_image(pixels).float(), dim=-1)
            texts = normalize(self._network.encode_text(tokens).float(), dim=-1)
            parts.append((pictures * texts).sum(dim=-1).cpu().numpy())
        return np.concatenate(parts)
