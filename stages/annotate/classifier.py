"""Perceived gender and skin tone from pixels: a small convolutional network trained on the real images.

One head an attribute, with one class a group and one for "nobody is shown". Predictions below a threshold are unsure:
such an image is in no group, since a wrong group would bias the balance more than a missing one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from stages.corpus.words import GROUPS

UNKNOWN = -1  # target of an image whose group is not known: left out of the loss
SIDE = 32  # images are averaged down to this side, pixels
SHIFT = 2  # random shift of a training batch, pixels of the small image
BATCH = 128


@dataclass(frozen=True)
class Accuracy:
    """
    Accuracy of one attribute over images of known group.

    Attributes
    ----------
    accuracy : float
        Share whose most probable group among the attribute's groups is right, in [0, 1]; nan where n is 0.
    coverage : float
        Share that gets a group at the threshold.
    confident : float
        Share of the latter whose group is right; nan where there are none.
    """

    n: int
    accuracy: float
    coverage: float
    confident: float


class Network(nn.Module):
    """Five convolutions, a global average, one linear head an attribute."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for factor, stride in ((1, 2), (2, 1), (3, 2), (4, 2), (4, 1)):
            layers += [
                nn.Conv2d(channels, factor * width, 3, stride, 1, bias=False),
                nn.BatchNorm2d(factor * width),
                nn.ReLU(),
            ]
            channels = factor * width
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.heads = nn.ModuleList(nn.Linear(channels, len(groups) + 1) for groups in GROUPS.values())

    def forward(self, images: Tensor) -> list[Tensor]:
        """
        Return logits (B, groups + 1) of each attribute; the last class is "nobody".

        Parameters
        ----------
        images : Tensor
            float32, (B, 3, 32, 32), in [0, 1].
        """
        features = self.body(images)
        return [head(features) for head in self.heads]


def shrink(images: Iterable[NDArray[np.uint8]]) -> Tensor:
    """
    Average images down to the network's side: float32, (N, 3, 32, 32), in [0, 1].

    Parameters
    ----------
    images : iterable of ndarray, uint8, (H, W, 3)
        N images of one size; a few hundred are held at a time.
    """
    iterator, parts = iter(images), [torch.empty(0, 3, SIDE, SIDE)]
    while part := list(islice(iterator, 512)):
        pixels = torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float() / 255
        parts.append(interpolate(pixels, size=(SIDE, SIDE), mode="area"))
    return torch.cat(parts).contiguous(memory_format=torch.channels_last)


def fit(
    images: Tensor, targets: NDArray[np.int64], epochs: int, seed: int, report: Callable[[], object] = lambda: None
) -> Network:
    """
    Train the network.

    Parameters
    ----------
    images : Tensor
        As `shrink` gives them, (N, 3, 32, 32).
    targets : ndarray of int64, (N, attributes)
        Index of the group, the number of groups for "nobody", or `UNKNOWN`.
    epochs : int
        Passes over the images; batches of 128, AdamW, one-cycle learning rate, random flips and shifts.
    seed : int
        Seed of weights, order and augmentation.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Network().to(memory_format=torch.channels_last)
    goal = torch.from_numpy(targets)
    batches = max(1, len(images) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=5e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for step in range(batches):
            rows = order[step::batches]
            batch = images[rows]
            if torch.rand((), generator=generator) < 0.5:
                batch = batch.flip(3)
            shift = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
            logits = model(torch.roll(batch, shift, (2, 3)))
            loss = torch.stack([_loss(score, goal[rows, head]) for head, score in enumerate(logits)]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        report()
    return model.eval()


def _loss(logits: Tensor, goal: Tensor) -> Tensor:
    """Mean cross entropy over the known rows; 0 where there are none."""
    known = goal != UNKNOWN
    return cross_entropy(logits, goal, ignore_index=UNKNOWN, reduction="sum") / known.sum().clamp(min=1)


@torch.inference_mode()
def probabilities(model: Network, images: Tensor) -> list[NDArray[np.float32]]:
    """
    Predict the groups: one (N, groups + 1) per attribute, rows summing to 1.

    Parameters
    ----------
    images : Tensor
        As `shrink` gives them, (N, 3, 32, 32).
    """
    outputs = [[score.softmax(1) for score in model(part)] for part in images.split(512)]  # no image: one empty part
    return [torch.cat(parts).numpy() for parts in zip(*outputs, strict=True)]


def decide(probability: NDArray[np.float32], groups: Sequence[str], threshold: float) -> list[str]:
    """
    Name the group of each row; empty where nobody is shown, or the classifier is unsure.

    Parameters
    ----------
    threshold : float
        Smallest probability that is believed, above 1/2.
    """
    best = probability.argmax(1)
    sure = probability.max(1) >= threshold
    names = (*groups, "")
    return [names[index] if certain else "" for index, certain in zip(best, sure, strict=True)]


def accuracy(probability: NDArray[np.float32], target: NDArray[np.int64], threshold: float) -> Accuracy:
    """
    Measure the accuracy on images of known group.

    Parameters
    ----------
    target : ndarray of int64, (N,)
        Index of the group; "nobody" and `UNKNOWN` are left out.
    """
    nobody = probability.shape[1] - 1
    known = (target != UNKNOWN) & (target != nobody)
    probability, target = probability[known], target[known]
    right = probability[:, :nobody].argmax(1) == target
    given = (probability.max(1) >= threshold) & (probability.argmax(1) != nobody)
    return Accuracy(
        n=len(target),
        accuracy=float(right.mean()) if len(target) else float("nan"),
        coverage=float(given.mean()) if len(target) else float("nan"),
        confident=float(right[given].mean()) if given.any() else float("nan"),
    )
