"""Who or what a picture shows: one image encoder with four heads, trained on real images alone.

It judges the text-to-image model, and is no part of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from open_clip.modified_resnet import ModifiedResNet
from torch import nn
from torch.nn.functional import cross_entropy, pad

UNKNOWN = -1
SHIFT = 4  # random shift of a training batch, pixels
HEADS = ("occupation", "gender", "skin_tone", "label")  # columns of the corpus; label: the object's name


@dataclass(frozen=True)
class Classes:
    """Names of the classes of each head."""

    names: dict[str, tuple[str, ...]]

    def targets(self, samples: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
        """
        Give the class of each row for each head.

        Parameters
        ----------
        samples : DataFrame
            With columns kind, occupation, gender, skin_tone and label.

        Returns
        -------
        dict of str to ndarray
            int64, (N,); `UNKNOWN` where the picture does not show it, or the class is not among the names.
        """
        shown = visible(samples)
        return {
            head: pd.Categorical(shown[head], categories=list(self.names[head])).codes.astype(np.int64)
            for head in HEADS
        }


def visible(samples: pd.DataFrame) -> pd.DataFrame:
    """
    Say what the pictures show, a column a head; empty where they show none.

    Parameters
    ----------
    samples : DataFrame
        As `Classes.targets` takes it.

    Returns
    -------
    DataFrame
        Columns occupation (not of portraits, which do not show it), gender, skin_tone and label (of objects).
    """
    return pd.DataFrame(
        {
            "occupation": samples["occupation"].where(samples["kind"] == "person", ""),
            "gender": samples["gender"],
            "skin_tone": samples["skin_tone"],
            "label": samples["label"].where(samples["kind"] == "object", ""),
        }
    )


def classes(samples: pd.DataFrame) -> Classes:
    """
    Collect the classes of a corpus.

    Parameters
    ----------
    samples : DataFrame
        As `Classes.targets` takes it.

    Returns
    -------
    Classes
        Every value that occurs, but the empty one.
    """
    shown = visible(samples)
    return Classes({head: tuple(sorted(set(shown[head]) - {""})) for head in HEADS})


class Recogniser(nn.Module):
    """
    Image encoder and one linear head an attribute.

    Parameters
    ----------
    width : int
        Width of the image encoder's first level.
    resolution : int
        Side of the images, pixels.
    """

    def __init__(self, names: Classes, width: int, features: int, resolution: int) -> None:
        super().__init__()
        self.body = ModifiedResNet([1, 1, 1, 1], features, heads=width // 2, image_size=resolution, width=width)
        self.heads = nn.ModuleDict({head: nn.Linear(features, len(names.names[head])) for head in HEADS})

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """
        Score the classes.

        Parameters
        ----------
        images : Tensor
            float32, (B, 3, H, W) in [-1, 1].

        Returns
        -------
        dict of str to Tensor
            Logits (B, classes) of each head.
        """
        return self.scores(self.features(images))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images, as `forward` takes them: (B, features), none below 0."""
        return self.body(images).relu()

    def scores(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Score the classes of encoded images: logits (B, classes) of each head."""
        return {name: head(features) for name, head in self.heads.items()}

    def loss(self, images: torch.Tensor, targets: Mapping[str, torch.Tensor], random: torch.Generator) -> torch.Tensor:
        """
        Compute the mean cross-entropy over the known rows, summed over the heads, on shifted images.

        Parameters
        ----------
        images : Tensor
            As `forward` takes them.
        targets : mapping of str to Tensor
            int64, (B,), a head each.
        """
        side = images.shape[-1]
        x, y = torch.randint(0, 2 * SHIFT + 1, (2,), generator=random).tolist()
        shifted = pad(images, (SHIFT,) * 4, mode="replicate")[..., y : y + side, x : x + side]
        total = images.new_zeros(())
        for head, logits in self(shifted).items():
            known = (targets[head] != UNKNOWN).sum().clamp(min=1)
            total = total + cross_entropy(logits, targets[head], ignore_index=UNKNOWN, reduction="sum") / known
        return total


def recognise(model: Recogniser, images: Sequence[torch.Tensor]) -> dict[str, NDArray[np.int64]]:
    """
    Name the most probable class of every image, a head each.

    Parameters
    ----------
    images : sequence of Tensor
        Batches, as `Recogniser.forward` takes them.

    Returns
    -------
    dict of str to ndarray
        int64, (N,).
    """
    return observe(model, images)[0]


@torch.inference_mode()
def observe(
    model: Recogniser, images: Sequence[torch.Tensor]
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.float64]]:
    """Name what batches of images show, as `recognise` does, and encode them: (N, features)."""
    features = [model.features(batch) for batch in images]
    scored = [model.scores(part) for part in features]
    shown = {head: torch.cat([scores[head].argmax(1) for scores in scored]).numpy() for head in HEADS}
    return shown, torch.cat(features).double().numpy()
