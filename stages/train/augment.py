"""Random changes of training images, in law those of open_clip's own transform, from an explicit generator.

Random resized crop (torchvision's law: area uniform in `scale`, log aspect uniform in log `ratio`, ten attempts, then
the central crop), and optionally colour jitter and loss of colour. Parameters are drawn for a whole batch at once,
before it is cut among processes, so neither processes nor workers change them.

Beyond open_clip, an image can take on the style of another one of its batch, for the sake of artists that are not in
the corpus: mean and standard deviation of each channel, (1 − λ) its own + λ the other's, λ ~ Beta(0.1, 0.1): mostly
near 0 or 1. Both are taken of the whole images, before the crop.

References
----------
open_clip 3.3.0, `open_clip.transform.image_transform` [P]; torchvision, `RandomResizedCrop.get_params` [P]. Zhou et
al., "Domain generalization with MixStyle", ICLR 2021, which mixes features of layers instead of pixels [S].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torchvision.transforms.v2.functional as functional
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode

from stages.train.settings import Augmentation

ATTEMPTS = 10
STYLE = 0.1  # both parameters of the Beta distribution, MixStyle's


@dataclass(frozen=True)
class Changes:
    """
    What is drawn for a batch of n images.

    Attributes
    ----------
    area, log_ratio : ndarray, (n, ATTEMPTS)
        Share of the area and logarithm of width / height of each attempted crop.
    place : ndarray, (n, ATTEMPTS, 2)
        Uniform numbers: where the crop lies, vertically and horizontally.
    jitter : ndarray, (n, 4)
        Factors of brightness, contrast and saturation, shift of the hue; the identity where an image has none.
    order : ndarray, (n, 4)
        Order in which they are applied.
    gray : ndarray, (n,)
        Whether the image loses its colour.
    partner : ndarray, (n,)
        Place in the whole batch of the image whose style is mixed in.
    style : ndarray, (n,)
        Share λ of the partner's style; 0: the image keeps its own.
    """

    area: NDArray[np.float64]
    log_ratio: NDArray[np.float64]
    place: NDArray[np.float64]
    jitter: NDArray[np.float64]
    order: NDArray[np.int64]
    gray: NDArray[np.bool_]
    partner: NDArray[np.int64]
    style: NDArray[np.float64]

    def __getitem__(self, rows: slice) -> "Changes":
        return Changes(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def draw(rng: np.random.Generator, n: int, augmentation: Augmentation) -> Changes:
    """Draw the changes of a batch."""
    low, high = np.log(augmentation.ratio)
    strength = np.array(augmentation.color_jitter)
    spread = rng.uniform(-1, 1, (n, 4)) * strength
    identity = np.array([1.0, 1.0, 1.0, 0.0])
    jittered = rng.random((n, 1)) < augmentation.color_jitter_prob
    changes = Changes(
        area=rng.uniform(*augmentation.scale, (n, ATTEMPTS)),
        log_ratio=rng.uniform(low, high, (n, ATTEMPTS)),
        place=rng.random((n, ATTEMPTS, 2)),
        jitter=np.where(jittered, np.maximum(identity + spread, [0, 0, 0, -1]), identity),
        order=rng.permuted(np.tile(np.arange(4), (n, 1)), axis=1),
        gray=rng.random(n) < augmentation.gray_scale_prob,
        partner=np.arange(n),
        style=np.zeros(n),
    )
    # after all others, so that those are the same with and without it
    mixed = rng.random(n) < augmentation.mix_style
    return replace(changes, partner=rng.permutation(n), style=np.where(mixed, rng.beta(STYLE, STYLE, n), 0.0))


def boxes(changes: Changes, height: NDArray[np.int64], width: NDArray[np.int64], ratio: tuple[float, float]) -> NDArray:
    """
    Place the random crops.

    Parameters
    ----------
    height, width : ndarray, (n,)
        Sizes of the images.
    ratio : tuple of float
        Bounds of width / height, for the central crop after ten failures.

    Returns
    -------
    ndarray, (n, 4)
        Top, left, height, width of each crop.
    """
    height, width = height[:, None], width[:, None]
    target = changes.area * height * width
    shape = np.exp(changes.log_ratio)
    w, h = np.rint(np.sqrt(target * shape)).astype(int), np.rint(np.sqrt(target / shape)).astype(int)
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.argmax(axis=1)[:, None]
    h, w = np.take_along_axis(h, first, 1), np.take_along_axis(w, first, 1)
    place = np.take_along_axis(changes.place, first[:, :, None], 1)[:, 0]
    # torchvision's way out: the largest central crop whose shape the bounds allow
    some = fits.any(axis=1, keepdims=True)
    h = np.where(some, h, np.minimum(height, np.rint(width / ratio[0]).astype(int)))
    w = np.where(some, w, np.minimum(width, np.rint(height * ratio[1]).astype(int)))
    room = np.concatenate([height - h, width - w], axis=1)
    corner = np.where(some, np.floor(place * (room + 1)).astype(int), room // 2)
    return np.concatenate([corner, h, w], axis=1)


def apply(
    images: Sequence[NDArray[np.uint8]],
    changes: Changes,
    ratio: tuple[float, float],
    size: tuple[int, int],
    partners: Mapping[int, NDArray[np.uint8]] | None = None,
) -> Tensor:
    """
    Change a batch.

    Parameters
    ----------
    images : sequence of ndarray, uint8, (height, width, 3)
        Of any sizes.
    ratio : tuple of float
        See `boxes`.
    size : tuple of int
        Height and width of the result.
    partners : mapping of int to ndarray, optional
        The other image of each place whose style is mixed.

    Returns
    -------
    Tensor, uint8, (n, 3, *size)
        Channels last in memory.
    """
    sizes = np.array([image.shape[:2] for image in images])
    corners = boxes(changes, sizes[:, 0], sizes[:, 1], ratio)
    out = torch.empty((len(images), 3, *size), dtype=torch.uint8, memory_format=torch.channels_last)
    plain = (changes.jitter == [1, 1, 1, 0]).all(axis=1) & ~changes.gray
    for i, image in enumerate(images):
        top, left, h, w = corners[i].tolist()
        # the bicubic filter of Pillow, in torch, on uint8: three times as fast, equal but for rounding
        pixels = functional.resized_crop(
            torch.from_numpy(image).permute(2, 0, 1),
            top,
            left,
            h,
            w,
            list(size),
            InterpolationMode.BICUBIC,
            antialias=True,
        )
        if changes.style[i] and partners is not None:
            pixels = _restyle(pixels, image, partners[i], changes.style[i])
        out[i] = pixels if plain[i] else _recolour(pixels, changes.jitter[i], changes.order[i], bool(changes.gray[i]))
    return out


def _restyle(pixels: Tensor, own: NDArray[np.uint8], other: NDArray[np.uint8], share: float) -> Tensor:
    (mean, spread), (new_mean, new_spread) = (
        (image.mean(axis=(0, 1)), image.std(axis=(0, 1))) for image in (own, other)
    )
    gain = 1 - share + share * new_spread / np.maximum(spread, 1.0)  # a channel of one value has no spread to stretch
    shift = (1 - share) * mean + share * new_mean - gain * mean
    gain, shift = (torch.from_numpy(part.astype(np.float32)).view(3, 1, 1) for part in (gain, shift))
    return (pixels * gain + shift).round_().clamp_(0, 255).to(torch.uint8)


def _recolour(pixels: Tensor, jitter: NDArray, order: NDArray, gray: bool) -> Tensor:
    brightness, contrast, saturation, hue = jitter.tolist()
    steps = (
        lambda x: functional.adjust_brightness(x, brightness),
        lambda x: functional.adjust_contrast(x, contrast),
        lambda x: functional.adjust_saturation(x, saturation),
        lambda x: functional.adjust_hue(x, hue),
    )
    if (jitter != [1, 1, 1, 0]).any():
        for index in order:
            pixels = steps[index](pixels)
    return functional.rgb_to_grayscale(pixels, 3) if gray else pixels


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """
    Scale pixels to [0, 1] and standardise the channels.

    Parameters
    ----------
    images : Tensor, uint8, (n, 3, height, width)
        On the model's device.
    mean, std : sequence of float
        Of each channel, from the model's preprocessing configuration.

    Returns
    -------
    Tensor, float32, (n, 3, height, width)
        What the image tower reads.
    """
    # a row of constants in the memory layout of the images: one long loop each instead of many over three channels
    shape = (1, 3, 1, images.shape[-1])
    scale, shift = (
        torch.tensor(of, device=images.device).mul_(255).view(1, 3, 1, 1).expand(shape) for of in (std, mean)
    )
    scale, shift = (row.contiguous(memory_format=torch.channels_last) for row in (scale, shift))
    return images.float().sub_(shift).div_(scale)
